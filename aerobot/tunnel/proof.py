"""The proof that a public address leads here: our own `hub.challenge` comes back through it, verbatim."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aerobot.errors import NetworkError
from aerobot.secret import Secret
from aerobot.tunnel.base import Report, public_origin
from aerobot.tunnel.cloudflared_errors import PAGES, page_code
from aerobot.tunnel.ngrok_errors import MEANINGS

SECONDS = 10
"""How long one try may take."""
_HEADERS = {"ngrok-skip-browser-warning": "1", "User-Agent": "aerobot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Why a try did not prove it; ``lasting``: another one would not either; ``silent``: nobody answered at all."""

    message: str
    hint: str
    lasting: bool = False
    silent: bool = False


async def prove(
    url: str,
    path: str,
    verify_token: Secret,
    *,
    attempts: int = 8,
    backoff: float = 0.5,
    head_start: float = 0,
    report: Report = lambda text: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Ask ``url`` + ``path`` for a fresh challenge as Meta does, until it comes back or a try is hopeless.

    Pauses begin with ``backoff`` seconds, double, and are at most 8; ``report`` is told of those that a person
    notices. ``head_start`` seconds pass before the first try. ``NetworkError`` says what answered instead. The
    token is sent to https (or loopback) alone and follows no redirect.
    """
    origin = public_origin(url)
    if head_start:
        report(f"{origin} is a new name: asking for it in {head_start:g} s")
        await sleep(head_start)
    miss = None
    for left in range(attempts, 0, -1):
        challenge = secrets.token_hex(16)
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token.reveal()}
        miss = await _ask(origin, path, query, challenge)
        if miss is None:
            return
        if miss.lasting or left == 1:
            break
        wait = min(8.0, backoff * 2 ** (attempts - left))
        if wait >= 1:
            tries = "once more" if left == 2 else f"{left - 1} more times at most"
            report(f"{miss.message} Asking again in {wait:g} s, {tries}.")
        await sleep(wait)
    assert miss is not None
    raise NetworkError(miss.message, miss.hint)


async def probe(url: str) -> Miss | None:
    """Whether the host answers `/healthz` through ``url``: one light request, no credential in it."""
    return await _ask(public_origin(url), "/healthz", {}, "ok")


async def _ask(origin: str, path: str, query: Mapping[str, str], wanted: str) -> Miss | None:
    """Send one request on a connection of its own and judge what comes back; ``None`` is the ``wanted`` body."""
    import aiohttp

    timeout, proxied = aiohttp.ClientTimeout(total=SECONDS), origin.startswith("https:")
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=proxied, headers=_HEADERS) as session,
            session.get(origin + path, params=query, allow_redirects=False) as answer,
        ):
            body = (await answer.content.read(65536)).decode("utf-8", "replace")
            if answer.status == 200 and body == wanted:
                return None
            told = answer.headers.get("Ngrok-Error-Code", "") or body
            known = _ngroks(told) or _cloudflares(origin, answer.status, body)
            return known or _judged(origin, answer.status, body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return _unanswered(origin, error)


def _ngroks(told: str) -> Miss | None:
    """One of ngrok's own pages."""
    code = re.search(r"ERR_NGROK_(\d+)", told)
    meaning = MEANINGS.get(int(code[1])) if code else None
    if code is None or meaning is None:
        return None
    lasting = code[1] not in ("3200", "8012")
    return Miss(message=f"{meaning.sentence} ({code[0]})", hint=meaning.remedy, lasting=lasting)


def _cloudflares(origin: str, status: int, body: str) -> Miss | None:
    """One of Cloudflare's own pages."""
    known = PAGES.get(page_code(status, body))
    if known is not None:
        return Miss(message=f"{known[0]} ({page_code(status, body)})", hint=known[1])
    if not origin.endswith(".trycloudflare.com"):
        return None
    if status == 429:
        return Miss(message="The quick tunnel has more than 200 requests at a time. (429)", hint="Wait a minute.")
    if status == 502:
        hint = "Does a firewall or container stand between them on this machine?"
        return Miss(message="The tunnel is open, but cloudflared cannot reach the listener behind it. (502)", hint=hint)
    return None


def _judged(origin: str, status: int, body: str) -> Miss:
    """What an answer that is not ours says about who gave it."""
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
        if origin.endswith(".trycloudflare.com"):
            hint += "\nYour resolver may hold on to that for half an hour; another start gets another name."
    elif isinstance(error, aiohttp.ClientSSLError):
        message = f"The certificate of {origin} is not valid; Meta would refuse it too."
        hint = "A new domain's takes some minutes. A self-signed one never works."
    elif isinstance(error, TimeoutError):
        message, hint = f"{origin} gave no answer within {SECONDS} s.", "Is the tunnel still open?"
    else:
        message, hint = f"{origin} cannot be reached.", "Is the tunnel still open, and the network there?"
    return Miss(message=message, hint=hint, silent=not isinstance(error, aiohttp.ClientSSLError))
