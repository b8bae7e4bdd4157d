"""A real `aerobot serve` that a drill starts, kills and starts again: the same database, the same ports."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aerobot.host.paths import path_of
from tests.front import BOT, NUMBER, SECRET
from tests.running import Running, environment

TWO_PARTS = """
async def reply(turn):
    return [f"{turn.text} a", f"{turn.text} b"]
"""
"""A bot that answers with two parts, so that their order can be wrong."""


class Host:
    """One host; ``changes`` are settings as environment variables without ``AEROBOT_``, ``flags`` go to `serve`."""

    def __init__(
        self,
        folder: Path,
        graph_url: str,
        *,
        bot: str = TWO_PARTS,
        changes: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        database: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bot.py").write_text(bot)
        self.database = database or folder / "drill.db"
        ports = _free_ports(2)
        self.url = f"http://127.0.0.1:{ports[0]}{path_of(BOT)}"
        self._folder = folder
        self._flags = tuple(flags)
        self._settings = {
            "WHATSAPP_PHONE_NUMBER_ID": NUMBER,
            "WHATSAPP_ACCESS_TOKEN": "EAAG-drill",
            "WHATSAPP_VERIFY_TOKEN": "verify",
            "WHATSAPP_APP_SECRET": SECRET,
            "WHATSAPP_GRAPH_URL": graph_url,
            "BOT_ID": BOT,
            "SERVE_DATABASE": str(self.database),
            "SERVE_PORT": str(ports[0]),
            "SERVE_PRIVATE_PORT": str(ports[1]),
            **(changes or {}),
        }
        self._running: Running | None = None
        self.told: list[dict[str, Any]] = []

    def start(self, **changes: str) -> None:
        """Start and wait until it answers; ``changes`` are settings from now on."""
        self._settings.update(changes)
        env = environment(self._folder, {f"AEROBOT_{key}": value for key, value in self._settings.items()})
        command = ["serve", "bot.py", "--no-validate", "--json", *self._flags]
        self._running = Running(command, cwd=self._folder, env=env)
        self._running.event("ready", timeout=60)

    @property
    def pid(self) -> int:
        """The process."""
        assert self._running is not None
        return self._running.process.pid

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        """End it and keep what it told; returns the exit code."""
        assert self._running is not None
        running, self._running = self._running, None
        code = running.stop(number, timeout)
        self.told += [json.loads(line) for line in running.lines if line.endswith("}")]
        return code

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)

    def leave(self) -> None:
        """Kill it if it runs."""
        if self._running is not None:
            self.kill()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What ended runs told of a kind."""
        return [event for event in self.told if event["event"] == kind]

    @property
    def wrong(self) -> list[str]:
        """What nobody foresaw."""
        return [event["error"] for event in self.events("error")]

    # -- looked at from outside ---------------------------------------------------------------------------------

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What its database says, read beside it."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(query).fetchall()

    def undone(self) -> int:
        """How many messages are not answered yet, and how many requests not even read."""
        return int(
            self.rows(
                "SELECT (SELECT COUNT(*) FROM arrivals)"
                " + (SELECT COUNT(*) FROM messages WHERE state IN ('queued', 'in_turn'))"
            )[0][0]
        )

    @property
    def memory(self) -> float:
        """Its resident memory in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def descriptors(self) -> int:
        """How many files it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    @property
    def log_bytes(self) -> int:
        """How large the database's write-ahead log is."""
        log = self.database.with_name(self.database.name + "-wal")
        return log.stat().st_size if log.exists() else 0


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, to be used again and again."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
