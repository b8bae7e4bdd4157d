"""`aerobot failed`, `conversations` and `db` as processes: beside a host, after a kill -9, and on the file alone."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aerobot.emulator import webhooks
from aerobot.host.paths import path_of
from aerobot.store.sqlite import SqliteStore
from aerobot.store.sqlite_queue import queued
from tests.emulated import EmulatedMeta
from tests.processes import AS_OWNER
from tests.running import Running, environment, run
from tests.stores import ANA, BEN, ERROR, LINE, Desk, Sqlite

DAY = 86_400_000
ALEX = "15550123456"
BOT = """
from pathlib import Path
from aerobot.bot import Image

def reply(turn):
    if turn.text == "boom" and not Path("mended").exists():
        raise KeyError("size")
    if turn.text == "picture":
        return ["before", Image(path="photo.png"), "after"]
    return f"re {turn.text}"
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000000000200"
    "01e221bc330000000049454e44ae426082"
)


@dataclass(frozen=True)
class Place:
    """A project with a bot, and an emulated Meta around it."""

    folder: Path
    env: dict[str, str]
    meta: EmulatedMeta

    @property
    def database(self) -> Path:
        return self.folder / ".aerobot" / "aerobot.db"

    def serve(self, *flags: str) -> Running:
        return Running(["serve", "bot.py", *flags], cwd=self.folder, env=self.env)

    def connected(self, host: Running) -> None:
        """Wait until a host that prints JSON is ready, and let Meta call it."""
        self.meta.run(self.meta.emulator.connect(host.event("ready")["webhook_url"]))

    def say(self, text: str) -> None:
        self.meta.run(self.meta.emulator.say(text))

    def heard(self) -> list[str]:
        """What arrived on the phones."""
        return [reply["text"] or reply["type"] for reply in self.meta.replies()]

    def arm(self, fault: str) -> None:
        async def armed() -> None:
            self.meta.emulator.arm(fault)

        self.meta.run(armed())

    def ask(self, *words: str, code: int = 0) -> Any:
        done = run(words, cwd=self.folder, env=self.env)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def ask_as_owner(self, *words: str, code: int = 0) -> Any:
        """As somebody whom the modes of files bind."""
        done = subprocess.run(
            [sys.executable, "-c", AS_OWNER, *words], cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.ask(*words, "--json", code=code).stdout)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "bot"
    folder.mkdir()
    (folder / "bot.py").write_text(BOT)
    with EmulatedMeta() as meta:
        found = meta.credentials
        extra = {
            "AEROBOT_WHATSAPP_GRAPH_URL": meta.url,
            "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": found.phone_number_id,
            "AEROBOT_WHATSAPP_ACCESS_TOKEN": found.access_token,
            "AEROBOT_WHATSAPP_VERIFY_TOKEN": found.verify_token,
            "AEROBOT_WHATSAPP_APP_SECRET": found.app_secret,
            "AEROBOT_SERVE_PORT": "0",
            "AEROBOT_SERVE_PRIVATE_PORT": "0",
            "COLUMNS": "80",
        }
        yield Place(folder, environment(tmp_path, extra), meta)


def seed(place: Place, work: Callable[[Desk], Coroutine[Any, Any, None]], *, days_ago: float = 0) -> None:
    """Fill the project's database as a host did at some time."""
    place.database.parent.mkdir(exist_ok=True)
    now = time.time_ns() // 1_000_000 - int(days_ago * DAY)

    class Then:
        now = 0

        def __call__(self) -> int:
            return self.now

    async def filled() -> None:
        clock = Then()
        clock.now = now
        store = SqliteStore(place.database, clock=clock)
        await store.open()
        await work(Desk(store, clock))  # type: ignore[arg-type]
        await store.close()

    asyncio.run(filled())


async def one_failed(desk: Desk) -> None:
    """A turn whose second part failed."""
    await desk.hear("Where is it?", ANA)
    work = await desk.take()
    parts = await desk.plan(work, "arrived", "lost")
    await desk.settle(work, parts[0], start=parts[1].id)
    await desk.settle(work, parts[1], "failed", error=ERROR, finish=True)


