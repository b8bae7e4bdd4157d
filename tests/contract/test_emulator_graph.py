"""The emulated Graph, seen from a host: endpoints, limits, errors, receipts, redelivery, control API."""

import asyncio
import base64
import gc
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from aerobot.emulator.server import Emulator
from aerobot.emulator.webhooks import scoped_id
from aerobot.errors import NetworkError, RemoteError

USER = "15550123456"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


@dataclass
class Host:
    """A host in a few lines: answers the challenge, keeps what is delivered."""

    verify_token: str
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with the next of ``statuses``, then 200."""
        if request.method == "GET":
            good = request.query.get("hub.verify_token") == self.verify_token
            return web.Response(text=request.query["hub.challenge"]) if good else web.Response(status=403)
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        self.arrived.set()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def values(self) -> list[dict[str, Any]]:
        """The ``value`` of every delivery so far."""
        return [json.loads(body)["entry"][0]["changes"][0]["value"] for body in self.bodies]

    def told(self, wamid: str) -> list[str]:
        """The receipts of one message, in the order of arrival."""
        statuses = [status for value in self.values for status in value.get("statuses", [])]
        return [status["status"] for status in statuses if status["id"] == wamid]

    async def until(self, done: Any) -> None:
        """Wait for deliveries until ``done()``."""
        async with asyncio.timeout(10):
            while not done():
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def served(host: Host) -> AsyncIterator[None]:
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/hook", host.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield
    finally:
        await runner.cleanup()


class Graph:
    """Calls Graph as a client would."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.token = emulator.credentials.access_token
        self.number = emulator.credentials.phone_number_id

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        url = path if path.startswith("http") else self.emulator.graph_url + path
        async with self.session.request(method, url, headers=headers, **more) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.read()

    async def send(self, to: str = f"+{USER}", **body: Any) -> tuple[int, Any]:
        document = {"messaging_product": "whatsapp", "to": to, **body}
        return await self.call("POST", f"/v25.0/{self.number}/messages", json=document)

    async def sent(self, **body: Any) -> str:
        status, answer = await self.send(**body)
        assert status == 200, answer
        return str(answer["messages"][0]["id"])

    async def upload(self, data: bytes = PNG, mime_type: str = "image/png") -> tuple[int, Any]:
        form = aiohttp.FormData({"messaging_product": "whatsapp", "type": mime_type})
        form.add_field("file", io.BytesIO(data), filename="a.png", content_type=mime_type)
        return await self.call("POST", f"/v25.0/{self.number}/media", data=form)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    made = Emulator(seed=11, receipts_delay=0.01, window="off")
    await made.start(port=0)
    yield made
    await made.stop()
    gc.collect()


@pytest.fixture
async def graph(emulator: Emulator) -> AsyncIterator[Graph]:
    async with aiohttp.ClientSession() as session:
        yield Graph(emulator, session)


@pytest.fixture
async def host(emulator: Emulator) -> AsyncIterator[Host]:
    made = Host(emulator.credentials.verify_token)
    async with served(made):
        await emulator.connect(made.url)
        yield made


TEXT: dict[str, Any] = {"type": "text", "text": {"body": "Hi"}}


def buttons(*titles: str, body: str = "Choose") -> dict[str, Any]:
    made = [{"type": "reply", "reply": {"id": f"id-{n}", "title": title}} for n, title in enumerate(titles)]
    interactive = {"type": "button", "body": {"text": body}, "action": {"buttons": made}}
    return {"type": "interactive", "interactive": interactive}


def rows(*counts: int, title: str = "Row", **more: Any) -> dict[str, Any]:
    sections = [
        {"title": f"S{s}", "rows": [{"id": f"{s}-{n}", "title": title, **more} for n in range(count)]}
        for s, count in enumerate(counts)
    ]
    action = {"button": "Open", "sections": sections}
    return {"type": "interactive", "interactive": {"type": "list", "body": {"text": "x"}, "action": action}}


