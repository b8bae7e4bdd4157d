"""`serve --register`, `activate --register` and `webhook` as processes: Meta is pointed here, and back."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.aerostack_api import AerostackApi
from tests.emulated import EmulatedMeta
from tests.processes import Cli
from tests.running import Running, environment, run

AGENT = Path(__file__).parents[1] / "ngrok_agent.py"
SERVE = ["serve", "echo", "--tunnel", "--register", "phone"]


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


def variables(meta: EmulatedMeta) -> dict[str, str]:
    """A whole configuration as environment variables."""
    found = meta.credentials
    return {
        "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": found.phone_number_id,
        "AEROBOT_WHATSAPP_BUSINESS_ACCOUNT_ID": found.business_account_id,
        "AEROBOT_WHATSAPP_APP_ID": found.app_id,
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token,
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": found.verify_token,
        "AEROBOT_WHATSAPP_APP_SECRET": found.app_secret,
        "AEROBOT_TUNNEL_AUTHTOKEN": "2abcDEFghi_authtoken",
        "PYNGROK_NGROK_PATH": str(AGENT),
        "AEROBOT_SERVE_PORT": "0",
        "AEROBOT_SERVE_PRIVATE_PORT": "0",
    }


@pytest.fixture
def env(tmp_path: Path, meta: EmulatedMeta) -> dict[str, str]:
    return environment(tmp_path, variables(meta))


@pytest.fixture
def cli(tmp_path: Path, meta: EmulatedMeta) -> Cli:
    return Cli(tmp_path, **variables(meta))


def arrange(meta: EmulatedMeta, **changes: Any) -> None:
    async def change() -> None:
        meta.emulator.arrange(**changes)

    meta.run(change())


def levels(meta: EmulatedMeta) -> dict[str, str]:
    """What stands at each level that has something."""
    names = {"phone_number": "phone", "whatsapp_business_account": "waba", "application": "app"}
    found: Any = meta.emulator.portal.document()["levels"]
    return {names[name]: url for name, url in found.items() if url}


def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "registrations"


def serving(tmp_path: Path, env: dict[str, str], *more: str) -> Running:
    return Running([*SERVE, "--json", *more], cwd=tmp_path, env=env)


def notices(host: Running) -> list[str]:
    found = [json.loads(line) for line in host.lines]
    return [one["detail"] for one in found if one.get("topic") == "Meta"]


def answered(meta: EmulatedMeta, text: str) -> None:
    """A user writes, and the answer arrives on the phone."""
    meta.run(meta.emulator.say(text))
    meta.until(lambda: text in [reply["text"] for reply in meta.replies()], timeout=20)


# -- serve -----------------------------------------------------------------------------------------------------------


def test_meta_is_pointed_here_and_back(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Tunnel, challenge, override, a message from a phone through it and its answer; Ctrl-C: all as before, 130."""
    arrange(meta, account_subscribed=False)
    with serving(tmp_path, env) as host:
        ready = host.event("ready", timeout=40)
        assert levels(meta) == {"phone": ready["webhook_url"]}
        assert ready["graph_url"] == meta.url
        assert ready["webhook_url"].startswith(ready["public_url"])
        wanted = [(ready["webhook_url"], True)]
        meta.until(lambda: [(e["url"], e["passed"]) for e in meta.seen if e["event"] == "challenge"] == wanted)
        answered(meta, "through the tunnel")
        assert host.stop() == 130
    assert levels(meta) == {}
    assert not list(folder(tmp_path).glob("*.json"))
    told = notices(host)
    assert "phone override set, Meta's own challenge answered; back on Ctrl-C" in told
    assert told[-1].startswith("Put back: +1 555-010-")
    assert told[-1].endswith(" -> nothing (as before)")
    events = [json.loads(line)["event"] for line in host.lines]
    assert events[-1] == "stopped"
    for secret in ("AEROBOT_WHATSAPP_ACCESS_TOKEN", "AEROBOT_WHATSAPP_APP_SECRET", "AEROBOT_WHATSAPP_VERIFY_TOKEN"):
        assert env[secret] not in host.stderr + "".join(host.lines)


