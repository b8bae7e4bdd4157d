"""`aerobot init`: a bot's first settings, asked for on a terminal, from flags and environment elsewhere.

Two credentials are enough where Meta can be reached: the rest is found (``finder``). Where not, it writes what it got.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aerobot.cli.command import Run, command
from aerobot.cli.questions import QUESTIONS, complaints, odd_shape
from aerobot.cli.validate import NoValidate, documents
from aerobot.config import FILE, Settings, check_profile_name, known, load, read_env, tracked_by_git
from aerobot.config.draft import Draft
from aerobot.config.places import current_folder
from aerobot.errors import ConfigError, UsageError
from aerobot.secret import MASK

if TYPE_CHECKING:
    from aerobot.cli.finder import Finder

SECRETS = ("whatsapp.access_token", "whatsapp.app_secret", "whatsapp.verify_token")
OPEN = (*(question.key for question in QUESTIONS if question.key not in SECRETS), "bot.platform")
EXAMPLES = (
    "aerobot init",
    "aerobot init acme --yes --access-token - < token.txt",
)
PROMPT = "prompt.md"
WIDTH = 80

Id = Annotated[str | None, typer.Option(metavar="ID", help="Meta > WhatsApp > API Setup.")]
AppId = Annotated[str | None, typer.Option(metavar="ID", help="Meta > App settings > Basic.")]
Workspace = Annotated[str | None, typer.Option(metavar="ID", help="Your Aerostack workspace.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="The bot's name.")]
Platform = Annotated[str | None, typer.Option(metavar="NAME", help="whatsapp unless you say otherwise.")]
Piped = Annotated[str | None, typer.Option(metavar="-", help="Read it from stdin.")]
Verify = Annotated[str | None, typer.Option(metavar="-", help="Read it from stdin; else it is made up.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there; what you do not give stays.")]


def register(app: typer.Typer, panel: str) -> None:
    """Add the command."""

    @command(app, "init", panel=panel, examples=EXAMPLES)
    def init(
        run: Run,
        directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="The bot's folder.")] = None,
        name: Name = None,
        platform: Platform = None,
        workspace_id: Workspace = None,
        phone_number_id: Id = None,
        business_account_id: Id = None,
        app_id: AppId = None,
        access_token: Piped = None,
        app_secret: Piped = None,
        verify_token: Verify = None,
        no_validate: NoValidate = False,
        yes: Yes = False,
        force: Force = False,
    ) -> None:
        """Write a bot's settings: aerobot.toml and .env.

        Asks for the access token and the app secret on a terminal, finds the app, the account and the number
        with them, and asks for the rest. Elsewhere values come from flags, and secrets from the environment
        (AEROBOT_WHATSAPP_ACCESS_TOKEN, ..._APP_SECRET, ..._VERIFY_TOKEN) or stdin. .gitignore gets the lines
        that keep secrets out of git. With -p NAME a profile is added: another number, or live beside test.
        """
        flags = {
            "bot.name": name,
            "bot.platform": platform,
            "aerostack.workspace_id": workspace_id,
            "whatsapp.phone_number_id": phone_number_id,
            "whatsapp.business_account_id": business_account_id,
            "whatsapp.app_id": app_id,
            **_from_stdin(dict(zip(SECRETS, (access_token, app_secret, verify_token), strict=True))),
        }
        draft = Draft(toml=_target(run, directory), profile=run.shared.profile, values={})
        ask = run.terminal.interactive and not yes
        _init(run, draft, flags, ask=ask, force=force, validate=not no_validate)


def _init(run: Run, place: Draft, flags: Mapping[str, str | None], *, ask: bool, force: bool, validate: bool) -> None:
    taken = place.taken()
    if taken and not force:
        raise _refusal(taken, place.profile)
    given = {**_kept(place, taken), **_environment(), **{key: text for key, text in flags.items() if text}}
    values = _stripped(run, given)
    _stop_at(complaints(values, missing=False))
    _tell_odd(run, values)
    finder = _finder(run, place) if validate else None
    values = _complete(run, values, finder, ask=ask)
    _stop_at(complaints(values), _choices(finder))
    if values.get("bot.platform", "whatsapp") == "whatsapp":
        values.setdefault("whatsapp.verify_token", secrets.token_urlsafe(24))
    draft = Draft(toml=place.toml, profile=place.profile, values=values)
    _report(run, draft, draft.write(), finder)


def _complete(run: Run, values: dict[str, str], finder: "Finder | None", *, ask: bool) -> dict[str, str]:
    """The values with what was found and, on a terminal, answered."""
    if ask:
        from aerobot.cli.interview import Interview

        return Interview(run.terminal, values, finder).run()
    if finder is None:
        return values
    from aerobot.cli.finder import by_itself

    return by_itself(finder, values)


def _finder(run: Run, place: Draft) -> "Finder | None":
    """What asks Meta and Aerostack, by the settings that will be in force there; none where these are broken."""
    from aerobot.cli.finder import Finder

    settings = _in_force(place)
    return Finder(run.terminal, settings) if settings is not None else None


def _in_force(place: Draft) -> Settings | None:
    """The settings of that folder as they are now, those of the environment where it has none."""
    environ = {name: text for name, text in os.environ.items() if name != "AEROBOT_CONFIG"}
    there = place.toml if place.toml.exists() else None
    for profile in (place.profile, None):
        try:
            return load(config=there, profile=profile, environ=environ, cwd=place.toml.parent)
        except (ConfigError, UsageError):
            continue
    return None


def _stop_at(problems: list[tuple[str, str]], choices: str = "") -> None:
    if problems:
        lines = "\n".join(f"{key} {words}" for key, words in problems)
        raise ConfigError("Nothing was written: values are missing or wrong.", lines + choices, problems=problems)


def _choices(finder: "Finder | None") -> str:
    """The numbers to choose from, where nobody could be asked."""
    from aerobot.cli.finder import named

    return "".join(f"\n  {number.id}  {named(number)}" for number in (finder.numbers if finder is not None else ()))


def _tell_odd(run: Run, values: Mapping[str, str]) -> None:
    for key, text in values.items():
        if odd := odd_shape(key, text):
            run.terminal.warn(f"{key} {odd}. It is taken as it is.")


def _target(run: Run, directory: Path | None) -> Path:
    if run.shared.profile is not None:
        check_profile_name(run.shared.profile)
    if run.shared.config is None:
        return Path(os.path.normpath(current_folder() / (directory or "") / FILE))
    if directory is not None:
        raise UsageError("DIR and --config both say where to write.", "Give one of them.")
    return current_folder() / run.shared.config


def _refusal(taken: tuple[Path, ...], profile: str | None) -> ConfigError:
    names = " and ".join(_near(path) for path in taken)
    there = f'a profile "{profile}" is in {names}' if profile else f"{names} {'are' if len(taken) > 1 else 'is'} there"
    return ConfigError(
        f"Nothing was changed: {there} already.",
        "One value: aerobot config set KEY. Another number or bot: aerobot init -p NAME.\n"
        "--force overwrites what you give and keeps the rest.",
    )


def _from_stdin(given: Mapping[str, str | None]) -> dict[str, str]:
    wanted = [key for key, text in given.items() if text is not None]
    for key in wanted:
        if given[key] != "-":
            flag = "--" + known(key).name.replace("_", "-")
            raise UsageError(
                f"{flag} takes only -: a secret typed here stays in the shell's history.",
                f"Set {known(key).variable}, or pipe it: {flag} - < file",
            )
    if len(wanted) > 1:
        raise UsageError("Only one secret can be read from stdin.", "Give the others in the environment.")
    return {key: sys.stdin.read() for key in wanted}


def _kept(place: Draft, taken: tuple[Path, ...]) -> dict[str, str]:
    """With --force: what is there already."""
    there = read_env(place.env) if place.env in taken else {}
    kept = {key: there[known(key).variable] for key in SECRETS if there.get(known(key).variable)}
    if place.toml in taken:
        read = load(config=place.toml, profile=place.profile, environ={}, credentials=False)
        kept |= {key: read.text(key) for key in OPEN if read.is_set(key)}
    return kept


def _environment() -> dict[str, str]:
    return {key: text for key in (*OPEN, *SECRETS) if (text := os.environ.get(known(key).variable, ""))}


def _stripped(run: Run, values: Mapping[str, str]) -> dict[str, str]:
    for key, text in values.items():
        if text.removesuffix("\n") != text.strip():
            run.terminal.warn(f"{key} had white space around it, which is left out.")
    return {key: text.strip() for key, text in values.items() if text.strip()}


def _report(run: Run, draft: Draft, written: tuple[Path, ...], finder: "Finder | None") -> None:
    terminal, values = run.terminal, draft.values
    notes = {draft.toml: "commit it", draft.env: "secrets, 0600", draft.gitignore: "+.env"}
    files = [f"{_near(path)} ({notes[path]})" for path in reversed(written)]
    terminal.result("Wrote " + ", ".join(files) if files else "Nothing to change.")
    if values.get("bot.platform", "whatsapp") != "whatsapp":
        terminal.warn(
            f"The credentials of {values['bot.platform']} are still to come.",
            "Give them as JSON: aerobot config set bot.platform_config - < credentials.json",
        )
    elif "whatsapp.app_secret" not in values:
        terminal.warn(
            "Without the app secret nobody can tell Meta's messages from forged ones.",
            "Add it: aerobot config set whatsapp.app_secret",
        )
    if tracked_by_git(draft.env):
        terminal.warn(f"git tracks {draft.env.name}.", f"Take it out: git rm --cached {draft.env.name}")
    steps = _next(draft)
    if values.get("bot.platform", "whatsapp") == "whatsapp":
        terminal.say(f"Here, without Aerostack: aerobot serve bot.py{_profile(draft)}")
    if any(PROMPT in step for step in steps) and not (draft.toml.parent / PROMPT).exists():
        terminal.say(f"Write into {_near(draft.toml.parent / PROMPT)} what the bot is told to be.")
    line = f"Next: {', then '.join(steps)}"
    terminal.say(line if len(line) <= WIDTH else f"Next: {f', then{chr(10)}      '.join(steps)}")
    terminal.document(
        {
            "config": str(draft.toml),
            "env_file": str(draft.env),
            "profile": draft.profile,
            "written": [str(path) for path in written],
            "settings": {key: MASK if known(key).secret else text for key, text in values.items()},
            "findings": documents(finder.findings if finder is not None else ()),
            "next": next(step for step in steps if not step.startswith("cd ")),
        }
    )


def _next(draft: Draft) -> list[str]:
    """The commands that lead on, as the settings are now."""
    settings, profile = _in_force(draft), _profile(draft)
    elsewhere = draft.toml.parent != current_folder() and draft.toml.name == FILE
    steps = [f"cd {_near(draft.toml.parent)}"] if elsewhere else []
    if settings is None or not (settings.secret("aerostack.token") or settings.secret("aerostack.api_key")):
        steps.append("aerobot login")
    if settings is not None and settings.is_set("bot.id"):
        return [*steps, f"aerobot bots update{profile} --whatsapp"]
    create = f"aerobot create{profile}"
    if settings is None or not settings.is_set("bot.name"):
        create += ' --name "My bot"'
    if settings is None or not (settings.is_set("bot.system_prompt") or settings.is_set("bot.system_prompt_file")):
        create += f" --system-prompt @{PROMPT}"
    return [*steps, create]


def _profile(draft: Draft) -> str:
    """The options by which the other commands find what was written."""
    file = f" --config {_near(draft.toml)}" if draft.toml.name != FILE else ""
    return f"{file} -p {draft.profile}" if draft.profile else file


def _near(path: Path) -> str:
    short = os.path.relpath(path)
    return str(path) if short.startswith("..") else short
