"""The main job, driven as a person drives it: the real command line, real sockets, an emulated Aerostack and Meta."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.aerostack_api import AerostackApi
from tests.emulated import EmulatedMeta
from tests.running import Running, environment, run

SAMPLES = Path(__file__).parents[1] / "samples"
SECRET = "0123456789abcdef0123456789abcdef"
NUMBER = "106540352242922"

ANSWERS = {
    "text.json": "Do you deliver on Sundays?",
    "text-emoji-and-accents.json": "Grüße aus Malmö 👩‍👩‍👧‍👦 – ¿abren mañana? https://example.com/a@b",
    "image.json": "[Image]",
    "image-with-caption.json": "The broken lamp [Image]",
    "video.json": "[Video]",
    "video-with-caption.json": "It flickers [Video]",
    "document.json": "[Document: Rechnung März.pdf]",
    "document-with-caption.json": "My order [Document: order.pdf]",
    "document-without-name.json": "[Document]",
    "audio.json": "[Voice message]",
    "voice-note.json": "[Voice message]",
    "location.json": "[Location: 37.44216251868683, -122.16153582049394]",
    "location-with-name-and-round-numbers.json": "[Location: 52.0, 4]",
    "button-reply.json": "Yes, deliver",
    "list-reply.json": "Friday 9–12",
    "template-quick-reply.json": "Stop promotions",
    "sticker.json": "[Sticker]",
    "contacts.json": "[Contact: Ada Byron]",
    "contacts-several.json": "[Contact: Ada Byron, Alan Turing, +44 20 7946 0000]",
    "contacts-empty.json": "[Contact]",
    "reaction.json": "[Reaction: 👍]",
    "reaction-removed.json": "[Reaction removed]",
    "order.json": "[Order: 2 items]",
    "flow-reply.json": "Sent",
    "flow-reply-without-body.json": "[Form reply]",
    "text-from-username-only.json": "You do not know my number",
}
"""What an echo says to each kind."""

RECORDED = (
    "unsupported.json", "unknown.json", "system-number-changed.json", "edit.json", "revoke.json",
    "request-welcome.json",
    "call-permission-reply.json", "interactive-of-unknown-kind.json", "kind-of-the-future.json", "status-read.json",
    "text-for-another-number.json", "text-in-group.json", "dashboard-sample.json", "account-update.json",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A folder, an environment, and what is emulated around it."""

    folder: Path
    env: dict[str, str]
    meta: EmulatedMeta
    aerostack: AerostackApi


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "bot"
    folder.mkdir()
    with EmulatedMeta() as meta, AerostackApi() as aerostack:
        extra = {
            "AEROBOT_AEROSTACK_API_URL": aerostack.url,
            "AEROBOT_AEROSTACK_TOKEN": aerostack.token,
            "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
            "AEROBOT_SERVE_PORT": "0",
            "AEROBOT_SERVE_PRIVATE_PORT": "0",
        }
        yield Place(folder, environment(tmp_path, extra), meta, aerostack)


