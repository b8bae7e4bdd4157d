"""`aerobot bots`: list, show, update, delete and use the bots of the account or of the local host."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot.cli.account import Bot, Local, NamedBot, Yes, called, connect, which_bot
from aerobot.cli.command import BOTS, Run, command, group
from aerobot.cli.fields import WHATSAPP, Flags, chosen, refusal, whatsapp_config, with_fields
from aerobot.config import Settings, set_value
from aerobot.errors import ConfigError, UsageError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

LONGEST_NAME = 20
LONGEST_VALUE = 200
"""Characters; longer ones are cut for people, and whole under ``--json``."""

SendWhatsapp = Annotated[
    bool, typer.Option("--whatsapp", help="Send the credentials of [whatsapp], all of them at once.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    bots = group(app, "bots", "List, show, update, delete and use bots.", panel=BOTS)
    _register_reading(bots)
    _register_update(bots)
    _register_delete(bots)
    _register_use(bots)


def _register_reading(bots: typer.Typer) -> None:
    @command(bots, "list", examples=("aerobot bots list", "aerobot bots list --local --json"))
    def list_(run: Run, *, local: Local = False) -> None:
        """List your bots."""
        settings = run.settings()
        with connect(run, settings, local=local) as api, run.terminal.busy("Asking for your bots"):
            found = api.shown(api.bots())
        run.terminal.document({"bots": found})
        own = settings.text("bot.id")
        if found:
            run.terminal.table(("id", "name", "platform", "status", "chats"), [_row(bot) for bot in found])
        if any(bot.get("id") == own for bot in found):
            run.terminal.say(safe(f"In use here: {own} (bot.id, {settings.source('bot.id')})"))
        run.terminal.say(_next(found, local=local))

    @command(bots, "show", examples=("aerobot bots show", "aerobot bots show bt_a1b2c3d4e5f6g7h8i9j0 --json"))
    def show(run: Run, bot: Bot = None, *, local: Local = False) -> None:
        """Show everything that is known of a bot; secrets read ***."""
        settings = run.settings()
        with connect(run, settings, local=local) as api, run.terminal.busy("Asking for the bot"):
            found = api.shown(api.bot(which_bot(api, settings, bot)))
        run.terminal.document(found)
        width = max(len(str(key)) for key in found)
        for key, value in found.items():
            run.terminal.result(f"{safe(str(key)):<{width}}  {_cell(value)}")
        run.terminal.say("Next: aerobot bots update" + (f" {bot}" if bot else "") + (" --local" if local else ""))


def _row(bot: dict[str, Any]) -> list[str]:
    name = str(bot.get("name") or "")
    name = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return [
        str(bot.get("id") or ""),
        name,
        *(_text(bot.get(k)) for k in ("platform", "status", "conversation_count")),
    ]


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > LONGEST_VALUE:
        text = f"{text[:LONGEST_VALUE]}… ({len(text):,} characters: --json)"
    return safe(text)


def _next(found: list[dict[str, Any]], *, local: bool) -> str:
    end = " --local" if local else ""
    return f"Next: aerobot bots show BOT{end}" if found else f"No bots yet. Next: aerobot create{end}"


def _register_update(bots: typer.Typer) -> None:
    @command(
        bots,
        "update",
        examples=("aerobot bots update --system-prompt @prompt.md", "aerobot bots update --whatsapp"),
    )
    @with_fields()
    def update(
        run: Run,
        flags: Flags,
        bot: Bot = None,
        *,
        whatsapp: SendWhatsapp = False,
        yes: Yes = False,
        local: Local = False,
    ) -> None:
        """Change a bot: only what flags name is sent.

        --whatsapp sends the credentials of the settings. The platform replaces them as a whole, so it is
        refused (without --yes) where that would erase one that is set there and not here.
        """
        settings = run.settings(flags)
        emptied = {key.partition(".")[2]: "" for key, value in flags.items() if value == ""}
        changes = chosen(settings, flags) | emptied
        if not changes and not whatsapp:
            raise UsageError("Nothing to change: no flag names a field.", "aerobot bots update --help lists them.")
        with connect(run, settings, local=local) as api:
            bot_id = which_bot(api, settings, bot)
            if whatsapp:
                changes["platform_config"] = _credentials(api, settings, bot_id, yes=yes)
            with run.terminal.busy("Updating"):
                answer = {"id": bot_id, **api.update_bot(bot_id, changes)}
            run.terminal.document(api.shown(answer))
            run.terminal.say(f"Updated {called(answer, bot_id)}: {', '.join(changes)}.")
            run.terminal.say(f'Next: aerobot ask "Hi"{" --local" if local else ""}')


def _credentials(api: "Aerostack", settings: Settings, bot_id: str, *, yes: bool) -> dict[str, str]:
    """The whole ``platform_config`` of the settings, or a refusal that names what it would erase."""
    config, problems = whatsapp_config(settings)
    if problems:
        raise refusal(problems)
    there = api.bot(bot_id).get("platform_config")
    known = there if isinstance(there, dict) else {}
    set_there = [name for name, value in known.items() if value not in (None, "")] if known else WHATSAPP
    erased = [name for name in set_there if name not in config]
    if erased and not yes:
        doubt = "" if known else ", if set there (the platform does not tell)"
        names = " and ".join(erased)
        raise ConfigError(
            f"That would erase {names}{doubt}: the platform replaces platform_config as a whole.",
            f"Set {' and '.join(f'whatsapp.{name}' for name in erased)} too, or add --yes to let go of it.",
        )
    return config


def _register_delete(bots: typer.Typer) -> None:
    @command(
        bots,
        "delete",
        examples=(
            "aerobot bots delete bt_a1b2c3d4e5f6g7h8i9j0",
            "aerobot bots delete bt_a1b2c3d4e5f6g7h8i9j0 --yes",
        ),
    )
    def delete(run: Run, bot: NamedBot, *, yes: Yes = False, local: Local = False) -> None:
        """Delete a bot, for good. It has to be named, and you are asked."""
        settings = run.settings()
        with connect(run, settings, local=local) as api:
            known = api.bot(bot)
            if not yes and not run.terminal.confirm(f"Delete {called(known, bot)} for good?"):
                run.terminal.say("Nothing was deleted.")
                return
            with run.terminal.busy("Deleting"):
                api.delete_bot(bot)
        run.terminal.document({"id": bot, "deleted": True})
        run.terminal.say(f"Deleted {called(known, bot)}.")
        if settings.text("bot.id") == bot and not local:
            _forget(run, settings)
        run.terminal.say(f"Next: aerobot bots list{' --local' if local else ''}")


def _forget(run: Run, settings: Settings) -> None:
    """Take the id of a bot that is gone out of the file, where it stands there."""
    source, path = settings.source("bot.id"), settings.path
    profile = f" [profiles.{settings.profile}]" if settings.profile else ""
    if path is None or source != path.name + profile:
        run.terminal.warn(f"bot.id still names it in {source}: remove it there.")
        return
    set_value(settings, "bot.id", None)
    run.terminal.say(f"bot.id was taken out of {path.name}.")


def _register_use(bots: typer.Typer) -> None:
    @command(
        bots,
        "use",
        examples=(
            "aerobot bots use bt_a1b2c3d4e5f6g7h8i9j0",
            "aerobot bots use bt_a1b2c3d4e5f6g7h8i9j0 -p staging",
        ),
    )
    def use(run: Run, bot: NamedBot, *, local: Local = False) -> None:
        """Take a bot that exists: its id becomes bot.id in aerobot.toml."""
        settings = run.settings()
        with connect(run, settings, local=local) as api, run.terminal.busy("Looking for it"):
            known = api.bot(bot)
        path = set_value(settings, "bot.id", bot)
        run.terminal.document(api.shown(known))
        run.terminal.say(f"In use: {called(known, bot)}, bot.id in {path.name}.")
        if known.get("platform") not in (None, settings.text("bot.platform")):
            here = settings.text("bot.platform")
            run.terminal.warn(f"It lives on {known['platform']}, but bot.platform here is {here}.")
        source = settings.source("bot.id")
        if source.startswith(("AEROBOT_", ".env")):
            run.terminal.warn(f"bot.id from {source} still wins over {path.name}: remove it there.")
        run.terminal.say(f"Next: aerobot activate{' --local' if local else ''}")
