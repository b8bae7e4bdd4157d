"""Asks a running host's private listener about itself."""

from collections.abc import Mapping
from typing import Any

from aerobot.errors import NetworkError, RemoteError
from aerobot.host.record import HostRecord


def about(host: HostRecord, *, timeout: float = 5.0) -> Mapping[str, Any]:
    """What the host says of itself (``GET /api/host``); ``timeout`` in seconds."""
    import httpx

    headers = {"Authorization": f"Bearer {host.private_token.reveal()}"}
    try:
        answer = httpx.get(host.private_url + "/api/host", headers=headers, timeout=timeout, trust_env=False)
        document = answer.json()
    except (httpx.HTTPError, ValueError):
        hint = f"It hangs, or another program has its port: stop pid {host.pid}"
        raise NetworkError(f"pid {host.pid} does not answer at {host.private_url}", hint) from None
    if answer.status_code != 200:
        said = (document.get("error") or {}).get("message") or answer.status_code
        raise RemoteError(f"the host says: {said}", "Its own output says more", status=answer.status_code)
    return document if isinstance(document, dict) else {}
