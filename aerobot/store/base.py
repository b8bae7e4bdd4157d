"""What any store promises, and the values that go in and out.

The promise: what ``receive`` returned from is on disk, and is read once, in the order in which it was committed; each
update counts once per bot; a conversation's messages are answered in that order; one worker holds a conversation at a
time, and its writes carry a fencing number, so that a worker that lost its lease changes nothing (``Fenced``). A write
that the database cannot take now raises ``StoreUnavailable`` and has no effect. Times are milliseconds since 1970 by
the store's own clock, which alone judges leases. What is beside the hot path stands in ``upkeep.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aerobot.bot import Said
from aerobot.secret import Secret
from aerobot.whatsapp.messages import Message
from aerobot.whatsapp.webhook import Update

LEASE_MS = 30_000
"""How long a claim lasts without renewal."""
UNKNOWN_WAIT_MS = 20_000
"""How long a part whose outcome is unknown waits for a status that settles it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedBot:
    """A bot that this host runs. ``origin`` is ``settings`` (file, environment) or ``local`` (made over the API).

    The ``previous`` token and secret are good for as long as somebody changes them.
    """

    id: str
    origin: str
    name: str
    active: bool
    phone_number_id: str = ""
    access_token: Secret | None = None
    verify_token: Secret | None = None
    app_secret: Secret | None = None
    access_token_previous: Secret | None = None
    app_secret_previous: Secret | None = None
    system_prompt: str = ""
    welcome_message: str = ""
    fallback_message: str = ""
    timeout_ms: int = 30_000
    max_messages: int = 20
    ttl_hours: float = 24
    document: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One webhook request as it came: verified, acknowledged, not read yet. Those that came later have larger ids.

    ``number`` and ``active`` are those of the bot at that moment.
    """

    id: int
    bot_id: str
    number: str
    active: bool
    signed: bool
    received_at: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook request, verified and read. ``state`` is ``read``, ``unusable`` or ``unreadable``.

    It takes the place of its arrival; what has none arrives as it is recorded. ``channel`` is ``test`` only for what
    the private listener puts in itself; announced messages find theirs.
    """

    bot_id: str
    arrival_id: int | None = None
    received_at: int | None = None
    number: str
    body: bytes
    signed: bool
    updates: Sequence[Update] = ()
    state: str = "read"
    note: str = ""
    active: bool = True
    channel: str = "whatsapp"
    capture: bool = False
    debounce_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one update: stored (``new``) or seen before, and where it went.

    ``failed_turn`` is the turn that a ``failed`` status puts on the failed list.
    """

    update: Update
    new: bool
    state: str = ""
    reason: str = ""
    channel: str = "whatsapp"
    conversation_id: int | None = None
    part_id: str | None = None
    failed_turn: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on one conversation until its lease ends; ``fence`` goes with every write."""

    conversation_id: int
    fence: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Graph call's worth of a reply. ``body`` is the request without address and part id."""

    id: str
    position: int
    kind: str
    said: str
    body: Mapping[str, object]
    state: str = "planned"
    attempts: int = 0
    unknowns: int = 0
    changed_at: int = 0
    wamid: str = ""
    error: Mapping[str, object] | None = None
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A claimed conversation with the one turn to go on with; without ``parts`` while it is to be thought about."""

    claim: Claim
    bot_id: str
    number: str
    channel: str
    name: str
    phone: str
    user_id: str
    window_at: int | None
    turn_id: int
    ordinal: int
    thought: bool
    outcome: str
    error: str
    engine_ms: int
    capture: bool
    messages: tuple[Message, ...]
    received_at: int
    parts: tuple[Part, ...] = ()
    probing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an engine's answer became. ``outcome``: answered, silent, fell_back, failed or ignored.

    ``start`` marks the first part as ``sending`` in the same commit. ``trace`` is told, not kept.
    """

    parts: Sequence[Part]
    outcome: str
    error: str = ""
    engine_ms: int = 0
    start: bool = True
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of one part, and what follows in the same commit.

    ``state``: sent, failed, unknown, not_sent, or ``planned`` again after a safe failure. ``start`` is the part to
    mark as ``sending`` next; ``finish`` settles the turn (parts still planned become ``not_sent``) and gives the
    conversation back; ``release_at`` gives it back unfinished, to be claimed from then on. ``counts`` is false where
    the attempt does not count against the part, because the number was stuck.
    """

    part_id: str
    state: str
    wamid: str = ""
    error: Mapping[str, object] | None = None
    start: str | None = None
    finish: bool = False
    release_at: int | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a test message fared: the message's own state, its turn's, and every part."""

    state: str
    reason: str
    turn_id: int | None
    turn_state: str
    outcome: str
    error: str
    engine_ms: int
    received_at: int
    settled_at: int | None
    delivery_id: int | None
    parts: tuple[Part, ...]

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen."""
        return self.turn_state == "settled" or self.state in ("answered", "ignored", "failed")


class Store(Protocol):
    """The promise as calls. Every call may raise ``StoreUnavailable``; a worker's may raise ``Fenced``."""

    def now(self) -> int:
        """The store's clock."""

    async def open(self) -> None:
        """Open or create the database and bring it to this version; ``ConfigError`` says why it cannot."""

    async def close(self) -> None:
        """Finish what was begun and close."""

    async def receive(self, bot: HostedBot, body: bytes, *, signed: bool) -> None:
        """Commit one webhook request as it came; what it returned from is durable."""

    async def unread(self, most: int) -> tuple[Arrival, ...]:
        """The oldest requests that nobody has read; the first, and up to ``most`` while they are small together."""

    async def unread_before(self, at: int) -> bool:
        """Whether a request that came by then is not read yet."""

    async def last_arrival(self) -> int:
        """The id of the latest request, read or not."""

    async def record(self, deliveries: Sequence[Delivery]) -> tuple[tuple[Outcome, ...], ...]:
        """Commit what requests hold, in this order, all or none; one that was recorded before has no outcomes."""

    async def announce(self, bot_id: str, wamid: str, *, capture: bool, ttl_ms: int) -> None:
        """Expect a test message with this id; it stays apart from real users."""

    async def verdict(self, bot_id: str, wamid: str) -> Verdict | None:
        """How a message fared so far, ``None`` where it has not arrived."""

    async def claim(self, owner: str, limit: int, *, join: bool) -> tuple[Work, ...]:
        """Claim up to ``limit`` conversations that are due; with ``join`` a turn takes all that is queued."""

    async def due_in(self) -> int | None:
        """Milliseconds until the next conversation is due, ``None`` where nothing is."""

    async def renew(self, claims: Sequence[Claim]) -> frozenset[int]:
        """Prolong leases; returns the conversations that are still ours."""

    async def plan(self, work: Work, plan: Plan) -> None:
        """Commit what will be said; a plan without parts to send settles the turn and gives the conversation back."""

    async def settle(self, work: Work, settlement: Settlement) -> str:
        """Commit a part's outcome and what follows; returns the part's state, which a status may have settled first."""

    async def finish(self, work: Work) -> None:
        """Settle a turn whose parts are all settled, and give the conversation back."""

    async def release(self, claim: Claim, *, at: int | None = None) -> None:
        """Give a conversation back, to be claimed again at ``at`` or at once."""

    async def history(self, conversation_id: int, *, before_turn: int, limit: int, since: int) -> tuple[Said, ...]:
        """What was really said before a turn, oldest first."""

    async def window_at(self, conversation_id: int) -> int | None:
        """Meta's time of the newest inbound message."""

    async def newest_window(self) -> int | None:
        """Meta's time of the newest inbound message of any real user, ``None`` where nobody wrote yet."""

    async def window_with(self, bot_id: str, phones: Sequence[str]) -> int | None:
        """Meta's time of the newest message that a user of any of these numbers (digits) wrote to a bot."""

    async def pause(self, number: str, *, until: int, reason: str) -> bool:
        """Stop claiming a number's conversations until then (the last call counts); true where it was not paused."""

    async def resume(self, number: str) -> bool:
        """Let a number's conversations go on; true where it was paused."""

    async def bots(self) -> tuple[HostedBot, ...]:
        """The bots made over the API."""

    async def save_bot(self, bot: HostedBot) -> None:
        """Keep a bot made over the API."""

    async def delete_bot(self, bot_id: str) -> bool:
        """Forget a bot; true where it existed. What it received stays."""

    async def adopt(self, former: str, bot_id: str) -> int:
        """Give everything kept under a former bot id to another; returns how many conversations moved."""

    async def backlog(self) -> tuple[int, int]:
        """How many messages (and requests not read yet) wait to be answered, and how many planned parts to be sent."""
