"""How a command gets at what a host keeps: through the host that runs, else in the database's file."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aerobot.cli.command import Run
from aerobot.config import Settings, state_folder
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, UsageError

if TYPE_CHECKING:
    from aerobot.host.record import HostRecord

LONGEST = 900.0
"""Seconds that a host may take for one answer: a sweep of millions of messages takes its time."""
Facts = dict[str, Any]


class Reach(Protocol):
    """Somebody who can be asked about what is kept, by the names of ``host.upkeep_api.ROUTES``.

    ``running``: it is a host; ``database``: the file that is meant.
    """

    running: bool
    database: Path

    def ask(self, call: str, **given: object) -> Facts:
        """The answer; a thing that is not there is a ``RemoteError``, nonsense a ``UsageError``."""

    @property
    def words(self) -> str:
        """Who answers, in a sentence's part."""


def reach(run: Run) -> Reach:
    """The host of this database, else of this configuration; else the file; else the host that send-test would take.

    So a host of another project is asked only where there is nothing of this one's.
    """
    from aerobot.host import record
    from aerobot.runtime import database_path

    settings = run.settings()
    path = database_path(settings)
    hosts = record.running(state_folder(os.environ) / "hosts")
    host = _own(hosts, settings, path)
    if host is None and (path.exists() or not hosts):
        return _File(path)
    if host is None:
        config = str(settings.path) if settings.path else None
        host = record.choose(hosts, config=config, phone_number_id=settings.text("whatsapp.phone_number_id"))
    return _Running(host)


def _own(hosts: "tuple[HostRecord, ...]", settings: Settings, path: Path) -> "HostRecord | None":
    same = [host for host in hosts if Path(host.database).resolve() == path.resolve()]
    ours = [host for host in hosts if settings.path is not None and host.config == str(settings.path)]
    return next((found[0] for found in (same, ours) if len(found) == 1), None)


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


class _Running:
    """A host, over its private listener."""

    running = True

    def __init__(self, host: "HostRecord") -> None:
        self._host = host
        self.database = Path(host.database)

    @property
    def words(self) -> str:
        return f"the host that runs (pid {self._host.pid}, {self._host.engine})"

    def ask(self, call: str, **given: object) -> Facts:
        import httpx

        from aerobot.host.upkeep_api import ROUTES

        verb, path = ROUTES[call]
        named = {name: value for name, value in given.items() if f"{{{name}}}" in path}
        rest = {name: value for name, value in given.items() if name not in named and value is not None}
        more: Facts = {"params": rest} if verb == "GET" else {"json": rest}
        token = {"Authorization": f"Bearer {self._host.private_token.reveal()}"}
        url = self._host.private_url + path.format(**named)
        try:
            answer = httpx.request(verb, url, headers=token, timeout=LONGEST, trust_env=False, **more)
        except httpx.HTTPError as error:
            words = f"The host that runs (pid {self._host.pid}) does not answer: {error}."
            raise NetworkError(words, "Stop it and ask again: then its file is read.") from None
        return _answered(answer.status_code, answer)


def _answered(status: int, answer: Any) -> Facts:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    if status == 200 and isinstance(document, dict):
        return document
    error = document.get("error") if isinstance(document, dict) else None
    known: Mapping[str, Any] = error if isinstance(error, dict) else {}
    raise _refused(status, str(known.get("message") or f"The host answered {status}"))


def _refused(status: int, message: str) -> AerobotError:
    words = f"{message.rstrip('.')}."
    if status == 400:
        return UsageError(words)
    return RemoteError(words, "It is of another version than this command?" if status == 405 else "", status=status)


class _File:
    """The database's file, where no host runs: locked for the moment of each answer, one command after the other."""

    running = False

    def __init__(self, path: Path) -> None:
        self.database = path

    @property
    def words(self) -> str:
        return f"{shown(self.database)} (no host runs)"

    def ask(self, call: str, **given: object) -> Facts:
        if not self.database.exists():
            raise ConfigError(
                f"No host runs, and there is no database {shown(self.database)} yet.",
                "aerobot serve makes it; serve.database names another place.",
            )
        return asyncio.run(self._asked(call, given))

    async def _asked(self, call: str, given: Mapping[str, object]) -> Facts:
        from aerobot.host.reader import Reader
        from aerobot.host.refusal import Refusal
        from aerobot.host.upkeep_api import UpkeepApi
        from aerobot.store.sqlite import SqliteStore
        from aerobot.store.sqlite_queue import queued

        store = SqliteStore(self.database)
        async with queued(self.database):
            await store.open()
            try:
                api = UpkeepApi(store.upkeep, now=store.now, read_up=Reader(store=store).read_all)
                answer: Facts = await getattr(api, call)(given)
            except Refusal as refusal:
                raise _refused(refusal.status, refusal.message) from None
            finally:
                await store.close()
        return answer
