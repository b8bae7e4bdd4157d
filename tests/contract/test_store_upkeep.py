"""The promise of ``store/upkeep.py``, for every backend: what fails is listed, who asks is forgotten, the old goes."""

import asyncio
import itertools
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aerobot.emulator import webhooks
from aerobot.store.base import UNKNOWN_WAIT_MS, Part, Plan
from aerobot.store.upkeep import ENGINE, REMEMBER_MS, SEND, Swept, sweep_all
from tests.stores import ANA, BEN, BOT, ERROR, LINE, Clock, Desk, Sqlite, refused, texts

DAY = 24 * 3_600_000


async def no_rest() -> None:
    await asyncio.sleep(0)


async def sweep(desk: Desk, days: float = 30) -> Swept:
    return await sweep_all(desk.store.upkeep, desk.clock.now - int(days * DAY), rest=no_rest)


# -- the failed list -----------------------------------------------------------------------------------------


async def test_a_send_that_finally_failed_is_listed(desk: Desk, clock: Clock) -> None:
    """With its cause, Meta's words, the remedy, how often it was tried, and where a retry begins."""
    parts = await desk.stuck("Where is it?")
    (turn,) = await desk.failed()
    assert (turn.cause, turn.code, turn.error, turn.remedy) == ("131026", 131026, "not on WhatsApp", "ask")
    assert (turn.asked, turn.phone, turn.attempts, turn.retries) == (("Where is it?",), ANA.phone, 1, 0)
    assert turn.resumes is not None
    assert turn.resumes.id == parts[1].id
    assert turn.failed_at == clock.now
    assert [part.state for part in turn.parts] == ["sent", "failed", "not_sent"]


@pytest.mark.parametrize("outcome", ["failed", "fell_back"])
async def test_an_engine_that_failed_is_listed(desk: Desk, outcome: str) -> None:
    """Also where a fallback was said in its place: the question has no answer yet."""
    await desk.hear("one")
    work = await desk.take()
    said = ("Sorry, once more?",) if outcome == "fell_back" else ()
    parts = await desk.plan(work, *said, outcome=outcome, error="bot.py:31 KeyError")
    for part in parts:
        await desk.settle(work, part, finish=True)
    (turn,) = await desk.failed()
    assert (turn.cause, turn.error, turn.resumes) == (ENGINE, "bot.py:31 KeyError", None)
    assert turn.fell_back is (outcome == "fell_back")


async def test_what_meta_could_not_deliver_is_listed(desk: Desk) -> None:
    """A ``failed`` status after the send was accepted, whether the turn was over already or not."""
    await desk.hear("one")
    (part,) = await desk.answer(await desk.take(), "yes")
    assert await desk.failed() == ()
    outcome = await desk.status(f"wamid.out.{part.id}", "failed", code=131026)
    await desk.hear("two")
    work = await desk.take()
    early, last = await desk.plan(work, "a", "b")
    await desk.settle(work, early, start=last.id)
    await desk.status(f"wamid.out.{early.id}", "failed", code=131049)
    assert len(await desk.failed()) == 1
    await desk.settle(work, last, finish=True)
    turns = await desk.failed()
    assert [turn.cause for turn in turns] == ["131026", "131049"]
    assert outcome.failed_turn == turns[0].turn_id


@pytest.mark.parametrize("outcome", ["answered", "silent", "ignored"])
async def test_what_did_not_fail_is_not_listed(desk: Desk, outcome: str) -> None:
    """Answers, silence, and messages that nobody was to answer."""
    await desk.hear("one")
    await desk.plan(await desk.take(), outcome=outcome)
    assert await desk.failed() == ()


async def test_a_test_is_never_listed(desk: Desk) -> None:
    """Kept or really sent: whoever tests sees it fail."""
    for wamid, capture in (("wamid.a", True), ("wamid.b", False)):
        await desk.store.announce(BOT, wamid, capture=capture, ttl_ms=60_000)
        await desk.hear("one", id=wamid)
        await desk.plan(await desk.take(), outcome="failed", error="no")
    await desk.store.announce(BOT, "wamid.c", capture=False, ttl_ms=60_000)
    await desk.hear("one", id="wamid.c")
    (part,) = await desk.answer(await desk.take(), "yes")
    await desk.status(f"wamid.out.{part.id}", "failed", code=131026)
    assert await desk.failed() == ()


