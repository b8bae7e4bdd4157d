"""Settings written where they belong: at once or not at all, comments kept, secrets their owner's alone."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from aerobot.config.env_file import changed_text
from aerobot.config.places import FILE, login_file
from aerobot.config.read import read_logins
from aerobot.config.settings import Settings, known
from aerobot.config.table import Setting
from aerobot.config.values import coerced, holds_secret
from aerobot.errors import ConfigError
from aerobot.secret import Secret

IGNORED = (".env", ".env.*", ".aerobot/")
"""What git must not see of a bot's folder."""


def set_value(settings: Settings, key: str, raw: object | None) -> Path:
    """Write one setting where it belongs and return that file: secrets to ``.env``, else ``aerobot.toml``.

    The file's comments and order are kept; with a profile in use its section is written. ``None`` removes. A
    secret that stood in ``aerobot.toml`` is taken out there.
    """
    setting = known(key)
    value = None if raw is None else coerced(setting, raw, "")
    toml = settings.path or settings.folder / FILE
    if not (setting.secret or holds_secret(setting, value)):
        change_toml(toml, settings.profile, {key: value})
        return toml
    change_env(settings.env_file(), {setting.variable: None if value is None else env_text(setting, value)})
    if toml.is_file():
        change_toml(toml, settings.profile, {key: None})
    return settings.env_file()


def env_text(setting: Setting, value: object) -> str:
    """A value as an environment variable holds it."""
    if isinstance(value, Secret):
        return value.reveal()
    if setting.kind == "table":
        return json.dumps(value, ensure_ascii=False)
    if setting.kind == "list":
        return ",".join(cast(Iterable[str], value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def change_env(path: Path, changes: Mapping[str, str | None]) -> None:
    """Set (``None``: take out) variables of a ``.env`` file, which is never anything but 0600."""
    with _alone(path.parent):
        before = read_file(path)
        after = changed_text(before.replace("\r\n", "\n"), changes)
        if after != before or (path.exists() and path.stat().st_mode & 0o077):
            write_private(path, after)


def change_toml(path: Path, profile: str | None, changes: Mapping[str, object | None]) -> None:
    """Set (``None``: take out) settings of ``aerobot.toml``, in the profile's section where one is given."""
    with _alone(path.parent):
        before = read_file(path)
        after = changed_toml(before, profile, changes)
        if after != before:
            write_private(path, after, path.stat().st_mode & 0o777 if path.exists() else 0o644)


def changed_toml(text: str, profile: str | None, changes: Mapping[str, object | None]) -> str:
    """The text of ``aerobot.toml`` with settings set or taken out; every other line and comment as it was."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    crlf = "\r\n" in text
    try:
        document: Any = tomlkit.parse(text.replace("\r\n", "\n"))
        for key, value in changes.items():
            section, _, name = key.partition(".")
            steps = [*(["profiles", profile] if profile else []), section]
            _change(document, steps, name, list(value) if isinstance(value, tuple) else value)
        result = tomlkit.dumps(document)
        tomlkit.parse(result)
    except (TOMLKitError, TypeError, ValueError) as error:
        raise ConfigError(f"{FILE} cannot be changed: {error}.", "Change it by hand.") from None
    return result.replace("\n", "\r\n") if crlf else result


def _change(document: Any, steps: list[str], name: str, value: object | None) -> None:
    import tomlkit

    table = document
    for depth, step in enumerate(steps):
        if step not in table:
            if value is None:
                return
            if not depth and len(document):
                document.add(tomlkit.nl())
            table[step] = tomlkit.table(is_super_table=depth < len(steps) - 1)
        table = table[step]
    if value is not None:
        table[name] = value
    elif name in table:
        del table[name]


def read_file(path: Path) -> str:
    """The text of a file, empty where there is none; a ``ConfigError`` where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start + 1}).", "Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file at once, readable by this user alone, its folder made (0700) where missing.

    With another ``mode`` a file that was there gets exactly that one, a new one that less the umask. The
    owner stays; where the path is a link, the file it leads to is replaced.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True, mode=0o700)
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        _write_new(temporary, text, mode, target)
        temporary.replace(target)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it has characters that are not text"
        raise ConfigError(f"{path} cannot be written: {reason}.", "Is the folder writable, the disk full?") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_new(path: Path, text: str, mode: int, former: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        if hasattr(os, "fchmod") and former.exists():
            os.fchmod(descriptor, mode)
            _keep_owner(descriptor, former.stat())
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)


def _keep_owner(descriptor: int, there: os.stat_result) -> None:
    """As the administrator, leave a user's file to that user."""
    if hasattr(os, "geteuid") and there.st_uid != os.geteuid():
        with contextlib.suppress(OSError):
            os.fchown(descriptor, there.st_uid, there.st_gid)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other aerobots from changing files of this folder meanwhile, where the system can."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def keep_login(api_url: str, token: Secret | None, environ: Mapping[str, str] | None = None) -> Path:
    """Keep (or with ``None`` forget) the token for ``api_url``, readable by this user alone."""
    path = login_file(os.environ if environ is None else environ)
    with _alone(path.parent):
        tokens = read_logins(path)
        tokens.pop(api_url.rstrip("/"), None)
        if token is not None:
            tokens[api_url.rstrip("/")] = token.reveal()
        if tokens or path.exists():
            write_private(path, json.dumps({"tokens": tokens}, indent=1) + "\n")
    return path


def with_ignored(text: str) -> str:
    """The text of a ``.gitignore`` with the lines for secrets and the database, added only where missing."""
    there = {line.strip() for line in text.splitlines()}
    missing = [line for line in IGNORED if not there & {line, f"/{line}", line.rstrip("/")}]
    if ".env*" in there:
        missing = [line for line in missing if not line.startswith(".env")]
    if not missing:
        return text
    end = "\r\n" if "\r\n" in text else "\n"
    gap = end if text and not text.endswith("\n") else ""
    return text + gap + "".join(line + end for line in missing)


def ignore_in_git(folder: Path) -> bool:
    """Add what is missing to the folder's ``.gitignore``; whether anything was."""
    path = folder / ".gitignore"
    with _alone(folder):
        before = read_file(path)
        after = with_ignored(before)
        if after != before:
            write_private(path, after, path.stat().st_mode & 0o777 if path.exists() else 0o644)
    return after != before
