"""Reads request bodies up to a limit, so that nobody fills the memory."""

from aiohttp import BodyPartReader, web


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


async def form(request: web.Request, most: int) -> tuple[dict[str, str], tuple[bytes, str, str] | None]:
    """The fields of a multipart form, and its file as ``(data, media type, file name)``.

    Raises ``TooLarge``, and ``ValueError`` for a body that is not such a form.
    """
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
