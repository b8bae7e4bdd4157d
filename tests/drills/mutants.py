"""Delivers mutated bodies, signed, to a real public listener over a real socket, and counts what became of them.

    python -m tests.drills.mutants [--count 20000] [--seed 1]

Ends with 1 where one is not answered 200, a good message beside a broken one is lost, or something unforeseen happens.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from aerobot import events
from tests.front import LINE, Front
from tests.mutants import Mutant, documents, mutants

AT_ONCE = 50


@dataclass
class Figures:
    """What became of the bodies; ``lost`` and ``wrong`` hold examples."""

    kinds: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    bytes: int = 0
    siblings: int = 0
    kept: int = 0
    claimed: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all is as it must be."""
        count = sum(self.kinds.values())
        return set(self.statuses) <= {200} and not self.lost and not self.wrong and self.kept == count


async def drill(folder: Path, *, seed: int, count: int) -> Figures:
    """Deliver ``count`` bodies and look for every good message, in the database and as a worker gets it."""
    figures = Figures()
    wanted: list[Mutant] = []
    async with Front(folder) as front:
        source = mutants(seed, count, LINE, documents())
        while batch := list(islice(source, AT_ONCE)):
            statuses = await asyncio.gather(*(front.post(mutant.body) for mutant in batch))
            for mutant, status in zip(batch, statuses, strict=True):
                figures.kinds[mutant.kind] += 1
                figures.operations.update(mutant.done)
                figures.statuses[status] += 1
                figures.bytes += len(mutant.body)
            wanted += [replace(mutant, body=b"") for mutant in batch if mutant.kind == "piece"]
        await _look(front, wanted, figures)
    return figures


async def _look(front: Front, wanted: Sequence[Mutant], figures: Figures) -> None:
    stored = await front.stored()
    claimed = await _claimed(front)
    figures.siblings, figures.claimed = len(wanted), len(claimed)
    for mutant in wanted:
        found = stored.get(mutant.wamid)
        if found != [(mutant.text, "queued", mutant.phone)] or mutant.wamid not in claimed:
            figures.lost.append(f"{mutant.wamid} {mutant.done}: {found}, claimed {mutant.wamid in claimed}")
    rows = await front.store._threads.read(lambda db: db.execute("SELECT COUNT(*) FROM deliveries").fetchone())
    figures.kept = rows[0]
    figures.wrong = [event.error for event in front.told(events.Unexpected)]
    figures.wrong += [notice.detail for notice in front.told(events.Notice)]


async def _claimed(front: Front) -> set[str]:
    """The ids of all messages as a worker gets them."""
    found: set[str] = set()
    while work := await front.store.claim("drill", 500, join=True):
        found |= {message.id for item in work for message in item.messages}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(drill(Path(folder), seed=given.seed, count=given.count))
    took = time.perf_counter() - began
    count = sum(figures.kinds.values())
    print(f"bodies      {count} of seed {given.seed}, {figures.bytes / 1e6:.0f} MB, in {took:.0f} s")
    print(f"kinds       {dict(figures.kinds.most_common())}")
    print(f"mutations   {dict(figures.operations.most_common())}")
    print(f"answers     {dict(figures.statuses)}; deliveries kept: {figures.kept} of {count}")
    print(f"siblings    {figures.siblings - len(figures.lost)} of {figures.siblings} stored once, queued and claimed")
    print(f"claimed     {figures.claimed} messages in all")
    print(f"unforeseen  {len(figures.wrong)}")
    for line in (figures.lost + figures.wrong)[:20]:
        print(f"  {line[:300]}")
    return 0 if figures.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
