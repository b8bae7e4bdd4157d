"""What the private listener puts up with, over real sockets: the slow, the many and the large; its streams stay."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from aerobot import events
from aerobot.host.bots_api import BotsApi
from aerobot.host.control import LIMITS, PrivateListener
from aerobot.host.reader import Reader
from aerobot.host.upkeep_api import UpkeepApi
from aerobot.runtime.listening import listen
from aerobot.secret import Secret
from aerobot.store.roster import Roster
from aerobot.store.sqlite import SqliteStore
from tests.front import heard

TOKEN = "private-bearer"
SOON = 10.0
"""Seconds within which what must happen must have happened; the limits below are far shorter."""


class Back:
    """A private listener over a store in ``folder``; ``changes`` are limits other than its own."""

    def __init__(self, folder: Path, **changes: float) -> None:
        self.store = SqliteStore(folder / "back.db")
        self.seen: list[events.Event] = []
        self.told: list[str] = []
        self._limits = replace(LIMITS, **changes)  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        await self.store.open()
        roster = Roster(self.store, None)
        await roster.load()
        api = BotsApi(store=self.store, roster=roster, origin=str, emit=self.seen.append, wake=lambda: None)
        self.private = PrivateListener(
            store=self.store,
            roster=roster,
            api=api,
            upkeep=UpkeepApi(self.store.upkeep, now=self.store.now, read_up=Reader(store=self.store).read_all),
            token=Secret(TOKEN),
            allowed_hosts=(),
            doing=str,
            about=dict,
            tell=self.told.append,
            limits=self._limits,
        )
        self._listener = await listen(
            self.private.app(), "127.0.0.1", 0, key="serve.private_port", free=False, gate=self.private.gate
        )
        self.url = self._listener.url
        self.port = int(self.url.rpartition(":")[2])
        self.client = aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self._listener.close()
        await self.store.close()
        assert not self.seen

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of one's own."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    @staticmethod
    def head(size: int, *, token: str = TOKEN) -> bytes:
        """The first bytes of a call that makes a bot."""
        lines = ("POST /api/bots HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}")
        return "\r\n".join([*lines, f"Content-Length: {size}", "", ""]).encode()

    async def answers(self) -> bool:
        """Whether a call is answered."""
        async with self.client.get(f"{self.url}/api/bots") as answer:
            return answer.status == 200 and await answer.json() == {"bots": []}

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(SOON):
            while not holds():
                await asyncio.sleep(0.01)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def test_a_head_that_does_not_end_is_answered_408(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Whoever does not say what they want in time is let go, and the operator is told once."""
    back = await stack.enter_async_context(Back(tmp_path, header_seconds=0.3))
    reader, writer = await back.connect()
    writer.write(back.head(5)[:40])
    async with asyncio.timeout(SOON):
        assert (await heard(reader)).startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert back.told == ["connections closed: 1 because no whole request came within 0.3 s"]
    assert await back.answers()


@pytest.mark.parametrize(
    "flood",
    [b"X: " + b"y" * 1_000_000, b"".join(b"X-%d: %s\r\n" % (n, b"y" * 4000) for n in range(100))],
    ids=["one-huge", "many-and-large"],
)
async def test_a_flood_of_headers_is_refused(stack: AsyncExitStack, tmp_path: Path, flood: bytes) -> None:
    """At the limit, not at the end; the next call is answered."""
    back = await stack.enter_async_context(Back(tmp_path))
    reader, writer = await back.connect()
    writer.write(back.head(0)[:-2] + flood)
    async with asyncio.timeout(SOON):
        answer = await heard(reader)
    writer.close()
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"431")
    await back.until(lambda: back.private.gate.open == 0)
    assert await back.answers()


async def test_a_body_that_does_not_come_is_answered_408(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Also to those who have the token; nothing is made of what came."""
    back = await stack.enter_async_context(Back(tmp_path, body_seconds=0.3))
    reader, writer = await back.connect()
    writer.write(back.head(500) + b'{"name": "Acme"')
    async with asyncio.timeout(SOON):
        answer = await heard(reader)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "TIMEOUT"
    assert await back.answers()


async def test_the_body_of_a_stranger_is_not_waited_for(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Without the token the answer is 401 at once, and the connection ends with it."""
    back = await stack.enter_async_context(Back(tmp_path))
    reader, writer = await back.connect()
    writer.write(back.head(900_000, token="guessed") + b"x" * 1000)
    async with asyncio.timeout(SOON):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


async def test_a_large_body_is_taken_and_a_larger_one_refused(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A megabyte, as ever: 413 says so, and the listener goes on."""
    back = await stack.enter_async_context(Back(tmp_path))
    for size, status in ((1_000_000, 400), (1_100_000, 413)):
        async with back.client.post(f"{back.url}/api/bots", data=io.BytesIO(b"x" * size)) as answer:
            assert answer.status == status
    assert await back.answers()


async def test_a_newcomer_takes_the_place_of_the_one_that_waits_longest(stack: AsyncExitStack, tmp_path: Path) -> None:
    """With all places taken by the silent and the slow, whoever has something to say is heard."""
    back = await stack.enter_async_context(Back(tmp_path, connections=10))
    callers = []
    for n in range(30):
        reader, writer = await back.connect()
        writer.write([b"", back.head(5)[:30], back.head(500) + b"half"][n % 3])
        await writer.drain()
        callers.append((reader, writer))
    await back.until(lambda: back.private.gate.open <= 10)
    for _ in range(10):
        assert await back.answers()
    assert "more than 10 were open" in " ".join(back.told)
    for _, writer in callers:
        writer.close()


async def test_an_idle_connection_is_closed(stack: AsyncExitStack, tmp_path: Path) -> None:
    """It may be used again within the time, and is let go after it, without a word."""
    back = await stack.enter_async_context(Back(tmp_path, idle_seconds=0.5))
    reader, writer = await back.connect()
    for _ in range(2):
        writer.write(back.head(0))
        assert (await reader.readuntil(b"required\"}}")).startswith(b"HTTP/1.1 400 ")
    async with asyncio.timeout(SOON):
        assert await heard(reader) == b""
    writer.close()
    assert back.told == []


async def test_a_stream_of_events_is_never_cut(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Not by any time, however long nothing happens, and not for a newcomer."""
    changes = {"header_seconds": 0.2, "body_seconds": 0.2, "idle_seconds": 0.2, "connections": 3}
    back = await stack.enter_async_context(Back(tmp_path, **changes))
    async with back.client.get(f"{back.url}/api/events") as stream:
        assert stream.status == 200
        writers = []
        for n in range(20):
            _, writer = await back.connect()
            writer.write(back.head(5)[: n * 3])
            writers.append(writer)
            await asyncio.sleep(0.05)
        back.private.told(events.Notice(at=1, level="ok", topic="test", detail="still here"))
        async with asyncio.timeout(SOON):
            line = await stream.content.readline()
    assert json.loads(line)["detail"] == "still here"
    for writer in writers:
        writer.close()
    await back.until(lambda: back.private.gate.open <= 3)
    assert await back.answers()
