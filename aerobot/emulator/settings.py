"""How the emulated world behaves, each setting with its meaning; wrong names and values are sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

RETRIES: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Meta goes from "at once" to hours within seven days and publishes no schedule; this one is compressed."""
WINDOWS: Final = ("later", "at_once", "off")
_FLAGS: Final = ("auto_read", "failed_contacts", "throughput_limit", "pair_limit", "hold", "reverse")
_SECONDS: Final = ("sent_delay", "delivered_delay", "read_delay", "delay")
_COUNTS: Final[Mapping[str, int]] = {"batch": 1000, "copies": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of them; times in seconds of the emulator's clock.

    ``auto_read``: what arrives in a chat is read by itself, while nobody has the page open. ``sent_delay``,
    ``delivered_delay``, ``read_delay``: before each receipt, counted from the one before. ``window``: what
    becomes of a message outside the 24 hours: ``failed`` with 131047 ``later`` (as Meta mostly does), refused
    ``at_once``, or ``off``: sent all the same. ``throughput_limit``: 80 messages a second, then 130429.
    ``pair_limit``: one message in 6 s to the same user, 45 in advance, then 131056.

    Webhooks: ``retries`` are the pauses before the second attempt, the third …; the last one goes on for a week.
    ``batch`` joins up to so many updates in one body (1: none), ``copies`` delivers each body so often at the
    same time, ``reverse`` delivers what was gathered last first, ``delay`` holds each body back for so long, and
    with ``hold`` all wait until they are released. ``failed_contacts`` names the user beside ``failed`` too: Meta's
    page says that nobody is named there, some webhooks that were seen do it.
    """

    auto_read: bool = True
    sent_delay: float = 0.05
    delivered_delay: float = 0.05
    read_delay: float = 0.1
    window: str = "later"
    throughput_limit: bool = False
    pair_limit: bool = False
    retries: tuple[float, ...] = RETRIES
    hold: bool = False
    batch: int = 1
    copies: int = 1
    reverse: bool = False
    delay: float = 0.0
    failed_contacts: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return found | {"retries": list(self.retries)}

    def changed(self, changes: Mapping[str, object]) -> "Settings":
        """These with some changed. Raises ``ValueError`` with a sentence; then nothing has changed."""
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


def evenly(delay: float) -> dict[str, float]:
    """One delay for all receipts: a message is read after as long again as it took to be delivered."""
    return {"sent_delay": delay, "delivered_delay": delay, "read_delay": 2 * delay}


def _checked(name: str, value: object) -> Any:
    known = [field.name for field in fields(Settings)]
    if name not in known:
        raise ValueError(f"There is no setting {name!r}; there are {', '.join(known)}.")
    if name in _FLAGS and not isinstance(value, bool):
        raise ValueError(f"{name} is true or false.")
    if name in _SECONDS:
        return _seconds(name, value)
    if name in _COUNTS and not (type(value) is int and 1 <= value <= _COUNTS[name]):
        raise ValueError(f"{name} is a whole number from 1 to {_COUNTS[name]:,}.")
    if name == "window" and value not in WINDOWS:
        raise ValueError(f"window is one of {', '.join(WINDOWS)}.")
    if name == "retries":
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= 100:
            raise ValueError("retries is a list of 1 to 100 numbers of seconds.")
        return tuple(_seconds("Each of retries", one) for one in value)
    return value


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 604_800:
        raise ValueError(f"{name} is a number of seconds, from 0 to 604800 (a week).")
    return float(value)
