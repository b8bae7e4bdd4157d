"""The text of a `.env` file, read and changed as python-dotenv understands it. Nothing is interpolated."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aerobot.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvText:
    """The variables of a `.env` file, as written, and the numbers of the lines that mean nothing."""

    values: Mapping[str, str]
    unreadable: tuple[int, ...] = ()


def read_text(text: str) -> EnvText:
    """Read the variables; one without a value (`NAME`) counts as not there, the last of two as the one."""
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    unreadable: list[int] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            unreadable.append(binding.original.line)
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return EnvText(values=values, unreadable=tuple(unreadable))


def changed_text(text: str, changes: Mapping[str, str | None]) -> str:
    """The text with variables set (``None``: taken out), every other line as it was.

    A ``ConfigError`` for a value that python-dotenv would not read back as it is.
    """
    from dotenv.parser import parse_stream

    left = dict(changes)
    lines: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is None or binding.key not in changes:
            lines.append(binding.original.string)
            continue
        before = re.match(r"\s*", binding.original.string)
        value = left.pop(binding.key, None)
        lines.append((before.group() if before else "") + ("" if value is None else _line(binding.key, value)))
    result = "".join(lines)
    for name, value in left.items():
        if value is not None:
            result += ("\n" if result and not result.endswith("\n") else "") + _line(name, value)
    _check(text, result, changes)
    return result


def _line(name: str, value: str) -> str:
    return f"{name}={_quoted(value)}\n"


def _quoted(value: str) -> str:
    """Bare where every reader of `.env` agrees (docker's too), else in single quotes."""
    if _PLAIN.fullmatch(value):
        return value
    if value.endswith("\\") and not re.search(r"\s#|[\r\n]|^['\"\s]|\s$", value):
        return value  # python-dotenv would run past the closing quote of '...\\'
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _check(before: str, after: str, changes: Mapping[str, str | None]) -> None:
    wanted = {**read_text(before).values, **changes}
    if read_text(after).values != {name: value for name, value in wanted.items() if value is not None}:
        raise ConfigError(
            f"{', '.join(changes)} cannot be written to a .env file so that it reads back the same.",
            "Set it in the environment instead, or write the line by hand.",
        )
