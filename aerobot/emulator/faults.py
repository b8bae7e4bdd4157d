"""Faults on command, never at random: armed by name, each used up by the calls that it spoils."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aerobot.emulator.presets import CALLS, PRESETS, Fault

MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """A fault and what it waits for: so many of these calls; ``to`` is the recipient's digits, empty for any."""

    name: str
    call: str = "messages"
    times: int = 1
    to: str = ""


class Faults:
    """What is armed, in the order of arming; ``changed`` is told after each change."""

    def __init__(self, changed: Callable[[Sequence[Mapping[str, object]]], None]) -> None:
        self._armed: list[Armed] = []
        self._changed = changed

    def arm(self, name: str, times: int = 1, *, call: str = "messages", to: str = "") -> None:
        """Spoil the next ``times`` calls (1 to 10,000). Raises ``ValueError`` with a sentence."""
        fault = PRESETS.get(name)
        if fault is None:
            raise ValueError(f"There is no fault {name!r}; there are {', '.join(PRESETS)}.")
        if call not in CALLS:
            raise ValueError(f"There is no call {call!r}; there are {', '.join(CALLS)}.")
        if call != "messages" and fault.messages_only:
            raise ValueError(f"{name} is about messages only.")
        if not 1 <= times <= MOST:
            raise ValueError(f"times is a number from 1 to {MOST:,}.")
        digits = "".join(c for c in to if c.isdigit())
        self._armed.append(Armed(name=name, call=call, times=times, to=digits))
        self._changed(self.armed)

    def disarm(self, name: str = "") -> None:
        """Forget all that is armed, or one fault."""
        self._armed = [one for one in self._armed if name not in ("", one.name)]
        self._changed(self.armed)

    def take(self, call: str, to: str = "") -> Fault | None:
        """The fault for this call, if any; one of its times is used up."""
        for place, one in enumerate(self._armed):
            if one.call in (call, "any") and one.to in ("", to):
                left = replace(one, times=one.times - 1)
                self._armed[place : place + 1] = [left] if left.times else []
                self._changed(self.armed)
                return PRESETS[one.name]
        return None

    @property
    def armed(self) -> list[dict[str, Any]]:
        """What is still to come."""
        return [asdict(one) for one in self._armed]

    def restore(self, armed: Sequence[Mapping[str, Any]]) -> None:
        """Arm what ``armed`` gave. Raises ``ValueError`` or ``TypeError`` for anything else."""
        for one in armed:
            self.arm(one["name"], one["times"], call=one["call"], to=one["to"])
