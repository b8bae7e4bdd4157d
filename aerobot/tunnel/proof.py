"""The proof that a public address leads here: our own `hub.challenge` comes back through it, verbatim."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aerobot.errors import NetworkError
from aerobot.secret import Secret
from aerobot.tunnel.base import public_origin
from aerobot.tunnel.ngrok_errors import MEANINGS

if TYPE_CHECKING:
    import aiohttp

SECONDS = 10
"""How long one try may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Why a try did not prove it; ``lasting`` means that another one would not either."""

    message: str
    hint: str
    lasting: bool = False


async def prove(
    url: str,
    path: str,
    verify_token: Secret,
    *,
    attempts: int = 8,
    backoff: float = 0.5,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Ask ``url`` + ``path`` for a fresh challenge as Meta does, until it comes back or a try is hopeless.

    Pauses begin with ``backoff`` seconds, double, and are at most 8. ``NetworkError`` says what answered
    instead. The token is sent to https (or loopback) alone and follows no redirect.
    """
    import aiohttp

    origin = public_origin(url)
    miss = None
    timeout, proxied = aiohttp.ClientTimeout(total=SECONDS), origin.startswith("https:")
    async with aiohttp.ClientSession(timeout=timeout, trust_env=proxied) as session:
        for attempt in range(attempts):
            if attempt:
                await sleep(min(8.0, backoff * 2 ** (attempt - 1)))
            miss = await _ask(session, origin, path, verify_token)
            if miss is None:
                return
            if miss.lasting:
                break
    assert miss is not None
    raise NetworkError(miss.message, miss.hint)


async def _ask(session: "aiohttp.ClientSession", origin: str, path: str, verify_token: Secret) -> Miss | None:
    import aiohttp

    challenge = secrets.token_hex(16)
    query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token.reveal()}
    headers = {"ngrok-skip-browser-warning": "1", "User-Agent": "aerobot"}
    try:
        async with session.get(origin + path, params=query, headers=headers, allow_redirects=False) as answer:
            body = (await answer.content.read(65536)).decode("utf-8", "replace")
            if answer.status == 200 and body == challenge:
                return None
            code = re.search(r"ERR_NGROK_(\d+)", answer.headers.get("Ngrok-Error-Code", "") or body)
            return _judged(origin, answer.status, body, int(code[1]) if code else 0)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return _unanswered(origin, error)


def _judged(origin: str, status: int, body: str, code: int) -> Miss:
    """What an answer that is not the challenge says about who gave it."""
    if code in MEANINGS:
        meaning = MEANINGS[code]
        return Miss(
            message=f"{meaning.sentence} (ERR_NGROK_{code})",
            hint=meaning.remedy,
            lasting=code not in (3200, 8012),
        )
    if status == 403:
        message = f"{origin} leads to a host with another verify token."
        return Miss(message=message, hint="Is another aerobot behind it, or an older one?", lasting=True)
    if 300 <= status < 400:
        message = f"{origin} redirects elsewhere; Meta would not follow."
        return Miss(message=message, hint="Does a sign-in page or a proxy stand before the host?", lasting=True)
    if status == 404:
        message = f"{origin} knows nothing of this webhook (404): another program is behind it."
        return Miss(message=message, hint="Is it this host's address? A proxy must pass the path on.")
    if status >= 500:
        message = f"{origin} answers with {status}: the way from there to this host is broken."
        return Miss(message=message, hint="Through a proxy of yours? Does that reach the public listener?")
    what = "a web page" if "<html" in body.lower() else f"something else ({status})"
    message = f"{origin} answers with {what} instead of our challenge: that is not this host."
    return Miss(message=message, hint="Is it this host's address? Does a warning or sign-in page stand before it?")


def _unanswered(origin: str, error: Exception) -> Miss:
    """What the lack of an answer says."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorDNSError):
        message, hint = f"{origin} is not in the DNS yet.", "A new name takes a minute; then try again."
    elif isinstance(error, aiohttp.ClientSSLError):
        message = f"The certificate of {origin} is not valid; Meta would refuse it too."
        hint = "A new domain's takes some minutes. A self-signed one never works."
    elif isinstance(error, TimeoutError):
        message, hint = f"{origin} gave no answer within {SECONDS} s.", "Is the tunnel still open?"
    else:
        message, hint = f"{origin} cannot be reached.", "Is the tunnel still open, and the network there?"
    return Miss(message=message, hint=hint)
