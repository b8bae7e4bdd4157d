"""Where the files are: the configuration in force, the user's own folders; and whether git tracks one."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from aerobot.errors import ConfigError

FILE = "aerobot.toml"


def find(*, config: Path | None, environ: Mapping[str, str], cwd: Path, home: Path | None) -> Path | None:
    """The configuration file in force, or ``None``.

    ``config`` (the flag) wins over ``AEROBOT_CONFIG``, then the nearest ``aerobot.toml`` upwards, which stops
    at a folder that holds ``.git`` and at ``home`` and passes over files that belong to somebody else, then
    the user's own. A file that was named must exist (``ConfigError``).
    """
    if config is not None or environ.get("AEROBOT_CONFIG"):
        return _named(config or Path(environ["AEROBOT_CONFIG"]), cwd)
    for candidate in _candidates(cwd, home):
        if is_ours(candidate):
            return candidate
    try:
        own = user_folder(environ) / FILE
        return own if own.is_file() else None
    except (ConfigError, OSError):
        return None


def passed_over(*, cwd: Path, home: Path | None) -> tuple[Path, ...]:
    """The files that ``find`` met on its way and left alone, for they belong to somebody else."""
    foreign = []
    for candidate in _candidates(cwd, home):
        if is_ours(candidate):
            break
        foreign.append(candidate)
    return tuple(foreign)


def _named(path: Path, cwd: Path) -> Path:
    try:
        path = (cwd / path.expanduser()).absolute()
    except RuntimeError:
        raise ConfigError(f'"{path}" names a home folder, and this system knows none.', "Set HOME.") from None
    if path.is_dir():
        raise ConfigError(f"The configuration file {path} is a folder.", f"Name the file in it: {path / FILE}")
    if not path.is_file():
        raise ConfigError(f"The configuration file {path} does not exist.", f"Write one: aerobot init {path.parent}")
    return path


def _candidates(cwd: Path, home: Path | None) -> Iterator[Path]:
    for folder in (cwd, *cwd.parents):
        try:
            if (folder / FILE).is_file():
                yield folder / FILE
            if (folder / ".git").exists() or folder == home:
                return
        except OSError:
            continue


def is_ours(path: Path) -> bool:
    """Whether this user, the administrator, or whoever called sudo owns the file."""
    if not hasattr(os, "getuid"):
        return True
    trusted = {os.getuid(), 0}
    if os.getuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        trusted.add(int(os.environ["SUDO_UID"]))
    return path.stat().st_uid in trusted


def user_folder(environ: Mapping[str, str]) -> Path:
    """The user's own configuration folder (platformdirs); ``AEROBOT_CONFIG_HOME`` names another.

    A ``ConfigError`` where the system knows no home folder.
    """
    from platformdirs import user_config_path

    folder = _named_folder(environ, "AEROBOT_CONFIG_HOME", lambda: user_config_path("aerobot", appauthor=False))
    if folder is None:
        raise ConfigError(
            "This system knows no home folder for you.",
            "Set HOME, or AEROBOT_CONFIG_HOME to a folder of yours.",
        )
    return folder


def state_folder(environ: Mapping[str, str]) -> Path:
    """The user's own state folder, where running hosts leave their records.

    ``AEROBOT_STATE_HOME`` names another. Without a home folder it is one of this user's in the system's
    temporary folder; a ``ConfigError`` where somebody else made that one.
    """
    from platformdirs import user_state_path

    folder = _named_folder(environ, "AEROBOT_STATE_HOME", lambda: user_state_path("aerobot", appauthor=False))
    return folder or _temporary_state()


def _named_folder(environ: Mapping[str, str], variable: str, usual: Callable[[], Path]) -> Path | None:
    try:
        path = Path(environ[variable]).expanduser() if environ.get(variable) else usual().expanduser()
    except (RuntimeError, KeyError):
        return None
    return None if str(path).startswith("~") else path.absolute()


def _temporary_state() -> Path:
    import tempfile

    number = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"aerobot-{number}"
    if folder.is_symlink() or (folder.exists() and not is_ours(folder)):
        raise ConfigError(f"{folder} belongs to somebody else.", "Set AEROBOT_STATE_HOME to a folder of yours.")
    return folder


def home_folder() -> Path | None:
    """The user's home, or ``None`` where the system knows of none."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return None


def current_folder() -> Path:
    """Where the command was typed; a ``ConfigError`` where that folder was deleted meanwhile."""
    try:
        return Path.cwd()
    except OSError:
        raise ConfigError("The current folder does not exist any more.", "Change to one that does: cd ~") from None


def login_file(environ: Mapping[str, str]) -> Path:
    """Where ``aerobot login`` keeps the tokens, one per API origin."""
    return user_folder(environ) / "credentials.json"


def readable_by_others(path: Path) -> bool:
    """Whether the file's mode lets anyone but its owner read it (never on Windows)."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def in_git(folder: Path) -> bool:
    """Whether the folder is part of a git repository."""
    return any((above / ".git").exists() for above in (folder, *folder.parents))


def tracked_by_git(path: Path) -> bool:
    """Whether git tracks the file. Runs git, and only in a repository; without git the answer is no."""
    if not in_git(path.parent):
        return False
    command = [
        "git",
        "-c",
        "core.fsmonitor=false",
        "-C",
        str(path.parent),
        "ls-files",
        "--error-unmatch",
        "--",
    ]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, path.name], capture_output=True, stdin=subprocess.DEVNULL, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
