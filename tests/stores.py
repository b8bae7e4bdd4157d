"""The backends of the store's contract suite, and short words for what Meta and a worker do to a store."""

import contextlib
import itertools
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aerobot.emulator import webhooks
from aerobot.errors import Fenced
from aerobot.store.base import Delivery, Outcome, Part, Plan, Settlement, Store, Verdict, Work
from aerobot.store.sqlite import SqliteStore
from aerobot.store.upkeep import FailedTurn
from aerobot.whatsapp import webhook

BOT, NUMBER = "bt_one", "106540352242922"
START = 1_763_900_000_000
LINE = webhooks.Line(business_account_id="102290129340398", phone_number_id=NUMBER, display_phone_number="15550783881")
ANA = webhooks.Sender(phone="31612345678", name="Ana")
BEN = webhooks.Sender(phone="31687654321", name="Ben")
ERROR = {"code": 131026, "title": "not on WhatsApp", "remedy": "ask"}


# -- backends ------------------------------------------------------------------------------------------------


class Sqlite:
    """What the suite has to know of this backend: how to open it, copy it as a crash leaves it, and break it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "aerobot.db"

    def store(self, clock: "Clock") -> SqliteStore:
        return SqliteStore(self.path, clock=clock)

    def after_a_crash(self, folder: Path) -> "Sqlite":
        """The files as they are on the disk at this moment, as a kill -9 would leave them."""
        for file in self.path.parent.iterdir():
            if file.name.startswith("aerobot.db") and not file.name.endswith((".lock", "-shm")):
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / file.name)
        return Sqlite(folder)

    @contextmanager
    def trouble(self, kind: str, store: Store) -> Iterator[None]:
        """While it lasts, nothing can be written."""
        assert isinstance(store, SqliteStore)
        db = store._threads._db
        assert db is not None
        if kind == "disk full":
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages}")
            yield
            db.execute("PRAGMA max_page_count = 1073741823")
        elif kind == "file too large":
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            size = self.path.with_name("aerobot.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        else:
            db.execute("PRAGMA query_only = ON")
            yield
            db.execute("PRAGMA query_only = OFF")

    def content(self) -> bytes:
        """All bytes that the files hold."""
        files = [f for f in self.path.parent.iterdir() if f.name.startswith("aerobot.db")]
        return b"".join(file.read_bytes() for file in files)

    def rows(self, table: str) -> int:
        """How many rows are committed."""
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return int(db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    @contextmanager
    def commits(self, store: Store) -> Iterator[Callable[[], int]]:
        """How many transactions were committed meanwhile."""
        assert isinstance(store, SqliteStore)
        db = store._threads._db
        assert db is not None
        seen: list[str] = []
        db.set_trace_callback(lambda statement: seen.append(statement) if statement == "COMMIT" else None)
        yield lambda: len(seen)
        db.set_trace_callback(None)


BACKENDS = {"sqlite": Sqlite}


# -- what a test needs around a store ------------------------------------------------------------------------


class Clock:
    """Milliseconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def forward(self, milliseconds: int) -> None:
        self.now += milliseconds


class Desk:
    """A store with short words for what Meta and a worker do to it."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._count = itertools.count(1)

    def message(self, text: str = "Hi", sender: webhooks.Sender = ANA, **more: Any) -> dict[str, Any]:
        given = {"kind": "text", "id": f"wamid.{next(self._count)}", "timestamp": self.clock.now // 1000, **more}
        return webhooks.message(given.pop("kind"), sender, text=text, **given)

    async def receive(self, document: object, **more: Any) -> tuple[Outcome, ...]:
        body = document if isinstance(document, bytes) else webhooks.wire(document)
        given = {"bot_id": BOT, "number": NUMBER, **more}
        reading = webhook.read(body, phone_number_id=given["number"])
        (outcomes,) = await self.store.record((Delivery(body=body, signed=True, updates=reading.updates, **given),))
        return outcomes

    async def hear(self, text: str = "Hi", sender: webhooks.Sender = ANA, **more: Any) -> Outcome:
        """One person says one thing."""
        about = {key: more.pop(key) for key in tuple(more) if key in Delivery.__dataclass_fields__}
        (outcome,) = await self.receive(webhooks.inbound(LINE, sender, self.message(text, sender, **more)), **about)
        return outcome

    async def status(self, wamid: str, status: str, *, code: int | None = None, **more: Any) -> Outcome:
        errors = [webhooks.failure(code, "no")] if code else None
        given = {"recipient": ANA, "timestamp": self.clock.now // 1000, "errors": errors, **more}
        (outcome,) = await self.receive(webhooks.receipt(LINE, ANA, webhooks.status(wamid, status, **given)))
        return outcome

    async def claim(self, owner: str = "one", limit: int = 100, *, join: bool = False) -> tuple[Work, ...]:
        return await self.store.claim(owner, limit, join=join)

    async def take(self, owner: str = "one", *, join: bool = False) -> Work:
        """The only work that is due."""
        (work,) = await self.claim(owner, join=join)
        return work

    async def plan(self, work: Work, *texts: str, outcome: str = "answered", **more: Any) -> tuple[Part, ...]:
        parts = tuple(
            Part(id=f"part.{next(self._count)}", position=n, kind="text", said=text, body={"type": "text"})
            for n, text in enumerate(texts)
        )
        await self.store.plan(work, Plan(parts=parts, outcome=outcome, **more))
        return parts

    async def settle(self, work: Work, part: Part | str, state: str = "sent", **more: Any) -> str:
        part_id = part if isinstance(part, str) else part.id
        wamid = more.pop("wamid", f"wamid.out.{part_id}" if state == "sent" else "")
        return await self.store.settle(work, Settlement(part_id=part_id, state=state, wamid=wamid, **more))

    async def answer(self, work: Work, *texts: str) -> tuple[Part, ...]:
        """A whole turn, spoken."""
        parts = await self.plan(work, *texts)
        for part, following in itertools.zip_longest(parts, parts[1:]):
            await self.settle(work, part, start=following.id if following else None, finish=following is None)
        return parts

    async def stuck(self, text: str = "Hi", sender: webhooks.Sender = ANA, **more: Any) -> tuple[Part, ...]:
        """A turn of three parts whose second one fails for good."""
        await self.hear(text, sender, **more)
        work = await self.take()
        parts = await self.plan(work, "arrives", "fails", "is never tried")
        await self.settle(work, parts[0], start=parts[1].id)
        await self.settle(work, parts[1], "failed", error=ERROR, finish=True)
        return parts

    async def failed(self, **more: Any) -> tuple[FailedTurn, ...]:
        """The failed list."""
        return await self.store.upkeep.failed(**{"cause": "", "ids": (), "limit": 100, **more})

    async def verdict(self, wamid: str, bot_id: str = BOT) -> Verdict:
        verdict = await self.store.verdict(bot_id, wamid)
        assert verdict is not None
        return verdict

    async def part(self, wamid: str, position: int = 0) -> Part:
        return (await self.verdict(wamid)).parts[position]


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(Fenced):
        yield


def texts(works: Sequence[Work]) -> list[str]:
    return [message.text for work in works for message in work.messages]
