"""Graph as a host sees it: routes, tokens, permissions and error envelopes, under any version there is or none.

Source: developers.facebook.com/docs/whatsapp/cloud-api, Graph v25.0. What it does not have (flows, groups,
catalogues) answers as Graph does for unknown edges.
"""

import re
import time
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import web

from aerobot.emulator.bodies import TooLarge
from aerobot.emulator.business import Number
from aerobot.emulator.callbacks import Callbacks
from aerobot.emulator.calls import Calls, Trail
from aerobot.emulator.faults import Faults
from aerobot.emulator.graph_accounts import GraphAccounts
from aerobot.emulator.graph_apps import GraphApps
from aerobot.emulator.graph_blocks import GraphBlocks
from aerobot.emulator.graph_call import Call, answer, read
from aerobot.emulator.graph_errors import Refusal, Refused, no_path, not_assigned, not_there
from aerobot.emulator.graph_media import GraphMedia
from aerobot.emulator.graph_messages import GraphMessages
from aerobot.emulator.graph_numbers import GraphNumbers, not_registered
from aerobot.emulator.ids import Ids
from aerobot.emulator.journal import Journal
from aerobot.emulator.portal import Portal
from aerobot.emulator.presets import BROKEN, PRESETS, Fault
from aerobot.emulator.tokens import MESSAGING
from aerobot.emulator.wire import Wire, page

VERSION = "v25.0"
NEWEST = 26
"""v26.0 of 2026-07-29 (Meta: Graph API changelog); what is newer does not exist yet, what is older rolls on."""
VERSIONS = r"v[0-9]{1,4}\.0"
USAGE = '{"call_count":0,"total_cputime":0,"total_time":0}'
ACCOUNT_USAGE = '{"%s":[{"type":"whatsapp","call_count":0,"total_cputime":0,"total_time":0,'
ACCOUNT_USAGE += '"estimated_time_to_regain_access":0}]}'
UNAVAILABLE = Refusal(
    status=503, code=2, message="(#2) Service temporarily unavailable", transient=True, details="Try again later."
)


