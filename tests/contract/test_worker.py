"""The worker between a real store and a real Graph that does what each test wrote down; time is moved by hand."""

import asyncio
import itertools
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aerobot import events
from aerobot.bot import Buttons, Conversation, Image, Reply, Template, Turn, replies
from aerobot.emulator import webhooks
from aerobot.engine import Engine, EngineError
from aerobot.errors import StoreUnavailable
from aerobot.host.reader import Reader
from aerobot.secret import Secret
from aerobot.sender import Sender
from aerobot.speaker import PAUSE_MS, UNKNOWN_LAST, Dice
from aerobot.store.base import LEASE_MS, UNKNOWN_WAIT_MS, Delivery, HostedBot, Outcome, Store, Verdict
from aerobot.store.roster import Roster
from aerobot.store.sqlite import SqliteStore
from aerobot.whatsapp import webhook
from aerobot.whatsapp.rules import GRACE_MS, WINDOW_MS
from aerobot.worker import LATE, Worker

NUMBER, TOKEN = "106540352242922", "EAAG-token"
LINE = webhooks.Line(business_account_id="102290129340398", phone_number_id=NUMBER, display_phone_number="15550783881")
ANA = webhooks.Sender(phone="31612345678", name="Ana")
BEN = webhooks.Sender(phone="31687654321", name="Ben")
SAM = webhooks.Sender(user_id="US.77", username="sam", name="Sam")
BOT = HostedBot(
    id="bt_one",
    origin="settings",
    name="Acme",
    active=True,
    phone_number_id=NUMBER,
    access_token=Secret(TOKEN),
    verify_token=Secret("verify"),
)


