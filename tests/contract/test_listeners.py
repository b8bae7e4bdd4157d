"""The two listeners behind real sockets: who is let in, what is stored, what each is told, and that nothing leaks."""

import asyncio
import gzip
import hashlib
import hmac
import io
import itertools
import json
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aerobot import events
from aerobot.config import load
from aerobot.emulator import webhooks
from aerobot.errors import ConfigError
from aerobot.runtime import Host, Options
from aerobot.secret import Secret

SAMPLES = Path(__file__).parents[1] / "samples"
NUMBER, BOT = "106540352242922", "bt_acme"
SECRET, TOKEN, VERIFY, PRIVATE = "0123456789abcdef0123456789abcdef", "EAAG-access", "verify-me", "private-bearer"
LOCAL = {"access_token": "EAAG-local", "verify_token": "verify-local", "app_secret": "secret-local"}
LINE = webhooks.Line(business_account_id="102290129340398", phone_number_id=NUMBER, display_phone_number="15550783881")
ANA = webhooks.Sender(phone="31612345678", name="Ana")
MOST = 4 * 1024 * 1024


def signature(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


class House:
    """A running host, a client for both of its listeners, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[events.Event] = []
        self._count = itertools.count(1)

    async def start(self, engine: str = "echo", **settings: str) -> None:
        given = {
            "WHATSAPP_PHONE_NUMBER_ID": NUMBER,
            "WHATSAPP_ACCESS_TOKEN": TOKEN,
            "WHATSAPP_VERIFY_TOKEN": VERIFY,
            "WHATSAPP_APP_SECRET": SECRET,
            "WHATSAPP_GRAPH_URL": "http://127.0.0.1:9",
            "BOT_ID": BOT,
            "SERVE_PORT": "0",
            "SERVE_PRIVATE_PORT": "0",
            "SERVE_PRIVATE_TOKEN": PRIVATE,
            **settings,
        }
        environ = {f"AEROBOT_{key}": value for key, value in given.items() if value}
        environ["AEROBOT_STATE_HOME"] = str(self.folder / "state")
        loaded = load(environ=environ, cwd=self.folder, credentials=False)
        self.host = Host(loaded, Options(engine=engine, environ=environ), self.seen.append)
        self.client = aiohttp.ClientSession(auto_decompress=False)
        try:
            await self.host.start()
        except BaseException:
            await self.client.close()
            raise
        self.url = f"{self.host.local_url}/api/bots/webhook/whatsapp/{BOT}"

    async def stop(self) -> None:
        await self.client.close()
        await self.host.stop(0.1)

    # -- public

    async def post(self, body: bytes, *, url: str = "", secret: str | None = SECRET, **headers: str) -> tuple[int, str]:
        signed = signature(body, secret) if secret else {}
        given = {"Content-Type": "application/json", **signed, **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with self.client.post(url or self.url, data=io.BytesIO(body), headers=given) as answer:
            told = answer.status, await answer.text()
        assert told[0] != 200 or await self.host.reader.drain(30)
        return told

    async def handshake(self, url: str = "", **query: str) -> tuple[int, str]:
        given = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "1158201444"}
        given |= {key.replace("_", ".", 1): value for key, value in query.items()}
        async with self.client.get(url or self.url, params=given) as answer:
            return answer.status, await answer.text()

    def message(self, text: str = "Hi", **more: Any) -> dict[str, Any]:
        given = {"id": f"wamid.{next(self._count)}", "timestamp": int(time.time()), **more}
        return webhooks.message(given.pop("kind", "text"), ANA, text=text, **given)

    def body(self, text: str = "Hi", **more: Any) -> bytes:
        return webhooks.wire(webhooks.inbound(LINE, ANA, self.message(text, **more)))

    # -- private

    async def call(self, method: str, path: str, document: object = None, **headers: str) -> tuple[int, Any]:
        given = {"Authorization": f"Bearer {PRIVATE}", **headers}
        async with self.client.request(
            method, self.host.private_url + path, json=document, headers={k: v for k, v in given.items() if v}
        ) as answer:
            return answer.status, json.loads(await answer.text())

    # -- what became of it

    def told(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.host.store.path)
        try:
            yield db
        finally:
            db.close()

    def stored(self) -> list[tuple[str, bytes]]:
        with self.database() as db:
            return db.execute("SELECT state, body FROM deliveries ORDER BY id").fetchall()

    def messages(self) -> list[str]:
        with self.database() as db:
            return [row[0] for row in db.execute("SELECT text FROM messages ORDER BY id")]


@pytest.fixture
async def empty_house(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose host the test starts itself."""
    house = House(tmp_path)
    yield house
    if hasattr(house, "host") and house.host.local_url:
        await house.stop()
    assert not house.told(events.Unexpected)


@pytest.fixture
async def house(empty_house: House) -> House:
    await empty_house.start()
    return empty_house


# -- the handshake -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("challenge", ["1158201444", "00123", "a b+c/ü&=%20", "x" * 2000, "a\r\nSet-Cookie: a=b", "\0"])
async def test_the_challenge_comes_back_verbatim(house: House, challenge: str) -> None:
    """As text, whatever it is; the operator is told."""
    assert await house.handshake(hub_challenge=challenge) == (200, challenge)
    assert [event.bot_id for event in house.told(events.Handshake)] == [BOT]


@pytest.mark.parametrize(
    "query",
    [
        {"hub_verify_token": "wrong"},
        {"hub_verify_token": VERIFY.upper()},
        {"hub_verify_token": f" {VERIFY}"},
        {"hub_verify_token": ""},
        {"hub_mode": "unsubscribe"},
        {"hub_challenge": ""},
        {"hub_verify_token": "\ud83d".encode("utf-8", "replace").decode() + "ü"},
    ],
)
async def test_a_handshake_that_is_not_ours_is_refused(house: House, query: dict[str, str]) -> None:
    """403 without the challenge and without a reason; the operator learns why."""
    status, text = await house.handshake(**query)
    assert (status, text) == (403, "refused")
    (rejected,) = house.told(events.Rejected)
    assert rejected.reason
    assert VERIFY not in rejected.reason + rejected.remedy


async def test_a_bare_visit_is_refused(house: House) -> None:
    """A browser or a health check is no handshake; an unknown bot is not there at all."""
    async with house.client.get(house.url) as answer:
        assert answer.status == 403
    assert (await house.handshake(house.url + "x"))[0] == 404
    async with house.client.head(house.url) as answer:
        assert answer.status in (403, 405)


async def test_no_query_breaks_a_handshake(house: House) -> None:
    """Bytes that are no text, escapes that are none: an answer, never 5xx."""
    for raw in ("%ED%A0%80", "%FF%FE", "%00", "%F0%9F%98", "%", "%zz", "%0D%0A"):
        for where in ("hub.challenge", "hub.verify_token", "hub.mode", "other"):
            query = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "1", where: raw}
            path = f"/api/bots/webhook/whatsapp/{BOT}?" + "&".join(f"{key}={value}" for key, value in query.items())
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            (status,) = await spoken(house, head.encode())
            assert status in (200, 400, 403), path


