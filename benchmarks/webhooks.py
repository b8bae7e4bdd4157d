"""How fast webhooks are acknowledged and answered, beside PyWa and a bare server: same bodies, interleaved, medians.

    python -m benchmarks.webhooks [--rounds 3] [--seconds 4] [--stored 1000000] [--write]

Every server and the load generator is a process of its own. ``--write`` puts the tables and the chart into
``benchmarks/README.md``; else they are only printed. About ten minutes; nothing leaves this machine.
"""

import argparse
import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from benchmarks import bodies, measures, stored
from benchmarks.contestants import PEERS, Contestant, host, peer
from benchmarks.pages import between, chart, table

PAGE = Path(__file__).with_name("README.md")
CHART = Path(__file__).with_name("webhooks.svg")
NEEDED = ("pywa", "pywa_async", "fastapi", "starlette", "uvicorn")
"""What the peers import."""
CONNECTIONS = (64, 256, 1)
OURS, FULL, FLOOR, FASTAPI, STARLETTE = (
    "aerobot", "aerobot, database full", "bare aiohttp", "PyWa async, FastAPI", "PyWa async, Starlette",
)  # fmt: skip
BODIES_A_SECOND = {64: 12_000, 256: 12_000, 1: 6_000}
REPLIES_A_SECOND = 500
MESSAGES_A_SECOND = 1_000


@dataclass(slots=True)
class Results:
    """All samples: acknowledgements by (connections, name), replies and memory by name, and how the machine was."""

    acknowledged: dict[tuple[int, str], list[measures.Acknowledged]] = field(default_factory=lambda: defaultdict(list))
    replied: dict[str, list[measures.Replied]] = field(default_factory=lambda: defaultdict(list))
    memory: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    disk_ms: list[float] = field(default_factory=list)

    def rate(self, connections: int, name: str) -> float:
        """Acknowledgements a second: the median of the rounds."""
        return statistics.median(sample.rate for sample in self.acknowledged[connections, name])

    def read_rate(self, connections: int, name: str) -> float:
        """The same until all is read, which PyWa does before its answer."""
        return statistics.median(sample.read_rate for sample in self.acknowledged[connections, name])

    def replies(self, name: str) -> float:
        """Replies a second: the median of the rounds."""
        return statistics.median(sample.rate for sample in self.replied[name])


def acknowledgements(folder: Path, full: Path | None, rounds: int, seconds: float, results: Results) -> None:
    """Every server up at once, one of them under load at a time."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, Contestant] = {OURS: stack.enter_context(host(folder / "receives", worker=False))}
        if full is not None:
            servers[FULL] = stack.enter_context(host(folder / "full", worker=False, database=full))
        servers |= {name: stack.enter_context(peer(script)) for name, script in PEERS.items()}
        for number in range(rounds):
            for connections in CONNECTIONS:
                count = int(BODIES_A_SECOND[connections] * seconds)
                file = bodies.write(folder / "bodies", count, label=f"{number}-{connections}-{os.getpid()}")
                _look(results, folder)
                for name, server in _turned(servers, number):
                    sample = measures.acknowledged(server, file, connections=connections, seconds=seconds)
                    results.acknowledged[connections, name].append(sample)
                    _say(f"round {number + 1}  {connections:3} connections  {name:24}{sample.rate:8.0f}/s")


def _turned(servers: dict[str, Contestant], number: int) -> list[tuple[str, Contestant]]:
    """The servers, each round beginning with another, so that nobody always follows the same one."""
    listed = list(servers.items())
    return listed[number % len(listed) :] + listed[: number % len(listed)]


def replies(folder: Path, full: Path | None, rounds: int, seconds: float, results: Results) -> None:
    """A host with its worker, an echo bot, and a Graph that accepts; then its memory at a steady rate."""
    count = max(50, int(REPLIES_A_SECOND * seconds))
    databases = {OURS: folder / "answers" / "aerobot.db"} | ({FULL: full} if full is not None else {})
    with peer("graph") as graph:
        for number in range(rounds):
            _look(results, folder)
            for name, database in databases.items():
                label = f"{name}-{number}-{os.getpid()}".replace(",", "").replace(" ", "-")
                file = bodies.write(folder / "bodies", count, label=label)
                with host(folder / "answers", worker=True, graph=graph.url, database=database) as server:
                    sample = measures.replied(server, graph, file, count)
                results.replied[name].append(sample)
                _say(f"round {number + 1}  webhook to reply   {name:24}{sample.rate:8.0f}/s  {sample.lost} lost")
            count_steady = int(MESSAGES_A_SECOND * seconds)
            file = bodies.write(folder / "bodies", count_steady, label=f"steady-{number}-{os.getpid()}")
            with host(folder / f"steady{number}", worker=True, graph=graph.url) as server:
                results.memory.append(measures.memory(server, file, rate=MESSAGES_A_SECOND, seconds=seconds))
            _say(f"round {number + 1}  memory at {MESSAGES_A_SECOND}/s {results.memory[-1]:8.0f} MB")


def _look(results: Results, folder: Path) -> None:
    results.load.append(os.getloadavg()[0])
    results.disk_ms.append(measures.disk_ms(folder))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- what it comes to -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. ``aims`` are what is wanted at least and what is reached for: bounds from below unless
    ``most``; empty where nothing was promised.
    """

    name: str
    value: float
    unit: str
    aims: tuple[float, ...] = ()
    most: bool = False

    def cells(self) -> list[str]:
        """Name, value, the two bounds, and which of them is met."""
        sign = -1 if self.most else 1
        words = ("at least", "reach for")
        met = [word for word, aim in zip(words, self.aims, strict=False) if sign * self.value >= sign * aim]
        shown = [f"{value:.{0 if self.unit.strip() else 2}f}{self.unit}" for value in (self.value, *self.aims)]
        shown += ["-"] * (3 - len(shown))
        return [self.name, *shown, (met[-1] if met else "missed") if self.aims else "-"]


