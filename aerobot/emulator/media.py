"""The files of the emulated world: kept as bytes, opened by id, downloaded through short-lived URLs."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aerobot.emulator.ids import Ids

URL_SECONDS = 300
"""A media URL works for five minutes (Meta: Cloud API, Media)."""
UPLOADED_SECONDS = 30 * 86400
"""How long the id of an upload lives."""
RECEIVED_SECONDS = 7 * 86400
"""How long an id from a webhook lives."""
KEPT_BYTES = 256 * 1024 * 1024
"""Files kept in memory; beyond it the oldest go."""

_DOCUMENTS = (
    "text/plain", "application/pdf", "application/vnd.ms-powerpoint", "application/msword",
    "application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)  # fmt: skip
_AUDIO = ("audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus")
MEGA = 1024 * 1024
LIMITS: dict[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png"), 5 * MEGA),
    "image/webp": 500 * 1024,
    **dict.fromkeys(_AUDIO, 16 * MEGA),
    **dict.fromkeys(("video/mp4", "video/3gpp"), 16 * MEGA),
    **dict.fromkeys(_DOCUMENTS, 100 * MEGA),
}
"""What a business may upload, and how much of it, in bytes (Meta: Media, Supported types)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file; ``sha256`` in hex. Graph knows it until ``until``, in seconds since 1970."""

    id: str
    mime_type: str
    filename: str
    until: float
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """As media metadata shows it."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def sha256_base64(self) -> str:
        """As webhooks show it."""
        return base64.b64encode(hashlib.sha256(self.data).digest()).decode()


class Files:
    """Files by id, oldest first."""

    def __init__(self, ids: Ids, now: Callable[[], float]) -> None:
        self._ids = ids
        self._now = now
        self._key = secrets.token_bytes(16)
        self._files: dict[str, File] = {}
        self._size = 0

    def add(self, data: bytes, mime_type: str, filename: str = "", *, lives: float = UPLOADED_SECONDS) -> File:
        """Keep a file under a fresh id, which Graph knows for ``lives`` seconds."""
        number = f"{self._ids.dice('media').randrange(10**15, 10**16)}"
        file = File(id=number, mime_type=mime_type, filename=filename, until=self._now() + lives, data=data)
        self._put(file)
        return file

    def _put(self, file: File) -> None:
        self._files[file.id] = file
        self._size += len(file.data)
        while self._size > KEPT_BYTES and len(self._files) > 1:
            self.remove(next(iter(self._files)))

    def get(self, number: str) -> File | None:
        """The file, if Graph still knows its id."""
        file = self._files.get(number)
        return file if file is not None and self._now() < file.until else None

    def seen(self, number: str) -> File | None:
        """The file as the phones still show it, though its id may be dead."""
        return self._files.get(number)

    def remove(self, number: str) -> bool:
        """Forget a file; false if it was not there."""
        file = self._files.pop(number, None)
        self._size -= len(file.data) if file else 0
        return file is not None

    def path(self, number: str) -> str:
        """The path and query of a download URL that works from now on for ``URL_SECONDS``."""
        until = int(self._now()) + URL_SECONDS
        proof = self._proof(number, str(until))
        return f"/whatsapp_business/attachments/?mid={number}&ext={until}&hash={proof}"

    def opened(self, number: str, until: str, proof: str) -> File | None:
        """The file behind a download URL; nothing if it is stale, altered or the file is gone."""
        if not hmac.compare_digest(proof.encode(), self._proof(number, until).encode()):
            return None
        return self.get(number) if int(until) >= self._now() else None

    def _proof(self, number: str, until: str) -> str:
        return hmac.new(self._key, f"{number} {until}".encode(), hashlib.sha256).hexdigest()[:32]

    def kept(self) -> list[dict[str, Any]]:
        """All of them, as JSON; bytes in base64."""
        return [
            {
                "id": file.id,
                "mime_type": file.mime_type,
                "filename": file.filename,
                "until": file.until,
                "data": base64.b64encode(file.data).decode(),
            }
            for file in self._files.values()
        ]

    def restore(self, kept: Iterable[Mapping[str, Any]]) -> None:
        """Take in what ``kept`` gave. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
        for one in kept:
            data = base64.b64decode(one["data"], validate=True)
            self._put(
                File(
                    id=str(one["id"]),
                    mime_type=str(one["mime_type"]),
                    filename=str(one["filename"]),
                    until=float(one["until"]),
                    data=data,
                )
            )
