"""Stops a host under load with SIGTERM, again and again, and looks whether it ends in time with nothing left in doubt.

    python -m tests.drills.stop [--rounds 10] [--rate 100] [--seed 1]

No status tells what Graph took: after a clean stop nothing may be unknown. Ends with 1 where a stop takes longer than
the grace, ends with another code than 0, or something is lost or said twice.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from aerobot.runtime import GRACE
from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of
from tests.drills.kill import writing
from tests.drills.meta import Meta, until

THINKS = """
import asyncio
async def reply(turn):
    await asyncio.sleep(0.2)
    return [f"{turn.text} a", f"{turn.text} b"]
"""
SPARE = 4.0
"""Seconds beside the grace: closing connections, database and interpreter, on a busy machine."""


async def drill(folder: Path, *, rounds: int, rate: float, seed: int) -> Figures:
    """Stop as often as asked, then let it finish, and judge."""
    dice = random.Random(seed)
    codes, took, doubt = [], [], 0
    async with Graph() as graph:
        host = Host(folder, graph.url, bot=THINKS)
        async with Meta(host.url) as meta:
            offering = asyncio.create_task(meta.offer(writing(dice, 200), rate))
            try:
                for _ in range(rounds):
                    await asyncio.to_thread(host.start)
                    await asyncio.sleep(0.5 + dice.random())
                    began = time.monotonic()
                    codes.append(await asyncio.to_thread(host.end))
                    took.append(time.monotonic() - began)
                    doubt += host.rows("SELECT COUNT(*) FROM parts WHERE state IN ('sending', 'unknown')")[0][0]
                    graph.epoch += 1
                offering.cancel()
                await asyncio.to_thread(host.start)
                await meta.settled()
                done = await until(lambda: host.undone() == 0, 60)
                codes.append(await asyncio.to_thread(host.end))
            finally:
                offering.cancel()
                host.leave()
        verdict = judge(meta.acked, graph.taken, order_of(host))
    most = GRACE + SPARE
    figures = Figures(f"clean stop: {rounds} times at {rate:g} messages/s, a bot that thinks for 0.2 s, seed {seed}")
    figures.add_seconds("slowest stop", f"{max(took):.1f} s", f"within {most:g} s", good=max(took) <= most)
    figures.add("exit codes", sorted(set(codes)), "0", good=set(codes) == {0})
    figures.add("parts left in doubt", doubt, "0", good=doubt == 0)
    figures.add_verdict(verdict, doubles="0, without any status", worst=0)
    figures.add("unforeseen", len(host.wrong), "0", good=done and not host.wrong)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.stop", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rate", type=float, default=100, help="messages a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(drill(Path(name), rounds=given.rounds, rate=given.rate, seed=given.seed))
    return figures.print()


if __name__ == "__main__":
    raise SystemExit(main())
