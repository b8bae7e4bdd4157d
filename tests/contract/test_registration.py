"""Pointing Meta's webhook at us and back, level by level, against the emulated Graph and real sockets."""

import http.server
import json
import os
import stat
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aerobot.errors import AerobotError, ConfigError, RemoteError, UsageError
from aerobot.graph_admin import GraphAdmin
from aerobot.registration.plan import Wish
from aerobot.registration.records import LEVELS, Corrupt, Level, Record, Records
from aerobot.registration.registrar import Registrar, Who, answers
from aerobot.secret import Secret
from tests.emulated import EmulatedMeta

TOKEN = "verify-k7QdP0wZr3n8"


class Webhooks:
    """Webhooks on one port: ``/name`` answers the challenge to who knows the token of that name."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        webhooks = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(parts.query))
                good = webhooks.tokens.get(parts.path) == query.get("hub.verify_token", "")
                self.send_response(200 if good else 403)
                self.end_headers()
                self.wfile.write(query.get("hub.challenge", "").encode() if good else b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def add(self, name: str, token: str = TOKEN) -> str:
        """The URL of a webhook that knows this token."""
        self.tokens[f"/{name}"] = token
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def hooks() -> Iterator[Webhooks]:
    found = Webhooks()
    yield found
    found.close()


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


class Desk:
    """One number at the emulated Meta, and registrars of it, each as a process of its own would have."""

    def __init__(self, meta: EmulatedMeta, folder: Path) -> None:
        self.meta, self.folder, self.told = meta, folder, list[str]()
        self.records = Records(folder)
        self.number = meta.credentials.phone_number_id

    def registrar(self, *, pid: int | None = None, mine: frozenset[str] = frozenset(), **changes: Any) -> Registrar:
        found = self.meta.credentials
        admin = GraphAdmin(
            self.meta.url, "v25.0", access_token=Secret(found.access_token), app_secret=Secret(found.app_secret),
            app_id=found.app_id, sleep=lambda _: None,
        )  # fmt: skip
        who = Who(
            phone_number_id=self.number, business_account_id=found.business_account_id, verify_token=Secret(TOKEN),
            mine=mine, config="/home/you/acme/aerobot.toml",
        )  # fmt: skip
        who = replace(who, **changes)
        return Registrar(admin, self.records, who, tell=self.told.append, clock=lambda: 5.0, pid=pid)

    def arrange(self, **changes: Any) -> None:
        async def change() -> None:
            self.meta.emulator.arrange(**changes)

        self.meta.run(change())

    @property
    def levels(self) -> dict[str, str]:
        """What stands at each level that has something."""
        names = {"phone_number": "phone", "whatsapp_business_account": "waba", "application": "app"}
        found = self.meta.emulator.portal.document()["levels"]
        return {names[name]: url for name, url in found.items() if url}  # type: ignore[attr-defined]

    @property
    def fields(self) -> list[str]:
        return list(self.meta.emulator.portal.document()["fields"])  # type: ignore[call-overload]


@pytest.fixture
def desk(meta: EmulatedMeta, tmp_path: Path) -> Desk:
    return Desk(meta, tmp_path / "registrations")


def record(desk: Desk) -> dict[str, Any]:
    return json.loads((desk.folder / f"{desk.number}.json").read_text())  # type: ignore[no-any-return]


# -- set and put back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["phone", "waba"])
def test_an_override_is_set_and_put_back_to_nothing(desk: Desk, hooks: Webhooks, level: Level) -> None:
    """Meta calls us while it runs; afterwards everything is as it was, and nothing is left on disk to finish."""
    url = hooks.add("ours")
    made = desk.registrar().register(Wish(level=level), url)
    assert desk.levels == {level: url}
    ended = made.put_back()
    assert ended.good
    assert ended.words.endswith(" -> nothing (as before)")
    assert desk.levels == {}
    assert desk.records.read(desk.number) is None
    assert desk.meta.emulator.portal.document()["subscribed_apps"] == [desk.meta.credentials.app_id]


def test_what_stood_is_written_down_before_it_is_changed(desk: Desk, hooks: Webhooks) -> None:
    """The record names level, what stood everywhere, what is set, process and time; it is 0600, and has no secret."""
    before = hooks.add("apps")
    desk.arrange(app_callback=before)
    url = hooks.add("ours", "another token, so that Meta refuses")
    seen = []

    class Watched(Records):
        def write(self, record: Record) -> None:
            super().write(record)
            seen.append((record, desk.levels))

    desk.records = Watched(desk.folder)
    with pytest.raises(RemoteError, match="challenge"):
        desk.registrar(mine=frozenset({before})).register(Wish(level="phone"), url)
    written, levels = seen[0]
    assert levels == {"app": before}
    assert (written.level, written.urls, written.pid, written.at) == ("phone", (url,), os.getpid(), 5000)
    assert dict(written.before) == {"phone": "", "waba": "", "app": before}
    assert "aerobot.toml" in written.holder
    assert desk.records.read(desk.number) is None  # Meta said no: nothing is left to put back


def test_the_record_is_its_owners_alone(desk: Desk, hooks: Webhooks) -> None:
    """0600 in a folder of 0700, and neither token nor secret in it."""
    made = desk.registrar().register(Wish(level="phone"), hooks.add("ours"))
    path = desk.folder / f"{desk.number}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700
    found = desk.meta.credentials
    for secret in (found.access_token, found.app_secret, TOKEN):
        assert secret not in path.read_text()
    made.put_back()


def test_the_app_is_subscribed_before_an_override_is_set(desk: Desk, hooks: Webhooks) -> None:
    """Meta takes no override of an app that is not subscribed; that it is now is told, and stays."""
    desk.arrange(account_subscribed=False)
    made = desk.registrar().register(Wish(level="phone"), hooks.add("ours"))
    assert desk.told == [
        f"The app gets the webhooks of WABA {desk.meta.credentials.business_account_id} now; that stays so."
    ]
    assert made.put_back().good


def test_at_app_level_fields_are_kept_and_messages_added(desk: Desk, hooks: Webhooks) -> None:
    """What the app gets is read, merged with messages, written; back again, only what we added goes."""
    former = hooks.add("theirs")
    desk.arrange(app_callback=former, app_fields=["account_update", "flows"])
    url = hooks.add("ours")
    made = desk.registrar(mine=frozenset({former})).register(Wish(level="app"), url)
    assert desk.levels == {"app": url}
    assert sorted(desk.fields) == ["account_update", "flows", "messages"]
    assert made.put_back().words.endswith("(app callback) (as before)")
    assert desk.levels == {"app": former}
    assert sorted(desk.fields) == ["account_update", "flows"]


def test_an_app_callback_that_cannot_be_set_again_stays_ours_with_all_fields(desk: Desk, hooks: Webhooks) -> None:
    """Better a dead callback that is told than fields that are lost: the subscription is never deleted for it."""
    former = hooks.add("theirs", "a token that nobody here knows")
    desk.arrange(app_callback=former, app_fields=["account_update", "messages"])
    wish = Wish(level="app", agreed=frozenset({"lost"}))
    ended = desk.registrar().register(wish, hooks.add("ours")).put_back()
    assert ended.how == "lost"
    assert "cannot be set again" in ended.why
    assert sorted(desk.fields) == ["account_update", "messages"]


def test_a_former_override_with_our_verify_token_is_set_again(desk: Desk, hooks: Webhooks) -> None:
    """What was set with the same verify token (our bot at Aerostack) stands again afterwards."""
    aerostack, url = hooks.add("aerostack"), hooks.add("ours")
    desk.arrange(number_callback=aerostack)
    made = desk.registrar(mine=frozenset({aerostack})).register(Wish(level="phone"), url)
    assert desk.levels == {"phone": url}
    assert made.put_back().good
    assert desk.levels == {"phone": aerostack}


def test_a_former_override_that_answers_no_more_is_told_as_lost(desk: Desk, hooks: Webhooks) -> None:
    """Its token is known, and still Meta's challenge fails: our own is taken away, and the loss is said."""
    aerostack = hooks.add("aerostack")
    desk.arrange(number_callback=aerostack)
    made = desk.registrar(mine=frozenset({aerostack})).register(Wish(level="phone"), hooks.add("ours"))
    hooks.tokens["/aerostack"] = "changed meanwhile"
    ended = made.put_back()
    assert ended.how == "lost"
    assert "challenge" in ended.why
    assert desk.levels == {}


