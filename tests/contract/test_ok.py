"""The 200 of a delivery on the wire: whoever speaks HTTP in whatever way gets one whole answer for each request."""

import asyncio
import re
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import HttpVersion10, HttpVersion11, web

from aerobot.emulator import webhooks
from aerobot.host.ok import Acknowledgements
from tests.front import SECRET, Front, heard, hello

SOON = 20


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with Front(tmp_path) as front:
        yield front


def request(front: Front, number: int, *, version: str = "1.1", **headers: str) -> bytes:
    body = hello(f"wamid.{number}")
    signed = {"X_Hub_Signature_256": webhooks.sign(body, SECRET), **headers}
    return front.head(len(body), **signed).replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1) + body


async def test_it_is_a_whole_answer(front: Front) -> None:
    """Status, length, type and date, as any client reads them."""
    reader, writer = await front.connect()
    writer.write(request(front, 1))
    async with asyncio.timeout(SOON):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        assert await reader.readexactly(2) == b"ok"
    writer.close()
    lines = head.split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert headers["Content-Length"] == "2"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    parsedate_to_datetime(headers["Date"])


@pytest.mark.parametrize(("version", "headers"), [("1.0", {}), ("1.1", {"Connection": "close"})])
async def test_who_wants_the_connection_to_end_sees_it_end(front: Front, version: str, headers: dict[str, str]) -> None:
    """An old client, and one that says so, reads to the end."""
    reader, writer = await front.connect()
    writer.write(request(front, 1, version=version, **headers))
    async with asyncio.timeout(SOON):
        answer = await heard(reader)
    writer.close()
    assert answer.startswith(f"HTTP/{version} 200 OK\r\n".encode())
    assert answer.endswith(b"\r\n\r\nok")
    assert len(await front.stored()) == 1


async def test_many_at_once_on_one_connection(front: Front) -> None:
    """Pipelined, with one in between that is refused: as many answers as requests, in their order."""
    reader, writer = await front.connect()
    forged = request(front, 50).replace(b"sha256=", b"sha256=0", 1)
    writer.write(b"".join(request(front, n) for n in range(50)) + forged)
    writer.write(b"".join(request(front, n) for n in range(51, 100)))
    async with asyncio.timeout(SOON):
        statuses = []
        for _ in range(100):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
            statuses.append(head[9:12])
    writer.close()
    assert statuses == [b"200"] * 50 + [b"403"] + [b"200"] * 49
    assert len(await front.stored()) == 99


class Transport:
    """As much of a transport as is asked for."""

    def __init__(self, waiting: int = 0) -> None:
        self._waiting = waiting

    def get_write_buffer_size(self) -> int:
        return self._waiting


@pytest.mark.parametrize(
    ("version", "keep_alive", "transport"),
    [
        (HttpVersion10, True, Transport()),
        (HttpVersion11, False, Transport()),
        (HttpVersion11, True, Transport(waiting=1)),
        (HttpVersion11, True, None),
    ],
)
async def test_aiohttp_answers_everybody_else(version: object, keep_alive: bool, transport: object) -> None:
    """Who is old, leaves, does not read or has left gets an answer of aiohttp's own, which waits for the caller."""
    asked = SimpleNamespace(version=version, keep_alive=keep_alive, transport=transport)
    assert type(Acknowledgements().to(asked)) is web.Response  # type: ignore[arg-type]


async def test_the_date_is_that_of_the_second() -> None:
    """Made once a second, and anew in the next."""
    now = 1_763_900_000.25
    answers = Acknowledgements(lambda: now)
    asked = SimpleNamespace(version=HttpVersion11, keep_alive=True, transport=Transport())
    first = answers.to(asked)  # type: ignore[arg-type]
    assert answers.to(asked) is first  # type: ignore[arg-type]
    now += 1
    assert answers.to(asked) is not first  # type: ignore[arg-type]
