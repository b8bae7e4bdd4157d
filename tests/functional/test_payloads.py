"""Real webhook bodies of public projects, where their folder exists: signed, delivered, all taken."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulated import EmulatedMeta
from tests.running import Running, environment

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"
BODIES = sorted(PAYLOADS.rglob("*.json")) if PAYLOADS.is_dir() else []
SECRET = "0123456789abcdef0123456789abcdef"


def number_of(document: Any) -> str:
    """The first phone number id in a body that a bot could have; another one where it has none."""
    found = re.findall(r'"phone_number_id": ?"(\d+)"', json.dumps(document))
    return found[0] if found else "106540352242922"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Running]:
    with EmulatedMeta() as meta:
        extra = {
            "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
            "AEROBOT_SERVE_PORT": "0",
            "AEROBOT_SERVE_PRIVATE_PORT": "0",
            "AEROBOT_SERVE_PRIVATE_TOKEN": "private-token-of-this-test",
        }
        env = environment(tmp_path, extra)
        with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as running:
            yield running


@pytest.mark.skipif(not BODIES, reason="public webhook bodies are read from ../shared/payloads: put them there")
@pytest.mark.parametrize("fresh", [False, True], ids=["as-they-are", "of-now"])
def test_every_public_body_is_taken(host: Running, fresh: bool) -> None:
    """Each body, signed, for a bot with its number, is answered 200 and stored; nothing unforeseen happens."""
    ready = host.event("ready")
    private = httpx.Client(
        base_url=ready["private_url"], headers={"Authorization": "Bearer private-token-of-this-test"}
    )
    public = httpx.Client(base_url=ready["webhook_url"].split("/api/")[0] or ready["webhook_url"])
    bots: dict[Path, str] = {}
    for path in BODIES:
        document = json.loads(path.read_text())
        number = number_of(document)
        bots[path] = made(private, number)
        body = json.dumps(document, separators=(",", ":")).encode()
        if fresh:
            body = re.sub(rb'"timestamp":"\d+"', b'"timestamp":"%d"' % time.time(), body)
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        answer = public.post(
            f"/api/bots/webhook/whatsapp/{bots[path]}",
            content=body,
            headers={"X-Hub-Signature-256": f"sha256={digest}"},
        )
        assert answer.status_code == 200, path
    private.close()
    public.close()
    time.sleep(0.5)
    assert host.stop(15) == 0
    events = [json.loads(line) for line in host.lines]
    assert [event for event in events if event["event"] in ("error", "rejected")] == []
    assert "unreadable" not in {event.get("what") for event in events}, "a body was kept raw alone"
    told = {event["bot_id"] for event in events if event["event"] in ("message", "receipt", "recorded", "sample")}
    assert [path.name for path, bot_id in bots.items() if bot_id not in told] == [], "bodies vanished without a word"


def made(private: httpx.Client, number: str) -> str:
    """A bot with this number in the host's own store, active."""
    config = {"phone_number_id": number, "access_token": "EAA-test", "verify_token": "verify", "app_secret": SECRET}
    bot = private.post("/api/bots", json={"name": f"Bot {number}", "platform_config": config}).json()["bot"]
    assert private.post(f"/api/bots/{bot['id']}/activate").status_code == 200
    return str(bot["id"])
