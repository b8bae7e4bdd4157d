"""The composition root: settings → store, clients, listeners, worker; started and stopped in order."""

import asyncio
import errno
import logging
import os
import random
import secrets
import shutil
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerobot import events
from aerobot.config import Settings, state_folder
from aerobot.engine import Engine, choose
from aerobot.errors import ConfigError
from aerobot.host import record
from aerobot.secret import Secret, is_loopback, may_carry_secrets
from aerobot.store.base import HostedBot
from aerobot.store.roster import Roster, derived_id

if TYPE_CHECKING:
    from aiohttp import web

    from aerobot.emulator.server import Emulator
    from aerobot.tunnel import Tunnel

GRACE = 8.0
"""Seconds that what was begun has to end when the host stops."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def settings_bot(settings: Settings) -> HostedBot | None:
    """The bot that the settings alone describe, ``None`` while its number or a token is missing."""
    number = settings.text("whatsapp.phone_number_id")
    token, verify = settings.secret("whatsapp.access_token"), settings.secret("whatsapp.verify_token")
    if not number or token is None or verify is None:
        return None
    bot_id = settings.text("bot.id") or derived_id(number)
    return HostedBot(
        id=bot_id,
        origin="settings",
        name=settings.text("bot.name") or "WhatsApp bot",
        active=True,
        phone_number_id=number,
        access_token=token,
        verify_token=verify,
        app_secret=settings.secret("whatsapp.app_secret"),
        system_prompt=system_prompt(settings),
        welcome_message=settings.text("bot.welcome_message"),
        fallback_message=settings.text("bot.fallback_message"),
        timeout_ms=settings.get("bot.timeout_ms"),
        max_messages=settings.get("bot.conversation_max_messages"),
        ttl_hours=settings.get("bot.conversation_ttl_hours"),
        document={"platform": "whatsapp", "platform_config": {"phone_number_id": number}},
    )


def system_prompt(settings: Settings) -> str:
    """The prompt itself, or what its file holds; ``ConfigError`` where the file cannot be read."""
    name = settings.text("bot.system_prompt_file")
    if settings.text("bot.system_prompt") or not name:
        return settings.text("bot.system_prompt")
    try:
        return (settings.folder / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"bot.system_prompt_file: {name} cannot be read: {error}.") from None


def database_path(settings: Settings) -> Path:
    """Where the store's file is; ``ConfigError`` for a kind of database that this version has not."""
    given = settings.text("serve.database")
    if not given:
        return settings.folder / ".aerobot" / "aerobot.db"
    if given.startswith("sqlite:///"):
        given = given.removeprefix("sqlite:///")
    elif "://" in given:
        raise ConfigError(
            f"serve.database: this version keeps its store in SQLite, not in {given.partition(':')[0]}.",
            "Give a path or sqlite:///path.",
        )
    return (settings.folder / Path(given).expanduser()).absolute()