class TestTokensAndPaths:
    async def test_wrong_token(self, graph: Graph) -> None:
        """401 and 190 in Meta's envelope."""
        url, headers = f"{graph.emulator.graph_url}/v25.0/{graph.number}", {"Authorization": "Bearer nonsense"}
        async with graph.session.get(url, headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("OAuth")
            error = (await response.json())["error"]
        assert error.pop("fbtrace_id").startswith("A")
        message = "Invalid OAuth access token - Cannot parse access token"
        assert error == {"message": message, "type": "OAuthException", "code": 190}

    @pytest.mark.parametrize("header", ["", "x", "Basic abc", "Bearer "])
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/v25.0/{n}", 403, 200),
            ("POST", "/v25.0/{n}/messages", 403, 200),
            ("GET", "/v25.0/me", 400, 2500),
            ("GET", "/debug_token", 400, 2500),
            ("GET", "/whatsapp_business/attachments/?mid=1", 401, 190),
        ],
    )
    async def test_missing_token(
        self, graph: Graph, header: str, method: str, path: str, status: int, code: int
    ) -> None:
        """Nobody in particular may do nothing, and is told so by another code than somebody with a bad token."""
        found, answer = await graph.call(
            method, path.replace("{n}", graph.number), headers={"Authorization": header}
        )
        assert (found, answer["error"]["code"], answer["error"]["type"]) == (status, code, "OAuthException")
        assert answer["error"]["fbtrace_id"]

    @pytest.mark.parametrize("version", ["v27.0", "v99.0", "v1234.0"])
    async def test_versions_that_do_not_exist(self, graph: Graph, version: str) -> None:
        """They are no versions but paths that lead nowhere, with a token or without (so a version is probed)."""
        for headers in ({}, {"Authorization": ""}):
            status, answer = await graph.call("GET", f"/{version}/{graph.number}/x", headers=headers)
            assert (status, answer["error"]["code"]) == (400, 2500)
            assert answer["error"]["message"] == f"Unknown path components: /{graph.number}/x"

    async def test_usage_of_the_account(self, graph: Graph) -> None:
        """Calls about a number or an account tell how much of its limit is used; others do not."""
        account = graph.emulator.credentials.business_account_id
        headers = {"Authorization": f"Bearer {graph.token}"}
        for node in (graph.number, account, f"{graph.number}/messages"):
            async with graph.session.get(f"{graph.emulator.graph_url}/v25.0/{node}", headers=headers) as response:
                [used] = json.loads(response.headers["x-business-use-case-usage"])[account]
                assert (used["type"], used["call_count"]) == ("whatsapp", 0)
                assert used["estimated_time_to_regain_access"] == 0
        async with graph.session.get(f"{graph.emulator.graph_url}/v25.0/app", headers=headers) as response:
            assert "x-business-use-case-usage" not in response.headers

    async def test_token_may_stand_in_the_query(self, emulator: Emulator, graph: Graph) -> None:
        """As Graph allows."""
        query = {"access_token": graph.token}
        headers = {"Authorization": ""}
        assert (await graph.call("GET", f"/{graph.number}", params=query, headers=headers))[0] == 200

    @pytest.mark.parametrize("version", ["/v25.0", "/v26.0", "/v19.0", ""])
    async def test_any_version_or_none(self, graph: Graph, version: str) -> None:
        """The number's fields, and the version said back."""
        fields = "display_phone_number,verified_name,status,platform_type,account_mode,quality_rating,throughput"
        url = f"{graph.emulator.graph_url}{version}/{graph.number}?fields={fields}"
        headers = {"Authorization": f"Bearer {graph.token}"}
        async with graph.session.get(url, headers=headers) as response:
            assert response.headers["facebook-api-version"] == (version[1:] or "v25.0")
            assert json.loads(response.headers["x-app-usage"])["call_count"] == 0
            digits = graph.emulator.credentials.display_phone_number
            assert await response.json() == {
                "display_phone_number": f"+1 555-010-{digits[-4:]}",
                "verified_name": "Aerobot",
                "status": "CONNECTED",
                "platform_type": "CLOUD_API",
                "account_mode": "SANDBOX",
                "quality_rating": "GREEN",
                "throughput": {"level": "STANDARD"},
                "id": graph.number,
            }

    @pytest.mark.parametrize(
        ("method", "path", "code", "subcode", "words"),
        [
            ("GET", "/v25.0/123", 100, 33, "Unsupported get request. Object with ID '123' does not exist"),
            ("POST", "/v25.0/123/messages", 100, 33, "Unsupported post request. Object with ID '123'"),
            ("GET", "/v25.0/{n}/nosuch", 100, None, "(#100) Tried accessing nonexisting field (nosuch)"),
            (
                "GET",
                "/v25.0/{n}?fields=nosuch",
                100,
                None,
                "(#100) Tried accessing nonexisting field (nosuch)",
            ),
            ("GET", "/v25.0/{n}/messages", 100, None, "(#100) Tried accessing nonexisting field (messages)"),
            ("POST", "/v25.0/{n}/nosuch", 2500, None, "Unknown path components: /nosuch"),
            ("GET", "/v25.0", 2500, None, "Unknown path components: /"),
            ("DELETE", "/v25.0/{n}", 100, 33, "Unsupported delete request."),
        ],
    )
    async def test_unknown(
        self, graph: Graph, method: str, path: str, code: int, subcode: int | None, words: str
    ) -> None:
        """What is not there answers as Graph does."""
        status, answer = await graph.call(method, path.replace("{n}", graph.number))
        error = answer["error"]
        assert (status, error["code"], error.get("error_subcode")) == (400, code, subcode)
        assert error["message"].startswith(words)


