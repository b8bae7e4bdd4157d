"""What a check found: one line for a person, one name for a program."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

State = Literal["ok", "warning", "failed", "skipped"]

SEEN, REMEDY = 64, 76
"""The most characters of a finding's words: with its mark and topic a line has 80 columns."""
LATEST = 253_402_000_000
"""Nearly the end of the year 9999, in unix seconds: past it no date can be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check's outcome. ``name`` is a stable word (``token_expired``), ``topic`` the word at the line's start.

    ``seen`` is what was found, ``remedy`` what to do about it, ``link`` the page where that is explained or done;
    no secret is ever in them.
    """

    name: str
    topic: str
    state: State
    seen: str
    remedy: str = ""
    link: str = ""


def finding(name: str, topic: str, state: State, seen: str, remedy: str = "", link: str = "") -> Finding:
    """A finding whose words are cut to one line each."""
    words, cure = short(seen, SEEN), short(remedy, REMEDY)
    return Finding(name=name, topic=topic, state=state, seen=words, remedy=cure, link=link)


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The one that matters most: the first that failed, else the first warning, else none."""
    found = list(findings)
    for state in ("failed", "warning"):
        for finding in found:
            if finding.state == state:
                return finding
    return None


def short(text: str, most: int) -> str:
    """Text on one line of at most ``most`` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def when(moment: float, now: float) -> str:
    """A moment near ``now`` (both in unix seconds) as people say it, in this machine's time zone."""
    there, here = (datetime.fromtimestamp(min(one, LATEST), tz=UTC).astimezone() for one in (moment, now))
    days = (there.date() - here.date()) // timedelta(days=1)
    names = {-1: "yesterday", 0: "today", 1: "tomorrow"}
    return f"{names[days]} {there:%H:%M}" if days in names else f"{there:%Y-%m-%d}"
