"""WhatsApp's rules: how long a text may be, until when one may answer, how a number may be spelled."""

import re
from dataclasses import dataclass

import regex

LIMIT = 4096
"""The longest text message, in UTF-16 code units (Messages API, text object)."""
WINDOW_MS = 24 * 60 * 60 * 1000
"""The customer service window: free-form answers are allowed for 24 hours after the user's last message."""
GRACE_MS = 5 * 60 * 1000
"""How far past its end a window must be to be called closed: clocks differ, Meta counts whole seconds."""

_SPACE = re.compile(r"\s+")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SENTENCE_END = re.compile(r"[.!?…。！？।؟]['\"’”»)\]*_~]{0,4}$")
_CLUSTER = regex.compile(r"\X")
_LINE_BREAKS = frozenset("\n\r\v\f\x85\u2028\u2029")


# -- splitting -----------------------------------------------------------------------------------------------


def units(text: str) -> int:
    """The length WhatsApp counts: UTF-16 code units, two for an emoji."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, limit: int = LIMIT) -> tuple[str, ...]:
    """The parts in which a text is sent, each at most ``limit`` UTF-16 code units.

    It is cut at the last paragraph, else line, else sentence, else word in the second half of the allowed
    length, else at the last white space, else between grapheme clusters. Only the white space at a cut is
    lost; a text that fits stays as it is, and parts that would be blank are left out.
    """
    parts: list[str] = []
    start = 0
    while start < len(text):
        end = _reach(text, start, limit)
        if end == len(text):
            parts.append(text[start:])
            break
        cut = _white_space(text, start, end, _reach(text, start, limit // 2)) or _cluster(text, start, end)
        parts.append(text[start:cut])
        start = _skip(text, cut)
    return tuple(part for part in parts if part.strip())


def _skip(text: str, at: int) -> int:
    """The index after the white space at ``at``."""
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _reach(text: str, start: int, limit: int) -> int:
    """The index of the first character that no longer fits; always past ``start``."""
    end = min(len(text), start + limit)
    if not _ASTRAL.search(text, start, end):
        return max(end, start + 1)
    left = limit
    for index in range(start, end):
        left -= 2 if text[index] > "\uffff" else 1
        if left < 0:
            return max(index, start + 1)
    return end


def _white_space(text: str, start: int, end: int, middle: int) -> int:
    """Where the white space begins at which a part is cut; 0 where there is none up to ``end``."""
    best, rank, early = 0, 0, 0
    for run in _SPACE.finditer(text, start, end + 1):
        at = run.start()
        if start < at < middle:
            early = at
        elif at >= middle and (found := _rank(text, start, at)) >= rank:
            best, rank = at, found
    return best or early


def _rank(text: str, start: int, at: int) -> int:
    """How good a cut in the white space at ``at`` is: 4 between paragraphs, 3 lines, 2 sentences, 1 words."""
    run = text[at : _skip(text, at)]
    if run.count("\n") > 1 or run.count("\r") > 1 or "\u2029" in run:
        return 4
    if not _LINE_BREAKS.isdisjoint(run):
        return 3
    return 2 if _SENTENCE_END.search(text[max(start, at - 6) : at]) else 1


def _cluster(text: str, start: int, end: int) -> int:
    """The last boundary of grapheme clusters up to ``end``, or ``end`` where one cluster fills the part."""
    if text[end - 1 : end + 1].isascii():
        return end
    last = _CLUSTER.findall(text[start : end + 1])[-1]
    cut = end + 1 - len(last)
    return cut if cut > start else end


# -- time ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The session window of a conversation. ``open`` is false only where it is *known* to be closed;
    ``closes_at`` is in milliseconds since 1970, without the grace.
    """

    known: bool
    open: bool
    closes_at: int | None


def window(newest_inbound_ms: int | None, now_ms: int) -> Window:
    """Whether a free-form answer may be sent, from the time of the user's newest message.

    Unknown is open: Meta decides then, with code 131047. Known closed is 24 hours and 5 minutes of grace.
    """
    if newest_inbound_ms is None:
        return Window(known=False, open=True, closes_at=None)
    closes_at = newest_inbound_ms + WINDOW_MS
    return Window(known=True, open=now_ms <= closes_at + GRACE_MS, closes_at=closes_at)


def is_late(timestamp_s: int | None, now_ms: int) -> bool:
    """Whether a message of that time (whole seconds) arrives after its own window has closed."""
    return timestamp_s is not None and not window(timestamp_s * 1000, now_ms).open


# -- numbers -------------------------------------------------------------------------------------------------

_FORMS = (
    (re.compile(r"549(\d{10})"), r"54\1"),  # Argentina: 9 marks a mobile abroad
    (re.compile(r"54([1-8]\d{9})"), r"549\1"),
    (re.compile(r"521(\d{10})"), r"52\1"),  # Mexico: 1 marked a mobile until 2020
    (re.compile(r"52([2-9]\d{9})"), r"521\1"),
    (re.compile(r"55([1-9]\d)9([6-9]\d{7})"), r"55\1\2"),  # Brazil: the ninth digit of mobiles
    (re.compile(r"55([1-9]\d)([6-9]\d{7})"), r"55\g<1>9\2"),
)


def number_forms(digits: str) -> tuple[str, ...]:
    """The spellings under which Meta may know the same mobile number, the given one first.

    Argentina with and without 9, Mexico with and without 1, Brazil with and without the ninth digit;
    every other number has one spelling. Meta rewrites these between ``to``, ``wa_id`` and ``from``.
    """
    if not digits.isascii():
        return (digits,)
    others = (pattern.fullmatch(digits) for pattern, _ in _FORMS)
    return (digits, *(m.expand(form) for m, (_, form) in zip(others, _FORMS, strict=True) if m))


def short(who: str) -> str:
    """A user for a line on the terminal: the last four characters of the number or business-scoped id."""
    return f"··{who[-4:]}"
