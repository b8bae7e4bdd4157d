"""`aerobot init` as a process: on a terminal, by flags and environment, twice, half way, and in bad places."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from aerobot.config import read_env
from tests.aerostack_api import jwt
from tests.processes import OFFLINE, Cli

TOKEN, SECRET = "EAAB" + "x1Y2" * 30, "0123456789abcdef" * 2
PHONE, WABA, APP = "106540352242922", "112233445566778", "1029384756"
SECRETS = {"AEROBOT_WHATSAPP_ACCESS_TOKEN": TOKEN, "AEROBOT_WHATSAPP_APP_SECRET": SECRET}
QUESTIONS = (
    "Access token (hidden): ",
    "App secret (hidden, recommended): ",
    "Phone number ID: ",
    "WhatsApp Business Account ID (optional): ",
    "App ID (optional): ",
    "Workspace ID (optional): ",
    "Bot's name (optional): ",
)
UNREACHABLE = (
    "  ! Meta      Nothing listens at 127.0.0.1:9: the connection was refused.\n"
    "              Nothing is checked then: what you give is written as it is.\n"
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A project in which Graph cannot be reached."""
    return Cli(tmp_path, **OFFLINE)


def written(cli: Cli, name: str = "aerobot.toml") -> dict[str, object]:
    return tomllib.loads((cli.project / name).read_text("utf-8"))


def made_files(cli: Cli) -> list[str]:
    return sorted(path.name for path in cli.project.iterdir() if path.name != ".git")


def test_flags_and_environment(cli: Cli) -> None:
    """Without a terminal the values come from flags and environment; secrets land in .env alone, 0600."""
    flags = ["--phone-number-id", PHONE, "--business-account-id", WABA, "--name", "Acme Support"]
    done = cli.run("init", "--yes", *flags, "--app-id", APP, "--workspace-id", "ws_1", **SECRETS)
    assert done.code == 0, done.err
    assert done.out == "Wrote aerobot.toml (commit it), .env (secrets, 0600), .gitignore (+.env)\n"
    assert done.err == UNREACHABLE + (
        "Here, without Aerostack: aerobot serve bot.py\n"
        "Write into prompt.md what the bot is told to be.\n"
        "Next: aerobot login, then aerobot create --system-prompt @prompt.md\n"
    )
    assert written(cli) == {
        "bot": {"name": "Acme Support"},
        "aerostack": {"workspace_id": "ws_1"},
        "whatsapp": {"phone_number_id": PHONE, "business_account_id": WABA, "app_id": APP},
        "serve": {},
    }
    secrets = read_env(cli.project / ".env")
    assert len(secrets.pop("AEROBOT_WHATSAPP_VERIFY_TOKEN")) == 32
    assert secrets == SECRETS
    assert (cli.project / ".env").stat().st_mode & 0o777 == 0o600
    assert (cli.project / ".gitignore").read_text() == ".env\n.env.*\n.aerobot/\n"
    assert cli.run("config", "get", "whatsapp.access_token", "--show-secrets").out == TOKEN + "\n"


def test_verify_token_is_new_each_time(cli: Cli) -> None:
    """Two bots never share an invented verify token; one that is given is taken."""
    for name in ("one", "two"):
        cli.run("init", name, "--phone-number-id", "1", **SECRETS)
    tokens = [read_env(cli.project / name / ".env")["AEROBOT_WHATSAPP_VERIFY_TOKEN"] for name in ("one", "two")]
    assert tokens[0] != tokens[1]
    cli.run("init", "three", "--phone-number-id", "1", AEROBOT_WHATSAPP_VERIFY_TOKEN="mine", **SECRETS)
    assert read_env(cli.project / "three" / ".env")["AEROBOT_WHATSAPP_VERIFY_TOKEN"] == "mine"


def test_everything_that_is_missing_or_wrong_is_named_at_once(cli: Cli) -> None:
    """Exit 3 names every missing and malformed value with the way to give it; nothing is written."""
    done = cli.run("init")
    assert done.code == 3
    assert "whatsapp.phone_number_id is missing: --phone-number-id\n" in done.err
    assert "whatsapp.access_token is missing: AEROBOT_WHATSAPP_ACCESS_TOKEN\n" in done.err
    flags = ["--phone-number-id", "+1 555", "--business-account-id", "x", "--platform", "telegraph"]
    done = cli.run("init", *flags[:4], AEROBOT_WHATSAPP_ACCESS_TOKEN="EA AB")
    assert done.code == 3
    for words in ("phone_number_id must be digits", "account_id must be digits", "access_token must not have white"):
        assert words in done.err
    assert "EA AB" not in done.err
    assert "bot.platform must be one of whatsapp, telegram" in cli.run("init", *flags).err
    same = cli.run("init", "--phone-number-id", "1", "--business-account-id", "1", **SECRETS)
    assert "are the same" in same.err
    assert made_files(cli) == []


