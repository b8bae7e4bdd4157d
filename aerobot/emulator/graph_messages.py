"""``POST …/messages``: a send becomes a bubble on a phone, a read receipt, or one of Graph's refusals."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from aerobot.emulator import outgoing, templates, webhooks
from aerobot.emulator.bubble import Bubble
from aerobot.emulator.business import Business, Number
from aerobot.emulator.clock import Clock
from aerobot.emulator.faults import Faults
from aerobot.emulator.graph_blocks import blocked
from aerobot.emulator.graph_call import Call, answer
from aerobot.emulator.graph_errors import Refusal, invalid, required
from aerobot.emulator.ids import Ids
from aerobot.emulator.limits import Limits
from aerobot.emulator.links import Links
from aerobot.emulator.media import Files
from aerobot.emulator.outgoing import Outgoing
from aerobot.emulator.phone import World, key_of
from aerobot.emulator.presets import PRESETS, SPECIAL, Fault
from aerobot.emulator.receipts import Receipts
from aerobot.emulator.settings import Settings
from aerobot.emulator.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphMessages:
    """The one endpoint that bots live by."""

    business: Business
    world: World
    files: Files
    links: Links
    faults: Faults
    limits: Limits
    receipts: Receipts
    wire: Wire
    clock: Clock
    ids: Ids
    settings: Callable[[], Settings]

    async def answer(self, call: Call, number: Number) -> web.StreamResponse:
        """One call. Raises ``Refused`` as Graph answers."""
        call.trail.number = number.id
        if "status" in call.body:
            return await self._on_read(call)
        sent = outgoing.read(
            call.body,
            business=number.phone,
            knows_phone=self.world.knows,
            knows_media=lambda media: self.files.get(media) is not None,
        )
        shown = self._card(sent, number)
        phone = sent.to or self.world.by_user_id(sent.recipient)
        call.trail.phone, call.trail.about = phone, sent.about
        if phone in number.blocked:
            raise blocked()
        settings = self.settings()
        self.limits.check(number.id, phone, throughput=settings.throughput_limit, pair=settings.pair_limit)
        fault = self.faults.take("messages", sent.to) or PRESETS.get(SPECIAL.get(sent.to, ""))
        if fault is not None:
            call.trail.fault = fault.name
            return await self._spoiled(call, number, sent, shown, fault)
        return answer(self._accept(call, number, sent, shown, self._too_late(sent, phone, number)))

    def _card(self, sent: Outgoing, number: Number) -> Mapping[str, object] | None:
        if sent.type != "template" or not isinstance(sent.content, Mapping):
            return None
        name, language = sent.text, sent.content["language"]
        known = self.business.templates[number.account_id]
        found = templates.find(known, name, str(language["code"]))
        return templates.card(found, sent.content)

    def _too_late(self, sent: Outgoing, phone: str, number: Number) -> Refusal | None:
        """How it fails later outside the 24 hours. Raises ``Refused`` where that is said at once."""
        mode = self.settings().window
        if mode == "off" or sent.type == "template" or self.world.window_open(phone, number.id):
            return None
        if mode == "at_once":
            raise PRESETS["window_closed_at_once"].refused()
        return PRESETS["window_closed"].refusal

    async def _spoiled(
        self, call: Call, number: Number, sent: Outgoing, shown: Mapping[str, object] | None, fault: Fault
    ) -> web.StreamResponse:
        if fault.later:
            return answer(self._accept(call, number, sent, shown, fault.refusal))
        if fault.refusal is not None:
            raise fault.refused()
        taken = fault.taken or fault.wire == "slow"
        document = self._accept(call, number, sent, shown, None) if taken else {}
        return await self.wire.spoil(call.request, fault, json.dumps(document).encode())

    async def _on_read(self, call: Call) -> web.StreamResponse:
        fault = self.faults.take("read")
        if fault is not None:
            call.trail.fault = fault.name
            if fault.refusal is not None:
                raise fault.refused()
            if fault.wire != "slow":
                return await self.wire.spoil(call.request, fault, b'{"success":true}')
            await self.wire.late()
        return answer(self._read(call))

    def _read(self, call: Call) -> dict[str, object]:
        body = call.body
        wamid = body.get("message_id")
        call.trail.about = str(wamid or "")
        if body.get("messaging_product") != "whatsapp":
            raise required("messaging_product")
        if body["status"] != "read":
            raise invalid("status must be read")
        if not wamid:
            raise required("message_id")
        found = self.world.bubble(str(wamid))
        if found is None and not str(wamid).startswith("wamid."):
            raise invalid("message_id is not the id of a received message")
        call.trail.phone = found.phone if found else ""
        typing = body.get("typing_indicator")
        if typing is not None and typing != {"type": "text"}:
            raise invalid("typing_indicator.type must be text")
        self.world.business_read(str(wamid))
        if typing is not None:
            self.world.business_types(str(wamid))
        return {"success": True}

    def _accept(
        self,
        call: Call,
        number: Number,
        sent: Outgoing,
        shown: Mapping[str, object] | None,
        failure: Refusal | None,
    ) -> dict[str, object]:
        user = self.world.user(sent.to or self.world.by_user_id(sent.recipient))
        wamid = webhooks.new_wamid(self.ids.dice("message"), user.phone, outgoing=True)
        call.trail.wamid = wamid
        header = shown.get("header") if shown else None
        bubble = Bubble(
            id=wamid,
            number=number.id,
            phone=key_of(user),
            direction="out",
            at=self.clock.milliseconds,
            type=sent.type,
            text=templates.words(shown) if shown else sent.text,
            content=sent.content,
            about=sent.about,
            media=sent.media or (str(header.get("media", "")) if isinstance(header, Mapping) else ""),
            template=shown,
        )
        self.world.show(bubble)
        if sent.link:
            self.links.fetch(wamid, sent.link)
        self.receipts.follow(bubble, callback_data=sent.callback_data, failure=failure)
        contact = {"input": sent.input} | ({"wa_id": sent.to} if sent.to else {"user_id": sent.recipient})
        message = {"id": wamid} | ({"message_status": "accepted"} if sent.type == "template" else {})
        return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
