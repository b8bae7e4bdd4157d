"""A Graph for drills: takes messages as fast as it can, remembers every call in order, and can be in a bad mood."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

Mood = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One message that came: when (monotonic), to whom, which part; ``wamid`` is empty where it was not accepted.

    ``epoch`` is the drill's own count of what it did to the host; ``token`` is what let the call in.
    """

    at: float
    epoch: int
    to: str
    text: str
    part: str
    wamid: str
    token: str


class Graph:
    """Listens on a port that stays its own while it is down. ``accepted`` is told of every message it took.

    Tokens beside ``tokens``, where that is set, meet 190.
    """

    def __init__(self, accepted: Callable[[Call], None] = lambda call: None) -> None:
        self.calls: list[Call] = []
        self.epoch = 0
        self.mood: Mood | None = None
        self.tokens: frozenset[str] | None = None
        self._accepted = accepted
        self._count = itertools.count(1)
        self._port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{version}/{number}/messages", self._message)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.rise()
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def rise(self) -> None:
        """Listen, on the same port as before."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()
        self._port = self._port or self._runner.addresses[0][1]

    async def fall(self) -> None:
        """Refuse connections, and close those that stand open."""
        await self._site.stop()
        if self._runner.server is not None:
            await self._runner.server.shutdown(0.1)

    @property
    def taken(self) -> list[Call]:
        """What it accepted, in order."""
        return [call for call in self.calls if call.wamid]

    async def _message(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body.get("status") == "read":
            return web.json_response({"success": True})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self.tokens is None or token in self.tokens
        mood = self.mood if known else refusing(401, 190)
        wamid = "" if mood else f"wamid.drill.out.{next(self._count)}"
        call = Call(
            at=time.monotonic(),
            epoch=self.epoch,
            to=str(body.get("to", "")).lstrip("+"),
            text=_said(body),
            part=str(body.get("biz_opaque_callback_data", "")),
            wamid=wamid,
            token=token,
        )
        self.calls.append(call)
        if mood is not None:
            return await mood(request)
        self._accepted(call)
        return web.json_response({"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": wamid}]})


def _said(body: Mapping[str, Any]) -> str:
    text = body.get("text")
    return str(text["body"]) if isinstance(text, Mapping) else ""


# -- moods ------------------------------------------------------------------------------------------------------


def refusing(status: int, code: int | None = None, **headers: str) -> Mood:
    """Answers with an error of Meta's; ``Retry_After`` and the like become headers."""
    error = {"error": {"message": f"(#{code}) no", "code": code}} if code is not None else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def mood(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=json.dumps(error), headers=named, content_type="application/json")

    return mood


def slow(seconds: float) -> Mood:
    """Says nothing for so long, then 503."""

    async def mood(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response(status=503)

    return mood


async def reset(request: web.Request) -> web.StreamResponse:
    """Cuts the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    """Begins to answer and closes."""
    response = web.StreamResponse(headers={"Content-Length": "500", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"messages": [{"id": "wam')
    if request.transport is not None:
        request.transport.close()
    return response