class TestAccepted:
    async def test_answer(self, graph: Graph) -> None:
        """``input`` as given, ``wa_id`` in digits, a wamid."""
        status, answer = await graph.send(to="+1 (555) 012-3456", **TEXT)
        wamid = answer["messages"][0].pop("id")
        assert wamid.startswith("wamid.")
        assert (status, answer) == (
            200,
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": "+1 (555) 012-3456", "wa_id": USER}],
                "messages": [{}],
            },
        )

    @pytest.mark.parametrize(
        ("to", "digits"),
        [
            (USER, USER),
            ("5550123456", USER),
            ("555 012-3456", USER),
            ("+5550123456", "5550123456"),
            ("4915112345678", "4915112345678"),
        ],
    )
    async def test_numbers_are_read_as_meta_reads_them(self, graph: Graph, to: str, digits: str) -> None:
        """A short number without ``+`` gets the business number's country code."""
        answer = (await graph.send(to=to, **TEXT))[1]
        assert answer["contacts"] == [{"input": to, "wa_id": digits}]

    async def test_recipient_by_user_id(self, graph: Graph) -> None:
        """``recipient`` instead of ``to``: the answer has ``user_id`` instead of ``wa_id``."""
        body = {"messaging_product": "whatsapp", "recipient": "US.13491208655302741918", **TEXT}
        status, answer = await graph.call("POST", f"/{graph.number}/messages", json=body)
        contact = {"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}
        assert (status, answer["contacts"]) == (200, [contact])

    async def test_a_number_is_found_by_its_user_id(self, graph: Graph) -> None:
        """What is sent to the id of somebody whose number is known appears in that chat."""
        watch = graph.emulator.watch()
        body = {"messaging_product": "whatsapp", "recipient": scoped_id(USER), **TEXT}
        assert (await graph.call("POST", f"/{graph.number}/messages", json=body))[0] == 200
        assert (await anext(watch))["phone"] == USER

    async def test_forms_are_taken(self, graph: Graph) -> None:
        """Graph reads form bodies too, objects as JSON within them."""
        body = {"messaging_product": "whatsapp", "to": USER, "type": "text", "text": '{"body":"Hi"}'}
        assert (await graph.call("POST", f"/{graph.number}/messages", data=body))[0] == 200

    @pytest.mark.parametrize(
        "body",
        [
            {"text": {"body": "no type means text"}},
            {"type": "text", "text": {"body": "x" * 4096, "preview_url": True}},
            {"type": "text", "text": {"body": "re"}, "context": {"message_id": "wamid.gone"}},
            {"type": "image", "image": {"link": "https://example.com/a.jpg", "caption": "x" * 1024}},
            {"type": "audio", "audio": {"link": "https://example.com/a.ogg"}},
            {"type": "document", "document": {"link": "https://example.com/a.pdf", "filename": "a.pdf"}},
            {"type": "sticker", "sticker": {"link": "https://example.com/a.webp"}},
            {"type": "location", "location": {"latitude": 52.1, "longitude": "4.9"}},
            {"type": "contacts", "contacts": [{"name": {"formatted_name": "Sam"}, "phones": []}]},
            {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}},
            {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}},
            buttons("1", "2", "3"),
            buttons("x" * 20, body="x" * 1024),
            rows(5, 5),
            rows(1, title="x" * 24, description="x" * 72),
            {
                "type": "interactive",
                "interactive": {
                    "type": "cta_url",
                    "header": {"type": "text", "text": "x" * 60},
                    "body": {"text": "x"},
                    "footer": {"text": "x" * 60},
                    "action": {
                        "name": "cta_url",
                        "parameters": {"display_text": "Pay", "url": "https://example.com"},
                    },
                },
            },
            {
                "type": "interactive",
                "interactive": {
                    "type": "location_request_message",
                    "body": {"text": "Where?"},
                    "action": {"name": "send_location"},
                },
            },
        ],
    )
    async def test_at_the_limit(self, graph: Graph, body: dict[str, Any]) -> None:
        """What WhatsApp allows is accepted, up to its limits."""
        status, answer = await graph.send(**body)
        assert status == 200, answer


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "code", "words"),
        [
            ({"type": "text"}, 100, "The parameter text is required."),
            ({"type": "text", "text": {}}, 100, "The parameter text['body'] is required."),
            ({"type": "text", "text": {"body": " "}}, 100, "The parameter text['body'] is required."),
            ({"type": "text", "text": {"body": "x" * 4097}}, 100, "must be at most 4096 characters long."),
            ({"type": "text", "text": {"body": "😀" * 2049}}, 100, "must be at most 4096 characters long."),
            ({"type": "text", "text": {"body": 7}}, 100, "must be a string."),
            ({"type": "text", "text": "Hi"}, 100, "must be a JSON object."),
            ({"type": "fax", "fax": {}}, 100, 'got "fax".'),
            (
                TEXT | {"biz_opaque_callback_data": "x" * 513},
                100,
                "biz_opaque_callback_data must be at most 512",
            ),
            ({"type": "image", "image": {"id": "1"}}, 100, "not a valid whatsapp business account media"),
            ({"type": "image", "image": {"link": "ftp://x"}}, 100, "is not a valid URI."),
            ({"type": "image", "image": {}}, 131009, "one of id or link is required"),
            ({"type": "audio", "audio": {"link": "https://e.com/a", "caption": "x"}}, 100, "not allowed"),
            ({"type": "location", "location": {"latitude": 91, "longitude": 0}}, 131009, "out of range"),
            ({"type": "contacts", "contacts": []}, 131009, "Invalid contacts count."),
            (buttons(), 131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"),
            (buttons("1", "2", "3", "4"), 131009, "Invalid buttons count."),
            (buttons("x" * 21), 131009, "Button title length invalid. Min length: 1, Max length: 20"),
            (buttons("a", "a"), 131009, "Duplicated button title or id"),
            (
                buttons("a", body="x" * 1025),
                131009,
                "Body text length invalid. Min length: 1, Max length: 1024",
            ),
            (rows(6, 5), 131009, "Total row count exceed max allowed count: 10"),
            (rows(1, title="x" * 25), 131009, "Row title is too long. Max length is 24"),
            (rows(1, description="x" * 73), 131009, "Row description is too long. Max length is 72"),
            (rows(0), 131009, "Section has no rows"),
            ({"type": "template", "template": {"name": "x"}}, 100, "must be a JSON object."),
            ({"type": "interactive", "interactive": {"type": "hologram"}}, 131009, "Unsupported interactive"),
        ],
    )
    async def test_over_the_limit(self, graph: Graph, body: dict[str, Any], code: int, words: str) -> None:
        """What WhatsApp refuses is refused in Meta's envelope; nothing appears on the phone."""
        watch = graph.emulator.watch()
        status, answer = await graph.send(**body)
        error = answer["error"]
        assert (status, error["code"], error["type"]) == (400, code, "OAuthException")
        said = error.get("error_data", {}).get("details", error["message"])
        assert words in said
        assert error["message"].startswith(f"(#{code}) ")
        assert (await anext(watch))["event"] == "graph"

    @pytest.mark.parametrize(
        ("raw", "words"),
        [
            (b"{", "does not parse"),
            (b"[]", "is not an object"),
            (b"[" * 100_000, "does not parse"),
            (b'{"to":"1"}', "The parameter messaging_product is required."),
            (b'{"messaging_product":"whatsapp"}', "The parameter to is required."),
        ],
    )
    async def test_unusable_bodies(self, graph: Graph, raw: bytes, words: str) -> None:
        """A body that is no message is a 400, never a 5xx."""
        headers = {"Content-Type": "application/json"}
        path = f"/{graph.number}/messages"
        status, answer = await graph.call("POST", path, data=raw, headers=headers)
        assert status == 400
        assert words in answer["error"]["message"]

    @pytest.mark.parametrize("to", ["abc", "+12", "1" * 16, "+٣٣٣٣٣٣٣٣"])
    async def test_no_number(self, graph: Graph, to: str) -> None:
        """131009 for a recipient that is not a phone number."""
        status, answer = await graph.send(to=to, **TEXT)
        assert (status, answer["error"]["code"]) == (400, 131009)

    async def test_too_large(self, graph: Graph) -> None:
        """Bodies are bounded at 1 MiB."""
        body = io.BytesIO(b'{"text":"' + b"x" * 2**20)
        status, answer = await graph.call("POST", f"/{graph.number}/messages", data=body)
        assert (status, answer["error"]["code"]) == (413, 100)


