"""Speaks to a running emulator's control API, for the command line; finds it by the note that it left."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from aerobot import notes
from aerobot.errors import AerobotError, NetworkError, RemoteError, UsageError

FOLDER = "emulators"
"""Below the state folder."""
PATIENCE = 20.0
"""Seconds for one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorNote:
    """One running emulator: where it is, and the token that its control API wants."""

    pid: int
    url: str
    token: str = field(repr=False)
    state: str

    def leave(self, state_folder: Path) -> Path:
        """Write it and return its path, to be removed at the end."""
        return notes.leave(state_folder / FOLDER, "emulator", self.pid, asdict(self))


def find(state_folder: Path, port: int | None = None) -> EmulatorNote:
    """The one that runs (``port``: on that port). ``NetworkError`` if none does, ``UsageError`` for several."""
    found = []
    for document in notes.left(state_folder / FOLDER, "emulator"):
        try:
            found.append(EmulatorNote(**document))
        except TypeError:
            continue
    fits = [note for note in found if port is None or note.url.endswith(f":{port}")]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        where = "" if port is None else f" on port {port}"
        raise NetworkError(f"No emulator is running{where}.", "Start one: aerobot emulator, or aerobot sandbox.")
    urls = ", ".join(note.url for note in fits)
    raise UsageError(f"Several emulators are running: {urls}.", "Name one by its port: --emulator 8462")


class Client:
    """The control API, call by call; a context manager. ``AerobotError`` with the emulator's own sentence."""

    def __init__(self, note: EmulatorNote) -> None:
        import httpx

        self.note = note
        self._http = httpx.Client(
            base_url=note.url,
            headers={"Authorization": f"Bearer {note.token}"},
            timeout=PATIENCE,
            trust_env=False,
        )

    def get(self, path: str, **query: str) -> Any:
        """``GET /_/…``."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """``POST /_/…`` with a JSON object."""
        content = json.dumps(dict(body or {})).encode("ascii")  # half an emoji is no UTF-8, but it is JSON
        return self._call("POST", path, content=content, headers={"Content-Type": "application/json"})

    def delete(self, path: str, **query: str) -> Any:
        """``DELETE /_/…``."""
        return self._call("DELETE", path, params=query)

    def post_file(self, path: str, fields: Mapping[str, str], name: str, data: bytes, mime_type: str) -> Any:
        """``POST /_/…`` with a form and one file."""
        return self._call("POST", path, data=dict(fields), files={"file": (name, data, mime_type)})

    def _call(self, method: str, path: str, **more: Any) -> Any:
        import httpx

        try:
            response = self._http.request(method, f"/_/{path}", **more)
        except httpx.HTTPError as error:
            words = f"The emulator at {self.note.url} does not answer: {str(error) or type(error).__name__}."
            raise NetworkError(words, "Is it still running? aerobot emulator starts one.") from None
        if response.is_success:
            return response.json()
        raise _refused(response.status_code, response.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


def _refused(status: int, text: str) -> AerobotError:
    try:
        message = str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"The emulator answered {status}."
    if status in (400, 413):
        return UsageError(message)
    return RemoteError(message, status=status)


def path(*parts: str) -> str:
    """A path of these parts, each quoted."""
    return "/".join(quote(part, safe="") for part in parts)