class Clock:
    """Milliseconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_763_900_000_000

    def __call__(self) -> int:
        return self.now


# -- Graph ---------------------------------------------------------------------------------------------------

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]
ACCEPT = "accept"
RELEASED = web.AppKey("released", asyncio.Event)


def refuse(status: int, code: int | None = None, *, headers: dict[str, str] | None = None, body: str = "") -> Answer:
    """An error of Meta's, or with ``body`` something else instead."""

    async def answer(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        error = {"error": {"message": f"(#{code}) no", "code": code, "error_data": {"details": "because"}}}
        return web.Response(status=status, text=body or json.dumps(error), headers=headers)

    return answer


async def hang(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    await request.app[RELEASED].wait()
    return web.Response(status=500)


async def reset(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def half(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "500", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"messages": [{"id": "wam')
    assert request.transport is not None
    request.transport.close()
    return response


class Graph:
    """Takes messages. What it does with each stands in ``script`` or in ``to[number]``; after that it accepts."""

    def __init__(self) -> None:
        self.script: deque[Answer | str] = deque()
        self.to: dict[str, deque[Answer | str]] = defaultdict(deque)
        self.calls: list[dict[str, Any]] = []
        self.reads: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.tokens = {TOKEN}
        self.refused: list[str] = []
        self.on_read: Answer | None = None
        self.on_call: Callable[[dict[str, Any]], Awaitable[None]] | None = None
        self.most_at_once = self._now = 0
        self._count = itertools.count(1)

    async def start(self) -> None:
        app = web.Application()
        app[RELEASED] = self._released = asyncio.Event()
        app.router.add_post("/v25.0/{number}/messages", self._message)
        app.router.add_post("/v25.0/{number}/media", self._media)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._released.set()
        await self._runner.cleanup()

    async def _media(self, request: web.Request) -> web.StreamResponse:
        self.log.append("media")
        await request.read()
        return await self._answered(request, {})

    async def _message(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        token = request.headers["Authorization"].removeprefix("Bearer ")
        assert request.match_info["number"] == NUMBER
        if body.get("status") != "read" and token not in self.tokens:
            self.refused.append(token)
            return await refuse(401, 190)(request, body)
        if body.get("status") == "read":
            self.reads.append(body)
            self.log.append(f"read {body['message_id']}")
            return await self.on_read(request, body) if self.on_read else web.json_response({"success": True})
        self.calls.append(body)
        self.log.append(said(body))
        if self.on_call is not None:
            await self.on_call(body)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            return await self._answered(request, body)
        finally:
            self._now -= 1

    async def _answered(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        own = self.to.get(str(body.get("to", "")).lstrip("+"))
        script = own or self.script
        answer = script.popleft() if script else ACCEPT
        if isinstance(answer, str):
            if not body:
                return web.json_response({"id": "media.1"})
            wamid = f"wamid.out.{next(self._count)}"
            return web.json_response({"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": wamid}]})
        return await answer(request, body)

    @property
    def said(self) -> list[str]:
        return [said(body) for body in self.calls]


def said(body: dict[str, Any]) -> str:
    return str(body["text"]["body"]) if "text" in body else str(body["type"])


# -- engines -------------------------------------------------------------------------------------------------


class Says:
    """Answers with what a function returns; ``turns`` is what it was asked."""

    name = "says"
    needs_history = True

    def __init__(self, function: Callable[[Turn], Any]) -> None:
        self._function = function
        self.turns: list[Turn] = []

    async def start(self) -> None: ...

    async def reply(self, turn: Turn) -> tuple[Reply, ...]:
        self.turns.append(turn)
        answer = self._function(turn)
        return replies(await answer if asyncio.iscoroutine(answer) else answer)

    def doing(self, turn_id: int) -> str:
        return f"bot.py:7 reply() for {turn_id}"

    async def close(self) -> None: ...


ECHO = Says(lambda turn: f"re {turn.text}")


class Troubled:
    """A store whose calls fail as often as ``failing`` says, by name."""

    def __init__(self, store: Store) -> None:
        self._inner = store
        self.failing: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1

            async def fail(*_: Any, **__: Any) -> None:
                raise StoreUnavailable("The database cannot be written now: disk full")

            return fail
        return call


# -- everything together -------------------------------------------------------------------------------------


class Rig:
    """A store, a Graph, a sender, workers, and short words for what happens around them."""

    def __init__(self, store: Store, clock: Clock, graph: Graph) -> None:
        self.store = store
        self.clock = clock
        self.graph = graph
        self.seen: list[events.Event] = []
        self.bot = BOT
        self.url = graph.url
        self._workers: list[tuple[Worker, asyncio.Task[None], Sender]] = []
        self._count = itertools.count(1)

    async def work(self, engine: Engine = ECHO, *, owner: str = "one", timeout: float = 5.0, **more: Any) -> Worker:
        sender = Sender(graph_url=self.url, version="v25.0", timeout=timeout)
        await sender.start()
        self.roster = Roster(self.store, self.bot)
        await self.roster.load()
        ids = itertools.count(1)
        worker = Worker(
            store=self.store,
            roster=self.roster,
            sender=sender,
            engine=engine,
            emit=self.seen.append,
            owner=owner,
            dice=Dice(random=lambda: 0.5, new_id=lambda: f"part.{owner}.{next(ids)}"),
            **more,
        )
        self._workers.append((worker, asyncio.create_task(worker.run()), sender))
        return worker

    async def close(self, grace: float = 2.0) -> None:
        for worker, task, sender in self._workers:
            await worker.stop(grace)
            await task
            await sender.close()
        self._workers.clear()

    async def hear(self, text: str = "Hi", who: webhooks.Sender = ANA, **more: Any) -> str:
        """One person says one thing; returns its id."""
        wamid = f"wamid.in.{next(self._count)}"
        about = {key: more.pop(key) for key in tuple(more) if key in Delivery.__dataclass_fields__}
        given = {"id": wamid, "timestamp": self.clock.now // 1000, **more}
        message = webhooks.message(given.pop("kind", "text"), who, text=text, **given)
        await self.receive(webhooks.inbound(LINE, who, message), **about)
        return str(message["id"])

    async def receive(self, document: object, **more: Any) -> tuple[Outcome, ...]:
        body = webhooks.wire(document)
        updates = webhook.read(body, phone_number_id=NUMBER).updates
        given = {"bot_id": BOT.id, "number": NUMBER, "body": body, "signed": True, "updates": updates, **more}
        (outcomes,) = await self.store.record((Delivery(**given),))
        self.wake()
        return outcomes

    async def status(self, part_id: str, status: str = "sent", wamid: str = "") -> None:
        """What Meta says about a part, by our id."""
        given = webhooks.status(
            wamid or f"wamid.of.{part_id}",
            status,
            recipient=ANA,
            timestamp=self.clock.now // 1000,
            callback_data=part_id,
        )
        await self.receive(webhooks.receipt(LINE, ANA, given))

    def wake(self) -> None:
        for worker, _, _ in self._workers:
            worker.wake()

    def forward(self, milliseconds: int) -> None:
        self.clock.now += milliseconds
        self.wake()

    async def pass_on(self, milliseconds: int) -> None:
        """Let time pass, and the workers do what is due by then."""
        self.forward(milliseconds)
        await asyncio.sleep(0.006)
        await self.idle()

    async def after_doubt(self) -> None:
        """Let exactly so much time pass that what is in doubt is looked at again."""
        wait = await self.store.due_in()
        assert wait is not None
        assert wait >= UNKNOWN_WAIT_MS
        self.forward(wait)

    async def verdict(self, wamid: str) -> Verdict:
        verdict = await self.store.verdict(BOT.id, wamid)
        assert verdict is not None
        return verdict

    async def settled(self, *wamids: str, idle: bool = True) -> Verdict:
        """Wait until these messages are settled and that was told; the verdict about the last one."""
        for wamid in wamids:
            await self.until(lambda wamid=wamid: self._is_settled(wamid), f"{wamid} is settled")
        if idle:
            await self.idle()
        return await self.verdict(wamids[-1])

    async def _is_settled(self, wamid: str) -> bool:
        return (await self.verdict(wamid)).settled

    async def state(self, wamid: str, state: str, position: int = 0) -> None:
        """Wait until a part is in a state and its conversation given back."""

        async def holds() -> bool:
            parts = (await self.verdict(wamid)).parts
            return len(parts) > position and parts[position].state == state

        await self.until(holds, f"part {position} of {wamid} is {state}")
        await self.idle()

    async def idle(self) -> None:
        """Wait until no worker holds anything."""
        await self.until(lambda: not any(worker._tasks for worker, _, _ in self._workers), "idle")

    async def until(self, holds: Callable[[], Any], what: str = "", timeout: float = 8.0) -> None:
        end = time.monotonic() + timeout
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what}; {self.graph.log[-20:]}; {self.seen[-10:]}")
            await asyncio.sleep(0.004)

    def told(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store" / "aerobot.db", clock=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def graph() -> AsyncIterator[Graph]:
    graph = Graph()
    await graph.start()
    yield graph
    await graph.stop()


@pytest.fixture
async def rig(store: SqliteStore, clock: Clock, graph: Graph) -> AsyncIterator[Rig]:
    rig = Rig(store, clock, graph)
    yield rig
    await rig.close()
    assert not [event for event in rig.seen if isinstance(event, events.Unexpected)]


# -- what is sent --------------------------------------------------------------------------------------------


async def test_messages_are_answered_in_the_order_in_which_they_came(rig: Rig) -> None:
    """One message is one turn, one turn after the other, all parts of one before the next."""
    wamids = [await rig.hear(str(n)) for n in range(4)]
    await rig.work(Says(lambda turn: [f"{turn.text}a", f"{turn.text}b"]))
    verdict = await rig.settled(*wamids)
    assert rig.graph.said == ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"]
    assert (verdict.state, [part.state for part in verdict.parts]) == ("answered", ["sent", "sent"])


async def test_the_request_is_metas(rig: Rig) -> None:
    """To ``+digits``, with our part's id; a user without a number is reached by the business-scoped id."""
    await rig.work()
    verdict = await rig.settled(await rig.hear("Hi", ANA))
    await rig.settled(await rig.hear("Hi", SAM))
    first, second = rig.graph.calls
    assert (first["to"], "recipient" in first) == ("+31612345678", False)
    assert first["biz_opaque_callback_data"] == verdict.parts[0].id
    assert (second["recipient"], "to" in second) == ("US.77", False)


async def test_what_happens_is_told(rig: Rig, clock: Clock) -> None:
    """Each part ends with one event that has its text, its wamid and how long it took."""
    wamid = await rig.hear("Hi")
    clock.now += 1500
    await rig.work()
    verdict = await rig.settled(wamid)
    (told,) = rig.told(events.PartSettled)
    assert (told.state, told.text, told.wamid, told.milliseconds) == ("sent", "re Hi", "wamid.out.1", 1500)
    assert (told.who, told.part_id, told.channel) == (ANA.phone, verdict.parts[0].id, "whatsapp")


async def test_two_hundred_people_at_once(rig: Rig) -> None:
    """All are answered, each in order, and nobody waits for anybody else."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(200)]

    async def slowly(turn: Turn) -> str:
        await asyncio.sleep(0.2)
        return f"re {turn.text}"

    for text in ("1", "2"):
        contacts = [webhooks.contact(who) for who in people]
        messages = [
            webhooks.message("text", who, text=text, id=f"wamid.{who.phone}.{text}", timestamp=rig.clock.now // 1000)
            for who in people
        ]
        await rig.receive(webhooks.envelope(LINE, messages=messages, contacts=contacts))
    await rig.work(Says(slowly))
    started = time.monotonic()
    await rig.until(lambda: len(rig.graph.calls) == 400, "400 answers", timeout=20)
    assert time.monotonic() - started < 15, "one after the other this takes 80 s"
    heard = defaultdict(list)
    for body in rig.graph.calls:
        heard[body["to"]].append(said(body))
    assert heard == {f"+{who.phone}": ["re 1", "re 2"] for who in people}


async def test_a_loop_that_is_always_late_still_answers(rig: Rig) -> None:
    """Who receives goes first, but not for ever: some are claimed all the same."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(8)]
    wamids = [await rig.hear("Hi", who) for who in people]
    blocking = True

    async def hold() -> None:
        while blocking:
            time.sleep(0.08)
            await asyncio.sleep(0)

    holding = asyncio.create_task(hold())
    worker = await rig.work()
    for wamid in wamids:
        while not (await rig.verdict(wamid)).settled:
            await asyncio.sleep(0.01)
    assert worker._lag.seconds > LATE
    blocking = False
    await holding


async def test_no_more_at_once_than_allowed(rig: Rig) -> None:
    """``concurrency`` bounds what is worked on; the rest waits its turn and is not forgotten."""
    at_work = most = 0

    async def counting(turn: Turn) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        at_work -= 1
        return "yes"

    wamids = [await rig.hear("Hi", webhooks.Sender(phone=f"3161000{n:04}")) for n in range(12)]
    await rig.work(Says(counting), concurrency=3)
    await rig.settled(*wamids)
    assert most == 3


async def test_join_makes_one_turn_of_all_that_waits(rig: Rig) -> None:
    """The engine is asked once, about all messages; all are answered by it."""
    wamids = [await rig.hear(text) for text in ("one", "two")]
    engine = Says(lambda turn: f"re {turn.text}")
    await rig.work(engine, join=True)
    verdict = await rig.settled(*wamids)
    assert rig.graph.said == ["re one\ntwo"]
    assert verdict.state == (await rig.verdict(wamids[0])).state == "answered"


async def test_an_engine_is_told_what_it_needs(rig: Rig, clock: Clock) -> None:
    """The conversation, what was really said before, the prompt, when the window closes."""
    rig.bot = replace(BOT, system_prompt="Be kind.", max_messages=3)
    engine = Says(lambda turn: f"re {turn.text}")
    await rig.work(engine)
    for text in ("one", "two", "three"):
        await rig.settled(await rig.hear(text))
    first, _, third = engine.turns
    assert first.conversation == Conversation(id=1, bot_id=BOT.id, name="Ana", phone=ANA.phone, is_new=True)
    assert first.history == ()
    assert [(entry.role, entry.text) for entry in third.history] == [
        ("bot", "re one"),
        ("user", "two"),
        ("bot", "re two"),
    ]
    assert (third.system_prompt, third.conversation.is_new) == ("Be kind.", False)
    assert third.window_closes_at == clock.now + WINDOW_MS


@pytest.mark.parametrize("hours", [float("inf"), float("nan"), 1e300])
async def test_any_length_of_history_is_taken_for_what_it_can_be(rig: Rig, hours: float) -> None:
    """A setting out of all bounds means everything, and stops nobody from being answered."""
    rig.bot = replace(BOT, ttl_hours=hours, max_messages=10**30)
    engine = Says(lambda turn: f"re {turn.text}")
    await rig.work(engine)
    await rig.settled(await rig.hear("one"))
    await rig.settled(await rig.hear("two"))
    assert [entry.text for entry in engine.turns[1].history] == ["one", "re one"]


async def test_a_local_file_is_uploaded_once(rig: Rig, tmp_path: Path) -> None:
    """The file goes up, its id is sent, and the next time the id is known."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG")
    await rig.work(Says(lambda turn: Image(path=str(picture), caption="a cat")))
    await rig.settled(await rig.hear("one"), await rig.hear("two"))
    assert [call["image"] for call in rig.graph.calls] == [{"id": "media.1", "caption": "a cat"}] * 2
    assert rig.graph.log.count("media") == 1


async def test_a_file_that_is_not_there_fails_at_once(rig: Rig, tmp_path: Path) -> None:
    """It is named, and the conversation goes on."""
    gone = str(tmp_path / "gone.png")
    await rig.work(Says(lambda turn: Image(path=gone) if turn.text == "one" else "yes"))
    verdict = await rig.settled(await rig.hear("one"))
    assert verdict.parts[0].state == "failed"
    assert verdict.parts[0].error is not None
    assert gone in str(verdict.parts[0].error["title"])
    assert (await rig.settled(await rig.hear("two"))).state == "answered"


async def test_an_upload_that_fails_is_repeated(rig: Rig, tmp_path: Path) -> None:
    """Nothing was sent yet, so whatever became of the upload it is safe to repeat."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG")
    rig.graph.script.append(refuse(500, body="oops"))
    await rig.work(Says(lambda turn: Image(path=str(picture))))
    wamid = await rig.hear("one")
    await rig.state(wamid, "planned")
    assert rig.graph.calls == []
    rig.forward(1000)
    assert (await rig.settled(wamid)).state == "answered"


# -- typing --------------------------------------------------------------------------------------------------


async def test_read_and_typing_are_one_call_made_before_the_engine_answers(rig: Rig) -> None:
    """It is on its way while the engine thinks, once for each turn, about its last message."""

    async def waits(turn: Turn) -> str:
        await rig.until(lambda: any(read["message_id"] == turn.message.id for read in rig.graph.reads), "the read call")
        return "yes"

    first, second = await rig.hear("one"), await rig.hear("two")
    await rig.work(Says(waits))
    await rig.settled(first, second)
    assert rig.graph.log == [f"read {first}", "yes", f"read {second}", "yes"]
    assert rig.graph.reads[0]["typing_indicator"] == {"type": "text"}


async def test_typing_is_never_started_after_a_part_is_being_sent(rig: Rig) -> None:
    """Not for repeats of a part, and not for a turn that was taken up again after it had been thought about."""
    rig.graph.script += [refuse(429, headers={"Retry-After": "1"}), refuse(500, body="?")]
    await rig.work()
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "planned")
    rig.forward(1000)
    await rig.state(wamid, "unknown")
    await rig.close()
    await rig.work(owner="two")
    rig.forward(UNKNOWN_WAIT_MS)
    await rig.settled(wamid)
    assert rig.graph.log == [f"read {wamid}", "re Hi", "re Hi", "re Hi"]


@pytest.mark.parametrize("trouble", [hang, reset, refuse(401, 190), refuse(500, body="?")])
async def test_trouble_with_typing_is_nobodys_trouble(rig: Rig, trouble: Answer) -> None:
    """The answer does not wait for it, and nothing is paused or repeated because of it."""
    rig.graph.on_read = trouble
    await rig.work()
    await rig.settled(await rig.hear("one"))
    await rig.settled(await rig.hear("two"))
    assert rig.graph.said == ["re one", "re two"]
    assert not rig.told(events.NumberPaused)
    await rig.close(grace=0.05)


# -- safe ----------------------------------------------------------------------------------------------------


async def test_too_fast_is_repeated_when_meta_says(rig: Rig) -> None:
    """429 with Retry-After: not before, and then the same part again."""
    rig.graph.script.append(refuse(429, headers={"Retry-After": "7"}))
    await rig.work()
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "planned")
    rig.forward(6999)
    await asyncio.sleep(0.05)
    assert len(rig.graph.calls) == 1
    rig.forward(1)
    verdict = await rig.settled(wamid)
    assert (verdict.state, verdict.parts[0].attempts) == ("answered", 2)
    first, second = rig.graph.calls
    assert first == second


async def test_safe_errors_are_repeated_with_back_off(rig: Rig) -> None:
    """Each wait is twice the one before; the rest of the chain waits too, and order is kept."""
    rig.graph.script += [refuse(400, code) for code in (130429, 131056, 80007, 4)]
    await rig.work(Says(lambda turn: [f"{turn.text}a", f"{turn.text}b"]))
    first, second = await rig.hear("1"), await rig.hear("2")
    waits = []
    for attempt in range(1, 5):
        await rig.until(lambda attempt=attempt: len(rig.graph.calls) == attempt, "a call")
        await rig.idle()
        wait = await rig.store.due_in()
        assert wait is not None
        waits.append(wait)
        rig.forward(wait)
    assert waits == [750, 1500, 3000, 6000]
    await rig.settled(first, second)
    assert rig.graph.said == ["1a"] * 5 + ["1b", "2a", "2b"]
    assert [event.state for event in rig.told(events.PartSettled)] == ["waiting"] * 4 + ["sent"] * 4


async def test_a_graph_that_cannot_be_reached_is_repeated(rig: Rig) -> None:
    """Where no connection was made nothing can have been said: no doubt, no wait for a status."""
    rig.url = "http://127.0.0.1:9"
    await rig.work()
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "planned")
    assert await rig.store.due_in() == 750
    await rig.close()
    rig.url = rig.graph.url
    await rig.work(owner="two")
    rig.forward(750)
    assert (await rig.settled(wamid)).state == "answered"


async def test_waiting_for_a_free_connection_is_no_doubt(rig: Rig) -> None:
    """Where all connections are taken a part has not been sent: it is repeated, not held for unknown."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(202)]
    for who in people:
        rig.graph.to[who.phone].append(hang)
        await rig.hear("Hi", who)
    await rig.work(timeout=2.0)
    await rig.until(lambda: rig.told(events.PartSettled), "the first that gave up waiting")
    early = rig.told(events.PartSettled)
    assert {event.state for event in early} == {"waiting"}
    assert not {event.who for event in early} & {body["to"].lstrip("+") for body in rig.graph.calls}
    await rig.close(grace=0.01)


async def test_safe_errors_end(rig: Rig) -> None:
    """After hours of refusals the part has failed, and the conversation goes on."""
    rig.graph.to[ANA.phone] += [refuse(429)] * 40
    await rig.work()
    wamid = await rig.hear("Hi")
    for attempt in range(1, 40):
        await rig.until(lambda attempt=attempt: len(rig.graph.calls) == attempt, "a call")
        await rig.idle()
        rig.forward(300_000)
    verdict = await rig.settled(wamid)
    assert (verdict.state, verdict.parts[0].state, verdict.parts[0].attempts) == ("failed", "failed", 40)
    assert (await rig.settled(await rig.hear("again"))).state == "answered"


# -- ambiguous -----------------------------------------------------------------------------------------------

NO_ID = refuse(200, body='{"messages": []}')
AMBIGUOUS = {
    "a bare 502": refuse(502, body="<html>Bad gateway"),
    "Meta's 131000": refuse(500, 131000),
    "a hang": hang,
    "a reset": reset,
    "half a body": half,
    "no message id": NO_ID,
}


@pytest.mark.parametrize("trouble", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_an_unknown_outcome_waits_and_is_sent_again(rig: Rig, trouble: Answer) -> None:
    """For 20 seconds a status may settle it; then the same part goes again, and the chain goes on."""
    rig.graph.script.append(trouble)
    await rig.work(Says(lambda turn: ["a", "b"]), timeout=0.5)
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "unknown")
    rig.forward(UNKNOWN_WAIT_MS - 1)
    await asyncio.sleep(0.03)
    assert rig.graph.said == ["a"]
    rig.forward(1)
    verdict = await rig.settled(wamid)
    assert rig.graph.said == ["a", "a", "b"]
    assert rig.graph.calls[0] == rig.graph.calls[1]
    assert (verdict.state, [part.state for part in verdict.parts]) == ("answered", ["sent", "sent"])


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
async def test_a_status_settles_an_unknown_outcome_without_a_double(rig: Rig, status: str) -> None:
    """Meta has it: the next part goes at once, and this one is not said again."""
    rig.graph.script.append(refuse(502, body="?"))
    await rig.work(Says(lambda turn: ["a", "b"]))
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "unknown")
    await rig.status((await rig.verdict(wamid)).parts[0].id, status)
    verdict = await rig.settled(wamid)
    assert rig.graph.said == ["a", "b"]
    assert [part.state for part in verdict.parts] == ["sent", "sent"]


async def test_a_status_that_is_not_read_yet_is_waited_for(rig: Rig) -> None:
    """What Meta said of a part, and was answered 200, is known: however long reading takes, it is not said again."""
    rig.graph.script.append(refuse(502, body="?"))
    await rig.work(Says(lambda turn: ["a", "b"]))
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "unknown")
    part_id = (await rig.verdict(wamid)).parts[0].id
    said = webhooks.status("wamid.x", "sent", recipient=ANA, timestamp=rig.clock.now // 1000, callback_data=part_id)
    await rig.store.receive(BOT, webhooks.wire(webhooks.receipt(LINE, ANA, said)), signed=True)
    for _ in range(3):
        rig.forward(UNKNOWN_WAIT_MS)
        await asyncio.sleep(0.03)
        await rig.idle()
    assert rig.graph.said == ["a"]
    await Reader(store=rig.store, wake=rig.wake).read_all()
    verdict = await rig.settled(wamid)
    assert rig.graph.said == ["a", "b"]
    assert [part.state for part in verdict.parts] == ["sent", "sent"]


class Ends:
    """An engine whose answer is no exception, and that does not like to be asked what it is doing."""

    name = "ends"
    needs_history = False

    def __init__(self) -> None:
        self.asked = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def reply(self, turn: Turn) -> tuple[Reply, ...]:
        self.asked += 1
        if turn.text == "ends":
            raise GeneratorExit
        await asyncio.sleep(3600)
        return ()

    def doing(self, turn_id: int) -> str:
        raise OSError("do not ask")


async def test_an_engine_that_cannot_say_what_it_does_is_cut_off_all_the_same(rig: Rig) -> None:
    """The time-out is the host's, whatever the engine says."""
    rig.bot = replace(rig.bot, timeout_ms=50)
    await rig.work(Ends())
    wamid = await rig.hear("never")
    assert (await rig.settled(wamid)).error == "no answer within 50 ms"


async def test_whatever_ends_a_turn_is_told_and_the_conversation_goes_on(rig: Rig) -> None:
    """Not every end of a task is an ``Exception``: nothing is lost in silence, and it is asked again later."""
    engine = Ends()
    await rig.work(engine)
    await rig.hear("ends")
    await rig.until(lambda: rig.told(events.Unexpected), "it is told")
    await rig.idle()
    (told,) = rig.told(events.Unexpected)
    assert told.error.startswith("GeneratorExit")
    rig.forward(60_000)
    await rig.until(lambda: engine.asked == 2, "it is asked again")
    await rig.idle()
    rig.seen.clear()


async def test_a_status_settles_the_last_part(rig: Rig) -> None:
    """With nothing left to say the turn is settled at once."""
    rig.graph.script.append(refuse(502, body="?"))
    await rig.work()
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "unknown")
    await rig.status((await rig.verdict(wamid)).parts[0].id)
    assert (await rig.settled(wamid)).state == "answered"
    await rig.idle()
    assert await rig.store.due_in() is None


async def test_five_unknown_outcomes_while_graph_works_are_a_failure(rig: Rig) -> None:
    """A message that alone breaks Graph's connection: the rest is not sent, and the next message is answered."""
    rig.graph.to[ANA.phone] += [reset] * 5
    await rig.work(Says(lambda turn: [f"{turn.text}a", f"{turn.text}b"]))
    first, second = await rig.hear("1"), await rig.hear("2")
    for attempt in range(1, 6):
        await rig.until(lambda attempt=attempt: rig.graph.said.count("1a") == attempt, "a call")
        await rig.state(first, "unknown")
        await rig.settled(await rig.hear(f"meanwhile {attempt}.", BEN))
        await rig.after_doubt()
    verdict = await rig.settled(first)
    assert (verdict.state, [part.state for part in verdict.parts]) == ("failed", ["failed", "not_sent"])
    await rig.settled(second)
    assert [said for said in rig.graph.said if "meanwhile" not in said] == ["1a"] * 5 + ["2a", "2b"]


async def test_unknown_outcomes_end_also_where_nothing_else_is_said(rig: Rig) -> None:
    """Nobody can tell such a message from an outage; after fifteen it has failed, and so late that most are over."""
    rig.graph.script += [refuse(502, body="?")] * UNKNOWN_LAST
    await rig.work()
    began = rig.clock.now
    wamid = await rig.hear("Hi")
    for attempt in range(1, UNKNOWN_LAST + 1):
        await rig.until(lambda attempt=attempt: len(rig.graph.calls) == attempt, "a call")
        await rig.state(wamid, "unknown")
        await rig.after_doubt()
    assert (await rig.settled(wamid)).state == "failed"
    assert rig.clock.now - began > 10 * 60_000
    assert (await rig.settled(await rig.hear("again"))).state == "answered"
    (part_id,) = {body["biz_opaque_callback_data"] for body in rig.graph.calls[:-1]}
    assert part_id != rig.graph.calls[-1]["biz_opaque_callback_data"]


@pytest.mark.parametrize("minutes", [2.5, 10])
@pytest.mark.parametrize("people", [1, 2, 7])
@pytest.mark.parametrize("trouble", [reset, refuse(502, body="?")], ids=["reset", "502"])
async def test_an_outage_fails_no_message(rig: Rig, trouble: Answer, people: int, minutes: float) -> None:
    """However few people write: what is in doubt waits it out, Graph is asked ever more seldom, order is kept."""
    users = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(people)]
    rig.graph.script += [trouble] * 1000
    await rig.work()
    wamids = [await rig.hear(f"{n} of {who.phone}", who) for n in range(2) for who in users]
    for _ in range(int(minutes * 12)):
        await rig.pass_on(5000)
    tried = len(rig.graph.calls)
    rig.graph.script.clear()
    for _ in range(36):
        await rig.pass_on(5000)
    await rig.settled(*wamids)
    assert {(await rig.verdict(wamid)).state for wamid in wamids} == {"answered"}
    taken = rig.graph.calls[tried:]
    for who in users:
        heard = [said(body) for body in taken if body["to"] == f"+{who.phone}"]
        assert heard == [f"re {n} of {who.phone}" for n in range(2)]
        vain = sum(body["to"] == f"+{who.phone}" for body in rig.graph.calls[:tried])
        assert vain <= 3 + minutes


async def test_an_outage_with_a_moment_of_success_fails_no_message(rig: Rig) -> None:
    """What went well for others once is no proof against whom the outage met before and after."""
    rig.graph.script += [reset] * 1000
    await rig.work()
    wamid = await rig.hear("Hi")
    for _ in range(60):
        await rig.pass_on(5000)
    rig.graph.to[BEN.phone] += [ACCEPT]
    await rig.settled(await rig.hear("a moment", BEN), idle=False)
    for _ in range(60):
        await rig.pass_on(5000)
    assert (await rig.verdict(wamid)).parts[0].state == "unknown"
    rig.graph.script.clear()
    rig.forward(120_000)
    assert (await rig.settled(wamid)).state == "answered"


async def test_a_part_that_was_being_sent_when_we_died_is_unknown(rig: Rig) -> None:
    """It waits for a status first; the turn is not thought about again."""
    engine = Says(lambda turn: ["a", "b"])
    rig.graph.script.append(hang)
    await rig.work(engine)
    wamid = await rig.hear("Hi")
    await rig.until(lambda: rig.graph.calls, "the call")
    await rig.close(grace=0.01)
    assert (await rig.verdict(wamid)).parts[0].state == "sending"
    await rig.work(engine, owner="two")
    await rig.state(wamid, "unknown")
    assert rig.graph.said == ["a"]
    rig.forward(UNKNOWN_WAIT_MS)
    await rig.settled(wamid)
    assert rig.graph.said == ["a", "a", "b"]
    assert len(engine.turns) == 1


# -- a status that is faster than the answer -----------------------------------------------------------------


RACES: dict[str, Answer | str] = {
    "accepted": ACCEPT,
    "too fast": refuse(429),
    "retry after": refuse(429, headers={"Retry-After": "9"}),
    "never": refuse(400, 131026),
    "ambiguous": refuse(500, body="?"),
    "blocked": refuse(401, 190),
}


@pytest.mark.parametrize("name", list(RACES))
@pytest.mark.parametrize("count", [1, 2])
async def test_a_status_between_the_call_and_its_answer(rig: Rig, name: str, count: int) -> None:
    """Meta has it, whatever the answer says then: nothing is said twice, nothing is stuck, no time has to pass."""
    rig.graph.script.append(RACES[name])

    async def status_first(body: dict[str, Any]) -> None:
        await rig.status(body["biz_opaque_callback_data"])

    rig.graph.on_call = status_first
    await rig.work(Says(lambda turn: ["a", "b"][:count]))
    wamid = await rig.hear("Hi")
    if name == "blocked":
        await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
        await rig.idle()
        rig.forward(PAUSE_MS)
    verdict = await rig.settled(wamid)
    assert rig.graph.said == ["a", "b"][:count]
    assert (verdict.state, [part.state for part in verdict.parts]) == ("answered", ["sent"] * count)


async def test_a_status_after_a_time_out_and_a_429_settles_it(rig: Rig) -> None:
    """The first attempt had arrived after all: the back-off ends and nothing is said twice."""
    rig.graph.script += [refuse(502, body="?"), refuse(429, headers={"Retry-After": "60"})]
    await rig.work(Says(lambda turn: ["a", "b"]))
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "unknown")
    rig.forward(UNKNOWN_WAIT_MS)
    await rig.state(wamid, "planned")
    await rig.status((await rig.verdict(wamid)).parts[0].id)
    await rig.settled(wamid)
    assert rig.graph.said == ["a", "a", "b"]


