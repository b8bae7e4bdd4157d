"""People's own files as engines: every form of handler, errors with their line, reloading on save."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from aerobot.bot import Conversation, Message, Turn
from aerobot.engine import EngineError, choose
from aerobot.engine.python import Python
from aerobot.errors import ConfigError


def turn(text: str = "Hi", turn_id: int = 1) -> Turn:
    message = Message(id="m", kind="text", text=text)
    return Turn(id=turn_id, messages=(message,), conversation=Conversation(id=1, bot_id="bt"))


@pytest.fixture(autouse=True)
def own_imports() -> Iterator[None]:
    """Bots put their folder on the path and themselves among the modules: both as before afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


class Shop:
    """A folder with a bot in it, and engines that are closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reloads: list[str | None] = []
        self._engines: list[Python] = []

    def write(self, source: str, name: str = "bot.py") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
        return path

    async def start(self, target: str = "bot.py", *, reload: bool = False) -> Python:
        engine = Python(target, folder=self.folder, reload=reload)
        engine.on_reload = self.reloads.append
        await engine.start()
        self._engines.append(engine)
        return engine

    async def bot(self, source: str) -> Python:
        self.write(source)
        return await self.start()

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(8):
            while not holds():
                await asyncio.sleep(0.01)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    await shop.close()


async def said(engine: Python, text: str = "Hi", turn_id: int = 1) -> list[str]:
    return [reply.said for reply in await engine.reply(turn(text, turn_id))]


# -- every form of handler -----------------------------------------------------------------------------------

FORMS = {
    "sync": "def reply(turn): return f'{turn.text}!'",
    "async": "async def reply(turn): return f'{turn.text}!'",
    "generator": "def reply(turn):\n    yield f'{turn.text}!'",
    "async generator": "async def reply(turn):\n    yield f'{turn.text}!'",
    "lambda": "reply = lambda turn: [f'{turn.text}!']",
    "partial": (
        "import functools\nasync def say(mark, turn): return turn.text + mark\nreply = functools.partial(say, '!')"
    ),
    "callable object": (
        "class Bot:\n    async def __call__(self, turn): return turn.text + '!'\nreply = Bot()"
    ),
    "sync wrapper of async": (
        "import functools\nasync def say(turn): return turn.text + '!'\n"
        "@functools.wraps(say)\ndef reply(turn): return say(turn)"
    ),
    "wrapper that runs async itself": (
        "import asyncio, functools\nasync def say(turn): return turn.text + '!'\n"
        "@functools.wraps(say)\ndef reply(turn): return asyncio.run(say(turn))"
    ),
    "sync that returns an async generator": (
        "async def say(turn):\n    yield turn.text + '!'\ndef reply(turn): return say(turn)"
    ),
    "router": (
        "from aerobot.bot import Router\nr = Router()\n@r.otherwise\nasync def any(turn): return turn.text + '!'"
    ),
    "router with a generator": (
        "from aerobot.bot import Router\nr = Router()\n@r.otherwise\ndef any(turn):\n    yield turn.text + '!'"
    ),
}


@pytest.mark.parametrize("source", FORMS.values(), ids=FORMS.keys())
async def test_a_handler_may_have_any_form(shop: Shop, source: str) -> None:
    """Sync or async, function, generator, object or router: it answers."""
    engine = await shop.bot(source)
    assert await said(engine) == ["Hi!"]
    assert engine.doing(1) == ""


@pytest.mark.parametrize("source", ["def reply(turn): pass", "from aerobot.bot import Router\nr = Router()"])
async def test_a_handler_may_say_nothing(shop: Shop, source: str) -> None:
    """Silence is allowed, and so is a router without a rule that fits."""
    assert await said(await shop.bot(source)) == []


async def test_reply_comes_before_a_router(shop: Shop) -> None:
    """Where a file has both, ``reply`` is the one that was named by the convention."""
    source = "from aerobot.bot import Router\nrouter = Router()\ndef reply(turn): return 'reply'"
    assert await said(await shop.bot(source)) == ["reply"]


async def test_another_name_in_the_file(shop: Shop) -> None:
    """``bot.py:name``, a function or a router."""
    shop.write("def reply(turn): return 'reply'\ndef other(turn): return 'other'\nthing = 3")
    assert await said(await shop.start("bot.py:other")) == ["other"]
    for name in ("missing", "thing"):
        with pytest.raises(ConfigError, match=name):
            await shop.start(f"bot.py:{name}")


async def test_a_module_that_can_be_imported(shop: Shop) -> None:
    """``module:name``, from the folder or installed."""
    shop.write("def answer(turn): return 'from the module'", "acme_pkg/handlers.py")
    shop.write("", "acme_pkg/__init__.py")
    engine = await shop.start("acme_pkg.handlers:answer")
    assert await said(engine) == ["from the module"]
    with pytest.raises(ConfigError, match="no_such_module_anywhere"):
        await shop.start("no_such_module_anywhere:reply")


async def test_handlers_share_what_their_module_holds(shop: Shop) -> None:
    """Many turns at once run beside each other; a slow sync handler holds nobody up."""
    engine = await shop.bot(
        "import time, threading\nbarrier = threading.Barrier(8, timeout=5)\n"
        "def reply(turn):\n    barrier.wait()\n    return turn.text"
    )
    done = await asyncio.gather(*(said(engine, str(n), n) for n in range(8)))
    assert done == [[str(n)] for n in range(8)]


async def test_peoples_code_never_runs_on_the_hosts_loop(shop: Shop) -> None:
    """Neither sync nor async handlers: whatever they do, webhooks are received."""
    shop.write("import threading\ndef a(turn): return threading.current_thread().name")
    shop.write("import threading\nasync def b(turn): return threading.current_thread().name", "b.py")
    here = threading.current_thread().name
    assert here not in await said(await shop.start("bot.py:a"))
    assert here not in await said(await shop.start("b.py:b"))


# -- what goes wrong -----------------------------------------------------------------------------------------

FAILING = {
    "sync": ("def reply(turn):\n    raise ValueError('no')", "bot.py:2", "ValueError: no"),
    "async": ("async def reply(turn):\n    raise ValueError('no')", "bot.py:2", "ValueError: no"),
    "generator": ("def reply(turn):\n    yield 'a'\n    raise ValueError('no')", "bot.py:3", "ValueError: no"),
    "async generator": ("async def reply(turn):\n    yield 'a'\n    1 / 0", "bot.py:3", "ZeroDivisionError"),
    "deep": ("import json\ndef reply(turn):\n    return json.loads('{')", "bot.py:3", "JSONDecodeError"),
    "a reply out of bounds": (
        "from aerobot.bot import Buttons\ndef reply(turn):\n    return Buttons('?', ['x' * 21])", "bot.py:3", "20",
    ),
    "no reply at all": ("def reply(turn):\n    return 42", "", "int"),
    "wrong signature": ("def reply():\n    return 42", "", "argument"),
    "exit": ("import sys\ndef reply(turn):\n    sys.exit(3)", "bot.py:3", "SystemExit"),
    "async exit": ("import sys\nasync def reply(turn):\n    sys.exit(3)", "bot.py:3", "SystemExit"),
    "async interrupt": ("async def reply(turn):\n    raise KeyboardInterrupt", "bot.py:2", "KeyboardInterrupt"),
    "async generator exit": ("async def reply(turn):\n    raise GeneratorExit", "bot.py:2", "GeneratorExit"),
    "next of nothing": ("def reply(turn):\n    return next(iter([]))", "bot.py:2", "StopIteration"),
    "cancelled": ("import asyncio\ndef reply(turn):\n    raise asyncio.CancelledError", "bot.py:3", "Cancelled"),
    "async cancelled": (
        "import asyncio\nasync def reply(turn):\n    raise asyncio.CancelledError", "bot.py:3", "Cancelled",
    ),
    "in a router": (
        "from aerobot.bot import Router\nr = Router()\n@r.otherwise\ndef x(turn):\n    raise KeyError('k')",
        "bot.py:5",
        "KeyError",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "where", "words"), FAILING.values(), ids=FAILING.keys())
async def test_what_a_handler_raises_is_an_engine_error_with_its_line(
    shop: Shop, source: str, where: str, words: str
) -> None:
    """Whatever it is: the operator gets file, line and words, and the engine goes on."""
    engine = await shop.bot(source)
    for _ in range(2):
        async with asyncio.timeout(3):
            with pytest.raises(EngineError) as caught:
                await engine.reply(turn())
        assert caught.value.where == where
        assert words in caught.value.message


async def test_a_handler_that_ends_its_process_does_not_end_the_others(shop: Shop) -> None:
    """After ``sys.exit()`` in one async handler the next one is answered."""
    engine = await shop.bot("import sys\nasync def reply(turn):\n    if turn.text == 'x': sys.exit()\n    return 'ok'")
    with pytest.raises(EngineError):
        await engine.reply(turn("x"))
    async with asyncio.timeout(3):
        assert await said(engine, "y") == ["ok"]


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nseen = []\nasync def reply(turn):\n    try:\n        await asyncio.sleep(30)\n"
        "    except asyncio.CancelledError:\n        seen.append(1)\n        raise",
        "import asyncio\nseen = []\nasync def reply(turn):\n    try:\n        yield 'a'\n"
        "        await asyncio.sleep(30)\n    finally:\n        seen.append(1)",
    ],
    ids=["async", "async generator"],
)
async def test_a_handler_that_is_cancelled_learns_it(shop: Shop, source: str) -> None:
    """When its time is over an async handler is cancelled for real, and that is no error of its own."""
    engine = await shop.bot(source)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await engine.reply(turn())
    await shop.until(lambda: sys.modules["bot"].seen == [1])


BROKEN = {
    "a syntax error": ("def reply(turn)\n    return 1", "SyntaxError", "bot.py:1"),
    "an indentation error": ("def reply(turn):\nreturn 1", "IndentationError", "bot.py:2"),
    "a name error": ("x = 1\ny = nothing\ndef reply(turn): pass", "NameError", "bot.py:2"),
    "an import error": ("import not_there_at_all\ndef reply(turn): pass", "not_there_at_all", "bot.py:1"),
    "an exit": ("import sys\nsys.exit(1)", "SystemExit", "bot.py:2"),
    "a NUL": ("def reply(turn): pass\0", "null bytes", ""),
    "nothing to call": ("x = 1", "reply(turn)", "def reply"),
}


@pytest.mark.parametrize(("source", "words", "hint"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_bot_that_cannot_be_loaded(shop: Shop, source: str, words: str, hint: str) -> None:
    """``ConfigError`` says what is wrong, and where to look."""
    shop.write(source)
    with pytest.raises(ConfigError) as caught:
        await shop.start()
    assert words in caught.value.message
    assert hint in caught.value.hint


async def test_a_syntax_error_in_a_module_of_the_bots(shop: Shop) -> None:
    """The line that is wrong is named, not the line that imports it."""
    shop.write("x = 1\ny = (", "helping_hand.py")
    shop.write("import helping_hand\ndef reply(turn): pass")
    with pytest.raises(ConfigError) as caught:
        await shop.start()
    assert "helping_hand.py:2" in caught.value.hint


async def test_a_file_that_is_not_there(shop: Shop) -> None:
    """The whole path is named."""
    with pytest.raises(ConfigError, match=str(shop.folder)):
        await shop.start("nowhere.py")


@pytest.mark.parametrize("name", ["", "ecko", "python"])
def test_an_unknown_engine_lists_the_choices(name: str, tmp_path: Path) -> None:
    """A live number never gets an echo by accident."""
    with pytest.raises(ConfigError) as caught:
        choose(name, folder=tmp_path, reload=False)
    assert "bot.py:name" in caught.value.hint


# -- what it is doing ----------------------------------------------------------------------------------------


async def abandoned(engine: Python, turn_id: int = 1) -> str:
    """What a handler is doing 0.2 seconds after it was asked."""
    asking = asyncio.ensure_future(engine.reply(turn(turn_id=turn_id)))
    await asyncio.wait((asking,), timeout=0.2)
    doing = engine.doing(turn_id)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return doing


async def test_what_a_sync_handler_is_doing(shop: Shop) -> None:
    """File, line and function, and the call it waits in."""
    engine = await shop.bot(
        "import subprocess, sys\ndef ask():\n"
        "    subprocess.run([sys.executable, '-c', 'import time; time.sleep(0.5)'])\ndef reply(turn):\n    return ask()"
    )
    doing = await abandoned(engine)
    assert doing.startswith("bot.py:3 ask() waits in subprocess.")


async def test_what_an_async_handler_is_doing(shop: Shop) -> None:
    """The line at which it waits."""
    engine = await shop.bot("import asyncio\nasync def reply(turn):\n    x = 1\n    await asyncio.sleep(5)")
    assert await abandoned(engine) == "bot.py:4 reply() waits in asyncio.tasks.sleep"


async def test_a_handler_that_blocks_the_others_is_named(shop: Shop) -> None:
    """While it blocks, with file, line and call, and once however often it does."""
    shop.write("import asyncio, time\n\nasync def reply(turn):\n    time.sleep(1.3)\n    await asyncio.sleep(0)\n")
    engine = await shop.start()
    named: list[str] = []
    engine.on_blocked = named.append
    await asyncio.gather(*(engine.reply(turn(turn_id=n)) for n in (1, 2)))
    assert [words.partition(" ")[0] for words in named] == ["bot.py:4"]


async def test_a_handler_that_awaits_blocks_nobody(shop: Shop) -> None:
    """However long it takes."""
    shop.write("import asyncio\n\nasync def reply(turn):\n    await asyncio.sleep(1.5)\n")
    engine = await shop.start()
    named: list[str] = []
    engine.on_blocked = named.append
    await engine.reply(turn())
    assert named == []


async def test_what_an_async_generator_is_doing(shop: Shop) -> None:
    """Through its own helpers, the innermost line of the bot's."""
    engine = await shop.bot(
        "import asyncio\nasync def wait():\n    await asyncio.sleep(5)\nasync def reply(turn):\n"
        "    yield 'a'\n    await wait()"
    )
    assert await abandoned(engine) == "bot.py:3 wait() waits in asyncio.tasks.sleep"


