"""Running something until it is told to stop: signals, grace, and the code it ends with."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aerobot.errors import INTERRUPTED
from aerobot.terminal import Terminal

ECHO_SECONDS = 1.0
"""A SIGTERM that comes again this soon is the same one: `timeout` and some supervisors send it twice."""


def run(terminal: Terminal, work: Coroutine[Any, Any, int]) -> int:
    """Run to the end and return the exit code; SIGTERM before ``until_stopped`` stops what was started, with 0.

    What a bot prints meanwhile is talk: it goes to stderr. A reader of ours that stops reading holds nobody up.
    """
    with contextlib.redirect_stdout(sys.stderr or terminal.nowhere()), terminal.beside():
        code = asyncio.run(_until_told(work))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # all is stopped: a late signal must not change the code
    return code


async def _until_told(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    told: list[int] = []

    def tell() -> None:
        told.append(signal.SIGTERM)
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tell)
    try:
        return await work
    except asyncio.CancelledError:
        if told:
            return 0
        raise


async def until_stopped(stop: Callable[[], Awaitable[None]], abandon: Callable[[], None]) -> int:
    """Wait for Ctrl-C (130) or SIGTERM (0), then ``stop``. A second signal: ``abandon``, and out."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[tuple[int, float]] = loop.create_future()

    def ask(number: int) -> None:
        if not asked.done():
            asked.set_result((number, time.monotonic()))
            return
        first, at = asked.result()
        if number == first == signal.SIGTERM and time.monotonic() - at < ECHO_SECONDS:
            return
        try:
            abandon()
        finally:
            os._exit(INTERRUPTED)

    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, ask, wanted)
    try:
        number, _ = await asked
    except asyncio.CancelledError:
        await stop()  # the signal came in the moment before we listened for it
        raise
    await stop()
    return INTERRUPTED if number == signal.SIGINT else 0