async def test_a_status_while_a_found_part_is_judged(rig: Rig) -> None:
    """A part found as being sent, settled by a status before it is called unknown: the chain goes on at once."""
    rig.graph.script.append(hang)
    await rig.work(Says(lambda turn: ["a", "b"]))
    wamid = await rig.hear("Hi")
    await rig.until(lambda: rig.graph.calls, "the call")
    await rig.close(grace=0.01)
    (work,) = await rig.store.claim("crashed", 10, join=False)
    await rig.store.release(work.claim)
    part_id = (await rig.verdict(wamid)).parts[0].id

    class Racing(Troubled):
        """A status arrives right after the claim, before anything is done with it."""

        async def claim(self, *args: Any, **more: Any) -> Any:
            works = await self._inner.claim(*args, **more)
            if works:
                await rig.status(part_id)
            return works

    rig.store = Racing(rig.store)
    await rig.work(Says(lambda turn: "never asked"), owner="two")
    await rig.settled(wamid)
    assert rig.graph.said == ["a", "b"]


# -- never ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(400, 131026), (400, 131047), (400, 100), (404, None), (403, 999999)])
async def test_what_will_never_work_fails_at_once(rig: Rig, status: int, code: int | None) -> None:
    """The part has failed with Meta's code and a remedy, the rest is not sent, the conversation goes on."""
    rig.graph.script += [ACCEPT, refuse(status, code)]
    await rig.work(Says(lambda turn: [f"{turn.text}{x}" for x in "abc"]))
    first, second = await rig.hear("1"), await rig.hear("2")
    await rig.settled(first, second)
    verdict = await rig.verdict(first)
    assert (verdict.state, [part.state for part in verdict.parts]) == ("failed", ["sent", "failed", "not_sent"])
    assert verdict.parts[1].error is not None
    assert verdict.parts[1].error["code"] == code
    assert rig.graph.said == ["1a", "1b", "2a", "2b", "2c"]
    (failed,) = [event for event in rig.told(events.PartSettled) if event.state == "failed"]
    assert (failed.code, bool(failed.remedy)) == (code, True)
    assert failed.error
    assert code is None or str(code) not in failed.error  # whoever tells it says the code beside it