def figures(results: Results) -> list[Figure]:
    """The figures that are promised, in the order of the promise."""
    rate = results.rate
    ours, floor = rate(64, OURS), rate(64, FLOOR)
    found: list[tuple[str, float, str, tuple[float, ...]]] = [
        ("durable acknowledgement, 64 connections, × PyWa async FastAPI", ours / rate(64, FASTAPI), "", (1.5, 2.5)),
        ("the same, × PyWa async Starlette", ours / rate(64, STARLETTE), "", (1.0, 1.5)),
        ("the same, share of bare aiohttp", ours / floor * 100, " %", (25, 50)),
        ("the same until all is read, × PyWa async FastAPI", results.read_rate(64, OURS) / rate(64, FASTAPI), "", ()),
        ("256 connections, × PyWa async FastAPI", rate(256, OURS) / rate(256, FASTAPI), "", (2, 3)),
        ("1 connection, × PyWa async FastAPI", rate(1, OURS) / rate(1, FASTAPI), "", (0.5, 0.9)),
        ("webhook in → reply out, share of bare aiohttp", results.replies(OURS) / floor * 100, " %", (10, 16)),
    ]
    if results.replied.get(FULL):
        shares = [rate(n, FULL) / rate(n, OURS) for n in CONNECTIONS] + [results.replies(FULL) / results.replies(OURS)]
        names = [f"acknowledgement, {n} connection{'s' * (n > 1)}" for n in CONNECTIONS] + ["webhook in → reply out"]
        found += [
            (f"{name}, with a full database, share of an empty one's", share * 100, " %", (90, 98))
            for name, share in zip(names, shares, strict=True)
        ]
    listed = [Figure(name=name, value=value, unit=unit, aims=aims) for name, value, unit, aims in found]
    memory = statistics.median(results.memory)
    name = f"resident memory at {MESSAGES_A_SECOND:,} messages/s"
    return [*listed, Figure(name=name, value=memory, unit=" MB", aims=(120, 80), most=True)]


def _machine(results: Results, rounds: str) -> str:
    """When, on what, and how busy and how slow it was meanwhile."""
    disk = results.disk_ms
    what = f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} processors, {rounds}"
    load = f"Load average {min(results.load):.1f} to {max(results.load):.1f}"
    write = f"a durable write of 4 KB took {statistics.median(disk):.2f} ms ({min(disk):.2f} to {max(disk):.2f})"
    return f"{what}, medians. {load}; {write}."


def report(results: Results, rounds: int, seconds: float, messages: int) -> str:
    """The tables, with how the machine was."""
    rows = []
    for connections in CONNECTIONS:
        for name in dict.fromkeys(name for n, name in results.acknowledged if n == connections):
            samples = results.acknowledged[connections, name]
            keys = ("median_ms", "p99_ms", "cpu_us", "read_rate")
            middle = [statistics.median(getattr(s, key) for s in samples) for key in keys]
            refused = sum(sample.refused for sample in samples)
            rate = f"{results.rate(connections, name):,.0f}"
            shown = [f"{middle[3]:,.0f}", f"{middle[0]:.1f}", f"{middle[1]:.1f}", f"{middle[2]:.0f}", str(refused)]
            rows.append([name, str(connections), rate, *shown])
    head = ["acknowledgement", "connections", "a second", "and read", "median ms", "p99 ms", "CPU µs each", "refused"]
    answers = [
        [name, f"{results.replies(name):,.0f}", str(sum(s.lost for s in samples)), str(sum(s.twice for s in samples))]
        for name, samples in results.replied.items()
    ]
    full = f"*Database full*: {messages:,} answered messages before the first request." if messages else ""
    return "\n\n".join(filter(None, [
        _machine(results, f"{rounds} rounds of {seconds:g} s"),
        table(["figure", "measured", "at least", "reach for", "met"], [f.cells() for f in figures(results)]),
        table(head, rows),
        table(["webhook in → reply out", "replies a second", "lost", "said twice"], answers),
        full,
    ]))  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and where it is asked for write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--stored", type=int, default=1_000_000, help="messages in the full database; 0: leave it out")
    parser.add_argument("--full", type=Path, help="a full database that benchmarks.stored made; it grows")
    parser.add_argument("--folder", type=Path, help="on which disk the databases are; else the temporary folder")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md and its chart")
    given = parser.parse_args(arguments)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        parser.error(f"the peers need {', '.join(missing)}: pip install -e '.[dev]'")
    results = Results()
    with tempfile.TemporaryDirectory(prefix="aerobot-bench-", dir=given.folder) as name:
        folder = Path(name)
        full = given.full
        if full is None and given.stored:
            _say(f"making a database of {given.stored:,} messages")
            full = stored.fill(folder / "full.db", given.stored)
        replies(folder, full, given.rounds, given.seconds, results)  # first: what is only received waits for a worker
        acknowledgements(folder, full, given.rounds, given.seconds, results)
    told = report(results, given.rounds, given.seconds, given.stored)
    print(told)
    if given.write:
        PAGE.write_text(between(PAGE.read_text("utf-8"), "figures", told), "utf-8")
        groups = {
            f"{n} connection{'s' * (n > 1)}": {name: results.rate(n, name) for name in (OURS, *list(PEERS)[1:], FLOOR)}
            for n in CONNECTIONS
        }
        CHART.write_text(chart(groups, unit="/s"), "utf-8")


if __name__ == "__main__":
    main()
