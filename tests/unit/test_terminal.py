"""The terminal: nothing from outside can steer it, and programs get documents."""

import io
import json
from collections.abc import Iterator

import pytest

from aerobot import events
from aerobot.cli.stream import Stream, show_parts
from aerobot.errors import ConfigError
from aerobot.terminal import Terminal, folded, safe

HOSTILE = "\x1b[31m[/b][red]\x1b]0;owned\x07\x00\u202egnp\u2066 \x9b2J\r\n\ud800 tab\there"


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def terminal(*, json_mode: bool = False, quiet: bool = False, encoding: str = "utf-8") -> tuple[Terminal, Tty, Tty]:
    out, err = Tty(encoding), Tty(encoding)
    return Terminal(json_mode=json_mode, quiet=quiet, out=out, err=err, environ={"NO_COLOR": "1"}), out, err


def steers(text: str) -> bool:
    """Whether printed text holds something that a terminal would obey."""
    return any(c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2066") for c in text)


def test_safe_shows_what_would_steer() -> None:
    """Control characters, directional overrides and lone surrogates become visible; markup stays literal."""
    shown = safe(HOSTILE)
    assert not steers(shown)
    assert "[/b][red]" in shown
    assert "\\u001b[31m" in shown
    assert "\n" not in shown
    assert safe("a\nb", lines=True) == "a\nb"
    assert safe("Grüße 👩‍👩‍👧‍👦") == "Grüße 👩‍👩‍👧‍👦"


@pytest.mark.parametrize("hidden", "\u00ad\u061c\u115f\u180e\u200b\u2063\u206a\u3164\ufeff\uffa0\ufff9")
def test_what_is_not_seen_is_shown(hidden: str) -> None:
    """Characters without a look of their own, by which two names look alike, stand there as escapes."""
    assert safe(f"Ana{hidden}") == f"Ana\\u{ord(hidden):04x}"


def test_documents_and_errors_cannot_steer() -> None:
    """JSON on a terminal: what would steer it is escaped inside the strings, and the document says the same."""
    screen, out, err = terminal(json_mode=True)
    screen.document({"name": HOSTILE, HOSTILE: ["\u202e", "Grüße\n"]})
    screen.error(ConfigError(HOSTILE, HOSTILE, problems=[(HOSTILE, HOSTILE)]))
    assert not steers(out.getvalue() + err.getvalue())
    assert json.loads(out.getvalue()) == {"name": HOSTILE, HOSTILE: ["\u202e", "Grüße\n"]}
    assert json.loads(err.getvalue())["error"]["message"] == HOSTILE
    assert "Grüße" in out.getvalue()


def test_a_long_text_costs_no_more_than_its_line() -> None:
    """Of three million characters only those that are shown are looked at, or every other user would wait."""

    class Counted(str):
        """Counts how much of it was taken."""

        taken = 0

        def __getitem__(self, key: object) -> str:
            part = super().__getitem__(key)  # type: ignore[index]
            Counted.taken += len(part)
            return part

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all of it was looked at")

    screen, _, err = terminal()
    text = Counted("\u202e" * 3_000_000)
    Stream(screen, texts=True)(
        events.MessageReceived(
            bot_id="b", conversation_id=1, message_id="m", kind=text, who=text, name=text, text=text, state="queued",
            channel="whatsapp",
        )
    )  # fmt: skip
    assert Counted.taken < 1000
    assert "\\u202e" in err.getvalue()


def test_hostile_events_cannot_steer() -> None:
    """Text, name, kind, number, error and remedy of every event are printed harmlessly."""
    screen, out, err = terminal()
    show = Stream(screen, texts=True)
    show(
        events.MessageReceived(
            bot_id="b", conversation_id=1, message_id=HOSTILE, kind=HOSTILE, who=HOSTILE, name=HOSTILE, text=HOSTILE,
            state=f"ignored({HOSTILE})", channel="whatsapp",
        )
    )  # fmt: skip
    show(
        events.PartSettled(
            bot_id="b", conversation_id=1, turn_id=1, part_id="p", state="failed", kind="text", who=HOSTILE,
            text=HOSTILE, error=HOSTILE, remedy=HOSTILE, code=1,
        )
    )  # fmt: skip
    show(
        events.PartSettled(
            bot_id="b", conversation_id=1, turn_id=1, part_id="p", state="sent", kind="text", who="", text=HOSTILE
        )
    )
    show(events.TurnEnded(bot_id="b", conversation_id=1, turn_id=1, state="failed", who=HOSTILE, error=HOSTILE))
    show(events.Recorded(bot_id="b", what=HOSTILE, note=HOSTILE))
    show(events.Rejected(status=403, reason=HOSTILE, remedy=HOSTILE))
    show(events.Notice(level="warning", topic="x", detail=HOSTILE))
    show(events.EngineReloaded(name="bot.py", error=HOSTILE))
    show(events.NumberPaused(bot_id="b", code=190, error=HOSTILE, remedy=HOSTILE))
    screen.error(ConfigError(HOSTILE, HOSTILE))
    screen.warn(HOSTILE, HOSTILE)
    screen.table(["a"], [[HOSTILE]])
    show_parts(screen, [{"kind": "text", "text": HOSTILE, "body": {}}])
    assert not steers(out.getvalue() + err.getvalue())
    assert "[/b][red]" in err.getvalue()


def test_customers_texts_stay_out_of_json() -> None:
    """Without --texts, what customers wrote and are called is left out of the stream."""
    message = events.MessageReceived(
        bot_id="b", conversation_id=1, message_id="m", kind="text", who="15551234821", name="Ana", text="secret wish",
        state="queued", channel="whatsapp",
    )  # fmt: skip
    ready = events.Ready(
        engine="echo", profile=None, webhook_url="u", public_url=None, private_url="p", bots=("b",), number=None
    )
    for texts in (False, True):
        screen, out, _ = terminal(json_mode=True)
        show = Stream(screen, texts=texts)
        show(message)
        show(ready)
        show(message)
        lines = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [line["event"] for line in lines] == ["ready", "message", "message"], "ready comes first"
        assert lines[0]["public_url"] is None
        assert ("secret wish" in out.getvalue()) is texts
        assert ("Ana" in out.getvalue()) is texts


def test_errors_under_json_are_a_document() -> None:
    """An error is {"error": {kind, message, hint, code}} on stderr; nothing is on stdout."""
    screen, out, err = terminal(json_mode=True)
    screen.error(ConfigError("No.", "Yes."))
    assert json.loads(err.getvalue()) == {"error": {"kind": "config", "message": "No.", "hint": "Yes.", "code": 3}}
    assert out.getvalue() == ""


def test_quiet_keeps_talk_back_but_not_results() -> None:
    """-q drops talk; results, warnings and errors stay."""
    screen, out, err = terminal(quiet=True)
    screen.say("talk")
    screen.step("ok", "topic", "fine")
    screen.result("result")
    screen.warn("careful")
    assert out.getvalue() == "result\n"
    assert err.getvalue() == "! careful\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_ascii_twins(encoding: str) -> None:
    """Marks and dots have ASCII twins; other characters are escaped, never an error."""
    screen, out, err = terminal(encoding=encoding)
    screen.step("ok", "topic", "··4821 → x…")
    screen.result("😀")
    err.getvalue().encode(encoding)
    assert err.getvalue() == "  + topic     ..4821 -> x...\n"
    assert out.getvalue() == "\\U0001f600\n"


def test_folding_keeps_words_and_indents() -> None:
    """A line is broken between words, never inside one; leading and inner spaces stay, colours take no room."""
    assert folded("<-- text  one two three", 15, 10) == "<-- text  one\n     two three"
    assert folded("  a  b", 80, 4) == "  a  b"
    assert folded("  \x1b[32m✓\x1b[0m ab", 6, 4) == "  \x1b[32m✓\x1b[0m ab"
    address = "http://127.0.0.1:8460/" + "x" * 40
    assert address in folded(f"at {address} now", 20, 2).split()
    assert folded("日本語 日本語", 10, 2) == "日本語\n  日本語"
    assert folded("", 80, 3) == ""
