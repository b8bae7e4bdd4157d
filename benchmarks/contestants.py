"""Starts and stops what is measured: aerobot, its peers, a Graph for the replies; each is a process of its own."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from aerobot.host.paths import path_of
from aerobot.store.roster import derived_id
from benchmarks.bodies import NUMBER, SECRET, VERIFY_TOKEN

ROOT = Path(__file__).parents[1]
START_SECONDS = 30.0
PEERS: Mapping[str, str] = {
    "bare aiohttp": "bare",
    "PyWa async, FastAPI": "pywa_async_fastapi",
    "PyWa async, Starlette": "pywa_async_starlette",
    "PyWa sync, FastAPI": "pywa_sync_fastapi",
}
"""Names as the tables have them, and the script below ``peers``."""


@dataclass(slots=True)
class Contestant:
    """A server that runs, and the address that webhooks are sent to; ``database`` is that of an aerobot."""

    url: str
    process: "subprocess.Popen[bytes]"
    database: Path | None = None

    def cpu(self) -> float:
        """Processor seconds so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def unread(self) -> int:
        """How many requests it acknowledged and has not read yet."""
        if self.database is None:
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as db:
            return int(db.execute("SELECT COUNT(*) FROM arrivals").fetchone()[0])

    def memory(self) -> float:
        """Resident megabytes now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def peer(script: str) -> Contestant:
    """One of the scripts below ``peers``."""
    port = _free_port()
    command = [sys.executable, "-m", f"benchmarks.peers.{script}", str(port)]
    return _started(command, ROOT, {**os.environ, "PYTHONPATH": str(ROOT)}, port, "/")


def host(folder: Path, *, worker: bool, graph: str = "http://127.0.0.1:9", database: Path | None = None) -> Contestant:
    """``aerobot serve`` with the echo bot, its files in ``folder``; without a worker it only receives."""
    port = _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "aerobot", "serve", "echo", "--port", str(port), "--private-port", "0", "-q"]
    database = database or folder / "aerobot.db"
    command += ["--no-validate", "--database", str(database)] + ([] if worker else ["--no-worker"])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AEROBOT_", "AEROSTACK_"))}
    env = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "AEROBOT_CONFIG_HOME": str(folder / "config"),
        "AEROBOT_STATE_HOME": str(folder / "state"),
        "AEROBOT_WHATSAPP_GRAPH_URL": graph.rstrip("/"),
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": NUMBER,
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": "EAAtoken",
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": VERIFY_TOKEN,
        "AEROBOT_WHATSAPP_APP_SECRET": SECRET,
    }
    started = _started(command, folder, env, port, path_of(derived_id(NUMBER)))
    started.database = database
    return started


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _started(command: Sequence[str], cwd: Path, env: Mapping[str, str], port: int, path: str) -> Contestant:
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    ends = time.monotonic() + START_SECONDS
    while not _answers(f"http://127.0.0.1:{port}/readyz"):
        if process.poll() is not None or time.monotonic() > ends:
            process.kill()
            raise SystemExit(f"{' '.join(command)} did not start (exit code {process.wait()}).")
        time.sleep(0.05)
    return Contestant(url=f"http://127.0.0.1:{port}{path}", process=process)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):
            return True
    except HTTPError as error:
        return error.code != 503
    except (URLError, OSError):
        return False