async def test_an_async_handler_that_blocks_is_named_with_the_remedy(shop: Shop) -> None:
    """A blocking call in an async bot holds up its other handlers: it is found, and so are those who wait for it."""
    engine = await shop.bot("import time\nasync def reply(turn):\n    time.sleep(0.7)\n    return turn.text")
    asking = asyncio.ensure_future(engine.reply(turn("one", 1)))
    await asyncio.sleep(0.1)
    victim = asyncio.ensure_future(engine.reply(turn("two", 2)))
    await asyncio.sleep(0.1)
    blocking, waiting = engine.doing(1), engine.doing(2)
    assert blocking.startswith("bot.py:3 reply()")
    assert "blocking call in an async bot" in blocking
    assert "bot.py:3 reply()" in waiting
    assert "another" in waiting
    assert [[r.said for r in done] for done in await asyncio.gather(asking, victim)] == [["one"], ["two"]]
    assert (engine.doing(1), engine.doing(2), engine.doing(3)) == ("", "", "")


# -- reload on save ------------------------------------------------------------------------------------------


async def test_a_save_is_taken_up(shop: Shop) -> None:
    """The next turn is answered by the new file; what was at work ends as it began."""
    shop.write("import time\ndef reply(turn):\n    time.sleep(float(turn.text))\n    return 'old'")
    engine = await shop.start(reload=True)
    working = asyncio.ensure_future(said(engine, "0.9"))
    await asyncio.sleep(0.05)
    shop.write("def reply(turn):\n    return 'new version'")
    await shop.until(lambda: bool(shop.reloads))
    assert await said(engine, "0") == ["new version"]
    assert await working == ["old"]
    assert shop.reloads == [None]