class TestMedia:
    async def test_up_and_down(self, graph: Graph) -> None:
        """Upload, metadata, the bytes with the token, delete."""
        status, answer = await graph.upload()
        number = answer["id"]
        assert status == 200
        status, found = await graph.call("GET", f"/v25.0/{number}")
        url = found.pop("url")
        assert found == {
            "messaging_product": "whatsapp",
            "mime_type": "image/png",
            "sha256": hashlib.sha256(PNG).hexdigest(),
            "file_size": len(PNG),
            "id": number,
        }
        assert url.startswith(graph.emulator.graph_url)
        assert await graph.call("GET", url) == (200, PNG)
        assert (await graph.call("GET", url, headers={"Authorization": "Bearer x"}))[0] == 401
        assert (await graph.call("GET", url.replace(number, "1")))[0] == 404
        await graph.sent(type="image", image={"id": number, "caption": "c"})
        assert await graph.call("DELETE", f"/v25.0/{number}") == (200, {"success": True})
        assert (await graph.call("GET", f"/v25.0/{number}"))[1]["error"]["error_subcode"] == 33
        assert (await graph.call("GET", url))[0] == 404

    async def test_parameters_of_an_upload_may_stand_in_the_query(self, graph: Graph) -> None:
        """As any parameter of Graph may."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(PNG), filename="a.png", content_type="image/png")
        path = f"/v25.0/{graph.number}/media"
        assert (await graph.call("POST", path, data=form, params={"messaging_product": "whatsapp"}))[0] == 200

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    async def test_files_belong_to_a_number(self, graph: Graph, method: str) -> None:
        """Who names a number has to name one that is there."""
        path = f"/v25.0/{(await graph.upload())[1]['id']}"
        error = (await graph.call(method, path, params={"phone_number_id": "123"}))[1]["error"]
        assert (error["code"], error["error_subcode"]) == (100, 33)
        assert (await graph.call(method, path, params={"phone_number_id": graph.number}))[0] == 200

    async def test_urls_die(self) -> None:
        """A media URL works for five minutes, then it is 404."""
        clock = [1_800_000_000.0]
        emulator = Emulator(seed=1, now=lambda: clock[0])
        await emulator.start(port=0)
        async with aiohttp.ClientSession() as session:
            graph = Graph(emulator, session)
            number = (await graph.upload())[1]["id"]
            url = (await graph.call("GET", f"/{number}"))[1]["url"]
            clock[0] += 299
            assert (await graph.call("GET", url))[0] == 200
            clock[0] += 2
            assert (await graph.call("GET", url))[0] == 404
        await emulator.stop()

    async def test_types_and_sizes(self, graph: Graph) -> None:
        """Only what WhatsApp takes, up to its sizes; a body that is no form is a 400."""
        error = (await graph.upload(b"<svg/>", "image/svg+xml"))[1]["error"]
        assert error["code"] == 100
        assert "Received file of type 'image/svg+xml'" in error["message"]
        assert (await graph.upload(bytes(5 * 2**20 + 1)))[1]["error"]["code"] == 131053
        assert (await graph.upload(b""))[1]["error"]["code"] == 131009
        status, _ = await graph.call("POST", f"/{graph.number}/media", json={"file": "x"})
        assert status == 400

    async def test_inbound_files_can_be_downloaded(self, graph: Graph, host: Host) -> None:
        """A file from the phone is announced with its digest, and its bytes come from Graph."""
        data = b"%PDF-1.4 \x00\xff"
        graph.emulator.send_file(data, "application/pdf", filename="è.pdf", caption="here")
        await host.until(lambda: host.bodies)
        [message] = host.values[0]["messages"]
        assert message["type"] == "document"
        document = message["document"]
        assert (document["filename"], document["caption"]) == ("è.pdf", "here")
        assert (await graph.call("GET", document["url"]))[1] == data
        digest = base64.b64decode(document["sha256"]).hex()
        assert digest == (await graph.call("GET", f"/{document['id']}"))[1]["sha256"]
        url = (await graph.call("GET", f"/{document['id']}"))[1]["url"]
        assert (await graph.call("GET", url))[1] == data

    async def test_links_on_this_machine_are_fetched(self, graph: Graph, host: Host) -> None:
        """A loopback link is fetched for the phone; any other one is only shown."""
        watch = graph.emulator.watch()
        link = f"{host.url}?hub.challenge=picture&hub.verify_token={host.verify_token}"
        wamid = await graph.sent(type="image", image={"link": link})
        async with asyncio.timeout(10):
            async for event in watch:
                if event["event"] == "media":
                    assert event["wamid"] == wamid
                    break


class TestWebhooks:
    async def test_signed_bytes(self, emulator: Emulator, host: Host) -> None:
        """The signature is HMAC-SHA256 over exactly the ASCII bytes that arrive."""
        wamid = await emulator.say("é/😀")
        await host.until(lambda: host.bodies)
        [body], [headers] = host.bodies, host.headers
        key = emulator.credentials.app_secret.encode()
        digest = hmac.new(key, body, hashlib.sha256).hexdigest()
        assert headers["X-Hub-Signature-256"] == f"sha256={digest}"
        assert headers["Content-Type"] == "application/json"
        assert b'"body":"\\u00e9\\/\\ud83d\\ude00"' in body
        value = host.values[0]
        user = scoped_id(USER)
        assert value["contacts"] == [{"profile": {"name": "Alex Rivera"}, "wa_id": USER, "user_id": user}]
        [message] = value["messages"]
        assert message.pop("timestamp").isdigit()
        text = {"body": "é/😀"}
        assert message == {"from": USER, "from_user_id": user, "id": wamid, "type": "text", "text": text}

    async def test_credentials(self) -> None:
        """A seed makes them repeatable, without one they are new each time, and their secrets do not print."""
        emulator = Emulator(seed=3)
        secret = emulator.credentials.app_secret
        assert Emulator(seed=3).credentials == emulator.credentials
        assert Emulator().credentials != Emulator().credentials
        assert secret not in repr(emulator.credentials)
        assert emulator.credentials.access_token not in str(emulator.credentials)

    async def test_order_of_one_phone(self, emulator: Emulator, host: Host) -> None:
        """What one person writes arrives in the order of writing."""
        wanted = [await emulator.say(str(number)) for number in range(30)]
        await host.until(lambda: len(host.bodies) == 30)
        assert [value["messages"][0]["id"] for value in host.values] == wanted

    async def test_redelivery(self, emulator: Emulator, host: Host) -> None:
        """Anything but 200 is delivered again, the same bytes; the second tick waits for the 200."""
        host.statuses = [500, 204]
        watch = emulator.watch()
        wamid = await emulator.say("again")
        await host.until(lambda: len(host.bodies) == 3)
        assert len(set(host.bodies)) == 1
        seen = []
        async with asyncio.timeout(5):
            async for event in watch:
                if event["event"] in ("webhook", "tick"):
                    seen.append((event["event"], event.get("attempt"), event["status"]))
                if event["event"] == "tick":
                    assert event["wamid"] == wamid
                    break
        assert seen == [
            ("webhook", 1, 500),
            ("webhook", 2, 204),
            ("webhook", 3, 200),
            ("tick", None, "delivered"),
        ]

    async def test_waits_for_a_host(self, emulator: Emulator) -> None:
        """What is written before a host is connected is delivered once one is."""
        await emulator.say("early")
        host = Host(emulator.credentials.verify_token)
        async with served(host):
            await asyncio.sleep(0.05)
            assert not host.bodies
            await emulator.connect(host.url)
            await host.until(lambda: host.bodies)

    async def test_challenge(self, emulator: Emulator) -> None:
        """A wrong token, a wrong echo and nobody there are three clear errors."""
        host = Host("another token")
        async with served(host):
            with pytest.raises(RemoteError, match="answered the challenge with 403") as caught:
                await emulator.connect(host.url)
            assert caught.value.status == 403
            with pytest.raises(RemoteError, match="answered the challenge with 404"):
                await emulator.connect(host.url + "/not")
        with pytest.raises(NetworkError, match="cannot be reached"):
            await emulator.connect(host.url)
        with pytest.raises(RemoteError, match="did not echo the challenge"):
            await emulator.connect(f"{emulator.graph_url}/static/app.js")

    async def test_taps(self, graph: Graph, host: Host) -> None:
        """A tap names the message it belongs to and the button's own id."""
        asked = await graph.sent(**buttons("Yes", "No"))
        graph.emulator.act("button", about=asked, content={"id": "id-1", "title": "No"})
        await host.until(lambda: any("messages" in value for value in host.values))
        [message] = [m for value in host.values for m in value.get("messages", [])]
        number = graph.emulator.credentials.display_phone_number
        assert message["context"] == {"from": number, "id": asked}
        assert message["interactive"]["button_reply"] == {"id": "id-1", "title": "No"}


