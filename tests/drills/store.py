"""Takes the store away from a host under load: locked, full, full for a file; and looks at what happens meanwhile.

    python -m tests.drills.store [--seconds 20] [--rate 20] [--seed 1]

Meta is answered 503 and delivers again; the host is not restarted. Ends with 1 where an acknowledged message is lost,
something is said twice although no status settles it, or the host does not recover. ``full`` needs the right to mount.
"""

import argparse
import asyncio
import contextlib
import random
import resource
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of
from tests.drills.kill import writing
from tests.drills.meta import Meta, until

Trouble = Callable[[Host], AbstractContextManager[None]]


@contextmanager
def locked(host: Host) -> Iterator[None]:
    """Somebody else holds the write lock."""
    with contextlib.closing(sqlite3.connect(host.database, isolation_level=None, timeout=30)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def file_limit(host: Host) -> Iterator[None]:
    """No file of the host may grow beyond what the database's log has now (RLIMIT_FSIZE)."""
    soft, hard = resource.prlimit(host.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full(host: Host) -> Iterator[None]:
    """Not a byte is free on the disk; the database stands on a small one of its own."""
    ballast = host.database.with_name("ballast")
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    yield
    ballast.unlink()


TROUBLES: dict[str, Trouble] = {"locked": locked, "file too large": file_limit, "full": full}


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 16 MB at ``folder``; false where this user may not mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


async def drill(folder: Path, name: str, *, seconds: float, rate: float, seed: int) -> Figures | None:
    """One trouble; ``None`` where this machine cannot make it."""
    with small_disk(folder / "disk") as mounted:
        if name == "full" and not mounted:
            return None
        return await _drill(folder, name, seconds=seconds, rate=rate, seed=seed)


async def _drill(folder: Path, name: str, *, seconds: float, rate: float, seed: int) -> Figures:
    people = writing(random.Random(seed), 30)
    async with Graph() as graph:
        host = Host(folder, graph.url, database=folder / "disk" / "drill.db")
        async with Meta(host.url) as meta:
            offering = asyncio.create_task(meta.offer(people, rate))
            try:
                await asyncio.to_thread(host.start)
                await until(lambda: len(graph.taken) > 20, 30)
                with TROUBLES[name](host):
                    await asyncio.sleep(1.5)  # what was on its way is through
                    first = len(meta.statuses)
                    await asyncio.sleep(seconds)
                    answers = meta.statuses[first:]
                began, before = time.monotonic(), len(meta.acked)
                await until(lambda: len(meta.acked) > before, 60, every=0.02)
                recovered = time.monotonic() - began
                offering.cancel()
                await meta.settled()
                done = await until(lambda: host.undone() == 0, 120)
                drained = time.monotonic() - began
                code = await asyncio.to_thread(host.end)
            finally:
                offering.cancel()
                host.leave()
        verdict = judge(meta.acked, graph.taken, order_of(host))
    figures = Figures(f"store: {name} for {seconds:g} s, {rate:g} messages/s")
    told, other = answers.count(503), len(answers) - answers.count(503) - answers.count(200)
    figures.add("answers meanwhile: 503, 200, other", f"{told}, {answers.count(200)}, {other}",
                "503 alone", good=told > 0 and set(answers) == {503})  # fmt: skip
    figures.add_seconds("first 200 afterwards", f"{recovered:.2f} s", "without a restart", good=recovered < 30)
    figures.add("all answered afterwards", f"{done}, {drained:.1f} s", "True", good=done)
    figures.add_verdict(verdict, doubles="0, without any status", worst=0)
    figures.add("unforeseen", len(host.wrong), "0", good=not host.wrong and code == 0)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.store", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=20, help="how long each trouble lasts; SQLite waits 5 for a lock"
    )
    parser.add_argument("--rate", type=float, default=20, help="messages a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    codes = []
    for name in TROUBLES:
        with tempfile.TemporaryDirectory() as folder:
            figures = asyncio.run(drill(Path(folder), name, seconds=given.seconds, rate=given.rate, seed=given.seed))
        codes.append(figures.print() if figures else 0)
        if figures is None:
            print(f"store: {name} was not tried: this user may not mount")
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
