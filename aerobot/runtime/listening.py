"""Opens a listener: a port, or a clear word about why not."""

import errno
import logging
from typing import TYPE_CHECKING

from aerobot.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import web


async def listen(app: "web.Application", host: str, port: int, *, key: str, free: bool) -> "tuple[web.AppRunner, str]":
    """Serve ``app`` there and return the runner and the address; with ``free`` another port where it is taken.

    ``ConfigError`` names ``key``, the setting of the port.
    """
    from aiohttp import web

    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=1.0, auto_decompress=False, logger=_silent()
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if not (free and error.errno == errno.EADDRINUSE):
                raise
            await web.TCPSite(runner, host, 0).start()
    except (OSError, ValueError) as error:
        await runner.cleanup()
        raise not_listening(error, host, port, key) from None
    address = runner.addresses[0]
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    return runner, f"http://{'127.0.0.1' if shown == '0.0.0.0' else shown}:{address[1]}"


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
