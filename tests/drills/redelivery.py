"""Delivers every message one to five times, concurrently and batched anew each time, while the host is restarted.

    python -m tests.drills.redelivery [--messages 5000] [--users 300] [--restarts 6] [--seed 1]

Every second restart is a kill -9. Ends with 1 where a message is not answered, or is answered twice.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of
from tests.drills.meta import Meta, Said, phone, until

MOST = 5
AT_ONCE = 40


def batches(dice: random.Random, messages: Sequence[Said]) -> list[list[Said]]:
    """Each message one to five times, in batches of one to eight that are new each time, in any order."""
    copies = [one for one in messages for _ in range(dice.randint(1, MOST))]
    dice.shuffle(copies)
    found = []
    while copies:
        size = dice.randint(1, 8)
        found.append(list(dict.fromkeys(copies[:size])))
        copies = copies[size:]
    return found


async def drill(folder: Path, *, messages: int, users: int, restarts: int, seed: int) -> Figures:
    """Deliver all of it, restart meanwhile, and judge."""
    dice = random.Random(seed)
    began = time.monotonic()
    people = [Said(phone=phone(dice.randrange(users)), text=f"m{count}") for count in range(messages)]
    bodies = batches(dice, people)
    meta: Meta
    async with Graph(lambda call: meta.tell_sent(call)) as graph:
        host = Host(folder, graph.url)
        async with Meta(host.url) as meta:
            await asyncio.to_thread(host.start)
            try:
                for part in range(restarts + 1):
                    share = bodies[part :: restarts + 1]
                    delivering = asyncio.create_task(_deliver(meta, share))
                    if part < restarts:
                        await _half(meta, len(share), delivering)
                        await asyncio.to_thread(host.kill if part % 2 else host.end)
                        graph.epoch += 1
                        await asyncio.to_thread(host.start)
                    await delivering
                done = await until(lambda: host.undone() == 0, 300)
                await meta.settled()
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        verdict = judge([one.text for one in people], graph.taken, order_of(host))
        stored = host.rows("SELECT COUNT(*), COUNT(DISTINCT wamid) FROM messages")[0]
    figures = Figures(f"redelivery: {messages} messages in {len(bodies)} bodies, {restarts} restarts, seed {seed}")
    figures.add("took", f"{time.monotonic() - began:.0f} s")
    figures.add("copies", sum(map(len, bodies)))
    figures.add("attempts, of them met no host", f"{len(meta.statuses)}, {meta.statuses.count(0)}")
    figures.add(
        "messages stored, of them different", f"{stored[0]}, {stored[1]}", "each once", good=stored[0] == messages
    )
    figures.add_verdict(verdict, doubles="0", worst=0)
    figures.add("all answered in the end", done, "True", good=done)
    figures.add("unforeseen", len(host.wrong), "0", good=not host.wrong)
    figures.add("exit code", code, "0", good=code == 0)
    return figures


async def _deliver(meta: Meta, bodies: Sequence[Sequence[Said]]) -> None:
    """All of them, some at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(body: Sequence[Said]) -> None:
        async with room:
            await meta.insist(body)

    await asyncio.gather(*(one(body) for body in bodies))


async def _half(meta: Meta, bodies: int, delivering: "asyncio.Task[None]") -> None:
    """Until about half of this share is taken."""
    enough = len(meta.statuses) + bodies // 2
    while len(meta.statuses) < enough and not delivering.done():
        await asyncio.sleep(0.01)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.redelivery", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(
            drill(
                Path(name), messages=given.messages, users=given.users, restarts=given.restarts, seed=given.seed
            )
        )  # fmt: skip
    return figures.print()


if __name__ == "__main__":
    raise SystemExit(main())