async def test_a_failed_send_never_falls_back(rig: Rig) -> None:
    """``fallback_message`` is for engines, not for Graph."""
    rig.bot = replace(BOT, fallback_message="Sorry")
    rig.graph.script.append(refuse(400, 131026))
    await rig.work()
    await rig.settled(await rig.hear("Hi"))
    assert rig.graph.said == ["re Hi"]


# -- blocked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [190, 131042, 131031, 131045, 133010])
async def test_a_blocked_number_is_paused_alarms_once_and_goes_on_when_it_heals(rig: Rig, code: int) -> None:
    """The whole backlog is kept; one conversation tries every now and then; all is answered in order afterwards."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(5)]
    blocked = refuse(401, code)
    rig.graph.script += [blocked] * 100
    await rig.work()
    wamids = [await rig.hear(f"1 of {who.phone}", who) for who in people]
    await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
    await rig.idle()
    wamids += [await rig.hear(f"2 of {who.phone}", who) for who in people]
    tries = len(rig.graph.calls)
    for _ in range(3):
        rig.forward(PAUSE_MS)
        await rig.until(lambda tries=tries: len(rig.graph.calls) > tries, "a try")
        await rig.idle()
        assert len(rig.graph.calls) == tries + 1
        tries += 1
    (alarm,) = rig.told(events.NumberPaused)
    assert (alarm.code, bool(alarm.remedy)) == (code, True)
    assert not [event for event in rig.told(events.PartSettled) if event.state in ("failed", "not_sent")]
    rig.graph.script.clear()
    rig.forward(PAUSE_MS)
    await rig.settled(*wamids)
    assert len(rig.told(events.NumberResumed)) == 1
    heard = defaultdict(list)
    for body in rig.graph.calls[tries:]:
        heard[body["to"]].append(said(body))
    for who in people:
        assert heard[f"+{who.phone}"] == [f"re 1 of {who.phone}", f"re 2 of {who.phone}"]


async def test_a_block_in_the_middle_of_a_chain(rig: Rig) -> None:
    """What was said is not said again, what was not goes on where it stopped."""
    rig.graph.script += [ACCEPT, refuse(401, 190)]
    await rig.work(Says(lambda turn: ["a", "b", "c"]))
    wamid = await rig.hear("Hi")
    await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
    await rig.idle()
    rig.forward(PAUSE_MS)
    await rig.settled(wamid)
    assert rig.graph.said == ["a", "b", "b", "c"]


async def test_hours_of_being_blocked_use_up_no_patience(rig: Rig) -> None:
    """However often a number was tried in vain, a 429 after it healed is only the first of its kind."""
    rig.graph.script += [*[refuse(401, 190)] * 45, refuse(429, headers={"Retry-After": "1"})]
    await rig.work()
    wamid = await rig.hear("Hi")
    for tries in range(1, 47):
        await rig.until(lambda tries=tries: len(rig.graph.calls) == tries, "a try")
        await rig.idle()
        rig.forward(PAUSE_MS)
    assert (await rig.settled(wamid)).state == "answered"


async def test_a_silent_probe_lets_the_next_one_try(rig: Rig) -> None:
    """A conversation that may try but has nothing to say does not keep the others waiting."""
    await rig.store.pause(NUMBER, until=rig.clock.now + PAUSE_MS, reason="token")
    wamids = [await rig.hear("psst", webhooks.Sender(phone=f"3161000{n:04}")) for n in range(5)]
    rig.clock.now += 1
    wamids.append(await rig.hear("Hi", ANA))
    await rig.work(Says(lambda turn: None if turn.text == "psst" else "yes"))
    rig.forward(PAUSE_MS)
    await rig.settled(*wamids)
    assert rig.told(events.NumberResumed)


async def test_a_backlog_whose_windows_closed_meanwhile(rig: Rig) -> None:
    """After a weekend with an expired token, what can no longer be said is settled at once, not one try at a time."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(20)]
    await rig.store.pause(NUMBER, until=rig.clock.now + PAUSE_MS, reason="token")
    wamids = [await rig.hear("Hi", who) for who in people]
    rig.clock.now += WINDOW_MS + GRACE_MS + 1000
    wamids.append(await rig.hear("Hi", ANA))
    await rig.work()
    await rig.settled(*wamids)
    assert rig.graph.said == ["re Hi"]
    assert rig.told(events.NumberResumed)


