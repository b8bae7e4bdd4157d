"""What is answered, in SQL: plans, parts and what became of them. Each write carries the fence of its claim."""

import json
import sqlite3
from collections.abc import Sequence

from aerobot.errors import Fenced
from aerobot.store.base import LEASE_MS, Claim, Part, Plan, Settlement, Work
from aerobot.store.sqlite_inbox import apply_receipt, cause_of, storable
from aerobot.store.upkeep import ENGINE


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


def _key(claimed: Claim) -> tuple[int, int, str]:
    return claimed.conversation_id, claimed.fence, claimed.owner


def _hold(db: sqlite3.Connection, claimed: Claim) -> None:
    held = "SELECT 1 FROM conversations WHERE id = ? AND fence = ? AND owner = ?"
    if db.execute(held, _key(claimed)).fetchone() is None:
        raise _fenced()


def _fenced() -> Fenced:
    return Fenced("Another worker holds this conversation")


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


_PLANNED = (
    "UPDATE turns SET state = 'speaking', outcome = ?, error = ?, engine_ms = ?"
    " WHERE id = ?"
    " AND conversation_id = (SELECT id FROM conversations WHERE id = ? AND fence = ? AND owner = ?)"
)
_PART = (
    "INSERT INTO parts (id, turn_id, conversation_id, position, kind, said, body, state, attempts, unknowns,"
    " changed_at, error, receipt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '', '')"
)


def plan(db: sqlite3.Connection, work: Work, planned: Plan, now: int) -> None:
    """Write down what will be said. Captured parts are settled by that."""
    turn = (planned.outcome, storable(planned.error), planned.engine_ms, work.turn_id)
    if not db.execute(_PLANNED, (*turn, *_key(work.claim))).rowcount:
        raise _fenced()
    state, start = "captured" if work.capture else "planned", planned.start and not work.capture
    for part in planned.parts:
        db.execute(
            _PART,
            (
                part.id, work.turn_id, work.claim.conversation_id, part.position, part.kind, storable(part.said),
                json.dumps(part.body), "sending" if start else state, start, now,
            ),
        )  # fmt: skip
        start = False
    if work.capture or not planned.parts:
        _finish(db, work, now)


def _start(db: sqlite3.Connection, part_id: str, now: int) -> None:
    db.execute(
        "UPDATE parts SET state = 'sending', attempts = attempts + 1, changed_at = ?"
        " WHERE id = ? AND state IN ('planned', 'unknown', 'sending')",
        (now, part_id),
    )


_SETTLED = (
    "UPDATE parts SET state = ?, wamid = COALESCE(NULLIF(?, ''), wamid), error = ?, changed_at = ?,"
    " unknowns = unknowns + ?, attempts = attempts - ?"
    " WHERE id = ? AND state IN ('planned', 'sending', 'unknown')"
    " AND conversation_id = (SELECT id FROM conversations WHERE id = ? AND fence = ? AND owner = ?)"
)


def settle(db: sqlite3.Connection, work: Work, settlement: Settlement, now: int) -> str:
    """Write down what became of a part, and what follows. A status that was faster stays."""
    wamid, error = storable(settlement.wamid), json.dumps(settlement.error) if settlement.error else ""
    outcome = (settlement.state, wamid, error, now, settlement.state == "unknown", not settlement.counts)
    changed = db.execute(_SETTLED, (*outcome, settlement.part_id, *_key(work.claim))).rowcount
    state = settlement.state if changed else _state_held(db, work.claim, settlement.part_id)
    if wamid:
        _join_waiting(db, settlement.part_id, wamid, now)
    if state != settlement.state:
        return state
    if settlement.start is not None:
        _start(db, settlement.start, now)
    if settlement.finish:
        _finish(db, work, now)
    elif settlement.release_at is not None:
        release(db, work.claim, settlement.release_at, now)
    return state


def _state_held(db: sqlite3.Connection, claimed: Claim, part_id: str) -> str:
    """The state of a part that a status has settled; ``Fenced`` where it is not ours."""
    _hold(db, claimed)
    state: str = db.execute("SELECT state FROM parts WHERE id = ?", (part_id,)).fetchone()[0]
    return state


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


_FINISHING = (
    "SELECT outcome, error, EXISTS (SELECT 1 FROM parts p WHERE p.turn_id = t.id"
    " AND (p.state IN ('planned', 'failed', 'not_sent') OR p.receipt = 'failed')) AS unsaid FROM turns t WHERE id = ?"
)


def _finish(db: sqlite3.Connection, work: Work, now: int) -> None:
    """Settle the turn and its messages, and give the conversation back; what was not sent will not be."""
    outcome, error, unsaid = db.execute(_FINISHING, (work.turn_id,)).fetchone()
    state, reason = message_state(outcome, error, _give_up(db, work.turn_id, now) if unsaid else "")
    cause = "" if work.capture or work.channel == "test" else _cause(db, work.turn_id, outcome, unsaid)
    db.execute(
        "UPDATE turns SET state = 'settled', settled_at = ?, failed_at = ?, cause = ? WHERE id = ?",
        (now, now if cause else None, cause, work.turn_id),
    )
    db.execute("UPDATE messages SET state = ?, reason = ? WHERE turn_id = ?", (state, reason, work.turn_id))
    release(db, work.claim, None, now)


def _give_up(db: sqlite3.Connection, turn_id: int, now: int) -> str:
    """What was not sent will not be; the state of the first part that did not go out, empty where all did."""
    db.execute(
        "UPDATE parts SET state = 'not_sent', changed_at = ? WHERE turn_id = ? AND state = 'planned'", (now, turn_id)
    )
    row = db.execute(
        "SELECT state FROM parts WHERE turn_id = ? AND state IN ('failed', 'not_sent') ORDER BY position LIMIT 1",
        (turn_id,),
    ).fetchone()
    return row["state"] if row else ""


def _cause(db: sqlite3.Connection, turn_id: int, outcome: str, unsaid: bool) -> str:
    """Why a turn goes onto the failed list, empty where it does not."""
    if outcome in ("failed", "fell_back"):
        return ENGINE
    part = failed_part(db, turn_id) if unsaid else None
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


_RELEASE = (
    "UPDATE conversations SET owner = NULL, due_at = CASE"
    " WHEN EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = conversations.id AND m.state = 'queued')"
    " OR EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = conversations.id AND t.state <> 'settled')"
    " THEN ? END WHERE id = ? AND fence = ? AND owner = ?"
)
_RELEASE_UNTIL = "UPDATE conversations SET owner = NULL, due_at = ? WHERE id = ? AND fence = ? AND owner = ?"


def release(db: sqlite3.Connection, claimed: Claim, at: int | None, now: int) -> None:
    """Give a conversation back: to be claimed at ``at``, or at once if something is left to do, or not."""
    statement, due = (_RELEASE, now) if at is None else (_RELEASE_UNTIL, at)
    if not db.execute(statement, (due, *_key(claimed))).rowcount:
        raise _fenced()
