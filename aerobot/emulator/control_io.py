"""What the control API reads and answers: bounded JSON objects, forms, sentences."""

import json
from collections.abc import Mapping

from aiohttp import web

from aerobot.emulator.bodies import bounded, form, loads
from aerobot.emulator.media import MEGA
from aerobot.emulator.page import HEADERS

LONGEST = MEGA
LONGEST_FILE = 20 * MEGA
LONGEST_STATE = 400 * MEGA
MOST = 10**11
"""Seconds: some three thousand years."""


async def read_object(request: web.Request, most: int = LONGEST) -> Mapping[str, object]:
    """The body as an object. Raises ``ValueError`` with a sentence, and ``TooLarge``."""
    raw = await bounded(request, most)
    try:
        found = loads(raw or b"{}")
    except ValueError:
        raise ValueError("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("The body is not a JSON object.")
    return found


async def read_form(request: web.Request) -> tuple[dict[str, str], tuple[bytes, str, str]]:
    """The fields of a form and its file as bytes, media type and name. Raises as ``read_object``."""
    try:
        fields, file = await form(request, LONGEST_FILE)
    except ValueError:
        raise ValueError("The body is not multipart/form-data.") from None
    if file is None:
        raise ValueError("The form has no file.")
    return fields, file


def string(body: Mapping[str, object], key: str) -> str:
    """A string that may be missing."""
    value = body.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a string.")
    return value


def whole(body: Mapping[str, object], key: str, default: int) -> int:
    """A whole number that may be missing."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key} must be a whole number.")
    return value


def seconds(body: Mapping[str, object], key: str) -> float:
    """A number of seconds that must be there."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST <= value <= MOST:
        raise ValueError(f"{key} must be a number of seconds.")
    return float(value)


def flag(body: Mapping[str, object], key: str) -> bool:
    """True or false; false where it is missing."""
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false.")
    return value


def told(document: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    body = json.dumps(document).encode()
    return web.Response(body=body, status=status, headers={**HEADERS, "Content-Type": "application/json"})


def error(status: int, message: str) -> web.Response:
    """A sentence."""
    return told({"error": {"message": message}}, status)


def header(text: str) -> str:
    """A text that may stand in a header."""
    return "".join(c for c in text if " " <= c <= "~")[:100]
