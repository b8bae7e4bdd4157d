"""Says a turn's parts, one after the other, and settles each; it never says one twice if it can know."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aerobot import events, retry
from aerobot.circuit import Circuits
from aerobot.errors import Repeat, StoreUnavailable
from aerobot.sender import Line, Sender
from aerobot.store.base import UNKNOWN_WAIT_MS, HostedBot, Part, Settlement, Store, Work
from aerobot.whatsapp import graph, rules
from aerobot.whatsapp.graph import Accepted, Refused

T = TypeVar("T")

READ_MS = 1_000
"""After that it is seen again whether what came in time is read: the status that settles a part may be in it."""
PAUSE_MS = 30_000
"""How long a blocked number rests before one conversation tries again."""
UNKNOWN_MOST = 5
"""After so many sends whose outcome stayed unknown, while Graph worked for others, a part has failed."""
UNKNOWN_LAST = 15
"""After so many a part has failed whatever Graph did for others; with their waits they span 13 to 26 minutes."""
AGAIN = 0.2
"""Seconds between two tries to write down what Graph answered."""
ATTEMPTS = 40
"""Safe repeats of one part; with waits of up to five minutes they span about three hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dice:
    """Where decisions get their chance and their ids from."""

    random: Callable[[], float]
    new_id: Callable[[], str]


