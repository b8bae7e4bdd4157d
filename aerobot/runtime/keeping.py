"""Where something is to be kept: a file, or nothing yet. Anything else waits for ever, or fails obscurely."""

import stat
from pathlib import Path

from aerobot.errors import ConfigError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def at_home(path: Path, remedy: str) -> Path:
    """``path`` with its ``~`` spelled out; ``ConfigError`` with the ``remedy`` where nobody knows that home."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path} names a home folder that is not known.", remedy) from None


def kept_in(path: Path, remedy: str) -> Path:
    """``path``, if something can be kept there; ``ConfigError`` with the ``remedy`` if it is no file."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError as error:
        raise ConfigError(f"{path} cannot be looked at: {error.strerror}.", remedy) from None
    if kind != stat.S_IFREG:
        raise ConfigError(f"{path} is {KINDS.get(kind, 'something else')}, not a file.", remedy)
    return path
