"""`aerobot config path|show|get|set` as processes."""

from pathlib import Path

import pytest

from aerobot.config import SETTINGS, read_env
from tests.processes import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.write("aerobot.toml", '# mine\n[bot]\nname = "Acme"\n\n[profiles.live.bot]\nname = "Acme live"\n')
    made.write(".env", "AEROBOT_WHATSAPP_ACCESS_TOKEN=EAABtoken\n")
    return made


def test_path(cli: Cli) -> None:
    """`config path` prints the file in use alone, also from below and when it is broken; exit 3 without one."""
    assert cli.run("config", "path").out == f"{cli.project / 'aerobot.toml'}\n"
    assert cli.run("config", "path", "--json").document == {"config": str(cli.project / "aerobot.toml")}
    cli.write("aerobot.toml", "[broken")
    assert cli.run("config", "path").code == 0
    (cli.project / "aerobot.toml").unlink()
    done = cli.run("config", "path")
    assert (done.code, done.out) == (3, "")
    assert "Write one: aerobot init" in done.err


def test_show_lists_every_setting_in_80_columns(cli: Cli) -> None:
    """Every setting stands there with value and source, secrets as ***, in at most 80 columns."""
    done = cli.run("config", "show", AEROBOT_SERVE_PORT="9000", AEROSTACK_TOKEN="tok")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [s.name for s in SETTINGS]
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines]
    assert ["name", "Acme", "aerobot.toml"] in rows
    assert ["access_token", "***", ".env"] in rows
    assert ["port", "9000", "environment"] in rows
    assert ["token", "***", "AEROSTACK_TOKEN"] in rows
    assert ["timeout_ms", "30000", "default"] in rows
    assert "EAABtoken" not in done.out + done.err
    assert done.err.startswith(f"File     {cli.project / 'aerobot.toml'}\nProfile  none\n")


def test_show_json(cli: Cli) -> None:
    """--json has every value with its exact source, secrets masked, tables too."""
    done = cli.run("config", "show", "-p", "live", "--json", AEROBOT_BOT_PLATFORM_CONFIG='{"bot_token": "s3cret"}')
    document = done.document
    assert set(document["settings"]) == {setting.key for setting in SETTINGS}
    name = {"value": "Acme live", "source": "aerobot.toml [profiles.live]"}
    assert document["settings"]["bot.name"] == name
    token = {"value": "***", "source": ".env AEROBOT_WHATSAPP_ACCESS_TOKEN"}
    assert document["settings"]["whatsapp.access_token"] == token
    assert document["settings"]["bot.platform_config"]["value"] == {"bot_token": "***"}
    assert document["settings"]["serve.allowed_hosts"] == {"value": [], "source": "default"}
    assert document["profile"] == "live"
    assert "s3cret" not in done.out


def test_get(cli: Cli) -> None:
    """`config get` prints the value alone; secrets as *** unless asked for; exit 3 if unset, 2 if unknown."""
    assert cli.run("config", "get", "bot.name").out == "Acme\n"
    assert cli.run("config", "get", "bot.name", "-p", "live").out == "Acme live\n"
    assert cli.run("config", "get", "engine.reload").out == "true\n"
    assert cli.run("config", "get", "serve.port", "--json").document["value"] == 8460
    assert cli.run("config", "get", "whatsapp.access_token").out == "***\n"
    assert cli.run("config", "get", "whatsapp.access_token", "--show-secrets").out == "EAABtoken\n"
    shown = cli.run("config", "get", "whatsapp.access_token", "--show-secrets", "--json")
    assert shown.document["value"] == "EAABtoken"
    unset = cli.run("config", "get", "bot.id")
    assert (unset.code, unset.out) == (3, "")
    assert "bot.id is not set." in unset.err
    unknown = cli.run("config", "get", "bot.nam")
    assert (unknown.code, unknown.out) == (2, "")
    assert 'Did you mean "bot.name"?' in unknown.err


def test_get_prints_control_characters_escaped(cli: Cli) -> None:
    """A value cannot steer the terminal."""
    done = cli.run("config", "get", "bot.name", AEROBOT_BOT_NAME="a\x1b[31mb")
    assert done.out == "a\\u001b[31mb\n"


