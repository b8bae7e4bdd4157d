"""When to try again, decided from values alone: it reads no clock and rolls no dice."""

from dataclasses import dataclass

from aerobot.errors import Repeat

RETRY_AFTER_MOST = 3600.0
"""A remote's own wish is followed up to an hour: a longer one is a mistake, or a trap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with a call that failed: ``at`` is when to repeat it (the unit of ``now``), ``None`` is never."""

    at: float | None
    reason: str


def decide(
    repeat: Repeat,
    attempt: int,
    *,
    now: float,
    random: float,
    retry_after: float | None = None,
    base: float = 1.0,
    cap: float = 60.0,
    attempts: int = 8,
) -> Decision:
    """Decide what follows a failure.

    ``attempt`` counts from 1 and includes the one that failed; ``random`` is a number in [0, 1) that spreads
    the herd: the wait is between a half and the whole of ``base * 2**(attempt - 1)`` seconds, at most ``cap``.
    A remote's own ``retry_after`` (seconds, at most an hour) is the least that is waited. Only *safe* failures are
    repeated here: an *ambiguous* one must be settled by its caller first, a *blocked* one waits for its number.
    """
    if repeat is not Repeat.SAFE:
        return Decision(at=None, reason=f"not repeated: {repeat.value}")
    if attempt >= attempts:
        return Decision(at=None, reason=f"given up after {attempt} attempts")
    wait = min(cap, base * 2.0 ** min(attempt - 1, 60)) * (0.5 + random / 2)
    if retry_after is not None:
        wait = max(wait, min(retry_after, RETRY_AFTER_MOST))
    return Decision(at=now + wait, reason=f"again in {wait:.1f} s")


def doubt(unknowns: int, *, random: float, base: float = 20.0, cap: float = 120.0) -> float:
    """How long a part whose outcome was unknown so often waits for a status that settles it, in seconds.

    At least ``base``, in which a status comes if Graph took the part; else as ``decide`` waits. Each repeat may be a
    double, so they grow seldom; ``cap`` is how late it may be seen that Graph works again.
    """
    return max(base, min(cap, base * 2.0 ** min(unknowns - 1, 60)) * (0.5 + random / 2))
