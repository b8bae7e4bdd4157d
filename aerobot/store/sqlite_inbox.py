"""What arrives, in SQL: first as it came, then read: updates once each, conversations and identities, receipts."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence

from aerobot.store.base import Arrival, Delivery, Outcome
from aerobot.store.upkeep import SEND
from aerobot.whatsapp import rules, webhook
from aerobot.whatsapp.messages import ORDER, Failure, Identity, Message, Receipt
from aerobot.whatsapp.webhook import Update

NO_WINDOW = frozenset({"system", "request_welcome"})
"""Kinds that the user did not write: they open no session window."""
_PREFERENCE = ("user_id", "phone", "parent_user_id")
"""Which identity finds the conversation first: the narrowest name of a person."""


Row = tuple[int, str, str, bool, bool, int, bytes]
"""An arrival: its id, bot id, number, whether the bot is active, whether it was signed, when, the body."""
_COLUMNS = "id, bot_id, number, active, signed, received_at, body"


def receive(db: sqlite3.Connection, row: Row) -> None:
    """Store one webhook request as it came."""
    db.execute(f"INSERT INTO arrivals ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608


def unread(db: sqlite3.Connection, most: int, most_bytes: int) -> tuple[Arrival, ...]:
    """The oldest requests that were not read yet."""
    found: list[Arrival] = []
    size = 0
    rows = db.execute(f"SELECT {_COLUMNS} FROM arrivals ORDER BY id LIMIT ?", (most,))  # noqa: S608
    for id_, bot_id, number, active, signed, received_at, body in rows:
        size += len(body)
        if found and size > most_bytes:
            break
        found.append(
            Arrival(
                id=id_, bot_id=bot_id, number=number, active=bool(active), signed=bool(signed),
                received_at=received_at, body=body,
            )
        )  # fmt: skip
    return tuple(found)


def unread_before(db: sqlite3.Connection, at: int) -> bool:
    """Whether the oldest request that was not read came by then."""
    row = db.execute("SELECT received_at FROM arrivals ORDER BY id LIMIT 1").fetchone()
    return row is not None and row["received_at"] <= at


def record(db: sqlite3.Connection, deliveries: Sequence[Delivery], now: int) -> tuple[tuple[Outcome, ...], ...]:
    """Store what requests hold, each in its turn; one that came before the clock was moved back came now."""
    return tuple(
        _delivery(db, one, now if one.received_at is None else min(one.received_at, now)) for one in deliveries
    )


def _delivery(db: sqlite3.Connection, delivery: Delivery, now: int) -> tuple[Outcome, ...]:
    """Store one webhook request: the body, each of its updates once, and what they mean."""
    arrival = delivery.arrival_id
    if arrival is not None and not db.execute("DELETE FROM arrivals WHERE id = ?", (arrival,)).rowcount:
        return ()
    cursor = db.execute(
        "INSERT INTO deliveries (bot_id, received_at, signed, state, note, body) VALUES (?, ?, ?, ?, ?, ?)",
        (delivery.bot_id, now, delivery.signed, delivery.state, storable(delivery.note), delivery.body),
    )
    delivery_id = cursor.lastrowid or 0
    return tuple(_update(db, delivery, delivery_id, update, now) for update in delivery.updates)


def _update(db: sqlite3.Connection, delivery: Delivery, delivery_id: int, update: Update, now: int) -> Outcome:
    digest = hashlib.sha256(update.identity.encode("utf-8", "surrogatepass")).digest()
    fresh = db.execute(
        "INSERT OR IGNORE INTO updates (bot_id, kind, digest, delivery_id, field, note) VALUES (?, ?, ?, ?, ?, ?)",
        (delivery.bot_id, update.kind, digest, delivery_id, storable(update.field), update.note),
    )
    if fresh.rowcount == 0:
        return Outcome(update=update, new=False)
    if update.kind == "status" and update.receipt is not None:
        return _receipt(db, delivery, update, update.receipt, now)
    if update.kind == "message" and update.message is not None:
        return _message(db, delivery, delivery_id, update, update.message, now)
    _link(db, delivery.bot_id, "whatsapp", update, now)
    return Outcome(update=update, new=True, state="recorded", reason=update.note)


# -- messages ---------------------------------------------------------------------------------------------------


def _message(
    db: sqlite3.Connection, delivery: Delivery, delivery_id: int, update: Update, message: Message, now: int
) -> Outcome:
    channel, capture = _channel(db, delivery, message, now)
    state, reason = initial_state(message, active=delivery.active, test=channel == "test", now=now)
    opens = channel == "whatsapp" and message.kind not in NO_WINDOW
    due = now + delivery.debounce_ms if state == "queued" else None
    conversation_id, seq = _conversation(db, delivery, message, channel, now, opens=opens, due=due)
    _link(db, delivery.bot_id, channel, update, now)
    db.execute(
        "INSERT INTO messages (bot_id, conversation_id, seq, wamid, kind, text, raw, contact, sent_at, received_at,"
        " state, reason, capture, delivery_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            delivery.bot_id, conversation_id, seq, storable(message.id), storable(message.kind), storable(message.text),
            webhook.dump(message.raw), webhook.dump(update.contact or {}),
            message.timestamp * 1000 if message.timestamp is not None else None, now, state, reason, capture,
            delivery_id,
        ),
    )  # fmt: skip
    return Outcome(
        update=update, new=True, state=state, reason=reason, channel=channel, conversation_id=conversation_id
    )


def initial_state(message: Message, *, active: bool, test: bool, now: int) -> tuple[str, str]:
    """The state a message is stored in, and why it is not to be answered."""
    if not message.answerable:
        return "ignored", message.kind
    if not active:
        return "ignored", "inactive"
    if not test and rules.is_late(message.timestamp, now):
        return "ignored", "late"
    return "queued", ""


def _channel(db: sqlite3.Connection, delivery: Delivery, message: Message, now: int) -> tuple[str, bool]:
    if delivery.channel == "test":
        return "test", delivery.capture
    row = db.execute(
        "SELECT capture FROM announcements WHERE bot_id = ? AND wamid = ? AND expires_at > ?",
        (delivery.bot_id, storable(message.id), now),
    ).fetchone()
    return ("test", bool(row["capture"])) if row else ("whatsapp", False)


def _conversation(
    db: sqlite3.Connection,
    delivery: Delivery,
    message: Message,
    channel: str,
    now: int,
    *,
    opens: bool,
    due: int | None,
) -> tuple[int, int]:
    """Find or make the conversation, link the message's identities to it, and take its next place.

    ``due`` is when a worker should look, unless it is to look sooner already.
    """
    identities = message.identities or (Identity(kind="phone", value=""),)
    known = [_find(db, delivery.bot_id, channel, (identity,)) for identity in _by_preference(identities)]
    found = next((one for one in known if one is not None), None)
    phone, user_id = storable(message.identity("phone")), storable(message.identity("user_id"))
    window = message.timestamp * 1000 if opens and message.timestamp is not None else None
    if found is None:
        cursor = db.execute(
            "INSERT INTO conversations (bot_id, number, channel, name, phone, user_id, seq, turns, window_at, due_at,"
            " fence, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, ?, 0, ?, ?)",
            (delivery.bot_id, delivery.number, channel, storable(message.name), phone, user_id, window, due, now, now),
        )
        found = cursor.lastrowid or 0
        seq = 1
    else:
        row = db.execute(
            "UPDATE conversations SET seq = seq + 1, updated_at = ?, name = COALESCE(NULLIF(?, ''), name),"
            " phone = COALESCE(NULLIF(?, ''), phone), user_id = COALESCE(NULLIF(?, ''), user_id),"
            " window_at = CASE WHEN ? IS NULL THEN window_at ELSE MAX(COALESCE(window_at, 0), ?) END,"
            " due_at = COALESCE(due_at, ?) WHERE id = ? RETURNING seq",
            (now, storable(message.name), phone, user_id, window, window, due, found),
        ).fetchone()
        seq = row["seq"]
    if any(one != found for one in known):
        _point(db, delivery.bot_id, channel, identities, found)
    return found, seq


def _by_preference(identities: Sequence[Identity]) -> list[Identity]:
    return sorted(identities, key=lambda i: _PREFERENCE.index(i.kind) if i.kind in _PREFERENCE else 9)


def _find(db: sqlite3.Connection, bot_id: str, channel: str, identities: Sequence[Identity]) -> int | None:
    for identity in _by_preference(identities):
        row = db.execute(
            "SELECT conversation_id FROM identities WHERE bot_id = ? AND channel = ? AND kind = ? AND value = ?",
            (bot_id, channel, identity.kind, storable(identity.value)),
        ).fetchone()
        if row:
            return int(row["conversation_id"])
    return None


def _point(
    db: sqlite3.Connection, bot_id: str, channel: str, identities: Sequence[Identity], conversation_id: int
) -> None:
    """From now on these identities mean this conversation: the latest evidence counts."""
    db.executemany(
        "INSERT INTO identities (bot_id, channel, kind, value, conversation_id) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET conversation_id = excluded.conversation_id"
        " WHERE conversation_id <> excluded.conversation_id",
        [(bot_id, channel, i.kind, storable(i.value), conversation_id) for i in identities],
    )


def _link(db: sqlite3.Connection, bot_id: str, channel: str, update: Update, now: int) -> None:
    """A number or id changed: its new name finds the same conversation, and answers go there."""
    for names in update.links:
        found = _find(db, bot_id, channel, names)
        if found is None:
            continue
        _point(db, bot_id, channel, names, found)
        latest = {identity.kind: storable(identity.value) for identity in names}
        db.execute(
            "UPDATE conversations SET phone = COALESCE(?, phone), user_id = COALESCE(?, user_id), updated_at = ?"
            " WHERE id = ?",
            (latest.get("phone"), latest.get("user_id"), now, found),
        )


# -- receipts ---------------------------------------------------------------------------------------------------


def _receipt(db: sqlite3.Connection, delivery: Delivery, update: Update, receipt: Receipt, now: int) -> Outcome:
    part = find_part(db, delivery.bot_id, receipt.wamid, receipt.callback_data)
    part_id = str(part["id"]) if part else None
    db.execute(
        "INSERT INTO receipts (bot_id, wamid, status, at, error, part_id, received_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            delivery.bot_id, storable(receipt.wamid), storable(receipt.status), receipt.timestamp,
            failure_json(receipt.failure), part_id, now,
        ),
    )  # fmt: skip
    if part is not None:
        apply_receipt(db, part, storable(receipt.wamid), receipt.status, failure_json(receipt.failure), now)
    return Outcome(
        update=update, new=True, state="joined" if part else "waiting", part_id=part_id,
        conversation_id=part["conversation_id"] if part else None,
        failed_turn=_listed(db, part["turn_id"]) if part and receipt.status == "failed" else None,
    )  # fmt: skip


def find_part(db: sqlite3.Connection, bot_id: str, wamid: str, callback_data: str) -> sqlite3.Row | None:
    """The part of this bot that a status speaks of: by Meta's id, else by ours, never by recipient."""
    row: sqlite3.Row | None = db.execute(f"{_PART} AND p.wamid = ?", (bot_id, storable(wamid))).fetchone()
    if row is None and callback_data:
        row = db.execute(f"{_PART} AND p.id = ?", (bot_id, storable(callback_data))).fetchone()
    return row


