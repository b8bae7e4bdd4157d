"""`aerobot doctor` as a process: each broken set-up is found by name, with its remedy; what can be healed is."""

import hashlib
import hmac
import json
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aerobot.host.paths import path_of
from aerobot.store.roster import derived_id
from tests.aerostack_api import AerostackApi, Fault, jwt
from tests.emulated import EmulatedMeta
from tests.processes import Cli, Ended
from tests.running import Running

OTHER_SECRET = "0123456789abcdef0123456789abcdef"
DEAD = "http://127.0.0.1:9/api/bots/webhook/whatsapp/bt_gone"
PIN = "123456"
AGENT = Path(__file__).parents[1] / "ngrok_agent.py"


class World:
    """An emulated Meta, a project whose settings fit it, and whatever else a test adds."""

    def __init__(self, folder: Path, meta: EmulatedMeta) -> None:
        self.meta, found = meta, meta.credentials
        self.cli = Cli(folder)
        self.secrets = [found.access_token, found.verify_token, found.app_secret, OTHER_SECRET]
        self.toml(
            bot="",
            phone_number_id=found.phone_number_id,
            business_account_id=found.business_account_id,
            app_id=found.app_id,
        )
        self.cli.write(
            ".env",
            f"AEROBOT_WHATSAPP_ACCESS_TOKEN={found.access_token}\nAEROBOT_WHATSAPP_VERIFY_TOKEN={found.verify_token}\n"
            f"AEROBOT_WHATSAPP_APP_SECRET={found.app_secret}\n",
        )
        self.cli.environ |= {"AEROBOT_SERVE_PORT": "0", "AEROBOT_SERVE_PRIVATE_PORT": "0"}

    def toml(self, *, bot: str, **whatsapp: str) -> None:
        """The project's file."""
        lines = [f'{key} = "{value}"' for key, value in {"graph_url": self.meta.url, **whatsapp}.items()]
        self.cli.write("aerobot.toml", f"{bot}\n[whatsapp]\n" + "\n".join(lines) + "\n")

    def arrange(self, **changes: Any) -> None:
        """Break (or mend) the emulated world."""

        async def change() -> None:
            self.meta.emulator.arrange(**changes)

        self.meta.run(change())

    def portal(self) -> dict[str, Any]:
        """The emulated world as it is."""

        async def look() -> dict[str, Any]:
            return dict(self.meta.emulator.portal.document())

        found: dict[str, Any] = self.meta.run(look())
        return found

    def run(self, *arguments: str, **more: Any) -> Ended:
        """Run the doctor; nothing it prints is ever a secret."""
        return self.checked(self.cli.run("doctor", *arguments, **more))

    def checked(self, done: Ended) -> Ended:
        assert not [secret for secret in self.secrets if secret in done.out + done.err], "a secret was printed"
        assert "Traceback" not in done.err
        assert all(len(line) <= 80 for line in done.err.splitlines() if "http" not in line), done.err
        return done

    def found(self, *arguments: str, **more: Any) -> dict[str, dict[str, Any]]:
        """What the doctor found that does not hold, by name; a failure and exit 7 go together."""
        done = self.run("--json", *arguments, **more)
        document = done.document
        bad = {one["name"]: one for one in document["findings"] if one["state"] in ("failed", "warning")}
        failed = [one for one in bad.values() if one["state"] == "failed"]
        assert done.code == (7 if failed else 0), done.err
        assert document["failed"] >= bool(failed)
        return bad


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


@pytest.fixture
def world(tmp_path: Path, meta: EmulatedMeta) -> World:
    return World(tmp_path, meta)


@pytest.fixture
def host(world: World, meta: EmulatedMeta) -> Iterator[Running]:
    """A host of the project, and Meta pointed at it at app level: everything holds."""
    with Running(["serve", "echo", "--json"], cwd=world.cli.project, env=world.cli.environ) as running:
        ready = running.event("ready")
        meta.run(meta.emulator.connect(ready["webhook_url"]))
        yield running


