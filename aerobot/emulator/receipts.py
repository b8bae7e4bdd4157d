"""What becomes of a message that the bot sent: sent, delivered, read or failed, told in signed webhooks."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from aerobot.emulator import webhooks
from aerobot.emulator.bubble import Bubble
from aerobot.emulator.clock import Clock
from aerobot.emulator.deliver import Courier
from aerobot.emulator.deliveries import Update
from aerobot.emulator.graph_errors import Refusal
from aerobot.emulator.phone import World
from aerobot.emulator.settings import Settings
from aerobot.emulator.webhooks import Line

ENDED = ("read", "failed")


class Receipts:
    """Moves ticks along, by the delays of the settings. ``line`` is a number as webhooks name it."""

    def __init__(
        self,
        *,
        world: World,
        courier: Courier,
        line: Callable[[str], Line],
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self._world = world
        self._courier = courier
        self._line = line
        self._clock = clock
        self._settings = settings
        self._callbacks: dict[str, str] = {}
        self._failures: dict[str, Refusal] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, bubble: Bubble, *, callback_data: str = "", failure: Refusal | None = None) -> None:
        """Begin with the receipts of one message; ``failure`` makes it fail instead of being delivered."""
        if callback_data:
            self._callbacks[bubble.id] = callback_data
        if failure is not None:
            self._failures[bubble.id] = failure
        self._spawn(bubble)

    def _spawn(self, bubble: Bubble) -> None:
        task = asyncio.ensure_future(self._run(bubble))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, bubble: Bubble) -> None:
        """From where the message is: a kept state may go on in the middle."""
        if bubble.status == "accepted":
            await self._clock.sleep(self._settings().sent_delay)
            if (failure := self._failures.get(bubble.id)) is not None:
                self._fail(bubble, failure)
                return
            self._tell(bubble, "sent")
        if bubble.type == "reaction":
            self._callbacks.pop(bubble.id, None)
            return
        if bubble.status in ("accepted", "sent"):
            await self._clock.sleep(self._settings().delivered_delay)
            if self._world.looked_at(bubble.chat):  # Meta skips delivered where the chat is open
                self._tell(bubble, "read")
                return
            self._tell(bubble, "delivered")
        if self._settings().auto_read and not self._world.watched:
            await self._clock.sleep(self._settings().read_delay)
            self._tell(bubble, "read")

    def read_all(self, phone: str, number: str) -> None:
        """A person looks at a chat: what has been delivered is read."""
        for bubble in self._world.unread(phone, number):
            self._tell(bubble, "read")

    def played(self, bubble: Bubble) -> None:
        """A person plays a voice message or other audio of the bot's; Meta tells the first time (``played``)."""
        if bubble.type != "audio" or bubble.direction != "out":
            raise ValueError("Only audio of the bot's is played.")
        if bubble.status != "failed":
            self._tell(bubble, "played")

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
            timestamp=int(self._clock()),
            callback_data=self._callbacks.get(bubble.id),
            errors=[error] if error else None,
        )
        self._courier.post(Update(line=self._line(bubble.number), user=user, what=status, content=told))
        if status == "failed" or status == ("played" if bubble.type == "audio" else "read"):
            self._callbacks.pop(bubble.id, None)
            self._failures.pop(bubble.id, None)

    def kept(self) -> dict[str, Any]:
        """What has to be kept for messages that are on their way."""
        failures = {wamid: asdict(refusal) for wamid, refusal in self._failures.items()}
        return {"callbacks": dict(self._callbacks), "failures": failures}

    def restore(self, kept: Mapping[str, Any], bubbles: Iterable[Bubble]) -> None:
        """Go on with what was on its way when ``kept`` was asked."""
        self._callbacks = {str(wamid): str(data) for wamid, data in kept["callbacks"].items()}
        self._failures = {str(wamid): Refusal(**refusal) for wamid, refusal in kept["failures"].items()}
        for bubble in bubbles:
            if bubble.direction == "out" and bubble.status not in (*ENDED, "played"):
                self._spawn(bubble)

    async def stop(self) -> None:
        """Tell nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
