"""Claims a conversation, asks the engine, writes the plan down, speaks, settles: the only loop that runs bots."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from aerobot import events, retry
from aerobot.bot import Attachment, Conversation, Reply, Said, Text, Turn
from aerobot.engine import Engine, EngineError
from aerobot.errors import AerobotError, Fenced, Repeat, StoreUnavailable
from aerobot.sender import Line, Sender
from aerobot.store.base import UNKNOWN_WAIT_MS, Claim, HostedBot, Part, Plan, Settlement, Store, Work
from aerobot.store.roster import Roster
from aerobot.whatsapp import graph, rules
from aerobot.whatsapp.graph import Accepted, Refused

RENEW_SECONDS = 10.0
"""How often leases are renewed; a lease lasts three times as long."""
HISTORY_HOURS = 100_000.0
"""No history is longer, whatever ``conversation_ttl_hours`` says: more than eleven years."""
PAUSE_MS = 30_000
"""How long a blocked number rests before one conversation tries again."""
UNKNOWN_MOST = 5
"""After so many sends whose outcome stayed unknown, a part has failed."""
ATTEMPTS = 40
"""Safe repeats of one part; with waits of up to five minutes they span about three hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dice:
    """Where decisions get their chance and their ids from."""

    random: Callable[[], float]
    new_id: Callable[[], str]


