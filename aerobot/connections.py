"""Kept connections to one server, one request on each at a time: for the calls that are made for every message.

Its law: an answer belongs to the request before it on the same connection, and is whole, or the connection is closed.
Nothing is repeated here: who is told that a connection broke cannot know what the server did. httptools, uvicorn's
parser, reads the answers and asyncio speaks TLS; what is ours joins the two. Decision 10 says why.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

LARGEST = 1024 * 1024
"""Bytes of an answer: Graph's are a few hundred."""
REST_SECONDS = 30.0
"""How long a connection that nobody uses is trusted to be open at the other end too."""


class NotConnectedError(ConnectionError):
    """No connection could be had in time: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``retry_after`` is that header, ``None`` where it has none."""

    status: int
    body: bytes
    retry_after: str | None


class Connections:
    """At most ``most`` connections to the server of ``url``; times are in seconds.

    ``connect`` covers the waiting for one and its making, ``timeout`` a whole call.
    """

    def __init__(
        self, url: str, *, timeout: float, connect: float, most: int = 200, context: ssl.SSLContext | None = None
    ) -> None:
        address = urlsplit(url)
        self._host = address.hostname or ""
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._context = (context or ssl.create_default_context()) if address.scheme == "https" else None
        self._timeout = timeout
        self._connect = connect
        self._places = asyncio.Semaphore(most)
        self._resting: deque[tuple[float, _Connection]] = deque()
        self._open: set[_Connection] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()

    async def ask(self, request: bytes) -> Answer:
        """Send the bytes of one HTTP/1.1 request and return its answer.

        Raises ``NotConnectedError`` where nothing was sent, ``TimeoutError``, and ``ConnectionError`` for all the rest.
        """
        ends = self._loop.time() + self._timeout
        connection = None if self._places.locked() else self._rested()
        if connection is None:
            connection = await self._connected()
        else:
            await self._places.acquire()
        try:
            answer = await connection.ask(request, ends)
            if connection.is_open:
                self._resting.append((self._loop.time(), connection))
        finally:
            self._places.release()
        return answer

    def close(self) -> None:
        """Close every connection; what is under way breaks, and none is made any more."""
        self._closed = True
        self._resting.clear()
        for connection in list(self._open):
            connection.close()

    def _rested(self) -> "_Connection | None":
        """The connection that was used last, if it can be used again."""
        oldest = self._loop.time() - REST_SECONDS
        while self._resting:
            since, connection = self._resting.pop()
            if since > oldest and connection.is_open:
                return connection
            connection.close()
        return None

    async def _connected(self) -> "_Connection":
        """A connection and a place for it, made where none rests."""
        placed = False
        try:
            async with asyncio.timeout(self._connect):
                placed = await self._places.acquire()
                return self._rested() or await self._made()
        except (OSError, TimeoutError) as error:
            if placed:
                self._places.release()
            words = str(error) or f"no connection within {self._connect:g} s"
            raise NotConnectedError(words) from None
        except BaseException:
            if placed:
                self._places.release()
            raise

    async def _made(self) -> "_Connection":
        if not self._closed:
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self._open),
                self._host,
                self._port,
                ssl=self._context,
                happy_eyeballs_delay=0.25,
            )
            if not self._closed:
                return connection
            connection.close()
        raise ConnectionAbortedError("it was closed from here")


class _Connection(asyncio.Protocol):
    """One connection; ``everybody`` are all that are open."""

    def __init__(self, everybody: "set[_Connection]") -> None:
        self._everybody = everybody
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._asking: asyncio.Future[Answer] | None = None
        self._begin()

    def _begin(self) -> None:
        self._body: list[bytes] = []
        self._size = 0
        self._retry_after: str | None = None
        self._has_end = self._has_head = self._has_begun = False

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, ends: float) -> Answer:
        """Send a request; unless its whole answer came, the connection is closed."""
        assert self._asking is None
        if self._transport is None:
            raise ConnectionResetError("it was closed")
        self._begin()
        asking: asyncio.Future[Answer] = self._loop.create_future()
        self._asking = asking
        late = self._loop.call_at(ends, self._late)
        try:
            self._transport.write(request)
            return await asking
        except BaseException:
            self.close()
            raise
        finally:
            late.cancel()
            self._asking = None

    def close(self) -> None:
        """Close it; whoever waits for an answer is told."""
        if self._transport is not None:
            self._transport.abort()

    def _late(self) -> None:
        self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        if self._asking is not None and not self._asking.done():
            self._asking.set_exception(error)

    # -- what asyncio says --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._everybody.add(self)

    def data_received(self, data: bytes) -> None:
        """Some of an answer; what nobody asked for ends the connection."""
        if self._asking is None or self._asking.done():
            self.close()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"what came is no answer ({type(error).__name__})"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone. An answer that has no other end ends with it."""
        self._transport = None
        self._everybody.discard(self)
        if self._has_head and not self._has_end and exc is None:
            self._finish()
        when = "in the middle of its answer" if self._has_begun else "before it answered"
        self._fail(ConnectionResetError(str(exc) if exc is not None else f"it was closed {when}"))

    # -- what the parser says -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; a second one to one request is nobody's, and neither is what follows it."""
        if self._asking is None or self._asking.done():
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header: two say where the answer ends, one when to try again."""
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._has_end = True
        elif name == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._size += len(body)
        if self._size > LARGEST:
            self._fail(ConnectionError(f"its answer has more than {LARGEST} bytes"))
            self.close()
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        """An answer is whole; one like 100 (continue) is not the answer yet."""
        if self._parser.get_status_code() < 200:
            self._begin()
            self._has_begun = True
            return
        keeps = self._parser.should_keep_alive()
        self._finish()
        if not keeps:
            self.close()

    def _finish(self) -> None:
        if self._asking is not None and not self._asking.done():
            answer = Answer(self._parser.get_status_code(), b"".join(self._body), self._retry_after)
            self._asking.set_result(answer)
