"""The private listener: Aerostack's own bots API for the bots of this host, the test channel, and what is kept.

Its law: a bearer token, our own host names and no foreign origin, or nothing; and nobody holds it up, with or without.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web

from aerobot import __version__, events
from aerobot.errors import StoreUnavailable
from aerobot.host.bots_api import BotsApi
from aerobot.host.gate import Gate, Limits
from aerobot.host.refusal import Refusal
from aerobot.host.upkeep_api import ROUTES, UpkeepApi
from aerobot.secret import Secret
from aerobot.store.base import HostedBot, Store, Verdict
from aerobot.store.roster import Roster
from aerobot.whatsapp import rules

LIMITS = Limits(
    connections=100,
    header_seconds=10,
    header_bytes=32 * 1024,
    body_seconds=30,
    body_bytes=1024 * 1024,
    held_bytes=16 * 1024 * 1024,
    idle_seconds=75,
)
"""What it puts up with. A stream of events, and a question that waits for its answer, are bound by no time."""
WAIT_MOST = 120.0
"""Seconds that a question for a verdict may wait."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PrivateListener:
    """What only we may call. ``doing(turn_id)`` says what the engine is at; ``tell`` is told of closed connections."""

    def __init__(
        self,
        *,
        store: Store,
        roster: Roster,
        api: BotsApi,
        upkeep: UpkeepApi,
        token: Secret,
        allowed_hosts: tuple[str, ...],
        doing: Callable[[int], str],
        about: Callable[[], Mapping[str, object]],
        tell: Callable[[str], None] = lambda words: None,
        limits: Limits = LIMITS,
    ) -> None:
        self._store = store
        self._roster = roster
        self._api = api
        self._upkeep = upkeep
        self._token = token
        self._allowed = frozenset(("127.0.0.1", "localhost", "::1", *allowed_hosts))
        self._doing = doing
        self._about = about
        self.gate = Gate(limits, tell)
        self._followers: set[asyncio.Queue[events.Event]] = set()
        self._engine_error: str | None = None

    def app(self) -> web.Application:
        """The routes, for a runner."""
        app = web.Application(client_max_size=self.gate.limits.body_bytes, middlewares=[self._guard])
        add = app.router.add_route
        add("GET", "/api/bots", self._list)
        add("POST", "/api/bots", self._create)
        add("GET", "/api/bots/{bot_id}", self._show)
        add("PATCH", "/api/bots/{bot_id}", self._update)
        add("DELETE", "/api/bots/{bot_id}", self._delete)
        add("POST", "/api/bots/{bot_id}/activate", self._activate)
        add("POST", "/api/bots/{bot_id}/deactivate", self._deactivate)
        add("POST", "/api/bots/{bot_id}/test", self._test)
        add("GET", "/api/host", self._host)
        add("GET", "/api/events", self._events)
        add("GET", "/api/window", self._window)
        add("POST", "/api/test/announce", self._announce)
        add("GET", "/api/test/verdict", self._verdict)
        for name, (verb, path) in ROUTES.items():
            add(verb, path, partial(self._kept, getattr(self._upkeep, name)))
        return app

    def told(self, event: events.Event) -> None:
        """Pass an event on to those who follow; one who is too slow loses the oldest."""
        if isinstance(event, events.EngineReloaded):
            self._engine_error = event.error
        for follower in self._followers:
            if follower.full():
                follower.get_nowait()
            follower.put_nowait(event)

    # -- who may --------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer; a connection whose body was not read ends with that."""
        door = self.gate.begin(request)
        try:
            answer = self._problem(request) or await self._answered(request, handler)
            if not request.content.is_eof():
                answer.force_close()
            return answer
        finally:
            self.gate.end(request, door)

    async def _answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            await self._arrive(request)
            return await handler(request)
        except Refusal as refusal:
            return _error(refusal.status, refusal.code, refusal.message)
        except StoreUnavailable as error:
            return _error(503, "STORE_UNAVAILABLE", error.message)
        except web.HTTPException as error:
            return _error(error.status, "HTTP_ERROR", error.reason)
        except (ConnectionError, web.RequestPayloadError):
            return _error(400, "VALIDATION_ERROR", "The request broke off")
        except Exception as error:
            self._api.unforeseen(error)
            return _error(500, "UNEXPECTED", "This was not foreseen; the host's own output says more")

    async def _arrive(self, request: web.Request) -> None:
        """Wait for the whole request; from then on the caller waits for us, and is closed for nobody."""
        seconds = self.gate.limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                await request.read()
        except TimeoutError:
            raise Refusal(408, "TIMEOUT", f"The body did not come within {seconds:g} s") from None
        self.gate.all_here(request)

    def _problem(self, request: web.Request) -> web.Response | None:
        if _name_in(f"//{request.headers.get('Host', '')}") not in self._allowed:
            return _error(403, "FORBIDDEN_HOST", "This host name is not served here")
        origin = request.headers.get("Origin")
        if origin is not None and _name_in(origin) not in self._allowed:
            return _error(403, "FORBIDDEN_ORIGIN", "This origin is not served here")
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, f"Bearer {self._token.reveal()}".encode()):
            return _error(401, "AUTH_INVALID_KEY", "The bearer token of this host is missing or wrong")
        return None

    # -- bots -----------------------------------------------------------------------------------------------------

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"bots": self._api.list()})

    async def _create(self, request: web.Request) -> web.Response:
        return web.json_response({"bot": await self._api.create(await _document(request))}, status=201)

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response({"bot": self._api.show(request.match_info["bot_id"])})

    async def _update(self, request: web.Request) -> web.Response:
        bot = await self._api.update(request.match_info["bot_id"], await _document(request))
        return web.json_response({"bot": bot})

    async def _delete(self, request: web.Request) -> web.Response:
        await self._api.delete(request.match_info["bot_id"])
        return web.json_response({"success": True})

    async def _activate(self, request: web.Request) -> web.Response:
        return web.json_response(await self._api.activate(request.match_info["bot_id"]))

    async def _deactivate(self, request: web.Request) -> web.Response:
        return web.json_response(await self._api.deactivate(request.match_info["bot_id"]))

    async def _test(self, request: web.Request) -> web.Response:
        bot = self._api.bot(request.match_info["bot_id"])
        message = (await _document(request)).get("message")
        if not isinstance(message, str) or not message.strip():
            raise Refusal(400, "VALIDATION_ERROR", "message is required")
        wamid = await self._api.submit(bot, message)
        verdict = await self._settled(bot.id, wamid, min(WAIT_MOST, bot.timeout_ms / 1000 + 10))
        return web.json_response(self._api.answer(verdict))

    # -- the host -------------------------------------------------------------------------------------------------

    async def _host(self, _: web.Request) -> web.Response:
        """What runs here and waits, and the last conversation's window; asking it tries the store."""
        messages, parts = await self._store.backlog()
        newest = await self._store.newest_window()
        return web.json_response(
            {
                "version": __version__,
                **self._about(),
                "waiting": {"messages": messages, "parts": parts},
                "engine_error": self._engine_error,
                "last_conversation": None if newest is None else {"window_at": newest},
            }
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Events as JSON lines, customers' texts left out, until the caller goes."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[events.Event] = asyncio.Queue(maxsize=1000)
        self._followers.add(queue)
        try:
            while True:
                event = await queue.get()
                await response.write(json.dumps(event.document(texts=False)).encode() + b"\n")
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            self._followers.discard(queue)

    async def _window(self, request: web.Request) -> web.Response:
        """When the user of a number, in any of its forms, last wrote to a phone number id of this host."""
        phones = rules.number_forms(request.query.get("number", ""))
        ours = request.query.get("phone_number_id", "")
        found = [
            await self._store.window_with(bot.id, phones) for bot in self._roster.all() if bot.phone_number_id == ours
        ]
        return web.json_response({"window_at": max((at for at in found if at is not None), default=None)})

    async def _kept(
        self, call: Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]], request: web.Request
    ) -> web.Response:
        """A call about what is kept: what was given in the path, the query or the body, by name."""
        given = {**request.query, **await _document(request), **request.match_info}
        return web.json_response(await call(given))

    # -- the test channel -----------------------------------------------------------------------------------------

    async def _announce(self, request: web.Request) -> web.Response:
        document = await _document(request)
        wamid = document.get("wamid")
        if not isinstance(wamid, str) or not wamid:
            raise Refusal(400, "VALIDATION_ERROR", "wamid is required")
        bot = self._chosen(document)
        capture = document.get("deliver") is not True
        await self._store.announce(bot.id, wamid, capture=capture, ttl_ms=3_600_000)
        return web.json_response(
            {"bot_id": bot.id, "phone_number_id": bot.phone_number_id, "capture": capture, "timeout_ms": bot.timeout_ms}
        )

    def _chosen(self, document: Mapping[str, object]) -> HostedBot:
        """The bot that is meant: by id, by number, else the only one."""
        bots = self._roster.all()
        wanted, number = document.get("bot_id"), document.get("phone_number_id")
        if wanted:
            bots = tuple(bot for bot in bots if bot.id == wanted)
        elif number and any(bot.phone_number_id == number for bot in bots):
            bots = tuple(bot for bot in bots if bot.phone_number_id == number)
        if len(bots) != 1:
            names = ", ".join(bot.id for bot in self._roster.all()) or "none"
            raise Refusal(404, "NOT_FOUND", f"Which bot is meant? This host runs: {names}")
        return bots[0]

    async def _verdict(self, request: web.Request) -> web.Response:
        bot_id, wamid = request.query.get("bot_id", ""), request.query.get("wamid", "")
        wait = min(WAIT_MOST, max(0.0, _seconds(request.query.get("wait", "0"))))
        verdict = await self._settled(bot_id, wamid, wait)
        return web.json_response(self._api.verdict(verdict, self._doing))

    async def _settled(self, bot_id: str, wamid: str, wait: float) -> Verdict | None:
        """The verdict once it is settled, or as it is when the waiting ends."""
        until = time.monotonic() + wait
        pause = 0.005
        while True:
            verdict = await self._store.verdict(bot_id, wamid)
            if (verdict is not None and verdict.settled) or time.monotonic() >= until:
                return verdict
            await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(0.1, pause * 1.5)


def _name_in(address: str) -> str:
    """The host name in an address, empty where it is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if value == value else 0.0


async def _document(request: web.Request) -> Mapping[str, object]:
    try:
        document = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError):
        raise Refusal(400, "VALIDATION_ERROR", "The body is not JSON") from None
    if not isinstance(document, dict):
        raise Refusal(400, "VALIDATION_ERROR", "The body is not a JSON object")
    return document


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
