"""The command line as a whole: its panels, its first words, and the one error boundary."""

import sys
import traceback
from collections.abc import Sequence

import typer

from aerobot import __version__
from aerobot.cli.command import CONTEXT, Config, Debug, Json, Profile, Quiet, Shared, Verbose, take_shared
from aerobot.cli.help import Group
from aerobot.cli.usage import check_text, in_our_words
from aerobot.errors import INTERRUPTED, UNEXPECTED, AerobotError, UsageError
from aerobot.terminal import Terminal

FIRST = """\
Three ways to start:
  aerobot sandbox    a bot that answers, on this machine, without any account
  aerobot init       your Meta and Aerostack credentials, asked for and kept
  aerobot login      your Aerostack account
"""


def _root(
    context: typer.Context,
    json_: Json = False,
    profile: Profile = None,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    version: bool = typer.Option(False, "--version", help="Print the version.", rich_help_panel="Everywhere"),
) -> None:
    context.obj = Shared()
    given = {"json_": json_, "profile": profile, "config": config, "quiet": quiet, "verbose": verbose, "debug": debug}
    take_shared(context, given)
    if version:
        typer.echo(f"aerobot {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(FIRST)
        typer.echo(context.get_help())


def assembled() -> typer.Typer:
    """All commands, each registered by its module, in the order of the help page."""
    from aerobot.cli import (
        activate,
        ask,
        bots,
        configure,
        conversations,
        create,
        db,
        doctor,
        emulator,
        failed,
        login,
        phone,
        run,
        sandbox,
        send,
        send_test,
        status,
        templates,
        webhook,
    )

    app = typer.Typer(
        name="aerobot",
        cls=Group,
        help="Create, test and run WhatsApp bots for Aerostack.",
        context_settings=dict(CONTEXT),
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_root)
    for module in (
        sandbox, configure, login, create, activate, ask, bots, run, send_test, emulator, phone, send, webhook,
        templates, doctor, status, failed, conversations, db,
    ):  # fmt: skip
        module.register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the only place where errors become words."""
    app = assembled()
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    flags = set(arguments)
    json_mode, debug = "--json" in flags, "--debug" in flags
    try:
        check_text(arguments)
        code = app(args=list(arguments), prog_name="aerobot", standalone_mode=False)
        return int(code or 0)
    except AerobotError as error:
        if debug:
            traceback.print_exc()
        Terminal(json_mode=json_mode).error(error)
        return error.code
    except typer.TyperException as error:
        return _usage(error, json_mode)
    except (KeyboardInterrupt, typer.Abort):
        if not json_mode:
            sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        name = type(error).__name__
        Terminal(json_mode=json_mode).error(
            AerobotError(f"Something unforeseen happened: {name}: {error}", "--debug shows where; please report it.")
        )
        return UNEXPECTED


def _usage(error: typer.TyperException, json_mode: bool) -> int:
    message = error.format_message().strip()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "aerobot"
    if not message:
        return 2
    Terminal(json_mode=json_mode).error(UsageError(in_our_words(message), f"{path} --help shows how it is used."))
    return error.exit_code
