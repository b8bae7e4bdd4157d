"""What a verdict means to whoever waited for it."""

import pytest

from aerobot import probe
from aerobot.errors import NoReplyError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"code": 131030, "title": "Not allowed"}, "The reply was not delivered: 131030 Not allowed."),
        ({"code": None, "title": "Graph answered 404"}, "The reply was not delivered: Graph answered 404."),
        (None, "The reply was not delivered: unknown."),
    ],
)
def test_a_reply_that_failed_names_the_code_once(error: object, words: str) -> None:
    """Meta's code and its meaning, where there is one."""
    verdict = {"stored": True, "settled": True, "parts": [{"state": "failed", "error": error}]}
    with pytest.raises(NoReplyError) as raised:
        probe.judged(verdict, waited=1)
    assert raised.value.message == words