class TestReceipts:
    async def test_sent_delivered_read(self, graph: Graph, host: Host) -> None:
        """All three, in order, with our data in each; prices with the first two."""
        wamid = await graph.sent(**TEXT, biz_opaque_callback_data="part-7")
        await host.until(lambda: host.told(wamid) == ["sent", "delivered", "read"])
        statuses = [status for value in host.values for status in value["statuses"]]
        assert {status["biz_opaque_callback_data"] for status in statuses} == {"part-7"}
        assert {status["recipient_id"] for status in statuses} == {USER}
        assert ["pricing" in status for status in statuses] == [True, True, False]
        assert all(value["contacts"][0]["wa_id"] == USER for value in host.values)

    async def test_read_when_somebody_looks(self) -> None:
        """Without ``auto_read`` a message stays delivered until a page shows its chat; then delivered is skipped."""
        emulator = Emulator(receipts_delay=0.01, auto_read=False, window="off")
        await emulator.start(port=0)
        host = Host(emulator.credentials.verify_token)
        async with served(host), aiohttp.ClientSession() as session:
            await emulator.connect(host.url)
            wamid = await Graph(emulator, session).sent(**TEXT)
            await host.until(lambda: host.told(wamid) == ["sent", "delivered"])
            await asyncio.sleep(0.05)
            assert host.told(wamid) == ["sent", "delivered"]
            await control(emulator, session, "POST", "/_/look", {"viewer": "v", "phone": USER})
            await host.until(lambda: host.told(wamid) == ["sent", "delivered", "read"])
            later = await Graph(emulator, session).sent(**TEXT)
            await host.until(lambda: host.told(later) == ["sent", "read"])
        await emulator.stop()

    async def test_reactions_are_only_sent(self, graph: Graph, host: Host) -> None:
        """A reaction gets no delivered and no read."""
        first = await graph.sent(**TEXT)
        wamid = await graph.sent(type="reaction", reaction={"message_id": first, "emoji": "👍"})
        await host.until(lambda: host.told(first) == ["sent", "delivered", "read"])
        await asyncio.sleep(0.1)
        assert host.told(wamid) == ["sent"]

    async def test_mark_read_and_typing(self, graph: Graph, host: Host) -> None:
        """Reading a message reads the earlier ones; typing is shown until the reply."""
        first = await graph.emulator.say("1")
        second = await graph.emulator.say("2")
        third = await graph.emulator.say("3")
        await host.until(lambda: len(host.bodies) == 3)
        watch = graph.emulator.watch()
        body = {"messaging_product": "whatsapp", "status": "read", "message_id": second}
        body["typing_indicator"] = {"type": "text"}
        path = f"/v25.0/{graph.number}/messages"
        assert await graph.call("POST", path, json=body) == (200, {"success": True})
        seen = []
        async for event in watch:
            if event["event"] != "webhook" and event.get("status") != "delivered":
                seen.append(event)
            if event["event"] == "graph":
                break
        ticks = [(event["wamid"], event["status"]) for event in seen if event["event"] == "tick"]
        assert ticks == [(first, "read"), (second, "read")]
        assert seen[2]["event"] == "typing"
        assert seen[2]["seconds"] == 25
        assert third not in {wamid for wamid, _ in ticks}
        bad = body | {"message_id": "42"}
        assert (await graph.call("POST", path, json=bad))[1]["error"]["code"] == 131009
        bad = body | {"typing_indicator": {"type": "audio"}}
        assert (await graph.call("POST", path, json=bad))[1]["error"]["code"] == 131009


