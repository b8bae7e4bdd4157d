"""`send` and `templates list` as processes against the emulated Graph, with and without a running host."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerobot.emulator import webhooks
from aerobot.whatsapp.recipient import digits_of, not_listed
from tests.emulated import EmulatedMeta
from tests.processes import Cli
from tests.running import Running, environment, run

ALEX = "+1 555 012-3456"
ANA_WRITES_AS, ANA_IS_LISTED_AS = "5491123456789", "541123456789"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(300_000)


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


def variables(meta: EmulatedMeta) -> dict[str, str]:
    found = meta.credentials
    return {
        "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": found.phone_number_id,
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token,
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": found.verify_token,
        "AEROBOT_WHATSAPP_APP_SECRET": found.app_secret,
        "AEROBOT_SERVE_PORT": "0",
        "AEROBOT_SERVE_PRIVATE_PORT": "0",
    }


@pytest.fixture
def env(tmp_path: Path, meta: EmulatedMeta) -> dict[str, str]:
    return environment(tmp_path, variables(meta))


@pytest.fixture
def send(tmp_path: Path, env: dict[str, str]) -> Any:
    """``aerobot send`` with these arguments; no secret is ever in what it says."""

    def call(*arguments: str, to: str = ALEX, **more: str) -> Any:
        done = run(["send", "--to", to, *arguments], cwd=tmp_path, env={**env, **more})
        for name in ("ACCESS_TOKEN", "APP_SECRET", "VERIFY_TOKEN"):
            assert env[f"AEROBOT_WHATSAPP_{name}"] not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


@contextmanager
def serving(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, *, connected: bool = True) -> Iterator[Any]:
    """A running host of this number, which Meta calls where ``connected``."""
    with Running(["serve", "echo", "--json"], cwd=tmp_path, env=env) as host:
        ready = host.event("ready")
        if connected:
            meta.run(meta.emulator.connect(ready["webhook_url"]))
        host.url = ready["webhook_url"]  # type: ignore[attr-defined]
        yield host


def arrange(meta: EmulatedMeta, **changes: Any) -> None:
    async def change() -> None:
        meta.emulator.arrange(**changes)

    meta.run(change())


def arm(meta: EmulatedMeta, fault: str) -> None:
    async def armed() -> None:
        meta.emulator.arm(fault)

    meta.run(armed())


def error(done: Any) -> Any:
    return json.loads(done.stderr.splitlines()[-1])["error"]


# -- without a host --------------------------------------------------------------------------------------------------


def test_it_is_accepted_and_the_verdict_unknown(send: Any, meta: EmulatedMeta) -> None:
    """Without a host the number and its mode come first, the id is the result, and nobody claims a delivery; 0."""
    done = send("Hello")
    assert done.returncode == 0, done.stderr
    (reply,) = meta.replies()
    assert (reply["text"], reply["phone"]) == ("Hello", "15550123456")
    assert done.stdout == f"{reply['wamid']}\n"
    first, *_ = done.stderr.splitlines()
    assert first.startswith("+1 555-010-")
    assert first.endswith("TEST  sends to ··3456")
    assert "window    not known" in done.stderr
    assert "Accepted; verdict unknown: no host is running." in done.stderr


def test_what_nobody_can_tell_is_said_before_and_after(send: Any, meta: EmulatedMeta) -> None:
    """--wait beyond accepted without a host: said before, sent once, 6 at once and not after the timeout."""
    started = time.monotonic()
    done = send("Hello", "--wait", "delivered", "--json")
    assert done.returncode == 6, done.stderr
    assert time.monotonic() - started < 30
    assert "no host is running" in json.loads(done.stderr.splitlines()[0])["warning"]["message"]
    assert error(done)["message"] == "Accepted; verdict unknown: no host is running."
    found = json.loads(done.stdout)
    assert (found["state"], found["verdict"], found["reached"], found["mode"]) == ("accepted", "unknown", False, "TEST")
    assert len(meta.replies()) == 1


def test_without_a_network_the_id_is_said_and_nothing_sent(send: Any, meta: EmulatedMeta) -> None:
    """Offline: the first line has the id, exit 5; --yes tries all the same and ends alike."""
    for flags in ([], ["--yes"]):
        done = send("Hello", *flags, AEROBOT_WHATSAPP_GRAPH_URL="http://127.0.0.1:9")
        assert done.returncode == 5, done.stderr
        assert done.stderr.startswith(f"phone number id {meta.credentials.phone_number_id}  TEST or LIVE is not known")
        assert "Nothing was sent." in done.stderr
    assert meta.replies() == []


@pytest.mark.parametrize("name", ["phone_number_id", "access_token"])
def test_a_missing_credential_is_named(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, name: str) -> None:
    """No token, no number: exit 3 with the setting's name."""
    del env[f"AEROBOT_WHATSAPP_{name.upper()}"]
    done = run(["send", "--to", ALEX, "Hello"], cwd=tmp_path, env=env)
    assert done.returncode == 3, done.stderr
    assert f"whatsapp.{name} is not set" in done.stderr


