"""A database file looked at and copied from outside, beside a host that works on it: nothing is written to it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aerobot.errors import ConfigError
from aerobot.store.sqlite import check_version, newest_version
from aerobot.store.sqlite_threads import connect

TABLES = {
    "conversations": "conversations WHERE channel <> 'forgotten'",
    "messages": "messages",
    "turns": "turns",
    "parts": "parts",
    "receipts": "receipts",
    "deliveries": "deliveries WHERE state <> 'erased'",
    "bots": "bots",
}
"""What is counted, and where: what was erased is nothing to count."""

UNREACHED = ("SQLITE_CANTOPEN", "SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT")
"""How SQLite says that it could not make what it needs beside the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a database holds. ``size`` is in bytes, its log included; times are those of messages.

    ``unread`` are webhook requests that nobody has read yet. ``failed`` is ``None`` where the database is of a version
    that has no failed list.
    """

    path: Path
    size: int
    version: int
    newest_version: int
    counts: dict[str, int]
    oldest: int | None
    newest: int | None
    unread: int
    waiting_messages: int
    waiting_parts: int
    failed: int | None


def info(path: Path) -> Info:
    """Look at a database. ``ConfigError`` where there is none, it is none, or it is of a newer version."""
    with _reading(path) as (db, version):
        times = db.execute("SELECT MIN(received_at) AS oldest, MAX(received_at) AS newest FROM messages").fetchone()
        waiting = db.execute(
            "SELECT (SELECT COUNT(*) FROM messages WHERE state IN ('queued', 'in_turn')) AS messages,"
            " (SELECT COUNT(*) FROM parts p JOIN turns t ON t.id = p.turn_id WHERE t.state <> 'settled'"
            " AND p.state IN ('planned', 'sending', 'unknown')) AS parts"
        ).fetchone()
        counts = {
            name: db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608
            for name, table in TABLES.items()
        }
        unread = db.execute("SELECT COUNT(*) FROM arrivals").fetchone()[0] if version > 2 else 0
        failed = _failed(db, version)
    return Info(
        path=path,
        size=sum(file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists()),
        version=version,
        newest_version=newest_version(),
        counts=counts,
        oldest=times["oldest"],
        newest=times["newest"],
        unread=unread,
        waiting_messages=waiting["messages"],
        waiting_parts=waiting["parts"],
        failed=failed,
    )


def failed(path: Path) -> int | None:
    """How many turns stand on a database's failed list, as ``Info.failed``; ``ConfigError`` as for ``info``."""
    with _reading(path) as (db, version):
        return _failed(db, version)


def _failed(db: sqlite3.Connection, version: int) -> int | None:
    if version < 2:
        return None
    return int(db.execute("SELECT COUNT(*) FROM turns WHERE failed_at IS NOT NULL").fetchone()[0])


def backup(path: Path, target: Path) -> int:
    """Copy a database as it is at this moment to ``target`` (0600), and return its size in bytes.

    Writers go on meanwhile. ``target`` appears when it is complete and on the disk, and never replaces a file.
    """
    part = target.with_name(target.name + ".part")
    try:
        if target.exists():
            raise ConfigError(f"{target} exists; a backup replaces nothing.", "Name another file.")
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise ConfigError(f"{part} cannot be made: {error.strerror}.", "Name a place that is writable.") from None
    try:
        with _reading(path) as (db, _):
            db.execute("VACUUM INTO ?", (str(part),))
        _settle(part, target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}.", "Is the disk full?") from None
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def _settle(part: Path, target: Path) -> None:
    """Force the copy to the disk and give it its name; ``FileExistsError`` where somebody was faster."""
    for place in (part, part.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    os.link(part, target)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[sqlite3.Connection, int]]:
    if not path.exists():
        raise ConfigError(
            f"There is no database {path} yet.", "aerobot serve makes it; serve.database names another place."
        )
    try:
        with closing(_opened(path)) as db:
            yield db, check_version(db, path)
    except sqlite3.Error as error:
        raise ConfigError(f"The database {path} cannot be read: {error}.", "serve.database names another.") from None


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that reads, beside whoever writes.

    Where nothing can be written beside the file (a read-only disk, a folder of somebody else's) SQLite cannot join
    a log to it. Without a log nobody writes it, and it is read as what does not change.
    """
    try:
        return _joined(path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname not in UNREACHED:
            raise
    _check_reach(path)
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    db.row_factory = sqlite3.Row
    return db


def _joined(path: Path) -> sqlite3.Connection:
    db = connect(path, read_only=True)
    try:
        db.execute("PRAGMA user_version").fetchone()  # only now SQLite looks at the file and its log
    except sqlite3.Error:
        db.close()
        raise
    return db


def _check_reach(path: Path) -> None:
    """``ConfigError`` where the file may not be read, or where what was written last is in its log alone."""
    log = path.with_name(path.name + "-wal")
    try:
        path.open("rb").close()
        logged = log.exists() and log.stat().st_size > 0
    except OSError as error:
        raise ConfigError(f"The database {path} cannot be read: {error.strerror}.", "Who owns it?") from None
    if logged:
        raise ConfigError(
            f"The newest of the database {path} is in its log ({log.name}), and SQLite cannot write beside it to join"
            " them.",
            f"Copy both, {path.name} and {log.name}, into a folder of yours, and name the copy: serve.database.",
        )
