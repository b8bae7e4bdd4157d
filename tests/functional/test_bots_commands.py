"""`create`, `activate`, `deactivate`, `ask` and `bots …`, run as processes against the emulated Aerostack."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aerostack_api import AerostackApi, Fault, workspace
from tests.processes import OFFLINE, Cli, running_host

CONFIG = """\
# Acme's bot
[bot]
name = "Acme Support"
system_prompt = "Be kind."  # for now

[whatsapp]
phone_number_id = "123456789012345"
"""
SECRETS = """\
AEROBOT_WHATSAPP_ACCESS_TOKEN=EAABsbCS1234567
AEROBOT_WHATSAPP_VERIFY_TOKEN=k7QdP0wZr3n8
AEROBOT_WHATSAPP_APP_SECRET=abc123def456abc123
"""
VALUES = ("EAABsbCS1234567", "k7QdP0wZr3n8", "abc123def456abc123")
FIRST = "bt_00000000000000000001"
WEBHOOK = f"https://api.aerostack.dev/api/bots/webhook/whatsapp/{FIRST}"


@pytest.fixture
def api() -> Iterator[AerostackApi]:
    with AerostackApi() as running:
        yield running


@pytest.fixture
def bare(api: AerostackApi, tmp_path: Path) -> Cli:
    """Logged in, with an empty project."""
    return Cli(tmp_path, AEROSTACK_API_URL=api.url, AEROSTACK_TOKEN=api.token, **OFFLINE)


@pytest.fixture
def cli(bare: Cli) -> Cli:
    """Logged in, with a project that has everything a bot needs."""
    bare.write("aerobot.toml", CONFIG)
    bare.write(".env", SECRETS)
    return bare


@pytest.fixture
def bot(api: AerostackApi, cli: Cli) -> dict[str, Any]:
    """The project's bot, created."""
    assert cli.run("create").code == 0
    api.seen.clear()
    return api.bots[FIRST]


# -- create ------------------------------------------------------------------------------------------------


def test_create_sends_what_was_set_and_keeps_the_id(api: AerostackApi, cli: Cli) -> None:
    """Only set fields are sent, the only workspace is taken, the id goes to stdout and into the file."""
    done = cli.run("create")
    assert (done.code, done.out) == (0, f"{FIRST}\n"), done.err
    assert api.calls("POST", "/api/bots")[0].body == {
        "name": "Acme Support",
        "platform": "whatsapp",
        "workspace_id": "ws_1",
        "system_prompt": "Be kind.",
        "platform_config": {
            "phone_number_id": "123456789012345",
            "access_token": "EAABsbCS1234567",
            "verify_token": "k7QdP0wZr3n8",
            "app_secret": "abc123def456abc123",
        },
    }
    text = (cli.project / "aerobot.toml").read_text()
    assert "# Acme's bot" in text
    assert "# for now" in text
    assert f'id = "{FIRST}"' in text
    assert "login good for 23 h" in done.err
    assert done.err.splitlines()[-1] == "Next: aerobot activate"
    assert not any(secret in done.err for secret in VALUES)


