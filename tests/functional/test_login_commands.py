"""`aerobot login`, `logout` and `workspaces`, run as processes against the emulated Aerostack."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aerostack_api import ACCOUNT_KEY, EMAIL, PASSWORD, AerostackApi, Fault, jwt, workspace
from tests.processes import Cli


@pytest.fixture
def api() -> Iterator[AerostackApi]:
    with AerostackApi() as running:
        yield running


@pytest.fixture
def cli(api: AerostackApi, tmp_path: Path) -> Cli:
    return Cli(tmp_path, AEROSTACK_API_URL=api.url)


def kept(cli: Cli) -> dict[str, str]:
    path = cli.home / "config" / "credentials.json"
    return json.loads(path.read_text())["tokens"] if path.exists() else {}


def by_environment(cli: Cli, *arguments: str, password: str = PASSWORD):
    return cli.run("login", *arguments, AEROBOT_EMAIL=EMAIL, AEROBOT_PASSWORD=password)


def test_login_keeps_the_token_for_this_user_alone(api: AerostackApi, cli: Cli) -> None:
    """The token goes into the user's folder, 0600, under the address it is for; its end is told."""
    done = by_environment(cli)
    assert done.code == 0, done.err
    assert kept(cli) == {api.url: api.token}
    path = cli.home / "config" / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "good until" in done.err
    assert "(in 23 h)" in done.err
    assert done.err.splitlines()[-1] == "Next: aerobot create"
    assert (done.out, api.token in done.err, PASSWORD in done.err) == ("", False, False)


def test_login_on_a_terminal_hides_the_password(api: AerostackApi, cli: Cli) -> None:
    """E-mail and password are asked for; the password does not appear on the screen."""
    done = cli.type("login", answers=[("E-mail of your Aerostack account: ", EMAIL), ("Password (hidden): ", PASSWORD)])
    assert done.code == 0, done.out
    assert EMAIL in done.out
    assert PASSWORD not in done.out
    assert kept(cli) == {api.url: api.token}


def test_login_without_a_terminal_says_how(api: AerostackApi, cli: Cli) -> None:
    """Without a terminal nothing is asked: exit 2, with both other ways."""
    done = cli.run("login")
    assert done.code == 2
    assert "AEROBOT_EMAIL" in done.err
    assert "--token -" in done.err
    assert api.seen == []


def test_a_wrong_password_is_tried_once(api: AerostackApi, cli: Cli) -> None:
    """Exit 3, what Aerostack said, the limit, one request, nothing kept."""
    done = by_environment(cli, password="wrong password")
    assert done.code == 3
    assert "does not accept this e-mail and password: Invalid email or password" in done.err
    assert "five attempts" in done.err
    assert "wrong password" not in done.err
    assert len(api.seen) == 1
    assert kept(cli) == {}


def test_login_json_is_one_document(api: AerostackApi, cli: Cli) -> None:
    """--json: one document with the expiry, no secret in it, nothing on stderr."""
    done = by_environment(cli, "--json")
    assert done.document["api_url"] == api.url
    assert done.document["expires_at"] > 1_700_000_000
    assert api.token not in done.out
    assert done.err == ""


def test_a_token_is_taken_from_stdin(api: AerostackApi, cli: Cli) -> None:
    """--token - reads the token, with or without "Bearer", and tries it once."""
    done = cli.run("login", "--token", "-", stdin=f"Bearer {api.token}\n")
    assert done.code == 0, done.err
    assert kept(cli) == {api.url: api.token}
    assert [seen.path for seen in api.seen] == ["/api/bots"]


def test_a_token_on_a_terminal_is_hidden(api: AerostackApi, cli: Cli) -> None:
    """--token - on a terminal asks, and shows nothing of it."""
    done = cli.type("login", "--token", "-", answers=[("Token (hidden): ", api.token)])
    assert done.code == 0, done.out
    assert api.token not in done.out


@pytest.mark.parametrize(
    ("token", "code", "words"),
    [
        ("", 2, "no token on stdin"),
        (ACCOUNT_KEY, 3, "holds an account key (ak_...)"),
        (jwt(expires_in=-60), 3, "login expired on"),
        (jwt(email="someone@else.example"), 3, "Nothing was kept."),
    ],
)
def test_a_token_that_will_not_do_is_not_kept(cli: Cli, token: str, code: int, words: str) -> None:
    """Empty, an account key, expired or refused: named, and nothing is kept."""
    done = cli.run("login", "--token", "-", stdin=token)
    assert (done.code, kept(cli)) == (code, {})
    assert words in done.err


def test_a_token_on_the_command_line_is_refused(api: AerostackApi, cli: Cli) -> None:
    """Others could read it there; it is not repeated in the refusal either."""
    done = cli.run("login", "--token", api.token)
    assert done.code == 2
    assert api.token not in done.err


def test_a_login_that_answers_otherwise_is_quoted(api: AerostackApi, cli: Cli) -> None:
    """What the platform said, and how to give a token by hand (exit 4)."""
    api.login_answer = {"message": "Second factor required", "ticket": "t-123456"}
    done = by_environment(cli)
    assert done.code == 4
    assert "without a token: Second factor required" in done.err
    assert "aerobot login --token -" in done.err
    assert "t-123456" not in done.err


