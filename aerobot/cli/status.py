"""`aerobot status`: where you stand, on one screen; what cannot be reached says so, and soon."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import typer

from aerobot.cli.account import until
from aerobot.cli.command import OPERATE, Run, command
from aerobot.cli.moments import count
from aerobot.config import Settings, state_folder
from aerobot.errors import AerobotError, NetworkError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.doctor import Context

Facts = dict[str, Any]
CONNECT, ANSWER = 2.0, 4.0
"""Seconds that a remote may take to be reached, and to answer."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "status", panel=OPERATE, examples=("aerobot status", "aerobot status -p staging --json"))
    def status(run: Run) -> None:
        """Show login, profile, bot, number, callback and running hosts on one screen.

        The number is asked for at Meta, the bot at Aerostack; what cannot be reached says so. Exit: always 0.
        """
        from aerobot.doctor import Context, Patience

        settings = run.settings()
        patience = Patience(connect=CONNECT, answer=ANSWER, repeats=0.0)
        with Context(settings, patience=patience) as context, run.terminal.busy("Looking around"):
            document = _gathered(context, settings)
        run.terminal.document(document)
        for topic, words in _screen(document):
            run.terminal.result(f"{topic:<10}{safe(words)}".rstrip(), hang=10)
        run.terminal.say(f"Next: {_next(document)}")


def _gathered(context: "Context", settings: Settings) -> Facts:
    """Everything, the two remotes at once."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        there = pool.submit(_asked, _bot, context)
        meta = pool.submit(_asked, _number, context)
        return {
            "login": _login(context, settings),
            "profile": settings.profile,
            "config": str(settings.path) if settings.path else None,
            "bot": there.result(),
            **_split(meta.result()),
            "hosts": _hosts(),
            "failed": _failed(context, settings),
        }


def _asked(ask: "Callable[[Context], Facts]", context: "Context") -> Facts:
    """What was told, or why nothing was: a credential that is not set, a refusal, silence."""
    from aerobot.doctor import Skip

    try:
        return {"state": "known", **ask(context)}
    except Skip as skip:
        return {"state": "not set", "why": skip.why, "remedy": skip.remedy}
    except NetworkError as error:
        return {"state": "unreachable", "why": error.message, "remedy": error.hint}
    except AerobotError as error:
        return {"state": "refused", "why": error.message, "remedy": error.hint}


def _login(context: "Context", settings: Settings) -> Facts:
    from aerobot.aerostack import jwt_expiry

    token = settings.secret("aerostack.token")
    if token is None:
        by_key = settings.secret("aerostack.api_key") is not None
        return {"state": "account key" if by_key else "not logged in", "expires_at": None}
    expiry = jwt_expiry(token)
    state = "expired" if expiry is not None and expiry <= context.now() else "logged in"
    return {"state": state, "expires_at": expiry}


def _bot(context: "Context") -> Facts:
    bot_id = context.text("bot.id")
    bot = context.bot()
    return {"id": bot_id, "name": bot.get("name"), "status": bot.get("status")}


def _number(context: "Context") -> Facts:
    from aerobot.doctor import bare

    context.secret("whatsapp.access_token")
    context.text("whatsapp.phone_number_id")
    context.token()
    number = context.number()
    there = number.callbacks.in_force
    owner = context.owner(there.url).words if there else ""
    return {
        "id": number.id,
        "display": number.display,
        "mode": number.mode,
        "status": number.status,
        "quality": number.quality,
        "callback": {"level": there.level, "url": bare(there.url), "owner": owner} if there else None,
    }


def _split(meta: Facts) -> Facts:
    """The number and, apart, the callback in force."""
    callback = meta.pop("callback", None)
    return {"number": meta, "callback": callback}


def _hosts() -> list[Facts]:
    import os

    from aerobot.host import record

    return [
        {
            "pid": host.pid,
            "engine": host.engine,
            "local_url": host.local_url,
            "public_url": host.public_url,
            "config": host.config,
            "profile": host.profile,
            "worker": host.worker,
            "sandbox": host.sandbox_secret is not None,
            "started_at": host.started_at,
        }
        for host in record.running(state_folder(os.environ) / "hosts")
    ]


def _failed(context: "Context", settings: Settings) -> int | None:
    """How many turns stand on the failed list; ``None`` where there is no database, or it cannot be read."""
    from pathlib import Path

    from aerobot.runtime import database_path
    from aerobot.store import sqlite_file

    host = context.host()
    try:
        path = Path(host.database) if host else database_path(settings)
        return sqlite_file.failed(path) if path.exists() else None
    except AerobotError:
        return None


# -- the screen ----------------------------------------------------------------------------------------------


def _screen(found: Facts) -> list[tuple[str, str]]:
    """Topic and words of each line."""
    hosts = [("host" if number == 0 else "", _host_line(host)) for number, host in enumerate(found["hosts"])]
    profile = found["profile"] or "none"
    return [
        ("login", _login_line(found["login"])),
        ("profile", f"{profile}, {found['config'] or 'no aerobot.toml'}"),
        (
            "bot",
            _line(found["bot"], "id", lambda bot: f"{bot['name'] or bot['id']}, {bot['status'] or 'status unknown'}"),
        ),
        ("number", _line(found["number"], "id", _number_line)),
        ("callback", _callback_line(found)),
        *(hosts or [("host", "none runs here")]),
        *([("failed", f"{count(found['failed'], 'turn')}: aerobot failed")] if found["failed"] else []),
    ]


def _login_line(login: Mapping[str, Any]) -> str:
    if login["expires_at"] is None:
        return str(login["state"])
    words = until(login["expires_at"]) if login["expires_at"] > time.time() else "aerobot login"
    return f"{login['state']}, {words}" if login["state"] == "expired" else f"{login['state']} until {words}"


def _line(facts: Mapping[str, Any], key: str, words: Callable[[Mapping[str, Any]], str]) -> str:
    if key in facts:
        return words(facts)
    return f"{facts['state']}: {facts['why']}"


def _number_line(number: Mapping[str, Any]) -> str:
    told = [number["display"] or number["id"], number["mode"], str(number["status"]).lower(), number["quality"]]
    return ", ".join(word for word in told if word)


def _callback_line(found: Mapping[str, Any]) -> str:
    from aerobot.doctor import place

    callback = found["callback"]
    if callback is not None:
        return f"{callback['level']} > {place(callback['url'])} ({callback['owner']})"
    return "none: Meta calls nobody" if "id" in found["number"] else "unknown without the number"


def _host_line(host: Mapping[str, Any]) -> str:
    kind = "sandbox " if host["sandbox"] else ""
    where = host["public_url"] or host["local_url"]
    silent = "" if host["worker"] else ", no worker: nobody is answered"
    return f"{kind}pid {host['pid']}, {host['engine']}, {where}{silent}"


def _next(found: Mapping[str, Any]) -> str:
    if found["login"]["state"] == "expired":
        return "aerobot login"
    nothing = all(found[part]["state"] == "not set" for part in ("bot", "number"))
    if found["failed"]:
        return "aerobot failed"
    return "aerobot init" if nothing and not found["hosts"] else "aerobot doctor"
