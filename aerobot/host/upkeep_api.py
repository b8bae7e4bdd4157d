"""The failed list, people's data and the end of old things, as documents: over the private listener, or beside it.

A command that finds no host running asks the same of the database's file. Each call takes what was given by name, as
text or as JSON values, and answers with one document, or a ``Refusal``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict

from aerobot.host.refusal import Refusal
from aerobot.store.base import Part
from aerobot.store.upkeep import FailedTurn, Line, Person, Upkeep, sweep_all
from aerobot.whatsapp import graph, rules

ROUTES: Mapping[str, tuple[str, str]] = {
    "conversations": ("GET", "/api/conversations"),
    "conversation": ("GET", "/api/conversations/{id}"),
    "forget": ("DELETE", "/api/conversations/{id}"),
    "failed": ("GET", "/api/failed"),
    "failed_turn": ("GET", "/api/failed/{id}"),
    "retry": ("POST", "/api/failed/retry"),
    "discard": ("POST", "/api/failed/discard"),
    "purge": ("POST", "/api/db/purge"),
}
"""Verb and path of each call; what stands in braces is given by that name."""
MOST = 10_000
"""Rows that one answer has at most, and turns that one retry takes."""
AT_ONCE = 100
"""Turns that one commit opens again."""
SOON, WHOLLY = 1.0, 120.0
"""Seconds to read what has arrived: before something is shown, and before a person is erased."""
DAY_MS = 86_400_000
REST_SECONDS = 0.01
"""The pause after each batch of a sweep."""
_Given = Mapping[str, object]


class UpkeepApi:
    """What is done to a store beside the hot path.

    ``read_up`` reads what has arrived, if so many seconds are enough: a person's data is in it too. ``wake`` tells a
    worker that there is something to do.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        *,
        now: Callable[[], int],
        read_up: Callable[[float], Awaitable[bool]],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._upkeep = upkeep
        self._now = now
        self._read_up = read_up
        self._wake = wake

    # -- people -----------------------------------------------------------------------------------------------------

    async def conversations(self, given: _Given) -> dict[str, object]:
        """``who`` (a number, last digits, an id, a name), ``limit`` → who there is, the latest first."""
        limit = _whole(given, "limit", default=50)
        await self._read_up(SOON)
        people = await self._upkeep.people(str(given.get("who") or ""), conversation_id=None, limit=limit)
        return {"conversations": [_person(person) for person in people]}

    async def conversation(self, given: _Given) -> dict[str, object]:
        """``id``, ``limit`` → one conversation and the last things said in it."""
        number = _whole(given, "id")
        await self._read_up(SOON)
        people = await self._upkeep.people("", conversation_id=number, limit=1)
        if not people:
            raise _no_conversation(number)
        lines = await self._upkeep.talk(number, limit=_whole(given, "limit", default=20))
        return {"conversation": _person(people[0]), "lines": [_line(line) for line in lines]}

    async def forget(self, given: _Given) -> dict[str, object]:
        """``id`` → how much was erased."""
        number = _whole(given, "id")
        if not await self._read_up(WHOLLY):
            words = "Webhook requests that may name this person are not read yet; nothing was erased: try again"
            raise Refusal(503, "NOT_READ_YET", words)
        gone = await self._upkeep.forget(number)
        if gone is None:
            raise _no_conversation(number)
        return {"id": number, "erased": asdict(gone)}

    # -- the failed list --------------------------------------------------------------------------------------------

    async def failed(self, given: _Given) -> dict[str, object]:
        """``cause``, ``limit`` → the list, oldest first, and how often each cause is on it."""
        limit = _whole(given, "limit", default=50)
        turns = await self._upkeep.failed(cause=str(given.get("cause") or ""), ids=(), limit=limit)
        causes = await self._upkeep.causes()
        return {"failed": [self._failed(turn) for turn in turns], "causes": dict(causes)}

    async def failed_turn(self, given: _Given) -> dict[str, object]:
        """``id`` → one turn of the list."""
        number = _whole(given, "id")
        turns = await self._upkeep.failed(cause="", ids=[number], limit=1)
        if not turns:
            raise Refusal(404, "NOT_FOUND", f"Turn {number} is not on the failed list")
        return self._failed(turns[0])

    async def retry(self, given: _Given) -> dict[str, object]:
        """``ids``, ``cause`` or ``all`` → what goes on; what WhatsApp would refuse stays, unless ``anyway``."""
        chosen, missing = await self._chosen(given)
        closed = [] if given.get("anyway") is True else [turn for turn in chosen if self._window(turn) == "closed"]
        left = {turn.turn_id for turn in closed}
        wanted = [turn.turn_id for turn in chosen if turn.turn_id not in left]
        retried: set[int] = set()
        for start in range(0, len(wanted), AT_ONCE):
            retried |= await self._upkeep.retry(wanted[start : start + AT_ONCE])
            self._wake()
        return {
            "retried": sorted(retried),
            "closed": [self._failed(turn) for turn in closed],
            "missing": sorted({*missing, *(set(wanted) - retried)}),
        }

    async def discard(self, given: _Given) -> dict[str, object]:
        """``ids``, ``cause`` or ``all`` → what was taken off the list."""
        chosen, missing = await self._chosen(given)
        wanted = [turn.turn_id for turn in chosen]
        discarded = await self._upkeep.discard(wanted)
        return {"discarded": sorted(discarded), "missing": sorted({*missing, *(set(wanted) - discarded)})}

    async def _chosen(self, given: _Given) -> tuple[Sequence[FailedTurn], Sequence[int]]:
        """The turns that are meant, and the ids that are not on the list."""
        ids, cause = _ids(given), str(given.get("cause") or "")
        if not ids and not cause and given.get("all") is not True:
            raise Refusal(400, "VALIDATION_ERROR", "ids, cause or all is required")
        turns = await self._upkeep.failed(cause=cause, ids=ids, limit=MOST)
        found = {turn.turn_id for turn in turns}
        return turns, [number for number in ids if number not in found]

    def _window(self, turn: FailedTurn) -> str:
        """``open``, ``closed`` or ``unknown``; what a template resumes needs no window."""
        window = rules.window(turn.window_at, self._now())
        if turn.resumes is not None and turn.resumes.kind == "template":
            return "open"
        return ("open" if window.open else "closed") if window.known else "unknown"

    def _failed(self, turn: FailedTurn) -> dict[str, object]:
        remedy = turn.remedy or (graph.meaning(turn.code).remedy if turn.code is not None else "")
        return {
            "id": turn.turn_id,
            "conversation_id": turn.conversation_id,
            "bot_id": turn.bot_id,
            "who": turn.phone or turn.user_id,
            "name": turn.name,
            "failed_at": turn.failed_at,
            "cause": turn.cause,
            "code": turn.code,
            "error": turn.error,
            "remedy": remedy,
            "attempts": turn.attempts,
            "retries": turn.retries,
            "fell_back": turn.fell_back,
            "window": self._window(turn),
            "window_at": turn.window_at,
            "asked": list(turn.asked),
            "resumes_at": turn.resumes.position if turn.resumes else None,
            "parts": [_part(part) for part in turn.parts],
        }

    # -- the end of old things --------------------------------------------------------------------------------------

    async def purge(self, given: _Given) -> dict[str, object]:
        """``days`` → how much older than that was deleted."""
        days = given.get("days")
        if not isinstance(days, int | float) or isinstance(days, bool) or not 0 <= days <= 100_000:
            raise Refusal(400, "VALIDATION_ERROR", "days must be a number from 0 to 100000")
        swept = await sweep_all(
            self._upkeep, self._now() - int(days * DAY_MS), rest=lambda: asyncio.sleep(REST_SECONDS)
        )
        return {"older_than_days": days, "deleted": asdict(swept)}