def narrow(text: str) -> bool:
    """Whether every line but values to be copied fits 80 columns."""
    return all(len(line) <= 80 for line in text.splitlines() if not line.startswith("/"))


# -- failed ------------------------------------------------------------------------------------------------------


def test_what_failed_is_told_listed_and_retried(place: Place) -> None:
    """serve names the command at once; the list says why; after the cure a retry is answered, and said once."""
    with place.serve() as host:
        place.meta.until(lambda: "Ready" in host.stderr, 20)
        hosts = Path(place.env["AEROBOT_STATE_HOME"]) / "hosts"
        record = json.loads(next(hosts.glob("*.json")).read_text())
        place.meta.run(place.meta.emulator.connect(record["local_url"] + path_of(only_bot(record))))
        place.say("boom")
        place.meta.until(lambda: "aerobot failed show 1" in host.stderr)
        (alert,) = [line for line in host.stderr.splitlines() if "aerobot failed show" in line]
        assert "✗" in alert
        assert "KeyError" in alert
        listed = place.ask("failed")
        assert "engine" in listed.stdout
        assert "KeyError" in listed.stdout
        assert "··3456" in listed.stdout
        assert ALEX not in listed.stdout + listed.stderr
        assert listed.stderr.splitlines()[-1] == "Next: aerobot failed show 1"
        assert "the host that runs" in listed.stderr
        shown = place.ask("failed", "show", "1")
        assert "bot.py:7" in shown.stdout
        assert "--> boom" in shown.stdout
        assert shown.stderr.splitlines()[-1] == "Next: aerobot failed retry 1"
        assert narrow(listed.stdout + listed.stderr + shown.stdout + shown.stderr)
        (place.folder / "mended").touch()
        retried = place.ask("failed", "retry", "1", "99")
        assert "1: goes on where it failed" in retried.stderr
        assert "99" in retried.stderr
        place.meta.until(lambda: place.heard() == ["re boom"])
        place.meta.until(lambda: place.json("failed", "list")["failed"] == [])
        assert place.json("failed", "retry", "1", code=4)["missing"] == [1]
        assert host.stop() == 130


def only_bot(record: dict[str, Any]) -> str:
    """The id of the one bot of a running host."""
    import httpx

    token = {"Authorization": f"Bearer {record['private_token']}"}
    return str(httpx.get(record["private_url"] + "/api/bots", headers=token).json()["bots"][0]["id"])


def test_a_retry_resumes_in_the_middle_of_a_chain(place: Place) -> None:
    """What arrived before the failed part is not said again; the part and the rest follow, in order."""
    with place.serve("--json") as host:
        place.connected(host)
        place.say("picture")
        assert host.event("part", state="failed")["turn_id"] == 1
        assert place.heard() == ["before"]
        (turn,) = place.json("failed")["failed"]
        assert (turn["resumes_at"], [part["state"] for part in turn["parts"]]) == (1, ["sent", "failed", "not_sent"])
        (place.folder / "photo.png").write_bytes(PNG)
        place.ask("failed", "retry", "--all")
        place.meta.until(lambda: len(place.heard()) == 3)
        assert place.heard() == ["before", "image", "after"]
        assert host.stop() == 130


def test_what_meta_reports_later_is_told_and_listed(place: Place) -> None:
    """Accepted, then undeliverable: the line names the turn, and a retry by Meta's code says it again."""
    with place.serve("--json") as host:
        place.connected(host)
        place.arm("undeliverable")
        place.say("lost")
        assert host.event("receipt", status="failed")["failed_turn"] == 1
        assert place.json("failed")["causes"] == {"131026": 1}
        place.ask("failed", "retry", "--cause", "131026")
        host.event("receipt", status="read")
        assert place.heard() == ["re lost", "re lost"]
        assert place.json("failed")["causes"] == {}
        assert host.stop() == 130


