"""Lets a host work at an even rate for a long time, and looks whether anything grows: memory, files, log, latency.

    python -m tests.drills.soak [--minutes 10] [--rate 40] [--seed 1]

The last third is compared with the second: the first is for warming up. Ends with 1 where something grows.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of, share
from tests.drills.kill import writing
from tests.drills.meta import Meta, until

LOG_MB = 72.0
"""The write-ahead log is cut to 64 MB at each checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was seen at one moment (``at`` in seconds from the start)."""

    at: float
    memory: float
    descriptors: int
    log: float


async def _watch(host: Host, seen: list[Sample], every: float) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(every)
        at = time.monotonic() - began
        seen.append(Sample(at=at, memory=host.memory, descriptors=host.descriptors, log=host.log_bytes / 1e6))


async def drill(folder: Path, *, seconds: float, rate: float, seed: int) -> Figures:
    """Work for so long, with a status for each part, and compare."""
    people = writing(random.Random(seed), 500)
    meta: Meta
    async with Graph(lambda call: meta.tell_sent(call)) as graph:
        host = Host(folder, graph.url)
        seen: list[Sample] = []
        async with Meta(host.url) as meta:
            try:
                await asyncio.to_thread(host.start)
                began = time.monotonic()
                watching = asyncio.create_task(_watch(host, seen, max(0.2, seconds / 300)))
                await meta.offer((next(people) for _ in range(int(rate * seconds))), rate)
                watching.cancel()
                await meta.settled()
                done = await until(lambda: host.undone() == 0, 60)
                await meta.settled()
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        verdict = judge(meta.acked, graph.taken, order_of(host))
    middle, late = (_third(seen, seconds, place) for place in (1, 2))
    acks = [_latencies(meta, began + seconds * place / 3, seconds / 3) for place in (1, 2)]
    figures = Figures(f"soak: {seconds / 60:g} minutes at {rate:g} messages/s, two parts and two statuses each")
    figures.add_verdict(verdict, doubles="0", worst=0)
    first, last = (sum(sample.memory for sample in third) / len(third) for third in (middle, late))
    grown = last / first - 1
    figures.add(
        "memory, second and last third",
        f"{first:.1f} MB, {last:.1f} MB ({grown:+.1%})",
        "under +5 %",
        good=grown < 0.05,
    )
    files = [max(sample.descriptors for sample in third) for third in (middle, late)]
    figures.add("open files, at most", f"{files[0]}, {files[1]}", "at most 5 more", good=files[1] <= files[0] + 5)
    figures.add("acknowledged, p50", f"{share(acks[0], 0.5):.0f} ms, {share(acks[1], 0.5):.0f} ms")
    p99 = [share(found, 0.99) for found in acks[:2]]
    figures.add_seconds("acknowledged, p99", f"{p99[0]:.0f} ms, {p99[1]:.0f} ms", "under 250 ms", good=p99[1] < 250)
    log = max(sample.log for sample in seen)
    figures.add("write-ahead log, at most", f"{log:.1f} MB", f"under {LOG_MB:g} MB", good=log < LOG_MB)
    figures.add("unforeseen", len(host.wrong), "0", good=done and not host.wrong and code == 0)
    return figures


def _third(seen: Sequence[Sample], seconds: float, place: int) -> list[Sample]:
    found = [sample for sample in seen if seconds * place / 3 <= sample.at < seconds * (place + 1) / 3]
    return found or list(seen)


def _latencies(meta: Meta, start: float, length: float) -> list[float]:
    """Milliseconds from when each was due to its 200."""
    return [(meta.acked[text] - due) * 1000 for text, due in meta.due.items() if start <= due < start + length]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=40, help="messages a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(drill(Path(name), seconds=given.minutes * 60, rate=given.rate, seed=given.seed))
    return figures.print()


if __name__ == "__main__":
    raise SystemExit(main())