def test_what_somebody_else_set_meanwhile_is_left_alone(desk: Desk, hooks: Webhooks) -> None:
    """Only what is still ours is taken away."""
    made = desk.registrar().register(Wish(level="phone"), hooks.add("ours"))
    other = hooks.add("portal")
    desk.arrange(number_callback=other)
    ended = made.put_back()
    assert (ended.how, desk.levels) == ("changed", {"phone": other})
    assert "left alone" in ended.words
    assert desk.records.read(desk.number) is None


def test_another_address_of_the_same_run_is_set_anew(desk: Desk, hooks: Webhooks) -> None:
    """A tunnel came back under another name: Meta calls that one, and back is still to nothing."""
    made = desk.registrar().register(Wish(level="phone"), hooks.add("one"))
    second = hooks.add("two")
    made.move(second)
    assert desk.levels == {"phone": second}
    assert made.put_back().good
    assert desk.levels == {}


def test_a_move_that_fails_can_still_be_put_back(desk: Desk, hooks: Webhooks) -> None:
    """The record knows every address that was tried, so the one that stands is still known as ours."""
    made = desk.registrar().register(Wish(level="phone"), hooks.add("one"))
    second = hooks.add("two", "not ours")
    with pytest.raises(RemoteError):
        made.move(second)
    desk.arrange(number_callback=second)  # it had its effect all the same
    assert made.put_back().good
    assert desk.levels == {}


