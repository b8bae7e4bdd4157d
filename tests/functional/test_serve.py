"""`aerobot serve` as a process: tunnel, exposure, reload, the private listener, and stops of every kind."""

import asyncio
import hashlib
import hmac
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulated import EmulatedMeta
from tests.running import Running, environment, run

AGENT = Path(__file__).parents[1] / "ngrok_agent.py"


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


@pytest.fixture
def env(tmp_path: Path, meta: EmulatedMeta) -> dict[str, str]:
    found = meta.credentials
    extra = {
        "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": found.phone_number_id,
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token,
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": found.verify_token,
        "AEROBOT_WHATSAPP_APP_SECRET": found.app_secret,
        "AEROBOT_TUNNEL_AUTHTOKEN": "2abcDEFghi_authtoken",
        "PYNGROK_NGROK_PATH": str(AGENT),
        "AEROBOT_SERVE_PORT": "0",
        "AEROBOT_SERVE_PRIVATE_PORT": "0",
    }
    return environment(tmp_path, extra)


def agents() -> set[str]:
    """The command lines of stand-in agents that run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(AGENT) in line:
            found.add(path.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are counted in /proc: run it on Linux")
def test_a_message_comes_through_the_tunnel(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """--tunnel opens ngrok, proves the challenge, carries Meta's messages and nothing private; Ctrl-C closes it."""
    before = agents()
    with Running(["serve", "echo", "--tunnel", "--json"], cwd=tmp_path, env=env) as host:
        ready = host.event("ready", timeout=40)
        public = ready["public_url"]
        assert ready["webhook_url"].startswith(public)
        assert public not in (ready["private_url"], None)
        meta.run(meta.emulator.connect(ready["webhook_url"]))
        meta.run(meta.emulator.say("through the tunnel"))
        meta.until(lambda: [r["text"] for r in meta.replies()] == ["through the tunnel"])
        for path in ("/api/bots", "/api/host", "/api/events", "/api/test/verdict", "/", "/api"):
            assert httpx.get(public + path).status_code == 404, path
        assert len(agents() - before) == 1
        assert host.stop() == 130
    assert agents() - before == set()
    assert any(json.loads(line).get("topic") == "tunnel" for line in host.lines)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are counted in /proc: run it on Linux")
