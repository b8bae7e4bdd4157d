"""How it talks: usage errors, help pages, narrow terminals, waits, and nothing said that is not known."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aerostack_api import AerostackApi
from tests.processes import OFFLINE, Cli

BYTES = os.fsdecode(b"a\xff")
NOWHERE = "http://127.0.0.1:9"
READY = '[bot]\nname = "A"\nsystem_prompt = "x"\n[whatsapp]\nphone_number_id = "106540352242922"\n'


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, AEROSTACK_API_URL=NOWHERE, **OFFLINE)


@pytest.fixture
def api() -> Iterator[AerostackApi]:
    with AerostackApi() as running:
        yield running


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("create --conversation-ttl-hours abc", "--conversation-ttl-hours must be a number."),
        ("create --timeout-ms x", "--timeout-ms must be a whole number."),
        ("create --timeout-ms 99999999", "--timeout-ms must be at most 60000."),
        ("create --timeout-ms 0", "--timeout-ms must be at least 1."),
        ("create --platform fax", "--platform: 'fax' is not one of 'whatsapp'"),
        ("create --jsonn", "No such option: --jsonn. Did you mean --json?"),
        ("bots show a b", "There is no argument for this: b."),
        ("help creat", "Did you mean 'create'?"),
    ],
)
def test_usage_errors_are_in_our_words(cli: Cli, line: str, words: str) -> None:
    """Exit 2, one sentence of ours, and where the help is."""
    done = cli.run(*line.split())
    assert done.code == 2
    assert words in done.err
    assert "--help shows how it is used." in done.err
    assert "Input should be" not in done.err


@pytest.mark.parametrize("line", [
    ("send-test", BYTES), ("ask", BYTES), ("--config", BYTES, "db", "info"), ("db", "info", f"--config={BYTES}"),
    ("phone", "send", BYTES), ("sandbox", "--say", BYTES), (BYTES,), ("serve", BYTES), ("send", "--to", BYTES, "Hi"),
])  # fmt: skip
def test_bytes_that_are_no_text_are_a_usage_error(cli: Cli, line: tuple[str, ...]) -> None:
    """Exit 2 with the argument as it can be shown, wherever it stands; a document under --json."""
    done = cli.run(*line, "--json")
    assert done.code == 2, done.err
    message = json.loads(done.err)["error"]["message"]
    assert message.endswith(r"a\xff has bytes that are no UTF-8.")


def test_help_as_a_word(cli: Cli) -> None:
    """`aerobot help COMMAND` prints what `aerobot COMMAND --help` prints."""
    for words in ([], ["create"], ["bots", "list"]):
        assert cli.run("help", *words).out == cli.run(*words, "--help").out


def test_help_fits_a_narrow_terminal(cli: Cli) -> None:
    """At 40 columns no word is broken and nothing but an example or an option's own name is wider."""
    wide = set(cli.run("create", "--help").out.replace("|", "| ").split())
    done = cli.run("create", "--help", COLUMNS="40")
    for line in done.out.splitlines():
        assert len(line) <= 40 or line.startswith(("  $ ", "  --")), line
    assert set(done.out.replace("|", "| ").split()) <= wide


def test_config_show_stacks_on_a_narrow_terminal(cli: Cli) -> None:
    """Below 60 columns each value and its place stand under the setting's name."""
    cli.write("aerobot.toml", READY)
    done = cli.run("config", "show", COLUMNS="40")
    assert "  phone_number_id\n    106540352242922\n    aerobot.toml\n" in done.out
    assert all(len(line) <= 40 for line in done.out.splitlines())