def test_white_space_around_a_token_is_left_out_and_said(cli: Cli) -> None:
    """A token copied with a line break and spaces works; the slip is said, the token is not."""
    done = cli.run("init", "--phone-number-id", "1", AEROBOT_WHATSAPP_ACCESS_TOKEN=f" {TOKEN}\n")
    assert done.code == 0
    assert "whatsapp.access_token had white space around it" in done.err
    assert read_env(cli.project / ".env")["AEROBOT_WHATSAPP_ACCESS_TOKEN"] == TOKEN
    assert "EAAB" not in done.err + done.out


def test_one_secret_from_stdin(cli: Cli) -> None:
    """`--access-token -` reads stdin; a secret on the command line, or two from stdin, are refused (exit 2)."""
    done = cli.run("init", "--phone-number-id", "1", "--access-token", "-", stdin="piped\n")
    assert done.code == 0
    assert read_env(cli.project / ".env")["AEROBOT_WHATSAPP_ACCESS_TOKEN"] == "piped"
    done = cli.run("init", "x", "--access-token", "EAABtoken")
    assert (done.code, "EAAB" in done.err) == (2, False)
    assert "shell's history" in done.err
    assert cli.run("init", "x", "--access-token", "-", "--app-secret", "-", stdin="a").code == 2


def test_nothing_is_overwritten_without_force(cli: Cli) -> None:
    """What is there already is named (exit 3) and left alone; --force changes what is given, keeps the rest."""
    cli.run("init", "--phone-number-id", "1", "--name", "Acme", **SECRETS)
    before = {name: (cli.project / name).read_bytes() for name in made_files(cli)}
    done = cli.run("init", "--phone-number-id", "2", AEROBOT_WHATSAPP_ACCESS_TOKEN="new")
    assert done.code == 3
    assert "Nothing was changed: aerobot.toml and .env are there already." in done.err
    assert "--force" in done.err
    assert before == {name: (cli.project / name).read_bytes() for name in made_files(cli)}
    cli.run("config", "set", "bot.id", "bt_1")
    done = cli.run("init", "--force", "--phone-number-id", "2", AEROBOT_WHATSAPP_ACCESS_TOKEN="new")
    assert done.code == 0, done.err
    assert written(cli)["whatsapp"] == {"phone_number_id": "2"}
    assert written(cli)["bot"] == {"name": "Acme", "id": "bt_1"}
    after = read_env(cli.project / ".env")
    assert (after["AEROBOT_WHATSAPP_ACCESS_TOKEN"], after["AEROBOT_WHATSAPP_APP_SECRET"]) == ("new", SECRET)
    verify = "AEROBOT_WHATSAPP_VERIFY_TOKEN"
    assert f"{verify}={after[verify]}\n".encode() in before[".env"]


def test_env_and_gitignore_of_other_programs_are_kept(cli: Cli) -> None:
    """A .env and a .gitignore that are there for something else are added to, not replaced."""
    cli.write(".env", "# theirs\nDATABASE_URL='postgres://x'\n")
    cli.write(".gitignore", "node_modules\n.env\n")
    assert cli.run("init", "--phone-number-id", "1", **SECRETS).code == 0
    assert (cli.project / ".env").read_text().startswith("# theirs\nDATABASE_URL='postgres://x'\nAEROBOT_")
    assert (cli.project / ".gitignore").read_text() == "node_modules\n.env\n.env.*\n.aerobot/\n"


def test_profile(cli: Cli) -> None:
    """With -p a profile is added: its sections, its .env.NAME, and the way on."""
    cli.run("init", "--phone-number-id", "1", **SECRETS)
    before = (cli.project / "aerobot.toml").read_text()
    live = {**SECRETS, "AEROBOT_WHATSAPP_ACCESS_TOKEN": "live"}
    done = cli.run("-p", "live", "init", "--phone-number-id", "2", "--name", "Acme live", **live)
    assert done.code == 0, done.err
    assert done.err.endswith("Next: aerobot login, then aerobot create -p live --system-prompt @prompt.md\n")
    text = (cli.project / "aerobot.toml").read_text()
    assert text.startswith(before)
    profile = written(cli)["profiles"]["live"]  # type: ignore[index]
    assert profile == {"bot": {"name": "Acme live"}, "whatsapp": {"phone_number_id": "2"}}
    assert read_env(cli.project / ".env.live")["AEROBOT_WHATSAPP_ACCESS_TOKEN"] == "live"
    assert cli.run("config", "get", "whatsapp.phone_number_id", "-p", "live").out == "2\n"
    again = cli.run("init", "-p", "live", "--phone-number-id", "3", **live)
    assert again.code == 3
    assert 'a profile "live" is in aerobot.toml and .env.live already' in again.err
    assert cli.run("init", "-p", "../x", "--phone-number-id", "3", **live).code == 2


