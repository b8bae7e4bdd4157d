"""What the public listener puts up with, over real sockets: the slow, the many, the large and the broken."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from aerobot import events
from aerobot.config import load
from aerobot.emulator import webhooks
from aerobot.host.gate import Gate
from aerobot.runtime.values import limits
from aerobot.store.base import HostedBot
from tests.front import SECRET, Front, default_limits, heard, hello

SOON = 10.0
"""Seconds within which what must happen must have happened; the limits below are far shorter."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def opened(stack: AsyncExitStack, folder: Path, **changes: float) -> Front:
    """A listener with these limits; what it told ends without anything unforeseen."""
    front = await stack.enter_async_context(Front(folder, **changes))
    stack.callback(lambda: _calm(front))
    return front


def _calm(front: Front) -> None:
    assert not front.told(events.Unexpected)


def notices(front: Front) -> str:
    """What was said about closed connections."""
    return " ".join(notice.detail for notice in front.told(events.Notice) if notice.topic == "public")


async def gone(front: Front, left: int = 0) -> None:
    """Wait until no more than ``left`` connections stand open."""
    async with asyncio.timeout(SOON):
        while front.public.gate.open > left:
            await asyncio.sleep(0.01)


# -- time ------------------------------------------------------------------------------------------------------------


async def test_a_head_that_does_not_end_is_answered_408(stack: AsyncExitStack, tmp_path: Path) -> None:
    """However steadily its bytes trickle in; the operator is told once."""
    front = await opened(stack, tmp_path, header_seconds=0.3)
    reader, writer = await front.connect()

    async def trickle() -> None:
        for byte in front.head(5)[:-2] + b"X-Slow: " + b"y" * 5000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(SOON):
        assert (await heard(reader)).startswith(b"HTTP/1.1 408 ")
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)
    writer.close()
    assert "no whole request came within 0.3 s" in notices(front)
    assert await front.post(hello("wamid.1")) == 200


