"""What a test with the fixtures of aerobot.testing costs, after the first of a run.

    .venv/bin/python benchmarks/testing.py [--rounds 200]

A test has a host, an emulated Meta and a database of its own: how long do they take to start and to stop, how long does
one message take there and back, and how much would one emulator save that is reset, and one host that is kept (with
its database, so with what earlier tests left in it). The last figure is pytest's own, set-up and teardown included.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from xml.etree import ElementTree

from aerobot.testing.bench import Bench, settings_of

MOST = 50.0
"""Milliseconds that a test may take."""
BOT = 'def reply(turn):\n    return f"You said: {turn.text}"\n'
TESTS = """
import pytest

@pytest.mark.parametrize("number", range({count}))
async def test_an_answer(phone, number):
    await phone.send("Hi")
    assert (await phone.reply()).text == "You said: Hi"
"""


def bench_in(folder: Path) -> Bench:
    """A host with the bot, not yet started."""
    return Bench(settings_of(folder, {}), str(folder / "bot.py"))


async def answered(bench: Bench) -> None:
    """One message there and back."""
    before = len(bench.emulator.messages())
    await bench.emulator.say("Hi")

    async def look() -> bool | None:
        return len(bench.emulator.messages()) == before + 2 or None

    assert await bench.until(look, 10.0)


async def timed(step: Callable[[], Awaitable[None]]) -> float:
    """Milliseconds that a step takes."""
    started = time.perf_counter()
    await step()
    return (time.perf_counter() - started) * 1000


async def fresh(folder: Path) -> tuple[float, float, float]:
    """Start, one message, stop."""
    bench = bench_in(folder)
    return await timed(bench.start), await timed(lambda: answered(bench)), await timed(bench.stop)


async def kept(folder: Path, rounds: int) -> list[float]:
    """Resets of one emulator, its host kept."""
    bench = bench_in(folder)
    await bench.start()
    found = []

    async def reset() -> None:
        bench.emulator.reset()

    for _ in range(rounds):
        found.append(await timed(reset))
        await answered(bench)
    await bench.stop()
    return found


def as_pytest_says(folder: Path, count: int) -> float:
    """Milliseconds for a test, all its phases; the median of those after the first."""
    (folder / "conftest.py").write_text('pytest_plugins = ["aerobot.testing"]\n')
    (folder / "pytest.ini").write_text("[pytest]\naerobot_bot = bot.py\n")
    (folder / "test_bot.py").write_text(TESTS.format(count=count))
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-q", "--junitxml=times.xml"]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    cases = ElementTree.parse(folder / "times.xml").iter("testcase")
    return statistics.median([float(case.get("time", "nan")) * 1000 for case in cases][1:])


async def measured(folder: Path, rounds: int) -> None:
    """Print the parts; the first round pays for the imports and is left out."""
    await fresh(folder)
    start, message, stop = zip(*[await fresh(folder) for _ in range(rounds)], strict=True)
    for name, values in (
        ("start host and emulator", start),
        ("one message and its reply", message),
        ("stop both", stop),
        ("instead: reset a kept emulator", await kept(folder, rounds)),
    ):
        print(f"{name:36}{statistics.median(values):8.1f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bot.py").write_text(BOT)
        asyncio.run(measured(folder, rounds))
        print(f"{'a test, as pytest measures it':36}{as_pytest_says(folder, rounds):8.1f} ms  (at most {MOST:.0f})")


if __name__ == "__main__":
    main()
