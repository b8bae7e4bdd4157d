"""The whole emulated world as one JSON document: exported, imported, and kept in a file that survives a restart.

The document has secrets of the emulated business in it; the file is for its owner alone (0600).
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from aerobot.emulator.business import Account, Number, Subscription
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
        "templates": {account: [asdict(one) for one in found] for account, found in business.templates.items()},
        "require_proof": business.require_proof,
        "clock_ahead": business.clock_ahead,
        "outage": business.outage,
        "tokens": [asdict(token) for token in portal.tokens.all()],
    }


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
    return document


class StateFile:
    """Keeps the state in a file: written whole, beside it first, then put in its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error = ""

    def read(self) -> Mapping[str, Any] | None:
        """The kept state, nothing if there is no file yet. Raises ``ConfigError``."""
        try:
            return check(json.loads(self.path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {error}.") from None
        except ValueError as error:
            what = str(error) if str(error).startswith("This ") else "It is not JSON."
            hint = "Give another file to --state, or delete this one."
            raise ConfigError(f"{self.path} is no state of the emulator: {what}", hint) from None

    def start(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write it now, and from now on whenever ``wanted``. Raises ``ConfigError`` if it cannot be written."""
        self._write(state())
        self._task = asyncio.ensure_future(self._run(state))

    def wanted(self) -> None:
        """Something happened."""
        self._wanted.set()

    async def _run(self, state: Callable[[], Mapping[str, Any]]) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await asyncio.to_thread(self._write, state())
                self.error = ""
            except ConfigError as error:
                self.error = error.message  # the disk may have room again
            await asyncio.sleep(PAUSE)

    def _write(self, state: Mapping[str, Any]) -> None:
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as to:
                json.dump(state, to)
                to.flush()
                os.fsync(to.fileno())
            beside.replace(self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.", "Give --state a file.") from None

    async def stop(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write it a last time. Raises ``ConfigError`` if it cannot be written."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._write(state())