async def test_the_list_by_cause_by_id_and_in_figures(desk: Desk) -> None:
    """What bulk retries choose from."""
    await desk.stuck("one")
    await desk.hear("two")
    await desk.plan(await desk.take(), outcome="failed", error="no")
    await desk.stuck("three")
    first, second, third = await desk.failed()
    assert await desk.failed(cause=ENGINE) == (second,)
    assert await desk.failed(cause="131026") == (first, third)
    assert await desk.failed(ids=[third.turn_id, 999]) == (third,)
    assert await desk.failed(limit=2) == (first, second)
    assert await desk.store.upkeep.causes() == (("131026", 2), (ENGINE, 1))


async def test_a_retry_resumes_at_the_failed_part(desk: Desk) -> None:
    """What arrived is not said twice, the rest of the chain follows, and the message is answered in the end."""
    parts = await desk.stuck(id="wamid.a")
    (turn,) = await desk.failed()
    assert await desk.store.upkeep.retry([turn.turn_id, 999]) == {turn.turn_id}
    assert await desk.failed() == ()
    assert (await desk.verdict("wamid.a")).state == "in_turn"
    work = await desk.take()
    assert work.thought
    assert [(p.id, p.state, p.attempts, p.unknowns) for p in work.parts] == [
        (parts[0].id, "sent", 1, 0),
        (parts[1].id, "planned", 0, 0),
        (parts[2].id, "planned", 0, 0),
    ]
    await desk.settle(work, parts[1], "planned", start=parts[1].id)
    await desk.settle(work, parts[1], start=parts[2].id)
    await desk.settle(work, parts[2], finish=True)
    assert (await desk.verdict("wamid.a")).state == "answered"
    assert await desk.failed() == ()
    assert await desk.store.upkeep.retry([turn.turn_id]) == frozenset()


async def test_a_retry_that_fails_again_is_listed_again(desk: Desk) -> None:
    """It knows how often it was retried."""
    parts = await desk.stuck()
    (turn,) = await desk.failed()
    await desk.store.upkeep.retry([turn.turn_id])
    await desk.settle(await desk.take(), parts[1], "failed", error={"code": 131047, "title": "closed"}, finish=True)
    (again,) = await desk.failed()
    assert (again.turn_id, again.cause, again.retries) == (turn.turn_id, "131047", 1)


async def test_an_engine_is_asked_again(desk: Desk) -> None:
    """The same messages, thought about anew; a fallback that was said stays said, before what is said now."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    fallback = Part(id="zz", position=0, kind="text", said="Sorry", body={})
    await desk.store.plan(work, Plan(parts=(fallback,), outcome="fell_back", error="boom"))
    await desk.settle(work, fallback, finish=True)
    await desk.store.upkeep.retry([work.turn_id])
    again = await desk.take()
    assert (again.turn_id, again.thought, texts([again]), again.error) == (work.turn_id, False, ["one"], "")
    await desk.answer(again, "the answer", "and more")
    verdict = await desk.verdict("wamid.a")
    assert [part.said for part in verdict.parts] == ["Sorry", "the answer", "and more"]
    assert (verdict.state, verdict.outcome) == ("answered", "answered")
    assert await desk.failed() == ()


async def test_a_fallback_that_did_not_arrive_goes(desk: Desk) -> None:
    """When the engine is asked again nobody wants to hear that it failed."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (fallback,) = await desk.plan(work, "Sorry", outcome="fell_back", error="boom")
    await desk.settle(work, fallback, "failed", error=ERROR, finish=True)
    await desk.store.upkeep.retry([work.turn_id])
    await desk.answer(await desk.take(), "the answer")
    verdict = await desk.verdict("wamid.a")
    assert [part.said for part in verdict.parts] == ["the answer"]
    assert verdict.state == "answered"


async def test_what_was_not_delivered_is_said_again_and_the_rest_is_not(desk: Desk) -> None:
    """Of a chain of which one part came back as failed, that one alone is planned again."""
    await desk.hear("one", id="wamid.a")
    lost, fine = await desk.answer(await desk.take(), "lost", "fine")
    await desk.status(f"wamid.out.{lost.id}", "failed", code=131026)
    (turn,) = await desk.failed()
    await desk.store.upkeep.retry([turn.turn_id])
    work = await desk.take()
    assert [(p.id, p.state, p.receipt) for p in work.parts] == [(lost.id, "planned", ""), (fine.id, "sent", "")]


