"""Reads what has arrived: stored bytes → messages, receipts and what else they hold, in the order in which they came.

Its law: what was acknowledged is read exactly once, whatever it is, and nothing in it keeps what follows from being
read. Whoever waits for a 200 goes first: Meta repeats what it gets none for, and what is stored can wait.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from aerobot import events
from aerobot.errors import StoreUnavailable
from aerobot.store.base import Arrival, Delivery, Outcome, Store
from aerobot.whatsapp import graph, webhook
from aerobot.whatsapp.messages import Message, Receipt
from aerobot.whatsapp.webhook import Reading

MOST = 100
"""Requests that are read and committed together."""
READ_AT_ONCE = 128 * 1024
"""Bytes that are read in about a millisecond."""
SHARE = 9
"""While others come, reading rests so many times as long as it took."""
GLANCE = 0.0005
"""Seconds in which it is seen who came while the loop was busy reading."""
LONGEST_REST = 0.05
"""Seconds; so that it goes on however many arrive."""
AGAIN = 1.0
"""Seconds until it tries again when the store is in trouble."""


class Reader:
    """Reads until it is stopped. ``wake`` tells the worker that there may be something to answer.

    ``again`` is in seconds.
    """

    def __init__(
        self,
        *,
        store: Store,
        emit: Callable[[events.Event], None] = lambda event: None,
        wake: Callable[[], None] = lambda: None,
        debounce_ms: int = 0,
        again: float = AGAIN,
    ) -> None:
        self._store = store
        self._again = again
        self._emit = emit
        self._wake = wake
        self._debounce_ms = debounce_ms
        self._expected = 0
        self._there = asyncio.Event()
        self._went_on = asyncio.Event()
        self._hurry = asyncio.Event()
        self._waiting = 0
        self._taking = False
        self._troubled = False

    def expect(self) -> None:
        """Somebody begins to wait for a 200."""
        self._expected += 1

    def arrived(self) -> None:
        """A request was stored."""
        self._there.set()

    async def run(self) -> None:
        """Read for ever; trouble with the store is told once, and waited out."""
        while True:
            try:
                await self._read_on()
                self._troubled = False
            except StoreUnavailable as error:
                if not self._troubled:
                    self._emit(events.Notice(at=self._now(), level="warning", topic="store", detail=error.message))
                self._troubled = True
                await asyncio.sleep(self._again)
            except Exception as error:
                self._unforeseen("reader", error)
                await asyncio.sleep(self._again)

    async def drain(self, seconds: float) -> bool:
        """Wait until all that has arrived by now is read, without rests meanwhile; false where that takes longer."""
        last = await self._store.last_arrival()
        self._waiting += 1
        self._hurry.set()
        self._there.set()
        try:
            async with asyncio.timeout(seconds):
                while not await self._has_read(last):
                    self._went_on.clear()
                    await self._went_on.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._hurry.clear()
        return True

    async def _has_read(self, last: int) -> bool:
        """Whether it is read, and told."""
        oldest = await self._store.unread(1)
        return not self._taking and (not oldest or oldest[0].id > last)

    async def read_all(self, seconds: float = 0.0) -> bool:
        """Read what is there, however long it takes: for whoever looks at a store that no host has open."""
        while await self._some():
            pass
        return True

    async def _read_on(self) -> None:
        """Read some of what is there, or wait for something to be there."""
        self._there.clear()
        loop, before = asyncio.get_running_loop(), self._expected
        began = loop.time()
        if not await self._some():
            self._went_on.set()
            await self._there.wait()
            return
        took = loop.time() - began
        self._went_on.set()
        await asyncio.sleep(GLANCE)
        if self._expected > before:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(SHARE * took, LONGEST_REST)):
                    await self._hurry.wait()

    async def _some(self) -> bool:
        """Read the oldest; false where there is nothing."""
        self._taking = True
        try:
            arrivals = await self._store.unread(MOST)
            if arrivals:
                await self._take([await self._read(arrival) for arrival in arrivals])
        finally:
            self._taking = False
        return bool(arrivals)

    async def _read(self, arrival: Arrival) -> Delivery:
        try:
            reading = await read(arrival.body, arrival.number)
        except Exception as error:
            self._unforeseen("webhook", error)
            reading = Reading(problem="unreadable")
        return Delivery(
            bot_id=arrival.bot_id,
            arrival_id=arrival.id,
            received_at=arrival.received_at,
            number=arrival.number,
            body=arrival.body,
            signed=arrival.signed,
            updates=reading.updates,
            state="unusable" if reading.problem else "read",
            note=reading.problem,
            active=arrival.active,
            debounce_ms=self._debounce_ms,
        )

    # -- what becomes of it -------------------------------------------------------------------------------------

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Commit together; where the store chokes on one, each by itself, in the same order."""
        try:
            outcomes = await self._store.record(deliveries)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(deliveries) > 1:
                for delivery in deliveries:
                    await self._take((delivery,))
                return
            self._unforeseen("store", error)
            note = f"{type(error).__name__}: {error}"
            deliveries = [replace(deliveries[0], updates=(), state="unreadable", note=note)]
            outcomes = await self._store.record(deliveries)
        for delivery, known in zip(deliveries, outcomes, strict=True):
            self._tell(delivery, known)

    def _tell(self, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
        now, bot_id = self._now(), delivery.bot_id
        if any(update.note == "sample" for update in delivery.updates):
            self._emit(events.SampleArrived(at=now, bot_id=bot_id, signed=delivery.signed))
        if delivery.note:
            self._emit(events.Recorded(at=now, bot_id=bot_id, what=delivery.state, note=delivery.note))
        for outcome in outcomes:
            if outcome.new and outcome.update.note != "sample":
                self._emit(_told(bot_id, outcome, now))
        if any(outcome.state in ("queued", "joined") for outcome in outcomes):
            self._wake()

    def _unforeseen(self, where: str, error: Exception) -> None:
        self._emit(events.Unexpected(at=self._now(), where=where, error=f"{type(error).__name__}: {error}"))

    def _now(self) -> int:
        return self._store.now()


async def read(body: bytes, number: str) -> Reading:
    """Read a body; a large one in a thread, so that nobody else waits for it."""
    if len(body) < READ_AT_ONCE:
        return webhook.read(body, phone_number_id=number)
    return await asyncio.to_thread(webhook.read, body, phone_number_id=number)


# -- events -----------------------------------------------------------------------------------------------------


def _told(bot_id: str, outcome: Outcome, now: int) -> events.Event:
    update = outcome.update
    if update.kind == "message" and update.message is not None and outcome.conversation_id is not None:
        return received(bot_id, update.message, outcome, now)
    if update.kind == "status" and update.receipt is not None:
        return _receipt(bot_id, update.receipt, outcome, now)
    return events.Recorded(at=now, bot_id=bot_id, what=update.field or update.kind, note=update.note)


def received(bot_id: str, message: Message, outcome: Outcome, now: int) -> events.MessageReceived:
    """The event of a stored message."""
    return events.MessageReceived(
        at=now,
        bot_id=bot_id,
        conversation_id=outcome.conversation_id or 0,
        message_id=message.id,
        kind=message.kind,
        who=message.identity("phone") or message.identity("user_id"),
        name=message.name,
        text=message.text,
        state=f"{outcome.state}({outcome.reason})" if outcome.reason else outcome.state,
        channel=outcome.channel,
    )


def _receipt(bot_id: str, receipt: Receipt, outcome: Outcome, now: int) -> events.ReceiptSeen:
    failure = receipt.failure
    return events.ReceiptSeen(
        at=now,
        bot_id=bot_id,
        conversation_id=outcome.conversation_id,
        wamid=receipt.wamid,
        status=receipt.status,
        who=receipt.recipient,
        code=failure.code if failure else None,
        error=failure.title if failure else None,
        remedy=graph.meaning(failure.code, failure.subcode).remedy if failure else None,
        failed_turn=outcome.failed_turn,
    )
