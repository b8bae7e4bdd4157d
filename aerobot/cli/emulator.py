"""`aerobot emulator`: Meta's WhatsApp Cloud API on this machine, for any client, without anything else of aerobot."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aerobot import __version__
from aerobot.cli import running
from aerobot.cli.command import TEST, Run, command
from aerobot.cli.durations import is_duration, moment, seconds
from aerobot.cli.emulator_stream import EmulatorStream
from aerobot.errors import UsageError
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.emulator.server import Emulator
    from aerobot.runtime import Emulation


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "emulator",
        panel=TEST,
        examples=(
            "aerobot emulator --webhook http://127.0.0.1:3000/webhook",
            "aerobot emulator --seed 1 --print env > emulator.env",
        ),
    )
    def emulator(
        run: Run,
        webhook: Annotated[
            str | None, typer.Option(metavar="URL", help="Where webhooks go, once it answers the challenge.")
        ] = None,
        port: Annotated[int | None, typer.Option(metavar="N", help="Its port (8462); 0 picks a free one.")] = None,
        seed: Annotated[int | None, typer.Option(metavar="N", help="Makes credentials and ids repeatable.")] = None,
        state: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Keep everything there, and go on from it.")
        ] = None,
        print_: Annotated[
            Literal["env"] | None, typer.Option("--print", help="Print what a client needs as NAME=value lines.")
        ] = None,
        clock: Annotated[
            str | None, typer.Option(metavar="TIME", help="Begin later: +25h, or 2026-12-01T10:00.")
        ] = None,
        window: Annotated[
            Literal["later", "at-once", "off"],
            typer.Option(help="Outside the 24 hours: failed later, refused at once, or sent."),
        ] = "later",
        receipts_delay: Annotated[
            float, typer.Option(metavar="S", help="Seconds between two receipts.", min=0, max=3600)
        ] = 0.05,
        name: Annotated[str, typer.Option(metavar="NAME", help="What the phones call the bot.")] = "Aerobot",
        allow_external: Annotated[
            bool, typer.Option("--allow-external", help="Call webhooks that are not on this machine.")
        ] = False,
    ) -> None:
        """Run an emulated WhatsApp: Graph, signed webhooks and a phone in the browser.

        For any client of the Cloud API: set its base URL to the address printed here. Nobody real gets a message.
        In memory, unless --state names a file.
        """
        from aerobot.runtime import Emulation, Wishes

        settings = run.settings({"emulator.port": port, "emulator.seed": seed})
        show = EmulatorStream(run.terminal)
        wishes = Wishes(
            port=settings.get("emulator.port"),
            seed=settings.get("emulator.seed"),
            name=name,
            state=state,
            webhook=webhook or "",
            window=window.replace("-", "_"),
            receipts_delay=receipts_delay,
            ahead=_ahead(clock) if clock else 0.0,
            allow_external=allow_external,
        )
        emulation = Emulation(wishes, lambda level, words: _tell(run.terminal, level, words))
        raise typer.Exit(running.run(run.terminal, _run(run.terminal, emulation, show, environment=print_ == "env")))


def _ahead(text: str) -> float:
    """How far a clock that begins there is ahead, in seconds."""
    import time

    if is_duration(text):
        return seconds(text)
    ahead = moment(text) - time.time()
    if ahead < 0:
        raise UsageError(f"{text} has passed.", "The emulator's clock goes forward only.")
    return ahead


def _tell(terminal: Terminal, level: str, words: str) -> None:
    if level == "warning":
        terminal.warn(words)
    else:
        terminal.step(level, "webhook", safe(words))


async def _run(terminal: Terminal, emulation: "Emulation", show: EmulatorStream, *, environment: bool) -> int:
    terminal.say(f"aerobot {__version__}  emulator  nobody real gets a message")
    emulator = await emulation.start()
    watching = asyncio.create_task(_watch(emulator, show))
    try:
        _welcome(terminal, emulator, environment=environment)
    except BaseException:
        await emulation.stop()
        raise
    code = await running.until_stopped(emulation.stop, emulation.abandon)
    await watching
    return code


async def _watch(emulator: "Emulator", show: EmulatorStream) -> None:
    async for event in emulator.watch():
        show(event)


def ready(emulator: "Emulator") -> dict[str, Any]:
    """What a program needs to know of an emulator that runs."""
    found = emulator.credentials
    return {
        "event": "ready",
        "graph_url": emulator.graph_url,
        "page_url": emulator.page_url,
        "control_token": emulator.control_token,
        "phone_number_id": found.phone_number_id,
        "display_phone_number": found.display_phone_number,
        "access_token": found.access_token,
        "app_id": found.app_id,
        "app_secret": found.app_secret,
        "verify_token": found.verify_token,
        "business_account_id": found.business_account_id,
    }


def _welcome(terminal: Terminal, emulator: "Emulator", *, environment: bool) -> None:
    from aerobot.emulator.credentials import pretty
    from aerobot.emulator.environment import environment as variables

    if terminal.json:
        terminal.line(ready(emulator))
        return
    found = emulator.credentials
    terminal.step("ok", "Graph", f"{emulator.graph_url}, any version or none")
    terminal.step("ok", "number", f"{pretty(found.display_phone_number)}, TEST, id {found.phone_number_id}")
    if not emulator.portal.business.callback(found.phone_number_id):
        terminal.step("skipped", "webhook", "none yet: messages wait until one is set")
    terminal.step("ok", "phone", "in the browser:")
    if environment:
        terminal.say(emulator.page_url)
        print_lines(terminal, variables(found, emulator.graph_url))
    else:
        terminal.value(emulator.page_url)
        terminal.say("Tokens and secrets: --print env, or --json.")
    terminal.say('Ready. Try: aerobot phone send "Hi"          Stop: Ctrl-C')


def print_lines(terminal: Terminal, variables: Mapping[str, str]) -> None:
    """``NAME=value`` lines, as results."""
    for name, value in variables.items():
        terminal.value(f"{name}={value}")