@pytest.mark.parametrize("fault", ["expired", "unknown"])
def test_a_dead_token_is_a_matter_of_credentials(send: Any, meta: EmulatedMeta, fault: str) -> None:
    """190 at the look-up: exit 3, and nothing was sent."""
    arrange(meta, token=fault)
    done = send("Hello")
    assert done.returncode == 3, done.stderr
    assert "Nothing was sent." in done.stderr
    assert meta.replies() == []


def test_a_token_that_dies_in_between(send: Any, meta: EmulatedMeta) -> None:
    """190 at the send itself is the same."""
    arm(meta, "token_expired")
    done = send("Hello", "--json")
    assert (done.returncode, error(done)["kind"]) == (3, "config"), done.stderr
    assert "190" in error(done)["message"]


# -- refused ---------------------------------------------------------------------------------------------------------


def test_131030_speaks_of_the_form_first(send: Any, meta: EmulatedMeta) -> None:
    """An Argentine number: its form, what to type, and only then the list; exit 4."""
    arm(meta, "not_on_list")
    done = send("Hello", to="+54 9 11 2345-6789")
    assert done.returncode == 4, done.stderr
    lines = [line.strip() for line in done.stderr.splitlines()]
    start = next(i for i, line in enumerate(lines) if "131030" in line)
    assert lines[start + 1 : start + 4] == [
        "You wrote +54 9 11…; Meta keeps Argentine numbers as +54 11… on that list.",
        "Try: aerobot send --to +541123456789 …",
        "In no form on the list? Meta > WhatsApp > API Setup > To (at most 5 numbers)",
    ]
    assert send("Hello", to="+541123456789").returncode == 0
    assert [reply["phone"] for reply in meta.replies()] == [ANA_IS_LISTED_AS]


def test_131030_of_other_numbers_speaks_of_the_list(send: Any, meta: EmulatedMeta) -> None:
    """Where a number has one form alone, only the list is left."""
    arm(meta, "not_on_list")
    done = send("Hello", "--json", to="+31 6 12345678")
    assert done.returncode == 4
    assert error(done)["hint"].startswith("Add it to the test number's list:")


@pytest.mark.parametrize(("fault", "code"), [("reset_sent", 5), ("half_answer", 5), ("server_error", 4)])
def test_what_nobody_knows_is_never_repeated(send: Any, meta: EmulatedMeta, fault: str, code: int) -> None:
    """A broken connection or a 500: it is said that it may have been sent, and it is not sent again."""
    arm(meta, fault)
    done = send("Once")
    assert done.returncode == code, done.stderr
    assert "so it was not sent again" in done.stderr
    assert len(meta.replies()) == (fault != "server_error")


@pytest.mark.parametrize(("fault", "words"), [
    ("rate_limited", "Try again in some minutes"),
    ("payment", "Billing"),
    ("window_closed_at_once", "--template hello_world"),
])  # fmt: skip
def test_a_refusal_has_its_remedy(send: Any, meta: EmulatedMeta, fault: str, words: str) -> None:
    """What Meta refuses at once is exit 4 with what to do."""
    arm(meta, fault)
    done = send("Hello")
    assert done.returncode == 4, done.stderr
    assert words in done.stderr


# -- with a host -----------------------------------------------------------------------------------------------------


def test_its_way_is_told_until_it_was_read(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, send: Any) -> None:
    """A host of this number gets the receipts: sent, delivered, read; exit 0; the bot is not asked about it."""
    with serving(tmp_path, env, meta) as host:
        done = send("Hello", "--wait", "read", "--json", "--timeout", "20")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert [receipt["status"] for receipt in found["receipts"]] == ["sent", "delivered", "read"]
        assert (found["state"], found["verdict"], found["reached"]) == ("read", "known", True)
        assert found["window"] is None
        done = send("Hello", "--wait", "delivered")
        assert done.returncode == 0, done.stderr
        assert "delivered" in done.stderr
        assert len(meta.replies()) == 2
        assert host.stop() == 130


