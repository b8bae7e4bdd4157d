"""Fresh ids: with a seed the n-th of its kind is always the same one, whatever else happens in between."""

from collections.abc import Mapping
from random import Random, SystemRandom


class Ids:
    """Dice for each kind of id; ``counts`` says how many there were, so that a kept state goes on after them."""

    def __init__(self, seed: int | None, counts: Mapping[str, int] | None = None) -> None:
        self.seed = seed
        self.counts: dict[str, int] = dict(counts or {})

    def dice(self, kind: str) -> Random:
        """The dice for the next id of this kind (``message``, ``media``, ``trace`` …)."""
        number = self.counts[kind] = self.counts.get(kind, 0) + 1
        return SystemRandom() if self.seed is None else Random(f"{self.seed} {kind} {number}")  # noqa: S311