def test_profile_before_anything_else(cli: Cli) -> None:
    """The first file may be made with a profile alone."""
    assert cli.run("init", "-p", "dev", "--phone-number-id", "2", **SECRETS).code == 0
    assert made_files(cli) == [".env.dev", ".gitignore", "aerobot.toml"]
    assert written(cli)["profiles"] == {"dev": {"whatsapp": {"phone_number_id": "2"}}}


def test_json(cli: Cli) -> None:
    """--json prints one document: files, settings with secrets masked, the next command."""
    done = cli.run("init", "--json", "--phone-number-id", "1", "--name", 'The "best" $bot', **SECRETS)
    document = done.document
    assert document["config"] == str(cli.project / "aerobot.toml")
    assert document["env_file"] == str(cli.project / ".env")
    assert [Path(path).name for path in document["written"]] == [".gitignore", ".env", "aerobot.toml"]
    assert document["settings"]["whatsapp.access_token"] == "***"
    assert document["settings"]["whatsapp.phone_number_id"] == "1"
    assert document["next"] == "aerobot login"
    assert [finding["name"] for finding in document["findings"]] == ["unreachable"]
    assert not any(secret in done.out + done.err for secret in SECRETS.values())
    refused = cli.run("init", "--json", "--phone-number-id", "1", **SECRETS)
    assert refused.code == 3
    assert json.loads(refused.err)["error"]["kind"] == "config"


def test_without_app_secret_it_says_what_that_costs(cli: Cli) -> None:
    """The app secret may be missing; its price is said in plain words."""
    done = cli.run("init", "--phone-number-id", "1", AEROBOT_WHATSAPP_ACCESS_TOKEN="x")
    assert done.code == 0
    assert "Without the app secret nobody can tell Meta's messages from forged ones." in done.err


def test_other_platforms_need_nothing_of_meta(cli: Cli) -> None:
    """For telegram neither a number nor tokens are asked for; the way to its credentials is said."""
    done = cli.run("init", "--platform", "telegram", "--name", "T")
    assert done.code == 0, done.err
    assert written(cli)["bot"] == {"name": "T", "platform": "telegram"}
    assert "aerobot config set bot.platform_config -" in done.err
    assert cli.run("config", "set", "bot.platform_config", "-", stdin='{"bot_token": "1:x"}').code == 0
    assert "bot_token" in read_env(cli.project / ".env")["AEROBOT_BOT_PLATFORM_CONFIG"]


def test_places(cli: Cli) -> None:
    """DIR is made where it is missing; --config names the file; both at once are too many."""
    assert cli.run("init", "bots/acme", "--phone-number-id", "1", **SECRETS).code == 0
    assert (cli.project / "bots" / "acme" / ".env").is_file()
    assert cli.run("init", "--config", "live.toml", "--phone-number-id", "1", **SECRETS).code == 0
    assert written(cli, "live.toml")["whatsapp"] == {"phone_number_id": "1"}
    assert cli.run("init", "x", "--config", "live.toml", "--phone-number-id", "1", **SECRETS).code == 2


def test_a_failing_write_leaves_nothing_half_written(cli: Cli) -> None:
    """If the last of the files cannot be written, the others are as they were before."""
    cli.write(".gitignore", "x\n")
    (cli.project / "aerobot.toml").symlink_to("/proc/nowhere/aerobot.toml")
    done = cli.run("init", "--phone-number-id", "1", **SECRETS)
    assert done.code == 3
    assert "cannot be" in done.err
    assert made_files(cli) == [".gitignore", "aerobot.toml"]
    assert (cli.project / ".gitignore").read_text() == "x\n"


def test_broken_toml_is_not_touched(cli: Cli) -> None:
    """A file that is not TOML is named, with --force and with a profile too."""
    cli.write("aerobot.toml", "[bot\n")
    for more in (["--force"], ["-p", "dev"]):
        done = cli.run("init", "--phone-number-id", "1", *more, **SECRETS)
        assert (done.code, "is not valid TOML" in done.err) == (3, True)
    assert made_files(cli) == ["aerobot.toml"]


