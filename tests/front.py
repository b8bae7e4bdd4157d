"""The public listener alone, as a host opens it: a real port, a real SQLite file, no worker behind it."""

import asyncio
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp

from aerobot import events
from aerobot.config import load
from aerobot.emulator import webhooks
from aerobot.host.gate import Limits
from aerobot.host.paths import path_of
from aerobot.host.reader import Reader
from aerobot.host.webhook import Exposure, PublicListener
from aerobot.runtime.listening import listen
from aerobot.runtime.values import limits
from aerobot.secret import Secret
from aerobot.store.base import HostedBot
from aerobot.store.roster import Roster
from aerobot.store.sqlite import SqliteStore

BOT, NUMBER, SECRET = "bt_acme", "106540352242922", "0123456789abcdef0123456789abcdef"
LINE = webhooks.Line(business_account_id="102290129340398", phone_number_id=NUMBER, display_phone_number="15550783881")


def default_limits(folder: Path) -> Limits:
    """The limits of settings that nobody changed."""
    return limits(load(environ={}, cwd=folder, credentials=False), lambda *_: None)


class Front:
    """A public listener over a store in ``folder``; ``changes`` are limits other than the defaults."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.store = SqliteStore(folder / "front.db")
        self.seen: list[events.Event] = []
        self._limits = replace(default_limits(folder), **changes)

    async def __aenter__(self) -> Self:
        bot = HostedBot(
            id=BOT, origin="settings", name="Acme", active=True, phone_number_id=NUMBER, verify_token=Secret("verify"),
            app_secret=Secret(SECRET),
        )  # fmt: skip
        await self.store.open()
        roster = Roster(self.store, bot)
        await roster.load()
        self.reader = Reader(store=self.store, emit=self._emit, wake=lambda: None)
        self._reading = asyncio.create_task(self.reader.run())
        self.public = PublicListener(
            store=self.store,
            roster=roster,
            emit=self._emit,
            reader=self.reader,
            exposure=Exposure(exposed=False, allow_unsigned=False),
            limits=self._limits,
        )
        self._listener = await listen(
            self.public.answer, "127.0.0.1", 0, key="serve.port", free=False, gate=self.public.gate
        )
        self.port = int(self._listener.url.rpartition(":")[2])
        self.path = path_of(BOT)
        self.url = self._listener.url + self.path
        self.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50), auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self._listener.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self.store.close()

    def _emit(self, event: events.Event) -> None:
        """Keep what was told; of a customer's text only its beginning, for the drills deliver a lot of it."""
        self.seen.append(replace(event, text=event.text[:200]) if isinstance(event, events.MessageReceived) else event)

    async def post(self, body: bytes, **headers: str) -> int:
        """Deliver signed bytes, wait until they are read, and return the status."""
        signed = {"X-Hub-Signature-256": webhooks.sign(body, SECRET), "Content-Type": "application/json", **headers}
        async with self.client.post(self.url, data=io.BytesIO(body), headers=signed) as answer:
            await answer.read()
            assert answer.status != 200 or await self.reader.drain(30)
            return answer.status

    def head(self, size: int, **headers: str) -> bytes:
        """The first bytes of a delivery over a socket of one's own."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: x", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {size}", "", ""]).encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of one's own."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    def told(self, kind: type[events.Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.seen if isinstance(event, kind)]

    async def stored(self) -> dict[str, list[tuple[str, str, str]]]:
        """Every message by its id, as often as it is there: text, state, and the phone of its conversation."""
        query = (
            "SELECT m.wamid, m.text, m.state, c.phone FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        )
        assert await self.reader.drain(30)
        found: dict[str, list[tuple[str, str, str]]] = {}
        for wamid, *row in await self.store._threads.read(lambda db: db.execute(query).fetchall()):
            found.setdefault(wamid, []).append((row[0], row[1], row[2]))
        return found


def hello(id_: str, text: str = "Hi", phone: str = "31612345678", name: str = "Ana") -> bytes:
    """A message as Meta delivers it."""
    ana = webhooks.Sender(phone=phone, name=name)
    said = webhooks.message("text", ana, id=id_, timestamp=int(time.time()), text=text)
    return webhooks.wire(webhooks.inbound(LINE, ana, said))


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other side closes, however it does."""
    content = b""
    try:
        while found := await reader.read(65536):
            content += found
    except ConnectionError:
        pass
    return content
