"""The note a running host leaves (one file, 0600), by which other commands find it and may talk to it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from aerobot import notes
from aerobot.errors import NetworkError, UsageError
from aerobot.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """One running host. ``sandbox_secret`` is the app secret of an emulated Meta, with which send-test may sign.

    Without a ``worker`` it only receives (``serve --no-worker``).
    """

    pid: int
    private_url: str
    private_token: Secret
    public_url: str | None
    local_url: str
    config: str | None
    profile: str | None
    phone_number_ids: tuple[str, ...]
    engine: str
    database: str
    started_at: int
    sandbox_secret: Secret | None = None
    worker: bool = True


def write(folder: Path, record: HostRecord) -> Path:
    """Leave the record in ``folder`` (made 0700) and return its path, which the host removes when it stops."""
    revealed = {
        "private_token": record.private_token.reveal(),
        "sandbox_secret": record.sandbox_secret.reveal() if record.sandbox_secret else None,
    }
    return notes.leave(folder, "host", record.pid, {**asdict(record), **revealed})


def running(folder: Path) -> tuple[HostRecord, ...]:
    """The hosts that are alive; the records of dead ones are taken away."""
    found = []
    for document in notes.left(folder, "host"):
        try:
            document["private_token"] = Secret(document["private_token"])
            document["sandbox_secret"] = Secret(document["sandbox_secret"]) if document["sandbox_secret"] else None
            document["phone_number_ids"] = tuple(document["phone_number_ids"])
            found.append(HostRecord(**document))
        except (KeyError, TypeError):
            continue
    return tuple(found)


def of_config(records: Sequence[HostRecord], config: str | None) -> tuple[HostRecord, ...]:
    """The hosts that read this configuration file; none where there is no file."""
    return tuple(r for r in records if config and r.config == config)


def of_number(records: Sequence[HostRecord], phone_number_id: str) -> tuple[HostRecord, ...]:
    """The hosts that serve this number; none where there is no number."""
    return tuple(r for r in records if phone_number_id and phone_number_id in r.phone_number_ids)


def choose(records: Sequence[HostRecord], *, config: str | None, phone_number_id: str) -> HostRecord:
    """The host that is meant: the only one, else that of this configuration, else that of this number.

    None running is a ``NetworkError`` (exit 5), several that fit a ``UsageError`` that names them (exit 2).
    """
    if not records:
        raise NetworkError("No local host is running.", "Start one: aerobot serve, or aerobot sandbox.")
    if len(records) == 1:
        return records[0]
    for fits in (of_config(records, config), of_number(records, phone_number_id)):
        if len(fits) == 1:
            return fits[0]
    names = "\n".join(f"{r.private_url}  pid {r.pid}  {r.engine}  {r.config or 'no file'}" for r in records)
    raise UsageError(
        "Several local hosts are running, and none is this configuration's alone.",
        f"Name its file with --config:\n{names}",
    )
