"""SQLite beside the event loop: a writer's thread commits, a reader's reads. The loop waits for no lock, no slow disk.

Requests that arrive while a commit is on its way to the disk share the next one. If a shared transaction fails for
a cause that is not the database's own trouble, its jobs are tried one by one, so that only the culprit fails. So a job
must be a function of the connection alone that may run twice.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from aerobot.errors import StoreUnavailable

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], object]
_Entry = tuple[Job, "asyncio.Future[object]", bool]
_Settled = tuple["asyncio.Future[object]", object, BaseException | None]

MOST_PER_COMMIT = 512
"""Jobs that share one commit at most."""
BRIEF_PER_COMMIT = 128
"""Brief jobs that share one commit at most: they hold the loop for a few milliseconds."""

QUICK = 0.0005
"""Seconds: where commits take less, the loop waits for them itself, for to hand one over takes as long."""
LOG_CHANGES = 4_000
"""Changed rows after which the log is written into the database: some ten megabytes, in which most pages stand several
times, and are written once.
"""
LOCKED_MS = 5_000
"""How long the writer waits for another program's lock; the loop does not wait at all."""


class Disk:
    """How long the disk took for a commit lately, in seconds; ``quick`` once it was seen to be."""

    def __init__(self) -> None:
        self._mean = 1.0

    @property
    def quick(self) -> bool:
        """Whether the loop may wait for it."""
        return self._mean < QUICK

    def took(self, seconds: float) -> None:
        """One more commit: a slow one counts for a dozen quick ones and more, as it should."""
        self._mean += (seconds - self._mean) / 8


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in WAL mode whose commits are on disk when they return (``synchronous=FULL``).

    What is deleted is overwritten, for whoever asked to be forgotten.
    """
    db = sqlite3.connect(
        f"file:{_quoted(path)}{'?mode=ro' if read_only else ''}",
        uri=True,
        isolation_level=None,
        timeout=LOCKED_MS / 1000,
        check_same_thread=False,
        cached_statements=256,
    )
    db.row_factory = sqlite3.Row
    try:
        if not read_only:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA journal_size_limit=67108864")
            db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA temp_store=MEMORY")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def unavailable(error: sqlite3.Error) -> StoreUnavailable | None:
    """The error as ``StoreUnavailable`` if it is the database's own trouble, not the job's."""
    if isinstance(error, sqlite3.OperationalError | sqlite3.InternalError) or type(error) is sqlite3.DatabaseError:
        return StoreUnavailable(
            f"The database cannot be written now: {error}", "Is the disk full, the file locked or read-only?"
        )
    return None


class Threads:
    """The writer and the reader of one database file, for one event loop.

    A *brief* job does its SQL in the loop itself, and only its commit goes to the writer: two threads that take turns
    at a few microseconds of SQL spend more on the turns than on the SQL. A commit stays in the loop too while the disk
    is quick. The loop never waits for a lock: a batch that meets one, or an error, is done by the writer as any other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[_Entry] = deque()
        self._given: queue.SimpleQueue[Callable[[], list[_Settled]] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: threading.Thread | None = None
        self._writing = False
        self._idle = asyncio.Event()
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aerobot-store-read")
        self._reading: sqlite3.Connection | None = None
        self._glancing: sqlite3.Connection | None = None
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._disk = Disk()
        self._changes_kept = 0

    def start(self, db: sqlite3.Connection) -> None:
        """Begin to write on ``db``, which is nobody else's from here on. Called in the loop that will use it."""
        db.execute("PRAGMA busy_timeout=0")
        db.execute("PRAGMA wal_autocheckpoint=0")  # it is done by the writer's thread, never inside a commit
        self._db = db
        self._loop = asyncio.get_running_loop()
        self._inode = self._path.stat().st_ino
        self._writer = threading.Thread(target=self._write_loop, name="aerobot-store-write", daemon=True)
        self._writer.start()

    async def write(self, job: Callable[[sqlite3.Connection], T], *, brief: bool = False) -> T:
        """Run ``job`` in a transaction and return its result once that is on disk.

        ``brief`` promises that it takes well under a millisecond, however large the database is.
        """
        if self._writer is None or self._loop is None:
            raise StoreUnavailable("The database is closed")
        future: asyncio.Future[object] = self._loop.create_future()
        self._waiting.append((job, future, brief))
        if not self._writing:
            self._writing = True
            self._idle.clear()
            self._loop.call_soon(self._next)
        return await future  # type: ignore[return-value]

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a reading ``job`` beside the writer; it sees what was committed before it."""
        if self._writer is None:
            raise StoreUnavailable("The database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, job)

    def glance(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a reading ``job`` in the loop itself: one that takes well under a millisecond, however much is stored."""
        if self._writer is None:
            raise StoreUnavailable("The database is closed")
        try:
            if self._glancing is None:
                self._glancing = connect(self._path, read_only=True)
                self._glancing.execute("PRAGMA busy_timeout=0")
            return job(self._glancing)
        except sqlite3.Error as error:
            raise unavailable(error) or error from None

    def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._reading is None:
                self._reading = connect(self._path, read_only=True)
            return job(self._reading)
        except sqlite3.Error as error:
            raise unavailable(error) or error from None

    async def stop(self) -> None:
        """Commit what is queued, then close."""
        writer, self._writer = self._writer, None
        if writer is not None:
            if self._writing:
                await self._idle.wait()
            self._given.put(None)
            await asyncio.to_thread(writer.join)
        await asyncio.to_thread(self._reader.shutdown)
        for db in (self._reading, self._glancing, self._db):
            if db is not None:
                db.close()
        self._reading = self._glancing = self._db = None

    # -- in the loop --------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Let what waits share the next commit; called only while nobody writes."""
        db = self._db
        assert db is not None
        if db.total_changes - self._changes_kept >= LOG_CHANGES:
            self._changes_kept = db.total_changes
            self._given.put(self._shorten_log)
            return
        jobs, brief = self._sharing()
        if not jobs:
            self._writing = False
            self._idle.set()
            return
        results = self._done_here(db, jobs) if brief else None
        if results is not None and self._disk.quick:
            if self._committed_here(db):
                assert self._loop is not None
                self._loop.call_soon(self._next)
                _tell(_fared(jobs, results))
                return
            results = None
        self._given.put(partial(self._commit, jobs, results))

    def _sharing(self) -> tuple[list[_Entry], bool]:
        """The jobs at the head of the queue that share the next commit, and whether they are brief."""
        waiting = self._waiting
        brief = bool(waiting) and waiting[0][2]
        most = BRIEF_PER_COMMIT if brief else MOST_PER_COMMIT
        jobs: list[_Entry] = []
        while waiting and waiting[0][2] is brief and len(jobs) < most:
            jobs.append(waiting.popleft())
        return jobs, brief

    @staticmethod
    def _done_here(db: sqlite3.Connection, jobs: list[_Entry]) -> list[object] | None:
        """The results of brief jobs, in a transaction that is left open; ``None`` where the writer must try."""
        try:
            db.execute("BEGIN IMMEDIATE")
            return [job(db) for job, _, _ in jobs]
        except Exception:
            _roll_back(db)
            return None

    def _committed_here(self, db: sqlite3.Connection) -> bool:
        try:
            self._commit_now(db)
        except Exception:
            _roll_back(db)
            return False
        return True

    def _settle(self, settled: list[_Settled]) -> None:
        self._next()
        _tell(settled)

    # -- the writer's thread ------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        assert self._loop is not None
        while (given := self._given.get()) is not None:
            settled = given()
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits for an answer
                self._loop.call_soon_threadsafe(self._settle, settled)

    def _commit(self, jobs: list[_Entry], results: list[object] | None) -> list[_Settled]:
        """Commit what was done in the loop, or with ``results`` not there do it first."""
        db = self._db
        assert db is not None
        try:
            if results is None:
                self._check()
                results = _transact(db, [job for job, _, _ in jobs])
            else:
                self._commit_now(db)
        except Exception as error:
            _roll_back(db)
            ours = isinstance(error, StoreUnavailable) or (isinstance(error, sqlite3.Error) and unavailable(error))
            if len(jobs) > 1 and not ours:
                return [settled for entry in jobs for settled in self._commit([entry], None)]
            failure = unavailable(error) if isinstance(error, sqlite3.Error) else None
            return [(future, None, failure or error) for _, future, _ in jobs]
        return _fared(jobs, results)

    def _shorten_log(self) -> list[_Settled]:
        """Write the log into the database, so that what is written next begins it anew."""
        assert self._db is not None
        with contextlib.suppress(sqlite3.Error):  # it is tried again, and the commits themselves say what is wrong
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return []

    # -- in either ----------------------------------------------------------------------------------------------

    def _commit_now(self, db: sqlite3.Connection) -> None:
        self._check()
        began = time.perf_counter()
        db.execute("COMMIT")
        self._disk.took(time.perf_counter() - began)

    def _check(self) -> None:
        """A file that was deleted or replaced takes what is written with it: then nothing may be promised."""
        try:
            same = self._path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise StoreUnavailable(f"The database {self._path} was deleted or replaced", "Start this host again.")


def _fared(jobs: list[_Entry], results: list[object]) -> list[_Settled]:
    return [(future, result, None) for (_, future, _), result in zip(jobs, results, strict=True)]


def _tell(settled: Iterable[_Settled]) -> None:
    """Whoever still waits is told."""
    for future, result, error in settled:
        if future.cancelled():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


def _transact(db: sqlite3.Connection, jobs: list[Job]) -> list[object]:
    db.execute(f"PRAGMA busy_timeout={LOCKED_MS}")  # somebody looks at the file with a tool of their own
    try:
        db.execute("BEGIN IMMEDIATE")
    finally:
        db.execute("PRAGMA busy_timeout=0")
    try:
        results = [job(db) for job in jobs]
        db.execute("COMMIT")
    except BaseException:
        _roll_back(db)
        raise
    return results


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
