"""Opens a listener: a port, or a clear word about why not."""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aerobot.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import web

    from aerobot.host.gate import Gate

Answer = Callable[["web.BaseRequest"], Awaitable["web.StreamResponse"]]
BACKLOG = 128
"""Connections that the system keeps until they are accepted."""
LINGER = 2.0
"""Seconds in which a caller who still sends can read why it was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port that is listened on, and its address."""

    url: str
    runner: "web.BaseRunner"
    server: asyncio.Server
    gate: "Gate | None"

    async def close(self) -> None:
        """Accept nobody more, let what is being answered end (1 s), close every connection."""
        self.server.close()
        await self.runner.cleanup()
        if self.gate is not None:
            self.gate.close()


async def listen(
    app: "web.Application | Answer", host: str, port: int, *, key: str, free: bool, gate: "Gate | None" = None
) -> Listener:
    """Serve ``app``, or a function that answers every request, through ``gate`` where one is given.

    With ``free`` on another port where it is taken. ``ConfigError`` names ``key``, the setting of the port.
    """
    from aiohttp import web

    manners: dict[str, Any] = {
        "access_log": None,
        "auto_decompress": False,  # a signature is over the bytes as they came, and a bomb stays as small as it is
        "lingering_time": LINGER,
        "logger": _silent(),
    }
    runner: web.BaseRunner
    if isinstance(app, web.Application):
        runner = web.AppRunner(app, shutdown_timeout=1.0, **manners)
    else:
        runner = web.ServerRunner(web.Server(app, **manners), shutdown_timeout=1.0)
    await runner.setup()
    inner = runner.server
    assert inner is not None

    def protocol() -> asyncio.Protocol:
        return gate.door(inner()) if gate is not None else inner()

    try:
        server = await _bound(protocol, host, port, free=free)
    except (OSError, ValueError) as error:
        await runner.cleanup()
        raise not_listening(error, host, port, key) from None
    address = server.sockets[0].getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{'127.0.0.1' if shown == '0.0.0.0' else shown}:{address[1]}"
    return Listener(url=url, runner=runner, server=server, gate=gate)


async def _bound(protocol: Callable[[], asyncio.Protocol], host: str, port: int, *, free: bool) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(protocol, host, port, backlog=BACKLOG)
    except OSError as error:
        if not (free and error.errno == errno.EADDRINUSE):
            raise
        return await loop.create_server(protocol, host, 0, backlog=BACKLOG)


def descriptors(wanted: int) -> int:
    """Let this process have ``wanted`` open files, as far as the system allows, and return how many it has."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft
    return most




def _silent() -> logging.Logger:
    """aiohttp's own words about broken requests go nowhere: what an operator should know is an event."""
    logger = logging.getLogger("aerobot.http")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def not_listening(error: OSError | ValueError, host: str, port: int, key: str) -> ConfigError:
    """Why a port cannot be had, and what to do."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        flag = "--" + key.partition(".")[2].replace("_", "-")
        return ConfigError(
            f"Port {port} on {host} is in use.",
            f"Stop what uses it (another aerobot serve?), or take a free one: {flag} 0",
        )
    return ConfigError(
        f"{host}:{port} cannot be listened on: {getattr(error, 'strerror', None) or error}.", f"Look at {key}."
    )
