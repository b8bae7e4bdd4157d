"""Everything that happens in the emulated world, numbered, so that a reader who was away misses nothing."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

KEPT = 20_000
"""Events kept in memory. A reader who is further behind is told so with ``{"event": "gap"}``."""

Happening = Mapping[str, object]


class Journal:
    """Append-only, bounded. An event is a plain dict with ``seq`` (from 1) and ``at`` (ms since 1970)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: deque[Happening] = deque(maxlen=KEPT)
        self._seq = 0
        self._closed = False
        self._waiting: set[asyncio.Event] = set()

    @property
    def seq(self) -> int:
        """The number of the latest event, 0 before the first."""
        return self._seq

    def add(self, event: str, **fields: object) -> None:
        """Record one event and wake every reader."""
        self._seq += 1
        at = int(self._now() * 1000)
        self._kept.append({"seq": self._seq, "at": at, "event": event, **fields})
        self._wake()

    def close(self) -> None:
        """End every reader after what is already recorded."""
        self._closed = True
        self._wake()

    def follow(self, since: int | None = None) -> "Reader":
        """What comes after event number ``since`` (default: from now on); it has begun when this returns."""
        return Reader(self, self._seq if since is None else since)

    def after(self, seq: int) -> list[Happening]:
        """The kept events with a greater number."""
        missing = min(self._seq - seq, len(self._kept))
        return [self._kept[place] for place in range(-missing, 0)] if missing > 0 else []

    def _wake(self) -> None:
        for waiting in self._waiting:
            waiting.set()

    async def changed(self, seq: int) -> bool:
        """Wait until there is more than event number ``seq``; false once the journal is closed."""
        if self._seq > seq or self._closed:
            return self._seq > seq
        bell = asyncio.Event()
        self._waiting.add(bell)
        try:
            await bell.wait()
        finally:
            self._waiting.discard(bell)
        return self._seq > seq


class Reader(AsyncIterator[Happening]):
    """One reader's place in a journal; an async iterator that ends when the journal is closed."""

    def __init__(self, journal: Journal, since: int) -> None:
        self._journal = journal
        self._seq = min(since, journal.seq)
        self._ready: deque[Happening] = deque()

    async def __anext__(self) -> Happening:
        if not self._ready and not await self._fill():
            raise StopAsyncIteration
        return self._ready.popleft()

    async def _fill(self) -> bool:
        if not await self._journal.changed(self._seq):
            return False
        found = self._journal.after(self._seq)
        first = found[0]["seq"]
        if first != self._seq + 1:
            self._ready.append({"event": "gap", "seq": self._seq})
        self._ready.extend(found)
        self._seq = self._journal.seq
        return True
