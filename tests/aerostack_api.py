"""The emulated Aerostack: an HTTP server on port 0 that speaks what is known, and misbehaves on demand.

It shares no code with ``aerobot``. It runs in a thread of its own, so that plain tests, async tests and
commands that run as processes can all talk to it::

    with AerostackApi() as api:
        api.fail(Fault(path="/api/bots", status=503), times=2)
        ...  # a client of api.url, with the token api.token

Facts: docs.aerostack.dev/bots/api-reference, bots/platforms/whatsapp, bots/testing, workspaces/api-reference.
"""

import asyncio
import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiohttp import web

EMAIL, PASSWORD = "you@acme.example", "correct horse battery"
ACCOUNT_KEY = "ak_0123456789abcdef"
SECRET_FIELDS = ("access_token", "verify_token", "app_secret", "bot_token")


def jwt(*, expires_in: float = 86400.0, email: str = EMAIL) -> str:
    """A token of the right shape, good for ``expires_in`` seconds (its signature is nonsense)."""
    claims = {"sub": "user_1", "email": email, "exp": int(time.time() + expires_in)}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


@dataclass(kw_only=True)
class Fault:
    """One way to misbehave, for requests whose ``METHOD /path`` is matched by the patterns.

    ``drop`` ends the connection ``before`` or ``after`` the request was carried out; without it ``status`` is
    answered with ``body`` (``None``: an error of the API's shape) after ``delay`` seconds; 0 only delays.
    """

    path: str = ".*"
    method: str = ".*"
    status: int = 0
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: Literal["", "before", "after"] = ""

    def fits(self, request: web.Request) -> bool:
        return bool(re.fullmatch(self.path, request.path) and re.fullmatch(self.method, request.method))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class AerostackApi:
    """The server and its state, both open to the test.

    ``wrapped`` answers ``{"bot": …}`` instead of a bare object, ``listed`` says how lists come,
    ``errors`` the shape of errors, ``offered`` which inferred calls exist, ``echo_secrets`` whether secrets
    come back.
    """

    def __init__(self, *, local: bool = False) -> None:
        self.local = local
        self.token = "local-private-token" if local else jwt()
        self.wrapped = False
        self.listed: Literal["named", "bare", "data"] = "named"
        self.errors: Literal["nested", "plain", "flat"] = "nested"
        self.offered = {"login", "get", "patch", "delete", "deactivate"}
        self.echo_secrets = False
        self.login_answer: dict[str, Any] | None = None
        self.activation: dict[str, Any] = {}
        self.conversations_after = 0
        """How many listings of the bots it takes until a conversation appears; 0: none ever does."""
        self.bots: dict[str, dict[str, Any]] = {}
        self.workspaces: list[dict[str, Any]] = [workspace("ws_1", "acme")]
        self.seen: list[Seen] = []
        self.url = ""
        self._faults: list[Fault] = []
        self._listings = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None

    # -- for the test --------------------------------------------------------------------------------------

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Misbehave so for the next ``times`` requests that fit."""
        self._faults += [fault] * times

    def add_bot(self, **fields: Any) -> dict[str, Any]:
        """A bot that exists already."""
        bot = {**self._fresh_bot(), **fields}
        self.bots[bot["id"]] = bot
        return bot

    def calls(self, method: str = ".*", path: str = ".*") -> list[Seen]:
        """The requests whose method and path match."""
        return [s for s in self.seen if re.fullmatch(method, s.method) and re.fullmatch(path, s.path)]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    # -- the server ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.seen.append(
            Seen(method=request.method, path=request.path, headers=dict(request.headers), body=body)
        )
        if match := re.fullmatch(r"/api/bots/webhook/whatsapp/([^/]+)", request.path):
            return self._webhook(request, match[1])
        fault = next((one for one in self._faults if one.fits(request)), None)
        if fault is None:
            return self._answer(request, body)
        self._faults.remove(fault)
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return self._drop(request)
        if fault.drop == "after":
            self._answer(request, body)
            return self._drop(request)
        return self._faulty(fault) if fault.status else self._answer(request, body)

    def _drop(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _faulty(self, fault: Fault) -> web.Response:
        if isinstance(fault.body, str):
            kind = "text/html" if fault.body.startswith("<") else "text/plain"
            return web.Response(
                status=fault.status, text=fault.body, content_type=kind, headers=fault.headers
            )
        if fault.body is not None:
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        code = "RATE_LIMIT_EXCEEDED" if fault.status == 429 else "INTERNAL_ERROR"
        return self._error(fault.status, code, f"made to fail with {fault.status}", fault.headers)

    def _error(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        shapes: dict[str, dict[str, Any]] = {
            "nested": {"error": {"code": code, "message": message}},
            "plain": {"error": message},
            "flat": {"code": code, "message": message},
        }
        return web.json_response(shapes[self.errors], status=status, headers=headers)

    # -- the API -------------------------------------------------------------------------------------------

    def _answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        method, path = request.method, request.path
        if path == "/api/auth/login" and method == "POST" and "login" in self.offered and not self.local:
            return self._login(body)
        if not self._knows(request):
            return self._error(401, "AUTH_INVALID_KEY", "Unauthorized")
        if path == "/api/community/mcp/workspaces" and not self.local:
            return self._workspaces(method, body)
        if path == "/api/bots":
            return self._list_bots() if method == "GET" else self._create_bot(body)
        match = re.fullmatch(r"/api/bots/([^/]+)(?:/(activate|deactivate|test))?", path)
        if match and (match[2] is None or method == "POST"):
            return self._of_bot(method, match[1], match[2], body)
        return self._no_route(path)

    def _no_route(self, path: str) -> web.Response:
        return self._error(404, "NOT_FOUND", f"No route {path}")

    def _knows(self, request: web.Request) -> bool:
        if request.headers.get("Authorization") == f"Bearer {self.token}":
            return True
        by_key = request.path.startswith("/api/community/")
        return by_key and request.headers.get("X-API-Key") == ACCOUNT_KEY

    def _login(self, body: Any) -> web.Response:
        if body != {"email": EMAIL, "password": PASSWORD}:
            return self._error(401, "AUTH_INVALID_CREDENTIALS", "Invalid email or password")
        return web.json_response({"token": self.token} if self.login_answer is None else self.login_answer)

    def _workspaces(self, method: str, body: Any) -> web.Response:
        if method == "GET":
            return web.json_response({"workspaces": self.workspaces})
        if len(body.get("name", "")) < 2:
            return self._error(400, "VALIDATION_ERROR", "name is required (min 2 characters)")
        if len(self.workspaces) >= 3:
            return self._error(403, "FORBIDDEN", "MCP workspace limit reached for your plan")
        made = workspace(f"ws_{len(self.workspaces) + 1}", body["name"])
        self.workspaces.append(made)
        return web.json_response(
            {key: made[key] for key in ("id", "slug", "name", "gateway_url")}, status=201
        )

    def _list_bots(self) -> web.Response:
        self._listings += 1
        if self.conversations_after and self._listings >= self.conversations_after:
            for bot in self.bots.values():
                bot["conversation_count"] = 1
        bots = [self._summary(bot) for bot in self.bots.values()]
        return web.json_response(
            bots if self.listed == "bare" else {"named": {"bots": bots}, "data": {"data": bots}}[self.listed]
        )

    def _summary(self, bot: Mapping[str, Any]) -> dict[str, Any]:
        names = (
            "id", "name", "slug", "platform", "status", "llm_provider", "llm_model",
            "created_at", "updated_at", "last_active_at", "conversation_count",
        )  # fmt: skip
        return {name: bot[name] for name in names}

    def _fresh_bot(self) -> dict[str, Any]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {
            "id": f"bt_{len(self.bots) + 1:020d}", "name": "Support Bot", "slug": "support-bot",
            "platform": "whatsapp", "status": "inactive", "llm_provider": "anthropic",
            "llm_model": "claude-sonnet-4-6", "billing_mode": "wallet", "created_at": now, "updated_at": now,
            "last_active_at": None, "conversation_count": 0, "platform_config": {},
        }  # fmt: skip

    def _create_bot(self, body: Any) -> web.Response:
        required = ("name", "platform", "system_prompt", *(() if self.local else ("workspace_id",)))
        missing = [name for name in required if not body.get(name)]
        if missing:
            return self._error(400, "VALIDATION_ERROR", f"{', '.join(missing)} required")
        bot = self.add_bot(**body, slug=re.sub(r"\W+", "-", body["name"].lower()))
        return self._object(bot, 201)

    def _object(self, bot: Mapping[str, Any], status: int = 200) -> web.Response:
        shown = dict(bot)
        if not self.echo_secrets:
            config = shown.get("platform_config") or {}
            shown["platform_config"] = {k: "***" if k in SECRET_FIELDS else v for k, v in config.items()}
            shown.pop("llm_api_key", None)
        return web.json_response({"bot": shown} if self.wrapped else shown, status=status)

    def _of_bot(self, method: str, bot_id: str, action: str | None, body: Any) -> web.StreamResponse:
        offered = {"GET": "get", "PATCH": "patch", "DELETE": "delete"}.get(method, action)
        if offered in {"get", "patch", "delete", "deactivate"} and offered not in self.offered:
            return (
                self._no_route(f"/api/bots/{bot_id}")
                if method == "POST"
                else self._error(405, "X", "Method Not Allowed")
            )
        bot = self.bots.get(bot_id)
        if bot is None:
            return self._error(404, "NOT_FOUND", "Bot not found")
        if action:
            return {"activate": self._activate, "deactivate": self._deactivate, "test": self._test}[action](
                bot, body
            )
        if method == "DELETE":
            del self.bots[bot_id]
            return web.Response(status=204)
        if method == "PATCH":
            bot.update(body)
        return self._object(bot)

    def _activate(self, bot: dict[str, Any], body: Any) -> web.Response:
        bot["status"] = "active"
        webhook = f"{self.url}/api/bots/webhook/{bot['platform']}/{bot['id']}"
        if not self.local:
            webhook = f"https://api.aerostack.dev/api/bots/webhook/{bot['platform']}/{bot['id']}"
        manual = bot["platform"] in ("whatsapp", "slack")
        answer = {"status": "active", "webhook_url": webhook, "manual_setup_required": manual, "warnings": []}
        answer |= self.activation
        return web.json_response({"data": answer} if self.wrapped else answer)

    def _webhook(self, request: web.Request, bot_id: str) -> web.Response:
        """What Meta calls: the challenge for who knows the bot's verify token; deliveries are taken."""
        bot = self.bots.get(bot_id)
        if bot is None:
            return web.Response(status=404)
        if request.method == "POST":
            return web.Response()
        known = request.query.get("hub.verify_token") == bot["platform_config"].get("verify_token")
        return web.Response(text=request.query.get("hub.challenge", "")) if known else web.Response(status=403)

    def _deactivate(self, bot: dict[str, Any], body: Any) -> web.Response:
        bot["status"] = "inactive"
        return web.json_response({"status": "inactive"})

    def _test(self, bot: dict[str, Any], body: Any) -> web.Response:
        call = {
            "toolName": "orders__get_order", "arguments": {"order_id": "1234"}, "latencyMs": 230,
            "success": True, "result": {"status": "shipped", "token": "tool-secret"},
        }  # fmt: skip
        answer = {
            "response": f"You said: {body['message']}",
            "tool_calls": [call],
            "tokens": {"input": 485, "output": 42},
            "token_breakdown": {"systemPrompt": 120, "total": 507},
            "cost_cents": 1,
            "latency_ms": 2340,
            "loop_iterations": 1,
            "conversation_id": "bconv_abc123",
        }
        bot["conversation_count"] += 1
        return web.json_response({"result": answer} if self.wrapped else answer)


def workspace(identifier: str, name: str) -> dict[str, Any]:
    """A workspace as the API lists it."""
    return {
        "id": identifier, "slug": name, "name": name, "description": None, "status": "active",
        "server_count": 2, "gateway_url": f"https://mcp.aerostack.dev/ws/{name}", "created_at": 1710000000,
        "updated_at": 1710000000,
    }  # fmt: skip
