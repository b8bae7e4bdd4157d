"""What a running host's lines say of a turn that went onto the failed list."""

import io
from typing import Any

import pytest

from aerobot import events
from aerobot.cli.stream import Stream
from aerobot.terminal import Terminal


def shown(event: events.Event) -> list[str]:
    """The lines that an event becomes, without a terminal."""
    err = io.StringIO()
    Stream(Terminal(out=io.StringIO(), err=err, environ={}), texts=False)(event)
    return err.getvalue().splitlines()


def part(**more: Any) -> events.PartSettled:
    given = {
        "bot_id": "b", "conversation_id": 1, "turn_id": 7, "part_id": "p", "state": "failed", "kind": "text",
        "who": "31612345678", "text": "hi", "code": 131026, "error": "no WhatsApp", "remedy": "Ask.", **more,
    }  # fmt: skip
    return events.PartSettled(**given)


def turn(**more: Any) -> events.TurnEnded:
    given = {"bot_id": "b", "conversation_id": 1, "turn_id": 7, "state": "failed", "who": "31612345678"}
    return events.TurnEnded(**{**given, "error": "bot.py:31 KeyError", **more})


def receipt(**more: Any) -> events.ReceiptSeen:
    given = {"bot_id": "b", "conversation_id": 1, "wamid": "w", "status": "failed", "who": "31612345678"}
    return events.ReceiptSeen(**{**given, "code": 131026, "error": "undeliverable", "failed_turn": 7, **more})


@pytest.mark.parametrize("event", [part(), part(state="not_sent"), turn(), turn(fell_back=True), receipt()])
def test_what_goes_onto_the_failed_list_is_named_by_its_command(event: events.Event) -> None:
    """One loud line ends with what shows it; the number of the user is short."""
    first, *rest = shown(event)
    assert "x" in first or "✗" in first
    assert first.endswith("  aerobot failed show 7")
    assert not any("aerobot failed" in line for line in rest)
    assert "31612345678" not in first


@pytest.mark.parametrize("event", [
    part(channel="test"), turn(channel="test"), receipt(failed_turn=None), part(state="unknown"), part(state="waiting"),
    part(state="sent"), turn(state="ignored(silent)"),
])  # fmt: skip
def test_what_is_not_on_the_list_is_not_named(event: events.Event) -> None:
    """Tests, what is tried again, and what went well."""
    assert not any("aerobot failed" in line for line in shown(event))


def test_a_long_line_keeps_the_command_whole() -> None:
    """Where it does not fit 80 columns it stands below, to be copied."""
    lines = shown(part(error="the recipient is not among the allowed ones of the test number, nor anywhere"))
    assert lines[1] == f"{'':13}aerobot failed show 7"
    assert "aerobot failed" not in lines[0]


def test_a_bot_that_is_not_loaded_again_is_told_once() -> None:
    """The error is a sentence that names the file; what goes on meanwhile stands below it."""
    lines = shown(events.EngineReloaded(name="bot.py", error="bot.py cannot be loaded: SyntaxError. Look at bot.py:1."))
    assert lines[0].endswith("bot.py cannot be loaded: SyntaxError. Look at bot.py:1.")
    assert [line.strip() for line in lines[1:]] == ["Meanwhile the former version answers."]
    assert "".join(lines).count("loaded") == 1
