"""The control API under ``/_/``: all that a person can do on the page, behind a token, for loopback only."""

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

from aiohttp import web

from aerobot.emulator.arrange import checked
from aerobot.emulator.bodies import TooLarge, bounded, form
from aerobot.emulator.deliver import Delivery
from aerobot.emulator.faults import PRESETS, Faults
from aerobot.emulator.journal import Happening, Journal, Reader
from aerobot.emulator.media import MEGA, Files
from aerobot.emulator.page import HEADERS, check_place
from aerobot.emulator.person import Person
from aerobot.emulator.phone import World
from aerobot.emulator.portal import Portal
from aerobot.emulator.receipts import Receipts
from aerobot.emulator.webhooks import Sender

BEAT = 5.0
"""Seconds of silence after which the event stream says that it is alive."""
LONGEST = MEGA
LONGEST_FILE = 20 * MEGA
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Its routes; every one checks place and token first."""

    def __init__(
        self,
        *,
        token: str,
        portal: Portal,
        number: Mapping[str, object],
        world: World,
        person: Person,
        files: Files,
        faults: Faults,
        receipts: Receipts,
        delivery: Delivery,
        journal: Journal,
    ) -> None:
        self._token = token
        self._portal = portal
        self._number = number
        self._world = world
        self._person = person
        self._files = files
        self._faults = faults
        self._receipts = receipts
        self._delivery = delivery
        self._journal = journal
        self._epoch = secrets.token_hex(4)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Put the routes in place."""
        for method, path, handler in (
            ("GET", "/_/state", self._state),
            ("GET", "/_/events", self._events),
            ("GET", "/_/deliveries", self._deliveries),
            ("GET", "/_/media/{media}", self._media),
            ("GET", "/_/portal", self._show_portal),
            ("POST", "/_/portal", self._arrange),
            ("POST", "/_/phones", self._add_phone),
            ("POST", "/_/phones/{phone}/messages", self._send),
            ("POST", "/_/phones/{phone}/files", self._send_file),
            ("POST", "/_/look", self._look),
            ("POST", "/_/settings", self._settings),
            ("POST", "/_/faults", self._arm),
            ("DELETE", "/_/faults", self._disarm),
            ("*", "/_/{rest:.*}", self._nothing),
        ):
            router.add_route(method, path, self._guarded(handler))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            check_place(request)
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not hmac.compare_digest(given.encode(), self._token.encode()):
                return _error(401, "This needs the token of the address that was printed (#token=…).")
            try:
                return await handler(request)
            except TooLarge as error:
                return _error(413, str(error))
            except ValueError as error:
                return _error(400, str(error))

        return guarded

    # -- what is --

    async def _state(self, request: web.Request) -> web.Response:
        return _json(
            {
                "epoch": self._epoch,
                "seq": self._journal.seq,
                "number": self._number,
                "settings": self._shown_settings(),
                "faults": {
                    "armed": self._faults.armed,
                    "known": {f.name: f.meaning for f in PRESETS.values()},
                },
                **self._world.document(),
            }
        )

    def _shown_settings(self) -> dict[str, object]:
        return {"auto_read": self._receipts.auto_read, "receipts_delay": self._receipts.delay}

    async def _events(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "")
        viewer = request.query.get("viewer", "")[:64]
        reader = self._journal.follow(int(since) if since.isdigit() else None)
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            await _stream(request, response, reader, {"event": "hello", "epoch": self._epoch})
        except ConnectionError:
            pass  # the page went away; it comes back with its own ``since``
        finally:
            self._world.look(viewer, "")
        return response

    async def _deliveries(self, request: web.Request) -> web.Response:
        made = [asdict(a) | {"body": a.body.decode("ascii", "replace")} for a in self._delivery.attempts]
        return _json({"deliveries": made})

    async def _media(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["media"])
        if file is None:
            return _error(404, "There is no such file.")
        headers = {
            **HEADERS,
            "Content-Type": "application/octet-stream",
            "X-Media-Type": _header(file.mime_type),
        }
        return web.Response(body=file.data, headers=headers)

    # -- what a person does --

    async def _add_phone(self, request: web.Request) -> web.Response:
        body = await _object(request)
        digits = "".join(c for c in _string(body, "phone") if c.isascii() and c.isdigit())
        if not 7 <= len(digits) <= 15:
            raise ValueError("A phone number has 7 to 15 digits.")
        self._world.add_user(Sender(phone=digits, name=_string(body, "name")[:100] or f"Guest {digits[-4:]}"))
        return _json({"phone": digits}, 201)

    def _phone(self, request: web.Request) -> str:
        phone = request.match_info["phone"]
        if not self._world.knows(phone):
            raise ValueError(f"There is no phone {phone[:40]!r} yet; add it with POST /_/phones.")
        return phone

    async def _send(self, request: web.Request) -> web.Response:
        body = await _object(request)
        text = body.get("text")
        wamid = self._person.send(
            self._phone(request),
            _string(body, "kind") or "text",
            text=None if text is None else str(text),
            about=_string(body, "about"),
            content=body.get("content"),
            client=_string(body, "client"),
        )
        return _json({"wamid": wamid}, 201)

    async def _send_file(self, request: web.Request) -> web.Response:
        phone = self._phone(request)
        fields, file = await _form(request)
        data, mime_type, filename = file
        kept = self._files.add(data, mime_type, filename)
        wamid = self._person.send_file(
            phone,
            kept,
            caption=fields.get("caption", ""),
            about=fields.get("about", ""),
            client=fields.get("client", ""),
        )
        return _json({"wamid": wamid, "media": kept.id}, 201)

    async def _look(self, request: web.Request) -> web.Response:
        body = await _object(request)
        phone = _string(body, "phone")
        self._world.look(_string(body, "viewer")[:64], phone)
        if phone:
            self._receipts.read_all(phone)
        return _json({})

    # -- what the world does --

    async def _settings(self, request: web.Request) -> web.Response:
        body = await _object(request)
        auto_read, delay = body.get("auto_read"), body.get("receipts_delay")
        if isinstance(auto_read, bool):
            self._receipts.auto_read = auto_read
        if isinstance(delay, int | float):
            self._receipts.delay = max(0.0, min(float(delay), 60.0))
        return _json(self._shown_settings())

    async def _arm(self, request: web.Request) -> web.Response:
        body = await _object(request)
        times = body.get("times", 1)
        self._faults.arm(_string(body, "name"), times if isinstance(times, int) else 1)
        return _json({"armed": self._faults.armed})

    async def _disarm(self, request: web.Request) -> web.Response:
        self._faults.disarm()
        return _json({"armed": []})

    async def _show_portal(self, request: web.Request) -> web.Response:
        return _json(self._portal.document())

    async def _arrange(self, request: web.Request) -> web.Response:
        self._portal.arrange(checked(await _object(request)))
        return _json(self._portal.document())

    async def _nothing(self, request: web.Request) -> web.Response:
        return _error(404, f"The control API has no {request.method} {request.path[:80]}.")


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


async def _object(request: web.Request) -> Mapping[str, object]:
    raw = await bounded(request, LONGEST)
    try:
        found = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("The body is not a JSON object.")
    return found


async def _form(request: web.Request) -> tuple[dict[str, str], tuple[bytes, str, str]]:
    try:
        fields, file = await form(request, LONGEST_FILE)
    except AssertionError:
        raise ValueError("The body is not multipart/form-data.") from None
    if file is None:
        raise ValueError("The form has no file.")
    return fields, file


def _string(body: Mapping[str, object], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a string.")
    return value


def _header(text: str) -> str:
    return "".join(c for c in text if " " <= c <= "~")[:100]


def _json(document: object, status: int = 200) -> web.Response:
    body = json.dumps(document).encode()
    return web.Response(body=body, status=status, headers={**HEADERS, "Content-Type": "application/json"})


def _error(status: int, message: str) -> web.Response:
    return _json({"error": {"message": message}}, status)
