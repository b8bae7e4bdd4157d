"""What is on this machine and what is not: nothing else is called unless it was permitted."""

import ipaddress
from urllib.parse import urlsplit

import aiohttp


def is_here(url: str) -> bool:
    """Whether a URL points at this machine: ``localhost``, names below it, and loopback addresses."""
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
        why = error.os_error.strerror or str(error.os_error)
        return f"nothing answers at {error.host}:{error.port} ({why.partition('[')[0].strip() or 'no connection'})"
    return str(error) or type(error).__name__