def test_every_field_has_a_flag(api: AerostackApi, cli: Cli) -> None:
    """Each field of POST /api/bots arrives under its own name and type."""
    cli.write("prompt.md", "You are Acme.\nBe kind.\n")
    cli.write("flow.json", '{"nodes": [], "edges": []}')
    flags = {
        "--name": "N", "--platform": "whatsapp", "--workspace-id": "ws_9", "--system-prompt": "@prompt.md",
        "--description": "D", "--llm-provider": "openai", "--llm-model": "gpt", "--billing-mode": "byok",
        "--llm-config": '{"temperature": 0.7}', "--max-loop-iterations": "5", "--max-tokens-per-turn": "100",
        "--timeout-ms": "60000", "--conversation-max-messages": "0", "--conversation-ttl-hours": "1.5",
        "--welcome-message": "Hello", "--fallback-message": "Sorry", "--spending-cap-cents": "500",
        "--workflow-json": "@flow.json", "--llm-api-key": "-", "--phone-number-id": "42",
        "--business-account-id": "43",
    }  # fmt: skip
    words = [word for pair in flags.items() for word in pair]
    done = cli.run("create", *words, "--no-enable-rag", "--workflow-enabled", stdin="sk-own-key\n")
    assert done.code == 0, done.err
    body = api.calls("POST", "/api/bots")[0].body
    config = body.pop("platform_config")
    assert (config["phone_number_id"], config["business_account_id"]) == ("42", "43")
    assert body == {
        "name": "N", "platform": "whatsapp", "workspace_id": "ws_9", "description": "D",
        "system_prompt": "You are Acme.\nBe kind.", "llm_provider": "openai", "llm_model": "gpt",
        "llm_api_key": "sk-own-key", "llm_config": {"temperature": 0.7}, "billing_mode": "byok",
        "max_loop_iterations": 5, "max_tokens_per_turn": 100, "timeout_ms": 60000, "enable_rag": False,
        "conversation_max_messages": 0, "conversation_ttl_hours": 1.5, "welcome_message": "Hello",
        "fallback_message": "Sorry", "spending_cap_cents": 500, "workflow_enabled": 1,
        "workflow_json": {"nodes": [], "edges": []},
    }  # fmt: skip


def test_every_trouble_is_told_at_once_and_nothing_is_sent(api: AerostackApi, bare: Cli) -> None:
    """Each missing or malformed setting by its name, the missing login too: exit 3, before any call."""
    bare.write(".env", "AEROBOT_WHATSAPP_VERIFY_TOKEN='two words'\nAEROBOT_WHATSAPP_ACCESS_TOKEN='Bearer EAAB'\n")
    done = bare.run("create", "--phone-number-id", "+1 555 010 4477", AEROSTACK_TOKEN="")
    assert done.code == 3
    lines = done.err.splitlines()
    assert lines[0] == "✗ 6 settings stand in the way."
    assert lines[1:-1:2] == [
        "  bot.name is missing",
        "  bot.system_prompt is missing",
        '  whatsapp.phone_number_id must be the ID, not the phone number "+1 555 010 4477" (flag)',
        '  whatsapp.access_token must be the token alone, without "Bearer" (.env AEROBOT_WHATSAPP_ACCESS_TOKEN)',
        "  whatsapp.verify_token must not contain white space (.env AEROBOT_WHATSAPP_VERIFY_TOKEN)",
        "  aerostack.token is missing: aerobot login, or set AEROSTACK_TOKEN",
    ]
    assert "two words" not in done.err
    assert api.seen == []


def test_without_an_app_secret_its_price_is_told(cli: Cli) -> None:
    """A bot without app_secret is created, and what that costs is said in plain words."""
    cli.write(".env", "".join(line + "\n" for line in SECRETS.splitlines()[:2]))
    done = cli.run("create")
    assert done.code == 0
    assert "Without whatsapp.app_secret nobody checks that messages come from Meta" in done.err


def test_dry_run_prints_the_request_and_sends_nothing(api: AerostackApi, cli: Cli) -> None:
    """The request on stdout, secrets masked, no call, no login needed, nothing written."""
    done = cli.run("create", "--dry-run", "--timeout-ms", "5000", AEROSTACK_TOKEN="")
    assert done.code == 0, done.err
    assert done.document["timeout_ms"] == 5000
    assert set(done.document["platform_config"].values()) == {"123456789012345", "***"}
    assert api.seen == []
    assert (cli.project / "aerobot.toml").read_text() == CONFIG


