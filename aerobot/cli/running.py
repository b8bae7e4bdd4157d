"""Running something until it is told to stop: signals, grace, and the code it ends with."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from aerobot.errors import INTERRUPTED


async def until_stopped(stop: Callable[[], Awaitable[None]], abandon: Callable[[], None]) -> int:
    """Wait for Ctrl-C or SIGTERM, then ``stop``; 130 for Ctrl-C, 0 for SIGTERM. A second signal: ``abandon``, and out."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()

    def ask(number: int) -> None:
        if asked.done():
            try:
                abandon()
            finally:
                os._exit(INTERRUPTED)
        asked.set_result(number)

    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, ask, wanted)
    number = await asked
    await stop()
    return INTERRUPTED if number == signal.SIGINT else 0