_PART = "SELECT p.* FROM parts p JOIN conversations c ON c.id = p.conversation_id WHERE c.bot_id = ?"


def apply_receipt(db: sqlite3.Connection, part: sqlite3.Row, wamid: str, status: str, error: str, now: int) -> None:
    """Move a part along; where its outcome was open, or it was to be sent again, a status says that Meta has it.

    A part that is retried keeps the wamid of the send that failed: what is still said about that one is old news.
    """
    if part["state"] != "sent" and part["wamid"] == wamid:
        return
    if ORDER.get(status, 0) > ORDER.get(part["receipt"], 0):
        db.execute(
            "UPDATE parts SET receipt = ?, error = CASE WHEN ? <> '' THEN ? ELSE error END WHERE id = ?",
            (status, error, error, part["id"]),
        )
    if part["state"] in ("sending", "unknown") or (part["state"] == "planned" and part["attempts"]):
        db.execute(
            "UPDATE parts SET state = 'sent', wamid = ?, error = ?, changed_at = ? WHERE id = ?",
            (wamid, error, now, part["id"]),
        )
        db.execute(
            "UPDATE conversations SET due_at = ? WHERE id = ? AND owner IS NULL AND due_at > ?",
            (now, part["conversation_id"], now),
        )
    if status == "failed":
        _list_as_failed(db, part["turn_id"], error, now)


