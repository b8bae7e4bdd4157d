"""The writer of the SQLite store and the event loop: who waits for what, and in which order."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aerobot.store.sqlite_threads import LOG_CHANGES, Threads, connect


@pytest.fixture
async def threads(tmp_path: Path) -> AsyncIterator[Threads]:
    db = connect(tmp_path / "a.db")
    db.execute("CREATE TABLE said (word TEXT UNIQUE)")
    threads = Threads(tmp_path / "a.db")
    threads.start(db)
    yield threads
    await threads.stop()


async def words(threads: Threads) -> list[str]:
    rows = await threads.read(lambda db: db.execute("SELECT word FROM said ORDER BY rowid").fetchall())
    return [row[0] for row in rows]


def saying(word: str) -> Callable[[sqlite3.Connection], int]:
    return lambda db: db.execute("INSERT INTO said VALUES (?)", (word,)).rowcount


async def test_the_loop_goes_on_while_another_program_has_the_database_locked(threads: Threads, tmp_path: Path) -> None:
    """A brief job that meets a lock waits for it in the writer's thread; the loop's own patience is none."""
    assert threads._db is not None
    assert threads._db.execute("PRAGMA busy_timeout").fetchone()[0] == 0
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(threads.write(saying("late"), brief=True))
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert await waiting == 1
    assert await words(threads) == ["late"]


async def test_brief_jobs_and_others_are_done_in_the_order_in_which_they_came(threads: Threads) -> None:
    """Whoever does a job, the loop or the writer, it overtakes none that came before it."""
    names = [str(n) for n in range(60)]
    await asyncio.gather(*(threads.write(saying(n), brief=int(n) // 7 % 2 == 0) for n in names))
    assert await words(threads) == names


async def test_a_brief_job_that_fails_takes_nobody_with_it(threads: Threads) -> None:
    """Of brief jobs that share a commit, the culprit alone learns of its error; what it wrote is not there."""
    await threads.write(saying("once"))

    def halfway(db: sqlite3.Connection) -> None:
        saying("half")(db)
        saying("once")(db)

    given = [saying("a"), halfway, saying("b")]
    found = await asyncio.gather(*(threads.write(job, brief=True) for job in given), return_exceptions=True)
    assert [type(one) for one in found] == [int, sqlite3.IntegrityError, int]
    assert await words(threads) == ["once", "a", "b"]


async def test_a_quick_disk_is_waited_for_in_the_loop_and_a_slow_one_beside_it(threads: Threads) -> None:
    """Whoever commits is seen from the commit itself; a disk that was slow is given time to recover."""
    db, slow = threads._db, 0.0
    assert db is not None
    by: list[bool] = []

    def committing(statement: str) -> None:
        if statement == "COMMIT":
            by.append(threading.current_thread() is threading.main_thread())
            time.sleep(slow)

    db.set_trace_callback(committing)
    db.execute("PRAGMA synchronous=OFF")  # a disk as quick as any

    async def one() -> bool:
        await threads.write(saying(str(len(by))), brief=True)
        return by[-1]

    async with asyncio.timeout(20):
        while not await one():  # at first it is not known
            pass
        slow = 0.02
        while await one():
            pass
        assert by.count(True) >= 1
        assert not await one()
        slow = 0.0
        while not await one():
            pass
    db.set_trace_callback(None)


async def test_the_log_is_written_into_the_database_again_and_again(threads: Threads, tmp_path: Path) -> None:
    """However much is written, the log stays as long as what is written between two times."""
    log, most = tmp_path / "a.db-wal", 0
    for n in range(6):
        await asyncio.gather(
            *(threads.write(saying(f"{n} {m} " + "x" * 500), brief=m % 2 == 0) for m in range(LOG_CHANGES))
        )
        most = max(most, log.stat().st_size) if n == 2 else most
    assert log.stat().st_size <= 1.5 * most
    assert len(await words(threads)) == 6 * LOG_CHANGES


async def test_what_is_queued_when_the_store_closes_is_committed(tmp_path: Path) -> None:
    """Stopping commits brief jobs that wait, and those whose caller has gone."""
    db = connect(tmp_path / "b.db")
    db.execute("CREATE TABLE said (word TEXT UNIQUE)")
    threads = Threads(tmp_path / "b.db")
    threads.start(db)
    tasks = [asyncio.create_task(threads.write(saying(str(n)), brief=True)) for n in range(300)]
    await asyncio.sleep(0)
    tasks[200].cancel()
    await threads.stop()
    await asyncio.gather(*tasks, return_exceptions=True)
    with sqlite3.connect(tmp_path / "b.db") as seen:
        assert seen.execute("SELECT COUNT(*) FROM said").fetchone() == (300,)
    seen.close()