class GraphApi:
    """Answers every request that is not the page's; each becomes one ``graph`` event and one of ``calls``."""

    def __init__(
        self,
        *,
        portal: Portal,
        callbacks: Callbacks,
        blocks: GraphBlocks,
        messages: GraphMessages,
        media: GraphMedia,
        faults: Faults,
        wire: Wire,
        calls: Calls,
        journal: Journal,
        ids: Ids,
        now: Callable[[], float],
    ) -> None:
        self._business = business = portal.business
        self._tokens = portal.tokens
        self._apps = GraphApps(business=business, tokens=portal.tokens, callbacks=callbacks)
        self._numbers = GraphNumbers(business=business, callbacks=callbacks, blocks=blocks)
        self._accounts = GraphAccounts(portal=portal, numbers=self._numbers, callbacks=callbacks)
        self._messages = messages
        self._media = media
        self._faults = faults
        self._wire = wire
        self._calls = calls
        self._journal = journal
        self._ids = ids
        self._now = now

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call, from the token to the envelope."""
        began = time.perf_counter()
        version, parts = _split(request.path)
        code, trail = 0, Trail()
        try:
            response = await self._answer(request, parts, trail)
        except Refused as refused:
            code = refused.refusal.code
            response = self._refuse(refused.refusal)
        except TooLarge as error:
            code = 100
            response = self._refuse(Refusal(code=100, status=413, message=f"(#100) {error}"))
        if not response.prepared:
            self._mark(response, version, parts)
        took = round((time.perf_counter() - began) * 1000, 1)
        self._remember(request, response, trail, code=code, took=took)
        return response

    def _remember(
        self, request: web.Request, response: web.StreamResponse, trail: Trail, *, code: int, took: float
    ) -> None:
        made = self._calls.add(
            request.method,
            request.path,
            trail,
            status=response.status,
            code=code,
            milliseconds=took,
            answer=_text(response),
        )
        fault: dict[str, object] = {"fault": trail.fault} if trail.fault else {}
        if trail.fault and PRESETS[trail.fault].wire in BROKEN:
            fault["broken"] = True
        self._journal.add(
            "graph",
            call=made.call,
            method=request.method,
            path=request.path,
            status=response.status,
            code=code,
            milliseconds=took,
            wamid=trail.wamid,
            **fault,
        )

    async def _answer(self, request: web.Request, parts: list[str], trail: Trail) -> web.StreamResponse:
        if self._business.outage == "html":
            return page()
        if self._business.outage:
            raise Refused(UNAVAILABLE)
        if len(parts) > 1 and re.fullmatch(VERSIONS, parts[0]):
            raise no_path("/".join(parts[1:]))
        fault = self._armed(request, parts)
        if fault is not None:
            trail.fault = fault.name
            if fault.refusal is not None:
                raise fault.refused()
            if fault.wire != "slow":
                return await self._wire.spoil(request, fault, b"{}")
            await self._wire.late()
        if parts == ["oauth", "access_token"] and request.method == "GET":
            return answer(self._apps.access_token(request.query))
        proof = self._business.require_proof
        call = await read(request, parts, self._tokens, require_proof=proof, trail=trail)
        if parts[:2] == ["whatsapp_business", "attachments"]:
            return self._media.download(request)
        return await self._route(call)

    def _armed(self, request: web.Request, parts: list[str]) -> Fault | None:
        """What is armed for a call that is not a message; those have more to say before they meet theirs."""
        if parts[:2] == ["whatsapp_business", "attachments"]:
            return self._faults.take("download")
        edge = parts[1] if len(parts) > 1 else ""
        if (request.method, edge) == ("POST", "messages"):
            return None
        about_media = edge == "media" or (len(parts) == 1 and self._media.has(parts[0]))
        return self._faults.take("media" if about_media else "settings")

    async def _route(self, call: Call) -> web.StreamResponse:
        if not call.node:
            raise no_path("")
        if call.node == "debug_token" and call.method == "GET" and not call.edge:
            return answer(self._apps.debug_token(call))
        if self._apps.has(call.node):
            return answer(await self._apps.answer(call))
        if call.node in self._business.accounts:
            return answer(await self._accounts.answer(call))
        if (number := self._business.numbers.get(call.node)) is not None:
            return await self._on_number(call, number)
        if self._media.has(call.node) and not call.edge and self._ours(call):
            call.token.need(MESSAGING)
            return answer(self._media.answer(call.request, call.node))
        if call.method == "GET" and not call.edge and (template := self._accounts.template(call)) is not None:
            return answer(template)
        raise not_there(call.method, call.node)

    def _ours(self, call: Call) -> bool:
        """Whether ``phone_number_id``, if it is given, is one of the numbers that share the files here."""
        return call.maybe("phone_number_id") in ("", *self._business.numbers)

    async def _on_number(self, call: Call, number: Number) -> web.StreamResponse:
        sends = (call.method, call.edge) == ("POST", "messages")
        if not call.token.sees(number.account_id):
            raise not_assigned() if sends else not_there(call.method, call.node)
        if sends:
            call.token.need(MESSAGING)
            if not number.registered:
                raise not_registered()
            return await self._messages.answer(call, number)
        if (call.method, call.edge) == ("POST", "media"):
            call.token.need(MESSAGING)
            return answer(await self._media.upload(call.request))
        return answer(await self._numbers.answer(call, number))

    def _refuse(self, refusal: Refusal) -> web.Response:
        response = answer(refusal.document(self._trace()), status=refusal.status)
        if refusal.status == 401:
            said = f'OAuth "Facebook Platform" "invalid_token" "{refusal.message}"'
            response.headers["WWW-Authenticate"] = said
        if refusal.retry_after:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response

    def _mark(self, response: web.StreamResponse, version: str, parts: list[str]) -> None:
        response.headers["Date"] = formatdate(self._now() + self._business.clock_ahead, usegmt=True)
        response.headers["facebook-api-version"] = version or VERSION
        response.headers["x-app-usage"] = USAGE
        if account := self._account(parts[0] if parts else ""):
            response.headers["x-business-use-case-usage"] = ACCOUNT_USAGE % account
        response.headers["x-fb-trace-id"] = self._trace()
        response.headers["Cache-Control"] = "private, no-cache, no-store, must-revalidate"

    def _account(self, node: str) -> str:
        """The account that a call on this node counts for; empty if none."""
        number = self._business.numbers.get(node)
        return number.account_id if number else (node if node in self._business.accounts else "")

    def _trace(self) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        return "A" + "".join(self._ids.dice("trace").choices(letters, k=22))


def _split(path: str) -> tuple[str, list[str]]:
    """The version, if it is one that exists, and the rest."""
    parts = [part for part in path.split("/") if part]
    known = parts and re.fullmatch(VERSIONS, parts[0]) and int(parts[0][1:-2]) <= NEWEST
    return (parts.pop(0) if known else ""), parts


def _text(response: web.StreamResponse) -> str:
    """An answer's body as it may be shown: JSON as it is, files left out."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return ""
    return response.text or "" if response.content_type == "application/json" else f"({len(response.body)} bytes)"
