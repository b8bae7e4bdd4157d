"""`aerobot sandbox`: a bot, an emulated WhatsApp and a phone in the browser, on this machine alone."""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot import __version__, events
from aerobot.cli import running
from aerobot.cli.command import START, Run, command
from aerobot.cli.sandbox_exec import beside
from aerobot.cli.stream import Stream, show_parts, show_trace
from aerobot.config import Settings, Value
from aerobot.errors import ConfigError, NoReplyError, UsageError
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.emulator.server import Emulator
    from aerobot.runtime import Host, Sandbox

IGNORED = ("whatsapp.access_token", "whatsapp.phone_number_id", "whatsapp.app_secret", "bot.id")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "sandbox",
        panel=START,
        examples=("aerobot sandbox", 'aerobot sandbox bot.py --say "Hi"', 'aerobot sandbox bot.py --exec "pytest -q"'),
    )
    def sandbox(
        run: Run,
        bot_file: Annotated[
            str | None,
            typer.Argument(metavar="[BOT_FILE]", help="bot.py, bot.py:name, module:name, echo or demo (default)."),
        ] = None,
        say: Annotated[
            list[str] | None,
            typer.Option(metavar="TEXT", help="Play this, print the answer, end; as often as you like."),
        ] = None,
        exec_: Annotated[
            str | None,
            typer.Option("--exec", metavar="CMD", help="Run this beside it, and end as it ends; no shell."),
        ] = None,
        keep: Annotated[
            Path | None, typer.Option(metavar="DIR", help="Keep chats and store there; else they are gone at the end.")
        ] = None,
        timeout: Annotated[
            float, typer.Option(metavar="S", help="With --say: how long to wait for each answer, in seconds.", min=0.1)
        ] = 35.0,
        no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
        port: Annotated[
            int | None, typer.Option(metavar="N", help="The phone page's port; another where it is taken.")
        ] = None,
        texts: Annotated[bool, typer.Option("--texts", help="With --json: texts too.")] = False,
    ) -> None:
        """A bot that answers, on this machine, without any account.

        Starts your bot (or the demo), an emulated WhatsApp and a phone in the browser. Real credentials are ignored
        and nothing leaves this machine. Several --say are one talk, each said once the one before is answered; --json
        prints a line for each. What --exec runs finds the addresses and tokens in its environment.
        """
        if say and exec_ is not None:
            raise UsageError("--say and --exec exclude each other.")
        settings = _settings(run, port)
        engine = bot_file or "demo"
        open_page = not no_open and not say and exec_ is None and run.terminal.interactive and _has_desktop()
        with _folder(keep) as folder:
            if say:
                play = _say(run.terminal, settings, engine, folder, say, timeout, keeps=keep is not None)
            elif exec_ is not None:
                play = beside(run.terminal, _on_free_ports(settings), engine, folder, exec_, keeps=keep is not None)
            else:
                play = _stay(
                    run.terminal, settings, engine, folder, temporary=keep is None, open_page=open_page, texts=texts
                )
            code = running.run(run.terminal, play)
        raise typer.Exit(code)


def _settings(run: Run, port: int | None) -> Settings:
    """The settings, of which the sandbox takes the bot's and leaves the credentials."""
    settings = run.settings({"emulator.port": port})
    real = [key for key in IGNORED if settings.is_set(key)]
    if real:
        names = ", ".join(f"{key} ({settings.source(key)})" for key in real)
        run.terminal.say(f"Ignored here: {names}. The sandbox has its own.")
    return settings


def _on_free_ports(settings: Settings) -> Settings:
    free = {key: Value(value=0, source="sandbox") for key in ("serve.port", "serve.private_port", "emulator.port")}
    return replace(settings, values={**settings.values, **free})


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="aerobot-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{keep} cannot be made: {error.strerror}.", "--keep wants a folder that is writable."
        ) from None
    yield keep.absolute()


def _has_desktop() -> bool:
    remote = os.environ.get("SSH_CONNECTION") or os.environ.get("CI")
    return not remote and (
        sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )


# -- until stopped ------------------------------------------------------------------------------------------------


async def _stay(
    terminal: Terminal, settings: Settings, engine: str, folder: Path, *, temporary: bool, open_page: bool, texts: bool
) -> int:
    from aerobot.runtime import Options, Sandbox

    show = Stream(terminal, texts=texts)
    options = Options(engine=engine, free_ports=True, sandbox=True)
    sandbox = Sandbox(settings, options, show, folder=folder, temporary=temporary, keeps=not temporary)
    terminal.say(f"aerobot {__version__}  sandbox  {engine}  nothing leaves this machine")
    ready = await sandbox.start()
    try:
        await _welcome(terminal, show, ready, open_page=open_page)
    except BaseException:
        await sandbox.stop(grace=0.1)
        raise
    return await running.until_stopped(sandbox.stop, sandbox.abandon)


async def _welcome(terminal: Terminal, show: Stream, ready: events.Ready, *, open_page: bool) -> None:
    """Say where the phone is, and open it where that is wanted."""
    if terminal.json:
        show(ready)
    else:
        terminal.detail(f"  webhook   {ready.webhook_url}")
        terminal.detail(f"  private   {ready.private_url}")
        terminal.step("ok", "WhatsApp", f"emulated at {ready.graph_url}")
        terminal.step("ok", "phone", "in the browser:")
        terminal.value(ready.page_url or "")
        terminal.say("Ready. Write to the bot on that page.          Stop: Ctrl-C")
    if open_page and ready.page_url:
        import webbrowser

        await asyncio.to_thread(webbrowser.open, ready.page_url)


