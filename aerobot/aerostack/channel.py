"""Asks and waits: one connection to the Aerostack API.

Its law: repeat only what is safe, and never send a secret where it can be overheard.
"""

import json
import random as dice
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from aerobot import __version__
from aerobot.aerostack.answers import without
from aerobot.aerostack.credentials import headers_for, is_loopback, origin_of
from aerobot.aerostack.failures import Answer, Call, Failure, Remote, not_json, refused, unreachable
from aerobot.errors import AerobotError, ConfigError, RemoteError, Repeat
from aerobot.retry import decide
from aerobot.secret import Secret, masked

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
LONGEST_BACKOFF = 8.0
"""Seconds, where the remote itself asks for nothing longer."""

Error = TypeVar("Error", bound=AerobotError)


class Channel:
    """A connection to the Aerostack API, or (``local``) to a running host that speaks it.

    Timeouts and ``patience`` (the most that one call may take with all its repeats) are in seconds.
    ``hidden`` are secrets that no error and nothing ``shown`` may contain; ``tell`` hears of waits;
    ``transport``, ``clock`` (unix seconds), ``sleep`` and ``random`` can be replaced. An ``api_url`` that is
    no origin, or plain http to another machine, is a ``ConfigError``.
    """

    def __init__(
        self,
        api_url: str,
        *,
        token: Secret | None = None,
        api_key: Secret | None = None,
        local: bool = False,
        hidden: Collection[Secret] = (),
        tell: Callable[[str], None] = lambda _: None,
        transport: "httpx.BaseTransport | None" = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 30.0,
        patience: float = 60.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = dice.random,
    ) -> None:
        self.remote = Remote(origin=origin_of(api_url), local=local)
        self._token, self._api_key = token, api_key
        self._hidden = [secret for secret in (*hidden, token, api_key) if secret]
        self._tell, self._transport = tell, transport
        self._connect_timeout, self._read_timeout, self._patience = connect_timeout, read_timeout, patience
        self._clock, self._sleep, self._random = clock, sleep, random
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def check(self) -> None:
        """Raise a ``ConfigError`` where the credential is missing, misplaced or expired. Nothing is sent."""
        headers_for(self._token, self._api_key, now=self._clock())

    def shown(self, value: Any) -> Any:
        """A copy of an answer that may be printed: every secret in it reads ``***``."""
        return without(masked(value), self._hidden)

    def _ask(self, call: Call) -> Any:
        """The answer's JSON, ``None`` where it is empty, after as many attempts as are safe and in time."""
        started, attempt, told = self._clock(), 1, ""
        while True:
            result = self._attempt(call)
            if not isinstance(result, Failure):
                return result[0]
            error = self._cleaned(result.error)
            again = decide(
                result.repeat if call.repeats else Repeat.NEVER,
                attempt,
                now=self._clock(),
                random=self._random(),
                retry_after=result.wait,
                cap=LONGEST_BACKOFF,
                attempts=ATTEMPTS,
            )
            if again.at is None or again.at - started > self._patience:
                raise error
            wait = max(0.0, again.at - self._clock())
            cause = "" if error.message == told else f"{error.message} "
            self._tell(f"{cause}Again in {wait:.0f} s.")
            told = error.message
            self._sleep(wait)
            attempt += 1

    def _attempt(self, call: Call) -> Failure | tuple[Any]:
        """One attempt: its document (in a tuple, for it may be ``None``), or what went wrong."""
        import httpx

        try:
            answer = self._send(call)
        except httpx.RequestError as error:
            return unreachable(call, error, self.remote)
        if not 200 <= answer.status < 300:
            return refused(call, answer, self.remote, now=self._clock())
        if not answer.content.strip():
            return (None,)
        try:
            return (answer.document(),)
        except ValueError:
            words = not_json(answer, self.remote)
            return Failure(error=RemoteError(*words, status=answer.status), repeat=Repeat.NEVER)

    def _send(self, call: Call) -> Answer:
        headers = headers_for(self._token, self._api_key, now=self._clock()) if call.proves else {}
        content = None
        if call.body is not None:
            content, headers = json.dumps(call.body).encode(), {**headers, "Content-Type": "application/json"}
        http = self._client()
        request = http.build_request(call.method, call.path, content=content, headers=headers)
        if call.read_timeout is not None:
            request.extensions["timeout"] = {**request.extensions["timeout"], "read": call.read_timeout}
        response = http.send(request)
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=names, content=response.content)

    def _client(self) -> "httpx.Client":
        if self._http is None:
            import httpx

            try:
                self._http = httpx.Client(
                    base_url=self.remote.origin,
                    timeout=httpx.Timeout(self._read_timeout, connect=self._connect_timeout),
                    headers={"User-Agent": f"aerobot/{__version__}", "Accept": "application/json"},
                    follow_redirects=False,
                    trust_env=not self._on_loopback(),
                    transport=self._transport,
                )
            except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
                raise ConfigError(
                    f"No connection can be set up to {self.remote.origin}: {error}.",
                    "Look at aerostack.api_url, at HTTPS_PROXY and ALL_PROXY, and at SSL_CERT_FILE.",
                ) from None
        return self._http

    def _on_loopback(self) -> bool:
        """No proxy of the environment may see what stays on this machine."""
        return is_loopback(urlsplit(self.remote.origin).hostname or "")

    def _cleaned(self, error: Error) -> Error:
        error.message, error.hint = without(error.message, self._hidden), without(error.hint, self._hidden)
        error.args = (error.message,)
        return error
