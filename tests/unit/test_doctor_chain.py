"""The doctor's own decisions: whose an address is, what a line shows, and what a broken check becomes."""

from pathlib import Path

import pytest

from aerobot.config import load
from aerobot.doctor import Check, Context, Examination, Skip, bare, chosen, lines, local, place
from aerobot.doctor.outcome import ok, skipped
from aerobot.doctor.whose import whose
from aerobot.errors import NetworkError, UsageError
from aerobot.graph_admin import Finding
from aerobot.graph_admin.finding import finding

OURS = "/api/bots/webhook/whatsapp/bt_ours"


@pytest.mark.parametrize(("url", "kind"), [
    (f"https://acme.ngrok.app{OURS}", "laptop"),
    (f"https://ACME.ngrok.app{OURS}", "laptop"),
    (f"https://api.aerostack.dev{OURS}", "aerostack"),
    ("https://api.aerostack.dev/api/bots/webhook/whatsapp/bt_theirs", "other_bot"),
    ("https://bots.acme.example/anything", "public"),
    (f"https://old.ngrok.app{OURS}", "elsewhere"),
    ("https://api.aerostack.dev.evil.example/hook", "other"),
    ("nonsense", "other"),
])  # fmt: skip
def test_whose_an_address_is(url: str, kind: str) -> None:
    """By origin and path: this laptop's, Aerostack's, serve.public_url's, or one that only names our bot."""
    owner = whose(
        url, paths=(OURS,), aerostack=("https://api.aerostack.dev",), public_url="https://bots.acme.example",
        laptop={"https://acme.ngrok.app": "through the tunnel"},
    )  # fmt: skip
    assert owner.kind == kind
    assert owner.ours is (kind in ("laptop", "aerostack", "public", "elsewhere"))


def test_an_address_is_told_without_its_secrets() -> None:
    """Neither a password nor a query is ever shown."""
    url = "https://user:hunter2@acme.example:8443/hook?token=s3cret"
    assert (place(url), bare(url)) == ("acme.example:8443", "https://acme.example:8443/hook")


def test_what_is_bad_has_its_own_line() -> None:
    """Good findings share one line as far as it reaches; bad ones are shown alone; what was skipped comes after."""
    good = (ok("a", "files", "aerobot.toml"), ok("b", "files", ""), ok("c", "files", "not in git"))
    assert [one.seen for one in lines(good)] == ["aerobot.toml, not in git"]
    assert [one.seen for one in lines((*good, ok("d", "files", "x" * 60)))] == ["aerobot.toml, not in git"]
    bad = finding("e", "files", "failed", "open to all")
    assert lines((*good, bad)) == (bad,)
    assert [one.state for one in lines((*good, skipped("files", "no key")))] == ["ok", "skipped"]


def raising(error: Exception) -> Check:
    def part(_: Context) -> Finding:
        raise error

    return Check(name="token", group="token", topic="token", parts=(part,), via="graph")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(load(environ={}, cwd=tmp_path, credentials=False), environ={"AEROBOT_STATE_HOME": str(tmp_path)})


def test_a_check_that_breaks_is_a_finding(context: Context) -> None:
    """Whatever a check raises becomes a finding; of what nobody foresaw only its kind is told."""
    (found,) = Examination(context).make(raising(ValueError("EAAsecret")))
    assert (found.name, found.state, "EAAsecret" in found.seen) == ("unexpected", "failed", False)
    (found,) = Examination(context).make(raising(NetworkError("nobody there", "look")))
    assert (found.name, found.topic, found.remedy) == ("graph_unreachable", "Graph", "look")
    (found,) = Examination(context).make(raising(Skip("whatsapp.x is not set")))
    assert (found.state, found.seen) == ("skipped", "skipped: whatsapp.x is not set")


def test_what_builds_on_a_failure_is_skipped(context: Context) -> None:
    """The cause is passed on: the first link that failed is named, however far down the chain."""
    examination = Examination(context)
    examination.make(raising(RuntimeError()))
    second = Check(name="number", group="number", topic="number", parts=(), needs=("token",))
    third = Check(name="callback", group="callback", topic="callback", parts=(), needs=("number",))
    assert [examination.make(check)[0].seen for check in (second, third)] == ["skipped: the token first"] * 2


def test_a_group_comes_with_what_it_needs() -> None:
    """--only callback needs the number, and that the token; the order of the chain stays."""
    assert [check.name for check in chosen("callback")] == ["token", "number", "callback"]
    with pytest.raises(UsageError):
        chosen("moon")


@pytest.mark.parametrize(("graph", "name"), [
    ("https://graph.facebook.com", "clock_wrong"),
    ("http://127.0.0.1:8462", "clock_emulated"),
])  # fmt: skip
def test_an_emulators_clock_is_no_fault_of_ours(tmp_path: Path, graph: str, name: str) -> None:
    """Only a Graph on this machine may tell another time than ours and nothing is wrong."""
    environ = {"AEROBOT_WHATSAPP_GRAPH_URL": graph}
    with Context(load(environ=environ, cwd=tmp_path, credentials=False)) as context:
        context.graph().skew = -25 * 3600.0
        found = local.clock(context)
    assert (found.name, found.seen.partition(" h ")[0]) == (name, "25")
