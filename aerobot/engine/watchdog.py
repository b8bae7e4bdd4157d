"""Finds a handler that blocks the handlers' loop, so that every other conversation waits, and has it named."""

import asyncio
import re
from collections.abc import Callable

PATIENCE = 1.0
"""Seconds that the loop may take to answer before somebody blocks it."""
EVERY = 0.25
"""Seconds between two questions."""


class Watchdog:
    """Asks ``loop``, which runs in another thread, whether it still turns. ``doing`` says where it is meanwhile."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        doing: Callable[[], str],
        tell: Callable[[str], None],
        patience: float = PATIENCE,
    ) -> None:
        self._loop = loop
        self._doing = doing
        self._tell = tell
        self._patience = patience
        self._told: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled; each place is told once."""
        here = asyncio.get_running_loop()
        while True:
            answered = asyncio.Event()
            self._loop.call_soon_threadsafe(_answer, here, answered)
            try:
                async with asyncio.timeout(self._patience):
                    await answered.wait()
            except TimeoutError:
                self._name(self._doing())
                await answered.wait()
            await asyncio.sleep(EVERY)

    def _name(self, words: str) -> None:
        """Tell a place, unless it was told before: of one function any line is the same place."""
        place = re.sub(r":\d+ ", " ", words.partition(" waits in ")[0])
        if place and place not in self._told:
            self._told.add(place)
            self._tell(words)


def _answer(loop: asyncio.AbstractEventLoop, answered: asyncio.Event) -> None:
    """Back where it was asked; a handler that blocked until after the end answers nobody."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(answered.set)
