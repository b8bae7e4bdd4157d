"""Whom a command talks to: your Aerostack account, or with ``--local`` the host on this machine."""

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from aerobot.cli.command import Run
from aerobot.config import SETTINGS, Settings, state_folder
from aerobot.errors import ConfigError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

Bot = Annotated[
    str | None,
    typer.Argument(metavar="BOT", help="A bot's id; without one, bot.id of the settings.", show_default=False),
]
NamedBot = Annotated[str, typer.Argument(metavar="BOT", help="The bot's id.", show_default=False)]
Local = Annotated[bool, typer.Option("--local", help="Talk to the local host that is running, and to nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

SOON = 3600
"""Seconds: a login that ends within them is warned about."""


def connect(run: Run, settings: Settings, *, local: bool) -> "Aerostack":
    """A client of the account, or of the local host that is meant (exit 5: none runs, 2: which one?)."""
    from aerobot.aerostack import Aerostack

    hidden = [secret for s in SETTINGS if s.secret and (secret := settings.secret(s.key))]
    if local:
        from aerobot.host.record import choose, running

        records = running(state_folder(os.environ) / "hosts")
        path = str(settings.path) if settings.path else None
        host = choose(records, config=path, phone_number_id=settings.text("whatsapp.phone_number_id"))
        return Aerostack(host.private_url, token=host.private_token, local=True, hidden=hidden)
    return Aerostack(
        settings.text("aerostack.api_url"),
        token=settings.secret("aerostack.token"),
        api_key=settings.secret("aerostack.api_key"),
        hidden=hidden,
        tell=lambda words: run.terminal.say(safe(words)),
    )


def which_bot(api: "Aerostack", settings: Settings, given: str | None) -> str:
    """The bot that is meant: the one that was named, else ``bot.id``, else the only one of the local host."""
    if given or settings.is_set("bot.id"):
        return given or settings.text("bot.id")
    if not api.remote.local:
        raise ConfigError(
            "Which bot? None was named, and bot.id is not set.",
            "Make one: aerobot create. Take one that exists: aerobot bots use BOT",
        )
    number = settings.text("whatsapp.phone_number_id")
    bots = api.bots()
    fits = [b for b in bots if number and number == _number_id(b)] or bots
    fits = [b for b in fits if b.get("origin") == "settings"] or fits
    if len(fits) == 1:
        return str(fits[0].get("id"))
    ids = ", ".join(str(bot.get("id")) for bot in bots) or "none yet: aerobot create --local"
    raise ConfigError("Which bot of the local host?", f"It has {ids}")


def _number_id(bot: dict[str, object]) -> object:
    config = bot.get("platform_config")
    return bot.get("phone_number_id") or (config.get("phone_number_id") if isinstance(config, dict) else None)


def about_login(run: Run, settings: Settings) -> None:
    """One line: as whom the account is asked, and for how long that will do."""
    from aerobot.aerostack import jwt_expiry

    token = settings.secret("aerostack.token")
    if token is None:
        run.terminal.step("skipped", "Aerostack", "an account key, not tried yet; bots may want a login: aerobot login")
        return
    expiry = jwt_expiry(token)
    if expiry is None:
        run.terminal.step("skipped", "Aerostack", "a token is set, not tried yet")
        return
    left = expiry - time.time()
    run.terminal.step("ok" if left > SOON else "warning", "Aerostack", f"login good for {span(left)}")


def until(moment: int) -> str:
    """A date with what is left until then: ``2026-11-24 07:12 (in 23 h)``."""
    from aerobot.aerostack import when

    return f"{when(moment)} (in {span(moment - time.time())})"


def span(seconds: float) -> str:
    """A length of time in the one unit that says enough."""
    minutes = max(0, int(seconds // 60))
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def called(bot: dict[str, object], bot_id: str) -> str:
    """A bot in a sentence: its name, if it has one, and its id."""
    name = bot.get("name")
    return safe(f"{name} ({bot_id})" if isinstance(name, str) and name else bot_id)
