"""Every fault that the emulator knows, met by our own host: worker, sender and store as they are; time moved by hand.

``SENDS`` says what the host does about each; docs/faults.md is held to it. Truth: docs/messages.md, and Meta's error
codes with what may be repeated.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aerobot import events
from aerobot.bot import Image, Text, Turn
from aerobot.emulator.presets import PRESETS, SPECIAL, Fault
from aerobot.emulator.server import Emulator
from aerobot.engine.given import Given
from aerobot.errors import AerobotError
from aerobot.graph_admin import GraphAdmin
from aerobot.host.paths import path_of
from aerobot.host.reader import Reader
from aerobot.host.webhook import Exposure, PublicListener
from aerobot.runtime.listening import listen
from aerobot.secret import Secret
from aerobot.sender import Sender
from aerobot.speaker import PAUSE_MS, Dice
from aerobot.store.base import UNKNOWN_WAIT_MS, HostedBot, Part
from aerobot.store.roster import Roster
from aerobot.store.sqlite import SqliteStore
from aerobot.whatsapp import graph
from aerobot.worker import Worker
from tests.front import default_limits

E = TypeVar("E", bound=events.Event)
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
PATIENCE = 0.25
"""Seconds that the sender waits for an answer that never comes."""


class Does(StrEnum):
    """What the host does about a fault of a send, in a word; docs/faults.md explains each."""

    AGAIN = "repeats"
    DOUBT = "doubts"
    SETTLED = "learns"
    FAILS = "fails"
    PAUSES = "pauses"
    LATER = "tells"
    WAITS = "waits"


def _rows(does: Does, names: str) -> dict[str, Does]:
    return dict.fromkeys(names.split(), does)


SENDS = {
    **_rows(Does.AGAIN, "rate_limited rate_limited_wait pair_rate app_call_limit account_call_limit"),
    **_rows(Does.DOUBT, "unknown temporary something_went_wrong unavailable maintenance server_error timeout reset"),
    **_rows(Does.SETTLED, "timeout_sent reset_sent half_answer"),
    **_rows(Does.FAILS, "spam_limited window_closed_at_once not_on_list country unsupported identity_changed"),
    **_rows(Does.FAILS, "parameter template_parameters template_missing template_paused"),
    **_rows(Does.PAUSES, "token_expired token_invalidated no_permission not_assigned payment account_locked"),
    **_rows(Does.PAUSES, "not_registered name_not_approved policy"),
    **_rows(Does.LATER, "window_closed undeliverable experiment marketing_cap stopped_marketing"),
    **_rows(Does.LATER, "media_download media_upload"),
    **_rows(Does.WAITS, "slow"),
}
ANYWHERE = sorted(name for name, fault in PRESETS.items() if not fault.messages_only and name != "slow")
"""What any call can meet; the one that is only slow is no failure."""


class Clock:
    """Milliseconds since 1970 that pass only when a test says so: the host's, and Meta's too."""

    def __init__(self) -> None:
        self.now = int(time.time() * 1000)

    def __call__(self) -> int:
        return self.now

    def seconds(self) -> float:
        """For the emulator."""
        return self.now / 1000


class Rig:
    """Our host and the emulator, on real sockets and a real file, with one clock between them."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.seen: list[events.Event] = []
        self._folder = folder
        self._bell = asyncio.Event()

    async def start(self, handler: Callable[[Turn], Any], timeout: float) -> None:
        self.emulator = Emulator(seed=3, receipts_delay=0.0, now=self.clock.seconds)
        await self.emulator.start(port=0)
        mine = self.emulator.credentials
        self.bot = HostedBot(
            id="bt_one",
            origin="settings",
            name="Acme",
            active=True,
            phone_number_id=mine.phone_number_id,
            access_token=Secret(mine.access_token),
            verify_token=Secret(mine.verify_token),
            app_secret=Secret(mine.app_secret),
        )
        self.store = SqliteStore(self._folder / "aerobot.db", clock=self.clock)
        await self.store.open()
        roster = Roster(self.store, self.bot)
        await roster.load()
        self.sender = Sender(graph_url=self.emulator.graph_url, version="v25.0", timeout=timeout)
        await self.sender.start()
        self.engine = Given(handler, folder=self._folder)
        await self.engine.start()
        ids = itertools.count(1)
        self.worker = Worker(
            store=self.store,
            roster=roster,
            sender=self.sender,
            engine=self.engine,
            emit=self._take,
            owner="one",
            dice=Dice(random=lambda: 0.5, new_id=lambda: f"part.{next(ids)}"),
        )
        self._working = asyncio.create_task(self.worker.run())
        self._reader = Reader(store=self.store, emit=self._take, wake=self.worker.wake)
        self._reading = asyncio.create_task(self._reader.run())
        await self._listen(roster)
        self._watching = asyncio.create_task(self._watch())

    async def _listen(self, roster: Roster) -> None:
        public = PublicListener(
            store=self.store,
            roster=roster,
            emit=self._take,
            reader=self._reader,
            exposure=Exposure(exposed=False, allow_unsigned=False),
            limits=default_limits(self._folder),
        )
        self._listener = await listen(public.answer, "127.0.0.1", 0, key="serve.port", free=False, gate=public.gate)
        await self.emulator.connect(self._listener.url + path_of(self.bot.id))

    async def stop(self) -> None:
        for task in (self._watching, self._reading):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.emulator.stop()
        await self._listener.close()
        await self.worker.stop(0.5)
        await self._working
        for part in (self.engine, self.sender, self.store):
            await part.close()  # type: ignore[attr-defined]

    def _take(self, event: events.Event) -> None:
        self.seen.append(event)
        self._bell.set()

    async def _watch(self) -> None:
        async for _ in self.emulator.watch():
            self._bell.set()

    # -- what a test says ---------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], Any | Awaitable[Any]], what: str, timeout: float = 8.0) -> None:
        """Wait for something that an event of either side brings about, or a thread soon after it."""
        end = time.monotonic() + timeout
        while True:
            self._bell.clear()
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what}; {self.seen[-10:]}; {self.shown()}")
            try:
                await asyncio.wait_for(self._bell.wait(), 0.02)
            except TimeoutError:
                continue

    async def forward(self, milliseconds: int) -> None:
        """Let time pass, on both sides."""
        self.clock.now += milliseconds
        self.worker.wake()

    async def idle(self) -> None:
        """Until the host holds nothing."""
        await self.until(lambda: not self.worker._tasks, "idle")

    async def pause(self) -> int:
        """How long the host rests by itself, in milliseconds, once it does."""
        await self.idle()
        due = await self.store.due_in()
        assert due is not None
        return due

    async def settled(self, wamid: str) -> None:
        async def is_settled() -> bool:
            verdict = await self.store.verdict(self.bot.id, wamid)
            return verdict is not None and verdict.settled

        await self.until(is_settled, f"{wamid} is settled")
        await self.idle()

    async def parts(self, wamid: str) -> tuple[Part, ...]:
        verdict = await self.store.verdict(self.bot.id, wamid)
        return verdict.parts if verdict is not None else ()

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.seen if isinstance(event, kind)]

    def states(self) -> list[str]:
        """What was told of parts, in order."""
        return [event.state for event in self.told(events.PartSettled)]

    def sends(self) -> int:
        """How often Graph was asked to send; one that it still keeps waiting is not counted yet."""
        calls = [call for call in self.emulator.calls() if call.path.endswith("/messages")]
        return sum('"status"' not in call.request for call in calls)

    def shown(self, phone: str | None = None) -> list[str]:
        """What the phone shows of the bot."""
        return [bubble.text for bubble in self.emulator.messages(phone) if bubble.direction == "out"]

    def meaning(self, fault: Fault) -> graph.Meaning:
        assert fault.refusal is not None
        return graph.meaning(fault.refusal.code, fault.refusal.subcode or None)


