"""The fields of a bot: their flags, read off the table of settings, and the request they make."""

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from aerobot.cli.command import Run
from aerobot.config import BY_KEY, Setting, Settings
from aerobot.errors import ConfigError, UsageError
from aerobot.secret import Secret
from aerobot.terminal import Terminal

Problem = tuple[str, str]
"""A setting's key, and what is wrong with its value."""

REQUIRED = ("name", "system_prompt")
FIELDS = tuple(
    key.partition(".")[2]
    for key in BY_KEY
    if key.startswith("bot.") and key not in ("bot.id", "bot.system_prompt_file")
)
"""The fields of ``POST /api/bots`` that are settings of ``[bot]``."""
WHATSAPP = ("phone_number_id", "access_token", "verify_token", "app_secret", "business_account_id")
"""WhatsApp's ``platform_config`` (docs.aerostack.dev/bots/platforms/whatsapp)."""
NEEDED = ("phone_number_id", "access_token", "verify_token")

HELP = {
    "bot.system_prompt": "What the bot is told to be: a text, @FILE, or - for stdin.",
    "bot.llm_config": "Passed on to the model: JSON or @FILE.",
    "bot.workflow_json": "The workflow, nodes and edges: JSON or @FILE.",
    "bot.workflow_enabled": "Run the workflow instead of the agent loop.",
    "bot.platform_config": "Credentials of a platform other than WhatsApp: @FILE, or - for stdin.",
    "bot.llm_api_key": "Your own key for the model: only -, which reads it from stdin.",
}
METAVARS = {
    "bot.system_prompt": "TEXT|@FILE",
    "bot.llm_config": "JSON|@FILE",
    "bot.workflow_json": "JSON|@FILE",
    "bot.platform_config": "@FILE|-",
    "bot.llm_api_key": "-",
}
SECRET = ("bot.llm_api_key", "bot.platform_config")
"""Never given on the command line itself."""
TYPES: Mapping[str, type] = {"integer": int, "number": float, "boolean": bool}
OF_MODEL = ("llm_", "billing", "max_", "timeout", "conversation", "enable", "spending", "workflow")

Flags = dict[str, object]
"""What flags gave, by the setting's key."""


# -- flags -------------------------------------------------------------------------------------------------


def with_fields(*more: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give ``function(run, flags, …)`` a flag for every field of a bot, and for the settings ``more``."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = [f"bot.{name}" for name in FIELDS]
        keys = (*own[:2], "aerostack.workspace_id", *own[2:], *more)
        offered = {key.partition(".")[2]: key for key in keys}

        @functools.wraps(function)
        def wrapper(run: Run, **values: Any) -> None:
            given = {key: value for name, key in offered.items() if (value := values.pop(name)) is not None}
            function(run, _read(given, run.terminal), **values)

        run_, _, *rest = inspect.signature(function, eval_str=True).parameters.values()
        added = [_parameter(name, BY_KEY[key]) for name, key in offered.items()]
        after = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in rest]
        wrapper.__signature__ = inspect.Signature([run_, *added, *after])  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _parameter(name: str, setting: Setting) -> inspect.Parameter:
    switch = setting.kind == "boolean" or setting.key == "bot.workflow_enabled"
    kind: Any = bool if switch else TYPES.get(setting.kind, str)
    if setting.choices:
        kind = Literal.__getitem__(setting.choices)
    flag = "--" + name.replace("_", "-")
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if switch else flag,
        metavar=METAVARS.get(setting.key) or {str: "TEXT", int: "N", float: "N"}.get(kind),
        help=HELP.get(setting.key, setting.meaning),
        min=None if switch else setting.least,
        max=None if switch else setting.most,
        rich_help_panel="Model and limits" if name.startswith(OF_MODEL) else "The bot",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _read(given: Flags, terminal: Terminal) -> Flags:
    """Follow ``@FILE`` and ``-``, parse JSON; a secret itself on the command line is a ``UsageError``."""
    if sum(value == "-" for value in given.values()) > 1:
        raise UsageError("Only one flag can read stdin.", "Give the others as @FILE.")
    return {key: _value(BY_KEY[key], value, terminal) for key, value in given.items()}


def _value(setting: Setting, value: object, terminal: Terminal) -> object:
    if isinstance(value, bool) and setting.kind == "integer":
        return int(value)
    if not isinstance(value, str) or setting.key not in METAVARS:
        return value
    flag = "--" + setting.key.partition(".")[2].replace("_", "-")
    if setting.key in SECRET and value != "-" and not value.startswith("@"):
        hint = f"{flag} - reads it from stdin, and {setting.variable} from the environment or .env."
        raise UsageError(f"{flag} takes no secret on the command line, where others could read it.", hint)
    text = text_of(value, terminal, what=flag, hidden=setting.secret)
    if setting.kind != "table":
        return text
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{flag} is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise UsageError(f"{flag} must be a JSON object.")
    return document


