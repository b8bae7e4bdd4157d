"""`aerobot sandbox --exec`: a command beside the sandbox, which finds it through its environment."""

import asyncio
import contextlib
import os
import shlex
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aerobot import events
from aerobot.cli.running import ECHO_SECONDS
from aerobot.cli.stream import Stream
from aerobot.config import Settings
from aerobot.errors import UsageError
from aerobot.terminal import Terminal

if TYPE_CHECKING:
    from aerobot.runtime import Sandbox


async def beside(
    terminal: Terminal, settings: Settings, engine: str, folder: Path, command: str, *, keeps: bool
) -> int:
    """Start a sandbox on free ports, run the command, stop the sandbox; the command's exit code.

    Killed by a signal it is 128 and the signal's number, as a shell says. What happens is told with ``-v`` alone:
    the terminal is the command's. ``UsageError`` for a command that is not there.
    """
    from aerobot.runtime import Options, Sandbox

    words = _words(command)
    show = Stream(terminal, texts=True) if terminal.verbose and not terminal.json else lambda event: None
    sandbox = Sandbox(settings, Options(engine=engine, sandbox=True), show, folder=folder, keeps=keeps)
    ready = await sandbox.start()
    try:
        return await _run(words, {**os.environ, **_environment(sandbox, ready)})
    finally:
        await sandbox.stop(grace=0.1)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--exec cannot be split into words: {error}.", "Quote it as for a shell.") from None
    if not words:
        raise UsageError("--exec wants a command.", 'aerobot sandbox bot.py --exec "pytest -q"')
    return words


def _environment(sandbox: "Sandbox", ready: events.Ready) -> dict[str, str]:
    from aerobot.emulator.environment import environment

    emulator, host = sandbox.emulator, sandbox.host
    assert emulator is not None
    assert host is not None
    return {
        **environment(emulator.credentials, emulator.graph_url),
        "AEROBOT_WEBHOOK_URL": ready.webhook_url,
        "AEROBOT_PRIVATE_URL": ready.private_url,
        "AEROBOT_PRIVATE_TOKEN": host.token.reveal(),
        "AEROBOT_EMULATOR_URL": emulator.graph_url,
        "AEROBOT_EMULATOR_TOKEN": emulator.control_token,
        "AEROBOT_PAGE_URL": emulator.page_url,
    }


async def _run(words: list[str], environ: dict[str, str]) -> int:
    """The command to its end; a signal to us goes to it too, whenever it comes, and we wait for it."""
    processes: list[asyncio.subprocess.Process] = []
    told: list[float] = []

    def pass_on(number: int) -> None:
        """The first goes to the command, which the terminal's Ctrl-C has told already; a later one ends it."""
        again = bool(told) and time.monotonic() - told[0] > ECHO_SECONDS
        told.append(time.monotonic())
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                if again:
                    process.kill()
                elif number == signal.SIGTERM:
                    process.terminate()

    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, pass_on, wanted)
    try:
        process = await asyncio.create_subprocess_exec(*words, env=environ)
    except OSError as error:
        raise UsageError(f"--exec: {words[0]} cannot be run: {error.strerror}.") from None
    processes.append(process)
    if told:
        process.terminate()
    code = await process.wait()
    return 128 - code if code < 0 else code
