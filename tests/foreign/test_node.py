"""whatsapp-api-js, released and unpatched, under Node: one talk with the emulated Meta, judged from both sides."""

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from unittest.mock import ANY

import httpx
import pytest

from aerobot.emulator import webhooks
from aerobot.emulator.webhooks import Sender, scoped_id
from tests.emulated import EmulatedMeta

NODE = Path(__file__).parent / "node"
USER = "15550123456"
LINK = "https://example.com/file"


def client_missing() -> str:
    """What to say where there is no client, or nothing."""
    if shutil.which("node") and (NODE / "node_modules" / "whatsapp-api-js").is_dir():
        return ""
    return "no whatsapp-api-js here: with Node and npm, cd tests/foreign/node && npm install --no-package-lock"


class Client:
    """``client.mjs`` as a process: what it says, line by line."""

    def __init__(self, meta: EmulatedMeta) -> None:
        given = meta.credentials
        env = {
            "PATH": os.environ["PATH"],
            "GRAPH_URL": meta.url,
            "ACCESS_TOKEN": given.access_token,
            "APP_SECRET": given.app_secret,
            "VERIFY_TOKEN": given.verify_token,
            "PHONE_NUMBER_ID": given.phone_number_id,
            "RECIPIENT": USER,
        }
        self._process = subprocess.Popen(
            ["node", "client.mjs"], cwd=NODE, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.told: list[dict[str, Any]] = []

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line of which this holds; all are kept in ``told``."""
        while True:
            self.told.append(self._lines.get(timeout=20))
            if holds(self.told[-1]):
                return self.told[-1]

    def tell(self, line: str) -> None:
        """The first line is the id of a message on the phone and lets it work; each later one is sent as a text."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._thread.join(10)
        self._process.stdout.close()


class Talk:
    """Everything that was said in one run, by both."""

    def __init__(self, meta: EmulatedMeta, client: Client) -> None:
        self.meta = meta
        self._client = client
        self.url = client.until(lambda line: line["op"] == "listening")["url"]
        meta.run(meta.emulator.connect(self.url))
        meta.emulator.portal.add_template("greeting", "Hi {{1}}, how are you?")
        self.first = self.act("text", text="Hi/😀")
        self.greeted = client.until(lambda line: line["op"] == "message")
        client.tell(self.first)
        client.until(lambda line: line["op"] == "done")
        self.answers = {line["op"]: line for line in client.told if "answer" in line or "error" in line}

    def act(self, kind: str, **more: Any) -> str:
        """Something done on the phone; its wamid."""

        async def acted() -> str:
            return self.meta.emulator.act(kind, **more)

        return str(self.meta.run(acted()))

    def received(self, kind: str, **more: Any) -> dict[str, Any]:
        """What the client makes of something done on the phone."""
        wamid = self.act(kind, **more)
        return self._client.until(lambda line: line["op"] == "message" and line["message"]["id"] == wamid)

    def fails(self, fault: str) -> dict[str, Any]:
        """How a text fares whose sending is spoilt by this fault: the answer, or what the client is told later."""

        async def armed() -> None:
            self.meta.emulator.arm(fault)

        self.meta.run(armed())
        self._client.tell("Hi")
        answer: dict[str, Any] = self._client.until(lambda line: line["op"] == "said")["answer"]
        return answer if "error" in answer else self.statuses(answer["messages"][0]["id"], "failed")[-1]

    def answer(self, op: str) -> Any:
        """What the client's call returned."""
        return self.answers[op]["answer"]

    def sent(self, op: str) -> str:
        """The wamid that the client got for a message."""
        return str(self.answer(op)["messages"][0]["id"])

    def shown(self, op: str) -> dict[str, Any]:
        """The same message as the phone has it."""
        wamid = self.sent(op)
        self.meta.until(lambda: any(e["wamid"] == wamid for e in self.meta.replies(USER)))
        return next(dict(e["message"]) for e in self.meta.replies(USER) if e["wamid"] == wamid)

    def statuses(self, wamid: str, last: str) -> list[dict[str, Any]]:
        """What the client was told of a message, up to this status."""
        seen = [line for line in self._client.told if line["op"] == "status" and line["id"] == wamid]
        while not seen or seen[-1]["status"] != last:
            seen.append(self._client.until(lambda line: line["op"] == "status" and line["id"] == wamid))
        return seen


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    if missing := client_missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with EmulatedMeta() as meta, Client(meta) as client:
        yield Talk(meta, client)


def form(kind: str, action: object, **more: object) -> tuple[str, object]:
    """An interactive message with the body "Hi"."""
    return "interactive", {"type": kind, "body": {"text": "Hi"}, "action": action, **more}


BUTTONS = {
    "buttons": [
        {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
        {"type": "reply", "reply": {"id": "no", "title": "No"}},
    ]
}
FLOW = {"flow_message_version": "3", "flow_token": "t", "flow_id": "7", "flow_cta": "Book", "mode": "published"}

SENDS: dict[str, tuple[str, object]] = {
    "text": ("text", {"body": "Héllo/😀"}),
    "text with a preview": ("text", {"body": LINK, "preview_url": True}),
    "text with data": ("text", {"body": "Tracked"}),
    "text in context": ("text", {"body": "Hi yourself"}),
    "image by id": ("image", {"id": ANY, "caption": "Look"}),
    "video by id": ("video", {"id": ANY, "caption": "Look"}),
    "audio by id": ("audio", {"id": ANY}),
    "voice by id": ("audio", {"id": ANY, "voice": True}),
    "document by id": ("document", {"id": ANY, "caption": "Look", "filename": "a.pdf"}),
    "sticker by id": ("sticker", {"id": ANY}),
    "image by link": ("image", {"link": LINK}),
    "video by link": ("video", {"link": LINK}),
    "audio by link": ("audio", {"link": LINK}),
    "document by link": ("document", {"link": LINK, "filename": "a.pdf"}),
    "sticker by link": ("sticker", {"link": LINK}),
    "location": ("location", {"latitude": 52.36, "longitude": 4.87, "name": "Vondelpark", "address": "Amsterdam"}),
    "contact": (
        "contacts",
        [
            {
                "name": {"formatted_name": "Sam Okafor", "first_name": "Sam"},
                "phones": [{"phone": "+15550109921", "type": "WORK"}],
            }
        ],
    ),
    "reaction": ("reaction", {"message_id": ANY, "emoji": "👍"}),
    "reaction removed": ("reaction", {"message_id": ANY, "emoji": ""}),
    "buttons": form("button", BUTTONS, header={"type": "text", "text": "Top"}, footer={"text": "Below"}),
    "buttons under an image": form("button", BUTTONS, header={"type": "image", "image": {"id": ANY}}),
    "list": form(
        "list",
        {
            "button": "Open",
            "sections": [{"title": "Days", "rows": [{"id": "mon", "title": "Monday", "description": "at nine"}]}],
        },
    ),
    "link button": form("cta_url", {"name": "cta_url", "parameters": {"display_text": "Pay", "url": LINK}}),
    "flow to a screen": form(
        "flow",
        {
            "name": "flow",
            "parameters": FLOW
            | {"flow_action": "navigate", "flow_action_payload": {"screen": "DAY", "data": {"seats": 2}}},
        },
    ),
    "flow with an endpoint": form("flow", {"name": "flow", "parameters": FLOW | {"flow_action": "data_exchange"}}),
    "location request": form("location_request_message", {"name": "send_location"}),
    "contact request": form("request_contact_info", {"name": "request_contact_info"}),
    "call permission request": form("call_permission_request", {"name": "call_permission_request"}),
    "catalogue": form(
        "catalog_message",
        {"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "SKU-1"}},
    ),
    "product": (
        "interactive",
        {"type": "product", "action": {"catalog_id": "44", "product_retailer_id": "SKU-1"}},
    ),
    "products": form(
        "product_list",
        {
            "catalog_id": "44",
            "sections": [
                {"title": "New", "product_items": [{"product_retailer_id": f"SKU-{number}"} for number in (1, 2)]}
            ],
        },
        header={"type": "text", "text": "Shop"},
    ),
    "template": ("template", {"name": "hello_world", "language": ANY}),
    "template with a parameter": (
        "template",
        {
            "name": "greeting",
            "language": ANY,
            "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}],
        },
    ),
}


@pytest.mark.parametrize("op", SENDS)
def test_sends(talk: Talk, op: str) -> None:
    """Each kind of message gets the client an id, and is on the phone as it was said."""
    assert talk.answer(op)["contacts"] == [{"input": USER, "wa_id": USER}]
    found = talk.shown(op)
    assert (found["type"], found["content"]) == SENDS[op]


def test_quotes_and_reacts(talk: Talk) -> None:
    """A reply is about the message that it quotes, a reaction names it."""
    assert talk.shown("text in context")["about"] == talk.first
    assert talk.shown("reaction")["content"]["message_id"] == talk.first


@pytest.mark.parametrize("op", ["mark as read", "typing"])
def test_reads_and_types(talk: Talk, op: str) -> None:
    """Both succeed, and the phone shows them."""
    assert talk.answer(op) == {"success": True}
    kind = {"mark as read": "tick", "typing": "typing"}[op]
    found = [e for e in talk.meta.seen if e["event"] == kind]
    assert any(e["phone"] == USER and e.get("status", "read") == "read" for e in found)


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
def test_uploads(talk: Talk, kind: str) -> None:
    """An upload's id is what the message carries."""
    number = talk.answer(f"upload {kind}")["id"]
    assert talk.shown(f"{kind} by id")["content"]["id"] == number


def test_retrieves_fetches_and_deletes(talk: Talk) -> None:
    """The file's description, its bytes, its end: 100 for the id, 404 for the URL."""
    about = talk.answer("retrieve media")
    assert (about["id"], about["mime_type"]) == (talk.answer("upload image")["id"], "image/png")
    assert len(about["sha256"]) == 64
    assert talk.answer("fetch media") == {"type": "image/png", "same": True}
    assert talk.answer("delete media") == {"success": True}
    assert talk.answer("retrieve deleted media")["error"]["error_subcode"] == 33
    assert talk.answer("fetch deleted media") == {"status": 404}


def test_is_told_what_is_wrong(talk: Talk) -> None:
    """A refusal is an answer in Meta's envelope."""
    error = talk.answer("unknown file")["error"]
    assert (error["code"], error["type"]) == (100, "OAuthException")
    assert "media attachment ID" in error["message"]
    assert error["fbtrace_id"]


def test_nothing_went_wrong_in_the_client(talk: Talk) -> None:
    """No operation threw, and none is without a test: forty-six, counted."""
    assert not [line for line in talk.answers.values() if "error" in line]
    other = [f"upload {kind}" for kind in ("image", "video", "audio", "document", "sticker")]
    other += ["mark as read", "typing", "retrieve media", "fetch media", "delete media"]
    other += ["retrieve deleted media", "fetch deleted media", "unknown file"]
    assert sorted(talk.answers) == sorted([*SENDS, *other])
    assert len(talk.answers) == 46


# -- its webhook --


def test_answers_the_handshake(talk: Talk) -> None:
    """Its own ``handle_get`` satisfied the emulator; a wrong token does not satisfy it."""
    assert [e["passed"] for e in talk.meta.seen if e["event"] == "challenge"] == [True]
    wrong = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": "wrong"}
    assert httpx.get(talk.url, params=wrong).status_code == 403


def test_checks_signatures(talk: Talk) -> None:
    """Its own ``handle_post`` took the emulator's signature; it refuses another secret's, and (with 500) none."""
    assert talk.greeted["message"]["text"] == {"body": "Hi/😀"}
    body = webhooks.wire(webhooks.inbound(talk.meta.credentials.line, Sender(phone=USER)))
    wrong = {"X-Hub-Signature-256": webhooks.sign(body, "another secret")}
    assert httpx.post(talk.url, content=body, headers=wrong).status_code == 401
    assert httpx.post(talk.url, content=body).status_code == 500


def test_knows_who_writes(talk: Talk) -> None:
    """Number, business-scoped id and name."""
    found = talk.greeted
    assert (found["from"], found["name"]) == (USER, "Alex Rivera")
    assert (found["recipient"]["phone"], found["recipient"]["bsuid"]) == (USER, scoped_id(USER))
    assert found["phoneID"] == talk.meta.credentials.phone_number_id


@pytest.mark.parametrize(
    ("kind", "content", "meta_type"),
    [
        ("image", {"caption": "Look"}, "image"),
        ("voice", None, "audio"),
        ("document", None, "document"),
        ("location", None, "location"),
        ("contacts", None, "contacts"),
        ("order", None, "order"),
        ("unsupported", None, "unsupported"),
    ],
)
def test_receives(talk: Talk, kind: str, content: object, meta_type: str) -> None:
    """Each kind comes through its ``on.message``."""
    found = talk.received(kind, content=content)["message"]
    assert (found["type"], found["from"]) == (meta_type, USER)
    assert found[meta_type]


@pytest.mark.parametrize(
    ("op", "kind", "content", "reply"),
    [
        ("buttons", "button", {"id": "no", "title": "No"}, "button_reply"),
        ("list", "list", {"id": "mon", "title": "Monday"}, "list_reply"),
        ("flow to a screen", "flow", {"name": "flow"}, "nfm_reply"),
    ],
)
def test_receives_taps(talk: Talk, op: str, kind: str, content: dict[str, str], reply: str) -> None:
    """A tap below its own message names that message."""
    asked = talk.sent(op)
    found = talk.received(kind, about=asked, content=content)["message"]
    assert found["context"]["id"] == asked
    assert found["interactive"][reply].items() >= content.items()


def test_receives_reactions_and_replies(talk: Talk) -> None:
    """To its own message."""
    asked = talk.sent("text")
    assert talk.received("reaction", about=asked)["message"]["reaction"] == {"message_id": asked, "emoji": "👍"}
    assert talk.received("reaction_removed", about=asked)["message"]["reaction"] == {"message_id": asked}
    assert talk.received("text", about=asked, text="Yes?")["message"]["context"]["id"] == asked


def test_follows_a_message(talk: Talk) -> None:
    """Sent, delivered, read, each with the data that the send had; prices with the first two."""
    told = talk.statuses(talk.sent("text with data"), "read")
    assert [(line["status"], line["data"]) for line in told] == [
        ("sent", "order 7"),
        ("delivered", "order 7"),
        ("read", "order 7"),
    ]
    assert [bool(line.get("pricing")) for line in told] == [True, True, False]
    assert {line["phone"] for line in told} == {USER}


@pytest.mark.parametrize(("fault", "code"), [("window_closed", 131047), ("undeliverable", 131026)])
def test_learns_why_a_message_failed(talk: Talk, fault: str, code: int) -> None:
    """Accepted, then failed, with the code and the number."""
    told = talk.fails(fault)
    assert (told["status"], told["error"]["code"], told["phone"]) == ("failed", code, USER)


@pytest.mark.parametrize(("fault", "code"), [("not_on_list", 131030), ("rate_limited", 130429), ("token_expired", 190)])
def test_is_refused(talk: Talk, fault: str, code: int) -> None:
    """A refusal by code, in Meta's envelope."""
    error = talk.fails(fault)["error"]
    assert (error["code"], error["type"]) == (code, "OAuthException")
