"""Who the emulated business is: the ids, tokens and secrets that a host needs to talk to this emulator."""

import base64
from dataclasses import dataclass, field
from random import Random

from aerobot.emulator.ids import Ids
from aerobot.emulator.webhooks import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What Meta's portal would show. All plain strings; ``repr`` leaves out the token and the secrets."""

    phone_number_id: str
    display_phone_number: str
    business_account_id: str
    app_id: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)

    @property
    def line(self) -> Line:
        """The number as webhooks name it."""
        return Line(
            business_account_id=self.business_account_id,
            phone_number_id=self.phone_number_id,
            display_phone_number=self.display_phone_number,
        )


def invent(ids: Ids) -> Credentials:
    """Fresh credentials in Meta's shapes; the number is a fictional one (+1 555-010-…)."""
    random = ids.dice("credentials")
    return Credentials(
        phone_number_id=f"1{random.randrange(10**14):014d}",
        display_phone_number=f"1555010{random.randrange(10**4):04d}",
        business_account_id=f"2{random.randrange(10**14):014d}",
        app_id=f"9{random.randrange(10**14):014d}",
        access_token="EAA" + _letters(random, 90),
        app_secret=random.getrandbits(128).to_bytes(16, "big").hex(),
        verify_token=_letters(random, 24),
    )


def _letters(random: Random, length: int) -> str:
    raw = random.getrandbits(8 * length).to_bytes(length, "big")
    return base64.b64encode(raw, altchars=b"Za").decode()[:length]


def pretty(digits: str) -> str:
    """A number for people: ``+1 555-010-4477`` for North American ones, else ``+`` and the digits."""
    if len(digits) == 11 and digits[0] == "1":
        return f"+1 {digits[1:4]}-{digits[4:7]}-{digits[7:]}"
    return f"+{digits}"
