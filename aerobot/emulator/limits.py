"""How fast a number may send: a bucket for the number and one for each of its users, when they are switched on.

Source: Meta, "Messaging limits" and "Throughput": 80 messages a second per number; to one user one message in
6 s, of which up to 45 can be sent in advance.
"""

from collections.abc import Callable

from aerobot.emulator.presets import PRESETS

PER_SECOND = 80
PAIR_SECONDS = 6.0
PAIR_BURST = 45


class Limits:
    """Raises Graph's refusal for what is too fast; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[tuple[str, str], float] = {}

    def check(self, number: str, user: str, *, throughput: bool, pair: bool) -> None:
        """One message is about to go out. Raises ``Refused``: 130429 or 131056."""
        if throughput and self._full((number, ""), 1 / PER_SECOND, PER_SECOND):
            raise PRESETS["rate_limited"].refused()
        if pair and self._full((number, user), PAIR_SECONDS, PAIR_BURST):
            raise PRESETS["pair_rate"].refused()

    def _full(self, key: tuple[str, str], interval: float, burst: int) -> bool:
        """The generic cell rate algorithm: ``due`` is when the bucket will be empty again."""
        now = self._clock()
        due = max(self._due.get(key, now), now)
        if due - now > interval * (burst - 1) + 1e-4:  # what adding to times since 1970 loses
            return True
        self._due[key] = due + interval
        return False
