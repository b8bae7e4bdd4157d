"""What came back instead of a good answer: one sentence, one remedy, one code, whether to repeat. No I/O."""

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from aerobot.aerostack.answers import error_in
from aerobot.aerostack.credentials import BY_HAND
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, Repeat

CHECK = "Check your connection and aerostack.api_url (aerobot config show)."
ABSENT = (404, 405, 501)
"""What a platform answers that does not offer a call, or does not know the thing it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``repeats`` is false where it is never made twice."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    repeats: bool = True
    proves: bool = True
    """Whether it carries the credential."""
    read_timeout: float | None = None

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response; ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def document(self) -> Any:
        """Its JSON; ``ValueError`` where it is none."""
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("nested too deep") from error

    @property
    def is_page(self) -> bool:
        """Whether it is a web page."""
        return "html" in self.headers.get("content-type", "") or self.content.lstrip()[:1] == b"<"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Whom the words are about: ``local`` is the host on this machine, which speaks the same API."""

    origin: str
    local: bool = False

    @property
    def name(self) -> str:
        """How it is called in a sentence."""
        return "The local host" if self.local else "Aerostack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error, whether its call may be repeated, and how long the remote asks to wait (seconds)."""

    error: AerobotError
    repeat: Repeat
    wait: float | None = None


def refused(call: Call, answer: Answer, remote: Remote, *, now: float) -> Failure:
    """What an answer outside 2xx means; ``now`` is in unix seconds."""
    status = answer.status
    if 300 <= status < 400:
        return _never(_redirected(answer, remote), status)
    if answer.is_page and not (status == 429 or status >= 500):
        return _never(web_page(answer, remote), status)
    said = _said(answer)
    if status == 401:
        return Failure(error=_not_accepted(call, remote, said), repeat=Repeat.NEVER)
    if status == 429:
        wait = _wait(answer.headers, now)
        hint = f"Try again in {wait:.0f} s." if wait else "Try again in a minute."
        return _failure(f"{remote.name}'s rate limit is reached{said}.", hint, status, Repeat.SAFE, wait)
    if status >= 500 and status != 501:
        return _failed(call, answer, remote, now)
    return _never((_refusal(call, remote, status, said), "" if remote.local else _remedy(status)), status)


def _failed(call: Call, answer: Answer, remote: Remote, now: float) -> Failure:
    """A fault on its side: what changes something may have had its effect all the same."""
    repeat = Repeat.AMBIGUOUS
    if call.reads:
        repeat = Repeat.SAFE if answer.status in (502, 503, 504) else Repeat.NEVER
    wait = _wait(answer.headers, now) if "retry-after" in answer.headers else None
    words = f"{remote.name} failed with {answer.status}{_said(answer)}."
    hint = "Its own terminal tells why." if remote.local else "That is on its side: try again in a few minutes."
    return _failure(words, hint, answer.status, repeat, wait)


def _failure(words: str, hint: str, status: int, repeat: Repeat, wait: float | None = None) -> Failure:
    return Failure(error=RemoteError(words, hint, status=status, repeat=repeat), repeat=repeat, wait=wait)


def _never(words: tuple[str, str], status: int) -> Failure:
    return _failure(*words, status, Repeat.NEVER)


def _said(answer: Answer) -> str:
    if answer.is_page:
        return " and a web page"
    try:
        words = error_in(answer.document())
    except ValueError:
        words = " ".join(answer.content[:200].decode("utf-8", "replace").split())
    return f": {words}" if words else ""


def _not_accepted(call: Call, remote: Remote, said: str) -> AerobotError:
    if not call.proves:
        return ConfigError(
            f"Aerostack does not accept this e-mail and password{said}.",
            "Mind the limit: five attempts in 15 minutes for one e-mail address.",
        )
    if remote.local:
        words = f"The local host does not accept the token of its record{said}."
        return ConfigError(words, "Restart aerobot serve.")
    return ConfigError(
        f"Aerostack does not accept your login{said}.",
        "Log in again: aerobot login. (An account key, ak_..., may not be enough for bots.)",
    )


def _refusal(call: Call, remote: Remote, status: int, said: str) -> str:
    verbs = {402: "wants to be paid first", 403: "forbids this", 404: f"knows nothing at {call.path}"}
    return f"{remote.name} {verbs.get(status, 'refused this')} ({status}){said}."


