"""`init` finds what it can and `create` looks before it calls: as processes, with an emulated Graph and Aerostack."""

import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aerostack_api import AerostackApi, workspace
from tests.emulated import EmulatedMeta
from tests.processes import OFFLINE, Cli

TOKEN, SECRET = "Access token (hidden): ", "App secret (hidden, recommended): "
LAST = (("Workspace ID (optional): ", ""), ("Bot's name (optional): ", "Acme"))
KEEP = "all the same? [y/N]: "


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as running:
        yield running


@pytest.fixture
def api() -> Iterator[AerostackApi]:
    with AerostackApi() as running:
        yield running


@pytest.fixture
def cli(meta: EmulatedMeta, api: AerostackApi, tmp_path: Path) -> Cli:
    """A project that knows where Graph and Aerostack are, and nothing more."""
    return Cli(tmp_path, AEROBOT_WHATSAPP_GRAPH_URL=meta.url, AEROSTACK_API_URL=api.url)


def arrange(meta: EmulatedMeta, **changes: Any) -> None:
    async def change() -> None:
        meta.emulator.arrange(**changes)

    meta.run(change())


def add_number(meta: EmulatedMeta) -> str:
    async def add() -> str:
        return meta.emulator.portal.add_number("15550109999", "Second", registered=True)

    return str(meta.run(add()))


