"""Spoils connections on command: no answer, half of one, a reset, a page instead of JSON, an answer that is late."""

import asyncio

from aiohttp import web

from aerobot.emulator.presets import SLOW, Fault

PATIENCE = 120.0
"""Seconds for which the fault ``timeout`` keeps a caller waiting."""
PAGE = b"<!DOCTYPE html><html><head><title>Error</title></head><body>Sorry, something went wrong.</body></html>"


def page() -> web.Response:
    """What a broken front end of Meta's answers."""
    return web.Response(status=500, body=PAGE, content_type="text/html")


class Wire:
    """Whoever is kept waiting is let go by ``stop``."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let go of callers that are kept waiting."""
        self._stopping.set()

    async def late(self) -> None:
        """Wait as long as a ``slow`` answer does."""
        await self._wait(SLOW)

    async def spoil(self, request: web.Request, fault: Fault, body: bytes) -> web.StreamResponse:
        """Answer as a fault of the wire does; ``body`` is the JSON that the right answer would be."""
        if fault.wire == "html":
            return page()
        if fault.wire == "slow":
            await self.late()
            return web.Response(body=body, content_type="application/json")
        if fault.wire == "timeout":
            await self._wait(PATIENCE)
        if fault.wire == "half":
            await _half(request, body)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


async def _half(request: web.Request, body: bytes) -> None:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
