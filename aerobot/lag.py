"""How late the event loop is: what it was asked to do at once, it does so much later."""

import asyncio

TICK = 0.02
"""Seconds between two looks."""


class Lag:
    """Looks until it is cancelled; ``seconds`` is what was seen last."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def run(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self.seconds = max(0.0, loop.time() - due)
