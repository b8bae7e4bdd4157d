"""Media as Graph keeps it: upload, metadata, delete, and a download with the token for five minutes."""

from aiohttp import web

from aerobot.emulator.bodies import TooLarge, form
from aerobot.emulator.graph_errors import Refusal, Refused, invalid, not_there, parameter, required
from aerobot.emulator.media import LIMITS, MEGA, Files

LONGEST = 101 * MEGA


class GraphMedia:
    """The media endpoints."""

    def __init__(self, *, files: Files) -> None:
        self._files = files

    def has(self, number: str) -> bool:
        """Whether this is the id of a file."""
        return self._files.get(number) is not None

    async def upload(self, request: web.Request) -> dict[str, object]:
        """``POST /{phone}/media``: a multipart form with ``file``, ``messaging_product`` and ``type``.

        The latter two may stand in the query, where all of Graph's parameters may.
        """
        try:
            fields, file = await form(request, LONGEST)
        except ValueError:
            raise parameter("The body must be multipart/form-data.") from None
        except TooLarge:
            raise _too_large() from None
        fields = dict(request.query) | fields
        if fields.get("messaging_product") != "whatsapp":
            raise required("messaging_product")
        if file is None:
            raise required("file")
        data, part_type, filename = file
        mime_type = part_type if part_type != "application/octet-stream" else fields.get("type", part_type)
        if not mime_type.isascii() or not mime_type.isprintable():
            raise parameter("Param type must be a media type.")
        base = mime_type.partition(";")[0].strip().lower()
        if base not in LIMITS:
            allowed = ", ".join(LIMITS)
            text = f"Param file must be a file with one of the following types: {allowed}."
            raise parameter(f"{text} Received file of type '{base}'.")
        if not data:
            raise invalid("The file is empty")
        if len(data) > LIMITS[base]:
            raise _too_large()
        return {"id": self._files.add(data, mime_type, filename).id}

    def answer(self, request: web.Request, number: str) -> dict[str, object]:
        """``GET`` or ``DELETE /{media}``."""
        file = self._files.get(number)
        if file is None or request.method not in ("GET", "DELETE"):
            raise not_there(request.method, number)
        if request.method == "DELETE":
            self._files.remove(number)
            return {"success": True}
        return {
            "messaging_product": "whatsapp",
            "url": f"{request.scheme}://{request.host}{self._files.path(number)}",
            "mime_type": file.mime_type,
            "sha256": file.sha256,
            "file_size": len(file.data),
            "id": number,
        }

    def download(self, request: web.Request) -> web.Response:
        """The bytes behind a URL from metadata; 404 once it is stale (Meta: get a new URL then)."""
        query = request.query
        file = self._files.opened(query.get("mid", ""), query.get("ext", ""), query.get("hash", ""))
        if file is None:
            raise Refused(Refusal(status=404, code=100, message="(#100) The media URL is not valid any more."))
        headers = {"Content-Type": file.mime_type, "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.data, headers=headers)


def _too_large() -> Refused:
    title = "(#131053) Media upload error"
    return Refused(Refusal(code=131053, message=title, details="The file is too large for its media type."))
