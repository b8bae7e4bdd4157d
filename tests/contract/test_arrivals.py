"""What was acknowledged and is not read yet: on the disk, in order, read once, whatever it holds and whoever dies."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aerobot import events
from aerobot.emulator import webhooks
from aerobot.errors import StoreUnavailable
from aerobot.host.reader import MOST, Reader
from aerobot.store.base import Delivery, HostedBot, Outcome
from aerobot.store.upkeep import sweep_all
from tests.stores import ANA, BEN, BOT, LINE, NUMBER, Clock, Desk, Sqlite, texts

ACME = HostedBot(id=BOT, origin="settings", name="Acme", active=True, phone_number_id=NUMBER)
DAY = 86_400_000


async def arrive(desk: Desk, *said: str, sender: webhooks.Sender = ANA, bot: HostedBot = ACME) -> None:
    """Each a request of its own."""
    for text in said:
        body = webhooks.wire(webhooks.inbound(LINE, sender, desk.message(text, sender)))
        await desk.store.receive(bot, body, signed=True)


class Reading:
    """A reader that runs, and what it told."""

    def __init__(self, desk: Desk) -> None:
        self.seen: list[events.Event] = []
        self.woken = 0
        self.reader = Reader(store=desk.store, emit=self.seen.append, wake=self._wake, again=0.01)
        self._task = asyncio.create_task(self.reader.run())

    def _wake(self) -> None:
        self.woken += 1

    def told(self, kind: type[events.Event]) -> list[str]:
        return [getattr(event, "text", "") or getattr(event, "detail", "") for event in self.seen
                if isinstance(event, kind)]  # fmt: skip

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def reading(desk: Desk) -> AsyncIterator[Reading]:
    found = Reading(desk)
    yield found
    await found.stop()


# -- the store -----------------------------------------------------------------------------------------------


async def test_what_was_acknowledged_is_on_the_disk_before_anybody_reads_it(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """A copy of the files at that moment has every request, in its order; the next start reads them."""
    await asyncio.gather(*(arrive(desk, str(n)) for n in range(50)))
    again = Desk(backend.after_a_crash(tmp_path / "crashed").store(clock), clock)
    await again.store.open()
    found = await again.store.unread(100)
    assert [arrival.id for arrival in found] == sorted(arrival.id for arrival in found)
    assert [(one.bot_id, one.number, one.active, one.signed, one.received_at) for one in found] == [
        (BOT, NUMBER, True, True, clock.now)
    ] * 50
    await Reader(store=again.store).read_all()
    assert await again.store.unread(100) == ()
    assert sorted(await answered(again), key=int) == [str(n) for n in range(50)]
    await again.store.close()


async def answered(desk: Desk) -> list[str]:
    """All that is answered until nothing is due, in that order."""
    heard: list[str] = []
    while works := await desk.claim():
        heard += texts(works)
        for work in works:
            await desk.answer(work, "yes")
    return heard


async def test_a_crash_while_they_are_read_loses_none_and_reads_none_twice(
    desk: Desk, backend: Sqlite, clock: Clock, tmp_path: Path
) -> None:
    """What is recorded is no arrival any more in the same commit: a copy has each as one of the two."""
    await arrive(desk, *(str(n) for n in range(MOST + 20)))
    reading = asyncio.create_task(Reader(store=desk.store).read_all())
    while not backend.rows("messages"):
        await asyncio.sleep(0)
    crashed = backend.after_a_crash(tmp_path / "crashed")
    await reading
    again = Desk(crashed.store(clock), clock)
    await again.store.open()
    assert crashed.rows("messages") + crashed.rows("arrivals") == MOST + 20
    assert crashed.rows("messages") in (MOST, MOST + 20)
    await Reader(store=again.store).read_all()
    assert await answered(again) == [str(n) for n in range(MOST + 20)]
    await again.store.close()


async def test_who_reads_the_same_again_changes_nothing(desk: Desk, backend: Sqlite) -> None:
    """Two readers of one arrival: the second one's record has no outcomes."""
    await arrive(desk, "once")
    (arrival,) = await desk.store.unread(10)
    delivery = Delivery(bot_id=BOT, number=NUMBER, arrival_id=arrival.id, body=arrival.body, signed=True)
    assert await desk.store.record((delivery,)) == ((),)
    assert await desk.store.record((delivery,)) == ((),)
    assert backend.rows("deliveries") == 1


