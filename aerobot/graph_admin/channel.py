"""Asks Graph and waits. Its law: repeat only what is safe, and let no token out, neither in clear nor in words."""

import json
import logging
import random as dice
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from aerobot import __version__
from aerobot.errors import ConfigError, Repeat
from aerobot.graph_admin.call import Call
from aerobot.graph_admin.failures import Failed, not_graph, refused, unreachable
from aerobot.graph_admin.guard import hide, proof, revealed, secrets_in, sendable, without_query
from aerobot.retry import decide
from aerobot.secret import Secret, is_loopback, may_carry_secrets
from aerobot.whatsapp.wire import Object, as_list, as_object, as_text

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
LONGEST_BACKOFF = 8.0
"""Seconds, where Graph itself asks for nothing longer."""
MOST_PAGES = 50


class Channel:
    """A connection to Graph for set-up calls.

    Timeouts and ``patience`` (the most that one call may take with its repeats) are in seconds; ``tell`` hears of
    waits; ``hidden`` are further secrets that no error may contain; ``transport``, ``clock`` (unix seconds),
    ``sleep`` and ``random`` can be replaced. Plain http to another machine is a ``ConfigError``.
    """

    def __init__(
        self,
        graph_url: str,
        version: str,
        *,
        access_token: Secret | None,
        app_secret: Secret | None = None,
        app_id: str | None = None,
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
        if not may_carry_secrets(graph_url):
            words = f"whatsapp.graph_url is {graph_url}: a token is never sent over plain http."
            raise ConfigError(words, "Use https: aerobot config set whatsapp.graph_url https://graph.facebook.com")
        self.origin, self.version = graph_url.rstrip("/"), version
        self.app_id = app_id or ""
        self.prove = True
        """Whether calls carry ``appsecret_proof``; taken away where the secret is known to be another app's."""
        self.skew: float | None = None
        """Seconds by which this machine's clock is ahead of Graph's, from its last answer (exact to one or two)."""
        self._access_token, self._app_secret = access_token, app_secret
        self._hidden = [secret for secret in (*hidden, access_token, app_secret) if secret]
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

    @property
    def has_secret(self) -> bool:
        """Whether an app secret is held."""
        return bool(self._app_secret)

    # -- asking --------------------------------------------------------------------------------------------

    def _ask(self, call: Call) -> Object:
        """The answer's JSON object, after as many attempts as are safe and in time."""
        started, attempt = self._clock(), 1
        while True:
            result = self._attempt(call)
            if not isinstance(result, Failed):
                return result
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
                raise self._cleaned(result, call).error from None
            wait = max(0.0, again.at - self._clock())
            self._tell(f"{self._cleaned(result, call).error.message} Again in {wait:.0f} s.")
            self._sleep(wait)
            attempt += 1

    def _pages(self, call: Call) -> Iterator[Object]:
        """The items of all pages. Only cursors are followed: the address of the next page has the token in it."""
        params = dict(call.params)
        for _ in range(MOST_PAGES):
            page = self._ask(replace(call, params=params))
            yield from (as_object(item) for item in as_list(page.get("data")))
            paging = as_object(page.get("paging"))
            after = as_text(as_object(paging.get("cursors")).get("after"))
            if not after or not paging.get("next") or after == params.get("after"):
                return
            params["after"] = after

    def _attempt(self, call: Call) -> Object | Failed:
        import httpx

        try:
            response = self._send(call)
        except httpx.RequestError as error:
            return unreachable(call, error, self.origin)
        headers = {name.lower(): value for name, value in response.headers.items()}
        status, content = response.status_code, response.content
        document = _object_in(content)
        good = 200 <= status < 300
        if not good or (document and document.get("error")):
            return refused(call, status, content, origin=self.origin, headers=headers)
        if document is None:
            return not_graph(call, status, content, origin=self.origin, headers=headers)
        return document

    def _send(self, call: Call) -> "httpx.Response":
        """One request, sent; ``httpx.RequestError`` where nothing came back."""
        bearer = self._app_token() if call.credential == "app" else self._token()
        headers = {"Authorization": f"Bearer {bearer}"}
        params = {**call.params, **self._proof(call, bearer)}
        content = None
        if call.body is not None:
            kind = "x-www-form-urlencoded" if call.form else "json"
            headers["Content-Type"] = f"application/{kind}"
            given = revealed(call.body)
            content = (urlencode(given) if call.form else json.dumps(given)).encode()
        http = self._client()
        url = f"{self.origin}/{self.version}/{call.path}"
        request = http.build_request(call.method, url, params=revealed(params), content=content, headers=headers)
        began = self._clock()
        response = http.send(request)
        self._compare(response.headers.get("date", ""), (began + self._clock()) / 2)
        return response

    def _compare(self, date: str, now: float) -> None:
        """Keep by how much the clocks differ; a ``Date`` is cut to whole seconds, so half of one is added."""
        try:
            self.skew = now - (parsedate_to_datetime(date).timestamp() + 0.5)
        except (ValueError, TypeError, OverflowError):
            return

    def _client(self) -> "httpx.Client":
        if self._http is None:
            import httpx

            logging.getLogger("httpx").addFilter(without_query)
            try:
                self._http = httpx.Client(
                    timeout=httpx.Timeout(self._read_timeout, connect=self._connect_timeout),
                    headers={"User-Agent": f"aerobot/{__version__}", "Accept": "application/json"},
                    follow_redirects=False,
                    trust_env=not is_loopback(self.origin),
                    transport=self._transport,
                )
            except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
                raise ConfigError(
                    f"No connection can be set up to {self.origin}: {error}.",
                    "Look at whatsapp.graph_url, at HTTPS_PROXY and ALL_PROXY, and at SSL_CERT_FILE.",
                ) from None
        return self._http

    # -- secrets -------------------------------------------------------------------------------------------

    def _token(self) -> str:
        if not self._access_token:
            hint = "Meta > WhatsApp > API Setup shows one: aerobot config set whatsapp.access_token"
            raise ConfigError("No access token is set.", hint)
        return sendable(self._access_token, "whatsapp.access_token")

    def _app_token(self) -> str:
        """``id|secret``, which Graph takes as the app's own token."""
        for setting, there in (("whatsapp.app_id", self.app_id), ("whatsapp.app_secret", self._app_secret)):
            if not there:
                hint = f"Meta > App settings > Basic shows it: aerobot config set {setting}"
                raise ConfigError(f"This needs the app's own token, and {setting} is not set.", hint)
        assert self._app_secret is not None
        return f"{self.app_id}|{sendable(self._app_secret, 'whatsapp.app_secret')}"

    def _proof(self, call: Call, bearer: str) -> dict[str, str]:
        """``appsecret_proof``, where the secret is held and wanted."""
        if not self._app_secret or not (call.credential == "app" or (call.proof and self.prove)):
            return {}
        return {"appsecret_proof": proof(bearer, self._app_secret)}

    def _cleaned(self, failed: Failed, call: Call) -> Failed:
        """The failure without any secret in its words."""
        hide(failed.error, (*self._hidden, *secrets_in(call)))
        return failed


def _object_in(content: bytes) -> Object | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