# -- all is well ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("host")
def test_a_healthy_host_has_nothing_failed(world: World) -> None:
    """Each link is a line in its place; nothing fails, exit 0; the last line names what comes next."""
    done = world.run()
    assert done.code == 0, done.err
    assert done.out == ""
    topics = [line.split()[1] for line in done.err.splitlines() if line.startswith("  ")]
    assert topics == [
        "files", "Aerostack", "token", "secret", "number", "WABA", "field", "callback", "public", "delivery", "host",
        "store", "engine", "clock", "window", "live",
    ]  # fmt: skip
    assert "aerobot.toml, .env 0600, not in git" in done.err
    assert "TEST, connected, GREEN" in done.err
    assert "(this laptop)" in done.err
    assert "our challenge answered on this machine" in done.err
    assert "by Meta" not in done.err
    assert "aerostack.token is not set" in done.err
    assert done.err.splitlines()[-2:] == ["3 skipped.", "Next: aerobot doctor --live"]


def test_through_the_tunnel_is_said_so(world: World, meta: EmulatedMeta) -> None:
    """Behind a tunnel the challenge and the delivery go through it; that is never called Meta's."""
    env = {**world.cli.environ, "PYNGROK_NGROK_PATH": str(AGENT), "AEROBOT_TUNNEL_AUTHTOKEN": "2abcDEFghi_authtoken"}
    with Running(["serve", "echo", "--tunnel", "--json"], cwd=world.cli.project, env=env) as running:
        meta.run(meta.emulator.connect(running.event("ready", timeout=40)["webhook_url"]))
        done = world.run()
        assert running.stop() == 130
    assert done.code == 0, done.err
    assert "our challenge answered through the tunnel" in done.err
    assert "taken through the tunnel" in done.err


@pytest.mark.usefixtures("host")
def test_one_group_is_checked_with_what_it_needs(world: World) -> None:
    """--only shows the group's lines alone, and what stands in its way; an unknown group names the groups."""
    done = world.run("--only", "field", "--json")
    assert {one["group"] for one in done.document["findings"]} == {"field"}
    world.arrange(token="expired")
    assert set(world.found("--only", "waba")) == {"token_expired"}
    wrong = world.run("--only", "moon")
    assert (wrong.code, "callback" in wrong.err) == (2, True)


# -- broken at Meta ------------------------------------------------------------------------------------------

BROKEN: Mapping[str, tuple[dict[str, Any], set[str], str]] = {
    "expired token": ({"token": "expired"}, {"token_expired"}, "System users"),
    "invalidated token": ({"token": "invalidated"}, {"token_invalid"}, "System users"),
    "unknown token": ({"token": "unknown"}, {"token_invalid"}, "System users"),
    "temporary token": (
        {"token_type": "USER", "token_expires_at": time.time() + 3 * 3600}, {"token_temporary"}, "expiration Never",
    ),
    "missing scope": (
        {"token_scopes": ["business_management", "whatsapp_business_management"]},
        {"token_scopes_missing"}, "whatsapp_business_messaging",
    ),
    "disconnected number": ({"number_status": "DISCONNECTED"}, {"number_disconnected"}, "WhatsApp Manager"),
    "banned number": ({"number_status": "BANNED"}, {"number_disconnected"}, "WhatsApp Manager"),
    "red quality": ({"quality_rating": "RED"}, {"number_quality"}, "Insights"),
    "unregistered number": ({"registered": False}, {"number_unregistered"}, "--pin -"),
    "app not subscribed": ({"account_subscribed": False}, {"waba_not_subscribed"}, "doctor --fix"),
    "field missing": ({"app_fields": ["account_update"]}, {"field_missing"}, "doctor --fix"),
    "override to a dead host": ({"number_callback": DEAD}, {"override_dead"}, "clear the phone override"),
    "account's override to a dead host": ({"account_callback": DEAD}, {"override_dead"}, "clear the waba override"),
    "app's callback dead": ({"app_callback": DEAD}, {"callback_dead"}, "aerobot phone connect URL"),
    "no callback": ({"app_callback": ""}, {"callback_none"}, "aerobot phone connect URL"),
    "Graph answers with a web page": ({"outage": "html"}, {"graph_unreachable"}, "graph_url"),
    "Graph is down": ({"outage": "unavailable"}, {"refused_2"}, "metastatus"),
}  # fmt: skip


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_at_meta_is_named(world: World, case: str) -> None:
    """The broken link alone is bad, it has a remedy, and what builds on it is skipped."""
    changes, names, remedy = BROKEN[case]
    world.arrange(**changes)
    found = world.found()
    assert set(found) == names
    assert all(remedy in one["remedy"] for one in found.values()), found


