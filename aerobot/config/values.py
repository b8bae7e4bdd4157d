"""From what was written to what is meant: the kind and the form of a value. No I/O."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import urlsplit

from aerobot.config.table import Setting
from aerobot.errors import ConfigError
from aerobot.secret import MASK, Secret, masked

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def coerced(setting: Setting, raw: object, source: str, warnings: list[str] | None = None) -> object:
    """``raw`` as the setting's kind; a ``ConfigError`` says where it stands (``source``) and what it must be.

    White space around a secret or a word is taken away, and said in ``warnings``.
    """
    raw = _without_slip(setting, raw, source, warnings)
    value = parsed(setting, raw)
    if value is None:
        shown = MASK if setting.secret else repr(masked(raw))
        shown = shown if len(shown) < 60 else shown[:56] + "…"
        message = f"{_at(setting, source)} must be {described(setting)}, not {shown}."
        raise ConfigError(message, setting.meaning)
    if not setting.secret:
        return value
    if re.search(r"[\x00-\x1f\x7f]", str(value)):
        words = f"{_at(setting, source)} has a line break or control character inside."
        raise ConfigError(words, setting.meaning)
    return Secret(str(value))


def _at(setting: Setting, source: str) -> str:
    """The setting's name, and where its value stands, if that is somewhere."""
    return f"{setting.key} ({source})" if source else setting.key


def _without_slip(setting: Setting, raw: object, source: str, warnings: list[str] | None) -> object:
    if not isinstance(raw, str) or not (setting.secret or setting.form) or raw == raw.strip():
        return raw
    if warnings is not None:
        ending = "a line break" if raw.rstrip(" \t") != raw.rstrip() else "white space"
        warnings.append(f"{_at(setting, source)} had {ending} around it, which is left out.")
    return raw.strip()


def parsed(setting: Setting, raw: object) -> object:
    """``raw`` as the setting's kind, ``None`` where it is not of that kind."""
    match setting.kind:
        case "text":
            text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
            fits = isinstance(text, str) and (not setting.choices or text in setting.choices)
            return text if fits else None
        case "integer" | "number":
            return _number(setting, raw)
        case "boolean":
            return raw if isinstance(raw, bool) else _BOOLEANS.get(str(raw).strip().lower())
        case "list":
            items = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
            fits = isinstance(items, list | tuple) and all(isinstance(item, str) for item in items)
            return tuple(cast(Iterable[str], items)) if fits else None
        case "table":
            return _table(raw)


def _table(raw: object) -> dict[str, object] | None:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            return None
    return dict(raw) if isinstance(raw, Mapping) else None


def _number(setting: Setting, raw: object) -> int | float | None:
    if isinstance(raw, bool):
        return None
    try:
        value: int | float = int(str(raw)) if setting.kind == "integer" else float(str(raw))
        whole = int(value)
    except (ValueError, OverflowError):
        return None
    below = setting.least is not None and value < setting.least
    above = setting.most is not None and value > setting.most
    return None if below or above else (whole if value == whole else value)


def described(setting: Setting) -> str:
    """What a value must be, as the end of a sentence."""
    if setting.choices:
        return "one of " + ", ".join(setting.choices)
    words = {
        "text": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "list": "a list of texts",
        "table": "a table (in the environment: a JSON object)",
    }[setting.kind]
    if setting.least is not None and setting.most is not None:
        return f"{words} from {setting.least:.15g} to {setting.most:.15g}"
    return words + (f", at least {setting.least:.15g}" if setting.least is not None else "")


def wrong_form(setting: Setting, text: str) -> str:
    """What is wrong with the form of a typed value, as the end of a sentence; empty if nothing is."""
    text = text.strip()
    if setting.form == "digits" and not (text.isascii() and text.isdigit()):
        return "must be digits alone"
    if setting.form == "origin":
        return "" if _is_origin(text) else "must be an origin: https://host, without a path"
    if (setting.form == "word" or setting.secret) and re.search(r"\s", text):
        return "must not have white space inside"
    return ""


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    plain = not (parts.path.rstrip("/") or parts.query or parts.fragment or parts.username or re.search(r"\s", text))
    return parts.scheme in ("https", "http") and bool(parts.hostname) and plain


def holds_secret(setting: Setting, value: object) -> bool:
    """Whether this value must not stand in a file that people commit."""
    return bool(value) and (setting.secret or (isinstance(value, Mapping) and masked(value) != value))
