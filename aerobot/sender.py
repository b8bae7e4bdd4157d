"""The hot path to Meta's Graph API: send, mark read and typing, media up and down."""

import asyncio
import hashlib
import hmac
import io
import json
import mimetypes
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aerobot import __version__
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, Repeat
from aerobot.secret import Secret, may_carry_secrets
from aerobot.whatsapp import graph
from aerobot.whatsapp.graph import Accepted, Refused
from aerobot.whatsapp.messages import Failure

if TYPE_CHECKING:
    import aiohttp

    from aerobot.connections import Connections

T = TypeVar("T")

MEDIA_MOST = 100 * 1024 * 1024
"""The largest file WhatsApp carries, in bytes."""
UPLOAD_LASTS = 29 * 86_400
"""How long an uploaded file is used again, in seconds; Meta keeps it 30 days."""
META_HOSTS = (".fbsbx.com", ".whatsapp.net", ".fbcdn.net")
"""From whose subdomains Meta serves media (lookaside.fbsbx.com above all)."""
EXPIRED = 190
"""Meta's code for a token that is invalid or has expired; nothing was done with the call."""
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,255}")
_ADDRESS = re.compile(  # so narrow that no two programs read it differently: no user, no backslash, ASCII alone
    r"(?P<scheme>https?)://(?P<host>(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#][!-\[\]-~]*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The number that speaks, and what lets it."""

    phone_number_id: str
    access_token: Secret
    app_secret: Secret | None = None
    previous_token: Secret | None = None

    @property
    def proof(self) -> dict[str, str]:
        """``appsecret_proof``: whoever uses the token holds the app's secret (Meta: Secure Graph API calls)."""
        if self.app_secret is None:
            return {}
        key, token = self.app_secret.reveal().encode(), self.access_token.reveal().encode()
        return {"appsecret_proof": hmac.new(key, token, hashlib.sha256).hexdigest()}


class Sender:
    """A client of Graph for many numbers. ``timeout`` is in seconds and covers one call.

    ``media_most`` bounds a file that is opened, in bytes. ``tell`` is told which of two tokens Meta takes.
    """

    def __init__(
        self,
        *,
        graph_url: str,
        version: str,
        timeout: float = 20.0,
        media_most: int = MEDIA_MOST,
        now: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        if not may_carry_secrets(graph_url):
            raise ConfigError(
                f"whatsapp.graph_url is {graph_url}: a token is never sent over plain http.", "Use https."
            )
        self.base = f"{graph_url.rstrip('/')}/{version}"
        self._timeout = timeout
        self._media_most = media_most
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        self._graph: Connections | None = None
        self._tell = tell
        self._proving: set[str] = set()
        self._on_previous: set[str] = set()
        self._uploads: dict[tuple[str, str, int, int], tuple[str, float]] = {}

    async def start(self) -> None:
        """Get ready: what is said goes over connections of ours, media over those of aiohttp's client."""
        import aiohttp

        from aerobot.connections import Connections

        self._graph = Connections(self.base, timeout=self._timeout, connect=self._timeout / 2)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=self._timeout / 2),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._graph is not None:
            self._graph.close()
        if self._session is not None:
            await self._session.close()

    async def send(
        self, line: Line, body: Mapping[str, object], *, phone: str, user_id: str, part_id: str
    ) -> Accepted | Refused:
        """Send one part. ``phone`` (digits) is preferred, ``user_id`` is for users without one.

        A file in ``body`` is uploaded first. Nothing is repeated here: the answer says what may be.
        """
        path = graph.file_of(body)
        if path is not None:
            try:
                body = graph.with_media(body, await self.upload(line, Path(path)))
            except (NetworkError, RemoteError) as error:
                # The message itself was not sent, so whatever became of the upload, it may be repeated.
                repeat = Repeat.SAFE if error.repeat is Repeat.AMBIGUOUS else error.repeat
                return _refused(error.message, error.hint, repeat)
            except AerobotError as error:
                return _refused(error.message, error.hint, Repeat.NEVER)
        request = graph.addressed(body, to=phone or None, recipient=None if phone else user_id, part_id=part_id)
        return await self._post(line, f"{line.phone_number_id}/messages", request)

    async def mark_read(self, line: Line, wamid: str, *, typing: bool = True) -> None:
        """Show blue ticks, and typing for up to 25 s; what goes wrong here is nobody's trouble."""
        await self._post(line, f"{line.phone_number_id}/messages", graph.mark_read(wamid, typing=typing))

    def prove(self, line: Line) -> None:
        """From now on calls of this number carry the proof of its app's secret, which is known to fit."""
        self._proving.add(line.phone_number_id)

    def _proof(self, line: Line) -> dict[str, str]:
        return line.proof if line.phone_number_id in self._proving else {}

    async def _post(self, line: Line, path: str, document: Mapping[str, object]) -> Accepted | Refused:
        return await self._either(line, lambda chosen: self._proven(chosen, path, document))

    async def _either(self, line: Line, call: Callable[[Line], Awaitable[T]]) -> T:
        """What ``call`` answers with the token that Meta took last, or, where Meta refuses it, with the other one."""
        previous = line.phone_number_id in self._on_previous
        answer = await call(self._chosen(line, previous=previous))
        if line.previous_token is None or not _is_expired(answer):
            return answer
        again = await call(self._chosen(line, previous=not previous))
        if not _is_expired(again):
            self._uses(line.phone_number_id, previous=not previous)
        return again

    @staticmethod
    def _chosen(line: Line, *, previous: bool) -> Line:
        """The line with one of its two tokens."""
        return replace(line, access_token=line.previous_token) if previous and line.previous_token else line

    def _uses(self, number: str, *, previous: bool) -> None:
        """From now on this token first; told when that changes."""
        if previous == (number in self._on_previous):
            return
        (self._on_previous.add if previous else self._on_previous.discard)(number)
        name = "access_token_previous" if previous else "access_token"
        self._tell(f"Meta refuses the other token of number {number}: {name} is used")

    async def _proven(self, line: Line, path: str, document: Mapping[str, object]) -> Accepted | Refused:
        """One call; repeated once where the app turns out to require a proof of its secret."""
        proven = bool(self._proof(line))
        answer = await self._call(line, path, document)
        wants_proof = isinstance(answer, Refused) and "appsecret_proof" in f"{answer.failure.title} {answer.message}"
        if wants_proof and not proven and line.app_secret is not None:
            self._proving.add(line.phone_number_id)
            return await self._call(line, path, document)
        return answer

    async def _call(self, line: Line, path: str, document: Mapping[str, object]) -> Accepted | Refused:
        from aerobot.connections import NotConnectedError

        assert self._graph is not None
        token = line.access_token.reveal()
        if not (token.isascii() and token.isprintable()):
            return _refused("The access token has characters that no token has", "Copy it again.", Repeat.NEVER)
        try:
            address = _address(f"{self.base}/{path}", self._proof(line).get("appsecret_proof", ""))
            answer = await self._graph.ask(_request(address, token, document))
        except NotConnectedError as error:
            return _refused(f"Graph cannot be reached: {error}", "Is there a network?", Repeat.SAFE)
        except TimeoutError:
            return _refused(f"Graph did not answer within {self._timeout:g} s", "", Repeat.AMBIGUOUS)
        except ConnectionError as error:
            return _refused(f"The connection to Graph broke: {error}", "", Repeat.AMBIGUOUS)
        wants_id = document.get("status") != "read"
        return graph.response(answer.status, answer.body, answer.retry_after, wants_id=wants_id)

    # -- media --------------------------------------------------------------------------------------------------

    async def upload(
        self,
        line: Line,
        path: Path,
        *,
        mime_type: str = "",
        timeout: float | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> str:
        """Upload a local file and return its media id; the same file is uploaded once in 29 days.

        ``progress`` is told (done, total) in bytes; ``timeout`` in seconds, that of any call where it is not given.
        Raises ``AerobotError`` where the file is not there, ``NetworkError`` and ``RemoteError`` as Graph says.
        """
        import aiohttp

        try:
            status = await asyncio.to_thread(path.stat)
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise AerobotError(f"The file {path} cannot be read: {error.strerror}") from None
        if len(content) > MEDIA_MOST:
            raise AerobotError(f"The file {path} is larger than the 100 MB that WhatsApp carries")
        key = (line.phone_number_id, str(path), status.st_mtime_ns, status.st_size)
        known = self._uploads.get(key)
        if known is not None and known[1] > self._now():
            return known[0]
        mime_type = mime_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout, connect=self._timeout / 2)
        url = f"{self.base}/{line.phone_number_id}/media"

        async def posted(chosen: Line) -> Mapping[str, object] | Refused:
            form = aiohttp.FormData({"messaging_product": "whatsapp", "type": mime_type})  # it can be sent but once
            form.add_field("file", _Watched(content, progress), filename=path.name, content_type=mime_type)
            return await self._json("POST", url, chosen, data=form, timeout=limit)

        media_id = str(_granted(await self._either(line, posted)).get("id") or "")
        if not media_id:
            raise RemoteError("Graph took the file but gave no id", repeat=Repeat.AMBIGUOUS)
        self._uploads[key] = (media_id, self._now() + UPLOAD_LASTS)
        return media_id

    async def open(self, line: Line, media_id: str) -> bytes:
        """The bytes of a media id: its address is asked for, then fetched, from Meta's hosts or Graph's own alone.

        The id comes from a webhook: one that would be a path at Graph is an ``AerobotError``, without a call.
        """
        if not _MEDIA_ID.fullmatch(media_id):
            raise AerobotError("The attachment has no media id that Graph could know")
        asked = await self._either(line, lambda chosen: self._json("GET", f"{self.base}/{media_id}", chosen))
        url = str(_granted(asked).get("url") or "")
        if not is_metas(url, self.base):
            raise RemoteError(f"Graph gave a media address that is not Meta's: {url[:100]}")
        return _granted(await self._either(line, lambda chosen: self._bytes(url, chosen)))

    async def _bytes(self, url: str, line: Line) -> bytes | Refused:
        import aiohttp

        assert self._session is not None
        content = bytearray()
        try:
            async with self._session.get(url, headers=_bearer(line), allow_redirects=False) as response:
                if response.status == 401:
                    return _refused("The media could not be fetched: HTTP 401", "", Repeat.NEVER, 401, EXPIRED)
                if response.status != 200:
                    raise RemoteError(f"The media could not be fetched: HTTP {response.status}", status=response.status)
                if (response.content_length or 0) > self._media_most:
                    raise RemoteError(_too_large(self._media_most))
                async for chunk in response.content.iter_chunked(1 << 16):
                    content += chunk
                    if len(content) > self._media_most:
                        raise RemoteError(_too_large(self._media_most))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NetworkError(f"The media could not be fetched: {str(error) or type(error).__name__}") from None
        return bytes(content)

    async def _json(self, method: str, url: str, line: Line, **more: object) -> Mapping[str, object] | Refused:
        import aiohttp

        assert self._session is not None
        try:
            async with self._session.request(
                method,
                url,
                params=self._proof(line),
                headers=_bearer(line),
                allow_redirects=False,
                **more,  # type: ignore[arg-type]
            ) as response:
                body = await response.read()
                if response.status != 200:
                    verdict = graph.response(response.status, body, response.headers.get("Retry-After"))
                    assert isinstance(verdict, Refused)
                    return verdict
                document = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise NetworkError(f"Graph cannot be reached: {str(error) or type(error).__name__}") from None
        return document if isinstance(document, dict) else {}


@lru_cache(maxsize=256)
def _address(url: str, proof: str) -> tuple[str, str]:
    """The host and the target of a request."""
    from yarl import URL

    address = URL(url)
    if proof:
        address = address.update_query(appsecret_proof=proof)
    host = address.raw_host or ""
    host = f"[{host}]" if ":" in host else host
    return host if address.is_default_port() else f"{host}:{address.port}", address.raw_path_qs


def _request(address: tuple[str, str], token: str, document: Mapping[str, object]) -> bytes:
    """A request that asks for a plain answer: JSON is ASCII, so characters are bytes."""
    host, target = address
    body = json.dumps(document)
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"User-Agent: aerobot/{__version__}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode("ascii")


class _Watched(io.BytesIO):
    """Bytes that tell how far they have been read."""

    def __init__(self, content: bytes, progress: Callable[[int, int], None]) -> None:
        super().__init__(content)
        self._progress, self._total = progress, len(content)

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, as they go out."""
        found = super().read(size)
        self._progress(self.tell(), self._total)
        return found


def is_metas(url: str, graph_url: str) -> bool:
    """Whether a media address may be called with a token: one of Meta's hosts over https, or Graph's own origin."""
    found, graph = _ADDRESS.fullmatch(url), _ADDRESS.fullmatch(graph_url)
    if found is None or graph is None:
        return False
    origin = _origin(found)
    return origin == _origin(graph) or (origin[::2] == ("https", 443) and origin[1].endswith(META_HOSTS))


def _origin(address: re.Match[str]) -> tuple[str, str, int]:
    """Scheme, host and port."""
    port = address["port"] or {"https": 443, "http": 80}[address["scheme"]]
    return address["scheme"], address["host"].lower(), int(port)


def _too_large(most: int) -> str:
    return f"The media is larger than the {most // 1_000_000} MB that are taken"


def _is_expired(answer: object) -> bool:
    return isinstance(answer, Refused) and answer.failure.code == EXPIRED


def _granted(answer: T | Refused) -> T:
    """What Graph gave; ``RemoteError`` where it refused."""
    if isinstance(answer, Refused):
        raise RemoteError(answer.message, answer.remedy, status=answer.status, repeat=answer.repeat)
    return answer


def _bearer(line: Line) -> dict[str, str]:
    return {"Authorization": f"Bearer {line.access_token.reveal()}"}


def _refused(message: str, remedy: str, repeat: Repeat, status: int = 0, code: int | None = None) -> Refused:
    return Refused(
        failure=Failure(code=code, title=message),
        repeat=repeat,
        status=status,
        retry_after=None,
        reason=message,
        remedy=remedy,
    )
