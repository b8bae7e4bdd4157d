"""Claims a conversation, asks the engine, writes the plan down, speaks, settles: the only loop that runs bots."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from aerobot import events
from aerobot.bot import Attachment, Conversation, Reply, Said, Text, Turn
from aerobot.circuit import Circuits
from aerobot.engine import Engine, EngineError, sample
from aerobot.errors import AerobotError, Fenced, StoreUnavailable
from aerobot.lag import TICK, Lag
from aerobot.sender import Sender
from aerobot.speaker import PAUSE_MS, Dice, Speaker, line_of, told, trouble
from aerobot.store.base import Claim, HostedBot, Part, Plan, Store, Work
from aerobot.store.roster import Roster
from aerobot.whatsapp import graph, rules

RENEW_SECONDS = 10.0
"""How often leases are renewed; a lease lasts three times as long."""
LATE = 0.05
"""Seconds by which the loop may be late; beyond it whoever receives goes first, for Meta waits for its 200."""
YIELDS = 0.25
"""Seconds that the worker lets others go first at most; then it claims a few."""
MOST, FEW = 100, 10
"""Conversations claimed at once, and while the loop is late."""
HISTORY_HOURS = 100_000.0
"""No history is longer, whatever ``conversation_ttl_hours`` says: more than eleven years."""


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
        self._circuits = Circuits()
        self._lag = Lag()
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
        beside = [asyncio.create_task(self._renew()), asyncio.create_task(self._lag.run())]
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    if len(self._tasks) >= self._concurrency:
                        await self._rest(None)
                    elif not await self._claim(FEW if await self._yielded() else MOST) and not self._wake.is_set():
                        await self._rest(await self._store.due_in())
                except StoreUnavailable as error:
                    self._trouble(error)
                    await self._rest(1000)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _trouble(self, error: StoreUnavailable) -> None:
        self._emit(trouble(error, self._store.now()))

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

    async def _yielded(self) -> bool:
        """Let others go first while the loop is late; true where it still is."""
        until = asyncio.get_running_loop().time() + YIELDS
        while self._lag.seconds > LATE and not self._stopping:
            if asyncio.get_running_loop().time() > until:
                return True
            await asyncio.sleep(TICK)
        return False

    async def _claim(self, most: int) -> bool:
        free = self._concurrency - len(self._tasks)
        works = await self._store.claim(self._owner, min(free, most), join=self._join)
        for work in works:
            if self._stopping:
                await self._store.release(work.claim)
                continue
            task = asyncio.create_task(self._work(work))
            self._tasks[task] = work.claim
            task.add_done_callback(self._done)
        return bool(works)

    def _done(self, task: asyncio.Task[None]) -> None:
        claim = self._tasks.pop(task)
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:  # no Exception: those are told where they are caught
            self._unforeseen(error)
            self._beside(self._give_back(claim))

    def _unforeseen(self, error: BaseException) -> None:
        words = f"{type(error).__name__}: {error}"
        self._emit(events.Unexpected(at=self._store.now(), where="worker", error=words))

    async def _give_back(self, claim: Claim) -> None:
        with contextlib.suppress(AerobotError):
            await self._store.release(claim, at=self._store.now() + PAUSE_MS)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

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
            self._unforeseen(error)
            await self._give_back(work.claim)

    def _speaker(self, bot: HostedBot, work: Work) -> Speaker:
        return Speaker(
            store=self._store,
            sender=self._sender,
            emit=self._emit,
            dice=self._dice,
            circuits=self._circuits,
            line=line_of(bot),
            work=work,
            stopping=lambda: self._stopping,
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
                self._emit(told(work, part, "not_sent", self._store.now(), error))

    async def _planned(self, work: Work, plan: Plan) -> Work:
        """Commit the plan; what it settles is told."""
        await self._store.plan(work, plan)
        parts = tuple(plan.parts)
        if work.capture:
            parts = tuple(replace(part, state="captured") for part in parts)
        work = replace(
            work, thought=True, parts=parts, outcome=plan.outcome, error=plan.error, engine_ms=plan.engine_ms
        )
        if work.capture:
            for part in parts:
                self._emit(told(work, part, "captured", self._store.now()))
        if plan.outcome != "answered":
            self._emit(self._ended(work, plan.trace))
        return work

    async def _think(self, bot: HostedBot, work: Work) -> Plan:
        self._show_typing(bot, work)
        turn = await self._turn(bot, work)
        started = time.monotonic()
        error = trace = ""
        try:
            answer = await self._ask(bot, turn)
            if work.ordinal == 1 and bot.welcome_message.strip():
                answer = (Text(bot.welcome_message), *answer)
            parts = self._parts(work, answer)
            outcome = "answered" if parts else "silent"
        except EngineError as problem:
            error, trace = f"{problem.where} {problem.message}".strip(), problem.trace
        except AerobotError as problem:
            error = problem.message
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        engine_ms = int((time.monotonic() - started) * 1000)
        if error:
            parts = self._parts(work, (Text(bot.fallback_message),)) if bot.fallback_message.strip() else ()
            outcome = "fell_back" if parts else "failed"
        return Plan(parts=parts, outcome=outcome, error=error, engine_ms=engine_ms, trace=trace)

    async def _ask(self, bot: HostedBot, turn: Turn) -> tuple[Reply, ...]:
        """The engine's answer; one that takes too long is cancelled, after it was seen what it is doing.

        It is asked in our own task, so whoever cancels must be told apart: its time, whoever stops us, or itself.
        """
        task = asyncio.current_task()
        assert task is not None
        late: list[str] = []
        timer = asyncio.get_running_loop().call_later(bot.timeout_ms / 1000, self._cut_off, task, turn.id, late)
        try:
            answer = await self._engine.reply(turn)
        except asyncio.CancelledError:
            if not task.cancelling():
                raise EngineError("it cancelled itself") from None
        except Exception:
            if not late:
                raise
        finally:
            timer.cancel()
        if task.cancelling() > len(late):
            raise asyncio.CancelledError
        if late:
            task.uncancel()
            raise EngineError(f"no answer within {bot.timeout_ms} ms" + (f": {late[0]}" if late[0] else ""))
        return answer

    def _cut_off(self, task: "asyncio.Task[None]", turn_id: int, late: list[str]) -> None:
        try:
            late.append(self._engine.doing(turn_id))
        except Exception:  # it is asked about an object of the bot's own, which may answer anything
            late.append("")
        task.cancel()

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
            opener=self._opener(bot, test=work.channel == "test"),
        )

    def _opener(self, bot: HostedBot, *, test: bool) -> Callable[[Attachment], Future[bytes]]:
        """How a turn's attachments are opened: from Meta; in a test, whose files Meta never saw, a sample."""
        loop = asyncio.get_running_loop()

        def opener(attachment: Attachment) -> Future[bytes]:
            if test:
                return _at_hand(sample(attachment.kind))
            line = line_of(bot)
            if line is None:
                raise AerobotError("Media cannot be opened: the bot has no access token")
            return asyncio.run_coroutine_threadsafe(self._sender.open(line, attachment.id), loop)

        return opener

    def _parts(self, work: Work, answer: Sequence[Reply]) -> tuple[Part, ...]:
        """Their ids grow with the turns: what is written at the same time lies together on the disk."""
        bodies = [(reply, body) for reply in answer for body in graph.bodies(reply)]
        json.dumps([body for _, body in bodies])  # what cannot be written down is the engine's failure
        return tuple(
            Part(
                id=f"{work.turn_id:012}.{self._dice.new_id()}",
                position=position,
                kind=reply.kind,
                said=_said(reply, body),
                body=body,
                state="planned" if position else "fresh",  # the plan's own commit marks it as being sent
            )
            for position, (reply, body) in enumerate(bodies)
        )

    def _show_typing(self, bot: HostedBot, work: Work) -> None:
        """Blue ticks and typing, beside the thinking; begun before it, so never after a part is on its way."""
        line = line_of(bot)
        wamid = work.messages[-1].id if work.messages else ""
        if line is None or not wamid or work.channel != "whatsapp":
            return
        self._beside(self._sender.mark_read(line, wamid))

    # -- what is told -------------------------------------------------------------------------------------------

    def _ended(self, work: Work, trace: str) -> events.TurnEnded:
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
            trace=trace or None,
            channel=work.channel,
        )


def _said(reply: Reply, body: Mapping[str, object]) -> str:
    text = body.get("text")
    return str(text["body"]) if isinstance(text, Mapping) and "body" in text else reply.said


def _at_hand(content: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_result(content)
    return future
