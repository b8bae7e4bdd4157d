"""The fixtures for people's own bots: used as people use them, and run by pytest with every plugin they may have."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from aerobot import events
from aerobot.bot import (
    Buttons,
    Contact,
    Image,
    Link,
    List,
    Reaction,
    Router,
    Section,
    Template,
    Turn,
)
from aerobot.errors import AerobotError
from aerobot.testing import Bot, Graph, HostedHere, Phone, Phones, World
from aerobot.testing.choice import loaded

pytest_plugins = ["aerobot.testing"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
PICTURE = ROOT / "docs" / "sandbox.png"

router = Router()


@router.on("Hi")
def hello(turn: Turn) -> Buttons:
    return Buttons(f"Hi {turn.conversation.name}", ["Yes", "No"], header="Acme", footer="since 1987")


@router.on("list")
def shown_list(_: Turn) -> List:
    return List("Which?", "Choose", [Section("Red", ["Guji"]), Section("Blue", ["Yirga"])])


@router.on("kinds")
def kinds(turn: Turn) -> Iterable[object]:
    return (
        Image(path=str(PICTURE), caption="the sandbox"),
        Link("Read on", "Open", "https://example.com"),
        Contact("Ann Bee", "+31 6 1234"),
        Reaction(turn.message.id, "👍"),
        Template("hello_world", "en_US"),
    )


@router.on("two")
def two(_: Turn) -> list[str]:
    return ["one", "two"]


@router.on("crash")
def crash(turn: Turn) -> str:
    return {"a": "b"}[turn.text]


@router.on("psst")
def silent(_: Turn) -> None:
    return None


@router.kind("image", "audio", "document", "sticker")
async def file(turn: Turn) -> str:
    attachment = turn.message.attachment
    assert attachment is not None
    try:
        content = await turn.open(attachment)
        return f"{turn.text} {content[:2].hex()} {len(content)}"
    except AerobotError as error:
        return error.message


@router.otherwise
def anything(turn: Turn) -> str:
    message = turn.message
    more = [message.choice, message.context_id and "quoting", message.forwarded and "forwarded"]
    return " ".join([message.kind, turn.text, *(str(one) for one in more if one), "ad" * bool(message.referral)])


@pytest.fixture
def aerobot_bot() -> object:
    return router


# -- what a person does ---------------------------------------------------------------------------------------


async def test_what_a_person_sends_reaches_the_bot(phone: Phone) -> None:
    """Each act on the phone is the message that WhatsApp makes of it."""
    wamid = await phone.send("good morning")
    first = await phone.reply()
    assert first.text == "text good morning "
    said = {
        "text yes quoting ": phone.send("yes", reply_to=first),
        "text news forwarded ": phone.send("news", forwarded=True),
        "text from an ad ad": phone.send("from an ad", from_ad=True),
        "location [Location: 52.36, 4.87] ": phone.send_location(52.36, 4.87, name="Vondelpark"),
        "contacts [Contact: Ann Bee] ": phone.send_contact("Ann Bee", "+31 6 1234"),
        "reaction [Reaction: 👍] ": phone.react("👍"),
        "reaction [Reaction removed] ": phone.react("", to=first),
        "order [Order: 1 items] ": phone.act("order"),
    }
    for heard, sending in said.items():
        assert await sending != wamid
        assert (await phone.reply()).text == heard


async def test_the_bot_opens_the_very_bytes(phone: Phone) -> None:
    """A file is what the test made of it; without any, a small real one."""
    await phone.send_image(b"\x01\x02", caption="Look")
    assert (await phone.reply()).text == "Look [Image] 0102 2"
    await phone.send_voice(b"\x03")
    assert (await phone.reply()).text == "[Voice message] 03 1"
    await phone.send_document(b"\x04", filename="a.pdf")
    assert (await phone.reply()).text == "[Document: a.pdf] 04 1"
    await phone.send_file(b"\x05", "image/webp", kind="sticker")
    assert (await phone.reply()).text == "[Sticker] 05 1"
    for sending in (phone.send_image, phone.send_voice, phone.send_document):
        await sending()
        assert int((await phone.reply()).text.split()[-1]) > 100


async def test_what_can_be_tapped_can_be_tapped(phone: Phone) -> None:
    """Buttons and rows by their titles, wherever they stand; what is not there is named with what is."""
    await phone.send("Hi")
    buttons = await phone.reply()
    await phone.send("list")
    await phone.reply()
    await phone.tap("Yirga")
    assert (await phone.reply()).text == "list_reply Yirga Yirga quoting "
    await phone.tap("Yes")
    assert (await phone.reply()).text == "button_reply Yes Yes quoting "
    with pytest.raises(AssertionError, match="cannot tap 'Perhaps'; there is 'Yes', 'No'"):
        await phone.tap("Perhaps", on=buttons)


async def test_nothing_to_tap_or_to_react_to(phone: Phone) -> None:
    """In an empty chat both say so."""
    with pytest.raises(AssertionError, match="nothing to tap"):
        await phone.tap("Yes")
    with pytest.raises(AssertionError, match="said nothing to Alex"):
        await phone.react("👍")
    with pytest.raises(ValueError, match="There is no message kind 'telepathy'"):
        await phone.act("telepathy")


# -- what comes back ------------------------------------------------------------------------------------------


async def test_a_reply_is_what_the_phone_shows(phone: Phone) -> None:
    """Words, buttons, rows, header and footer, Meta's own object, and the tick that it has."""
    await phone.send("Hi")
    reply = await phone.reply()
    assert (reply.type, reply.text, reply.header, reply.footer) == (
        "interactive", "Hi Alex Rivera", "Acme", "since 1987",
    )  # fmt: skip
    assert (reply.buttons, reply.rows, reply.media) == (("Yes", "No"), (), b"")
    assert reply.content["action"]["buttons"][0] == {"type": "reply", "reply": {"id": "Yes", "title": "Yes"}}
    await reply.reaches("read")
    assert (reply.status, reply.error) == ("read", None)
    await phone.send("list")
    assert (await phone.reply()).rows == ("Guji", "Yirga")