def _list_as_failed(db: sqlite3.Connection, turn_id: int, error: str, now: int) -> None:
    """Meta took it and could not deliver it: a turn that was settled goes onto the failed list after all."""
    if _listed(db, turn_id) is not None:
        db.execute(
            "UPDATE turns SET failed_at = ?, cause = ? WHERE id = ? AND state = 'settled' AND failed_at IS NULL",
            (now, cause_of(error), turn_id),
        )


def _listed(db: sqlite3.Connection, turn_id: int) -> int | None:
    """The turn, if it is one of those that stand on the failed list when they fail: a real user's."""
    row = db.execute(
        "SELECT t.id FROM turns t JOIN conversations c ON c.id = t.conversation_id"
        " WHERE t.id = ? AND t.capture = 0 AND c.channel = 'whatsapp'",
        (turn_id,),
    ).fetchone()
    return row["id"] if row else None


def cause_of(error: str) -> str:
    """The cause for the failed list, from an error as the store keeps it: Meta's code, else ``send``."""
    code = json.loads(error).get("code") if error else None
    return SEND if code is None else str(code)


def failure_json(failure: Failure | None) -> str:
    """An error of Meta's as the store keeps it, empty where there is none."""
    if failure is None:
        return ""
    return json.dumps({"code": failure.code, "title": failure.title, "details": failure.details})


def storable(text: str) -> str:
    """Text that any database takes: what cannot be encoded, and NUL, becomes visible escapes."""
    if "\x00" not in text:
        if text.isascii():
            return text
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