@pytest.mark.parametrize("state", ["planned", "sending"])
async def test_old_news_about_the_send_that_failed_moves_nothing(desk: Desk, state: str) -> None:
    """A late status with the former wamid is not about the repetition, though it carries the part's id."""
    await desk.hear("one", id="wamid.a")
    (part,) = await desk.answer(await desk.take(), "yes")
    await desk.status(f"wamid.out.{part.id}", "failed", code=131026)
    (turn,) = await desk.failed()
    await desk.store.upkeep.retry([turn.turn_id])
    work = await desk.take()
    if state == "sending":
        await desk.settle(work, part, "planned", start=part.id)
    await desk.status(f"wamid.out.{part.id}", "sent", callback_data=part.id)
    found = await desk.part("wamid.a")
    assert (found.state, found.receipt) == (state, "")
    await desk.settle(work, part, "sent", wamid="wamid.new", finish=True)
    await desk.status("wamid.new", "delivered")
    found = await desk.part("wamid.a")
    assert (found.state, found.wamid, found.receipt) == ("sent", "wamid.new", "delivered")


async def test_a_status_about_an_outcome_nobody_knew_settles_the_retry(desk: Desk) -> None:
    """A part that failed because its outcome stayed unknown may have arrived after all: then it is not said twice."""
    await desk.hear("one", id="wamid.a")
    work = await desk.take()
    (part,) = await desk.plan(work, "yes")
    await desk.settle(work, part, "failed", error={"code": None, "title": "its outcome stayed unknown"}, finish=True)
    (turn,) = await desk.failed()
    assert turn.cause == SEND
    await desk.store.upkeep.retry([turn.turn_id])
    work = await desk.take()
    await desk.settle(work, part, "planned", start=part.id)
    await desk.status("wamid.late", "delivered", callback_data=part.id)
    assert await desk.settle(work, part, "unknown", release_at=desk.clock.now + UNKNOWN_WAIT_MS) == "sent"


async def test_a_retry_disturbs_nobody_who_works(desk: Desk) -> None:
    """While a later turn of the conversation is worked on, the retried one waits, and is due right afterwards."""
    await desk.stuck("one")
    (turn,) = await desk.failed()
    await desk.hear("two")
    work = await desk.take()
    await desk.store.upkeep.retry([turn.turn_id])
    assert await desk.claim("other") == ()
    await desk.answer(work, "re two")
    assert (await desk.take()).turn_id == turn.turn_id


async def test_retries_of_one_turn_at_once_are_one(desk: Desk) -> None:
    """Whoever comes second is told that it is no longer on the list."""
    await desk.stuck()
    (turn,) = await desk.failed()
    results = await asyncio.gather(*(desk.store.upkeep.retry([turn.turn_id]) for _ in range(5)))
    assert sorted(map(len, results)) == [0, 0, 0, 0, 1]


async def test_what_is_discarded_stays_failed(desk: Desk) -> None:
    """It leaves the list and nothing else changes."""
    await desk.stuck(id="wamid.a")
    (turn,) = await desk.failed()
    assert await desk.store.upkeep.discard([turn.turn_id, 999]) == {turn.turn_id}
    assert await desk.failed() == ()
    assert (await desk.verdict("wamid.a")).state == "failed"
    assert await desk.store.upkeep.discard([turn.turn_id]) == frozenset()
    assert await desk.claim() == ()


async def test_the_failed_list_survives_a_crash(desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path) -> None:
    """So does a retry: it is on the disk when the call returns."""
    await desk.stuck("one", ANA)
    await desk.stuck("two", BEN)
    first, second = await desk.failed()
    await desk.store.upkeep.retry([first.turn_id])
    again = backend.after_a_crash(tmp_path / "copy").store(clock)
    await again.open()
    other = Desk(again, clock)
    assert [turn.turn_id for turn in await other.failed()] == [second.turn_id]
    assert (await other.take()).turn_id == first.turn_id
    await again.close()


# -- a person ------------------------------------------------------------------------------------------------


async def found(desk: Desk, who: str, **more: Any) -> list[str]:
    people = await desk.store.upkeep.people(who, **{"conversation_id": None, "limit": 100, **more})
    return [person.name for person in people]


async def test_a_person_is_found_by_any_of_their_names(desk: Desk, clock: Clock) -> None:
    """The number however it is written, its last digits, the business-scoped id, part of the name in any case."""
    jose = webhooks.Sender(phone="5491123456789", name="José Álvarez", user_id="AR.13491208655302741918")
    await desk.hear("Hi", jose)
    clock.forward(1000)
    await desk.hear("Hi", BEN)
    for who in ("+54 9 11 2345-6789", "6789", "541123456789", "AR.13491208655302741918", "álvarez", "JOSÉ"):
        assert await found(desk, who) == ["José Álvarez"], who
    assert await found(desk, "") == ["Ben", "José Álvarez"]
    assert await found(desk, "", limit=1) == ["Ben"]
    for who in ("789", "%", "_", "9999", "nobody", "' OR 1"):
        assert await found(desk, who) == [], who


