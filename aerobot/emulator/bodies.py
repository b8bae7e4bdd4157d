"""Reads request bodies up to a limit, so that nobody fills the memory."""

import json
import math
from collections.abc import Mapping

from aiohttp import BodyPartReader, web

DEEPEST = 100
"""Levels of a JSON body; nobody's message is as deep."""


class TooLarge(Exception):
    """A body is longer than its limit, in bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The body is larger than {most:,} bytes.")


async def bounded(request: web.Request, most: int) -> bytes:
    """The body of a request; raises ``TooLarge`` as soon as it is longer than ``most`` bytes."""
    if (request.content_length or 0) > most:
        raise TooLarge(most)
    found = bytearray()
    async for chunk in request.content.iter_any():
        found += chunk
        if len(found) > most:
            raise TooLarge(most)
    return bytes(found)


def loads(raw: bytes | str) -> object:
    """JSON as the standard has it. Raises ``ValueError`` for what does not parse, is too deep, or is no number."""
    try:
        found: object = json.loads(raw, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is too deep") from None
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("it is too deep")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a number is too large")
        if isinstance(value, Mapping):
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
    return found


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number")


async def form(request: web.Request, most: int) -> tuple[dict[str, str], tuple[bytes, str, str] | None]:
    """The fields of a multipart form, and its file as ``(data, media type, file name)``.

    Raises ``TooLarge``, and ``ValueError`` for a body that is not such a form.
    """
    try:
        return await _form(request, most)
    except TooLarge:
        raise
    except Exception as error:  # the parser has many ways to say that a form is broken
        raise ValueError(f"it cannot be read as a form ({type(error).__name__})") from None


async def _form(request: web.Request, most: int) -> tuple[dict[str, str], tuple[bytes, str, str] | None]:
    fields: dict[str, str] = {}
    file: tuple[bytes, str, str] | None = None
    left = most
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            raise ValueError("a form within a form")
        data = await _part(part, left, most)
        left -= len(data)
        if part.filename is not None or part.name == "file":
            file = (data, part.headers.get("Content-Type", "application/octet-stream"), part.filename or "")
        else:
            fields[part.name or ""] = data.decode("utf-8", "replace")
    return fields, file


async def _part(part: BodyPartReader, left: int, most: int) -> bytes:
    found = bytearray()
    while chunk := await part.read_chunk(65_536):
        found += chunk
        if len(found) > left:
            raise TooLarge(most)
    return bytes(found)
