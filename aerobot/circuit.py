"""When a whole number rests because Graph fails for everybody: decided from values alone, without clock and dice."""

from aerobot.retry import RETRY_AFTER_MOST

OPENS_AFTER = 5
"""Conversations of one number that fail one after the other, with no success between, before the number rests."""
BASE, MOST = 2.0, 30.0
"""Seconds of the first rest and of the longest; each is twice the one before."""


class Circuits:
    """What the last sends of each number came to. One conversation alone never makes its number rest."""

    def __init__(self) -> None:
        self._failing: dict[str, set[int]] = {}
        self._rests: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def worked(self, number: str) -> None:
        """Graph took something of this number, or refused it for a reason of its own: Graph works."""
        self._failing.pop(number, None)
        self._rests.pop(number, None)
        self._until.pop(number, None)

    def failed(
        self,
        number: str,
        conversation_id: int,
        *,
        now: float,
        random: float,
        retry_after: float | None = None,
        probing: bool = False,
    ) -> float | None:
        """Graph failed, or could not be asked; returns until when the number rests (seconds), ``None``: it does not.

        ``random`` in [0, 1) spreads the tries: a rest is between a half and the whole of its length. ``probing``: it
        was the one try of a number that rests.
        """
        failing = self._failing.setdefault(number, set())
        failing.add(conversation_id)
        if not probing and (len(failing) < OPENS_AFTER or self.rests(number, now)):
            return None
        rests = self._rests[number] = self._rests.get(number, 0) + 1
        wait = min(MOST, BASE * 2.0 ** min(rests - 1, 60)) * (0.5 + random / 2)
        if retry_after is not None:
            wait = max(wait, min(retry_after, RETRY_AFTER_MOST))
        self._until[number] = now + wait
        return now + wait

    def rests(self, number: str, now: float) -> bool:
        """Whether the number rests: nothing more is sent but its one try."""
        return self._until.get(number, now) > now
