"""What Graph was asked: every call with its body and answer, and the few that tests ask for most."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aerobot.emulator.calls import GraphCall
from aerobot.testing.bench import Bench
from aerobot.testing.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call and its answer. ``code`` is Meta's error code or 0, ``fault`` what was armed for it.

    ``body`` and ``answer`` are JSON objects, empty where the body was a file or longer than 16,384 characters;
    ``to`` is the phone that it was about, ``wamid`` the message that it made.
    """

    method: str
    path: str
    status: int
    code: int
    fault: str
    to: str
    wamid: str
    body: Mapping[str, Any]
    answer: Mapping[str, Any]

    def __repr__(self) -> str:
        words = (self.method, self.path, self.status, self.code, self.fault)
        return f"<Call {' '.join(str(word) for word in words if word)}>"

    @property
    def is_read(self) -> bool:
        """Whether it marks a message as read."""
        return self.body.get("status") == "read"


class Graph:
    """Reads what the emulated Graph has kept, oldest first; the latest 5,000 calls."""

    def __init__(self, bench: Bench, stage: Stage) -> None:
        self._bench = bench
        self._stage = stage

    def __repr__(self) -> str:
        return "<Graph>"

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call."""
        return tuple(_call(call) for call in self._stage.ask(lambda: list(self._bench.emulator.calls())))

    def find(self, *, path: str = "", method: str = "", code: int | None = None, to: str = "") -> tuple[Call, ...]:
        """The calls whose path ends so, of a method, answered with a code (0: without an error), about a phone."""
        return tuple(
            call
            for call in self.calls
            if call.path.endswith(path)
            and method in ("", call.method)
            and code in (None, call.code)
            and to.lstrip("+") in ("", call.to)
        )

    @property
    def messages(self) -> tuple[Mapping[str, Any], ...]:
        """The bodies of all sends, those that were refused too."""
        return tuple(call.body for call in self.find(path="/messages") if not call.is_read)

    @property
    def reads(self) -> tuple[Mapping[str, Any], ...]:
        """The bodies of the calls that mark a message as read, with ``typing_indicator``."""
        return tuple(call.body for call in self.find(path="/messages") if call.is_read)

    @property
    def uploads(self) -> tuple[Call, ...]:
        """The files that were uploaded."""
        return self.find(path="/media", method="POST")


def _call(call: GraphCall) -> Call:
    return Call(
        method=call.method,
        path=call.path,
        status=call.status,
        code=call.code,
        fault=call.fault,
        to=call.phone,
        wamid=call.wamid,
        body=_parsed(call.request),
        answer=_parsed(call.answer),
    )


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
