"""How times, ages and sizes are said on the terminal."""

import time

from aerobot.cli.account import span


def moment(at: int) -> str:
    """A time (milliseconds since 1970), local: the hour for today's, day and month before it for others'."""
    then, today = time.localtime(at / 1000), time.localtime()
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%d %b %H:%M" if then[0] == today[0] else "%d %b %Y", then)


def ago(at: int) -> str:
    """How long ago a time was."""
    seconds = time.time() - at / 1000
    return "just now" if seconds < 60 else f"{span(seconds)} ago"


def size(number: int) -> str:
    """Bytes in the unit that says enough."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number //= 1000
    return f"{number} GB"


def count(number: int, one: str, many: str = "") -> str:
    """A number of things: ``1 message``, ``1,200 messages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
