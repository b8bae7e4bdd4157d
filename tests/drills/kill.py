"""Kills a host with SIGKILL at random moments under load, and looks for what was lost, doubled or out of order.

    python -m tests.drills.kill [--rounds 100] [--rate 60] [--users 200] [--no-statuses] [--seed 1]

With statuses Meta tells what it took, so nothing may be said twice. Without, the one part of a conversation whose
outcome a kill left open may be. Ends with 1 where an acknowledged message is lost, or anything else is not as promised.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of
from tests.drills.meta import Meta, Said, phone, until

LONGEST = 1.5
"""Seconds that a host lives at most."""


def writing(dice: random.Random, users: int) -> Iterator[Said]:
    """People write, some of them several times in a row."""
    for count in itertools.count():
        yield Said(phone=phone(dice.randrange(users)), text=f"m{count}")


async def drill(folder: Path, *, rounds: int, rate: float, users: int, statuses: bool, seed: int) -> Figures:
    """Kill as often as asked, then let it finish, and judge."""
    dice = random.Random(seed)
    began = time.monotonic()
    meta: Meta
    async with Graph(lambda call: meta.tell_sent(call) if statuses else None) as graph:
        host = Host(folder, graph.url)
        async with Meta(host.url) as meta:
            offering = asyncio.create_task(meta.offer(writing(dice, users), rate))
            try:
                for _ in range(rounds):
                    await asyncio.to_thread(host.start)
                    await asyncio.sleep(dice.random() * LONGEST)
                    await asyncio.to_thread(host.kill)
                    graph.epoch += 1
                offering.cancel()
                await asyncio.to_thread(host.start)
                await meta.settled()
                done = await until(lambda: host.undone() == 0, 300)
                await meta.settled()
                code = await asyncio.to_thread(host.end)
            finally:
                offering.cancel()
                host.leave()
        verdict = judge(meta.acked, graph.taken, order_of(host))
    figures = Figures(f"kill -9: {rounds} rounds, seed {seed}, {'with' if statuses else 'without'} statuses")
    figures.add("took", f"{time.monotonic() - began:.0f} s")
    figures.add("deliveries that met no host", meta.statuses.count(0))
    allowed = "0: statuses settle it" if statuses else "1 of a conversation for each kill"
    figures.add_verdict(verdict, doubles=allowed, worst=0 if statuses else 1)
    figures.add("all answered in the end", done, "True", good=done)
    figures.add("unforeseen", len(host.wrong), "0", good=not host.wrong)
    figures.add("exit code after all that", code, "0", good=code == 0)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.kill", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--rate", type=float, default=60, help="messages a second, while it lives and while it does not"
    )
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--no-statuses", action="store_true", help="Meta never tells what it took")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(
            drill(
                Path(name), rounds=given.rounds, rate=given.rate, users=given.users,
                statuses=not given.no_statuses, seed=given.seed,
            )
        )  # fmt: skip
    return figures.print()


if __name__ == "__main__":
    raise SystemExit(main())
