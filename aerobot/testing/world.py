"""The emulated Meta in a test's hands: its clock, its faults, its settings."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Unpack

from aerobot.emulator.arrange import Changes
from aerobot.emulator.deliveries import Delivery
from aerobot.testing.bench import Bench
from aerobot.testing.phone import Phone
from aerobot.testing.stage import Stage

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Clock:
    """The emulator's time. The host's own clock is not moved: it stays the machine's."""

    def __init__(self, bench: Bench, stage: Stage) -> None:
        self._bench = bench
        self._stage = stage

    @property
    def now(self) -> datetime:
        """What time it is there."""
        return datetime.fromtimestamp(self._stage.ask(lambda: self._bench.emulator.clock()), UTC)

    def advance(self, by: "str | float | timedelta") -> None:
        """Move it forward: ``"25h"``, ``"1d 12h"``, seconds or a ``timedelta``, up to ten years (``ValueError``)."""
        seconds = _seconds(by)
        self._stage.ask(lambda: self._bench.emulator.clock.advance(seconds))


class World:
    """Meta as this test has it: a fresh one is healthy, and what is changed here is gone with the test."""

    def __init__(self, bench: Bench, stage: Stage) -> None:
        self._bench = bench
        self._stage = stage
        self.clock = Clock(bench, stage)

    def __repr__(self) -> str:
        return "<World>"

    @property
    def url(self) -> str:
        """Where its Graph is."""
        return self._bench.emulator.graph_url

    def arm(self, fault: str, *, times: int = 1, call: str = "messages", to: "Phone | str" = "") -> None:
        """Spoil the next ``times`` calls by a fault of docs/faults.md; only those to one phone with ``to``.

        ``call`` is ``messages``, ``read``, ``media``, ``download``, ``settings`` or ``any``. Raises ``ValueError``
        for what there is not.
        """
        __tracebackhide__ = True
        key = to if isinstance(to, str) else to.key
        self._stage.ask(lambda: self._bench.emulator.arm(fault, times, call=call, to=key))

    def disarm(self, fault: str = "") -> None:
        """Forget one fault that is armed, or all."""
        self._stage.ask(lambda: self._bench.emulator.meta.faults.disarm(fault))

    def settle(self, **changes: object) -> None:
        """Change how it behaves (``window``, ``pair_limit``, ``hold``, ``copies`` …); ``ValueError`` lists them."""
        __tracebackhide__ = True
        self._stage.ask(lambda: self._bench.emulator.settle(**changes))

    def arrange(self, **changes: Unpack[Changes]) -> None:
        """Change what is set up (``token="expired"``, ``account_subscribed=False`` …); ``ValueError`` for others."""
        self._stage.ask(lambda: self._bench.emulator.arrange(**changes))

    def release(self) -> int:
        """Deliver the webhooks that ``settle(hold=True)`` keeps back; how many updates."""
        return self._stage.ask(lambda: self._bench.emulator.meta.courier.release())

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every webhook with its attempts, oldest first."""
        return self._stage.ask(lambda: tuple(self._bench.emulator.deliveries()))


def _seconds(by: "str | float | timedelta") -> float:
    if isinstance(by, timedelta):
        return by.total_seconds()
    if not isinstance(by, str):
        return float(by)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", by)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*[smhd]|\s", "", by):
        raise ValueError(f"{by!r} is no time; write 90s, 5m, 25h, 2d, or 1d 12h.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
