"""The circuit of a number: when it rests, for how long, and what ends that."""

import pytest

from aerobot.circuit import BASE, MOST, OPENS_AFTER, Circuits


def fail(circuits: Circuits, *conversations: int, now: float = 0.0, **more: float | bool) -> list[float | None]:
    return [circuits.failed("n", one, now=now, random=more.get("random", 0.0), **_rest(more)) for one in conversations]


def _rest(more: dict[str, float | bool]) -> dict[str, float | bool]:
    return {key: value for key, value in more.items() if key != "random"}


def test_it_opens_after_so_many_conversations() -> None:
    """The last of them makes the number rest; those that were on their way meanwhile change nothing."""
    circuits = Circuits()
    assert fail(circuits, *range(OPENS_AFTER)) == [None] * (OPENS_AFTER - 1) + [BASE / 2]
    assert circuits.rests("n", BASE / 2 - 0.01)
    assert not circuits.rests("n", BASE / 2)
    assert not circuits.rests("other", 0)
    assert fail(circuits, 100, now=0.5) == [None]


def test_one_conversation_does_not() -> None:
    """However often it fails."""
    assert set(fail(Circuits(), *[1] * 50)) == {None}


def test_a_success_begins_anew() -> None:
    """Failures count only in a row."""
    circuits = Circuits()
    fail(circuits, *range(OPENS_AFTER - 1))
    circuits.worked("n", 7)
    assert set(fail(circuits, *range(OPENS_AFTER - 1))) == {None}


def test_each_try_in_vain_doubles_the_rest() -> None:
    """Up to the longest; chance spreads each between a half and the whole."""
    circuits = Circuits()
    tries = [fail(circuits, 1, probing=True, random=0.999)[0] or 0 for _ in range(8)]
    assert tries[:4] == pytest.approx([2, 4, 8, 16], rel=0.01)
    assert tries[-1] == pytest.approx(MOST, rel=0.01)
    assert fail(circuits, 1, probing=True) == [MOST / 2]


@pytest.mark.parametrize(("wish", "rest"), [(0.1, BASE / 2), (120, 120), (1e9, 3600)])
def test_metas_own_wish_is_the_least(wish: float, rest: float) -> None:
    """Retry-After is followed, up to an hour."""
    assert fail(Circuits(), 1, probing=True, retry_after=wish) == [rest]


# -- whose fault an unknown outcome is -------------------------------------------------------------------------


def doubt(circuits: Circuits, *conversations: int) -> list[int]:
    for one in conversations:
        circuits.doubted("n", one)
        fail(circuits, one)
    return [circuits.blamed(one) for one in conversations]


def test_a_graph_that_works_for_nobody_is_not_a_conversations_fault() -> None:
    """The first doubt might be its own; later ones count only where something went well in between."""
    circuits = Circuits()
    for _ in range(20):
        assert doubt(circuits, 1, 2) == [1, 1]


def test_a_conversation_that_fails_while_others_succeed_is_at_fault() -> None:
    """Each time counts; that of another number or another conversation does not."""
    circuits = Circuits()
    for times in range(1, 8):
        circuits.worked("n", 2)
        assert doubt(circuits, 1) == [times]
    assert circuits.blamed(2) == 0
    circuits.worked("other", 3)
    assert doubt(circuits, 1) == [7]


def test_what_is_settled_is_forgiven() -> None:
    """A success of its own, or the end of its part: the next part begins anew."""
    circuits = Circuits()
    doubt(circuits, 1)
    circuits.worked("n", 1)
    assert circuits.blamed(1) == 0
    doubt(circuits, 1)
    circuits.settled(1)
    assert circuits.blamed(1) == 0


def test_a_refusal_counts_as_a_failure_in_between() -> None:
    """A 429 and then a reset, with no success between: Graph's trouble, whatever its form."""
    circuits = Circuits()
    fail(circuits, 1)
    assert doubt(circuits, 1) == [0]
