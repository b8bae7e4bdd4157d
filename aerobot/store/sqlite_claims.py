"""What a worker may do next, in SQL: claims under a fence, of what has been due longest, and the turns they begin."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from aerobot.store.base import LEASE_MS, Claim, Work
from aerobot.store.sqlite_outbox import parts_of
from aerobot.whatsapp import webhook
from aerobot.whatsapp.messages import Message

PROBE_MS = 30_000
"""How long one conversation of a paused number may try before another may."""

_LINES = """
WITH RECURSIVE line (channel, number) AS (
    SELECT column1, (SELECT MIN(number) FROM conversations WHERE channel = column1 AND due_at IS NOT NULL)
    FROM (VALUES ('whatsapp'), ('test'))
    UNION ALL
    SELECT channel, (
        SELECT MIN(c.number) FROM conversations c
        WHERE c.channel = line.channel AND c.number > line.number AND c.due_at IS NOT NULL
    ) FROM line WHERE number IS NOT NULL
)
SELECT channel, number, n.paused_until, (
    SELECT MIN(c.due_at) FROM conversations c
    WHERE c.channel = line.channel AND c.number = line.number AND c.due_at IS NOT NULL
) AS due_at FROM line LEFT JOIN numbers n ON n.id = number AND channel = 'whatsapp' WHERE number IS NOT NULL
"""
"""Each number for which something will be due, and when: a few probes of the index, however much waits for it."""
_DUE = (
    "SELECT id, bot_id, number, channel, name, phone, user_id, window_at, fence, turns, due_at, ? AS paused,"
    " (SELECT MIN(t.id) FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'settled') AS turn_id"
    " FROM conversations c WHERE channel = ? AND number = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
)
_QUEUED = (
    "SELECT id, capture, raw, contact, received_at FROM messages"
    " WHERE conversation_id = ? AND state = 'queued' ORDER BY seq LIMIT ?"
)
_TURN = "SELECT id, ordinal, capture, started_at, state, outcome, error, engine_ms FROM turns WHERE id = ?"


class _Turn(NamedTuple):
    """The row of a turn."""

    id: int
    ordinal: int
    capture: int
    started_at: int
    state: str = "thinking"
    outcome: str = ""
    error: str = ""
    engine_ms: int = 0


def due_at(db: sqlite3.Connection) -> int | None:
    """When the next conversation is due that a worker may claim, ``None`` where none will be."""
    lines = db.execute(_LINES).fetchall()
    return min((max(line["due_at"], line["paused_until"] or 0) for line in lines), default=None)


def claim(db: sqlite3.Connection, owner: str, limit: int, join: bool, now: int) -> tuple[Work, ...]:
    """Claim what is due; of a number that is paused, one conversation at a time, to try whether it healed."""
    taken = (_take(db, row, owner, join, now) for row in _due(db, limit, now))
    return tuple(work for work in taken if work is not None)


def _due(db: sqlite3.Connection, limit: int, now: int) -> list[sqlite3.Row]:
    """What has been due longest, of all numbers that may speak."""
    rows: list[sqlite3.Row] = []
    for line in db.execute(_LINES).fetchall():
        paused = line["paused_until"] is not None
        if line["due_at"] <= now and not (paused and line["paused_until"] > now):
            rows += db.execute(_DUE, (paused, line["channel"], line["number"], now, 1 if paused else limit))
    return sorted(rows, key=itemgetter("due_at"))[:limit]


def _take(db: sqlite3.Connection, row: sqlite3.Row, owner: str, join: bool, now: int) -> Work | None:
    if row["paused"]:
        db.execute("UPDATE numbers SET paused_until = ? WHERE id = ?", (now + PROBE_MS, row["number"]))
    conversation_id, begun = row["id"], row["turn_id"] is None
    messages = _queued(db, conversation_id, join) if begun else _messages_of(db, row["turn_id"])
    if begun and not messages:
        db.execute("UPDATE conversations SET due_at = NULL, owner = NULL WHERE id = ?", (conversation_id,))
        return None
    fence, turns = row["fence"] + 1, row["turns"] + begun
    db.execute(
        "UPDATE conversations SET due_at = ?, owner = ?, fence = ?, turns = ? WHERE id = ?",
        (now + LEASE_MS, owner, fence, turns, conversation_id),
    )
    if begun:
        turn = _begin(db, conversation_id, turns, messages, now)
    else:
        turn = _Turn(*db.execute(_TURN, (row["turn_id"],)).fetchone())
    return _work(db, row, turn, messages, Claim(conversation_id=conversation_id, fence=fence, owner=owner))


def _queued(db: sqlite3.Connection, conversation_id: int, join: bool) -> list[sqlite3.Row]:
    """What a turn begins with: the oldest queued message, or all of them with ``join``, tests apart."""
    rows = db.execute(_QUEUED, (conversation_id, 1000 if join else 1)).fetchall()
    return [row for row in rows if row["capture"] == rows[0]["capture"]] if join else rows


def _messages_of(db: sqlite3.Connection, turn_id: int) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT raw, contact, received_at FROM messages WHERE turn_id = ? ORDER BY seq", (turn_id,)
    ).fetchall()


def _begin(
    db: sqlite3.Connection, conversation_id: int, ordinal: int, messages: Sequence[sqlite3.Row], now: int
) -> _Turn:
    """Open a turn on these messages."""
    capture = messages[0]["capture"]
    cursor = db.execute(
        "INSERT INTO turns (conversation_id, ordinal, state, outcome, error, engine_ms, capture, started_at)"
        " VALUES (?, ?, 'thinking', '', '', 0, ?, ?)",
        (conversation_id, ordinal, capture, now),
    )
    turn = _Turn(id=cursor.lastrowid or 0, ordinal=ordinal, capture=capture, started_at=now)
    for message in messages:
        db.execute("UPDATE messages SET state = 'in_turn', turn_id = ? WHERE id = ?", (turn.id, message["id"]))
    return turn


def _work(
    db: sqlite3.Connection, row: sqlite3.Row, turn: _Turn, messages: Sequence[sqlite3.Row], claimed: Claim
) -> Work:
    return Work(
        claim=claimed,
        bot_id=row["bot_id"],
        number=row["number"],
        channel=row["channel"],
        name=row["name"],
        phone=row["phone"],
        user_id=row["user_id"],
        window_at=row["window_at"],
        turn_id=turn.id,
        ordinal=turn.ordinal,
        thought=turn.state == "speaking",
        outcome=turn.outcome,
        error=turn.error,
        engine_ms=turn.engine_ms,
        capture=bool(turn.capture),
        messages=tuple([_message(message) for message in messages]),
        received_at=messages[-1]["received_at"] if messages else turn.started_at,
        parts=parts_of(db, turn.id) if turn.state == "speaking" else (),
        probing=bool(row["paused"]),
    )


def _message(row: sqlite3.Row) -> Message:
    return webhook.read_message(webhook.load(row["raw"]), webhook.load(row["contact"]))
