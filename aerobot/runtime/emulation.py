"""An emulated Meta that runs for somebody: with a note by which others find it, a file that keeps its state."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerobot.config import state_folder
from aerobot.errors import AerobotError, UsageError
from aerobot.runtime.keeping import kept_in
from aerobot.runtime.listening import not_listening

if TYPE_CHECKING:
    from aerobot.emulator.server import Emulator
    from aerobot.emulator.state import StateFile

AGAIN, SELDOM = 1.0, 5.0
"""Seconds between two tries to reach a webhook that does not answer yet: at first, and after the first minute."""
PATIENT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an emulator is started with. ``webhook`` is connected as soon as it answers the challenge.

    ``free_port``: another port where its own is taken. ``ahead`` moves its clock, in seconds.
    """

    port: int
    seed: int | None = None
    name: str = "Aerobot"
    state: Path | None = None
    webhook: str = ""
    window: str = "later"
    receipts_delay: float = 0.05
    ahead: float = 0.0
    allow_external: bool = False
    free_port: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Emulation:
    """One emulator from start to stop. ``tell`` gets a level (``ok``, ``warning``) and a sentence about webhooks."""

    def __init__(self, wishes: Wishes, tell: Callable[[str, str], None] = lambda level, words: None) -> None:
        self._wishes = wishes
        self._tell = tell
        self._note: Path | None = None
        self._file: StateFile | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.emulator: Emulator = None  # type: ignore[assignment]

    async def start(self) -> "Emulator":
        """Start it. ``ConfigError`` for a port that is taken, and for a state that cannot be read or written."""
        from aerobot.emulator.client import EmulatorNote
        from aerobot.emulator.server import Emulator
        from aerobot.emulator.state import StateFile

        wishes = self._wishes
        _check(wishes)
        kept: Mapping[str, Any] | None = None
        if wishes.state is not None:
            self._file = StateFile(kept_in(wishes.state, "Give --state a file, or one that is not there yet."))
            kept = self._file.read()
        self.emulator = emulator = Emulator(
            seed=wishes.seed,
            name=wishes.name,
            window=wishes.window,
            receipts_delay=wishes.receipts_delay,
            allow_external=wishes.allow_external,
            kept=kept,
        )
        await self._begin()
        try:
            _advance(emulator, wishes.ahead)
            if self._file is not None:
                self._file.start(emulator.export, self._told)
                self._tasks.append(asyncio.create_task(self._keep(self._file)))
            path = str(wishes.state.absolute()) if wishes.state else ""
            note = EmulatorNote(pid=os.getpid(), url=emulator.graph_url, token=emulator.control_token, state=path)
            self._note = note.leave(state_folder(wishes.environ))
            if wishes.webhook:
                self._tasks.append(asyncio.create_task(self._connect(wishes.webhook)))
        except BaseException:
            await self.stop()
            raise
        return emulator

    async def _begin(self) -> None:
        try:
            await self._listen()
        except (AerobotError, OSError):
            raise
        except Exception as error:  # a state whose parts are not what they should be
            if self._file is None:
                raise
            raise self._file.unusable(f"{type(error).__name__}: {error}.") from None

    def _told(self, problem: str) -> None:
        self._tell("warning", problem or "the state is kept again")

    async def _listen(self) -> None:
        port = self._wishes.port
        try:
            await self.emulator.start("127.0.0.1", port)
        except OSError as error:
            if not (self._wishes.free_port and error.errno == errno.EADDRINUSE):
                raise not_listening(error, "127.0.0.1", port, "emulator.port") from None
            await self.emulator.start("127.0.0.1", 0)

    async def _keep(self, file: "StateFile") -> None:
        async for _ in self.emulator.watch():
            file.wanted()

    async def _connect(self, url: str) -> None:
        """Until it answers the challenge; why it does not is said once for each reason."""
        said, tries = "", 0
        while True:
            tries += 1
            try:
                await self.emulator.connect(url)
            except AerobotError as error:
                if error.message != said:
                    said = error.message
                    self._tell("warning", f"{said}. Tried again until it answers.")
            else:
                self._tell("ok", f"{url}, challenge answered")
                return
            await asyncio.sleep(AGAIN if tries < PATIENT else SELDOM)

    async def stop(self) -> None:
        """Stop it; what it kept is written a last time."""
        if self._note is not None:
            self._note.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if self._file is not None:
                await self._file.stop(self.emulator.export)
        finally:
            await self.emulator.stop()

    def abandon(self) -> None:
        """Leave at once."""
        with contextlib.suppress(OSError):
            if self._note is not None:
                self._note.unlink(missing_ok=True)


def _check(wishes: Wishes) -> None:
    """Refuse a webhook that can never be called (``UsageError``)."""
    from urllib.parse import urlsplit

    from aerobot.emulator.places import is_here

    if not wishes.webhook:
        return
    try:
        parts = urlsplit(wishes.webhook)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        hint = "Give the whole address: --webhook http://127.0.0.1:3000/webhook"
        raise UsageError(f"{wishes.webhook!r} is not an address.", hint)
    if not (wishes.allow_external or is_here(wishes.webhook)):
        raise UsageError(f"{wishes.webhook} is not on this machine.", "--allow-external permits it.")


def _advance(emulator: "Emulator", ahead: float) -> None:
    try:
        emulator.clock.advance(ahead)
    except ValueError as error:
        raise UsageError(str(error)) from None
