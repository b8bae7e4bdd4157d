"""`aerobot serve`: the local host."""

import asyncio
import contextlib
import sys
from typing import Annotated

import typer

from aerobot import __version__, events
from aerobot.cli.command import RUN, Run, command
from aerobot.cli.running import until_stopped
from aerobot.cli.stream import Stream
from aerobot.config import Settings, tracked_secrets
from aerobot.errors import ConfigError
from aerobot.terminal import Terminal

Engine = Annotated[
    str | None,
    typer.Argument(metavar="[BOT_FILE]", help="bot.py, bot.py:name, module:name, echo or demo; else serve.engine."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "serve",
        panel=RUN,
        examples=("aerobot serve bot.py", "aerobot serve bot.py --tunnel"),
    )
    def serve(
        run: Run,
        bot_file: Engine = None,
        tunnel: Annotated[bool, typer.Option("--tunnel", help="Open an ngrok tunnel, and prove it.")] = False,
        domain: Annotated[str | None, typer.Option(metavar="NAME", help="Your fixed ngrok domain.")] = None,
        public_url: Annotated[
            str | None, typer.Option(metavar="URL", help="The https address of a proxy of your own.")
        ] = None,
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
        allow_unsigned: Annotated[
            bool, typer.Option("--allow-unsigned", help="Answer without an app secret, though exposed.")
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
                "serve.debounce_ms": debounce_ms,
                "serve.allow_unsigned": allow_unsigned or None,
                "tunnel.domain": domain,
            }
        )
        engine = bot_file or settings.text("serve.engine")
        for warning in tracked_secrets(settings):
            run.terminal.warn(warning)
        with contextlib.redirect_stdout(sys.stderr):  # what a bot prints is talk
            code = asyncio.run(_serve(run.terminal, settings, engine, tunnel=tunnel, texts=texts))
        raise typer.Exit(code)


async def _serve(terminal: Terminal, settings: Settings, engine: str, *, tunnel: bool, texts: bool) -> int:
    from aerobot.runtime import Host, Options

    show = Stream(terminal, texts=texts)
    host = Host(settings, Options(engine=engine, tunnel=tunnel), show)
    _head(terminal, settings, engine, tunnel=tunnel)
    ready = await host.start()
    if terminal.json:
        show(ready)
    else:
        _ready(terminal, settings, ready)
    return await until_stopped(host.stop, host.abandon)


def _head(terminal: Terminal, settings: Settings, engine: str, *, tunnel: bool) -> None:
    """The first line: engine, profile, number, and who can reach it."""
    reload = " (python, reload)" if ".py" in engine and settings.get("engine.reload") else ""
    profile = f"  profile {settings.profile}" if settings.profile else ""
    number = settings.text("whatsapp.phone_number_id")
    where = settings.text("serve.public_url") or ("through a tunnel" if tunnel else "this machine only")
    terminal.say(f"aerobot {__version__}  {engine}{reload}{profile}  number {number or 'none yet'}  {where}")


def _ready(terminal: Terminal, settings: Settings, ready: events.Ready) -> None:
    from aerobot.runtime import leaves_loopback

    if not ready.bots:
        terminal.step("warning", "bot", "none yet: aerobot init, or aerobot create --local --name NAME")
    terminal.step("ok", "webhook", "")
    terminal.value(ready.webhook_url)
    terminal.step("ok", "private", ready.private_url)
    if settings.secret("whatsapp.app_secret") is None and ready.bots:
        terminal.step("warning", "safe", "no app secret: signatures are not checked")
    if not leaves_loopback(settings):
        terminal.step(
            "ok", "Graph", f"{settings.text('whatsapp.graph_url')}, on this machine: replies reach nobody real"
        )
    if ready.public_url:
        _portal(terminal, settings, ready)
    terminal.say('Ready. Try: aerobot send-test "Hi"          Stop: Ctrl-C')


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
