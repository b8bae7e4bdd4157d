"""The ``Upkeep`` promise on the threads of an open SQLite store: searching reads, erasing writes a little at a time."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from aerobot.store import sqlite_failed as failed_list
from aerobot.store import sqlite_people as people
from aerobot.store import sqlite_sweep
from aerobot.store.sqlite_threads import Threads, connect
from aerobot.store.upkeep import FailedTurn, Forgotten, Line, Person, Place, Swept

_NOTHING = Forgotten(messages=0, turns=0, parts=0, receipts=0, identities=0, bodies=0)


class SqliteUpkeep:
    """What is done to a store beside the hot path."""

    def __init__(self, path: Path, threads: Threads, clock: Callable[[], int]) -> None:
        self._path = path
        self._threads = threads
        self._clock = clock

    async def sweep(self, before: int, place: Place) -> tuple[Swept, Place | None]:
        """Delete a few things older than ``before``; at the end of it the log is emptied too."""
        swept, following = await self._threads.write(lambda db: sqlite_sweep.sweep(db, before, self._clock(), place))
        if following is None:
            await asyncio.to_thread(_empty_log, self._path)
        return swept, following

    async def people(self, who: str, *, conversation_id: int | None, limit: int) -> tuple[Person, ...]:
        """Conversations, the latest first."""
        return await self._threads.read(lambda db: people.people(db, who, conversation_id, limit))

    async def talk(self, conversation_id: int, *, limit: int) -> tuple[Line, ...]:
        """The last things said in a conversation."""
        return await self._threads.read(lambda db: people.talk(db, conversation_id, limit))

    # -- a person, erased -------------------------------------------------------------------------------------------

    async def forget(self, conversation_id: int) -> Forgotten | None:
        """Erase a conversation and every raw body that names its person.

        The bodies go first: whoever crashes in the middle still finds the person, and can go on. At the end those
        that came meanwhile.
        """
        named = await self._threads.read(lambda db: people.names(db, conversation_id))
        if named is None:
            return None
        await self._threads.write(lambda db: people.stop(db, conversation_id))
        bodies, reached = await self._erase_bodies(conversation_id, named, 0)
        total = await self._erase_talk(conversation_id)

        def last(db: sqlite3.Connection) -> tuple[Forgotten, int]:
            rest = _NOTHING
            while (some := people.erase_some(db, conversation_id)) != _NOTHING:
                rest = _sum(rest, some)
            return rest, people.entomb(db, conversation_id)

        rest, identities = await self._threads.write(last)
        late, _ = await self._erase_bodies(conversation_id, named, reached)
        strays = await self._erase_strays(named)
        await asyncio.to_thread(_empty_log, self._path)
        found = Forgotten(messages=0, turns=0, parts=0, receipts=strays, identities=identities, bodies=bodies + late)
        return _sum(_sum(total, rest), found)

    async def _erase_talk(self, conversation_id: int) -> Forgotten:
        total = _NOTHING
        while (some := await self._threads.write(lambda db: people.erase_some(db, conversation_id))) != _NOTHING:
            total = _sum(total, some)
        return total

    async def _erase_strays(self, named: Sequence[bytes]) -> int:
        """Erase the receipts that only their id tells whose they are."""
        ids = await self._threads.read(lambda db: people.strays(db, named))
        count = 0
        for start in range(0, len(ids), people.ROWS):
            few = json.dumps(ids[start : start + people.ROWS])
            count += await self._threads.write(partial(people.erase_receipts, ids=few))
        return count

    async def _erase_bodies(self, conversation_id: int, named: Sequence[bytes], after: int) -> tuple[int, int]:
        """Erase the bodies that came after a delivery; returns how many, and the last delivery there was."""
        count = 0
        while True:
            ids, last = await self._threads.read(
                partial(people.bodies, conversation_id=conversation_id, named=named, after=after)
            )
            if last is None:
                return count, after
            if ids:
                count += await self._threads.write(partial(sqlite_sweep.erase, ids=json.dumps(ids)))
            after = last

    # -- the failed list --------------------------------------------------------------------------------------------

    async def failed(self, *, cause: str, ids: Sequence[int], limit: int) -> tuple[FailedTurn, ...]:
        """The failed list, oldest first."""
        return await self._threads.read(lambda db: failed_list.failed(db, cause, ids, limit))

    async def causes(self) -> tuple[tuple[str, int], ...]:
        """Each cause on the failed list and how often."""
        return await self._threads.read(failed_list.causes)

    async def retry(self, turn_ids: Sequence[int]) -> frozenset[int]:
        """Let these go on where they failed."""
        return await self._threads.write(lambda db: failed_list.retry(db, turn_ids, self._clock()))

    async def discard(self, turn_ids: Sequence[int]) -> frozenset[int]:
        """Take these off the list."""
        return await self._threads.write(lambda db: failed_list.discard(db, turn_ids))


def _sum(one: Forgotten, other: Forgotten) -> Forgotten:
    return Forgotten(
        messages=one.messages + other.messages,
        turns=one.turns + other.turns,
        parts=one.parts + other.parts,
        receipts=one.receipts + other.receipts,
        identities=one.identities + other.identities,
        bodies=one.bodies + other.bodies,
    )


def _empty_log(path: Path) -> None:
    """Write the log into the database and cut it: what was erased must not live on there.

    First as far as nobody is held up, then the little that is left. It waits for others up to the connection's five
    seconds; who stays longer leaves it to a later checkpoint.
    """
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