def test_a_move_does_not_take_the_number_back_from_somebody_else(desk: Desk, hooks: Webhooks) -> None:
    """What was set meanwhile in the portal stays, also when the tunnel's name changes."""
    made = desk.registrar().register(Wish(level="phone"), hooks.add("one"))
    other = hooks.add("portal")
    desk.arrange(number_callback=other)
    with pytest.raises(ConfigError, match="somebody else"):
        made.move(hooks.add("two"))
    assert desk.levels == {"phone": other}
    made.put_back()


# -- what needs a yes ------------------------------------------------------------------------------------------------


def kinds(desk: Desk, level: Level = "phone", **more: Any) -> list[str]:
    registrar = desk.registrar(**more)
    return [one.kind for one in registrar.obstacles(registrar.look(level), level)]


def test_a_live_number_needs_a_yes(desk: Desk, hooks: Webhooks) -> None:
    """Without it nothing is changed."""
    desk.arrange(account_mode="LIVE")
    assert kinds(desk) == ["live"]
    with pytest.raises(UsageError, match="LIVE") as error:
        desk.registrar().register(Wish(level="phone"), hooks.add("ours"))
    assert "--live-number" in error.value.hint
    assert desk.levels == {}
    assert desk.records.read(desk.number) is None
    wish = Wish(level="phone", agreed=frozenset({"live"}))
    assert desk.registrar().register(wish, hooks.add("ours")).put_back().good


@pytest.mark.parametrize("level", LEVELS)
def test_an_unknown_former_callback_is_named_with_what_is_lost(desk: Desk, hooks: Webhooks, level: Level) -> None:
    """It cannot be set again, so it is refused beforehand, and the error says which address would be gone."""
    theirs = hooks.add("theirs", "their token")
    name = {"phone": "number_callback", "waba": "account_callback", "app": "app_callback"}[level]
    desk.arrange(**{name: theirs})
    with pytest.raises(UsageError, match="could not be put back") as error:
        desk.registrar().register(Wish(level=level), hooks.add("ours"))
    assert theirs in error.value.hint
    assert desk.levels == {level: theirs}


def test_a_forced_override_says_afterwards_what_was_lost(desk: Desk, hooks: Webhooks) -> None:
    """Taken by force, the number goes back to what is left: the app's callback."""
    theirs, apps = hooks.add("theirs", "their token"), hooks.add("apps", "too")
    desk.arrange(number_callback=theirs, app_callback=apps)
    wish = Wish(level="phone", agreed=frozenset({"lost"}))
    ended = desk.registrar().register(wish, hooks.add("ours")).put_back()
    assert ended.how == "lost"
    assert ended.now is not None
    assert ended.now.level == "app"
    assert desk.levels == {"app": apps}


