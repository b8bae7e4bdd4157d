"""`emulator`, `phone …` and `sandbox --exec` as processes: what a person types, and what a script reads."""

import json
import os
import shlex
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.running import Running, environment, run

BOT = """\
from aerobot.bot import Buttons, Turn

def reply(turn: Turn):
    if turn.text == "Opening hours":
        return "Monday to Friday, 9 to 18."
    return Buttons(f"Hi {turn.conversation.name}!", ["Opening hours", "Talk to us"])
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@contextmanager
def emulated(tmp_path: Path, env: dict[str, str], *flags: str) -> Iterator[tuple[Running, dict[str, Any]]]:
    """An emulator on a free port, and what it said of itself."""
    with Running(["emulator", "--port", "0", "--json", *flags], cwd=tmp_path, env=env) as emulator:
        yield emulator, emulator.event("ready")


@contextmanager
def webhook(token: str) -> Iterator[tuple[str, list[Any]]]:
    """A webhook in another language's manner: answers the challenge, keeps what comes."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            good = query["hub.verify_token"] == [token]
            self._say(200 if good else 403, query["hub.challenge"][0].encode() if good else b"")

        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._say(200, b"")

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", seen
    finally:
        server.shutdown()
        server.server_close()


def send_text(ready: dict[str, Any], to: str, text: str) -> dict[str, Any]:
    """What any client does, with nothing but the standard library."""
    body = json.dumps({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}}).encode()
    headers = {"Authorization": f"Bearer {ready['access_token']}", "Content-Type": "application/json"}
    url = f"{ready['graph_url']}/v25.0/{ready['phone_number_id']}/messages"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found


def test_the_first_line_has_all_a_client_needs(tmp_path: Path, env: dict[str, str]) -> None:
    """--json: one ready event with addresses, ids, tokens and secrets; with a seed the same ones each time."""
    names = {
        "graph_url", "page_url", "phone_number_id", "access_token", "app_id", "app_secret", "verify_token",
        "business_account_id",
    }  # fmt: skip
    with emulated(tmp_path, env, "--seed", "4") as (emulator, first):
        assert names <= set(first)
        assert json.loads(emulator.lines[0])["event"] == "ready"
        assert send_text(first, "15550123456", "Hi")["messages"][0]["id"].startswith("wamid.")
        event = emulator.event("message")
        assert (event["direction"], event["text"]) == ("out", "Hi")
        assert emulator.stop(signal.SIGTERM) == 0
    with emulated(tmp_path, env, "--seed", "4") as (emulator, second):
        same = names - {"graph_url", "page_url"}
        assert {name: first[name] for name in same} == {name: second[name] for name in same}
        assert emulator.stop() == 130


