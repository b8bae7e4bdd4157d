"""The Graph calls that were made, with request and answer; tokens are left out."""

from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Final

KEPT: Final = 5_000
LONGEST: Final = 16_384
"""Characters of a body that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCall:
    """One call: ``at`` in ms since 1970, ``code`` Meta's error code or 0, ``fault`` what was armed for it.

    ``wamid`` is the message that it made, ``about`` the one that it refers to (read, reacted to, replied to),
    ``phone`` and ``number`` the chat. ``request`` and ``answer`` are bodies as text; files are left out.
    """

    call: int
    at: int
    method: str
    path: str
    status: int
    code: int
    milliseconds: float
    number: str = ""
    phone: str = ""
    wamid: str = ""
    about: str = ""
    fault: str = ""
    request: str = ""
    answer: str = ""

    def document(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Trail:
    """What a call leaves behind while it is answered."""

    number: str = ""
    phone: str = ""
    wamid: str = ""
    about: str = ""
    fault: str = ""
    request: str = ""


class Calls:
    """The latest calls, oldest first; ``now`` in ms since 1970."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._kept: deque[GraphCall] = deque(maxlen=KEPT)
        self._last = 0

    def add(
        self, method: str, path: str, trail: Trail, *, status: int, code: int, milliseconds: float, answer: str
    ) -> GraphCall:
        """Keep one that was just answered."""
        self._last += 1
        made = GraphCall(
            call=self._last,
            at=self._now(),
            method=method,
            path=path,
            status=status,
            code=code,
            milliseconds=milliseconds,
            number=trail.number,
            phone=trail.phone,
            wamid=trail.wamid,
            about=trail.about,
            fault=trail.fault,
            request=trail.request[:LONGEST],
            answer=answer[:LONGEST],
        )
        self._kept.append(made)
        return made

    def about(self, wamid: str = "") -> list[GraphCall]:
        """Those that made a message or refer to it, or all."""
        return [call for call in self._kept if wamid in ("", call.wamid, call.about)]

    def making(self, wamids: AbstractSet[str]) -> list[GraphCall]:
        """Those that made these messages."""
        return [call for call in self._kept if call.wamid in wamids]
