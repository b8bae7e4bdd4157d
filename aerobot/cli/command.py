"""What every command shares: its options, its settings, its terminal, and its help with examples."""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from aerobot.cli.help import EVERYWHERE, Command, Group
from aerobot.config import Settings, load, state_folder
from aerobot.errors import USAGE, ConfigError
from aerobot.terminal import Terminal

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=EVERYWHERE)]
Profile = Annotated[
    str | None,
    typer.Option("--profile", "-p", metavar="NAME", help="Use a profile of the file.", rich_help_panel=EVERYWHERE),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Use this configuration file.", rich_help_panel=EVERYWHERE),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say less.", rich_help_panel=EVERYWHERE)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=EVERYWHERE)]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=EVERYWHERE)]

SHARED: Mapping[str, tuple[Any, object]] = {
    "json_": (Json, False),
    "profile": (Profile, None),
    "config": (Config, None),
    "quiet": (Quiet, False),
    "verbose": (Verbose, False),
    "debug": (Debug, False),
}
START, BOTS, RUN, TEST, META, OPERATE = "Start", "Bots", "Run", "Test", "Meta", "Operate"
"""The panels of the help page."""
CONTEXT = {"help_option_names": ["-h", "--help"]}


@dataclass(slots=True, kw_only=True)
class Shared:
    """The shared options as they were given, before the command, after it, or both."""

    json: bool = False
    profile: str | None = None
    config: Path | None = None
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def take(self, given: Mapping[str, Any]) -> None:
        """Add what was given at one more place; the last word counts."""
        self.json |= given["json_"]
        self.quiet |= given["quiet"]
        self.verbose |= given["verbose"]
        self.debug |= given["debug"]
        self.profile = given["profile"] if given["profile"] is not None else self.profile
        self.config = given["config"] if given["config"] is not None else self.config

    def terminal(self) -> Terminal:
        """The terminal that they ask for."""
        return Terminal(json_mode=self.json, quiet=self.quiet, verbose=self.verbose)


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of one command: its shared options, its terminal, and its settings, read at first use."""

    shared: Shared
    terminal: Terminal
    _settings: Settings | None = field(default=None)

    def settings(self, flags: Mapping[str, object] | None = None, *, mends: bool = False) -> Settings:
        """The settings with ``flags`` (by key) on top; warnings about them are printed once.

        So is what a crashed run left at Meta, unless the command ``mends`` that of its own number.
        """
        if self._settings is None or flags:
            fresh = load(config=self.shared.config, profile=self.shared.profile, flags=flags)
            if self._settings is None:
                for warning in fresh.warnings:
                    self.terminal.warn(warning)
                _tell_leftovers(self.terminal, fresh.text("whatsapp.phone_number_id") if mends else "")
            self._settings = fresh
        return self._settings

    def reread(self) -> Settings:
        """The settings once more, after something was written."""
        self._settings = load(config=self.shared.config, profile=self.shared.profile)
        return self._settings


def _tell_leftovers(terminal: Terminal, mended: str) -> None:
    """One line for each registration of a run that crashed; where there is no record, one look and no more."""
    from aerobot.registration import records

    try:
        folder = state_folder(os.environ) / "registrations"
        if not records.there(folder):
            return
        for found in records.Records(folder).leftovers():
            if isinstance(found, ConfigError):
                terminal.warn(found.message, found.hint)
            elif found.phone_number_id != mended:
                what = f"{found.display} -> {records.host_of(found.url)} ({found.level}; {found.holder})"
                words = f"A registration of a run that crashed is still in force: {what}; "
                terminal.warn(words + "aerobot webhook clear, or start serve")
    except ConfigError:
        return  # no state folder can be used: whoever needs one says so


def take_shared(context: typer.Context, given: Mapping[str, Any]) -> Shared:
    """Join the shared options of this level into those of the levels above."""
    shared: Shared = context.ensure_object(Shared)
    shared.take(given)
    return shared


def command(
    app: typer.Typer, name: str, *, panel: str | None = None, examples: tuple[str, ...], hidden: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(run, ...)`` as a command, with the shared options and its examples."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def wrapper(**values: Any) -> None:
            context: typer.Context = values.pop("context")
            shared = take_shared(context, {key: values.pop(key) for key in SHARED})
            function(Run(shared=shared, terminal=shared.terminal()), **values)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        _keyword = inspect.Parameter.KEYWORD_ONLY
        extra = [
            inspect.Parameter(key, _keyword, default=default, annotation=annotation)
            for key, (annotation, default) in SHARED.items()
        ]
        first = inspect.Parameter("context", _keyword, annotation=typer.Context)
        parameters = [first, *(p.replace(kind=_keyword) for p in own), *extra]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapper.__name__ = function.__name__
        words = inspect.cleandoc(function.__doc__ or "")
        help_text = words + "\n\nExamples:\n\n" + "\n\n".join(f"  $ {example}" for example in examples)
        short = words.split("\n\n")[0].replace("\n", " ")
        app.command(
            name,
            cls=Command,
            help=help_text,
            short_help=short,
            rich_help_panel=panel,
            context_settings=dict(CONTEXT),
            hidden=hidden,
        )(wrapper)
        return function

    return register


def group(
    app: typer.Typer, name: str, words: str, *, panel: str, alone: Callable[[Run], None] | None = None
) -> typer.Typer:
    """A group of commands that takes the shared options too; without a command it does ``alone``, or shows help."""
    inner = typer.Typer(
        cls=Group,
        help=words,
        invoke_without_command=True,
        context_settings=dict(CONTEXT),
        rich_markup_mode=None,
    )

    @inner.callback()
    def _callback(
        context: typer.Context,
        json_: Json = False,
        profile: Profile = None,
        config: Config = None,
        quiet: Quiet = False,
        verbose: Verbose = False,
        debug: Debug = False,
    ) -> None:
        given = {
            "json_": json_,
            "profile": profile,
            "config": config,
            "quiet": quiet,
            "verbose": verbose,
            "debug": debug,
        }
        shared = take_shared(context, given)
        if context.invoked_subcommand is not None:
            return
        if alone is None:
            typer.echo(context.get_help())
            raise typer.Exit(USAGE)
        alone(Run(shared=shared, terminal=shared.terminal()))

    app.add_typer(inner, name=name, rich_help_panel=panel, help=words, short_help=words)
    return inner
