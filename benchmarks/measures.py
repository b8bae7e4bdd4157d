"""One measurement of each kind: acknowledgements, replies, memory. Nothing is judged here."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.contestants import ROOT, Contestant

SETTLE_SECONDS = 60.0
"""How long replies may take after the last webhook; what has not come then is counted as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """How one server answered one load, in answers a second.

    ``read_rate`` is the same until all of it was read too, which aerobot does after the answer. ``cpu_us``: processor
    time of the server for each, all its threads, reading included.
    """

    rate: float
    read_rate: float
    refused: int
    median_ms: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """How many replies a second reached Graph, how many never did, and how many came again."""

    rate: float
    lost: int
    twice: int


def acknowledged(server: Contestant, bodies: Path, *, connections: int, seconds: float) -> Acknowledged:
    """Send as fast as the server answers; nobody else is measured before it has read it all."""
    before = server.cpu()
    told = _finished(_load(server, bodies, "--connections", str(connections), "--seconds", str(seconds)))
    answered, ends = told["answered"], time.monotonic() + SETTLE_SECONDS
    while server.unread() and time.monotonic() < ends:
        time.sleep(0.01)
    read = time.monotonic() - told["started"] if server.database else told["seconds"]
    return Acknowledged(
        rate=answered / told["seconds"],
        read_rate=answered / read,
        refused=int(told["refused"]),
        median_ms=told["median_ms"],
        p99_ms=told["p99_ms"],
        cpu_us=(server.cpu() - before) / max(1, answered) * 1e6,
    )


def replied(server: Contestant, graph: Contestant, bodies: Path, count: int) -> Replied:
    """Send ``count`` messages on 64 connections, and wait until Graph has a reply to each."""
    before = _counts(graph)
    told = _finished(_load(server, bodies, "--connections", "64", "--seconds", "600", "--most", str(count)))
    ends = time.monotonic() + SETTLE_SECONDS
    while (now := _counts(graph))["different"] - before["different"] < count and time.monotonic() < ends:
        time.sleep(0.02)
    different = now["different"] - before["different"]
    return Replied(
        rate=different / (now["last"] - told["started"]) if different else 0.0,
        lost=int(count - different),
        twice=int(now["accepted"] - before["accepted"] - different),
    )


def memory(server: Contestant, bodies: Path, *, rate: float, seconds: float) -> float:
    """The most resident megabytes while ``rate`` messages a second come in."""
    sending = _load(server, bodies, "--connections", "64", "--seconds", str(seconds), "--rate", str(rate))
    most = 0.0
    while sending.poll() is None:
        most = max(most, server.memory())
        time.sleep(0.05)
    _finished(sending)
    return most


def disk_ms(folder: Path) -> float:
    """What one small durable write costs at this moment: the median of 40, in milliseconds."""
    path, times = folder / "disk", []
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.write(file, b"x" * 4096 * 40)
        os.fsync(file)
        for nth in range(40):
            started = time.perf_counter()
            os.pwrite(file, b"y" * 4096, 4096 * nth)
            os.fdatasync(file)
            times.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(times) * 1000


def _load(server: Contestant, bodies: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.load", "--url", server.url, "--bodies", str(bodies), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def _finished(sending: "subprocess.Popen[bytes]") -> dict[str, float]:
    told: dict[str, float] = json.loads(sending.communicate()[0])
    return told


def _counts(graph: Contestant) -> dict[str, float]:
    with urlopen(graph.url, timeout=10) as answer:
        told: dict[str, float] = json.load(answer)
    return told
