"""One SQLite file over its life: versions, two processes at once, copies that are read, looks that change nothing."""

import asyncio
import sqlite3
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from aerobot.emulator import webhooks
from aerobot.errors import ConfigError
from aerobot.store import sqlite_file
from aerobot.store.sqlite import SqliteStore
from aerobot.store.upkeep import ENGINE
from tests.stores import BEN, BOT, NUMBER, Clock, Desk, Sqlite, texts

# -- versions ------------------------------------------------------------------------------------------------


def former(path: Path, version: int) -> None:
    """A database as an earlier aerobot made it."""
    folder = resources.files("aerobot.store").joinpath("migrations")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)[:version]
    with sqlite3.connect(path) as db:
        for file in files:
            db.executescript(file.read_text("utf-8"))
        db.execute(f"PRAGMA user_version = {version}")
        db.executescript(FORMER)
    db.close()


FORMER = f"""
INSERT INTO conversations VALUES (1, '{BOT}', '{NUMBER}', 'whatsapp', 'Ana', '31612345678', '', 3, 3, NULL, 5, NULL, 7,
    1763900000000, 1763900000000);
INSERT INTO identities VALUES ('{BOT}', 'whatsapp', 'phone', '31612345678', 1);
INSERT INTO turns VALUES (1, 1, 1, 'settled', 'answered', '', 5, 0, 10, 11),
    (2, 1, 2, 'settled', 'failed', 'boom', 5, 0, 12, 13), (3, 1, 3, 'settled', 'answered', '', 5, 0, 14, 15);
INSERT INTO messages VALUES (1, '{BOT}', 1, 1, 'w1', 'text', 'one', '{{}}', '{{}}', NULL, 10, 'failed', '', 0, 1, 1),
    (2, '{BOT}', 1, 2, 'w2', 'text', 'two', '{{}}', '{{}}', NULL, 12, 'failed', 'boom', 0, 1, 2),
    (3, '{BOT}', 1, 3, 'w3', 'text', 'three', '{{}}', '{{}}', NULL, 14, 'answered', '', 0, 1, 3),
    (4, '{BOT}', 1, 4, 'w4', 'text', 'four', '{{"id": "w4", "type": "text", "text": {{"body": "four"}}}}', '{{}}', NULL,
    16, 'queued', '', 0, 1, NULL);
INSERT INTO parts VALUES
    ('p1', 1, 1, 0, 'text', 'a', '{{}}', 'failed', 1, 0, 11, NULL, '{{"code": 131047, "title": "closed"}}', ''),
    ('p3', 3, 1, 0, 'text', 'c', '{{}}', 'sent', 1, 0, 15, 'w', '', 'read');
"""


async def test_a_database_one_version_back_opens_with_everything_in_it(tmp_path: Path, clock: Clock) -> None:
    """What had failed is on the list, what waits is answered, what was said is still known."""
    path = tmp_path / "aerobot.db"
    former(path, 1)
    assert sqlite_file.info(path).version == 1
    assert sqlite_file.info(path).failed is None
    store = SqliteStore(path, clock=clock)
    await store.open()
    desk = Desk(store, clock)
    assert [(turn.turn_id, turn.cause, turn.error) for turn in await desk.failed()] == [
        (1, "131047", "closed"),
        (2, ENGINE, "boom"),
    ]
    assert texts(await desk.claim()) == ["four"]
    assert [line.text for line in await store.upkeep.talk(1, limit=9)] == ["one", "a", "two", "three", "c", "four"]
    await store.close()
    assert sqlite_file.info(path).version == sqlite_file.info(path).newest_version