async def test_a_save_in_the_same_second_with_the_same_length_is_taken_up(shop: Shop) -> None:
    """Compiled files know seconds and lengths alone; nobody is answered by yesterday's code because of that."""
    for name in ("bot.py", "twin_module.py"):
        shop.write("import twin_module\ndef reply(turn): return 'a' + twin_module.x", "bot.py")
        shop.write("x = 'a'", "twin_module.py")
        now = 1_763_900_000 * 10**9
        for file in ("bot.py", "twin_module.py"):
            os.utime(shop.folder / file, ns=(now, now))
        engine = await shop.start(reload=True)
        assert await said(engine) == ["aa"]
        before = len(shop.reloads)
        source = (shop.folder / name).read_text().replace("'a'", "'b'")
        shop.write(source, name)
        os.utime(shop.folder / name, ns=(now + 1000, now + 1000))
        await shop.until(lambda before=before: len(shop.reloads) > before)
        assert "b" in (await said(engine))[0]
        await engine.close()
        sys.modules.pop("twin_module", None)


async def test_a_broken_save_keeps_the_former_until_it_is_mended(shop: Shop) -> None:
    """The error is told with its line, the old bot goes on, and the next good save is taken up."""
    shop.write("def reply(turn): return 'old'")
    engine = await shop.start(reload=True)
    shop.write("def reply(turn) return 'broken'")
    await shop.until(lambda: len(shop.reloads) == 1)
    assert shop.reloads[0] is not None
    assert "SyntaxError" in shop.reloads[0]
    assert "bot.py:1" in shop.reloads[0]
    assert await said(engine) == ["old"]
    shop.write("def reply(turn): return 'mended'")
    await shop.until(lambda: len(shop.reloads) == 2)
    assert await said(engine) == ["mended"]