# -- messages -----------------------------------------------------------------------------------------------------


async def _say(
    terminal: Terminal,
    settings: Settings,
    engine: str,
    folder: Path,
    texts: Sequence[str],
    timeout: float,
    *,
    keeps: bool,
) -> int:
    from aerobot.runtime import Options, Sandbox

    settings = _on_free_ports(settings)
    failures: list[events.TurnEnded] = []

    def keep(event: events.Event) -> None:
        if isinstance(event, events.TurnEnded) and event.trace:
            failures.append(event)

    sandbox = Sandbox(settings, Options(engine=engine, sandbox=True), keep, folder=folder, keeps=keeps)
    await sandbox.start()
    try:
        try:
            return await _play(terminal, sandbox, texts, timeout, engine)
        finally:
            await sandbox.stop(grace=0.1)  # whatever still runs has missed its time
    except NoReplyError:  # by now all is told that will be
        for failure in failures:
            show_trace(terminal, failure)
        raise


async def _play(terminal: Terminal, sandbox: "Sandbox", texts: Sequence[str], timeout: float, engine: str) -> int:
    """One message after the other; the first that is not answered ends it."""
    terminal.say(f"aerobot {__version__}  sandbox  {engine}  nothing leaves this machine")
    show = _shows(terminal, len(texts))
    left = len(texts)

    async def play(text: str) -> Mapping[str, Any]:
        nonlocal left
        left -= 1
        return await _answered(terminal, sandbox, text, timeout, show)

    try:
        documents = [await play(text) for text in texts]
    except NoReplyError:
        if left:
            terminal.say(f"{left} more {'was' if left == 1 else 'were'} not said.")
        raise
    took, thought = (sum(document[key] for document in documents) for key in ("milliseconds", "engine_ms"))
    many = f"All {len(texts)} answered" if len(texts) > 1 else "Answered"
    terminal.say(f"{many} in {took} ms (bot {thought} ms).")
    again = "aerobot sandbox" if engine == "demo" else f"aerobot sandbox {engine}"
    terminal.say(f"Next: {again}          the same with a phone in the browser")
    return 0


def _shows(terminal: Terminal, messages: int) -> Callable[[Mapping[str, Any]], None]:
    """How ``--json`` tells of each: one document, as of every command; of several a line each, as they come."""
    if messages == 1:
        return terminal.document
    return terminal.line if terminal.json else lambda document: None


async def _answered(
    terminal: Terminal, sandbox: "Sandbox", text: str, timeout: float, show: Callable[[Mapping[str, Any]], None]
) -> Mapping[str, Any]:
    """Play one message and show how it fared; a ``NoReplyError`` says why it was not answered."""
    from aerobot import probe
    from aerobot.host.bots_api import BotsApi

    emulator, host = sandbox.emulator, sandbox.host
    assert emulator is not None
    assert host is not None
    watching = _Watching(emulator)
    started = time.monotonic()
    wamid = await emulator.say(text)
    verdict = await _verdict(host, wamid, timeout)
    document = BotsApi.verdict(verdict, host.engine.doing)
    parts: list[Mapping[str, Any]] = document.get("parts", [])  # type: ignore[assignment]
    await watching.until_read([part["wamid"] for part in parts if part["wamid"]])
    watching.stop()
    took = round((time.monotonic() - started) * 1000)
    terminal.say(f"--> text     {safe(text)}  {terminal.faint(watching.arrival(wamid))}", hang=13)
    show_parts(terminal, parts)
    ticks = watching.ticks(parts)
    if ticks:
        terminal.say(f"{'':13}{terminal.faint(ticks)}")
    document = {"said": text, "milliseconds": took, **document, "ticks": watching.seen}
    show(document)
    probe.judged(document, waited=timeout)
    return document


async def _verdict(host: "Host", wamid: str, timeout: float) -> Any:
    until = time.monotonic() + timeout
    bot_id = host.roster.all()[0].id
    while True:
        verdict = await host.store.verdict(bot_id, wamid)
        if (verdict is not None and verdict.settled) or time.monotonic() > until:
            return verdict
        await asyncio.sleep(0.01)


class _Watching:
    """Remembers what the emulator told: how a message was delivered, which ticks a reply has."""

    def __init__(self, emulator: "Emulator") -> None:
        self.seen: dict[str, list[str]] = {}
        self._arrivals: dict[str, Mapping[str, Any]] = {}
        self._changed = asyncio.Event()
        self._events = emulator.watch()
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async for event in self._events:
            wamid = str(event.get("wamid", ""))
            if event["event"] == "tick":
                self.seen.setdefault(wamid, []).append(str(event["status"]))
            elif event["event"] == "webhook":
                self._arrivals[wamid] = event
            self._changed.set()

    async def until_read(self, wamids: list[str]) -> None:
        """Wait a moment for the last tick of each reply."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                while not all({"read", "failed"} & set(self.seen.get(wamid, ())) for wamid in wamids):
                    self._changed.clear()
                    await self._changed.wait()

    def arrival(self, wamid: str) -> str:
        """How the webhook took the message."""
        event = self._arrivals.get(wamid)
        return f"signed, {event['status']} in {event['milliseconds']} ms" if event else ""

    def ticks(self, parts: list[Mapping[str, Any]]) -> str:
        """The ticks of the last part that was sent."""
        sent = [part["wamid"] for part in parts if part["wamid"]]
        return ", ".join(self.seen.get(sent[-1], ())) if sent else ""

    def stop(self) -> None:
        """Stop watching."""
        self._task.cancel()
