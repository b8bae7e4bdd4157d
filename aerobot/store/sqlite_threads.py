"""SQLite behind two threads: one writes, in shared commits; one reads. The event loop waits for neither.

Requests that arrive while a commit is on its way to the disk share the next one. If a shared transaction fails for
a cause that is not the database's own trouble, its jobs are tried one by one, so that only the culprit fails. So a job
must be a function of the connection alone that may run twice.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aerobot.errors import StoreUnavailable

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], object]
_Entry = tuple[Job, "asyncio.Future[object]", asyncio.AbstractEventLoop]

MOST_PER_COMMIT = 512
"""Jobs that share one commit at most."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in WAL mode whose commits are on disk when they return (``synchronous=FULL``).

    What is deleted is overwritten, for whoever asked to be forgotten.
    """
    db = sqlite3.connect(
        f"file:{_quoted(path)}{'?mode=ro' if read_only else ''}",
        uri=True,
        isolation_level=None,
        timeout=5.0,
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
    """The writer and the reader of one database file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aerobot-store-read")
        self._reading: sqlite3.Connection | None = None
        self._db: sqlite3.Connection | None = None
        self._inode = 0

    def start(self, db: sqlite3.Connection) -> None:
        """Begin to write on ``db``, which belongs to the writer's thread from here on."""
        self._db = db
        self._inode = self._path.stat().st_ino
        self._writer = threading.Thread(target=self._write_loop, name="aerobot-store-write", daemon=True)
        self._writer.start()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``job`` in a transaction and return its result once that is on disk."""
        if self._writer is None:
            raise StoreUnavailable("The database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        self._jobs.put((job, future, loop))
        return await future  # type: ignore[return-value]

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a reading ``job`` beside the writer; it sees what was committed before it."""
        if self._writer is None:
            raise StoreUnavailable("The database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, job)

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
            self._jobs.put(None)
            await asyncio.to_thread(writer.join)
        await asyncio.to_thread(self._reader.shutdown)
        for db in (self._reading, self._db):
            if db is not None:
                db.close()
        self._reading = self._db = None

    # -- the writer's thread ------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        assert self._db is not None
        while True:
            batch, last = self._next_batch()
            if batch:
                self._commit(self._db, batch)
            if last:
                return

    def _next_batch(self) -> tuple[list[_Entry], bool]:
        first = self._jobs.get()
        batch: list[_Entry] = []
        entry: _Entry | None = first
        while entry is not None:
            batch.append(entry)
            if len(batch) >= MOST_PER_COMMIT:
                return batch, False
            try:
                entry = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, db: sqlite3.Connection, batch: list[_Entry]) -> None:
        try:
            self._check()
            results = _transact(db, [job for job, _, _ in batch])
        except Exception as error:
            ours = isinstance(error, StoreUnavailable) or (isinstance(error, sqlite3.Error) and unavailable(error))
            if len(batch) > 1 and not ours:
                for entry in batch:
                    self._commit(db, [entry])
                return
            failure = unavailable(error) if isinstance(error, sqlite3.Error) else None
            _deliver([(future, loop, None, failure or error) for _, future, loop in batch])
            return
        _deliver([(future, loop, result, None) for (_, future, loop), result in zip(batch, results, strict=True)])

    def _check(self) -> None:
        """A file that was deleted or replaced takes what is written with it: then nothing may be promised."""
        try:
            same = self._path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise StoreUnavailable(f"The database {self._path} was deleted or replaced", "Start this host again.")


def _transact(db: sqlite3.Connection, jobs: list[Job]) -> list[object]:
    db.execute("BEGIN IMMEDIATE")
    try:
        results = [job(db) for job in jobs]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return results


_Delivery = tuple["asyncio.Future[object]", asyncio.AbstractEventLoop, object, BaseException | None]


def _deliver(deliveries: list[_Delivery]) -> None:
    """Hand results to their loops, one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Delivery]] = {}
    for delivery in deliveries:
        by_loop.setdefault(delivery[1], []).append(delivery)
    for loop, own in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, own)


def _resolve(deliveries: list[_Delivery]) -> None:
    for future, _, result, error in deliveries:
        if future.cancelled():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