async def test_what_is_known_of_a_person(desk: Desk, clock: Clock) -> None:
    """Every identity, how much was said, what waits, since when."""
    sender = webhooks.Sender(phone=ANA.phone, name="Ana", user_id="NL.1")
    await desk.hear("one", sender)
    began = clock.now
    await desk.answer(await desk.take(), "yes")
    clock.forward(60_000)
    outcome = await desk.hear("two", sender)
    (person,) = await desk.store.upkeep.people("", conversation_id=outcome.conversation_id, limit=1)
    assert person.identities == (("phone", ANA.phone), ("user_id", "NL.1"))
    assert (person.messages, person.waiting, person.first_at, person.last_at) == (2, 1, began, clock.now)
    lines = await desk.store.upkeep.talk(person.conversation_id, limit=10)
    assert [(line.role, line.text, line.state) for line in lines] == [
        ("user", "one", "answered"),
        ("bot", "yes", "sent"),
        ("user", "two", "queued"),
    ]
    assert [line.text for line in await desk.store.upkeep.talk(person.conversation_id, limit=2)] == ["yes", "two"]


async def test_a_forgotten_person_is_nowhere(desk: Desk, backend: Sqlite) -> None:
    """Messages, turns, parts, receipts, identities, raw bodies: not even the files hold number, name or words."""
    ana = webhooks.Sender(phone="31699998888", name="Ana Zzyzx", user_id="NL.777000777")
    for text in ("quixotic one", "quixotic two"):
        await desk.hear(text, ana)
        (part,) = await desk.answer(await desk.take(), f"re {text}")
        await desk.status(f"wamid.out.{part.id}", "delivered", recipient=ana)
    await desk.hear("still waiting, quixotic", ana)
    await desk.hear("I am still here", BEN)
    (person,) = await desk.store.upkeep.people("8888", conversation_id=None, limit=9)
    gone = await desk.store.upkeep.forget(person.conversation_id)
    assert gone is not None
    assert (gone.messages, gone.turns, gone.parts, gone.receipts, gone.identities, gone.bodies) == (3, 2, 2, 2, 2, 5)
    assert await found(desk, "") == ["Ben"]
    content = backend.content()
    for trace in (b"31699998888", b"Zzyzx", b"NL.777000777", b"quixotic"):
        assert trace not in content, trace
    assert b"I am still here" in content
    assert await desk.store.upkeep.forget(person.conversation_id) is None
    assert await desk.store.upkeep.forget(999) is None


