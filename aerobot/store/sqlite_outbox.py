"""What is answered, in SQL: claims under a fence, turns, plans, parts and what became of them."""

import json
import sqlite3
from collections.abc import Sequence

from aerobot.errors import Fenced
from aerobot.store.base import LEASE_MS, Claim, Part, Plan, Settlement, Work
from aerobot.store.sqlite_inbox import apply_receipt, cause_of, storable
from aerobot.store.upkeep import ENGINE
from aerobot.whatsapp import webhook
from aerobot.whatsapp.messages import Message

PROBE_MS = 30_000
"""How long one conversation of a paused number may try before another may."""

_DUE = (
    "SELECT c.*, n.id AS paused FROM conversations c LEFT JOIN numbers n ON n.id = c.number AND c.channel = 'whatsapp'"
    " WHERE c.due_at <= ? AND (n.id IS NULL OR n.paused_until <= ?) ORDER BY c.due_at LIMIT ?"
)


def claim(db: sqlite3.Connection, owner: str, limit: int, join: bool, now: int) -> tuple[Work, ...]:
    """Claim what is due; of a number that is paused, one conversation at a time, to try whether it healed."""
    found: list[Work] = []
    probed: set[str] = set()
    for row in db.execute(_DUE, (now, now, limit)).fetchall():
        if row["paused"] is not None:
            if row["number"] in probed:
                continue
            probed.add(row["number"])
            db.execute("UPDATE numbers SET paused_until = ? WHERE id = ?", (now + PROBE_MS, row["number"]))
        work = _take(db, row, owner, join, now)
        if work is not None:
            found.append(work)
    return tuple(found)


def _take(db: sqlite3.Connection, row: sqlite3.Row, owner: str, join: bool, now: int) -> Work | None:
    turn = db.execute(
        "SELECT * FROM turns WHERE conversation_id = ? AND state <> 'settled' ORDER BY id LIMIT 1", (row["id"],)
    ).fetchone()
    if turn is None:
        turn = _begin(db, row, join, now)
        if turn is None:
            db.execute("UPDATE conversations SET due_at = NULL, owner = NULL WHERE id = ?", (row["id"],))
            return None
    fence = row["fence"] + 1
    db.execute(
        "UPDATE conversations SET due_at = ?, owner = ?, fence = ? WHERE id = ?",
        (now + LEASE_MS, owner, fence, row["id"]),
    )
    return _work(db, row, turn, Claim(conversation_id=row["id"], fence=fence, owner=owner))


def _begin(db: sqlite3.Connection, row: sqlite3.Row, join: bool, now: int) -> sqlite3.Row | None:
    """Open a turn on the oldest queued message, or on all of them with ``join``."""
    queued = db.execute(
        "SELECT id, capture FROM messages WHERE conversation_id = ? AND state = 'queued' ORDER BY seq LIMIT ?",
        (row["id"], 1000 if join else 1),
    ).fetchall()
    if not queued:
        return None
    capture = queued[0]["capture"]
    ordinal = db.execute(
        "UPDATE conversations SET turns = turns + 1 WHERE id = ? RETURNING turns", (row["id"],)
    ).fetchone()["turns"]
    turn: sqlite3.Row = db.execute(
        "INSERT INTO turns (conversation_id, ordinal, state, outcome, error, engine_ms, capture, started_at)"
        " VALUES (?, ?, 'thinking', '', '', 0, ?, ?) RETURNING *",
        (row["id"], ordinal, capture, now),
    ).fetchone()
    db.executemany(
        "UPDATE messages SET state = 'in_turn', turn_id = ? WHERE id = ?",
        [(turn["id"], message["id"]) for message in queued if message["capture"] == capture],
    )
    return turn


def _work(db: sqlite3.Connection, row: sqlite3.Row, turn: sqlite3.Row, claimed: Claim) -> Work:
    messages = db.execute(
        "SELECT raw, contact, received_at FROM messages WHERE turn_id = ? ORDER BY seq", (turn["id"],)
    ).fetchall()
    return Work(
        claim=claimed,
        bot_id=row["bot_id"],
        number=row["number"],
        channel=row["channel"],
        name=row["name"],
        phone=row["phone"],
        user_id=row["user_id"],
        window_at=row["window_at"],
        turn_id=turn["id"],
        ordinal=turn["ordinal"],
        thought=turn["state"] == "speaking",
        outcome=turn["outcome"],
        error=turn["error"],
        engine_ms=turn["engine_ms"],
        capture=bool(turn["capture"]),
        messages=tuple(_message(message) for message in messages),
        received_at=messages[-1]["received_at"] if messages else turn["started_at"],
        parts=parts_of(db, turn["id"]) if turn["state"] == "speaking" else (),
        probing=row["paused"] is not None,
    )


