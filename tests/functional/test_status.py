"""`aerobot status` as a process: one screen, and soon, whatever can be reached."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aerostack_api import AerostackApi, jwt
from tests.emulated import EmulatedMeta
from tests.processes import Cli
from tests.running import Running


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


@pytest.fixture
def cli(tmp_path: Path, meta: EmulatedMeta) -> Cli:
    """A project whose number is the emulator's."""
    found = meta.credentials
    cli = Cli(tmp_path, AEROBOT_SERVE_PORT="0", AEROBOT_SERVE_PRIVATE_PORT="0")
    cli.write(
        "aerobot.toml",
        f'[whatsapp]\ngraph_url = "{meta.url}"\nphone_number_id = "{found.phone_number_id}"\n[profiles.staging.bot]\n',
    )
    cli.write(
        ".env",
        f"AEROBOT_WHATSAPP_ACCESS_TOKEN={found.access_token}\nAEROBOT_WHATSAPP_VERIFY_TOKEN={found.verify_token}\n"
        f"AEROBOT_WHATSAPP_APP_SECRET={found.app_secret}\n",
    )
    return cli


def test_everything_on_one_screen(cli: Cli, meta: EmulatedMeta) -> None:
    """Login, profile, bot, number with TEST or LIVE, callback in force and running hosts; no secret."""
    with (
        AerostackApi() as api,
        Running(["serve", "echo", "--json"], cwd=cli.project, env=cli.environ) as host,
    ):
        meta.run(meta.emulator.connect(host.event("ready")["webhook_url"]))
        bot = api.add_bot(status="active")
        variables = {"AEROSTACK_API_URL": api.url, "AEROSTACK_TOKEN": api.token, "AEROBOT_BOT_ID": bot["id"]}
        done = cli.run("status", "-p", "staging", **variables)
        document = cli.run("status", "--json", **variables).document
    assert done.code == 0, done.err
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert list(lines) == ["login", "profile", "bot", "number", "callback", "host"]
    assert lines["login"].startswith("logged in until ")
    assert lines["profile"].startswith("staging, ")
    assert lines["bot"] == "Support Bot, active"
    assert "TEST, connected, GREEN" in lines["number"]
    assert lines["callback"].startswith("app > 127.0.0.1:")
    assert lines["callback"].endswith("(this laptop)")
    assert lines["host"].startswith(f"pid {host.process.pid}, echo, http://127.0.0.1:")
    assert done.err.splitlines()[-1] == "Next: aerobot doctor"
    assert document["number"]["mode"] == "TEST"
    assert document["callback"]["level"] == "app"
    assert document["hosts"][0]["pid"] == host.process.pid
    shown = done.out + done.err + str(document)
    assert not [s for s in (meta.credentials.access_token, meta.credentials.app_secret, api.token) if s in shown]


def test_what_is_offline_says_so_soon(cli: Cli) -> None:
    """Nobody answers: each line says why, within seconds, exit 0."""
    began = time.monotonic()
    done = cli.run(
        "status", AEROBOT_WHATSAPP_GRAPH_URL="http://127.0.0.1:9", AEROSTACK_API_URL="http://127.0.0.1:9",
        AEROSTACK_TOKEN=jwt(), AEROBOT_BOT_ID="bt_1",
    )  # fmt: skip
    assert time.monotonic() - began < 15
    assert done.code == 0, done.err
    assert "bot       unreachable: Nothing listens at 127.0.0.1:9" in done.out
    assert "number    unreachable: Nothing listens at 127.0.0.1:9" in done.out
    assert "host      none runs here" in done.out


def test_nothing_set_up_yet(tmp_path: Path) -> None:
    """An empty folder: what is not set is named, and aerobot init is next."""
    done = Cli(tmp_path).run("status")
    assert done.code == 0, done.err
    assert "login     not logged in" in done.out
    assert "number    not set: whatsapp.access_token is not set" in done.out
    assert done.err.splitlines()[-1] == "Next: aerobot init"


def test_an_expired_login_is_first(cli: Cli) -> None:
    """An expired login is told as such, and is what comes next."""
    done = cli.run("status", AEROSTACK_TOKEN=jwt(expires_in=-60))
    assert "login     expired" in done.out
    assert done.err.splitlines()[-1] == "Next: aerobot login"


def test_no_word_breaks_at_80_columns(cli: Cli) -> None:
    """On a terminal what does not fit goes on below its topic, between words."""
    shown = cli.type("status", answers=[], NO_COLOR="1", AEROBOT_WHATSAPP_GRAPH_URL="http://127.0.0.1:9").out
    lines = shown.splitlines()
    assert all(len(line) <= 80 for line in lines if "/" not in line), shown
    assert "          refused." in lines
