"""Access tokens as Meta keeps them: whose, of which kind, for how long, for what, and why one is refused.

Sources: Meta's pages "Access tokens", "Debugging and error handling" and "Secure Graph API requests".
Tokens are opaque and of any length; the literal ``app_id|app_secret`` is an app's own token.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aerobot.emulator.graph_errors import Refusal, Refused, bad_token, parameter

MESSAGING = "whatsapp_business_messaging"
"""Sending, media, and the webhooks of the field ``messages``."""
MANAGEMENT = "whatsapp_business_management"
"""Numbers, subscribed apps, overrides, templates."""
SCOPES = ("business_management", MANAGEMENT, MESSAGING)
"""What a token needs (the first: is recommended); a new one has all three."""
USER_DATA = 90 * 86400
"""A USER token reads its user's data for 90 days, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A Meta app; ``secret`` signs its webhooks."""

    id: str
    name: str
    secret: str = field(repr=False)

    @property
    def token(self) -> str:
        """Its own access token, which only the app's settings need."""
        return f"{self.id}|{self.secret}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One access token.

    ``type`` is ``SYSTEM_USER``, ``USER`` or ``APP``; times are seconds since 1970, ``expires_at`` 0 is never.
    ``targets`` are the WhatsApp Business Accounts it was granted, None means any.
    """

    value: str = field(repr=False)
    app_id: str
    type: str = "SYSTEM_USER"
    issued_at: int
    expires_at: int = 0
    scopes: tuple[str, ...] = SCOPES
    targets: tuple[str, ...] | None = None
    invalidated: bool = False

    def sees(self, account_id: str) -> bool:
        """Whether it was granted this WhatsApp Business Account."""
        return self.type != "APP" and (self.targets is None or account_id in self.targets)

    def need(self, scope: str) -> None:
        """Raises ``Refused`` (10) without this permission."""
        if scope not in self.scopes:
            text = "(#10) Application does not have permission for this action"
            raise Refused(Refusal(status=403, code=10, message=text))

    def died(self, now: float) -> Refusal | None:
        """Why it is not valid (any more): 190 with 463 (expired) or 467 (invalidated)."""
        if self.invalidated:
            return _dead(467, "The session is invalid because the user logged out.")
        if self.expires_at and now >= self.expires_at:
            when, here = _pacific(self.expires_at), _pacific(now)
            return _dead(463, f"Session has expired on {when}. The current time is {here}.")
        return None


class Tokens:
    """Every token that was issued here. ``main`` is the value of the one among the credentials."""

    def __init__(self, apps: Mapping[str, App], now: Callable[[], float]) -> None:
        self._apps = apps
        self._now = now
        self._kept: dict[str, Token] = {}

    def keep(self, token: Token) -> None:
        """Issue a token, or change one."""
        self._kept[token.value] = token

    def forget(self, value: str) -> None:
        """From now on nobody can even parse it."""
        self._kept.pop(value, None)

    def all(self) -> list[Token]:
        """Every one, dead or alive."""
        return list(self._kept.values())

    def get(self, value: str) -> Token | None:
        """A token that was issued, dead or alive."""
        return self._kept.get(value)

    def check(self, value: str, proof: str | None = None, *, require_proof: bool = False) -> Token:
        """The token behind a value. Raises ``Refused``: 190, 101, or 100 for a wrong ``appsecret_proof``."""
        token = self._app_token(value) if "|" in value else self._kept.get(value)
        if token is None:
            raise bad_token()
        if (refusal := token.died(self._now())) is not None:
            raise Refused(refusal)
        if proof is None and require_proof:
            raise _proof("API calls from the server require an appsecret_proof argument")
        wanted = hmac.new(self._apps[token.app_id].secret.encode(), value.encode(), hashlib.sha256).hexdigest()
        if proof is not None and not hmac.compare_digest(proof.encode("utf-8", "surrogatepass"), wanted.encode()):
            raise _proof("Invalid appsecret_proof provided in the API argument")
        return token

    def _app_token(self, value: str) -> Token:
        app_id, _, secret = value.partition("|")
        app = self._apps.get(app_id)
        if app is None:
            raise no_application()
        if secret != app.secret:
            raise bad_token("Invalid OAuth access token signature.")
        return Token(value=value, app_id=app_id, type="APP", issued_at=0, scopes=(), targets=())

    def about(self, value: str, viewer: Token) -> dict[str, object]:
        """What ``debug_token`` says. Raises ``Refused`` (100) if ``viewer`` is of another app than the token."""
        token = self._inspected(value)
        if token is None:
            error = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
            return {"error": error, "is_valid": False, "scopes": []}
        if token.app_id != viewer.app_id:
            raise parameter("The App_id in the input_token did not match the Viewing App")
        found: dict[str, object] = {"app_id": token.app_id, "type": token.type}
        found["application"] = self._apps[token.app_id].name
        died = token.died(self._now())
        if token.type != "APP":
            found |= _life(token)
        if died is not None:
            found["error"] = {"code": died.code, "message": died.message, "subcode": died.subcode}
        return found | {"is_valid": died is None, "scopes": list(token.scopes)} | _granted(token)

    def _inspected(self, value: str) -> Token | None:
        try:
            return self._app_token(value) if "|" in value else self._kept.get(value)
        except Refused:
            return None


def no_application() -> Refused:
    """An app that does not exist (101)."""
    text = "Error validating application. Cannot get application info due to a system error."
    return Refused(Refusal(code=101, message=text))


def _life(token: Token) -> dict[str, object]:
    data = token.issued_at + USER_DATA if token.type == "USER" else 0
    return {
        "data_access_expires_at": data,
        "expires_at": token.expires_at,
        "issued_at": token.issued_at,
        "user_id": "122" + token.app_id[-12:],
    }


def _granted(token: Token) -> dict[str, object]:
    if token.type == "APP":
        return {}
    found = []
    for scope in token.scopes:
        bound = scope.startswith("whatsapp_") and token.targets is not None
        found.append({"scope": scope} | ({"target_ids": list(token.targets or ())} if bound else {}))
    return {"granular_scopes": found}


def _dead(subcode: int, why: str) -> Refusal:
    return Refusal(status=401, code=190, subcode=subcode, message=f"Error validating access token: {why}")


def _proof(text: str) -> Refused:
    return Refused(Refusal(code=100, type="GraphMethodException", message=text))


def _pacific(at: float) -> str:
    return time.strftime("%A, %d-%b-%y %H:%M:%S PST", time.gmtime(at - 8 * 3600))
