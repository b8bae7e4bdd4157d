"""The faults that can be armed, each by name with what becomes of the call. The table of docs/emulator.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aerobot.emulator.graph_errors import Refusal, Refused

CALLS: Final = ("messages", "read", "media", "download", "settings", "any")
"""Which calls a fault can meet: sends · mark-read and typing · upload, metadata and delete · the file behind a
media URL · all that is about set-up (numbers, accounts, apps, tokens) · whatever comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes of one call.

    ``refusal`` is answered at once, or with ``later`` the message is accepted and then reported by a ``failed``
    receipt (sends only). ``wire`` spoils the connection instead: ``html`` (500), ``timeout`` (no answer),
    ``reset``, ``half`` (half an answer), ``slow`` (the right answer, 3 s late); ``taken`` says that the message
    was sent all the same, as only Meta would know.
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

    def document(self) -> dict[str, object]:
        """For the page."""
        calls = ("messages",) if self.messages_only else CALLS
        return {"meaning": self.meaning, "code": self.refusal.code if self.refusal else None, "calls": list(calls)}

    @property
    def messages_only(self) -> bool:
        """Whether it can meet nothing but a send."""
        return self.later or self.taken


def _error(
    name: str, code: int, title: str, details: str = "", *, status: int = 400, later: bool = False, retry_after: int = 0
) -> Fault:
    refusal = Refusal(
        code=code, message=f"(#{code}) {title}", details=details or title, status=status, retry_after=retry_after
    )
    return Fault(name=name, meaning=title, refusal=refusal, later=later)


def _token(name: str, subcode: int, why: str) -> Fault:
    text = f"Error validating access token: {why}"
    return Fault(name=name, meaning=why, refusal=Refusal(status=401, code=190, subcode=subcode, message=text))


def _graph(name: str, code: int, title: str, *, status: int, transient: bool = False) -> Fault:
    """One of Graph's own, which has no ``error_data``."""
    refusal = Refusal(code=code, message=f"(#{code}) {title}", status=status, transient=transient)
    return Fault(name=name, meaning=title, refusal=refusal)


_CLOSED: Final = (
    131047,
    "Re-engagement message",
    "More than 24 hours have passed since the customer last replied to this number.",
)
_NOT_LISTED: Final = "Recipient phone number not in allowed list"
_TOO_FAST: Final = "Too many messages sent from this phone number to the same phone number in a short time."
_ASSIGNED: Final = (
    "You do not have the necessary permissions required to send messages on behalf of this WhatsApp Business Account"
)
_HEALTHY: Final = "In order to maintain a healthy ecosystem engagement, the message failed to be delivered."

_ALL: Final = (
    # who calls
    _token("token_expired", 463, "Session has expired. The current time is later."),
    _token("token_invalidated", 467, "The session is invalid because the user logged out."),
    _graph("no_permission", 10, "Application does not have permission for this action", status=403),
    _graph("not_assigned", 200, _ASSIGNED, status=403),
    # the state of the number
    _error("payment", 131042, "Business eligibility payment issue", "There was an error related to payment."),
    _error("account_locked", 131031, "Business Account locked", status=403),
    _error("not_registered", 133010, "Account not registered", "The number is not registered."),
    _error("name_not_approved", 131037, "The 555 number's display name needs to be approved"),
    _graph("policy", 368, "Temporarily blocked for policies violations", status=403),
    # too much, too fast
    _error("rate_limited", 130429, "Rate limit hit", "Message throughput has been reached.", status=429),
    _error("rate_limited_wait", 130429, "Rate limit hit", "Try again in two seconds.", status=429, retry_after=2),
    _error("pair_rate", 131056, "(Business Account, Consumer Account) pair rate limit hit", _TOO_FAST),
    _graph("app_call_limit", 4, "Application request limit reached", status=400),
    _graph("account_call_limit", 80007, "There have been too many calls from this WhatsApp account", status=400),
    _error("spam_limited", 131048, "Spam rate limit hit", "Too many messages were blocked or flagged as spam."),
    # Meta is not well
    _graph("unknown", 1, "An unknown error occurred", status=500),
    _graph("temporary", 2, "Service temporarily unavailable", status=503, transient=True),
    _error("something_went_wrong", 131000, "Something went wrong", status=500),
    _error("unavailable", 131016, "Service unavailable", status=500),
    _error("maintenance", 131057, "Account in maintenance mode", "A throughput upgrade is going on.", status=500),
    # the message
    _error("window_closed", *_CLOSED, later=True),
    _error("window_closed_at_once", *_CLOSED),
    _error("not_on_list", 131030, _NOT_LISTED,
           f"{_NOT_LISTED}: Add recipient phone number to recipient list and try again."),
    _error("undeliverable", 131026, "Message undeliverable", "Message Undeliverable.", later=True),
    _error("experiment", 130472, "User's number is part of an experiment", later=True),
    _error("country", 130497, "Business account is restricted from messaging users in this country", status=403),
    _error("marketing_cap", 131049, "Meta chose not to deliver", _HEALTHY, later=True),
    _error("stopped_marketing", 131050, "User has stopped marketing messages", later=True),
    _error("unsupported", 131051, "Unsupported message type"),
    _error("media_download", 131052, "Media download error", later=True),
    _error("media_upload", 131053, "Media upload error", later=True),
    _error("identity_changed", 137000, "Identity hash mismatch"),
    _error("parameter", 131009, "Parameter value is not valid"),
    # templates
    _error("template_parameters", 132000, "Number of parameters does not match the expected number of params"),
    _error("template_missing", 132001, "Template name does not exist in the translation", status=404),
    _error("template_paused", 132015, "Template is paused"),
    # the wire
    Fault(name="server_error", meaning="500 with an HTML page", wire="html"),
    Fault(name="timeout", meaning="no answer; not sent", wire="timeout"),
    Fault(name="timeout_sent", meaning="no answer, though it was sent", wire="timeout", taken=True),
    Fault(name="reset", meaning="connection reset; not sent", wire="reset"),
    Fault(name="reset_sent", meaning="connection reset, though it was sent", wire="reset", taken=True),
    Fault(name="half_answer", meaning="half an answer, though it was sent", wire="half", taken=True),
    Fault(name="slow", meaning="the right answer, three seconds late", wire="slow"),
)  # fmt: skip

PRESETS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}
"""Every fault by name."""
BROKEN: Final = ("timeout", "reset", "half")
"""Faults of the wire after which a caller has no whole answer."""
SLOW: Final = 3.0
"""Seconds that a ``slow`` answer is late."""
AREA: Final = "15559"
"""Before six digits that are an error's code: a recipient that meets this error, always. No such area exists."""
_WIRES: Final = {"15558000500": "server_error", "15558000408": "timeout_sent", "15558000104": "reset_sent"}


def _numbers() -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in _ALL:
        if fault.refusal is not None:
            found.setdefault(f"{AREA}{fault.refusal.code:06d}", fault.name)
    return found | _WIRES


SPECIAL: Final[Mapping[str, str]] = _numbers()
"""Recipients that meet a fault without arming, as test cards do: its name by their digits."""