def test_env_that_git_tracks_is_warned_about(cli: Cli) -> None:
    """A .gitignore does not help a file that is tracked: the cure is named."""
    (cli.project / ".git").rmdir()
    cli.write(".env", "A=1\n")
    for command in (["init", "-q"], ["add", ".env"]):
        subprocess.run(["git", "-C", str(cli.project), *command], check=True)
    done = cli.run("init", "--phone-number-id", "1", **SECRETS)
    assert "git tracks .env." in done.err
    assert "git rm --cached .env" in done.err


# -- what it says about what it got -----------------------------------------------------------------


def test_problems_are_a_list_for_programs(cli: Cli) -> None:
    """Under --json each setting that stands in the way is named by its key, with what is wrong with it."""
    done = cli.run("init", "--json", "--phone-number-id", "x")
    assert done.code == 3
    problems = json.loads(done.err.splitlines()[-1])["error"]["problems"]
    assert problems == [{"key": "whatsapp.phone_number_id", "message": "must be digits alone"}]
    done = cli.run("init", "--json", "--no-validate")
    assert [one["key"] for one in json.loads(done.err)["error"]["problems"]] == [
        "whatsapp.access_token", "whatsapp.phone_number_id",
    ]  # fmt: skip


def test_odd_values_are_warned_about_and_taken(cli: Cli) -> None:
    """Off a terminal what looks wrong is said, without the value, and written all the same."""
    done = cli.run(
        "init", "--no-validate", "--phone-number-id", "15550104477", AEROBOT_WHATSAPP_ACCESS_TOKEN="EAABshort",
        AEROBOT_WHATSAPP_APP_SECRET=TOKEN,
    )  # fmt: skip
    assert done.code == 0
    assert "whatsapp.access_token has 9 characters; Meta's have a hundred and more. It is taken as it is." in done.err
    assert "whatsapp.app_secret looks like an access token." in done.err
    assert "whatsapp.phone_number_id has 11 digits; Meta's IDs have about 15" in done.err
    assert "EAAB" not in done.err


def test_the_next_step_is_the_true_one(cli: Cli) -> None:
    """What is done already is not named: a login, a name, a prompt, a bot; another folder is entered first."""
    base = ("--phone-number-id", PHONE, "--no-validate")
    last = cli.run("init", *base, "--name", "A", AEROSTACK_TOKEN=jwt(), **SECRETS).err.splitlines()[-1]
    assert last == "Next: aerobot create --system-prompt @prompt.md"
    cli.write("prompt.md", "Be kind.")
    cli.run("config", "set", "bot.system_prompt_file", "prompt.md")
    done = cli.run("init", "--force", *base, AEROSTACK_TOKEN=jwt(), **SECRETS)
    assert done.err.splitlines()[-1] == "Next: aerobot create"
    assert "Write into" not in done.err
    cli.run("config", "set", "bot.id", "bt_1")
    done = cli.run("init", "--force", *base, "--json", AEROSTACK_TOKEN=jwt(), **SECRETS)
    assert done.document["next"] == "aerobot bots update --whatsapp"
    done = cli.run("init", "acme", *base, **SECRETS)
    assert "Write into acme/prompt.md what the bot is told to be." in done.err
    assert done.err.endswith(
        "Next: cd acme, then\n      aerobot login, then\n"
        '      aerobot create --name "My bot" --system-prompt @prompt.md\n'
    )
    assert "config.example.toml" not in (cli.project / "acme" / "aerobot.toml").read_text()
    done = cli.run("init", "--config", "other/live.toml", *base, "--name", "A", AEROSTACK_TOKEN=jwt(), **SECRETS)
    assert done.err.splitlines()[-1] == "Next: aerobot create --config other/live.toml --system-prompt @prompt.md"


# -- on a terminal ----------------------------------------------------------------------------------


