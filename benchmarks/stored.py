"""A database in which a million messages have been answered, made through SQL in the schema's own words.

    python -m benchmarks.stored FILE --messages 1000000

A minute or two, and two gigabytes. The digests and ids are random, as real ones are, so that indexes are as scattered.
"""

import argparse
import asyncio
import sqlite3
import time
from pathlib import Path

from aerobot.store.roster import derived_id
from aerobot.store.sqlite import SqliteStore
from benchmarks.bodies import NUMBER, bodies

PEOPLE = 50_000
PIECE = 50_000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :first + :count)"
_PHONE = "printf('1666%07d', i % :people)"
_CONVERSATIONS = (
    "INSERT INTO conversations (id, bot_id, number, channel, name, phone, user_id, seq, turns, window_at, fence,"
    f" created_at, updated_at) SELECT i + 1, :bot, :number, 'whatsapp', 'Ana ' || i, {_PHONE}, 'US.9' || i,"
    " :each, :each, :at, :each, :at, :at FROM n",
    f"INSERT INTO identities SELECT :bot, 'whatsapp', 'phone', {_PHONE}, i + 1 FROM n",
    "INSERT INTO identities SELECT :bot, 'whatsapp', 'user_id', 'US.9' || i, i + 1 FROM n",
)
_MESSAGES = (
    "INSERT INTO deliveries (id, bot_id, received_at, signed, state, note, body)"
    " SELECT i + 1, :bot, :at + i, 1, 'read', '', :body FROM n",
    "INSERT INTO updates SELECT :bot, 'message', randomblob(32), i + 1, 'messages', '' FROM n",
    "INSERT INTO messages (id, bot_id, conversation_id, seq, wamid, kind, text, raw, contact, sent_at, received_at,"
    " state, reason, capture, delivery_id, turn_id) SELECT i + 1, :bot, i % :people + 1, i / :people + 1,"
    f" 'wamid.HBgL' || hex({_PHONE}) || hex(randomblob(12)), 'text', 'Do you deliver on Sundays?', :raw, :contact,"
    " :at, :at + i, 'answered', '', 0, i + 1, i + 1 FROM n",
    "INSERT INTO turns (id, conversation_id, ordinal, state, outcome, error, engine_ms, capture, started_at,"
    " settled_at) SELECT i + 1, i % :people + 1, i / :people + 1, 'settled', 'answered', '', 1, 0, :at + i,"
    " :at + i FROM n",
    "INSERT INTO parts (id, turn_id, conversation_id, position, kind, said, body, state, attempts, unknowns,"
    " changed_at, wamid, error, receipt) SELECT 'aerobot.' || lower(hex(randomblob(16))), i + 1, i % :people + 1, 0,"
    " 'text', 'Do you deliver on Sundays?', :part, 'sent', 1, 0, :at + i,"
    " 'wamid.HBgL' || hex(randomblob(16)), '', 'read' FROM n",
)


def fill(path: Path, messages: int) -> Path:
    """Make the database and put so many answered messages into it."""
    people = max(1, min(PEOPLE, messages // 20))
    asyncio.run(_made(path))
    body = next(bodies(1, label="stored"))
    values = {
        "bot": derived_id(NUMBER),
        "number": NUMBER,
        "people": people,
        "each": -(-messages // people),
        "at": int(time.time() * 1000) - 2_000_000,
        "body": body,
        "raw": '{"from":"16660000001","id":"wamid.x","timestamp":"1","type":"text","text":{"body":"'
        + "y" * 200
        + '"}}',
        "contact": '{"profile":{"name":"Ana"},"wa_id":"16660000001","user_id":"US.91"}',
        "part": '{"messaging_product":"whatsapp","type":"text","text":{"body":"Do you deliver on Sundays?"}}',
    }
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")  # here alone: it can be made again
    db.execute("PRAGMA cache_size=-500000")
    for statements, total in ((_CONVERSATIONS, people), (_MESSAGES, messages)):
        for first in range(0, total, PIECE):
            db.execute("BEGIN")
            for statement in statements:
                head, _, rest = statement.partition(" SELECT ")
                text = f"{head} {_NUMBERS} SELECT {rest}"
                db.execute(text, {**values, "first": first, "count": min(PIECE, total - first)})
            db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


async def _made(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()


def main() -> None:
    """Read the arguments and fill."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--messages", type=int, default=1_000_000)
    given = parser.parse_args()
    fill(given.file, given.messages)


if __name__ == "__main__":
    main()
