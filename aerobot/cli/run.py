"""`aerobot serve`: the local host."""

import asyncio
import gc
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aerobot import __version__, events
from aerobot.cli import running
from aerobot.cli.command import RUN, Run, command
from aerobot.cli.fields import Flags
from aerobot.cli.limits import with_limits
from aerobot.cli.stream import Stream
from aerobot.cli.validate import NoValidate, called, check
from aerobot.cli.webhook import LiveNumber, TakeOver, agree, choose_level, registrar
from aerobot.config import Settings, set_value, tracked_secrets
from aerobot.errors import ConfigError, UsageError
from aerobot.terminal import Terminal

if TYPE_CHECKING:
    from aerobot.registration.plan import Wish
    from aerobot.runtime import Options

Engine = Annotated[
    str | None,
    typer.Argument(metavar="[BOT_FILE]", help="bot.py, bot.py:name, module:name, echo or demo; else serve.engine."),
]
Register = Annotated[
    Literal["phone", "waba", "app", "no"] | None,
    typer.Option("--register", help="Point Meta or the emulator here, at this level; put back on exit."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "serve",
        panel=RUN,
        examples=("aerobot serve bot.py", "aerobot serve bot.py --tunnel --register phone"),
    )
    @with_limits
    def serve(
        run: Run,
        limits: Flags,
        bot_file: Engine = None,
        tunnel: Annotated[bool, typer.Option("--tunnel", help="Open a tunnel, prove it, and keep it open.")] = False,
        tunnel_provider: Annotated[
            Literal["auto", "ngrok", "cloudflared"] | None,
            typer.Option("--tunnel-provider", help="Who makes the tunnel; auto: ngrok if it has a token."),
        ] = None,
        domain: Annotated[str | None, typer.Option(metavar="NAME", help="Your fixed ngrok domain.")] = None,
        public_url: Annotated[
            str | None, typer.Option(metavar="URL", help="The https address of a proxy of your own.")
        ] = None,
        register: Register = None,
        live_number: LiveNumber = False,
        take_over: TakeOver = False,
        no_validate: NoValidate = False,
        host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where the public listener listens.")] = None,
        port: Annotated[int | None, typer.Option(metavar="N", help="Its port; 0 picks a free one.")] = None,
        private_host: Annotated[
            str | None, typer.Option(metavar="ADDRESS", help="Where the private listener listens.")
        ] = None,
        private_port: Annotated[int | None, typer.Option(metavar="N", help="Its port; 0 picks a free one.")] = None,
        allowed_hosts: Annotated[
            str | None, typer.Option(metavar="NAMES", help="Host names for the private listener, comma between.")
        ] = None,
        database: Annotated[str | None, typer.Option(metavar="PATH", help="Where everything is kept.")] = None,
        debounce_ms: Annotated[
            int | None, typer.Option(metavar="MS", help="Join messages that come this close together.")
        ] = None,
        retention_days: Annotated[
            int | None, typer.Option(metavar="N", help="Days that messages are kept; 0: for ever.")
        ] = None,
        allow_unsigned: Annotated[
            bool, typer.Option("--allow-unsigned", help="Answer without an app secret, though exposed.")
        ] = False,
        no_worker: Annotated[
            bool, typer.Option("--no-worker", help="Only receive; a later start without it answers.")
        ] = False,
        texts: Annotated[bool, typer.Option("--texts", help="With --json: customers' texts too.")] = False,
    ) -> None:
        """Run your bot here, on real WhatsApp messages.

        Listens for Meta's webhooks, verifies and stores them, asks your bot and answers through WhatsApp.
        What was received survives a crash; your file is loaded again when you save it.
        """
        settings = run.settings(
            {
                "serve.host": host,
                "serve.port": port,
                "serve.private_host": private_host,
                "serve.private_port": private_port,
                "serve.allowed_hosts": allowed_hosts,
                "serve.database": database,
                "serve.public_url": public_url,
                "serve.register": register,
                "serve.debounce_ms": debounce_ms,
                "serve.retention_days": retention_days,
                "serve.allow_unsigned": allow_unsigned or None,
                "tunnel.provider": tunnel_provider,
                "tunnel.domain": domain,
                **limits,
            },
            mends=True,
        )
        from aerobot.runtime import Options, leaves_loopback

        engine = bot_file or settings.text("serve.engine")
        reached = tunnel or bool(settings.text("serve.public_url"))
        asked = register not in (None, "no")
        if asked and not reached and leaves_loopback(settings):
            raise UsageError("Meta can be pointed only at an address that it can reach.", "Add --tunnel.")
        wish = None
        if reached or asked:
            wish = _wish(run, settings, live_number=live_number, take_over=take_over, tunnel=tunnel)
        for warning in tracked_secrets(settings):
            run.terminal.warn(warning)
        options = Options(engine=engine, tunnel=tunnel, register=wish, worker=not no_worker)
        raise typer.Exit(
            running.run(run.terminal, _serve(run.terminal, settings, options, texts=texts, validate=not no_validate))
        )


def _wish(run: Run, settings: Settings, *, live_number: bool, take_over: bool, tunnel: bool) -> "Wish | None":
    """Whether and where Meta is to be pointed here; asked with a tunnel on a terminal, and remembered."""
    from aerobot.runtime import settings_bot

    level = settings.get("serve.register")
    if level is None and tunnel and run.terminal.interactive and settings_bot(settings) is not None:
        level = choose_level(run.terminal)
        path = set_value(settings, "serve.register", level)
        run.terminal.say(f"Kept as serve.register in {path.name}; --register says otherwise.")
    if level in (None, "no"):
        return None
    made = registrar(run, settings)
    wish = agree(run.terminal, made, level, live_number=live_number, take_over=take_over)
    if wish is None:
        run.terminal.say("Meta stays as it is.")
    return wish


async def _serve(terminal: Terminal, settings: Settings, options: "Options", *, texts: bool, validate: bool) -> int:
    from aerobot.runtime import Host, leaves_loopback, settings_bot

    show = Stream(terminal, texts=texts)
    host = Host(settings, options, show)
    _head(terminal, settings, options.engine, tunnel=options.tunnel)
    if validate and settings_bot(settings) is not None:
        check(terminal, settings)  # what is wrong is said; messages are taken and kept all the same
    ready = await host.start()
    gc.freeze()  # what a start leaves behind stays: the collector need not look at it again and again
    gc.set_threshold(10_000)
    try:
        if terminal.json:
            show(ready)
        else:
            number = host.registration.record.display if host.registration else ""
            if validate and not number and not leaves_loopback(settings):
                await _connects(terminal, settings, ready)
            digits = "".join(c for c in number if c.isdigit())
            _ready(terminal, settings, ready, number=digits, answers=options.worker)
    except BaseException:
        await host.stop()
        raise
    return await running.until_stopped(host.stop, host.abandon)


async def _connects(terminal: Terminal, settings: Settings, ready: events.Ready) -> None:
    """Where an emulator calls nobody: the command that points it here."""
    callback = await asyncio.to_thread(called, settings)
    if ready.bots and callback == "":
        terminal.step("warning", "WhatsApp", "Nothing is sent here yet:")
        terminal.say(f"aerobot phone connect {ready.webhook_url}")


def _head(terminal: Terminal, settings: Settings, engine: str, *, tunnel: bool) -> None:
    """The first line: engine, profile, number, and who can reach it."""
    reload = " (python, reload)" if ".py" in engine and settings.get("engine.reload") else ""
    profile = f"  profile {settings.profile}" if settings.profile else ""
    number = settings.text("whatsapp.phone_number_id")
    where = settings.text("serve.public_url") or ("through a tunnel" if tunnel else "this machine only")
    terminal.say(f"aerobot {__version__}  {engine}{reload}{profile}  number {number or 'none yet'}  {where}", hang=2)


def _ready(terminal: Terminal, settings: Settings, ready: events.Ready, *, number: str, answers: bool) -> None:
    """What listens where, and what to do next; ``number`` has digits where Meta was pointed here."""
    from aerobot.runtime import leaves_loopback

    if not ready.bots:
        terminal.step("ok", "private", ready.private_url)
        terminal.say("Ready, but there is no bot yet: aerobot init asks for its number and tokens.")
        terminal.say("To try your file alone: aerobot sandbox bot.py          Stop: Ctrl-C")
        return
    terminal.step("ok", "webhook", "")
    terminal.value(ready.webhook_url)
    terminal.step("ok", "private", ready.private_url)
    if settings.secret("whatsapp.app_secret") is None and ready.bots:
        terminal.step("warning", "safe", "no app secret: signatures are not checked")
    if not leaves_loopback(settings):
        terminal.step(
            "ok", "Graph", f"{settings.text('whatsapp.graph_url')}, on this machine: replies reach nobody real"
        )
    if ready.public_url and not number and settings.secret("whatsapp.verify_token"):
        _portal(terminal, settings, ready)
    terminal.say(f"Ready. {_first(settings, number, answers=answers)}          Stop: Ctrl-C")


def _first(settings: Settings, number: str, *, answers: bool) -> str:
    """What to try first."""
    from aerobot.runtime import leaves_loopback

    if not answers:
        return "It only receives; what waits: aerobot db info"
    if not number:
        return 'Try: aerobot send-test "Hi"'
    return f"Write to https://wa.me/{number}" if leaves_loopback(settings) else 'Try: aerobot phone send "Hi" --wait 5'


def _portal(terminal: Terminal, settings: Settings, ready: events.Ready) -> None:
    """What to type into Meta's portal, with this user's values."""
    token = settings.secret("whatsapp.verify_token")
    if token is None:
        raise ConfigError("whatsapp.verify_token is not set.", "aerobot init invents one.")
    app_id = settings.text("whatsapp.app_id")
    terminal.say(f"Point Meta here: https://developers.facebook.com/apps/{app_id}".rstrip("/"))
    terminal.say("  1  WhatsApp > Configuration > Webhook > Edit")
    terminal.say("  2  Callback URL")
    terminal.say(ready.webhook_url)
    shown = token.reveal() if terminal.interactive else "aerobot config get whatsapp.verify_token --show-secrets"
    terminal.say(f"  3  Verify token   {shown}   then Verify and Save")
    terminal.say('  4  Webhook fields: subscribe "messages"')