@pytest.mark.usefixtures("host")
def test_a_warning_fails_under_strict_alone(world: World) -> None:
    """A token that dies soon is a warning: exit 0, with --strict 7."""
    world.arrange(token_expires_at=time.time() + 2 * 86400)
    assert world.run().code == 0
    done = world.run("--strict")
    assert done.code == 7
    assert "1 warning" in done.err


@pytest.mark.usefixtures("host")
def test_a_token_of_another_app(world: World, meta: EmulatedMeta) -> None:
    """The app is named; without whatsapp.app_id it is the secret that does not fit."""
    other = meta.emulator.portal.other_app
    world.arrange(token_app_id=other.id, app_callback="")
    found = world.found()
    assert f"Another app ({other.id})" in found["token_other_app"]["seen"]
    world.toml(
        bot="",
        phone_number_id=meta.credentials.phone_number_id,
        business_account_id=meta.credentials.business_account_id,
    )
    assert "secret_wrong" in world.found()


@pytest.mark.usefixtures("host")
def test_a_number_of_another_account(world: World, meta: EmulatedMeta) -> None:
    """Whether or not the token may see the number, it is said that the WABA does not have it."""
    ours, other = meta.credentials.business_account_id, meta.emulator.portal.other_account_id
    world.arrange(number_account_id=other, token_targets=[ours, other])
    assert "number_not_in_waba" in world.found()
    world.arrange(token_targets=[ours])
    assert "number_not_in_waba" in world.found()


@pytest.mark.usefixtures("host")
def test_somebody_elses_callback(world: World, meta: EmulatedMeta) -> None:
    """A callback that lives and is not ours is named by its host, and is not asked with our verify token."""
    world.arrange(number_callback=f"{meta.url}/hook")
    found = world.found()
    assert set(found) == {"callback_not_ours"}
    assert meta.url.split("/")[2] in found["callback_not_ours"]["seen"]
    paths = [event["path"] for event in meta.seen if event["event"] == "graph"]
    assert "/hook" in paths
    assert not [event for event in meta.seen if "verify_token" in json.dumps(event, default=str)]


@pytest.mark.usefixtures("host")
def test_an_old_tunnel_of_ours(world: World, meta: EmulatedMeta) -> None:
    """An override that names our bot at a host that is gone is one failure; the delivery goes to the host that runs."""
    world.arrange(number_callback="http://127.0.0.1:9" + path_of(derived_id(meta.credentials.phone_number_id)))
    assert set(world.found()) == {"override_dead"}


@pytest.mark.usefixtures("host")
def test_a_host_that_only_fails_now_keeps_its_override(world: World, meta: EmulatedMeta) -> None:
    """A host that answers 503 may be back in a minute, or may answer Meta alone: it is named, not cleared."""
    with AerostackApi() as proxy:
        proxy.fail(Fault(status=503), times=2)
        world.arrange(number_callback=f"{proxy.url}/hook?key={OTHER_SECRET}")
        done = world.run("--json")
    bad = [one["name"] for one in done.document["findings"] if one["state"] == "failed"]
    assert bad == ["callback_silent"]
    assert done.document["fixes"] == []


def test_graph_cannot_be_reached(world: World) -> None:
    """One line names it; what needs Graph is skipped, not tried again."""
    found = world.found(AEROBOT_WHATSAPP_GRAPH_URL="http://127.0.0.1:9")
    assert "graph_unreachable" in found
    assert "127.0.0.1:9" in found["graph_unreachable"]["seen"]
    done = world.run(AEROBOT_WHATSAPP_GRAPH_URL="http://127.0.0.1:9")
    assert done.err.count("skipped: Graph first") == 8, done.err


# -- broken here ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(("variables", "name", "remedy"), [
    ({"AEROBOT_WHATSAPP_APP_SECRET": OTHER_SECRET}, "secret_wrong", "App settings > Basic"),
    ({"AEROBOT_WHATSAPP_APP_SECRET": "0123456789"}, "app_secret_form", "App settings > Basic"),
    ({"AEROBOT_WHATSAPP_ACCESS_TOKEN": OTHER_SECRET}, "access_token_form", "API Setup"),
    ({"AEROBOT_WHATSAPP_VERIFY_TOKEN": "quite-another-word"}, "verify_token_wrong", "verify_token"),
])  # fmt: skip
def test_a_wrong_secret_is_named(world: World, variables: dict[str, str], name: str, remedy: str) -> None:
    """The secret that does not fit is named, and where the right one is found; its value never is."""
    world.secrets += variables.values()
    found = world.found(**variables)
    assert set(found) == {name}
    assert remedy in found[name]["remedy"]