@dataclass(slots=True)
class Counts:
    """How much a host did, for its last line."""

    received: int = 0
    answered: int = 0
    failed: int = 0

    def take(self, event: events.Event) -> None:
        """Count an event."""
        if isinstance(event, events.MessageReceived):
            self.received += 1
            self.failed += 0
        elif isinstance(event, events.TurnEnded) and event.state == "failed":
            self.failed += 1
        elif isinstance(event, events.PartSettled):
            self.answered += event.state in ("sent", "captured")
            self.failed += event.state in ("failed", "not_sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a start of the host decides beside the settings. ``free_ports`` takes others where its own are taken."""

    engine: str
    tunnel: bool = False
    free_ports: bool = False
    sandbox: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Host:
    """Listeners, worker and store of one process. ``emit`` is told of everything that happens."""

    def __init__(self, settings: Settings, options: Options, emit: Callable[[events.Event], None]) -> None:
        self.settings = settings
        self.options = options
        self.counts = Counts()
        self._tell = emit
        self._runners: list[web.AppRunner] = []
        self._followers: list[Callable[[events.Event], None]] = []
        self._record: Path | None = None
        self._tunnel: Tunnel | None = None
        self._working: asyncio.Task[None] | None = None
        self._started = False
        self.public_url: str | None = settings.text("serve.public_url").rstrip("/") or None
        self.local_url = self.private_url = ""

    def emit(self, event: events.Event) -> None:
        """Pass an event on: to the counts, to whoever follows, to the terminal."""
        self.counts.take(event)
        for follower in self._followers:
            follower(event)
        self._tell(event)

    @property
    def origin(self) -> str:
        """The address under which Meta reaches the public listener, or the local one."""
        return self.public_url or self.local_url

    async def start(self) -> events.Ready:
        """Start everything in order; on failure what was started is stopped again and the error raised."""
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> events.Ready:
        from aerobot.host.paths import path_of
        from aerobot.sender import Sender
        from aerobot.store.sqlite import SqliteStore

        settings = self.settings
        bot = settings_bot(settings)
        self._check_exposure(bot)
        self.engine: Engine = choose(self.options.engine, folder=Path.cwd(), reload=settings.get("engine.reload"))
        if hasattr(self.engine, "on_reload"):
            self.engine.on_reload = self._reloaded
        await self.engine.start()
        self.store = SqliteStore(database_path(settings))
        await self.store.open()
        if bot is not None and bot.id != derived_id(bot.phone_number_id):
            await self.store.adopt(derived_id(bot.phone_number_id), bot.id)
        self.roster = Roster(self.store, bot)
        await self.roster.load()
        self.sender = Sender(
            graph_url=settings.text("whatsapp.graph_url"), version=settings.text("whatsapp.graph_version")
        )
        await self.sender.start()
        self._make_worker()
        await self._listen()
        await self._report_backlog()
        self._working = asyncio.create_task(self.worker.run())
        self._leave_record()
        if self.options.tunnel:
            await self._open_tunnel(bot)
        self.public.ready = self._started = True
        bots = tuple(b.id for b in self.roster.all())
        return events.Ready(
            at=self.store.now(),
            engine=self.engine.name,
            profile=settings.profile,
            webhook_url=self.origin + (path_of(bots[0]) if bots else ""),
            public_url=self.public_url,
            private_url=self.private_url,
            bots=bots,
            number=bot.phone_number_id if bot else None,
        )

    def _check_exposure(self, bot: HostedBot | None) -> None:
        exposed = self.options.tunnel or self.public_url or self.settings.text("serve.host") not in LOOPBACK
        if exposed and bot is not None and bot.app_secret is None and not self.settings.get("serve.allow_unsigned"):
            raise ConfigError(
                "Without whatsapp.app_secret anybody who finds the address could pose as Meta.",
                "Set it (Meta > App settings > Basic), or accept the risk with --allow-unsigned.",
            )
        if self.options.tunnel and bot is None:
            raise ConfigError(
                "A tunnel needs a number to be proven with: whatsapp.phone_number_id, access_token and verify_token.",
                "aerobot init asks for them.",
            )
        if self.public_url and not may_carry_secrets(self.public_url):
            raise ConfigError(
                f"serve.public_url is {self.public_url}: Meta calls https alone.", "Give an https address."
            )
        private = self.settings.text("serve.private_host")
        open_wide = self.settings.secret("serve.private_token") and self.settings.get("serve.allowed_hosts")
        if private not in LOOPBACK and not open_wide:
            raise ConfigError(
                f"serve.private_host is {private}: beyond loopback it also needs serve.private_token and "
                "serve.allowed_hosts.",
                "Set all three, or leave it at 127.0.0.1.",
            )

    def _make_worker(self) -> None:
        from aerobot.worker import Dice, Worker

        self.worker = Worker(
            store=self.store,
            roster=self.roster,
            sender=self.sender,
            engine=self.engine,
            emit=self.emit,
            owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            dice=Dice(random=random.random, new_id=lambda: f"aerobot.{uuid.uuid4().hex}"),
            join=self.settings.get("serve.debounce_ms") > 0,
        )

    async def _listen(self) -> None:
        from aerobot.host.bots_api import BotsApi
        from aerobot.host.control import PrivateListener
        from aerobot.host.webhook import Exposure, PublicListener

        settings = self.settings
        exposed = bool(self.options.tunnel or self.public_url or settings.text("serve.host") not in LOOPBACK)
        self.public = PublicListener(
            store=self.store,
            roster=self.roster,
            emit=self.emit,
            wake=self.worker.wake,
            exposure=Exposure(exposed=exposed, allow_unsigned=settings.get("serve.allow_unsigned")),
            debounce_ms=settings.get("serve.debounce_ms"),
        )
        self.token = settings.secret("serve.private_token") or Secret(secrets.token_urlsafe(24))
        api = BotsApi(
            store=self.store, roster=self.roster, origin=lambda: self.origin, emit=self.emit, wake=self.worker.wake
        )
        private = PrivateListener(
            store=self.store,
            roster=self.roster,
            api=api,
            token=self.token,
            allowed_hosts=settings.get("serve.allowed_hosts"),
            doing=self.engine.doing,
            emulated=self.sender.to_emulator,
            about=self._about,
        )
        self._followers.append(private.told)
        self.local_url = await self._open(self.public.app(), "serve.host", "serve.port")
        self.private_url = await self._open(private.app(), "serve.private_host", "serve.private_port")

    async def _open(self, app: "web.Application", host_key: str, port_key: str) -> str:
        from aiohttp import web

        host, port = self.settings.text(host_key), self.settings.get(port_key)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=1.0, auto_decompress=False, logger=_silent()
        )
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if not (self.options.free_ports and error.errno == errno.EADDRINUSE):
                raise _not_listening(error, host, port, port_key) from None
            await web.TCPSite(runner, host, 0).start()
        address = runner.addresses[0]
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"http://{'127.0.0.1' if shown == '0.0.0.0' else shown}:{address[1]}"

    async def _report_backlog(self) -> None:
        messages, parts = await self.store.backlog()
        if messages or parts:
            detail = f"{messages} unanswered messages and {parts} unsent parts of the last run are taken up"
            self.emit(events.Notice(at=self.store.now(), level="ok", topic="resumed", detail=detail))

    async def _open_tunnel(self, bot: HostedBot | None) -> None:
        from aerobot.host.paths import path_of
        from aerobot.tunnel import open_tunnel, prove

        assert bot is not None and bot.verify_token is not None
        self._tunnel = await open_tunnel(
            port=int(self.local_url.rpartition(":")[2]),
            host=self.settings.text("serve.host"),
            authtoken=self.settings.secret("tunnel.authtoken"),
            domain=self.settings.text("tunnel.domain") or None,
            report=lambda text: self.emit(
                events.Notice(at=self.store.now(), level="note", topic="tunnel", detail=text)
            ),
        )
        self.public_url = self._tunnel.url.rstrip("/")
        await prove(self.public_url, path_of(bot.id), bot.verify_token)
        detail = f"{self.public_url} (ngrok), challenge answered through it"
        self.emit(events.Notice(at=self.store.now(), level="ok", topic="tunnel", detail=detail))
        self._leave_record()

    def _reloaded(self, error: str | None) -> None:
        self.emit(events.EngineReloaded(at=self.store.now(), name=self.engine.name, error=error))

    def _about(self) -> dict[str, Any]:
        return {
            "engine": self.engine.name,
            "webhook_origin": self.origin,
            "public_url": self.public_url,
            "bots": [bot.id for bot in self.roster.all()],
            "received": self.counts.received,
            "answered": self.counts.answered,
            "failed": self.counts.failed,
        }

    def _leave_record(self) -> None:
        config = self.settings.path
        self._record = record.write(
            state_folder(self.options.environ) / "hosts",
            record.HostRecord(
                pid=os.getpid(),
                private_url=self.private_url,
                private_token=self.token,
                public_url=self.public_url,
                local_url=self.local_url,
                config=str(config) if config else None,
                profile=self.settings.profile,
                phone_number_ids=tuple(bot.phone_number_id for bot in self.roster.all()),
                engine=self.engine.name,
                database=str(self.store.path),
                started_at=self.store.now(),
                sandbox_secret=self.settings.secret("whatsapp.app_secret") if self.options.sandbox else None,
            ),
        )

    async def stop(self, grace: float = GRACE) -> None:
        """Stop accepting, let what was begun end within ``grace`` seconds, close the tunnel, let go of everything; tells the counts."""
        if self._record is not None:
            self._record.unlink(missing_ok=True)
        if self._tunnel is not None:
            await self._tunnel.close()
        for runner in self._runners[:1]:
            await runner.cleanup()
        if self._working is not None:
            await self.worker.stop(grace)
            await asyncio.gather(self._working, return_exceptions=True)
        for runner in self._runners[1:]:
            await runner.cleanup()
        for name in ("engine", "sender", "store"):
            part = getattr(self, name, None)
            if part is not None:
                await part.close()
        self._end()

    def abandon(self) -> None:
        """Leave at once, with nothing of ours left running: for a second signal."""
        if self._record is not None:
            self._record.unlink(missing_ok=True)
        if self._tunnel is not None:
            self._tunnel.kill()

    def _end(self) -> None:
        if self._started:
            self._started = False
            counts = self.counts
            self.emit(
                events.Stopped(
                    at=self.store.now(), received=counts.received, answered=counts.answered, failed=counts.failed
                )
            )