async def test_every_kind_of_reply(phone: Phone) -> None:
    """Media as bytes, links as buttons, reactions with what they are about, templates filled in."""
    wamid = await phone.send("kinds")
    image, link, contact, reaction, template = await phone.replies(5)
    assert (image.type, image.text, image.media) == ("image", "the sandbox", PICTURE.read_bytes())
    assert (link.text, link.buttons) == ("Read on", ("Open",))
    assert (contact.type, contact.text) == ("contacts", "Ann Bee")
    assert (reaction.type, reaction.text, reaction.quotes) == ("reaction", "👍", wamid)
    assert (template.type, "Welcome and congratulations" in template.text) == ("template", True)


async def test_replies_come_in_order_and_each_once(phone: Phone) -> None:
    """What was taken is not given again; all of it stays in the chat."""
    await phone.send("two")
    await phone.send("Hi")
    assert [reply.text for reply in await phone.replies(3)] == ["one", "two", "Hi Alex Rivera"]
    assert [reply.text for reply in phone.received] == ["one", "two", "Hi Alex Rivera"]
    with pytest.raises(AssertionError, match="0 of 1 replies came"):
        await phone.replies(1)


async def test_two_people_have_two_chats(phones: Phones, phone: Phone) -> None:
    """Each phone sees its own; one with a username alone has no number."""
    sam, ben = phones.add("Sam", username="@sam.k"), phones.add("Ben", "+31 6 1234 5678")
    for person in (sam, ben, phone):
        await person.send("Hi")
    assert [(await person.reply()).text for person in (phone, ben, sam)] == ["Hi Alex Rivera", "Hi Ben", "Hi Sam"]
    assert (sam.number, ben.number, phone.number) == ("", "+31612345678", "+15550123456")
    assert phones.add("Eve").number != phones.add("Mallory").number


# -- waits that fail ------------------------------------------------------------------------------------------


async def test_silence_is_known_not_waited_for(phone: Phone) -> None:
    """A bot that says nothing is silent as soon as the host is done, however long one would have waited."""
    await phone.send("psst")
    await phone.silence(timeout=3600)
    await phone.act("edit", text="never mind")
    await phone.silence(timeout=3600)
    with pytest.raises(AssertionError, match="the host is done with all that was sent") as told:
        await phone.reply(timeout=3600)
    assert "turn ignored(silent)" in str(told.value)
    assert "--> text         psst" in str(told.value)


async def test_a_reply_is_no_silence(phone: Phone) -> None:
    """Unless the test took it."""
    await phone.send("two")
    with pytest.raises(AssertionError, match="The bot was not silent, it said 'one' to Alex Rivera"):
        await phone.silence()
    await phone.replies(2)
    await phone.silence()


