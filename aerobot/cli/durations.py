"""How long, as a person writes it: 90s, 45m, 25h, 2d, 1h30m."""

import re
from datetime import datetime

from aerobot.errors import UsageError

MOST = 1e10
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """A duration in seconds; ``UsageError`` for anything else."""
    given = text.strip().lower().removeprefix("+")
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", given)
    if not parts or "".join(number + unit for number, unit in parts) != given:
        raise UsageError(f"{text!r} is not a duration.", "Write it like 90s, 45m, 25h, 2d or 1h30m.")
    found = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not found < MOST:
        raise UsageError(f"{text!r} is longer than anybody lives.", "Like +25h.")
    return found


def is_duration(text: str) -> bool:
    """Whether ``seconds`` would take it."""
    try:
        seconds(text)
    except UsageError:
        return False
    return True


def moment(text: str) -> float:
    """A time like ``2026-12-01T10:00`` (local, unless it has a zone) in seconds since 1970; else ``UsageError``."""
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text!r} is neither a duration nor a time.", "Like +25h, or 2026-12-01T10:00.") from None


def spoken(span: float) -> str:
    """A duration in two units at most: ``1 d 1 h``, ``45 min``, ``20 s``."""
    left = int(span)
    found = []
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            found.append(f"{count} {name}")
    return " ".join(found[:2]) or "0 s"