def test_a_later_failure_is_not_in_time(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, send: Any) -> None:
    """131047 after Graph had accepted: exit 6, Meta's meaning, and a template to try; 131030 as at once."""
    with serving(tmp_path, env, meta):
        arm(meta, "window_closed")
        done = send("Hello", "--wait", "read", "--json")
        assert done.returncode == 6, done.stderr
        assert json.loads(done.stdout)["state"] == "failed"
        assert error(done)["message"].startswith("Failed: 131047 More than 24 hours")
        assert "--template hello_world" in error(done)["hint"]
        arm(meta, "undeliverable")
        done = send("Hello", "--wait", "sent")
        assert done.returncode == 6
        assert "131026" in done.stderr


def test_not_in_time(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, send: Any) -> None:
    """Delivered and not read within the timeout: exit 6, and how far it came."""
    meta.emulator.settle(auto_read=False)
    with serving(tmp_path, env, meta):
        done = send("Hello", "--wait", "read", "--timeout", "1.5")
        assert done.returncode == 6, done.stderr
        assert "Not read within 1.5 s: delivered so far." in done.stderr


def test_a_host_that_meta_does_not_call(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, send: Any) -> None:
    """No receipt comes: exit 6 and where to look; --wait accepted is content."""
    with serving(tmp_path, env, meta, connected=False):
        done = send("Hello", "--wait", "sent", "--timeout", "1")
        assert done.returncode == 6, done.stderr
        assert "aerobot webhook show" in done.stderr
        assert send("Hello").returncode == 0


def test_the_window_is_said_before(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta, send: Any) -> None:
    """What the host's store knows of a user, in any form of the number: open, closed, or nothing."""
    found = meta.credentials
    line = webhooks.Line(
        business_account_id=found.business_account_id, phone_number_id=found.phone_number_id,
        display_phone_number=found.display_phone_number,
    )  # fmt: skip
    bob = webhooks.Sender(phone="31612345678", name="Bob")
    written = webhooks.message("text", bob, id="wamid.old", timestamp=int(time.time()) - 27 * 3600, text="Hi")
    body = webhooks.wire(webhooks.inbound(line, bob, written))
    with serving(tmp_path, env, meta) as host:
        signed = {"X-Hub-Signature-256": webhooks.sign(body, found.app_secret)}
        assert httpx.post(host.url, content=body, headers=signed).status_code == 200
        meta.run(meta.emulator.say("Hola", phone=ANA_WRITES_AS))
        meta.until(lambda: len(meta.replies()) == 1)
        done = send("Hello", to=f"+{ANA_IS_LISTED_AS}")
        assert "window    open for 23 h more" in done.stderr
        done = send("Hello", to="+31612345678")
        assert done.returncode == 0
        assert done.stderr.index("The session window closed 3 h ago") < done.stderr.index("accepted")
        done = send("Hello", to="+31687654321")
        assert "window    not known" in done.stderr
        done = send("--template", "hello_world", to="+31612345678")
        assert "window" not in done.stderr