@pytest.mark.usefixtures("host")
def test_a_secret_with_a_line_break(world: World, meta: EmulatedMeta) -> None:
    """A line break after the secret is found and named: a warning, for it is left out here."""
    found = world.found(AEROBOT_WHATSAPP_APP_SECRET=meta.credentials.app_secret + "\n")
    assert set(found) == {"secret_white_space"}
    assert found["secret_white_space"]["seen"] == "whatsapp.app_secret had a line break around it"


@pytest.mark.usefixtures("host")
def test_swapped_ids(world: World, meta: EmulatedMeta) -> None:
    """The phone number's id and the WABA's in each other's place are recognised."""
    ours = meta.credentials
    world.toml(bot="", phone_number_id=ours.business_account_id, business_account_id=ours.phone_number_id)
    found = world.found("--only", "number")
    assert set(found) == {"ids_swapped"}
    assert "swapped" in found["ids_swapped"]["seen"]


def test_a_missing_credential_is_named(world: World) -> None:
    """A check that lacks a credential is skipped and says which; what follows from it too."""
    (world.cli.project / ".env").unlink()
    done = world.run()
    assert "token     skipped: whatsapp.access_token is not set" in done.err
    assert "secret    skipped: whatsapp.app_secret is not set" in done.err
    assert "number    skipped: whatsapp.access_token is not set" in done.err


def test_an_empty_folder_is_told_to_begin(tmp_path: Path) -> None:
    """With nothing set up the first remedy is aerobot init."""
    done = Cli(tmp_path).run("doctor")
    assert done.code == 7
    assert done.err.splitlines()[-1] == "Next: aerobot init"


def test_a_broken_file_is_a_finding(world: World) -> None:
    """A configuration that cannot be read is a failed line, not a crash."""
    world.cli.write("aerobot.toml", "[whatsapp\n")
    assert set(world.found()) == {"config_unreadable"}


@pytest.mark.usefixtures("host")
def test_secrets_that_others_can_read(world: World) -> None:
    """A readable .env fails, and --fix makes it private."""
    path = world.cli.project / ".env"
    path.chmod(0o644)
    found = world.found()
    assert set(found) == {"env_readable"}
    assert found["env_readable"]["remedy"] == "chmod 600 .env"
    done = world.run("--fix", "--yes")
    assert done.code == 0, done.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("host")
def test_secrets_in_git(world: World) -> None:
    """A .env that git tracks fails."""
    (world.cli.project / ".git").rmdir()
    for words in (["init", "-q"], ["add", "-f", ".env"]):
        subprocess.run(["git", *words], cwd=world.cli.project, check=True)
    found = world.found()
    assert set(found) == {"env_tracked"}
    assert found["env_tracked"]["remedy"].startswith("git rm --cached .env")


def test_no_host_is_running(world: World) -> None:
    """Where no host answers for the number, that is said, and how to start one."""
    found = world.found()
    assert found["host_not_running"]["remedy"] == "aerobot serve"


def test_a_host_with_another_secret(world: World, meta: EmulatedMeta) -> None:
    """A host that was started with another app secret refuses what Meta signs: the delivery says so."""
    env = {**world.cli.environ, "AEROBOT_WHATSAPP_APP_SECRET": OTHER_SECRET}
    with Running(["serve", "echo", "--json"], cwd=world.cli.project, env=env) as running:
        meta.run(meta.emulator.connect(running.event("ready")["webhook_url"]))
        found = world.found()
    assert set(found) == {"delivery_refused"}


def test_a_bot_that_cannot_be_loaded_again(world: World, meta: EmulatedMeta) -> None:
    """A save that broke the bot's file is named while the former version answers."""
    bot = world.cli.write("bot.py", "def reply(turn): return 'one'\n")
    with Running(["serve", "bot.py", "--json"], cwd=world.cli.project, env=world.cli.environ) as running:
        meta.run(meta.emulator.connect(running.event("ready")["webhook_url"]))
        bot.write_text("def reply(turn: return\n")
        running.event("reloaded")
        found = world.found()
        assert set(found) == {"engine_broken"}
        seen = found["engine_broken"]["seen"]
        assert seen.startswith("bot.py cannot be loaded: SyntaxError: ")
        assert seen.count("loaded") == 1