def signature(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def fresh(name: str, number: str) -> bytes:
    """A sample, for this number and of now."""
    text = (SAMPLES / name).read_text().replace(NUMBER, number)
    return re.sub(r'"timestamp": "\d{10}"', f'"timestamp": "{int(time.time())}"', text).encode()


def test_from_nothing_to_a_bot_that_answers(place: Place) -> None:
    """init, create, activate, serve, the handshake, every kind of message, send-test, Ctrl-C: all as documented."""
    found = place.meta.credentials
    secrets = {"AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token, "AEROBOT_WHATSAPP_APP_SECRET": SECRET}
    number = found.phone_number_id

    init = run(
        ["init", "--yes", "--name", "Acme", "--phone-number-id", number], cwd=place.folder, env={**place.env, **secrets}
    )
    assert init.returncode == 0, init.stderr
    assert (place.folder / ".env").stat().st_mode & 0o777 == 0o600
    assert found.access_token not in init.stdout + init.stderr

    create = run(["create", "--system-prompt", "You are kind.", "--json"], cwd=place.folder, env=place.env)
    assert create.returncode == 0, create.stderr
    bot_id = json.loads(create.stdout)["id"]
    assert bot_id in (place.folder / "aerobot.toml").read_text()
    sent = place.aerostack.calls("POST", "/api/bots")[0].body
    assert sent["platform_config"]["phone_number_id"] == number
    assert sent["platform_config"]["app_secret"] == SECRET

    activate = run(["activate", "--print", "webhook-url"], cwd=place.folder, env=place.env)
    assert activate.returncode == 0, activate.stderr
    assert activate.stdout.strip().endswith(f"/api/bots/webhook/whatsapp/{bot_id}")

    with Running(["serve", "echo", "--json"], cwd=place.folder, env=place.env) as host:
        ready = host.event("ready")
        assert ready["bots"] == [bot_id]
        assert ready["public_url"] is None
        check_handshake(place, ready["webhook_url"])
        check_kinds(place, host, ready["webhook_url"], number)
        check_send_test(place)
        assert host.stop() == 130
    assert json.loads(host.lines[-1])["event"] == "stopped"
    assert found.access_token not in "\n".join(host.lines) + host.stderr
    assert SECRET not in "\n".join(host.lines) + host.stderr
    assert not list((Path(place.env["AEROBOT_STATE_HOME"]) / "hosts").glob("*.json"))


def check_handshake(place: Place, url: str) -> None:
    """The challenge comes back verbatim to the right token, and to no other."""
    shown = run(["config", "get", "whatsapp.verify_token", "--show-secrets"], cwd=place.folder, env=place.env)
    query = {"hub.mode": "subscribe", "hub.challenge": "00123", "hub.verify_token": shown.stdout.strip()}
    good = httpx.get(url, params=query)
    assert (good.status_code, good.text) == (200, "00123")
    bad = httpx.get(url, params={**query, "hub.verify_token": "wrong"})
    assert bad.status_code == 403
    assert "00123" not in bad.text


def check_kinds(place: Place, host: Running, url: str, number: str) -> None:
    """Each kind is answered with its placeholder; what is only recorded is answered 200 and nothing more."""
    for count, (name, text) in enumerate(ANSWERS.items(), 1):
        body = fresh(name, number)
        answer = httpx.post(url, content=body, headers=signature(body))
        assert answer.status_code == 200, name
        place.meta.until(lambda count=count: len(place.meta.replies()) >= count)
        assert place.meta.replies()[-1]["text"] == text, name
    before = len(place.meta.replies())
    for name in RECORDED:
        body = fresh(name, number)
        assert httpx.post(url, content=body, headers=signature(body)).status_code == 200, name
    body = fresh("text.json", number)
    assert httpx.post(url, content=body, headers=signature(body)).status_code == 200
    assert httpx.post(url, content=body, headers=signature(body, "other")).status_code == 403
    assert httpx.post(url, content=body).status_code == 401
    time.sleep(0.3)
    assert len(place.meta.replies()) == before, "a recorded, repeated or refused delivery was answered"
    assert host.event("rejected")["status"] == 403


def check_send_test(place: Place) -> None:
    """send-test finds the host, prints the reply and ends with 0; signed with another secret it ends with 4."""
    done = run(["send-test", "Where is my order?"], cwd=place.folder, env=place.env)
    assert done.returncode == 0, done.stderr
    assert "Where is my order?" in done.stdout
    wrong = run(["send-test", "Hi"], cwd=place.folder, env={**place.env, "AEROBOT_WHATSAPP_APP_SECRET": "0" * 32})
    assert wrong.returncode == 4
    assert "app secret" in wrong.stderr


def test_send_test_without_a_host_ends_with_5(place: Place) -> None:
    """Where nothing listens, send-test says so and how to start something."""
    done = run(["send-test", "Hi"], cwd=place.folder, env=place.env)
    assert done.returncode == 5
    assert "aerobot serve" in done.stderr


def test_serve_without_an_engine_lists_the_choices(place: Place) -> None:
    """A live number never gets an echo by accident: without an engine, exit 3 and the choices."""
    done = run(["serve"], cwd=place.folder, env=place.env)
    assert done.returncode == 3
    for choice in ("echo", "demo", "bot.py", "module:name"):
        assert choice in done.stderr


def test_messages_of_before_a_kill_are_answered_after_it(place: Place) -> None:
    """What was answered 200 survives kill -9: the next start takes it up, and nothing is answered twice."""
    found = place.meta.credentials
    env = {
        **place.env,
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": found.phone_number_id,
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token,
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": found.verify_token,
        "AEROBOT_WHATSAPP_APP_SECRET": SECRET,
    }
    slow = place.folder / "bot.py"
    slow.write_text("import time\ndef reply(turn):\n    time.sleep(30)\n    return 'too late'\n")
    with Running(["serve", "bot.py", "--json"], cwd=place.folder, env=env) as host:
        url = host.event("ready")["webhook_url"]
        for name in ("text.json", "image.json"):
            body = fresh(name, found.phone_number_id)
            assert httpx.post(url, content=body, headers=signature(body)).status_code == 200
        host.event("message", kind="image")
        host.process.kill()
        host.process.wait(10)
    slow.write_text("def reply(turn):\n    return 'now ' + turn.text\n")
    with Running(["serve", "bot.py", "--json"], cwd=place.folder, env=env) as host:
        host.event("ready")
        place.meta.until(lambda: len(place.meta.replies()) >= 2, timeout=40)
        assert host.stop() == 130
    texts = sorted(reply["text"] for reply in place.meta.replies())
    assert len(texts) == 2
    assert texts[0].startswith("now ")


def test_a_second_serve_on_one_database_names_the_first(place: Place) -> None:
    """SQLite belongs to one host: a second serve ends with 3 and says which one has it."""
    with Running(["serve", "echo", "--json"], cwd=place.folder, env=place.env) as host:
        host.event("ready")
        second = run(["serve", "echo"], cwd=place.folder, env=place.env)
        assert second.returncode == 3
        assert str(host.process.pid) in second.stderr
        assert host.stop() == 130


def test_a_port_in_use_is_named(place: Place) -> None:
    """A port that somebody else has ends serve with 3 and names the flag."""
    taken = place.meta.url.rpartition(":")[2]
    done = run(["serve", "echo", "--port", taken], cwd=place.folder, env=place.env)
    assert done.returncode == 3
    assert taken in done.stderr
    assert "--port 0" in done.stderr


def test_sigterm_is_a_clean_stop(place: Place) -> None:
    """SIGTERM ends serve with 0 after a summary."""
    with Running(["serve", "echo"], cwd=place.folder, env=place.env) as host:
        place.meta.until(lambda: "Ready" in host.stderr)
        assert host.stop(15) == 0
    assert "Stopped." in host.stderr
