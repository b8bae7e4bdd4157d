"""Every source of settings, read and joined; where a value came from is always known."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aerobot.config.env_file import EnvText, read_text
from aerobot.config.places import (
    FILE,
    current_folder,
    find,
    home_folder,
    is_ours,
    login_file,
    passed_over,
    readable_by_others,
    tracked_by_git,
)
from aerobot.config.settings import Settings, Value, check_profile_name, known, nearest
from aerobot.config.table import BY_KEY, OTHER_VARIABLES, SECTIONS, SETTINGS
from aerobot.config.values import coerced, holds_secret
from aerobot.errors import ConfigError
from aerobot.secret import Secret


def load(
    *,
    config: Path | None = None,
    profile: str | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    credentials: bool = True,
) -> Settings:
    """Read every source and join them.

    Defaults < the user's login < file < ``.env`` beside it < environment < profile (its section of the file,
    then ``.env.NAME``) < ``flags`` (by key; ``None`` and an empty list mean not given). An empty variable
    counts as not there. With ``credentials`` off, the user's login is not read. Raises ``ConfigError`` for a
    file that is not TOML, an unknown key or a value of the wrong kind, all of them at once.
    """
    environ = os.environ if environ is None else environ
    cwd = cwd or current_folder()
    path = find(config=config, environ=environ, cwd=cwd, home=home_folder())
    named = config is not None or bool(environ.get("AEROBOT_CONFIG"))
    reading = _Reading(folder=path.parent if path else cwd, named=path if named else None)
    if not named:
        reading.warnings += [
            f"{foreign} is passed over, for it belongs to another user; --config names it deliberately."
            for foreign in passed_over(cwd=cwd, home=home_folder())
        ]
    document = _read_toml(path) if path else {}
    profiles = document.pop("profiles", {})
    layers = [
        {s.key: Value(value=s.default, source="default") for s in SETTINGS},
        reading.table(document, path.name if path else "", path),
        reading.env_file(".env"),
        reading.variables(environ, "environment"),
    ]
    if profile is not None:
        layers.append(_profile(reading, profiles, profile, path))
        layers.append(reading.env_file(f".env.{profile}"))
    layers.append(reading.flags(flags or {}))
    reading.stop_at_problems()
    values = {key: value for layer in layers for key, value in layer.items()}
    if credentials:
        _add_login(values, environ, reading.warnings)
    return Settings(
        values=values,
        path=path,
        profile=profile,
        folder=reading.folder,
        warnings=tuple(dict.fromkeys(reading.warnings)),
        secret_files=tuple(reading.secret_files),
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One reading of all sources: what was wrong, what should be known, and which files hold secrets.

    ``named`` is the file that somebody named: its owner's ``.env`` beside it is trusted like it.
    """

    folder: Path
    named: Path | None = None
    problems: list[tuple[str, ConfigError]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    secret_files: list[Path] = field(default_factory=list)

    def table(self, table: Mapping[str, Any], source: str, path: Path | None) -> dict[str, Value]:
        """The settings of a TOML table; whatever is not one is a problem."""
        found: dict[str, Value] = {}
        for section, content in table.items():
            if section not in SECTIONS:
                hint = nearest(section, (*SECTIONS, "profiles")) or "Sections: " + ", ".join(SECTIONS)
                self._wrong(section, f'{source}: there is no section or key "{section}".', hint)
            elif not isinstance(content, Mapping):
                self._wrong(section, f'{source}: "{section}" must be a section, like [{section}].')
            else:
                for name, raw in content.items():
                    self._take(found, f"{section}.{name}", raw, source)
        held = [key for key, value in found.items() if holds_secret(BY_KEY[key], value.value)]
        if held and path is not None:
            self.secret_files.append(path)
            self.warnings.append(
                f"{source} holds secrets ({', '.join(held)}), and people commit that file:"
                " `aerobot config set` moves one to .env."
            )
        return found

    def _take(self, found: dict[str, Value], key: str, raw: object, source: str) -> None:
        if key not in BY_KEY:
            hint = nearest(key, BY_KEY) or "Take it out; aerobot config show then lists them all."
            self._wrong(key, f'{source}: there is no setting "{key}".', hint)
            return
        try:
            value = coerced(BY_KEY[key], raw, source, self.warnings)
        except ConfigError as error:
            self._wrong(key, error.message, error.hint)
        else:
            found[key] = Value(value=value, source=source)

    def _wrong(self, key: str, words: str, hint: str = "") -> None:
        self.problems.append((key, ConfigError(words, hint, problems=[(key, words)])))

    def env_file(self, name: str) -> dict[str, Value]:
        """The settings of a ``.env`` file beside the configuration; somebody else's is left alone."""
        path = self.folder / name
        if not path.is_file():
            return {}
        if not (is_ours(path) or (self.named is not None and self.named.stat().st_uid == path.stat().st_uid)):
            self.warnings.append(f"{path} is left alone, for it belongs to another user.")
            return {}
        text = _read_env(path)
        self.warnings += [f"{name}, line {number}: not NAME=value, left out." for number in text.unreadable]
        found = self.variables(text.values, name)
        if any(holds_secret(BY_KEY[key], value.value) for key, value in found.items()):
            self.secret_files.append(path)
            if readable_by_others(path):
                self.warnings.append(f"{name} holds secrets that other users can read: chmod 600 {path}")
        return found

    def variables(self, variables: Mapping[str, str], source: str) -> dict[str, Value]:
        """The settings among environment variables; an ``AEROBOT_`` name that is none is said."""
        found: dict[str, Value] = {}
        for setting in SETTINGS:
            for name in (*reversed(setting.aliases), setting.variable):
                if variables.get(name):
                    where = name if source == "environment" else f"{source} {name}"
                    self._take(found, setting.key, variables[name], where)
        twins = {setting.variable for setting in SETTINGS} | OTHER_VARIABLES
        for name in variables:
            if name.startswith("AEROBOT_") and name not in twins:
                self.warnings.append(f"{name} ({source}) is not a setting. {nearest(name, twins)}".rstrip())
        return found

    def flags(self, flags: Mapping[str, object]) -> dict[str, Value]:
        """The settings given on the command line."""
        found: dict[str, Value] = {}
        for key, raw in flags.items():
            if raw is not None and raw not in ([], ()):
                self._take(found, known(key).key, raw, "flag")
        return found

    def stop_at_problems(self) -> None:
        """Raise what was wrong: one thing as it is, several in one list."""
        if len(self.problems) == 1:
            raise self.problems[0][1]
        if self.problems:
            lines = [f"{p.message} {p.hint if 'Did you mean' in p.hint else ''}".rstrip() for _, p in self.problems]
            each = [(key, problem.message) for key, problem in self.problems]
            raise ConfigError(f"{len(lines)} settings are wrong.", "\n".join(lines), problems=each)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(
            f"{path} is not valid TOML: {reason}.", 'Mend that line: a section is [bot], a setting name = "Acme".'
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def _profile(reading: _Reading, profiles: object, name: str, path: Path | None) -> dict[str, Value]:
    check_profile_name(name)
    file = path.name if path else FILE
    names = sorted(profiles) if isinstance(profiles, Mapping) else []
    if not isinstance(profiles, Mapping) or name not in profiles:
        if (reading.folder / f".env.{name}").is_file():
            return {}
        there = f"Profiles there: {', '.join(names)}. " if names else ""
        raise ConfigError(f'There is no profile "{name}" in {file}.', f"{there}Make it: aerobot init -p {name}")
    table = profiles[name]
    if not isinstance(table, Mapping):
        raise ConfigError(f'{file}: profile "{name}" must be made of sections, like [profiles.{name}.whatsapp].')
    return reading.table(table, f"{file} [profiles.{name}]", path)


def read_env(path: Path) -> dict[str, str]:
    """The variables of a ``.env`` file, as written: nothing is interpolated. A missing file has none."""
    return dict(_read_env(path).values) if path.is_file() else {}


def _read_env(path: Path) -> EnvText:
    try:
        return read_text(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def tracked_secrets(settings: Settings) -> tuple[str, ...]:
    """A sentence for each file that holds a secret and is tracked by git (runs git: not on every start)."""
    return tuple(
        f"{path.name} holds secrets, and git tracks it: git rm --cached {path.name}, then renew them."
        for path in settings.secret_files
        if tracked_by_git(path)
    )


def _add_login(values: dict[str, Value], environ: Mapping[str, str], warnings: list[str]) -> None:
    if values["aerostack.token"].source != "default":
        return
    try:
        path = login_file(environ)
        token = read_logins(path).get(str(values["aerostack.api_url"].value).rstrip("/"))
        if token and readable_by_others(path):
            warnings.append(f"Your login can be read by other users: chmod 600 {path}")
    except (ConfigError, OSError):
        return
    if token:
        values["aerostack.token"] = Value(value=Secret(token), source="login")


def read_logins(path: Path) -> dict[str, str]:
    """The kept tokens by API origin; a file that is missing or broken has none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    tokens = content.get("tokens") if isinstance(content, dict) else None
    return {str(k): str(v) for k, v in tokens.items()} if isinstance(tokens, dict) else {}
