"""One connection of a listener: passes everything on to aiohttp, and counts bytes and seconds before it.

aiohttp bounds a header's line, and a connection that is idle. What it leaves open is bounded here: the head as a whole,
the time it takes, and the bytes of a body on the wire, whose chunks may be all frame and no content.
"""

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aerobot.host.gate import Gate

_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BROKEN = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_END = b"\r\n\r\n"


class Door(asyncio.Protocol):
    """A protocol before another. ``held`` are the bytes of the body (and what was sent ahead) so far."""

    def __init__(
        self, gate: "Gate", inner: asyncio.Protocol, *, head_seconds: float, head_most: int, wire_most: int
    ) -> None:
        self._gate = gate
        self._inner = inner
        self._head_seconds = head_seconds
        self._head_most = head_most
        self._wire_most = wire_most
        self.transport: asyncio.Transport | None = None
        self.held = 0
        self._in_head = True
        self._draining = False
        self._idle = False
        self._head = 0
        self._tail = b""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._ends: float | None = None
        self._let_in = False

    # -- what asyncio says --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected; where there is no room for them, aiohttp does not hear of it."""
        self.transport = cast(asyncio.Transport, transport)
        self._let_in = self._gate.admit(self)
        if self._let_in:
            self._expect(self._head_seconds)
            self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count, then pass on."""
        if not self._let_in or self.transport is None or not (self._draining or self._fits(data)):
            return
        try:
            self._inner.data_received(data)
        except Exception as error:  # a parser's own mistake: asyncio would print it, as often as anybody likes
            why = f"aiohttp could not read a request ({type(error).__name__})"
            self._gate.turn_away(self, why, _BROKEN)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever closed it."""
        self._gate.forget(self)
        self._stop()
        if self._let_in:
            self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """The caller says no more."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """The caller does not read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The caller reads again."""
        self._inner.resume_writing()

    # -- what the gate says -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A whole head is there: its request is being served."""
        self._in_head = False
        self._ends = None

    def drain(self, seconds: float) -> None:
        """It is answered before its body was read: what still comes is thrown away, and the connection ends."""
        self._draining = True
        self.held = 0
        self._expect(seconds)

    def rest(self, seconds: float) -> None:
        """It is answered; the next may begin within ``seconds``."""
        self._in_head = self._idle = True
        self._head = self.held = 0
        self._tail = b""
        self._expect(seconds)

    def shut(self, answer: bytes) -> None:
        """Close from our side, with an answer where the caller takes one."""
        self._stop()
        transport, self.transport = self.transport, None
        if transport is None:
            return
        if answer and not transport.is_closing() and transport.get_write_buffer_size() == 0:
            transport.write(answer)
            transport.close()
        else:
            transport.abort()

    # -- counting -----------------------------------------------------------------------------------------------

    def _fits(self, data: bytes) -> bool:
        """Whether these bytes may be passed on; where they may not, the connection is closed."""
        size = self._take_head(data) if self._in_head else len(data)
        if self._head > self._head_most:
            self._gate.turn_away(self, f"their headers took more than {self._head_most} bytes", _LARGE)
        elif self.held + size > self._wire_most:
            self._gate.turn_away(self, f"a body took more than {self._wire_most} bytes on the wire")
        elif size:
            self._gate.hold(self, size)
        return self.transport is not None

    def _take_head(self, data: bytes) -> int:
        """Count bytes of a head; returns how many follow its end."""
        if not self._head:
            data = data.lstrip(b"\r\n")  # before a request empty lines are allowed
        if data and self._idle:
            self._idle = False
            self._expect(self._head_seconds)
        seen = self._tail + data
        end = seen.find(_END)
        if end < 0:
            self._head += len(data)
            self._tail = seen[-(len(_END) - 1) :]
            return 0
        end += len(_END)
        self._head += end - len(self._tail)
        self._in_head = False
        return len(seen) - end

    def _expect(self, seconds: float) -> None:
        """Wait no longer than that. A timer that runs already and ends sooner will look again: most never have to."""
        self._ends = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._ends:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._ends, self._look)

    def _stop(self) -> None:
        self._ends = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """The time is over, or it was prolonged meanwhile, or nothing is waited for."""
        self._timer = None
        if self._ends is None:
            return
        if self._ends > self._loop.time():
            self._timer = self._loop.call_at(self._ends, self._look)
        else:
            self._late()

    def _late(self) -> None:
        """Nothing came in time; that is told only where something had begun."""
        begun = self._head > 0
        why = f"no whole request came within {self._head_seconds:g} s" if begun else ""
        self._gate.turn_away(self, why, _SLOW if begun else b"")
