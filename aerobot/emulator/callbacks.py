"""Asks a callback for the challenge, synchronously, as Meta does whenever one is set.

Source: Meta's "Create a webhook endpoint": GET with ``hub.mode``, ``hub.challenge`` and ``hub.verify_token``,
without a signature; only 200 and exactly the challenge pass.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from aerobot.emulator.graph_errors import Refusal, Refused, parameter, required
from aerobot.emulator.ids import Ids
from aerobot.emulator.journal import Journal
from aerobot.emulator.places import is_here, words
from aerobot.errors import NetworkError, RemoteError

PATIENCE: Final = aiohttp.ClientTimeout(total=10)
"""Meta documents no time-out."""
LONGEST: Final = 200
"""Characters of an override (Meta: Webhook overrides)."""
OUTSIDE: Final = "it is not on this machine, and this emulator was not permitted to call anything else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a callback answered; ``status`` 0 and ``error`` where it did not, with curl's number for that."""

    number: str
    status: int = 0
    reason: str = ""
    body: str = ""
    error: str = ""
    curl: int = 0

    @property
    def passed(self) -> bool:
        """200 and the echo, nothing else."""
        return self.status == 200 and self.body == self.number


class Callbacks:
    """Meta's side of the handshake."""

    def __init__(self, ids: Ids, journal: Journal, *, allow_external: bool = False) -> None:
        self._ids = ids
        self._journal = journal
        self._allow_external = allow_external
        self._session: aiohttp.ClientSession | None = None

    def start(self, session: aiohttp.ClientSession) -> None:
        """Use this client."""
        self._session = session

    async def set(self, url: str, verify_token: str, *, name: str) -> None:
        """Check a callback that Graph was told; ``name`` is the parameter it came in.

        Raises ``Refused``: 100 for a URL or token that cannot be, 2200 if the challenge is not answered.
        """
        if not verify_token:
            raise required("verify_token")
        if not _usable(url):
            raise parameter(f"Param {name} must be a valid URI with the scheme https")
        asked = await self._ask(url, verify_token)
        if not asked.passed:
            raise Refused(Refusal(code=2200, message=f"(#2200) {_why(asked)}"))

    async def challenge(self, url: str, verify_token: str) -> None:
        """The same for our own code; raises ``NetworkError`` or ``RemoteError``."""
        asked = await self._ask(url, verify_token)
        if asked.error:
            message = f"The webhook {url} cannot be reached: {asked.error}"
            hint = "Start the host first: it has to answer the challenge."
            raise NetworkError(message, "--allow-external permits it." if asked.error == OUTSIDE else hint)
        if asked.status != 200:
            hint = "The verify token of the host has to be the emulator's."
            message = f"The webhook {url} answered the challenge with {asked.status}"
            raise RemoteError(message, hint, status=asked.status)
        if not asked.passed:
            hint = "It has to answer with the value of hub.challenge and nothing else."
            raise RemoteError(f"The webhook {url} did not echo the challenge", hint, status=asked.status)

    async def _ask(self, url: str, verify_token: str) -> Asked:
        assert self._session is not None, "start() comes first"
        number = str(self._ids.dice("challenge").randrange(10**8, 10**9))
        if self._allow_external or is_here(url):
            asked = await _ask(self._session, url, verify_token, number)
        else:
            asked = Asked(number=number, error=OUTSIDE, curl=7)
        self._journal.add("challenge", url=url, status=asked.status, passed=asked.passed, error=asked.error)
        return asked


async def _ask(session: aiohttp.ClientSession, url: str, verify_token: str, number: str) -> Asked:
    query = {"hub.mode": "subscribe", "hub.challenge": number, "hub.verify_token": verify_token}
    headers = {"User-Agent": "facebookplatform/1.0 (+http://developers.facebook.com)", "Accept": "*/*"}
    try:
        async with session.get(url, params=query, headers=headers, allow_redirects=False, timeout=PATIENCE) as response:
            body = (await response.content.read(4096)).decode("utf-8", "replace")
            return Asked(number=number, status=response.status, reason=response.reason or "", body=body)
    except TimeoutError as error:
        return Asked(number=number, error=f"no answer within {PATIENCE.total:.0f} s", curl=_curl(error))
    except (aiohttp.ClientError, ValueError, TypeError, OSError) as error:
        return Asked(number=number, error=words(error), curl=_curl(error))


def _curl(error: Exception) -> int:
    """By which number curl, which Meta asks with, knows this failure."""
    if isinstance(error, TimeoutError):
        return 28
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return 60
    if isinstance(error, aiohttp.ClientSSLError):
        return 35
    if isinstance(error, aiohttp.ClientConnectorError):
        return 6 if isinstance(error.os_error, socket.gaierror) else 7
    return 56


_CURL: Final = {
    6: "Couldn't resolve host name",
    7: "Couldn't connect to server",
    28: "Timeout was reached",
    35: "SSL connect error",
    56: "Failure when receiving data from the peer",
    60: "SSL peer certificate or SSH remote key was not OK",
}


def _why(asked: Asked) -> str:
    if asked.status == 200:
        said = asked.body[:80]
        return f'Response does not match challenge, expected value="{asked.number}", received="{said}"'
    if asked.error:
        said = f"{_CURL[asked.curl]} ({asked.error})" if asked.error == OUTSIDE else _CURL[asked.curl]
        wrong = f"curl_errno = {asked.curl}; curl_error = {said}"
    else:
        wrong = f"HTTP Status Code = {asked.status}; HTTP Message = {asked.reason}"
    return f"Callback verification failed with the following errors: {wrong}"


def _usable(url: str) -> bool:
    """Meta takes ``https`` alone; here ``http`` does for this machine."""
    try:
        parts = urlsplit(url if url.isprintable() and " " not in url else "")
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_here(url)))