def test_a_second_bot_is_not_made_by_accident(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """With bot.id set: exit 3 with the three ways on, no call; --new makes one more and takes its place."""
    done = cli.run("create")
    assert done.code == 3
    assert all(way in done.err for way in ("aerobot bots update", "aerobot bots use", "--new"))
    assert api.seen == []
    assert cli.run("create", "--new").out == "bt_00000000000000000002\n"
    assert 'id = "bt_00000000000000000002"' in (cli.project / "aerobot.toml").read_text()


def test_the_id_goes_into_the_profile_in_use(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """With -p the id is written into that profile's section, and the base bot is not in the way."""
    text = (cli.project / "aerobot.toml").read_text()
    cli.write("aerobot.toml", text + '\n[profiles.staging.bot]\nname = "Acme Staging"\n')
    done = cli.run("create", "-p", "staging")
    assert done.code == 0, done.err
    assert api.bots["bt_00000000000000000002"]["name"] == "Acme Staging"
    shown = cli.run("bots", "show", "--json", "-p", "staging").document
    assert shown["id"] == "bt_00000000000000000002"
    assert cli.run("bots", "show", "--json").document["id"] == FIRST
    assert cli.run("create", "-p", "staging").code == 3


def test_without_a_file_one_is_written(api: AerostackApi, bare: Cli) -> None:
    """From flags and environment alone: ./aerobot.toml is made, and holds no secret."""
    bare.write(".env", SECRETS)
    done = bare.run("create", "--name", "A", "--system-prompt", "-", "--phone-number-id", "42", stdin="Be kind.\n")
    assert done.code == 0, done.err
    assert (bare.project / "aerobot.toml").read_text() == f'[bot]\nid = "{FIRST}"\n'


def test_several_workspaces_are_listed(api: AerostackApi, cli: Cli) -> None:
    """Without a terminal: exit 3 with the list, and no bot."""
    api.workspaces.append(workspace("ws_2", "staging"))
    done = cli.run("create")
    assert done.code == 3
    assert "ws_2  staging" in done.err
    assert "--workspace-id" in done.err
    assert api.bots == {}


def test_several_workspaces_are_offered_on_a_terminal(api: AerostackApi, cli: Cli) -> None:
    """On a terminal one picks by number; a wrong number is asked again."""
    api.workspaces.append(workspace("ws_2", "staging"))
    done = cli.type("create", answers=[("Number [1]: ", "7"), ("Number [1]: ", "2")])
    assert done.code == 0, done.out
    assert api.bots[FIRST]["workspace_id"] == "ws_2"


def test_no_workspace_names_the_command(api: AerostackApi, cli: Cli) -> None:
    """An account without workspaces is told how to make one (exit 3)."""
    api.workspaces.clear()
    done = cli.run("create")
    assert done.code == 3
    assert "aerobot workspaces --create NAME" in done.err


def test_a_lost_answer_is_settled_by_looking(api: AerostackApi, cli: Cli) -> None:
    """The creation happened, its answer was lost: exit 5 names the one new bot; nothing is sent twice."""
    api.fail(Fault(method="POST", path="/api/bots", drop="after"))
    done = cli.run("create")
    assert done.code == 5
    assert f"aerobot bots use {FIRST}" in done.err
    assert len(api.bots) == len(api.calls("POST", "/api/bots")) == 1
    assert (cli.project / "aerobot.toml").read_text() == CONFIG


def test_a_lost_answer_with_yes_takes_the_bot(api: AerostackApi, cli: Cli) -> None:
    """With --yes the one new bot that fits is taken."""
    api.add_bot(name="Acme Support", created_at="2020-01-01T00:00:00Z")
    api.fail(Fault(method="POST", path="/api/bots", drop="after"))
    done = cli.run("create", "--yes")
    assert (done.code, done.out) == (0, "bt_00000000000000000002\n")
    assert 'id = "bt_00000000000000000002"' in (cli.project / "aerobot.toml").read_text()


def test_a_lost_answer_is_offered_on_a_terminal(api: AerostackApi, cli: Cli) -> None:
    """On a terminal the bot is offered, and taken on a yes."""
    api.fail(Fault(method="POST", path="/api/bots", drop="after"))
    done = cli.type("create", answers=[("Is that it? [Y/n]: ", "")])
    assert done.code == 0, done.out
    assert f'id = "{FIRST}"' in (cli.project / "aerobot.toml").read_text()


def test_a_lost_request_leaves_no_bot(api: AerostackApi, cli: Cli) -> None:
    """The request itself was lost: no new bot fits, and that is said (exit 5)."""
    api.fail(Fault(method="POST", path="/api/bots", drop="before"))
    done = cli.run("create")
    assert done.code == 5
    assert "No new bot fits" in done.err


def test_refusals_are_quoted(api: AerostackApi, cli: Cli) -> None:
    """A 400 is told in Aerostack's words, without the secrets it quotes (exit 4)."""
    api.fail(Fault(method="POST", path="/api/bots", status=400, body={"error": "bad token EAABsbCS1234567"}))
    done = cli.run("create")
    assert done.code == 4
    assert "refused this (400): bad token ***." in done.err


def test_other_platforms_pass_their_config_through(api: AerostackApi, bare: Cli) -> None:
    """[bot.platform_config] is sent as it is; nothing of [whatsapp] is asked for."""
    bare.write("aerobot.toml", '[bot]\nplatform = "telegram"\n[bot.platform_config]\nbot_token = "123:abcdef"\n')
    done = bare.run("create", "--name", "T", "--system-prompt", "x")
    assert done.code == 0, done.err
    assert api.bots[FIRST]["platform_config"] == {"bot_token": "123:abcdef"}


def test_secrets_are_not_taken_from_the_command_line(api: AerostackApi, cli: Cli) -> None:
    """--llm-api-key takes only -, and its value is not repeated (exit 2)."""
    done = cli.run("create", "--llm-api-key", "sk-own-key")
    assert done.code == 2
    assert "AEROBOT_BOT_LLM_API_KEY" in done.err
    assert "sk-own-key" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--system-prompt", "@missing.md"), 3, "missing.md cannot be read"),
        (("--llm-config", "{"), 2, "--llm-config is not JSON"),
        (("--llm-config", "[1]"), 2, "--llm-config must be a JSON object"),
        (("--timeout-ms", "60001"), 2, "--timeout-ms"),
        (("--platform", "fax"), 2, "'fax' is not one of"),
        (("--system-prompt", "-", "--llm-api-key", "-"), 2, "Only one flag can read stdin"),
    ],
)
def test_flags_that_make_no_sense(cli: Cli, arguments: tuple[str, ...], code: int, words: str) -> None:
    """A wrong flag is named with what is wrong about it."""
    done = cli.run("create", *arguments)
    assert done.code == code
    assert words in done.err


