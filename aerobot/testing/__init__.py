"""Tests for people's own bots: pytest fixtures with a host, an emulated Meta and a phone, all in this process.

``pytest_plugins = ["aerobot.testing"]`` in the topmost ``conftest.py`` brings them; docs/testing.md has an example.
They need no async plugin, and work beside pytest-asyncio and anyio (on asyncio). PYTEST_DONT_REWRITE
"""

import asyncio
import contextlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from aerobot.errors import AerobotError
from aerobot.testing.bench import Bench, settings_of
from aerobot.testing.choice import Choice, engine_of, loaded
from aerobot.testing.graph import Call, Graph
from aerobot.testing.hosted import HostedHere
from aerobot.testing.phone import Phone, Phones
from aerobot.testing.reply import Reply
from aerobot.testing.stage import Stage
from aerobot.testing.world import Clock, World

__all__ = ["Bot", "Call", "Choice", "Clock", "Graph", "HostedHere", "Phone", "Phones", "Reply", "World"]

MARKER = (
    "aerobot(bot, settings={}): the bot of this test (bot.py, bot.py:name, module:name, echo, demo, a handler,"
    " a Router); settings go over those of aerobot.toml. Without a bot it is that of the ini option aerobot_bot."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """The bot of one test, and everything around it."""

    phone: Phone
    phones: Phones
    graph: Graph
    emulator: World
    host: HostedHere

    def __repr__(self) -> str:
        return "<Bot with phone, phones, graph, emulator, host>"


# -- the fixtures -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def aerobot_stage() -> Iterator[Stage]:
    """The loop on which hosts and emulators run, for as long as the tests run."""
    stage = Stage()
    stage.start()
    yield stage
    stage.close()


@pytest.fixture
def aerobot_bot(pytestconfig: pytest.Config) -> object:
    """Which bot the tests are about: the ini option of this name. Override it to return a handler or a Router."""
    return pytestconfig.getini("aerobot_bot")


@pytest.fixture
def aerobot_settings() -> Mapping[str, object]:
    """Settings by key (``{"bot.welcome_message": "Hello!"}``) over those of ``aerobot.toml``. Override it."""
    return {}


@pytest.fixture
def bot(
    request: pytest.FixtureRequest,
    aerobot_stage: Stage,
    aerobot_bot: object,
    aerobot_settings: Mapping[str, object],
) -> Iterator[Bot]:
    """The bot at work: a host, an emulated Meta and a phone of this test's own, on free ports."""
    marker = request.node.get_closest_marker("aerobot")
    chosen = marker.args[0] if marker is not None and marker.args else aerobot_bot
    wanted = {**aerobot_settings, **(marker.kwargs.get("settings", {}) if marker is not None else {})}
    root = request.config.rootpath
    with contextlib.ExitStack() as stack:
        try:
            engine = engine_of(chosen, root=root, beside=request.path.parent)
            stack.enter_context(loaded(engine))
            bench = Bench(settings_of(root, wanted), engine)
            aerobot_stage.run(bench.start())
        except AerobotError as error:
            pytest.fail(f"{error.message}\n{error.hint}".strip(), pytrace=False)
        stack.callback(lambda: aerobot_stage.run(bench.stop()))
        yield _bot(bench, aerobot_stage)


@pytest.fixture
def phone(bot: Bot) -> Phone:
    """A phone that can write to the bot: Alex Rivera, +1 555-012-3456."""
    return bot.phone


@pytest.fixture
def phones(bot: Bot) -> Phones:
    """More phones: ``phones.add("Ben")``."""
    return bot.phones


@pytest.fixture
def graph(bot: Bot) -> Graph:
    """What Graph was asked."""
    return bot.graph


@pytest.fixture
def emulator(bot: Bot) -> World:
    """The emulated Meta: its clock, its faults, its settings."""
    return bot.emulator


@pytest.fixture
def host(bot: Bot) -> HostedHere:
    """The host that runs the bot: its events and verdicts."""
    return bot.host


def _bot(bench: Bench, stage: Stage) -> Bot:
    phones = Phones(bench, stage)
    return Bot(
        phone=phones.default,
        phones=phones,
        graph=Graph(bench, stage),
        emulator=World(bench, stage),
        host=HostedHere(bench, stage),
    )


# -- the plugin ---------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ini option."""
    parser.addini("aerobot_bot", "The bot that tests are about: bot.py, bot.py:name, module:name, echo or demo.")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """A reply that is compared with a text: what was meant."""
    if {type(left), type(right)} != {Reply, str}:
        return None
    return [f"{left!r} {op} {right!r}", "", "A reply is no text: compare reply.text."]


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test of ours that no other plugin has claimed; those make it a plain function, or come first."""
    test = pyfuncitem.obj
    if "aerobot_stage" not in pyfuncitem.fixturenames or not inspect.iscoroutinefunction(test):
        return None
    wanted = inspect.signature(test).parameters
    asyncio.run(test(**{name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}))
    return True
