"""`aerobot create`: a bot on Aerostack, or with ``--local`` on the local host."""

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot.cli.account import Local, Yes, about_login, connect
from aerobot.cli.command import BOTS, Run, command
from aerobot.cli.fields import Flags, Problem, new_bot, refusal, with_fields
from aerobot.cli.validate import NoValidate, check
from aerobot.config import FILE, Settings, set_value
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, Repeat
from aerobot.secret import masked
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

SKEW = 120
"""Seconds by which this machine's clock and Aerostack's may differ."""
LOOKS, BETWEEN = 2, 2.0
"""How often, and how many seconds apart, the list is looked at after a creation whose outcome is unknown."""
NONE_FITS = "No new bot fits: none seems to have been created. Once sure (aerobot bots list), repeat aerobot create."
SEVERAL_FIT = "Several new bots fit: aerobot bots list, then aerobot bots use BOT"

New = Annotated[bool, typer.Option("--new", help="Create one more, although bot.id is set already.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the request, secrets masked, and send nothing.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "create",
        panel=BOTS,
        examples=(
            'aerobot create --name "Acme Support" --system-prompt @prompt.md',
            "aerobot create -p staging --dry-run",
        ),
    )
    @with_fields("whatsapp.phone_number_id", "whatsapp.business_account_id")
    def create(
        run: Run,
        flags: Flags,
        *,
        new: New = False,
        dry_run: DryRun = False,
        no_validate: NoValidate = False,
        yes: Yes = False,
        local: Local = False,
    ) -> None:
        """Create a bot from the settings and these flags.

        WhatsApp's credentials are read from the settings (whatsapp.*), never from flags. Only what you set is
        sent. The new bot's id is kept in aerobot.toml, so that the other commands know it. Meta is asked first
        whether the number is there and the access token alive.
        """
        settings = run.settings(flags)
        if not (new or dry_run or local):
            _only_one(settings)
        body, problems = new_bot(settings, local=local)
        if dry_run:
            _show(run, settings, body, problems, local=local)
            return
        with connect(run, settings, local=local) as api:
            _create(run, api, settings, body, problems, yes=yes, validate=not (no_validate or local))


def _only_one(settings: Settings) -> None:
    elsewhere = settings.profile is not None and settings.path and settings.source("bot.id") == settings.path.name
    if settings.is_set("bot.id") and not elsewhere:
        raise ConfigError(
            f"There is a bot already: {settings.text('bot.id')} (bot.id, {settings.source('bot.id')}).",
            "Change it: aerobot bots update\nTake another one: aerobot bots use BOT\n"
            "Make one more, which takes its place here: aerobot create --new",
        )


def _show(run: Run, settings: Settings, body: dict[str, Any], problems: list[Problem], *, local: bool) -> None:
    if problems:
        raise refusal(problems)
    shown = masked(body)
    where = "the local host: " if local else settings.text("aerostack.api_url").rstrip("/")
    run.terminal.say(f"POST {where}/api/bots")
    run.terminal.result(json.dumps(shown, indent=2, ensure_ascii=False))
    run.terminal.document(shown)
    if not local and "workspace_id" not in body:
        run.terminal.say("workspace_id is not set: the only one is taken, or you are asked.")
    run.terminal.say("Nothing was sent. Next: the same without --dry-run")


def _create(
    run: Run,
    api: "Aerostack",
    settings: Settings,
    body: dict[str, Any],
    problems: list[Problem],
    *,
    yes: bool,
    validate: bool,
) -> None:
    local = api.remote.local
    if not local:
        problems += _unwritable(settings)
    try:
        api.check()
    except ConfigError as error:
        if not problems:
            raise
        given = settings.is_set("aerostack.token") or settings.is_set("aerostack.api_key")
        words = f"cannot be used: {error.message} {error.hint}" if given else f"is missing: {error.hint}"
        problems.append(("aerostack.token", words.rstrip(".")))
    if problems:
        raise refusal(problems)
    if not local:
        about_login(run, settings)
    if not local and "workspace_id" not in body:
        body["workspace_id"] = _workspace(run, api)
    if body["platform"] == "whatsapp":
        _about_whatsapp(run, settings, body["platform_config"], validate=validate)
    began = time.monotonic()
    bot = _made(run, api, body, yes=yes)
    kept = "" if local else _keep(run, settings, bot)
    _tell(run, api, bot, "on the local host" if local else f"{time.monotonic() - began:.1f} s, kept in {kept}")


def _unwritable(settings: Settings) -> list[Problem]:
    path = settings.path or settings.folder / FILE
    if os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK)):
        return []
    return [("bot.id", f"could not be kept: {path} is read-only")]