def secrets(meta: EmulatedMeta) -> dict[str, str]:
    found = meta.credentials
    return {"AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token, "AEROBOT_WHATSAPP_APP_SECRET": found.app_secret}


def ids(cli: Cli) -> dict[str, str]:
    found: dict[str, str] = tomllib.loads((cli.project / "aerobot.toml").read_text("utf-8"))["whatsapp"]
    return found


def all_ids(meta: EmulatedMeta) -> dict[str, str]:
    mine = meta.credentials
    return {
        "phone_number_id": mine.phone_number_id,
        "business_account_id": mine.business_account_id,
        "app_id": mine.app_id,
    }


# -- init --------------------------------------------------------------------------------------------------


def test_two_secrets_are_enough_on_a_terminal(meta: EmulatedMeta, cli: Cli) -> None:
    """Token and secret are asked for; app, account and number are found, shown and confirmed, and not asked for."""
    arrange(meta, token_type="USER", token_expires_at=int(time.time()) + 7200)
    answers = [(TOKEN, meta.credentials.access_token), (SECRET, meta.credentials.app_secret), ("[Y/n]: ", ""), *LAST]
    done = cli.type("init", answers=answers)
    assert done.code == 0, done.out
    assert ids(cli) == all_ids(meta)
    for words in ("temporary, dies", "System users > Generate token, expiration Never", "TEST, connected", "1 number"):
        assert words in done.out
    assert "Phone number ID" not in done.out
    assert meta.credentials.access_token not in done.out
    assert meta.credentials.app_secret not in done.out


def test_one_of_several_numbers_is_picked(meta: EmulatedMeta, cli: Cli) -> None:
    """Several numbers are listed with TEST or LIVE; the one that is picked is written."""
    second = add_number(meta)
    mine = meta.credentials
    answers = [(TOKEN, mine.access_token), (SECRET, mine.app_secret), ("Number [1]: ", "2"), *LAST]
    done = cli.type("init", answers=answers)
    assert done.code == 0, done.out
    assert ids(cli) == {**all_ids(meta), "phone_number_id": second}
    assert "Second, LIVE" in done.out


def test_another_number_by_its_id_is_looked_at(meta: EmulatedMeta, cli: Cli) -> None:
    """A number that is not the one is asked for by hand; one that Meta does not show is asked about."""
    mine = meta.credentials
    answers = [
        (TOKEN, mine.access_token),
        (SECRET, mine.app_secret),
        ("TEST? [Y/n]: ", "n"),
        ("Phone number ID: ", "999999999999999"),
        ("Account ID (optional): ", ""),
        (KEEP, "n"),
        ("Phone number ID: ", mine.phone_number_id),
        ("Account ID (optional): ", ""),
        *LAST,
    ]
    done = cli.type("init", answers=answers)
    assert done.code == 0, done.out
    assert "Graph shows this token no number 999999999999999" in done.out
    assert ids(cli) == all_ids(meta)


def test_a_dead_token_is_asked_for_again(meta: EmulatedMeta, cli: Cli) -> None:
    """A token that Meta refuses is named and asked for once more, or kept; a wrong secret likewise."""
    mine = meta.credentials
    answers = [
        (TOKEN, "EAAB" + "x" * 100),
        (SECRET, "f" * 32),
        ("Keep this access token " + KEEP, "n"),
        (TOKEN, mine.access_token),
        ("Keep this app secret " + KEEP, "n"),
        (SECRET, mine.app_secret),
        ("[Y/n]: ", ""),
        *LAST,
    ]
    done = cli.type("init", answers=answers)
    assert done.code == 0, done.out
    assert "every webhook would be refused" in done.out
    assert "is the app's" in done.out
    assert ids(cli) == all_ids(meta)


def test_an_account_that_the_token_does_not_name_is_asked_for(meta: EmulatedMeta, cli: Cli) -> None:
    """Where the token is limited to no account, its id leads on to the number."""
    arrange(meta, token_targets=None)
    mine = meta.credentials
    answers = [
        (TOKEN, mine.access_token),
        (SECRET, mine.app_secret),
        ("Account ID (optional): ", mine.business_account_id),
        ("[Y/n]: ", ""),
        *LAST,
    ]
    done = cli.type("init", answers=answers)
    assert done.code == 0, done.out
    assert ids(cli) == all_ids(meta)


def test_a_workspace_is_found_and_picked(meta: EmulatedMeta, api: AerostackApi, cli: Cli) -> None:
    """Who is logged in gets the only workspace, or picks one."""
    api.workspaces.append(workspace("ws_2", "staging"))
    answers = [
        (TOKEN, meta.credentials.access_token),
        (SECRET, meta.credentials.app_secret),
        ("[Y/n]: ", ""),
        ("Number [1]: ", "2"),
        LAST[1],
    ]
    done = cli.type("init", answers=answers, AEROSTACK_TOKEN=api.token)
    assert done.code == 0, done.out
    assert 'workspace_id = "ws_2"' in (cli.project / "aerobot.toml").read_text()
    assert done.out.rstrip().endswith("Next: aerobot create --system-prompt @prompt.md")
    api.workspaces.pop()
    done = cli.run("init", "two", **secrets(meta), AEROSTACK_TOKEN=api.token)
    assert '✓ space     Aerostack workspace "acme" (the only one)' in done.err
    assert 'workspace_id = "ws_1"' in (cli.project / "two" / "aerobot.toml").read_text()


def test_off_a_terminal_what_was_not_given_is_found(meta: EmulatedMeta, cli: Cli) -> None:
    """The environment gives the secrets, Graph the rest; what was given stays; --json tells what was found."""
    done = cli.run("init", "--json", "--app-id", "42", **secrets(meta))
    assert done.code == 0, done.err
    assert ids(cli) == {**all_ids(meta), "app_id": "42"}
    names = [finding["name"] for finding in done.document["findings"]]
    assert "token_other_app" in names
    assert "number_works" in names


def test_several_numbers_are_named_where_nobody_can_pick(meta: EmulatedMeta, cli: Cli) -> None:
    """Off a terminal none of several is taken by itself: exit 3, each named with its id."""
    second = add_number(meta)
    done = cli.run("init", **secrets(meta))
    assert done.code == 3
    assert "whatsapp.phone_number_id is missing: --phone-number-id" in done.err
    assert f"{second}  " in done.err
    assert f"{meta.credentials.phone_number_id}  " in done.err


@pytest.mark.parametrize("changes", [{"token": "expired"}, {"outage": "html"}, {"registered": False}])
def test_refused_is_a_warning_and_no_wall(meta: EmulatedMeta, cli: Cli, changes: dict[str, Any]) -> None:
    """Whatever Meta says, init writes what it was given."""
    arrange(meta, **changes)
    done = cli.run("init", "--phone-number-id", meta.credentials.phone_number_id, **secrets(meta))
    assert done.code == 0, done.err
    assert ids(cli)["phone_number_id"] == meta.credentials.phone_number_id
    assert "✗" in done.err or "!" in done.err


def test_no_validate_asks_nobody(meta: EmulatedMeta, api: AerostackApi, cli: Cli) -> None:
    """--no-validate: not one call, neither to Graph nor to Aerostack."""
    arrange(meta, token="expired")
    done = cli.run("init", "--no-validate", "--phone-number-id", "1", **secrets(meta), AEROSTACK_TOKEN=api.token)
    assert done.code == 0
    assert "expired" not in done.err
    assert api.seen == []


# -- create ------------------------------------------------------------------------------------------------


@pytest.fixture
def ready(meta: EmulatedMeta, api: AerostackApi, cli: Cli) -> Cli:
    """Logged in, with a project that has what a bot needs."""
    mine = meta.credentials
    cli.write(
        "aerobot.toml",
        f'[bot]\nname = "A"\nsystem_prompt = "x"\n[whatsapp]\nphone_number_id = "{mine.phone_number_id}"\n',
    )
    lines = (
        f"AEROBOT_WHATSAPP_ACCESS_TOKEN={mine.access_token}",
        f"AEROBOT_WHATSAPP_APP_SECRET={mine.app_secret}",
        f"AEROBOT_WHATSAPP_VERIFY_TOKEN={mine.verify_token}",
        f"AEROSTACK_TOKEN={api.token}",
    )
    cli.write(".env", "".join(line + "\n" for line in lines))
    return cli


def test_create_says_which_number(meta: EmulatedMeta, ready: Cli) -> None:
    """The number with TEST or LIVE, and nothing about what is well."""
    done = ready.run("create")
    assert done.code == 0, done.err
    assert "✓ WhatsApp  +1 555-010-1874, TEST, connected, GREEN" in done.err
    assert "token " not in done.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token_type": "USER", "token_expires_at": int(time.time()) + 7200}, "! token     temporary, dies"),
        ({"registered": False}, "✗ WhatsApp  +1 555-010-1874, TEST, NOT registered: it cannot send"),
        ({"token_scopes": ["whatsapp_business_management"]}, "lacks whatsapp_business_messaging"),
        ({"account_mode": "LIVE", "quality_rating": "RED"}, "! WhatsApp  +1 555-010-1874, LIVE, quality RED"),
        ({"outage": "unavailable"}, "phone number id 167444597793332. Not checked at Meta:"),
    ],
)
def test_create_says_what_matters(meta: EmulatedMeta, ready: Cli, changes: dict[str, Any], words: str) -> None:
    """What will hurt later is said before the call, and stops nothing."""
    arrange(meta, **changes)
    done = ready.run("create")
    assert done.code == 0, done.err
    assert words in done.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": "expired"}, "The access token has expired. Nothing was created."),
        ({"token": "invalidated"}, "The access token "),
        ({"token": "unknown"}, "The access token "),
    ],
)
def test_create_stops_at_a_dead_token(
    meta: EmulatedMeta, api: AerostackApi, ready: Cli, changes: dict[str, Any], words: str
) -> None:
    """Exit 3 with the remedy, before anything is created; --no-validate goes on."""
    arrange(meta, **changes)
    done = ready.run("create")
    assert done.code == 3
    assert words in done.err
    assert "A lasting one: System users > Generate token" in done.err
    assert "aerobot config set whatsapp.access_token" in done.err
    assert "--no-validate" in done.err
    assert api.bots == {}
    assert ready.run("create", "--no-validate").code == 0


