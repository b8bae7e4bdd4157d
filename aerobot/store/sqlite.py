"""The store on SQLite: one file, one host, every commit on disk before it counts."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from aerobot.bot import Said
from aerobot.errors import AerobotError, ConfigError
from aerobot.store import sqlite_claims as claims
from aerobot.store import sqlite_inbox as inbox
from aerobot.store import sqlite_outbox as outbox
from aerobot.store.base import Arrival, Claim, Delivery, HostedBot, Outcome, Plan, Settlement, Verdict, Work
from aerobot.store.roster import from_document, timestamp
from aerobot.store.sqlite_threads import Threads, connect
from aerobot.store.sqlite_upkeep import SqliteUpkeep

BRIEF_UPDATES, BRIEF_BYTES = 100, 256 * 1024
"""So much the event loop stores itself; Meta may send a thousand updates at once, and megabytes."""


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


class SqliteStore:
    """The ``Store`` promise on one SQLite file (WAL, ``synchronous=FULL``), used by one process at a time."""

    def __init__(self, path: Path, *, clock: Callable[[], int] = _wall_clock) -> None:
        self.path = path
        self._clock = clock
        self._threads = Threads(path)
        self._lock: object | None = None
        self._arrivals = 0
        self.upkeep = SqliteUpkeep(path, self._threads, clock)

    def now(self) -> int:
        """The store's clock."""
        return self._clock()

    async def open(self) -> None:
        """Take the file for this process, create or migrate it.

        Raises ``ConfigError`` where another host has it, where it is no database, of a newer version, or not writable.
        """
        self._take_folder()
        self._lock = _locked(self.path.resolve())  # whatever name the file goes by
        try:
            db = _ready(self.path, self._clock())
            self._arrivals = db.execute("SELECT COALESCE(MAX(id), 0) FROM arrivals").fetchone()[0]
            self._threads.start(db)
        except sqlite3.Error as error:
            self._unlock()
            raise ConfigError(
                f"The database {self.path} cannot be opened: {error}.", "serve.database names another."
            ) from None
        except AerobotError:
            self._unlock()
            raise

    def _take_folder(self) -> None:
        folder = self.path.parent
        try:
            if not folder.exists():
                folder.mkdir(parents=True, mode=0o700)
            if folder.name == ".aerobot" and not (folder / ".gitignore").exists():
                (folder / ".gitignore").write_text("*\n", "utf-8")
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            raise ConfigError(
                f"The database {self.path} cannot be created: {error.strerror}.",
                "serve.database (or AEROBOT_SERVE_DATABASE) names a place that is writable.",
            ) from None

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()  # type: ignore[attr-defined]
            self._lock = None

    async def close(self) -> None:
        """Commit what is queued and let the file go."""
        await self._threads.stop()
        self._unlock()

    # -- what arrives -------------------------------------------------------------------------------------------

    async def receive(self, bot: HostedBot, body: bytes, *, signed: bool) -> None:
        """Commit one webhook request as it came."""
        self._arrivals += 1  # no id is given twice while the file is open, though the table is empty at times
        row = (self._arrivals, bot.id, bot.phone_number_id, bot.active, signed, self._clock(), body)
        await self._threads.write(lambda db: inbox.receive(db, row), brief=len(body) <= BRIEF_BYTES)

    async def unread(self, most: int) -> tuple[Arrival, ...]:
        """The oldest requests that nobody has read."""
        return self._threads.glance(lambda db: inbox.unread(db, most, BRIEF_BYTES))

    async def unread_before(self, at: int) -> bool:
        """Whether a request that came by then is not read yet."""
        return self._threads.glance(lambda db: inbox.unread_before(db, at))

    async def last_arrival(self) -> int:
        """The id of the latest request."""
        return self._arrivals

    async def record(self, deliveries: Sequence[Delivery]) -> tuple[tuple[Outcome, ...], ...]:
        """Commit what requests hold."""
        updates, size = sum(len(one.updates) for one in deliveries), sum(len(one.body) for one in deliveries)
        brief = updates <= BRIEF_UPDATES and size <= BRIEF_BYTES
        return await self._threads.write(lambda db: inbox.record(db, deliveries, self._clock()), brief=brief)

    async def announce(self, bot_id: str, wamid: str, *, capture: bool, ttl_ms: int) -> None:
        """Expect a test message."""
        now = self._clock()

        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM announcements WHERE expires_at <= ?", (now,))
            db.execute(
                "INSERT OR REPLACE INTO announcements (bot_id, wamid, capture, expires_at) VALUES (?, ?, ?, ?)",
                (bot_id, inbox.storable(wamid), capture, now + ttl_ms),
            )

        await self._threads.write(job)

    async def verdict(self, bot_id: str, wamid: str) -> Verdict | None:
        """How a message fared so far."""
        return await self._threads.read(lambda db: _verdict(db, bot_id, inbox.storable(wamid)))

    # -- what is answered ---------------------------------------------------------------------------------------

    async def claim(self, owner: str, limit: int, *, join: bool) -> tuple[Work, ...]:
        """Claim conversations that are due."""
        return await self._threads.write(lambda db: claims.claim(db, owner, limit, join, self._clock()), brief=not join)

    async def due_in(self) -> int | None:
        """Milliseconds until the next conversation is due."""
        at = await self._threads.read(claims.due_at)
        return None if at is None else max(0, at - self._clock())

    async def renew(self, claims: Sequence[Claim]) -> frozenset[int]:
        """Prolong leases."""
        return await self._threads.write(lambda db: outbox.renew(db, claims, self._clock()), brief=True)

    async def plan(self, work: Work, plan: Plan) -> None:
        """Commit what will be said."""
        await self._threads.write(lambda db: outbox.plan(db, work, plan, self._clock()), brief=True)

    async def settle(self, work: Work, settlement: Settlement) -> str:
        """Commit a part's outcome and what follows."""
        return await self._threads.write(lambda db: outbox.settle(db, work, settlement, self._clock()), brief=True)

    async def finish(self, work: Work) -> None:
        """Settle a turn whose parts are all settled."""
        await self._threads.write(lambda db: outbox.finish(db, work, self._clock()), brief=True)

    async def release(self, claim: Claim, *, at: int | None = None) -> None:
        """Give a conversation back."""
        await self._threads.write(lambda db: outbox.release(db, claim, at, self._clock()), brief=True)

    async def history(self, conversation_id: int, *, before_turn: int, limit: int, since: int) -> tuple[Said, ...]:
        """What was really said before a turn, oldest first."""
        if limit <= 0:
            return ()
        rows = await self._threads.read(
            lambda db: db.execute(
                _HISTORY, {"id": conversation_id, "turn": before_turn, "since": since, "most": min(limit, 2**31)}
            ).fetchall()
        )
        return tuple(Said(role=row["role"], text=row["text"], at=row["at"]) for row in reversed(rows))

    async def window_at(self, conversation_id: int) -> int | None:
        """Meta's time of the newest inbound message."""
        row = await self._threads.read(
            lambda db: db.execute("SELECT window_at FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
        )
        return row["window_at"] if row else None

    async def newest_window(self) -> int | None:
        """Meta's time of the newest inbound message of any real user."""
        row = await self._threads.read(
            lambda db: db.execute("SELECT MAX(window_at) AS at FROM conversations").fetchone()
        )
        return row["at"]  # type: ignore[no-any-return]

    async def window_with(self, bot_id: str, phones: Sequence[str]) -> int | None:
        """Meta's time of the newest message from any of these numbers."""
        row = await self._threads.read(
            lambda db: db.execute(
                "SELECT MAX(c.window_at) AS at FROM identities i JOIN conversations c ON c.id = i.conversation_id"
                " WHERE i.bot_id = ? AND i.channel = 'whatsapp' AND i.kind = 'phone'"
                " AND i.value IN (SELECT value FROM json_each(?))",
                (bot_id, json.dumps(list(phones))),
            ).fetchone()
        )
        return row["at"]  # type: ignore[no-any-return]

    async def pause(self, number: str, *, until: int, reason: str) -> bool:
        """Stop claiming a number's conversations until then."""

        def job(db: sqlite3.Connection) -> bool:
            row = db.execute(
                "INSERT INTO numbers (id, paused_until, pauses, reason) VALUES (?, ?, 1, ?)"
                " ON CONFLICT DO UPDATE SET paused_until = excluded.paused_until, pauses = pauses + 1,"
                " reason = COALESCE(NULLIF(excluded.reason, ''), reason) RETURNING pauses",
                (number, until, inbox.storable(reason)),
            ).fetchone()
            return bool(row["pauses"] == 1)

        return await self._threads.write(job)

    async def resume(self, number: str) -> bool:
        """Let a number's conversations go on."""
        return await self._threads.write(
            lambda db: db.execute("DELETE FROM numbers WHERE id = ?", (number,)).rowcount > 0
        )

    # -- bots ---------------------------------------------------------------------------------------------------

    async def bots(self) -> tuple[HostedBot, ...]:
        """The bots made over the API."""
        rows = await self._threads.read(lambda db: db.execute("SELECT * FROM bots ORDER BY created_at, id").fetchall())
        return tuple(from_document({**json.loads(row["document"]), "status": row["status"]}) for row in rows)

    async def save_bot(self, bot: HostedBot) -> None:
        """Keep a bot made over the API."""
        now = self._clock()
        document = json.dumps({**bot.document, "updated_at": timestamp(now)})
        status = "active" if bot.active else "inactive"
        await self._threads.write(
            lambda db: db.execute(
                "INSERT INTO bots (id, document, status, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET document = excluded.document, status = excluded.status,"
                " updated_at = excluded.updated_at",
                (bot.id, document, status, now, now),
            )
        )

    async def delete_bot(self, bot_id: str) -> bool:
        """Forget a bot made over the API."""
        return await self._threads.write(lambda db: db.execute("DELETE FROM bots WHERE id = ?", (bot_id,)).rowcount > 0)

    async def adopt(self, former: str, bot_id: str) -> int:
        """Give what is kept under a former bot id to another."""

        def job(db: sqlite3.Connection) -> int:
            for table in ("updates", "identities", "announcements"):
                db.execute(f"UPDATE OR IGNORE {table} SET bot_id = ? WHERE bot_id = ?", (bot_id, former))  # noqa: S608
            for table in ("arrivals", "deliveries", "messages", "receipts"):
                db.execute(f"UPDATE {table} SET bot_id = ? WHERE bot_id = ?", (bot_id, former))  # noqa: S608
            moved = db.execute("UPDATE conversations SET bot_id = ? WHERE bot_id = ?", (bot_id, former))
            return moved.rowcount

        return await self._threads.write(job)

    async def backlog(self) -> tuple[int, int]:
        """Messages that wait to be answered, parts that wait to be sent."""
        row = await self._threads.read(lambda db: db.execute(_BACKLOG).fetchone())
        return row["messages"], row["parts"]


_BACKLOG = """
SELECT (SELECT COUNT(*) FROM arrivals) + (SELECT COUNT(*) FROM messages WHERE state = 'queued') + (
    SELECT COUNT(*) FROM turns t CROSS JOIN messages m ON m.turn_id = t.id
    WHERE t.state <> 'settled' AND m.state = 'in_turn'
) AS messages, (
    SELECT COUNT(*) FROM turns t CROSS JOIN parts p ON p.turn_id = t.id
    WHERE t.state <> 'settled' AND p.state IN ('planned', 'sending', 'unknown')
) AS parts
"""
"""From the open turns outwards (CROSS JOIN keeps that order): a start looks at what waits, not at all that ever was."""

_HISTORY = """
WITH newest AS (SELECT id FROM turns WHERE conversation_id = :id AND id < :turn ORDER BY id DESC LIMIT :most)
SELECT role, text, at FROM (
    SELECT 'user' AS role, m.text AS text, m.received_at AS at, m.turn_id AS turn, 0 AS place, m.seq AS nth
    FROM newest CROSS JOIN messages m ON m.turn_id = newest.id
    WHERE m.received_at >= :since
    UNION ALL
    SELECT 'bot', p.said, p.changed_at, p.turn_id, 1, p.position
    FROM newest CROSS JOIN parts p ON p.turn_id = newest.id
    WHERE p.state IN ('sent', 'captured') AND p.changed_at >= :since
) ORDER BY turn DESC, place DESC, nth DESC LIMIT :most
"""
"""Each turn has a message, so the newest ``most`` turns have the newest ``most`` entries: no other is looked at."""


def _verdict(db: sqlite3.Connection, bot_id: str, wamid: str) -> Verdict | None:
    row = db.execute(
        "SELECT m.state, m.reason, m.turn_id, m.received_at, t.state AS turn_state, t.outcome, t.error, t.engine_ms,"
        " t.settled_at, m.delivery_id FROM messages m LEFT JOIN turns t ON t.id = m.turn_id"
        " WHERE m.bot_id = ? AND m.wamid = ?",
        (bot_id, wamid),
    ).fetchone()
    if row is None:
        return None
    return Verdict(
        state=row["state"],
        reason=row["reason"],
        turn_id=row["turn_id"],
        turn_state=row["turn_state"] or "",
        outcome=row["outcome"] or "",
        error=row["error"] or "",
        engine_ms=row["engine_ms"] or 0,
        received_at=row["received_at"],
        settled_at=row["settled_at"],
        delivery_id=row["delivery_id"],
        parts=outbox.parts_of(db, row["turn_id"]) if row["turn_id"] is not None else (),
    )


def _locked(path: Path) -> object:
    """The lock of a database file, with our process id in it; the kernel lets go of it even at kill -9."""
    from filelock import FileLock, Timeout

    note = path.with_name(path.name + ".lock")
    lock = FileLock(str(note), timeout=0)
    try:
        lock.acquire()
        note.write_text(f"{os.getpid()}\n", "ascii")
    except Timeout:
        owner = note.read_text("ascii", "replace").strip() or "unknown"
        raise ConfigError(
            f"Another host (process {owner}) uses the database {path}.",
            "Stop it, or give this one its own: --database PATH.",
        ) from None
    except OSError as error:
        raise ConfigError(f"The database {path} cannot be locked: {error.strerror}.") from None
    return lock


def _ready(path: Path, now: int) -> sqlite3.Connection:
    """A connection to a database of this version that nobody works on."""
    db = connect(path)
    try:
        _migrate(db, path)
        _take_over(db, now)
    except BaseException:
        db.close()
        raise
    return db


def _take_over(db: sqlite3.Connection, now: int) -> None:
    """The file is ours alone, so whoever held a conversation is gone: no lease has to be waited for.

    A number that was paused may have healed meanwhile (a new token is why people start again): it is tried at once.
    """
    db.execute("DELETE FROM numbers")
    db.execute("UPDATE conversations SET owner = NULL, fence = fence + 1, due_at = ? WHERE owner IS NOT NULL", (now,))


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the database to this version: numbered files, each in one transaction."""
    version = check_version(db, path)
    for number, file in enumerate(_migrations()[version:], version + 1):
        db.executescript(f"BEGIN EXCLUSIVE;\n{file.read_text('utf-8')}\nPRAGMA user_version = {number};\nCOMMIT;")


def check_version(db: sqlite3.Connection, path: Path) -> int:
    """The database's version; ``ConfigError`` where it is newer than what this aerobot knows."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > newest_version():
        raise ConfigError(
            f"The database {path} was made by a newer aerobot (its version {version}, ours {newest_version()}).",
            "Install that version, or give this one its own: serve.database.",
        )
    _is_ours(db, path, version)
    return version


def _is_ours(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Refuse a database of somebody else's (``ConfigError``): nothing is ever written into one."""
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "conversations" not in tables if version else bool(tables):
        raise ConfigError(f"The database {path} is not aerobot's.", "Give it one of its own: serve.database.")


def newest_version() -> int:
    """The version of database that this aerobot makes."""
    return len(_migrations())


def _migrations() -> list[Traversable]:
    folder = resources.files("aerobot.store").joinpath("migrations")
    return sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