def test_a_second_signal_quits_and_leaves_no_agent(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Ctrl-C twice quits at once with 130, although a turn runs; no agent and no record stay behind."""
    before = agents()
    (tmp_path / "bot.py").write_text("import time\ndef reply(turn): time.sleep(60)")
    with Running(["serve", "bot.py", "--tunnel", "--json"], cwd=tmp_path, env=env) as host:
        ready = host.event("ready", timeout=40)
        meta.run(meta.emulator.connect(ready["webhook_url"]))
        meta.run(meta.emulator.say("stuck"))
        host.event("message")
        host.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        started = time.monotonic()
        assert host.stop() == 130
        assert time.monotonic() - started < 5
    assert agents() - before == set()
    assert not list((tmp_path / "state" / "hosts").glob("*.json"))


def test_a_tunnel_without_an_app_secret_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    """Exposed and unsigned is a risk that has to be taken by name: --allow-unsigned."""
    del env["AEROBOT_WHATSAPP_APP_SECRET"]
    for flags in (["--tunnel"], ["--public-url", "https://bot.example"], ["--host", "0.0.0.0"]):
        done = run(["serve", "echo", *flags], cwd=tmp_path, env=env)
        assert done.returncode == 3, flags
        assert "whatsapp.app_secret" in done.stderr
        assert "--allow-unsigned" in done.stderr


@pytest.mark.parametrize(("mode", "code", "words"), [
    ("session=ERR_NGROK_107", 3, "authtoken"),
    ("session=ERR_NGROK_108", 5, "108"),
    ("plain", 5, "https"),
])  # fmt: skip
def test_a_tunnel_that_does_not_open_says_why(
    tmp_path: Path, env: dict[str, str], mode: str, code: int, words: str
) -> None:
    """ngrok's own errors end serve with their meaning and a cure, and never print the token."""
    done = run(["serve", "echo", "--tunnel"], cwd=tmp_path, env={**env, "NGROK_AGENT": mode})
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert env["AEROBOT_TUNNEL_AUTHTOKEN"] not in done.stdout + done.stderr


def test_unsigned_messages_are_taken_on_loopback_alone(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Without an app secret and not exposed, a message is accepted, and the state is said aloud."""
    del env["AEROBOT_WHATSAPP_APP_SECRET"]
    with Running(["serve", "echo"], cwd=tmp_path, env=env) as host:
        meta.until(lambda: "Ready" in host.stderr)
        assert "signatures are not checked" in host.stderr
        done = run(["send-test", "Hi"], cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert "unsigned" in done.stderr
        assert host.stop() == 130


def test_a_test_is_kept_on_the_emulator_too(tmp_path: Path, env: dict[str, str]) -> None:
    """send-test leaves the emulated phone alone, where its user never wrote; --deliver sends there, and is refused."""
    with EmulatedMeta(window="at_once") as meta:
        env["AEROBOT_WHATSAPP_GRAPH_URL"] = meta.url
        with Running(["serve", "echo"], cwd=tmp_path, env=env) as host:
            meta.until(lambda: "Ready" in host.stderr)
            kept = run(["send-test", "Hi"], cwd=tmp_path, env=env)
            assert (kept.returncode, "Kept here: nothing was sent" in kept.stderr) == (0, True), kept.stderr
            assert not meta.replies()
            sent = run(["send-test", "Hi", "--deliver", "--from", "15550009999"], cwd=tmp_path, env=env)
            assert (sent.returncode, "131047" in sent.stderr) == (6, True), sent.stderr
            assert host.stop() == 130


def test_a_limit_is_a_flag(tmp_path: Path, env: dict[str, str]) -> None:
    """A flag bounds the public listener as its setting does; one out of range is a usage error."""
    with Running(["serve", "echo", "--json", "--max-header-bytes", "8192"], cwd=tmp_path, env=env) as host:
        url = host.event("ready")["webhook_url"]
        assert httpx.get(url, headers={"x": "a" * 7000}).status_code != 431
        assert httpx.get(url, headers={"x": "a" * 9000}).status_code == 431
        assert host.stop() == 130
    done = run(["serve", "echo", "--max-header-bytes", "1"], cwd=tmp_path, env=env)
    assert (done.returncode, "--max-header-bytes must be at least 8192" in done.stderr) == (2, True)


def test_saving_the_file_loads_it_again(tmp_path: Path, env: dict[str, str]) -> None:
    """The next answer comes from the saved file; a broken save is told and the former bot goes on."""
    bot = tmp_path / "bot.py"
    bot.write_text("def reply(turn): return 'one'")
    with Running(["serve", "bot.py", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        for source, error, answer in (
            ("def reply(turn): return 'two'", False, "two"),
            ("def reply(turn: return", True, "two"),
            ("def reply(turn): return 'three'", False, "three"),
        ):
            bot.write_text(source)
            told = host.event("reloaded")["error"] or ""
            assert bool(told) is error
            assert re.fullmatch(r"(bot\.py cannot be loaded: SyntaxError: .*[^.]\. Look at bot\.py:1\.)?", told)
            done = run(["send-test", "Hi"], cwd=tmp_path, env=env)
            assert answer in done.stdout, done.stderr
        assert host.stop() == 130


def test_local_bots_live_beside_the_settings_one(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """create, activate, ask, deactivate, delete --local work on the host's own store; the settings' bot answers 409."""
    config = {
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": "222", "AEROBOT_WHATSAPP_ACCESS_TOKEN": "EAAother",
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": "verify-other", "AEROBOT_WHATSAPP_APP_SECRET": "f" * 32,
    }  # fmt: skip
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        own = host.event("ready")["bots"][0]
        made = run(
            ["create", "--local", "--name", "Second", "--system-prompt", "x", "--json"],
            cwd=tmp_path,
            env={**env, **config},
        )
        assert made.returncode == 0, made.stderr
        bot = json.loads(made.stdout)["id"]
        assert "EAAother" not in made.stdout
        url = run(["activate", bot, "--local", "--print", "webhook-url"], cwd=tmp_path, env=env)
        assert url.returncode == 0, url.stderr
        body = json.dumps(inbound("222", "wamid.A1", "to the second")).encode()
        digest = hmac.new(b"f" * 32, body, hashlib.sha256).hexdigest()
        answer = httpx.post(url.stdout.strip(), content=body, headers={"X-Hub-Signature-256": f"sha256={digest}"})
        assert answer.status_code == 200
        assert host.event("message")["bot_id"] == bot
        asked = run(["ask", "Anybody there?", "--bot", bot, "--local", "--json"], cwd=tmp_path, env=env)
        assert json.loads(asked.stdout)["response"] == "Anybody there?", asked.stderr
        listed = run(["bots", "list", "--local", "--json"], cwd=tmp_path, env=env)
        assert {b["id"] for b in json.loads(listed.stdout)["bots"]} == {own, bot}
        refused = run(["deactivate", own, "--local"], cwd=tmp_path, env=env)
        assert refused.returncode == 4
        assert "lives in the settings" in refused.stderr
        assert run(["deactivate", bot, "--local"], cwd=tmp_path, env=env).returncode == 0
        assert run(["bots", "delete", bot, "--local", "--yes"], cwd=tmp_path, env=env).returncode == 0
        gone = run(["bots", "show", bot, "--local"], cwd=tmp_path, env=env)
        assert gone.returncode == 4
        assert host.stop() == 130


def inbound(number: str, wamid: str, text: str) -> dict[str, object]:
    message = {
        "from": "15550001111",
        "id": wamid,
        "timestamp": str(int(time.time())),
        "type": "text",
        "text": {"body": text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550002222", "phone_number_id": number},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": "15550001111"}],
        "messages": [message],
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    }


def test_what_was_received_under_the_derived_id_is_adopted(tmp_path: Path, env: dict[str, str]) -> None:
    """When the bot gets its real id, its conversations go with it: the history is still there."""
    bot = tmp_path / "bot.py"
    bot.write_text("def reply(turn): return f'{len(turn.history)} before'")
    for bot_id, answer in ((None, "0 before"), ("bt_a1b2c3d4e5f6g7h8i9j0", "2 before")):
        named = {**env, **({"AEROBOT_BOT_ID": bot_id} if bot_id else {})}
        with Running(["serve", "bot.py", "--json"], cwd=tmp_path, env=named) as host:
            host.event("ready")
            done = run(["send-test", "Hi", "--from", "15550001111"], cwd=tmp_path, env=named)
            assert answer in done.stdout, done.stderr
            assert host.stop() == 130


def test_a_read_only_folder_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    """A store that cannot be written ends serve with 3, and says which setting names another place."""
    (tmp_path / "file").write_text("not a folder")
    done = run(["serve", "echo", "--database", "file/aerobot.db"], cwd=tmp_path, env=env)
    assert done.returncode == 3
    assert "serve.database" in done.stderr


def test_a_newer_database_is_left_alone(tmp_path: Path, env: dict[str, str]) -> None:
    """A database of a newer aerobot ends serve with 3, and is not touched."""
    import sqlite3

    path = tmp_path / "newer.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    done = run(["serve", "echo", "--database", str(path)], cwd=tmp_path, env=env)
    assert done.returncode == 3
    assert "newer" in done.stderr
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()


def test_no_home_folder_is_no_obstacle(tmp_path: Path, env: dict[str, str]) -> None:
    """Without HOME the main job still runs."""
    bare = {
        key: value for key, value in env.items() if key not in ("HOME", "AEROBOT_CONFIG_HOME", "AEROBOT_STATE_HOME")
    }
    bare["XDG_STATE_HOME"] = str(tmp_path / "xdg")
    done = run(["sandbox", "echo", "--say", "Hi"], cwd=tmp_path, env=bare)
    assert done.returncode == 0, done.stderr
    assert os.environ.get("HOME") != bare.get("HOME")


def test_what_a_bot_prints_is_talk(tmp_path: Path, env: dict[str, str]) -> None:
    """A print in a handler goes to stderr: the JSON stream on stdout stays whole."""
    (tmp_path / "bot.py").write_text(
        "print('loading')\ndef reply(turn):\n    print('hello from the bot')\n    return 'x'"
    )
    with Running(["serve", "bot.py", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        assert run(["send-test", "Hi"], cwd=tmp_path, env=env).returncode == 0
        assert host.stop() == 130
        assert "hello from the bot" in host.stderr
    assert all(json.loads(line)["event"] for line in host.lines)


def test_broken_requests_make_no_noise(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Broken framing is answered 4xx or not at all, at both listeners, without a traceback on the terminal."""
    import socket
    from urllib.parse import urlsplit

    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        ready = host.event("ready")
        path = urlsplit(ready["webhook_url"]).path
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n"
        broken = [
            head + "Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
            head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
            head + "Content-Length: 100\r\n\r\nshort",
            head + "Content-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
            "\x00\x01\x02\r\n\r\n",
        ]
        for url in (ready["webhook_url"], ready["private_url"]):
            for request in broken:
                with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 2) as connection:
                    connection.sendall(request.encode("latin-1"))
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(2)
                    answer = connection.recv(200)
                assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (request, answer)
        for headers in ({"Host": "["}, {"Origin": "http://["}, {"Host": "evil.example"}):
            assert httpx.get(ready["private_url"] + "/api/bots", headers=headers).status_code == 403
        assert host.stop() == 130
        assert host.stderr == ""
    assert [line for line in host.lines if json.loads(line)["event"] == "error"] == []


def test_a_sigterm_that_comes_twice_at_once_is_one(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """`timeout` sends SIGTERM to the process and to its group: that is still a clean stop, with 0 and a last line."""
    with Running(["sandbox", "echo", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        for pause in (0.0, 0.02, 0.1):
            time.sleep(pause)
            host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(20) == 0
        host.stop()
    assert json.loads(host.lines[-1])["event"] == "stopped"


def test_an_app_that_requires_a_proof_of_its_secret_gets_one(
    tmp_path: Path, env: dict[str, str], meta: EmulatedMeta
) -> None:
    """Where Meta's app setting "Require App Secret" is on, replies carry an appsecret_proof and arrive."""
    meta.emulator.arrange(require_proof=True)
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        meta.run(meta.emulator.connect(host.event("ready")["webhook_url"]))
        meta.run(meta.emulator.say("prove it"))
        meta.until(lambda: [reply["text"] for reply in meta.replies()] == ["prove it"])
        assert host.stop() == 130


def test_a_failing_bot_shows_its_own_lines(tmp_path: Path, env: dict[str, str]) -> None:
    """An exception is shown with the bot's own lines, and none of aerobot's."""
    (tmp_path / "bot.py").write_text("def help(x):\n    return x['size']\ndef reply(turn):\n    return help({})\n")
    done = run(["sandbox", "bot.py", "--say", "Hi"], cwd=tmp_path, env=env)
    assert done.returncode == 6
    assert "bot.py:4 in reply()  return help({})" in done.stderr
    assert "bot.py:2 in help()  return x['size']" in done.stderr
    assert "aerobot/" not in done.stderr


def test_a_test_with_a_file_opens_a_sample(tmp_path: Path, env: dict[str, str]) -> None:
    """In a test, an attachment that Meta never saw opens as a small real file of its kind."""
    (tmp_path / "bot.py").write_text(
        "async def reply(turn):\n    data = await turn.open(turn.message.attachment)\n    return repr(data[:4])\n"
    )
    starts = {"image": "b'\\xff\\xd8", "document": "b'%PDF'", "audio": "b'OggS'", "sticker": "b'RIFF'"}
    with Running(["serve", "bot.py", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        for kind, start in starts.items():
            done = run(["send-test", "--type", kind], cwd=tmp_path, env=env)
            assert start in done.stdout, (kind, done.stdout, done.stderr)
        assert host.stop() == 130


def test_a_dead_token_is_said_at_the_start_and_stops_nothing(
    tmp_path: Path, env: dict[str, str], meta: EmulatedMeta
) -> None:
    """serve asks Meta about the number: a dead token is named at once, and messages are still taken and kept."""
    meta.emulator.arrange(token="expired")
    with Running(["serve", "echo"], cwd=tmp_path, env=env) as host:
        meta.until(lambda: "Ready" in host.stderr)
        assert "expired" in host.stderr
        assert host.stop() == 130
    with Running(["serve", "echo", "--no-validate"], cwd=tmp_path, env=env) as host:
        meta.until(lambda: "Ready" in host.stderr)
        assert "expired" not in host.stderr
        assert host.stop() == 130


async def test_a_signal_before_the_waiting_began_still_stops_everything() -> None:
    """Ctrl-C between "ready" and the listening for it cancels the waiting: what runs is stopped all the same."""
    from aerobot.cli.running import until_stopped

    stopped: list[bool] = []

    async def stop() -> None:
        stopped.append(True)

    waiting = asyncio.ensure_future(until_stopped(stop, lambda: None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stopped == [True]


def test_a_host_that_only_receives(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """--no-worker takes messages and answers none; a later start without it answers them."""
    env["AEROBOT_SERVE_PORT"] = "0"
    with Running(["serve", "echo", "--json", "--no-worker"], cwd=tmp_path, env=env) as host:
        ready = host.event("ready")
        assert "--no-worker" in host.event("notice", topic="worker")["detail"]
        meta.run(meta.emulator.connect(ready["webhook_url"]))
        meta.run(meta.emulator.say("later"))
        assert host.event("message")["state"] == "queued"
        assert host.stop(signal.SIGTERM) == 0
    assert not [line for line in host.lines if json.loads(line)["event"] == "part"]
    assert not meta.replies()
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        assert host.event("part")["state"] == "sent"
    assert [reply["text"] for reply in meta.replies()] == ["later"]


def test_an_unsigned_test_says_what_is_not_set_where(tmp_path: Path, env: dict[str, str]) -> None:
    """Refused for want of a secret: the setting is named, and how the host was started."""
    env |= {"AEROBOT_SERVE_PORT": "0", "AEROBOT_SERVE_PRIVATE_PORT": "0"}
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        host.event("ready")
        bare = {key: value for key, value in env.items() if key != "AEROBOT_WHATSAPP_APP_SECRET"}
        done = run(["send-test", "Hi"], cwd=tmp_path, env=bare)
    assert done.returncode == 4
    assert "whatsapp.app_secret is not set here (no aerobot.toml)." in done.stderr
    assert "It was started without an aerobot.toml, with what its environment had." in done.stderr
