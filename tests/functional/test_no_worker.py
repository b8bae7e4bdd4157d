"""`serve --no-worker`: a host that only receives."""

import json
import time
from pathlib import Path
from random import Random

import httpx

from aerobot.emulator import webhooks
from tests.emulated import EmulatedMeta
from tests.running import Running, environment

SECRET = "0123456789abcdef0123456789abcdef"


def test_what_a_host_without_a_worker_takes_is_answered_by_a_later_start(tmp_path: Path) -> None:
    """With --no-worker a message is stored and answered 200, nothing is sent; a start without the flag answers it."""
    ana = webhooks.Sender(phone="15550101234", name="Ana")
    wamid = webhooks.new_wamid(Random(1), ana.phone)
    said = webhooks.message("text", ana, id=wamid, timestamp=int(time.time()), text="Hi")
    with EmulatedMeta() as meta:
        number = meta.credentials.phone_number_id
        line = webhooks.Line(business_account_id="1", phone_number_id=number, display_phone_number="15550104477")
        body = webhooks.wire(webhooks.inbound(line, ana, said))
        headers = {"X-Hub-Signature-256": webhooks.sign(body, SECRET)}
        env = environment(
            tmp_path,
            {
                "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
                "AEROBOT_SERVE_PORT": "0",
                "AEROBOT_SERVE_PRIVATE_PORT": "0",
                "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": number,
                "AEROBOT_WHATSAPP_ACCESS_TOKEN": meta.credentials.access_token,
                "AEROBOT_WHATSAPP_VERIFY_TOKEN": "verify-token-xyz",
                "AEROBOT_WHATSAPP_APP_SECRET": SECRET,
            },
        )
        serve = ["serve", "echo", "--no-validate", "--json"]
        with Running([*serve, "--no-worker"], cwd=tmp_path, env=env) as host:
            url = host.event("ready")["webhook_url"]
            assert httpx.post(url, content=body, headers=headers).status_code == 200
            assert host.event("message")["state"] == "queued"
            host.stop()
            assert not any(json.loads(told)["event"] == "part" for told in host.lines)
        with Running(serve, cwd=tmp_path, env=env) as host:
            assert host.event("part")["state"] == "sent"
