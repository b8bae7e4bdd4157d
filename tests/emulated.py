"""An emulated Meta in a thread of its own, for tests that run the command line as processes."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self

from aerobot.emulator.server import Emulator


class EmulatedMeta:
    """Starts an emulator on a free port; what happens there is kept in ``seen``.

    The session window is off unless it is what is tested: nobody has to write first.
    """

    def __init__(self, seed: int = 7, window: str = "off") -> None:
        self._window = window
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._seed = seed
        self.seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        self.credentials = self.emulator.credentials
        self.url = self.emulator.graph_url
        return self

    async def _start(self) -> None:
        self.emulator = Emulator(seed=self._seed, receipts_delay=0.01, window=self._window)
        await self.emulator.start(port=0)
        events = self.emulator.watch()
        self._watching = asyncio.create_task(self._watch(events))

    async def _watch(self, events: Any) -> None:
        async for event in events:
            self.seen.append(dict(event))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the emulator's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def replies(self, phone: str | None = None) -> list[dict[str, Any]]:
        """The messages that arrived from the bot, oldest first."""
        out = [e for e in self.seen if e["event"] == "message" and e["direction"] == "out"]
        return [e for e in out if phone is None or e["phone"] == phone]

    def until(self, holds: Callable[[], bool], timeout: float = 10.0) -> None:
        """Wait until something holds; fails with what was seen."""
        end = time.monotonic() + timeout
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s; seen: {self.seen[-20:]}")
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _stop(self) -> None:
        await self.emulator.stop()
        await asyncio.gather(self._watching, return_exceptions=True)
