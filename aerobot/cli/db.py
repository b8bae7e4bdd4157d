"""`aerobot db`: what the database holds, a copy of it, and the end of old things."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot.cli.account import Yes
from aerobot.cli.command import OPERATE, Run, command, group
from aerobot.cli.moments import ago, count, moment, size
from aerobot.cli.reach import reach, shown
from aerobot.errors import UsageError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.store.sqlite_file import Info


def register(app: typer.Typer) -> None:
    """Add the group."""
    db = group(app, "db", "What is kept: look at it, copy it, delete what is old.", panel=OPERATE)
    _register_info(db)
    _register_backup(db)
    _register_purge(db)


def _register_info(db: typer.Typer) -> None:
    @command(db, "info", examples=("aerobot db info", "aerobot db info --json"))
    def info(run: Run) -> None:
        """Show the database: where it is, its size and version, what is in it, what waits, what failed.

        The file is read as it is, whether a host works on it or not.
        """
        from aerobot.store import sqlite_file

        found = sqlite_file.info(reach(run).database)
        days = run.settings().get("serve.retention_days")
        run.terminal.document(_document(found, days))
        _show(run, found, days)


def _register_backup(db: typer.Typer) -> None:
    @command(db, "backup", examples=("aerobot db backup monday.db", "aerobot db backup /backups/acme.db --json"))
    def backup(
        run: Run, file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not exist yet.")]
    ) -> None:
        """Copy the database as it is at this moment, while a host goes on working on it.

        The copy is one file (0600), complete when it appears. To use it, name it: serve.database. Or stop the host,
        remove the database with its -wal and -shm files, and put the copy in its place.
        """
        from aerobot.runtime.keeping import at_home
        from aerobot.store import sqlite_file

        source = reach(run).database
        target = at_home(file, "Name another file.").resolve()
        if target == source.resolve():
            raise UsageError("That is the database itself.", "Name another file.")
        with run.terminal.busy("Copying"):
            copied = sqlite_file.backup(source, target)
        run.terminal.document({"database": str(source), "backup": str(target), "size": copied})
        run.terminal.step("ok", "copied", safe(f"{shown(source)}, {size(copied)}"))
        run.terminal.value(str(target))
        run.terminal.say(safe(f"It has customers' messages. To use it: aerobot serve --database {shown(target)}"))


def _register_purge(db: typer.Typer) -> None:
    @command(db, "purge", examples=("aerobot db purge", "aerobot db purge --days 7 --yes"))
    def purge(
        run: Run,
        days: Annotated[
            float | None, typer.Option(metavar="N", help="Older than so many days; else serve.retention_days.", min=0)
        ] = None,
        yes: Yes = False,
    ) -> None:
        """Delete deliveries, messages, replies and receipts that are older than serve.retention_days.

        A running host does so by itself, every hour. What is not finished stays, and so do the digests by which a
        message that Meta repeats (for a week) is known. Names and numbers stay until `aerobot conversations forget`.
        """
        wanted = days if days is not None else run.settings().get("serve.retention_days")
        if days is None and not wanted:
            raise UsageError("serve.retention_days is 0: everything is kept.", "Say how old: --days N")
        place = reach(run)
        question = f"Delete what is older than {wanted:g} days in {shown(place.database)}?"
        if not yes and not run.terminal.confirm(safe(question)):
            run.terminal.say("Nothing was deleted.")
            raise typer.Exit(0)
        with run.terminal.busy("Deleting"):
            answer = place.ask("purge", days=wanted)
        run.terminal.document({"database": str(place.database), **answer})
        run.terminal.step("ok", "deleted", _deleted(answer["deleted"]))
        run.terminal.say("The file keeps its size and fills it again; a backup is as small as it can be.", hang=2)
        run.terminal.say("Next: aerobot db info")


def _deleted(gone: dict[str, int]) -> str:
    if not any(gone.values()):
        return "nothing: there is nothing that old, or it is not finished"
    return ", ".join(
        (
            count(gone["messages"], "message"),
            count(gone["parts"], "reply", "replies"),
            count(gone["receipts"], "receipt"),
            count(gone["deliveries"] + gone["bodies"], "raw delivery", "raw deliveries"),
        )
    )


# -- what is shown ------------------------------------------------------------------------------------------------


def _document(found: "Info", days: int) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "size": found.size,
        "version": found.version,
        "newest_version": found.newest_version,
        "counts": found.counts,
        "oldest": found.oldest,
        "newest": found.newest,
        "waiting": {"unread": found.unread, "messages": found.waiting_messages, "parts": found.waiting_parts},
        "failed": found.failed,
        "retention_days": days,
    }


def _show(run: Run, found: "Info", days: int) -> None:
    older = f" (the next start makes it {found.newest_version})" if found.version < found.newest_version else ""
    counts = found.counts
    said = f"{count(counts['messages'], 'message')} in {count(counts['conversations'], 'conversation')}"
    rest = f"{count(counts['parts'], 'reply', 'replies')}, {count(counts['receipts'], 'receipt')}"
    raw = count(counts["deliveries"], "delivery", "deliveries")
    waits = f"{count(found.waiting_messages, 'message')} and {count(found.waiting_parts, 'reply', 'replies')}"
    if found.unread:
        waits += f", and {count(found.unread, 'webhook request')} not read yet"
    failed = "unknown in this version" if found.failed is None else count(found.failed, "turn")
    lines = [
        ("file", f"{shown(found.path)}, {size(found.size)}, version {found.version}{older}"),
        ("holds", f"{said}, {rest}, {raw}"),
        ("oldest", "-" if found.oldest is None else f"{moment(found.oldest)}, {ago(found.oldest)}"),
        ("newest", "-" if found.newest is None else f"{moment(found.newest)}, {ago(found.newest)}"),
        ("waiting", waits),
        ("failed", failed),
        ("kept", f"{days} days (serve.retention_days)" if days else "for ever (serve.retention_days = 0)"),
    ]
    for topic, words in lines:
        run.terminal.result(f"{topic:<10}{safe(words)}", hang=10)
    run.terminal.say(f"Next: {'aerobot failed' if found.failed else 'aerobot db backup FILE'}")