def test_the_nearer_prompt_wins(api: AerostackApi, cli: Cli) -> None:
    """A file beside the config is read; what a flag or a profile sets beats what the base file sets."""
    cli.write("p.md", "From the file.")
    cli.write("aerobot.toml", CONFIG.replace('system_prompt = "Be kind."', 'system_prompt_file = "p.md"'))
    assert cli.run("create", "--dry-run").document["system_prompt"] == "From the file."
    assert cli.run("create", "--dry-run", "--system-prompt", "x").document["system_prompt"] == "x"
    cli.write("aerobot.toml", CONFIG + '[profiles.dev.bot]\nsystem_prompt_file = "p.md"\n')
    assert cli.run("create", "--dry-run").document["system_prompt"] == "Be kind."
    assert cli.run("create", "--dry-run", "-p", "dev").document["system_prompt"] == "From the file."


def test_create_json_is_the_bot_with_secrets_masked(api: AerostackApi, cli: Cli) -> None:
    """One document with the API's own keys at top level, even where the API answers wrapped and tells secrets."""
    api.wrapped = api.echo_secrets = True
    done = cli.run("create", "--json")
    assert done.document["id"] == FIRST
    assert done.document["platform_config"]["access_token"] == "***"
    assert not any(secret in done.out + done.err for secret in VALUES)