def text_of(value: str, terminal: Terminal, *, what: str, hidden: bool = False) -> str:
    """The text that a flag means: itself, the content of ``@FILE``, or for ``-`` stdin or what is typed."""
    if value == "-":
        text = terminal.ask(what.lstrip("-"), hidden=hidden) if sys.stdin.isatty() else sys.stdin.read()
        return text.strip() if hidden else text.rstrip("\n")
    return read_file(Path(value[1:]), what) if value.startswith("@") else value


def read_file(path: Path, what: str) -> str:
    """A text file, its last line break cut off; one that cannot be read is a ``ConfigError``."""
    try:
        return path.expanduser().read_text("utf-8").rstrip("\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{what}: {path} is not UTF-8 text.") from None
    except OSError as error:
        raise ConfigError(f"{what}: {path} cannot be read: {error.strerror}.") from None


# -- requests ----------------------------------------------------------------------------------------------


def new_bot(settings: Settings, *, local: bool) -> tuple[dict[str, Any], list[Problem]]:
    """The body of ``POST /api/bots``, secrets in clear, and everything that is wrong with it.

    Only what somebody set is sent: Aerostack's defaults stay its own. A workspace is not asked for here.
    """
    problems: list[Problem] = []
    body = chosen(settings, [f"bot.{name}" for name in FIELDS if name != "system_prompt"])
    body["platform"] = settings.text("bot.platform")
    try:
        body["system_prompt"] = system_prompt(settings)
    except ConfigError as error:
        words = error.message.removeprefix("bot.system_prompt_file: ").rstrip(".")
        problems.append(("bot.system_prompt_file", words))
    for name in REQUIRED[:1] if local else REQUIRED:
        if not body.get(name) and not any(key.startswith(f"bot.{name}") for key, _ in problems):
            problems.append((f"bot.{name}", "is missing"))
    if not local and settings.is_set("aerostack.workspace_id"):
        body["workspace_id"] = settings.text("aerostack.workspace_id")
    if body["platform"] == "whatsapp":
        body["platform_config"], more = whatsapp_config(settings)
        problems += more
    first = {name: body[name] for name in ("name", "platform", "workspace_id", "system_prompt") if body.get(name)}
    return {**first, **{name: value for name, value in body.items() if value != ""}}, problems


def chosen(settings: Settings, keys: Iterable[str]) -> dict[str, Any]:
    """Those of the settings that somebody set, under the API's own names, secrets in clear."""
    body: dict[str, Any] = {}
    for key in keys:
        value = settings.get(key)
        if settings.is_set(key) and not (isinstance(value, Secret) and not value):
            body[key.partition(".")[2]] = value.reveal() if isinstance(value, Secret) else value
    return body


def system_prompt(settings: Settings) -> str:
    """The prompt, empty where there is none: of text and file the one set nearer to the command line."""
    text, file = "bot.system_prompt", "bot.system_prompt_file"
    by_text = settings.is_set(text) and _near(settings, text) >= _near(settings, file)
    if by_text or not settings.is_set(file):
        return settings.text(text)
    return read_file(settings.folder / Path(settings.text(file)).expanduser(), file)


def _near(settings: Settings, key: str) -> int:
    source = settings.source(key)
    if source == "flag":
        return 2
    ours = (f"[profiles.{settings.profile}]", f".env.{settings.profile} ")
    return int(settings.profile is not None and any(mark in source for mark in ours))


def whatsapp_config(settings: Settings) -> tuple[dict[str, str], list[Problem]]:
    """``platform_config`` for WhatsApp from ``[whatsapp]``, secrets in clear, and what is wrong with it."""
    config: dict[str, str] = {}
    problems: list[Problem] = []
    for name in WHATSAPP:
        key = f"whatsapp.{name}"
        value = settings.get(key)
        text = value.reveal() if isinstance(value, Secret) else str(value or "")
        if not text:
            problems += [(key, "is missing")] if name in NEEDED else []
            continue
        config[name] = text
        wrong = _wrong(name, text)
        problems += [(key, f"{wrong} ({settings.source(key)})")] if wrong else []
    return config, problems


def _wrong(name: str, text: str) -> str:
    if name.endswith("_id"):
        if text.isascii() and text.isdigit():
            return ""
        mistaken = name == "phone_number_id" and re.fullmatch(r"\+[\d ().-]+", text)
        return f'must be {"the ID, not the phone number" if mistaken else "digits alone, not"} "{text}"'
    if text.lower().startswith("bearer "):
        return 'must be the token alone, without "Bearer"'
    return "" if text.isprintable() and not re.search(r"\s", text) else "must not contain white space"


def refusal(problems: list[Problem]) -> ConfigError:
    """Everything that is wrong, said at once: each by its setting's name, with the place of its value."""
    count = "1 setting stands" if len(problems) == 1 else f"{len(problems)} settings stand"
    lines = [f"{key} {words}\n    {BY_KEY[key].meaning}" for key, words in problems]
    remedy = "Set them with aerobot config set KEY VALUE, by flags, or in the environment."
    return ConfigError(f"{count} in the way.", "\n".join([*lines, remedy]), problems=problems)
