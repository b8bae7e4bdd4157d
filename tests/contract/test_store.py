"""The promise of ``store/base.py``, one suite for every backend: the clock is moved by hand, the files are real."""

import asyncio
import itertools
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aerobot.emulator import webhooks
from aerobot.errors import ConfigError, Fenced, StoreUnavailable
from aerobot.secret import Secret
from aerobot.store.base import (
    LEASE_MS,
    UNKNOWN_WAIT_MS,
    Claim,
    Delivery,
    Outcome,
    Part,
    Plan,
    Store,
    Work,
)
from aerobot.store.roster import from_document
from aerobot.store.sqlite import SqliteStore
from aerobot.whatsapp.rules import GRACE_MS, WINDOW_MS
from tests.stores import ANA, BEN, BOT, ERROR, LINE, NUMBER, Clock, Desk, Sqlite, refused, texts

# -- durable, and once ---------------------------------------------------------------------------------------


async def test_what_receive_returned_from_survives_a_close(desk: Desk, backend: Sqlite, clock: Clock) -> None:
    """What was acknowledged is there after a clean stop."""
    await desk.hear("one", id="wamid.a")
    await desk.store.close()
    again = backend.store(clock)
    await again.open()
    assert texts(await again.claim("two", 10, join=False)) == ["one"]
    await again.close()


