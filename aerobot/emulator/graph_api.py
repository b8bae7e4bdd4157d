"""Graph as a host sees it: routes, tokens, numbers and error envelopes, under any version or none.

Source: developers.facebook.com/docs/whatsapp/cloud-api, Graph v25.0. What it does not have yet (set-up
endpoints, templates, groups) answers as Graph does for unknown edges.
"""

import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from random import Random

from aiohttp import web

from aerobot.emulator.bodies import TooLarge, bounded
from aerobot.emulator.credentials import Credentials, pretty
from aerobot.emulator.graph_errors import Refusal, Refused, bad_token, no_field, no_path, not_there
from aerobot.emulator.graph_media import GraphMedia
from aerobot.emulator.graph_messages import GraphMessages
from aerobot.emulator.journal import Journal
from aerobot.emulator.outgoing import parse

VERSION = "v25.0"
USAGE = '{"call_count":0,"total_cputime":0,"total_time":0}'
NUMBER = "WhatsAppBusinessPhoneNumber"
DEFAULT_FIELDS = (
    "verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,throughput,"
    "webhook_configuration,id"
)
LONGEST = 1024 * 1024


class GraphApi:
    """Answers every request that is not the page's; each becomes one ``graph`` event."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        name: str,
        messages: GraphMessages,
        media: GraphMedia,
        journal: Journal,
        random: Random,
        webhook_url: Callable[[], str],
    ) -> None:
        self._credentials = credentials
        self._name = name
        self._messages = messages
        self._media = media
        self._journal = journal
        self._random = random
        self._webhook_url = webhook_url

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call, from the token to the envelope."""
        began = time.perf_counter()
        version, parts = _split(request.path)
        code = 0
        try:
            response = await self._answer(request, parts)
        except Refused as refused:
            code = refused.refusal.code
            response = self._refuse(refused.refusal)
        except TooLarge as error:
            code = 100
            response = self._refuse(Refusal(code=100, status=413, message=f"(#100) {error}"))
        if not response.prepared:
            self._mark(response, version)
        took = round((time.perf_counter() - began) * 1000, 1)
        self._journal.add(
            "graph",
            method=request.method,
            path=request.path,
            status=response.status,
            code=code,
            milliseconds=took,
        )
        return response

    async def _answer(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        self._check_token(request)
        if parts[:2] == ["whatsapp_business", "attachments"]:
            return self._media.download(request)
        if not parts:
            raise no_path("")
        node, edge = parts[0], "/".join(parts[1:])
        if node == self._credentials.phone_number_id:
            return await self._on_number(request, edge)
        if self._media.has(node) and not edge:
            return _json(self._media.answer(request, node))
        raise not_there(request.method, node)

    async def _on_number(self, request: web.Request, edge: str) -> web.StreamResponse:
        match request.method, edge:
            case "GET", "":
                return _json(self._number(request.query.get("fields") or DEFAULT_FIELDS))
            case "POST", "messages":
                body = parse(await bounded(request, LONGEST), request.content_type)
                return await self._messages.answer(request, body)
            case "POST", "media":
                return _json(await self._media.upload(request))
            case "GET", _:
                raise no_field(edge, NUMBER)
            case _, "":
                raise not_there(request.method, self._credentials.phone_number_id)
        raise no_path(edge)

    def _number(self, fields: str) -> dict[str, object]:
        known: Mapping[str, object] = {
            "id": self._credentials.phone_number_id,
            "verified_name": self._name,
            "display_phone_number": pretty(self._credentials.display_phone_number),
            "code_verification_status": "VERIFIED",
            "name_status": "APPROVED",
            "quality_rating": "GREEN",
            "platform_type": "CLOUD_API",
            "account_mode": "SANDBOX",
            "status": "CONNECTED",
            "throughput": {"level": "STANDARD"},
            "webhook_configuration": {"application": self._webhook_url()},
            "whatsapp_business_manager_messaging_limit": "TIER_250",
            "is_official_business_account": False,
            "health_status": {"can_send_message": "AVAILABLE", "entities": []},
        }
        asked = [name.strip() for name in fields.split(",") if name.strip()]
        for name in asked:
            if name not in known:
                raise no_field(name, NUMBER)
        return {name: known[name] for name in dict.fromkeys([*asked, "id"])}

    def _check_token(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "oauth"):
            given = request.query.get("access_token", "")
        if not hmac.compare_digest(given.strip().encode(), self._credentials.access_token.encode()):
            raise bad_token()

    def _refuse(self, refusal: Refusal) -> web.Response:
        response = _json(refusal.document(self._trace()), status=refusal.status)
        if refusal.status == 401:
            said = f'OAuth "Facebook Platform" "invalid_token" "{refusal.message}"'
            response.headers["WWW-Authenticate"] = said
        return response

    def _mark(self, response: web.StreamResponse, version: str) -> None:
        response.headers["facebook-api-version"] = version or VERSION
        response.headers["x-app-usage"] = USAGE
        response.headers["x-fb-trace-id"] = self._trace()
        response.headers["Cache-Control"] = "private, no-cache, no-store, must-revalidate"

    def _trace(self) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        return "A" + "".join(self._random.choices(letters, k=22))


def _split(path: str) -> tuple[str, list[str]]:
    parts = [part for part in path.split("/") if part]
    version = parts.pop(0) if parts and re.fullmatch(r"v\d+\.\d+", parts[0]) else ""
    return version, parts


def _json(document: object, status: int = 200) -> web.Response:
    body = json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    return web.Response(body=body, status=status, headers=headers)