async def test_who_says_nothing_is_closed_without_a_word(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A connection without a request is not worth a line: browsers and load balancers open them ahead."""
    front = await opened(stack, tmp_path, header_seconds=0.2)
    reader, writer = await front.connect()
    async with asyncio.timeout(SOON):
        assert await heard(reader) == b""
    writer.close()
    assert notices(front) == ""


async def test_empty_lines_are_no_beginning(stack: AsyncExitStack, tmp_path: Path) -> None:
    """HTTP allows them before a request; the time goes on all the same."""
    front = await opened(stack, tmp_path, header_seconds=0.2)
    reader, writer = await front.connect()
    writer.write(b"\r\n\r\n\r\n" + front.head(5)[:20])
    async with asyncio.timeout(SOON):
        assert (await heard(reader)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_body_that_does_not_come_is_answered_408(stack: AsyncExitStack, tmp_path: Path) -> None:
    """And the connection ends; what has come so far is not stored; the operator is told why."""
    front = await opened(stack, tmp_path, body_seconds=0.3)
    body = hello("wamid.1")
    for head in (front.head(len(body)), front.head(5).replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")):
        reader, writer = await front.connect()
        writer.write(head + (body[:40] if b"chunked" not in head else b"5\r\nhello\r\n"))
        async with asyncio.timeout(SOON):
            answer = await heard(reader)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()
    assert [event.status for event in front.told(events.Rejected)] == [408, 408]
    assert await front.stored() == {}
    assert await front.post(body) == 200


async def test_an_idle_connection_is_closed(stack: AsyncExitStack, tmp_path: Path) -> None:
    """It may be used again within the time, and is let go after it, without a word."""
    front = await opened(stack, tmp_path, idle_seconds=1.5)
    reader, writer = await front.connect()
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    async with asyncio.timeout(SOON):
        assert await heard(reader) == b""
    writer.close()
    assert notices(front) == ""


async def test_who_never_reads_is_let_go(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A thousand requests at once whose answers nobody reads hold no connection for ever."""
    front = await opened(stack, tmp_path, idle_seconds=0.5, header_seconds=0.5)
    _, writer = await front.connect()
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
    await gone(front)
    writer.close()
    assert await front.post(hello("wamid.1")) == 200


# -- number ----------------------------------------------------------------------------------------------------------


async def test_a_newcomer_takes_the_place_of_the_one_that_waits_longest(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """With all places taken by the silent, and by those who do not end a head or a body, a delivery gets its 200."""
    front = await opened(stack, tmp_path, connections=20)
    callers = []
    for n in range(60):
        reader, writer = await front.connect()
        writer.write([b"", front.head(5)[:30], front.head(500) + b"half"][n % 3])
        await writer.drain()
        callers.append((reader, writer))
    await gone(front, 20)
    for n in range(30):
        assert await front.post(hello(f"wamid.{n}")) == 200
    assert front.public.gate.open <= 20
    assert len(await front.stored()) == 30
    assert "more than 20 were open" in notices(front)
    assert len(front.told(events.Notice)) == 1, "a flood is a line, not a flood of lines"
    for _, writer in callers:
        writer.close()


async def test_who_is_waiting_for_us_is_closed_for_nobody(stack: AsyncExitStack, tmp_path: Path) -> None:
    """While the store is slow, deliveries that are here in full keep their places: newcomers go instead."""
    front = await opened(stack, tmp_path, connections=3)
    release = asyncio.Event()
    entered = asyncio.Semaphore(0)
    receive = front.store.receive

    class Slow:
        """The store, a while later."""

        now = staticmethod(front.store.now)

        async def receive(self, bot: HostedBot, body: bytes, *, signed: bool) -> None:
            entered.release()
            await release.wait()
            await receive(bot, body, signed=signed)

    front.public._store = Slow()  # type: ignore[assignment]
    posts = [asyncio.create_task(front.post(hello(f"wamid.{n}"))) for n in range(3)]
    async with asyncio.timeout(SOON):
        for _ in posts:
            await entered.acquire()
        for _ in range(5):
            reader, writer = await front.connect()
            assert await heard(reader) == b""
            writer.close()
    release.set()
    assert await asyncio.gather(*posts) == [200] * 3
    assert len(await front.stored()) == 3


async def test_all_bodies_together_are_bounded(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Many large bodies that do not end hold no more memory than the limit: the oldest go, a delivery is answered."""
    front = await opened(stack, tmp_path, held_bytes=8 * 1024 * 1024)
    callers = []
    for _ in range(8):
        _, writer = await front.connect()
        writer.write(front.head(4_000_000) + b"x" * 3_000_000)
        await writer.drain()
        callers.append(writer)
    async with asyncio.timeout(SOON):
        while "all bodies together took more than 8388608 bytes" not in notices(front):
            await asyncio.sleep(0.01)
    assert await front.post(hello("wamid.1")) == 200
    assert front.public.gate._held <= 8 * 1024 * 1024
    assert front.public.gate.open < 8
    for writer in callers:
        writer.close()
    await front.client.close()
    await gone(front)
    assert front.public.gate._held == 0


def test_a_system_with_few_files_has_fewer_connections(tmp_path: Path) -> None:
    """More connections than the system allows open files are not promised, and that is said."""
    said: list[tuple[str, str, str]] = []
    environ = {"AEROBOT_SERVE_MAX_CONNECTIONS": "100000"}
    found = limits(load(environ=environ, cwd=tmp_path, credentials=False), lambda *words: said.append(words))
    if found.connections == 100_000:
        assert said == []
    else:
        ((level, topic, detail),) = said
        assert (level, topic) == ("warning", "public")
        assert f"{found.connections} connections at most, not 100000" in detail


# -- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(b"X-%d: y\r\n" % n for n in range(20_000)),
        b"".join(b"X-%d: %s\r\n" % (n, b"y" * 4000) for n in range(100)),
        b"X: " + b"y" * 1_000_000,
        b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    ],
    ids=["many", "many-and-large", "one-huge", "many-that-end"],
)
async def test_a_flood_of_headers_is_refused(stack: AsyncExitStack, tmp_path: Path, flood: bytes) -> None:
    """At the limit, not at the end: 431 or 400, or the connection is gone, and the next delivery is answered."""
    front = await opened(stack, tmp_path)
    reader, writer = await front.connect()
    writer.write(front.head(0)[:-2] + flood)
    async with asyncio.timeout(SOON):
        answer = await heard(reader)
    writer.close()
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"431")
    await gone(front)
    assert await front.post(hello("wamid.1")) == 200


async def test_the_head_as_a_whole_is_bounded(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Headers that are each within aiohttp's bounds, but together beyond ours: 431; just below it is served."""
    front = await opened(stack, tmp_path, header_bytes=16_384)
    for size, status in ((3000, b"200"), (6000, b"431")):
        reader, writer = await front.connect()
        lines = b"".join(b"X-%d: %s\r\n" % (n, b"y" * size) for n in range(3))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n")
        async with asyncio.timeout(SOON):
            assert (await heard(reader)).split(b" ")[1] == status
        writer.close()
    assert "their headers took more than 16384 bytes" in notices(front)


async def test_headers_count_anew_with_each_request(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A connection that is used for long is not refused for what its requests took together."""
    front = await opened(stack, tmp_path, header_bytes=16_384)
    for n in range(40):
        assert await front.post(hello(f"wamid.{n}"), **{"X-Long": "y" * 4000}) == 200
    assert len(await front.stored()) == 40
    assert notices(front) == ""


@pytest.mark.parametrize(
    "garbage",
    [
        b"1;" + b"x" * 1000 + b"\r\na\r\n",
        b"1\r\na\r\n",
        b"00000000000000000000000001\r\na\r\n",
        b"zz\r\n",
        b"-1\r\nab\r\n",
        b"ffffffffffffffff\r\n" + b"x" * 1000,
        b"5\r\nhello garbage\r\n",
        b"\r\n\r\n",
    ],
)
async def test_chunked_garbage_ends(stack: AsyncExitStack, tmp_path: Path, garbage: bytes) -> None:
    """A body of frames without content, or of no frames at all, is ended by a limit, and never by 5xx."""
    front = await opened(stack, tmp_path, body_bytes=3 * 1024 * 1024, body_seconds=5)
    reader, writer = await front.connect()
    writer.write(front.head(5).replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))

    async def pour() -> None:
        block = garbage * (65536 // len(garbage))
        for _ in range(200):
            writer.write(block)
            await writer.drain()

    pouring = asyncio.create_task(pour())
    async with asyncio.timeout(SOON):
        answer = await heard(reader)
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)
    writer.close()
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"408", b"413"), answer
    await gone(front)
    assert await front.stored() == {}
    assert await front.post(hello("wamid.1")) == 200


async def test_a_parser_that_stumbles_is_answered_for(tmp_path: Path) -> None:
    """An exception of what is behind the gate is 400 and a notice, not a traceback of asyncio's for each request."""
    said: list[str] = []
    gate = Gate(default_limits(tmp_path), said.append)

    class Stumbling(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ValueError(data)

    server = await asyncio.get_running_loop().create_server(lambda: gate.door(Stumbling()), "127.0.0.1", 0)
    for _ in range(3):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET http://[ HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(SOON):
            assert (await heard(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()
    server.close()
    gate.close()
    assert said == [f"connections closed: {n} because aiohttp could not read a request (ValueError)" for n in (1, 2)]


async def test_a_bomb_is_not_unpacked(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A signed gzip body is kept as the bytes that came: 200, unusable, as small as it was."""
    front = await opened(stack, tmp_path)
    bomb = gzip.compress(b"\0" * 100_000_000)
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        assert await front.post(bomb, **{"Content-Encoding": encoding}) == 200
    rows = await front.store._threads.read(
        lambda db: db.execute("SELECT state, length(body) FROM deliveries").fetchall()
    )
    assert {tuple(row) for row in rows} == {("unusable", len(bomb))}


async def test_who_asks_whether_to_send_a_body_is_told_to(stack: AsyncExitStack, tmp_path: Path) -> None:
    """`Expect: 100-continue`, as curl sends it before larger bodies, is answered before the body comes."""
    front = await opened(stack, tmp_path)
    body = hello("wamid.1")
    signed = {"X_Hub_Signature_256": webhooks.sign(body, SECRET), "Expect": "100-continue"}
    reader, writer = await front.connect()
    writer.write(front.head(len(body), **signed))
    async with asyncio.timeout(SOON):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert set(await front.stored()) == {"wamid.1"}


async def test_a_refusal_before_the_body_is_read_ends_the_connection(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Who is refused while it still sends can read why; what it sends is thrown away."""
    front = await opened(stack, tmp_path)
    for path, status in (("/api/bots/webhook/whatsapp/bt_other", b"404"), (front.path, b"413")):
        reader, writer = await front.connect()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n".encode())
        writer.write(b"x" * 6_000_000)
        async with asyncio.timeout(SOON):
            answer = await heard(reader)
        writer.close()
        assert answer.split(b" ")[1] == status
        assert b"connection: close" in answer.lower()
