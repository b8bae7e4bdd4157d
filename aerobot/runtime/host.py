"""Listeners, worker and store of one process: started in order, stopped in the reverse."""

import asyncio
import os
import random
import secrets
import socket
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerobot import events
from aerobot.config import Settings, state_folder
from aerobot.engine import Engine, choose
from aerobot.host import record
from aerobot.host.paths import path_of
from aerobot.runtime.listening import Answer, Listener, listen
from aerobot.runtime.meta import MetaSide
from aerobot.runtime.retention import keep_short
from aerobot.runtime.values import LOOPBACK, Counts, Options, check_exposure, database_path, limits, settings_bot
from aerobot.secret import Secret
from aerobot.store.base import HostedBot
from aerobot.store.roster import Roster, derived_id

if TYPE_CHECKING:
    from aiohttp import web

    from aerobot.host.gate import Gate
    from aerobot.registration.registrar import Registration
    from aerobot.tunnel import Watch

GRACE = 8.0
"""Seconds that what was begun has to end when the host stops."""
READ_GRACE = 1.0
"""Seconds to read what was acknowledged; the rest is read by the next start."""


class Host:
    """Listeners, worker and store of one process. ``emit`` is told of everything that happens."""

    def __init__(self, settings: Settings, options: Options, emit: Callable[[events.Event], None]) -> None:
        self.settings = settings
        self.options = options
        self.counts = Counts()
        self._tell = emit
        self._listeners: list[Listener] = []
        self._followers: list[Callable[[events.Event], None]] = []
        self._record: Path | None = None
        self._watch: Watch | None = None
        self._meta = MetaSide(settings, options, lambda level, words: self._notice(level, "Meta", words))
        self._working: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
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
        from aerobot.sender import Sender
        from aerobot.store.sqlite import SqliteStore
        from aerobot.store.sqlite_queue import queued

        settings = self.settings
        bot = settings_bot(settings)
        check_exposure(settings, self.options, bot)
        self.engine: Engine = self.options.made or choose(
            self.options.engine, folder=Path.cwd(), reload=settings.get("engine.reload")
        )
        if hasattr(self.engine, "on_reload"):
            self.engine.on_reload = self._reloaded
        if hasattr(self.engine, "on_blocked"):
            self.engine.on_blocked = self._blocked
        await self.engine.start()
        self.store = SqliteStore(database_path(settings))
        async with queued(self.store.path):
            await self.store.open()
        if bot is not None and bot.id != derived_id(bot.phone_number_id):
            await self.store.adopt(derived_id(bot.phone_number_id), bot.id)
        self.roster = Roster(self.store, bot)
        await self.roster.load()
        self.sender = Sender(
            graph_url=settings.text("whatsapp.graph_url"),
            version=settings.text("whatsapp.graph_version"),
            tell=lambda words: self._notice("warning", "token", words),
        )
        await self.sender.start()
        self._make_worker()
        self._make_reader()
        await self._listen()
        if self.options.worker:
            await self._report_backlog()
            self._working = asyncio.create_task(self.worker.run())
        else:
            self._notice("warning", "worker", "--no-worker: messages are kept, and answered by a start without it")
        self._sweeping = asyncio.create_task(
            keep_short(
                self.store.upkeep,
                days=settings.get("serve.retention_days"),
                now=self.store.now,
                emit=self.emit,
                sleep=asyncio.sleep,
            )
        )
        self._leave_record()
        if self.options.tunnel:
            await self._open_tunnel(bot)
        await self._meta.register(bot, self.origin, proven=self._watch is not None)
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
            graph_url=settings.text("whatsapp.graph_url"),
        )

    def _make_worker(self) -> None:
        from aerobot.speaker import Dice
        from aerobot.worker import Worker

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

    def _make_reader(self) -> None:
        from aerobot.host.reader import Reader

        self.reader = Reader(
            store=self.store,
            emit=self.emit,
            wake=self.worker.wake,
            debounce_ms=self.settings.get("serve.debounce_ms"),
        )
        self._reading = asyncio.create_task(self.reader.run())

    async def _listen(self) -> None:
        from aerobot.host.bots_api import BotsApi
        from aerobot.host.control import PrivateListener
        from aerobot.host.upkeep_api import UpkeepApi
        from aerobot.host.webhook import Exposure, PublicListener

        settings = self.settings
        exposed = bool(self.options.tunnel or self.public_url or settings.text("serve.host") not in LOOPBACK)
        self.public = PublicListener(
            store=self.store,
            roster=self.roster,
            emit=self.emit,
            reader=self.reader,
            exposure=Exposure(exposed=exposed, allow_unsigned=settings.get("serve.allow_unsigned")),
            limits=limits(settings, self._notice),
        )
        self.token = settings.secret("serve.private_token") or Secret(secrets.token_urlsafe(24))
        api = BotsApi(
            store=self.store, roster=self.roster, origin=lambda: self.origin, emit=self.emit, wake=self.worker.wake
        )
        private = PrivateListener(
            store=self.store,
            roster=self.roster,
            api=api,
            upkeep=UpkeepApi(
                self.store.upkeep,
                now=self.store.now,
                read_up=self.reader.drain,
                wake=self.worker.wake,
            ),
            token=self.token,
            allowed_hosts=settings.get("serve.allowed_hosts"),
            doing=self.engine.doing,
            about=self._about,
            tell=lambda words: self._notice("warning", "private", words),
        )
        self._followers.append(private.told)
        self.local_url = await self._open(self.public.answer, "serve.host", "serve.port", self.public.gate)
        self.private_url = await self._open(private.app(), "serve.private_host", "serve.private_port", private.gate)

    async def _open(
        self, app: "web.Application | Answer", host_key: str, port_key: str, gate: "Gate"
    ) -> str:
        host, port = self.settings.text(host_key), self.settings.get(port_key)
        listener = await listen(app, host, port, key=port_key, free=self.options.free_ports, gate=gate)
        self._listeners.append(listener)
        return listener.url

    async def _report_backlog(self) -> None:
        messages, parts = await self.store.backlog()
        if messages or parts:
            detail = f"{messages} unanswered messages and {parts} unsent parts of the last run are taken up"
            self._notice("ok", "resumed", detail)
        failed = sum(times for _, times in await self.store.upkeep.causes())
        if failed:
            self._notice("warning", "failed", f"{failed} on the failed list of earlier runs: aerobot failed")

    async def _open_tunnel(self, bot: HostedBot | None) -> None:
        from aerobot.tunnel import Watch, open_tunnel

        assert bot is not None
        assert bot.verify_token is not None
        self._watch = Watch(
            open=partial(
                open_tunnel,
                port=int(self.local_url.rpartition(":")[2]),
                host=self.settings.text("serve.host"),
                authtoken=self.settings.secret("tunnel.authtoken"),
                domain=self.settings.text("tunnel.domain") or None,
            ),
            provider=self.settings.text("tunnel.provider"),
            path=path_of(bot.id),
            verify_token=bot.verify_token,
            changed=self._moved,
            report=lambda level, text: self._notice(level, "tunnel", text),
        )
        await self._watch.start()
        self.public_url = self._watch.url.rstrip("/")
        self._notice("ok", "tunnel", f"{self.public_url} ({self._watch.provider}), challenge answered through it")
        self._leave_record()

    async def _moved(self, url: str) -> None:
        """The tunnel came back under another address: whoever was told the old one is told the new one."""
        self.public_url = url.rstrip("/")
        self._leave_record()
        await self._meta.register_again(self.public_url)
        if self._meta.registration is None:
            self._notice("warning", "Meta", "still calls the old address: type the new one into the portal")

    @property
    def registration(self) -> "Registration | None":
        """What pointed Meta at this host, where something did."""
        return self._meta.registration

    def _notice(self, level: str, topic: str, detail: str) -> None:
        self.emit(events.Notice(at=self.store.now(), level=level, topic=topic, detail=detail))

    def _reloaded(self, error: str | None) -> None:
        self.emit(events.EngineReloaded(at=self.store.now(), name=self.engine.name, error=error))

    def _blocked(self, words: str) -> None:
        remedy = "make reply() sync, or use an async client"
        self._notice("warning", "bot", f"{words}: meanwhile nobody else is answered; {remedy}")

    def _about(self) -> dict[str, Any]:
        return {
            "engine": self.engine.name,
            "worker": self.options.worker,
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
                worker=self.options.worker,
            ),
        )

    async def stop(self, grace: float = GRACE) -> None:
        """Put the registration back, stop accepting, let go of everything; tells the counts.

        What was begun has ``grace`` seconds to end.
        """
        if self._record is not None:
            self._record.unlink(missing_ok=True)
        if self._watch is not None:
            self._watch.rest()
        await self._meta.put_back()
        if self._watch is not None:
            await self._watch.close()
        for listener in self._listeners[:1]:
            await listener.close()
        if self._reading is not None:
            await self.reader.drain(READ_GRACE)
        for beside in (self._reading, self._sweeping):
            if beside is not None:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
        if self._working is not None:
            await self.worker.stop(grace)
            await asyncio.gather(self._working, return_exceptions=True)
        for listener in self._listeners[1:]:
            await listener.close()
        for name in ("engine", "sender", "store"):
            part = getattr(self, name, None)
            if part is not None:
                await part.close()
        self._end()

    def abandon(self) -> None:
        """Leave at once, with nothing of ours left running: for a second signal.

        A registration stays, and so does its record: the next start puts it back.
        """
        if self._record is not None:
            self._record.unlink(missing_ok=True)
        if self._watch is not None:
            self._watch.kill()

    def _end(self) -> None:
        if self._started:
            self._started = False
            counts = self.counts
            self.emit(
                events.Stopped(
                    at=self.store.now(), received=counts.received, answered=counts.answered, failed=counts.failed
                )
            )