def test_create_stops_at_a_wrong_number(meta: EmulatedMeta, api: AerostackApi, ready: Cli) -> None:
    """A number that the token does not see, or an account's id in its place: exit 3, by the setting's name."""
    done = ready.run("create", "--phone-number-id", "999999999999999", "--json")
    assert done.code == 3
    problem = json.loads(done.err.splitlines()[-1])["error"]["problems"][0]
    assert problem["key"] == "whatsapp.phone_number_id"
    done = ready.run("create", "--phone-number-id", meta.credentials.business_account_id)
    assert done.code == 3
    assert "is the id of a WABA, not of a number" in done.err
    assert api.bots == {}


def test_create_names_a_wrong_app_secret(meta: EmulatedMeta, ready: Cli) -> None:
    """A secret of another app is said, and the number looked at without it."""
    done = ready.run("create", AEROBOT_WHATSAPP_APP_SECRET="f" * 32)
    assert done.code == 0, done.err
    assert "The app secret is not that of the access token's app." in done.err
    assert "TEST, connected" in done.err


def test_create_without_a_network_to_meta_only_warns(ready: Cli) -> None:
    """Graph cannot be reached: one line, and the bot is made."""
    done = ready.run("create", **OFFLINE)
    assert done.code == 0, done.err
    assert "Not checked at Meta: Nothing listens at 127.0.0.1:9" in done.err
    assert json.loads(ready.run("create", "--new", "--json", **OFFLINE).out)["id"]