def _remedy(status: int) -> str:
    fields = "Its fields are settings of [bot] and [whatsapp]: aerobot config show"
    return {
        400: fields,
        422: fields,
        402: "The wallet may be empty or the spending cap reached: https://app.aerostack.dev",
        403: "Is it another account's, or a limit of your plan? aerobot workspaces lists what is yours.",
        409: "Somebody or something has it already: aerobot bots list",
    }.get(status, "")


def _redirected(answer: Answer, remote: Remote) -> tuple[str, str]:
    target = urlsplit(answer.headers.get("location", ""))
    there = f"{target.scheme}://{target.netloc}" if target.netloc else "another path"
    hint = "A credential never follows a redirect. Is aerostack.api_url right?"
    if target.scheme == "https" and target.netloc:
        hint += f"\nIf you trust that address: aerobot config set aerostack.api_url {there}"
    return f"{remote.origin} redirects to {there}.", hint


def web_page(answer: Answer, remote: Remote) -> tuple[str, str]:
    """The words for a web page where JSON was expected."""
    return (
        f"{remote.origin} answered {answer.status} with a web page: that is not the Aerostack API.",
        "Check aerostack.api_url (aerobot config show); or does a sign-in page or a proxy stand in between?",
    )


def not_json(answer: Answer, remote: Remote) -> tuple[str, str]:
    """The words for an answer of success that cannot be read."""
    if answer.is_page:
        return web_page(answer, remote)
    return (
        f"{remote.origin} answered {answer.status} with something that is not JSON.",
        "Check aerostack.api_url: aerobot config show",
    )


def no_token(document: object) -> tuple[str, str]:
    """The words for a login that was answered without a token: what came instead (names, never values)."""
    said = error_in(document)
    names = ", ".join(sorted(str(key) for key in document)) if isinstance(document, Mapping) else ""
    came = said or (f"only {names}" if names else "nothing that can be read")
    return f"Aerostack answered the login without a token: {came}.", BY_HAND


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait: ``Retry-After`` (seconds or a date), else ``X-RateLimit-Reset`` (unix seconds).

    Dates are measured from the answer's own ``Date``, so that a wrong clock here does no harm.
    """
    now = _moment(headers.get("date", "")) or now
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after)
    moment = _moment(after)
    if moment is None and headers.get("x-ratelimit-reset", "").strip().isdecimal():
        moment = float(headers["x-ratelimit-reset"])
    return None if moment is None else max(0.0, moment - now)


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


# -- nothing came back -------------------------------------------------------------------------------------


def unreachable(call: Call, error: Exception, remote: Remote) -> Failure:
    """What an ``httpx.RequestError`` means, and whether the request can have had an effect."""
    import httpx

    never_left = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
    unsent = isinstance(error, never_left)
    repeat = Repeat.SAFE if unsent or call.reads else Repeat.AMBIGUOUS
    words, hint = _silence(error, remote, httpx)
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)) and unsent:
        repeat = Repeat.NEVER
    if repeat is Repeat.AMBIGUOUS:
        hint = f"It may have been done all the same: look before you repeat it. {hint}"
    return Failure(error=NetworkError(words, hint, repeat=repeat), repeat=repeat)


def _silence(error: Exception, remote: Remote, httpx: Any) -> tuple[str, str]:
    host = urlsplit(remote.origin).netloc
    check = "Start it: aerobot serve" if remote.local else CHECK
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or cause.reason or "the handshake failed"
            hint = "A proxy in between? SSL_CERT_FILE names a file with the certificates you trust."
            return f"{host} cannot prove who it is (TLS): {str(reason).replace('_', ' ').lower()}.", hint
        if isinstance(cause, socket.gaierror):
            return f"{host} cannot be found: no network, or a wrong name.", check
        if isinstance(cause, ConnectionRefusedError):
            return f"Nothing listens at {host}: the connection was refused.", check
    if isinstance(error, httpx.ProxyError):
        return f"The proxy on the way to {host} refused: {error}.", "Check HTTPS_PROXY and NO_PROXY."
    if isinstance(error, httpx.ConnectTimeout):
        return f"{host} cannot be reached: no connection in time.", check
    if isinstance(error, httpx.TimeoutException):
        return f"{host} did not answer in time.", check
    if isinstance(error, httpx.ConnectError):
        return f"{host} cannot be reached: {error}.", check
    return f"{host} broke off before it had answered.", check


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
