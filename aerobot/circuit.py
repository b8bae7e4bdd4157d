"""Whom Graph fails: everybody, so that the whole number rests, or one conversation alone. Without clock and dice.

Who fails again with no success of the number in between is a victim, not a culprit: nothing shows that Graph works.
"""

from collections import Counter

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
        self._alone: Counter[int] = Counter()  # a number for each conversation in doubt, until its next success

    def worked(self, number: str, conversation_id: int) -> None:
        """Graph took something of this number, or refused it for a reason of its own: Graph works."""
        self.settled(conversation_id)
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

    def doubted(self, number: str, conversation_id: int) -> None:
        """The outcome of a send stayed unknown; to be told before ``failed`` is."""
        if conversation_id not in self._failing.get(number, ()):
            self._alone[conversation_id] += 1

    def blamed(self, conversation_id: int) -> int:
        """How often a conversation's part stayed in doubt although Graph had worked since it last failed."""
        return self._alone[conversation_id]

    def settled(self, conversation_id: int) -> None:
        """Its part came to an end, good or bad: the next one is not to blame for it."""
        self._alone.pop(conversation_id, None)

    def rests(self, number: str, now: float) -> bool:
        """Whether the number rests: nothing more is sent but its one try."""
        return self._until.get(number, now) > now