async def test_a_bot_that_fails_is_shown_with_its_line(phone: Phone) -> None:
    """At once, from a wait for a reply and from a wait for silence."""
    await phone.send("crash")
    with pytest.raises(AssertionError, match="No reply to Alex Rivera: the bot failed") as told:
        await phone.reply(timeout=3600)
    assert re.search(r'test_testing\.py:\d+ in crash\(\)  return \{"a": "b"\}\[turn\.text\]', str(told.value))
    assert "KeyError: 'crash'" in str(told.value)
    with pytest.raises(AssertionError, match="it failed"):
        await phone.silence(timeout=3600)


async def test_nothing_was_sent(phones: Phones, phone: Phone) -> None:
    """A reply to nothing is not waited for."""
    await phone.send("Hi")
    with pytest.raises(AssertionError, match="No reply to Ben, for nothing was sent"):
        await phones.add("Ben").reply(timeout=3600)


WAITING = threading.Event()


def wait(_: Turn) -> str:
    WAITING.wait(20)
    return "done"


class TestSlow:
    """A bot that takes its time."""

    @pytest.fixture
    def aerobot_bot(self) -> object:
        WAITING.clear()
        return wait

    async def test_it_is_named(self, phone: Phone) -> None:
        """A time-out says which line the bot is at; then it may answer."""
        await phone.send("Hi")
        with pytest.raises(AssertionError, match=r"within 1 s(.|\n)*The bot is at test_testing\.py:\d+ wait\(\)"):
            await phone.reply(timeout=1)
        with pytest.raises(AssertionError, match=r"not done with what Alex Rivera sent within 0\.01 s"):
            await phone.silence(timeout=0.01)
        WAITING.set()
        assert (await phone.reply()).text == "done"

    async def test_the_tests_own_loop_goes_on(self, phone: Phone) -> None:
        """While a reply is awaited, other tasks of the test run: here the one that lets the bot answer."""

        async def let_go() -> None:
            await phone.send("Hi")
            WAITING.set()

        reply, _ = await asyncio.gather(phone_after(phone), let_go())
        assert reply == "done"


async def phone_after(phone: Phone) -> str:
    """The reply, awaited once something was sent."""
    while not phone.received and not WAITING.is_set():
        await asyncio.sleep(0)
    return (await phone.reply()).text


async def test_a_tick_that_does_not_come(phone: Phone, emulator: World) -> None:
    """The wait for it says where the message is."""
    emulator.settle(auto_read=False)
    await phone.send("Hi")
    reply = await phone.reply()
    with pytest.raises(AssertionError, match="is delivered, not read"):
        await reply.reaches("read", timeout=0.05)


# -- Meta and the host ----------------------------------------------------------------------------------------


async def test_what_graph_was_asked(phone: Phone, graph: Graph) -> None:
    """Bodies of sends and read receipts, uploads, and any call by path, code or phone."""
    wamid = await phone.send("kinds")
    replies = await phone.replies(5)
    assert [body["type"] for body in graph.messages] == ["image", "interactive", "contacts", "reaction", "template"]
    async with asyncio.timeout(10):
        while not graph.reads:  # asked for beside the answer
            await asyncio.sleep(0.01)
    assert graph.reads[0]["message_id"] == wamid
    assert [call.path.rpartition("/")[2] for call in graph.uploads] == ["media"]
    sends = graph.find(path="/messages", code=0, to=phone.number)
    assert [call.wamid for call in sends if not call.is_read] == [reply.wamid for reply in replies]
    assert graph.find(path="/messages", to="+31612345678") == ()
    assert sends[-1].answer["messages"][0]["id"] == replies[-1].wamid


async def test_a_fault_for_one_phone(bot: Bot) -> None:
    """It is met by whom it is for; the host sends again."""
    ben = bot.phones.add("Ben")
    bot.emulator.arm("rate_limited", to=ben)
    for person in (bot.phone, ben):
        await person.send("Hi")
        await person.reply()
    assert [call.to for call in bot.graph.find(code=130429)] == [ben.key]
    async with asyncio.timeout(5):  # the phone has a reply before the host has written down that it was taken
        while len(told := bot.host.told(events.PartSettled)) < 3:
            await asyncio.sleep(0.01)
    assert [event.state for event in told] == ["sent", "waiting", "sent"]


