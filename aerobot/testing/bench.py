"""A host with the bot and an emulated Meta, for one test alone: free ports, a database in a temporary folder."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from aerobot import events
from aerobot.config import Settings, Value, load
from aerobot.emulator.bubble import Bubble
from aerobot.emulator.server import Emulator
from aerobot.engine import Engine
from aerobot.errors import NoReplyError
from aerobot.runtime import Host, Options, Sandbox
from aerobot.store.base import Verdict

T = TypeVar("T")
GRACE = 0.1
"""Seconds that a handler has to end once its test has."""
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is this test's own
"""Where the database is on Linux: one that lives for a test need not wait for a disk."""
LOOK_AGAIN = 0.25
"""Seconds after which a wait looks again, though nothing told it to."""
HERE: Mapping[str, object] = {
    "serve.port": 0, "serve.private_port": 0, "emulator.port": 0, "engine.reload": False, "serve.private_token": None,
}  # fmt: skip


def settings_of(folder: Path, wanted: Mapping[str, object]) -> Settings:
    """What ``aerobot.toml`` and its ``.env`` say, then ``wanted`` by key; the environment and the login are left out.

    Raises ``ConfigError`` for what is wrong in them.
    """
    settings = load(flags=wanted, environ={}, cwd=folder, credentials=False)
    ours = {key: Value(value=value, source="testing") for key, value in HERE.items()}
    return replace(settings, values={**settings.values, **ours})


class Bench:
    """Belongs to the stage's loop: every call is made there. ``events`` is what the host told, in order."""

    def __init__(self, settings: Settings, engine: str | Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._bell = asyncio.Event()
        self._dealt: set[str] = set()
        self.events: list[events.Event] = []
        self.emulator: Emulator
        self.host: Host

    async def start(self) -> None:
        """Start both and point them at each other. Raises ``ConfigError`` for a bot that cannot be loaded."""
        memory = MEMORY if os.access(MEMORY, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="aerobot-test-", dir=memory)
        folder = Path(self._folder.name)
        name, made = (self._engine, None) if isinstance(self._engine, str) else (self._engine.name, self._engine)
        options = Options(engine=name, made=made, sandbox=True, environ={"AEROBOT_STATE_HOME": str(folder)})
        self._sandbox = Sandbox(self._settings, options, self._heard, folder=folder)
        try:
            self.webhook_url = (await self._sandbox.start()).webhook_url
        except BaseException:
            self._folder.cleanup()
            raise
        assert self._sandbox.emulator is not None
        assert self._sandbox.host is not None
        self.emulator, self.host = self._sandbox.emulator, self._sandbox.host
        self.emulator.settle(sent_delay=0.0, delivered_delay=0.0, read_delay=0.0)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop both; the database is gone."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        try:
            await self._sandbox.stop(GRACE)
        finally:
            self._folder.cleanup()

    def _heard(self, event: events.Event) -> None:
        self.events.append(event)
        self._bell.set()

    async def _watch(self) -> None:
        async for _ in self.emulator.watch():
            self._bell.set()

    # -- waiting ------------------------------------------------------------------------------------------------

    async def until(self, look: Callable[[], Awaitable[T | None]], timeout: float) -> T | None:
        """What ``look`` finds, asked again whenever something happened; ``None`` after ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            self._bell.clear()
            if (found := await look()) is not None:
                return found
            left = end - loop.time()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(self._bell.wait(), min(left, LOOK_AGAIN))
            except TimeoutError:
                continue

    async def quiet(self, key: str) -> bool:
        """Whether the host is done with all that a phone said, and Meta with all that was said to it."""
        for bubble in self._bubbles(key, "in"):
            if bubble.id not in self._dealt and not await self._is_dealt_with(bubble):
                return False
            self._dealt.add(bubble.id)
        if self._is_undecided(self._bubbles(key, "out")):  # looked at last: the host may just have spoken
            return False
        return await self._has_read()  # what Meta said of it

    def _bubbles(self, key: str, direction: str) -> list[Bubble]:
        return [bubble for bubble in self.emulator.meta.world.bubbles(key) if bubble.direction == direction]

    def _is_undecided(self, said: Sequence[Bubble]) -> bool:
        """Whether Meta has not made up its mind about one of these, or is about to tell the host."""
        wamids = {bubble.id for bubble in said}
        on_their_way = (found for found in self.emulator.deliveries() if found.state == "waiting")
        return any(bubble.status == "accepted" for bubble in said) or any(
            not wamids.isdisjoint(delivery.wamids) for delivery in on_their_way
        )

    async def _is_dealt_with(self, bubble: Bubble) -> bool:
        taken = bubble.status != "sent"
        if not await self._has_read():
            return False
        verdict = await self.verdict(bubble.id)
        return verdict.settled if verdict is not None else taken  # taken, and recorded: no message to a bot

    async def _has_read(self) -> bool:
        """Whether the host has read all that it answered 200, be it after a moment."""
        return await self.host.reader.drain(LOOK_AGAIN)

    async def verdict(self, wamid: str) -> Verdict | None:
        """How a message fared so far."""
        return await self.host.store.verdict(self.host.roster.all()[0].id, wamid)

    async def settled(self, wamid: str, timeout: float) -> Verdict:
        """How a message fared in the end. Raises ``NoReplyError`` where it is not settled in time."""

        async def look() -> Verdict | None:
            verdict = await self.verdict(wamid)
            return verdict if verdict is not None and verdict.settled else None

        verdict = await self.until(look, timeout)
        if verdict is None:
            raise NoReplyError(f"The host is not done with {wamid} within {timeout:g} s.")
        return verdict