async def test_a_large_one_is_read_alone(desk: Desk) -> None:
    """As many as are small together; the first one always."""
    await arrive(desk, "x" * 200_000, "y" * 200_000, "z")
    assert [len(await desk.store.unread(most)) for most in (1, 10)] == [1, 1]
    await desk.store.record(
        [
            Delivery(bot_id=BOT, number=NUMBER, arrival_id=one.id, body=one.body, signed=True)
            for one in await desk.store.unread(1)
        ]
    )
    assert len(await desk.store.unread(10)) == 2


async def test_what_is_unread_counts_as_waiting_moves_with_its_bot_and_is_never_swept(
    desk: Desk, clock: Clock, backend: Sqlite
) -> None:
    """It may be years old: it was acknowledged. Its message is late then, by the time of its arrival."""
    await arrive(desk, "old", bot=replace(ACME, id="former"))
    assert await desk.store.backlog() == (1, 0)
    await desk.store.adopt("former", BOT)
    clock.forward(40 * DAY)

    async def rest() -> None:
        return None

    await sweep_all(desk.store.upkeep, clock.now - 30 * DAY, rest=rest)
    assert backend.rows("arrivals") == 1
    await Reader(store=desk.store).read_all()
    (work,) = await desk.claim()
    assert (work.bot_id, texts([work]), work.received_at) == (BOT, ["old"], clock.now - 40 * DAY)


