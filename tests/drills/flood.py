"""Floods a host: thousands of people at once with one who writes a thousand times, then a steady rate, open-loop.

    python -m tests.drills.flood [--users 2000] [--messages 10000] [--loud 1000] [--rate 1000] [--seconds 60]

Ends with 1 where somebody starves, something is lost or out of order, memory grows without bound, or the p99 of the
acknowledgement is not under 250 ms. ``--only-receive`` runs the steady part with ``serve --no-worker``.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tests.drills.connections import raised
from tests.drills.graph import Call, Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of, share
from tests.drills.meta import Meta, Said, phone, until

ACK_MS = 250.0
MEMORY_MB = 400.0
"""Resident memory that a flood of this size may take at most."""
ONE_PART = "async def reply(turn):\n    return turn.text + ' a'\n"
LOUD = phone(999_999)


def _graph(pipe: Connection) -> None:
    """A Graph in a process of its own; sends its address, and its calls when it is asked."""

    async def serve() -> None:
        async with Graph() as graph:
            pipe.send(graph.url)
            while await asyncio.to_thread(pipe.recv):
                pipe.send(graph.calls)

    asyncio.run(serve())


class FarGraph:
    """The Graph of that process, as seen from here."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def calls(self) -> list[Call]:
        """What it took so far."""
        self._pipe.send(True)
        found: list[Call] = self._pipe.recv()
        return found


@contextmanager
def far_graph() -> Iterator[FarGraph]:
    """A Graph beside the drill, so that neither waits for the other."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_graph, args=(theirs,), daemon=True)
    process.start()
    try:
        yield FarGraph(ours)
    finally:
        with contextlib.suppress(OSError):
            ours.send(False)
        process.join(5)
        process.kill()


async def crowd(folder: Path, *, users: int, messages: int, loud: int, seed: int) -> Figures:
    """All at once; the loud one's thousand are delivered first."""
    quiet = [Said(phone=phone(count % users), text=f"q{count}") for count in range(messages)]
    random.Random(seed).shuffle(quiet)
    with far_graph() as graph:
        host = Host(folder, graph.url, bot=ONE_PART)
        async with Meta(host.url, limit=400) as meta:
            try:
                await asyncio.to_thread(host.start)
                watch = Watch(host)
                began = time.monotonic()
                for one in [Said(phone=LOUD, text=f"l{count}") for count in range(loud)] + quiet:
                    meta.begin([one])
                await meta.settled()
                taken = time.monotonic() - began
                done = await until(lambda: host.undone() == 0, 600)
                most = await watch.end()
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        calls = graph.calls()
    answered = {call.text.removesuffix(" a"): call.at for call in calls}
    last = max(answered.values()) - began
    first: dict[str, float] = {}
    for call in calls:
        first.setdefault(call.to, call.at)
    firsts = max(first.values()) - began
    figures = Figures(f"flood: {messages} messages of {users} people at once, and {loud} of one")
    figures.add("all taken, all answered", f"{taken:.1f} s, {last:.1f} s")
    figures.add("answered a second", f"{len(calls) / last:.0f}")
    figures.add_verdict(judge(meta.acked, calls, order_of(host), [" a"]), doubles="0", worst=0)
    for name, letter in (("people's", "q"), ("the loud one's", "l")):
        waits = [at - meta.acked[text] for text, at in answered.items() if text.startswith(letter)]
        figures.add(f"{name} wait, p50 and p99", f"{share(waits, 0.5):.1f} s, {share(waits, 0.99):.1f} s")
    figures.add("everybody had a first answer by", f"{firsts:.1f} s", f"before {last:.1f} s", good=firsts < last)
    figures.add("memory, first and most", watch.words, f"under {MEMORY_MB:g} MB", good=most < MEMORY_MB)
    figures.add("unforeseen", len(host.wrong), "0", good=done and not host.wrong and code == 0)
    return figures


class Watch:
    """Looks at a host's memory every now and then."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen = [host.memory]
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self._seen.append(self._host.memory)

    async def end(self) -> float:
        """The most, in MB."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return max(self._seen)

    @property
    def words(self) -> str:
        """The first and the most."""
        return f"{self._seen[0]:.0f} MB, {max(self._seen):.0f} MB"


async def steady(folder: Path, *, users: int, rate: float, seconds: float, only_receive: bool) -> Figures:
    """Open-loop: the next one comes when it is due, however long the ones before it take."""
    people = [Said(phone=phone(count % users), text=f"s{count}") for count in range(int(rate * seconds))]
    with far_graph() as graph:
        host = Host(folder, graph.url, bot=ONE_PART, flags=["--no-worker"] if only_receive else [])
        async with Meta(host.url, limit=400) as meta:
            try:
                await asyncio.to_thread(host.start)
                watch = Watch(host)
                await meta.offer(people, rate)
                await meta.settled()
                left = await asyncio.to_thread(host.undone)  # for --no-worker: all that was kept
                done = only_receive or await until(lambda: host.undone() == 0, 600)
                most = await watch.end()
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        calls = graph.calls()
        order = order_of(host)
    waits = [(meta.acked[text] - due) * 1000 for text, due in meta.due.items()]
    p99 = share(waits, 0.99)
    figures = Figures(
        f"steady: {rate:g} messages/s for {seconds:g} s, {'only received' if only_receive else 'received and answered'}"
    )
    figures.add("acknowledged, p50 and most", f"{share(waits, 0.5):.0f} ms, {max(waits):.0f} ms")
    figures.add_seconds("acknowledged, p99", f"{p99:.0f} ms", f"under {ACK_MS:g} ms", good=p99 < ACK_MS)
    if only_receive:
        figures.add("kept", left, f"{len(people)}", good=left == len(people))
    else:
        figures.add("still to answer when the last was taken", left)
        figures.add_verdict(judge(meta.acked, calls, order, [" a"]), doubles="0", worst=0)
    figures.add("memory, first and most", watch.words, f"under {MEMORY_MB:g} MB", good=most < MEMORY_MB)
    figures.add("unforeseen", len(host.wrong), "0", good=done and not host.wrong and code == 0)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.flood", description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--loud", type=int, default=1000, help="messages of one person")
    parser.add_argument("--rate", type=float, default=1000, help="messages a second of the steady part")
    parser.add_argument("--seconds", type=float, default=60, help="how long the steady part lasts; 0: not at all")
    parser.add_argument("--only-receive", action="store_true", help="the steady part alone, with serve --no-worker")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    raised(4096)
    with tempfile.TemporaryDirectory() as name:
        folder, codes = Path(name), []
        if given.messages and not given.only_receive:
            flood = crowd(
                folder / "crowd", users=given.users, messages=given.messages, loud=given.loud, seed=given.seed
            )
            codes.append(asyncio.run(flood).print())
        if given.seconds:
            even = steady(
                folder / "steady",
                users=given.users,
                rate=given.rate,
                seconds=given.seconds,
                only_receive=given.only_receive,
            )
            codes.append(asyncio.run(even).print())
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