def test_a_dead_override_is_asked_about(desk: Desk) -> None:
    """Nothing answers there: giving it up is a question, not only a flag."""
    desk.arrange(number_callback="http://127.0.0.1:9/gone")
    registrar = desk.registrar()
    (found,) = registrar.obstacles(registrar.look(), "phone")
    assert found.asks == "Give it up?"
    assert "Nothing answers there" in found.message


def test_somebody_elses_live_host_is_named_and_asked_about(desk: Desk, hooks: Webhooks) -> None:
    """A number whose messages go elsewhere now is not taken without a word; from a dead host it is."""
    desk.arrange(app_callback=hooks.add("production", "their token"))
    registrar = desk.registrar()
    (found,) = registrar.obstacles(registrar.look(), "phone")
    assert found.kind == "other"
    assert "127.0.0.1:" in found.message
    assert "127.0.0.1:" in found.asks
    desk.arrange(app_callback="http://127.0.0.1:9/gone")
    assert kinds(desk) == []


def test_our_own_bot_elsewhere_needs_no_yes(desk: Desk, hooks: Webhooks) -> None:
    """Where the token is ours, whatever stands can be put back."""
    url = hooks.add("aerostack")
    desk.arrange(number_callback=url)
    assert kinds(desk, mine=frozenset({url})) == []


def test_a_callback_behind_a_narrower_one_is_refused(desk: Desk, hooks: Webhooks) -> None:
    """An override of the number wins over the account's: what would change nothing is not done."""
    desk.arrange(number_callback=hooks.add("theirs", "x"))
    assert "shadowed" in kinds(desk, "waba")
    with pytest.raises(UsageError, match="wins over"):
        desk.registrar().register(Wish(level="waba"), hooks.add("ours"))


def test_missing_messages_are_told(desk: Desk) -> None:
    """An override carries only what the app has subscribed: without messages nothing comes, and that is said."""
    desk.arrange(app_callback="https://apps.example/hook", app_fields=["flows"])
    assert "messages" in desk.registrar().look().warning


# -- leftovers and fights --------------------------------------------------------------------------------------------


def crash(desk: Desk, url: str, level: Level = "phone", pid: int = 4_000_001) -> None:
    """A registration whose process is gone: nobody holds its lock, what it set stands."""
    made = desk.registrar(pid=pid).register(Wish(level=level), url)
    made.let_go()


def test_a_leftover_is_put_back(desk: Desk, hooks: Webhooks) -> None:
    """A record whose process is gone is a leftover; finishing it makes everything as it was before that run."""
    crash(desk, hooks.add("crashed"))
    assert [found.pid for found in desk.records.leftovers() if isinstance(found, Record)] == [4_000_001]
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.good
    assert desk.levels == {}
    assert list(desk.records.leftovers()) == []
    assert desk.registrar().finish() is None


@pytest.mark.parametrize("level", ["phone", "waba"])
def test_the_next_start_replaces_a_leftover(desk: Desk, hooks: Webhooks, level: Level) -> None:
    """Whatever its level: Meta calls the new run, and what is put back in the end is what was before the crash."""
    crash(desk, hooks.add("crashed"))
    url = hooks.add("next")
    made = desk.registrar().register(Wish(level=level), url)
    assert desk.levels == {level: url}
    assert made.put_back().words.endswith("nothing (as before)")
    assert desk.levels == {}
    assert not list(desk.folder.glob("*.held"))


def test_a_leftover_that_somebody_overwrote_is_left_alone(desk: Desk, hooks: Webhooks) -> None:
    """Between crash and clean-up the portal was used: that stays."""
    crash(desk, hooks.add("crashed"))
    other = hooks.add("portal", "x")
    desk.arrange(number_callback=other)
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.how == "changed"
    assert desk.levels == {"phone": other}


def test_a_crash_between_writing_and_setting_is_no_harm(desk: Desk, hooks: Webhooks) -> None:
    """The record says that something would be set, and nothing was: finishing changes nothing."""
    theirs = hooks.add("theirs", "x")
    crash(desk, hooks.add("crashed"))
    written = desk.records.read(desk.number)
    assert written is not None
    desk.records.write(replace(written, before={**written.before, "phone": theirs}))
    desk.arrange(number_callback=theirs)
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.good
    assert desk.levels == {"phone": theirs}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"level": "phone"}', "\x00\xff", '{"urls": []}'])