def _message(row: sqlite3.Row) -> Message:
    return webhook.read_message(webhook.load(row["raw"]), webhook.load(row["contact"]))


def parts_of(db: sqlite3.Connection, turn_id: int) -> tuple[Part, ...]:
    """A turn's parts in the order in which they are sent."""
    rows = db.execute("SELECT * FROM parts WHERE turn_id = ? ORDER BY position", (turn_id,)).fetchall()
    return tuple(_part(row) for row in rows)


def _part(row: sqlite3.Row) -> Part:
    return Part(
        id=row["id"],
        position=row["position"],
        kind=row["kind"],
        said=row["said"],
        body=json.loads(row["body"]),
        state=row["state"],
        attempts=row["attempts"],
        unknowns=row["unknowns"],
        changed_at=row["changed_at"],
        wamid=row["wamid"] or "",
        error=json.loads(row["error"]) if row["error"] else None,
        receipt=row["receipt"],
    )


# -- the worker's writes ----------------------------------------------------------------------------------------


def _hold(db: sqlite3.Connection, claimed: Claim) -> None:
    row = db.execute("SELECT fence, owner FROM conversations WHERE id = ?", (claimed.conversation_id,)).fetchone()
    if row is None or row["fence"] != claimed.fence or row["owner"] != claimed.owner:
        raise Fenced("Another worker holds this conversation")


def renew(db: sqlite3.Connection, claims: Sequence[Claim], now: int) -> frozenset[int]:
    """Prolong the leases that are still ours."""
    kept = set()
    for claimed in claims:
        changed = db.execute(
            "UPDATE conversations SET due_at = ? WHERE id = ? AND fence = ? AND owner = ?",
            (now + LEASE_MS, claimed.conversation_id, claimed.fence, claimed.owner),
        )
        if changed.rowcount:
            kept.add(claimed.conversation_id)
    return frozenset(kept)


def plan(db: sqlite3.Connection, work: Work, planned: Plan, now: int) -> None:
    """Write down what will be said. Captured parts are settled by that."""
    _hold(db, work.claim)
    state = "captured" if work.capture else "planned"
    db.executemany(
        "INSERT INTO parts (id, turn_id, conversation_id, position, kind, said, body, state, attempts, unknowns,"
        " changed_at, error, receipt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, '', '')",
        [
            (
                part.id, work.turn_id, work.claim.conversation_id, part.position, part.kind, storable(part.said),
                json.dumps(part.body), state, now,
            )
            for part in planned.parts
        ],
    )  # fmt: skip
    db.execute(
        "UPDATE turns SET state = 'speaking', outcome = ?, error = ?, engine_ms = ? WHERE id = ?",
        (planned.outcome, storable(planned.error), planned.engine_ms, work.turn_id),
    )
    if work.capture or not planned.parts:
        _finish(db, work, now)
    elif planned.start:
        _start(db, planned.parts[0].id, now)


def _start(db: sqlite3.Connection, part_id: str, now: int) -> None:
    db.execute(
        "UPDATE parts SET state = 'sending', attempts = attempts + 1, changed_at = ?"
        " WHERE id = ? AND state IN ('planned', 'unknown', 'sending')",
        (now, part_id),
    )


def settle(db: sqlite3.Connection, work: Work, settlement: Settlement, now: int) -> str:
    """Write down what became of a part, and what follows. A status that was faster stays."""
    _hold(db, work.claim)
    error = json.dumps(settlement.error) if settlement.error else ""
    db.execute(
        "UPDATE parts SET state = ?, wamid = COALESCE(NULLIF(?, ''), wamid), error = ?, changed_at = ?,"
        " unknowns = unknowns + ?, attempts = attempts - ? WHERE id = ? AND state IN ('planned', 'sending', 'unknown')",
        (
            settlement.state, storable(settlement.wamid), error, now, settlement.state == "unknown",
            not settlement.counts, settlement.part_id,
        ),
    )  # fmt: skip
    row = db.execute("SELECT state, wamid FROM parts WHERE id = ?", (settlement.part_id,)).fetchone()
    if settlement.wamid:
        _join_waiting(db, settlement.part_id, storable(settlement.wamid), now)
    if row["state"] != settlement.state:
        return str(row["state"])
    if settlement.start is not None:
        _start(db, settlement.start, now)
    if settlement.finish:
        _finish(db, work, now)
    elif settlement.release_at is not None:
        release(db, work.claim, settlement.release_at, now)
    return settlement.state


