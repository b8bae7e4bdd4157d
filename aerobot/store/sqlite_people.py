"""A person's data, in SQL: found by any of their names, and erased."""

import base64
import json
import sqlite3
from collections.abc import Sequence

from aerobot.store.sqlite_inbox import storable
from aerobot.store.upkeep import Forgotten, Line, Person
from aerobot.whatsapp import rules

FORGOTTEN = "forgotten"
"""The channel of a conversation that was erased: its id stays taken, so that no late write meets another person."""
SUFFIX = 4
"""So many digits are the end of a number; fewer could be anybody's."""
BODIES = 500
"""Raw bodies that one search looks through."""
SHORTEST = 5
"""Characters: a name shorter than that would be found in every raw body."""
ROWS = 200
"""Rows that one commit erases."""
_LIST = "SELECT value FROM json_each(?)"


def people(db: sqlite3.Connection, who: str, conversation_id: int | None, limit: int) -> tuple[Person, ...]:
    """Conversations, the latest first; ``who`` is a number, its last digits, a user id, or part of a name."""
    db.create_function("folded", 1, lambda text: str(text).casefold(), deterministic=True)
    found, values = _matching(storable(who.strip()))
    values |= {"id": conversation_id, "limit": limit, "forgotten": FORGOTTEN}
    rows = db.execute(f"{_PEOPLE}{found} ORDER BY c.updated_at DESC, c.id DESC LIMIT :limit", values).fetchall()
    return tuple(_person(db, row) for row in rows)


_PEOPLE = (
    "SELECT c.*, (SELECT COUNT(*) FROM messages m WHERE m.conversation_id = c.id) AS messages,"
    " (SELECT COUNT(*) FROM messages m WHERE m.conversation_id = c.id AND m.state IN ('queued', 'in_turn')) AS waiting"
    " FROM conversations c WHERE c.channel <> :forgotten AND (:id IS NULL OR c.id = :id)"
)
_NUMBERED = (
    " AND c.id IN (SELECT conversation_id FROM identities WHERE kind = 'phone'"
    " AND (value LIKE '%' || :digits OR value IN (SELECT value FROM json_each(:forms))))"
)
_NAMED = " AND (instr(folded(c.name), :name) OR c.id IN (SELECT conversation_id FROM identities WHERE value = :who))"


def _matching(who: str) -> tuple[str, dict[str, object]]:
    """The condition that finds somebody: by number where it looks like one, else by id or name."""
    if not who:
        return "", {}
    digits = "".join(c for c in who if c not in "+-.()/ \u00a0")
    if digits.isascii() and digits.isdigit() and len(digits) >= SUFFIX:
        return _NUMBERED, {"digits": digits, "forms": json.dumps(rules.number_forms(digits))}
    return _NAMED, {"who": who, "name": who.casefold()}


def _person(db: sqlite3.Connection, row: sqlite3.Row) -> Person:
    identities = db.execute(
        "SELECT kind, value FROM identities WHERE conversation_id = ? AND value <> '' ORDER BY kind, value",
        (row["id"],),
    ).fetchall()
    return Person(
        conversation_id=row["id"],
        bot_id=row["bot_id"],
        channel=row["channel"],
        name=row["name"],
        phone=row["phone"],
        user_id=row["user_id"],
        identities=tuple((identity["kind"], identity["value"]) for identity in identities),
        messages=row["messages"],
        waiting=row["waiting"],
        first_at=row["created_at"],
        last_at=row["updated_at"],
        window_at=row["window_at"],
    )


def talk(db: sqlite3.Connection, conversation_id: int, limit: int) -> tuple[Line, ...]:
    """The last things said in a conversation, oldest first."""
    rows = db.execute(_TALK, {"id": conversation_id, "limit": limit}).fetchall()
    return tuple(
        Line(
            role=row["role"], kind=row["kind"], text=row["text"], at=row["at"], state=row["state"], note=row["note"],
            wamid=row["wamid"] or "",
        )
        for row in reversed(rows)
    )  # fmt: skip


_TALK = """
SELECT * FROM (
    SELECT * FROM (
        SELECT 'user' AS role, kind, text, received_at AS at, state, reason AS note, wamid, 0 AS place, seq AS nth
        FROM messages WHERE conversation_id = :id ORDER BY id DESC LIMIT :limit
    )
    UNION ALL
    SELECT * FROM (
        SELECT 'bot', p.kind, p.said, p.changed_at, p.state, p.receipt, p.wamid, 1, p.position
        FROM turns t JOIN parts p ON p.turn_id = t.id
        WHERE t.conversation_id = :id ORDER BY t.id DESC, p.position DESC LIMIT :limit
    )
) ORDER BY at DESC, place DESC, nth DESC LIMIT :limit
"""


# -- erasing ------------------------------------------------------------------------------------------------------