def test_a_corrupt_record_is_named_and_kept_aside(desk: Desk, text: str) -> None:
    """It never stops anything: it is named once, moved to .corrupt, and then there is none."""
    desk.folder.mkdir()
    path = desk.folder / f"{desk.number}.json"
    path.write_text(text, "latin-1")
    with pytest.raises(Corrupt, match=path.name):
        desk.records.read(desk.number)
    assert desk.records.read(desk.number) is None
    assert (desk.folder / f"{path.name}.corrupt").read_text("latin-1") == text


def test_with_a_corrupt_record_a_start_goes_on(desk: Desk, hooks: Webhooks) -> None:
    """Looking tells it; where nothing of ours stands, registering works."""
    desk.folder.mkdir()
    (desk.folder / f"{desk.number}.json").write_text("{")
    assert desk.registrar().register(Wish(level="phone"), hooks.add("ours")).put_back().good
    assert any("cannot be read" in words for words in desk.told)


def test_a_second_one_is_refused_and_told_who_has_the_number(desk: Desk, hooks: Webhooks) -> None:
    """Two aerobots never fight in silence: the second learns process and configuration of the first."""
    first = desk.registrar(pid=4_000_001).register(Wish(level="phone"), hooks.add("first"))
    with pytest.raises(UsageError, match=r"another aerobot \(pid 4000001, /home/you/acme/aerobot\.toml\)"):
        desk.registrar(pid=4_000_002).register(Wish(level="phone"), hooks.add("second"))
    with pytest.raises(ConfigError, match="4000001"):
        desk.registrar().finish()
    assert first.put_back().good


def test_by_force_the_second_one_has_it_and_the_first_lets_it(desk: Desk, hooks: Webhooks) -> None:
    """Forced, the number changes hands; the first's stop touches nothing, the second's restores the beginning."""
    first = desk.registrar(pid=4_000_001).register(Wish(level="phone"), hooks.add("first"))
    url = hooks.add("second")
    wish = Wish(level="phone", agreed=frozenset({"fight"}))
    second = desk.registrar(pid=4_000_002).register(wish, url)
    ended = first.put_back()
    assert ended.how == "taken"
    assert "pid 4000002" in ended.why
    assert desk.levels == {"phone": url}
    with pytest.raises(UsageError, match="4000002"):
        desk.registrar(pid=4_000_003).register(Wish(level="phone"), hooks.add("third"))
    assert second.put_back().good
    assert desk.levels == {}


def test_a_failed_take_over_leaves_the_first_in_force(desk: Desk, hooks: Webhooks) -> None:
    """Meta refused the second's address: the first still has the number, on disk and at Meta."""
    url = hooks.add("first")
    first = desk.registrar(pid=4_000_001).register(Wish(level="phone"), url)
    wish = Wish(level="phone", agreed=frozenset({"fight"}))
    with pytest.raises(RemoteError):
        desk.registrar(pid=4_000_002).register(wish, hooks.add("second", "x"))
    assert desk.levels == {"phone": url}
    assert record(desk)["pid"] == 4_000_001
    assert first.put_back().good


