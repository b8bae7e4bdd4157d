"""The emulated Meta as one object: started, connected to a host's webhook, written to, watched, stopped."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Unpack
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from aerobot.emulator import state
from aerobot.emulator.arrange import Changes
from aerobot.emulator.bubble import Bubble
from aerobot.emulator.calls import GraphCall
from aerobot.emulator.clock import Clock
from aerobot.emulator.control import Control
from aerobot.emulator.credentials import Credentials, invent
from aerobot.emulator.deliveries import Delivery
from aerobot.emulator.ids import Ids
from aerobot.emulator.journal import Journal
from aerobot.emulator.media import RECEIVED_SECONDS
from aerobot.emulator.meta import Meta
from aerobot.emulator.page import Page
from aerobot.emulator.phone import DEFAULT
from aerobot.emulator.portal import Portal
from aerobot.emulator.settings import Settings, evenly
from aerobot.emulator.webhooks import Sender

__all__ = ["Credentials", "Emulator"]


class Emulator:
    """Meta on this machine: Graph, webhooks and a phone page on one port.

    ``seed`` makes credentials and ids repeatable (the page's token never is), ``receipts_delay`` is the
    seconds between two receipts, with ``auto_read`` every chat counts as read while nobody has the page open,
    ``name`` is what the phones call the bot, ``window`` what becomes of messages outside the 24 hours
    (``settings.Settings``), ``now`` the real time. With ``allow_external`` webhooks may be elsewhere than on this
    machine. ``kept`` is a state to go on with, as ``export`` gives it.

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
        window: str = "later",
        allow_external: bool = False,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        self._name = name
        self._allow_external = allow_external
        self._page_token = secrets.token_urlsafe(24)
        self._graph_url = ""
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._last_callback = ""
        self._wishes = {"auto_read": auto_read, "window": window, **evenly(receipts_delay)}
        self._closing: set[asyncio.Task[None]] = set()
        self._kept = kept
        self.clock = Clock(now, self._clock_moved)
        self.journal = Journal(self.clock)
        self.epoch = secrets.token_hex(4)
        if kept is not None:
            self._ids = Ids(kept["seed"], kept["ids"])
            self.credentials = Credentials(**kept["credentials"])
        else:
            self._ids = Ids(seed)
            self.credentials = invent(self._ids)
        self.portal = self._new_portal()
        self.meta = self._new_meta()
        if kept is None:
            self.meta.people()

    def _new_portal(self) -> Portal:
        return Portal(
            credentials=self.credentials, name=self._name, ids=self._ids, now=self.clock, changed=self._changed
        )

    def _new_meta(self) -> Meta:
        return Meta(
            portal=self.portal,
            ids=self._ids,
            clock=self.clock,
            journal=self.journal,
            settings=Settings().changed(self._wishes),
            address=lambda: self._graph_url,
            allow_external=self._allow_external,
        )

    @property
    def graph_url(self) -> str:
        """``http://127.0.0.1:PORT``: what a host calls instead of graph.facebook.com."""
        return self._graph_url

    @property
    def page_url(self) -> str:
        """The phone page, with its token after ``#``, where no server sees it."""
        return f"{self._graph_url}/#token={self._page_token}"

    @property
    def control_token(self) -> str:
        """What the control API under ``/_/`` wants as bearer token."""
        return self._page_token

    # -- life --

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
        self._graph_url = f"http://{_spelled(host)}:{runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            if self._kept is not None:
                self._take_in(self._kept)
        except BaseException:
            await self.stop()
            raise
        self.meta.start(self._session)

    def _app(self) -> web.Application:
        app = web.Application()
        page = Page()
        app.router.add_get("/", page.index)
        app.router.add_get("/static/{name}", page.file)
        Control(self).add_to(app.router)
        app.router.add_route("*", "/{rest:.*}", self._on_graph)
        return app

    async def _on_graph(self, request: web.Request) -> web.StreamResponse:
        return await self.meta.graph.handle(request)

    async def stop(self) -> None:
        """Close the port and drop what is on its way; a second call does nothing."""
        self.journal.close()
        self.meta.stop_waiting()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.meta.stop()
        await asyncio.gather(*self._closing)
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- the whole of it --

    def reset(self, *, everything: bool = False) -> None:
        """Begin anew: phones, messages, media, faults, settings, clock. Credentials and port stay.

        With ``everything`` the set-up at Meta is that of a fresh start too, so no callback is set, and ids are
        counted from the first again; else they go on, so that no host takes a new message for one it knows.
        """
        if everything:
            self._ids.counts.clear()
            self.portal = self._new_portal()
        self.clock.reset()
        self._replace()
        self.meta.people()
        self._restarted("reset")

    def export(self) -> dict[str, Any]:
        """The whole state as JSON, secrets of the emulated business included."""
        return {
            "aerobot_emulator": state.FORM,
            "seed": self._ids.seed,
            "ids": dict(self._ids.counts),
            "name": self._name,
            "credentials": asdict(self.credentials),
            "portal": state.portal_kept(self.portal),
            **self.meta.kept(),
        }

    def restore(self, document: object) -> None:
        """Go on from a state that ``export`` gave. Raises ``ValueError`` with a sentence; then nothing changed."""
        kept = state.check(document)
        before = self.export()
        try:
            self._take_in_anew(kept)
        except Exception as error:  # whatever a damaged state makes of our code: then all is as it was
            self._take_in_anew(before)
            raise ValueError(f"This state cannot be read: {type(error).__name__}: {error}.") from None
        self._restarted("import")

    def _take_in_anew(self, kept: Mapping[str, Any]) -> None:
        self._ids = Ids(kept["seed"], kept["ids"])
        self.credentials = Credentials(**kept["credentials"])
        self._name = str(kept["name"])
        self.portal = self._new_portal()
        self._replace(kept)

    def _replace(self, kept: Mapping[str, Any] | None = None) -> None:
        """Another world in the place of this one, which ends in the background."""
        task = asyncio.ensure_future(self.meta.stop())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        viewers = self.meta.world.viewers
        self.meta = self._new_meta()
        self.meta.world.viewers = viewers
        if kept is not None:
            self._take_in(kept)
        if self._session is not None:
            self.meta.start(self._session)

    def _take_in(self, kept: Mapping[str, Any]) -> None:
        self.clock.offset = float(kept["clock"])
        state.restore_portal(self.portal, kept["portal"])
        self.meta.restore(kept)
        self._prove()
        self._last_callback = self.portal.business.callback(self.portal.business.number_id)

    def _prove(self) -> None:
        """Look at all of it once, as page and Graph will: what is damaged fails here. Raises anything."""
        business, portal = self.portal.business, self.portal
        for number in business.numbers.values():
            business.callback(number.id), business.obstacle(number.id), business.line(number.id), number.shown()
        for token in portal.tokens.all():
            portal.tokens.about(token.value, token)
            token.died(self.clock())
        for found in business.templates.values():
            for template in found:
                template.text("BODY"), template.component("BUTTONS")
        shown = [portal.document(), self.meta.world.document(), self.export()]
        json.dumps(shown, allow_nan=False)

    def _restarted(self, why: str) -> None:
        self.epoch = secrets.token_hex(4)
        self.journal.add("restarted", epoch=self.epoch, why=why)

    # -- the set-up --

    async def connect(self, webhook_url: str) -> None:
        """Ask this webhook for the challenge as Meta does, then send everything there.

        It becomes our app's own callback, the app is subscribed to the account and to the field ``messages``,
        and overrides are removed. Raises ``NetworkError`` if nothing answers there, ``RemoteError`` if the
        answer is not the challenge.
        """
        await self.meta.callbacks.challenge(webhook_url, self.credentials.verify_token)
        self._last_callback = ""
        self.portal.business.connect(webhook_url)

    def arrange(self, **changes: Unpack[Changes]) -> None:
        """Change the world by name, for tests: ``arrange(token="expired", account_subscribed=False)``.

        ``arrange.Changes`` has every name with its values and what follows from it; what is not named stays.
        Over HTTP: ``POST /_/portal``. Raises ``ValueError`` for anything else.
        """
        self.portal.arrange(changes)

    def add_bot(self, phone: str, name: str) -> str:
        """Another business number, in digits, that phones can write to; its id. Same account, same callback."""
        number = self.portal.add_number(phone, name, registered=True, account_mode="SANDBOX")
        self.journal.add("number", **self.shown_number(number))
        return number

    def shown_number(self, number: str) -> dict[str, str]:
        """A business number, as the page shows it."""
        return self.portal.business.numbers[number].shown()

    def _changed(self) -> None:
        """After every change of the set-up: tell when another callback is in force."""
        self.meta.courier.moved()
        url = self.portal.business.callback(self.portal.business.number_id)
        if url and url != self._last_callback:
            self.journal.add("connected", url=url, host=urlsplit(url).netloc)
        self._last_callback = url

    def _clock_moved(self) -> None:
        self.journal.add("clock", now=self.clock.milliseconds, offset=self.clock.offset)

    # -- what people do --

    async def say(self, text: str, *, phone: str | None = None) -> str:
        """Write a text on a phone (default: the one that is there from the start); its wamid, once queued."""
        return self.act("text", phone=phone, text=text)

    def act(
        self,
        kind: str,
        *,
        phone: str | None = None,
        number: str | None = None,
        text: str | None = None,
        about: str = "",
        content: object = None,
        context: Mapping[str, object] | None = None,
        referral: Mapping[str, object] | None = None,
    ) -> str:
        """Do any of ``webhooks.KINDS`` on a phone; ``about`` is the wamid tapped, replied or reacted to.

        ``number`` is the id of the business number written to (default: the main one); ``context`` marks the
        message as forwarded, ``referral`` as coming from an ad.
        """
        return self.meta.person.send(
            self._key(phone), self.number(number), kind, text=text, about=about, content=content, context=context,
            referral=referral,
        )  # fmt: skip

    def send_file(
        self,
        data: bytes,
        mime_type: str,
        *,
        filename: str = "",
        caption: str = "",
        kind: str = "",
        phone: str | None = None,
        number: str | None = None,
    ) -> str:
        """Send a file from a phone; the host can download it from Graph. Its wamid, once queued."""
        file = self.meta.files.add(data, mime_type, filename, lives=RECEIVED_SECONDS)
        return self.meta.person.send_file(self._key(phone), self.number(number), file, kind=kind, caption=caption)

    def add_phone(self, phone: str, name: str, *, username: str = "") -> str:
        """Another user, by number in digits; without one, by username alone, under a user id. Their key."""
        digits = "".join(c for c in phone if c.isascii() and c.isdigit())
        user_id = "" if digits else f"US.{self._ids.dice('user').randrange(10**15, 10**16)}"
        user = self.meta.world.add_user(Sender(phone=digits, name=name, user_id=user_id, username=username))
        return user.phone or user.user_id

    def number(self, given: str | None) -> str:
        """The id of a business number, the main one if none is given. Raises ``ValueError`` for an unknown one."""
        if not given:
            return self.portal.business.number_id
        if given not in self.portal.business.numbers:
            raise ValueError(f"There is no business number {given[:40]!r}.")
        return given

    def _key(self, phone: str | None) -> str:
        if phone is None:
            return DEFAULT.phone
        digits = "".join(c for c in phone if c not in "+-() ")
        return digits if digits.isdigit() else phone

    # -- what happens --

    def arm(self, fault: str, times: int = 1, *, call: str = "messages", to: str = "") -> None:
        """Spoil the host's next calls by a fault of ``presets.PRESETS``; else ``ValueError``."""
        self.meta.faults.arm(fault, times, call=call, to=to)

    def settle(self, **changes: object) -> None:
        """Change ``settings.Settings`` by name; else ``ValueError``."""
        self.meta.change(changes)

    def watch(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from this call on, as the page gets them; ends when the emulator is stopped."""
        return self.journal.follow()

    def messages(self, phone: str | None = None, number: str | None = None) -> list[Bubble]:
        """What stands in a chat, oldest first."""
        return self.meta.world.bubbles(self._key(phone), self.number(number))

    def calls(self) -> Sequence[GraphCall]:
        """The Graph calls that were made, oldest first."""
        return self.meta.calls.about()

    def deliveries(self) -> Sequence[Delivery]:
        """The webhooks that were or will be sent, oldest first."""
        return self.meta.courier.deliveries.about()


def _spelled(host: str) -> str:
    if host in ("0.0.0.0", "", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
