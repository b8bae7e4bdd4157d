"""Keeps a tunnel open: watched, opened again when it dies, proven again, and whoever must know a new address told.

Its law: what the watched process or the network does never ends the host; it is reported, and tried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Literal, Protocol

from aerobot.errors import AerobotError, NetworkError, Repeat
from aerobot.secret import Secret
from aerobot.tunnel.base import Report, Tunnel
from aerobot.tunnel.proof import Miss, probe, prove

Level = Literal["ok", "note", "warning"]


class Opener(Protocol):
    """Opens a tunnel: ``open_tunnel`` with everything else given already."""

    def __call__(
        self, *, provider: str, report: Report, started: Callable[[Callable[[], None]], None]
    ) -> Awaitable[Tunnel]:
        """Open it with ``provider``; ``started`` is given what kills its process."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long, in seconds.

    ``tick``: between two looks at the process. ``jump``: more than this beyond a tick means that the computer
    slept. ``broken`` and ``silent``: how long a tunnel that answers wrongly, or not at all, may come back by
    itself (agents reconnect, and a quick tunnel opened anew has another address). ``least`` and ``most``: the
    pause after a failed reopening, doubled from the one to the other. ``blocked``: the pause where trying makes
    it worse.
    """

    tick: float = 2
    jump: float = 10
    broken: float = 30
    silent: float = 120
    least: float = 1
    most: float = 60
    blocked: float = 300

    def pause(self, attempt: int, error: AerobotError) -> float:
        """How long to wait after the failed ``attempt``, counted from 1."""
        repeat = error.repeat if isinstance(error, NetworkError) else Repeat.BLOCKED
        if repeat in (Repeat.BLOCKED, Repeat.NEVER):
            return self.blocked
        return min(self.most, self.least * 2.0 ** min(attempt - 1, 20))


class Watch:
    """One tunnel through all its lives.

    ``report`` is told what happens, with a level; ``changed`` is awaited with the new address whenever it is
    another than before, again and again until it raises no ``AerobotError``.
    """

    def __init__(
        self,
        *,
        open: Opener,  # noqa: A002
        provider: str,
        path: str,
        verify_token: Secret,
        changed: Callable[[str], Awaitable[None]],
        report: Callable[[Level, str], None],
        pace: Pace | None = None,
        probe: Callable[[str], Awaitable[Miss | None]] = probe,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open
        self._provider = provider
        self._path = path
        self._verify_token = verify_token
        self._changed = changed
        self._report = report
        self._pace = pace or Pace()
        self._probe = probe
        self._sleep = sleep
        self._wall = wall
        self._steady = steady
        self._tunnel: Tunnel | None = None
        self._told = ""
        self._next = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._kill: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """The origin under which the world reaches the port; it may change. Empty before ``start``."""
        return self._tunnel.url if self._tunnel else ""

    @property
    def provider(self) -> str:
        """Who made the tunnel."""
        return self._tunnel.terms.provider if self._tunnel else self._provider

    async def start(self) -> None:
        """Open and prove the tunnel, then watch it; an ``AerobotError`` where the first opening fails."""
        try:
            tunnel = await self._reopen()
            if tunnel.terms.limits:
                self._report("note", tunnel.terms.limits)
            await self._prove(tunnel)
        except BaseException:
            await self.close()
            raise
        self._provider = tunnel.terms.provider  # what was chosen once stays
        self._told = tunnel.url
        self._watching = asyncio.create_task(self._guarded())

    def rest(self) -> None:
        """Watch no more, and leave the tunnel as it is: for the beginning of a stop."""
        if self._watching is not None:
            self._watching.cancel()

    async def close(self) -> None:
        """End the watching, also in the middle of a reopening, and the tunnel; ``changed`` may call it too."""
        inside = self._watching is asyncio.current_task()
        if self._watching is not None and not inside:
            self.rest()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._tunnel is not None:
            await self._tunnel.close()
        if inside:
            self.rest()

    def kill(self) -> None:
        """End the tunnel's process at once, also one that is just starting."""
        self.rest()
        self._kill()

    async def _guarded(self) -> None:
        try:
            await self._watch()
        except Exception as error:
            self._report("warning", f"The tunnel is no longer watched: {type(error).__name__}: {error}")

    async def _watch(self) -> None:
        self._next = self._steady() + self._current.terms.probe_seconds
        tell_at, failed = 0.0, 0
        while True:
            slept = await self._tick()
            if slept:
                self._report("note", f"this computer slept for about {_duration(slept)}: looking at the tunnel")
            why = await self._trouble(now=bool(slept))
            if why is not None:
                await self._mend(why)
                tell_at, failed = 0.0, 0
            if self._current.url != self._told and self._steady() >= tell_at:
                error = await self._tell(self._current.url)
                if error is not None:
                    failed += 1
                    pause = self._pace.pause(failed, error)
                    tell_at = self._steady() + pause
                    self._report("warning", f"{error.message} Again in {pause:g} s. {error.hint}".rstrip())

    @property
    def _current(self) -> Tunnel:
        assert self._tunnel is not None
        return self._tunnel

    async def _tick(self) -> float:
        """Let a tick pass; the seconds that were lost in sleep. Which clock stands still then differs by system."""
        wall, steady = self._wall(), self._steady()
        await self._sleep(self._pace.tick)
        lost = max(self._wall() - wall, self._steady() - steady) - self._pace.tick
        return lost if lost > self._pace.jump else 0.0

    async def _trouble(self, *, now: bool) -> str | None:
        """Why the tunnel must be opened again; ``None`` while it works, or need not be asked yet."""
        tunnel = self._current
        if not tunnel.alive:
            return f"{tunnel.terms.provider}'s process has ended."
        if not now and self._steady() < self._next:
            return None
        why = await self._unreachable(tunnel)
        self._next = self._steady() + tunnel.terms.probe_seconds
        return why

    async def _unreachable(self, tunnel: Tunnel) -> str | None:
        """Ask through the tunnel, for as long as it may come back by itself."""
        waited = 0.0
        for attempt in count():
            miss = await self._probe(tunnel.url)
            if miss is None:
                if attempt:
                    self._report("ok", f"{tunnel.url} answers again")
                return None
            patience = self._pace.silent if miss.silent else self._pace.broken
            if waited >= patience:
                return miss.message
            if not attempt:
                self._report("warning", f"{miss.message} It may come back by itself: waiting up to {patience:g} s.")
            wait = min(8.0, 2.0**attempt)
            await self._sleep(wait)
            waited += wait
            if not tunnel.alive:
                break
        return f"{tunnel.terms.provider}'s process has ended."

    async def _mend(self, why: str) -> None:
        """Open the tunnel again and prove it, however long that takes."""
        self._report("warning", f"The tunnel is down: {why} Opening it again.")
        unproven: Tunnel | None = None
        for attempt in count(1):
            try:
                again = unproven is not None and unproven.alive
                tunnel = self._current if again else await self._reopen()
                unproven = None if again else tunnel  # one that opened is asked twice before it is given up
                await self._prove(tunnel)
                break
            except AerobotError as error:
                pause = self._pace.pause(attempt, error)
                self._report("warning", f"{error.message} Next try in {pause:g} s. {error.hint}".rstrip())
                await self._sleep(pause)
        self._next = self._steady() + tunnel.terms.probe_seconds
        changed = "" if tunnel.url == self._told else "; the address is a new one"
        self._report("ok", f"{tunnel.url} ({tunnel.terms.provider}) is open, challenge answered through it{changed}")

    async def _reopen(self) -> Tunnel:
        if self._tunnel is not None:
            await self._tunnel.close()
        self._tunnel = await self._open(provider=self._provider, report=self._note, started=self._hold)
        return self._tunnel

    async def _prove(self, tunnel: Tunnel) -> None:
        await prove(
            tunnel.url,
            self._path,
            self._verify_token,
            head_start=tunnel.terms.head_start,
            report=self._note,
            sleep=self._sleep,
        )

    async def _tell(self, url: str) -> AerobotError | None:
        try:
            await self._changed(url)
        except AerobotError as error:
            return error
        self._told = url
        return None

    def _note(self, text: str) -> None:
        self._report("note", text)

    def _hold(self, kill: Callable[[], None]) -> None:
        self._kill = kill


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
