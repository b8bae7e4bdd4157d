"""Help pages: plain text of at most 80 columns, examples first, commands before options; words stay whole."""

import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

EVERYWHERE = "Everywhere"
"""The panel of the options that every command has; it comes last."""
NARROW, NARROWEST = 60, 24
"""Columns: below the first what a name means stands under it; no line is made for less than the second."""
LONGEST_NAME = 28


def _write_page(command: Any, context: Any, formatter: Any) -> None:
    """Usage, words, examples, then one section for each panel."""
    formatter.width = max(NARROWEST, min(formatter.width, shutil.get_terminal_size().columns))
    command.format_usage(context, formatter)
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        _write_paragraph(formatter, paragraph)
    if isinstance(command, TyperGroup):
        _write_panels(formatter, _commands(command, context))
    _write_panels(formatter, _parameters(command, context))


def _write_paragraph(formatter: Any, paragraph: str) -> None:
    if paragraph == "Examples:":
        _write_heading(formatter, "Examples")
    elif paragraph.startswith("  $ "):
        formatter.write(paragraph + "\n")
    elif paragraph:
        formatter.write("\n" + _filled(paragraph, formatter.width) + "\n")


def _commands(group: TyperGroup, context: Any) -> Iterable[tuple[str, tuple[str, str]]]:
    listed = [group.get_command(context, name) for name in group.list_commands(context)]
    shown = [command for command in listed if command is not None and not command.hidden]
    width = max((len(command.name or "") for command in shown), default=0)
    return [(_panel(c, "Commands"), (f"{c.name:<{width}}", c.short_help or "")) for c in shown]


def _parameters(command: Any, context: Any) -> Iterable[tuple[str, tuple[str, str]]]:
    records = []
    for parameter in command.get_params(context):
        if isinstance(parameter, TyperArgument):
            records.append((_panel(parameter, "Arguments"), (_bare_name(parameter), parameter.help or "")))
        elif (record := parameter.get_help_record(context)) is not None:
            records.append((_panel(parameter, "Options"), record))
    return sorted(records, key=lambda record: (record[0] == EVERYWHERE, record[0] != "Arguments"))


def _panel(item: Any, usual: str) -> str:
    return getattr(item, "rich_help_panel", None) or usual


def _write_panels(formatter: Any, records: Iterable[tuple[str, tuple[str, str]]]) -> None:
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, record in records:
        panels.setdefault(panel, []).append(record)
    for panel, rows in panels.items():
        _write_heading(formatter, panel)
        _write_rows(formatter, rows)


def _write_rows(formatter: Any, rows: list[tuple[str, str]]) -> None:
    """Names and meanings in two columns; on a narrow terminal each meaning below its name."""
    narrow = formatter.width < NARROW
    longest = max(len(name) for name, _ in rows)
    column = 6 if narrow else min(longest, LONGEST_NAME) + 4
    for name, meaning in rows:
        if narrow or len(name) + 4 > column:
            formatter.write(_broken(name.rstrip(), formatter.width) + "\n")
            head = " " * column
        else:
            head = f"  {name}".ljust(column)
        if meaning:
            formatter.write(_filled(meaning, formatter.width, head, " " * column) + "\n")
        elif head.strip():
            formatter.write(head.rstrip() + "\n")


def _broken(name: str, width: int) -> str:
    """A name two columns in; choices that do not fit go on below, after a bar."""
    rows = ["  "]
    for piece in re.findall(r"[^|]*\|?", name):
        if len(rows[-1]) + len(piece) > width and rows[-1].strip() and "|" in name:
            rows.append("      ")
        rows[-1] += piece
    return "\n".join(rows)


def _filled(text: str, width: int, first: str = "", rest: str = "") -> str:
    """A paragraph in lines of whole words."""
    words = " ".join(text.split())
    return textwrap.fill(
        words,
        max(width, len(rest) + 12),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _write_heading(formatter: Any, text: str) -> None:
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    formatter.write(f"\n\x1b[1m{text}\x1b[0m\n" if bold else f"\n{text}\n")


def _bare_name(argument: TyperArgument) -> str:
    return (argument.metavar or argument.name).strip("[]").upper()


def _usage_name(argument: TyperArgument) -> str:
    name = _bare_name(argument) + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


class _Page:
    """What a command and a group have in common."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        _write_page(self, ctx, formatter)

    def collect_usage_pieces(self: Any, ctx: Any) -> list[str]:
        """The usage line after the command's name: options, arguments, subcommand."""
        names = [_usage_name(p) for p in self.get_params(ctx) if isinstance(p, TyperArgument)]
        inner = [self.subcommand_metavar] if isinstance(self, TyperGroup) else []
        return [self.options_metavar, *names, *inner]


class Command(_Page, TyperCommand):
    """A command whose help is such a page."""


class Group(_Page, TyperGroup):
    """A group of commands whose help is such a page."""
