"""The drills of tests/drills run, and their figures are good: here with small counts, by hand with large ones."""

import pytest

from tests.drills import connections, mutants


def test_a_crowd_of_silent_connections(capsys: pytest.CaptureFixture[str]) -> None:
    """With a real host and three times as many callers as it has places, every delivery is answered and stored."""
    assert connections.main(["--count", "1200", "--deliveries", "20", "--max-connections", "400"]) == 0
    said = capsys.readouterr().out
    assert said.count("20 of 20 answered 200") == 3
    assert "because more than 400 were open" in said


def test_mutated_bodies(capsys: pytest.CaptureFixture[str]) -> None:
    """All answered, all kept, no sibling lost, and the figures say so."""
    assert mutants.main(["--count", "200", "--seed", "3"]) == 0
    assert "answers     {200: 200}; deliveries kept: 200 of 200" in capsys.readouterr().out
