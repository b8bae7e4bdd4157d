"""`aerobot init` and the group `aerobot config`: settings written, shown and changed."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from aerobot.cli import init
from aerobot.cli.command import Run, command, group
from aerobot.cli.help import NARROW
from aerobot.config import (
    FILE,
    SECTIONS,
    SETTINGS,
    Setting,
    Settings,
    find,
    home_folder,
    in_git,
    known,
    set_value,
    wrong_form,
)
from aerobot.config.places import current_folder
from aerobot.errors import ConfigError, UsageError
from aerobot.secret import Secret, masked
from aerobot.terminal import safe

START, OPERATE = "Start", "Operate"
Key = Annotated[str, typer.Argument(metavar="KEY", help="For example whatsapp.phone_number_id.")]


def register(app: typer.Typer) -> None:
    """Add `init` and the group `config`."""
    init.register(app, START)
    config = group(app, "config", "Show and change settings.", panel=OPERATE)
    _register_path(config)
    _register_show(config)
    _register_get(config)
    _register_set(config)


def _register_path(config: typer.Typer) -> None:
    @command(config, "path", examples=("aerobot config path", "$EDITOR $(aerobot config path)"))
    def path(run: Run) -> None:
        """Print which configuration file is in use."""
        found = find(config=run.shared.config, environ=os.environ, cwd=current_folder(), home=home_folder())
        if found is None:
            raise ConfigError(f"No {FILE} is here, above, or in your config folder.", "Write one: aerobot init")
        run.terminal.value(str(found))
        run.terminal.document({"config": str(found)})


def _register_show(config: typer.Typer) -> None:
    @command(config, "show", examples=("aerobot config show", "aerobot config show -p live --json"))
    def show(run: Run) -> None:
        """List every setting with its value and where it comes from."""
        settings = run.settings()
        run.terminal.document(
            {
                "config": str(settings.path) if settings.path else None,
                "env_file": str(settings.env_file()),
                "profile": settings.profile,
                "settings": {
                    key: {"value": masked(value.value), "source": value.source}
                    for key, value in settings.values.items()
                },
            }
        )
        if not run.shared.json:
            _list(run, settings)


def _list(run: Run, settings: Settings) -> None:
    run.terminal.say(f"File     {settings.path or 'none (aerobot init writes one)'}")
    run.terminal.say(f"Profile  {settings.profile or 'none'}")
    for section in SECTIONS:
        run.terminal.result("")
        run.terminal.result(f"[{section}]", style="bold")
        for setting in SETTINGS:
            if setting.section == section:
                _list_one(run, settings, setting)
    run.terminal.say("\nIn full: aerobot config get KEY. Change: aerobot config set KEY VALUE.")


def _list_one(run: Run, settings: Settings, setting: Setting) -> None:
    value = safe(_text(settings.get(setting.key), show_secrets=False)) or "-"
    place = _place(settings, setting.key)
    if shutil.get_terminal_size().columns < NARROW:
        lines = [f"  {setting.name}", f"    {value}", f"    {place}" if place else ""]
    else:
        value = value if len(value) <= 29 else value[:28] + "…"
        lines = [f"  {setting.name:<25}  {value:<29}  {place}".rstrip()]
    for line in lines:
        if line:
            run.terminal.result(line, style="" if settings.is_set(setting.key) else "bright_black")


def _place(settings: Settings, key: str) -> str:
    """The source in a word; the variable's own name where it is not the setting's twin."""
    source = settings.source(key)
    if source == "default":
        return "" if settings.get(key) in (None, ()) else "default"
    if source == known(key).variable:
        return "environment"
    if "[profiles." in source:
        return f"profile {settings.profile}"
    return source.partition(" ")[0]


def _text(value: object, *, show_secrets: bool) -> str:
    """A value as `config set` would take it."""
    if isinstance(value, Secret):
        return value.reveal() if show_secrets else (str(value) if value else "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, Mapping):
        return json.dumps(value if show_secrets else masked(value), ensure_ascii=False)
    return "" if value is None else str(value)


def _register_get(config: typer.Typer) -> None:
    @command(
        config,
        "get",
        examples=("aerobot config get bot.id", "aerobot config get whatsapp.verify_token --show-secrets"),
    )
    def get(
        run: Run,
        key: Key,
        show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print a secret as it is.")] = False,
    ) -> None:
        """Print one value, bare."""
        setting = known(key)
        settings = run.settings()
        value = settings.get(key)
        if value is None or (setting.secret and not value):
            raise ConfigError(f"{key} is not set.", f"{setting.meaning}\nSet it: aerobot config set {key}")
        shown = _text(value, show_secrets=show_secrets)
        run.terminal.value(shown)
        plain = shown if setting.secret else (value if show_secrets else masked(value))
        run.terminal.document({"key": key, "value": plain, "source": settings.source(key)})


def _register_set(config: typer.Typer) -> None:
    @command(
        config,
        "set",
        examples=(
            "aerobot config set bot.timeout_ms 20000",
            "aerobot config set whatsapp.access_token - < token.txt",
        ),
    )
    def set_(
        run: Run,
        key: Key,
        value: Annotated[
            str | None, typer.Argument(metavar="VALUE", help="- reads stdin; left out: asked for.")
        ] = None,
        unset: Annotated[bool, typer.Option("--unset", help="Take it out instead.")] = False,
    ) -> None:
        """Write one setting where it belongs: secrets to .env, the rest to aerobot.toml."""
        settings = run.settings()
        raw = None if unset else _given(run, key, value)
        _set(run, settings, key, raw)


def _given(run: Run, key: str, value: str | None) -> str:
    setting = known(key)
    if value is None:
        run.terminal.say(setting.meaning, style="bright_black")
        value = run.terminal.ask(key, hidden=setting.secret)
    elif value == "-":
        value = sys.stdin.read().rstrip("\r\n")
    elif setting.secret:
        raise UsageError(
            "A secret on the command line stays in the shell's history.",
            f"Leave it out to be asked, or pipe it:\naerobot config set {key} - < file",
        )
    if not value.strip():
        raise UsageError("There is no value.", f"Take the setting out with: aerobot config set {key} --unset")
    if wrong := wrong_form(setting, value):
        raise ConfigError(f"{key} {wrong}.", setting.meaning)
    return value


def _set(run: Run, settings: Settings, key: str, raw: str | None) -> None:
    path = set_value(settings, key, raw)
    if path.name.startswith(".env") and in_git(path.parent):
        _keep_out_of_git(run, path)
    after = run.reread()
    run.terminal.say(f"Took {key} out of {_near(path)}" if raw is None else f"Wrote {key} to {_near(path)}")
    source = after.source(key)
    if source.partition(" ")[0] != path.name and source not in ("default", "login"):
        run.terminal.warn(f"{key} has another value in {source}, which is stronger.")
    run.terminal.document({"key": key, "file": str(path), "source": after.source(key)})


def _keep_out_of_git(run: Run, path: Path) -> None:
    from aerobot.config.write import ignore_in_git

    if ignore_in_git(path.parent):
        run.terminal.say(f"Added {path.name} to .gitignore.")


def _near(path: Path) -> str:
    short = os.path.relpath(path)
    return str(path) if short.startswith("..") else short
