"""The files of the emulated world: kept as bytes, opened by id, downloaded through short-lived URLs."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

URL_SECONDS = 300
"""A media URL works for five minutes (Meta: Cloud API, Media)."""
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
    """One file; ``sha256`` in hex."""

    id: str
    mime_type: str
    filename: str
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

    def __init__(self, random: Random, now: Callable[[], float]) -> None:
        self._random = random
        self._now = now
        self._key = random.getrandbits(128).to_bytes(16, "big")
        self._files: dict[str, File] = {}
        self._size = 0

    def add(self, data: bytes, mime_type: str, filename: str = "") -> File:
        """Keep a file under a fresh id."""
        number = f"{self._random.randrange(10**15, 10**16)}"
        file = File(id=number, mime_type=mime_type, filename=filename, data=data)
        self._files[number] = file
        self._size += len(data)
        while self._size > KEPT_BYTES and len(self._files) > 1:
            self.remove(next(iter(self._files)))
        return file

    def get(self, number: str) -> File | None:
        """The file, if it is still there."""
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
