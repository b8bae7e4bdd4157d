"""The public listener: the path that Meta calls, two health checks, nothing else.

Its law: what is authentic is stored and answered 200, whatever is in it, for Meta repeats everything else for a week;
what is not authentic is refused, and only the operator learns why. Nothing that a client sends makes it answer 5xx.
What a delivery holds is read after its 200: see ``reader.py``.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from aerobot import events
from aerobot.errors import StoreUnavailable
from aerobot.host.gate import Gate, Limits
from aerobot.host.ok import Acknowledgements
from aerobot.host.paths import path_of
from aerobot.host.reader import Reader, read
from aerobot.store.base import HostedBot, Store
from aerobot.store.roster import Roster
from aerobot.whatsapp import signature

_PREFIX = path_of("")
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Who can reach the public listener, and whether unsigned messages are let in all the same."""

    exposed: bool
    allow_unsigned: bool

    @property
    def takes_unsigned(self) -> bool:
        """Whether a bot without an app secret is answered."""
        return self.allow_unsigned or not self.exposed


class PublicListener:
    """Receives, verifies, stores, and tells ``reader``."""

    def __init__(
        self,
        *,
        store: Store,
        roster: Roster,
        emit: Callable[[events.Event], None],
        reader: Reader,
        exposure: Exposure,
        limits: Limits,
    ) -> None:
        self._store = store
        self._roster = roster
        self._emit = emit
        self._reader = reader
        self.exposure = exposure
        self.gate = Gate(limits, self._closed)
        self.ready = False
        self._on_previous: set[str] = set()
        self._ok = Acknowledgements()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request, for ``listen``: four paths need no router, and each delivery would pay for one.

        What nobody foresaw is told, and repeated by Meta; a connection whose body was not read ends with the answer.
        """
        door = self.gate.begin(request)
        try:
            return _ended(request, await self._answered(request))
        except Exception as error:
            self._unforeseen("public listener", error)
            return _ended(request, web.Response(status=503, text="try again"))
        finally:
            self.gate.end(request, door)

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        bot_id = path.removeprefix(_PREFIX)
        if bot_id and bot_id != path and "/" not in bot_id:
            if method == "POST":
                return await self._deliver(request, bot_id)
            return self._handshake(request, bot_id) if method in _READING else _not_allowed("GET,HEAD,POST")
        if path not in ("/healthz", "/readyz"):
            return web.Response(status=404, text="404: Not Found")
        if method not in _READING:
            return _not_allowed("GET,HEAD")
        if path == "/healthz":
            return web.Response(text="ok")
        return web.Response(text="ready") if self.ready else web.Response(status=503, text="not ready")

    # -- the handshake ------------------------------------------------------------------------------------------

    def _handshake(self, request: web.BaseRequest, bot_id: str) -> web.Response:
        bot = self._roster.get(bot_id)
        if bot is None:
            return self._unknown(request)
        token = bot.verify_token
        verdict = signature.challenge(request.query, token.reveal() if token else "")
        if not verdict.ok:
            return self._refuse(403, verdict.detail, verdict.remedy, request.path)
        self._emit(events.Handshake(at=self._store.now(), bot_id=bot.id))
        return web.Response(text=verdict.body, content_type="text/plain")

    # -- a delivery ---------------------------------------------------------------------------------------------

    async def _deliver(self, request: web.BaseRequest, bot_id: str) -> web.StreamResponse:
        bot = self._roster.get(bot_id)
        if bot is None:
            return self._unknown(request)
        try:
            if request.content.is_eof():  # it came with its head, as most do: nothing has to be waited for
                body = _bounded(request.content.read_nowait(), self.gate.limits.body_bytes)
            else:
                async with asyncio.timeout(self.gate.limits.body_seconds):
                    await _go_on(request)
                    body = await _body(request, self.gate.limits.body_bytes)
        except TimeoutError:
            reason = f"a body that did not come within {self.gate.limits.body_seconds:g} s"
            return self._refuse(408, reason, "Meta sends at once: this was not Meta.", request.path)
        except (ConnectionError, web.RequestPayloadError, HttpProcessingError, ClientPayloadError):
            return web.Response(status=400, text="refused")  # the caller broke off, or its framing is broken
        if body is None:
            remedy = "Meta sends at most 3 MB: this was not Meta."
            return self._refuse(413, f"a body of more than {self.gate.limits.body_bytes} bytes", remedy, request.path)
        self.gate.all_here(request)
        if bot.app_secret is not None:
            header = request.headers.get("X-Hub-Signature-256")
            secrets = [secret.reveal() for secret in (bot.app_secret, bot.app_secret_previous) if secret is not None]
            verdict = signature.check(body, header, secrets, sha1_header=request.headers.get("X-Hub-Signature"))
            if not verdict.ok:
                status = 401 if verdict.reason in ("missing", "sha1_only") else 403
                return self._refuse(status, verdict.detail, verdict.remedy, request.path)
            self._fitted(bot, previous=verdict.fits > 0)
        elif not self.exposure.takes_unsigned:
            remedy = "Set whatsapp.app_secret, or accept the risk with --allow-unsigned."
            return self._refuse(403, "the bot has no app secret and this listener is exposed", remedy, request.path)
        return await self._keep(request, bot, body)

    async def _keep(self, request: web.BaseRequest, bot: HostedBot, body: bytes) -> web.StreamResponse:
        """Store it as it came; what is in it is read afterwards. Only what nobody signed is looked at before."""
        signed = bot.app_secret is not None
        if not signed and (problem := await self._problem(body)):
            return self._refuse(400, problem, "This was not Meta, or a test tool gone wrong.", request.path)
        self._reader.expect()
        try:
            await self._store.receive(bot, body, signed=signed)
        except StoreUnavailable as error:
            return self._refuse(503, error.message, error.hint, request.path)
        self._reader.arrived()
        return self._ok.to(request)

    async def _problem(self, body: bytes) -> str:
        try:
            return (await read(body, "")).problem
        except Exception as error:
            self._unforeseen("webhook", error)
            return "unreadable"

    # -- what is told -------------------------------------------------------------------------------------------

    def _fitted(self, bot: HostedBot, *, previous: bool) -> None:
        """Which app secret signed; told when that changes, so that whoever changes it sees when it is done."""
        if previous == (bot.id in self._on_previous):
            return
        (self._on_previous.add if previous else self._on_previous.discard)(bot.id)
        words = ("app_secret_previous", "still") if previous else ("app_secret", "now")
        detail = f"Meta {words[1]} signs with whatsapp.{words[0]}"
        self._emit(events.Notice(at=self._store.now(), level="ok", topic="secret", detail=detail))

    def _closed(self, detail: str) -> None:
        self._emit(events.Notice(at=self._store.now(), level="warning", topic="public", detail=detail))

    def _unforeseen(self, where: str, error: Exception) -> None:
        self._emit(events.Unexpected(at=self._store.now(), where=where, error=f"{type(error).__name__}: {error}"))

    def _unknown(self, request: web.BaseRequest) -> web.Response:
        remedy = "Is the id in the callback URL this bot's?"
        return self._refuse(404, "a bot that this host does not run", remedy, request.path)

    def _refuse(self, status: int, reason: str, remedy: str, path: str) -> web.Response:
        """Refuse: the operator is told why, the caller only that."""
        self._emit(
            events.Rejected(at=self._store.now(), status=status, reason=reason, remedy=remedy, path=path[:200])
        )
        return web.Response(status=status, text={503: "try again"}.get(status, "refused"))


def _not_allowed(methods: str) -> web.Response:
    return web.Response(status=405, text="405: Method Not Allowed", headers={"Allow": methods})


def _ended(request: web.BaseRequest, answer: web.StreamResponse) -> web.StreamResponse:
    """The answer; where the body was not read, the connection ends with it."""
    if not request.content.is_eof():
        answer.force_close()
    return answer


def _bounded(content: bytes, most: int) -> bytes | None:
    return content if len(content) <= most else None


async def _go_on(request: web.BaseRequest) -> None:
    """Tell who asks whether to send a body (curl does, before a larger one) to send it."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # that was not the answer yet


async def _body(request: web.BaseRequest, most: int) -> bytes | None:
    """The raw bytes, or ``None`` where there are too many."""
    if (request.content_length or 0) > most:
        return None
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > most:
            return None
    return bytes(content)