async def test_what_receive_returned_from_survives_a_crash(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """What was acknowledged is on disk at that moment: a copy of the files has it, without any close."""
    await asyncio.gather(*(desk.hear(str(n), webhooks.Sender(phone=f"3161000{n:04}")) for n in range(50)))
    again = backend.after_a_crash(tmp_path / "crashed").store(clock)
    await again.open()
    works = await again.claim("two", 100, join=False)
    assert sorted(texts(works), key=int) == [str(n) for n in range(50)]
    await again.close()


async def test_the_same_update_twice_in_one_body_counts_once(desk: Desk) -> None:
    """A repetition within one body is seen."""
    message = desk.message("one")
    outcomes = await desk.receive(webhooks.inbound(LINE, ANA, message, message))
    assert [outcome.new for outcome in outcomes] == [True, False]
    await desk.answer(await desk.take(), "yes")
    assert await desk.claim() == ()


async def test_the_same_update_in_later_requests_counts_once(desk: Desk, clock: Clock) -> None:
    """A redelivery is known, also when it comes in other company and days later."""
    first, second = desk.message("one"), desk.message("two")
    await desk.receive(webhooks.inbound(LINE, ANA, first))
    clock.forward(7 * 24 * 3_600_000)
    outcomes = await desk.receive(webhooks.inbound(LINE, ANA, {**second, "timestamp": str(clock.now // 1000)}, first))
    assert [outcome.new for outcome in outcomes] == [True, False]


async def test_the_same_update_in_concurrent_requests_counts_once(desk: Desk) -> None:
    """Of requests that come at the same time exactly one is new."""
    document = webhooks.inbound(LINE, ANA, desk.message("one"))
    outcomes = await asyncio.gather(*(desk.receive(document) for _ in range(40)))
    assert sorted(outcome.new for (outcome,) in outcomes) == [False] * 39 + [True]
    assert texts(await desk.claim()) == ["one"]


async def test_the_same_update_after_a_restart_counts_once(desk: Desk, backend: Sqlite, clock: Clock) -> None:
    """What was seen stays seen."""
    document = webhooks.inbound(LINE, ANA, desk.message("one"))
    await desk.receive(document)
    await desk.store.close()
    again = backend.store(clock)
    await again.open()
    (outcome,) = await Desk(again, clock).receive(document)
    assert not outcome.new
    await again.close()


async def test_updates_are_once_per_bot(desk: Desk) -> None:
    """The same update for two bots is two updates; statuses and messages do not shadow each other."""
    document = webhooks.inbound(LINE, ANA, desk.message("one", id="wamid.same"))
    (first,), (second,) = await desk.receive(document), await desk.receive(document, bot_id="bt_two")
    assert first.new
    assert second.new
    assert first.conversation_id != second.conversation_id
    assert (await desk.status("wamid.same", "sent")).new
    assert (await desk.status("wamid.same", "delivered")).new
    assert not (await desk.status("wamid.same", "sent")).new


async def test_what_cannot_be_used_is_kept_all_the_same(desk: Desk, backend: Sqlite) -> None:
    """Every body is stored as the bytes that came."""
    body, note = b"\xff\x00nonsense", "not JSON \ud800\0"
    await desk.store.record((Delivery(bot_id=BOT, number=NUMBER, body=body, signed=True, state="unusable", note=note),))
    with sqlite3.connect(backend.path) as db:
        assert db.execute("SELECT body, state FROM deliveries").fetchall() == [(b"\xff\x00nonsense", "unusable")]
    db.close()


# -- order ---------------------------------------------------------------------------------------------------


async def test_order_is_arrival_then_the_place_in_the_body(desk: Desk, clock: Clock) -> None:
    """Meta's whole-second timestamps never order: requests do, then positions."""
    now = clock.now // 1000
    await desk.receive(
        webhooks.inbound(LINE, ANA, desk.message("one", timestamp=now), desk.message("two", timestamp=now - 60))
    )
    await desk.hear("three", timestamp=now - 3600)
    heard = []
    while works := await desk.claim():
        heard += texts(works)
        await desk.answer(works[0], "yes")
    assert heard == ["one", "two", "three"]


async def test_two_people_in_one_body_have_an_order_each(desk: Desk) -> None:
    """Conversations are independent of each other."""
    messages = [desk.message(f"{who.name} {n}", who) for n in range(3) for who in (ANA, BEN)]
    contacts = [webhooks.contact(who) for who in (ANA, BEN)]
    await desk.receive(webhooks.envelope(LINE, messages=messages, contacts=contacts))
    heard: dict[str, list[str]] = {"Ana": [], "Ben": []}
    while works := await desk.claim():
        assert len(works) == 2
        for work in works:
            heard[work.name] += texts([work])
            await desk.answer(work, "yes")
    assert heard == {name: [f"{name} {n}" for n in range(3)] for name in ("Ana", "Ben")}


async def test_a_thousand_updates_in_one_body(desk: Desk) -> None:
    """The largest batch that Meta sends is one commit, in order, each once."""
    messages = [desk.message(str(n)) for n in range(1000)]
    outcomes = await desk.receive(webhooks.inbound(LINE, ANA, *messages))
    assert [outcome.state for outcome in outcomes] == ["queued"] * 1000
    work = await desk.take(join=True)
    assert texts([work]) == [str(n) for n in range(1000)]


# -- who it is -----------------------------------------------------------------------------------------------


async def test_number_and_user_id_find_the_same_conversation(desk: Desk) -> None:
    """Any identity finds the conversation, and new ones are linked to it."""
    both = webhooks.Sender(phone=ANA.phone, user_id="NL.1349", name="Ana")
    alone = webhooks.Sender(user_id="NL.1349", username="ana")
    found = {(await desk.hear(str(n), who)).conversation_id for n, who in enumerate((ANA, both, alone, ANA))}
    assert len(found) == 1
    work = await desk.take(join=True)
    assert (work.phone, work.user_id) == (ANA.phone, "NL.1349")
    assert texts([work]) == ["0", "1", "2", "3"]


async def test_a_user_known_by_username_alone(desk: Desk) -> None:
    """Without a number the answer goes to the business-scoped id."""
    await desk.hear("Hi", webhooks.Sender(user_id="US.77", username="sam", name="Sam"))
    work = await desk.take()
    assert (work.phone, work.user_id, work.name) == ("", "US.77", "Sam")


async def test_a_changed_number_finds_the_same_conversation_and_answers_go_there(desk: Desk) -> None:
    """After a change of number the backlog is answered at the new one, which finds the conversation."""
    heard = await desk.hear("before")
    notice = desk.message(sender=ANA, kind="system")
    new = notice["system"]["wa_id"]
    (changed,) = await desk.receive(webhooks.inbound(LINE, ANA, notice))
    assert (changed.state, changed.reason) == ("ignored", "system")
    assert changed.conversation_id == heard.conversation_id
    assert (await desk.take()).phone == new
    after = await desk.hear("after", webhooks.Sender(phone=new))
    assert after.conversation_id == heard.conversation_id


async def test_the_number_change_of_a_user_never_heard_before(desk: Desk) -> None:
    """The notice itself makes the conversation, under both numbers."""
    notice = desk.message(sender=ANA, kind="system")
    (changed,) = await desk.receive(webhooks.inbound(LINE, ANA, notice))
    after = await desk.hear("after", webhooks.Sender(phone=notice["system"]["wa_id"]))
    assert after.conversation_id == changed.conversation_id


async def test_a_changed_user_id_finds_the_same_conversation(desk: Desk) -> None:
    """The field ``user_id_update`` links the former and the current business-scoped id."""
    old, new = webhooks.Sender(user_id="NL.1", username="ana"), webhooks.Sender(user_id="NL.2", username="ana")
    heard = await desk.hear("before", old)
    change = {"user_id_update": [{"user_id": {"previous": "NL.1", "current": "NL.2"}}]}
    document = webhooks.envelope(LINE, field="user_id_update")
    document["entry"][0]["changes"][0]["value"] |= change  # type: ignore[index]
    (outcome,) = await desk.receive(document)
    assert (outcome.new, outcome.state) == (True, "recorded")
    assert (await desk.take()).user_id == "NL.2"
    assert (await desk.hear("after", new)).conversation_id == heard.conversation_id


async def test_strangers_do_not_share_a_conversation(desk: Desk) -> None:
    """Neither people nor bots are mixed up."""
    found = [
        (await desk.hear("Hi", ANA)).conversation_id,
        (await desk.hear("Hi", BEN)).conversation_id,
        (await desk.hear("Hi", ANA, bot_id="bt_two")).conversation_id,
    ]
    assert len(set(found)) == 3


# -- what is not answered ------------------------------------------------------------------------------------


async def test_the_window_is_the_newest_message_by_metas_time(desk: Desk, clock: Clock) -> None:
    """Not when it arrived but when it was written counts, and an older one that comes later undoes nothing."""
    now = clock.now // 1000
    newest = await desk.hear("b", timestamp=now - 100)
    await desk.hear("a", timestamp=now - 5000)
    assert newest.conversation_id is not None
    assert await desk.store.window_at(newest.conversation_id) == (now - 100) * 1000
    assert (await desk.take()).window_at == (now - 100) * 1000
    await desk.hear("c", BEN, timestamp=now - 50)
    assert await desk.store.newest_window() == (now - 50) * 1000
    assert await desk.store.window_with(BOT, [ANA.phone, "1"]) == (now - 100) * 1000
    assert await desk.store.window_with(BOT, ["1"]) is None


async def test_without_a_time_the_window_is_unknown(desk: Desk) -> None:
    """A timestamp that is no number is no reason to ignore a message."""
    message = {**desk.message("Hi"), "timestamp": "yesterday"}
    (outcome,) = await desk.receive(webhooks.inbound(LINE, ANA, message))
    assert outcome.state == "queued"
    assert (await desk.take()).window_at is None
    assert await desk.store.window_at(999) is None
    assert await desk.store.newest_window() is None


async def test_a_message_older_than_its_window_is_late(desk: Desk, clock: Clock) -> None:
    """24 hours and 5 minutes after it was written a message is recorded and not answered."""
    edge = (clock.now - WINDOW_MS - GRACE_MS) // 1000
    assert (await desk.hear("just in time", timestamp=edge)).state == "queued"
    late = await desk.hear("late", timestamp=edge - 1)
    assert (late.state, late.reason) == ("ignored", "late")


async def test_what_reaches_an_inactive_bot_is_recorded(desk: Desk) -> None:
    """It stays ignored when the bot is active again: nobody gets an answer days later."""
    outcome = await desk.hear("Hi", id="wamid.a", active=False)
    assert (outcome.state, outcome.reason) == ("ignored", "inactive")
    assert await desk.claim() == ()
    assert (await desk.verdict("wamid.a")).settled
    assert await desk.store.backlog() == (0, 0)


@pytest.mark.parametrize("kind", ["system", "unsupported", "unknown", "request_welcome", "edit", "revoke"])
async def test_kinds_that_no_engine_is_asked_about(desk: Desk, kind: str) -> None:
    """They are recorded with their kind as the reason."""
    outcome = await desk.hear(kind=kind)
    assert (outcome.state, outcome.reason) == ("ignored", kind)
    assert await desk.claim() == ()


async def test_debounce_gives_others_time_to_arrive(desk: Desk, clock: Clock) -> None:
    """A message is due after ``debounce_ms``, and those that came meanwhile are joined."""
    await desk.hear("one", debounce_ms=2000)
    assert await desk.claim(join=True) == ()
    assert await desk.store.due_in() == 2000
    clock.forward(1500)
    await desk.hear("two", debounce_ms=2000)
    clock.forward(500)
    assert texts(await desk.claim(join=True)) == ["one", "two"]


# -- the test channel ----------------------------------------------------------------------------------------


async def test_an_announced_message_stays_apart_from_real_users(desk: Desk, clock: Clock) -> None:
    """Same person, but another conversation: no history, no window, never late, kept instead of sent."""
    real = await desk.hear("real")
    await desk.answer(await desk.take(), "yes")
    await desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=60_000)
    old = clock.now // 1000 - 3 * 86_400
    test = await desk.hear("test", id="wamid.t", timestamp=old)
    assert (test.channel, test.state) == ("test", "queued")
    assert test.conversation_id != real.conversation_id
    work = await desk.take()
    assert (work.channel, work.capture, work.window_at, work.ordinal) == ("test", True, None, 1)
    history = await desk.store.history(
        work.claim.conversation_id, before_turn=work.turn_id, limit=20, since=clock.now - 86_400_000
    )
    assert history == ()
    after = await desk.hear("real again")
    assert (after.channel, after.conversation_id) == ("whatsapp", real.conversation_id)


async def test_captured_parts_settle_the_turn(desk: Desk) -> None:
    """What is kept instead of sent is settled by the plan."""
    await desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=60_000)
    await desk.hear("test", id="wamid.t")
    await desk.plan(await desk.take(), "one", "two")
    verdict = await desk.verdict("wamid.t")
    assert verdict.settled
    assert (verdict.state, [part.state for part in verdict.parts]) == ("answered", ["captured"] * 2)
    assert await desk.claim() == ()


async def test_an_announcement_ends_and_is_for_one_bot(desk: Desk, clock: Clock) -> None:
    """After its time, and for other bots, a message with that id is an ordinary one."""
    await desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=60_000)
    assert (await desk.hear("other", id="wamid.t", bot_id="bt_two")).channel == "whatsapp"
    clock.forward(60_000)
    assert (await desk.hear("late", id="wamid.t")).channel == "whatsapp"


async def test_a_test_about_a_changed_number_moves_no_real_user(desk: Desk) -> None:
    """An announced system message links nothing outside the test channel."""
    real = await desk.hear("real")
    notice = desk.message(sender=ANA, kind="system", id="wamid.t")
    await desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=60_000)
    await desk.receive(webhooks.inbound(LINE, ANA, notice))
    assert (await desk.take()).phone == ANA.phone
    other = await desk.hear("somebody else", webhooks.Sender(phone=notice["system"]["wa_id"]))
    assert other.conversation_id != real.conversation_id


# -- claims --------------------------------------------------------------------------------------------------


async def test_a_conversation_is_claimed_by_one(desk: Desk) -> None:
    """However many ask at once, each conversation goes to one of them."""
    for n in range(30):
        await desk.hear("Hi", webhooks.Sender(phone=f"3161000{n:04}"))
    claimed = await asyncio.gather(*(desk.claim(f"worker {n}", 7) for n in range(10)))
    ids = [work.claim.conversation_id for works in claimed for work in works]
    assert len(ids) == len(set(ids)) == 30
    assert all(len(works) <= 7 for works in claimed)
    assert await desk.claim() == ()


async def test_a_claimed_conversation_is_not_claimed_for_its_next_message(desk: Desk) -> None:
    """One worker holds a conversation at a time; what arrives meanwhile waits, and is due at once afterwards."""
    await desk.hear("one")
    work = await desk.take()
    await desk.hear("two")
    assert await desk.claim("other") == ()
    await desk.answer(work, "yes")
    assert texts(await desk.claim("other")) == ["two"]


async def test_a_lease_that_ran_out_can_be_claimed_and_fences_the_former(desk: Desk, clock: Clock) -> None:
    """A stale worker's writes fail and change nothing, whichever they are."""
    await desk.hear("one", id="wamid.a")
    stale = await desk.take("one")
    clock.forward(LEASE_MS - 1)
    assert await desk.claim("two") == ()
    clock.forward(1)
    fresh = await desk.take("two")
    assert (fresh.turn_id, fresh.claim.fence) == (stale.turn_id, stale.claim.fence + 1)
    with refused():
        await desk.plan(stale, "stale")
    with refused():
        await desk.settle(stale, "part.x")
    with refused():
        await desk.store.finish(stale)
    with refused():
        await desk.store.release(stale.claim)
    assert await desk.store.renew([stale.claim]) == frozenset()
    parts = await desk.plan(fresh, "fresh")
    with refused():
        await desk.settle(stale, parts[0], "failed", finish=True)
    assert (await desk.part("wamid.a")).state == "sending"
    assert [part.said for part in (await desk.verdict("wamid.a")).parts] == ["fresh"]


async def test_the_same_owner_with_an_older_fence_is_fenced_too(desk: Desk, clock: Clock) -> None:
    """It is the fencing number that counts, not the name."""
    await desk.hear("one")
    stale = await desk.take("one")
    clock.forward(LEASE_MS)
    await desk.take("one")
    with refused():
        await desk.plan(stale, "stale")


async def test_renewed_leases_last(desk: Desk, clock: Clock) -> None:
    """Renewal tells which conversations are still ours, and keeps those."""
    await desk.hear("one", ANA)
    await desk.hear("two", BEN)
    ana, ben = await desk.claim("one")
    await desk.store.release(ben.claim, at=clock.now + 1000)
    clock.forward(LEASE_MS - 1)
    gone = Claim(conversation_id=999, fence=1, owner="one")
    kept = await desk.store.renew([ana.claim, ben.claim, gone])
    assert kept == {ana.claim.conversation_id}
    clock.forward(LEASE_MS - 1)
    assert [work.claim.conversation_id for work in await desk.claim("two")] == [ben.claim.conversation_id]
    await desk.plan(ana, "still mine")


async def test_a_turn_is_one_message(desk: Desk) -> None:
    """Without ``join`` each message is thought about by itself, in order."""
    await desk.hear("one")
    await desk.hear("two")
    first = await desk.take()
    assert (texts([first]), first.ordinal) == (["one"], 1)
    await desk.answer(first, "yes")
    second = await desk.take()
    assert (texts([second]), second.ordinal) == (["two"], 2)


async def test_join_takes_all_that_is_queued(desk: Desk) -> None:
    """With ``join`` a turn has every message that waits; later ones have a turn of their own."""
    for text in ("one", "two", "three"):
        await desk.hear(text)
    work = await desk.take(join=True)
    assert texts([work]) == ["one", "two", "three"]
    await desk.hear("four")
    await desk.answer(work, "yes")
    assert texts(await desk.claim(join=True)) == ["four"]


async def test_release_until_later(desk: Desk, clock: Clock) -> None:
    """A conversation that was given back for later is claimed then, not earlier, and by anybody."""
    await desk.hear("one")
    work = await desk.take("one")
    await desk.store.release(work.claim, at=clock.now + 90_000)
    assert await desk.store.due_in() == 90_000
    clock.forward(89_999)
    assert await desk.claim("two") == ()
    clock.forward(1)
    assert (await desk.take("two")).turn_id == work.turn_id


async def test_release_at_once_and_with_nothing_left(desk: Desk) -> None:
    """What is unfinished is due at once; a settled conversation is not due at all."""
    await desk.hear("one")
    work = await desk.take()
    await desk.store.release(work.claim)
    assert await desk.store.due_in() == 0
    await desk.answer(await desk.take(), "yes")
    assert await desk.store.due_in() is None
    assert await desk.claim() == ()


async def test_a_released_claim_is_over(desk: Desk) -> None:
    """Who gave it back writes nothing any more."""
    await desk.hear("one")
    work = await desk.take()
    await desk.store.release(work.claim)
    with refused():
        await desk.plan(work, "too late")
    with refused():
        await desk.store.release(work.claim)


# -- crashes -------------------------------------------------------------------------------------------------


async def test_a_turn_that_was_being_thought_about_runs_again(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """After a crash the same turn with the same messages is claimed again, without waiting for the dead one's lease."""
    await desk.hear("one")
    await desk.hear("two")
    work = await desk.take(join=True)
    await desk.hear("three")
    again = backend.after_a_crash(tmp_path / "crashed").store(clock)
    await again.open()
    (found,) = await again.claim("two", 10, join=True)
    assert (found.turn_id, texts([found]), found.thought) == (work.turn_id, ["one", "two"], False)
    await again.close()


async def test_a_part_that_was_being_sent_is_found_as_such(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """After a crash the turn is not thought about again, and the part whose outcome is open is known."""
    await desk.hear("one")
    work = await desk.take()
    parts = await desk.plan(work, "first", "second", "third")
    await desk.settle(work, parts[0], start=parts[1].id)
    again = backend.after_a_crash(tmp_path / "crashed").store(clock)
    await again.open()
    (found,) = await again.claim("two", 10, join=False)
    assert found.thought
    assert [(part.state, part.attempts) for part in found.parts] == [("sent", 1), ("sending", 1), ("planned", 0)]
    await again.close()


# -- plan, settle, finish ------------------------------------------------------------------------------------


async def test_an_answered_turn(desk: Desk, clock: Clock) -> None:
    """queued → in_turn → answered; planned → sending → sent, the next part marked in the same commit."""
    await desk.hear("one", id="wamid.a")
    assert (await desk.verdict("wamid.a")).state == "queued"
    work = await desk.take()
    assert (await desk.verdict("wamid.a")).state == "in_turn"
    parts = await desk.plan(work, "first", "second", engine_ms=12)
    assert [p.state for p in (await desk.verdict("wamid.a")).parts] == ["sending", "planned"]
    clock.forward(1000)
    assert await desk.settle(work, parts[0], start=parts[1].id) == "sent"
    verdict = await desk.verdict("wamid.a")
    assert [p.state for p in verdict.parts] == ["sent", "sending"]
    assert (verdict.settled, await desk.store.backlog()) == (False, (1, 1))
    assert await desk.settle(work, parts[1], finish=True) == "sent"
    verdict = await desk.verdict("wamid.a")
    assert (verdict.state, verdict.outcome) == ("answered", "answered")
    assert (verdict.engine_ms, verdict.settled_at) == (12, clock.now)
    assert [p.wamid for p in verdict.parts] == [f"wamid.out.{part.id}" for part in parts]
    assert await desk.store.backlog() == (0, 0)
    assert await desk.store.due_in() is None


@pytest.mark.parametrize(
    ("outcome", "error", "said", "state", "reason"),
    [
        ("silent", "", (), "ignored", "silent"),
        ("ignored", "inactive", (), "ignored", "inactive"),
        ("failed", "bot.py:3 ValueError", (), "failed", "bot.py:3 ValueError"),
        ("fell_back", "bot.py:3 ValueError", ("Sorry",), "failed", "bot.py:3 ValueError"),
        ("answered", "", ("Yes",), "answered", ""),
    ],
)
async def test_what_becomes_of_a_message(
    desk: Desk, outcome: str, error: str, said: tuple[str, ...], state: str, reason: str
) -> None:
    """A message's last state is its turn's outcome; a turn without parts is settled by its plan."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    parts = await desk.plan(work, *said, outcome=outcome, error=error)
    for part in parts:
        await desk.settle(work, part, finish=True)
    verdict = await desk.verdict("wamid.a")
    assert (verdict.settled, verdict.state, verdict.reason, verdict.outcome) == (True, state, reason, outcome)
    assert await desk.store.due_in() is None


async def test_after_a_final_failure_the_rest_is_not_sent(desk: Desk) -> None:
    """Parts are a chain: the failed one keeps its error, the rest stay unsaid, the message has failed."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    parts = await desk.plan(work, "first", "second", "third")
    await desk.settle(work, parts[0], start=parts[1].id)
    await desk.settle(work, parts[1], "failed", error=ERROR, finish=True)
    verdict = await desk.verdict("wamid.a")
    assert [part.state for part in verdict.parts] == ["sent", "failed", "not_sent"]
    assert verdict.parts[1].error == ERROR
    assert verdict.state == "failed"
    assert await desk.store.backlog() == (0, 0)


async def test_a_safe_failure_is_tried_again_later(desk: Desk, clock: Clock) -> None:
    """The part is planned again, the conversation given back until then, the attempts counted."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (part,) = await desk.plan(work, "first")
    assert await desk.settle(work, part, "planned", error=ERROR, release_at=clock.now + 5000) == "planned"
    assert await desk.claim() == ()
    clock.forward(5000)
    work = await desk.take()
    assert (work.thought, [(p.state, p.attempts, p.unknowns) for p in work.parts]) == (True, [("planned", 1, 0)])
    assert await desk.settle(work, part, "planned", start=part.id) == "planned"
    assert (await desk.part("wamid.a")).attempts == 2
    assert (await desk.part("wamid.a")).state == "sending"


async def test_unknown_outcomes_are_counted(desk: Desk, clock: Clock) -> None:
    """A part knows how often its outcome was unknown."""
    await desk.hear("one")
    work = await desk.take()
    (part,) = await desk.plan(work, "first")
    for count in range(1, 4):
        await desk.settle(work, part, "unknown", error=ERROR, release_at=clock.now + UNKNOWN_WAIT_MS)
        clock.forward(UNKNOWN_WAIT_MS)
        work = await desk.take()
        assert [(p.state, p.unknowns, p.attempts) for p in work.parts] == [("unknown", count, count)]
        await desk.settle(work, part, "planned", start=part.id)


async def test_a_turn_given_up_with_an_open_part_leaves_no_backlog(desk: Desk) -> None:
    """Where a turn is settled over the head of a part in flight, nothing of it counts as still to be sent."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    await desk.plan(work, "first", "second")
    await desk.store.finish(work)
    assert (await desk.verdict("wamid.a")).state == "failed"
    assert await desk.store.backlog() == (0, 0)


# -- receipts ------------------------------------------------------------------------------------------------


async def spoken(desk: Desk, *said: str, wamid: str = "wamid.out") -> Part:
    """A message, answered; its first part."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (part,) = await desk.plan(work, *said or ("first",))
    await desk.settle(work, part, wamid=wamid, finish=True)
    return part


async def test_a_receipt_finds_its_part_by_wamid(desk: Desk) -> None:
    """The usual way: Meta's id is known."""
    part = await spoken(desk)
    outcome = await desk.status("wamid.out", "delivered")
    assert (outcome.state, outcome.part_id) == ("joined", part.id)
    assert (await desk.part("wamid.a")).receipt == "delivered"


async def test_a_receipt_that_comes_before_its_wamid_is_stored_is_joined(desk: Desk) -> None:
    """Meta may be faster than our own commit."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (part,) = await desk.plan(work, "first")
    assert (await desk.status("wamid.out", "sent")).state == "waiting"
    assert (await desk.status("wamid.out", "read")).state == "waiting"
    assert (await desk.part("wamid.a")).state == "sending"
    await desk.settle(work, part, wamid="wamid.out", finish=True)
    found = await desk.part("wamid.a")
    assert (found.state, found.receipt) == ("sent", "read")


async def test_a_receipt_finds_its_part_by_our_id(desk: Desk) -> None:
    """``biz_opaque_callback_data`` settles a part whose wamid nobody knows."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (part,) = await desk.plan(work, "first")
    await desk.settle(work, part, "unknown", error=ERROR, release_at=desk.clock.now + UNKNOWN_WAIT_MS)
    outcome = await desk.status("wamid.out", "delivered", callback_data=part.id)
    assert (outcome.state, outcome.part_id) == ("joined", part.id)
    found = await desk.part("wamid.a")
    assert (found.state, found.wamid, found.receipt, found.error) == ("sent", "wamid.out", "delivered", None)


async def test_a_receipt_is_never_matched_by_recipient(desk: Desk) -> None:
    """The same person may get messages from elsewhere."""
    await spoken(desk)
    outcome = await desk.status("wamid.other", "read", recipient=ANA)
    assert (outcome.state, outcome.part_id) == ("waiting", None)
    assert (await desk.part("wamid.a")).receipt == ""


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read", "played"])))
async def test_receipts_only_move_forward(desk: Desk, order: tuple[str, ...]) -> None:
    """sent < delivered < read < played, in any order of arrival, and repeated."""
    await spoken(desk)
    ranks = ["", "sent", "delivered", "read", "played"]
    highest = 0
    for status in (*order, *order):
        await desk.status("wamid.out", status)
        highest = max(highest, ranks.index(status))
        assert (await desk.part("wamid.a")).receipt == ranks[highest]


@pytest.mark.parametrize("others", [("sent",), ("sent", "delivered"), ("sent", "delivered", "read")])
async def test_failed_is_final(desk: Desk, others: tuple[str, ...]) -> None:
    """A failure is kept with its cause, whatever came before or comes after."""
    for before in range(len(others) + 1):
        part = replace(await spoken_again(desk, before), state="")
        for status in others[:before]:
            await desk.status(part.wamid, status)
        await desk.status(part.wamid, "failed", code=131047)
        for status in others[before:]:
            await desk.status(part.wamid, status)
        found = await desk.part(f"wamid.in.{before}")
        assert found.receipt == "failed"
        assert found.error is not None
        assert found.error["code"] == 131047


async def spoken_again(desk: Desk, number: int) -> Part:
    await desk.hear("again", id=f"wamid.in.{number}")
    work = await desk.take()
    (part,) = await desk.plan(work, "first")
    await desk.settle(work, part, wamid=f"wamid.out.{number}", finish=True)
    return replace(part, wamid=f"wamid.out.{number}")


async def test_a_receipt_wakes_the_conversation_that_waits_for_it(desk: Desk, clock: Clock) -> None:
    """Once an unknown part is settled, what follows is due at once and not after the wait."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    parts = await desk.plan(work, "first", "second")
    await desk.settle(work, parts[0], "unknown", error=ERROR, release_at=clock.now + UNKNOWN_WAIT_MS)
    assert await desk.store.due_in() == UNKNOWN_WAIT_MS
    await desk.status("wamid.out", "sent", callback_data=parts[0].id)
    assert await desk.store.due_in() == 0
    work = await desk.take()
    assert [part.state for part in work.parts] == ["sent", "planned"]


async def test_a_receipt_for_a_part_that_is_to_be_sent_again_settles_it(desk: Desk, clock: Clock) -> None:
    """A time-out, then a 429: if the first attempt turns out to have arrived, it is not said twice."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (part,) = await desk.plan(work, "first")
    await desk.settle(work, part, "unknown", error=ERROR, release_at=clock.now + UNKNOWN_WAIT_MS)
    clock.forward(UNKNOWN_WAIT_MS)
    work = await desk.take()
    await desk.settle(work, part, "planned", start=part.id)
    await desk.settle(work, part, "planned", error=ERROR, release_at=clock.now + 60_000)
    await desk.status("wamid.out", "delivered", callback_data=part.id)
    assert (await desk.part("wamid.a")).state == "sent"
    assert await desk.store.due_in() == 0
    assert [p.state for p in (await desk.take()).parts] == ["sent"]


async def test_a_receipt_settles_no_part_that_was_never_sent(desk: Desk) -> None:
    """Nothing that was not posted can have arrived."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    parts = await desk.plan(work, "first", "second")
    await desk.status("wamid.out", "delivered", callback_data=parts[1].id)
    assert [part.state for part in (await desk.verdict("wamid.a")).parts] == ["sending", "planned"]


@pytest.mark.parametrize("asked", ["failed", "unknown", "planned", "not_sent"])
async def test_a_receipt_that_was_faster_stays(desk: Desk, clock: Clock, asked: str) -> None:
    """``settle`` returns what the receipt made of the part, does nothing that should have followed, keeps the claim."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    parts = await desk.plan(work, "first", "second")
    await desk.status("wamid.out", "sent", callback_data=parts[0].id)
    later = asked in ("unknown", "planned")
    follows: Mapping[str, Any] = {"release_at": clock.now + 5000} if later else {"finish": True}
    assert await desk.settle(work, parts[0], asked, error=ERROR, **follows) == "sent"
    verdict = await desk.verdict("wamid.a")
    assert [part.state for part in verdict.parts] == ["sent", "planned"]
    assert verdict.parts[0].error is None
    assert not verdict.settled
    await desk.store.release(work.claim, at=clock.now)
    assert [part.state for part in (await desk.take()).parts] == ["sent", "planned"]


async def test_a_receipt_that_agrees_lets_things_go_on(desk: Desk) -> None:
    """Status first, then the answer to the POST: the next part is marked as if nothing had happened."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    parts = await desk.plan(work, "first", "second")
    await desk.status("wamid.out", "sent", callback_data=parts[0].id)
    assert await desk.settle(work, parts[0], wamid="wamid.out", start=parts[1].id) == "sent"
    assert [part.state for part in (await desk.verdict("wamid.a")).parts] == ["sent", "sending"]


async def test_a_receipt_of_a_settled_turn_wakes_nobody(desk: Desk) -> None:
    """What is over stays over."""
    await spoken(desk)
    await desk.status("wamid.out", "read")
    assert await desk.store.due_in() is None


# -- numbers -------------------------------------------------------------------------------------------------


async def test_a_paused_number_keeps_its_backlog(desk: Desk, clock: Clock) -> None:
    """Nothing of a paused number is claimed, and the first pause is told from the later ones."""
    await desk.hear("one", ANA)
    await desk.hear("two", BEN)
    assert await desk.store.pause(NUMBER, until=clock.now + 30_000, reason="token")
    assert not await desk.store.pause(NUMBER, until=clock.now + 10_000, reason="token")
    assert await desk.claim() == ()
    assert await desk.store.due_in() == 10_000
    assert await desk.store.backlog() == (2, 0)


async def test_one_conversation_tries_whether_a_number_healed(desk: Desk, clock: Clock) -> None:
    """After the pause one conversation may try; others follow when it heals, or one after another."""
    for who in (ANA, BEN):
        await desk.hear("Hi", who)
    await desk.store.pause(NUMBER, until=clock.now + 30_000, reason="token")
    clock.forward(30_000)
    (probe,) = await desk.claim()
    assert probe.probing
    assert await desk.claim() == ()
    assert await desk.store.resume(NUMBER)
    assert not await desk.store.resume(NUMBER)
    (other,) = await desk.claim()
    assert not other.probing
    assert other.claim.conversation_id != probe.claim.conversation_id


async def test_many_at_once_make_one_probe(desk: Desk, clock: Clock) -> None:
    """The rule holds for many conversations and many workers."""
    for n in range(20):
        await desk.hear("Hi", webhooks.Sender(phone=f"3161000{n:04}"))
    await desk.store.pause(NUMBER, until=clock.now + 30_000, reason="token")
    clock.forward(30_000)
    claimed = await asyncio.gather(*(desk.claim(f"worker {n}", 100) for n in range(5)))
    assert sum(len(works) for works in claimed) == 1
    clock.forward(30_000)
    assert len(await desk.claim("next")) == 1


async def test_another_number_goes_on(desk: Desk, clock: Clock) -> None:
    """A pause is the number's, not the host's."""
    await desk.hear("Hi", ANA)
    other = replace(LINE, phone_number_id="999")
    await desk.receive(webhooks.inbound(other, BEN, desk.message("Hi", BEN)), bot_id="bt_two", number="999")
    await desk.store.pause(NUMBER, until=clock.now + 30_000, reason="token")
    assert [work.number for work in await desk.claim()] == ["999"]


async def test_a_test_passes_a_paused_number(desk: Desk, clock: Clock) -> None:
    """Tests are how one finds out that something is wrong."""
    await desk.store.pause(NUMBER, until=clock.now + 30_000, reason="token")
    await desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=60_000)
    await desk.hear("test", id="wamid.t")
    assert await desk.store.due_in() == 0
    assert not (await desk.take()).probing


# -- trouble -------------------------------------------------------------------------------------------------


async def test_a_job_that_raises_does_not_hurt_its_neighbours(desk: Desk) -> None:
    """In a shared commit only the culprit fails; the others are stored as if it had not been there."""
    await desk.hear("stale")
    work = await desk.take()
    await desk.store.release(work.claim)
    before = await desk.store.backlog()
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(30)]
    done = await asyncio.gather(
        *(desk.hear("good", who) for who in people[:15]),
        desk.store.release(work.claim),
        desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=10**30),
        *(desk.hear("good", who) for who in people[15:]),
        return_exceptions=True,
    )
    failed = [item for item in done if isinstance(item, BaseException)]
    assert isinstance(failed[0], Fenced)
    assert len(failed) == 2
    assert not isinstance(failed[1], StoreUnavailable)
    assert (await desk.store.backlog())[0] == before[0] + 30
    assert len(await desk.claim("other")) == 31


async def test_a_call_that_was_given_up_leaves_the_others_alone(desk: Desk) -> None:
    """A caller who goes away while its commit is on its way disturbs nobody."""
    tasks = [asyncio.create_task(desk.hear("Hi", webhooks.Sender(phone=f"3161000{n:04}"))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(item, Outcome) for item in done[1::2])
    assert (await desk.hear("Hi", BEN)).new


@pytest.mark.parametrize("kind", ["disk full", "file too large", "read-only"])
async def test_a_database_that_cannot_be_written(desk: Desk, backend: Sqlite, clock: Clock, kind: str) -> None:
    """It raises ``StoreUnavailable`` and has no effect; when the trouble is over, all goes on without a restart."""
    await desk.hear("before")
    before = await desk.take()
    big = desk.message("x" * 200_000, BEN, id="wamid.big")
    document = webhooks.inbound(LINE, BEN, big)
    with backend.trouble(kind, desk.store):
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as caught:
                await desk.receive(document)
            assert caught.value.hint
        done = await asyncio.gather(*(desk.receive(document) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(item, StoreUnavailable) for item in done)
        assert await desk.store.verdict(BOT, "wamid.big") is None
    (outcome,) = await desk.receive(document)
    assert outcome.new
    await desk.answer(before, "go on")
    assert texts(await desk.claim())[0].startswith("xxx")


async def test_a_closed_store_says_so(desk: Desk) -> None:
    """After ``close`` every call raises ``StoreUnavailable``, reads too; closing twice does no harm."""
    await desk.store.close()
    with pytest.raises(StoreUnavailable):
        await desk.hear("Hi")
    with pytest.raises(StoreUnavailable):
        await desk.store.due_in()
    await desk.store.close()


async def test_a_second_opener_is_refused(store: Store, backend: Sqlite, clock: Clock) -> None:
    """The file belongs to one host; the second is told who has it and what to do."""
    second = backend.store(clock)
    with pytest.raises(ConfigError) as caught:
        await second.open()
    assert "process" in caught.value.message
    assert "--database" in caught.value.hint
    await store.close()
    await second.open()
    await second.close()


async def test_a_database_of_a_newer_version_is_refused_untouched(tmp_path: Path, clock: Clock) -> None:
    """It names both versions and the remedy, and leaves the file for the aerobot that knows it."""
    path = tmp_path / "aerobot.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    store = SqliteStore(path, clock=clock)
    with pytest.raises(ConfigError, match="99") as caught:
        await store.open()
    assert "serve.database" in caught.value.hint
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    db.close()


@pytest.mark.parametrize("content", [b"This is a letter.\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path, clock: Clock, content: bytes) -> None:
    """Whatever it is, it is somebody's."""
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    store = SqliteStore(path, clock=clock)
    with pytest.raises(ConfigError, match=r"letter\.txt") as caught:
        await store.open()
    assert "serve.database" in caught.value.hint
    assert path.read_bytes() == content
    with pytest.raises(ConfigError):
        await SqliteStore(path, clock=clock).open()


@pytest.mark.parametrize("place", ["/proc/aerobot/aerobot.db", "/proc/aerobot.db", "{tmp}/file/aerobot.db", "{tmp}"])
async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, clock: Clock, place: str) -> None:
    """A folder that is read-only, or none: the setting that names another place is in the hint."""
    (tmp_path / "file").write_text("")
    store = SqliteStore(Path(place.format(tmp=tmp_path)), clock=clock)
    with pytest.raises(ConfigError) as caught:
        await store.open()
    assert "serve.database" in caught.value.hint


async def test_the_files_are_for_their_owner_alone(backend: Sqlite, store: Store) -> None:
    """Customers' messages and local bots' secrets are in there: 0600."""
    for file in backend.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0 or file.name.endswith(".lock"), file


# -- odd input -----------------------------------------------------------------------------------------------


TEXTS = ["\ud83d", "a\x00b", "\udcff\ud800 [/b] \x1b[31m", "x" * 100_000, "👩‍👩‍👧‍👦", "'; DROP TABLE messages;--"]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_any_text_is_kept_and_given_back(desk: Desk, text: str) -> None:
    """Lone surrogates, NUL, escapes, very long: stored, read again as the parser reads it, answered."""
    sender = webhooks.Sender(phone=ANA.phone, name=text)
    message = desk.message(text, sender, id="wamid.a")
    body = json.dumps(webhooks.inbound(LINE, sender, message)).encode()
    (outcome,) = await desk.receive(body)
    assert outcome.state == "queued"
    assert outcome.update.message is not None
    work = await desk.take()
    assert texts([work]) == [outcome.update.message.text]
    await desk.answer(work, f"You said {text}")
    assert (await desk.verdict("wamid.a")).state == "answered"


@pytest.mark.parametrize("text", ["\ud83d", "a\x00b", "[/b]\x1b[31m"])
async def test_ids_can_be_anything(desk: Desk, text: str) -> None:
    """Odd ids of messages, people and receipts are kept apart and known again."""
    wamid = text + "w" * 10_000
    sender = webhooks.Sender(phone=text + "1" * 10_000, user_id="NL." + text + "2" * 10_000)
    message = {**desk.message("Hi"), "from": sender.phone, "from_user_id": sender.user_id, "id": wamid}
    contact = {"wa_id": sender.phone, "user_id": sender.user_id, "profile": {"name": text}}
    body = json.dumps(webhooks.envelope(LINE, messages=[message], contacts=[contact])).encode()
    (first,), (second,) = await desk.receive(body), await desk.receive(body)
    assert (first.state, second.new) == ("queued", False)
    work = await desk.take()
    (part,) = await desk.plan(work, "Hi")
    assert first.update.message is not None
    await desk.settle(work, part, wamid=first.update.message.id, finish=True)
    status = {"id": wamid, "status": "read", "timestamp": "x", "recipient_id": wamid}
    (outcome,) = await desk.receive(json.dumps(webhooks.envelope(LINE, statuses=[status])).encode())
    assert outcome.part_id == part.id
    assert (await desk.hear("again", webhooks.Sender(phone=work.phone))).conversation_id == first.conversation_id


async def test_an_error_in_a_receipt_can_say_anything(desk: Desk) -> None:
    """What Meta puts into ``errors`` is kept as it can be."""
    await spoken(desk)
    status = {"id": "wamid.out", "status": "failed", "errors": [{"code": "x", "title": "\ud800\0", "error_data": "🤷"}]}
    (outcome,) = await desk.receive(json.dumps(webhooks.envelope(LINE, statuses=[status])).encode())
    assert outcome.state == "joined"
    error = (await desk.part("wamid.a")).error
    assert error is not None
    assert error["details"] == "🤷"


# -- history, bots, adoption ---------------------------------------------------------------------------------


async def history(desk: Desk, work: Work, **more: Any) -> list[tuple[str, str]]:
    given = {"before_turn": work.turn_id, "limit": 20, "since": 0, **more}
    return [(said.role, said.text) for said in await desk.store.history(work.claim.conversation_id, **given)]


async def test_history_is_what_was_really_said(desk: Desk) -> None:
    """Oldest first, up to this turn: what was not sent was not said, and what comes later is not known yet."""
    await desk.hear("one")
    await desk.answer(await desk.take(), "yes", "indeed")
    await desk.hear("two")
    work = await desk.take()
    parts = await desk.plan(work, "arrives", "fails", "is never tried")
    await desk.settle(work, parts[0], start=parts[1].id)
    await desk.settle(work, parts[1], "failed", error=ERROR, finish=True)
    await desk.hear("three")
    await desk.hear("four")
    await desk.hear("not mine", BEN)
    work = next(work for work in await desk.claim() if work.phone == ANA.phone)
    assert await history(desk, work) == [
        ("user", "one"),
        ("bot", "yes"),
        ("bot", "indeed"),
        ("user", "two"),
        ("bot", "arrives"),
    ]


async def test_history_has_limits(desk: Desk, clock: Clock) -> None:
    """The newest entries, at most so many, and none older than asked."""
    for n in range(4):
        await desk.hear(str(n))
        await desk.answer(await desk.take(), f"re {n}")
        clock.forward(60_000)
    await desk.hear("now")
    work = await desk.take()
    assert await history(desk, work, limit=3) == [("bot", "re 2"), ("user", "3"), ("bot", "re 3")]
    assert await history(desk, work, limit=0) == []
    assert await history(desk, work, since=clock.now - 60_000) == [("user", "3"), ("bot", "re 3")]
    assert await history(desk, work, limit=100) == [e for n in range(4) for e in (("user", str(n)), ("bot", f"re {n}"))]


async def test_history_looks_at_its_own_conversation_alone(desk: Desk, backend: Sqlite) -> None:
    """However much others said: the database finds a conversation's turns by an index."""
    from aerobot.store.sqlite import _HISTORY

    with sqlite3.connect(backend.path) as db:
        plan = db.execute(f"EXPLAIN QUERY PLAN {_HISTORY}", {"id": 1, "turn": 9, "since": 0, "most": 20}).fetchall()
    db.close()
    searched = [row[3] for row in plan if row[3].startswith(("SCAN", "SEARCH"))]
    for step in searched:
        assert "turn_id<" not in step, searched
        assert not step.startswith("SCAN m"), searched
        assert not step.startswith("SCAN t"), searched
        assert not step.startswith("SCAN p"), searched


@pytest.mark.parametrize("hours", [24, 10_000])
async def test_history_reads_as_much_as_it_gives(desk: Desk, backend: Sqlite, hours: int) -> None:
    """However long a conversation is, also where all of it is too old: the newest ``limit`` entries cost the same."""
    from aerobot.store.sqlite import _HISTORY

    steps = {}
    db = sqlite3.connect(backend.path)
    for conversation, turns in ((1, 10), (2, 10_000)):
        _long(db, conversation, turns, now=desk.clock.now)
        given = {"id": conversation, "turn": 1_000_000, "since": desk.clock.now - hours * 3_600_000, "most": 8}
        counted = itertools.count()
        db.set_progress_handler(lambda counted=counted: next(counted) and 0, 1)
        found = db.execute(_HISTORY, given).fetchall()
        db.set_progress_handler(None, 0)
        assert len(found) == (8 if hours > 24 else 0)
        steps[turns] = next(counted)
    db.close()
    assert steps[10_000] < 1.2 * steps[10], steps
    assert steps[10_000] < 2000, steps


def _long(db: sqlite3.Connection, conversation: int, turns: int, *, now: int) -> None:
    """A conversation of so many answered turns, an hour apart, the last of them two days ago."""
    first = conversation * 100_000
    at = [now - (48 + turns - n) * 3_600_000 for n in range(turns)]
    db.executemany(
        "INSERT INTO turns (id, conversation_id, ordinal, state, outcome, error, engine_ms, capture, started_at,"
        " settled_at) VALUES (?, ?, ?, 'settled', 'answered', '', 1, 0, ?, ?)",
        [(first + n, conversation, n + 1, at[n], at[n]) for n in range(turns)],
    )
    db.executemany(
        "INSERT INTO messages (bot_id, conversation_id, seq, wamid, kind, text, raw, contact, received_at, state,"
        " reason, capture, delivery_id, turn_id) VALUES ('b', ?, ?, ?, 'text', 'Hi', '{}', '{}', ?, 'answered', '', 0,"
        " 0, ?)",
        [(conversation, n, f"wamid.{first + n}", at[n], first + n) for n in range(turns)],
    )
    db.executemany(
        "INSERT INTO parts (id, turn_id, conversation_id, position, kind, said, body, state, attempts, unknowns,"
        " changed_at, error, receipt) VALUES (?, ?, ?, 0, 'text', 're Hi', '{}', 'sent', 1, 0, ?, '', '')",
        [(f"part.{first + n}", first + n, conversation, at[n]) for n in range(turns)],
    )
    db.commit()


async def test_bots_are_kept_with_their_secrets_and_forgotten(desk: Desk, backend: Sqlite, clock: Clock) -> None:
    """What was made over the API comes back after a restart; deleting says whether there was one."""
    document = {
        "id": "bt_x", "name": "Acme \ud800", "status": "active", "timeout_ms": 5000, "extra": [1, None],
        "platform_config": {"phone_number_id": "1", "access_token": "t", "verify_token": "v", "app_secret": "s"},
    }  # fmt: skip
    await desk.store.save_bot(from_document(document))
    await desk.store.close()
    again = backend.store(clock)
    await again.open()
    (bot,) = await again.bots()
    assert (bot.id, bot.active, bot.timeout_ms, bot.access_token) == ("bt_x", True, 5000, Secret("t"))
    assert bot.document["extra"] == [1, None]
    await again.save_bot(from_document({**bot.document, "status": "inactive", "name": "B"}))
    assert [(b.name, b.active) for b in await again.bots()] == [("B", False)]
    assert await again.delete_bot("bt_x")
    assert not await again.delete_bot("bt_x")
    assert await again.bots() == ()
    await again.close()


async def test_adopting_moves_everything_kept_under_a_former_id(desk: Desk) -> None:
    """Conversations, what was seen, tests and backlog go on under the new id; the second time nothing is left."""
    first = desk.message("one", id="wamid.a")
    heard = (await desk.receive(webhooks.inbound(LINE, ANA, first), bot_id="former"))[0]
    await desk.answer(await desk.take(), "yes")
    await desk.hear("two", bot_id="former", id="wamid.b")
    await desk.store.announce("former", "wamid.t", capture=True, ttl_ms=60_000)
    assert await desk.store.adopt("former", BOT) == 1
    assert await desk.store.adopt("former", BOT) == 0
    (again,) = await desk.receive(webhooks.inbound(LINE, ANA, first))
    assert not again.new
    three = await desk.hear("three")
    assert three.conversation_id == heard.conversation_id
    assert (await desk.hear("test", id="wamid.t")).channel == "test"
    work = next(work for work in await desk.claim() if work.channel == "whatsapp")
    assert (work.bot_id, texts([work])) == (BOT, ["two"])
    assert await history(desk, work) == [("user", "one"), ("bot", "yes")]
    assert (await desk.verdict("wamid.a")).state == "answered"
    assert await desk.store.verdict("former", "wamid.a") is None


async def test_adopting_where_both_know_a_person(desk: Desk) -> None:
    """Nothing is lost where the new id has a conversation with the same person already."""
    await desk.hear("to the former", bot_id="former")
    mine = await desk.hear("to me")
    assert await desk.store.adopt("former", BOT) == 1
    works = await desk.claim()
    assert sorted(texts(works)) == ["to me", "to the former"]
    assert {work.bot_id for work in works} == {BOT}
    assert (await desk.hear("next")).conversation_id == mine.conversation_id


async def test_a_verdict_about_nothing(desk: Desk) -> None:
    """What has not arrived has none."""
    assert await desk.store.verdict(BOT, "wamid.never \ud800") is None


# -- what else the promise says ------------------------------------------------------------------------------


async def test_who_worked_before_a_crash_is_fenced_after_it(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """The fencing number grows over a restart: a write that was on its way from the former process changes nothing."""
    await desk.hear("one", id="wamid.a")
    stale = await desk.take("one")
    again = backend.after_a_crash(tmp_path / "copy").store(clock)
    await again.open()
    other = Desk(again, clock)
    with refused():
        await other.plan(stale, "from the grave")
    fresh = await other.take("one")
    assert fresh.claim.fence > stale.claim.fence
    with refused():
        await other.plan(stale, "from the grave")
    await other.answer(fresh, "alive")
    assert [part.said for part in (await other.verdict("wamid.a")).parts] == ["alive"]
    await again.close()


async def test_a_plan_is_one_commit(desk: Desk) -> None:
    """Where one of its parts cannot be written none is, and the turn is still to be thought about."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    twins = tuple(Part(id="twin", position=n, kind="text", said=str(n), body={}) for n in range(2))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await desk.store.plan(work, Plan(parts=twins, outcome="answered"))
    verdict = await desk.verdict("wamid.a")
    assert (verdict.parts, verdict.turn_state, verdict.state) == ((), "thinking", "in_turn")
    await desk.answer(work, "yes")
    assert (await desk.verdict("wamid.a")).state == "answered"


async def test_a_receipt_is_for_its_own_bots_part_alone(desk: Desk) -> None:
    """Another bot's webhook moves nothing here, not even with our wamid or our part's id."""
    await desk.hear("one", id="wamid.a")
    (part,) = await desk.answer(await desk.take(), "yes")
    status = webhooks.status(
        f"wamid.out.{part.id}", "read", recipient=ANA, timestamp=desk.clock.now // 1000, callback_data=part.id
    )
    (outcome,) = await desk.receive(webhooks.receipt(LINE, ANA, status), bot_id="bt_other")
    assert (outcome.state, outcome.part_id) == ("waiting", None)
    assert (await desk.part("wamid.a")).receipt == ""


async def test_join_never_mixes_what_is_sent_with_what_is_kept(desk: Desk) -> None:
    """Test messages that ask for delivery and those that do not are turns of their own, though they wait together."""
    for wamid, capture in (("wamid.kept", True), ("wamid.sent", False), ("wamid.kept2", True)):
        await desk.store.announce(BOT, wamid, capture=capture, ttl_ms=60_000)
        await desk.hear(wamid, id=wamid)
    work = await desk.take(join=True)
    assert (texts([work]), work.capture) == (["wamid.kept", "wamid.kept2"], True)
    await desk.plan(work, "kept")
    work = await desk.take(join=True)
    assert (texts([work]), work.capture) == (["wamid.sent"], False)


async def test_the_newest_window_is_a_real_users(desk: Desk) -> None:
    """What tests write opens no window, neither their own nor the one that is told of."""
    await desk.store.announce(BOT, "wamid.t", capture=True, ttl_ms=60_000)
    await desk.hear("test", id="wamid.t")
    assert await desk.store.newest_window() is None
    assert await desk.store.window_with(BOT, [ANA.phone]) is None


async def test_those_who_come_together_share_a_commit(desk: Desk, backend: Sqlite) -> None:
    """Concurrent requests are few commits and not one each: that is what makes durability affordable."""
    await desk.hear("the first makes the log")
    with backend.commits(desk.store) as commits:
        await asyncio.gather(*(desk.hear("Hi", webhooks.Sender(phone=f"3161000{n:04}")) for n in range(200)))
    assert 1 <= commits() <= 20