def test_the_list_and_a_retry_survive_kill_9(place: Place) -> None:
    """After a crash the file is asked; what is retried there goes out at the next start, once."""
    with place.serve("--json") as host:
        place.connected(host)
        place.arm("not_on_list")
        place.say("first")
        host.event("part", state="failed")
        host.stop(signal.SIGKILL)
    listed = place.ask("failed")
    assert listed.stdout.count("131030") == 1
    assert "no host runs" in listed.stderr
    assert place.ask("failed", "show", "1").stdout.count("131030") == 1
    retried = place.ask("failed", "retry", "--all")
    assert "No host runs" in retried.stderr
    assert retried.stderr.splitlines()[-1] == "Next: aerobot serve"
    with place.serve("--json") as host:
        place.connected(host)
        place.meta.until(lambda: place.heard() == ["re first"])
        place.say("second")
        place.meta.until(lambda: place.heard() == ["re first", "re second"])
        assert place.json("failed")["causes"] == {}
        host.stop(signal.SIGKILL)


def test_a_start_tells_what_failed_before_it(place: Place) -> None:
    """The list is not forgotten between runs: one line says that it waits."""
    seed(place, one_failed)
    with place.serve("--json") as host:
        notice = host.event("notice", topic="failed")
        assert notice["detail"] == "1 on the failed list of earlier runs: aerobot failed"
        assert host.stop() == 130


def test_a_retry_outside_the_window_says_so(place: Place) -> None:
    """It stays on the list with the reason and what is left to do; --anyway is a deliberate word. Nothing done is 4."""
    seed(place, one_failed, days_ago=3)
    shown = place.ask("failed", "show", "1")
    assert "closed: the user wrote last 3 days ago" in shown.stdout
    done = place.ask("failed", "retry", "--all", code=4)
    assert "the 24 hours since the user wrote are over (131047)" in done.stderr
    assert "aerobot templates list" in done.stderr
    assert narrow(shown.stdout + shown.stderr + done.stdout + done.stderr)
    document = place.json("failed", "retry", "1", code=4)
    assert (document["retried"], document["closed"][0]["window"], document["running"]) == ([], "closed", False)
    assert place.json("failed", "retry", "1", "--anyway")["retried"] == [1]


def test_discarding_asks_before_it_takes_many(place: Place) -> None:
    """One by its number is deliberate; all of them want a yes."""

    async def three(desk: Desk) -> None:
        for _ in range(3):
            await one_failed(desk)

    seed(place, three)
    assert "--yes" in place.ask("failed", "discard", "--all", code=2).stderr
    assert place.json("failed", "discard", "2")["discarded"] == [2]
    assert "discarded 1, 3" in place.ask("failed", "discard", "--all", "--yes").stderr
    assert "Nothing failed." in place.ask("failed").stderr
    assert place.ask("failed", "discard", "2", code=4)


