"""Serves the phone page and guards it: loopback, our own Host and Origin, a strict content policy."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Page:
    """The static files, read once."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in TYPES}

    async def index(self, request: web.Request) -> web.Response:
        """The page itself; it has no secret in it."""
        return self._serve(request, "index.html")

    async def file(self, request: web.Request) -> web.Response:
        """One of its parts."""
        return self._serve(request, request.match_info["name"])

    def _serve(self, request: web.Request, name: str) -> web.Response:
        check_place(request)
        body = self._files.get(name)
        if body is None:
            raise web.HTTPNotFound(text="There is no such file.", headers=HEADERS)
        headers = {**HEADERS, "Content-Type": TYPES[Path(name).suffix]}
        return web.Response(body=body, headers=headers)


def check_place(request: web.Request) -> None:
    """Refuse what is not from this machine, for this address, from our own page (DNS rebinding)."""
    peer = request.remote or ""
    if not ipaddress.ip_address(peer.partition("%")[0] or "0.0.0.0").is_loopback:
        raise web.HTTPForbidden(text="Only from this machine.", headers=HEADERS)
    if not re.fullmatch(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", request.host):
        raise web.HTTPForbidden(text=f"The host name {request.host[:80]!r} is not ours.", headers=HEADERS)
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        raise web.HTTPForbidden(text="Only from our own page.", headers=HEADERS)
