"""A number that rests, in SQLite: however much waits for it, whoever looks for what is due does not walk over it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aerobot.store.sqlite import SqliteStore
from tests.stores import ANA, BEN, NUMBER, Clock, Desk, texts

STEPS = 50
"""Steps of SQLite's machine that are counted at once."""
_COPIES = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " INSERT INTO conversations (bot_id, number, channel, name, phone, user_id, seq, turns, due_at, fence, created_at,"
    " updated_at) SELECT bot_id, number, channel, name, phone, user_id, seq, turns, due_at, 0, 0, 0"
    " FROM conversations, n"
)


class Steps:
    """How many steps the connections of a store have made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> int:
        self.made += STEPS
        return 0


@contextmanager
def counted(store: SqliteStore) -> Iterator[Steps]:
    """The steps of the connection that writes and of the one that reads."""
    steps = Steps()
    connections = [db for db in (store._threads._db, store._threads._reading) if db is not None]
    assert len(connections) == 2
    for db in connections:
        db.set_progress_handler(steps, STEPS)
    yield steps
    for db in connections:
        db.set_progress_handler(None, 0)


async def backlog(desk: Desk, many: int) -> None:
    """Ben writes to one number, after ``many`` wait for another that rests."""
    await desk.hear("waits", ANA)
    with sqlite3.connect(desk.store.path) as db:
        db.execute(_COPIES, (many - 1,))
    db.close()
    desk.clock.forward(1000)
    await desk.hear("Hi", BEN)
    with sqlite3.connect(desk.store.path) as db:
        db.execute("UPDATE conversations SET number = 'another' WHERE phone = ?", (BEN.phone,))
    db.close()
    assert await desk.store.due_in() == 0


@pytest.mark.parametrize("many", [10, 10_000])
async def test_what_waits_for_a_paused_number_costs_nobody_anything(
    desk: Desk, store: SqliteStore, clock: Clock, many: int
) -> None:
    """To claim, to find nothing, and to ask when to look again: a few hundred steps, with 10 or 10,000 waiting."""
    await backlog(desk, many)
    await store.pause(NUMBER, until=clock.now + 30_000, reason="token")
    with counted(store) as steps:
        assert texts(await desk.claim(limit=10)) == ["Hi"]
        assert await desk.claim(limit=10) == ()
        assert await store.due_in() == 30_000
    assert steps.made < 1500


async def test_the_one_try_of_a_number_takes_nobody_elses_place(desk: Desk, store: SqliteStore, clock: Clock) -> None:
    """When a rest ends one conversation of the number tries; those behind it do not fill up the claim."""
    await backlog(desk, 50)
    await store.pause(NUMBER, until=clock.now, reason="token")
    works = await desk.claim(limit=10)
    assert texts(works) == ["waits", "Hi"]
    assert [work.probing for work in works] == [True, False]