def names(db: sqlite3.Connection, conversation_id: int) -> tuple[bytes, ...] | None:
    """What a raw body would name this person by; ``None`` where there is no such conversation."""
    row = db.execute(
        "SELECT phone, user_id FROM conversations WHERE id = ? AND channel <> ?", (conversation_id, FORGOTTEN)
    ).fetchone()
    if row is None:
        return None
    known = db.execute("SELECT value FROM identities WHERE conversation_id = ?", (conversation_id,)).fetchall()
    told = {row["phone"], row["user_id"], *(identity["value"] for identity in known)}
    forms = {form for name in told for form in rules.number_forms(name)}
    return tuple(sorted(form.encode() for form in forms if len(form) >= SHORTEST))


def bodies(
    db: sqlite3.Connection, conversation_id: int, named: Sequence[bytes], after: int
) -> tuple[list[int], int | None]:
    """The next raw bodies that name them or brought their messages, and the last id looked at; ``None``: no more."""
    last = db.execute(
        f"SELECT MAX(id) AS id FROM (SELECT id FROM deliveries WHERE id > ? ORDER BY id LIMIT {BODIES})",  # noqa: S608
        (after,),
    ).fetchone()["id"]
    if last is None:
        return [], None
    inside = " OR ".join(["instr(body, ?)"] * len(named)) or "0"
    rows = db.execute(
        f"SELECT id FROM deliveries WHERE id > ? AND id <= ? AND state <> 'erased' AND ({inside}"  # noqa: S608
        " OR id IN (SELECT delivery_id FROM messages WHERE conversation_id = ?))",
        (after, last, *named, conversation_id),
    ).fetchall()
    return [row["id"] for row in rows], last


def strays(db: sqlite3.Connection, named: Sequence[bytes]) -> list[int]:
    """Receipts of no part of ours (sent by hand) whose id names them: Meta's ids are base64 around the number."""
    rows = db.execute("SELECT id, wamid FROM receipts WHERE part_id IS NULL").fetchall()
    return [row["id"] for row in rows if any(name in _inside(row["wamid"]) for name in named)]


def _inside(wamid: str) -> bytes:
    try:
        return base64.b64decode(wamid.removeprefix("wamid.") + "==")
    except ValueError:
        return wamid.encode()


def erase_receipts(db: sqlite3.Connection, ids: str) -> int:
    """Erase these receipts (a JSON list of ids)."""
    return db.execute(f"DELETE FROM receipts WHERE id IN ({_LIST})", (ids,)).rowcount  # noqa: S608


def stop(db: sqlite3.Connection, conversation_id: int) -> None:
    """Nobody works on this conversation any more: a worker that does is fenced."""
    db.execute(
        "UPDATE conversations SET owner = NULL, due_at = NULL, fence = fence + 1 WHERE id = ?", (conversation_id,)
    )


def erase_some(db: sqlite3.Connection, conversation_id: int) -> Forgotten:
    """Erase a few turns and messages, the oldest first."""
    turns = _some(db, "turns", conversation_id)
    parts = json.dumps(
        [row["id"] for row in db.execute(f"SELECT id FROM parts WHERE turn_id IN ({_LIST})", (turns,)).fetchall()]  # noqa: S608
    )
    receipts = db.execute(f"DELETE FROM receipts WHERE part_id IN ({_LIST})", (parts,)).rowcount  # noqa: S608
    gone = db.execute(f"DELETE FROM parts WHERE turn_id IN ({_LIST})", (turns,)).rowcount  # noqa: S608
    db.execute(f"DELETE FROM turns WHERE id IN ({_LIST})", (turns,))  # noqa: S608
    messages = _some(db, "messages", conversation_id)
    said = db.execute(f"DELETE FROM messages WHERE id IN ({_LIST})", (messages,)).rowcount  # noqa: S608
    return Forgotten(
        messages=said, turns=len(json.loads(turns)), parts=gone, receipts=receipts, identities=0, bodies=0
    )


def _some(db: sqlite3.Connection, table: str, conversation_id: int) -> str:
    rows = db.execute(
        f"SELECT id FROM {table} WHERE conversation_id = ? ORDER BY id LIMIT {ROWS}",  # noqa: S608
        (conversation_id,),
    ).fetchall()
    return json.dumps([row["id"] for row in rows])


def entomb(db: sqlite3.Connection, conversation_id: int) -> int:
    """Take every name off the conversation; returns how many identities there were."""
    gone = db.execute("DELETE FROM identities WHERE conversation_id = ?", (conversation_id,)).rowcount
    db.execute(
        "UPDATE conversations SET channel = ?, name = '', phone = '', user_id = '', seq = 0, window_at = NULL,"
        " due_at = NULL, owner = NULL, fence = fence + 1 WHERE id = ?",
        (FORGOTTEN, conversation_id),
    )
    return gone
