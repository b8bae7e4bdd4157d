"""What came back from Graph instead of a good answer, and whether to repeat the call. No I/O."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aerobot.errors import AerobotError, NetworkError, RemoteError, Repeat
from aerobot.graph_admin.call import Call
from aerobot.graph_admin.words import LOOK, SECRET, said
from aerobot.whatsapp import graph
from aerobot.whatsapp.graph import Refused
from aerobot.whatsapp.messages import Failure
from aerobot.whatsapp.wire import Object

CONNECTION = "Check your connection and whatsapp.graph_url: aerobot config show"
BETWEEN = "Check whatsapp.graph_url; does a sign-in page or proxy stand in between?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An error, whether its call may be repeated, and how long Graph asks to wait (seconds)."""

    error: AerobotError
    repeat: Repeat
    wait: float | None = None


class GraphError(RemoteError):
    """Graph's no to a set-up call: ``failure`` is Meta's own error, ``cause`` a stable name where it is known.

    Causes: proof_needed, secret_wrong, token_other_app, permission_missing, not_subscribed, challenge_failed,
    not_there, no_such_call, ids_swapped. ``field`` and ``node_type`` say that a thing of that kind has no such field.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int = 200,
        repeat: Repeat,
        failure: Failure | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(message, hint, status=status, repeat=repeat)
        self.failure, self.cause = failure or Failure(code=None), cause
        found = re.search(r"nonexisting field \((\w+)\)(?: on node type \((\w+)\))?", self.failure.title)
        self.field, self.node_type = (found[1], found[2] or "") if found else ("", "")


# -- Graph said no -------------------------------------------------------------------------------------------


def refused(call: Call, status: int, content: bytes, *, origin: str, headers: Mapping[str, str]) -> Failed:
    """What an answer means that is no success; ``headers`` have lower-case names."""
    if 300 <= status < 400:
        return _settled(call, _redirected(headers.get("location", ""), origin, status), Repeat.NEVER)
    answer = graph.response(status, content, headers.get("retry-after"))
    assert isinstance(answer, Refused)
    if answer.failure.code is None and _is_page(content, headers):
        return not_graph(call, status, content, origin=origin, headers=headers)
    words, repeat = said(call, answer), _repeat(call, answer.repeat)
    error = GraphError(
        words.sentence, words.remedy, status=status, repeat=repeat, failure=answer.failure, cause=words.cause
    )
    return Failed(error=error, repeat=repeat, wait=answer.retry_after)


def not_graph(call: Call, status: int, content: bytes, *, origin: str, headers: Mapping[str, str]) -> Failed:
    """An answer that cannot be Graph's: a web page, or nothing that is JSON."""
    what = "a web page" if _is_page(content, headers) else "something that is not JSON"
    words = f"{urlsplit(origin).netloc} answered {status} with {what}, not as Graph."
    repeat = Repeat.AMBIGUOUS if status >= 500 or not call.reads else Repeat.NEVER
    return _settled(call, NetworkError(words, BETWEEN), repeat)


def without_success(call: Call, answer: Object) -> GraphError:
    """An answer of success that does not say so: whether the call had its effect is unknown."""
    words = f"Graph answered {call.method} {call.path} without success."
    repeat = Repeat.NEVER if answer.get("success") is False else Repeat.AMBIGUOUS
    return GraphError(words, "See what is there now: aerobot doctor", repeat=repeat)


def another_apps(failure: Failure | None) -> GraphError:
    """The app's own token may not look at the access token."""
    words = "The access token is of another app than the app secret."
    return GraphError(words, SECRET, repeat=Repeat.NEVER, failure=failure, cause="token_other_app")


def _settled(call: Call, error: NetworkError | RemoteError, repeat: Repeat) -> Failed:
    error.repeat = _repeat(call, repeat)
    if error.repeat is Repeat.AMBIGUOUS:
        error.hint = f"{LOOK} {error.hint}".rstrip()
    return Failed(error=error, repeat=error.repeat)


def _repeat(call: Call, repeat: Repeat) -> Repeat:
    """What changes nothing may be repeated even where nobody knows whether it worked."""
    return Repeat.SAFE if call.reads and repeat is Repeat.AMBIGUOUS else repeat


def _is_page(content: bytes, headers: Mapping[str, str]) -> bool:
    return "html" in headers.get("content-type", "") or content.lstrip()[:1] == b"<"


def _redirected(location: str, origin: str, status: int) -> RemoteError:
    target = urlsplit(location)
    there = f"{target.scheme}://{target.netloc}" if target.netloc else "another path"
    hint = "A token never follows a redirect. Is whatsapp.graph_url right?"
    return RemoteError(f"{origin} redirects to {there}.", hint, status=status)


# -- nothing came back ---------------------------------------------------------------------------------------


def unreachable(call: Call, error: Exception, origin: str) -> Failed:
    """What an ``httpx.RequestError`` means, and whether the request can have had an effect."""
    import httpx

    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
    repeat = Repeat.SAFE if unsent else Repeat.AMBIGUOUS
    words, hint = _silence(error, urlsplit(origin).netloc)
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        repeat = Repeat.NEVER if unsent or call.reads else Repeat.AMBIGUOUS
    return _settled(call, NetworkError(words, hint), repeat)


def _silence(error: Exception, host: str) -> tuple[str, str]:
    import httpx

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or cause.reason or "the handshake failed"
            hint = "A proxy in between? SSL_CERT_FILE names the certificates that you trust."
            return f"{host} cannot prove who it is (TLS): {str(reason).replace('_', ' ').lower()}.", hint
        if isinstance(cause, socket.gaierror):
            return f"{host} cannot be found: no network, or a wrong name.", CONNECTION
        if isinstance(cause, ConnectionRefusedError):
            return f"Nothing listens at {host}: the connection was refused.", CONNECTION
    if isinstance(error, httpx.ProxyError):
        return f"The proxy on the way to {host} refused.", "Check HTTPS_PROXY and NO_PROXY."
    if isinstance(error, httpx.ConnectTimeout):
        return f"{host} cannot be reached: no connection in time.", CONNECTION
    if isinstance(error, httpx.TimeoutException):
        return f"{host} did not answer in time.", CONNECTION
    if isinstance(error, httpx.ConnectError):
        return f"{host} cannot be reached.", CONNECTION
    return f"{host} broke off before it had answered.", CONNECTION


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
