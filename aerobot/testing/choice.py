"""Which bot a test is about: a file, a module, ``echo``, ``demo``, a handler or a router; and its engine."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from aerobot.bot import Handler, Router
from aerobot.engine import Engine
from aerobot.engine.given import Given
from aerobot.errors import UsageError

Choice = str | Path | Handler | Router
"""What a marker, the ini option or the fixture ``aerobot_bot`` may give."""
HOW = """Choose one of:
  aerobot_bot = bot.py            in pytest's ini file, seen from that file's folder
  @pytest.mark.aerobot("bot.py")  on a test, a class, or a module (pytestmark)
  a fixture aerobot_bot           that returns a path, a handler or a Router"""


def engine_of(choice: object, *, root: Path, beside: Path) -> str | Engine:
    """The engine, or the name that the host finds it by.

    A file is looked for in ``root``, then ``beside`` the test. Raises ``UsageError`` where nothing is chosen, or
    something that is no bot.
    """
    if isinstance(choice, Path):
        choice = str(choice)
    if isinstance(choice, str) and choice:
        return _placed(choice, root, beside)
    if callable(choice):
        return Given(choice, folder=beside)
    raise UsageError("No bot is chosen." if not choice else f"{type(choice).__name__} is no bot.", HOW)


def _placed(name: str, root: Path, beside: Path) -> str:
    file = name.partition(":")[0]
    if not file.endswith(".py"):
        return name
    found = next((folder for folder in (root, beside) if (folder / file).is_file()), None)
    if found is None:
        raise UsageError(f"There is no {file} in {root}" + (f" or {beside}." if beside != root else "."), HOW)
    return str(found / name)


@contextlib.contextmanager
def loaded(engine: str | Engine) -> Iterator[None]:
    """A bot's file is loaded anew for each test; afterwards its name is the module that it was before, if any."""
    name = Path(engine.partition(":")[0]).stem if isinstance(engine, str) and ".py" in engine else ""
    before, path = sys.modules.get(name), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        if before is not None:
            sys.modules[name] = before
        else:
            sys.modules.pop(name, None)
