"""What becomes of a message that the bot sent: sent, delivered, read or failed, told in signed webhooks."""

import asyncio
from collections.abc import Callable

from aerobot.emulator import webhooks
from aerobot.emulator.deliver import Delivery
from aerobot.emulator.graph_errors import Refusal
from aerobot.emulator.phone import Bubble, World
from aerobot.emulator.webhooks import Line

READ_DELAYS = 2
"""How many delays lie between delivered and an automatic read."""


class Receipts:
    """Moves ticks along; ``delay`` is the seconds between two, with ``auto_read`` all is read."""

    def __init__(
        self,
        *,
        world: World,
        delivery: Delivery,
        line: Callable[[], Line],
        now: Callable[[], float],
        delay: float,
        auto_read: bool,
    ) -> None:
        self._world = world
        self._delivery = delivery
        self._line = line
        self._now = now
        self.delay = delay
        self.auto_read = auto_read
        self._callbacks: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, bubble: Bubble, *, callback_data: str = "", failure: Refusal | None = None) -> None:
        """Begin with the receipts of one message; ``failure`` makes it fail instead of being delivered."""
        if callback_data:
            self._callbacks[bubble.id] = callback_data
        task = asyncio.ensure_future(self._run(bubble, failure))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, bubble: Bubble, failure: Refusal | None) -> None:
        await asyncio.sleep(self.delay)
        if failure is not None:
            self._fail(bubble, failure)
            return
        self._tell(bubble, "sent")
        if bubble.type == "reaction":
            self._callbacks.pop(bubble.id, None)
            return
        await asyncio.sleep(self.delay)
        self._tell(bubble, "delivered")
        if self.auto_read or self._world.looked_at(bubble.phone):
            await asyncio.sleep(self.delay * READ_DELAYS)
            self._tell(bubble, "read")

    def read_all(self, user: str) -> None:
        """A person looks at a chat: what has been delivered is read."""
        for bubble in self._world.unread(user):
            self._tell(bubble, "read")

    def _fail(self, bubble: Bubble, refusal: Refusal) -> None:
        title = refusal.message.partition(") ")[2] or refusal.message
        error = webhooks.failure(refusal.code, title, refusal.details)
        self._tell(bubble, "failed", error)

    def _tell(self, bubble: Bubble, status: str, error: webhooks.Json | None = None) -> None:
        if not self._world.tick(bubble.id, status, error):
            return
        user = self._world.user(bubble.phone)
        told = webhooks.status(
            bubble.id,
            status,
            recipient=user,
            timestamp=int(self._now()),
            callback_data=self._callbacks.get(bubble.id),
            errors=[error] if error else None,
        )
        document = webhooks.receipt(self._line(), user, told)
        self._delivery.post(document, lane=bubble.phone, wamid=bubble.id, what=status)
        if status in ("read", "failed"):
            self._callbacks.pop(bubble.id, None)

    async def stop(self) -> None:
        """Tell nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
