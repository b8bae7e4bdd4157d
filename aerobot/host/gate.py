"""The gate of a listener: how many connections stand open, and how long and how much each may take.

Its law: a connection that keeps us waiting may be closed for a newcomer, one that we keep waiting may not, and the
longest wait ends first. So who connects and speaks at once, as Meta does, is heard, however many others are silent:
only as many newcomers as there are places, all between its connecting and its speaking, could push it out.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aerobot.host.door import Door

if TYPE_CHECKING:
    from aiohttp import web

TOLD_EVERY = 10.0
"""Seconds between two notices about closed connections: a flood is a line, not a flood of lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a listener puts up with: times in seconds, sizes in bytes. ``held_bytes``: all bodies together."""

    connections: int
    header_seconds: float
    header_bytes: int
    body_seconds: float
    body_bytes: int
    held_bytes: int
    idle_seconds: float


class Gate:
    """All open connections of one listener. ``tell`` is told what was closed, and why, in one line at a time."""

    def __init__(self, limits: Limits, tell: Callable[[str], None]) -> None:
        self.limits = limits
        self._tell = tell
        self._doors: dict[asyncio.BaseTransport | None, Door] = {}
        self._waiting: dict[Door, None] = {}  # in the order in which they began to keep us waiting
        self._held = 0
        self._closed: Counter[str] = Counter()
        self._telling: asyncio.TimerHandle | None = None

    @property
    def open(self) -> int:
        """How many connections stand open."""
        return len(self._doors)

    def door(self, inner: asyncio.Protocol) -> Door:
        """A protocol that passes on to ``inner`` what the limits let through."""
        limits = self.limits
        return Door(
            self,
            inner,
            head_seconds=limits.header_seconds,
            head_most=limits.header_bytes,
            # Chunks have frames, but no honest sender's frames are as large as what they carry.
            wire_most=2 * limits.body_bytes + limits.header_bytes,
        )

    def close(self) -> None:
        """Tell what was not told yet, and then nothing more."""
        if self._telling is not None:
            self._telling.cancel()
        self._say()

    # -- what the listener says ---------------------------------------------------------------------------------

    def begin(self, request: "web.BaseRequest") -> Door | None:
        """A request is served from here to ``end``: its head is there. Returns its connection, if we have it."""
        door = self._doors.get(request.transport)
        if door is not None:
            door.begin()
        return door

    def end(self, request: "web.BaseRequest", door: Door | None) -> None:
        """It is served: its connection may rest."""
        if door is None or door.transport not in self._doors:
            return
        self._held -= door.held
        next_step = door.rest if request.content.is_eof() else door.drain
        next_step(self.limits.idle_seconds)
        self._waits(door)

    def all_here(self, request: "web.BaseRequest") -> None:
        """The body is there: from now on the caller waits for us, and is closed for nobody."""
        door = self._doors.get(request.transport)
        if door is not None:
            self._waiting.pop(door, None)

    # -- what the doors say -------------------------------------------------------------------------------------

    def admit(self, door: Door) -> bool:
        """Let a connection in, for the one that has kept us waiting longest where there are too many."""
        if len(self._doors) >= self.limits.connections:
            longest = next(iter(self._waiting), door)
            self.turn_away(longest, f"more than {self.limits.connections} were open")
            if longest is door:
                return False
        self._doors[door.transport] = door
        self._waits(door)
        return True

    def hold(self, door: Door, size: int) -> None:
        """Take more of a body; where all bodies together are too much, the one that takes longest goes."""
        door.held += size
        self._held += size
        while self._held > self.limits.held_bytes:
            victim = next((other for other in self._waiting if other.held), door)
            self.turn_away(victim, f"all bodies together took more than {self.limits.held_bytes} bytes")
            if victim is door:
                return

    def turn_away(self, door: Door, why: str, answer: bytes = b"") -> None:
        """Close a connection from here; ``why`` is told, where there is something to tell."""
        self.forget(door)
        door.shut(answer)
        if not why:
            return
        self._closed[why] += 1
        if self._telling is None:
            self._report()

    def forget(self, door: Door) -> None:
        """A connection is gone."""
        if self._doors.pop(door.transport, None) is not None:
            self._held -= door.held
        self._waiting.pop(door, None)

    def _waits(self, door: Door) -> None:
        self._waiting.pop(door, None)
        self._waiting[door] = None

    def _report(self) -> None:
        again = asyncio.get_running_loop().call_later(TOLD_EVERY, self._report) if self._closed else None
        self._telling = again
        self._say()

    def _say(self) -> None:
        causes = ", ".join(f"{count} because {why}" for why, count in self._closed.items())
        self._closed.clear()
        if causes:
            self._tell(f"connections closed: {causes}")