@pytest.mark.usefixtures("host")
def test_the_last_conversations_window(world: World, meta: EmulatedMeta) -> None:
    """Once somebody wrote, the session window of that conversation is told."""
    meta.run(meta.emulator.say("Hi"))
    meta.until(lambda: bool(meta.replies()))
    done = world.run("--only", "window")
    assert "window    the last conversation: open for 24 h more" in done.err


# -- --fix ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(("changes", "call"), [
    ({"account_subscribed": False}, "POST /{waba}/subscribed_apps"),
    ({"app_fields": ["account_update"]}, "POST /{app}/subscriptions"),
    ({"number_callback": DEAD}, "POST /{phone}"),
    ({"account_callback": DEAD}, "POST /{waba}/subscribed_apps"),
    ({"account_subscribed": False, "app_fields": ["account_update"], "number_callback": DEAD}, "POST /{phone}"),
])  # fmt: skip
def test_fix_heals_it(world: World, meta: EmulatedMeta, changes: dict[str, Any], call: str) -> None:
    """What an API can repair is named, then repaired; afterwards nothing fails, and a real message is answered."""
    ours = meta.credentials
    call = call.format(waba=ours.business_account_id, app=ours.app_id, phone=ours.phone_number_id)
    world.arrange(**changes)
    offered = world.run()
    assert offered.code == 7
    assert "Fix: aerobot doctor --fix" in offered.err
    assert call in offered.err
    done = world.run("--fix", "--yes")
    assert done.code == 0, done.err
    assert done.err.index("To be changed for +1 555-010-1874, TEST:") < done.err.index("fixed")
    if "app_fields" in changes:
        assert set(world.portal()["fields"]) == {"account_update", "messages"}
    meta.run(meta.emulator.say("Hi"))
    meta.until(lambda: bool(meta.replies()))


@pytest.mark.usefixtures("host")
def test_fix_registers_with_a_pin(world: World) -> None:
    """The PIN comes on stdin, never on the command line; without one nothing is offered."""
    world.arrange(registered=False)
    assert world.run("--json").document["fixes"] == []
    assert world.run("--fix", "--pin", PIN).code == 2
    wrong = world.run("--fix", "--yes", "--pin", "-", stdin="654321\n")
    assert (wrong.code, "PIN" in wrong.err) == (7, True)
    done = world.run("--fix", "--yes", "--pin", "-", stdin=f"{PIN}\n")
    assert done.code == 0, done.err
    assert PIN not in done.err


@pytest.mark.usefixtures("host")
def test_nothing_is_changed_without_a_yes(world: World) -> None:
    """Without a terminal --fix needs --yes (exit 2); on one, no means no."""
    world.arrange(account_subscribed=False)
    assert world.run("--fix").code == 2
    refused = world.checked(world.cli.type("doctor", "--fix", answers=[("Change this?", "n")]))
    assert refused.code == 7
    agreed = world.checked(world.cli.type("doctor", "--fix", answers=[("Change this?", "y")]))
    assert agreed.code == 0, agreed.out


# -- at Aerostack --------------------------------------------------------------------------------------------


class Hosting(AerostackApi):
    """The emulated Aerostack with its webhook: it asks for the verify token, and checks signatures."""

    verify_token = app_secret = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/api/bots/webhook/whatsapp/"):
            return await super()._handle(request)
        if request.method == "GET":
            good = request.query.get("hub.verify_token") == self.verify_token
            return web.Response(text=request.query["hub.challenge"]) if good else web.Response(status=403)
        digest = hmac.new(self.app_secret.encode(), await request.read(), hashlib.sha256).hexdigest()
        good = request.headers.get("X-Hub-Signature-256") == f"sha256={digest}"
        return web.Response(status=200 if good else 403)


@pytest.fixture
def aerostack(world: World, meta: EmulatedMeta) -> Iterator[Hosting]:
    """The project's bot lives at Aerostack, is active, and Meta is pointed at it."""
    with Hosting() as api:
        api.verify_token, api.app_secret = meta.credentials.verify_token, meta.credentials.app_secret
        bot = api.add_bot(status="active")
        world.secrets.append(api.token)
        world.cli.environ |= {
            "AEROSTACK_API_URL": api.url,
            "AEROSTACK_TOKEN": api.token,
            "AEROBOT_BOT_ID": bot["id"],
            "AEROBOT_AEROSTACK_WORKSPACE_ID": "ws_1",
        }
        world.arrange(number_callback=f"{api.url}/api/bots/webhook/whatsapp/{bot['id']}")
        yield api