def _about_whatsapp(run: Run, settings: Settings, config: dict[str, str], *, validate: bool) -> None:
    if validate:
        check(run.terminal, settings, undone="Nothing was created.")
    else:
        run.terminal.step("skipped", "WhatsApp", f"phone number id {config['phone_number_id']}, not checked at Meta")
    if "app_secret" not in config:
        run.terminal.warn(
            "Without whatsapp.app_secret nobody checks that messages come from Meta:",
            "who knows the webhook URL can pose as a customer. Fine for a test number;\n"
            "else: Meta > App settings > Basic, aerobot config set whatsapp.app_secret",
        )


def _workspace(run: Run, api: "Aerostack") -> str:
    """The workspace of the new bot: the only one, or the one that is chosen."""
    with run.terminal.busy("Looking for your workspaces"):
        found = [(str(one.get("id")), str(one.get("name") or one.get("slug"))) for one in api.workspaces()]
    if not found:
        raise ConfigError("Your account has no workspace yet.", "Make one: aerobot workspaces --create NAME")
    if len(found) == 1:
        run.terminal.step("ok", "space", safe(f"workspace {found[0][1]} (the only one)"))
        return found[0][0]
    if run.terminal.interactive:
        run.terminal.say("Which workspace shall the bot belong to?")
        return run.terminal.choose("Number", [(key, f"{name}  {key}") for key, name in found])
    lines = "\n".join(f"{key}  {name}" for key, name in found)
    raise ConfigError(
        "aerostack.workspace_id is not set, and your account has several workspaces.",
        f"{lines}\nName one: --workspace-id ID, or aerobot config set aerostack.workspace_id ID",
    )


def _made(run: Run, api: "Aerostack", body: dict[str, Any], *, yes: bool) -> dict[str, Any]:
    started = time.time()
    try:
        with run.terminal.busy(f"Creating {safe(body['name'])}"):
            return api.create_bot(body)
    except (NetworkError, RemoteError) as error:
        if error.repeat is not Repeat.AMBIGUOUS:
            raise
        return _settled(run, api, body, started, error, yes=yes)


def _settled(
    run: Run,
    api: "Aerostack",
    body: dict[str, Any],
    started: float,
    error: NetworkError | RemoteError,
    *,
    yes: bool,
) -> dict[str, Any]:
    """Nobody knows whether it was created: look, and offer the one new bot that fits."""
    run.terminal.warn(error.message.rstrip(".") + ": looking whether the bot was created.")
    fits = _fitting(api, body, started)
    if len(fits) != 1:
        error.hint = SEVERAL_FIT if fits else NONE_FITS
        raise error
    bot = fits[0]
    question = f"There is one new bot of that name: {bot['id']}, created {bot['created_at']}."
    if not yes and not run.terminal.interactive:
        error.hint = f"{question}\nIf that is it: aerobot bots use {bot['id']}"
        raise error
    run.terminal.say(safe(question))
    if not yes and not run.terminal.confirm("Is that it?", default=True):
        error.hint = "Then repeat aerobot create."
        raise error
    return bot


def _fitting(api: "Aerostack", body: dict[str, Any], started: float) -> list[dict[str, Any]]:
    for look in range(LOOKS):
        time.sleep(BETWEEN * look)
        try:
            fits = [bot for bot in api.bots() if _fits(bot, body, started)]
        except AerobotError:
            continue
        if fits:
            return fits
    return []


def _fits(bot: dict[str, Any], body: dict[str, Any], started: float) -> bool:
    if not bot.get("id") or any(bot.get(name) != body[name] for name in ("name", "platform")):
        return False
    try:
        made = datetime.fromisoformat(str(bot.get("created_at")))
    except ValueError:
        return False
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp() >= started - SKEW


def _keep(run: Run, settings: Settings, bot: dict[str, Any]) -> str:
    """Write the id into the file, and return the file's name."""
    try:
        path = set_value(settings, "bot.id", str(bot["id"]))
    except AerobotError as error:
        raise ConfigError(
            f"{bot['id']} was created, but {error.message}", f"Then: aerobot bots use {bot['id']}"
        ) from None
    source = settings.source("bot.id")
    if source.startswith(("AEROBOT_", ".env")):
        run.terminal.warn(f"bot.id from {source} still wins over {path.name}: remove it there.")
    return path.name


def _tell(run: Run, api: "Aerostack", bot: dict[str, Any], where: str) -> None:
    run.terminal.document(api.shown(bot))
    run.terminal.say(f"Created {safe(str(bot.get('name') or ''))} ({where}):")
    run.terminal.value(str(bot["id"]))
    model = " ".join(str(bot[name]) for name in ("llm_provider", "llm_model") if bot.get(name))
    billing = f", {bot['billing_mode']} billing" if bot.get("billing_mode") else ""
    if model:
        run.terminal.say(safe(f"  model     {model}{billing}"))
    run.terminal.say(f"Next: aerobot activate {bot['id']} --local" if api.remote.local else "Next: aerobot activate")