def _silent() -> logging.Logger:
    """aiohttp's own words about broken requests go nowhere: what an operator should know is an event."""
    logger = logging.getLogger("aerobot.http")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def _not_listening(error: OSError, host: str, port: int, key: str) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        flag = "--" + key.partition(".")[2].replace("_", "-")
        return ConfigError(
            f"Port {port} on {host} is in use.",
            f"Stop what uses it (another aerobot serve?), or take a free one: {flag} 0",
        )
    return ConfigError(f"{host}:{port} cannot be listened on: {error.strerror or error}.", f"Look at {key}.")


# -- the sandbox --------------------------------------------------------------------------------------------------


class Sandbox:
    """A host and an emulated Meta that know each other, on this machine alone."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        emit: Callable[[events.Event], None],
        *,
        folder: Path,
        temporary: bool = False,
    ) -> None:
        self._settings = settings
        self._options = options
        self._emit = emit
        self._folder = folder
        self._temporary = temporary
        self.emulator: Emulator | None = None
        self.host: Host | None = None

    async def start(self) -> events.Ready:
        """Start the emulator, then the host with its credentials, then point the one at the other."""
        from dataclasses import replace

        from aerobot.emulator.server import Emulator

        self.emulator = emulator = Emulator(
            seed=self._settings.get("emulator.seed"), name=self._settings.text("bot.name") or "Aerobot"
        )
        try:
            await emulator.start("127.0.0.1", self._settings.get("emulator.port"))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _not_listening(error, "127.0.0.1", self._settings.get("emulator.port"), "emulator.port") from None
            await emulator.start("127.0.0.1", 0)
        self.host = Host(_emulated(self._settings, emulator, self._folder), self._options, self._emit)
        try:
            ready = await self.host.start()
            await emulator.connect(ready.webhook_url)
        except BaseException:
            await self.stop()
            raise
        return replace(ready, page_url=emulator.page_url, graph_url=emulator.graph_url)

    async def stop(self, grace: float = GRACE) -> None:
        """Stop both, the host first, so that its last answers still arrive."""
        if self.host is not None:
            await self.host.stop(grace)
        if self.emulator is not None:
            await self.emulator.stop()

    def abandon(self) -> None:
        """Leave at once; the temporary store goes too."""
        if self.host is not None:
            self.host.abandon()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)


def _emulated(settings: Settings, emulator: "Emulator", folder: Path) -> Settings:
    """The settings with the emulator's credentials in the place of real ones, and a store of its own."""
    from dataclasses import replace

    from aerobot.config import Value

    found = emulator.credentials
    values = {
        "whatsapp.phone_number_id": found.phone_number_id,
        "whatsapp.access_token": Secret(found.access_token),
        "whatsapp.verify_token": Secret(found.verify_token),
        "whatsapp.app_secret": Secret(found.app_secret),
        "whatsapp.business_account_id": found.business_account_id,
        "whatsapp.app_id": found.app_id,
        "whatsapp.graph_url": emulator.graph_url,
        "serve.public_url": None,
        "serve.host": "127.0.0.1",
        "serve.private_host": "127.0.0.1",
        "serve.database": str(folder / "aerobot.db"),
        "bot.id": None,
    }
    layer = {key: Value(value=value, source="sandbox") for key, value in values.items()}
    return replace(settings, values={**settings.values, **layer})


def leaves_loopback(settings: Settings) -> bool:
    """Whether replies go to the real WhatsApp."""
    return not is_loopback(settings.text("whatsapp.graph_url"))
