"""The one place that prints: results on stdout, talk on stderr; for people, or as JSON for programs.

Text from outside is printed with markup off and control characters escaped, so that nobody's message, name or
error can move the cursor, change a title or hide a line. Only this module knows rich, and loads it only for a terminal.
"""

import contextlib
import json
import os
import queue
import re
import shutil
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from aerobot.errors import AerobotError, ConfigError, UsageError

QUEUED_MOST = 10_000
"""Lines that may wait for a reader."""
DRAIN_SECONDS = 2.0
STEERING = frozenset(
    "\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028\u2029\u2060\u2061\u2062\u2063\u2064\u206a\u206b\u206c\u206d"
    "\u206e\u206f\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
"""Invisible characters that turn, hide or counterfeit text; the joiners inside emoji are not among them."""
MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}
ASCII_MARKS = {"ok": "+", "warning": "!", "failed": "x", "skipped": "-"}
STYLES = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}
_ANSI = {"green": "32", "yellow": "33", "red": "31", "bright_black": "90", "bold": "1", "cyan": "36"}
_TWINS = str.maketrans({"…": "...", "·": ".", "—": "-", "–": "-", "→": "->", "✓": "+", "✗": "x"})


def safe(text: str, *, lines: bool = False) -> str:
    """``text`` with everything that could steer a terminal made visible; line breaks stay only with ``lines``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character, lines) for character in text)


def _shown(character: str, lines: bool) -> str:
    if character == "\n":
        return "\n" if lines else " "
    category = unicodedata.category(character)
    turning = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    if category in ("Cc", "Cs") or character in STEERING or turning:
        return " " if character == "\t" else f"\\u{ord(character):04x}"
    return character


class Terminal:
    """Where a command talks. ``json`` turns results, events and errors into documents.

    ``quiet`` keeps talk back (results, warnings and errors are still printed), ``verbose`` adds detail.
    """

    def __init__(
        self,
        *,
        json_mode: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.json = json_mode
        self.quiet = quiet
        self.verbose = verbose
        self._out = out or sys.stdout or _nowhere()
        self._err = err or sys.stderr or _nowhere()
        self._queue: queue.Queue[tuple[TextIO, str] | None] | None = None
        self._dropped = 0
        environ = os.environ if environ is None else environ
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self.interactive = sys.stdin is not None and sys.stdin.isatty() and self._err.isatty() and not json_mode
        self.live = self._err.isatty() and not json_mode and not plain
        self._colour_out = self._out.isatty() and not plain
        self._colour_err = self._err.isatty() and not plain
        self._spinner: Any = None

    @property
    def columns(self) -> int:
        """How wide the terminal is; 80 where there is none, or what ``COLUMNS`` says."""
        return shutil.get_terminal_size().columns

    # -- talk (stderr) ------------------------------------------------------------------------------------------

    def say(self, text: str = "", *, style: str = "", hang: int = 0) -> None:
        """A line of talk; on a terminal what does not fit goes on below, ``hang`` columns in."""
        if not self.quiet and not self.json:
            self._write(self._err, text, style if self._colour_err else "", hang=hang)

    def detail(self, text: str) -> None:
        """A line of talk that only ``-v`` shows."""
        if self.verbose:
            self.say(text, style="bright_black")

    def step(self, state: str, topic: str, text: str) -> None:
        """A checked link of a chain: ``ok``, ``warning``, ``failed`` or ``skipped``, its topic, what was seen."""
        if self.json or (self.quiet and state in ("ok", "skipped")):
            return
        mark = self.painted(self.mark(state), STYLES[state], self._colour_err)
        self._write(self._err, f"  {mark} {topic:<10}{text}".rstrip(), hang=14)

    def warn(self, text: str, hint: str = "") -> None:
        """Something that should be known but stops nothing."""
        if self.json:
            self._write(self._err, json.dumps({"warning": {"message": text, "hint": hint}}))
            return
        self._write(self._err, self.painted("! ", "yellow", self._colour_err) + safe(text), hang=2)
        if hint:
            self._write(self._err, "  " + safe(hint, lines=True).replace("\n", "\n  "))

    def error(self, error: AerobotError) -> None:
        """The error boundary's words: one sentence, one remedy; a document under ``--json``."""
        if self.json:
            known = {"kind": error.kind, "message": error.message, "hint": error.hint, "code": error.code}
            each = [{"key": key, "message": words} for key, words in error.problems]
            document = {**known, "problems": each} if each else known
            self._write(self._err, _json({"error": document}))
            return
        mark = self.painted(self.mark("failed") + " ", "red", self._colour_err)
        self._write(self._err, mark + safe(error.message, lines=True), hang=2)
        if error.hint:
            self._write(self._err, "  " + safe(error.hint, lines=True).replace("\n", "\n  "), hang=2)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something takes time: a spinner on a terminal, nothing elsewhere."""
        if not self.live or self.quiet:
            yield
            return
        from rich.console import Console
        from rich.text import Text

        with Console(file=self._err).status(Text(text), spinner="dots") as self._spinner:
            try:
                yield
            finally:
                self._spinner = None

    @contextmanager
    def _spinner_aside(self) -> Iterator[None]:
        """What is said while something takes time stands on a line of its own."""
        spinner = self._spinner
        if spinner is None:
            yield
            return
        spinner.stop()
        yield
        spinner.start()

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar; the caller reports (done, total) in any unit."""
        if not self.live or self.quiet:
            yield lambda done, total: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(file=self._err), transient=True) as bar:
            task = bar.add_task(text, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)

    # -- results (stdout) ---------------------------------------------------------------------------------------

    def result(self, text: str, *, style: str = "", hang: int = 0) -> None:
        """A line of the result; nothing under ``--json``. On a terminal what does not fit goes on below."""
        if not self.json:
            self._write(self._out, text, style if self._colour_out else "", hang=hang)

    def value(self, text: str) -> None:
        """A value that gets copied: alone on its line, never wrapped, never painted."""
        if not self.json:
            self._write(self._out, safe(text))

    def document(self, value: object) -> None:
        """The one result document of ``--json``; nothing otherwise."""
        if self.json:
            self._write(self._out, _json(value, indent=2))

    def line(self, value: Mapping[str, object]) -> None:
        """One JSON line of a stream, ASCII alone, flushed."""
        self._write(self._out, json.dumps(value, default=str))

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table for people; cells are text from outside and shown literally."""
        if self.json:
            return
        clean = [[safe(cell) for cell in row] for row in rows]
        widths = [max([_width(h), *(_width(row[i]) for row in clean)]) for i, h in enumerate(headers)]
        self._row([self.painted(_padded(h, w), "bold", self._colour_out) for h, w in zip(headers, widths, strict=True)])
        for row in clean:
            self._row([_padded(cell, width) for cell, width in zip(row, widths, strict=True)])

    def _row(self, cells: Sequence[str]) -> None:
        self._write(self._out, "  ".join(cells).rstrip())

    # -- questions ----------------------------------------------------------------------------------------------

    def ask(self, question: str, *, hidden: bool = False, default: str = "") -> str:
        """Ask on a terminal; elsewhere a ``UsageError``, for nobody would answer."""
        if not self.interactive:
            raise UsageError(f"{question}: there is no terminal to ask on.", "Give it by a flag or the environment.")
        prompt = f"{question}{f' [{default}]' if default else ''}: "
        if hidden:
            import getpass

            answer = getpass.getpass(prompt, stream=self._err)
        else:
            self._err.write(prompt)
            self._err.flush()
            line = sys.stdin.readline()
            if not line:
                raise KeyboardInterrupt
            answer = line
        return answer.strip() or default

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """A yes-or-no question; without a terminal a ``UsageError`` that names ``--yes``."""
        if not self.interactive:
            raise UsageError(f"{question} There is no terminal to ask on.", "Add --yes if you mean it.")
        answer = self.ask(f"{question} [{'Y/n' if default else 'y/N'}]").lower()
        return default if not answer else answer in ("y", "yes")

    def choose(self, question: str, options: Sequence[tuple[str, str]]) -> str:
        """Pick one of (value, label) by its number."""
        for number, (_, label) in enumerate(options, 1):
            self._write(self._err, f"  {number}  {safe(label)}")
        while True:
            answer = self.ask(question, default="1")
            if answer.isdigit() and 1 <= int(answer) <= len(options):
                return options[int(answer) - 1][0]
            self._write(self._err, f"  A number from 1 to {len(options)}, please.")

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Write from a thread of its own meanwhile: a reader that stops reading holds nobody up.

        What does not fit the queue is dropped and counted; at the end what is left gets two seconds.
        """
        waiting: queue.Queue[tuple[TextIO, str] | None] = queue.Queue(QUEUED_MOST)
        self._queue = waiting
        thread = threading.Thread(target=self._write_beside, args=(waiting,), name="aerobot-terminal", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._queue = None
            with contextlib.suppress(queue.Full):
                waiting.put(None, timeout=DRAIN_SECONDS)
                thread.join(DRAIN_SECONDS)

    def _write_beside(self, waiting: "queue.Queue[tuple[TextIO, str] | None]") -> None:
        while (item := waiting.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                _put(item[0], f"({dropped} lines dropped: nobody read them)\n")
            _put(*item)

    # -- how it looks -------------------------------------------------------------------------------------------

    def mark(self, state: str) -> str:
        """The mark of a state: one character, ASCII where the terminal knows no more."""
        return (MARKS if _unicode(self._err) else ASCII_MARKS)[state]

    def painted_mark(self, state: str) -> str:
        """The mark of a state in its colour."""
        return self.painted(self.mark(state), STYLES[state], self._colour_err)

    def faint(self, text: str) -> str:
        """Talk that may be overlooked."""
        return self.painted(text, "bright_black", self._colour_err)

    @staticmethod
    def painted(text: str, style: str, colour: bool) -> str:
        """``text`` in a colour, or as it is."""
        return f"\x1b[{_ANSI[style]}m{text}\x1b[0m" if colour and style else text

    @staticmethod
    def nowhere() -> TextIO:
        """A stream that keeps nothing, for where one was closed before we began."""
        return _nowhere()

    @property
    def colour(self) -> bool:
        """Whether results may be painted."""
        return self._colour_out

    def _write(self, stream: TextIO, text: str, style: str = "", *, hang: int = 0) -> None:
        if hang and stream.isatty():
            width = shutil.get_terminal_size().columns
            text = "\n".join(folded(line, width, hang) for line in text.split("\n"))
        text = self.painted(text, style, bool(style))
        if not _unicode(stream):
            text = text.translate(_TWINS)
        encoding = getattr(stream, "encoding", None) or "utf-8"
        line = text.encode(encoding, "backslashreplace").decode(encoding) + "\n"
        if self._queue is None:
            with self._spinner_aside():
                problem = _put(stream, line)
            if problem is not None and stream is self._out and not isinstance(problem, BrokenPipeError):
                raise ConfigError(f"The output cannot be written: {problem.strerror}.", "Is the disk full?")
            return
        try:
            self._queue.put_nowait((stream, line))
        except queue.Full:
            self._dropped += 1


def _json(value: object, *, indent: int | None = None) -> str:
    """A document that people can read too: what would steer a terminal is escaped, as JSON escapes it."""
    return safe(json.dumps(value, ensure_ascii=False, indent=indent, default=str), lines=True)


def _put(stream: TextIO, line: str) -> OSError | None:
    """Write and flush. A stream that takes no more (its reader left, its disk is full) is let go; returns why."""
    try:
        stream.write(line)
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _nowhere() -> TextIO:
    """For a stream that was closed before we began."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def folded(line: str, width: int, hang: int) -> str:
    """``line`` broken between words where it is wider than ``width``; what follows is ``hang`` columns in.

    A word is never broken, so that addresses and ids stay whole; our own colours take no room.
    """
    hang = min(hang, width // 3)
    rows: list[str] = []
    row, *words = line.split(" ")
    used = _seen(row)
    for word in words:
        size = _seen(word)
        if word and row.strip() and used + 1 + size > width:
            rows.append(row.rstrip())
            row, used = " " * hang + word, hang + size
        else:
            row, used = f"{row} {word}", used + 1 + size
    return "\n".join([*rows, row.rstrip()])


def _seen(text: str) -> int:
    return _width(_ESCAPE.sub("", text))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
