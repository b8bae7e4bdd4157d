"""Points Meta at this host while it runs, and puts back what stood there before."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aerobot.config import Settings, state_folder
from aerobot.errors import AerobotError, NetworkError
from aerobot.host.paths import path_of
from aerobot.runtime.values import Options
from aerobot.secret import Secret
from aerobot.store.base import HostedBot
from aerobot.store.roster import derived_id

if TYPE_CHECKING:
    from aerobot.registration.plan import PutBack
    from aerobot.registration.registrar import Registrar, Registration

META_PATIENCE = 20.0
"""Seconds that one call to Graph about the webhook may take with its repeats: somebody waits for it."""


class MetaSide:
    """What one host did at Meta. ``tell(level, words)`` passes on what happens there."""

    def __init__(self, settings: Settings, options: Options, tell: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._options = options
        self._tell = tell
        self._bot: HostedBot | None = None
        self._registering: asyncio.Future[Registration] | None = None

    @property
    def registration(self) -> "Registration | None":
        """What pointed Meta at this host, where something did."""
        done = self._registering
        good = done is not None and done.done() and not done.cancelled() and done.exception() is None
        return done.result() if done is not None and good else None

    async def register(self, bot: HostedBot | None, origin: str, *, proven: bool) -> None:
        """Point Meta at this host's address, once it is proven; or put back what a crashed run has left."""
        wish = self._options.register
        if wish is None or bot is None:
            if bot is not None and not self._options.sandbox:
                await self._finish_leftover(bot.phone_number_id)
            return
        if not proven:
            await self._prove_public(bot, origin)
        url = f"{origin}{path_of(bot.id)}"
        self._bot = bot
        loop = asyncio.get_running_loop()

        def tell(words: str) -> None:
            loop.call_soon_threadsafe(self._tell, "note", words)

        registrar = registrar_of(self._settings, self._options.environ, tell)
        self._registering = asyncio.ensure_future(asyncio.to_thread(registrar.register, wish, url))
        made = await asyncio.shield(self._registering)  # a Ctrl-C meanwhile: stop() waits for it, and puts back
        self._tell("ok", f"{_set_words(made)} set, Meta's own challenge answered; back on Ctrl-C")
        if made.found.warning:
            self._tell("warning", made.found.warning)

    async def register_again(self, public_url: str) -> None:
        """Point Meta at the public address as it is now: for a tunnel that came back under another name."""
        made = self.registration
        if made is None or self._bot is None:
            return
        await asyncio.to_thread(made.move, f"{public_url}{path_of(self._bot.id)}")
        self._tell("ok", f"{_set_words(made)} set anew, Meta's own challenge answered; back on Ctrl-C")

    async def _prove_public(self, bot: HostedBot, public_url: str) -> None:
        """Our own challenge through the user's proxy; from inside its network it may fail where Meta's does not."""
        from aerobot.host.paths import path_of
        from aerobot.tunnel import prove

        assert bot.verify_token is not None
        try:
            await prove(public_url, path_of(bot.id), bot.verify_token, attempts=3)
        except NetworkError as error:
            self._tell("warning", f"{public_url} is not proven from here: {error.message}")

    async def _finish_leftover(self, number: str) -> None:
        """Put back what a run of this number that crashed could not."""
        from aerobot.registration.records import Records, there

        folder = registrations(self._options.environ)
        if not there(folder):
            return
        try:
            record = Records(folder).read(number)
            if record is None or record.lasting or Records(folder).alive(record):
                return
            ended = await asyncio.to_thread(registrar_of(self._settings, self._options.environ).finish)
        except AerobotError as error:
            self._tell("warning", f"not put back after a crash: {error.message} aerobot webhook clear")
            return
        if ended is not None:
            self._tell("ok" if ended.good else "warning", f"put back after a crash: {ended.words}")

    async def put_back(self) -> None:
        """What stood at Meta before stands again; where that fails, the record stays for the next start."""
        if self._registering is None:
            return
        try:
            made = await self._registering
        except (Exception, asyncio.CancelledError):
            return  # start() told it, and what was changed is withdrawn
        try:
            ended: PutBack = await asyncio.to_thread(made.put_back)
        except Exception as error:  # whatever it is, the stop goes on
            why = error.message if isinstance(error, AerobotError) else f"{type(error).__name__}: {error}."
            self._tell("warning", f"NOT put back: {why} The next start does it, or: aerobot webhook clear")
            return
        self._tell("ok" if ended.good else "warning", f"Put back: {ended.words}")


def registrations(environ: Mapping[str, str]) -> Path:
    """Where it is written down what stood at Meta before."""
    return state_folder(environ) / "registrations"


def registrar_of(
    settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None] = lambda _: None
) -> "Registrar":
    """What points Meta at an address for the settings' number."""
    from aerobot.graph_admin import GraphAdmin
    from aerobot.registration.records import Records
    from aerobot.registration.registrar import Registrar, Who

    verify = settings.secret("whatsapp.verify_token")
    admin = GraphAdmin(
        settings.text("whatsapp.graph_url"),
        settings.text("whatsapp.graph_version"),
        access_token=settings.secret("whatsapp.access_token"),
        app_secret=settings.secret("whatsapp.app_secret"),
        app_id=settings.text("whatsapp.app_id") or None,
        hidden=[verify] if verify else [],
        tell=tell,
        patience=META_PATIENCE,
    )
    who = Who(
        phone_number_id=settings.text("whatsapp.phone_number_id"),
        business_account_id=settings.text("whatsapp.business_account_id"),
        verify_token=verify or Secret(""),
        mine=_own_addresses(settings),
        config=str(settings.path) if settings.path else None,
        profile=settings.profile,
    )
    return Registrar(admin, Records(registrations(environ)), who, tell=tell)


def _own_addresses(settings: Settings) -> frozenset[str]:
    """Where this bot's webhook can be, with the verify token of the settings: at Aerostack, behind a fixed address."""
    number = settings.text("whatsapp.phone_number_id")
    bot_id = settings.text("bot.id") or (derived_id(number) if number else "")
    domain = settings.text("tunnel.domain")
    origins = [settings.text("serve.public_url").rstrip("/"), f"https://{domain}" if domain else ""]
    origins += [settings.text("aerostack.api_url").rstrip("/")] if settings.text("bot.id") else []
    return frozenset(origin + path_of(bot_id) for origin in origins if origin and bot_id)


def _set_words(made: "Registration") -> str:
    from aerobot.registration.plan import NAMES

    return NAMES[made.record.level]
