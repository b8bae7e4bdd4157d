"""PyWa as it is released, talking to an emulated Meta, and its own webhook server in a thread.

PyWa has no setting for Graph's address: it overwrites the ``base_url`` even of a session that it is given. So its
session mounts a transport for https://graph.facebook.com that changes the host of a request and nothing else.
"""

import queue
import socket
import threading
from typing import Any, Self, TypeVar

import httpx
import pywa.handlers
import uvicorn
from pywa import WhatsApp, utils
from starlette.applications import Starlette

from tests.emulated import EmulatedMeta

META = "https://graph.facebook.com"
UPDATES = (
    pywa.handlers.MessageHandler,
    pywa.handlers.MessageStatusHandler,
    pywa.handlers.CallbackButtonHandler,
    pywa.handlers.CallbackSelectionHandler,
    pywa.handlers.FlowCompletionHandler,
    pywa.handlers.PhoneNumberChangeHandler,
    pywa.handlers.CallPermissionUpdateHandler,
    pywa.handlers.EditedMessageHandler,
    pywa.handlers.DeletedMessageHandler,
)

Update = TypeVar("Update")


def redirected(request: httpx.Request, to: httpx.URL) -> httpx.Request:
    """The same request to another host."""
    request.url = request.url.copy_with(scheme=to.scheme, host=to.host, port=to.port)
    request.headers["Host"] = to.netloc.decode()
    return request


class Transport(httpx.HTTPTransport):
    """Sends to an emulator what is for Meta."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._to = httpx.URL(url)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return super().handle_request(redirected(request, self._to))


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The same for PyWa's asynchronous client."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._to = httpx.URL(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await super().handle_async_request(redirected(request, self._to))


def session(meta: EmulatedMeta) -> httpx.Client:
    """What PyWa calls Meta with."""
    return httpx.Client(mounts={META: Transport(meta.url)})


def client(meta: EmulatedMeta, calls: httpx.Client, **more: Any) -> WhatsApp:
    """PyWa with the emulator's credentials."""
    given = meta.credentials
    known: dict[str, Any] = {"app_id": given.app_id, "app_secret": given.app_secret}
    known |= {"waba_id": given.business_account_id, "verify_token": "a token of PyWa's"}
    return WhatsApp(given.phone_number_id, given.access_token, session=calls, **{**known, **more})


class Bot:
    """PyWa behind uvicorn: it registers its callback by itself, and every update is kept.

    The port listens before PyWa is made, so PyWa need not wait before it asks Meta to call.
    """

    def __init__(self, meta: EmulatedMeta, *, scope: str = "APP", **more: Any) -> None:
        self._meta = meta
        self._scope = scope
        self._more = more
        self._updates: queue.Queue[object] = queue.Queue()

    def __enter__(self) -> Self:
        self._calls = session(self._meta)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app = Starlette()
        self.url = f"http://127.0.0.1:{port}/hook"
        self.wa = client(
            self._meta,
            self._calls,
            server=app,
            webhook_endpoint="/hook",
            callback_url=f"http://127.0.0.1:{port}",
            callback_url_scope=utils.CallbackURLScope[self._scope],
            webhook_challenge_delay=0,
            **self._more,
        )
        self.wa.add_handlers(*[handler(lambda _, update: self._updates.put(update)) for handler in UPDATES])
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        self._meta.until(lambda: any(e["event"] == "connected" and e["url"] == self.url for e in self._meta.seen))
        return self

    def next(self, kind: type[Update]) -> Update:
        """The next update of a class of PyWa's; those of others are skipped."""
        while True:
            found = self._updates.get(timeout=10)
            if isinstance(found, kind):
                return found

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._calls.close()