def test_terminal_asks_for_each_value_with_its_place(cli: Cli) -> None:
    """Every question says what the value is for and where a portal shows it; of a secret only its length appears."""
    answers = (TOKEN, SECRET, PHONE, WABA, "", "", "Acme Support")
    done = cli.type("init", answers=list(zip(QUESTIONS, answers, strict=True)))
    assert done.code == 0, done.out
    for words in (
        "https://developers.facebook.com/apps",
        "WhatsApp > API Setup > Phone number ID",
        "temporary",
        "System\nusers > Generate token",
        "whatsapp_business_messaging",
        "App settings > Basic > App secret",
        "Workspace ID",
        "(124 characters)",
        "(32 characters)",
        "Nothing is checked then: what you give is written as it is.",
    ):
        assert words in done.out
    assert TOKEN not in done.out
    assert SECRET not in done.out
    plain = re.sub(r"\x1b\[[?\d]*[A-Za-z]", "", done.out)
    assert all(len(line.rpartition("\r")[2]) <= 80 for line in plain.splitlines())
    assert written(cli)["whatsapp"] == {"phone_number_id": PHONE, "business_account_id": WABA}
    assert read_env(cli.project / ".env")["AEROBOT_WHATSAPP_APP_SECRET"] == SECRET
    assert done.out.rstrip().endswith("Next: aerobot login, then aerobot create --system-prompt @prompt.md")


def test_terminal_asks_again_after_a_slip_and_not_for_what_it_has(cli: Cli) -> None:
    """A malformed answer is explained and asked for again; what flags and environment gave is not asked."""
    answers = [
        (QUESTIONS[2], "+1 555 010 4477"),
        ("must be digits alone", ""),
        (QUESTIONS[2], PHONE),
        (QUESTIONS[3], ""),
        (QUESTIONS[4], ""),
        (QUESTIONS[5], ""),
    ]
    done = cli.type("init", "--name", "Acme", answers=answers, **SECRETS)
    assert done.code == 0, done.out
    assert "It is needed." in done.out
    assert "Access token: *** (given)" in done.out
    assert "Bot's name: Acme (given)" in done.out


def test_one_id_in_two_places_is_caught_at_the_question(cli: Cli) -> None:
    """The same digits for number, account and app are refused where they are typed, and nothing is lost."""
    answers = [
        (QUESTIONS[2], PHONE),
        (QUESTIONS[3], PHONE),
        ("That is the Phone number ID", WABA),
        (QUESTIONS[4], WABA),
        ("That is the WhatsApp Business Account ID", APP),
        (QUESTIONS[5], ""),
        (QUESTIONS[6], ""),
    ]
    done = cli.type("init", "--no-validate", answers=answers, **SECRETS)
    assert done.code == 0, done.out
    assert written(cli)["whatsapp"] == {"phone_number_id": PHONE, "business_account_id": WABA, "app_id": APP}


def test_what_was_given_is_judged_before_anything_is_asked(cli: Cli) -> None:
    """A flag that cannot be right ends it at once: no interview is thrown away."""
    done = cli.type("init", "--phone-number-id", "1", "--app-id", "1", answers=[])
    assert done.code == 3
    assert "are the same" in done.out
    assert QUESTIONS[0] not in done.out


def test_odd_values_are_asked_about(cli: Cli) -> None:
    """What does not look like Meta's is said, and kept only on a yes."""
    keep = "Keep it all the same? [y/N]: "
    answers = [
        (QUESTIONS[0], "EAABshort"),
        (keep, ""),
        (QUESTIONS[0], TOKEN),
        (QUESTIONS[1], "abc123"),
        (keep, "y"),
        (QUESTIONS[2], "15550104477"),
        (keep, "n"),
        (QUESTIONS[2], PHONE),
        *((question, "") for question in QUESTIONS[3:]),
    ]
    done = cli.type("init", "--no-validate", answers=answers)
    assert done.code == 0, done.out
    assert "It has 9 characters; Meta's have a hundred and more." in done.out
    assert "It has 6 characters; Meta's have 32." in done.out
    assert "It has 11 digits; Meta's IDs have about 15 (not the phone number itself)." in done.out
    assert written(cli)["whatsapp"] == {"phone_number_id": PHONE}
    kept = read_env(cli.project / ".env")
    assert (kept["AEROBOT_WHATSAPP_ACCESS_TOKEN"], kept["AEROBOT_WHATSAPP_APP_SECRET"]) == (TOKEN, "abc123")


def test_ctrl_c_half_way_leaves_nothing(cli: Cli) -> None:
    """Ctrl-C, in a hidden and in an open question, ends with 130 and no file."""
    for stop in (1, 2):
        answers = [*zip(QUESTIONS[:stop], (TOKEN, SECRET), strict=False), (QUESTIONS[stop], "\x03")]
        done = cli.type("init", answers=answers)
        assert done.code == 130, done.out
        assert made_files(cli) == []


def test_yes_asks_nothing_on_a_terminal(cli: Cli) -> None:
    """--yes on a terminal takes what there is and asks nothing."""
    done = cli.type("init", "--yes", "--phone-number-id", "1", answers=[], **SECRETS)
    assert done.code == 0, done.out
    assert "Bot's name" not in done.out
