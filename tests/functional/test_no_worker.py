"""`serve --no-worker`: a host that only receives."""

import json
import time
from pathlib import Path
from random import Random

import httpx

from aerobot.emulator import webhooks
from tests.emulated import EmulatedMeta
from tests.running import Running, environment, run

SECRET = "0123456789abcdef0123456789abcdef"


def settings(folder: Path, meta: EmulatedMeta) -> dict[str, str]:
    """The environment of a host of the emulated number."""
    return environment(
        folder,
        {
            "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
            "AEROBOT_SERVE_PORT": "0",
            "AEROBOT_SERVE_PRIVATE_PORT": "0",
            "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": meta.credentials.phone_number_id,
            "AEROBOT_WHATSAPP_ACCESS_TOKEN": meta.credentials.access_token,
            "AEROBOT_WHATSAPP_VERIFY_TOKEN": "verify-token-xyz",
            "AEROBOT_WHATSAPP_APP_SECRET": SECRET,
        },
    )


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
        env = settings(tmp_path, meta)
        serve = ["serve", "echo", "--no-validate", "--json"]
        with Running([*serve, "--no-worker"], cwd=tmp_path, env=env) as host:
            url = host.event("ready")["webhook_url"]
            assert httpx.post(url, content=body, headers=headers).status_code == 200
            assert host.event("message")["state"] == "queued"
            host.stop()
            assert not any(json.loads(told)["event"] == "part" for told in host.lines)
        with Running(serve, cwd=tmp_path, env=env) as host:
            assert host.event("part")["state"] == "sent"


def test_a_missing_worker_is_seen_from_outside(tmp_path: Path) -> None:
    """doctor warns, status says so, send-test ends at once with 6, and Ready proposes what works."""
    with EmulatedMeta() as meta:
        env = settings(tmp_path, meta)
        with Running(["serve", "echo", "--no-validate", "--no-worker"], cwd=tmp_path, env=env) as host:
            meta.until(lambda: "Ready" in host.stderr, 20)
            ready = next(line for line in host.stderr.splitlines() if line.startswith("Ready"))
            assert "send-test" not in ready
            assert "aerobot db info" in ready
            assert run(("db", "info"), cwd=tmp_path, env=env).returncode == 0
            began = time.monotonic()
            tried = run(("send-test", "Hi"), cwd=tmp_path, env=env)
            assert (tried.returncode, time.monotonic() - began < 5) == (6, True)
            assert f"pid {host.process.pid}) has no worker" in tried.stderr
            assert "--no-worker" in tried.stderr
            status = run(("status",), cwd=tmp_path, env=env)
            assert "no worker" in status.stdout
            doctor = run(("doctor", "--only", "host"), cwd=tmp_path, env=env)
            assert doctor.returncode == 0, doctor.stderr
            assert "has no worker (--no-worker)" in doctor.stderr
            assert doctor.stderr.splitlines()[-1] == "Next: aerobot serve"
