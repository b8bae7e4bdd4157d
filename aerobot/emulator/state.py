"""The whole emulated world as one JSON document: exported, imported, and kept in a file that survives a restart.

The document has secrets of the emulated business in it; the file is for its owner alone (0600).
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from aerobot.emulator.business import Account, Number, Subscription
from aerobot.emulator.clock import LONGEST
from aerobot.emulator.credentials import Credentials
from aerobot.emulator.portal import Portal
from aerobot.emulator.templates import Template
from aerobot.emulator.tokens import Token
from aerobot.errors import ConfigError

FORM: Final = 1
"""The version of the document; another one is refused."""
PAUSE: Final = 1.0
"""Seconds between two writes of the file while things happen; what a kill -9 can lose."""


def portal_kept(portal: Portal) -> dict[str, Any]:
    """The set-up at Meta."""
    business = portal.business
    return {
        "accounts": [asdict(account) for account in business.accounts.values()],
        "numbers": [asdict(number) for number in business.numbers.values()],
        "subscriptions": {app: asdict(found) for app, found in business.subscriptions.items()},
        "templates": {account: [_shallow(one) for one in found] for account, found in business.templates.items()},
        "require_proof": business.require_proof,
        "clock_ahead": business.clock_ahead,
        "outage": business.outage,
        "tokens": [asdict(token) for token in portal.tokens.all()],
    }


def _shallow(template: Template) -> dict[str, Any]:
    """Components are as deep as their maker made them: they are shared, not copied."""
    return {one.name: getattr(template, one.name) for one in fields(template)}


def restore_portal(portal: Portal, kept: Mapping[str, Any]) -> None:
    """Take in what ``portal_kept`` gave. Raises ``KeyError`` or ``TypeError`` for anything else."""
    business = portal.business
    business.accounts = {found["id"]: Account(**found) for found in kept["accounts"]}
    business.numbers = {found["id"]: Number(**found) for found in kept["numbers"]}
    subscriptions = {
        app: Subscription(**{**found, "fields": tuple(found["fields"])}) for app, found in kept["subscriptions"].items()
    }
    business.subscriptions = subscriptions
    business.templates = {account: tuple(map(_template, found)) for account, found in kept["templates"].items()}
    business.require_proof = bool(kept["require_proof"])
    business.clock_ahead = float(kept["clock_ahead"])
    business.outage = str(kept["outage"])
    portal.restore_tokens(map(_token, kept["tokens"]))


def _template(found: Mapping[str, Any]) -> Template:
    return Template(**{**found, "components": tuple(found["components"])})


def _token(found: Mapping[str, Any]) -> Token:
    targets = found["targets"]
    told = {"scopes": tuple(found["scopes"]), "targets": None if targets is None else tuple(targets)}
    return Token(**{**found, **told})


def check(document: object) -> Mapping[str, Any]:
    """A document of this form, with credentials. Raises ``ValueError`` with a sentence."""
    if not isinstance(document, Mapping) or "aerobot_emulator" not in document:
        raise ValueError("This is not a state of the emulator.")
    if document["aerobot_emulator"] != FORM:
        raise ValueError(f"This state has form {document['aerobot_emulator']!r}; this version reads form {FORM}.")
    try:
        Credentials(**document["credentials"])
    except (KeyError, TypeError):
        raise ValueError("This state has no credentials.") from None
    seed, counts, clock = document.get("seed"), document.get("ids"), document.get("clock")
    if not all(isinstance(value, str) and len(value) < 1000 for value in document["credentials"].values()):
        raise ValueError("This state has no credentials.")
    if not (seed is None or type(seed) is int) or not isinstance(document.get("name"), str):
        raise ValueError("This state cannot be read: seed or name.")
    if not isinstance(counts, Mapping) or not all(type(count) is int for count in counts.values()):
        raise ValueError("This state cannot be read: ids.")
    if isinstance(clock, bool) or not isinstance(clock, int | float) or not 0 <= clock <= LONGEST:
        raise ValueError("This state cannot be read: clock.")
    return document


class StateFile:
    """Keeps the state in a file: written whole, beside it first, then put in its place. One emulator at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = path.with_name(f".{path.name}.part")
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._said = ""

    def read(self) -> Mapping[str, Any] | None:
        """The kept state, nothing if there is no file yet. Raises ``ConfigError``."""
        try:
            return check(json.loads(self.path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {error}.") from None
        except (ValueError, RecursionError) as error:
            what = str(error) if str(error).startswith("This ") else "It is not JSON."
            raise self.unusable(what) from None

    def unusable(self, what: str) -> ConfigError:
        """What to say of a file that cannot be gone on from."""
        return ConfigError(
            f"{self.path} is no state of the emulator: {what}", "Give another file to --state, or delete this one."
        )

    def start(self, state: Callable[[], Mapping[str, Any]], tell: Callable[[str], None] = lambda words: None) -> None:
        """Write it now, and whenever ``wanted``; ``tell`` hears what is wrong, and ``""`` when it is mended.

        Raises ``ConfigError`` if it cannot be written, or is another emulator's already.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"Another emulator keeps its state in {self.path}.", "Give --state a file.") from None
        except OSError as error:
            raise self._unwritable(error) from None
        self._write(state())
        self._task = asyncio.ensure_future(self._run(state, tell))

    def wanted(self) -> None:
        """Something happened."""
        self._wanted.set()

    async def _run(self, state: Callable[[], Mapping[str, Any]], tell: Callable[[str], None]) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            problem = ""
            try:
                self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, state()))
                await asyncio.shield(self._writing)
            except ConfigError as error:
                problem = error.message
                self._wanted.set()  # the disk may have room again
            if problem != self._said:
                self._said = problem
                tell(problem)
            await asyncio.sleep(PAUSE)

    def _write(self, state: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(state)
            with os.fdopen(os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as to:
                to.write(text)
                to.flush()
                os.fsync(to.fileno())
            self._beside.replace(self.path)
        except (OSError, ValueError, RecursionError) as error:
            with contextlib.suppress(OSError):
                self._beside.unlink(missing_ok=True)
            raise self._unwritable(error) from None

    def _unwritable(self, error: Exception) -> ConfigError:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        return ConfigError(f"{self.path} cannot be written: {why}.", "Give --state a file.")

    async def stop(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write it a last time, once what is being written is. Raises ``ConfigError`` if it cannot be written."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        self._task = None
        try:
            self._write(state())
        finally:
            self._lock.release()