# -- who may deliver -----------------------------------------------------------------------------------------


async def test_a_signature_that_somebody_else_computed(house: House) -> None:
    """HMAC-SHA256 over the raw bytes, as openssl says it."""
    body = b'{"object":"whatsapp_business_account","entry":[]}'
    digest = "eefab58106e73358686845848feb95c56372e7391b3dc050b6a31c8c5f347ece"
    assert (await house.post(body, secret=None, X_Hub_Signature_256=f"sha256={digest}"))[0] == 200
    assert (await house.post(body, secret=None, X_Hub_Signature_256=f"sha256={digest[:-1]}f"))[0] == 403
    assert (await house.post(body + b" ", secret=None, X_Hub_Signature_256=f"sha256={digest}"))[0] == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-Hub-Signature-256": ""}, 401),
        ({"X-Hub-Signature": "sha1=" + "0" * 40}, 401),
        ({"X-Hub-Signature-256": "sha1=" + "0" * 40}, 401),
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, 403),
        ({"X-Hub-Signature-256": "sha256="}, 403),
        ({"X-Hub-Signature-256": "sha256=" + "z" * 64}, 403),
        ({"X-Hub-Signature-256": "0" * 64}, 403),
        ({"X-Hub-Signature-256": "sha256=" + "ü" * 64}, 403),
        ({"X-Hub-Signature-256": "sha256=" + "0" * 6000}, 403),
    ],
)
async def test_who_does_not_sign_is_refused(house: House, headers: dict[str, str], status: int) -> None:
    """Missing 401, wrong 403; nothing is stored, the caller learns nothing, the operator why."""
    async with house.client.post(house.url, data=house.body(), headers=headers) as answer:
        assert (answer.status, await answer.text()) == (status, "refused")
    assert house.stored() == []
    (rejected,) = house.told(events.Rejected)
    assert (rejected.status, bool(rejected.reason), bool(rejected.remedy)) == (status, True, True)
    assert SECRET not in rejected.reason + rejected.remedy


async def test_a_signature_by_another_secret_or_of_another_body(house: House) -> None:
    """The usual mistakes, each with its cause for the operator."""
    body = house.body("Grüße / @")
    respelled = json.dumps(json.loads(body), ensure_ascii=False).encode()
    assert (await house.post(body, secret="other"))[0] == 403
    assert (await house.post(body, secret=SECRET.upper()))[0] == 403
    assert (await house.post(body, secret=None, **signature(respelled)))[0] == 403
    assert [event.status for event in house.told(events.Rejected)] == [403] * 3
    assert len({event.reason for event in house.told(events.Rejected)}) >= 2
    assert house.stored() == []


async def test_a_bot_that_is_not_here(house: House) -> None:
    """404, whoever signs, and nothing is stored."""
    for path in ("bt_other", "%00", "..%2f..%2fetc", "x" * 4000):
        url = f"{house.host.local_url}/api/bots/webhook/whatsapp/{path}"
        assert (await house.post(house.body(), url=url))[0] == 404
    assert house.stored() == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_not_served(house: House, method: str) -> None:
    """GET and POST are all there is."""
    async with house.client.request(method, house.url, data=b"x") as answer:
        assert answer.status == 405


@pytest.mark.parametrize("path", ["/", "/api/bots", "/api/host", "/api/events", "/api/test/verdict", "/metrics"])
async def test_the_public_listener_shows_nothing_else(house: House, path: str) -> None:
    """What a tunnel exposes is the webhook and two health checks, even for one who has the private token."""
    headers = {"Authorization": f"Bearer {PRIVATE}"}
    for method in ("GET", "POST"):
        async with house.client.request(method, house.host.local_url + path, headers=headers) as answer:
            assert answer.status == 404


async def test_health(house: House) -> None:
    """Alive, and ready."""
    for path in ("/healthz", "/readyz"):
        async with house.client.get(house.host.local_url + path) as answer:
            assert answer.status == 200


# -- what is taken -------------------------------------------------------------------------------------------


async def test_a_message_is_stored_before_the_200(house: House) -> None:
    """The bytes as they came are there with it, read or not; a moment later the message is beside them."""
    body = house.body("Grüße / @ 👍")
    async with house.client.post(house.url, data=body, headers=signature(body)) as answer:
        with house.database() as db:
            kept = db.execute("SELECT body FROM arrivals UNION ALL SELECT body FROM deliveries").fetchall()
        assert (answer.status, await answer.text(), kept) == (200, "ok", [(body,)])
    assert await house.host.reader.drain(30)
    assert house.stored() == [("read", body)]
    assert house.messages() == ["Grüße / @ 👍"]
    (told,) = house.told(events.MessageReceived)
    assert (told.text, told.state, told.who, told.channel) == ("Grüße / @ 👍", "queued", ANA.phone, "whatsapp")


async def test_a_redelivery_is_answered_200_and_told_once(house: House) -> None:
    """Meta must not go on; nobody is answered twice."""
    body = house.body()
    answers = await asyncio.gather(*(house.post(body) for _ in range(10)))
    assert answers == [(200, "ok")] * 10
    assert len(house.told(events.MessageReceived)) == 1
    assert len(house.messages()) == 1


