"""What of ngrok there is on this machine already: an agent on PATH, its own configuration, an authtoken."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from aerobot.errors import ConfigError
from aerobot.secret import Secret


def token_source(authtoken: Secret | None) -> str | None:
    """Where an authtoken comes from, for a person; ``None`` where there is none at all."""
    if authtoken:
        return "tunnel.authtoken is set"
    if os.environ.get("NGROK_AUTHTOKEN"):
        return "NGROK_AUTHTOKEN is set"
    if token_in(own_configuration(own_path())):
        return "ngrok's own configuration has an authtoken"
    return None


def token_in(own: dict[str, Any]) -> object:
    """The authtoken in ngrok's own configuration, of either version."""
    inner = own.get("agent")
    return own.get("authtoken") or (inner.get("authtoken") if isinstance(inner, dict) else None)


def on_path() -> str | None:
    """An agent that is installed already; pyngrok's command of the same name is not one."""
    found = shutil.which("ngrok")
    if found is None or Path(found).resolve().parent == Path(sys.executable).parent:
        return None
    with contextlib.suppress(OSError), Path(found).open("rb") as stream:
        head = stream.read(400)
        if head.startswith(b"#!") and b"from pyngrok" in head:
            return None
    return found


def own_path() -> Path:
    """Where ngrok's own configuration file is."""
    from pyngrok.installer import get_default_ngrok_dir

    return Path(get_default_ngrok_dir()) / "ngrok.yml"


def own_configuration(path: Path) -> dict[str, Any]:
    """What ngrok's own configuration file says; empty where there is none."""
    from pyngrok import installer

    if not path.is_file():
        return {}
    try:
        return dict(installer.get_ngrok_config(str(path), use_cache=False))
    except Exception as error:  # the YAML parser's own kinds, and what is no mapping
        reason = " ".join(str(error).split())
        raise ConfigError(f"ngrok's configuration cannot be read: {reason}", "ngrok config check tells more.") from None


class Progress:
    """Stands in for stdout while pyngrok downloads: percentages become reports, all else passes."""

    def __init__(self, out: TextIO, tell: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        self._out = out
        self._tell = tell
        self._stopped = stopped
        self._told = 0

    def write(self, text: str) -> int:
        """Take one write."""
        if self._stopped():
            raise InterruptedError("stopped")
        if not text.endswith("\r"):
            return self._out.write(text)
        percent = text.strip().rstrip("%").rpartition(" ")[2]
        if percent.isdigit() and int(percent) >= self._told + 25:
            self._told = int(percent)
            self._tell(f"downloaded {percent} %")
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._out.flush()
