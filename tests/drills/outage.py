"""Makes Graph fail in every way it can for a while, and looks whether the backlog drains in order and without a storm.

    python -m tests.drills.outage [--seconds 60] [--users 40] [--rate 4] [--only down,190] [--seed 1]

Each trouble has a host of its own, all at once; those for two people alone last two and a half times as long. Ends
with 1 where something is lost, out of order, on the failed list without belonging there, where Graph is stormed, or an
alarm is not told once.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tests.drills.graph import Graph, Mood, half, refusing, reset, slow
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of
from tests.drills.kill import writing
from tests.drills.meta import Meta, until

BLOCKED = (190, 131042, 131031, 131045, 133010)
MOODS: Mapping[str, Mood | None] = {
    "down": None,
    "slow": slow(25),
    "reset": reset,
    "half a body": half,
    "503": refusing(503),
    "429": refusing(429, 130429),
    "429 Retry-After": refusing(429, 130429, Retry_After="3"),
    **{str(code): refusing(401 if code == 190 else 400, code) for code in BLOCKED},
    "never": refusing(400, 131026),
    "reset for two": reset,
    "half a body for two": half,
}
DOUBTFUL = ("slow", "reset", "half a body")
"""Troubles in which Graph might have taken what it did not acknowledge; here it never did."""
FOR_TWO = (2, 2.5, 0.125)
"""People, and how many times as long and as many messages a second: too few for the circuit, which needs five."""
CALM = 5
"""Calls in any second, once the first wave has failed, that are no storm."""
HEALS = 150.0
"""Seconds after an outage by which all must be said: a part in doubt waits 120 at most, on a busy machine."""


async def trouble(folder: Path, name: str, *, seconds: float, users: int, rate: float, seed: int) -> Figures:
    """One kind of trouble for so long, with messages before, meanwhile and after."""
    dice = random.Random(seed)
    people = writing(dice, users)
    async with Graph() as graph:
        host = Host(folder, graph.url)
        async with Meta(host.url) as meta:
            try:
                await asyncio.to_thread(host.start)
                await meta.offer(itertools.islice(people, users), rate * 5)
                await meta.settled()
                await until(lambda: host.undone() == 0, 30)
                fail, heal = _ways(graph, name)
                began = asyncio.get_running_loop().time()
                await fail()
                await meta.offer(itertools.islice(people, int(rate * seconds)), rate)
                if name != "never":
                    await asyncio.sleep(began + seconds - asyncio.get_running_loop().time())
                await meta.settled()
                done_never = name == "never" and await until(lambda: host.undone() == 0, 30)
                tried = [call.at for call in graph.calls if not call.wamid]
                await heal()
                healed = asyncio.get_running_loop().time()
                await meta.offer(itertools.islice(people, users), rate * 5)
                await meta.settled()
                done = await until(lambda: host.undone() == 0, HEALS)
                took = asyncio.get_running_loop().time() - healed
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        figures = Figures(f"Graph: {name} for {seconds:g} s, {users} users, {rate:g} messages/s")
        failed = host.rows("SELECT COUNT(*) FROM turns WHERE failed_at IS NOT NULL")[0][0]
        figures.add("messages", len(meta.acked))
        if name == "never":
            expected = int(rate * seconds)
            figures.add("failed at once", f"{failed} of {expected}", "all", good=failed == expected and done_never)
            figures.add("calls for them", len(tried), "one each", good=len(tried) == expected)
        else:
            verdict = judge(meta.acked, graph.taken, order_of(host))
            figures.add_verdict(verdict, doubles="0", worst=0)
            figures.add("on the failed list", failed, "0", good=failed == 0)
            peak = _peak(tried, after=_first_wave(name))
            figures.add("calls in vain, most in a second", f"{len(tried)}, {peak}", f"then at most {CALM} a second",
                        good=peak <= CALM)  # fmt: skip
            figures.add("all said, after it healed", f"{done}, {took:.1f} s", f"within {HEALS:g} s", good=done)
        alarms = [event["code"] for event in host.events("number_paused")]
        if name.isdigit() and int(name) in BLOCKED:
            figures.add("alarms", alarms, "one", good=alarms == [int(name)])
            resumed = len(host.events("number_resumed"))
            figures.add("went on when it healed", resumed, "once", good=resumed == 1)
        else:
            figures.add("alarms", alarms, "one at most", good=len(alarms) <= 1)
        figures.add("unforeseen", len(host.wrong), "0", good=not host.wrong and code == 0)
    return figures


def _ways(graph: Graph, name: str) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    """How the trouble begins and how it ends."""
    mood = MOODS[name]
    if mood is None:
        return graph.fall, graph.rise

    async def become(wanted: Mood | None) -> None:
        graph.mood = wanted

    return lambda: become(mood), lambda: become(None)


def _first_wave(name: str) -> float:
    """Seconds until the first who tried know that they failed: with a slow Graph its time-out."""
    return 25.0 if name == "slow" else 5.0


def _peak(times: Sequence[float], *, after: float) -> int:
    """The most calls in any second, once the first ones have failed."""
    late = [at for at in times if at > times[0] + after]
    return max((sum(at <= other < at + 1 for other in late) for at in late), default=0)


async def drill(
    folder: Path, names: Sequence[str], *, seconds: float, users: int, rate: float, seed: int
) -> list[Figures]:
    """All of them at once, each with a host of its own."""

    async def one(number: int, name: str) -> Figures:
        people, longer, faster = FOR_TWO if name.endswith("for two") else (users, 1, 1)
        return await trouble(
            folder / str(number), name, seconds=longer * seconds, users=people, rate=faster * rate, seed=seed + number
        )

    return list(await asyncio.gather(*(one(number, name) for number, name in enumerate(names))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.outage", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--rate", type=float, default=4, help="messages a second while it lasts")
    parser.add_argument("--only", default=",".join(MOODS), help=f"of {', '.join(MOODS)}")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    names = given.only.split(",")
    if unknown := set(names) - set(MOODS):
        parser.error(f"--only {', '.join(sorted(unknown))}: there are {', '.join(MOODS)}")
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(
            drill(Path(name), names, seconds=given.seconds, users=given.users, rate=given.rate, seed=given.seed)
        )
    return max([figures.print() for figures in found])


if __name__ == "__main__":
    raise SystemExit(main())