async def test_a_module_of_the_bots_is_reloaded_too(shop: Shop) -> None:
    """Saving a helper is saving the bot, also when it was broken in between or is new."""
    shop.write("VALUE = 'old'", "shop_texts.py")
    shop.write("import shop_texts\ndef reply(turn): return shop_texts.VALUE")
    engine = await shop.start(reload=True)
    assert await said(engine) == ["old"]
    shop.write("VALUE = 'new one'", "shop_texts.py")
    await shop.until(lambda: len(shop.reloads) == 1)
    assert await said(engine) == ["new one"]
    shop.write("VALUE = (", "shop_texts.py")
    await shop.until(lambda: len(shop.reloads) == 2)
    assert shop.reloads[1] is not None
    assert await said(engine) == ["new one"]
    shop.write("VALUE = 'mended'", "shop_texts.py")
    await shop.until(lambda: len(shop.reloads) == 3)
    assert await said(engine) == ["mended"]
    shop.write("import more_texts\ndef reply(turn): return more_texts.VALUE")
    shop.write("VALUE = 'more'", "more_texts.py")
    await shop.until(lambda: len(shop.reloads) == 4)
    shop.write("VALUE = 'even more'", "more_texts.py")
    await shop.until(lambda: len(shop.reloads) == 5)
    assert await said(engine) == ["even more"]


