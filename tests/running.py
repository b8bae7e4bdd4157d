"""The real command line as processes that go on: start one, read what it says, stop it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

AEROBOT = (sys.executable, "-m", "aerobot")


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which nothing of this machine's user shows: own home, config and state folders."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AEROBOT_", "AEROSTACK_"))}
    own = {
        "HOME": str(home),
        "AEROBOT_CONFIG_HOME": str(home / "config"),
        "AEROBOT_STATE_HOME": str(home / "state"),
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
    }
    return {**kept, **own, **(extra or {})}


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str = "", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*AEROBOT, *arguments], cwd=cwd, env=dict(env), input=stdin, capture_output=True, text=True, timeout=timeout
    )


class Running:
    """A command that goes on: its stdout lines as they come, its stderr as a whole."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [*AEROBOT, *arguments], cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(iter(self.process.stderr.readline, ""))

    @property
    def stderr(self) -> str:
        """What was said on stderr so far."""
        return "".join(self._errors)

    def line(self, timeout: float = 20) -> str:
        """The next line of stdout; fails with stderr where none comes."""
        try:
            line = self._queue.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no line within {timeout} s; stderr:\n{self.stderr}") from None
        if line is None:
            raise AssertionError(f"it ended with {self.process.wait()}; stderr:\n{self.stderr}")
        self.lines.append(line)
        return line

    def event(self, event: str, timeout: float = 20, **fields: Any) -> dict[str, Any]:
        """The next JSON line that is such an event."""
        while True:
            document: dict[str, Any] = json.loads(self.line(timeout))
            if document.get("event") == event and all(document.get(k) == v for k, v in fields.items()):
                return document

    def stop(self, number: int = signal.SIGINT, timeout: float = 20) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(5)
        while not self._queue.empty():
            rest = self._queue.get()
            if rest is not None:
                self.lines.append(rest)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.stop(signal.SIGKILL)