# -- activate, deactivate, ask -----------------------------------------------------------------------------


def test_activate_prints_the_webhook_url_alone_on_stdout(cli: Cli, bot: dict[str, Any]) -> None:
    """stdout is the URL; stderr has the steps, the usual causes, and off a terminal no verify token."""
    done = cli.run("activate", "--no-validate")
    assert (done.code, done.out) == (0, f"{WEBHOOK}\n"), done.err
    assert done.err.splitlines()[0] == f"Active: Acme Support ({FIRST})."
    assert "WhatsApp > Configuration > Webhook > Edit" in done.err
    assert 'subscribe "messages"' in done.err
    assert "the 24-hour window" in done.err
    assert "k7QdP0wZr3n8" not in done.err
    assert "k7QdP0wZr3n8" in cli.run("activate", "--show-secrets").err
    assert all(len(line) <= 80 for line in done.err.splitlines())


def test_activate_on_a_terminal_shows_the_users_own_values(cli: Cli, bot: dict[str, Any]) -> None:
    """The app's own address and the verify token, ready to be copied; the URL is not wrapped."""
    done = cli.type("activate", answers=[], AEROBOT_WHATSAPP_APP_ID="1029384756")
    assert "https://developers.facebook.com/apps/1029384756" in done.out
    assert "Verify token   k7QdP0wZr3n8" in done.out
    assert WEBHOOK in done.out.splitlines()


def test_activate_prints_single_values(cli: Cli, bot: dict[str, Any]) -> None:
    """--print: that value and nothing else."""
    assert cli.run("activate", "--print", "webhook-url").out == f"{WEBHOOK}\n"
    done = cli.run("activate", "--print", "verify-token")
    assert (done.out, done.err) == ("k7QdP0wZr3n8\n", "")


