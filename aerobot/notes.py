"""Notes that running programs leave in the state folder (one file each, 0600), by which others find them."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aerobot.errors import ConfigError


def leave(folder: Path, kind: str, pid: int, document: Mapping[str, Any]) -> Path:
    """Write the note of a running program and return its path, which the program removes when it ends.

    ``folder`` is made (0700). Raises ``ConfigError`` where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{kind}-{pid}.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream)
    except OSError as error:
        raise ConfigError(
            f"The state folder {folder} cannot be written: {error.strerror}.",
            "Set AEROBOT_STATE_HOME to a folder of yours.",
        ) from None
    return path


def left(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The notes of programs that are alive, each with its ``pid``; those of dead ones are taken away."""
    found = []
    for path in sorted(folder.glob(f"{kind}-*.json")) if folder.is_dir() else []:
        try:
            document = json.loads(path.read_text("utf-8"))
            pid = int(document["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if _alive(pid):
            found.append(document)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OSError):
        return True
    return True
