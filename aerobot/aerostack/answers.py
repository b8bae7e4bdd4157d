"""Reads answers liberally: bare or wrapped, three shapes of error, unknown fields kept. No I/O."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aerobot.secret import MASK, Secret, masked

WRAPPERS = ("data", "result")
LEAST_HIDDEN = 6
"""Shorter secrets are not searched for in texts: every other word would turn into ``***``."""

Document = dict[str, Any]


def object_in(document: object, name: str, marks: Iterable[str]) -> Document:
    """The object that has one of ``marks``, bare or wrapped as ``name``, ``data`` or ``result``.

    What stands beside a wrapped object (its warnings, say) is kept. Empty where there is none.
    """
    marks = tuple(marks)
    if not isinstance(document, Mapping):
        return {}
    for wrapper in (name, *WRAPPERS):
        inner = object_in(document.get(wrapper), name, marks)
        if inner:
            beside = {key: value for key, value in document.items() if key not in (wrapper, "success", "ok")}
            return {**beside, **inner}
    return dict(document) if any(mark in document for mark in marks) else {}


def list_in(document: object, name: str) -> list[Document] | None:
    """The objects of a list, bare or wrapped as ``name``, ``data`` …; ``None`` where there is no list."""
    if isinstance(document, list):
        return [dict(item) for item in document if isinstance(item, Mapping)]
    if isinstance(document, Mapping):
        for wrapper in (name, *WRAPPERS, "items"):
            found = list_in(document.get(wrapper), name)
            if found is not None:
                return found
    return None


def error_in(document: object) -> str:
    """What an error answer says, on one line; empty where it says nothing.

    Three shapes: ``{"error": {"code", "message", "details"}}``, ``{"error": "text"}``, the first one flat.
    """
    if isinstance(document, str):
        return _line(document)
    if not isinstance(document, Mapping):
        return ""
    inner = document.get("error") or document.get("errors")
    if inner:
        outer = _line(str(document.get("message") or ""))
        return error_in(inner) or outer or _line(_compact(inner))
    words = _line(str(document.get("message") or document.get("detail") or ""))
    extra = [str(document["code"])] if document.get("code") else []
    extra += [_compact(document["details"])] if document.get("details") else []
    notes = _line("; ".join(extra))
    return f"{words} ({notes})" if words and notes else words or notes


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(masked(value), ensure_ascii=False)


def _line(text: str, most: int = 300) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= most else text[: most - 1] + "…"


def warnings_of(answer: Mapping[str, Any]) -> list[str]:
    """The warnings of an activation: nobody knows whether they are texts or objects, so both are read."""
    given = answer.get("warnings") or []
    each = given if isinstance(given, list) else [given]
    return [error_in(one) or _compact(one) for one in each if one]


def token_in(document: object) -> str:
    """The token in a login's answer, under any name that such a thing goes by; empty where there is none."""
    if not isinstance(document, Mapping):
        return ""
    for name in ("token", "access_token", "accessToken", "jwt"):
        value = document.get(name)
        if isinstance(value, str) and value:
            return value
    return next((found for w in (*WRAPPERS, "session", "user") if (found := token_in(document.get(w)))), "")


def without(value: Any, hidden: Iterable[Secret]) -> Any:
    """A copy of a JSON value in which no text contains one of the ``hidden`` secrets."""
    words = [word for secret in hidden if len(word := secret.reveal()) >= LEAST_HIDDEN]
    return _without(value, words) if words else value


def _without(value: Any, words: list[str]) -> Any:
    if isinstance(value, str):
        for word in words:
            value = value.replace(word, MASK)
        return value
    if isinstance(value, Mapping):
        return {key: _without(inner, words) for key, inner in value.items()}
    return [_without(inner, words) for inner in value] if isinstance(value, list | tuple) else value
