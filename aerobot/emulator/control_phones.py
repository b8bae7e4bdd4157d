"""The part of the control API that is about people: phones, what is done on them, files, who looks at what."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from aerobot.emulator.control_io import error, header, read_form, read_object, string, told
from aerobot.emulator.media import RECEIVED_SECONDS
from aerobot.emulator.page import HEADERS
from aerobot.emulator.person import AD

if TYPE_CHECKING:
    from aerobot.emulator.control import Handler
    from aerobot.emulator.server import Emulator

FILES = ("", "image", "video", "audio", "voice", "document", "sticker")


class ControlPhones:
    """Its routes."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    def routes(self) -> "list[tuple[str, str, Handler]]":
        """Method, path, handler."""
        return [
            ("POST", "/_/phones", self._add),
            ("DELETE", "/_/phones/{phone}", self._remove),
            ("POST", "/_/phones/{phone}/number", self._change_number),
            ("POST", "/_/phones/{phone}/messages", self._send),
            ("POST", "/_/phones/{phone}/files", self._send_file),
            ("POST", "/_/look", self._look),
            ("GET", "/_/media/{media}", self._media),
            ("GET", "/_/messages", self._messages),
            ("GET", "/_/messages/{wamid}", self._story),
            ("POST", "/_/messages/{wamid}/played", self._played),
        ]

    async def _add(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        username = string(body, "username").lstrip("@")[:35]
        phone = _digits(string(body, "phone")) if string(body, "phone") or not username else ""
        name = string(body, "name")[:100] or (f"Guest {phone[-4:]}" if phone else username)
        key = self._emulator.add_phone(phone, name, username=username)
        return told({"phone": key}, 201)

    async def _remove(self, request: web.Request) -> web.Response:
        self._emulator.meta.world.remove_user(self._phone(request))
        return told({})

    async def _change_number(self, request: web.Request) -> web.Response:
        phone, new = self._phone(request), _digits(string(await read_object(request), "phone"))
        if not phone.isdigit():
            raise ValueError("This user has no number to change.")
        if self._emulator.meta.world.knows(new):
            raise ValueError(f"Another phone has the number {new} already.")
        self._emulator.meta.person.change_number(phone, new)
        return told({"phone": new})

    def _phone(self, request: web.Request) -> str:
        phone = request.match_info["phone"]
        if not self._emulator.meta.world.knows(phone):
            raise ValueError(f"There is no phone {phone[:40]!r} yet; add it with POST /_/phones.")
        return phone

    async def _send(self, request: web.Request) -> web.Response:
        phone = self._phone(request)
        body = await read_object(request)
        text = body.get("text")
        wamid = self._emulator.meta.person.send(
            phone,
            self._emulator.number(string(body, "number")),
            string(body, "kind") or "text",
            text=None if text is None else str(text),
            about=string(body, "about"),
            content=body.get("content"),
            context=_mapping(body, "context"),
            referral=AD if body.get("referral") is True else _mapping(body, "referral"),
            client=string(body, "client"),
        )
        return told({"wamid": wamid}, 201)

    async def _send_file(self, request: web.Request) -> web.Response:
        phone = self._phone(request)
        fields, (data, mime_type, filename) = await read_form(request)
        kind = fields.get("kind", "")
        if kind not in FILES:
            raise ValueError(f"kind is one of {', '.join(FILES[1:])}.")
        number = self._emulator.number(fields.get("number"))
        kept = self._emulator.meta.files.add(data, mime_type, filename, lives=RECEIVED_SECONDS)
        wamid = self._emulator.meta.person.send_file(
            phone,
            number,
            kept,
            kind=kind,
            caption=fields.get("caption", ""),
            about=fields.get("about", ""),
            client=fields.get("client", ""),
        )
        return told({"wamid": wamid, "media": kept.id}, 201)

    async def _look(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        phone, number = string(body, "phone"), self._emulator.number(string(body, "number"))
        self._emulator.meta.world.look(string(body, "viewer")[:64], phone, number)
        if phone:
            self._emulator.meta.receipts.read_all(phone, number)
        return told({})

    async def _media(self, request: web.Request) -> web.Response:
        file = self._emulator.meta.files.seen(request.match_info["media"])
        if file is None:
            return error(404, "There is no such file.")
        headers = {
            **HEADERS,
            "Content-Type": "application/octet-stream",
            "X-Media-Type": header(file.mime_type),
        }
        return web.Response(body=file.data, headers=headers)

    async def _messages(self, request: web.Request) -> web.Response:
        """Messages of a chat before one of them, for who scrolls up; or all of a chat."""
        query = request.query
        count = query.get("count", "200")
        if not (count.isdecimal() and 1 <= int(count) <= 20_000):
            raise ValueError("count is a whole number from 1 to 20000.")
        if before := query.get("before"):
            found = self._emulator.meta.world.before(before, int(count))
        else:
            number = self._emulator.number(query.get("number"))
            found = self._emulator.meta.world.bubbles(query.get("phone", ""), number)[-int(count) :]
        return told({"messages": [bubble.document() for bubble in found]})

    async def _story(self, request: web.Request) -> web.Response:
        found = self._emulator.meta.world.bubble(request.match_info["wamid"])
        if found is None:
            return error(404, "There is no such message.")
        return told(self._emulator.meta.story(found))

    async def _played(self, request: web.Request) -> web.Response:
        found = self._emulator.meta.world.bubble(request.match_info["wamid"])
        if found is None:
            return error(404, "There is no such message.")
        self._emulator.meta.receipts.played(found)
        return told({})


def _digits(text: str) -> str:
    digits = "".join(c for c in text if c.isascii() and c.isdigit())
    if not 7 <= len(digits) <= 15:
        raise ValueError("A phone number has 7 to 15 digits.")
    return digits


def _mapping(body: Mapping[str, object], key: str) -> Mapping[str, object] | None:
    value = body.get(key)
    if value is None or value is False:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be an object.")
    return value
