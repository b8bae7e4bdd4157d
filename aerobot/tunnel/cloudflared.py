"""A quick tunnel of Cloudflare's: the `cloudflared` that is installed, without an account, killed at the end.

It is shown an empty configuration: rules in the user's own would answer 404 to every request of a quick tunnel.
"""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from aerobot.errors import ConfigError, NetworkError
from aerobot.secret import is_loopback
from aerobot.tunnel.base import Report, Terms, local_address, public_origin
from aerobot.tunnel.cloudflared_errors import INSTALL_PAGE, explain

__all__ = ["INSTALL_PAGE", "CloudflaredTunnel", "find_cloudflared", "open_cloudflared"]

START_SECONDS = 45
"""How long until Cloudflare is connected: QUIC is given up for HTTP/2 after about half a minute."""
HEAD_START = 8
"""Seconds: a name looked up before it exists is remembered as missing by resolvers, for up to half an hour."""
LIMITS = (
    "A quick tunnel: a new address at each start, 200 requests at a time, and nobody guarantees that it stays up. "
    "For more than tests: --tunnel-provider ngrok, or --public-url with a domain of your own."
)
"""https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/do-more-with-tunnels/trycloudflare/"""
_KEPT = ("TUNNEL_TRANSPORT_PROTOCOL", "TUNNEL_EDGE_IP_VERSION", "TUNNEL_EDGE_BIND_ADDRESS", "TUNNEL_REGION")
_ADDRESS = re.compile(r"\|\s+(https?://\S+)\s+\|")
_CONNECTED = re.compile(r"Registered tunnel connection|Connection \S+ registered")
_TROUBLE = re.compile(r" (ERR|FTL|WRN) |[Ff]ailed|[Ee]rror|Incorrect Usage|flag provided")
_HARMLESS = re.compile(r"origin certificate|receive buffer size|ICMP|ping_group|\bGID\b|metrics")


def find_cloudflared() -> str | None:
    """The binary: ``CLOUDFLARED_BIN`` (as other tools have it), else the one on PATH; ``None`` if there is none."""
    given = os.environ.get("CLOUDFLARED_BIN")
    if given and shutil.which(given) is None:
        raise ConfigError(f"CLOUDFLARED_BIN is {given}, which cannot be run.", f"Unset it, or install: {INSTALL_PAGE}")
    return shutil.which(given or "cloudflared")


async def open_cloudflared(
    *,
    port: int,
    host: str,
    report: Report,
    started: Callable[[Callable[[], None]], None] = lambda kill: None,
    start_seconds: float = START_SECONDS,
) -> "CloudflaredTunnel":
    """Open a quick tunnel to ``host:port`` of this machine; it is connected when this returns.

    ``ConfigError`` where cloudflared is missing or does not do, ``NetworkError`` for what another try may mend.
    """
    binary = find_cloudflared()
    if binary is None:
        raise ConfigError("cloudflared is not installed.", f"{INSTALL_PAGE}\nor --tunnel-provider ngrok")
    report("asking Cloudflare for a quick tunnel")
    tunnel = await _start(binary, local_address(host, port))
    started(tunnel.kill)
    try:
        await tunnel.connected(start_seconds)
    except BaseException:
        await asyncio.shield(tunnel.close())
        raise
    return tunnel


async def _start(binary: str, address: str) -> "CloudflaredTunnel":
    folder = Path(tempfile.mkdtemp(prefix="aerobot-cloudflared-"))
    config = folder / "config.yml"
    config.write_text("no-autoupdate: true\n", "utf-8")
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "tunnel", "--config", str(config), "--no-autoupdate", "--url", address,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if not k.startswith("TUNNEL_") or k in _KEPT},
        )  # fmt: skip
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ConfigError(
            f"{binary} cannot be run: {error.strerror or error}.", "Is it cloudflared for this system?"
        ) from None
    return CloudflaredTunnel(process, folder)


class CloudflaredTunnel:
    """A tunnel and the process that holds it open."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._trouble: deque[str] = deque(maxlen=20)
        self._url = ""
        self._ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def url(self) -> str:
        """The origin that Meta can call."""
        return self._url

    @property
    def terms(self) -> Terms:
        """The limits of quick tunnels."""
        head_start = 0 if is_loopback(self._url) else HEAD_START
        return Terms(provider="cloudflared", limits=LIMITS, head_start=head_start)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def connected(self, seconds: float) -> None:
        """Wait until Cloudflare has given an address and the process is connected to it."""
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, self._reading}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._ready.is_set():
            self._url = public_origin(self._url)
        elif self._trouble or self._reading.done():
            raise explain("\n".join(self._trouble))
        else:
            raise NetworkError(f"cloudflared gave no answer within {seconds:g} s.", "Is there a network, a firewall?")

    async def _read(self) -> None:
        """Follow the log to its end, for a process whose pipe is full stands still."""
        assert self._process.stderr is not None
        while True:
            try:
                line = (await self._process.stderr.readline()).decode("utf-8", "replace")
            except ValueError:  # a line beyond all measure, of which a piece is gone
                continue
            if not line:
                return
            if found := _ADDRESS.search(line):
                self._url = self._url or found[1]
            elif _CONNECTED.search(line):
                if self._url:
                    self._ready.set()
                self._trouble.clear()
            elif _TROUBLE.search(line) and not _HARMLESS.search(line):
                self._trouble.append(line.strip())

    async def close(self) -> None:
        """Kill the process: the address is gone with it, and with its next life comes another."""
        self.kill()
        await self._process.wait()
        await self._reading
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """The same at once."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
