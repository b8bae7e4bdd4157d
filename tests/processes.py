"""Runs the real CLI as processes of their own, with folders of their own, with or without a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerobot.host.record import HostRecord, write
from aerobot.secret import Secret

ON_TERMINAL = (
    "import os,sys; os.open(os.ttyname(0),os.O_RDWR); os.execv(sys.executable,[sys.executable,*sys.argv[1:]])"
)
"""Makes the terminal on stdin the process's own, as a login shell would, and becomes the command."""

AS_OWNER = """
import ctypes, os, sys
if os.getuid() == 0:
    for read_or_write_anything in (1, 2):
        assert ctypes.CDLL(None).prctl(24, read_or_write_anything, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "aerobot", *sys.argv[1:]])
"""
"""Becomes the command as somebody whom the modes of files bind: root lets go of its power over them."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


OFFLINE = {"AEROBOT_WHATSAPP_GRAPH_URL": "http://127.0.0.1:9"}
"""Nobody listens there: for commands that ask Graph by themselves, where Graph is not what is tested."""


class Cli:
    """``aerobot`` in a project folder, with a home, a configuration and a state folder under ``folder``."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.home, self.project = folder / "home", folder / "project"
        for path in (self.home, self.project / ".git"):
            path.mkdir(parents=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AERO", "XDG_")) and k != "NO_COLOR"}
        self.environ = {
            **kept,
            "HOME": str(self.home),
            "AEROBOT_CONFIG_HOME": str(self.home / "config"),
            "AEROBOT_STATE_HOME": str(self.home / "state"),
            "COLUMNS": "80",
            **environ,
        }

    def write(self, name: str, text: str) -> Path:
        """A file of the project; ``.env`` is made private, as ``aerobot init`` does."""
        path = self.project / name
        path.write_text(text, "utf-8")
        if name.startswith(".env"):
            path.chmod(0o600)
        return path

    def run(self, *arguments: str, stdin: str = "", timeout: float = 60, **environ: str) -> Ended:
        """Run to the end, without a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "aerobot", *arguments],
            cwd=self.project, env={**self.environ, **environ}, input=stdin, timeout=timeout,
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start and let run, without a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "aerobot", *arguments],
            cwd=self.project, env={**self.environ, **environ}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip

    def type(self, *arguments: str, answers: Sequence[tuple[str, str]], **environ: str) -> Ended:
        """Run on a terminal: for each (question, answer) wait for the question, then type the answer."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, "-m", "aerobot", *arguments],
            cwd=self.project, env={**self.environ, "TERM": "xterm", **environ},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        shown, seen = "", 0
        try:
            for question, answer in answers:
                shown = _read(master, shown, until=question, start=seen)
                seen = shown.index(question, seen) + len(question)
                os.write(master, answer.encode() + b"\n")
            shown = _read(master, shown)
            code = process.wait(30)
        finally:
            process.kill()
            process.wait()
            os.close(master)
        return Ended(code=code, out=shown.replace("\r\n", "\n"), err="")


def _read(master: int, shown: str, *, until: str = "", start: int = 0, timeout: float = 30) -> str:
    ends = time.monotonic() + timeout
    while not until or until not in shown[start:]:
        assert time.monotonic() < ends, f"{until!r} did not show in {shown!r}"
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            got = os.read(master, 4096)
        except OSError:
            got = b""
        if not got:
            assert not until, f"{until!r} did not show in {shown!r}"
            return shown
        shown += got.decode("utf-8", "replace")
    return shown


def running_host(cli: Cli, url: str, token: str) -> Path:
    """Leave the record of a running local host, as ``aerobot serve`` does; this process lends it its pid."""
    record = HostRecord(
        pid=os.getpid(), private_url=url, private_token=Secret(token), public_url=None, local_url=url,
        config=None, profile=None, phone_number_ids=(), engine="echo", database="x.db", started_at=0,
    )  # fmt: skip
    return write(cli.home / "state" / "hosts", record)
