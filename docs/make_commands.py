"""Writes docs/commands.md from the help pages themselves: `python docs/make_commands.py`."""

import os
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("commands.md")
HEAD = """\
# Commands

The help page of each command, as `aerobot COMMAND --help` prints it. Written by `docs/make_commands.py`; a test keeps
it true. Before and after every command stand: `--json`, `-p/--profile NAME`, `--config FILE`, `-q/--quiet`,
`-v/--verbose`, `--debug`, `-h/--help`.
"""


def commands() -> dict[str, Any]:
    """Every command by its full name, in the order of the help page."""
    import typer

    from aerobot.cli.app import assembled

    found: dict[str, Any] = {}
    root = typer.main.get_command(assembled())
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None:
            found[name] = command
        else:
            found.update({f"{name} {child}": inner[child] for child in inner})
    return found


def page() -> str:
    """The whole document."""
    import typer

    os.environ.update(COLUMNS="80", NO_COLOR="1")
    parts = [HEAD]
    for name, command in commands().items():
        context = typer.Context(
            command,
            info_name=f"aerobot {name}",
            terminal_width=80,
            max_content_width=80,
            help_option_names=["-h", "--help"],
        )
        text = command.get_help(context).partition("\nEverywhere\n")[0].strip()
        parts.append(f"\n## aerobot {name}\n\n```text\n{text}\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
