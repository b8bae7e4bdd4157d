"""Deletes what is older than the retention, by itself: once after the start, then every hour."""

from collections.abc import Awaitable, Callable

from aerobot import events
from aerobot.errors import StoreUnavailable
from aerobot.store.upkeep import Swept, Upkeep, sweep_all

FIRST, EVERY = 30.0, 3600.0
"""Seconds until the first sweep, for a start has more urgent things to do, and between two."""
REST = 0.02
"""Seconds after each batch: webhooks and the worker come first."""
DAY_MS = 86_400_000


async def keep_short(
    upkeep: Upkeep,
    *,
    days: int,
    now: Callable[[], int],
    emit: Callable[[events.Event], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Sweep for ever; ``days`` 0 keeps everything. What was deleted is told; trouble is told and tried again later."""
    if not days:
        return
    wait = FIRST
    while True:
        await sleep(wait)
        wait = EVERY
        try:
            swept = await sweep_all(upkeep, now() - days * DAY_MS, rest=lambda: sleep(REST))
        except StoreUnavailable as error:
            emit(events.Notice(at=now(), level="warning", topic="retention", detail=error.message))
            continue
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            emit(events.Unexpected(at=now(), where="retention", error=words))
            continue
        if swept.anything:
            emit(events.Notice(at=now(), level="ok", topic="retention", detail=told(swept, days)))


def told(swept: Swept, days: float) -> str:
    """What was deleted, in one line."""
    return (
        f"deleted what is older than {days:g} days: {swept.messages} messages, {swept.parts} replies,"
        f" {swept.deliveries + swept.bodies} raw deliveries"
    )
