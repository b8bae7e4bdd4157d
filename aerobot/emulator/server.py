"""The emulated Meta as one object: started, connected to a host's webhook, written to, watched, stopped."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from random import Random, SystemRandom
from typing import Unpack
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from aerobot.emulator.arrange import Changes
from aerobot.emulator.callbacks import Callbacks
from aerobot.emulator.control import Control
from aerobot.emulator.credentials import Credentials, invent, pretty
from aerobot.emulator.deliver import Delivery
from aerobot.emulator.faults import Faults
from aerobot.emulator.graph_api import GraphApi
from aerobot.emulator.graph_media import GraphMedia
from aerobot.emulator.graph_messages import GraphMessages
from aerobot.emulator.journal import Journal
from aerobot.emulator.links import Links
from aerobot.emulator.media import Files
from aerobot.emulator.page import Page
from aerobot.emulator.person import Person
from aerobot.emulator.phone import DEFAULT, World
from aerobot.emulator.portal import Portal
from aerobot.emulator.receipts import Receipts
from aerobot.emulator.webhooks import Sender

__all__ = ["Credentials", "Emulator"]


class Emulator:
    """Meta on this machine: Graph, webhooks and a phone page on one port.

    ``seed`` makes credentials and ids repeatable (the page's token never is), ``receipts_delay`` is the
    seconds between two receipts, with ``auto_read`` every chat counts as read, ``name`` is what the phones
    call the bot.

    A fresh one is a healthy world in which nothing is connected (``Portal`` says what that is): Graph's set-up
    endpoints change it as Meta's do, ``arrange(…)`` breaks it by name, ``portal`` adds to it. Webhooks go to the
    callback in force (number > account > app); while none was ever set, they wait.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        now: Callable[[], float] = time.time,
        receipts_delay: float = 0.05,
        auto_read: bool = True,
        name: str = "Aerobot",
    ) -> None:
        random = SystemRandom() if seed is None else Random(seed)  # noqa: S311 - repeatable on request
        self.credentials = invent(random)
        self._random = random
        self._name = name
        self._page_token = secrets.token_urlsafe(24)
        self._graph_url = ""
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._now = now
        self._last_callback = ""
        self.journal = Journal(now)
        self.portal = Portal(credentials=self.credentials, name=name, random=random, now=now, changed=self._changed)
        self._callbacks = Callbacks(random, self.journal)
        business = self.portal.business
        self._world = World(journal=self.journal, now=now)
        self._files = Files(random, now)
        self._links = Links(self._world, self._files)
        self._faults = Faults(lambda armed: self.journal.add("faults", armed=armed))
        self._delivery = Delivery(
            secret=self.credentials.app_secret,
            journal=self.journal,
            now=now,
            target=lambda: business.callback,
            obstacle=lambda: business.obstacle,
        )
        self._receipts = Receipts(
            world=self._world,
            delivery=self._delivery,
            line=lambda: business.line,
            now=now,
            delay=receipts_delay,
            auto_read=auto_read,
        )
        self._person = Person(
            world=self._world,
            delivery=self._delivery,
            files=self._files,
            line=lambda: business.line,
            random=random,
            now=now,
            address=lambda number: self._graph_url + self._files.path(number),
        )
        self._messages = GraphMessages(
            business=self.credentials.display_phone_number,
            world=self._world,
            files=self._files,
            links=self._links,
            faults=self._faults,
            receipts=self._receipts,
            random=random,
        )
        self._world.add_user(DEFAULT)

    @property
    def graph_url(self) -> str:
        """``http://127.0.0.1:PORT``: what a host calls instead of graph.facebook.com."""
        return self._graph_url

    @property
    def page_url(self) -> str:
        """The phone page, with its token after ``#``, where no server sees it."""
        return f"{self._graph_url}/#token={self._page_token}"

    async def start(self, host: str = "127.0.0.1", port: int = 8462) -> None:
        """Listen; port 0 picks a free one. Raises ``OSError`` if the port is in use."""
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._delivery.start(self._session)
        self._links.start(self._session)
        self._callbacks.start(self._session)
        self._graph_url = f"http://{_spelled(host)}:{runner.addresses[0][1]}"

    def _app(self) -> web.Application:
        app = web.Application()
        page = Page()
        app.router.add_get("/", page.index)
        app.router.add_get("/static/{name}", page.file)
        self._control().add_to(app.router)
        app.router.add_route("*", "/{rest:.*}", self._graph().handle)
        return app

    def _control(self) -> Control:
        number = self.credentials.display_phone_number
        return Control(
            token=self._page_token,
            portal=self.portal,
            number={"name": self._name, "phone": number, "display": pretty(number)},
            world=self._world,
            person=self._person,
            files=self._files,
            faults=self._faults,
            receipts=self._receipts,
            delivery=self._delivery,
            journal=self.journal,
        )

    def _graph(self) -> GraphApi:
        return GraphApi(
            portal=self.portal,
            callbacks=self._callbacks,
            messages=self._messages,
            media=GraphMedia(files=self._files),
            journal=self.journal,
            random=self._random,
            now=self._now,
        )

    async def connect(self, webhook_url: str) -> None:
        """Ask this webhook for the challenge as Meta does, then send everything there.

        It becomes our app's own callback, the app is subscribed to the account and to the field ``messages``,
        and overrides are removed. Raises ``NetworkError`` if nothing answers there, ``RemoteError`` if the
        answer is not the challenge.
        """
        await self._callbacks.challenge(webhook_url, self.credentials.verify_token)
        self._last_callback = ""
        self.portal.business.connect(webhook_url)

    def arrange(self, **changes: Unpack[Changes]) -> None:
        """Change the world by name, for tests: ``arrange(token="expired", account_subscribed=False)``.

        ``arrange.Changes`` has every name with its values and what follows from it; what is not named stays.
        Over HTTP: ``POST /_/portal``. Raises ``ValueError`` for anything else.
        """
        self.portal.arrange(changes)

    def _changed(self) -> None:
        """After every change of the set-up: tell when another callback is in force."""
        self._delivery.moved()
        url = self.portal.business.callback
        if url and url != self._last_callback:
            self.journal.add("connected", url=url, host=urlsplit(url).netloc)
        self._last_callback = url

    async def say(self, text: str, *, phone: str | None = None) -> str:
        """Write a text on a phone (default: the one that is there from the start); its wamid, once queued."""
        return self.act("text", phone=phone, text=text)

    def act(
        self,
        kind: str,
        *,
        phone: str | None = None,
        text: str | None = None,
        about: str = "",
        content: object = None,
    ) -> str:
        """Do any of ``webhooks.KINDS`` on a phone; ``about`` is the wamid tapped, replied or reacted to."""
        return self._person.send(self._key(phone), kind, text=text, about=about, content=content)

    def send_file(
        self, data: bytes, mime_type: str, *, filename: str = "", caption: str = "", phone: str | None = None
    ) -> str:
        """Send a file from a phone; the host can download it from Graph. Its wamid, once queued."""
        file = self._files.add(data, mime_type, filename)
        return self._person.send_file(self._key(phone), file, caption=caption)

    def add_phone(self, phone: str, name: str) -> None:
        """Another user, by number in digits."""
        self._world.add_user(Sender(phone=phone.lstrip("+"), name=name))

    def arm(self, fault: str, times: int = 1) -> None:
        """Spoil the host's next sends by a fault of ``faults.PRESETS``; else ``ValueError``."""
        self._faults.arm(fault, times)

    def watch(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from this call on, as the page gets them; ends when the emulator is stopped."""
        return self.journal.follow()

    def _key(self, phone: str | None) -> str:
        if phone is None:
            return DEFAULT.phone
        digits = "".join(c for c in phone if c not in "+-() ")
        return digits if digits.isdigit() else phone

    async def stop(self) -> None:
        """Close the port and drop what is on its way; a second call does nothing."""
        self.journal.close()
        self._messages.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._receipts.stop()
        await self._links.stop()
        await self._delivery.stop()
        if self._session is not None:
            await self._session.close()
            self._session = None


def _spelled(host: str) -> str:
    if host in ("0.0.0.0", "", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