UNUSABLE = {
    "empty": b"",
    "white space": b" \n",
    "no JSON": b"hello",
    "half JSON": b'{"object": "whatsapp_business_account", "entry": [',
    "no UTF-8": b'{"object": "\xff\xfe"}',
    "UTF-16": '{"object": "x"}'.encode("utf-16"),
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "a number": b"1e400",
    "NaN": b"NaN",
    "an empty object": b"{}",
    "no entry": b'{"object": "whatsapp_business_account"}',
    "another object": b'{"object": "page", "entry": [{"id": "1"}]}',
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "deep and long": b'{"object": "whatsapp_business_account", "entry": ' + b"[" * 500 + b"]" * 500 + b"}",
    "a huge number": b'{"entry": [' + b"9" * 5000 + b"]}",
    "NULs": b"\0" * 100,
}


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_what_is_authentic_but_unusable_is_stored_and_answered_200(house: House, body: bytes) -> None:
    """Meta would repeat anything else for a week; the operator is told, the bytes are kept."""
    assert (await house.post(body))[0] == 200
    (stored,) = house.stored()
    assert stored[1] == body
    assert house.messages() == []
    assert house.told(events.Recorded)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("field-of-the-future", "unknown_field"),
        ("text-for-another-number", "another_number"),
        ("text-in-group", "group"),
        ("account-update", "other_field"),
        ("message-without-sender", "no_sender"),
        ("empty-value", "empty"),
        ("errors-of-the-number", "errors"),
        ("calls-connect", "calls"),
    ],
)
async def test_what_no_engine_is_asked_about_is_recorded(house: House, name: str, note: str) -> None:
    """200, and one event that says what it was."""
    assert (await house.post((SAMPLES / f"{name}.json").read_bytes()))[0] == 200
    assert [event.note for event in house.told(events.Recorded)] == [note]
    assert not house.told(events.MessageReceived)


async def test_a_good_piece_beside_broken_ones(house: House) -> None:
    """A broken piece never hides a good one."""
    assert (await house.post((SAMPLES / "broken-pieces-beside-a-good-one.json").read_bytes()))[0] == 200
    assert len(house.messages()) == 1


async def test_every_sample_is_answered_200(house: House) -> None:
    """And a second time too, when it is known."""
    for _ in range(2):
        for path in sorted(SAMPLES.glob("*.json")):
            assert (await house.post(path.read_bytes()))[0] == 200, path.name


async def test_a_thousand_updates_in_one_body(house: House) -> None:
    """Meta's largest batch."""
    messages = [house.message(str(n)) for n in range(1000)]
    assert (await house.post(webhooks.wire(webhooks.inbound(LINE, ANA, *messages))))[0] == 200
    assert house.messages() == [str(n) for n in range(1000)]


async def test_metas_dashboard_sample_is_recognised_each_time(house: House) -> None:
    """The ids are always the same, and still each delivery is told; none is answered."""
    body = (SAMPLES / "dashboard-sample.json").read_bytes()
    for count in (1, 2, 3):
        assert (await house.post(body))[0] == 200
        assert [event.signed for event in house.told(events.SampleArrived)] == [True] * count
    assert house.messages() == []
    assert not house.told(events.MessageReceived)


async def test_too_large_is_413(house: House) -> None:
    """More than 4 MiB, announced or not; exactly 4 MiB is still taken."""
    exact = b" " * MOST
    assert (await house.post(exact))[0] == 200

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (1024 * 1024)

    async with house.client.post(house.url, data=chunks(), headers=signature(b" " * 5 * 1024 * 1024)) as answer:
        assert answer.status == 413
    head = f"POST /api/bots/webhook/whatsapp/{BOT} HTTP/1.1\r\nHost: x\r\nContent-Length: {MOST + 1}\r\n\r\n"
    assert await spoken(house, head.encode()) == [413]
    assert len(house.stored()) == 1


async def test_the_form_of_transport_does_not_matter(house: House) -> None:
    """Chunks, a gzip body, odd content types: the signature is over the bytes that came, and those are stored."""
    body = house.body("in chunks")

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    async with house.client.post(house.url, data=chunks(), headers=signature(body)) as answer:
        assert answer.status == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; b=x", "nonsense", "/;;"):
        assert (await house.post(house.body(kind), Content_Type=kind))[0] == 200
    assert house.messages()[0] == "in chunks"
    assert len(house.messages()) == 6
    packed = gzip.compress(house.body("packed"))
    for encoding in ("gzip", "deflate", "br", "nonsense"):
        assert (await house.post(packed, Content_Encoding=encoding))[0] == 200
        assert house.stored()[-1] == ("unusable", packed)
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert (await house.post(bomb, Content_Encoding="gzip"))[0] == 200
    assert (await house.post(house.body("unpacked"), Content_Encoding="gzip"))[0] == 200
    assert house.messages()[-1] == "unpacked"


async def test_a_database_that_cannot_be_written_is_503(house: House) -> None:
    """The one 5xx, and not for what a client sent: Meta repeats it, and then it is stored."""
    body = house.body()
    db = house.host.store._threads._db
    db.execute("PRAGMA query_only = ON")
    assert await house.post(body) == (503, "try again")
    db.execute("PRAGMA query_only = OFF")
    assert (await house.post(body))[0] == 200
    assert len(house.messages()) == 1


# -- without an app secret -----------------------------------------------------------------------------------


async def test_without_a_secret_messages_are_taken_while_nobody_else_can_reach_us(empty_house: House) -> None:
    """On loopback an unsigned message is taken; what is no JSON was not Meta: 400."""
    await empty_house.start(WHATSAPP_APP_SECRET="")
    assert (await empty_house.post(empty_house.body(), secret=None))[0] == 200
    assert (await empty_house.post(empty_house.body(), secret="whatever"))[0] == 200
    assert len(empty_house.messages()) == 2
    for body in (b"", b"hello", b"[", b"\xff"):
        assert (await empty_house.post(body, secret=None))[0] == 400
    assert len(empty_house.stored()) == 2


async def test_without_a_secret_and_exposed_the_host_does_not_start(empty_house: House) -> None:
    """Anybody could pose as Meta: the setting and the flag that accepts it are named."""
    with pytest.raises(ConfigError) as caught:
        await empty_house.start(WHATSAPP_APP_SECRET="", SERVE_PUBLIC_URL="https://bots.example.com")
    assert "--allow-unsigned" in caught.value.hint