def test_a_host_that_stops_meanwhile(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """The waiting ends with exit 6 and what was known."""
    with serving(tmp_path, env, meta, connected=False) as host:
        waiting = Running(["send", "--to", ALEX, "Hello", "--wait", "sent"], cwd=tmp_path, env=env)
        with waiting:
            assert waiting.line().startswith("wamid.")
            host.stop()
            assert waiting.process.wait(20) == 6
        assert "The host stopped before it was sent: accepted so far." in waiting.stderr


def test_ctrl_c_while_waiting_still_tells_the_id(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Exit 130, and the document of what was sent."""
    with serving(tmp_path, env, meta, connected=False):
        with Running(["send", "--to", ALEX, "Hello", "--wait", "sent", "--json"], cwd=tmp_path, env=env) as waiting:
            meta.until(lambda: len(meta.replies()) == 1)
            time.sleep(0.5)
            assert waiting.stop(signal.SIGINT) == 130
        assert json.loads("\n".join(waiting.lines))["wamid"] == meta.replies()[0]["wamid"]


# -- what is sent ----------------------------------------------------------------------------------------------------


def test_a_file_is_uploaded_and_sent(tmp_path: Path, send: Any, meta: EmulatedMeta) -> None:
    """A picture goes up and then out with its caption, where the app demands the proof too; a document has its name."""
    arrange(meta, require_proof=True)
    (tmp_path / "menu.png").write_bytes(PNG)
    (tmp_path / "bill.pdf").write_bytes(b"%PDF-1.4")
    done = send("--image", "menu.png", "--caption", "Today")
    assert done.returncode == 0, done.stderr
    assert "uploaded  menu.png" in done.stderr
    assert send("--document", "bill.pdf", "--json").returncode == 0
    picture, document = meta.replies()
    assert (picture["type"], picture["text"]) == ("image", "Today")
    assert picture["message"]["media"]
    assert document["message"]["content"]["filename"] == "bill.pdf"


def test_an_address_is_left_to_meta(send: Any, meta: EmulatedMeta) -> None:
    """A URL is not uploaded: Meta fetches it."""
    done = send("--document", "https://acme.invalid/files/price%20list.pdf?v=2")
    assert done.returncode == 0, done.stderr
    content = meta.replies()[0]["message"]["content"]
    assert content["link"].endswith("?v=2")
    assert content["filename"] == "price list.pdf"


def test_a_file_that_whatsapp_would_not_take(tmp_path: Path, send: Any, meta: EmulatedMeta) -> None:
    """Missing, empty, too large or of another type: exit 2 before anything is sent."""
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "large.jpg").write_bytes(bytes(5 * 1024 * 1024 + 1))
    for name, words in (("a.gif", ".png"), ("empty.png", "empty"), ("large.jpg", "at most 5"), ("no.png", "no such")):
        done = send("--image", name)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
    assert meta.replies() == []


def test_an_upload_that_is_refused_sends_nothing(tmp_path: Path, send: Any, meta: EmulatedMeta) -> None:
    """Meta does not take such a document: exit 4, and it is said that nothing was sent."""
    (tmp_path / "a.xyz").write_bytes(b"?")
    done = send("--document", "a.xyz")
    assert done.returncode == 4, done.stderr
    assert "nothing was sent" in done.stderr
    assert meta.replies() == []


def test_a_template_with_its_parameters(send: Any, meta: EmulatedMeta) -> None:
    """--param fills the body's places in their order."""
    meta.emulator.portal.add_template("order_on_its_way", "Hello {{1}}, order {{2}} is on its way.", language="nl")
    done = send("--template", "order_on_its_way", "--language", "nl", "--param", "Ana", "--param", "1234")
    assert done.returncode == 0, done.stderr
    content = meta.replies()[0]["message"]["content"]
    assert (content["name"], content["language"]) == ("order_on_its_way", {"code": "nl"})
    values = [{"type": "text", "text": "Ana"}, {"type": "text", "text": "1234"}]
    assert content["components"] == [{"type": "body", "parameters": values}]
    assert meta.replies()[0]["message"]["text"] == "Hello Ana, order 1234 is on its way."


@pytest.mark.parametrize("arguments", [
    [], ["Hi", "--template", "hello_world"], ["Hi", "--param", "x"], ["Hi", "--caption", "x"], [" "],
    ["--audio", "https://acme.invalid/a.ogg", "--caption", "x"], ["x" * 4097], ["Hi", "--wait", "played"],
])  # fmt: skip
def test_what_makes_no_sense_is_not_sent(send: Any, meta: EmulatedMeta, arguments: list[str]) -> None:
    """Nothing or two things to send, words that belong elsewhere, too many of them: exit 2."""
    done = send(*arguments)
    assert done.returncode == 2, done.stderr
    assert meta.replies() == []


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "digits"), [
    ("+54 9 11 2345-6789", "5491123456789"),
    ("0054 9 11 2345 6789", "5491123456789"),
    ("5491123456789", "5491123456789"),
    ("+44 (0)20 7946 0018", "442079460018"),
    ("\u202a+31\u00a06\u201112345678\u202c", "31612345678"),
    ("+1.555.012.3456", "15550123456"),
])  # fmt: skip
def test_numbers_as_people_write_them(written: str, digits: str) -> None:
    """Separators and what copying adds are left out; + or 00 begin an international number."""
    assert digits_of(written) == digits