def echo(turn: Turn) -> str:
    return f"re {turn.text}"


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Starts a rig, with a handler and the sender's patience."""
    started: list[Rig] = []

    async def begun(handler: Callable[[Turn], Any] = echo, *, timeout: float = 10.0) -> Rig:
        rig = Rig(tmp_path)
        await rig.start(handler, timeout)
        started.append(rig)
        return rig

    yield begun
    for rig in started:
        await rig.stop()
        assert not rig.told(events.Unexpected)


# -- sends ---------------------------------------------------------------------------------------------------


async def sent_again(rig: Rig, fault: Fault) -> None:
    wamid = await rig.emulator.say("Hi")
    await rig.until(lambda: rig.states() == ["waiting"], "the pause")
    pause = await rig.pause()
    assert pause == (2000 if fault.name == "rate_limited_wait" else 750)
    await rig.forward(pause - 1)
    assert (rig.sends(), await rig.pause()) == (1, 1)
    await rig.forward(1)
    await rig.settled(wamid)
    assert (rig.states(), rig.sends(), rig.shown()) == (["waiting", "sent"], 2, ["re Hi"])


async def in_doubt(rig: Rig, fault: Fault) -> None:
    wamid = await rig.emulator.say("Hi")
    await rig.until(lambda: rig.states() == ["unknown"], "doubt")
    assert await rig.pause() == UNKNOWN_WAIT_MS
    await rig.forward(UNKNOWN_WAIT_MS)
    await rig.settled(wamid)
    assert (rig.states(), rig.shown()) == (["unknown", "sent"], ["re Hi"])