async def test_without_a_secret_and_exposed_on_purpose(empty_house: House) -> None:
    """``--allow-unsigned`` lets them in."""
    await empty_house.start(
        WHATSAPP_APP_SECRET="", SERVE_PUBLIC_URL="https://bots.example.com", SERVE_ALLOW_UNSIGNED="true"
    )
    assert (await empty_house.post(empty_house.body(), secret=None))[0] == 200


async def test_a_local_bot_without_a_secret_is_refused_where_we_are_exposed(empty_house: House) -> None:
    """Its handshake is answered, its messages are not taken, whoever signs them."""
    await empty_house.start(SERVE_PUBLIC_URL="https://bots.example.com")
    config = {"phone_number_id": "42", "access_token": "t", "verify_token": VERIFY}
    _, made = await empty_house.call("POST", "/api/bots", {"name": "Open", "platform_config": config})
    bot_id = made["bot"]["id"]
    _, active = await empty_house.call("POST", f"/api/bots/{bot_id}/activate")
    assert active["webhook_url"] == f"https://bots.example.com/api/bots/webhook/whatsapp/{bot_id}"
    assert "app_secret" in active["warnings"][0]
    url = empty_house.url.replace(BOT, bot_id)
    assert (await empty_house.handshake(url))[0] == 200
    assert await empty_house.post(empty_house.body(), url=url, secret=None) == (403, "refused")
    assert await empty_house.post(empty_house.body(), url=url) == (403, "refused")
    assert empty_house.stored() == []


# -- broken HTTP ---------------------------------------------------------------------------------------------


async def spoken(house: House, *pieces: bytes, wait: float = 2.0) -> list[int]:
    """Say bytes to the public listener and hear the status codes of its answers until it is silent."""
    host, _, port = house.host.local_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    heard = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(wait):
            while not heard.startswith(b"HTTP/") or b"\r\n\r\n" not in heard:
                found = await reader.read(65536)
                heard += found
                if not found:
                    break
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return [int(line.split(b" ")[1]) for line in heard.split(b"\r\n") if line.startswith(b"HTTP/1.")]