class TestFaults:
    @pytest.mark.parametrize(
        ("name", "status", "code", "subcode"),
        [
            ("token_expired", 401, 190, 463),
            ("token_invalidated", 401, 190, 467),
            ("not_on_list", 400, 131030, None),
            ("rate_limited", 429, 130429, None),
            ("pair_rate", 400, 131056, None),
            ("window_closed_at_once", 400, 131047, None),
            ("account_locked", 403, 131031, None),
            ("unavailable", 500, 131016, None),
        ],
    )
    async def test_refusals(self, graph: Graph, name: str, status: int, code: int, subcode: int | None) -> None:
        """An armed fault spoils exactly as many sends as it was armed for."""
        graph.emulator.arm(name, times=2)
        for _ in range(2):
            answered, answer = await graph.send(**TEXT)
            error = answer["error"]
            assert (answered, error["code"], error.get("error_subcode")) == (status, code, subcode)
        assert (await graph.send(**TEXT))[0] == 200

    @pytest.mark.parametrize(("name", "code"), [("window_closed", 131047), ("undeliverable", 131026)])
    async def test_fails_later(self, graph: Graph, host: Host, name: str, code: int) -> None:
        """Accepted, then a ``failed`` receipt with the error and without contacts, unless they are wanted."""
        graph.emulator.arm(name)
        wamid = await graph.sent(**TEXT, biz_opaque_callback_data="p")
        await host.until(lambda: host.told(wamid))
        [value] = host.values
        [status] = value["statuses"]
        assert "contacts" not in value
        assert (status["status"], status["errors"][0]["code"]) == ("failed", code)
        assert status["biz_opaque_callback_data"] == "p"
        await asyncio.sleep(0.05)
        assert host.told(wamid) == ["failed"]
        graph.emulator.settle(failed_contacts=True)
        graph.emulator.arm(name)
        await graph.sent(**TEXT)
        await host.until(lambda: len(host.values) == 2)
        known = {"user_id": scoped_id(USER)} if code == 131047 else {}
        assert host.values[1]["contacts"] == [{"wa_id": USER} | known]

    async def test_html(self, graph: Graph) -> None:
        """A 500 that is not JSON."""
        graph.emulator.arm("server_error")
        status, body = await graph.send(**TEXT)
        assert status == 500
        assert body.startswith(b"<!DOCTYPE html>")

    @pytest.mark.parametrize(
        ("name", "taken"),
        [
            ("reset", False),
            ("reset_sent", True),
            ("half_answer", True),
            ("timeout", False),
            ("timeout_sent", True),
        ],
    )
    async def test_broken_connections(self, graph: Graph, host: Host, name: str, taken: bool) -> None:
        """No answer, or half of one: whether it was sent, only the receipts tell."""
        graph.emulator.arm(name)
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            await graph.call(
                "POST",
                f"/{graph.number}/messages",
                json={"messaging_product": "whatsapp", "to": USER, **TEXT, "biz_opaque_callback_data": name},
                timeout=aiohttp.ClientTimeout(total=0.3),
            )
        await asyncio.sleep(0.1)
        told = {s["biz_opaque_callback_data"] for value in host.values for s in value["statuses"]}
        assert told == ({name} if taken else set())

    async def test_unknown_fault(self, emulator: Emulator) -> None:
        """The sentence names what there is."""
        with pytest.raises(ValueError, match="no fault 'rain'; there are token_expired,"):
            emulator.arm("rain")


