"""The words of a wait that failed: what the phone shows, what the host said, where the bot failed."""

from collections.abc import Iterable

from aerobot import events
from aerobot.emulator.bubble import Bubble, word
from aerobot.store.base import Verdict
from aerobot.testing.bench import Bench

LATEST = 12
"""Lines told of each side, the latest."""
LONGEST = 100
"""Characters of a text that are told."""


class Story:
    """Tells about one phone; every call is made on the stage's loop."""

    def __init__(self, bench: Bench, name: str, key: str) -> None:
        self._bench = bench
        self._name = name
        self._key = key

    async def no_reply(self, late: str) -> str:
        """Why nothing came; ``late`` where it was waited for in vain, empty where none can come any more."""
        failure = await self._failed_turn()
        if failure is not None:
            return self._told(f"No reply to {self._name}: the bot failed.", _trace(failure))
        if late:
            return self._told(f"No reply to {self._name} {late}.", await self._doing())
        said = any(bubble.direction == "in" for bubble in self._bubbles())
        why = "and none comes: the host is done with all that was sent" if said else "for nothing was sent"
        return self._told(f"No reply to {self._name}, {why}.", self._undelivered())

    async def not_done(self, late: str) -> str:
        """Why it is not sure that nothing comes."""
        return self._told(f"The host is not done with what {self._name} sent {late}.", await self._doing())

    async def spoke(self, said: Bubble) -> str:
        """That it was not silent."""
        return self._told(f"The bot was not silent, it said {_cut(said.text or said.type)!r} to {self._name}.")

    async def failure(self) -> str:
        """That the bot failed, or nothing where it did not."""
        failure = await self._failed_turn()
        return "" if failure is None else self._told("The bot was not silent, it failed.", _trace(failure))

    def _undelivered(self) -> list[str]:
        """What the bot did say, but Meta did not deliver."""
        lost = [bubble for bubble in self._bubbles() if bubble.direction == "out" and bubble.status == "failed"]
        return [
            f"Meta did not deliver {_cut(bubble.text or bubble.type)!r}: {_code(bubble)}. phone.received has it."
            for bubble in lost
        ]

    # -- finding ------------------------------------------------------------------------------------------------

    def _bubbles(self) -> list[Bubble]:
        return self._bench.emulator.meta.world.bubbles(self._key)

    async def _last(self) -> Verdict | None:
        """How the phone's last message fared."""
        said = [bubble for bubble in self._bubbles() if bubble.direction == "in"]
        return await self._bench.verdict(said[-1].id) if said else None

    async def _failed_turn(self) -> events.TurnEnded | None:
        """The end of the last message's turn, where the bot failed in it."""
        verdict = await self._last()
        failed = (event for event in self._bench.events if isinstance(event, events.TurnEnded))
        return next(
            (event for event in failed if verdict and event.turn_id == verdict.turn_id and event.state == "failed"),
            None,
        )

    async def _doing(self) -> list[str]:
        """What the bot is at, where it still thinks."""
        verdict = await self._last()
        if verdict is None or verdict.turn_id is None or verdict.settled:
            return []
        doing = self._bench.host.engine.doing(verdict.turn_id)
        return [f"The bot is at {doing}."] if doing else []

    # -- telling ------------------------------------------------------------------------------------------------

    def _told(self, first: str, more: Iterable[str] = ()) -> str:
        sections = [[first], [f"    {line}" for line in more]]
        for title, lines in (("the phone", self._phone()), ("the host", self._host()), ("Meta", self._meta())):
            sections.append([f"  {title if not place else '':11}{line}" for place, line in enumerate(lines[-LATEST:])])
        return "\n".join("\n".join(section) for section in sections if section)

    def _phone(self) -> list[str]:
        return [
            f"{'-->' if bubble.direction == 'in' else '<--'} {_kind(bubble):13}{_cut(bubble.text)}  {bubble.status}"
            for bubble in self._bubbles()
        ]

    def _host(self) -> list[str]:
        return [line for event in self._bench.events if (line := _line(event))]

    def _meta(self) -> list[str]:
        """What went wrong there: calls that were refused or spoilt, webhooks that were not taken."""
        calls = [
            f"{call.method} {call.path} {call.code or call.status} {call.fault}".rstrip()
            for call in self._bench.emulator.calls()
            if call.status != 200 or call.fault
        ]
        webhooks = [
            f"webhook {delivery.what}: {delivery.state} {delivery.why}".rstrip()
            for delivery in self._bench.emulator.deliveries()
            if delivery.state != "delivered" and (delivery.messages or delivery.attempts)
        ]
        return calls + webhooks


def _code(bubble: Bubble) -> str:
    error = bubble.error or {}
    return f"{error.get('code')} {error.get('title')}"


def _trace(event: events.TurnEnded) -> list[str]:
    return [*(event.trace or "").splitlines(), event.error or ""]


def _line(event: events.Event) -> str:
    match event:
        case events.MessageReceived():
            return f"message {event.state}: {event.kind} {_cut(event.text)!r}"
        case events.PartSettled():
            return f"reply {event.state}: {event.kind} {_cut(event.text)!r}{_problem(event.code, event.error)}"
        case events.ReceiptSeen(status="failed"):
            return f"receipt failed{_problem(event.code, event.error)}"
        case events.TurnEnded():
            return f"turn {event.state}{_problem(None, event.error)}"
        case events.NumberPaused():
            return f"the number is paused{_problem(event.code, event.error)}"
        case events.NumberResumed():
            return "the number sends again"
        case events.Rejected():
            return f"refused {event.status}: {event.reason}"
        case events.Recorded():
            return f"recorded: {event.what}"
        case events.Unexpected():
            return f"unforeseen, in {event.where}: {event.error}"
        case events.Notice(level="warning"):
            return f"{event.topic}: {event.detail}"
    return ""


def _problem(code: int | None, error: str | None) -> str:
    words = " ".join(str(part) for part in (code, error) if part)
    return f", {words}" if words else ""


def _kind(bubble: Bubble) -> str:
    return word(bubble.type, bubble.content)


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…"