@pytest.mark.parametrize("kind", ["disk full", "file too large", "read-only"])
async def test_what_cannot_be_written_is_not_acknowledged(desk: Desk, backend: Sqlite, kind: str) -> None:
    """``receive`` raises, nothing of it is there, and when the trouble is over it goes on."""
    await arrive(desk, "before")
    with backend.trouble(kind, desk.store):
        done = await asyncio.gather(*(arrive(desk, "x" * 200_000) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(item, StoreUnavailable) for item in done)
        assert len(await desk.store.unread(10)) == 1
    await arrive(desk, "after")
    await Reader(store=desk.store).read_all()
    assert await answered(desk) == ["before", "after"]


async def test_no_id_is_given_twice(desk: Desk) -> None:
    """Though all is read and the table empty: whoever waits for what had arrived by then waits for that alone."""
    await arrive(desk, "one", "two")
    last = await desk.store.last_arrival()
    await Reader(store=desk.store).read_all()
    await arrive(desk, "three")
    (arrival,) = await desk.store.unread(10)
    assert arrival.id > last
    assert arrival.id == await desk.store.last_arrival()


async def test_a_clock_that_was_moved_back_silences_nobody(desk: Desk, clock: Clock) -> None:
    """What came an hour ahead of the clock is answered now, and so is what follows it."""
    clock.forward(3_600_000)
    await arrive(desk, "from the future")
    clock.forward(-3_600_000)
    await Reader(store=desk.store).read_all()
    await arrive(desk, "now")
    await Reader(store=desk.store).read_all()
    assert await answered(desk) == ["from the future", "now"]


# -- the reader ----------------------------------------------------------------------------------------------


async def test_they_are_read_in_the_order_in_which_they_came(desk: Desk, reading: Reading) -> None:
    """More than are read together, large and small ones among each other, and each is told once."""
    said = [str(n) if n % 60 else f"{n} " + "x" * 150_000 for n in range(2 * MOST)]
    await arrive(desk, *said)
    assert await reading.reader.drain(30)
    assert reading.told(events.MessageReceived) == said
    assert reading.woken == len(said)
    assert await answered(desk) == said


async def test_who_waits_is_not_kept_by_what_comes_meanwhile(desk: Desk, reading: Reading) -> None:
    """Others come all the time: what had arrived by then is read, without rests, and that is enough."""
    await arrive(desk, *(str(n) for n in range(MOST)))
    draining = asyncio.create_task(reading.reader.drain(30))
    while not draining.done():
        reading.reader.expect()
        await arrive(desk, "meanwhile", sender=BEN)
    assert await draining
    assert reading.told(events.MessageReceived)[:MOST] == [str(n) for n in range(MOST)]


async def test_what_is_no_webhook_holds_nothing_up(desk: Desk, reading: Reading, backend: Sqlite) -> None:
    """Authentic nonsense is kept as the bytes that came; what follows it is read."""
    bodies = [b"\xff\x00 nonsense", b"", b"[" * 100_000, b'{"entry": 7}']
    for body in bodies:
        await desk.store.receive(ACME, body, signed=True)
    await arrive(desk, "after")
    assert await reading.reader.drain(30)
    assert reading.told(events.MessageReceived) == ["after"]
    assert [event.what for event in reading.seen if isinstance(event, events.Recorded)] == ["unusable"] * 4
    assert backend.rows("deliveries") == 5


class Choking:
    """A store that cannot take one text, whatever the others are: what nobody foresaw."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self.now = desk.store.now
        self.unread = desk.store.unread

    async def record(self, deliveries: Sequence[Delivery]) -> tuple[tuple[Outcome, ...], ...]:
        if any(b"poison" in one.body and one.updates for one in deliveries):
            raise OverflowError("too large")
        return await self._store.record(deliveries)


async def test_the_one_that_the_store_chokes_on_is_kept_raw(desk: Desk, backend: Sqlite) -> None:
    """Its siblings are read in their order, before it and after it."""
    await arrive(desk, "one", "poison", "two")
    seen: list[events.Event] = []
    await Reader(store=Choking(desk), emit=seen.append).read_all()  # type: ignore[arg-type]
    assert await answered(desk) == ["one", "two"]
    assert [event.error for event in seen if isinstance(event, events.Unexpected)] == ["OverflowError: too large"]
    (kept,) = [event for event in seen if isinstance(event, events.Recorded)]
    assert (kept.what, kept.note) == ("unreadable", "OverflowError: too large")
    assert (backend.rows("deliveries"), backend.rows("arrivals")) == (3, 0)


async def test_a_dashboard_sample_hides_no_sibling(desk: Desk, reading: Reading) -> None:
    """Meta's test delivery is told as such, and the real message in the same body as a message."""
    body = webhooks.inbound(LINE, ANA, desk.message("real"))
    body["entry"].append({"id": "0", "changes": [{"field": "messages", "value": {"messages": [desk.message("fake")]}}]})
    await desk.store.receive(ACME, json.dumps(body).encode(), signed=True)
    assert await reading.reader.drain(30)
    assert reading.told(events.MessageReceived) == ["real"]
    assert len([event for event in reading.seen if isinstance(event, events.SampleArrived)]) == 1


async def test_a_bot_that_was_resting_when_it_came_does_not_answer_it(desk: Desk, reading: Reading) -> None:
    """What counts is what the bot was then."""
    await arrive(desk, "hello?", sender=BEN, bot=replace(ACME, active=False))
    assert await reading.reader.drain(30)
    assert await desk.claim() == ()
    (told,) = [event for event in reading.seen if isinstance(event, events.MessageReceived)]
    assert told.state == "ignored(inactive)"
    assert reading.woken == 0


async def test_trouble_with_the_store_is_told_once_and_waited_out(
    desk: Desk, backend: Sqlite, reading: Reading
) -> None:
    """While nothing can be written nothing is read and nothing lost."""
    await arrive(desk, "hello")
    with backend.trouble("read-only", desk.store):
        assert not await reading.reader.drain(0.2)
        assert len(reading.told(events.Notice)) == 1
        assert backend.rows("arrivals") == 1
    assert await reading.reader.drain(30)
    assert await answered(desk) == ["hello"]
