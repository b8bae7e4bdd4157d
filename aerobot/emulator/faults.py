"""Faults on command, never at random: armed by name, each used up by the sends that it spoils."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aerobot.emulator.graph_errors import Refusal, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes of one ``POST …/messages``.

    ``refusal`` is answered at once, or with ``later`` accepted and then reported by a ``failed`` receipt.
    ``wire`` spoils the connection instead: ``html`` (500), ``timeout`` (no answer), ``reset``, ``half``
    (half an answer); ``taken`` says that the message was sent all the same, as only Meta would know.
    """

    name: str
    meaning: str
    refusal: Refusal | None = None
    later: bool = False
    wire: str = ""
    taken: bool = False

    def refused(self) -> Refused:
        """The refusal, to be raised."""
        assert self.refusal is not None
        return Refused(self.refusal)


def _error(name: str, code: int, title: str, details: str = "", *, status: int = 400, later: bool = False) -> Fault:
    refusal = Refusal(code=code, message=f"(#{code}) {title}", details=details or title, status=status)
    return Fault(name=name, meaning=title, refusal=refusal, later=later)


def _token(name: str, subcode: int, why: str) -> Fault:
    text = f"Error validating access token: {why}"
    return Fault(name=name, meaning=why, refusal=Refusal(status=401, code=190, subcode=subcode, message=text))


_CLOSED = (
    131047,
    "Re-engagement message",
    "More than 24 hours have passed since the customer last replied to this number.",
)
_NOT_LISTED = "Recipient phone number not in allowed list"
_TOO_FAST = "Too many messages sent from this phone number to the same phone number in a short time."

_ALL = (
    _token("token_expired", 463, "Session has expired. The current time is later."),
    _token("token_invalidated", 467, "The session is invalid because the user logged out."),
    _error("window_closed", *_CLOSED, later=True),
    _error("window_closed_at_once", *_CLOSED),
    _error("not_on_list", 131030, _NOT_LISTED,
           f"{_NOT_LISTED}: Add recipient phone number to recipient list and try again."),
    _error("undeliverable", 131026, "Message undeliverable", "Message Undeliverable.", later=True),
    _error("rate_limited", 130429, "Rate limit hit", "Message throughput has been reached.", status=429),
    _error("pair_rate", 131056, "(Business Account, Consumer Account) pair rate limit hit", _TOO_FAST),
    _error("payment", 131042, "Business eligibility payment issue", "There was an error related to payment."),
    _error("account_locked", 131031, "Business Account locked", status=403),
    _error("not_registered", 133010, "Account not registered", "The number is not registered."),
    _error("unavailable", 131016, "Service unavailable", status=500),
    _error("something_went_wrong", 131000, "Something went wrong", status=500),
    Fault(name="server_error", meaning="500 with an HTML page", wire="html"),
    Fault(name="timeout", meaning="no answer; not sent", wire="timeout"),
    Fault(name="timeout_sent", meaning="no answer, though it was sent", wire="timeout", taken=True),
    Fault(name="reset", meaning="connection reset; not sent", wire="reset"),
    Fault(name="reset_sent", meaning="connection reset, though it was sent", wire="reset", taken=True),
    Fault(name="half_answer", meaning="half an answer, though it was sent", wire="half", taken=True),
)  # fmt: skip

PRESETS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}
"""Every fault that can be armed, by name."""


class Faults:
    """What is armed, in the order of arming; ``changed`` is told after each change."""

    def __init__(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        self._armed: list[str] = []
        self._changed = changed

    def arm(self, name: str, times: int = 1) -> None:
        """Spoil the next ``times`` sends (1 to 10,000). Raises ``ValueError`` for an unknown name."""
        if name not in PRESETS:
            raise ValueError(f"There is no fault {name!r}; there are {', '.join(PRESETS)}.")
        self._armed += [name] * max(1, min(times, 10_000))
        self._changed(self.armed)

    def disarm(self) -> None:
        """Forget all that is armed."""
        self._armed.clear()
        self._changed(self.armed)

    def take(self) -> Fault | None:
        """The fault for this send, if any; it is used up."""
        if not self._armed:
            return None
        name = self._armed.pop(0)
        self._changed(self.armed)
        return PRESETS[name]

    @property
    def armed(self) -> tuple[str, ...]:
        """The names still to come."""
        return tuple(self._armed)
