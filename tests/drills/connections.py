"""Opens thousands of connections that say nothing, or half of something, while signed webhooks are delivered.

    python -m tests.drills.connections [--count 10000] [--deliveries 200] [--max-connections 500]

Starts a real `aerobot serve` with a bot that is silent. Ends with 1 where a delivery was not answered 200.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from aerobot.emulator import webhooks
from tests.front import BOT, NUMBER, SECRET, hello
from tests.running import Running, environment

SETTINGS = {
    "WHATSAPP_PHONE_NUMBER_ID": NUMBER,
    "WHATSAPP_ACCESS_TOKEN": "EAAG-drill",
    "WHATSAPP_VERIFY_TOKEN": "verify",
    "WHATSAPP_APP_SECRET": SECRET,
    "WHATSAPP_GRAPH_URL": "http://127.0.0.1:9",
    "BOT_ID": BOT,
    "SERVE_PORT": "0",
    "SERVE_PRIVATE_PORT": "0",
}
HALF = b"POST /api/bots/webhook/whatsapp/bt_acme HTTP/1.1\r\nHost: x\r\n"
SPEECHES = (b"", HALF, HALF + b"Content-Length: 1000\r\n\r\nhalf a body")
"""What an idle connection says: nothing, half a head, half a body."""


def raised(wanted: int) -> int:
    """Let this process and its children have ``wanted`` open files, as far as it may; returns how many it has."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


class Crowd:
    """Connections that are opened, say their part and wait; one that is closed stays closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._callers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.refused = 0

    @property
    def opened(self) -> int:
        """How many were opened."""
        return len(self._callers)

    @property
    def standing(self) -> int:
        """How many the other side has not closed."""
        return sum(not (reader.at_eof() or reader.exception()) for reader, _ in self._callers)

    async def gather(self, count: int) -> None:
        """Open ``count`` connections, a hundred at a time."""
        for start in range(0, count, 100):
            await asyncio.gather(*(self._open(n) for n in range(start, min(count, start + 100))))

    async def _open(self, n: int) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(SPEECHES[n % len(SPEECHES)])
            self._callers.append((reader, writer))
        except OSError:
            self.refused += 1

    def leave(self) -> None:
        """Close them all."""
        for _, writer in self._callers:
            writer.transport.abort()


async def deliver(url: str, first: int, count: int) -> tuple[list[int], float]:
    """Deliver ``count`` messages, each over a connection of its own; their statuses (0: none) and the slowest's ms."""
    statuses, slowest = [], 0.0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as client:
        for n in range(first, first + count):
            body = hello(f"wamid.drill.{n}", phone=f"3161{n:07}")
            began = time.perf_counter()
            try:
                headers = {"X-Hub-Signature-256": webhooks.sign(body, SECRET)}
                async with client.post(url, data=body, headers=headers) as answer:
                    statuses.append(answer.status)
            except aiohttp.ClientError:
                statuses.append(0)
            slowest = max(slowest, (time.perf_counter() - began) * 1000)
    return statuses, slowest


async def drill(url: str, count: int, deliveries: int) -> bool:
    """Run it and print the figures; true where every delivery was answered 200."""
    crowd = Crowd(int(url.split(":")[2].partition("/")[0]))
    alone, alone_ms = await deliver(url, 0, deliveries)
    began = time.perf_counter()
    gathering = asyncio.create_task(crowd.gather(count))
    beside, beside_ms = await deliver(url, deliveries, deliveries)
    await gathering
    took = time.perf_counter() - began
    under, under_ms = await deliver(url, 2 * deliveries, deliveries)
    print(f"connections opened   {crowd.opened} in {took:.1f} s, {crowd.refused} not; {crowd.standing} stand now")
    for name, statuses, slowest in (
        ("alone", alone, alone_ms), ("while they came", beside, beside_ms), ("while they stood", under, under_ms),
    ):  # fmt: skip
        print(f"{name:<20} {statuses.count(200)} of {len(statuses)} answered 200, the slowest in {slowest:.0f} ms")
    crowd.leave()
    return set(alone + beside + under) == {200}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, start a host, drill it, stop it."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.connections", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="connections to open")
    parser.add_argument("--deliveries", type=int, default=200, help="signed webhooks, three times")
    parser.add_argument("--max-connections", type=int, default=500, help="serve.max_connections of the host")
    given = parser.parse_args(arguments)
    print(f"open files           {raised(given.count + 1000)} at most")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bot.py").write_text("def reply(turn):\n    return None\n")
        extra = {f"AEROBOT_{key}": value for key, value in SETTINGS.items()}
        extra["AEROBOT_SERVE_MAX_CONNECTIONS"] = str(given.max_connections)
        command = ["serve", "bot.py", "--no-validate", "--json"]
        with Running(command, cwd=folder, env=environment(folder, extra)) as host:
            url = host.event("ready")["webhook_url"]
            good = asyncio.run(drill(url, given.count, given.deliveries))
            code = host.stop(15)
    told = [json.loads(line) for line in host.lines]
    closed = [event["detail"] for event in told if event["event"] == "notice" and event["topic"] == "public"]
    stored = sum(event["event"] == "message" for event in told)
    print(f"the host             {stored} messages stored, ended with {code}, told: {closed or 'nothing'}")
    wrong = [event for event in told if event["event"] == "error"]
    print(f"unforeseen           {len(wrong)}{''.join(f' {event}' for event in wrong[:3])}")
    return 0 if good and code == 0 and not wrong and stored == 3 * given.deliveries else 1


if __name__ == "__main__":
    raise SystemExit(main())