async def settled_by_a_status(rig: Rig, fault: Fault) -> None:
    wamid = await rig.emulator.say("Hi")
    await rig.settled(wamid)
    await rig.forward(5 * UNKNOWN_WAIT_MS)
    await rig.settled(await rig.emulator.say("again"))
    assert rig.shown() == ["re Hi", "re again"]
    (part,) = await rig.parts(wamid)
    assert (part.state, part.wamid) == ("sent", rig.emulator.messages()[1].id)


async def failed_at_once(rig: Rig, fault: Fault) -> None:
    first = await rig.emulator.say("Hi")
    await rig.settled(first)
    await rig.settled(await rig.emulator.say("again"))
    assert (rig.states(), rig.sends(), rig.shown()) == (["failed", "sent"], 2, ["re again"])
    failed = rig.told(events.PartSettled)[0]
    assert fault.refusal is not None
    assert (failed.code, failed.remedy) == (fault.refusal.code, rig.meaning(fault).remedy)


async def number_paused(rig: Rig, fault: Fault) -> None:
    rig.emulator.arm(fault.name)  # it takes more than one try
    first = await rig.emulator.say("Hi")
    await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
    second = await rig.emulator.say("And?")
    await rig.until(lambda: len(rig.told(events.MessageReceived)) == 2, "the second message")
    for tries in (1, 2):
        await rig.until(lambda tries=tries: rig.sends() == tries, "a try")
        assert await rig.pause() == PAUSE_MS
        await rig.forward(PAUSE_MS)
    await rig.settled(first)
    await rig.settled(second)
    assert (rig.states(), rig.shown()) == (["sent", "sent"], ["re Hi", "re And?"])
    assert fault.refusal is not None
    (alarm,) = rig.told(events.NumberPaused)
    assert (alarm.code, alarm.remedy) == (fault.refusal.code, rig.meaning(fault).remedy)
    assert len(rig.told(events.NumberResumed)) == 1


async def failed_later(rig: Rig, fault: Fault) -> None:
    wamid = await rig.emulator.say("Hi")
    await rig.until(lambda: rig.told(events.ReceiptSeen), "the receipt")
    (receipt,) = rig.told(events.ReceiptSeen)
    assert fault.refusal is not None
    assert (receipt.status, receipt.code) == ("failed", fault.refusal.code)
    assert receipt.remedy == rig.meaning(fault).remedy
    await rig.settled(wamid)
    (part,) = await rig.parts(wamid)
    assert (part.receipt, rig.states(), rig.sends()) == ("failed", ["sent"], 1)


