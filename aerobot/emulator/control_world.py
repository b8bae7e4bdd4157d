"""The part of the control API that is about the world: clock, faults, settings, webhooks, calls, the whole state."""

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from aerobot.emulator.arrange import checked
from aerobot.emulator.control_io import LONGEST_STATE, flag, read_object, seconds, string, told, whole
from aerobot.emulator.deliveries import Delivery
from aerobot.emulator.page import HEADERS

if TYPE_CHECKING:
    from aerobot.emulator.control import Handler
    from aerobot.emulator.server import Emulator


class ControlWorld:
    """Its routes."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    def routes(self) -> "list[tuple[str, str, Handler]]":
        """Method, path, handler."""
        return [
            ("GET", "/_/settings", self._settings),
            ("POST", "/_/settings", self._change),
            ("POST", "/_/faults", self._arm),
            ("DELETE", "/_/faults", self._disarm),
            ("GET", "/_/clock", self._clock),
            ("POST", "/_/clock", self._move_clock),
            ("GET", "/_/portal", self._portal),
            ("POST", "/_/portal", self._arrange),
            ("POST", "/_/numbers", self._add_number),
            ("POST", "/_/connect", self._connect),
            ("GET", "/_/deliveries", self._deliveries),
            ("POST", "/_/deliveries/redeliver", self._redeliver),
            ("POST", "/_/deliveries/release", self._release),
            ("GET", "/_/calls", self._calls),
            ("POST", "/_/reset", self._reset),
            ("GET", "/_/export", self._export),
            ("POST", "/_/import", self._import),
        ]

    async def _settings(self, request: web.Request) -> web.Response:
        return told(self._emulator.meta.settings.document())

    async def _change(self, request: web.Request) -> web.Response:
        self._emulator.meta.change(await read_object(request))
        return told(self._emulator.meta.settings.document())

    async def _arm(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        call = string(body, "call") or "messages"
        self._emulator.arm(string(body, "name"), whole(body, "times", 1), call=call, to=string(body, "to"))
        return told({"armed": self._emulator.meta.faults.armed})

    async def _disarm(self, request: web.Request) -> web.Response:
        self._emulator.meta.faults.disarm(request.query.get("name", ""))
        return told({"armed": self._emulator.meta.faults.armed})

    async def _clock(self, request: web.Request) -> web.Response:
        clock = self._emulator.clock
        return told({"now": clock.milliseconds, "offset": clock.offset})

    async def _move_clock(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        if flag(body, "reset"):
            self._emulator.clock.reset()
        elif "at" in body:
            self._emulator.clock.move_to(seconds(body, "at"))
        else:
            self._emulator.clock.advance(seconds(body, "advance"))
        return await self._clock(request)

    async def _portal(self, request: web.Request) -> web.Response:
        return told(self._emulator.portal.document())

    async def _arrange(self, request: web.Request) -> web.Response:
        self._emulator.arrange(**checked(await read_object(request)))
        return told(self._emulator.portal.document())

    async def _add_number(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        digits = "".join(c for c in string(body, "phone") if c.isascii() and c.isdigit())
        if not 7 <= len(digits) <= 15:
            raise ValueError("A phone number has 7 to 15 digits.")
        number = self._emulator.add_bot(digits, string(body, "name")[:100] or f"Bot {digits[-4:]}")
        return told(self._emulator.shown_number(number), 201)

    async def _connect(self, request: web.Request) -> web.Response:
        await self._emulator.connect(string(await read_object(request), "url"))
        return told({})

    async def _deliveries(self, request: web.Request) -> web.Response:
        found = self._emulator.meta.courier.deliveries.about(request.query.get("wamid", ""))
        return told({"deliveries": [one.document() for one in found]})

    async def _redeliver(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        return told({"redelivered": self._emulator.meta.courier.redeliver(self._chosen(body))})

    def _chosen(self, body: object) -> list[Delivery]:
        assert isinstance(body, dict)
        deliveries = self._emulator.meta.courier.deliveries
        if flag(body, "all"):
            return deliveries.about()
        if "delivery" in body:
            found = deliveries.get(whole(body, "delivery", 0))
            chosen = [found] if found else []
        else:
            wamid = string(body, "wamid")
            chosen = deliveries.about(wamid) if wamid else []
        if not chosen:
            raise ValueError('Nothing was delivered by that name: give "delivery", "wamid" or "all".')
        return chosen

    async def _release(self, request: web.Request) -> web.Response:
        return told({"released": self._emulator.meta.courier.release()})

    async def _calls(self, request: web.Request) -> web.Response:
        found = self._emulator.meta.calls.about(request.query.get("wamid", ""))
        return told({"calls": [call.document() for call in found]})

    async def _reset(self, request: web.Request) -> web.Response:
        self._emulator.reset(everything=flag(await read_object(request), "all"))
        return told({})

    async def _export(self, request: web.Request) -> web.Response:
        body = await asyncio.to_thread(json.dumps, self._emulator.export())
        return web.Response(text=body, headers={**HEADERS, "Content-Type": "application/json"})

    async def _import(self, request: web.Request) -> web.Response:
        self._emulator.restore(await read_object(request, LONGEST_STATE))
        return told({})