@pytest.mark.parametrize("words", [
    ("failed", "retry"), ("failed", "discard"), ("failed", "retry", "1", "--all"), ("failed", "retry", "x"),
    ("conversations", "show"), ("conversations", "forget", "Ana", "--id", "1"), ("db", "purge", "--days", "-1"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything(place: Place, words: tuple[str, ...]) -> None:
    """Exit 2, although there is no database yet."""
    assert place.ask(*words, code=2)
    assert not place.database.exists()


# -- conversations -----------------------------------------------------------------------------------------------


def test_a_person_is_found_shown_and_erased_beside_a_running_host(place: Place) -> None:
    """By the last digits; numbers are shortened for people, whole for programs; after that no file holds them."""
    with place.serve("--json") as host:
        place.connected(host)
        place.say("my secret is zyzzyva")
        place.meta.until(lambda: len(place.heard()) == 1)
        host.event("receipt", status="read")
        listed = place.ask("conversations", "list", "3456")
        assert "··3456 Alex Rivera" in listed.stdout
        assert ALEX not in listed.stdout + listed.stderr
        (person,) = place.json("conversations", "list")["conversations"]
        assert (person["phone"], person["messages"]) == (ALEX, 1)
        shown = place.ask("conversations", "show", "alex")
        assert "--> my secret is zyzzyva" in shown.stdout
        assert "<-- re my secret is zyzzyva" in shown.stdout
        assert narrow(listed.stdout + listed.stderr + shown.stdout + shown.stderr)
        refused = place.ask("conversations", "forget", f"+{ALEX}", code=2)
        assert "--yes" in refused.stderr
        assert "1 message" in refused.stderr
        gone = place.json("conversations", "forget", f"+{ALEX}", "--yes")
        (erased,) = gone["forgotten"]
        assert erased["erased"]["messages"] == 1
        assert erased["erased"]["bodies"] >= 2
        assert gone["database"] == str(place.database)
        content = b"".join(file.read_bytes() for file in place.database.parent.glob("aerobot.db*"))
        for trace in (b"zyzzyva", ALEX.encode(), b"Alex Rivera"):
            assert trace not in content, trace
        assert place.ask("conversations", "show", "alex", code=4)
        place.say("again")
        place.meta.until(lambda: len(place.heard()) == 2)
        (person,) = place.json("conversations", "list")["conversations"]
        assert person["messages"] == 1
        assert host.stop() == 130


def test_several_people_who_fit_are_named(place: Place) -> None:
    """Nobody is erased by a name that two have: exit 2 with the id of each."""

    async def two(desk: Desk) -> None:
        await desk.hear("Hi", webhooks.Sender(phone="31600004821", name="Ana"))
        await desk.hear("Hi", webhooks.Sender(phone="49170004821", name="Anna"))

    seed(place, two)
    for who in ("", " "):  # a variable that was not set
        place.ask("conversations", "forget", who, "--yes", code=2)
    done = place.ask("conversations", "forget", "4821", "--yes", code=2)
    assert "--id 1" in done.stderr
    assert "--id 2" in done.stderr
    assert place.json("conversations", "forget", "--id", "2", "--yes")["forgotten"][0]["id"] == 2
    assert [person["name"] for person in place.json("conversations", "list")["conversations"]] == ["Ana"]


def test_a_part_of_a_name_erases_nobody_unasked(place: Place) -> None:
    """--yes in a script is for exactly one person: last digits or half a name are refused, and say who it would be."""

    async def one(desk: Desk) -> None:
        await desk.hear("Hi", webhooks.Sender(phone="5491123454821", name="Anastasia", user_id="AR.77"))

    seed(place, one)
    for who in ("Ana", "4821", "1123454821"):
        done = place.ask("conversations", "forget", who, "--yes", code=2)
        assert "--id 1: ··4821 Anastasia" in done.stderr
    assert place.ask("conversations", "forget", "+54 11 2345-4821", "--yes")


def test_all_conversations_of_one_person_go_together(place: Place) -> None:
    """With every bot, and those of tests with the same number."""

    async def several(desk: Desk) -> None:
        await desk.hear("to one")
        await desk.hear("to two", bot_id="bt_two")
        await desk.hear("to Ben", BEN)
        await desk.store.announce("bt_one", "wamid.t", capture=True, ttl_ms=60_000)
        await desk.hear("a test", id="wamid.t")

    seed(place, several)
    gone = place.json("conversations", "forget", f"+{ANA.phone}", "--yes")["forgotten"]
    assert [one["erased"]["messages"] for one in gone] == [1, 1, 1]
    assert [person["name"] for person in place.json("conversations", "list")["conversations"]] == ["Ben"]


def test_an_erasure_that_is_killed_can_be_repeated(place: Place) -> None:
    """kill -9 in the middle: the person is still found, and a second try erases the rest."""

    async def long(desk: Desk) -> None:
        batch = webhooks.inbound(LINE, ANA, desk.message("zyzzyva"))
        value = batch["entry"][0]["changes"][0]["value"]
        for _ in range(8):
            value["messages"] = [desk.message("zyzzyva") for _ in range(900)]
            await desk.receive(batch)

    seed(place, long)
    with Running(["conversations", "forget", "Ana", "--yes"], cwd=place.folder, env=place.env) as erasing:
        place.meta.until(lambda: len(content_of(place, "messages")) < 7200 or erasing.process.poll() is not None, 30)
        erasing.stop(signal.SIGKILL)
    left = len(content_of(place, "messages"))
    if left:
        assert place.json("conversations", "forget", "Ana", "--yes")["forgotten"][0]["erased"]["messages"] == left
    assert content_of(place, "messages") == content_of(place, "identities") == []
    assert b"zyzzyva" not in Sqlite(place.database.parent).content()


def content_of(place: Place, table: str) -> list[Any]:
    db = sqlite3.connect(f"file:{place.database}?mode=ro", uri=True)
    try:
        return db.execute(f"SELECT * FROM {table}").fetchall()
    finally:
        db.close()


# -- db ----------------------------------------------------------------------------------------------------------


def test_a_backup_beside_a_running_host_is_restored_and_read(place: Place, tmp_path: Path) -> None:
    """While messages keep arriving; another host serves the copy, with every message from before it."""
    with place.serve("--json") as host:
        place.connected(host)
        for n in range(20):
            place.say(f"before {n}")
        place.meta.until(lambda: len(place.heard()) == 20, 30)
        stop = threading.Event()

        def talk() -> None:
            for said in itertools.count(21):
                place.say("during")
                place.meta.until(lambda said=said: len(place.heard()) == said)
                if stop.is_set():
                    return

        talking = threading.Thread(target=talk)
        talking.start()
        try:
            made = place.json("db", "backup", "copy.db")
        finally:
            stop.set()
            talking.join()
        assert len(place.heard()) > 21
        assert host.stop() == 130
    copy = place.folder / "copy.db"
    assert made == {"database": str(place.database), "backup": str(copy), "size": copy.stat().st_size}
    assert copy.stat().st_mode & 0o777 == 0o600
    with Running(
        ["serve", "bot.py", "--json", "--database", "copy.db"], cwd=place.folder, env=place.env
    ) as restored:
        restored.event("ready")
        env = {**place.env, "AEROBOT_SERVE_DATABASE": str(copy)}
        done = run(["conversations", "show", "Alex", "--limit", "0", "--json"], cwd=place.folder, env=env)
        texts = [line["text"] for line in json.loads(done.stdout)["lines"] if line["role"] == "user"]
        assert texts[:20] == [f"before {n}" for n in range(20)]
        assert set(texts[20:]) <= {"during"}
        restored.stop(signal.SIGKILL)
    assert place.ask("db", "backup", "copy.db", code=3)


def test_what_the_database_holds(place: Place) -> None:
    """Path, size, version, counts, oldest, newest, what waits, what failed; for people within 80 columns."""
    seed(place, one_failed, days_ago=2)
    found = place.json("db", "info")
    assert found["path"] == str(place.database)
    assert (found["counts"]["messages"], found["counts"]["parts"], found["failed"]) == (1, 2, 1)
    assert found["waiting"] == {"unread": 0, "messages": 0, "parts": 0}
    assert found["version"] == found["newest_version"]
    assert found["oldest"] == found["newest"]
    assert found["retention_days"] == 30
    done = place.ask("db", "info")
    assert "2 days ago" in done.stdout
    assert "1 turn" in done.stdout
    assert narrow(done.stdout + done.stderr)
    assert done.stderr.splitlines()[-1] == "Next: aerobot failed"


def test_a_backups_path_is_told_as_it_is(place: Place, tmp_path: Path) -> None:
    """Without what leads back and forth, and with the home folder's name; a home of nobody's is a sentence."""
    seed(place, one_failed)
    (place.folder / "a").mkdir()
    assert place.ask("db", "backup", "a/../b.db").stdout == f"{place.folder / 'b.db'}\n"
    assert place.json("db", "backup", "~/c.db")["backup"] == f"{place.env['HOME']}/c.db"
    assert "~nobody-here" in place.ask("db", "backup", "~nobody-here/d.db", code=3).stderr
    place.env["AEROBOT_SERVE_DATABASE"] = "~nobody-here/d.db"
    assert "~nobody-here" in place.ask("db", "info", code=3).stderr


def test_what_is_not_answered_is_listed(place: Place) -> None:
    """The list says in words how many messages of a conversation wait."""

    async def waiting(desk: Desk) -> None:
        await desk.hear("one", ANA)
        await desk.hear("two", ANA)

    seed(place, waiting)
    listed = place.ask("conversations", "list")
    head, row = listed.stdout.splitlines()
    assert head.split() == ["ID", "WHO", "LAST", "MESSAGES", "UNANSWERED"]
    assert row.split()[-2:] == ["2", "2"]
    assert narrow(listed.stdout)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nobody but root may write."""
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o700)


def test_a_database_in_a_read_only_folder_is_read_and_copied(place: Place, tmp_path: Path) -> None:
    """Where SQLite cannot write its notes beside the file, one that nobody has open is read as it is."""
    seed(place, one_failed)
    copy = tmp_path / "copy.db"
    with read_only(place.database.parent):
        assert json.loads(place.ask_as_owner("db", "info", "--json").stdout)["counts"]["messages"] == 1
        place.ask_as_owner("db", "backup", str(copy))
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT COUNT(*) FROM messages").fetchone() == (1,)
    db.close()


def test_what_only_a_log_has_is_not_left_out(place: Place, tmp_path: Path) -> None:
    """A log that cannot be joined to a database is named, with what to do; a file that may not be read, too."""
    seed(place, one_failed)
    with contextlib.closing(sqlite3.connect(place.database, isolation_level=None)) as db:
        db.execute("DELETE FROM receipts")
        kept = tmp_path / "kept"
        kept.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(f"{place.database}{ending}", kept)
        place.env["AEROBOT_SERVE_DATABASE"] = str(kept / "aerobot.db")
        with read_only(kept):
            for words in (("info",), ("backup", str(tmp_path / "copy.db"))):
                done = place.ask_as_owner("db", *words, code=3)
                assert "aerobot.db-wal" in done.stderr
                assert "Copy both" in done.stderr
    assert not list(tmp_path.glob("copy*"))
    (kept / "aerobot.db").chmod(0)
    assert "Permission denied" in place.ask_as_owner("db", "info", code=3).stderr


def test_a_purge_deletes_the_old_and_keeps_what_waits(place: Place) -> None:
    """After a yes; beside a host and without one; what is not answered yet is answered all the same."""

    async def old(desk: Desk) -> None:
        await one_failed(desk)
        await desk.hear("still waiting", BEN)

    seed(place, old, days_ago=0.5)
    assert "--yes" in place.ask("db", "purge", code=2).stderr
    assert place.json("db", "purge", "--yes")["deleted"]["messages"] == 0
    deleted = place.json("db", "purge", "--days", "0.1", "--yes")
    assert (deleted["deleted"]["messages"], deleted["deleted"]["parts"], deleted["older_than_days"]) == (1, 2, 0.1)
    assert place.json("failed")["causes"] == {}
    assert place.json("db", "info")["waiting"]["messages"] == 1
    with place.serve("--json") as host:
        place.connected(host)
        place.say("new")
        place.meta.until(lambda: "re new" in place.heard())
        done = place.ask("db", "purge", "--days", "0", "--yes")
        assert "1 message" in done.stderr or "2 messages" in done.stderr
        assert host.stop() == 130


def test_a_retention_of_zero_wants_a_number(place: Place) -> None:
    """Who keeps everything does not lose it by a bare purge."""
    seed(place, one_failed)
    done = run(["db", "purge", "--yes"], cwd=place.folder, env={**place.env, "AEROBOT_SERVE_RETENTION_DAYS": "0"})
    assert done.returncode == 2
    assert "--days" in done.stderr


COMMANDS = (
    ("failed",), ("failed", "retry", "--all"), ("conversations", "list"), ("db", "info"), ("db", "backup", "copy.db"),
    ("db", "purge", "--yes"),
)  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS)
def test_a_newer_database_is_refused_in_words(place: Place, words: tuple[str, ...]) -> None:
    """Exit 3 with both versions and the remedy, and the file stays as it is."""
    place.database.parent.mkdir()
    with sqlite3.connect(place.database) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    done = place.ask(*words, code=3)
    assert "newer aerobot (its version 99" in done.stderr
    assert content_of(place, "sqlite_master") == []
    assert not (place.folder / "copy.db").exists()


@pytest.mark.parametrize("words", COMMANDS)
def test_without_host_and_database_there_is_nothing_to_ask(place: Place, words: tuple[str, ...]) -> None:
    """Exit 3, what makes one, and none is made by looking."""
    done = place.ask(*words, code=3)
    assert "no database" in done.stderr
    assert "aerobot serve" in done.stderr
    assert not place.database.exists()


def test_a_database_that_somebody_holds_without_a_record_is_named(place: Place) -> None:
    """A host that cannot be found keeps its lock: what would write is refused with its process, a look is not."""
    seed(place, one_failed)
    with place.serve("--json") as host:
        host.event("ready")
        next((Path(place.env["AEROBOT_STATE_HOME"]) / "hosts").glob("*.json")).unlink()
        done = place.ask("failed", code=3)
        assert f"process {host.process.pid}" in done.stderr
        assert place.json("db", "info")["failed"] == 1
        assert host.stop() == 130


@pytest.mark.parametrize("words", [("failed",), ("db", "info"), ("serve", "echo")])
def test_a_database_that_is_no_file_is_refused_at_once(place: Place, words: tuple[str, ...]) -> None:
    """A pipe would be waited for without end, a folder or device fails obscurely: each is named as what it is."""
    place.database.parent.mkdir()
    os.mkfifo(place.database)
    assert "aerobot.db is a pipe, not a file" in place.ask(*words, code=3).stderr.replace("\n", " ")


def test_commands_at_once_wait_for_each_other(place: Place) -> None:
    """Where no host runs, each has its answer: none is told that another host uses the database."""
    seed(place, one_failed)
    words = [("failed", "list"), ("failed", "show", "1"), ("conversations", "list"), ("db", "purge", "--yes")]
    started = [Running([*one, "--json"], cwd=place.folder, env=place.env) for one in words * 2]
    codes = [one.process.wait(60) for one in started]
    assert codes == [0] * 8, [one.stderr for one in started]
    for one in started:
        one.stop()


def test_a_host_that_starts_waits_for_a_command(place: Place) -> None:
    """A command that is at work for a moment keeps no host from starting."""
    seed(place, one_failed)

    async def busy() -> Running:
        async with queued(place.database):
            store = SqliteStore(place.database)
            await store.open()
            host = place.serve("--json")
            await asyncio.sleep(1.5)
            await store.close()
            return host

    with asyncio.run(busy()) as host:
        host.event("ready")
        assert host.stop() == 130


def test_a_command_that_works_for_long_is_named(place: Place) -> None:
    """After some seconds whoever waits is told who is at work, and that it is no host."""
    seed(place, one_failed)

    async def busy() -> None:
        async with queued(place.database):
            done = await asyncio.to_thread(place.ask, "failed", code=3)
            assert f"Another command (process {os.getpid()})" in done.stderr
            assert "Try again" in done.stderr

    asyncio.run(busy())


def test_a_host_of_another_project_is_not_asked(place: Place, tmp_path: Path) -> None:
    """Where this project has a database of its own, nobody else's is shown, and none of their people erased."""
    other = tmp_path / "other"
    other.mkdir()
    seed(place, one_failed)
    with Running(["serve", "echo", "--json"], cwd=other, env=place.env) as host:
        host.event("ready")
        done = place.ask("conversations", "list")
        assert "··5678 Ana" in done.stdout
        assert "no host runs" in done.stderr
        assert host.stop() == 130


@pytest.mark.parametrize("config", ["", '[whatsapp]\nphone_number_id = "1234567890"\n'])
def test_another_projects_host_is_refused(place: Place, tmp_path: Path, config: str) -> None:
    """From a folder without a database, another number's host is named with its data, and nothing there is touched."""
    seed(place, one_failed)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".git").mkdir()
    if config:
        (other / "aerobot.toml").write_text(config)
    stranger = {key: value for key, value in place.env.items() if not key.startswith("AEROBOT_WHATSAPP")}
    with place.serve("--json") as host:
        host.event("ready")
        for words in (
            ("conversations", "forget", "--id", "1", "--yes"),
            ("db", "backup", "copy.db"),
            ("db", "info"),
            ("db", "purge", "--days", "0", "--yes"),
            ("failed", "retry", "--all"),
        ):
            done = run(words, cwd=other, env=stranger)
            assert done.returncode == 3, (words, done.stdout, done.stderr)
            assert f"pid {host.process.pid}, bot.py: {place.database}" in done.stderr
            assert "AEROBOT_SERVE_DATABASE" in done.stderr
        assert [turn["id"] for turn in place.json("failed")["failed"]] == [1]
        meant = run(("failed",), cwd=other, env={**stranger, "AEROBOT_SERVE_DATABASE": str(place.database)})
        assert f"From the host that runs (pid {host.process.pid}" in meant.stderr
        assert host.stop() == 130


def test_a_host_of_the_same_number_is_asked_and_named(place: Place, tmp_path: Path) -> None:
    """Where a folder has no database but the number of a host that runs, that is asked; its data are named."""
    seed(place, one_failed)
    other = tmp_path / "other"
    other.mkdir()
    with place.serve("--json") as host:
        host.event("ready")
        done = run(("failed", "show", "1"), cwd=other, env=place.env)
        assert done.returncode == 0, done.stderr
        assert f"whose data are in {place.database}" in done.stderr.replace("\n  ", " ")
        assert json.loads(run(("failed", "--json"), cwd=other, env=place.env).stdout)["database"] == str(place.database)
        assert host.stop() == 130


def test_a_sandbox_is_asked_where_nothing_else_is_meant(place: Place, tmp_path: Path) -> None:
    """A folder without a configuration, number and database asks the sandbox that runs; one with a number does not."""
    other = tmp_path / "other"
    other.mkdir()
    stranger = {key: value for key, value in place.env.items() if not key.startswith("AEROBOT_WHATSAPP")}
    with Running(["sandbox", "echo", "--json"], cwd=place.folder, env=stranger) as sandbox:
        sandbox.event("ready")
        done = run(("conversations", "list"), cwd=other, env=stranger)
        assert done.returncode == 0, done.stderr
        assert f"From the sandbox that runs (pid {sandbox.process.pid}, echo), whose data are in " in done.stderr
        refused = run(("conversations", "list"), cwd=other, env={**stranger, "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": "7"})
        assert refused.returncode == 3


def test_doctor_and_status_tell_of_the_failed_list(place: Place) -> None:
    """A bot that fails is no healthy bot: both warn with the number and the command, beside a host and without one."""
    with place.serve("--json") as host:
        place.connected(host)
        assert "failed" not in dict(line.split(maxsplit=1) for line in place.ask("status").stdout.splitlines())
        place.say("boom")
        host.event("turn")
        seen = place.ask("doctor", "--only", "host")
        assert "! store     1 turn on the failed list: nobody was answered" in seen.stderr
        assert seen.stderr.splitlines()[-1] == "Next: aerobot failed"
        assert place.json("status")["failed"] == 1
        assert host.stop() == 130
    done = place.ask("status")
    assert "failed    1 turn: aerobot failed" in done.stdout
    assert done.stderr.splitlines()[-1] == "Next: aerobot failed"


def test_the_failed_list_uses_the_whole_width(place: Place) -> None:
    """Names and reasons are cut only where the terminal ends; in a narrow one both give way, the name first."""
    seed(place, one_failed)
    with sqlite3.connect(place.database) as db:
        db.execute("UPDATE conversations SET name = 'Anastasia van der Meer'")
    place.env["COLUMNS"] = "140"
    wide = place.ask("failed").stdout
    assert "Anastasia van der Meer" in wide
    assert "…" not in wide
    place.env["COLUMNS"] = "80"
    listed = place.ask("failed").stdout
    assert narrow(listed)
    assert "··5678 Anasta" in listed