async def waited_for(rig: Rig, fault: Fault) -> None:
    await rig.settled(await rig.emulator.say("Hi"))
    assert (rig.states(), rig.sends(), rig.shown()) == (["sent"], 1, ["re Hi"])


MEET: dict[Does, Callable[[Rig, Fault], Awaitable[None]]] = {
    Does.AGAIN: sent_again,
    Does.DOUBT: in_doubt,
    Does.SETTLED: settled_by_a_status,
    Does.FAILS: failed_at_once,
    Does.PAUSES: number_paused,
    Does.LATER: failed_later,
    Does.WAITS: waited_for,
}


@pytest.mark.parametrize("name", PRESETS)
async def test_what_the_host_does_about_a_send(begin: Callable[..., Awaitable[Rig]], name: str) -> None:
    """Each fault has a row, and the host does what stands there."""
    rig = await begin(timeout=PATIENCE if name.startswith("timeout") else 10.0)
    rig.emulator.arm(name)
    await MEET[SENDS[name]](rig, PRESETS[name])


def test_every_row_is_about_a_fault() -> None:
    """Nothing stands in the table that cannot be armed."""
    assert set(SENDS) == set(PRESETS)


# -- other calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANYWHERE)
async def test_a_reply_goes_out_whatever_becomes_of_the_read_receipt(
    begin: Callable[..., Awaitable[Rig]], name: str
) -> None:
    """Blue ticks and typing are nobody's trouble: no pause, no repeat, no failure."""
    rig = await begin(timeout=PATIENCE if name == "timeout" else 10.0)
    rig.emulator.arm(name, call="read")
    await rig.settled(await rig.emulator.say("Hi"))
    assert (rig.states(), rig.shown()) == (["sent"], ["re Hi"])
    assert not rig.told(events.NumberPaused)


@pytest.mark.parametrize("name", ANYWHERE)
async def test_an_upload_is_repeated_where_the_send_would_be(
    begin: Callable[..., Awaitable[Rig]], name: str, tmp_path: Path
) -> None:
    """Nothing was said yet, so there is no doubt: what passes is tried again, the rest fails or pauses the number."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    rig = await begin(lambda turn: Image(path=str(picture)), timeout=PATIENCE if name == "timeout" else 10.0)
    rig.emulator.arm(name, call="media")
    wamid = await rig.emulator.say("Hi")
    does = SENDS[name]
    if does is Does.FAILS:
        await rig.settled(wamid)
        assert (rig.states(), rig.sends()) == (["failed"], 0)
        return
    if does is Does.PAUSES:
        await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
    else:
        await rig.until(lambda: rig.states() == ["waiting"], "the pause")
    await rig.forward(await rig.pause())
    await rig.settled(wamid)
    assert (rig.states()[-1], rig.sends(), len(rig.shown())) == ("sent", 1, 1)


@pytest.mark.parametrize("call", ["media", "download"])
@pytest.mark.parametrize("name", ANYWHERE)
async def test_a_file_that_cannot_be_opened_says_why(
    begin: Callable[..., Awaitable[Rig]], name: str, call: str
) -> None:
    """``turn.open`` raises an error that a bot can show; the bot's answer goes out."""
    why: list[str] = []

    async def reply(turn: Turn) -> str:
        assert turn.message.attachment is not None
        try:
            await turn.open(turn.message.attachment)
        except AerobotError as error:
            why.append(error.message)
            return "send it again, please"
        return "opened"

    rig = await begin(reply, timeout=PATIENCE if name == "timeout" else 10.0)
    rig.emulator.arm(name, 9, call=call)  # aiohttp itself repeats a GET whose kept connection was reset
    await rig.settled(rig.emulator.send_file(b"picture", "image/jpeg"))
    rig.emulator.meta.faults.disarm()
    await rig.settled(rig.emulator.send_file(b"picture", "image/jpeg"))
    assert rig.shown() == ["send it again, please", "opened"]
    refusal = PRESETS[name].refusal
    assert (str(refusal.code) if refusal is not None and call == "media" else "") in why[0]
    assert why[0]


