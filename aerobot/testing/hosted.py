"""The host that runs the bot, as a test sees it: its events, its verdicts."""

from typing import TypeVar

from aerobot import events
from aerobot.store.base import Verdict
from aerobot.testing.bench import Bench
from aerobot.testing.phone import SECONDS
from aerobot.testing.stage import Stage

E = TypeVar("E", bound=events.Event)


class HostedHere:
    """What the host told so far, and how each message fared."""

    def __init__(self, bench: Bench, stage: Stage) -> None:
        self._bench = bench
        self._stage = stage

    def __repr__(self) -> str:
        return "<Host>"

    @property
    def events(self) -> tuple[events.Event, ...]:
        """Everything that it told (``aerobot.events``), oldest first."""
        return tuple(self._bench.events)

    def told(self, kind: type[E]) -> tuple[E, ...]:
        """The events of one kind: ``host.told(events.PartSettled)``."""
        return tuple(event for event in self.events if isinstance(event, kind))

    @property
    def webhook_url(self) -> str:
        """Where it takes webhooks."""
        return self._bench.webhook_url

    async def verdict(self, wamid: str, *, timeout: float = SECONDS) -> Verdict:
        """How a message fared in the end: its state, the bot's error, every part. ``NoReplyError`` if not in time."""
        return await self._stage.share(self._bench.settled(wamid, timeout))
