"""`aerobot emulator`: Meta's WhatsApp Cloud API on this machine, for any client, without anything else of aerobot."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aerobot import __version__
from aerobot.cli import running
from aerobot.cli.command import TEST, Run, command
from aerobot.cli.durations import is_duration, moment, seconds, spoken
from aerobot.cli.emulator_stream import EmulatorStream, named
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
        show = EmulatorStream(run.terminal, waited_for=webhook or "")
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
        work = _run(run.terminal, emulation, show, webhook or "", environment=print_ == "env")
        raise typer.Exit(running.run(run.terminal, work))


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


async def _run(
    terminal: Terminal, emulation: "Emulation", show: EmulatorStream, webhook: str, *, environment: bool
) -> int:
    terminal.say(f"aerobot {__version__}  emulator  nobody real gets a message")
    emulator = await emulation.start()
    watching = asyncio.create_task(_watch(emulator, show))
    try:
        _welcome(terminal, emulator, webhook, environment=environment)
    except BaseException:
        await emulation.stop()
        raise
    code = await running.until_stopped(emulation.stop, emulation.abandon)
    await watching
    terminal.say(f"Stopped. {_count(len(emulator.meta.world.bubbles()), 'message')}.")
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


def _welcome(terminal: Terminal, emulator: "Emulator", webhook: str, *, environment: bool) -> None:
    from aerobot.emulator.credentials import pretty
    from aerobot.emulator.environment import environment as variables

    if terminal.json:
        terminal.line(ready(emulator))
        return
    found = emulator.credentials
    terminal.step("ok", "Graph", f"{emulator.graph_url}, any version or none")
    terminal.step("ok", "number", f"{pretty(found.display_phone_number)}, TEST, id {found.phone_number_id}")
    _tell_state(terminal, emulator, webhook)
    terminal.step("ok", "phone", "in the browser:")
    if environment:
        terminal.say(emulator.page_url)
        print_lines(terminal, variables(found, emulator.graph_url))
    else:
        terminal.value(emulator.page_url)
        terminal.say("Tokens and secrets: --print env, or --json.")
    terminal.say('Ready. Try: aerobot phone send "Hi"          Stop: Ctrl-C')


def _tell_state(terminal: Terminal, emulator: "Emulator", webhook: str) -> None:
    """Where webhooks go, and what a kept state has brought along that somebody may have forgotten."""
    from aerobot.emulator.settings import Settings

    url = emulator.portal.business.callback(emulator.credentials.phone_number_id)
    if webhook:
        terminal.step("skipped", "webhook", safe(f"{webhook}, as soon as it answers"))
    elif url:
        terminal.step("ok", "webhook", safe(url))
    else:
        terminal.step("skipped", "webhook", "none yet: messages wait until one is set")
    meta = emulator.meta
    if count := len(meta.world.bubbles()):
        terminal.step("ok", "kept", f"{_count(count, 'message')} of before")
    for one in meta.faults.armed:
        terminal.step("warning", "armed", named(one))
    if emulator.clock.offset:
        terminal.step("warning", "clock", f"{spoken(emulator.clock.offset)} ahead of real time")
    usual = Settings().document() | {"sent_delay": None, "delivered_delay": None, "read_delay": None}
    changed = {name: value for name, value in meta.settings.document().items() if usual[name] not in (None, value)}
    if changed:
        words = ", ".join(f"{name}={value}" for name, value in changed.items())
        terminal.step("warning", "settings", safe(words))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def print_lines(terminal: Terminal, variables: Mapping[str, str]) -> None:
    """``NAME=value`` lines, as results."""
    for name, value in variables.items():
        terminal.value(f"{name}={value}")
