"""What happened, as plain values: ids, strings and numbers, so that a terminal, a log or a program can render it."""

from dataclasses import asdict, dataclass
from typing import ClassVar

TEXTS = frozenset({"text", "name", "trace"})
"""Fields that hold what customers wrote or are called: left out of JSON unless asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events; ``at`` is in milliseconds since 1970."""

    event: ClassVar[str] = "event"
    at: int = 0

    def document(self, *, texts: bool) -> dict[str, object]:
        """The event as a JSON object; without ``texts``, customers' words and names are left out."""
        fields = {k: v for k, v in asdict(self).items() if texts or k not in TEXTS}
        return {"event": self.event, **fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Event):
    """The host answers. ``webhook_url`` can always be called; ``public_url`` is set where it is exposed."""

    event: ClassVar[str] = "ready"
    engine: str
    profile: str | None
    webhook_url: str
    public_url: str | None
    private_url: str
    bots: tuple[str, ...]
    number: str | None = None
    page_url: str | None = None
    graph_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived(Event):
    """A message was stored. ``state`` is ``queued`` or ``ignored(reason)``; ``kind`` is WhatsApp's own word."""

    event: ClassVar[str] = "message"
    bot_id: str
    conversation_id: int
    message_id: str
    kind: str
    who: str
    name: str
    text: str
    state: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSettled(Event):
    """One Graph call of a reply ended: ``sent``, ``captured``, ``failed``, ``not_sent`` or ``unknown``.

    ``milliseconds`` counts from the arrival of the turn's last message, ``bot_milliseconds`` the engine alone.
    """

    event: ClassVar[str] = "part"
    bot_id: str
    conversation_id: int
    turn_id: int
    part_id: str
    state: str
    kind: str
    who: str
    text: str
    wamid: str = ""
    milliseconds: int = 0
    bot_milliseconds: int = 0
    code: int | None = None
    error: str | None = None
    remedy: str | None = None
    channel: str = "whatsapp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptSeen(Event):
    """Meta said what became of a part. ``failed_turn`` is the turn that stands on the failed list because of it."""

    event: ClassVar[str] = "receipt"
    bot_id: str
    conversation_id: int | None
    wamid: str
    status: str
    who: str
    code: int | None = None
    error: str | None = None
    remedy: str | None = None
    failed_turn: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(Event):
    """A turn ended without an answer: ``ignored(silent)`` or ``failed``; ``trace`` is the bot's own frames."""

    event: ClassVar[str] = "turn"
    bot_id: str
    conversation_id: int
    turn_id: int
    state: str
    who: str
    fell_back: bool = False
    error: str | None = None
    trace: str | None = None
    channel: str = "whatsapp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Event):
    """A request was refused; ``reason`` tells the operator what the caller was not told."""

    event: ClassVar[str] = "rejected"
    status: int
    reason: str
    remedy: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(Event):
    """Meta (or somebody with our verify token) asked for the challenge and got it."""

    event: ClassVar[str] = "handshake"
    bot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleArrived(Event):
    """The dashboard's test delivery arrived: the webhook works."""

    event: ClassVar[str] = "sample"
    bot_id: str
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Event):
    """Something authentic was stored that no engine is asked about."""

    event: ClassVar[str] = "recorded"
    bot_id: str
    what: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPaused(Event):
    """A number cannot send (token, payment, lock, registration, or Graph fails for all): its backlog is kept."""

    event: ClassVar[str] = "number_paused"
    bot_id: str
    code: int | None
    error: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberResumed(Event):
    """A paused number sends again."""

    event: ClassVar[str] = "number_resumed"
    bot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReloaded(Event):
    """The bot's file was loaded again, or could not be (then the former one goes on)."""

    event: ClassVar[str] = "reloaded"
    name: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """A thing that an operator should know; ``level`` is ``ok``, ``note`` or ``warning``."""

    event: ClassVar[str] = "notice"
    level: str
    topic: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexpected(Event):
    """An exception that nobody foresaw: ``kind`` is always ``unexpected``."""

    event: ClassVar[str] = "error"
    kind: str = "unexpected"
    where: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    """The host stopped; how much it did."""

    event: ClassVar[str] = "stopped"
    received: int
    answered: int
    failed: int