def test_a_healthy_bot_at_aerostack(world: World, aerostack: Hosting) -> None:
    """Nothing fails although no host runs here; the words say where our own request went."""
    done = world.run()
    assert done.code == 0, done.err
    assert "logged in, 24 h left, bot active" in done.err
    assert "(Aerostack)" in done.err
    assert "our challenge answered at Aerostack" in done.err
    assert "host      skipped: Aerostack runs this bot" in done.err
    assert not aerostack.calls("POST", ".*/test")


def test_what_is_broken_at_aerostack_is_named(world: World, aerostack: Hosting) -> None:
    """Login, workspace and bot: each by name with its remedy."""
    cases: list[tuple[dict[str, str], str, str]] = [
        ({"AEROSTACK_TOKEN": jwt(expires_in=-60)}, "aerostack_token_expired", "aerobot login"),
        ({"AEROSTACK_TOKEN": jwt(expires_in=7200, email="x@y.example")}, "aerostack_token_refused", "aerobot login"),
        ({"AEROBOT_AEROSTACK_WORKSPACE_ID": "ws_9"}, "workspace_not_ours", "aerobot workspaces"),
        ({"AEROSTACK_API_URL": "http://127.0.0.1:9"}, "aerostack_unreachable", "aerostack.api_url"),
    ]
    for variables, name, remedy in cases:
        found = world.found("--only", "aerostack", **variables)
        assert set(found) == {name}
        assert remedy in found[name]["remedy"], found
    aerostack.bots[world.cli.environ["AEROBOT_BOT_ID"]]["status"] = "inactive"
    found = world.found()
    assert set(found) == {"bot_inactive"}
    assert found["bot_inactive"]["remedy"].startswith("aerobot activate bt_")
    aerostack.bots.clear()
    assert "bot_unknown" in world.found()


def test_another_verify_token_at_aerostack(world: World, aerostack: Hosting) -> None:
    """A bot that was made with another verify token refuses the challenge."""
    aerostack.verify_token = "another"
    found = world.found()
    assert set(found) == {"verify_token_wrong"}


def test_a_callback_of_another_bot_at_aerostack(world: World, aerostack: Hosting) -> None:
    """A callback that names another bot of Aerostack is told apart from ours."""
    world.arrange(number_callback=f"{aerostack.url}/api/bots/webhook/whatsapp/bt_of_somebody")
    assert set(world.found()) == {"callback_other_bot"}


# -- --live --------------------------------------------------------------------------------------------------


def live(world: World, *arguments: str) -> Running:
    running = Running(["doctor", "--live", *arguments], cwd=world.cli.project, env=world.cli.environ)
    invited = "Write anything to https://wa.me/"
    world.meta.until(lambda: invited in running.stderr or running.process.poll() is not None, 30)
    return running


@pytest.mark.usefixtures("host")
def test_live_ends_in_reality(world: World, meta: EmulatedMeta) -> None:
    """A message written now is seen to arrive and to be answered, with the time that took."""
    with live(world, "--timeout", "20") as running:
        meta.run(meta.emulator.say("Anybody there?"))
        assert running.process.wait(20) == 0, running.stderr
    assert "received, answered in" in running.stderr


@pytest.mark.usefixtures("host")
def test_live_waits_no_longer_than_it_should(world: World) -> None:
    """No message in time fails (7); Ctrl-C ends with 130."""
    done = world.run("--live", "--timeout", "1")
    assert done.code == 7
    assert "no message came within 1 s" in done.err
    with live(world) as running:
        assert running.stop(signal.SIGINT) == 130
    assert "Traceback" not in running.stderr


def test_live_at_aerostack(world: World, aerostack: Hosting) -> None:
    """At Aerostack the conversations are watched; it is not claimed that the bot answered."""
    with live(world, "--timeout", "20") as running:
        aerostack.bots[world.cli.environ["AEROBOT_BOT_ID"]]["conversation_count"] = 1
        assert running.process.wait(20) == 0, running.stderr
    assert "received by Aerostack" in running.stderr
    assert "answered in" not in running.stderr
