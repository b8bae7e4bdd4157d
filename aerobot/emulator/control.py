"""The control API under ``/_/``: all that a person can do on the page, behind a token, for loopback only."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from aerobot.emulator.bodies import TooLarge
from aerobot.emulator.control_io import error, told
from aerobot.emulator.control_phones import ControlPhones
from aerobot.emulator.control_world import ControlWorld
from aerobot.emulator.credentials import pretty
from aerobot.emulator.journal import Happening, Reader
from aerobot.emulator.page import HEADERS, check_place
from aerobot.emulator.presets import CALLS, PRESETS, SPECIAL
from aerobot.errors import NetworkError, RemoteError

if TYPE_CHECKING:
    from aerobot.emulator.server import Emulator

BEAT = 5.0
"""Seconds of silence after which the event stream says that it is alive."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Its routes; every one checks place and token first."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Put the routes in place."""
        for method, path, handler in (
            ("GET", "/_/state", self._state),
            ("GET", "/_/events", self._events),
            *ControlPhones(self._emulator).routes(),
            *ControlWorld(self._emulator).routes(),
            ("*", "/_/{rest:.*}", self._nothing),
        ):
            router.add_route(method, path, self._guarded(handler))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            check_place(request)
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not hmac.compare_digest(
                given.encode("utf-8", "surrogateescape"), self._emulator.control_token.encode()
            ):
                return error(401, "This needs the token of the address that was printed (#token=…).")
            try:
                return await handler(request)
            except TooLarge as problem:
                return error(413, str(problem))
            except ValueError as problem:
                return error(400, str(problem))
            except (NetworkError, RemoteError) as problem:
                return error(502, problem.message.rstrip(".") + ".")

        return guarded

    async def _state(self, request: web.Request) -> web.Response:
        emulator, meta = self._emulator, self._emulator.meta
        recent = request.query.get("recent", "")
        if recent and not (recent.isdecimal() and len(recent) < 10):
            raise ValueError("recent is a whole number.")
        return told(
            {
                "epoch": emulator.epoch,
                "seq": emulator.journal.seq,
                "clock": {"now": emulator.clock.milliseconds, "offset": emulator.clock.offset},
                "numbers": [number.shown() for number in emulator.portal.business.bots()],
                "settings": meta.settings.document(),
                "faults": {
                    "armed": meta.faults.armed,
                    "known": {fault.name: fault.document() for fault in PRESETS.values()},
                    "calls": CALLS,
                },
                "special": [
                    {"phone": digits, "display": pretty(digits), "name": name, "meaning": PRESETS[name].meaning}
                    for digits, name in SPECIAL.items()
                ],
                "waiting": meta.courier.waiting,
                **meta.world.document(int(recent) if recent else None),
            }
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "")
        viewer = request.query.get("viewer", "")[:64]
        reader = self._emulator.journal.follow(int(since) if since.isdecimal() and len(since) < 16 else None)
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        if viewer:
            self._emulator.meta.world.viewers.add(viewer)
        try:
            await _stream(request, response, reader, {"event": "hello", "epoch": self._emulator.epoch})
        except ConnectionError:
            pass  # the page went away; it comes back with its own ``since``
        finally:
            self._emulator.meta.world.look(viewer, "")
            self._emulator.meta.world.viewers.discard(viewer)
        return response

    async def _nothing(self, request: web.Request) -> web.Response:
        return error(404, f"The control API has no {request.method} {request.path[:80]}.")


async def _stream(request: web.Request, response: web.StreamResponse, reader: Reader, hello: Happening) -> None:
    line: Happening = hello
    while True:
        await response.write(json.dumps(line).encode() + b"\n")
        try:
            line = await asyncio.wait_for(anext(reader), BEAT)
        except TimeoutError:
            line = {"event": "beat"}
        except StopAsyncIteration:
            return
        if request.transport is None or request.transport.is_closing():
            return