@pytest.mark.parametrize("name", [name for name in ANYWHERE if name != "timeout"])
async def test_a_question_about_the_set_up_is_repeated_or_explained(
    begin: Callable[..., Awaitable[Rig]], name: str
) -> None:
    """A read that may pass is asked again by itself; what will not is an error with a remedy."""
    rig = await begin()
    mine = rig.emulator.credentials
    asleep: list[float] = []
    with GraphAdmin(
        rig.emulator.graph_url,
        "v25.0",
        access_token=Secret(mine.access_token),
        app_secret=Secret(mine.app_secret),
        app_id=mine.app_id,
        clock=lambda: 0.0,
        sleep=asleep.append,
    ) as admin:
        rig.emulator.arm(name, call="settings")
        ask = partial(admin.number, mine.phone_number_id)
        if SENDS[name] in (Does.AGAIN, Does.DOUBT):
            assert (await asyncio.to_thread(ask)).id == mine.phone_number_id
            assert len(asleep) == 1
        else:
            with pytest.raises(AerobotError) as refused:
                await asyncio.to_thread(ask)
            assert refused.value.message
            assert refused.value.hint


# -- recipients that always meet one -------------------------------------------------------------------------


async def test_a_recipient_that_is_always_too_much(begin: Callable[..., Awaitable[Rig]]) -> None:
    """+1 555 913 0429 is refused each time, after longer and longer pauses; nobody else waits."""
    rig = await begin()
    slow = rig.emulator.add_phone("+1 555 913 0429", "Slow")
    await rig.emulator.say("Hi", phone=slow)
    pauses = []
    for _ in range(4):
        await rig.until(lambda: len(rig.states()) == len(pauses) + 1, "a refusal")
        pauses.append(await rig.pause())
        await rig.forward(pauses[-1])
    assert pauses == [750, 1500, 3000, 6000]
    await rig.settled(await rig.emulator.say("Hi"))
    assert (rig.shown(), rig.shown(slow)) == (["re Hi"], [])


async def test_a_recipient_whom_nothing_reaches(begin: Callable[..., Awaitable[Rig]]) -> None:
    """+1 555 913 1026 fails later, with 131026 and what to do, for each message."""
    rig = await begin()
    lost = rig.emulator.add_phone("+1 555 913 1026", "Lost")
    for text in ("Hi", "Hello?"):
        await rig.settled(await rig.emulator.say(text, phone=lost))
    await rig.until(lambda: len(rig.told(events.ReceiptSeen)) == 2, "both receipts")
    assert [(receipt.status, receipt.code) for receipt in rig.told(events.ReceiptSeen)] == [("failed", 131026)] * 2


async def test_a_recipient_whose_line_breaks(begin: Callable[..., Awaitable[Rig]]) -> None:
    """+1 555 800 0104 resets the connection after each send, and still gets each message once."""
    rig = await begin()
    broken = rig.emulator.add_phone("+1 555 800 0104", "Broken")
    for text in ("1", "2"):
        await rig.settled(await rig.emulator.say(text, phone=broken))
    await rig.forward(2 * UNKNOWN_WAIT_MS)
    await rig.settled(await rig.emulator.say("3", phone=broken))
    assert rig.shown(broken) == ["re 1", "re 2", "re 3"]


