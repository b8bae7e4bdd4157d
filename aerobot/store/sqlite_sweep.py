"""The end of old things, in SQL: a few rows at a time, and never what is not finished."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from aerobot.store.upkeep import REMEMBER_MS, Place, Swept

BATCH = 200
"""Rows that one commit looks at."""
UPDATES = 1000
"""Digests that one commit forgets."""
_Step = Callable[[sqlite3.Connection, int, int, Place], tuple[Swept, Place | None]]


def sweep(db: sqlite3.Connection, before: int, now: int, place: Place) -> tuple[Swept, Place | None]:
    """One batch of one stage; where the stage is done, the next one follows."""
    swept, following = _STAGES[place.stage](db, before, now, place)
    if following is not None:
        return swept, following
    if place.stage + 1 == len(_STAGES):
        return swept, None
    return swept, Place(stage=place.stage + 1, kept=place.kept)


def _page(db: sqlite3.Connection, columns: str, table: str, time: str, place: Place, before: int) -> list[sqlite3.Row]:
    """The next rows by id, which grow with time; empty where none of them is old any more."""
    rows = db.execute(
        f"SELECT id, {columns}, {time} < ? AS old FROM {table} WHERE id > ? ORDER BY id LIMIT {BATCH}",  # noqa: S608
        (before, place.after),
    ).fetchall()
    return rows if any(row["old"] for row in rows) else []


def _on(place: Place, rows: Sequence[sqlite3.Row], *, keeping: Iterable[int] = ()) -> Place | None:
    if not rows:
        return None
    return Place(stage=place.stage, after=rows[-1]["id"], kept=place.kept.union(keeping))


def _ids(rows: Iterable[sqlite3.Row]) -> str:
    return json.dumps([row["id"] for row in rows])


def _turns(db: sqlite3.Connection, before: int, _: int, place: Place) -> tuple[Swept, Place | None]:
    """Turns that were settled, with their messages and parts."""
    rows = _page(db, "settled_at", "turns", "started_at", place, before)
    gone = _ids(row for row in rows if row["settled_at"] is not None and row["settled_at"] < before)
    messages, parts, _turns_gone = (
        db.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))", (gone,)).rowcount  # noqa: S608
        for table, key in (("messages", "turn_id"), ("parts", "turn_id"), ("turns", "id"))
    )
    return Swept(messages=messages, parts=parts), _on(place, rows)


def _messages(db: sqlite3.Connection, before: int, _: int, place: Place) -> tuple[Swept, Place | None]:
    """Messages that nobody was asked about; what of the old ones is not finished keeps its delivery."""
    rows = _page(db, "state, turn_id, delivery_id", "messages", "received_at", place, before)
    gone = [row for row in rows if row["old"] and row["turn_id"] is None and row["state"] != "queued"]
    swept = db.execute("DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))", (_ids(gone),)).rowcount
    left = {row["id"] for row in rows} - {row["id"] for row in gone}
    return Swept(messages=swept), _on(place, rows, keeping=(row["delivery_id"] for row in rows if row["id"] in left))


def _receipts(db: sqlite3.Connection, before: int, _: int, place: Place) -> tuple[Swept, Place | None]:
    """Receipts: their part keeps how far it came."""
    rows = _page(db, "part_id", "receipts", "received_at", place, before)
    gone = _ids(row for row in rows if row["old"])
    swept = db.execute("DELETE FROM receipts WHERE id IN (SELECT value FROM json_each(?))", (gone,)).rowcount
    return Swept(receipts=swept), _on(place, rows)


def _deliveries(db: sqlite3.Connection, before: int, now: int, place: Place) -> tuple[Swept, Place | None]:
    """Raw bodies; the row and its digests stay while Meta may still send the same again."""
    rows = _few(db, _page(db, "received_at, state", "deliveries", "received_at", place, before))
    old = [row for row in rows if row["old"] and row["id"] not in place.kept]
    known = now - REMEMBER_MS
    gone = _ids(row for row in old if row["received_at"] < known)
    emptied = _ids(row for row in old if row["received_at"] >= known and row["state"] != "erased")
    db.execute("DELETE FROM updates WHERE delivery_id IN (SELECT value FROM json_each(?))", (gone,))
    swept = Swept(
        deliveries=db.execute("DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?))", (gone,)).rowcount,
        bodies=erase(db, emptied),
    )
    return swept, _on(place, rows)


def _few(db: sqlite3.Connection, rows: list[sqlite3.Row]) -> list[sqlite3.Row]:
    """As many deliveries as one commit may take: a body brings up to a thousand digests. At least one."""
    updates = 0
    for place, row in enumerate(rows):
        updates += db.execute("SELECT COUNT(*) FROM updates WHERE delivery_id = ?", (row["id"],)).fetchone()[0]
        if updates > UPDATES and place:
            return rows[:place]
    return rows


def erase(db: sqlite3.Connection, ids: str) -> int:
    """Empty these raw bodies (a JSON list of ids); that they came, and what was seen in them, stays known."""
    return db.execute(
        "UPDATE deliveries SET body = X'', note = '', state = 'erased'"
        " WHERE state <> 'erased' AND id IN (SELECT value FROM json_each(?))",
        (ids,),
    ).rowcount


def _tests(db: sqlite3.Connection, before: int, _: int, place: Place) -> tuple[Swept, Place | None]:
    """Conversations of tests of which nothing is left. The newest id stays, so that no id is given twice."""
    rows = db.execute(
        f"SELECT id, channel = 'test' AND updated_at < ? AND owner IS NULL AND due_at IS NULL"  # noqa: S608
        "  AND id < (SELECT MAX(id) FROM conversations)"
        "  AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id)"
        "  AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id) AS old"
        f" FROM conversations c WHERE id > ? ORDER BY id LIMIT {BATCH}",
        (before, place.after),
    ).fetchall()
    gone = _ids(row for row in rows if row["old"])
    db.execute("DELETE FROM identities WHERE conversation_id IN (SELECT value FROM json_each(?))", (gone,))
    db.execute("DELETE FROM conversations WHERE id IN (SELECT value FROM json_each(?))", (gone,))
    return Swept(), _on(place, rows)


_STAGES: tuple[_Step, ...] = (_turns, _messages, _receipts, _deliveries, _tests)
