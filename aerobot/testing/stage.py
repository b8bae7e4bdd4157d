"""An event loop in a thread of its own, on which everything runs that a test talks to, whatever loop the test is on."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stage:
    """Lives as long as the tests run. Nothing on it ever waits for a test's own loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aerobot-testing", daemon=True)

    def start(self) -> None:
        """Begin to run."""
        self._thread.start()

    def close(self) -> None:
        """End, once nothing runs on it any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there and wait for it, without a loop of one's own."""
        __tracebackhide__ = True
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def ask(self, look: Callable[[], T]) -> T:
        """Call something there that returns at once; the test's loop stands still for that moment.

        A ``ValueError`` is a mistake of the test's: it is raised anew, without the way that it came.
        """
        __tracebackhide__ = True

        async def looked() -> T | ValueError:
            try:
                return look()
            except ValueError as error:
                return error

        found = self.run(looked())
        if isinstance(found, ValueError):
            raise ValueError(*found.args) from None
        return found

    async def share(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there and await it from any loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