async def test_receipts_of_what_was_sent_by_hand_go_too(desk: Desk, backend: Sqlite) -> None:
    """No part of ours is behind them, but Meta writes the user's number into its ids; other people's stay."""
    await desk.hear("Hi")
    ours, theirs = (webhooks.new_wamid(Random(n), who.phone, outgoing=True) for n, who in enumerate((ANA, BEN)))
    await desk.status(ours, "sent")
    status = webhooks.status(theirs, "sent", recipient=BEN, timestamp=desk.clock.now // 1000)
    await desk.receive(webhooks.receipt(LINE, BEN, status))
    (ana,) = await desk.store.upkeep.people(ANA.phone, conversation_id=None, limit=9)
    gone = await desk.store.upkeep.forget(ana.conversation_id)
    assert gone is not None
    assert (gone.receipts, gone.bodies) == (1, 2)
    assert ours.encode() not in backend.content()
    assert theirs.encode() in backend.content()


async def test_a_body_that_names_two_is_erased_and_the_other_ones_message_stays(desk: Desk) -> None:
    """Batches carry several people: the raw body goes, what the other wrote is still to be answered."""
    both = webhooks.inbound(LINE, ANA, desk.message("from Ana"))
    value = both["entry"][0]["changes"][0]["value"]
    value["messages"].append(desk.message("from Ben", BEN))
    await desk.receive(both)
    (ana,) = await desk.store.upkeep.people(ANA.phone, conversation_id=None, limit=9)
    gone = await desk.store.upkeep.forget(ana.conversation_id)
    assert gone is not None
    assert gone.bodies == 1
    assert texts(await desk.claim()) == ["from Ben"]


async def test_what_was_forgotten_and_is_delivered_again_is_known(desk: Desk) -> None:
    """The digest stays: a redelivery does not bring anybody back. A new message begins anew."""
    message = desk.message("one")
    first = (await desk.receive(webhooks.inbound(LINE, ANA, message)))[0]
    assert first.conversation_id is not None
    await desk.store.upkeep.forget(first.conversation_id)
    assert not (await desk.receive(webhooks.inbound(LINE, ANA, message)))[0].new
    assert await desk.claim() == ()
    again = await desk.hear("two")
    assert again.conversation_id != first.conversation_id
    work = await desk.take()
    assert (work.ordinal, texts([work])) == (1, ["two"])


async def test_who_works_on_a_forgotten_conversation_is_fenced(desk: Desk) -> None:
    """An answer that was on its way is dropped, and meets nobody who comes later."""
    outcome = await desk.hear("one")
    work = await desk.take()
    assert outcome.conversation_id is not None
    await desk.store.upkeep.forget(outcome.conversation_id)
    await desk.hear("hello", BEN)
    await desk.take()
    with refused():
        await desk.plan(work, "for Ana")


async def test_messages_arrive_while_somebody_is_forgotten(desk: Desk) -> None:
    """A long conversation is erased in small commits: nobody else waits for the end of it."""
    batch = webhooks.inbound(LINE, ANA, desk.message("0"))
    batch["entry"][0]["changes"][0]["value"]["messages"] += [desk.message(str(n)) for n in range(900)]
    (first, *_) = await desk.receive(batch)
    assert first.conversation_id is not None
    forgetting = asyncio.create_task(desk.store.upkeep.forget(first.conversation_id))
    heard = 0
    while not forgetting.done():
        await desk.hear("meanwhile", BEN)
        heard += 1
    gone = await forgetting
    assert gone is not None
    assert gone.messages == 901
    assert heard > 3


# -- retention -----------------------------------------------------------------------------------------------


async def test_old_things_go_and_new_ones_stay(desk: Desk, clock: Clock, backend: Sqlite) -> None:
    """Messages, parts, receipts and raw bodies older than asked; the conversation itself stays."""
    await desk.hear("old words", id="wamid.a")
    (part,) = await desk.answer(await desk.take(), "old answer")
    await desk.status(f"wamid.out.{part.id}", "read")
    await desk.hear("👍", kind="reaction")
    await desk.plan(await desk.take(), outcome="silent")
    await desk.hear("recorded", kind="unsupported")
    clock.forward(31 * DAY)
    await desk.hear("new words", id="wamid.b")
    await desk.answer(await desk.take(), "new answer")
    assert await sweep(desk) == Swept(messages=3, parts=1, receipts=1, deliveries=4)
    assert await sweep(desk) == Swept()
    assert await desk.store.verdict(BOT, "wamid.a") is None
    assert (await desk.verdict("wamid.b")).state == "answered"
    content = backend.content()
    assert b"old words" not in content
    assert b"new words" in content
    (person,) = await desk.store.upkeep.people("", conversation_id=None, limit=9)
    assert (person.name, person.messages) == ("Ana", 1)


async def test_what_is_not_finished_stays(desk: Desk, clock: Clock) -> None:
    """Queued messages, turns that are thought about or spoken, parts planned and unknown, and their raw bodies."""
    people = [webhooks.Sender(phone=f"3161000000{n}", name=str(n)) for n in range(4)]
    for n, sender in enumerate(people):
        await desk.hear(f"text {n}", sender, id=f"wamid.{n}x")
    works = {work.phone: work for work in await desk.claim(limit=3)}
    unknown, planned = (works[people[n].phone] for n in (1, 2))
    (part, _) = await desk.plan(unknown, "a", "b")
    await desk.settle(unknown, part, "unknown", release_at=clock.now + 40 * DAY)
    await desk.plan(planned, "c", start=False)
    clock.forward(39 * DAY)
    assert await sweep(desk) == Swept()
    assert [(await desk.verdict(f"wamid.{n}x")).state for n in range(4)] == ["in_turn", "in_turn", "in_turn", "queued"]
    clock.forward(2 * DAY)
    assert sorted(texts(await desk.claim())) == ["text 0", "text 1", "text 2", "text 3"]


@pytest.mark.parametrize("days", [0, 1, 7])
async def test_a_redelivery_within_metas_week_is_known_however_short_the_retention(
    desk: Desk, clock: Clock, days: int
) -> None:
    """The raw body goes as asked, the digest stays until Meta has given up for sure."""
    message = desk.message("one", id="wamid.a")
    document = webhooks.inbound(LINE, ANA, message)
    await desk.receive(document)
    await desk.plan(await desk.take(), outcome="silent")
    clock.forward(7 * DAY + 3_600_000)
    assert await sweep(desk, days) == Swept(messages=1, bodies=1)
    assert not (await desk.receive(document))[0].new
    clock.forward(REMEMBER_MS + 1)
    assert (await sweep(desk, days)).deliveries == 2
    assert (await desk.receive(document))[0].new


async def test_a_failed_turn_is_swept_with_its_time(desk: Desk, clock: Clock) -> None:
    """Nobody can be answered a month later; what was retried in time is not finished, and stays."""
    await desk.stuck("one", ANA)
    await desk.stuck("two", BEN)
    _, second = await desk.failed()
    await desk.store.upkeep.retry([second.turn_id])
    clock.forward(31 * DAY)
    await sweep(desk)
    assert await desk.failed() == ()
    assert [work.turn_id for work in await desk.claim()] == [second.turn_id]


async def test_tests_leave_nothing_behind(desk: Desk, clock: Clock) -> None:
    """Each send-test is a person of its own: when its messages go, so does that person."""
    await desk.hear("real", BEN)
    await desk.answer(await desk.take(), "yes")
    for n in range(3):
        await desk.store.announce(BOT, f"wamid.t{n}", capture=True, ttl_ms=60_000)
        await desk.hear("test", webhooks.Sender(phone=f"1555000000{n}", name="Test user"), id=f"wamid.t{n}")
        await desk.plan(await desk.take(), "kept")
    await desk.hear("real too", ANA)
    await desk.answer(await desk.take(), "yes")
    clock.forward(31 * DAY)
    await sweep(desk)
    assert await found(desk, "") == ["Ana", "Ben"]


async def test_messages_are_taken_while_it_sweeps(desk: Desk, clock: Clock) -> None:
    """A sweep is many small commits with rests between: whoever comes meanwhile is stored in between."""
    for n in range(5):
        batch = webhooks.inbound(LINE, ANA, desk.message("0", kind="unsupported"))
        more = [desk.message(f"{n} {m}", kind="unsupported") for m in range(300)]
        batch["entry"][0]["changes"][0]["value"]["messages"] += more
        await desk.receive(batch)
    clock.forward(31 * DAY)
    rests = 0

    async def rest() -> None:
        nonlocal rests
        rests += 1
        await desk.hear("meanwhile", BEN)

    swept = await sweep_all(desk.store.upkeep, clock.now - 30 * DAY, rest=rest)
    assert swept.messages == 1505
    assert rests >= 1505 // 200
    assert await desk.store.backlog() == (rests, 0)


async def test_no_commit_of_a_sweep_is_large(desk: Desk, clock: Clock, backend: Sqlite) -> None:
    """A body may bring a thousand updates: of such bodies one is a commit's work, of small ones many."""
    for _ in range(4):
        batch = webhooks.inbound(LINE, ANA, desk.message(kind="unsupported"))
        batch["entry"][0]["changes"][0]["value"]["messages"] += [
            desk.message(kind="unsupported") for _ in range(899)
        ]
        await desk.receive(batch)
    clock.forward(31 * DAY)
    left = [backend.rows("messages") + backend.rows("updates")]

    async def rest() -> None:
        left.append(backend.rows("messages") + backend.rows("updates"))

    await sweep_all(desk.store.upkeep, clock.now - 30 * DAY, rest=rest)
    assert left[0] == 7200
    assert left[-1] == 0
    assert max(before - after for before, after in itertools.pairwise(left)) <= 1000


async def test_a_crash_in_the_middle_of_a_sweep_harms_nothing(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """After any of its commits the store is whole, and the next sweep takes up the rest."""
    for n in range(3):
        await desk.hear(str(n))
        await desk.answer(await desk.take(), f"re {n}")
    clock.forward(31 * DAY)
    await desk.hear("now")
    count = itertools.count()

    async def crash() -> None:
        again = backend.after_a_crash(tmp_path / f"copy{next(count)}").store(clock)
        await again.open()
        other = Desk(again, clock)
        await sweep(other)
        assert texts(await other.claim()) == ["now"]
        assert [person.messages for person in await again.upkeep.people("", conversation_id=None, limit=9)] == [1]
        await again.close()

    await sweep_all(desk.store.upkeep, clock.now - 30 * DAY, rest=crash)
    assert next(count) >= 4