def test_a_platform_without_login_shows_the_way_by_hand(api: AerostackApi, cli: Cli) -> None:
    """404 on the inferred endpoint: it may not be offered; the way by hand is shown (exit 4)."""
    api.fail(Fault(path="/api/auth/login", status=404))
    done = by_environment(cli)
    assert done.code == 4
    assert "may not offer POST /api/auth/login" in done.err
    assert "app.aerostack.dev" in done.err


def test_trouble_with_the_trial_does_not_lose_the_login(api: AerostackApi, cli: Cli) -> None:
    """The login is kept although it could not be tried; that is said."""
    api.fail(Fault(path="/api/bots", status=500))
    done = by_environment(cli)
    assert done.code == 0
    assert "could not be tried" in done.err
    assert kept(cli) == {api.url: api.token}


def test_a_login_that_is_overruled_is_said(api: AerostackApi, cli: Cli) -> None:
    """A token elsewhere wins over the kept login, and the command says where it stands."""
    cli.write(".env", f"AEROSTACK_TOKEN={jwt()}\n")
    done = by_environment(cli)
    assert "aerostack.token from .env AEROSTACK_TOKEN is used instead of this login." in done.err


def test_no_password_goes_in_the_clear(cli: Cli) -> None:
    """Plain http to another machine is refused before anything is asked or sent (exit 3)."""
    done = by_environment(Cli(cli.home.parent / "other", AEROSTACK_API_URL="http://api.aerostack.dev"))
    assert done.code == 3
    assert "aerostack.api_url is plain http" in done.err


def test_logout_forgets(api: AerostackApi, cli: Cli) -> None:
    """The kept token is gone; a second time there is nothing to forget."""
    by_environment(cli)
    done = cli.run("logout")
    assert (done.code, kept(cli)) == (0, {})
    assert "Forgotten" in done.err
    assert "There was no login" in cli.run("logout").err
    assert cli.run("workspaces").code == 3


def test_logout_says_where_a_token_still_stands(api: AerostackApi, cli: Cli) -> None:
    """A token of the environment is not ours to forget."""
    done = cli.run("logout", AEROSTACK_TOKEN=api.token)
    assert "still set by AEROSTACK_TOKEN" in done.err


def test_a_login_is_sent_to_its_own_address_alone(api: AerostackApi, cli: Cli) -> None:
    """The token kept for one origin is unknown to another."""
    by_environment(cli)
    with AerostackApi() as other:
        done = cli.run("bots", "list", AEROSTACK_API_URL=other.url)
        assert done.code == 3
        assert "You are not logged in" in done.err
        assert other.seen == []


def test_workspaces_are_listed_and_made(api: AerostackApi, cli: Cli) -> None:
    """A table for people, the API's own document for programs; a new one's id alone on stdout."""
    by_environment(cli)
    assert cli.run("workspaces").out.splitlines() == ["id    name  slug  servers", "ws_1  acme  acme  2"]
    done = cli.run("workspaces", "--create", "staging")
    assert (done.code, done.out) == (0, "ws_2\n")
    assert done.err.splitlines()[-1] == "Next: aerobot config set aerostack.workspace_id ws_2"
    assert [one["id"] for one in cli.run("workspaces", "--json").document["workspaces"]] == ["ws_1", "ws_2"]


def test_workspace_refusals_are_quoted(api: AerostackApi, cli: Cli) -> None:
    """Too short a name is a usage error; the plan's limit is told in Aerostack's words (exit 4)."""
    by_environment(cli)
    assert cli.run("workspaces", "--create", "x").code == 2
    api.workspaces += [workspace("ws_2", "two"), workspace("ws_3", "three")]
    done = cli.run("workspaces", "--create", "four")
    assert done.code == 4
    assert "MCP workspace limit reached for your plan" in done.err


def test_workspaces_take_an_account_key(api: AerostackApi, cli: Cli) -> None:
    """An account key is enough for workspaces."""
    assert cli.run("workspaces", AEROSTACK_API_KEY=ACCOUNT_KEY).code == 0


def test_errors_under_json_are_documents(cli: Cli) -> None:
    """One JSON document on stderr with kind, message, hint and code; stdout stays empty."""
    done = cli.run("workspaces", "--json")
    assert (done.code, done.out) == (3, "")
    assert json.loads(done.err)["error"] == {
        "kind": "config",
        "message": "You are not logged in to Aerostack.",
        "hint": "aerobot login, or set AEROSTACK_TOKEN.",
        "code": 3,
    }


def test_text_from_outside_cannot_steer_the_terminal(api: AerostackApi, cli: Cli) -> None:
    """A workspace's name with escapes and markup is shown, not obeyed."""
    by_environment(cli)
    api.workspaces = [workspace("ws_1", "\x1b[31mred[/b]")]
    done = cli.run("workspaces")
    assert "\x1b" not in done.out
    assert "\\u001b[31mred[/b]" in done.out


@pytest.mark.parametrize("command", ["login", "logout", "workspaces"])
def test_help_has_two_examples(cli: Cli, command: str) -> None:
    """Each help page shows two examples."""
    assert cli.run(command, "--help").out.count("$ aerobot") == 2
