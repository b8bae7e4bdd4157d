"""Who wants a database file for a moment waits for whoever has it for a moment; nobody waits for a host."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aerobot.errors import ConfigError

if TYPE_CHECKING:
    from filelock import BaseFileLock

PATIENCE = 5.0
"""Seconds that one command waits for another."""
PAUSE = 0.02
"""Seconds between two tries."""


@asynccontextmanager
async def queued(path: Path, *, patience: float = PATIENCE) -> AsyncIterator[None]:
    """Wait for one's turn at the database ``path``, and keep it meanwhile: for ``SqliteStore.open``, and what is brief.

    A command keeps it until it has its answer, a host until it is open: so a host's own lock names a host alone.
    ``ConfigError`` names who is still at work after ``patience`` seconds. Where no note can be left beside the
    database there is no queue: ``open`` says what is wrong there.
    """
    note = _note(path)
    lock = await _lock(path, note, time.monotonic() + patience) if path.parent.is_dir() else None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _note(path: Path) -> Path:
    """Beside the file itself, whatever name it goes by."""
    real = path.resolve()
    return real.with_name(real.name + ".queue")


async def _lock(path: Path, note: Path, ends: float) -> "BaseFileLock | None":
    while (lock := _tried(note)) is False:
        if time.monotonic() >= ends:
            raise _taken(path, note)
        await asyncio.sleep(PAUSE)
    return lock


def _tried(note: Path) -> "BaseFileLock | Literal[False] | None":
    """The lock with our process id in it; ``False`` where somebody has it, ``None`` where there can be none."""
    from filelock import FileLock, Timeout

    lock = FileLock(note, timeout=0, mode=0o600)
    try:
        lock.acquire()
        note.write_text(f"{os.getpid()}\n", "ascii")
    except Timeout:
        return False
    except OSError:
        lock.release()
        return None
    return lock


def _taken(path: Path, note: Path) -> ConfigError:
    owner = note.read_text("ascii", "replace").strip()
    who = f"Another command (process {owner})" if owner else "Another command"
    return ConfigError(f"{who} works on the database {path}.", "Try again when it is done.")
