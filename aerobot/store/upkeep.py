"""What any store promises beside the hot path: the failed list, a person's data, and the end of old things.

The promise: nothing that is not finished is swept (queued messages, turns that are not settled, the digests by which
a redelivery is known); every call is made of small commits, so that a webhook never waits for it; what was erased is
gone from the files too. A turn is on the failed list when its engine failed, a part was not sent, or Meta said later
that it could not be delivered; tests are never on it. Every call may raise ``StoreUnavailable``.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aerobot.store.base import Part

REMEMBER_MS = 8 * 24 * 3_600_000
"""How long a digest is kept whatever the retention is: Meta redelivers for 7 days, and a day for its clock."""
ENGINE, SEND = "engine", "send"
"""Causes that are no code of Meta's: the engine failed; a part was not sent and nobody gave a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How much was deleted. ``bodies`` are raw bodies erased before their digest may be forgotten."""

    messages: int = 0
    parts: int = 0
    receipts: int = 0
    deliveries: int = 0
    bodies: int = 0

    def plus(self, other: "Swept") -> "Swept":
        """Both together."""
        return Swept(
            messages=self.messages + other.messages,
            parts=self.parts + other.parts,
            receipts=self.receipts + other.receipts,
            deliveries=self.deliveries + other.deliveries,
            bodies=self.bodies + other.bodies,
        )

    @property
    def anything(self) -> bool:
        """Whether there was something to delete."""
        return self != Swept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a sweep has come: what it is at, the last row it saw, the deliveries that must stay."""

    stage: int = 0
    after: int = 0
    kept: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One conversation, as somebody who looks for a person sees it. ``identities`` are (kind, value)."""

    conversation_id: int
    bot_id: str
    channel: str
    name: str
    phone: str
    user_id: str
    identities: tuple[tuple[str, str], ...]
    messages: int
    waiting: int
    first_at: int
    last_at: int
    window_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was said in a conversation, or was to be. ``role`` is ``user`` or ``bot``."""

    role: str
    kind: str
    text: str
    at: int
    state: str
    note: str = ""
    wamid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What of a person was erased. ``bodies`` are the raw deliveries that named them."""

    messages: int
    turns: int
    parts: int
    receipts: int
    identities: int
    bodies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTurn:
    """A turn on the failed list: why, how often it was tried, and what it is about.

    ``code`` is Meta's, ``window_at`` Meta's time of the user's newest message, ``resumes`` the part a retry begins
    with (``None``: the engine is asked again).
    """

    turn_id: int
    conversation_id: int
    bot_id: str
    name: str
    phone: str
    user_id: str
    failed_at: int
    cause: str
    code: int | None
    error: str
    remedy: str
    attempts: int
    retries: int
    fell_back: bool
    window_at: int | None
    asked: tuple[str, ...]
    parts: tuple[Part, ...]
    resumes: Part | None


class Upkeep(Protocol):
    """The promise as calls."""

    async def sweep(self, before: int, place: Place) -> tuple[Swept, Place | None]:
        """Delete a few things older than ``before`` and say where to go on; ``None`` at the end."""

    async def people(self, who: str, *, conversation_id: int | None, limit: int) -> tuple[Person, ...]:
        """Conversations, the latest first: all, one by its id, or those of a number, its last digits, an id, a name."""

    async def talk(self, conversation_id: int, *, limit: int) -> tuple[Line, ...]:
        """The last things said in a conversation, oldest first."""

    async def forget(self, conversation_id: int) -> Forgotten | None:
        """Erase a conversation and every raw body that names its person; ``None`` where there is none."""

    async def failed(self, *, cause: str, ids: Sequence[int], limit: int) -> tuple[FailedTurn, ...]:
        """The failed list, oldest first: all of it, of one cause, or these."""

    async def causes(self) -> tuple[tuple[str, int], ...]:
        """Each cause on the failed list and how often, the most frequent first."""

    async def retry(self, turn_ids: Sequence[int]) -> frozenset[int]:
        """Let these go on where they failed; returns those that were on the list."""

    async def discard(self, turn_ids: Sequence[int]) -> frozenset[int]:
        """Take these off the list as they are; returns those that were on it."""


async def sweep_all(upkeep: Upkeep, before: int, *, rest: Callable[[], Awaitable[None]]) -> Swept:
    """Sweep to the end, a few things at a time, with a ``rest`` after each: others come first."""
    total, place = Swept(), Place()
    while True:
        swept, following = await upkeep.sweep(before, place)
        total = total.plus(swept)
        if following is None:
            return total
        place = following
        await rest()
