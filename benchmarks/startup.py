"""How fast the command line answers, against its peers in the same run; medians, interleaved.

    .venv/bin/pip install pywa && .venv/bin/python benchmarks/startup.py

`--version` against a bare Python, `--help` against PyWa's, `create` to its first byte on the wire, and a fresh sandbox
to its first answer. The machine's noise hits both sides of a ratio; `--rounds` makes the medians steadier.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


def timed(command: list[str], **more: object) -> float:
    """Seconds from start to exit."""
    started = time.perf_counter()
    subprocess.run(command, check=False, **{**QUIET, **more})  # type: ignore[call-overload]
    return time.perf_counter() - started


def first_byte(folder: Path) -> float:
    """Seconds from typing `create` to its first byte on the wire."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        arrived: list[float] = []

        def wait() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            arrived.append(time.perf_counter())
            connection.close()

        thread = threading.Thread(target=wait)
        thread.start()
        env = {
            **os.environ,
            "AEROBOT_CONFIG_HOME": str(folder),
            "AEROBOT_AEROSTACK_API_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
            "AEROBOT_AEROSTACK_TOKEN": "token",
            "AEROBOT_AEROSTACK_WORKSPACE_ID": "ws",
            "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
            "AEROBOT_WHATSAPP_ACCESS_TOKEN": "EAAtoken",
            "AEROBOT_WHATSAPP_VERIFY_TOKEN": "verify-token-xyz",
            "AEROBOT_WHATSAPP_APP_SECRET": "0" * 32,
        }
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(BIN / "aerobot"), "create", "--name", "x", "--system-prompt", "y"], cwd=folder, env=env, **QUIET
        )
        thread.join(20)
        process.kill()
        process.wait()
        return arrived[0] - started if arrived else float("nan")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    folder = Path(tempfile.mkdtemp())
    aerobot = str(BIN / "aerobot")
    pywa = BIN / "pywa"
    figures: dict[str, Callable[[], float]] = {
        "python -c pass": lambda: timed([sys.executable, "-c", "pass"]),
        "aerobot --version": lambda: timed([aerobot, "--version"]),
        "aerobot --help": lambda: timed([aerobot, "--help"]),
        "aerobot create, first byte": lambda: first_byte(folder),
        'aerobot sandbox --say "Hi", whole': lambda: timed([aerobot, "sandbox", "--say", "Hi"], cwd=folder),
    }
    if pywa.exists():
        figures["pywa --help"] = lambda: timed([str(pywa), "--help"])
    found: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(rounds):
        for name, measure in figures.items():
            found[name].append(measure())
    medians = {name: statistics.median(values) for name, values in found.items()}
    for name, value in medians.items():
        print(f"{name:36}{value * 1000:8.0f} ms")
    print(f"--version / python -c pass   {medians['aerobot --version'] / medians['python -c pass']:.2f}  (at most 2)")
    if pywa.exists():
        print(f"--help / pywa --help         {medians['aerobot --help'] / medians['pywa --help']:.2f}  (at most 0.8)")


if __name__ == "__main__":
    main()
