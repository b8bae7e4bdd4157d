"""Delivers webhooks as Meta does: to the callback in force, signed, one lane per chat, repeated until 200.

What is asked for beside that (batches, copies, another order, delay, holding back) is in the settings.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import aiohttp

from aerobot.emulator.clock import Clock
from aerobot.emulator.deliveries import UNDONE, Attempt, Deliveries, Delivery, Update
from aerobot.emulator.journal import Journal
from aerobot.emulator.places import is_here, words
from aerobot.emulator.settings import Settings
from aerobot.emulator.webhooks import sign

WEEK: Final = 7 * 86400.0
"""Seconds after which Meta gives a webhook up."""
PATIENCE: Final = aiohttp.ClientTimeout(total=10)
"""Meta documents no time-out; its median wants to be below 250 ms."""
GATHERING: Final = 0.5
"""Seconds of the clock after which an unfinished batch goes out."""
ANSWER: Final = 4096
"""Bytes of an answer that are kept."""
OUTSIDE: Final = "not sent: it is not on this machine; --allow-external permits it"


class Courier:
    """The queue of webhooks: first attempts keep their order within a lane, repeats run beside them.

    ``target`` is the callback in force for a number (empty: none yet, so webhooks wait), asked before each
    attempt; ``obstacle`` is why Meta would not send at all (empty: it would), asked when something happens.
    ``arrived`` is told the wamids of inbound messages that were answered 200.
    """

    def __init__(
        self,
        *,
        secret: str,
        journal: Journal,
        clock: Clock,
        settings: Callable[[], Settings],
        target: Callable[[str], str],
        obstacle: Callable[[str], str],
        arrived: Callable[[Sequence[str]], None],
        allow_external: bool = False,
    ) -> None:
        self._secret = secret
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._target = target
        self._obstacle = obstacle
        self._arrived = arrived
        self._allow_external = allow_external
        self._gathered: list[Update] = []
        self._moved = asyncio.Event()
        self._lanes: dict[str, deque[Delivery]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.deliveries = Deliveries(lambda: clock.milliseconds)

    def start(self, session: aiohttp.ClientSession) -> None:
        """Use this client, and go on with what has waited."""
        self._session = session
        for left in [found for found in self.deliveries.about() if found.state in UNDONE]:
            self._queue(left, f"{left.number} resumed")

    def moved(self) -> None:
        """The callback in force may be another one now: what has waited for one goes there."""
        bell, self._moved = self._moved, asyncio.Event()
        bell.set()

    # -- what is to be told --

    def post(self, update: Update) -> None:
        """Queue one update, unless Meta never tells it."""
        if why := self._obstacle(update.line.phone_number_id):
            refused = self.deliveries.new([update])
            self.deliveries.move(refused, "not_sent", why=why)
            self._tell(refused, attempt=0, error=f"not sent: {why}")
            return
        settings = self._settings()
        if not (settings.hold or settings.batch > 1 or settings.reverse):
            self._dispatch([update], f"{update.line.phone_number_id} {update.user.phone or update.user.user_id}")
            return
        self._gathered.append(update)
        self._journal.add("waiting", waiting=self.waiting)
        if settings.hold:
            return
        if len(self._gathered) >= settings.batch and not settings.reverse:
            self.release()
        elif len(self._gathered) == 1:
            self._spawn(self._release_soon())

    async def _release_soon(self) -> None:
        await self._clock.sleep(GATHERING)
        if not self._settings().hold:
            self.release()

    def release(self) -> int:
        """Send what was gathered or held, in batches; how many updates."""
        held, self._gathered = self._gathered, []
        settings = self._settings()
        if settings.reverse:
            held = held[::-1]
        for first in range(0, len(held), settings.batch):
            self._dispatch(held[first : first + settings.batch], "gathered")
        self._journal.add("waiting", waiting=self.waiting)
        return len(held)

    @property
    def waiting(self) -> int:
        """How many webhooks are still to be taken by somebody."""
        return len(self._gathered) + self.deliveries.undone

    def redeliver(self, deliveries: Sequence[Delivery]) -> int:
        """Send these once more, whatever became of them; how many."""
        for found in deliveries:
            self._spawn(self._again(found))
        return len(deliveries)

    async def _again(self, delivery: Delivery) -> None:
        before = delivery.state
        if not await self._attempt(delivery) and before not in UNDONE:
            self.deliveries.move(delivery, before, why=delivery.why)

    # -- lanes --

    def _dispatch(self, updates: Sequence[Update], lane: str) -> None:
        for copy in range(self._settings().copies):
            made = self.deliveries.new(updates, failed_contacts=self._settings().failed_contacts)
            self._queue(made, f"{lane} {copy}" if copy else lane)

    def _queue(self, delivery: Delivery, lane: str) -> None:
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append(delivery)
            return
        self._lanes[lane] = deque([delivery])
        self._spawn(self._work(lane))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: str) -> None:
        waiting = self._lanes[lane]
        if not self._target(waiting[0].number):
            self._tell(waiting[0], attempt=0, error="not connected")
        while waiting:
            delivery = waiting[0]
            delay = self._settings().delay
            await self._clock.sleep(delivery.at / 1000 + delay - self._clock() if delay else 0)
            if not await self._attempt(delivery):
                self._spawn(self._repeat(delivery))
            waiting.popleft()
        del self._lanes[lane]

    async def _repeat(self, delivery: Delivery) -> None:
        """Until 200, or for a week by the emulator's clock."""
        while True:
            await self._clock.sleep(self._pause(len(delivery.attempts)))
            if delivery.state == "delivered" or await self._attempt(delivery):
                return
            if self._clock() - delivery.at / 1000 >= WEEK:
                self.deliveries.move(delivery, "gave_up")
                return

    def _pause(self, attempts: int) -> float:
        pauses = self._settings().retries
        return pauses[min(attempts, len(pauses)) - 1]

    # -- one attempt --

    async def _attempt(self, delivery: Delivery) -> bool:
        url = await self._where(delivery.number)
        number = len(delivery.attempts) + 1
        at, began = self._clock.milliseconds, time.perf_counter()
        request = self._headers(delivery.body)
        status, error, response, answer = await self._send(url, delivery.body, request)
        made = Attempt(
            attempt=number,
            at=at,
            url=url,
            status=status,
            milliseconds=round((time.perf_counter() - began) * 1000, 1),
            error=error,
            request=request,
            response=response,
            answer=answer,
        )
        delivery.attempts.append(made)
        if status == 200:
            self.deliveries.move(delivery, "delivered")
        elif delivery.state != "delivered":
            again = self._clock.milliseconds + int(self._pause(number) * 1000)
            self.deliveries.move(delivery, "retrying", next_at=again)
        self._tell(delivery, attempt=number, status=status, milliseconds=made.milliseconds, error=error)
        if status == 200:
            self._arrived(delivery.messages)
        return status == 200

    async def _where(self, number: str) -> str:
        while not (url := self._target(number)):
            await self._moved.wait()
        return url

    def _headers(self, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(body, self._secret),
            "User-Agent": "facebookexternalua",
            "Accept": "*/*",
        }

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, dict[str, str], str]:
        """Status, error, the answer's headers and the beginning of its body."""
        assert self._session is not None
        if not (self._allow_external or is_here(url)):
            return 0, OUTSIDE, {}, ""
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=PATIENCE
            ) as response:
                answer = (await response.content.read(ANSWER)).decode("utf-8", "replace")
                error = "" if response.status == 200 else f"answered {response.status}"
                return response.status, error, dict(response.headers), answer
        except TimeoutError:
            return 0, f"no answer within {PATIENCE.total:.0f} s", {}, ""
        except (aiohttp.ClientError, ValueError, TypeError, OSError) as error:
            return 0, words(error), {}, ""

    def _tell(
        self, delivery: Delivery, *, attempt: int, status: int = 0, milliseconds: float = 0.0, error: str = ""
    ) -> None:
        self._journal.add(
            "webhook",
            delivery=delivery.id,
            wamid=delivery.wamids[0],
            wamids=list(delivery.wamids),
            what=delivery.what,
            attempt=attempt,
            status=status,
            milliseconds=milliseconds,
            error=error,
            next_at=delivery.next_at,
        )

    async def stop(self) -> None:
        """Drop what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    @property
    def holds(self) -> bool:
        """Whether something was gathered and not sent."""
        return bool(self._gathered)

    def kept(self) -> list[dict[str, Any]]:
        """All deliveries, as JSON; what was gathered is one more."""
        return self.deliveries.kept(self._gathered, failed_contacts=self._settings().failed_contacts)
