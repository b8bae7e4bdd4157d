"""`aerobot login`, `logout` and `workspaces`: your Aerostack account."""

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from aerobot.cli.account import connect, span, until
from aerobot.cli.command import START, Run, command
from aerobot.config import Settings, keep_login
from aerobot.errors import AerobotError, ConfigError, NetworkError, UsageError
from aerobot.secret import Secret
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

Email = Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="Your e-mail address; or AEROBOT_EMAIL.")]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="-", help="Only -: take a token from stdin, without e-mail and password."),
]
Create = Annotated[str | None, typer.Option("--create", metavar="NAME", help="Create a workspace of that name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _register_login(app)
    _register_logout(app)
    _register_workspaces(app)


def _register_login(app: typer.Typer) -> None:
    @command(
        app,
        "login",
        panel=START,
        examples=("aerobot login --email you@acme.example", "aerobot login --token - < token.txt"),
    )
    def login(run: Run, *, email: Email = None, token: Token = None) -> None:
        """Log in to Aerostack and keep the login on this machine.

        E-mail and password are asked for on a terminal; elsewhere they are read from AEROBOT_EMAIL and
        AEROBOT_PASSWORD.
        """
        if token not in (None, "-"):
            raise UsageError(
                "A token on the command line can be read by others.",
                "aerobot login --token - reads it from stdin.",
            )
        from aerobot.aerostack import Aerostack

        settings = run.settings()
        with Aerostack(settings.text("aerostack.api_url")) as api:
            fresh = _given(run) if token else _by_password(run, api, email)
        untried = _prove(run, settings, fresh)
        path = keep_login(settings.text("aerostack.api_url"), fresh)
        _tell(run, settings, fresh, str(path), untried=untried if token else "")


def _given(run: Run) -> Secret:
    text = run.terminal.ask("Token (hidden)", hidden=True) if sys.stdin.isatty() else sys.stdin.read()
    token = text.strip().removeprefix("Bearer ").strip()
    if not token:
        raise UsageError("There was no token on stdin.", "aerobot login --token - < token.txt")
    return Secret(token)


def _by_password(run: Run, api: "Aerostack", email: str | None) -> Secret:
    address, password = email or os.environ.get("AEROBOT_EMAIL"), os.environ.get("AEROBOT_PASSWORD")
    if not (address and password) and not run.terminal.interactive:
        raise UsageError(
            "There is no terminal to ask for e-mail and password on.",
            "Set AEROBOT_EMAIL and AEROBOT_PASSWORD, or pipe a token to login --token -",
        )
    address = address or run.terminal.ask("E-mail of your Aerostack account")
    password = password or run.terminal.ask("Password (hidden)", hidden=True)
    if not (address and password):
        raise UsageError("Both e-mail and password are needed.")
    with run.terminal.busy(f"Logging in at {api.remote.origin}"):
        return api.login(address, Secret(password))


def _prove(run: Run, settings: Settings, token: Secret) -> str:
    """Ask for the bots once: a refused token is not kept; any other trouble is said and stops nothing.

    Returns why the token could not be tried, in a word or two; empty where it was.
    """
    from aerobot.aerostack import Aerostack

    with Aerostack(settings.text("aerostack.api_url"), token=token, patience=5.0) as api:
        api.check()
        try:
            with run.terminal.busy("Trying the login"):
                api.bots()
        except ConfigError as error:
            raise ConfigError(
                error.message, "Nothing was kept. Is it the token of this account, copied whole?"
            ) from None
        except AerobotError as error:
            run.terminal.warn(f"The login could not be tried: {error.message}", error.hint)
            return "no network" if isinstance(error, NetworkError) else "Aerostack failed"
    return ""


def _tell(run: Run, settings: Settings, token: Secret, path: str, *, untried: str) -> None:
    from aerobot.aerostack import jwt_expiry

    expiry, origin = jwt_expiry(token), settings.text("aerostack.api_url").rstrip("/")
    run.terminal.document({"api_url": origin, "expires_at": expiry, "kept_in": path, "tried": not untried})
    run.terminal.say(f"Kept for {origin}, not tried: {untried}." if untried else f"Logged in at {origin}.")
    run.terminal.say(f"  good until  {until(expiry) if expiry else 'unknown: the token does not tell'}")
    run.terminal.say(f"  kept in     {path}")
    source = settings.source("aerostack.token")
    if source not in ("default", "login"):
        run.terminal.warn(f"aerostack.token from {source} is used instead of this login.", "Remove it there.")
    run.terminal.say("Next: aerobot create" if not settings.is_set("bot.id") else "Next: aerobot bots show")


def _register_logout(app: typer.Typer) -> None:
    @command(app, "logout", panel=START, examples=("aerobot logout", "aerobot logout -p staging"))
    def logout(run: Run) -> None:
        """Forget the login kept on this machine."""
        from aerobot.aerostack import jwt_expiry

        settings = run.settings()
        origin, token = settings.text("aerostack.api_url").rstrip("/"), settings.secret("aerostack.token")
        kept = settings.source("aerostack.token") == "login"
        path = keep_login(origin, None)
        run.terminal.document({"api_url": origin, "forgotten": kept})
        if token and not kept:
            source = settings.source("aerostack.token")
            run.terminal.warn(f"aerostack.token is still set by {source}.", "Remove it there.")
        elif not token:
            run.terminal.say(f"There was no login for {origin}.")
        else:
            expiry = jwt_expiry(token)
            run.terminal.say(f"Forgotten: the login for {origin}, kept in {path}.")
            if expiry and expiry > time.time():
                run.terminal.say(f"Aerostack itself accepts that token for {span(expiry - time.time())} more.")
        run.terminal.say("Next: aerobot login")


def _register_workspaces(app: typer.Typer) -> None:
    @command(app, "workspaces", panel=START, examples=("aerobot workspaces", "aerobot workspaces --create acme"))
    def workspaces(run: Run, *, create: Create = None) -> None:
        """List your workspaces, or create one; every bot belongs to one."""
        settings = run.settings()
        if create is not None and len(create.strip()) < 2:
            raise UsageError("A workspace's name has at least two characters.")
        with connect(run, settings, local=False) as api:
            if create is None:
                _list(run, api, settings)
                return
            with run.terminal.busy(f"Creating {safe(create)}"):
                made = api.shown(api.create_workspace(create.strip()))
        run.terminal.document(made)
        run.terminal.say(f"Created {safe(str(made.get('name') or create))}:")
        run.terminal.value(str(made["id"]))
        run.terminal.say(safe(f"Next: aerobot config set aerostack.workspace_id {made['id']}"))


def _list(run: Run, api: "Aerostack", settings: Settings) -> None:
    with run.terminal.busy("Asking for your workspaces"):
        found = api.shown(api.workspaces())
    run.terminal.document({"workspaces": found})
    if not found:
        run.terminal.say("No workspaces yet. Next: aerobot workspaces --create NAME")
        return
    rows = [[str(one.get(key) or "") for key in ("id", "name", "slug", "server_count")] for one in found]
    run.terminal.table(("id", "name", "slug", "servers"), rows)
    chosen = settings.text("aerostack.workspace_id")
    if chosen:
        run.terminal.say(safe(f"In use here: {chosen} ({settings.source('aerostack.workspace_id')})"))
    elif len(found) > 1:
        run.terminal.say("Next: aerobot config set aerostack.workspace_id ID")
    else:
        run.terminal.say("Next: aerobot create")
