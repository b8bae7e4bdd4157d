"""What is on this machine and what is not: nothing else is called unless it was permitted."""

import ipaddress
import os
from urllib.parse import urlsplit

import aiohttp


def is_here(url: str) -> bool:
    """Whether a URL points at this machine: ``localhost``, names below it, and loopback addresses."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False  # no two programs read such an address alike
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def words(error: Exception) -> str:
    """Why a call failed, as a person says it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        why = os.strerror(number) if number and number > 0 else error.os_error.strerror or "no connection"
        return f"nothing answers at {error.host}:{error.port} ({why})"
    return str(error) or type(error).__name__
