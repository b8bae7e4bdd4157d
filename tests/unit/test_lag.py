"""How late the event loop is."""

import asyncio
import time

from aerobot.lag import TICK, Lag


async def test_a_loop_that_was_held_up_was_late() -> None:
    """What held it up shows in the next look; a loop that nobody holds up is nearly punctual again."""
    lag = Lag()
    looking = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    time.sleep(0.3)
    while lag.seconds == 0:
        await asyncio.sleep(0)
    assert lag.seconds > 0.3 - 2 * TICK
    while lag.seconds > 0.1:
        await asyncio.sleep(TICK)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