async def control(
    emulator: Emulator, session: aiohttp.ClientSession, method: str, path: str, body: Any = None, **more: Any
) -> tuple[int, Any]:
    token = emulator.page_url.partition("#token=")[2]
    headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
    url = emulator.graph_url + path
    async with session.request(method, url, headers=headers, json=body, **more) as response:
        return response.status, await response.json() if response.content_type.endswith("json") else None


class TestControl:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"Authorization": "Bearer x"}, 401),
            ({"Authorization": ""}, 401),
            ({"Origin": "http://evil.example"}, 403),
            ({"Host": "evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ],
    )
    async def test_who_may(self, graph: Graph, headers: dict[str, str], status: int) -> None:
        """Only with the token, under our own name, from our own page."""
        found, _ = await control(graph.emulator, graph.session, "GET", "/_/state", headers=headers)
        assert found == status

    async def test_token_is_not_taken_from_the_query(self, graph: Graph) -> None:
        """A token in a query would end in logs."""
        token = graph.emulator.page_url.partition("#token=")[2]
        url = f"{graph.emulator.graph_url}/_/state?token={token}&access_token={token}"
        async with graph.session.get(url) as response:
            assert response.status == 401

    async def test_a_person_writes(self, graph: Graph, host: Host) -> None:
        """A phone is added, writes, sends a file, reacts."""
        status, made = await control(
            graph.emulator, graph.session, "POST", "/_/phones", {"phone": "+31 6 1234 5678", "name": "Bo"}
        )
        assert (status, made) == (201, {"phone": "31612345678"})
        path = "/_/phones/31612345678/messages"
        status, sent = await control(graph.emulator, graph.session, "POST", path, {"text": "Hoi", "client": "c1"})
        assert status == 201
        await host.until(lambda: host.bodies)
        user = {"wa_id": "31612345678", "user_id": scoped_id("31612345678")}
        assert host.values[0]["contacts"] == [{"profile": {"name": "Bo"}} | user]
        assert host.values[0]["messages"][0]["id"] == sent["wamid"]
        form = aiohttp.FormData({"caption": "look", "client": "c2"})
        form.add_field("file", PNG, filename="a.png", content_type="image/png")
        path = "/_/phones/31612345678/files"
        token = graph.emulator.page_url.partition("#token=")[2]
        headers = {"Authorization": f"Bearer {token}"}
        async with graph.session.post(graph.emulator.graph_url + path, data=form, headers=headers) as response:
            assert response.status == 201
        await host.until(lambda: len(host.bodies) == 2)
        image = host.values[1]["messages"][0]["image"]
        assert image["caption"] == "look"
        state = (await control(graph.emulator, graph.session, "GET", "/_/state"))[1]
        assert [phone["name"] for phone in state["phones"]] == ["Alex Rivera", "Bo"]
        assert [message["type"] for message in state["messages"]] == ["text", "image"]

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("POST", "/_/phones/1/messages", {"text": "x"}, 400),
            ("POST", f"/_/phones/{USER}/messages", {"kind": "fax"}, 400),
            ("POST", f"/_/phones/{USER}/messages", [], 400),
            ("POST", f"/_/phones/{USER}/messages", {"about": 7}, 400),
            ("POST", f"/_/phones/{USER}/files", {}, 400),
            ("POST", "/_/phones", {"phone": "1"}, 400),
            ("POST", "/_/faults", {"name": "rain"}, 400),
            ("GET", "/_/media/1", None, 404),
            ("GET", "/_/nosuch", None, 404),
            ("PUT", "/_/state", None, 404),
        ],
    )
    async def test_bad_input(self, graph: Graph, method: str, path: str, body: Any, status: int) -> None:
        """A sentence for each, and never a 5xx."""
        found, answer = await control(graph.emulator, graph.session, method, path, body)
        assert found == status
        assert answer["error"]["message"].endswith(".")

    async def test_bodies_are_bounded(self, graph: Graph) -> None:
        """1 MiB for JSON, 20 MiB for files."""
        token = graph.emulator.page_url.partition("#token=")[2]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{graph.emulator.graph_url}/_/phones/{USER}"
        async with graph.session.post(
            f"{url}/messages", data=io.BytesIO(bytes(2**20 + 1)), headers=headers
        ) as response:
            assert response.status == 413
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(bytes(20 * 2**20 + 1)), filename="a.bin")
        async with graph.session.post(f"{url}/files", data=form, headers=headers) as response:
            assert response.status == 413

    async def test_settings_and_faults(self, graph: Graph) -> None:
        """Settings are changed, faults are armed and forgotten."""
        wanted = {"auto_read": False, "sent_delay": 3}
        status, found = await control(graph.emulator, graph.session, "POST", "/_/settings", wanted)
        assert (status, found["auto_read"], found["sent_delay"]) == (200, False, 3.0)
        assert found == (await control(graph.emulator, graph.session, "GET", "/_/settings"))[1]
        body = {"name": "pair_rate", "times": 2}
        found = await control(graph.emulator, graph.session, "POST", "/_/faults", body)
        assert found == (200, {"armed": [{"name": "pair_rate", "call": "messages", "times": 2, "to": ""}]})
        assert (await control(graph.emulator, graph.session, "DELETE", "/_/faults"))[1] == {"armed": []}
        assert (await graph.send(**TEXT))[0] == 200

    async def test_event_stream(self, graph: Graph, host: Host) -> None:
        """A reader that says what it has seen gets the rest, each event once, and then what happens."""
        first = await graph.emulator.say("1")
        await host.until(lambda: host.bodies)
        state = (await control(graph.emulator, graph.session, "GET", "/_/state"))[1]
        second = await graph.emulator.say("2")
        token = graph.emulator.page_url.partition("#token=")[2]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{graph.emulator.graph_url}/_/events?since={state['seq']}"
        seen = []
        async with graph.session.get(url, headers=headers) as response:
            assert response.content_type == "application/x-ndjson"
            hello = json.loads(await response.content.readline())
            assert hello == {"event": "hello", "epoch": state["epoch"]}
            third = await graph.emulator.say("3")
            while third not in [event.get("wamid") for event in seen]:
                seen.append(json.loads(await response.content.readline()))
        said = [event["wamid"] for event in seen if event["event"] == "message"]
        assert said == [second, third]
        assert first not in said
        assert [event["seq"] for event in seen] == list(range(state["seq"] + 1, state["seq"] + 1 + len(seen)))

    async def test_earlier_messages(self, graph: Graph) -> None:
        """Those before a message are the ones that stand before it, also where all came in the same millisecond."""
        sent = [await graph.emulator.say(str(n)) for n in range(9)]
        path = f"/_/messages?before={quote(sent[5])}&count=3"
        status, found = await control(graph.emulator, graph.session, "GET", path)
        assert status == 200
        assert [message["id"] for message in found["messages"]] == sent[2:5]

    async def test_page(self, graph: Graph) -> None:
        """The page and its parts come with a strict policy and without any secret."""
        async with graph.session.get(graph.emulator.graph_url + "/") as response:
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            page = await response.text()
            assert graph.emulator.page_url.partition("#token=")[2] not in page
            assert "http" not in page.replace("http-equiv", "")
        for name in ("app.js", "style.css", "icon.svg"):
            async with graph.session.get(f"{graph.emulator.graph_url}/static/{name}") as response:
                assert response.status == 200
        async with graph.session.get(f"{graph.emulator.graph_url}/static/..%2fserver.py") as response:
            assert response.status in (400, 404)