def _join_waiting(db: sqlite3.Connection, part_id: str, wamid: str, now: int) -> None:
    """Statuses that came before the wamid was stored find their part now."""
    waiting = db.execute("SELECT * FROM receipts WHERE wamid = ? AND part_id IS NULL ORDER BY id", (wamid,)).fetchall()
    for receipt in waiting:
        db.execute("UPDATE receipts SET part_id = ? WHERE id = ?", (part_id, receipt["id"]))
        part = db.execute("SELECT * FROM parts WHERE id = ?", (part_id,)).fetchone()
        apply_receipt(db, part, wamid, receipt["status"], receipt["error"], now)


def finish(db: sqlite3.Connection, work: Work, now: int) -> None:
    """Settle a turn of which nothing is left to send."""
    _hold(db, work.claim)
    _finish(db, work, now)


def _finish(db: sqlite3.Connection, work: Work, now: int) -> None:
    """Settle the turn and its messages, and give the conversation back; what was not sent will not be."""
    db.execute(
        "UPDATE parts SET state = 'not_sent', changed_at = ? WHERE turn_id = ? AND state = 'planned'",
        (now, work.turn_id),
    )
    turn = db.execute("SELECT outcome, error FROM turns WHERE id = ?", (work.turn_id,)).fetchone()
    unsent = db.execute(
        "SELECT state FROM parts WHERE turn_id = ? AND state IN ('failed', 'not_sent') ORDER BY position LIMIT 1",
        (work.turn_id,),
    ).fetchone()
    state, reason = message_state(turn["outcome"], turn["error"], unsent["state"] if unsent else "")
    cause = "" if work.capture or work.channel == "test" else _cause(db, work.turn_id, turn["outcome"])
    db.execute(
        "UPDATE turns SET state = 'settled', settled_at = ?, failed_at = ?, cause = ? WHERE id = ?",
        (now, now if cause else None, cause, work.turn_id),
    )
    db.execute("UPDATE messages SET state = ?, reason = ? WHERE turn_id = ?", (state, reason, work.turn_id))
    release(db, work.claim, None, now)


def _cause(db: sqlite3.Connection, turn_id: int, outcome: str) -> str:
    """Why a turn goes onto the failed list, empty where it does not."""
    if outcome in ("failed", "fell_back"):
        return ENGINE
    part = failed_part(db, turn_id)
    return cause_of(part["error"]) if part else ""


def failed_part(db: sqlite3.Connection, turn_id: int) -> sqlite3.Row | None:
    """The first part of a turn that was not sent, or that Meta could not deliver."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM parts WHERE turn_id = ? AND (state IN ('failed', 'not_sent') OR receipt = 'failed')"
        " ORDER BY position LIMIT 1",
        (turn_id,),
    ).fetchone()
    return row


def message_state(outcome: str, error: str, unsent: str) -> tuple[str, str]:
    """A message's last state: what its turn's outcome and its parts make of it."""
    if outcome in ("failed", "fell_back"):
        return "failed", error or outcome
    if unsent:
        return "failed", "not delivered to WhatsApp"
    if outcome == "silent":
        return "ignored", "silent"
    if outcome == "ignored":
        return "ignored", error
    return "answered", ""


def release(db: sqlite3.Connection, claimed: Claim, at: int | None, now: int) -> None:
    """Give a conversation back: to be claimed at ``at``, or at once if something is left to do, or not."""
    _hold(db, claimed)
    more = at is not None or _left_to_do(db, claimed.conversation_id)
    db.execute(
        "UPDATE conversations SET owner = NULL, due_at = ? WHERE id = ?",
        ((at if at is not None else now) if more else None, claimed.conversation_id),
    )


def _left_to_do(db: sqlite3.Connection, conversation_id: int) -> bool:
    row = db.execute(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE conversation_id = ? AND state = 'queued')"
        " OR EXISTS (SELECT 1 FROM turns WHERE conversation_id = ? AND state <> 'settled') AS more",
        (conversation_id, conversation_id),
    ).fetchone()
    return bool(row["more"])
