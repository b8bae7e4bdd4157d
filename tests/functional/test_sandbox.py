"""`aerobot sandbox`: the main job without an account, without a network, without leaving a trace."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.running import Running, environment, run

ONLY_LOOPBACK = """
import sys

def watch(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1")):
            leak(f"connect {address}")
    elif event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1", "::1"):
        leak(f"look up {arguments[0]}")

def leak(what):
    with open(LOG, "a") as log:
        log.write(what + "\\\\n")
    raise OSError("this test allows loopback alone: " + what)

sys.addaudithook(watch)
"""
"""Runs before anything else in the process (as ``sitecustomize``): whoever leaves this machine is noted and stopped."""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


def test_say_plays_one_message_through_the_whole_path(tmp_path: Path, env: dict[str, str]) -> None:
    """--say prints what went in, what came out and its ticks, and ends with 0."""
    done = run(["sandbox", "--say", "Hi"], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "What shall I show you?" in done.stdout
    assert "[A list] [A picture] [Something else]" in done.stdout
    assert "signed, 200 in" in done.stderr
    assert "sent, delivered, read" in done.stderr
    assert not list(tmp_path.rglob("*.db")), "the sandbox left its store behind"


def test_say_without_an_answer_ends_with_6(tmp_path: Path, env: dict[str, str]) -> None:
    """A bot that says nothing, fails or takes too long ends --say with 6 and the reason."""
    cases = {
        "def reply(turn): return None": "said nothing",
        "def reply(turn): return {}['x']": "bot.py:1 KeyError",
        "import time\ndef reply(turn): time.sleep(20)": "bot.py:2 reply()",
        "import time\nasync def reply(turn): time.sleep(20)": "blocking call in an async bot",
    }
    for source, words in cases.items():
        (tmp_path / "bot.py").write_text(source)
        done = run(["sandbox", "bot.py", "--say", "Hi", "--timeout", "1"], cwd=tmp_path, env=env)
        assert done.returncode == 6, (source, done.stderr)
        assert words in done.stderr


@pytest.mark.parametrize("engine", ["echo", "demo", "bot.py"])
def test_nothing_leaves_this_machine(tmp_path: Path, env: dict[str, str], engine: str) -> None:
    """With echo, demo and python engines no connection beyond loopback is opened, and no name is looked up."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    log = tmp_path / "leaks"
    (hooks / "sitecustomize.py").write_text(f"LOG = {str(log)!r}\n" + ONLY_LOOPBACK.replace("\\\\\\\\n", "\\\\n"))
    (tmp_path / "bot.py").write_text("def reply(turn): return turn.text")
    env = {**env, "PYTHONPATH": str(hooks)}
    proof = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 9), 0.1)"],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert "loopback alone" in proof.stderr, "the hook does not watch"
    log.unlink()
    done = run(["sandbox", engine, "--say", "a picture"], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert not log.exists(), log.read_text()


def test_real_credentials_are_ignored_and_that_is_said(tmp_path: Path, env: dict[str, str]) -> None:
    """The sandbox has its own credentials: real ones are not used, and the user is told."""
    secret = "EAAreal-token-of-a-user"
    env = {**env, "AEROBOT_WHATSAPP_ACCESS_TOKEN": secret, "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": "1"}
    done = run(["sandbox", "--say", "Hi"], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "Ignored here" in done.stderr
    assert "whatsapp.access_token" in done.stderr
    assert secret not in done.stdout + done.stderr


def test_two_sandboxes_run_beside_each_other(tmp_path: Path, env: dict[str, str]) -> None:
    """Where its own ports are taken a sandbox takes free ones; send-test needs no secret to reach it."""
    with Running(["sandbox", "--json", "--no-open"], cwd=tmp_path, env=env) as first:
        one = first.event("ready")
        with Running(["sandbox", "echo", "--json", "--no-open"], cwd=tmp_path, env=env) as second:
            two = second.event("ready")
            assert one["webhook_url"] != two["webhook_url"]
            assert httpx.get(two["page_url"].split("#")[0]).status_code == 200
            ambiguous = run(["send-test", "Hi"], cwd=tmp_path, env=env)
            assert ambiguous.returncode == 2
            assert one["private_url"] in ambiguous.stderr
            assert second.stop() == 130
        done = run(["send-test", "hi"], cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert "[A list]" in done.stdout
        assert first.stop() == 130


def test_keep_leaves_store_and_chats(tmp_path: Path, env: dict[str, str]) -> None:
    """--keep DIR keeps the store and the phones' chats there, and a second run goes on with both."""
    for _ in range(2):
        done = run(["sandbox", "--keep", "kept", "--say", "Hi"], cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept" / "aerobot.db").exists()
    chats = json.loads((tmp_path / "kept" / "emulator.json").read_text())["world"]["bubbles"]
    assert [bubble["text"] for bubble in chats if bubble["direction"] == "in"] == ["Hi", "Hi"]


def test_json_is_one_document(tmp_path: Path, env: dict[str, str]) -> None:
    """--say --json prints one document with what was said and how it fared."""
    done = run(["sandbox", "echo", "--say", "Hi", "--json"], cwd=tmp_path, env=env)
    document = json.loads(done.stdout)
    assert document["state"] == "answered"
    assert [part["text"] for part in document["parts"]] == ["Hi"]
    assert done.stderr == ""


def test_several_are_said_one_after_the_other(tmp_path: Path, env: dict[str, str]) -> None:
    """Each --say is played once the one before is answered, in one talk; with --json each has its line, in order."""
    (tmp_path / "bot.py").write_text("def reply(turn): return f'{len(turn.history)} {turn.text}'")
    words = ["sandbox", "bot.py", "--say", "one", "--say", "two", "--say", "three"]
    done = run(words, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"<-- text     {text}" for text in ("0 one", "2 two", "4 three")]
    assert [line.split()[2] for line in done.stderr.splitlines() if line.startswith("-->")] == ["one", "two", "three"]
    assert "All 3 answered in" in done.stderr
    done = run([*words, "--json"], cwd=tmp_path, env=env)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["said"], one["parts"][0]["text"]) for one in documents] == [
        ("one", "0 one"), ("two", "2 two"), ("three", "4 three"),
    ]  # fmt: skip


def test_what_is_not_answered_ends_the_talk(tmp_path: Path, env: dict[str, str]) -> None:
    """What was to be said after it is not said: exit 6, and it is seen which one it was."""
    (tmp_path / "bot.py").write_text("def reply(turn): return None if turn.text == 'two' else turn.text")
    done = run(["sandbox", "bot.py", "--say", "one", "--say", "two", "--say", "three"], cwd=tmp_path, env=env)
    assert done.returncode == 6
    assert done.stdout == "<-- text     one\n"
    assert "--> text     two" in done.stderr
    assert "three" not in done.stderr
    assert "The bot said nothing." in done.stderr
    assert "1 more was not said." in done.stderr


LOOK = """
import subprocess, sys
def aerobot(*words):
    done = subprocess.run([sys.executable, "-m", "aerobot", *words], capture_output=True, text=True)
    print(done.returncode, done.stdout + done.stderr)
aerobot("status")
aerobot("doctor")
aerobot("phone", "clock", "+25h")
aerobot("doctor")
"""


def test_the_sandbox_is_the_host_of_what_runs_beside_it(tmp_path: Path, env: dict[str, str]) -> None:
    """Beside --exec status and doctor know the sandbox as their host; a clock that was moved there is no failure."""
    (tmp_path / "look.py").write_text(LOOK)
    words = ["sandbox", "echo", "--exec", f"{sys.executable} look.py"]
    done = run(words, cwd=tmp_path, env={**env, "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    status, before, moved, after = done.stdout.split("\n0 ")
    assert "(this laptop)" in status
    for seen in (before, after):
        assert "elsewhere" not in seen
        assert "another machine" not in seen
        assert "✓ host      pid " in seen
        assert "✓ engine    echo" in seen
    assert "ahead of real time" in moved
    assert "25 h behind Graph, which is on this machine: its clock was moved" in after
    assert all(len(line) <= 80 for line in after.splitlines())