def test_the_verify_token_of_another_bot_is_not_made_up(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """For a bot that these settings did not create, nobody here knows the verify token (exit 3)."""
    api.add_bot(id="bt_other", platform_config={"phone_number_id": "999"})
    done = cli.run("activate", "bt_other", "--print", "verify-token")
    assert (done.code, done.out) == (3, "")


def test_activate_json(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """The API's own keys at top level; warnings on stderr; the verify token only when asked for."""
    api.activation = {"warnings": ["token EAABsbCS1234567 dies soon"]}
    api.wrapped = True
    done = cli.run("activate", "--json", "--no-validate")
    assert done.document == {
        "id": FIRST,
        "status": "active",
        "webhook_url": WEBHOOK,
        "manual_setup_required": True,
        "warnings": ["token *** dies soon"],
    }
    assert json.loads(done.err)["warning"]["message"] == "token *** dies soon"
    assert cli.run("activate", "--json", "--show-secrets").document["verify_token"] == "k7QdP0wZr3n8"


def test_activate_links_to_the_number_where_it_is_known(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """wa.me is offered where somebody tells the number."""
    bot["platform_config"]["display_phone_number"] = "+1 555-010-4477"
    assert "https://wa.me/15550104477" in cli.run("activate").err


def test_activate_without_a_manual_step(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """Where the platform set the webhook itself, no portal is mentioned."""
    api.activation = {"manual_setup_required": False}
    done = cli.run("activate", "--no-validate")
    assert "Nothing is left to set up" in done.err
    assert "Meta" not in done.err


def test_activate_waits_for_the_first_conversation(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """--wait ends with 0 as soon as the bot has a conversation."""
    api.conversations_after = 2
    done = cli.run("activate", "--wait", "--json")
    assert done.code == 0, done.err
    assert done.document["conversation_count"] == 1


def test_activate_wait_ends_in_time(cli: Cli, bot: dict[str, Any]) -> None:
    """Nobody wrote: exit 6 with the usual causes; the URL was printed all the same."""
    done = cli.run("activate", "--wait", "--timeout", "1")
    assert (done.code, done.out) == (6, f"{WEBHOOK}\n")
    assert "within 1 s" in done.err
    assert 'is "messages" subscribed?' in done.err


def test_activate_wait_can_be_interrupted(cli: Cli, bot: dict[str, Any]) -> None:
    """Ctrl-C while waiting: 130, without a traceback."""
    process = cli.start("activate", "--wait")
    assert process.stdout is not None
    assert process.stdout.readline() == f"{WEBHOOK}\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_activate_without_a_bot(bare: Cli) -> None:
    """No bot named and none in the settings: exit 3 with both ways on."""
    done = bare.run("activate")
    assert done.code == 3
    assert "aerobot create" in done.err


def test_deactivate(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """The bot is inactive, and the command says how to wake it."""
    done = cli.run("deactivate")
    assert (done.code, bot["status"]) == (0, "inactive")
    assert done.err.splitlines()[0] == f"Inactive: {FIRST}."
    assert cli.run("deactivate", "--json").document == {"id": FIRST, "status": "inactive"}


def test_deactivate_where_it_is_not_offered(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """The inferred call is missing: the platform may not offer it (exit 4)."""
    api.offered.discard("deactivate")
    done = cli.run("deactivate")
    assert done.code == 4
    assert "may not offer POST" in done.err


def test_ask_prints_the_answer_alone_on_stdout(cli: Cli, bot: dict[str, Any]) -> None:
    """The reply on stdout; tools, tokens, cost, latency and the fact that it is billed on stderr."""
    done = cli.run("ask", "Where is [b]order[/b] 1234?")
    assert (done.code, done.out) == (0, "You said: Where is [b]order[/b] 1234?\n")
    assert "bills it" in done.err
    assert "orders__get_order  230 ms" in done.err
    assert "485 tokens in, 42 out, 1 cent, 2.3 s, conversation bconv_abc123" in done.err


def test_ask_json_masks_what_tools_found(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """The API's document, wrapped or not, with secrets of tool results masked."""
    api.wrapped = True
    document = cli.run("ask", "-", "--json", "--bot", FIRST, stdin="Hi\n").document
    assert document["response"] == "You said: Hi"
    assert document["tool_calls"][0]["result"] == {"status": "shipped", "token": "***"}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault(path=".*/test", status=429), 4, "rate limit is reached"),
        (
            Fault(path=".*/test", status=402, body={"error": "Insufficient balance"}),
            4,
            "Insufficient balance",
        ),
        (Fault(path=".*/test", drop="before"), 5, "look before you repeat it"),
        (Fault(path=".*/test", status=200, body={"response": ""}), 6, "without a text"),
    ],
)
def test_ask_that_fails(api: AerostackApi, cli: Cli, bot: dict[str, Any], fault: Fault, code: int, words: str) -> None:
    """Never repeated by itself; each cause with its own exit code."""
    api.fail(fault)
    done = cli.run("ask", "Hi")
    assert done.code == code
    assert words in done.err
    assert len(api.calls("POST")) == 1


# -- bots --------------------------------------------------------------------------------------------------


def test_bots_list(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """A table for people within 80 columns, the API's document for programs."""
    api.add_bot(name="A very long name of a bot that nobody can read", conversation_count=42)
    done = cli.run("bots", "list")
    lines = done.out.splitlines()
    assert lines[0].split() == ["id", "name", "platform", "status", "chats"]
    assert lines[2].split()[0] == "bt_00000000000000000002"
    assert max(map(len, lines)) <= 80
    assert f"In use here: {FIRST} (bot.id, aerobot.toml)" in done.err
    assert [one["id"] for one in cli.run("bots", "list", "--json").document["bots"]] == list(api.bots)


def test_bots_list_without_bots(bare: Cli) -> None:
    """An empty account is told the next command; its document is an empty list."""
    assert "Next: aerobot create" in bare.run("bots", "list").err
    assert bare.run("bots", "list", "--json").document == {"bots": []}


def test_bots_show_never_shows_secrets(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """Even where the platform echoes them."""
    api.echo_secrets = True
    done = cli.run("bots", "show")
    assert f"id                  {FIRST}" in done.out
    assert not any(secret in done.out + cli.run("bots", "show", "--json").out for secret in VALUES)


def test_bots_update_sends_only_what_flags_name(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """Settings of the file are not sent along, and an emptied text is sent empty."""
    done = cli.run("bots", "update", "--name", "New", "--welcome-message", "", "--no-workflow-enabled")
    assert done.code == 0, done.err
    assert api.calls("PATCH")[0].body == {"name": "New", "welcome_message": "", "workflow_enabled": 0}
    assert cli.run("bots", "update").code == 2


def test_bots_update_whatsapp_sends_everything(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """The whole platform_config, for the platform replaces it."""
    assert cli.run("bots", "update", "--whatsapp").code == 0
    assert sorted(api.calls("PATCH")[0].body["platform_config"]) == [
        "access_token",
        "app_secret",
        "phone_number_id",
        "verify_token",
    ]


def test_bots_update_whatsapp_erases_nothing_unasked(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """What is set there and not here is named, and only --yes lets go of it."""
    cli.write(".env", "".join(line + "\n" for line in SECRETS.splitlines()[:2]))
    done = cli.run("bots", "update", "--whatsapp")
    assert done.code == 3
    assert "That would erase app_secret:" in done.err
    assert api.calls("PATCH") == []
    bot["platform_config"] = {}
    assert "erase app_secret and business_account_id, if set there" in cli.run("bots", "update", "--whatsapp").err
    assert cli.run("bots", "update", "--whatsapp", "--yes").code == 0


def test_bots_delete_wants_a_name_and_a_yes(api: AerostackApi, cli: Cli, bot: dict[str, Any]) -> None:
    """Never the bot of the settings by default, never without a question; then its id leaves the file."""
    assert cli.run("bots", "delete").code == 2
    assert cli.run("bots", "delete", FIRST).code == 2
    done = cli.type("bots", "delete", FIRST, answers=[("for good? [y/N]: ", "")])
    assert "Nothing was deleted." in done.out
    assert FIRST in api.bots
    done = cli.type("bots", "delete", FIRST, answers=[("for good? [y/N]: ", "y")])
    assert (done.code, api.bots) == (0, {})
    assert FIRST not in (cli.project / "aerobot.toml").read_text()


def test_bots_delete_json(api: AerostackApi, cli: Cli) -> None:
    """A document that says what is gone."""
    api.add_bot(id="bt_1")
    assert cli.run("bots", "delete", "bt_1", "--yes", "--json").document == {"id": "bt_1", "deleted": True}


def test_bots_use_adopts(api: AerostackApi, cli: Cli) -> None:
    """An existing bot's id goes into the file; one that does not exist is refused (exit 4), nothing written."""
    api.add_bot(id="bt_mine", name="Mine")
    assert cli.run("bots", "use", "bt_nope").code == 4
    assert (cli.project / "aerobot.toml").read_text() == CONFIG
    done = cli.run("bots", "use", "bt_mine")
    assert done.code == 0
    assert "In use: Mine (bt_mine), bot.id in aerobot.toml." in done.err
    assert cli.run("activate", "--print", "webhook-url").out.endswith("/bt_mine\n")


def test_bots_use_says_what_still_wins(api: AerostackApi, cli: Cli) -> None:
    """A bot.id of the environment stays above the file, and that is said."""
    api.add_bot(id="bt_mine")
    done = cli.run("bots", "use", "bt_mine", AEROBOT_BOT_ID="bt_env")
    assert "bot.id from AEROBOT_BOT_ID still wins" in done.err


# -- --local -----------------------------------------------------------------------------------------------


@pytest.fixture
def host(cli: Cli) -> Iterator[AerostackApi]:
    """A local host that is running, as far as the commands can tell."""
    with AerostackApi(local=True) as running:
        running_host(cli, running.url, running.token)
        yield running


def test_local_talks_to_the_local_host_and_to_nothing_else(api: AerostackApi, cli: Cli, host: AerostackApi) -> None:
    """create … delete --local: the record's address and token, no workspace, no login, no id in the file."""
    done = cli.run("create", "--local", AEROSTACK_TOKEN="")
    assert (done.code, done.out) == (0, f"{FIRST}\n"), done.err
    assert done.err.splitlines()[-1] == f"Next: aerobot activate {FIRST} --local"
    assert "workspace_id" not in host.calls("POST", "/api/bots")[0].body
    assert (cli.project / "aerobot.toml").read_text() == CONFIG
    assert cli.run("activate", "--local").out == f"{host.url}/api/bots/webhook/whatsapp/{FIRST}\n"
    assert cli.run("ask", "Hi", "--local").out == "You said: Hi\n"
    assert cli.run("bots", "list", "--local", "--json").document["bots"][0]["id"] == FIRST
    assert cli.run("bots", "update", "--local", "--name", "X").code == 0
    assert cli.run("deactivate", "--local").code == 0
    assert cli.run("bots", "delete", FIRST, "--local", "--yes").code == 0
    assert api.seen == []


def test_local_activation_says_that_meta_cannot_reach_it(cli: Cli, host: AerostackApi) -> None:
    """A loopback URL is not worth pasting into Meta's portal; the command says what is."""
    host.add_bot(id="bt_1")
    done = cli.run("activate", "bt_1", "--local")
    assert "aerobot serve --tunnel" in done.err
    assert "developers.facebook.com" not in done.err


def test_local_with_several_bots_wants_one_named(cli: Cli, host: AerostackApi) -> None:
    """The one with the settings' phone number id is meant; else the ids are listed (exit 3)."""
    host.add_bot(id="bt_1", platform_config={"phone_number_id": "1"})
    host.add_bot(id="bt_2", platform_config={"phone_number_id": "2"})
    done = cli.run("deactivate", "--local")
    assert done.code == 3
    assert "bt_1, bt_2" in done.err


def test_local_conflicts_are_quoted(cli: Cli, host: AerostackApi) -> None:
    """409 of the local host is told in its own words (exit 4)."""
    host.add_bot(id="bt_1")
    host.fail(Fault(method="DELETE", status=409, body={"error": "This bot lives in the settings"}))
    done = cli.run("bots", "delete", "bt_1", "--local", "--yes")
    assert done.code == 4
    assert "The local host refused this (409): This bot lives in the settings." in done.err


def test_a_local_bot_that_fails_gave_no_reply(cli: Cli, host: AerostackApi) -> None:
    """An engine that raised or was late is exit 6, with what the host said about it."""
    host.add_bot(id="bt_1")
    host.fail(Fault(path=".*/test", status=502, body={"error": "The bot failed: KeyError"}))
    done = cli.run("ask", "Hi", "--local")
    assert done.code == 6
    assert "The bot failed: KeyError" in done.err


def test_local_without_a_host(cli: Cli) -> None:
    """Nothing runs: exit 5 with the command that starts one."""
    done = cli.run("bots", "list", "--local")
    assert done.code == 5
    assert "aerobot serve" in done.err


def test_local_without_the_host_of_the_record(cli: Cli, host: AerostackApi) -> None:
    """A record of a host that no longer listens is no host (exit 5)."""
    running_host(cli, "http://127.0.0.1:9", host.token)
    done = cli.run("ask", "Hi", "--bot", "bt_1", "--local")
    assert done.code == 5
    assert "Nothing listens at 127.0.0.1:9" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("create",),
        ("activate",),
        ("deactivate",),
        ("ask",),
        *(("bots", c) for c in ("list", "show", "update", "delete", "use")),
    ],
)
def test_help_has_two_examples(bare: Cli, command: tuple[str, ...]) -> None:
    """Each help page shows two examples."""
    assert bare.run(*command, "--help").out.count("$ aerobot") == 2