def test_a_wait_is_told_below_the_spinner_and_its_cause_once(cli: Cli) -> None:
    """On a terminal the spinner's line is cleared before something is said; a repeated cause is not repeated."""
    cli.write("aerobot.toml", READY)
    cli.write(".env", "AEROBOT_WHATSAPP_ACCESS_TOKEN=EAAB1\nAEROBOT_WHATSAPP_VERIFY_TOKEN=abcdefgh\n")
    done = cli.type("create", answers=[], AEROSTACK_TOKEN="abc")
    assert done.code == 5
    plain = re.sub(r"\x1b\[[?\d]*[A-JL-Za-z]", "", done.out)
    shown = [line.rpartition("\x1b[2K")[2].rpartition("\r")[2] for line in plain.splitlines()]
    told = [line for line in shown if "Again in" in line]
    assert re.fullmatch(r"Nothing listens at 127.0.0.1:9: the connection was refused. Again in \d s.", told[0])
    assert len(told) == 3
    assert all(re.fullmatch(r"Again in \d s\.", line) for line in told[1:])


def test_a_token_that_was_not_tried_is_no_login(cli: Cli) -> None:
    """A token that tells nothing of itself gets no tick, and one kept without a network is not called a login."""
    cli.write("aerobot.toml", READY)
    cli.write(".env", "AEROBOT_WHATSAPP_ACCESS_TOKEN=EAAB1\nAEROBOT_WHATSAPP_VERIFY_TOKEN=abcdefgh\n")
    done = cli.run("create", AEROSTACK_TOKEN="abc")
    assert "  - Aerostack a token is set, not tried yet\n" in done.err
    done = cli.run("login", "--token", "-", stdin="abc")
    assert done.code == 0
    assert f"Kept for {NOWHERE}, not tried: no network.\n" in done.err
    assert "Logged in" not in done.err
    assert "good until  unknown: the token does not tell\n" in done.err
    assert cli.run("login", "--token", "-", "--json", stdin="abc").document["tried"] is False


def test_problems_are_a_list_for_programs(cli: Cli) -> None:
    """Several settings in the way: under --json each by its key, of a command and of a file that cannot be read."""
    done = cli.run("create", "--json", "--phone-number-id", "x")
    assert done.code == 3
    problems = json.loads(done.err)["error"]["problems"]
    assert {"key": "bot.name", "message": "is missing"} in problems
    assert {problem["key"] for problem in problems} == {
        "bot.name", "bot.system_prompt", "whatsapp.phone_number_id", "whatsapp.access_token", "whatsapp.verify_token",
        "aerostack.token",
    }  # fmt: skip
    cli.write("aerobot.toml", '[bot]\nnam = "x"\ntimeout_ms = "soon"\n')
    problems = json.loads(cli.run("bots", "list", "--json").err)["error"]["problems"]
    assert [problem["key"] for problem in problems] == ["bot.nam", "bot.timeout_ms"]


def test_keys_are_said_once_and_without_notes(cli: Cli) -> None:
    """A key stands once before what is wrong with it, and nothing is put behind it that means nothing."""
    cli.write("aerobot.toml", '[bot]\nname = "A"\nsystem_prompt_file = "gone.md"\n')
    done = cli.run("create")
    assert "  bot.system_prompt_file " in done.err
    assert done.err.count("bot.system_prompt_file") == 1
    assert "gone.md cannot be read: No such file or directory\n" in done.err
    done = cli.run("config", "set", "bot.timeout_ms", "soon")
    assert done.code == 3
    assert "bot.timeout_ms must be a whole number from 1 to 60000" in done.err


def test_no_cell_is_empty(api: AerostackApi, cli: Cli) -> None:
    """What the platform does not tell of a bot is a dash, and 0 is 0."""
    api.add_bot(name="Acme", created_at="2020-01-01T00:00:00Z", conversation_count=None)
    api.add_bot(name="Other", created_at="2020-01-01T00:00:00Z", conversation_count=0)
    done = cli.run("bots", "list", AEROSTACK_API_URL=api.url, AEROSTACK_TOKEN=api.token)
    assert [line.split()[-1] for line in done.out.splitlines()[1:3]] == ["-", "0"]