async def test_a_migration_that_breaks_leaves_the_former_version(tmp_path: Path, clock: Clock) -> None:
    """Each version is one transaction: where it cannot be finished nothing of it stays, and nothing is lost."""
    path = tmp_path / "aerobot.db"
    former(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("CREATE INDEX receipts_of_part ON messages (id)")  # in the way of the next version
    db.close()
    with pytest.raises(ConfigError, match="cannot be opened"):
        await SqliteStore(path, clock=clock).open()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT COUNT(*) FROM messages").fetchone() == (4,)
        assert "failed_at" not in [row[1] for row in db.execute("PRAGMA table_info(turns)")]
        db.execute("DROP INDEX receipts_of_part")
    db.close()
    store = SqliteStore(path, clock=clock)
    await store.open()
    await store.close()


OPENER = """
import asyncio, sys
from pathlib import Path
from aerobot.errors import ConfigError
from aerobot.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    sys.stdin.readline()
    try:
        await store.open()
    except ConfigError as error:
        print("refused", error.message, flush=True)
        return
    print("open", flush=True)
    sys.stdin.readline()
    await store.close()

asyncio.run(main())
"""


def test_two_processes_that_open_at_once_migrate_once(tmp_path: Path) -> None:
    """One has the file, the others are told who; the database is whole and of the newest version."""
    path = tmp_path / "aerobot.db"
    former(path, 1)
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("\n")
        opener.stdin.flush()
    answers = [opener.stdout.readline() for opener in openers if opener.stdout]
    for opener in openers:
        opener.communicate("\n", timeout=20)
    assert sorted(answer.split()[0] for answer in answers) == ["open", "refused", "refused", "refused"]
    assert all("uses the database" in answer for answer in answers if answer.startswith("refused"))
    assert sqlite_file.info(path).version == sqlite_file.info(path).newest_version
    assert sqlite_file.info(path).counts["messages"] == 4


# -- copies --------------------------------------------------------------------------------------------------


async def test_a_backup_while_messages_arrive_is_whole(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """Restored, it has every message acknowledged before it began, no torn one, and goes on where that moment was."""
    for n in range(50):
        await desk.hear(f"before {n}", webhooks.Sender(phone=f"3161000{n:04}"))
    target = tmp_path / "copy.db"
    copying = asyncio.create_task(asyncio.to_thread(sqlite_file.backup, backend.path, target))
    during = 0
    while not copying.done() or during < 5:
        await desk.hear(f"during {during}", BEN)
        during += 1
    assert await copying == target.stat().st_size
    assert target.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if "copy" in file.name] == ["copy.db"]
    restored = SqliteStore(target, clock=clock)
    await restored.open()
    said = texts(await restored.claim("one", 1000, join=True))
    await restored.close()
    assert {f"before {n}" for n in range(50)} <= set(said)
    late = [text for text in said if text.startswith("during")]
    assert late == [f"during {n}" for n in range(len(late))]
    assert (await desk.store.backlog())[0] == 50 + during
    with sqlite3.connect(target) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def test_a_backup_replaces_nothing(desk: Desk, backend: Sqlite, tmp_path: Path) -> None:
    """A file of that name stays as it is; a place that cannot be written is named, and no scrap is left."""
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        sqlite_file.backup(backend.path, target)
    assert target.read_text() == "precious"
    with pytest.raises(ConfigError, match="nowhere"):
        sqlite_file.backup(backend.path, tmp_path / "nowhere" / "copy.db")
    with pytest.raises(ConfigError, match="no database"):
        sqlite_file.backup(tmp_path / "missing.db", tmp_path / "copy.db")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["precious.txt", "store"]


async def test_what_a_database_holds(desk: Desk, backend: Sqlite, clock: Clock) -> None:
    """Path, size, version, counts, oldest, newest, backlog, and what failed; looking changes nothing."""
    began = clock.now
    await desk.stuck()
    clock.forward(1000)
    await desk.hear("waits", BEN)
    info = sqlite_file.info(backend.path)
    assert (info.oldest, info.newest, info.waiting_messages, info.waiting_parts, info.failed) == (
        began, clock.now, 1, 0, 1,
    )  # fmt: skip
    assert (info.counts["messages"], info.counts["parts"], info.counts["conversations"]) == (2, 3, 2)
    assert info.size >= backend.path.stat().st_size > 0
    assert info.version == info.newest_version


def test_looking_at_a_newer_database_says_so(tmp_path: Path) -> None:
    """Neither figures nor a copy of what this aerobot does not know."""
    path = tmp_path / "aerobot.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for look in (sqlite_file.info, lambda path: sqlite_file.backup(path, tmp_path / "copy.db")):
        with pytest.raises(ConfigError, match="newer aerobot"):
            look(path)


@pytest.mark.parametrize("version", [0, 1])
async def test_somebody_elses_database_is_left_alone(tmp_path: Path, clock: Clock, version: int) -> None:
    """Neither opened nor looked at: nothing is written into it."""
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE x (y)")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(ConfigError, match="not aerobot's"):
        await SqliteStore(path, clock=clock).open()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("x",)]
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    db.close()


async def test_claims_still_use_the_index_of_what_is_queued(store: SqliteStore, backend: Sqlite) -> None:
    """However long a conversation is, its next message is found without looking at the answered ones."""
    with sqlite3.connect(backend.path) as db:
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT id, capture FROM messages WHERE conversation_id = 1 AND state = 'queued'"
            " ORDER BY seq LIMIT 1"
        ).fetchall()
    db.close()
    assert [row[3] for row in plan] == ["SEARCH messages USING INDEX messages_queued (conversation_id=?)"]


async def test_a_file_by_another_name_is_the_same_file(tmp_path: Path, clock: Clock) -> None:
    """Two hosts on one database lose what was acknowledged: a symbolic link does not let a second one in."""
    first = SqliteStore(tmp_path / "real" / "a.db", clock=clock)
    await first.open()
    (tmp_path / "linked").mkdir()
    link = tmp_path / "linked" / "b.db"
    link.symlink_to(first.path)
    with pytest.raises(ConfigError, match="Another host"):
        await SqliteStore(link, clock=clock).open()
    await first.close()
    again = SqliteStore(link, clock=clock)
    await again.open()
    await again.close()
