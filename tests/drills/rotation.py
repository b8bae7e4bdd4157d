"""Changes the app secret and the access token under load, first here, then at Meta, then forgets the former ones.

    python -m tests.drills.rotation [--seconds 20] [--rate 30] [--seed 1]

Ends with 1 where one webhook is refused, one message is not answered, or the number is paused.
"""

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.drills.graph import Graph
from tests.drills.host import Host
from tests.drills.judge import Figures, judge, order_of
from tests.drills.kill import writing
from tests.drills.meta import Meta, until
from tests.front import SECRET

NEW_SECRET, OLD_TOKEN, NEW_TOKEN = "fedcba9876543210fedcba9876543210", "EAAG-drill", "EAAG-new"
BOTH = {
    "WHATSAPP_APP_SECRET": NEW_SECRET,
    "WHATSAPP_APP_SECRET_PREVIOUS": SECRET,
    "WHATSAPP_ACCESS_TOKEN": NEW_TOKEN,
    "WHATSAPP_ACCESS_TOKEN_PREVIOUS": OLD_TOKEN,
}


async def drill(folder: Path, *, seconds: float, rate: float, seed: int) -> Figures:
    """Old alone; both here and old at Meta; both here and new at Meta; new alone."""
    secret = SECRET
    async with Graph() as graph:
        graph.tokens = frozenset({OLD_TOKEN})
        host = Host(folder, graph.url)
        async with Meta(host.url, secret=lambda: secret) as meta:
            offering = asyncio.create_task(meta.offer(writing(random.Random(seed), 50), rate))
            try:
                for step in range(4):
                    if step == 2:
                        secret, graph.tokens = NEW_SECRET, frozenset({NEW_TOKEN})
                    else:
                        if step:
                            await asyncio.to_thread(host.end)
                        changes = ({}, BOTH, {}, {key: "" for key in BOTH if key.endswith("PREVIOUS")})[step]
                        await asyncio.to_thread(lambda changes=changes: host.start(**changes))
                    await asyncio.sleep(seconds / 4)
                offering.cancel()
                await meta.settled()
                done = await until(lambda: host.undone() == 0, 60)
                code = await asyncio.to_thread(host.end)
            finally:
                offering.cancel()
                host.leave()
        verdict = judge(meta.acked, graph.taken, order_of(host))
    figures = Figures(f"rotation: app secret and access token within {seconds:g} s, {rate:g} messages/s")
    refused = sum(status not in (0, 200) for status in meta.statuses)
    figures.add("webhooks refused", refused, "0", good=not refused)
    figures.add("accepted with old and new token", dict(Counter(call.token for call in graph.taken)))
    figures.add("calls with a token that Meta refuses", sum(not call.wamid for call in graph.calls))
    figures.add_verdict(verdict, doubles="0", worst=0)
    paused = len(host.events("number_paused"))
    figures.add("number paused", paused, "0", good=not paused)
    told = [event["detail"] for event in host.events("notice") if event["topic"] in ("secret", "token")]
    figures.add("which one is used was told", len(told), "at least 4 times", good=len(told) >= 4)
    figures.add("unforeseen", len(host.wrong), "0", good=done and not host.wrong and code == 0)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.rotation", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=30, help="messages a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(drill(Path(name), seconds=given.seconds, rate=given.rate, seed=given.seed))
    return figures.print()


if __name__ == "__main__":
    raise SystemExit(main())
