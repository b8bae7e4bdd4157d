"""What was set at Meta and what stood there before, on disk: one record and one lock per number.

Its law: a record is there before anything at Meta is changed, and until that is put back. Its process keeps a file of
its own locked for as long as it serves the number; the kernel lets go of that even at kill -9. Nothing secret is kept.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from aerobot.errors import ConfigError

if TYPE_CHECKING:
    from filelock import BaseFileLock

Level = Literal["phone", "waba", "app"]
"""Where a callback is set, the narrowest, which wins, first."""
LEVELS: tuple[Level, ...] = get_args(Level)
PATIENCE = 40.0
"""Seconds that somebody else's change of the same number is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One registration: what we set (``urls``, the last one now) at ``level``, and what stood at each level ``before``.

    ``fields`` are what the app had subscribed before, ``None`` where that is not known or it had nothing at all.
    A ``lasting`` one is meant to outlive its command; any other belongs to the process ``pid`` and is a leftover
    without it. ``under`` is the lasting one that stood before and stands again afterwards. ``at`` is in milliseconds.
    """

    phone_number_id: str
    display: str
    business_account_id: str
    app_id: str
    level: Level
    urls: tuple[str, ...]
    before: Mapping[str, str]
    fields: tuple[str, ...] | None
    pid: int
    config: str | None
    profile: str | None
    at: int
    lasting: bool = False
    under: "Record | None" = None

    @property
    def url(self) -> str:
        """What is set now."""
        return self.urls[-1]

    @property
    def former(self) -> str:
        """What stood at the level before; empty for nothing."""
        return self.before.get(self.level, "")

    @property
    def holder(self) -> str:
        """Whose it is, in words."""
        return f"pid {self.pid}, {self.config or 'no file'}" + (f", profile {self.profile}" if self.profile else "")

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The record in a document; ``ValueError``, ``KeyError`` or ``TypeError`` where it holds none."""
        given = {name: document[name] for name in cls.__dataclass_fields__}
        fields, under = given["fields"], given["under"]
        given |= {
            "urls": tuple(map(str, given["urls"])),
            "before": {level: str(given["before"][level]) for level in LEVELS},
            "fields": None if fields is None else tuple(map(str, fields)),
            "under": None if under is None else cls.read(under),
        }
        found = cls(**given)
        if not found.urls or found.level not in LEVELS or type(found.pid) is not int:
            raise ValueError("no record")
        return found


class Records:
    """The records in a folder (made 0700); ``ConfigError`` where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, number: str) -> Record | None:
        """The record of a number; one that cannot be read raises a ``ConfigError`` once and is kept aside."""
        path = self._path(number)
        try:
            found = Record.read(json.loads(path.read_bytes()))
            if found.phone_number_id != number:
                raise ValueError("another number's")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            aside = path.with_name(path.name + ".corrupt")
            with contextlib.suppress(OSError):
                path.replace(aside)
            raise Corrupt(
                f"The record of what stood at Meta before, {path}, cannot be read.",
                f"It is kept aside as {aside.name}. aerobot webhook show tells what stands there now.",
            ) from None
        return found

    def write(self, record: Record) -> None:
        """Keep a record (0600), whole or not at all."""
        import secrets

        path = self._path(record.phone_number_id)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(asdict(record), stream)
                stream.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise _unwritable(self._folder, error) from None

    def drop(self, record: Record) -> None:
        """Forget a record: what it is about was put back. The lasting one that stood under it is the record again."""
        if record.under is not None:
            self.write(record.under)
        else:
            try:
                self._path(record.phone_number_id).unlink(missing_ok=True)
            except OSError as error:
                raise _unwritable(self._folder, error) from None
        self.tidy(record)

    def tidy(self, record: Record | None) -> None:
        """Take away the lock file of a process that has ended, or is about to let go."""
        if record is not None and (record.pid == os.getpid() or not self.alive(record)):
            with contextlib.suppress(OSError):  # Windows keeps a file that is locked
                self._held(record).unlink(missing_ok=True)

    def alive(self, record: Record) -> bool:
        """Whether the process that made it still serves the number."""
        from filelock import Timeout

        if record.lasting or not self._held(record).exists():
            return False
        try:
            with _lock(self._held(record), 0):
                return False
        except Timeout:
            return True
        except OSError as error:
            raise _unwritable(self._folder, error) from None

    def hold(self, record: Record) -> "BaseFileLock":
        """Show that this process serves the number, until the lock is released or the process ends."""
        lock = _lock(self._held(record), 0)
        lock.acquire()
        return lock

    @contextlib.contextmanager
    def alone(self, number: str) -> Iterator[None]:
        """Keep other aerobots from changing this number meanwhile."""
        from filelock import Timeout

        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _lock(self._path(number).with_suffix(".lock"), PATIENCE)
            lock.acquire()
        except Timeout:
            raise ConfigError("Another aerobot is just changing this number's webhook.", "Try again.") from None
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        try:
            yield
        finally:
            lock.release()

    def leftovers(self) -> Iterator[Record | ConfigError]:
        """The records whose process is gone, and what is to be said about those that cannot be read."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                found = self.read(path.stem)
                if found is not None and not found.lasting and not self.alive(found):
                    yield found
            except ConfigError as error:
                yield error

    def _path(self, number: str) -> Path:
        if not (number.isascii() and number.isdigit()):
            raise ConfigError("whatsapp.phone_number_id is not set, or not an id.", "aerobot init")
        return self._folder / f"{number}.json"

    def _held(self, record: Record) -> Path:
        return self._folder / f"{record.phone_number_id}.{record.pid}.held"


class Corrupt(ConfigError):
    """A record that cannot be read; it was kept aside, so that reading again finds none."""


def there(folder: Path) -> bool:
    """Whether there is any record: one look, and no import, for a command that has nothing to do with them."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".json") for entry in entries)
    except OSError:
        return False


def host_of(url: str) -> str:
    """The host in an address, for people; the address itself where it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url


def _lock(path: Path, timeout: float) -> "BaseFileLock":
    from filelock import FileLock

    # One thread takes it and another lets go: the calls to Graph are made in threads.
    return FileLock(path, timeout=timeout, mode=0o600, thread_local=False)


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    words = f"The state folder {folder} cannot be written: {error.strerror or error}."
    return ConfigError(words, "Set AEROBOT_STATE_HOME to a folder of yours.")
