"""The kept connections to Graph, on real sockets: whole answers, each to its own request, and what if none comes."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import pytest

from aerobot.connections import LARGEST, Answer, Connections, NotConnectedError

SOON = 20
ASK = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Speaks as its script says to each connection; counts them."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        scheme = "https" if self._context else "http"
        self.url = f"{scheme}://localhost:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._script(self, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """One request without a body."""
    return await reader.readuntil(b"\r\n\r\n")


def saying(*pieces: bytes, ends: bool = True) -> Script:
    """To each request these bytes, a moment apart; then the connection ends, or not."""

    async def script(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await heard(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.005)
            if ends:
                return

    return script


@contextlib.asynccontextmanager
async def to(url: str, *, timeout: float = SOON, connect: float = SOON, **more: object) -> AsyncIterator[Connections]:
    connections = Connections(url, timeout=timeout, connect=connect, **more)  # type: ignore[arg-type]
    try:
        yield connections
    finally:
        connections.close()


# -- whole answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([OK], Answer(200, b"ok", None)),
        ([bytes([byte]) for byte in OK], Answer(200, b"ok", None)),
        ([b"HTTP/1.1 429 Slow\r\nretry-AFTER: 7\r\nContent-Length: 0\r\n\r\n"], Answer(429, b"", "7")),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no", b"\r\n1\r\nk\r\n", b"0\r\n\r\n"],
            Answer(200, b"ok", None),
        ),
        ([b"HTTP/1.1 500 No\r\n\r\nno ", b"end but the end"], Answer(500, b"no end but the end", None)),
        ([b"HTTP/1.0 200 OK\r\n\r\nold"], Answer(200, b"old", None)),
        ([b"HTTP/1.1 204 Empty\r\n\r\n"], Answer(204, b"", None)),
        (
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nRetry-After: 1\r\n\r\n", OK],
            Answer(200, b"ok", None),
        ),
    ],
)
async def test_a_whole_answer_in_whatever_form(pieces: list[bytes], answer: Answer) -> None:
    """By length, in chunks, to the end of the connection, after others that are none; in pieces of any size."""
    async with Server(saying(*pieces)) as server, to(server.url) as graph, asyncio.timeout(SOON):
        assert await graph.ask(ASK) == answer


async def test_a_connection_is_used_again_and_never_by_two() -> None:
    """One after the other needs one; as many at once need as many, and each gets the answer to its own request."""

    async def echo(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            target = (await heard(reader)).split()[1]
            await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))

    async with Server(echo) as server, to(server.url, most=5) as graph, asyncio.timeout(SOON):
        for _ in range(3):
            await graph.ask(ASK)
        assert server.connections == 1
        targets = [b"/%d" % n for n in range(60)]
        answers = await asyncio.gather(*(graph.ask(ASK.replace(b"/x", target)) for target in targets))
        assert [answer.body for answer in answers] == targets
        assert server.connections == 5


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\n",
        OK + OK,
    ],
    ids=["it says so", "more than an answer", "two answers"],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(last: bytes) -> None:
    """It ends, or says more than it was asked: whatever else it says belongs to nobody."""
    async with Server(saying(last, ends=False)) as server, to(server.url) as graph, asyncio.timeout(SOON):
        for count in (1, 2, 3):
            assert (await graph.ask(ASK)).body == b"ok"
            await asyncio.sleep(0.02)
            assert server.connections == count


async def test_what_was_closed_while_it_rested_is_not_used() -> None:
    """A server that closes after each answer without a word: the next request has a connection of its own."""
    async with Server(saying(OK)) as server, to(server.url) as graph, asyncio.timeout(SOON):
        for count in (1, 2, 3):
            assert (await graph.ask(ASK)).status == 200
            await asyncio.sleep(0.05)
            assert server.connections == count


# -- no answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf"],
        [b"HTTP/1.1 20"],
        [b"220 mail.example ESMTP\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
        [b"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST + 1)],
    ],
    ids=["nothing", "half", "half a chunk", "half a head", "garbage", "two lengths", "an upgrade", "too much"],
)
async def test_no_whole_answer_is_a_broken_connection(pieces: list[bytes]) -> None:
    """What the server did is not known: no ``NotConnectedError``, and the next call is not concerned."""
    async with Server(saying(*pieces)) as server, to(server.url) as graph, asyncio.timeout(SOON):
        for _ in range(2):
            with pytest.raises(ConnectionError) as caught:
                await graph.ask(ASK)
            assert not isinstance(caught.value, NotConnectedError)
            assert str(caught.value)
        assert server.connections == 2


async def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    """The time-out ends its connection; the late answer is not taken for that of the next request."""

    async def late(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        slow = server.connections == 1
        await heard(reader)
        if slow:
            await asyncio.sleep(0.3)
        writer.write(OK.replace(b"ok", b"no" if slow else b"ok"))
        await asyncio.sleep(1)

    async with Server(late) as server, to(server.url, timeout=0.1) as graph, asyncio.timeout(SOON):
        with pytest.raises(TimeoutError):
            await graph.ask(ASK)
        assert (await graph.ask(ASK)).body == b"ok"


async def test_who_gives_up_leaves_no_answer_behind() -> None:
    """A cancelled call closes its connection and frees its place."""

    async def silent(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        if server.connections > 1:
            writer.write(OK)
        await asyncio.sleep(5)

    async with Server(silent) as server, to(server.url, most=1) as graph, asyncio.timeout(SOON):
        asking = asyncio.create_task(graph.ask(ASK))
        while not server.connections:
            await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await graph.ask(ASK)).body == b"ok"


async def test_nobody_there_and_no_place_is_known_to_have_sent_nothing() -> None:
    """A refused connection, a name that is none, and a wait for a place that is too long."""
    async with to("http://127.0.0.1:9") as graph:
        with pytest.raises(NotConnectedError):
            await graph.ask(ASK)
    async with to("http://nobody.invalid") as graph:
        with pytest.raises(NotConnectedError):
            await graph.ask(ASK)
    async with Server(saying(b"", ends=False)) as server, to(server.url, most=1, connect=0.1) as graph:
        first = asyncio.create_task(graph.ask(ASK))
        while not server.connections:
            await asyncio.sleep(0.001)
        with pytest.raises(NotConnectedError, match=r"no connection within 0\.1 s"):
            await graph.ask(ASK)
        graph.close()
        with pytest.raises(ConnectionError):
            await first


async def test_closing_ends_what_is_under_way() -> None:
    """Who waits is told, be it for an answer or for a connection; nothing is left open, and nothing opened anew."""
    async with Server(saying(b"", ends=False)) as server, to(server.url) as graph, asyncio.timeout(SOON):
        asking = [asyncio.create_task(graph.ask(ASK)) for _ in range(5)]
        while server.connections < 3:
            await asyncio.sleep(0)
        graph.close()
        asking.append(asyncio.create_task(graph.ask(ASK)))
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [error for error in ended if not isinstance(error, ConnectionError)] == []
        assert isinstance(ended[-1], NotConnectedError)
        assert not graph._open


# -- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody else trusts, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key, made = path.with_name("key.pem"), path.with_name("cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(key.read_bytes() + made.read_bytes())
    return path


async def test_over_tls_who_is_trusted_is_asked_and_a_stranger_never(certificate: Path) -> None:
    """The certificate and its name are checked before a byte of the request, and its token, goes out."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    ours = ssl.create_default_context(cafile=str(certificate))
    async with Server(saying(OK, ends=False), theirs) as server, asyncio.timeout(SOON):
        async with to(server.url, context=ours) as graph:
            assert [(await graph.ask(ASK)).body for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 1
        async with to(server.url) as graph:
            with pytest.raises(NotConnectedError, match="certificate"):
                await graph.ask(ASK)
        async with to(server.url.replace("localhost", "127.0.0.1"), context=ours) as graph:
            with pytest.raises(NotConnectedError, match="certificate"):
                await graph.ask(ASK)
