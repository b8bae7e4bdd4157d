"""What was read: every setting with its value and the place it came from."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aerobot.config.table import BY_KEY, Setting
from aerobot.errors import UsageError
from aerobot.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value and the place it came from, in words a person can look up."""

    value: object
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its value. ``path`` is the file in use, ``None`` where there is none.

    ``secret_files`` are the files of this folder that hold a secret.
    """

    values: Mapping[str, Value]
    path: Path | None
    profile: str | None
    folder: Path
    warnings: tuple[str, ...] = field(default=())
    secret_files: tuple[Path, ...] = field(default=())

    def get(self, key: str) -> Any:
        """The value under ``key`` (secrets as ``Secret``), or its default."""
        known(key)
        return self.values[key].value

    def source(self, key: str) -> str:
        """Where the value came from: ``default``, a file's name, a variable's name, a flag."""
        known(key)
        return self.values[key].source

    def text(self, key: str) -> str:
        """The value as text; empty where it is unset. A secret must be asked for with ``secret``."""
        value = self.get(key)
        return "" if value is None else str(value)

    def secret(self, key: str) -> Secret | None:
        """A secret's value, ``None`` where it is unset."""
        value = self.get(key)
        return value if isinstance(value, Secret) and value else None

    def is_set(self, key: str) -> bool:
        """Whether somebody gave a value that is not empty (``false`` and ``0`` are values)."""
        value = self.get(key)
        empty = value is None or (isinstance(value, str | tuple | dict | Secret) and not value)
        return self.source(key) != "default" and not empty

    def env_file(self) -> Path:
        """The ``.env`` of the profile in use: where its secrets are written."""
        return self.folder / (f".env.{self.profile}" if self.profile else ".env")


def known(key: str) -> Setting:
    """The setting called ``key``; an unknown one is a ``UsageError`` that names the nearest."""
    setting = BY_KEY.get(key)
    if setting is None:
        raise UsageError(f'There is no setting "{key}".', nearest(key, BY_KEY) or "aerobot config show lists them.")
    return setting


def nearest(word: str, among: Iterable[str]) -> str:
    """``Did you mean "…"?``, or nothing where nothing is near."""
    import difflib

    close = difflib.get_close_matches(word, list(among), n=1, cutoff=0.5)
    return f'Did you mean "{close[0]}"?' if close else ""


def check_profile_name(name: str) -> str:
    """The name itself, where it can be a part of a file's name; else a ``UsageError``."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UsageError(f'"{name}" cannot be a profile\'s name.', "Letters, digits, - and _ make one.")
    return name