LINE_ONE = f"POST /api/bots/webhook/whatsapp/{BOT} HTTP/1.1\r\nHost: x\r\n".encode()
CHUNKED = LINE_ONE + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "garbage": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
    "no version": [b"GET /\r\n\r\n"],
    "a bad version": [b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"],
    "a bad header": [LINE_ONE + b"no colon here\r\n\r\n"],
    "a NUL in a header": [LINE_ONE + b"X: a\0b\r\n\r\n"],
    "a huge header": [LINE_ONE + b"X: " + b"y" * 100_000 + b"\r\n\r\n"],
    "many headers": [LINE_ONE + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n"],
    "a negative length": [LINE_ONE + b"Content-Length: -1\r\n\r\n"],
    "a length that is none": [LINE_ONE + b"Content-Length: many\r\n\r\n"],
    "two lengths": [LINE_ONE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    "length and chunks": [LINE_ONE + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "a bad chunk": [CHUNKED, b"zz\r\nhello\r\n0\r\n\r\n"],
    "a bad chunk later": [CHUNKED, b"5\r\nhello\r\n", b"-5\r\nhello\r\n0\r\n\r\n"],
    "a chunk without its end": [CHUNKED, b"5\r\nhelloworld\r\n0\r\n\r\n"],
    "a huge chunk size": [CHUNKED, b"ffffffffffffffffffff\r\nhello"],
    "a bad transfer encoding": [LINE_ONE + b"Transfer-Encoding: nonsense\r\n\r\n"],
    "a bad expectation": [LINE_ONE + b"Expect: a miracle\r\nContent-Length: 1\r\n\r\na"],
    "a bad path": [b"POST /api/bots/webhook/whatsapp/\xff\xfe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
    "a bad escape": [b"GET /%zz%ff?%zz=%ff HTTP/1.1\r\nHost: x\r\n\r\n"],
    "an absolute form": [b"GET http://[::1/x HTTP/1.1\r\nHost: x\r\n\r\n"],
    "a connect": [b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"],
    "an upgrade": [LINE_ONE + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"],
    "no host": [b"GET /healthz HTTP/1.1\r\n\r\n"],
    "two hosts": [b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
}


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as an exception, but for what aiohttp says about requests that it refuses itself."""
    return [record.message for record in caplog.records if record.exc_info and record.name != "aerobot.http"]


@pytest.mark.parametrize("pieces", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_http_gets_no_5xx_and_does_no_harm(
    house: House, pieces: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the caller's is answered as one or not at all; the next request is served, nothing is our error."""
    statuses = await spoken(house, *pieces, wait=0.25)
    assert all(status < 500 for status in statuses), statuses
    assert (await house.post(house.body()))[0] == 200
    assert len(house.messages()) == 1
    assert not ours(caplog), caplog.text


async def test_callers_who_leave_in_the_middle_do_no_harm(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """With a body half sent, or before the answer: nothing is stored in part, nothing is logged as ours."""
    host, _, port = house.host.local_url.removeprefix("http://").partition(":")
    body = house.body()
    head = LINE_ONE + f"Content-Length: {len(body)}\r\n".encode()
    head += f"X-Hub-Signature-256: {signature(body)['X-Hub-Signature-256']}\r\n\r\n".encode()
    for sent in (head, head + body[: len(body) // 2], CHUNKED + b"5\r\nhel", head + body):
        for abort in (False, True):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            await writer.drain()
            await asyncio.sleep(0.02)
            if abort:
                writer.transport.abort()
            else:
                writer.close()
    await asyncio.sleep(0.1)
    assert house.messages() == ["Hi"]
    assert {state for state, _ in house.stored()} == {"read"}
    assert not ours(caplog), caplog.text


# -- whatever a client sends ---------------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "\ud83d", "\0", "a" * 5000, [], {}, [[]], [None], {"": {}}, [{}],
    {"id": []}, "1763900000", -(10**18), 1e308, {"body": {"body": []}}, [{"id": "wamid.same"}],
]  # fmt: skip


def mutated(document: Any, dice: random.Random) -> Any:
    """The document with something wrong in it."""
    places: list[tuple[Any, Any]] = []
    level = [document]
    while level:
        item = level.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            places.append((item, key))
            level.append(item[key])
    for _ in range(dice.randint(1, 4)):
        holder, key = dice.choice(places)
        if isinstance(holder, dict) and key not in holder:
            continue
        match dice.randint(0, 3):
            case 0:
                holder[key] = dice.choice(ODD)
            case 1 if isinstance(holder, dict):
                holder.pop(key, None)
            case 2 if isinstance(holder, list):
                holder.extend(holder[:3] * 2)
            case _:
                holder[key] = [holder[key]] if not isinstance(holder, list) or key < len(holder) else None
    return document


def mangled(body: bytes, dice: random.Random) -> bytes:
    """The bytes with something wrong in them."""
    at = dice.randrange(len(body))
    junk = dice.randbytes(dice.randint(1, 4))
    changed = body[:at] + junk + body[at + 1 :]
    return dice.choice([body[:at], body[at:], changed, body + junk, body.replace(b'"', b"'")])


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_signed_is_answered_200(house: House, seed: int) -> None:
    """Hundreds of mutated bodies: 200 each, never an unforeseen error, and the good message in each batch is stored."""
    dice = random.Random(seed)
    samples = [json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json"))]
    bodies = []
    for n in range(150):
        document = mutated(json.loads(json.dumps(dice.choice(samples))), dice)
        good = {"value": {"messages": [house.message(f"good {n}")]}, "field": "messages"}
        entry = document.get("entry") if isinstance(document, dict) else None
        if document.get("object") == "whatsapp_business_account" and isinstance(entry, list):
            entry.insert(dice.randint(0, len(entry)), {"id": "1", "changes": [good]})
        bodies.append(json.dumps(document).encode())
    bodies += [mangled(dice.choice(bodies), dice) for _ in range(100)]
    for at in range(0, len(bodies), 25):
        answers = await asyncio.gather(*(house.post(body) for body in bodies[at : at + 25]))
        assert [status for status, _ in answers] == [200] * len(answers)
    assert not house.told(events.Unexpected)
    wanted = {f"good {n}" for n, body in enumerate(bodies[:150]) if f'"good {n}"'.encode() in body}
    assert len(wanted) > 100
    assert wanted <= set(house.messages())
    assert {state for state, _ in house.stored()} <= {"read", "unusable"}


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_not_signed_is_refused_without_5xx(house: House, seed: int) -> None:
    """Random bytes with random headers."""
    dice = random.Random(seed)
    for _ in range(100):
        body = dice.randbytes(dice.randint(0, 300))
        name = dice.choice(["X-Hub-Signature-256", "X-Hub-Signature", "Content-Encoding", "Content-Type", "Cookie"])
        value = "".join(dice.choice("sha256=0123456789abcdefü/;, ") for _ in range(dice.randint(0, 80)))
        async with house.client.post(house.url, data=body, headers={name: value.strip()}) as answer:
            assert answer.status in (400, 401, 403)
    assert house.stored() == []


# -- the private listener: who may ---------------------------------------------------------------------------


async def test_without_the_token_nothing_is_shown(house: House) -> None:
    """401 for everything, even for what is not there."""
    wrong = ("", "Bearer", "Bearer ", "Bearer x", f"bearer {PRIVATE}", PRIVATE, f"Bearer {PRIVATE}x", "Basic eA", "ü")
    paths = (("GET", "/api/bots"), ("POST", "/api/test/announce"), ("GET", "/api/events"), ("GET", "/none"))
    for method, path in paths:
        for token in wrong:
            status, document = await house.call(method, path, Authorization=token)
            assert (status, document["error"]["code"]) == (401, "AUTH_INVALID_KEY"), token


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8461", 200),
        ("[::1]:8461", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("evil.example#localhost", 403),
        ("[::1", 400),
        ("[evil]", 400),
        ("[", 400),
        ("a b", 400),
        ("localhost:port", 400),
    ],
)
async def test_only_our_own_host_names_are_served(house: House, host: str, status: int) -> None:
    """Against pages that make a browser call us under their name; a name that is none is refused, never 5xx."""
    async with house.client.get(
        f"{house.host.private_url}/api/bots", headers={"Host": host, "Authorization": f"Bearer {PRIVATE}"}
    ) as answer:
        assert answer.status in ((status,) if status != 400 else (200, 400, 403))
        if host in ("[::1", "[evil]", "[", "a b"):
            assert answer.status in (400, 403)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:8462", 200),
        ("null", 403),
        ("", 403),
        ("https://evil.example", 403),
        ("http://[", 403),
        ("http://localhost.evil.example", 403),
    ],
)
async def test_pages_of_others_may_not_call(house: House, origin: str, status: int) -> None:
    """An origin that is not ours is refused; one that is no address too."""
    async with house.client.get(
        f"{house.host.private_url}/api/bots", headers={"Origin": origin, "Authorization": f"Bearer {PRIVATE}"}
    ) as answer:
        assert answer.status == status
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_name_of_ones_own_can_be_allowed(empty_house: House) -> None:
    """``serve.allowed_hosts`` adds names."""
    await empty_house.start(SERVE_ALLOWED_HOSTS="host.docker.internal,other")
    assert (await empty_house.call("GET", "/api/bots", Host="host.docker.internal:8461"))[0] == 200


async def test_beyond_loopback_everything_must_be_set(empty_house: House) -> None:
    """``serve.private_host`` alone is refused before anything listens."""
    with pytest.raises(ConfigError, match="allowed_hosts"):
        await empty_house.start(SERVE_PRIVATE_HOST="0.0.0.0")


# -- the private listener: bots ------------------------------------------------------------------------------


async def make(house: House, **more: Any) -> str:
    config = {"phone_number_id": "42", **LOCAL}
    status, made = await house.call("POST", "/api/bots", {"name": "Local", "platform_config": config, **more})
    assert (status, made["bot"]["status"]) == (201, "inactive")
    return str(made["bot"]["id"])


async def test_a_bot_is_made_shown_changed_and_deleted(house: House) -> None:
    """Aerostack's own words, secrets masked; ``platform_config`` is replaced as a whole."""
    bot_id = await make(house, system_prompt="Be kind.", timeout_ms=5000)
    status, listed = await house.call("GET", "/api/bots")
    assert (status, [bot["id"] for bot in listed["bots"]]) == (200, [BOT, bot_id])
    status, shown = await house.call("GET", f"/api/bots/{bot_id}")
    assert shown["bot"]["platform_config"] == {"phone_number_id": "42", **dict.fromkeys(LOCAL, "***")}
    assert (shown["bot"]["system_prompt"], shown["bot"]["timeout_ms"]) == ("Be kind.", 5000)
    status, changed = await house.call("PATCH", f"/api/bots/{bot_id}", {"name": "New", "status": "active", "id": "x"})
    assert (status, changed["bot"]["name"], changed["bot"]["id"]) == (200, "New", bot_id)
    assert changed["bot"]["status"] == "inactive"
    _, changed = await house.call("PATCH", f"/api/bots/{bot_id}", {"platform_config": {"phone_number_id": "43"}})
    assert changed["bot"]["platform_config"] == {"phone_number_id": "43"}
    assert await house.call("DELETE", f"/api/bots/{bot_id}") == (200, {"success": True})
    status, gone = await house.call("GET", f"/api/bots/{bot_id}")
    assert (status, gone["error"]["code"]) == (404, "NOT_FOUND")
    assert BOT in gone["error"]["message"]


async def test_bots_survive_a_restart(empty_house: House) -> None:
    """What was made and activated over the API is there again, with its secrets."""
    await empty_house.start()
    bot_id = await make(empty_house)
    await empty_house.call("POST", f"/api/bots/{bot_id}/activate")
    await empty_house.stop()
    await empty_house.start()
    url = empty_house.url.replace(BOT, bot_id)
    line = webhooks.Line(business_account_id="1", phone_number_id="42", display_phone_number="1")
    body = webhooks.wire(webhooks.inbound(line, ANA, empty_house.message("again")))
    assert (await empty_house.post(body, url=url, secret=LOCAL["app_secret"]))[0] == 200
    assert empty_house.messages() == ["again"]


# -- a secret and a token that are being changed ---------------------------------------------------------------

NEW = {"phone_number_id": "42", **LOCAL, "access_token": "EAAG-new", "app_secret": "secret-new"}
DAY = 86_400_000


async def delivered(house: House, bot_id: str, *secrets: str) -> list[int]:
    """What webhooks signed with these secrets are answered."""
    line = webhooks.Line(business_account_id="1", phone_number_id="42", display_phone_number="1")
    found = []
    for secret in secrets:
        body = webhooks.wire(webhooks.inbound(line, ANA, house.message("Hi")))
        found.append((await house.post(body, url=house.url.replace(BOT, bot_id), secret=secret))[0])
    return found


async def change(house: House, bot_id: str, **document: Any) -> dict[str, Any]:
    """A PATCH that is taken; the bot as it is shown then."""
    status, answer = await house.call("PATCH", f"/api/bots/{bot_id}", document)
    assert status == 200, answer
    bot: dict[str, Any] = answer["bot"]
    return bot


async def test_a_changed_secret_and_token_leave_the_former_ones_for_a_day(empty_house: House) -> None:
    """Webhooks signed with either are taken, also after other changes and a restart; they are shown as ``***``."""
    house = empty_house
    await house.start()
    bot_id = await make(house)
    shown = await change(house, bot_id, platform_config=NEW)
    assert {**shown["previous"], "until": ""} == {"access_token": "***", "app_secret": "***", "until": ""}
    until = datetime.fromisoformat(shown["previous"]["until"]).timestamp() * 1000
    assert abs(until - house.host.store.now() - DAY) < 60_000
    assert await delivered(house, bot_id, "secret-new", "secret-local", "guessed") == [200, 200, 403]
    await change(house, bot_id, name="Renamed")
    await change(house, bot_id, platform_config={**NEW, "verify_token": "another"})
    await house.call("POST", f"/api/bots/{bot_id}/activate")
    await house.stop()
    await house.start()
    assert await delivered(house, bot_id, "secret-new", "secret-local", "guessed") == [200, 200, 403]
    bot = house.host.roster.get(bot_id)
    assert bot is not None
    assert (bot.access_token, bot.access_token_previous) == (Secret("EAAG-new"), Secret("EAAG-local"))
    assert "local" not in json.dumps((await house.call("GET", "/api/bots"))[1]).replace('"origin": "local"', "")


async def test_what_was_stolen_is_let_go_of_at_once(house: House) -> None:
    """``previous: null``, with the change or after it."""
    bot_id = await make(house)
    await change(house, bot_id, platform_config=NEW)
    assert "previous" not in await change(house, bot_id, previous=None)
    assert await delivered(house, bot_id, "secret-new", "secret-local") == [200, 403]
    changed = await change(house, bot_id, platform_config={**NEW, "app_secret": "third"}, previous=None)
    assert "previous" not in changed
    assert await delivered(house, bot_id, "third", "secret-new") == [200, 403]


async def test_the_former_ones_can_be_named(house: House) -> None:
    """For a bot that was made elsewhere with the new ones, when it is made and when it is changed."""
    bot_id = await make(house, previous={"app_secret": "secret-before"})
    assert await delivered(house, bot_id, "secret-local", "secret-before") == [200, 200]
    shown = await change(house, bot_id, previous={"access_token": "EAAG-before"})
    assert sorted(shown["previous"]) == ["access_token", "until"]
    assert await delivered(house, bot_id, "secret-local", "secret-before") == [200, 403]


async def test_an_inactive_bot_shakes_hands_and_records(house: House) -> None:
    """Its messages are stored as ignored; once it is active they are queued, and resting again ignored."""
    bot_id = await make(house)
    url = house.url.replace(BOT, bot_id)
    line = webhooks.Line(business_account_id="1", phone_number_id="42", display_phone_number="1")
    assert (await house.handshake(url, hub_verify_token=LOCAL["verify_token"]))[0] == 200
    states = []
    for step in ("", "activate", "deactivate"):
        if step:
            assert (await house.call("POST", f"/api/bots/{bot_id}/{step}"))[0] == 200
        body = webhooks.wire(webhooks.inbound(line, ANA, house.message(step)))
        assert (await house.post(body, url=url, secret=LOCAL["app_secret"]))[0] == 200
        states.append(house.told(events.MessageReceived)[-1].state)
    assert states == ["ignored(inactive)", "queued", "ignored(inactive)"]


async def test_the_bot_of_the_settings_lives_in_the_settings(house: House) -> None:
    """It can be shown, activated (its URL is the answer) and tested, but not changed: 409 says where it lives."""
    for method, path, document in (
        ("PATCH", f"/api/bots/{BOT}", {"name": "x"}),
        ("DELETE", f"/api/bots/{BOT}", None),
        ("POST", f"/api/bots/{BOT}/deactivate", None),
    ):
        status, answer = await house.call(method, path, document)
        assert (status, answer["error"]["code"]) == (409, "CONFLICT")
        assert "lives in the settings" in answer["error"]["message"]
    status, active = await house.call("POST", f"/api/bots/{BOT}/activate")
    assert (status, active["status"], active["webhook_url"]) == (200, "active", house.url)
    assert active["manual_setup_required"] is True
    assert (await house.call("GET", f"/api/bots/{BOT}"))[1]["bot"]["origin"] == "settings"


NONSENSE: list[Any] = [
    {},
    {"name": ""},
    {"name": 3},
    {"name": "x", "platform": "telegram"},
    {"name": "x", "platform_config": []},
    {"name": "x", "platform_config": {"phone_number_id": 42}},
    {"name": "x", "platform_config": {"phone_number_id": "4 2"}},
    {"name": "x", "timeout_ms": "soon"},
    {"name": "x", "timeout_ms": 0},
    {"name": "x", "timeout_ms": -5},
    {"name": "x", "timeout_ms": 1e400},
    {"name": "x", "timeout_ms": float("nan")},
    {"name": "x", "timeout_ms": True},
    {"name": "x", "conversation_ttl_hours": 1e400},
    {"name": "x", "conversation_ttl_hours": float("nan")},
    {"name": "x", "conversation_ttl_hours": -1},
    {"name": "x", "conversation_max_messages": 1e400},
    {"name": "x", "conversation_max_messages": -1},
    {"name": "x", "previous": "EAAG-former"},
    {"name": "x", "previous": {"access_token": 3}},
    {"name": "x", "previous": {"app_secret": "***"}},
    {"name": "x", "previous": {"verify_token": "no"}},
    {"name": "x", "welcome_message": 3},
    {"name": "x", "fallback_message": ["sorry"]},
    [],
    "x",
    None,
]


async def test_a_bot_that_makes_no_sense_is_refused(house: House) -> None:
    """400 with one sentence that names the field, when it is made and when it is changed."""
    bot_id = await make(house)
    for document in NONSENSE:
        status, answer = await house.call("POST", "/api/bots", document)
        assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR"), document
        if isinstance(document, dict) and len(document) > 1:
            assert list(document)[-1] in answer["error"]["message"]
            status, answer = await house.call("PATCH", f"/api/bots/{bot_id}", document)
            assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR"), document
    assert [bot["id"] for bot in (await house.call("GET", "/api/bots"))[1]["bots"]] == [BOT, bot_id]


async def test_what_was_shown_masked_is_not_taken_back_as_a_value(house: House) -> None:
    """Who sends back what GET showed would lose token and secret: refused, and both stay."""
    config = {"phone_number_id": "1", **LOCAL}
    _, made = await house.call("POST", "/api/bots", {"name": "A", "platform": "whatsapp", "platform_config": config})
    bot_id = made["bot"]["id"]
    _, shown = await house.call("GET", f"/api/bots/{bot_id}")
    document = {"platform_config": shown["bot"]["platform_config"]}
    status, answer = await house.call("PATCH", f"/api/bots/{bot_id}", document)
    assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "***: give it in clear" in answer["error"]["message"]
    bot = house.host.roster.get(bot_id)
    assert bot is not None
    assert bot.access_token is not None
    assert bot.access_token.reveal() == LOCAL["access_token"]


async def test_a_bot_without_its_credentials_is_not_activated(house: House) -> None:
    """All that is missing is named at once."""
    _, made = await house.call("POST", "/api/bots", {"name": "x", "platform_config": {"phone_number_id": "42"}})
    status, answer = await house.call("POST", f"/api/bots/{made['bot']['id']}/activate")
    assert status == 400
    assert "access_token" in answer["error"]["message"]
    assert "verify_token" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"\xff", 400), (b"[" * 100_000, 400), (b"null", 400), (b" " * 2_000_000, 413)],
)
async def test_broken_requests_get_an_answer_in_json(house: House, body: bytes, status: int) -> None:
    """Errors have one shape, and none is 5xx."""
    headers = {"Authorization": f"Bearer {PRIVATE}"}
    url = f"{house.host.private_url}/api/bots"
    async with house.client.post(url, data=io.BytesIO(body), headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["message"]


async def test_what_is_not_there_is_answered_in_json(house: House) -> None:
    """404 and 405 too."""
    for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/api/bots", 405), ("GET", "/api/bots/x", 404)):
        found, answer = await house.call(method, path)
        assert (found, bool(answer["error"]["message"])) == (status, True)


# -- the private listener: tests -----------------------------------------------------------------------------


async def test_a_test_answers_what_the_bot_says(house: House) -> None:
    """``POST /test``: the response, kept and not sent, each from a user of its own."""
    answers = await asyncio.gather(
        *(house.call("POST", f"/api/bots/{BOT}/test", {"message": f"Hi {n}"}) for n in range(5))
    )
    assert [(status, answer["response"]) for status, answer in answers] == [(200, f"Hi {n}") for n in range(5)]
    assert len({answer["conversation_id"] for _, answer in answers}) == 5
    assert {event.state for event in house.told(events.PartSettled)} == {"captured"}


@pytest.mark.parametrize("document", [{}, {"message": ""}, {"message": "  "}, {"message": 3}, []])
async def test_a_test_without_a_message(house: House, document: object) -> None:
    """400."""
    assert (await house.call("POST", f"/api/bots/{BOT}/test", document))[0] == 400


async def test_a_test_that_fails_says_why(empty_house: House) -> None:
    """An engine's error is 502 with file and line, an inactive bot 409, an unknown one 404."""
    bot = empty_house.folder / "failing_bot.py"
    bot.write_text("def reply(turn):\n    return [] if turn.text == 'psst' else 1 / 0\n")
    await empty_house.start(str(bot))
    status, answer = await empty_house.call("POST", f"/api/bots/{BOT}/test", {"message": "Hi"})
    assert (status, answer["error"]["code"]) == (502, "ENGINE_FAILED")
    assert "failing_bot.py:2" in answer["error"]["message"]
    status, answer = await empty_house.call("POST", f"/api/bots/{BOT}/test", {"message": "psst"})
    assert (status, answer["response"]) == (200, "")
    bot_id = await make(empty_house)
    assert (await empty_house.call("POST", f"/api/bots/{bot_id}/test", {"message": "Hi"}))[0] == 409
    assert (await empty_house.call("POST", "/api/bots/bt_none/test", {"message": "Hi"}))[0] == 404


async def test_announced_messages_enter_by_the_public_door_and_are_awaited(empty_house: House) -> None:
    """Announce, deliver, ask: the verdict comes as soon as the turn is settled; two never see each other's."""
    house = empty_house
    await house.start()

    async def one(text: str) -> dict[str, Any]:
        wamid = f"wamid.test.{text}"
        status, announced = await house.call("POST", "/api/test/announce", {"wamid": wamid})
        assert (status, announced["bot_id"], announced["phone_number_id"]) == (200, BOT, NUMBER)
        assert announced["capture"] is True
        query = f"/api/test/verdict?bot_id={BOT}&wamid={wamid}&wait=5"
        asking = asyncio.create_task(house.call("GET", query))
        await asyncio.sleep(0.05)
        assert (await house.post(house.body(text, id=wamid)))[0] == 200
        status, verdict = await asking
        assert status == 200
        return dict(verdict)

    status, verdict = await house.call("GET", f"/api/test/verdict?bot_id={BOT}&wamid=never&wait=0.05")
    assert (status, verdict) == (200, {"stored": False, "settled": False})
    found = await asyncio.gather(one("a"), one("b"))
    assert [(verdict["settled"], verdict["state"]) for verdict in found] == [(True, "answered")] * 2
    assert [[(part["state"], part["text"]) for part in verdict["parts"]] for verdict in found] == [
        [("captured", "a")],
        [("captured", "b")],
    ]


@pytest.mark.parametrize("wait", ["nan", "inf", "-inf", "-1", "x", "", "1e400"])
async def test_any_wait_is_taken_for_what_it_can_be(house: House, wait: str) -> None:
    """A number that is none is none at all; asking about something settled returns at once."""
    _, tested = await house.call("POST", f"/api/bots/{BOT}/test", {"message": "Hi"})
    assert tested["response"] == "Hi"
    with house.database() as db:
        (wamid,) = db.execute("SELECT wamid FROM messages").fetchone()
    status, verdict = await house.call("GET", f"/api/test/verdict?bot_id={BOT}&wamid={wamid}&wait={wait}")
    assert (status, verdict["settled"], verdict["state"]) == (200, True, "answered")


@pytest.mark.parametrize("document", [{}, {"wamid": ""}, {"wamid": 3}, []])
async def test_an_announcement_needs_an_id(house: House, document: object) -> None:
    """400."""
    assert (await house.call("POST", "/api/test/announce", document))[0] == 400


async def test_which_bot_is_meant(house: House) -> None:
    """By id, by number; where that is not enough, 404 names those that are here."""
    bot_id = await make(house)
    for given, found in (({"bot_id": bot_id}, bot_id), ({"phone_number_id": NUMBER}, BOT)):
        assert (await house.call("POST", "/api/test/announce", {"wamid": "w", **given}))[1]["bot_id"] == found
    for given in ({}, {"bot_id": "bt_none"}, {"phone_number_id": "7"}, {"bot_id": ["x"]}):
        status, answer = await house.call("POST", "/api/test/announce", {"wamid": "w", **given})
        assert status == 404
        assert bot_id in answer["error"]["message"]


async def test_events_are_followed_without_customers_words(house: House) -> None:
    """JSON lines as they happen; texts and names are left out; one who leaves is forgotten."""
    headers = {"Authorization": f"Bearer {PRIVATE}"}
    async with house.client.get(f"{house.host.private_url}/api/events", headers=headers) as answer:
        assert answer.status == 200
        await asyncio.sleep(0.05)
        await house.post(house.body("my secret wish"))
        async with asyncio.timeout(5):
            event = json.loads(await answer.content.readline())
    assert (event["event"], event["message_id"]) == ("message", "wamid.1")
    assert "my secret wish" not in json.dumps(event)
    assert "Ana" not in json.dumps(event)
    assert (await house.call("GET", "/api/host"))[1]["received"] == 1


async def test_secrets_are_in_no_answer_and_no_event(house: House) -> None:
    """Everything that both listeners can be made to say, searched for every secret there is."""
    extra = {"client_secret": "deep-secret", "list": [{"password": "pw-secret"}]}
    odd = {"llm_api_key": "sk-llm-secret", "extra": extra}
    bot_id = await make(house, **odd)
    said: list[object] = []
    for method, path, document in (
        ("GET", "/api/bots", None),
        ("GET", f"/api/bots/{BOT}", None),
        ("GET", f"/api/bots/{bot_id}", None),
        ("PATCH", f"/api/bots/{bot_id}", {"name": "x"}),
        ("POST", f"/api/bots/{bot_id}/activate", None),
        ("POST", f"/api/bots/{BOT}/activate", None),
        ("POST", f"/api/bots/{BOT}/test", {"message": "Hi"}),
        ("POST", "/api/test/announce", {"wamid": "w", "bot_id": bot_id}),
        ("GET", f"/api/test/verdict?bot_id={BOT}&wamid=w", None),
        ("GET", "/api/host", None),
        ("GET", "/api/bots/none", None),
        ("POST", "/api/bots", {"name": "x", "platform_config": {"phone_number_id": 1, **LOCAL}}),
        ("POST", f"/api/bots/{bot_id}/deactivate", None),
        ("DELETE", f"/api/bots/{bot_id}", None),
    ):
        said.append(await house.call(method, path, document))
    said.append(await house.handshake())
    said.append(await house.handshake(hub_verify_token="wrong"))
    said.append(await house.post(house.body(), secret="wrong"))
    said.append(await house.post(b"{"))
    said += [event.document(texts=True) for event in house.seen]
    text = repr(said)
    for secret in (SECRET, TOKEN, VERIFY, PRIVATE, *LOCAL.values(), "sk-llm-secret", "deep-secret", "pw-secret"):
        assert secret not in text