async def test_a_test_on_a_blocked_number_learns_so_at_once(rig: Rig) -> None:
    """It fails with the reason, Graph is asked once, and the number is paused for everybody else."""
    rig.graph.script += [refuse(401, 190)] * 50
    await rig.store.announce(BOT.id, "wamid.test", capture=False, ttl_ms=60_000)
    await rig.work()
    await rig.hear("Hi", id="wamid.test")
    verdict = await rig.settled("wamid.test")
    assert verdict.parts[0].error is not None
    assert (verdict.parts[0].state, verdict.parts[0].error["code"]) == ("failed", 190)
    assert len(rig.graph.calls) == 1
    assert len(rig.told(events.NumberPaused)) == 1


# -- a token that is being changed ---------------------------------------------------------------------------


async def test_the_previous_token_is_used_where_meta_refuses_the_current_one(rig: Rig) -> None:
    """190 is no pause while the other token works, whichever that is; with neither the number is paused."""
    rig.bot = replace(BOT, access_token=Secret("EAAG-new"), access_token_previous=Secret(TOKEN))
    rig.graph.tokens = {TOKEN}
    await rig.work()
    await rig.settled(await rig.hear("one"), await rig.hear("two"))
    assert rig.graph.refused == ["EAAG-new"]
    rig.graph.tokens = {"EAAG-new"}
    await rig.settled(await rig.hear("three"))
    assert rig.graph.refused == ["EAAG-new", TOKEN]
    assert rig.graph.said == ["re one", "re two", "re three"]
    assert not rig.told(events.NumberPaused)
    rig.graph.tokens = set()
    await rig.hear("four")
    await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")


