"""When a failed call is repeated: values in, a decision out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerobot.errors import Repeat
from aerobot.retry import decide, doubt


@pytest.mark.parametrize("repeat", [Repeat.NEVER, Repeat.AMBIGUOUS, Repeat.BLOCKED])
def test_only_safe_failures_are_repeated(repeat: Repeat) -> None:
    """Ambiguous ones must be settled first, blocked ones wait for their number, the rest would fail again."""
    decision = decide(repeat, 1, now=1000.0, random=0.5, retry_after=3.0)
    assert decision.at is None
    assert repeat.value in decision.reason


@pytest.mark.parametrize(("attempt", "wait"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0)])
def test_each_wait_is_twice_the_one_before_up_to_a_cap(attempt: int, wait: float) -> None:
    """With the dice at their end the whole wait is taken, with the dice at zero half of it."""
    assert decide(Repeat.SAFE, attempt, now=1000.0, random=1.0).at == 1000.0 + wait
    assert decide(Repeat.SAFE, attempt, now=1000.0, random=0.0).at == 1000.0 + wait / 2


def test_it_ends() -> None:
    """The last attempt is not followed by another."""
    assert decide(Repeat.SAFE, 7, now=0.0, random=0.5).at is not None
    last = decide(Repeat.SAFE, 8, now=0.0, random=0.5)
    assert last.at is None
    assert "8 attempts" in last.reason
    assert decide(Repeat.SAFE, 2, now=0.0, random=0.5, attempts=2).at is None


@pytest.mark.parametrize(("retry_after", "wait"), [(None, 0.75), (0.0, 0.75), (0.5, 0.75), (7.0, 7.0), (900.0, 900.0)])
def test_a_remotes_own_wait_is_the_least(retry_after: float | None, wait: float) -> None:
    """``Retry-After`` is obeyed even beyond the cap, and never shortens our own wait."""
    assert decide(Repeat.SAFE, 1, now=10.0, random=0.5, retry_after=retry_after).at == 10.0 + wait


@given(
    attempt=st.integers(1, 5000),
    random=st.floats(0, 1, exclude_max=True),
    now=st.floats(0, 1e12),
    cap=st.floats(1, 3600),
)
def test_whatever_comes_the_wait_is_within_bounds(attempt: int, random: float, now: float, cap: float) -> None:
    """Never earlier than now, never later than the cap, and no attempt is too many to decide about."""
    decision = decide(Repeat.SAFE, attempt, now=now, random=random, cap=cap, attempts=10_000)
    assert decision.at is not None
    assert now <= decision.at <= now + cap + 1e-3


def test_the_herd_is_spread() -> None:
    """Different dice give different times."""
    assert len({decide(Repeat.SAFE, 3, now=0.0, random=n / 10).at for n in range(10)}) == 10


@pytest.mark.parametrize(
    ("unknowns", "least", "most"), [(1, 20, 20), (2, 20, 40), (3, 40, 80), (4, 60, 120), (99, 60, 120)]
)
def test_a_doubt_waits_longer_each_time(unknowns: int, least: float, most: float) -> None:
    """Never shorter than a status needs, spread by chance, and at most two minutes: what healed is seen soon."""
    assert doubt(unknowns, random=0.0) == least
    assert doubt(unknowns, random=1.0) == most


@given(unknowns=st.integers(0, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_a_doubt_waits_within_bounds(unknowns: int, random: float) -> None:
    """However often the outcome was unknown."""
    assert 20 <= doubt(unknowns, random=random) <= 120