async def test_a_recipient_who_blocks_the_number_does_not_silence_the_others(
    begin: Callable[..., Awaitable[Rig]],
) -> None:
    """+1 555 900 0190 pauses the number each time; the next probe is somebody else's, and they are answered."""
    rig = await begin()
    stuck = rig.emulator.add_phone("+1 555 900 0190", "Stuck")
    await rig.emulator.say("Hi", phone=stuck)
    await rig.until(lambda: rig.told(events.NumberPaused), "the alarm")
    await rig.idle()
    wamid = await rig.emulator.say("Hi")
    await rig.until(lambda: len(rig.told(events.MessageReceived)) == 2, "the other message")
    for tries in (2, 3):
        if not rig.shown():
            await rig.forward(await rig.pause())
            await rig.until(lambda tries=tries: rig.sends() >= tries, "a try")
    await rig.settled(wamid)
    assert (rig.shown(), rig.shown(stuck)) == (["re Hi"], [])


# -- too fast ------------------------------------------------------------------------------------------------


async def test_the_pair_limit_delays_and_loses_nothing(begin: Callable[..., Awaitable[Rig]]) -> None:
    """45 messages to one user go at once; the rest as Meta lets them, in order, each once."""
    rig = await begin(lambda turn: [Text(str(number)) for number in range(48)])
    rig.emulator.settle(pair_limit=True)
    wamid = await rig.emulator.say("Hi")
    await rig.until(lambda: rig.states().count("sent") == 45 and "waiting" in rig.states(), "the limit")
    while rig.states().count("sent") < 48:
        seen = len(rig.states())
        await rig.forward(await rig.pause())
        await rig.until(lambda seen=seen: len(rig.states()) > seen, "another try")
    await rig.settled(wamid)
    assert rig.shown() == [str(number) for number in range(48)]
    assert {event.code for event in rig.told(events.PartSettled) if event.state == "waiting"} == {131056}


async def test_the_throughput_limit_delays_and_loses_nothing(begin: Callable[..., Awaitable[Rig]]) -> None:
    """Of 100 people at once 80 are answered in that second; the others a moment later, each once."""
    rig = await begin()
    rig.emulator.settle(throughput_limit=True)
    people = [rig.emulator.add_phone(f"1555014{number:04}", f"P{number}") for number in range(100)]
    wamids = [await rig.emulator.say("Hi", phone=phone) for phone in people]
    await rig.until(lambda: len(rig.states()) == 100, "one try for everybody")
    assert (rig.states().count("sent"), rig.states().count("waiting")) == (80, 20)
    await rig.forward(await rig.pause())
    for wamid in wamids:
        await rig.settled(wamid)
    assert [rig.shown(phone) for phone in people] == [["re Hi"]] * 100


# -- the document --------------------------------------------------------------------------------------------


def row(name: str) -> str:
    """A fault's line in docs/faults.md."""
    fault, does = PRESETS[name], SENDS[name]
    code, what, remedy = "", fault.meaning.rstrip("."), ""
    if fault.refusal is not None:
        code = str(fault.refusal.code) + (f"/{fault.refusal.subcode}" if fault.refusal.subcode else "")
        what = ("taken, then `failed`: " if fault.later else f"{fault.refusal.status}: ") + what
        remedy = graph.meaning(fault.refusal.code, fault.refusal.subcode or None).remedy
    told = remedy if does in (Does.FAILS, Does.PAUSES, Does.LATER) else ""
    return f"| `{name}` | {code} | {what} | {does} | {told} |"


def test_the_page_has_every_fault_and_what_the_host_does() -> None:
    """docs/faults.md has a line for each fault, the same as is tested here, and each word is explained."""
    text = PAGE.read_text("utf-8")
    sends = text.partition("## Sends")[2].partition("\n## ")[0]
    assert [line for line in sends.splitlines() if line.startswith("| `")] == [row(name) for name in PRESETS]
    assert [word for word in Does if f"- **{word}**: " not in sends] == []


def test_the_recipients_on_the_page_meet_what_it_says() -> None:
    """The recipients that docs/faults.md names are those that the emulator knows."""
    text = PAGE.read_text("utf-8")
    named = {"15559130429": "rate_limited", "15559131026": "undeliverable", "15558000104": "reset_sent"}
    for digits, fault in named.items():
        assert SPECIAL[digits] == fault
        assert f"+1 {digits[1:4]} {digits[4:7]} {digits[7:]}" in text
