"""Meta's JSON: numbers that keep their text, and readers that take whatever stands there.

A reader gives the type it is named after, empty where something else stands, and never raises. What is hardly JSON is
read all the same where it spoils one value alone: a number that is none, bytes that are no text, a nest without end.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Self

Object = Mapping[str, object]

_NOTHING: Object = {}
_DIGITS = 4000  # Python refuses to convert more than 4,300


class Number(float):
    """A JSON number whose ``text`` Python would write differently: 52.10, 1e2, -0, or thousands of digits."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _float(text: str) -> float:
    value = float(text)
    return value if float.__repr__(value) == text else Number(text)


def _int(text: str) -> int | float:
    return Number(text) if len(text) > _DIGITS or text == "-0" else int(text)


def _constant(_: str) -> None:
    """NaN and the infinities are no numbers of JSON's: nothing stands there."""
    return


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_constant)


def load(text: str) -> Any:
    """JSON → a value whose numbers keep their text; ``ValueError`` or ``RecursionError`` where it is none."""
    return _DECODER.decode(text)


def decode(body: bytes) -> str:
    """Bytes → text; those that are no UTF-8 become lone surrogates, each its own, so that nothing else is lost."""
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return body.decode("utf-8", "surrogateescape")


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)  # an open string ends with the text


def shallow(text: str, most: int) -> str:
    """JSON text in which whatever is nested deeper than ``most`` is null; other text comes back as some other text."""
    kept, begin, depth = [], 0, 0
    for found in _TOKEN.finditer(text):
        match text[found.start()]:
            case "[" | "{":
                depth += 1
                if depth == most + 1:
                    kept += [text[begin : found.start()], "null"]
            case "]" | "}":
                if depth == most + 1:
                    begin = found.end()
                depth -= 1
    return "".join([*kept, text[begin:]]) if depth <= most else "".join(kept)


def dump(raw: object) -> str:
    """A value from ``load`` → compact ASCII JSON, numbers as they stood; NUL and lone surrogates escaped."""
    if isinstance(raw, str):
        return encode_basestring_ascii(raw)
    if isinstance(raw, dict):
        return "{" + ",".join([f"{encode_basestring_ascii(k)}:{dump(v)}" for k, v in raw.items()]) + "}"
    if isinstance(raw, list):
        return "[" + ",".join([dump(item) for item in raw]) + "]"
    return raw.text if isinstance(raw, Number) else json.dumps(raw)


def digest(*values: object) -> str:
    """An identity for what has no id of its own: SHA-256 of its JSON, keys sorted."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def clean(text: str) -> str:
    """Text that any database, terminal or encoder takes: lone surrogates become U+FFFD, NUL is left out."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "")


def as_object(value: object) -> Object:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def as_list(value: object) -> list[object]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The text, or an empty one."""
    return clean(value) if isinstance(value, str) else ""


def as_id(value: object) -> str:
    """An id as text; some senders write numbers."""
    if isinstance(value, str):
        return clean(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def as_seconds(value: object) -> int | None:
    """A Unix time, from a string or a number; ``None`` for anything else and for what is out of reason."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 11:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**11 else None
