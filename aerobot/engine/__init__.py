"""What turns a turn into replies: one protocol, several engines, chosen by name."""

from pathlib import Path
from typing import Protocol

from aerobot.bot import Reply, Turn
from aerobot.errors import AerobotError, ConfigError

CHOICES = (
    "echo            says what it heard",
    "demo            shows buttons, a list, an image, a location request, a long text",
    "bot.py          your file: its reply(turn), or its router",
    "bot.py:name     another name in it",
    "module:name     a module that can be imported",
)


class EngineError(AerobotError):
    """An engine failed; ``where`` is file and line in the bot, ``trace`` the bot's own frames; empty where unknown."""

    kind = "engine"

    def __init__(self, message: str, hint: str = "", *, where: str = "", trace: str = "") -> None:
        super().__init__(message, hint)
        self.where = where
        self.trace = trace


class Engine(Protocol):
    """Turns a turn into replies. Called again for the same turn after a crash: it runs at least once."""

    name: str
    """How it is called in the terminal: ``bot.py``, ``echo``."""
    needs_history: bool

    async def start(self) -> None:
        """Load what is needed; ``ConfigError`` where the bot cannot be loaded."""

    async def reply(self, turn: Turn) -> tuple[Reply, ...]:
        """Answer a turn; ``EngineError`` says where it failed. Cancelled when ``timeout_ms`` is over."""

    def doing(self, turn_id: int) -> str:
        """What it does for a turn right now, as file, line and call; empty where that is not known."""

    async def close(self) -> None:
        """Let go of threads and files."""


def sample(kind: str) -> bytes:
    """A small real file of a kind of attachment, which a test message opens: it was never on Meta's side."""
    found = sorted((Path(__file__).parent / "samples").glob(f"{kind}.*"))
    return found[0].read_bytes() if found else b""


def choose(name: str, *, folder: Path, reload: bool) -> Engine:
    """The engine called ``name``; files are looked for from ``folder``. ``ConfigError`` lists the choices."""
    if not name:
        raise ConfigError("No engine is chosen, and a live number never gets an echo by accident.", _choices())
    if name == "echo":
        from aerobot.engine.echo import Echo

        return Echo()
    if name == "demo":
        from aerobot.engine.demo import Demo

        return Demo()
    if name.partition(":")[0].endswith(".py") or ":" in name:
        from aerobot.engine.python import Python

        return Python(name, folder=folder, reload=reload)
    raise ConfigError(f'There is no engine "{name}".', _choices())


def _choices() -> str:
    return "aerobot serve ENGINE, or serve.engine in aerobot.toml:\n" + "\n".join(CHOICES)