async def test_what_meta_does_not_deliver_is_no_reply(phone: Phone, emulator: World, host: HostedHere) -> None:
    """It is told why, and stands in the chat with Meta's error."""
    emulator.arm("undeliverable")
    await phone.send("Hi")
    with pytest.raises(AssertionError, match="receipt failed, 131026"):
        await phone.reply()
    assert (phone.received[0].status, phone.received[0].error["code"]) == ("failed", 131026)  # type: ignore[index]
    await phone.silence()
    assert host.told(events.ReceiptSeen)[0].code == 131026


async def test_a_fault_that_is_taken_back(phone: Phone, emulator: World) -> None:
    """What is disarmed meets nobody; what there is not is a sentence."""
    emulator.arm("payment")
    emulator.disarm()
    await phone.send("Hi")
    await phone.reply()
    with pytest.raises(ValueError, match="There is no fault 'gremlins'"):
        emulator.arm("gremlins")
    with pytest.raises(ValueError, match="There is no setting 'mood'"):
        emulator.settle(mood="good")


async def test_a_number_that_cannot_send(phone: Phone, emulator: World, host: HostedHere) -> None:
    """A world that is arranged otherwise is met by the host as the real one."""
    emulator.arrange(token="expired")
    await phone.send("Hi")
    with pytest.raises(AssertionError, match="the number is paused, 190"):
        await phone.reply(timeout=2)
    assert [event.code for event in host.told(events.NumberPaused)] == [190]


async def test_a_message_that_meta_does_not_tell(phone: Phone, emulator: World) -> None:
    """Where no webhook goes out, the failing wait says why."""
    emulator.arrange(account_subscribed=False)
    await phone.send("Hi")
    with pytest.raises(
        AssertionError, match=r"within 0\.1 s(.|\n)*webhook message: not_sent the app is not subscribed"
    ):
        await phone.reply(timeout=0.1)


@pytest.mark.parametrize("by", ["1d 1h", 90_000, timedelta(hours=25)])
async def test_the_clock_moves_on(phone: Phone, emulator: World, by: str | float | timedelta) -> None:
    """A message that the bot answers a day later is outside the session window: 131047."""
    before = emulator.clock.now
    emulator.settle(hold=True)
    await phone.send("Hi")
    emulator.clock.advance(by)
    assert emulator.clock.now - before >= timedelta(hours=25)
    assert emulator.release() == 1
    await phone.silence()
    assert phone.received[0].error["code"] == 131047  # type: ignore[index]


@pytest.mark.parametrize("by", ["soon", "25", "1h soon", -1])
async def test_no_time_at_all(emulator: World, by: str | float) -> None:
    """What cannot be understood, or goes back, is a sentence."""
    with pytest.raises(ValueError, match=r"time|forward"):
        emulator.clock.advance(by)


async def test_what_the_host_made_of_a_message(phone: Phone, host: HostedHere, emulator: World) -> None:
    """Its verdict has the message's state and every part; it is reached where Meta reaches it."""
    verdict = await host.verdict(await phone.send("two"))
    assert (verdict.state, [part.said for part in verdict.parts]) == ("answered", ["one", "two"])
    assert [delivery.what for delivery in emulator.deliveries][:1] == ["message"]
    assert emulator.deliveries[0].attempts[0].url == host.webhook_url
    with pytest.raises(AerobotError, match="not done with"):
        await host.verdict("wamid.unknown", timeout=0.01)


class TestSettings:
    """Settings of some tests."""

    @pytest.fixture
    def aerobot_bot(self) -> str:
        return "echo"

    @pytest.fixture
    def aerobot_settings(self) -> dict[str, object]:
        return {"bot.welcome_message": "Welcome!"}

    async def test_they_hold(self, phone: Phone) -> None:
        """The fixture's settings go over the defaults."""
        await phone.send("Hi")
        assert [reply.text for reply in await phone.replies(2)] == ["Welcome!", "Hi"]


# -- clean ----------------------------------------------------------------------------------------------------