def test_two_starts_at_once_leave_one(desk: Desk, hooks: Webhooks) -> None:
    """Whatever the order: one has the number, the other is refused."""
    outcomes: list[object] = []

    def start(pid: int) -> None:
        try:
            outcomes.append(desk.registrar(pid=pid).register(Wish(level="phone"), hooks.add(f"n{pid}")))
        except AerobotError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start, args=(4_000_010 + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len([o for o in outcomes if isinstance(o, UsageError)]) == 3
    made = next(o for o in outcomes if not isinstance(o, AerobotError))
    made.put_back()  # type: ignore[attr-defined]
    assert desk.levels == {}


# -- lasting ones ----------------------------------------------------------------------------------------------------


def test_a_lasting_one_is_no_leftover_and_can_be_undone(desk: Desk, hooks: Webhooks) -> None:
    """What a command set for good outlives it, bothers nobody, and is undone by name."""
    url = hooks.add("aerostack")
    desk.registrar().register(Wish(level="phone"), url, lasting=True)
    assert desk.levels == {"phone": url}
    assert list(desk.records.leftovers()) == []
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.good
    assert desk.levels == {}


def test_a_run_on_top_of_a_lasting_one_brings_it_back(desk: Desk, hooks: Webhooks) -> None:
    """A bot at Aerostack, a laptop for an hour, the bot at Aerostack again; then the beginning."""
    aerostack = hooks.add("aerostack")
    desk.registrar().register(Wish(level="phone"), aerostack, lasting=True)
    made = desk.registrar().register(Wish(level="phone"), hooks.add("laptop"))
    assert made.put_back().good
    assert desk.levels == {"phone": aerostack}
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.good
    assert desk.levels == {}


def test_a_crash_on_top_of_a_lasting_one_brings_it_back_too(desk: Desk, hooks: Webhooks) -> None:
    """The leftover's own lasting one is known through the crash and through the next run."""
    aerostack = hooks.add("aerostack")
    desk.registrar().register(Wish(level="phone"), aerostack, lasting=True)
    crash(desk, hooks.add("crashed"))
    made = desk.registrar().register(Wish(level="phone"), hooks.add("next"))
    assert made.put_back().good
    assert desk.levels == {"phone": aerostack}
    assert record(desk)["lasting"] is True


def test_one_lasting_one_replaces_another(desk: Desk, hooks: Webhooks) -> None:
    """Undone once, what was before the first stands again; a second that Meta refuses changes nothing."""
    first, second = hooks.add("first"), hooks.add("second")
    desk.registrar().register(Wish(level="phone"), first, lasting=True)
    with pytest.raises(RemoteError):
        desk.registrar().register(Wish(level="phone"), hooks.add("bad", "x"), lasting=True)
    assert desk.levels == {"phone": first}
    desk.registrar().register(Wish(level="phone"), second, lasting=True)
    assert desk.levels == {"phone": second}
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.good
    assert desk.levels == {}


# -- finding the way -------------------------------------------------------------------------------------------------


def test_the_account_is_found_by_the_token(desk: Desk, hooks: Webhooks) -> None:
    """Without whatsapp.business_account_id the token's own accounts are looked through."""
    made = desk.registrar(business_account_id="").register(Wish(level="waba"), hooks.add("ours"))
    assert made.record.business_account_id == desk.meta.credentials.business_account_id
    made.put_back()


def test_without_a_verify_token_nothing_is_tried(desk: Desk, hooks: Webhooks) -> None:
    """Meta has to be given one."""
    with pytest.raises(ConfigError, match="verify_token"):
        desk.registrar(verify_token=Secret("")).register(Wish(level="phone"), hooks.add("ours"))


def test_graph_that_is_gone_leaves_the_record(desk: Desk, hooks: Webhooks) -> None:
    """Nothing is forgotten while Meta cannot be asked: the next start does it."""
    made = desk.registrar().register(Wish(level="phone"), hooks.add("ours"))
    desk.arrange(outage="html")
    with pytest.raises(AerobotError):
        made.put_back()
    desk.arrange(outage="")
    assert len(list(desk.records.leftovers())) == 1
    ended = desk.registrar().finish()
    assert ended is not None
    assert ended.good


def test_a_folder_that_cannot_be_written_changes_nothing_at_meta(desk: Desk, hooks: Webhooks) -> None:
    """What cannot be written down is not changed."""
    desk.folder.parent.joinpath("registrations").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written"):
        desk.registrar().register(Wish(level="phone"), hooks.add("ours"))
    assert desk.levels == {}


@pytest.mark.parametrize(
    ("status", "headers", "alive"),
    [
        (200, {}, True), (403, {}, True), (404, {}, True), (500, {}, True), (502, {}, False), (530, {}, False),
        (404, {"ngrok-error-code": "ERR_NGROK_3200"}, False), (200, {"ngrok-error-code": "ERR_NGROK_6024"}, True),
    ],
)  # fmt: skip
def test_what_counts_as_an_answer(serve: Callable[..., str], status: int, headers: dict[str, str], alive: bool) -> None:
    """A program that says anything is alive; a tunnel's or proxy's word for nobody is not."""
    assert answers(serve(status, headers)) is alive


def test_nothing_and_nonsense_do_not_answer() -> None:
    """No listener, no address."""
    for url in ("http://127.0.0.1:9/x", "nonsense", "http://"):
        assert answers(url) is False


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """A server that gives one answer to everything."""
    servers = []

    def start(status: int, headers: dict[str, str]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(5)
