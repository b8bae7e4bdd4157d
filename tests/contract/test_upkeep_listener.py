"""The private listener's calls about what is kept, behind real sockets: who may ask, what is answered, what it does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from aerobot import events
from aerobot.emulator import webhooks
from aerobot.host.reader import Reader
from aerobot.host.refusal import Refusal
from aerobot.host.upkeep_api import ROUTES, UpkeepApi
from aerobot.runtime.retention import EVERY, FIRST, keep_short
from aerobot.store.base import HostedBot
from tests.stores import ANA, BEN, BOT, ERROR, LINE, NUMBER, Clock, Desk, texts

DAY = 86_400_000


class Room:
    """A private listener over a store whose clock is moved by hand, and how often a worker was woken."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    async def start(self) -> None:
        from aiohttp import web

        from aerobot.host.bots_api import BotsApi
        from aerobot.host.control import PrivateListener
        from aerobot.host.reader import Reader
        from aerobot.host.upkeep_api import UpkeepApi
        from aerobot.secret import Secret
        from aerobot.store.roster import Roster

        store = self.desk.store
        roster = Roster(store, None)
        self.seen: list[events.Event] = []
        listener = PrivateListener(
            store=store,
            roster=roster,
            api=BotsApi(store=store, roster=roster, origin=lambda: "", emit=self.seen.append, wake=self.wake),
            upkeep=UpkeepApi(
                store.upkeep, now=store.now, read_up=Reader(store=store).read_all, wake=self.wake
            ),
            token=Secret("bearer"),
            allowed_hosts=(),
            doing=lambda _: "",
            about=dict,
        )
        self._runner = web.AppRunner(listener.app(), access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.client = aiohttp.ClientSession()

    async def stop(self) -> None:
        await self.client.close()
        await self._runner.cleanup()
        assert self.seen == []

    async def call(self, verb: str, path: str, document: object = None, token: str = "bearer") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.client.request(verb, self.url + path, json=document, headers=headers) as answer:
            return answer.status, json.loads(await answer.text())

    async def ok(self, verb: str, path: str, document: object = None) -> Any:
        status, answer = await self.call(verb, path, document)
        assert status == 200, answer
        return answer

    async def stuck(self, text: str = "Hi", sender: webhooks.Sender = ANA, *, code: int = 131026) -> int:
        """A turn of two parts whose second one failed; returns its number."""
        await self.desk.hear(text, sender)
        work = await self.desk.take()
        parts = await self.desk.plan(work, "arrives", "fails")
        await self.desk.settle(work, parts[0], start=parts[1].id)
        await self.desk.settle(work, parts[1], "failed", error={**ERROR, "code": code}, finish=True)
        return work.turn_id


@pytest.fixture
async def room(desk: Desk) -> AsyncIterator[Room]:
    room = Room(desk)
    await room.start()
    yield room
    await room.stop()


@pytest.mark.parametrize("name", ROUTES)
async def test_nobody_asks_without_the_token(room: Room, name: str) -> None:
    """Not one of these calls answers, or does, anything for a caller who is not let in."""
    number = await room.stuck()
    verb, path = ROUTES[name]
    status, answer = await room.call(verb, path.format(id=1), {"all": True, "days": 0}, token="wrong")
    assert (status, answer["error"]["code"]) == (401, "AUTH_INVALID_KEY")
    assert [turn["id"] for turn in (await room.ok("GET", "/api/failed"))["failed"]] == [number]
    assert len((await room.ok("GET", "/api/conversations"))["conversations"]) == 1


async def test_the_failed_list(room: Room, clock: Clock) -> None:
    """Cause, Meta's code and words, the remedy, tries, the window, what was asked, every part, where it resumes."""
    number = await room.stuck("Where is it?")
    answer = await room.ok("GET", "/api/failed")
    assert answer["causes"] == {"131026": 1}
    (turn,) = answer["failed"]
    assert turn == (await room.ok("GET", f"/api/failed/{number}"))
    assert (turn["cause"], turn["code"], turn["error"], turn["remedy"]) == ("131026", 131026, "not on WhatsApp", "ask")
    assert (turn["who"], turn["name"], turn["asked"]) == (ANA.phone, "Ana", ["Where is it?"])
    assert (turn["attempts"], turn["retries"], turn["window"], turn["failed_at"]) == (1, 0, "open", clock.now)
    assert [(part["state"], part["text"]) for part in turn["parts"]] == [("sent", "arrives"), ("failed", "fails")]
    assert turn["resumes_at"] == 1


async def test_the_list_is_chosen_by_cause_and_limited(room: Room) -> None:
    """The causes are those of the whole list all the same."""
    numbers = [await room.stuck(str(n), code=code) for n, code in enumerate((131026, 131049, 131026))]
    answer = await room.ok("GET", "/api/failed?cause=131026&limit=1")
    assert [turn["id"] for turn in answer["failed"]] == numbers[:1]
    assert answer["causes"] == {"131026": 2, "131049": 1}
    assert len((await room.ok("GET", "/api/failed?limit=0"))["failed"]) == 3


async def test_what_metas_code_means_is_said_where_nobody_said_it(room: Room) -> None:
    """A ``failed`` status brings a code and no remedy: the table of codes has one."""
    await room.desk.hear("one")
    (part,) = await room.desk.answer(await room.desk.take(), "yes")
    await room.desk.status(f"wamid.out.{part.id}", "failed", code=131047)
    (turn,) = (await room.ok("GET", "/api/failed"))["failed"]
    assert "template" in turn["remedy"]


async def test_a_retry_wakes_the_worker(room: Room) -> None:
    """By number: what was on the list goes on where it failed, what was not is named."""
    number = await room.stuck()
    answer = await room.ok("POST", "/api/failed/retry", {"ids": [number, 999]})
    assert answer == {"retried": [number], "closed": [], "missing": [999]}
    assert room.woken == 1
    work = await room.desk.take()
    assert [part.state for part in work.parts] == ["sent", "planned"]
    assert await room.ok("POST", "/api/failed/retry", {"ids": [number]}) == {
        "retried": [], "closed": [], "missing": [number],
    }  # fmt: skip


async def test_a_bulk_retry_by_cause_and_of_all(room: Room) -> None:
    """More than one commit takes, without one left out or taken twice."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(130)]
    many = [await room.stuck("Hi", person) for person in people]
    other = await room.stuck("Hi", BEN, code=131049)
    answer = await room.ok("POST", "/api/failed/retry", {"cause": "131026"})
    assert answer["retried"] == many
    assert len(await room.desk.claim(limit=1000)) == 130
    assert (await room.ok("POST", "/api/failed/retry", {"all": True}))["retried"] == [other]
    assert (await room.ok("POST", "/api/failed/retry", {"all": True}))["retried"] == []


async def test_a_closed_window_is_said_and_not_tried(room: Room, clock: Clock) -> None:
    """WhatsApp would refuse it: it stays on the list, unless somebody wants it anyway."""
    number = await room.stuck()
    clock.forward(2 * DAY)
    answer = await room.ok("POST", "/api/failed/retry", {"all": True})
    assert (answer["retried"], [turn["id"] for turn in answer["closed"]]) == ([], [number])
    assert answer["closed"][0]["window"] == "closed"
    assert await room.desk.claim() == ()
    assert (await room.ok("POST", "/api/failed/retry", {"all": True, "anyway": True}))["retried"] == [number]


async def test_a_template_needs_no_window(room: Room, clock: Clock) -> None:
    """Where the retry begins with one, a closed window keeps nothing back."""
    from aerobot.store.base import Part, Plan

    await room.desk.hear("one")
    work = await room.desk.take()
    part = Part(id="t", position=0, kind="template", said="hello", body={})
    await room.desk.store.plan(work, Plan(parts=(part,), outcome="answered"))
    await room.desk.settle(work, "t", "failed", error=ERROR, finish=True)
    clock.forward(2 * DAY)
    assert (await room.ok("POST", "/api/failed/retry", {"all": True}))["retried"] == [work.turn_id]


async def test_discarding(room: Room) -> None:
    """Off the list by number, by cause, or all; nothing is sent."""
    first, second, third = [await room.stuck(str(n), code=code) for n, code in enumerate((131026, 131049, 131026))]
    assert await room.ok("POST", "/api/failed/discard", {"ids": [first, 999]}) == {
        "discarded": [first], "missing": [999],
    }  # fmt: skip
    assert (await room.ok("POST", "/api/failed/discard", {"cause": "131049"}))["discarded"] == [second]
    assert (await room.ok("POST", "/api/failed/discard", {"all": True}))["discarded"] == [third]
    assert (await room.ok("GET", "/api/failed")) == {"failed": [], "causes": {}}
    assert await room.desk.claim() == ()


@pytest.mark.parametrize(("verb", "path", "document", "words"), [
    ("GET", "/api/failed/seven", None, "id must be a whole number"),
    ("GET", "/api/failed?limit=x", None, "limit must be a whole number"),
    ("GET", "/api/failed?limit=-1", None, "at least 0"),
    ("GET", "/api/conversations/9999999999999999999999", None, "whole number"),
    ("POST", "/api/failed/retry", {}, "ids, cause or all is required"),
    ("POST", "/api/failed/retry", {"ids": ["1"]}, "ids must be a list of whole numbers"),
    ("POST", "/api/failed/retry", {"ids": [True]}, "ids must be a list of whole numbers"),
    ("POST", "/api/failed/discard", {"all": "yes"}, "ids, cause or all is required"),
    ("POST", "/api/db/purge", {}, "days must be a number"),
    ("POST", "/api/db/purge", {"days": True}, "days must be a number"),
    ("POST", "/api/db/purge", {"days": -1}, "days must be a number"),
    ("POST", "/api/db/purge", [], "not a JSON object"),
])  # fmt: skip
async def test_nonsense_is_named(room: Room, verb: str, path: str, document: object, words: str) -> None:
    """400, the field, what it must be; and nothing was done."""
    await room.stuck()
    status, answer = await room.call(verb, path, document)
    assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert words in answer["error"]["message"]
    assert len((await room.ok("GET", "/api/failed"))["failed"]) == 1


@pytest.mark.parametrize(("verb", "path"), [
    ("GET", "/api/failed/1"), ("GET", "/api/conversations/9"), ("DELETE", "/api/conversations/9"),
])  # fmt: skip
async def test_what_is_not_there(room: Room, verb: str, path: str) -> None:
    """404 with its number."""
    status, answer = await room.call(verb, path)
    assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")
    assert path.rpartition("/")[2] in answer["error"]["message"]


async def test_a_person_found_looked_at_and_erased(room: Room) -> None:
    """By the end of the number; with everything said; and then nowhere."""
    await room.stuck("secret words")
    (person,) = (await room.ok("GET", "/api/conversations?who=5678"))["conversations"]
    assert (person["name"], person["phone"], person["messages"]) == ("Ana", ANA.phone, 1)
    assert person["identities"] == [{"kind": "phone", "value": ANA.phone}]
    found = await room.ok("GET", f"/api/conversations/{person['id']}")
    assert found["conversation"] == person
    assert [(line["role"], line["text"]) for line in found["lines"]] == [
        ("user", "secret words"), ("bot", "arrives"), ("bot", "fails"),
    ]  # fmt: skip
    gone = await room.ok("DELETE", f"/api/conversations/{person['id']}")
    assert gone["erased"] == {"messages": 1, "turns": 1, "parts": 2, "receipts": 0, "identities": 1, "bodies": 1}
    assert (await room.ok("GET", "/api/conversations")) == {"conversations": []}
    assert (await room.ok("GET", "/api/failed"))["failed"] == []


async def test_a_purge_over_the_listener(room: Room, clock: Clock) -> None:
    """What is older goes, what waits stays."""
    await room.stuck("old")
    clock.forward(10 * DAY)
    await room.desk.hear("waits", BEN)
    answer = await room.ok("POST", "/api/db/purge", {"days": 9.5})
    assert answer["older_than_days"] == 9.5
    assert answer["deleted"] == {"messages": 1, "parts": 2, "receipts": 0, "deliveries": 1, "bodies": 0}
    assert texts(await room.desk.claim()) == ["waits"]


# -- by itself -----------------------------------------------------------------------------------------------


class Hours:
    """Sleeps that end when a test lets them: each long one is kept, short rests end at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._turn = asyncio.Event()
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds < 1:
            await asyncio.sleep(0)
            return
        self.slept.append(seconds)
        self._asleep.set()
        await self._turn.wait()
        self._turn.clear()

    async def passed(self) -> None:
        """Let the sleep end, and wait for the next one."""
        await self._asleep.wait()
        self._asleep.clear()
        self._turn.set()
        await self._asleep.wait()


@contextlib.asynccontextmanager
async def keeping(desk: Desk, hours: Hours, seen: list[events.Event], days: int) -> AsyncIterator[None]:
    task = asyncio.create_task(
        keep_short(desk.store.upkeep, days=days, now=desk.store.now, emit=seen.append, sleep=hours.sleep)
    )
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_host_keeps_it_short_by_itself(desk: Desk, clock: Clock) -> None:
    """Soon after the start, then every hour; it tells what it deleted, and nothing where there was nothing."""
    hours, seen = Hours(), []
    await desk.hear("old")
    await desk.answer(await desk.take(), "yes")
    clock.forward(31 * DAY)
    async with keeping(desk, hours, seen, 30):
        await hours.passed()
        await hours.passed()
    assert hours.slept == [FIRST, EVERY, EVERY]
    (notice,) = seen
    assert isinstance(notice, events.Notice)
    assert (notice.level, notice.topic) == ("ok", "retention")
    assert "1 messages, 1 replies, 1 raw deliveries" in notice.detail


async def test_trouble_with_the_store_ends_no_retention(desk: Desk, clock: Clock, backend: Any) -> None:
    """It is told, and the next hour tries again."""
    hours, seen = Hours(), []
    await desk.hear("old", kind="unsupported")
    clock.forward(31 * DAY)
    async with keeping(desk, hours, seen, 30):
        with backend.trouble("read only", desk.store):
            await hours.passed()
        assert [event.level for event in seen] == ["warning"]
        await hours.passed()
    assert [event.level for event in seen] == ["warning", "ok"]


async def test_zero_days_keep_everything(desk: Desk) -> None:
    """No retention is none at all."""
    hours, seen = Hours(), []
    await keep_short(desk.store.upkeep, days=0, now=desk.store.now, emit=seen.append, sleep=hours.sleep)
    assert (hours.slept, seen) == ([], [])


async def test_a_person_is_erased_with_what_was_not_read_yet_or_not_at_all(desk: Desk) -> None:
    """What named them would come back: it is read first, and where that takes too long nothing is erased."""
    acme = HostedBot(id=BOT, origin="settings", name="Acme", active=True, phone_number_id=NUMBER)
    first = await desk.hear("one")
    secret = webhooks.wire(webhooks.inbound(LINE, ANA, desk.message("secret")))
    await desk.store.receive(acme, secret, signed=True)

    async def late(seconds: float) -> bool:
        return False

    slow = UpkeepApi(desk.store.upkeep, now=desk.store.now, read_up=late)
    with pytest.raises(Refusal, match="not read yet") as caught:
        await slow.forget({"id": first.conversation_id})
    assert caught.value.status == 503
    assert len(await desk.store.upkeep.talk(first.conversation_id or 0, limit=9)) == 1
    api = UpkeepApi(desk.store.upkeep, now=desk.store.now, read_up=Reader(store=desk.store).read_all)
    assert (await api.forget({"id": first.conversation_id}))["erased"]["messages"] == 2  # type: ignore[index]
    assert await desk.store.unread(9) == ()
    assert await desk.store.upkeep.people("", conversation_id=None, limit=9) == ()