COUNTER = """
count = 0
def reply(turn):
    global count
    count += 1
    return f"{count} {turn.conversation.is_new} {len(turn.history)}"
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bot") / "counter_bot.py"
    path.write_text(COUNTER)
    return path


class TestNothingIsLeft:
    """The same test again and again finds the world as new."""

    @pytest.fixture
    def aerobot_bot(self, counter: Path) -> Path:
        return counter

    @pytest.mark.parametrize("time", range(3))
    async def test_of_the_test_before(self, bot: Bot, time: int) -> None:
        """The bot's globals, the conversation, the chat, the clock, faults, settings, Graph's calls: all fresh."""
        assert (bot.phone.received, bot.graph.calls, bot.host.told(events.MessageReceived)) == ((), (), ())
        await bot.phone.send("Hi")
        assert (await bot.phone.reply()).text == "1 True 0"
        bot.emulator.arm("payment", times=9)
        bot.emulator.settle(window="at_once")
        bot.emulator.clock.advance("30d")


def test_a_bots_file_leaves_nothing_in_the_interpreter(counter: Path) -> None:
    """Neither a folder on the path nor a module of its name, unless there was one before."""
    path, before = list(sys.path), ModuleType("counter_bot")
    for known in ({}, {"counter_bot": before}):
        sys.modules.update(known)
        with loaded(str(counter)):
            sys.path.insert(0, str(counter.parent))
            sys.modules["counter_bot"] = ModuleType("counter_bot")
        assert sys.path == path
        assert sys.modules.pop("counter_bot", None) is known.get("counter_bot")


# -- pytest itself --------------------------------------------------------------------------------------------


def blocks() -> dict[str, str]:
    """The files of docs/testing.md, by the name in their first line."""
    found = re.findall(r"```(?:python|ini)\n# ([\w.]+)\n(.*?)```", PAGE, re.DOTALL)
    return dict(found)


def play(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder of its own, with warnings as errors and nothing of this project's configuration."""
    for name, text in files.items():
        (folder / name.replace("_py", ".py").replace("_ini", ".ini")).write_text(text)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "AEROBOT"))}
    command = [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers", "--strict-config", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
"""Without it some versions of pytest-asyncio warn about themselves."""
PLUGINS = {
    "asyncio-auto": ("-p", "no:anyio", "-o", "asyncio_mode=auto", *SCOPE),
    "asyncio-strict": ("-p", "no:anyio", "-o", "asyncio_mode=strict", *SCOPE),
    "none": ("-p", "no:asyncio", "-p", "no:anyio"),
    "anyio": ("-p", "no:asyncio", "-o", "anyio_mode=auto"),
    "both": ("-o", "asyncio_mode=auto", *SCOPE),
    "workers": ("-p", "no:asyncio", "-n", "2"),
}


@pytest.mark.parametrize("plugins", PLUGINS)
def test_the_example_of_the_page_runs(tmp_path: Path, plugins: str) -> None:
    """The files of docs/testing.md pass as they stand, whatever runs async tests, and with several workers."""
    files = blocks()
    assert set(files) == {"bot.py", "conftest.py", "pytest.ini", "test_bot.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if plugins == "anyio":
        pytest.importorskip("anyio")
        only = "\nimport pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
        (tmp_path / "conftest.py").write_text(files["conftest.py"] + only)
    done = play(tmp_path, *PLUGINS[plugins])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{files['test_bot.py'].count('async def test_')} passed" in done.stdout


def test_the_example_is_twenty_lines() -> None:
    """The bot of the page is about as long as promised."""
    assert len([line for line in blocks()["bot.py"].splitlines() if line.strip()]) <= 22


MARKED = """
import asyncio
import pytest

@pytest.mark.asyncio
@pytest.mark.aerobot("echo")
async def test_marked(phone):
    await phone.send("Hi")
    assert (await phone.reply()).text == "Hi"

@pytest.mark.aerobot("echo", settings={"bot.welcome_message": "Welcome!"})
class TestClass:
    async def test_method(self, phone, tmp_path):
        await phone.send(tmp_path.name)
        welcome, answer = await phone.replies(2)
        assert (welcome.text, answer.text) == ("Welcome!", tmp_path.name)
"""
CONFTEST = 'from aerobot.testing import Phone\npytest_plugins = ["aerobot.testing"]\n'


def test_marked_tests_are_left_to_their_plugin(tmp_path: Path) -> None:
    """In strict mode a test with pytest-asyncio's mark is that plugin's, one without is ours; methods too."""
    done = play(tmp_path, "-o", "asyncio_mode=strict", *SCOPE, conftest_py=CONFTEST, test_bot_py=MARKED)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


FOREIGN = """
import pytest

async def test_without_our_fixtures():
    pass
"""


def test_other_peoples_async_tests_are_left_alone(tmp_path: Path) -> None:
    """An async test that uses none of our fixtures is pytest's to judge: without a plugin it fails."""
    done = play(tmp_path, "-p", "no:asyncio", "-p", "no:anyio", conftest_py=CONFTEST, test_foreign_py=FOREIGN)
    assert done.returncode == 1
    assert "async def functions are not natively supported" in done.stdout


BROKEN = 'PRICES = {"Rye": 4}\n\n\ndef reply(turn):\n    return f"{PRICES[turn.text]} euros"\n'
ASKS = 'async def test_price(phone):\n    await phone.send("Spelt")\n    await phone.reply()\n'


def test_a_failing_test_shows_its_own_line_and_the_bots(tmp_path: Path) -> None:
    """Nothing of ours stands in the traceback: the line of the test, then where the bot failed."""
    ini = "[pytest]\naerobot_bot = bot.py\n"
    done = play(
        tmp_path, "-p", "no:asyncio", conftest_py=CONFTEST, bot_py=BROKEN, test_bot_py=ASKS, pytest_ini=ini,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"^>\s+await phone\.reply\(\)$", done.stdout, re.MULTILINE)
    assert 'bot.py:5 in reply()  return f"{PRICES[turn.text]} euros"' in done.stdout
    assert "KeyError: 'Spelt'" in done.stdout
    assert "aerobot/testing/" not in done.stdout


READS = """
async def test_whole(phone):
    await phone.send("Rye")
    assert await phone.reply() == "4"

async def test_all(phone, bot, phones, graph, emulator, host):
    await phone.send("Rye")
    await phone.reply()
    assert phone.received == (bot, phones, graph, emulator, host)
"""


def test_a_failed_assertion_is_short(tmp_path: Path) -> None:
    """Replies and fixtures are shown as what a person sees of them, and a reply is no text."""
    ini = "[pytest]\naerobot_bot = bot.py\n"
    done = play(
        tmp_path, "-p", "no:asyncio", conftest_py=CONFTEST, bot_py=BROKEN, test_bot_py=READS, pytest_ini=ini,
    )  # fmt: skip
    assert "AssertionError: assert <Reply text '4 euros'> == '4'" in done.stdout
    assert "A reply is no text: compare reply.text." in done.stdout
    assert "At index 0 diff: <Reply text '4 euros'> != <Bot with phone, phones, graph, emulator, host>" in done.stdout
    assert "object at 0x" not in done.stdout


def test_the_marker_is_documented(tmp_path: Path) -> None:
    """pytest --markers says what it takes."""
    done = play(tmp_path, "-p", "no:asyncio", "--markers", conftest_py=CONFTEST)
    assert "@pytest.mark.aerobot(bot, settings={}): the bot of this test" in done.stdout
    assert "go over those of aerobot.toml" in done.stdout


async def test_how_a_reply_is_shown(phone: Phone, graph: Graph) -> None:
    """Its type, its words cut short, what can be tapped; a call by its method, path and outcome."""
    await phone.send("Hi")
    assert repr(await phone.reply()) == "<Reply buttons 'Hi Alex Rivera' ('Yes', 'No')>"
    await phone.send("list")
    assert repr(await phone.reply()) == "<Reply list 'Which?' ('Guji', 'Yirga')>"
    await phone.send("long " * 60)
    assert len(repr(await phone.reply())) < 80
    assert re.fullmatch(r"<Call POST /v\d+\.0/\d+/messages 200>", repr(graph.find(path="/messages")[-1]))


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("", "No bot is chosen."),
        ("bread.py", "There is no bread.py in "),
        ("no_such_module:reply", "no_such_module cannot be loaded: ModuleNotFoundError"),
        ("ecco", 'There is no engine "ecco"'),
    ],
)
def test_a_bot_that_is_not_there(tmp_path: Path, chosen: str, words: str) -> None:
    """What is wrong with the choice is a sentence with a remedy, not a traceback."""
    ini = f"[pytest]\naerobot_bot = {chosen}\n"
    done = play(tmp_path, "-p", "no:asyncio", conftest_py=CONFTEST, test_bot_py=ASKS, pytest_ini=ini)
    assert words in done.stdout
    assert "Traceback" not in done.stdout
    assert "1 error" in done.stdout


def test_who_only_runs_bots_needs_no_pytest() -> None:
    """Neither aerobot nor its commands import pytest."""
    code = (
        "import sys, aerobot.cli.app as app, aerobot.runtime.host; app.assembled(); assert 'pytest' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
