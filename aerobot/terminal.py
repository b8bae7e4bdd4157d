"""The one place that prints: results on stdout, talk on stderr; rich on a terminal, plain text elsewhere, JSON on demand.

Text from outside is printed with markup off and control characters escaped, so that nobody's message, name or
error can move the cursor, change a title or hide a line. Only this module knows rich, and loads it only for a terminal.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from aerobot.errors import AerobotError, UsageError

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
    if category in ("Cc", "Cs") or character in "\u2028\u2029\u061c" or "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069":
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
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        environ = os.environ if environ is None else environ
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self.interactive = sys.stdin.isatty() and self._err.isatty() and not json_mode
        self.live = self._err.isatty() and not json_mode and not plain
        self._colour_out = self._out.isatty() and not plain
        self._colour_err = self._err.isatty() and not plain

    # -- talk (stderr) ------------------------------------------------------------------------------------------

    def say(self, text: str = "", *, style: str = "") -> None:
        """A line of talk."""
        if not self.quiet and not self.json:
            self._write(self._err, text, style if self._colour_err else "")

    def detail(self, text: str) -> None:
        """A line of talk that only ``-v`` shows."""
        if self.verbose:
            self.say(text, style="bright_black")

    def step(self, state: str, topic: str, text: str) -> None:
        """A checked link of a chain: ``ok``, ``warning``, ``failed`` or ``skipped``, its topic, what was seen."""
        if self.json or (self.quiet and state in ("ok", "skipped")):
            return
        mark = self.painted(self.mark(state), STYLES[state], self._colour_err)
        self._write(self._err, f"  {mark} {topic:<10}{text}".rstrip())

    def warn(self, text: str, hint: str = "") -> None:
        """Something that should be known but stops nothing."""
        if self.json:
            self._write(self._err, json.dumps({"warning": {"message": text, "hint": hint}}))
            return
        self._write(self._err, self.painted("! ", "yellow", self._colour_err) + safe(text))
        if hint:
            self._write(self._err, "  " + safe(hint, lines=True).replace("\n", "\n  "))

    def error(self, error: AerobotError) -> None:
        """The error boundary's words: one sentence, one remedy; a document under ``--json``."""
        if self.json:
            document = {"kind": error.kind, "message": error.message, "hint": error.hint, "code": error.code}
            self._write(self._err, json.dumps({"error": document}, ensure_ascii=False))
            return
        mark = self.painted(self.mark("failed") + " ", "red", self._colour_err)
        self._write(self._err, mark + safe(error.message, lines=True))
        if error.hint:
            self._write(self._err, "  " + safe(error.hint, lines=True).replace("\n", "\n  "))

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something takes time: a spinner on a terminal, nothing elsewhere."""
        if not self.live or self.quiet:
            yield
            return
        from rich.console import Console
        from rich.text import Text

        with Console(file=self._err).status(Text(text), spinner="dots"):
            yield

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

    def result(self, text: str, *, style: str = "") -> None:
        """A line of the result; nothing under ``--json``."""
        if not self.json:
            self._write(self._out, text, style if self._colour_out else "")

    def value(self, text: str) -> None:
        """A value that gets copied: alone on its line, never wrapped, never painted."""
        if not self.json:
            self._write(self._out, safe(text))

    def document(self, value: object) -> None:
        """The one result document of ``--json``; nothing otherwise."""
        if self.json:
            self._write(self._out, json.dumps(value, ensure_ascii=False, indent=2, default=str))

    def line(self, value: Mapping[str, object]) -> None:
        """One JSON line of a stream, ASCII alone, flushed."""
        self._write(self._out, json.dumps(value, default=str))
        self._out.flush()

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

    @property
    def colour(self) -> bool:
        """Whether results may be painted."""
        return self._colour_out

    def _write(self, stream: TextIO, text: str, style: str = "") -> None:
        text = self.painted(text, style, bool(style))
        if not _unicode(stream):
            text = text.translate(_TWINS)
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            stream.flush()
        except BrokenPipeError:
            _swallow(stream)


def _swallow(stream: TextIO) -> None:
    """The reader went away (`| head`): point the descriptor at nothing, so that the exit stays quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