async def test_many_who_meet_a_refused_token_at_once_agree_on_the_other(rig: Rig) -> None:
    """Each tries the token that it has not tried, whatever the others found out meanwhile."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(21)]
    rig.bot = replace(BOT, access_token=Secret("EAAG-new"), access_token_previous=Secret(TOKEN))
    wamids = [await rig.hear("Hi", who) for who in people]
    await rig.work()
    await rig.settled(*wamids)
    assert set(rig.graph.refused) == {"EAAG-new"}
    assert not rig.told(events.NumberPaused)


# -- Graph fails for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [refuse(429), refuse(503, body="?"), reset], ids=["429", "503", "reset"])
async def test_a_graph_that_fails_for_everybody_is_not_stormed(rig: Rig, trouble: Answer) -> None:
    """The number rests after a few failures, one conversation tries now and then, and all is answered in order."""
    people = [webhooks.Sender(phone=f"3161000{n:04}") for n in range(30)]
    rig.graph.script += [trouble] * 1000
    await rig.work()
    wamids = [await rig.hear(f"1 of {who.phone}", who) for who in people]
    await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
    await rig.idle()
    wamids += [await rig.hear(f"2 of {who.phone}", who) for who in people]
    first = len(rig.graph.calls)
    assert first <= 30
    for _ in range(60):
        rig.forward(1000)
        await asyncio.sleep(0.01)
        await rig.idle()
    assert 3 <= len(rig.graph.calls) - first <= 8
    assert len(rig.told(events.NumberPaused)) == 1
    assert not [event for event in rig.told(events.PartSettled) if event.state in ("failed", "not_sent")]
    tries = len(rig.graph.calls)
    rig.graph.script.clear()
    for _ in range(60):
        rig.forward(1000)
        await asyncio.sleep(0.01)
    await rig.settled(*wamids)
    assert len(rig.told(events.NumberResumed)) == 1
    heard = defaultdict(list)
    for body in rig.graph.calls[tries:]:
        heard[body["to"]].append(said(body))
    for who in people:
        assert heard[f"+{who.phone}"] == [f"re 1 of {who.phone}", f"re 2 of {who.phone}"]


async def test_one_conversation_alone_does_not_make_its_number_rest(rig: Rig) -> None:
    """A part that Graph fails on again and again is waited for by its own conversation, by nobody else."""
    rig.graph.to[ANA.phone] += [refuse(429)] * 20
    await rig.work()
    await rig.hear("Hi", ANA)
    for tries in range(1, 10):
        await rig.until(lambda tries=tries: len(rig.graph.calls) == tries, "a try")
        await rig.idle()
        rig.forward(300_000)
    assert not rig.told(events.NumberPaused)
    assert (await rig.settled(await rig.hear("Hi", BEN), idle=False)).state == "answered"


async def test_a_refusal_that_is_the_messages_own_lets_the_next_one_try(rig: Rig) -> None:
    """While a number is probed, a user who is not on WhatsApp says nothing about the number."""
    await rig.store.pause(NUMBER, until=rig.clock.now + PAUSE_MS, reason="token")
    rig.graph.to[ANA.phone].append(refuse(400, 131026))
    wamids = [await rig.hear("Hi", ANA)]
    rig.clock.now += 1
    wamids.append(await rig.hear("Hi", BEN))
    await rig.work()
    rig.forward(PAUSE_MS)
    await rig.settled(*wamids)
    assert rig.told(events.NumberResumed)


# -- the session window --------------------------------------------------------------------------------------


async def test_a_window_that_is_known_to_be_closed(rig: Rig) -> None:
    """Nothing is posted: the part is ``not_sent`` with Meta's own code for it, the rest too."""
    rig.graph.script.append(refuse(429, headers={"Retry-After": "90000"}))
    await rig.work(Says(lambda turn: [f"{turn.text}a", f"{turn.text}b"]))
    wamid = await rig.hear("1")
    await rig.state(wamid, "planned")
    rig.forward(WINDOW_MS + GRACE_MS + 1000)
    rig.forward(3_600_000)
    verdict = await rig.settled(wamid)
    assert (verdict.state, [part.state for part in verdict.parts]) == ("failed", ["not_sent", "not_sent"])
    assert verdict.parts[0].error is not None
    assert verdict.parts[0].error["code"] == 131047
    assert rig.graph.said == ["1a"]
    assert (await rig.settled(await rig.hear("2"))).state == "answered"


async def test_a_newer_message_opens_the_window_again(rig: Rig) -> None:
    """What was claimed before it came is sent all the same."""
    rig.graph.script.append(refuse(429, headers={"Retry-After": "90000"}))
    await rig.work()
    first = await rig.hear("1")
    await rig.state(first, "planned")
    rig.clock.now += WINDOW_MS + GRACE_MS + 1000
    second = await rig.hear("2")
    rig.forward(3_600_000)
    await rig.settled(first, second)
    assert rig.graph.said == ["re 1", "re 1", "re 2"]


async def test_a_template_needs_no_window(rig: Rig) -> None:
    """It is what templates are for."""
    rig.graph.script.append(refuse(429, headers={"Retry-After": "90000"}))
    await rig.work(Says(lambda turn: Template("hello_world")))
    wamid = await rig.hear("1")
    await rig.state(wamid, "planned")
    rig.forward(2 * WINDOW_MS)
    assert (await rig.settled(wamid)).state == "answered"


async def test_an_unknown_window_is_metas_to_judge(rig: Rig) -> None:
    """Without a time of the message it is sent, however long it waited."""
    rig.graph.script.append(refuse(429, headers={"Retry-After": "90000"}))
    await rig.work()
    message = {**webhooks.message("text", ANA, text="1", id="wamid.x", timestamp=0), "timestamp": "soon"}
    await rig.receive(webhooks.inbound(LINE, ANA, message))
    await rig.state("wamid.x", "planned")
    rig.forward(2 * WINDOW_MS)
    assert (await rig.settled("wamid.x")).state == "answered"


# -- engines that fail, are slow, or silent ------------------------------------------------------------------


class Odd(Buttons):
    """A reply that nobody knows how to send."""


def raising(error: BaseException) -> Callable[[Turn], Any]:
    def function(turn: Turn) -> Any:
        if turn.text == "good":
            return "yes"
        raise error

    return function


FAILING: dict[str, Callable[[Turn], Any]] = {
    "an engine error": raising(EngineError("ValueError: no", where="bot.py:3")),
    "an exception": raising(KeyError("no")),
    "a cancellation of its own": raising(asyncio.CancelledError()),
    "a reply of an unknown kind": lambda turn: "yes" if turn.text == "good" else Odd("Which?", ["A"]),
    "a reply that is no JSON": lambda turn: "yes" if turn.text == "good" else Template("t", components=[{"x": {1}}]),
    "something that is no reply": lambda turn: "yes" if turn.text == "good" else 42,
}