def test_sigterm_puts_back_too(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """A supervisor's stop is as clean as Ctrl-C, and exits 0."""
    with serving(tmp_path, env, "--register", "waba") as host:
        ready = host.event("ready", timeout=40)
        assert levels(meta) == {"waba": ready["webhook_url"]}
        assert host.stop(signal.SIGTERM) == 0
    assert levels(meta) == {}


def test_it_is_put_back_before_the_tunnel_is_closed(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """While Graph cannot be asked, the stop waits for it and the tunnel still answers; messages still come."""
    with serving(tmp_path, env) as host:
        public = host.event("ready", timeout=40)["public_url"]
        arrange(meta, outage="unavailable")
        host.process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert httpx.get(f"{public}/healthz").status_code == 200
        assert levels(meta)
        meta.run(meta.emulator.say("the last one"))
        meta.until(lambda: any(e["event"] == "webhook" and e["status"] == 200 for e in meta.seen))
        arrange(meta, outage="")
        assert host.process.wait(30) == 130
        assert levels(meta) == {}
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{public}/healthz")
        host.stop()
    assert json.loads(host.lines[-1])["event"] == "stopped"


def test_kill_9_and_a_second_start(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """The dead override is found, replaced by the next start, and in the end everything is as before the first."""
    with serving(tmp_path, env) as host:
        dead = host.event("ready", timeout=40)["webhook_url"]
        host.stop(signal.SIGKILL)
    assert levels(meta) == {"phone": dead}
    done = run(["config", "show"], cwd=tmp_path, env=env)
    assert "A registration of a run that crashed is still in force" in done.stderr
    assert "aerobot webhook clear, or start serve" in done.stderr
    assert len([line for line in done.stderr.splitlines() if "crashed" in line]) == 1
    with serving(tmp_path, env) as host:
        url = host.event("ready", timeout=40)["webhook_url"]
        assert url != dead
        assert "crashed" not in host.stderr
        assert levels(meta) == {"phone": url}
        answered(meta, "again")
        assert host.stop() == 130
    assert notices(host)[-1].endswith("nothing (as before)")
    assert levels(meta) == {}
    assert "crashed" not in run(["config", "show"], cwd=tmp_path, env=env).stderr


def test_a_start_that_does_not_register_clears_up(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Messages of the number do not vanish into a dead tunnel because the next run wants none of it."""
    with serving(tmp_path, env) as host:
        host.event("ready", timeout=40)
        host.stop(signal.SIGKILL)
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        assert levels(meta) == {}
        assert host.stop() == 130
    assert notices(host) == [notices(host)[0]]
    assert notices(host)[0].startswith("put back after a crash: ")


def test_webhook_clear_finishes_a_leftover(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """webhook show says whose it is; clear puts back what was before the crash, and then there is nothing to clear."""
    with serving(tmp_path, env) as host:
        dead = host.event("ready", timeout=40)["webhook_url"]
        shown = json.loads(run(["webhook", "show", "--json"], cwd=tmp_path, env=env).stdout)
        assert shown["callbacks"]["phone"] == {"url": dead, "whose": "this_host"}
        refused = run(["webhook", "clear"], cwd=tmp_path, env=env)
        assert refused.returncode == 3
        assert f"pid {host.process.pid}" in refused.stderr
        host.stop(signal.SIGKILL)
    shown = json.loads(run(["webhook", "show", "--json"], cwd=tmp_path, env=env).stdout)
    assert shown["callbacks"]["phone"] == {"url": dead, "whose": "crashed_run"}
    assert shown["registration"]["kind"] == "leftover"
    done = run(["webhook", "clear", "--json"], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["how"], document["in_force"]) == ("as before", None)
    assert levels(meta) == {}
    again = run(["webhook", "clear"], cwd=tmp_path, env=env)
    assert again.returncode == 0
    assert "nothing is set" in again.stderr


def test_a_second_ctrl_c_leaves_the_record(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Who will not wait for Meta leaves at once; what is to be put back stays written down."""
    with serving(tmp_path, env) as host:
        host.event("ready", timeout=40)
        arrange(meta, outage="unavailable")
        host.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert host.stop() == 130
    arrange(meta, outage="")
    assert list(folder(tmp_path).glob("*.json"))
    assert run(["webhook", "clear"], cwd=tmp_path, env=env).returncode == 0
    assert levels(meta) == {}


def test_meta_that_is_gone_at_the_end_is_told(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Nothing can be put back: the last words say so, and how it is done later."""
    with serving(tmp_path, env) as host:
        host.event("ready", timeout=40)
        arrange(meta, outage="html")
        assert host.stop(timeout=60) == 130
    assert "NOT put back" in notices(host)[-1]
    assert "aerobot webhook clear" in notices(host)[-1]
    arrange(meta, outage="")
    assert run(["webhook", "clear"], cwd=tmp_path, env=env).returncode == 0
    assert levels(meta) == {}


def test_without_a_public_address_there_is_nothing(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """The flag is refused (exit 2); a remembered setting waits for a tunnel."""
    real = {**env, "AEROBOT_WHATSAPP_GRAPH_URL": "https://graph.invalid"}
    done = run(["serve", "echo", "--register", "phone"], cwd=tmp_path, env=real)
    assert done.returncode == 2
    assert "--tunnel" in done.stderr
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env={**env, "AEROBOT_SERVE_REGISTER": "phone"}) as host:
        host.event("ready")
        assert levels(meta) == {}
        assert host.stop() == 130


def test_a_graph_on_this_machine_needs_no_tunnel(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """The emulator reaches what is on loopback: --register points it here, and Ctrl-C puts back."""
    with Running(["serve", "echo", "--register", "phone"], cwd=tmp_path, env=env) as host:
        meta.until(lambda: "Ready" in host.stderr)
        assert levels(meta)["phone"].startswith("http://127.0.0.1:")
        assert 'Try: aerobot phone send "Hi" --wait 5' in host.stderr
        answered(meta, "from next door")
        assert host.stop() == 130
    assert levels(meta) == {}


def test_nothing_points_here(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Where the emulator calls nobody, serve says so with the command that connects it; connected it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        env["AEROBOT_SERVE_PORT"] = str(free.getsockname()[1])
    with Running(["serve", "echo"], cwd=tmp_path, env=env) as host:
        meta.until(lambda: "Ready" in host.stderr)
        assert "Nothing is sent here yet" in host.stderr
        url = re.findall(r"aerobot phone connect (\S+)", host.stderr)[0]
        meta.run(meta.emulator.connect(url))
        assert host.stop() == 130
    with Running(["serve", "echo"], cwd=tmp_path, env=env) as host:
        meta.until(lambda: "Ready" in host.stderr)
        assert "Nothing is sent here yet" not in host.stderr
        assert host.stop() == 130


def test_behind_a_proxy_of_ones_own(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """--public-url is registered like a tunnel, also by the remembered setting; at app level with all its fields."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arrange(meta, app_fields=["flows"])
    flags = ["--port", str(port), "--public-url", f"http://127.0.0.1:{port}", "--json"]
    with Running(["serve", "echo", *flags], cwd=tmp_path, env={**env, "AEROBOT_SERVE_REGISTER": "app"}) as host:
        ready = host.event("ready", timeout=40)
        assert levels(meta) == {"app": ready["webhook_url"]}
        assert sorted(meta.emulator.portal.document()["fields"]) == ["flows", "messages"]  # type: ignore[call-overload]
        answered(meta, "through the proxy")
        assert host.stop() == 130
    assert "app callback" in notices(host)[0]


def test_a_live_number_needs_a_deliberate_yes(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Off a terminal --live-number, else exit 2 before anything is opened or changed."""
    arrange(meta, account_mode="LIVE")
    done = run(SERVE, cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "LIVE" in done.stderr
    assert "--live-number" in done.stderr
    assert levels(meta) == {}
    with serving(tmp_path, env, "--live-number") as host:
        host.event("ready", timeout=40)
        assert levels(meta)
        assert host.stop() == 130
    assert levels(meta) == {}


def test_two_aerobots_do_not_fight_in_silence(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """The second is refused with the first's process and configuration; forced, it takes the number for itself."""
    with serving(tmp_path, env) as first:
        first.event("ready", timeout=40)
        second = [*SERVE, "--json", "--database", "second.db"]
        done = run(second, cwd=tmp_path, env=env)
        assert done.returncode == 2
        assert f"pid {first.process.pid}, no file" in done.stderr
        with Running([*second, "--take-over"], cwd=tmp_path, env=env) as host:
            url = host.event("ready", timeout=40)["webhook_url"]
            assert first.stop() == 130
            assert "another aerobot took it" in notices(first)[-1]
            assert levels(meta) == {"phone": url}
            assert host.stop() == 130
    assert levels(meta) == {}


def test_a_corrupt_record_stops_nothing(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """It is named, kept aside, and the start goes on."""
    folder(tmp_path).mkdir(parents=True)
    path = folder(tmp_path) / f"{meta.credentials.phone_number_id}.json"
    path.write_text('{"level": "phone", "urls": [')
    with serving(tmp_path, env) as host:
        host.event("ready", timeout=40)
        assert levels(meta)
        assert host.stop() == 130
    assert f"{path.name}.corrupt" in host.stderr
    assert path.with_name(f"{path.name}.corrupt").exists()
    assert levels(meta) == {}


def test_somebody_elses_override_is_not_just_taken(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """It could not be put back: refused, with the address that would be lost; forced, the end says that it is."""
    arrange(meta, number_callback="https://prod.example/hook")
    done = run(SERVE, cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "could not be put back" in done.stderr
    assert "https://prod.example/hook" in done.stderr
    assert levels(meta) == {"phone": "https://prod.example/hook"}
    with serving(tmp_path, env, "--take-over") as host:
        host.event("ready", timeout=40)
        assert host.stop() == 130
    assert "prod.example was there before and cannot be set again" in notices(host)[-1]
    assert levels(meta) == {}


def test_a_register_that_meta_refuses_ends_serve(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """A token that may not manage webhooks: Meta's reason, a remedy, and no tunnel that nobody uses."""
    arrange(meta, token_scopes=("whatsapp_business_messaging",))
    done = run(SERVE, cwd=tmp_path, env=env)
    assert done.returncode == 4
    assert "whatsapp_business_management" in done.stderr
    assert env["AEROBOT_WHATSAPP_ACCESS_TOKEN"] not in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["serve", "--help"], ["webhook", "-h"]])
def test_a_leftover_is_not_told_by_every_word(tmp_path: Path, env: dict[str, str], arguments: Sequence[str]) -> None:
    """--version and help read no settings and speak of nothing else."""
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "1.json").write_text("{")
    done = run(arguments, cwd=tmp_path, env=env)
    assert done.returncode == 0
    assert done.stderr == ""
    assert (folder(tmp_path) / "1.json").exists()


# -- on a terminal ---------------------------------------------------------------------------------------------------


def test_on_a_terminal_the_level_is_asked_and_remembered(cli: Cli, meta: EmulatedMeta) -> None:
    """With a tunnel: four choices, phone first; the answer is kept, and a LIVE number wants its last four digits."""
    cli.write("aerobot.toml", "# mine\n")
    arrange(meta, account_mode="LIVE")
    four = meta.credentials.display_phone_number[-4:]
    done = cli.type(
        "serve", "echo", "--tunnel",
        answers=[("while it runs?", "1"), ("Its last four digits", four), ("Ready.", "\x03")],
    )  # fmt: skip
    assert done.code == 130, done.out
    assert "recommended" in done.out
    assert "phone override set, Meta's own challenge answered; back on Ctrl-C" in done.out
    assert "Put back: +1 555-010-" in done.out
    assert "WhatsApp > Configuration" not in done.out  # nothing is left to do by hand
    assert (cli.project / "aerobot.toml").read_text() == '# mine\n\n[serve]\nregister = "phone"\n'
    assert levels(meta) == {}
    again = cli.type("serve", "echo", "--tunnel", answers=[("Its last four digits", "0000x")])
    assert again.code == 2
    assert "while it runs?" not in again.out
    assert levels(meta) == {}


def test_on_a_terminal_somebody_elses_host_is_asked_about(cli: Cli, meta: EmulatedMeta) -> None:
    """It is named; no means that Meta stays as it is."""
    with AerostackApi() as api:
        url = f"{api.url}/hook"
        arrange(meta, app_callback=url)
        done = cli.type("webhook", "set", "https://here.example/hook", answers=[("Take the number from", "n")])
        assert done.code == 0, done.out
        assert url.split("/")[2] in done.out
        assert "Nothing was changed." in done.out
        assert levels(meta) == {"app": url}


# -- activate and webhook --------------------------------------------------------------------------------------------


@pytest.fixture
def api() -> Iterator[AerostackApi]:
    with AerostackApi() as server:
        yield server


@pytest.fixture
def bot(api: AerostackApi, cli: Cli, meta: EmulatedMeta) -> dict[str, Any]:
    """A bot at the emulated Aerostack, whose webhook answers Meta's challenge."""
    found = meta.credentials
    config = {"phone_number_id": found.phone_number_id, "verify_token": found.verify_token}
    made = api.add_bot(name="Acme Support", platform_config=config)
    api.activation = {"webhook_url": f"{api.url}/api/bots/webhook/whatsapp/{made['id']}"}
    cli.environ |= {
        "AEROSTACK_API_URL": api.url, "AEROSTACK_TOKEN": api.token, "AEROBOT_BOT_ID": made["id"],
    }  # fmt: skip
    return made


def test_activate_register_phone(api: AerostackApi, cli: Cli, bot: dict[str, Any], meta: EmulatedMeta) -> None:
    """No portal step is left; the override outlives the command, is no leftover, and webhook clear undoes it."""
    done = cli.run("activate", "--register", "phone")
    assert done.code == 0, done.err
    assert "asked the challenge, Aerostack answered." in done.err
    assert "Undo: aerobot webhook clear" in done.err
    assert "WhatsApp > Configuration" not in done.err
    url = api.activation["webhook_url"]
    assert done.out == f"{url}\n"
    assert levels(meta) == {"phone": url}
    shown = cli.run("webhook", "show")
    assert "crashed" not in shown.err
    assert "Aerostack" in shown.out
    assert url in shown.out.splitlines()
    cleared = cli.run("webhook", "clear")
    assert cleared.code == 0, cleared.err
    assert "nothing (as before)" in cleared.err
    assert levels(meta) == {}


def test_activate_register_as_json(cli: Cli, bot: dict[str, Any], meta: EmulatedMeta) -> None:
    """The API's own answer, and what was registered."""
    done = cli.run("activate", "--register", "waba", "--json")
    assert done.code == 0, done.err
    assert done.document["status"] == "active"
    assert done.document["registered"]["level"] == "waba"
    assert levels(meta) == {"waba": done.document["webhook_url"]}


def test_activate_offers_it_first(cli: Cli, bot: dict[str, Any], api: AerostackApi) -> None:
    """What aerobot can do comes before what hands have to do."""
    api.activation = {}
    words = cli.run("activate").err
    assert words.index("aerobot activate --register phone") < words.index("WhatsApp > Configuration")
    assert "(undo: aerobot webhook clear)" in words


def test_activate_says_why_meta_did_not_agree(cli: Cli, bot: dict[str, Any], meta: EmulatedMeta) -> None:
    """Aerostack knows another verify token: Meta's reason, exit 4, and nothing is changed."""
    bot["platform_config"]["verify_token"] = "another"
    done = cli.run("activate", "--register", "phone")
    assert done.code == 4
    assert "challenge" in done.err
    assert levels(meta) == {}


def test_activate_register_is_not_for_local_hosts(cli: Cli, bot: dict[str, Any]) -> None:
    """A host here registers itself; --print prints and does nothing."""
    assert cli.run("activate", "--register", "phone", "--local").code == 2
    assert cli.run("activate", "--register", "phone", "--print", "webhook-url").code == 2


def test_serve_over_aerostack_and_back(cli: Cli, bot: dict[str, Any], api: AerostackApi, meta: EmulatedMeta) -> None:
    """The bot at Aerostack has the number, the laptop takes it without a question, and gives it back."""
    assert cli.run("activate", "--register", "phone").code == 0
    with Running([*SERVE, "--json"], cwd=cli.project, env=cli.environ) as host:
        url = host.event("ready", timeout=40)["webhook_url"]
        assert levels(meta) == {"phone": url}
        assert host.stop() == 130
    assert levels(meta) == {"phone": api.activation["webhook_url"]}
    assert notices(host)[-1].endswith("(as before)")


def test_webhook_set_show_clear(cli: Cli, bot: dict[str, Any], api: AerostackApi, meta: EmulatedMeta) -> None:
    """Each level is set and cleared by name; the narrowest is in force; what nobody wrote down needs a yes."""
    url = api.activation["webhook_url"]
    for level in ("waba", "phone"):
        done = cli.run("webhook", "set", url, "--level", level, "--json")
        assert done.code == 0, done.err
        assert (done.document["level"], done.document["url"]) == (level, url)
    shown = cli.run("webhook", "show", "--json").document
    assert shown["in_force"] == "phone"
    assert shown["callbacks"]["waba"]["whose"] == "aerostack"
    assert shown["callbacks"]["app"] is None
    assert shown["mode"] == "TEST"
    assert shown["subscribed"] is True
    assert shown["fields"] == ["messages"]
    assert cli.run("webhook", "clear").code == 0
    assert cli.run("webhook", "clear").code == 0
    assert levels(meta) == {}
    arrange(meta, number_callback="https://prod.example/hook")
    refused = cli.run("webhook", "clear")
    assert refused.code == 2
    assert "prod.example" in refused.err
    assert cli.run("webhook", "clear", "--take-over").code == 0
    assert levels(meta) == {}


def test_webhook_set_wants_https(cli: Cli) -> None:
    """Meta calls nothing else: exit 2, before anybody is asked."""
    for url in ("http://acme.example/hook", "acme.example/hook", "https://"):
        assert cli.run("webhook", "set", url).code == 2


def test_webhook_clear_forget(cli: Cli, bot: dict[str, Any], api: AerostackApi, meta: EmulatedMeta) -> None:
    """What was written down can be dropped where Meta cannot be asked any more."""
    assert cli.run("webhook", "set", api.activation["webhook_url"]).code == 0
    arrange(meta, token="expired")
    assert cli.run("webhook", "clear").code == 4
    assert cli.run("webhook", "clear", "--forget").code == 0
    assert not list((cli.home / "state" / "registrations").glob("*.json"))


def test_webhook_verify(cli: Cli, bot: dict[str, Any], api: AerostackApi, meta: EmulatedMeta) -> None:
    """Our own handshake, a signed delivery and a forged one: what came back, and that it was not Meta who asked."""
    url = api.activation["webhook_url"]
    done = cli.run("webhook", "verify", url)
    assert done.code == 0, done.err
    assert "answered our own request" in done.err
    assert "anybody could pose as Meta" in done.err  # this stand-in checks no signature
    assert "not Meta's" in done.err
    bot["platform_config"]["verify_token"] = "another"
    done = cli.run("webhook", "verify", url, "--json")
    assert done.code == 7
    assert done.document["ok"] is False
    assert done.document["checks"][0]["state"] == "failed"
    assert "another verify token" in done.document["checks"][0]["seen"]


def test_webhook_verify_of_a_running_host(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Without a URL it is the one that Meta calls; a good host passes all three, and no bot is asked."""
    with serving(tmp_path, env) as host:
        host.event("ready", timeout=40)
        done = run(["webhook", "verify", "--json"], cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert {c["name"]: c["state"] for c in found["checks"]} == {"challenge": "ok", "signed": "ok", "forged": "ok"}
        other = {**env, "AEROBOT_WHATSAPP_APP_SECRET": "f" * 32}
        wrong = run(["webhook", "verify", found["url"]], cwd=tmp_path, env=other)
        assert wrong.returncode == 7
        assert "another app secret" in wrong.stderr
        assert host.stop() == 130
    assert not any(json.loads(line)["event"] == "message" for line in host.lines)


def test_completion_says_nothing_of_leftovers(tmp_path: Path, env: dict[str, str]) -> None:
    """Completing a word costs no look and says no word."""
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "1.json").write_text("{")
    words = {"_AEROBOT_COMPLETE": "complete_bash", "COMP_WORDS": "aerobot webhook ", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "aerobot"], cwd=tmp_path, env={**os.environ, **env, **words},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "crashed" not in done.stderr + done.stdout
    assert (folder(tmp_path) / "1.json").exists()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the agent is found in /proc: run it on Linux")
def test_a_tunnel_that_dies_comes_back_and_meta_is_told(
    tmp_path: Path, env: dict[str, str], meta: EmulatedMeta
) -> None:
    """The agent is killed: a new tunnel is opened and proven, the override moves with its address, messages arrive."""
    with serving(tmp_path, env) as host:
        ready = host.event("ready", timeout=40)
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                line = path.with_name("cmdline").read_bytes().decode("utf-8", "replace")
            except (OSError, ValueError):
                continue
            if parent == host.process.pid and str(AGENT) in line:
                os.kill(int(path.parent.name), signal.SIGKILL)
        meta.until(lambda: levels(meta).get("phone") not in (None, ready["webhook_url"]), timeout=40)
        answered(meta, "after the fall")
        assert host.stop() == 130
    assert levels(meta) == {}
