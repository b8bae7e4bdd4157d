"""What the public listener puts up with, as flags of `aerobot serve`, read off the table of settings."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from aerobot.cli.command import Run
from aerobot.cli.fields import Flags
from aerobot.config import BY_KEY

PANEL = "Limits"
HELP = {
    "max_connections": "Connections open at the public listener.",
    "header_seconds": "Time for a request's headers.",
    "max_header_bytes": "Size of a request's headers.",
    "body_seconds": "Time for a request's body.",
    "max_body_bytes": "Size of a request's body.",
    "max_held_bytes": "Size of all bodies that are on their way.",
    "idle_seconds": "Time between two requests of a connection.",
}
"""Each setting of ``serve`` that is a limit, in words that fit its line."""


def with_limits(function: Callable[..., None]) -> Callable[..., None]:
    """Give ``function(run, limits, …)`` a flag for each limit; ``limits`` has those given, by the setting's key."""

    @functools.wraps(function)
    def wrapper(run: Run, **values: Any) -> None:
        given: Flags = {f"serve.{name}": values.pop(name) for name in HELP}
        function(run, given, **values)

    run_, _, *rest = inspect.signature(function, eval_str=True).parameters.values()
    after = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in rest]
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [run_, *after, *(_parameter(name) for name in HELP)]
    )
    return wrapper


def _parameter(name: str) -> inspect.Parameter:
    setting = BY_KEY[f"serve.{name}"]
    kind: Any = int if setting.kind == "integer" else float
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        metavar="S" if name.endswith("seconds") else "N",
        help=f"{HELP[name]} ({setting.default})",
        min=setting.least,
        max=setting.most,
        rich_help_panel=PANEL,
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
