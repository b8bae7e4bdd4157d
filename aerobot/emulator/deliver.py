"""Delivers webhooks as Meta does: to the callback in force, signed, one lane per user, repeated until 200."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

import aiohttp

from aerobot.emulator.journal import Journal
from aerobot.emulator.webhooks import sign, wire

DELAYS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds before the second attempt, the third …; the last one goes on for a week."""
WEEK: Final = 7 * 86400.0
PATIENCE: Final = aiohttp.ClientTimeout(total=10)
"""Meta documents no time-out; its median wants to be below 250 ms."""
KEPT: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One webhook request: when (ms since 1970), what, and how it was answered (``status`` 0: it was not)."""

    at: int
    wamid: str
    what: str
    attempt: int
    status: int
    milliseconds: float
    error: str
    body: bytes

    def document(self) -> dict[str, object]:
        """Without the body, for a person."""
        found = {"wamid": self.wamid, "what": self.what, "attempt": self.attempt, "status": self.status}
        return {**found, "milliseconds": self.milliseconds, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One body on its way; ``done`` is called once it was answered 200."""

    lane: str
    wamid: str
    what: str
    body: bytes
    done: Callable[[], None]


class Delivery:
    """The queue of webhooks: first attempts keep their order within a lane, repeats run beside them.

    ``target`` is the callback in force (empty: none yet, so webhooks wait), asked before each attempt;
    ``obstacle`` is why Meta would not send at all (empty: it would), asked when something happens.
    """

    def __init__(
        self,
        *,
        secret: str,
        journal: Journal,
        now: Callable[[], float],
        target: Callable[[], str],
        obstacle: Callable[[], str],
    ) -> None:
        self._secret = secret
        self._target = target
        self._obstacle = obstacle
        self._journal = journal
        self._now = now
        self._connected = asyncio.Event()
        self._lanes: dict[str, deque[Parcel]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.attempts: deque[Attempt] = deque(maxlen=KEPT)

    def start(self, session: aiohttp.ClientSession) -> None:
        """Use this client."""
        self._session = session

    def moved(self) -> None:
        """The callback in force may be another one now: what has waited for one goes there."""
        if self._target():
            self._connected.set()
        else:
            self._connected.clear()

    def post(
        self, document: object, *, lane: str, wamid: str, what: str, done: Callable[[], None] = lambda: None
    ) -> None:
        """Queue one webhook body, unless it is never sent; ``what`` says in a word what it is about."""
        if why := self._obstacle():
            self._journal.add("webhook", wamid=wamid, what=what, attempt=0, status=0, error=f"not sent: {why}")
            return
        parcel = Parcel(lane=lane, wamid=wamid, what=what, body=wire(document), done=done)
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append(parcel)
            return
        self._lanes[lane] = deque([parcel])
        self._spawn(self._work(lane))

    async def stop(self) -> None:
        """Drop what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: str) -> None:
        waiting = self._lanes[lane]
        if not self._target():
            self._journal.add("webhook", wamid=waiting[0].wamid, attempt=0, status=0, error="not connected")
        while waiting:
            await self._connected.wait()
            parcel = waiting[0]
            if not await self._attempt(parcel, 1):
                self._spawn(self._repeat(parcel))
            waiting.popleft()
        del self._lanes[lane]

    async def _repeat(self, parcel: Parcel) -> None:
        began = self._now()
        attempt = 1
        while self._now() - began < WEEK:
            await asyncio.sleep(DELAYS[min(attempt, len(DELAYS)) - 1])
            await self._connected.wait()
            attempt += 1
            if await self._attempt(parcel, attempt):
                return

    async def _attempt(self, parcel: Parcel, attempt: int) -> bool:
        began = time.perf_counter()
        at = int(self._now() * 1000)
        status, error = await self._send(parcel.body)
        took = round((time.perf_counter() - began) * 1000, 1)
        made = Attempt(
            at=at,
            wamid=parcel.wamid,
            what=parcel.what,
            attempt=attempt,
            status=status,
            milliseconds=took,
            error=error,
            body=parcel.body,
        )
        self.attempts.append(made)
        self._journal.add("webhook", **made.document())
        if status == 200:
            parcel.done()
        return status == 200

    async def _send(self, body: bytes) -> tuple[int, str]:
        assert self._session is not None
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(body, self._secret),
            "User-Agent": "facebookexternalua",
            "Accept": "*/*",
        }
        try:
            async with self._session.post(
                self._target(), data=body, headers=headers, allow_redirects=False, timeout=PATIENCE
            ) as response:
                await response.content.read(65_536)
                return response.status, "" if response.status == 200 else f"answered {response.status}"
        except TimeoutError:
            return 0, f"no answer within {PATIENCE.total:.0f} s"
        except aiohttp.ClientError as error:
            return 0, str(error) or type(error).__name__
