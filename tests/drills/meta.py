"""Meta's side of a drill: people write, each body is signed and delivered until it is answered 200, all is logged."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import aiohttp

from aerobot.emulator import webhooks
from tests.drills.graph import Call
from tests.front import LINE, SECRET

AGAIN = 0.2
"""Seconds between two attempts; Meta's own are longer, a drill's are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message of a person. Its text is unique in a drill, so that answers can be told apart."""

    phone: str
    text: str

    @property
    def update(self) -> tuple[webhooks.Line, webhooks.Sender, bool, webhooks.Json]:
        """As ``webhooks.gathered`` takes it."""
        sender = webhooks.Sender(phone=self.phone, name="Drill")
        content = webhooks.message("text", sender, id=f"wamid.{self.text}", timestamp=int(time.time()), text=self.text)
        return LINE, sender, True, content


def phone(number: int) -> str:
    """The number of a person."""
    return f"31600{number:06}"


class Meta:
    """Delivers to ``url``. ``acked``: when (monotonic) each text was answered 200; ``due``: when it was to be sent."""

    def __init__(self, url: str, *, secret: Callable[[], str] = lambda: SECRET, limit: int = 200) -> None:
        self.url = url
        self._secret = secret
        self._limit = limit
        self.due: dict[str, float] = {}
        self.acked: dict[str, float] = {}
        self.statuses: list[int] = []
        self.slow: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._limit)
        self._client = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    # -- one attempt, and until it is taken ---------------------------------------------------------------------

    async def post(self, body: bytes) -> int:
        """One attempt; its status, 0 where there was none. How long it took goes to ``slow`` (seconds)."""
        began = time.monotonic()
        headers = {"X-Hub-Signature-256": webhooks.sign(body, self._secret())}
        status = 0
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._client.post(self.url, data=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
        self.statuses.append(status)
        self.slow.append(time.monotonic() - began)
        return status

    async def deliver(self, said: Sequence[Said]) -> int:
        """One attempt with these messages in one body; what was acknowledged is logged."""
        now = time.monotonic()
        for one in said:
            self.due.setdefault(one.text, now)
        status = await self.post(webhooks.wire(webhooks.gathered([one.update for one in said])))
        if status == 200:
            now = time.monotonic()
            for one in said:
                self.acked.setdefault(one.text, now)
        return status

    async def insist(self, said: Sequence[Said]) -> None:
        """Until it is answered 200."""
        while await self.deliver(said) != 200:
            await asyncio.sleep(AGAIN)

    def begin(self, said: Sequence[Said]) -> None:
        """Insist in the background."""
        self._spawn(self.insist(said))

    async def offer(self, messages: Iterable[Said], rate: float) -> None:
        """Open-loop: one body after the other at this rate, however slowly they are taken."""
        began = time.monotonic()
        for count, one in enumerate(messages):
            self.due[one.text] = at = began + count / rate
            await asyncio.sleep(at - time.monotonic())
            self.begin([one])

    async def settled(self) -> None:
        """Wait until all that was begun is taken."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    # -- statuses -----------------------------------------------------------------------------------------------

    def tell_sent(self, call: Call) -> None:
        """Tell the host that a message of its own was sent, until it takes it."""
        user = webhooks.Sender(phone=call.to)
        status = webhooks.status(
            call.wamid, "sent", recipient=user, timestamp=int(time.time()), callback_data=call.part
        )
        self._spawn(self._told(webhooks.wire(webhooks.receipt(LINE, user, status))))

    async def _told(self, body: bytes) -> None:
        while await self.post(body) != 200:
            await asyncio.sleep(AGAIN)

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def until(holds: Callable[[], bool], timeout: float, *, every: float = 0.1) -> bool:
    """Wait until something holds, looking at it in a thread; whether it came to hold in time."""
    end = time.monotonic() + timeout
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(every)
    return True