def test_set(cli: Cli) -> None:
    """`config set` writes where it belongs, comments kept, and says so on stderr."""
    done = cli.run("config", "set", "serve.port", "9000")
    assert (done.code, done.out, done.err) == (0, "", "Wrote serve.port to aerobot.toml\n")
    assert cli.run("config", "set", "bot.id", "bt_live", "-p", "live").code == 0
    assert (cli.project / "aerobot.toml").read_text() == (
        '# mine\n[bot]\nname = "Acme"\n\n'
        '[profiles.live.bot]\nname = "Acme live"\nid = "bt_live"\n\n[serve]\nport = 9000\n'
    )
    done = cli.run("config", "set", "bot.name", "--unset", "--json")
    assert done.document == {"key": "bot.name", "file": str(cli.project / "aerobot.toml"), "source": "default"}


def test_set_secret(cli: Cli) -> None:
    """A secret comes from stdin or a hidden question, goes to .env, and is kept out of git; never from the line."""
    refused = cli.run("config", "set", "whatsapp.app_secret", "s3cret")
    assert (refused.code, "s3cret" in refused.err) == (2, False)
    assert "aerobot config set whatsapp.app_secret - < file" in refused.err
    done = cli.run("config", "set", "whatsapp.app_secret", "-", stdin="it's$3cret#1\\\n")
    assert done.code == 0, done.err
    assert read_env(cli.project / ".env") == {
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": "EAABtoken",
        "AEROBOT_WHATSAPP_APP_SECRET": "it's$3cret#1\\",
    }
    assert (cli.project / ".env").stat().st_mode & 0o777 == 0o600
    assert ".env" in (cli.project / ".gitignore").read_text().splitlines()
    typed = cli.type("config", "set", "whatsapp.app_secret", answers=[("whatsapp.app_secret: ", "typed1")])
    assert typed.code == 0, typed.out
    assert "typed1" not in typed.out
    assert "Meta > App settings > Basic" in typed.out
    assert read_env(cli.project / ".env")["AEROBOT_WHATSAPP_APP_SECRET"] == "typed1"
    assert cli.run("config", "set", "whatsapp.app_secret", "--unset").code == 0
    assert "AEROBOT_WHATSAPP_APP_SECRET" not in read_env(cli.project / ".env")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["serve.port", "99999"], 3, "must be a whole number from 0 to 65535"),
        (["whatsapp.phone_number_id", "+1 555"], 3, "whatsapp.phone_number_id must be digits alone."),
        (["aerostack.api_url", "api.aerostack.dev"], 3, "must be an origin"),
        (["bot.platform", "fax"], 3, "one of whatsapp, telegram"),
        (["serve.prt", "1"], 2, 'Did you mean "serve.port"?'),
        (["bot.name", ""], 2, "There is no value."),
        (["bot.name"], 2, "there is no terminal to ask on"),
        ([], 2, "Missing argument"),
    ],
)
def test_set_refuses(cli: Cli, arguments: list[str], code: int, words: str) -> None:
    """What does not fit is refused in words, and the files stay as they were."""
    before = (cli.project / "aerobot.toml").read_bytes()
    done = cli.run("config", "set", *arguments)
    assert done.code == code
    assert words in done.err
    assert (cli.project / "aerobot.toml").read_bytes() == before


def test_set_says_what_is_stronger(cli: Cli) -> None:
    """A value that the environment overrides is written, and the override is said."""
    done = cli.run("config", "set", "bot.name", "New", AEROBOT_BOT_NAME="Env")
    assert done.code == 0
    assert "bot.name has another value in AEROBOT_BOT_NAME, which is stronger." in done.err


def test_bare_group_shows_its_help(cli: Cli) -> None:
    """`aerobot config` alone shows what there is, and is a usage error."""
    done = cli.run("config")
    assert done.code == 2
    assert "Commands\n  path " in done.out
    assert done.err == ""


def test_help_is_plain_and_80_columns_wide(cli: Cli) -> None:
    """Help has its examples before its options, no type behind a flag, and at most 80 columns."""
    for words in ([], ["config"], ["config", "get"], ["init"]):
        done = cli.run(*words, "--help")
        assert done.code == 0
        assert all(len(line) <= 80 for line in done.out.splitlines())
        assert "<bool>" not in done.out
        assert done.out.isascii()
    assert done.out.index("Examples") < done.out.index("Options") < done.out.index("Everywhere")