def _whole(given: _Given, name: str, default: int | None = None) -> int:
    """A whole number that was given as one or as text; 0 as a limit is all."""
    value = given.get(name, default)
    try:
        number = int(str(value))
    except ValueError:
        raise Refusal(400, "VALIDATION_ERROR", f"{name} must be a whole number") from None
    if not 0 <= number < 2**53:
        raise Refusal(400, "VALIDATION_ERROR", f"{name} must be a whole number, at least 0")
    return min(number, MOST) or MOST if name == "limit" else number


def _ids(given: _Given) -> list[int]:
    ids = given.get("ids") or []
    if not isinstance(ids, list) or not all(type(number) is int and 0 <= number < 2**53 for number in ids):
        raise Refusal(400, "VALIDATION_ERROR", "ids must be a list of whole numbers")
    return ids


def _no_conversation(number: int) -> Refusal:
    return Refusal(404, "NOT_FOUND", f"There is no conversation {number}")


def _person(person: Person) -> dict[str, object]:
    told = asdict(person)
    told["id"] = told.pop("conversation_id")
    told["identities"] = [{"kind": kind, "value": value} for kind, value in person.identities]
    return told


def _line(line: Line) -> dict[str, object]:
    return asdict(line)


def _part(part: Part) -> dict[str, object]:
    return {
        "id": part.id, "kind": part.kind, "state": part.state, "text": part.said, "wamid": part.wamid,
        "receipt": part.receipt, "attempts": part.attempts, "error": part.error,
    }  # fmt: skip
