"""The engine that runs a person's own file: its ``reply(turn)`` or its router, sync or async, loaded again on save.

People's code never runs on the host's event loop: async handlers share a loop in a thread of their own, sync ones get a
thread each. So a handler that blocks delays other handlers at worst, never a webhook, and can be named while it does.
"""

import asyncio
import importlib
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from aerobot.bot import Audio, Document, Handler, Image, Reply, Router, Sticker, Turn, Video, replies
from aerobot.engine import EngineError
from aerobot.engine.watchdog import Watchdog
from aerobot.errors import AerobotError, ConfigError

FILES = (Image, Video, Audio, Document, Sticker)
WATCH_SECONDS = 0.4
"""How often the bot's files are looked at for changes."""


class Python:
    """Runs ``bot.py``, ``bot.py:name`` or ``module:name``; ``on_reload(error)`` is told of each loading after that.

    ``on_blocked(words)`` is told of a handler that blocks the others: file, line and call.
    """

    needs_history = True

    def __init__(self, target: str, *, folder: Path, reload: bool) -> None:
        self.name = target
        self._source, _, self._attribute = target.partition(":")
        self._is_file = self._source.endswith(".py")
        self._path = (folder / self._source).resolve() if self._is_file else None
        self._folder = self._path.parent if self._path is not None else folder.resolve()
        self._reload = reload
        self._handler: Handler | None = None
        self._stamps: dict[Path, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._running: dict[int, threading.Thread | tuple[asyncio.Task[Any], Any] | None] = {}
        self._watchdog: asyncio.Task[None] | None = None
        self.on_reload: Callable[[str | None], None] = lambda error: None
        self.on_blocked: Callable[[str], None] = lambda words: None

    async def start(self) -> None:
        """Load the bot; ``ConfigError`` says what is wrong with it."""
        before = self._look() if self._reload else {}
        self._handler = await _in_daemon(self._load)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aerobot-bot", daemon=True)
        self._thread.start()
        watchdog = Watchdog(self._loop, doing=self._at_work, tell=lambda words: self.on_blocked(words))
        self._watchdog = asyncio.create_task(watchdog.run())
        if self._reload:
            self._stamps = self._look() | before
            self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching and stop the handlers' loop; a handler that is stuck is left behind."""
        for task in (self._watcher, self._watchdog):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._loop is not None and self._thread is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_shut, self._loop)
            await asyncio.to_thread(self._thread.join, 1.0)
            if not self._thread.is_alive():
                self._loop.close()

    # -- answering ----------------------------------------------------------------------------------------------

    async def reply(self, turn: Turn) -> tuple[Reply, ...]:
        """Run the handler; whatever it raises becomes an ``EngineError`` that names its line."""
        handler = self._handler
        if isinstance(handler, Router):
            handler = handler.handler_for(turn)
        if handler is None:
            return ()
        self._running[turn.id] = None
        try:
            if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
                return self._placed(await self._on_loop(handler(turn), turn))
            answer = await self._run_in_thread(handler, turn)
            if inspect.isawaitable(answer) or inspect.isasyncgen(answer):
                answer = await self._on_loop(answer, turn)
            return self._placed(answer)
        except (asyncio.CancelledError, EngineError):
            raise
        except BaseException as error:
            raise self._explained(error) from error
        finally:
            self._running.pop(turn.id, None)

    def _placed(self, answer: tuple[Reply, ...]) -> tuple[Reply, ...]:
        """Files are named from the bot's own folder, wherever aerobot was started."""
        return tuple(
            replace(reply, path=str(self._folder / reply.path)) if isinstance(reply, FILES) and reply.path else reply
            for reply in answer
        )

    async def _on_loop(self, answer: Any, turn: Turn) -> tuple[Reply, ...]:
        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._awaited(answer, turn), self._loop))

    async def _awaited(self, answer: Any, turn: Turn) -> tuple[Reply, ...]:
        """On the handlers' loop: what would end that loop, or look like our own cancellation, ends this turn alone."""
        task = asyncio.current_task()
        assert task is not None
        self._running[turn.id] = (task, answer)
        try:
            return replies([item async for item in answer] if inspect.isasyncgen(answer) else await answer)
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            raise self._explained(error) from error
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            raise self._explained(error) from error

    async def _run_in_thread(self, handler: Handler, turn: Turn) -> Any:
        """A sync handler in a thread of its own; a generator runs there too."""
        done: Future[Any] = Future()

        def work() -> None:
            try:
                answer = handler(turn)
                later = inspect.isawaitable(answer) or inspect.isasyncgen(answer)
                result = answer if later else replies(answer)
            except BaseException as error:
                done.set_exception(self._explained(error))
            else:
                done.set_result(result)

        thread = threading.Thread(target=work, name=f"aerobot-turn-{turn.id}", daemon=True)
        self._running[turn.id] = thread
        thread.start()
        return await asyncio.shield(asyncio.wrap_future(done))

    def _explained(self, error: BaseException) -> EngineError:
        if isinstance(error, EngineError):
            return error
        where, trace = self._where(error), self._trace(error)
        if isinstance(error, AerobotError):
            return EngineError(error.message, error.hint, where=where, trace=trace)
        words = traceback.format_exception_only(error)[-1].strip()
        return EngineError(words, where=where, trace=trace)

    def _trace(self, error: BaseException) -> str:
        """The bot's own frames, the innermost last, with the lines themselves."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self._is_own(frame.filename)]
        return "\n".join(f"{Path(f.filename).name}:{f.lineno} in {f.name}()  {f.line or ''}".rstrip() for f in frames)

    def _where(self, error: BaseException) -> str:
        if isinstance(error, SyntaxError) and error.filename and self._is_own(error.filename):
            return f"{Path(error.filename).name}:{error.lineno}"
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if self._is_own(frame.filename)]
        return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""

    def _is_own(self, filename: str) -> bool:
        path = Path(filename)
        return path.is_absolute() and path.is_relative_to(self._folder) and "site-packages" not in path.parts

    # -- what it is doing ---------------------------------------------------------------------------------------

    def doing(self, turn_id: int) -> str:
        """File, line and call in which a handler is right now, and whether it blocks the others."""
        running = self._running.get(turn_id)
        if isinstance(running, threading.Thread):
            return self._described(_frames_of(running))
        if turn_id not in self._running or self._loop is None or self._thread is None:
            return ""
        words = self._at_work()
        if running is None:
            return f"waits for another handler, at {words}" if words else ""
        task, answer = running
        if words and asyncio.current_task(self._loop) is task:
            return words + "; a blocking call in an async bot: make reply() sync, or use an async client"
        return self._described(_frames_awaiting(answer))

    def _at_work(self) -> str:
        """Where the handlers' loop is right now, empty while it waits for something to do."""
        assert self._loop is not None
        assert self._thread is not None
        return self._described(_frames_of(self._thread)) if asyncio.current_task(self._loop) else ""

    def _described(self, frames: list[FrameType]) -> str:
        """The innermost line of the bot's own, and the call it waits in; ``frames`` begins with the innermost."""
        own = next((frame for frame in frames if self._is_own(frame.f_code.co_filename)), None)
        if own is None:
            return ""
        words = f"{Path(own.f_code.co_filename).name}:{own.f_lineno} {own.f_code.co_name}()"
        if frames[0] is not own:
            words += f" waits in {frames[0].f_globals.get('__name__', '')}.{frames[0].f_code.co_name}"
        return words

    # -- loading ------------------------------------------------------------------------------------------------

    def _load(self) -> Handler:
        if str(self._folder) not in sys.path:
            sys.path.insert(0, str(self._folder))
        # Compiled files know seconds and lengths alone, which two saves may share.
        written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            module = self._module()
        except AerobotError:
            raise
        except BaseException as error:
            words = traceback.format_exception_only(error)[-1].strip()
            where = self._where(error)
            hint = f"Look at {where}." if where else ""
            raise ConfigError(f"{self._source} cannot be loaded: {words}", hint) from error
        finally:
            sys.dont_write_bytecode = written
        return self._pick(module)

    def _module(self) -> ModuleType:
        if self._path is None:
            return importlib.import_module(self._source)
        if not self._path.is_file():
            raise ConfigError(f"There is no file {self._path}.", "Name a file of yours; echo and demo need none.")
        spec = importlib.util.spec_from_file_location(self._path.stem, self._path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{self._path} is not a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    def _pick(self, module: ModuleType) -> Handler:
        if self._attribute:
            found = getattr(module, self._attribute, None)
        else:
            routers = [value for value in vars(module).values() if isinstance(value, Router)]
            found = getattr(module, "reply", None) or (routers[0] if routers else None)
        if not callable(found):
            wanted = f'"{self._attribute}"' if self._attribute else 'a function "reply(turn)" or a Router'
            raise ConfigError(f"{self._source} has no {wanted}.", 'def reply(turn): return f"You said: {turn.text}"')
        return found  # type: ignore[no-any-return]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            stamps = await asyncio.to_thread(self._look)
            if stamps == self._stamps:
                continue
            error: str | None = None
            try:
                self._handler = await _in_daemon(self._load_again)
            except AerobotError as problem:
                error = f"{problem.message.rstrip('.')}. {problem.hint}".rstrip()
            self._stamps = await asyncio.to_thread(self._look) | stamps
            self.on_reload(error)

    def _load_again(self) -> Handler:
        importlib.invalidate_caches()
        for name in [name for name, file in self._own_modules() if file != Path(__file__)]:
            sys.modules.pop(name, None)
        return self._load()

    def _own_modules(self) -> list[tuple[str, Path]]:
        own = []
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and name != "__main__" and not name.startswith("aerobot") and self._is_own(file):
                own.append((name, Path(file)))
        return own

    def _look(self) -> dict[Path, int]:
        """When the bot's files were saved; one that was watched before still is, for it may just be broken."""
        paths = {file for _, file in self._own_modules()} | ({self._path} if self._path else set()) | set(self._stamps)
        stamps = {}
        for path in paths:
            try:
                stamps[path] = path.stat().st_mtime_ns
            except OSError:
                stamps[path] = 0
        return stamps


async def _in_daemon(call: Callable[[], Handler]) -> Handler:
    """Run something of the bot's in a thread that nobody waits for at the end: loading may never end."""
    done: Future[Handler] = Future()

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, name="aerobot-load", daemon=True).start()
    return await asyncio.shield(asyncio.wrap_future(done))


def _frames_of(thread: threading.Thread) -> list[FrameType]:
    """Where a thread is, the innermost frame first."""
    frames = []
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented way, for debuggers
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _frames_awaiting(awaited: Any) -> list[FrameType]:
    """Where a coroutine or async generator is suspended, the innermost frame first."""
    frames = []
    while awaited is not None:
        frames += [getattr(awaited, name, None) for name in ("cr_frame", "ag_frame", "gi_frame")]
        steps = (getattr(awaited, name, None) for name in ("cr_await", "ag_await", "gi_yieldfrom"))
        awaited = next((step for step in steps if step is not None), None)
    return [frame for frame in reversed(frames) if frame is not None]


def _shut(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what runs on the loop, let that take effect, and stop it."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_soon(loop.call_soon, loop.stop)