def test_a_webhook_that_starts_later(tmp_path: Path, env: dict[str, str]) -> None:
    """--webhook is tried until it answers the challenge; what was written meanwhile arrives then."""
    with emulated(tmp_path, env, "--seed", "4") as (emulator, ready):
        token = ready["verify_token"]
        emulator.stop()
    with webhook(token) as (url, seen):
        pass  # the port is free again, nobody listens
    with Running(
        ["emulator", "--port", "0", "--json", "--seed", "4", "--webhook", url], cwd=tmp_path, env=env
    ) as emulator:
        emulator.event("ready")
        emulator.event("challenge", passed=False)
        assert run(["phone", "send", "early"], cwd=tmp_path, env=env).returncode == 0
        with webhook(token) as (other, seen):
            done = run(["phone", "connect", other], cwd=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
            emulator.event("webhook", status=200)
            [body] = seen
            assert body["entry"][0]["changes"][0]["value"]["messages"][0]["text"]["body"] == "early"
        assert "Tried again until it answers" in json.dumps(emulator.stderr)


def test_print_env(tmp_path: Path, env: dict[str, str]) -> None:
    """NAME=value lines alone on stdout: ours, PyWa's, and those of Meta's Node SDK."""
    with Running(["emulator", "--port", "0", "--print", "env"], cwd=tmp_path, env=env) as emulator:
        lines = [emulator.line() for _ in range(17)]
        found = dict(line.split("=", 1) for line in lines)
        assert found["PYWA_TOKEN"] == found["CLOUD_API_ACCESS_TOKEN"] == found["AEROBOT_WHATSAPP_ACCESS_TOKEN"]
        assert found["WA_BASE_URL"] == urlsplit(found["AEROBOT_WHATSAPP_GRAPH_URL"]).netloc
        assert found["PYWA_PHONE_ID"] == found["WA_PHONE_NUMBER_ID"]
        assert emulator.stop() == 130
        assert emulator.lines == lines
    assert "#token=" in emulator.stderr
    assert found["AEROBOT_WHATSAPP_APP_SECRET"] not in emulator.stderr


def test_state_survives_a_kill(tmp_path: Path, env: dict[str, str]) -> None:
    """--state: what was written a second before kill -9 is there at the next start, ids and credentials too."""
    flags = ("--state", "state.json")
    with emulated(tmp_path, env, *flags) as (emulator, first):
        assert run(["phone", "send", "Remember me"], cwd=tmp_path, env=env).returncode == 0
        assert run(["phone", "clock", "+25h"], cwd=tmp_path, env=env).returncode == 0
        state = tmp_path / "state.json"
        ends = time.monotonic() + 10
        while not json.loads(state.read_text())["clock"]:
            assert time.monotonic() < ends, "it was not written"
            time.sleep(0.05)
        emulator.stop(signal.SIGKILL)
    with emulated(tmp_path, env, *flags) as (emulator, second):
        assert second["access_token"] == first["access_token"]
        done = run(["phone", "chat", "--json"], cwd=tmp_path, env=env)
        assert [message["text"] for message in json.loads(done.stdout)["messages"]] == ["Remember me"]
        assert json.loads(run(["phone", "clock", "--json"], cwd=tmp_path, env=env).stdout)["offset"] == 90_000
        assert emulator.stop() == 130


@pytest.mark.parametrize(("flags", "code", "words"), [
    (["--state", "broken.json"], 3, "no state of the emulator"),
    (["--state", "/proc/nowhere/state.json"], 3, "cannot be written"),
    (["--state", "pipe"], 3, "pipe is a pipe, not a file"), (["--state", "."], 3, "is a folder, not a file"),
    (["--state", "/dev/null"], 3, "/dev/null is a device, not a file"),
    (["--clock", "soon"], 2, "neither a duration nor a time"), (["--clock", "1999-01-01"], 2, "has passed"),
])  # fmt: skip
def test_what_cannot_be(tmp_path: Path, env: dict[str, str], flags: list[str], code: int, words: str) -> None:
    """A sentence, a remedy, a code, and no traceback."""
    (tmp_path / "broken.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe")
    done = run(["emulator", "--port", "0", *flags], cwd=tmp_path, env=env)
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_a_port_in_use(tmp_path: Path, env: dict[str, str]) -> None:
    """Exit 3 with another way."""
    with emulated(tmp_path, env) as (_, ready):
        port = ready["graph_url"].rpartition(":")[2]
        done = run(["emulator", "--port", port], cwd=tmp_path, env=env)
        assert (done.returncode, "in use" in done.stderr) == (3, True)


def test_the_phone(tmp_path: Path, env: dict[str, str]) -> None:
    """Write, wait, tap, look: with a real bot behind it, in the sandbox."""
    (tmp_path / "bot.py").write_text(BOT)
    with Running(["sandbox", "bot.py", "--port", "0", "--json"], cwd=tmp_path, env=env) as sandbox:
        sandbox.event("ready")
        done = run(["phone", "send", "Hi", "--wait", "10"], cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            "<-- buttons  Hi Alex Rivera!", "             [Opening hours] [Talk to us]",
        ]  # fmt: skip
        done = run(["phone", "tap", "opening hours", "--wait", "10", "--json"], cwd=tmp_path, env=env)
        assert [reply["text"] for reply in json.loads(done.stdout)["replies"]] == ["Monday to Friday, 9 to 18."]
        done = run(["phone", "tap", "Nothing"], cwd=tmp_path, env=env)
        assert (done.returncode, "there are Opening hours, Talk to us" in done.stderr) == (2, True)
        assert run(["phone", "add", "Ana", "+5491123456789"], cwd=tmp_path, env=env).returncode == 0
        assert run(["phone", "add", "Mira", "--username", "mira"], cwd=tmp_path, env=env).returncode == 0
        for name in ("ana", "mira"):
            done = run(["phone", "send", "Hi", "--from", name, "--wait", "10"], cwd=tmp_path, env=env)
            assert f"Hi {name.capitalize()}!" in done.stdout
        done = run(["phone", "send", "Hi", "--from", "nobody"], cwd=tmp_path, env=env)
        assert (done.returncode, "Alex Rivera (15550123456), Ana" in done.stderr) == (2, True)
        (tmp_path / "note.txt").write_text("A note")
        done = run(["phone", "send", "--file", "note.txt", "--caption", "Look"], cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        done = run(["phone", "chat", "--last", "50"], cwd=tmp_path, env=env)
        assert "--> document Look" in done.stdout
        assert "--> button   Opening hours" in done.stdout
        assert "TEST" in run(["phone", "list"], cwd=tmp_path, env=env).stdout


def test_nobody_hears_the_phone(tmp_path: Path, env: dict[str, str]) -> None:
    """Without a webhook it is that which is said, with the command that sets one, and not only that no answer came."""
    with emulated(tmp_path, env):
        for words, code in ((["--wait", "0.3"], 6), ([], 0)):
            done = run(["phone", "send", "Hi", *words], cwd=tmp_path, env=env)
            assert done.returncode == code
            assert "No webhook is set" in done.stderr
            assert "aerobot phone connect URL" in done.stderr


def test_the_world(tmp_path: Path, env: dict[str, str]) -> None:
    """Faults, clock, settings, redelivery, reset, export and import, from the terminal."""

    def phone(*arguments: str, stdin: str = "") -> Any:
        done = run(["phone", *arguments, "--json"], cwd=tmp_path, env=env, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with emulated(tmp_path, env) as (emulator, ready):
        armed = phone("fault", "rate_limited", "--times", "2")["armed"]
        assert armed == [{"name": "rate_limited", "call": "messages", "times": 2, "to": ""}]
        assert len(phone("fault")["known"]) >= 20
        assert phone("fault", "--clear")["armed"] == []
        assert phone("clock", "+1h30m")["offset"] == 5400
        assert phone("clock", "--reset")["offset"] == 0
        assert phone("set", "batch=5", "window=off")["batch"] == 5
        phone("set", "batch=1")
        phone("send", "Hi")
        with webhook(ready["verify_token"]) as (url, seen):
            phone("connect", url)
            emulator.event("webhook", status=200)
            assert phone("redeliver", "--all") == {"redelivered": 1}
            emulator.event("webhook", status=200)
            assert seen[0] == seen[1]
        phone("export", "kept.json")
        assert (tmp_path / "kept.json").stat().st_mode & 0o777 == 0o600
        phone("reset")
        assert phone("chat")["messages"] == []
        phone("import", "kept.json")
        assert [message["text"] for message in phone("chat")["messages"]] == ["Hi"]
        (tmp_path / "other.json").write_text("{}")
        for arguments in (["import", "other.json"], ["set", "rain=1"], ["fault", "rain"], ["clock", "yesterday"]):
            done = run(["phone", *arguments], cwd=tmp_path, env=env)
            assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


def test_every_kind_can_be_shown(tmp_path: Path, env: dict[str, str]) -> None:
    """Chat and tap cope with whatever stands in a chat."""
    with emulated(tmp_path, env):
        for kind in ("contacts", "location", "order", "reaction", "unsupported", "request_welcome"):
            assert run(["phone", "send", "--type", kind], cwd=tmp_path, env=env).returncode == 0
        for flags in ([], ["--json"]):
            done = run(["phone", "chat", *flags], cwd=tmp_path, env=env)
            assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        assert run(["phone", "tap", "x"], cwd=tmp_path, env=env).returncode == 2
        done = run(["phone", "list"], cwd=tmp_path, env=env)
        assert "15550123456  Alex Rivera" in done.stdout
        assert run(["phone", "send", " "], cwd=tmp_path, env=env).returncode == 2
        (tmp_path / "open.json").write_text("")
        (tmp_path / "open.json").chmod(0o644)
        assert run(["phone", "export", "open.json"], cwd=tmp_path, env=env).returncode == 0
        assert (tmp_path / "open.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("change", "value"), [
    ("seed", "x"), ("deliveries", "x"), ("settings", {"batch": 0}), ("clock", 1e308), ("portal", {}),
])  # fmt: skip
def test_a_damaged_state(tmp_path: Path, env: dict[str, str], change: str, value: object) -> None:
    """--state: exit 3 with the file's name, no traceback, nothing left open."""
    with emulated(tmp_path, env, "--state", "s.json") as (emulator, _):
        emulator.stop()
    state = json.loads((tmp_path / "s.json").read_text())
    state[change] = value
    (tmp_path / "s.json").write_text(json.dumps(state))
    done = run(["emulator", "--port", "0", "--state", "s.json"], cwd=tmp_path, env=env)
    assert (done.returncode, "s.json" in done.stderr, "Traceback" in done.stderr) == (3, True, False), done.stderr


def test_a_webhook_that_can_never_be_called(tmp_path: Path, env: dict[str, str]) -> None:
    """Refused before anything starts, with the way out."""
    for url, words in (("https://example.com/x", "--allow-external"), ("example.com", "not an address")):
        done = run(["emulator", "--port", "0", "--webhook", url], cwd=tmp_path, env=env)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_no_emulator(tmp_path: Path, env: dict[str, str]) -> None:
    """Exit 5 and how to start one; several that run are named."""
    done = run(["phone", "send", "Hi"], cwd=tmp_path, env=env)
    assert (done.returncode, "aerobot emulator" in done.stderr) == (5, True)
    with emulated(tmp_path, env) as (_, one), emulated(tmp_path, env) as (_, other):
        done = run(["phone", "send", "Hi"], cwd=tmp_path, env=env)
        assert (done.returncode, one["graph_url"] in done.stderr, other["graph_url"] in done.stderr) == (2, True, True)
        port = one["graph_url"].rpartition(":")[2]
        assert run(["phone", "send", "Hi", "--emulator", port], cwd=tmp_path, env=env).returncode == 0


class TestExec:
    def test_its_code_and_its_environment(self, tmp_path: Path, env: dict[str, str]) -> None:
        """The command finds emulator and host by its environment, and its exit code is ours."""
        (tmp_path / "bot.py").write_text(BOT)
        script = (
            "import os, sys, json, urllib.request as u\n"
            "wanted = ['AEROBOT_WHATSAPP_GRAPH_URL', 'AEROBOT_WEBHOOK_URL', 'AEROBOT_PRIVATE_TOKEN', 'PYWA_TOKEN']\n"
            "assert all(os.environ[name] for name in wanted)\n"
            "url = os.environ['AEROBOT_EMULATOR_URL'] + '/_/state'\n"
            "ask = u.Request(url, headers={'Authorization': 'Bearer ' + os.environ['AEROBOT_EMULATOR_TOKEN']})\n"
            "print(len(json.load(u.urlopen(ask))['phones']), sys.argv[1])\n"
            "sys.exit(7)\n"
        )
        (tmp_path / "check.py").write_text(script)
        command = f"{shlex.quote(sys.executable)} check.py 'two words'"
        done = run(["sandbox", "bot.py", "--exec", command], cwd=tmp_path, env=env)
        assert (done.returncode, done.stdout) == (7, "1 two words\n"), done.stderr

    def test_phone_commands_inside(self, tmp_path: Path, env: dict[str, str]) -> None:
        """aerobot phone talks to the sandbox that it runs in, also where another emulator runs."""
        (tmp_path / "bot.py").write_text(BOT)
        command = f"{shlex.quote(sys.executable)} -m aerobot phone send Hi --wait 10"
        with emulated(tmp_path, env):
            done = run(["sandbox", "bot.py", "--exec", command], cwd=tmp_path, env=env)
            assert (done.returncode, "Hi Alex Rivera!" in done.stdout) == (0, True), done.stderr

    @pytest.mark.parametrize(("command", "code"), [
        ("no-such-command", 2), ("'", 2), ("", 2), ("sh -c 'kill -9 $$'", 137), ("true", 0),
    ])  # fmt: skip
    def test_ends(self, tmp_path: Path, env: dict[str, str], command: str, code: int) -> None:
        """What cannot be run is a usage error, a signal is 128 and its number."""
        done = run(["sandbox", "--exec", command], cwd=tmp_path, env=env)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr

    def test_a_command_that_ignores_signals(self, tmp_path: Path, env: dict[str, str]) -> None:
        """The second signal ends it."""
        command = "sh -c 'trap \"\" TERM INT; echo up; sleep 60'"
        with Running(["sandbox", "--exec", command], cwd=tmp_path, env=env) as sandbox:
            assert sandbox.line() == "up"
            sandbox.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)  # sooner it would be the same signal, sent twice
            assert sandbox.stop(signal.SIGTERM) == 128 + signal.SIGKILL

    def test_a_signal_goes_to_the_command(self, tmp_path: Path, env: dict[str, str]) -> None:
        """SIGTERM ends the command, and then us with its code."""
        with Running(["sandbox", "--exec", "sh -c 'echo up; exec sleep 60'"], cwd=tmp_path, env=env) as sandbox:
            assert sandbox.line() == "up"
            assert sandbox.stop(signal.SIGTERM) == 128 + signal.SIGTERM