class Speaker:
    """Sends the parts of one turn, one after the other. ``stopping()``: the host is about to end."""

    def __init__(
        self,
        *,
        store: Store,
        sender: Sender,
        emit: Callable[[events.Event], None],
        dice: Dice,
        circuits: Circuits,
        line: Line | None,
        work: Work,
        stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._sender = sender
        self._emit = emit
        self._dice = dice
        self._circuits = circuits
        self._line = line
        self._work = work
        self._stopping = stopping
        self._asked = False

    async def speak(self) -> bool:
        """Send what is left, until the turn is settled or given back for later; true where Graph was asked."""
        left = [part for part in self._work.parts if part.state in ("fresh", "planned", "sending", "unknown")]
        for index, part in enumerate(left):
            following = left[index + 1] if index + 1 < len(left) else None
            if not await self._one(part, following, started=index > 0 or part.state == "fresh"):
                break
        if not left:
            await self._store.finish(self._work)
        return self._asked

    async def _one(self, part: Part, following: Part | None, *, started: bool) -> bool:
        """Send one part; true where the next one may go (it is marked as being sent already)."""
        if not started and not await self._begin(part):
            return False
        if self._line is None:
            error = {"code": None, "title": "the bot has no access token", "remedy": "whatsapp.access_token"}
            return await self._fail(part, error)
        if not self._work.phone and not self._work.user_id:
            error = {"code": None, "title": "Meta named neither number nor id of the user", "remedy": "Nothing helps"}
            return await self._fail(part, error)
        if await self._closed(part):
            closed = {"code": 131047, "title": "the session window is closed", "remedy": graph.meaning(131047).remedy}
            return await self._fail(part, closed, state="not_sent")
        if self._rests():
            return await self._keep(part, None)
        self._asked = True
        answer = await self._sender.send(
            self._line, part.body, phone=self._work.phone, user_id=self._work.user_id, part_id=part.id
        )
        if isinstance(answer, Accepted):
            return await self._sent(part, answer, following)
        await self._refused(part, answer)
        return False

    def _rests(self) -> bool:
        """Whether Graph failed for others of this number meanwhile: then only the one that probes asks."""
        work = self._work
        real = work.channel == "whatsapp" and not work.probing
        return real and self._circuits.rests(work.number, self._store.now() / 1000)

    async def _keep(self, part: Part, error: Mapping[str, object] | None) -> bool:
        """Give it back unsent: the number rests, and what was tried meanwhile does not count against the part."""
        now = self._store.now()
        await self._commit(
            part, Settlement(part_id=part.id, state="planned", error=error, release_at=now, counts=False)
        )
        return False

    async def _begin(self, part: Part) -> bool:
        """Mark a part of an earlier run as being sent; one whose outcome is open waits for a status first."""
        now = self._store.now()
        if part.state == "sending":
            at = now + self._doubt(part.unknowns + 1)
            await self._settle(part, Settlement(part_id=part.id, state="unknown", release_at=at))
            return False
        at = part.changed_at + self._doubt(part.unknowns)
        if part.state == "unknown" and (now < at or await self._store.unread_before(at)):
            await self._store.release(self._work.claim, at=max(at, now + READ_MS))
            return False
        if part.unknowns >= UNKNOWN_LAST or self._circuits.blamed(self._work.claim.conversation_id) >= UNKNOWN_MOST:
            remedy = "Look at the phone; send it again if it is not there."
            error = {"code": None, "title": "its outcome stayed unknown", "remedy": remedy}
            return await self._fail(part, error)
        return await self._commit(part, Settlement(part_id=part.id, state="planned", start=part.id))

    def _doubt(self, unknowns: int) -> int:
        """Milliseconds for which a part in doubt waits for a status."""
        return int(1000 * retry.doubt(unknowns, random=self._dice.random(), base=UNKNOWN_WAIT_MS / 1000))

    async def _closed(self, part: Part) -> bool:
        work = self._work
        if work.channel != "whatsapp" or part.kind == "template":
            return False
        window = rules.window(work.window_at, self._store.now())
        if window.known and not window.open:
            window = rules.window(await self._store.window_at(work.claim.conversation_id), self._store.now())
        return window.known and not window.open

    async def _sent(self, part: Part, answer: Accepted, following: Part | None) -> bool:
        self._circuits.worked(self._work.number, self._work.claim.conversation_id)
        settlement = Settlement(
            part_id=part.id,
            state="sent",
            wamid=answer.wamid,
            start=following.id if following else None,
            finish=following is None,
        )
        settled = await self._settle(part, settlement)
        if self._work.probing and await self._store.resume(self._work.number):
            self._emit(events.NumberResumed(at=self._store.now(), bot_id=self._work.bot_id))
        return settled and following is not None

    async def _refused(self, part: Part, answer: Refused) -> None:
        failure = answer.failure
        error = {
            "code": failure.code, "title": answer.reason, "details": failure.details, "remedy": answer.remedy,
        }  # fmt: skip
        now = self._store.now()
        if answer.repeat is Repeat.AMBIGUOUS:
            self._circuits.doubted(self._work.number, self._work.claim.conversation_id)
        if answer.repeat in (Repeat.SAFE, Repeat.AMBIGUOUS):
            await self._trip(error, answer.retry_after)
        match answer.repeat:
            case Repeat.SAFE:
                decision = retry.decide(
                    Repeat.SAFE, part.attempts + 1, now=now / 1000, random=self._dice.random(),
                    retry_after=answer.retry_after, cap=300.0, attempts=ATTEMPTS,
                )  # fmt: skip
                if decision.at is None:
                    await self._fail(part, error)
                    return
                at = int(decision.at * 1000)
                await self._settle(part, Settlement(part_id=part.id, state="planned", error=error, release_at=at))
            case Repeat.AMBIGUOUS:
                at = now + self._doubt(part.unknowns + 1)
                await self._settle(part, Settlement(part_id=part.id, state="unknown", error=error, release_at=at))
            case Repeat.BLOCKED:
                await self._pause(part, error)
            case Repeat.NEVER:
                self._circuits.worked(self._work.number, self._work.claim.conversation_id)
                self._asked = False  # that says nothing about the number: where it was probed, the next one may
                await self._fail(part, error)

    async def _trip(self, error: Mapping[str, object], retry_after: float | None) -> None:
        """Count a failure of Graph's; where it fails for everybody the number rests, so that nobody storms it."""
        work = self._work
        if work.channel != "whatsapp":
            return
        until = self._circuits.failed(
            work.number,
            work.claim.conversation_id,
            now=self._store.now() / 1000,
            random=self._dice.random(),
            retry_after=retry_after,
            probing=work.probing,
        )
        if until is not None:
            await self._rest(int(until * 1000), error)

    async def _pause(self, part: Part, error: Mapping[str, object]) -> None:
        """The number is stuck, not the message: keep everything, tell once, try later. A test learns it at once."""
        first = await self._paused(self._store.now() + PAUSE_MS, error)
        if self._work.channel == "test":
            await self._fail(part, error)
        else:
            await self._keep(part, error)
        if first:
            self._alarm(error)

    async def _rest(self, until: int, error: Mapping[str, object]) -> None:
        if await self._paused(until, error):
            self._alarm(error)

    async def _paused(self, until: int, error: Mapping[str, object]) -> bool:
        """Pause the number; true where it was not paused."""
        number, reason = self._work.number, str(error["title"])
        return await self._held(lambda: self._store.pause(number, until=until, reason=reason), taken=False)

    def _alarm(self, error: Mapping[str, object]) -> None:
        code = error["code"]
        self._emit(
            events.NumberPaused(
                at=self._store.now(),
                bot_id=self._work.bot_id,
                code=code if isinstance(code, int) else None,
                error=str(error["title"]),
                remedy=str(error["remedy"]),
            )
        )

    async def _fail(self, part: Part, error: Mapping[str, object], *, state: str = "failed") -> bool:
        self._circuits.settled(self._work.claim.conversation_id)
        await self._settle(part, Settlement(part_id=part.id, state=state, error=error, finish=True))
        return False

    async def _settle(self, part: Part, settlement: Settlement) -> bool:
        """Commit and tell; false where a status was faster."""
        if not await self._commit(part, settlement):
            return False
        state = "waiting" if settlement.state == "planned" else settlement.state
        self._emit(told(self._work, part, state, self._store.now(), settlement.error, wamid=settlement.wamid))
        return True

    async def _commit(self, part: Part, settlement: Settlement) -> bool:
        """Commit; false where a status was faster: then the conversation is given back, to go on with what is left."""
        taken = bool(settlement.wamid)
        state = await self._held(lambda: self._store.settle(self._work, settlement), taken=taken)
        if state == settlement.state:
            return True
        self._emit(told(self._work, part, state, self._store.now()))
        await self._store.release(self._work.claim)
        return False

    async def _held(self, write: Callable[[], Awaitable[T]], *, taken: bool) -> T:
        """What a write gives, once the store takes it: what Graph answered is known here alone until then.

        The stop does not wait for it but where Graph took the part (``taken``): that would be said twice.
        """
        told = False
        while True:
            try:
                return await write()
            except StoreUnavailable as error:
                if self._stopping() and not taken:
                    raise
                if not told:
                    self._emit(trouble(error, self._store.now()))
                told = True
                await asyncio.sleep(AGAIN)


def trouble(error: StoreUnavailable, now: int) -> events.Notice:
    """Trouble with the store, as an event."""
    return events.Notice(at=now, level="warning", topic="store", detail=error.message)


def line_of(bot: HostedBot) -> Line | None:
    """The number that speaks for a bot, ``None`` where nothing lets it."""
    if bot.access_token is None or not bot.phone_number_id:
        return None
    return Line(
        phone_number_id=bot.phone_number_id,
        access_token=bot.access_token,
        app_secret=bot.app_secret,
        previous_token=bot.access_token_previous,
    )


def told(
    work: Work,
    part: Part,
    state: str,
    now: int,
    error: Mapping[str, object] | None = None,
    *,
    wamid: str | None = None,
) -> events.PartSettled:
    """What became of a part, as an event; ``wamid`` where the part has not got it yet."""
    code = error.get("code") if error else None
    return events.PartSettled(
        at=now,
        bot_id=work.bot_id,
        conversation_id=work.claim.conversation_id,
        turn_id=work.turn_id,
        part_id=part.id,
        state=state,
        kind=part.kind,
        who=work.phone or work.user_id,
        text=part.said,
        wamid=part.wamid if wamid is None else wamid,
        milliseconds=max(0, now - work.received_at),
        bot_milliseconds=work.engine_ms,
        code=code if isinstance(code, int) else None,
        error=str(error["title"]) if error else None,
        remedy=str(error.get("remedy") or "") if error else None,
        channel=work.channel,
    )