@pytest.mark.parametrize("function", FAILING.values(), ids=FAILING.keys())
async def test_an_engine_that_fails_falls_back(rig: Rig, function: Callable[[Turn], Any]) -> None:
    """The user is told what ``fallback_message`` says, the operator why, and the conversation goes on."""
    rig.bot = replace(BOT, fallback_message="Sorry")
    engine = Says(function)
    await rig.work(engine)
    first, second = await rig.hear("bad"), await rig.hear("good")
    await rig.settled(first, second)
    assert rig.graph.said == ["Sorry", "yes"]
    verdict = await rig.verdict(first)
    assert (verdict.state, verdict.outcome, bool(verdict.error)) == ("failed", "fell_back", True)
    (told,) = rig.told(events.TurnEnded)
    assert (told.state, told.fell_back, bool(told.error)) == ("failed", True, True)
    assert len(engine.turns) == 2


@pytest.mark.parametrize("function", FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("fallback", ["", "  \n"])
async def test_without_a_fallback_a_failure_is_visible(
    rig: Rig, function: Callable[[Turn], Any], fallback: str
) -> None:
    """Nothing is sent, the turn has failed, and the conversation goes on."""
    rig.bot = replace(BOT, fallback_message=fallback)
    await rig.work(Says(function))
    first, second = await rig.hear("bad"), await rig.hear("good")
    await rig.settled(first, second)
    assert rig.graph.said == ["yes"]
    assert ((await rig.verdict(first)).state, (await rig.verdict(first)).outcome) == ("failed", "failed")
    (told,) = rig.told(events.TurnEnded)
    assert (told.state, told.fell_back) == ("failed", False)


async def test_an_engine_that_is_too_slow(rig: Rig) -> None:
    """``timeout_ms`` cancels it; the fallback is said, and the operator learns what it was doing."""
    rig.bot = replace(BOT, fallback_message="Sorry", timeout_ms=40)
    cancelled = []

    async def slow(turn: Turn) -> str:
        if turn.text == "good":
            return "yes"
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(turn.text)
            raise
        return "too late"

    await rig.work(Says(slow))
    first, second = await rig.hear("bad"), await rig.hear("good")
    await rig.settled(first, second)
    verdict = await rig.verdict(first)
    assert rig.graph.said == ["Sorry", "yes"]
    assert verdict.outcome == "fell_back"
    assert "no answer within 40 ms" in verdict.error
    assert f"bot.py:7 reply() for {verdict.turn_id}" in verdict.error
    assert cancelled == ["bad"]


@pytest.mark.parametrize("ends", ["answers", "raises"])
async def test_an_engine_that_answers_its_cancellation(rig: Rig, ends: str) -> None:
    """Its time is over all the same, whatever it says then, and the next turn has its own time."""
    rig.bot = replace(BOT, timeout_ms=60)

    async def stubborn(turn: Turn) -> str:
        try:
            await asyncio.sleep(0.02 if turn.text == "good" else 30)
        except asyncio.CancelledError:
            if ends == "raises":
                raise ValueError("no") from None
        return "yes"

    await rig.work(Says(stubborn))
    first, second = await rig.hear("bad"), await rig.hear("good")
    await rig.settled(first, second)
    assert "no answer within 60 ms" in (await rig.verdict(first)).error
    assert rig.graph.said == ["yes"]


async def test_a_stop_while_the_engine_thinks(rig: Rig) -> None:
    """That is no failure of the engine's: the turn is given back as it was, and thought about again."""

    async def slow(turn: Turn) -> str:
        await asyncio.sleep(30)
        return "never"

    engine = Says(slow)
    worker = await rig.work(engine)
    wamid = await rig.hear("Hi")
    await rig.until(lambda: engine.turns, "thinking")
    await worker.stop(0.01)
    assert ((await rig.verdict(wamid)).state, rig.told(events.TurnEnded)) == ("in_turn", [])
    await rig.work(Says(lambda turn: "now"), owner="two")
    assert (await rig.settled(wamid)).state == "answered"


async def test_a_real_bot_that_is_too_slow_is_named(rig: Rig, tmp_path: Path) -> None:
    """The line in which a handler hangs stands in the error, with the real engine for people's files."""
    from aerobot.engine.python import Python

    (tmp_path / "slow_bot.py").write_text("import time\ndef reply(turn):\n    time.sleep(0.6)\n    return 'late'\n")
    engine = Python("slow_bot.py", folder=tmp_path, reload=False)
    await engine.start()
    rig.bot = replace(BOT, timeout_ms=100)
    await rig.work(engine)
    verdict = await rig.settled(await rig.hear("Hi"))
    assert "no answer within 100 ms" in verdict.error
    assert "slow_bot.py:3 reply()" in verdict.error
    await engine.close()


async def test_the_ids_of_parts_grow_with_the_turns(rig: Rig) -> None:
    """So a database writes them side by side; what follows the number still makes each id its own."""
    await rig.work(Says(lambda turn: ["a", "b"]))
    wamids = [await rig.hear(str(n)) for n in range(12)]
    await rig.settled(*wamids)
    turns = [[part.id for part in (await rig.verdict(wamid)).parts] for wamid in wamids]
    assert [min(ids) for ids in turns] == sorted(min(ids) for ids in turns)
    assert len({part_id for ids in turns for part_id in ids}) == 24


async def test_an_engine_that_says_nothing(rig: Rig) -> None:
    """Silence is a decision: ``ignored(silent)``, and nothing is sent."""
    await rig.work(Says(lambda turn: ["", None, []]))
    verdict = await rig.settled(await rig.hear("Hi"))
    assert (verdict.state, verdict.reason, rig.graph.calls) == ("ignored", "silent", [])
    (told,) = rig.told(events.TurnEnded)
    assert (told.state, told.error) == ("ignored(silent)", None)


async def test_the_welcome_comes_once(rig: Rig) -> None:
    """Before the first answer of each conversation, never again, and not where it is blank."""
    rig.bot = replace(BOT, welcome_message="Welcome!")
    await rig.work()
    for who in (ANA, ANA, BEN):
        await rig.settled(await rig.hear("Hi", who))
    assert rig.graph.said == ["Welcome!", "re Hi", "re Hi", "Welcome!", "re Hi"]


async def test_a_blank_welcome_is_none(rig: Rig) -> None:
    """White space is nothing to say."""
    rig.bot = replace(BOT, welcome_message=" \n")
    await rig.work()
    assert (await rig.settled(await rig.hear("Hi"))).state == "answered"
    assert rig.graph.said == ["re Hi"]


async def test_what_a_test_says_is_kept(rig: Rig) -> None:
    """Captured parts are told and kept; Graph hears nothing, not even that it was read."""
    await rig.store.announce(BOT.id, "wamid.test", capture=True, ttl_ms=60_000)
    await rig.work(Says(lambda turn: ["a", "b"]))
    await rig.hear("Hi", id="wamid.test")
    verdict = await rig.settled("wamid.test")
    assert [(part.state, part.said) for part in verdict.parts] == [("captured", "a"), ("captured", "b")]
    assert {(event.state, event.channel) for event in rig.told(events.PartSettled)} == {("captured", "test")}
    assert rig.graph.log == []


async def test_nobody_to_answer_to(rig: Rig) -> None:
    """A message from whom Meta names neither number nor user id fails at once, with the reason."""
    await rig.work()
    message = {"id": "wamid.x", "type": "text", "text": {"body": "Hi"}, "from_parent_user_id": "US.ENT.1"}
    await rig.receive(webhooks.envelope(LINE, messages=[message]))
    verdict = await rig.settled("wamid.x")
    assert (verdict.state, verdict.parts[0].state) == ("failed", "failed")
    assert rig.graph.calls == []


# -- bots that rest ------------------------------------------------------------------------------------------


async def test_a_backlog_of_a_bot_that_was_deactivated(rig: Rig) -> None:
    """It is ignored, aloud, and the engine is not asked."""
    wamids = [await rig.hear(text) for text in ("one", "two")]
    rig.bot = replace(BOT, active=False)
    engine = Says(lambda turn: "yes")
    await rig.work(engine)
    for wamid in wamids:
        verdict = await rig.settled(wamid)
        assert (verdict.state, verdict.reason) == ("ignored", "inactive")
    assert [event.state for event in rig.told(events.TurnEnded)] == ["ignored(inactive)"] * 2
    assert (engine.turns, rig.graph.log) == ([], [])


async def test_a_bot_that_is_gone(rig: Rig) -> None:
    """What waits for a bot that was deleted is ignored too."""
    wamid = await rig.hear("one")
    rig.bot = replace(BOT, id="bt_other")
    await rig.work()
    verdict = await rig.settled(wamid)
    assert (verdict.state, verdict.reason) == ("ignored", "inactive")


async def test_a_bot_that_is_deactivated_in_the_middle_of_a_chain(rig: Rig) -> None:
    """It stops speaking; what it said stays said, the rest is not sent, nothing counts as backlog."""
    rig.graph.script += [ACCEPT, refuse(429, headers={"Retry-After": "5"})]
    await rig.work(Says(lambda turn: ["a", "b", "c"]))
    wamid = await rig.hear("Hi")
    await rig.state(wamid, "planned", 1)
    await rig.close()
    rig.bot = replace(BOT, active=False)
    await rig.work(owner="two")
    rig.forward(5000)
    verdict = await rig.settled(wamid)
    assert [part.state for part in verdict.parts] == ["sent", "not_sent", "not_sent"]
    assert (verdict.state, verdict.outcome) == ("failed", "answered")
    assert rig.graph.said == ["a", "b"]
    assert await rig.store.backlog() == (0, 0)
    assert [event.state for event in rig.told(events.PartSettled)][-1] == "not_sent"


async def test_a_bot_without_a_token(rig: Rig) -> None:
    """Its answers fail, each with the setting that is missing."""
    rig.bot = replace(BOT, access_token=None)
    await rig.work()
    verdict = await rig.settled(await rig.hear("Hi"))
    assert verdict.parts[0].error is not None
    assert "whatsapp.access_token" in str(verdict.parts[0].error["remedy"])


# -- leases, stops, trouble ----------------------------------------------------------------------------------


async def test_a_worker_that_lost_its_lease_says_nothing(rig: Rig) -> None:
    """Only the one who holds the conversation speaks; the other's answer is dropped without a word."""
    waiting = asyncio.Event()

    async def sleepy(turn: Turn) -> str:
        await waiting.wait()
        return "from the sleeper"

    wamid = await rig.hear("Hi")
    sleeper = Says(sleepy)
    await rig.work(sleeper, owner="one", concurrency=1)
    await rig.until(lambda: sleeper.turns, "the sleeper thinks")
    rig.clock.now += LEASE_MS
    await rig.work(Says(lambda turn: "from the other"), owner="two")
    await rig.settled(wamid, idle=False)
    waiting.set()
    await rig.idle()
    assert rig.graph.said == ["from the other"]


async def test_stop_lets_what_was_begun_end(rig: Rig) -> None:
    """Within its grace a turn is thought, said and settled; nothing new is begun."""
    begun = asyncio.Event()

    async def slow(turn: Turn) -> str:
        begun.set()
        await asyncio.sleep(0.1)
        return "yes"

    await rig.work(Says(slow))
    first = await rig.hear("one")
    await begun.wait()
    second = await rig.hear("two")
    await rig.close(grace=5)
    assert (await rig.verdict(first)).state == "answered"
    assert (await rig.verdict(second)).state == "queued"
    assert rig.graph.said == ["yes"]


async def test_stop_hands_back_what_does_not_end(rig: Rig) -> None:
    """Nobody has to wait for its lease: the next worker takes it up at once."""
    engine = Says(lambda turn: asyncio.sleep(30))
    await rig.work(engine)
    wamid = await rig.hear("one")
    await rig.until(lambda: engine.turns, "it thinks")
    await rig.close(grace=0.01)
    assert await rig.store.due_in() == 0
    await rig.work(Says(lambda turn: "yes"), owner="two")
    assert (await rig.settled(wamid)).state == "answered"


async def test_stop_while_a_claim_is_on_its_way(rig: Rig) -> None:
    """What is claimed in the very moment of the stop is handed back as well."""
    inner = rig.store
    entered = asyncio.Event()

    class Slow(Troubled):
        async def claim(self, *args: Any, **more: Any) -> Any:
            works = await inner.claim(*args, **more)
            if works:
                entered.set()
                await asyncio.sleep(0.1)
            return works

    rig.store = Slow(inner)
    engine = Says(lambda turn: "yes")
    await rig.hear("one")
    await rig.work(engine)
    await entered.wait()
    await rig.close(grace=0.01)
    assert await inner.due_in() == 0
    assert (engine.turns, rig.graph.calls) == ([], [])
    assert not [task for task in asyncio.all_tasks() if "Worker._work" in str(task)]


@pytest.mark.parametrize("call", ["claim", "plan", "settle", "due_in", "history", "finish", "resume"])
async def test_trouble_with_the_store_is_waited_out(rig: Rig, call: str) -> None:
    """Whatever call fails, the message is answered once it is over, and a broken store is no failure of the engine."""
    troubled = Troubled(rig.store)
    rig.store = troubled
    rig.bot = replace(BOT, fallback_message="Sorry")
    await rig.work()
    await rig.settled(await rig.hear("one"))
    await rig.idle()
    troubled.failing[call] = 1
    wamid = await rig.hear("two")

    async def again() -> bool:
        if (await rig.verdict(wamid)).settled:
            return True
        rig.forward(1000)
        await asyncio.sleep(0.01)
        return False

    await rig.until(again, "it is answered")
    assert "Sorry" not in rig.graph.said
    assert rig.graph.said.count("re two") == 1
    assert (await rig.verdict(wamid)).state == "answered"


async def test_an_outcome_that_cannot_be_written_down_is_kept_in_mind(rig: Rig) -> None:
    """Graph took it and the store is in trouble: that is written as soon as it can be, and nothing is said twice."""
    troubled = Troubled(rig.store)
    rig.store = troubled
    troubled.failing["settle"] = 3
    await rig.work(Says(lambda turn: ["a", "b"]))
    assert (await rig.settled(await rig.hear("Hi"))).state == "answered"
    assert rig.graph.said == ["a", "b"]
    assert len([told for told in rig.told(events.Notice) if told.topic == "store"]) == 1


@pytest.mark.parametrize("call", ["settle", "pause"])
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (refuse(400, 131026), "failed"),
        (refuse(429, headers={"Retry-After": "9"}), "planned"),
        (refuse(502, body="?"), "unknown"),
        (refuse(401, 190), "planned"),
    ],
    ids=["never", "safe", "ambiguous", "blocked"],
)
async def test_any_outcome_is_written_down_when_it_can_be(rig: Rig, call: str, answer: Answer, state: str) -> None:
    """A refusal is not forgotten either: no lease has to run out, and Graph is not asked again for it."""
    troubled = Troubled(rig.store)
    rig.store = troubled
    rig.graph.script.append(answer)

    async def break_store(_: dict[str, Any]) -> None:
        troubled.failing[call] = 3
        rig.graph.on_call = None

    rig.graph.on_call = break_store
    await rig.work()
    wamid = await rig.hear("Hi")
    await rig.until(lambda: rig.told(events.PartSettled) or rig.told(events.NumberPaused), "the outcome")
    await rig.state(wamid, state)
    assert rig.graph.said == ["re Hi"]
    troubles = [told for told in rig.told(events.Notice) if told.topic == "store"]
    assert len(troubles) == (1 if not troubled.failing[call] else 0)


async def test_a_refusal_that_cannot_be_written_down_does_not_hold_up_the_stop(rig: Rig) -> None:
    """The stop waits for what Graph took alone; a refusal is met again by the next start."""
    troubled = Troubled(rig.store)
    rig.store = troubled
    rig.graph.script.append(refuse(400, 131026))

    async def break_store(_: dict[str, Any]) -> None:
        troubled.failing["settle"] = 10**9

    rig.graph.on_call = break_store
    await rig.work()
    await rig.hear("Hi")
    await rig.until(lambda: rig.told(events.Notice), "the trouble")
    began = time.monotonic()
    await rig.close(grace=30)
    assert time.monotonic() - began < 5