@pytest.mark.parametrize("written", ["0612345678", "555 012 3456", "+123", "+1 555 FLOWERS", "", "+", "1" * 16, "+٣١٦"])
def test_numbers_that_may_be_somebody_elses(written: str) -> None:
    """What has no country code, or is none at all, is not guessed at."""
    with pytest.raises(ValueError, match=r"phone number|country code|digits"):
        digits_of(written)


def test_a_wrong_number_is_usage(send: Any, meta: EmulatedMeta) -> None:
    """Exit 2 with an example."""
    done = send("Hello", to="0612345678")
    assert done.returncode == 2
    assert "no country code" in done.stderr


@pytest.mark.parametrize(("digits", "first", "other"), [
    ("5215512345678", "You wrote +52 1 55…; Meta keeps Mexican numbers as +52 55… on that list.", "525512345678"),
    ("5511987654321", "You wrote +55 11 9 8765…; that list may have it as +55 11 8765….", "551187654321"),
    ("551187654321", "You wrote +55 11 8765…; that list may have it as +55 11 9 8765….", "5511987654321"),
    ("541123456789", "You wrote +54 11…; that list may have it as +54 9 11….", "5491123456789"),
])  # fmt: skip
def test_the_other_form_of_a_number(digits: str, first: str, other: str) -> None:
    """Mexico and Brazil as Argentina; where nobody knows which form the list has, that is not claimed."""
    said = not_listed(digits)
    assert said[0] == first
    assert f"--to +{other} " in said[1]


# -- a real person ---------------------------------------------------------------------------------------------------


def test_a_live_number_asks(tmp_path: Path, meta: EmulatedMeta) -> None:
    """LIVE: asked on a terminal, --yes elsewhere; no means that nothing is sent."""
    arrange(meta, account_mode="LIVE")
    cli = Cli(tmp_path / "cli", **variables(meta))
    arguments = ["send", "--to", ALEX, "Hello"]
    done = cli.run(*arguments)
    assert done.code == 2
    assert "--yes" in done.err
    asked = cli.type(*arguments, answers=[("Send it? [y/N]", "n")])
    assert (asked.code, "Nothing was sent." in asked.out) == (0, True)
    assert "  LIVE  sends to ··3456" in asked.out
    assert meta.replies() == []
    assert cli.type(*arguments, answers=[("Send it? [y/N]", "y")]).code == 0
    assert cli.run(*arguments, "--yes").code == 0
    assert len(meta.replies()) == 2


def test_a_number_that_is_not_shown_asks_too(send: Any, meta: EmulatedMeta) -> None:
    """A token that may send and not look: nobody knows that it is a TEST number, so it asks."""
    arrange(meta, token_scopes=["whatsapp_business_messaging"])
    done = send("Hello")
    assert done.returncode == 2, done.stderr
    assert "TEST or LIVE is not known" in done.stderr
    assert send("Hello", "--yes").returncode == 0


# -- templates -------------------------------------------------------------------------------------------------------


def test_templates_are_listed(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Name, language, status, category and the body's first line; the account is found by the token."""

    async def add() -> None:
        meta.emulator.portal.add_template("order", "Hello {{1}}!\nYour order is here.", language="nl", status="PENDING")

    meta.run(add())
    done = run(["templates", "list"], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    head, hello, order = done.stdout.splitlines()
    assert head.split() == ["NAME", "LANGUAGE", "STATUS", "CATEGORY", "BODY"]
    assert hello.startswith("hello_world")
    assert order.split() == ["order", "nl", "PENDING", "UTILITY", "Hello", "{{1}}!"]
    assert "--template hello_world" in done.stderr
    done = run(["templates", "list", "--json"], cwd=tmp_path, env=env)
    document = json.loads(done.stdout)
    assert document["business_account_id"] == meta.credentials.business_account_id
    assert document["templates"][1]["body"] == "Hello {{1}}!\nYour order is here."


def test_an_account_that_nothing_tells(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """Where neither the settings nor the token tell the account, exit 3 names the setting."""
    arrange(meta, token_targets=None)
    done = run(["templates", "list"], cwd=tmp_path, env=env)
    assert done.returncode == 3, done.stderr
    assert "whatsapp.business_account_id" in done.stderr
    found = {**env, "AEROBOT_WHATSAPP_BUSINESS_ACCOUNT_ID": meta.credentials.business_account_id}
    assert run(["templates", "list"], cwd=tmp_path, env=found).returncode == 0
