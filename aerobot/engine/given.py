"""The engine that runs a handler or a router that exists already: one that a test made, or imported."""

import inspect
from pathlib import Path

from aerobot.bot import Handler
from aerobot.engine.python import Python


class Given(Python):
    """Runs it as ``bot.py`` is run: off the host's loop, its failures named by line.

    Lines under the folder of its file count as the bot's own, or under ``folder`` where it has no file.
    """

    def __init__(self, handler: Handler, *, folder: Path) -> None:
        code = getattr(inspect.unwrap(handler), "__code__", None)
        super().__init__(
            getattr(handler, "__name__", type(handler).__name__),
            folder=Path(code.co_filename).parent if code is not None else folder,
            reload=False,
        )
        self._given = handler

    def _load(self) -> Handler:
        return self._given