async def test_a_save_while_the_bot_is_being_loaded_is_not_lost(shop: Shop) -> None:
    """What is saved after the file was read is loaded next."""
    shop.write("def reply(turn): return 'one'")
    engine = await shop.start(reload=True)
    shop.write("import time\ntime.sleep(0.5)\ndef reply(turn): return 'two'")
    await asyncio.sleep(0.7)
    shop.write("def reply(turn): return 'three'")
    await shop.until(lambda: len(shop.reloads) >= 2)
    assert await said(engine) == ["three"]


async def test_a_file_that_goes_away_and_comes_back(shop: Shop) -> None:
    """Editors that save by renaming leave a moment without a file."""
    path = shop.write("def reply(turn): return 'old'")
    engine = await shop.start(reload=True)
    path.unlink()
    await shop.until(lambda: len(shop.reloads) == 1)
    assert await said(engine) == ["old"]
    shop.write("def reply(turn): return 'back'")
    await shop.until(lambda: len(shop.reloads) == 2)
    assert await said(engine) == ["back"]


async def test_without_reload_a_save_changes_nothing(shop: Shop) -> None:
    """``engine.reload`` off means off."""
    engine = await shop.bot("def reply(turn): return 'old'")
    shop.write("def reply(turn): return 'new version'")
    await asyncio.sleep(0.5)
    assert await said(engine) == ["old"]
    assert shop.reloads == []


async def test_the_bots_folder_stays_as_it_was(shop: Shop) -> None:
    """Loading leaves no compiled files among people's own."""
    shop.write("VALUE = 'x'", "tidy_helper.py")
    await shop.bot("import tidy_helper\ndef reply(turn): return tidy_helper.VALUE")
    assert sorted(path.name for path in shop.folder.iterdir()) == ["bot.py", "tidy_helper.py"]