class Worker:
    """Works until it is stopped. ``join`` lets a turn take all messages that are queued."""

    def __init__(
        self,
        *,
        store: Store,
        roster: Roster,
        sender: Sender,
        engine: Engine,
        emit: Callable[[events.Event], None],
        owner: str,
        dice: Dice,
        join: bool = False,
        concurrency: int = 1000,
    ) -> None:
        self._store = store
        self._roster = roster
        self._sender = sender
        self._engine = engine
        self._emit = emit
        self._owner = owner
        self._dice = dice
        self._join = join
        self._concurrency = concurrency
        self._wake = asyncio.Event()
        self._stopping = False
        self._tasks: dict[asyncio.Task[None], Claim] = {}
        self._background: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and work until ``stop``; trouble with the store is waited out."""
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    if len(self._tasks) >= self._concurrency:
                        await self._rest(None)
                    elif not await self._claim():
                        await self._rest(await self._store.due_in())
                except StoreUnavailable as error:
                    self._trouble(error)
                    await self._rest(1000)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    def _trouble(self, error: StoreUnavailable) -> None:
        self._emit(events.Notice(at=self._store.now(), level="warning", topic="store", detail=error.message))

    async def stop(self, grace: float) -> None:
        """Take nothing new, let what was begun end within ``grace`` seconds, drop the rest: its leases run out."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        left = [*self._tasks, *self._background]
        claims = list(self._tasks.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for claim in claims:
            with contextlib.suppress(AerobotError):
                await self._store.release(claim)

    async def _claim(self) -> bool:
        free = self._concurrency - len(self._tasks)
        works = await self._store.claim(self._owner, min(free, 100), join=self._join)
        for work in works:
            if self._stopping:
                await self._store.release(work.claim)
                continue
            task = asyncio.create_task(self._work(work))
            self._tasks[task] = work.claim
            task.add_done_callback(self._done)
        return bool(works)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._wake.set()

    async def _rest(self, milliseconds: int | None) -> None:
        seconds = 5.0 if milliseconds is None else min(5.0, max(0.005, milliseconds / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            held = dict(self._tasks)
            if not held:
                continue
            with contextlib.suppress(StoreUnavailable):
                kept = await self._store.renew(list(held.values()))
                for task, claim in held.items():
                    if claim.conversation_id not in kept:
                        task.cancel()

    # -- one turn -----------------------------------------------------------------------------------------------

    async def _work(self, work: Work) -> None:
        try:
            bot = self._roster.get(work.bot_id)
            asked = False
            if bot is None or not bot.active:
                await self._ignore(work)
            else:
                if not work.thought:
                    work = await self._planned(work, await self._think(bot, work))
                if work.parts and not work.capture:
                    asked = await self._speaker(bot, work).speak()
            if work.probing and not asked:
                await self._store.pause(work.number, until=self._store.now(), reason="")
        except Fenced:
            return
        except StoreUnavailable as error:
            self._trouble(error)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            self._emit(events.Unexpected(at=self._store.now(), where="worker", error=words))
            with contextlib.suppress(AerobotError):
                await self._store.release(work.claim, at=self._store.now() + PAUSE_MS)

    def _speaker(self, bot: HostedBot, work: Work) -> "_Speaker":
        return _Speaker(
            store=self._store, sender=self._sender, emit=self._emit, dice=self._dice, line=_line(bot), work=work
        )

    async def _ignore(self, work: Work) -> None:
        """A bot that rests says nothing more: what it had still to say is not sent."""
        if not work.thought:
            await self._planned(work, Plan(parts=(), outcome="ignored", error="inactive"))
            return
        await self._store.finish(work)
        error = {"code": None, "title": "the bot is not active", "remedy": "aerobot activate --local"}
        for part in work.parts:
            if part.state == "planned":
                self._emit(_told(work, part, "not_sent", self._store.now(), error))

    async def _planned(self, work: Work, plan: Plan) -> Work:
        """Commit the plan; what it settles is told."""
        await self._store.plan(work, plan)
        state = "captured" if work.capture else "planned"
        parts = tuple(replace(part, state=state) for part in plan.parts)
        if parts and not work.capture:
            parts = (replace(parts[0], state="fresh"), *parts[1:])
        work = replace(
            work, thought=True, parts=parts, outcome=plan.outcome, error=plan.error, engine_ms=plan.engine_ms
        )
        if work.capture:
            for part in parts:
                self._emit(_told(work, part, "captured", self._store.now()))
        if plan.outcome != "answered":
            self._emit(self._ended(work))
        return work

    async def _think(self, bot: HostedBot, work: Work) -> Plan:
        self._show_typing(bot, work)
        turn = await self._turn(bot, work)
        started = time.monotonic()
        error = ""
        try:
            answer = await self._ask(bot, turn)
            if work.ordinal == 1 and bot.welcome_message.strip():
                answer = (Text(bot.welcome_message), *answer)
            parts = self._parts(answer)
            outcome = "answered" if parts else "silent"
        except EngineError as problem:
            error = f"{problem.where} {problem.message}".strip()
        except AerobotError as problem:
            error = problem.message
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        engine_ms = int((time.monotonic() - started) * 1000)
        if error:
            parts = self._parts((Text(bot.fallback_message),)) if bot.fallback_message.strip() else ()
            outcome = "fell_back" if parts else "failed"
        return Plan(parts=parts, outcome=outcome, error=error, engine_ms=engine_ms)

    async def _ask(self, bot: HostedBot, turn: Turn) -> tuple[Reply, ...]:
        """The engine's answer; one that takes too long is cancelled, after it was seen what it is doing."""
        asking = asyncio.ensure_future(self._engine.reply(turn))
        try:
            await asyncio.wait((asking,), timeout=bot.timeout_ms / 1000)
            if not asking.done():
                doing = self._engine.doing(turn.id)
                raise EngineError(f"no answer within {bot.timeout_ms} ms" + (f": {doing}" if doing else ""))
            if asking.cancelled():
                raise EngineError("it cancelled itself")
            return asking.result()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _turn(self, bot: HostedBot, work: Work) -> Turn:
        history: tuple[Said, ...] = ()
        if self._engine.needs_history and work.ordinal > 1:
            since = self._store.now() - int(min(HISTORY_HOURS, bot.ttl_hours) * 3_600_000)
            history = await self._store.history(
                work.claim.conversation_id, before_turn=work.turn_id, limit=bot.max_messages, since=since
            )
        return Turn(
            id=work.turn_id,
            messages=work.messages,
            conversation=Conversation(
                id=work.claim.conversation_id,
                bot_id=bot.id,
                name=work.name,
                phone=work.phone,
                user_id=work.user_id,
                channel=work.channel,
                is_new=work.ordinal == 1,
            ),
            history=history,
            system_prompt=bot.system_prompt,
            window_closes_at=rules.window(work.window_at, self._store.now()).closes_at,
            opener=self._opener(bot),
        )

    def _opener(self, bot: HostedBot) -> Callable[[Attachment], Future[bytes]]:
        loop = asyncio.get_running_loop()

        def opener(attachment: Attachment) -> Future[bytes]:
            line = _line(bot)
            if line is None:
                raise AerobotError("Media cannot be opened: the bot has no access token")
            return asyncio.run_coroutine_threadsafe(self._sender.open(line, attachment.id), loop)

        return opener

    def _parts(self, answer: Sequence[Reply]) -> tuple[Part, ...]:
        bodies = [(reply, body) for reply in answer for body in graph.bodies(reply)]
        json.dumps([body for _, body in bodies])  # what cannot be written down is the engine's failure
        return tuple(
            Part(id=self._dice.new_id(), position=position, kind=reply.kind, said=_said(reply, body), body=body)
            for position, (reply, body) in enumerate(bodies)
        )

    def _show_typing(self, bot: HostedBot, work: Work) -> None:
        """Blue ticks and typing, beside the thinking; begun before it, so never after a part is on its way."""
        line = _line(bot)
        wamid = work.messages[-1].id if work.messages else ""
        if line is None or not wamid or work.channel != "whatsapp":
            return
        task = asyncio.create_task(self._sender.mark_read(line, wamid))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- what is told -------------------------------------------------------------------------------------------

    def _ended(self, work: Work) -> events.TurnEnded:
        state = {"silent": "ignored(silent)", "ignored": f"ignored({work.error})"}.get(work.outcome, "failed")
        return events.TurnEnded(
            at=self._store.now(),
            bot_id=work.bot_id,
            conversation_id=work.claim.conversation_id,
            turn_id=work.turn_id,
            state=state,
            who=work.phone or work.user_id,
            fell_back=work.outcome == "fell_back",
            error=work.error or None,
        )


class _Speaker:
    """Sends the parts of one turn, one after the other."""

    def __init__(
        self,
        *,
        store: Store,
        sender: Sender,
        emit: Callable[[events.Event], None],
        dice: Dice,
        line: Line | None,
        work: Work,
    ) -> None:
        self._store = store
        self._sender = sender
        self._emit = emit
        self._dice = dice
        self._line = line
        self._work = work
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
        self._asked = True
        answer = await self._sender.send(
            self._line, part.body, phone=self._work.phone, user_id=self._work.user_id, part_id=part.id
        )
        if isinstance(answer, Accepted):
            return await self._sent(part, answer, following)
        await self._refused(part, answer)
        return False

    async def _begin(self, part: Part) -> bool:
        """Mark a part of an earlier run as being sent; one whose outcome is open waits for a status first."""
        now = self._store.now()
        if part.state == "sending":
            await self._settle(part, Settlement(part_id=part.id, state="unknown", release_at=now + UNKNOWN_WAIT_MS))
            return False
        if part.state == "unknown" and now < part.changed_at + UNKNOWN_WAIT_MS:
            await self._store.release(self._work.claim, at=part.changed_at + UNKNOWN_WAIT_MS)
            return False
        if part.unknowns >= UNKNOWN_MOST:
            remedy = "Look at the phone; send it again if it is not there."
            error = {"code": None, "title": "its outcome stayed unknown", "remedy": remedy}
            return await self._fail(part, error)
        return await self._commit(part, Settlement(part_id=part.id, state="planned", start=part.id))

    async def _closed(self, part: Part) -> bool:
        work = self._work
        if work.channel != "whatsapp" or part.kind == "template":
            return False
        window = rules.window(work.window_at, self._store.now())
        if window.known and not window.open:
            window = rules.window(await self._store.window_at(work.claim.conversation_id), self._store.now())
        return window.known and not window.open

    async def _sent(self, part: Part, answer: Accepted, following: Part | None) -> bool:
        settlement = Settlement(part_id=part.id, state="sent", wamid=answer.wamid)
        settled = await self._settle(part, self._then(settlement, following))
        if self._work.probing and await self._store.resume(self._work.number):
            self._emit(events.NumberResumed(at=self._store.now(), bot_id=self._work.bot_id))
        return settled and following is not None

    @staticmethod
    def _then(settlement: Settlement, following: Part | None) -> Settlement:
        return replace(settlement, start=following.id) if following else replace(settlement, finish=True)

    async def _refused(self, part: Part, answer: Refused) -> None:
        failure = answer.failure
        error = {
            "code": failure.code, "title": answer.message, "details": failure.details, "remedy": answer.remedy,
        }  # fmt: skip
        now = self._store.now()
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
                at = now + UNKNOWN_WAIT_MS
                await self._settle(part, Settlement(part_id=part.id, state="unknown", error=error, release_at=at))
            case Repeat.BLOCKED:
                await self._pause(part, error)
            case Repeat.NEVER:
                await self._fail(part, error)

    async def _pause(self, part: Part, error: Mapping[str, object]) -> None:
        """The number is stuck, not the message: keep everything, tell once, try later. A test learns it at once."""
        now = self._store.now()
        first = await self._store.pause(self._work.number, until=now + PAUSE_MS, reason=str(error["title"]))
        if self._work.channel == "test":
            await self._fail(part, error)
        else:
            kept = Settlement(part_id=part.id, state="planned", error=error, release_at=now, counts=False)
            await self._commit(part, kept)
        if first:
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
        await self._settle(part, Settlement(part_id=part.id, state=state, error=error, finish=True))
        return False

    async def _settle(self, part: Part, settlement: Settlement) -> bool:
        """Commit and tell; false where a status was faster."""
        if not await self._commit(part, settlement):
            return False
        told = "waiting" if settlement.state == "planned" else settlement.state
        settled = replace(part, wamid=settlement.wamid)
        self._emit(_told(self._work, settled, told, self._store.now(), settlement.error))
        return True

    async def _commit(self, part: Part, settlement: Settlement) -> bool:
        """Commit; false where a status was faster: then the conversation is given back, to go on with what is left."""
        state = await self._store.settle(self._work, settlement)
        if state == settlement.state:
            return True
        self._emit(_told(self._work, part, state, self._store.now()))
        await self._store.release(self._work.claim)
        return False


def _said(reply: Reply, body: Mapping[str, object]) -> str:
    text = body.get("text")
    return str(text["body"]) if isinstance(text, Mapping) and "body" in text else reply.said


def _line(bot: HostedBot) -> Line | None:
    """The number that speaks for a bot, ``None`` where nothing lets it."""
    if bot.access_token is None or not bot.phone_number_id:
        return None
    return Line(phone_number_id=bot.phone_number_id, access_token=bot.access_token)


def _told(
    work: Work, part: Part, state: str, now: int, error: Mapping[str, object] | None = None
) -> events.PartSettled:
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
        wamid=part.wamid,
        milliseconds=max(0, now - work.received_at),
        bot_milliseconds=work.engine_ms,
        code=code if isinstance(code, int) else None,
        error=str(error["title"]) if error else None,
        remedy=str(error.get("remedy") or "") if error else None,
        channel=work.channel,
    )
