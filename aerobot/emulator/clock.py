"""The emulator's time: real time and what was added to it. It goes forward only, except back to real time."""

import asyncio
import contextlib
import time
from collections.abc import Callable

LONGEST = 10 * 366 * 86400.0
"""Seconds by which the clock can be ahead: ten years."""


class Clock:
    """Call it for the seconds since 1970. Whoever sleeps by it wakes when it is moved past their time.

    ``real`` is the time that it starts from; ``changed`` is told after each move.
    """

    def __init__(self, real: Callable[[], float] = time.time, changed: Callable[[], None] = lambda: None) -> None:
        self._real = real
        self._changed = changed
        self._sleepers: set[asyncio.Event] = set()
        self.offset = 0.0

    def __call__(self) -> float:
        return self._real() + self.offset

    @property
    def milliseconds(self) -> int:
        """Now, in ms since 1970."""
        return int(self() * 1000)

    def advance(self, seconds: float) -> None:
        """Move it forward. Raises ``ValueError`` for a step back or beyond ten years."""
        if not 0 <= seconds <= LONGEST - self.offset:
            raise ValueError("The clock moves forward only, and by ten years at most; reset brings it back.")
        self._move(self.offset + seconds)

    def move_to(self, at: float) -> None:
        """Move it to a time in seconds since 1970, which must not be in its past (``ValueError``)."""
        self.advance(at - self())

    def reset(self) -> None:
        """Back to real time."""
        self._move(0.0)

    def _move(self, offset: float) -> None:
        self.offset = offset
        for sleeper in self._sleepers:
            sleeper.set()
        self._changed()

    async def sleep(self, seconds: float) -> None:
        """Return once so many seconds have passed, whether by themselves or because the clock was moved."""
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + self.offset + seconds
        bell = asyncio.Event()
        self._sleepers.add(bell)
        try:
            while (left := until - loop.time() - self.offset) > 0:
                bell.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):  # wait_for loses a cancel that comes with the bell (Python 3.11)
                        await bell.wait()
        finally:
            self._sleepers.discard(bell)
