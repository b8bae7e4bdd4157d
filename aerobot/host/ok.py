"""The answer that nearly every delivery gets, the same bytes for all: building it costs as much as storing what came.

Only for HTTP/1.1 on a connection that goes on and whose caller reads its answers; aiohttp answers everybody else.
"""

import time
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import HttpVersion11, web

TEXT = "ok"


class _Ready(web.StreamResponse):
    """An answer that is written as it is, to any number of requests: it keeps nothing of them."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it, whole."""
        if request.transport is not None:
            request.transport.write(self._content)

    async def write_eof(self, data: bytes = b"") -> None:
        """It is written already."""

    @property
    def keep_alive(self) -> bool:
        """The connection goes on."""
        return True


class Acknowledgements:
    """Says ok. ``clock`` gives seconds since 1970, for the header ``Date``."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = 0
        self._ready = _Ready(b"")

    def to(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request whose body was read."""
        transport = request.transport
        usual = request.version == HttpVersion11 and request.keep_alive
        if not usual or transport is None or transport.get_write_buffer_size():
            return web.Response(text=TEXT)
        second = int(self._clock())
        if second != self._second:
            self._second, self._ready = second, _Ready(_answer(second))
        return self._ready


def _answer(second: int) -> bytes:
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(TEXT)}",
        f"Date: {formatdate(second, usegmt=True)}",
    )
    return "\r\n".join((*lines, "", TEXT)).encode("ascii")
