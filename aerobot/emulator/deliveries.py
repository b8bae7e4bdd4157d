"""Every webhook that was or will be sent, each attempt with its request and its answer: what a person wants to see."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from aerobot.emulator.webhooks import Json, Line, Sender, gathered, wire

KEPT: Final = 5_000
KEPT_BYTES: Final = 64 * 1024 * 1024
"""Deliveries, and bytes of their bodies, kept in memory; beyond it the oldest that are done go."""
UNDONE: Final = ("waiting", "retrying")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One thing to tell: a message, or a receipt of one. ``what`` says in a word which."""

    line: Line
    user: Sender
    what: str
    content: Json

    @property
    def wamid(self) -> str:
        """The message that it is about."""
        return str(self.content["id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request: when (ms since 1970), where, how it was answered (``status`` 0: it was not) and how fast.

    ``answer`` is the beginning of the answer's body.
    """

    attempt: int
    at: int
    url: str
    status: int
    milliseconds: float
    error: str
    request: Mapping[str, str]
    response: Mapping[str, str]
    answer: str

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One webhook body and what became of it.

    ``state`` is ``waiting`` (for a callback, for its turn, for its release), ``retrying`` (again at ``next_at``,
    in ms since 1970), ``delivered`` (200), ``not_sent`` (Meta would not; ``why``) or ``gave_up`` (after a week).
    ``messages`` are the wamids of inbound messages in it, ``wamids`` all that it is about.
    """

    id: int
    number: str
    what: str
    wamids: tuple[str, ...]
    messages: tuple[str, ...]
    at: int
    body: bytes = field(repr=False)
    state: str = "waiting"
    why: str = ""
    next_at: int | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def document(self) -> dict[str, object]:
        """As JSON; the body as the text that is sent."""
        return {
            "delivery": self.id,
            "number": self.number,
            "what": self.what,
            "wamids": list(self.wamids),
            "at": self.at,
            "state": self.state,
            "why": self.why,
            "next_at": self.next_at,
            "body": self.body.decode("ascii", "replace"),
            "attempts": [one.document() for one in self.attempts],
        }


class Deliveries:
    """All that are kept, oldest first; ``now`` in ms since 1970."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._kept: dict[int, Delivery] = {}
        self._bytes = 0
        self._last = 0
        self._undone: set[int] = set()

    def new(self, updates: Sequence[Update], *, failed_contacts: bool = False) -> Delivery:
        """One body with these updates, which are about one number at least."""
        return self._keep(**_of(updates, failed_contacts=failed_contacts))

    def _keep(self, **fields: Any) -> Delivery:
        self._last += 1
        made = Delivery(id=self._last, at=self._now(), **fields)
        self._kept[made.id] = made
        self._undone.add(made.id)
        self._bytes += len(made.body)
        if len(self._kept) > KEPT or self._bytes > KEPT_BYTES:
            self._forget()
        return made

    def move(self, delivery: Delivery, state: str, *, why: str = "", next_at: int | None = None) -> None:
        """What has become of it."""
        delivery.state, delivery.why, delivery.next_at = state, why, next_at
        (self._undone.add if state in UNDONE else self._undone.discard)(delivery.id)

    @property
    def undone(self) -> int:
        """How many are still to be taken."""
        return len(self._undone)

    def _forget(self) -> None:
        for old in [found for found in self._kept.values() if found.id not in self._undone]:
            if len(self._kept) <= KEPT * 0.9 and self._bytes <= KEPT_BYTES * 0.9:
                return
            del self._kept[old.id]
            self._bytes -= len(old.body)

    def get(self, number: int) -> Delivery | None:
        """One of them."""
        return self._kept.get(number)

    def about(self, wamid: str = "") -> list[Delivery]:
        """Those about one message, or all."""
        return [found for found in self._kept.values() if wamid == "" or wamid in found.wamids]

    def kept(self, waiting: Sequence[Update], *, failed_contacts: bool) -> list[dict[str, Any]]:
        """All of them, as JSON, and what was gathered for one more."""
        found = list(self._kept.values())
        if waiting:
            found.append(Delivery(id=0, at=self._now(), **_of(waiting, failed_contacts=failed_contacts)))
        return [{**one.document(), "messages": list(one.messages)} for one in found]

    def restore(self, kept: Iterable[Mapping[str, Any]]) -> list[Delivery]:
        """Take in what ``kept`` gave; those that are still to be sent. Raises ``KeyError`` or ``TypeError``."""
        for one in kept:
            found = self._keep(
                number=str(one["number"]),
                what=str(one["what"]),
                wamids=tuple(one["wamids"]),
                messages=tuple(one["messages"]),
                body=str(one["body"]).encode("ascii", "replace"),
            )
            found.at = int(one["at"])
            self.move(found, str(one["state"]), why=str(one["why"]))
            found.attempts = [Attempt(**attempt) for attempt in one["attempts"]]
        return [found for found in self._kept.values() if found.state in UNDONE]


def _of(updates: Sequence[Update], *, failed_contacts: bool) -> dict[str, Any]:
    """The fields of a delivery with these updates."""
    told = [(u.line, u.user, u.what == "message", u.content) for u in updates]
    body = gathered(told, failed_contacts=failed_contacts)
    return {
        "number": updates[0].line.phone_number_id,
        "what": updates[0].what if len(updates) == 1 else "batch",
        "wamids": tuple(dict.fromkeys(update.wamid for update in updates)),
        "messages": tuple(update.wamid for update in updates if update.what == "message"),
        "body": wire(body),
    }
