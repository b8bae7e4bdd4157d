"""The failed list, in SQL: what stands on it, and how a turn goes on where it failed."""

import json
import sqlite3
from collections.abc import Sequence

from aerobot.store.base import Part
from aerobot.store.sqlite_outbox import failed_part, parts_of
from aerobot.store.upkeep import ENGINE, FailedTurn

_LISTED = (
    "SELECT t.*, c.bot_id, c.name, c.phone, c.user_id, c.window_at FROM turns t"
    " JOIN conversations c ON c.id = t.conversation_id WHERE t.failed_at IS NOT NULL"
)
_THESE = " AND t.id IN (SELECT value FROM json_each(?))"


def failed(db: sqlite3.Connection, cause: str, ids: Sequence[int], limit: int) -> tuple[FailedTurn, ...]:
    """The failed list, oldest first: all of it, of one cause, or these."""
    query, values = _LISTED, []
    if cause:
        query, values = f"{query} AND t.cause = ?", [cause]
    if ids:
        query, values = query + _THESE, [*values, json.dumps(list(ids))]
    rows = db.execute(f"{query} ORDER BY t.id LIMIT ?", (*values, limit)).fetchall()
    return tuple(_failed(db, row) for row in rows)


def _failed(db: sqlite3.Connection, turn: sqlite3.Row) -> FailedTurn:
    parts = parts_of(db, turn["id"])
    asked = db.execute("SELECT text FROM messages WHERE turn_id = ? ORDER BY seq", (turn["id"],)).fetchall()
    resumes = _resumes(db, turn, parts)
    error = (resumes.error if resumes else None) or {}
    code = error.get("code")
    title = error.get("title") or error.get("details") or "it was not sent"
    return FailedTurn(
        turn_id=turn["id"],
        conversation_id=turn["conversation_id"],
        bot_id=turn["bot_id"],
        name=turn["name"],
        phone=turn["phone"],
        user_id=turn["user_id"],
        failed_at=turn["failed_at"],
        cause=turn["cause"],
        code=code if isinstance(code, int) else None,
        error=turn["error"] if resumes is None else str(title),
        remedy=str(error.get("remedy") or ""),
        attempts=turn["retries"] + 1 if resumes is None else resumes.attempts,
        retries=turn["retries"],
        fell_back=turn["outcome"] == "fell_back",
        window_at=turn["window_at"],
        asked=tuple(row["text"] for row in asked),
        parts=parts,
        resumes=resumes,
    )


def _resumes(db: sqlite3.Connection, turn: sqlite3.Row, parts: Sequence[Part]) -> Part | None:
    """The part that a retry begins with, ``None`` where the engine is asked again."""
    if turn["cause"] == ENGINE:
        return None
    row = failed_part(db, turn["id"])
    return next((part for part in parts if row is not None and part.id == row["id"]), None)


def causes(db: sqlite3.Connection) -> tuple[tuple[str, int], ...]:
    """Each cause and how often it stands on the list."""
    rows = db.execute(
        "SELECT cause, COUNT(*) AS times FROM turns WHERE failed_at IS NOT NULL GROUP BY cause"
        " ORDER BY times DESC, cause"
    ).fetchall()
    return tuple((row["cause"], row["times"]) for row in rows)


# -- retry, discard -----------------------------------------------------------------------------------------------


def retry(db: sqlite3.Connection, turn_ids: Sequence[int], now: int) -> frozenset[int]:
    """Open these turns again where they failed; their conversations are due."""
    rows = db.execute(_LISTED + _THESE, (json.dumps(list(turn_ids)),)).fetchall()
    for turn in rows:
        state = _think_again(db, turn) if turn["cause"] == ENGINE else _speak_again(db, turn)
        db.execute(
            "UPDATE turns SET state = ?, failed_at = NULL, cause = '', settled_at = NULL, retries = retries + 1"
            " WHERE id = ?",
            (state, turn["id"]),
        )
        db.execute("UPDATE messages SET state = 'in_turn', reason = '' WHERE turn_id = ?", (turn["id"],))
        db.execute(
            "UPDATE conversations SET due_at = COALESCE(due_at, ?) WHERE id = ?", (now, turn["conversation_id"])
        )
    return frozenset(turn["id"] for turn in rows)


def _speak_again(db: sqlite3.Connection, turn: sqlite3.Row) -> str:
    """What was not sent or not delivered is planned again under its own id; what arrived is not said twice.

    The id stays, so that a late status about a send whose outcome nobody knew still settles the part.
    """
    db.execute(
        "UPDATE parts SET state = 'planned', attempts = 0, unknowns = 0, receipt = '', error = ''"
        " WHERE turn_id = ? AND (state IN ('failed', 'not_sent') OR receipt = 'failed')",
        (turn["id"],),
    )
    return "speaking"


def _think_again(db: sqlite3.Connection, turn: sqlite3.Row) -> str:
    """The engine is asked again. A fallback that arrived stays, before what will be said; one that did not, goes."""
    db.execute(
        "DELETE FROM parts WHERE turn_id = ? AND (state IN ('failed', 'not_sent') OR receipt = 'failed')",
        (turn["id"],),
    )
    last = db.execute("SELECT MAX(position) AS last FROM parts WHERE turn_id = ?", (turn["id"],)).fetchone()["last"]
    if last is not None:
        db.execute("UPDATE parts SET position = position - ? WHERE turn_id = ?", (last + 1, turn["id"]))
    db.execute("UPDATE turns SET outcome = '', error = '' WHERE id = ?", (turn["id"],))
    return "thinking"


def discard(db: sqlite3.Connection, turn_ids: Sequence[int]) -> frozenset[int]:
    """Take these off the list as they are: their messages stay failed."""
    rows = db.execute(
        "UPDATE turns SET failed_at = NULL WHERE failed_at IS NOT NULL"
        " AND id IN (SELECT value FROM json_each(?)) RETURNING id",
        (json.dumps(list(turn_ids)),),
    ).fetchall()
    return frozenset(row["id"] for row in rows)