class TestLife:
    async def test_port_in_use(self, emulator: Emulator) -> None:
        """The system's own error, and nothing left open."""
        other = Emulator()
        with pytest.raises(OSError, match="in use"):
            await other.start(port=int(emulator.graph_url.rpartition(":")[2]))
        await other.stop()

    async def test_stop_leaves_nothing(self) -> None:
        """With webhooks that fail, callers that wait and a stream that is read, stop ends all of it."""
        before = asyncio.all_tasks()
        emulator = Emulator(receipts_delay=5)
        await emulator.start(port=0)
        host = Host(emulator.credentials.verify_token, statuses=[500] * 50)
        events: list[Mapping[str, object]] = []

        async def read() -> None:
            async for event in emulator.watch():
                events.append(event)

        async with served(host), aiohttp.ClientSession() as session:
            await emulator.connect(host.url)
            reader = asyncio.ensure_future(read())
            await emulator.say("never taken")
            graph = Graph(emulator, session)
            await graph.sent(**TEXT)
            emulator.arm("timeout")
            waiting = asyncio.ensure_future(graph.send(**TEXT))
            await host.until(lambda: len(host.bodies) >= 2)
            await emulator.stop()
            await emulator.stop()
            await reader
            with pytest.raises(aiohttp.ClientError):
                await waiting
        assert events[-1]["event"] == "faults"
        assert asyncio.all_tasks() == before
