"""``POST …/messages``: a send becomes a bubble on a phone, a read receipt, or one of Graph's refusals."""

import asyncio
import json
from collections.abc import Mapping
from random import Random

from aiohttp import web

from aerobot.emulator import outgoing, webhooks
from aerobot.emulator.faults import Fault, Faults
from aerobot.emulator.graph_errors import invalid, required
from aerobot.emulator.links import Links
from aerobot.emulator.media import Files
from aerobot.emulator.outgoing import Outgoing
from aerobot.emulator.phone import Bubble, World, key_of
from aerobot.emulator.receipts import Receipts

PATIENCE = 120.0
"""Seconds for which the fault ``timeout`` keeps a caller waiting."""
PAGE = b"<!DOCTYPE html><html><head><title>Error</title></head><body>Sorry, something went wrong.</body></html>"


class GraphMessages:
    """The one endpoint that bots live by. ``business`` is our number in digits."""

    def __init__(
        self,
        *,
        business: str,
        world: World,
        files: Files,
        links: Links,
        faults: Faults,
        receipts: Receipts,
        random: Random,
    ) -> None:
        self._business = business
        self._world = world
        self._files = files
        self._links = links
        self._faults = faults
        self._receipts = receipts
        self._random = random
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let go of callers that are kept waiting."""
        self._stopping.set()

    async def answer(self, request: web.Request, body: Mapping[str, object]) -> web.StreamResponse:
        """One call. Raises ``Refused`` as Graph answers."""
        if "status" in body:
            return web.json_response(self._read(body))
        sent = outgoing.read(
            body,
            business=self._business,
            knows_phone=self._world.knows,
            knows_media=lambda number: self._files.get(number) is not None,
        )
        fault = self._faults.take()
        if fault and fault.refusal and not fault.later:
            raise fault.refused()
        if fault and fault.wire:
            document = self._accept(sent, None) if fault.taken else {}
            return await self._spoil(request, fault, document)
        return web.json_response(self._accept(sent, fault))

    def _read(self, body: Mapping[str, object]) -> dict[str, object]:
        wamid = body.get("message_id")
        if body.get("messaging_product") != "whatsapp":
            raise required("messaging_product")
        if body["status"] != "read":
            raise invalid("status must be read")
        if not wamid:
            raise required("message_id")
        if self._world.bubble(str(wamid)) is None and not str(wamid).startswith("wamid."):
            raise invalid("message_id is not the id of a received message")
        self._world.business_read(str(wamid))
        typing = body.get("typing_indicator")
        if typing is not None:
            if typing != {"type": "text"}:
                raise invalid("typing_indicator.type must be text")
            self._world.business_types(str(wamid))
        return {"success": True}

    def _accept(self, sent: Outgoing, fault: Fault | None) -> dict[str, object]:
        user = self._world.user(self._addressee(sent))
        wamid = webhooks.new_wamid(self._random, user.phone, outgoing=True)
        bubble = Bubble(
            id=wamid,
            phone=key_of(user),
            direction="out",
            at=self._world.milliseconds(),
            type=sent.type,
            text=sent.text,
            content=sent.content,
            about=sent.about,
            media=sent.media,
        )
        self._world.show(bubble)
        if sent.link:
            self._links.fetch(wamid, sent.link)
        failure = fault.refusal if fault else None
        self._receipts.follow(bubble, callback_data=sent.callback_data, failure=failure)
        contact = {"input": sent.input} | ({"wa_id": sent.to} if sent.to else {"user_id": sent.recipient})
        message = {"id": wamid} | ({"message_status": "accepted"} if sent.type == "template" else {})
        return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}

    def _addressee(self, sent: Outgoing) -> str:
        return sent.to or self._world.by_user_id(sent.recipient)

    async def _spoil(self, request: web.Request, fault: Fault, document: Mapping[str, object]) -> web.StreamResponse:
        if fault.wire == "html":
            return web.Response(status=500, body=PAGE, content_type="text/html")
        if fault.wire == "timeout":
            await self._wait()
        if fault.wire == "half":
            await _half(request, json.dumps(document).encode())
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), PATIENCE)
        except TimeoutError:
            return


async def _half(request: web.Request, body: bytes) -> None:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
