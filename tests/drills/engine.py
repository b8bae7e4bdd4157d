"""Gives a host bots that are slow, stuck or blocking, and sends it to sleep; looks who waits for whom.

    python -m tests.drills.engine [--users 1000] [--sleep 60]

Ends with 1 where a thousand slow answers take longer than four seconds, somebody waits for a stuck handler, a blocking
one is not named, or a host that slept says something twice.
"""

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.drills.flood import far_graph
from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of, share
from tests.drills.meta import Meta, Said, phone, until

THINKS, ALL_WITHIN, TIMEOUT = 2.0, 4.0, 1.5
SLOW = f"import asyncio\nasync def reply(turn):\n    await asyncio.sleep({THINKS})\n    return turn.text + ' a'\n"
MIXED = """
import asyncio, time
async def reply(turn):
    if turn.text.startswith("stuck"):
        await asyncio.sleep(3600)
    if turn.text.startswith("blocks"):
        time.sleep(1.4)
    return turn.text + " a"
"""


async def slow(folder: Path, *, users: int) -> Figures:
    """Everybody writes at once, in bodies of a hundred, and the bot thinks for two seconds about each."""
    people = [Said(phone=phone(count), text=f"m{count}") for count in range(users)]
    with far_graph() as graph:
        host = Host(folder, graph.url, bot=SLOW)
        async with Meta(host.url) as meta:
            try:
                await asyncio.to_thread(host.start)
                began = time.monotonic()
                await asyncio.gather(*(meta.insist(people[start : start + 100]) for start in range(0, users, 100)))
                taken = time.monotonic() - began
                done = await until(lambda: host.undone() == 0, 60)
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        calls = graph.calls()
    last = max(call.at for call in calls) - began
    figures = Figures(f"slow engine: {THINKS:g} s for each of {users} conversations at once")
    figures.add("all taken", f"{taken:.2f} s")
    figures.add("all answered", done, "True", good=done)
    figures.add_seconds("the last one after", f"{last:.2f} s", f"within {ALL_WITHIN:g} s", good=last < ALL_WITHIN)
    figures.add_verdict(judge(meta.acked, calls, order_of(host), [" a"]), doubles="0", worst=0)
    figures.add("unforeseen", len(host.wrong), "0", good=not host.wrong and code == 0)
    return figures


async def stuck(folder: Path) -> Figures:
    """Some handlers never end, then one blocks; the others are quick."""
    quick = [Said(phone=phone(count), text=f"quick{count}") for count in range(50)]
    never = [Said(phone=phone(100 + count), text=f"stuck{count}") for count in range(10)]
    async with Graph() as graph:
        changes = {"BOT_TIMEOUT_MS": str(int(TIMEOUT * 1000)), "BOT_FALLBACK_MESSAGE": "Sorry"}
        host = Host(folder, graph.url, bot=MIXED, changes=changes)
        async with Meta(host.url) as meta:
            try:
                await asyncio.to_thread(host.start)
                await meta.insist(never)
                await asyncio.gather(*(meta.insist([one]) for one in quick))
                done = await until(lambda: host.undone() == 0, 30)
                fell = [call.at for call in graph.taken if call.text == "Sorry"]
                await meta.insist([Said(phone=phone(200), text="blocks")])
                done = done and await until(lambda: host.undone() == 0, 30)
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
    at = {call.text.removesuffix(" a"): call.at for call in graph.taken}
    waits = [at[one.text] - meta.acked[one.text] for one in quick]
    late = max(fell, default=0) - meta.acked["stuck0"]
    named = [event["detail"] for event in host.events("notice") if event["topic"] == "bot"]
    figures = Figures(
        f"stuck engine: 10 handlers that never end, a time-out of {TIMEOUT:g} s, 50 quick ones beside them"
    )
    figures.add_seconds(
        "quick ones answered within", f"{max(waits):.2f} s", "less than the time-out", good=max(waits) < TIMEOUT
    )
    figures.add("fallback said to the stuck ones", len(fell), "10", good=len(fell) == len(never))
    figures.add_seconds("the last fallback after", f"{late:.2f} s", "at the time-out", good=late < TIMEOUT + 2)
    figures.add(
        "a blocking handler is named", named[0][:34] if named else "no", "bot.py:7", good="bot.py:7" in str(named)
    )
    figures.add("unforeseen", len(host.wrong), "0", good=done and not host.wrong and code == 0)
    return figures


async def asleep(folder: Path, *, seconds: float) -> Figures:
    """SIGSTOP under load, as a laptop that is closed; statuses tell what Graph took."""
    people = [Said(phone=phone(count % 100), text=f"m{count}") for count in range(600)]
    meta: Meta
    async with Graph(lambda call: meta.tell_sent(call)) as graph:
        host = Host(folder, graph.url, bot=SLOW.replace(str(THINKS), "0.5"))
        async with Meta(host.url) as meta:
            try:
                await asyncio.to_thread(host.start)
                offering = asyncio.create_task(meta.offer(people, 200))
                await asyncio.sleep(1.5)
                host.send(signal.SIGSTOP)
                await asyncio.sleep(seconds)
                host.send(signal.SIGCONT)
                woke = time.monotonic()
                await offering
                await meta.settled()
                done = await until(lambda: host.undone() == 0, 120)
                drained = time.monotonic() - woke
                await meta.settled()
                code = await asyncio.to_thread(host.end)
            finally:
                host.leave()
        figures = Figures(f"asleep: SIGSTOP for {seconds:g} s under load")
        figures.add_verdict(judge(meta.acked, graph.taken, order_of(host), [" a"]), doubles="0", worst=0)
    waits = [at * 1000 for at in meta.slow]
    figures.add("all answered after it woke", f"{done}, {drained:.1f} s", "True", good=done)
    figures.add("slowest delivery", f"{share(waits, 1) / 1000:.1f} s")
    figures.add("unforeseen", len(host.wrong), "0", good=not host.wrong and code == 0)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.engine", description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--sleep", type=float, default=60, help="seconds of SIGSTOP; a lease lasts 30")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        codes = [
            asyncio.run(slow(folder / "slow", users=given.users)).print(),
            asyncio.run(stuck(folder / "stuck")).print(),
            asyncio.run(asleep(folder / "asleep", seconds=given.sleep)).print(),
        ]
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
