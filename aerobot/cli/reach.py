"""How a command gets at what a host keeps: through the host that runs, else in the database's file."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aerobot.cli.command import Run
from aerobot.config import Settings, state_folder
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, UsageError
from aerobot.terminal import safe

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


def reach(run: Run, *, told: bool = False) -> Reach:
    """The host of this database, else of this configuration; else the file; else a host of this number, or a sandbox.

    It is said whose data these are where they are not this folder's own file, and always with ``told``. Another
    project's host is never asked: a ``ConfigError`` names it.
    """
    from aerobot.host import record
    from aerobot.runtime import database_path

    settings = run.settings()
    path = database_path(settings)
    hosts = record.running(state_folder(os.environ) / "hosts")
    place = _place(hosts, settings, path)
    if told or place.database.resolve() != path.resolve():
        run.terminal.say(run.terminal.faint(safe(f"From {place.words}")), hang=2)
    return place


def _place(hosts: "tuple[HostRecord, ...]", settings: Settings, path: Path) -> Reach:
    from aerobot.host import record

    config, number = str(settings.path) if settings.path else None, settings.text("whatsapp.phone_number_id")
    same = tuple(host for host in hosts if Path(host.database).resolve() == path.resolve())
    own = next((found[0] for found in (same, record.of_config(hosts, config)) if len(found) == 1), None)
    if own is not None:
        return _Running(own, path)
    if path.exists() or not hosts:
        return _File(path)
    fits = record.of_config(hosts, config) or record.of_number(hosts, number)
    if not fits and not config and not number:
        fits = tuple(host for host in hosts if host.sandbox_secret is not None)
    if not fits:
        raise _strangers(hosts, path)
    return _Running(record.choose(fits, config=config, phone_number_id=number), path)


def _strangers(hosts: "tuple[HostRecord, ...]", path: Path) -> ConfigError:
    """Only hosts of other projects run, and this one has no database: who they are, and how each is reached."""
    whose = "the host that runs is" if len(hosts) == 1 else "the hosts that run are"
    listed = "\n".join(f"pid {host.pid}, {host.engine}: {host.database}" for host in hosts)
    ways = "If you mean it, go to its folder" if len(hosts) == 1 else "If you mean one of them, go to its folder"
    files = [host.config for host in hosts if host.config]
    named = f", add --config {files[0] if len(hosts) == 1 else 'FILE'}" if files else ""
    return ConfigError(
        f"There is no database {shown(path)} here, and {whose} not this folder's.",
        f"{listed}\n{ways}{named},\nor set AEROBOT_SERVE_DATABASE to its database.",
    )


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


class _Running:
    """A host, over its private listener."""

    running = True

    def __init__(self, host: "HostRecord", expected: Path) -> None:
        self._host = host
        self._expected = expected
        self.database = Path(host.database)

    @property
    def words(self) -> str:
        what = "sandbox" if self._host.sandbox_secret is not None else "host"
        elsewhere = self.database.resolve() != self._expected.resolve()
        where = f", whose data are in {shown(self.database)}" if elsewhere else ""
        return f"the {what} that runs (pid {self._host.pid}, {self._host.engine}){where}"

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
