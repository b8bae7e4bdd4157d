"""One Graph call, read once: its token, its parameters wherever they stood, and answers in Graph's shapes."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from aerobot.emulator.bodies import bounded
from aerobot.emulator.calls import Trail
from aerobot.emulator.graph_errors import Refused, no_field, no_token, parameter, required
from aerobot.emulator.outgoing import maybe_json, parse
from aerobot.emulator.tokens import Token, Tokens

LONGEST = 1024 * 1024
"""Bytes of a body that is not a file."""
SHOWN = 16_384
"""Bytes of a body that are remembered."""
PAGE = 25
"""Items on a page of a list unless ``limit`` says otherwise (Meta: Paginated results)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``params`` are the query with the body laid over it; ``body`` is the body alone.

    ``trail`` is what is remembered of it.
    """

    request: web.Request
    node: str
    edge: str
    token: Token
    params: Mapping[str, object]
    body: Mapping[str, object]
    trail: Trail

    @property
    def method(self) -> str:
        """GET, POST or DELETE, as a rule."""
        return self.request.method

    def text(self, name: str) -> str:
        """A parameter that must be there. Raises ``Refused`` (100)."""
        if name not in self.params:
            raise required(name)
        return string(self.params[name], name)

    def maybe(self, name: str) -> str:
        """A parameter that may be missing or empty."""
        return string(self.params.get(name, ""), name)

    def chosen(self, known: Mapping[str, object], default: str, node_type: str) -> dict[str, object]:
        """The fields asked for by ``fields`` and ``id``; what is None is left out. Raises ``Refused`` (100)."""
        asked = [name.strip() for name in (self.maybe("fields") or default).split(",") if name.strip()]
        for name in asked:
            if name not in known:
                raise no_field(name, node_type)
        return {name: known[name] for name in dict.fromkeys([*asked, "id"]) if known[name] is not None}

    def page(self, items: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """One page of a list, by ``limit`` and ``after``; ``next`` if there is more."""
        limit = self.maybe("limit") or str(PAGE)
        if not limit.isdecimal() or len(limit) > 9 or int(limit) < 1:
            raise parameter("Param limit must be a positive integer")
        first = _place(self.maybe("after"))
        last = first + int(limit)
        if not (shown := items[first:last]):
            return {"data": []}
        paging: dict[str, object] = {"cursors": {"before": _cursor(first), "after": _cursor(first + len(shown))}}
        if last < len(items):
            paging["next"] = str(self.request.url.update_query(limit=limit, after=_cursor(last)))
        return {"data": list(shown), "paging": paging}


async def read(
    request: web.Request, parts: Sequence[str], tokens: Tokens, *, require_proof: bool, trail: Trail
) -> Call:
    """Read a call and check who calls. Raises ``Refused`` and ``TooLarge``.

    The token may stand in the query, the body or the header, and counts in that order; files are left for who
    wants them.
    """
    bodiless = request.method in ("GET", "HEAD") or request.content_type.startswith("multipart/")
    raw = b"" if bodiless else await bounded(request, LONGEST)
    trail.request = _without_token(raw)
    query = {key: maybe_json(value) for key, value in request.query.items()}
    node, edge = (parts[0], "/".join(parts[1:])) if parts else ("", "")
    if not (given := _given(request, raw)):
        raise no_token(node)
    proof = query.get("appsecret_proof", _peek(request, raw).get("appsecret_proof"))
    token = tokens.check(given, None if proof is None else str(proof), require_proof=require_proof)
    body = parse(raw, request.content_type)
    return Call(request=request, node=node, edge=edge, token=token, params=query | dict(body), body=body, trail=trail)


def _without_token(raw: bytes) -> str:
    """A body as it may be shown."""
    found = raw[:SHOWN].decode("utf-8", "replace")
    return re.sub(r'(access_token"?\s*[:=]\s*"?)[^"&\s]+', r"\1***", found)


def _given(request: web.Request, raw: bytes) -> str:
    named = request.query.get("access_token") or _peek(request, raw).get("access_token")
    if named:
        return str(named)
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() in ("bearer", "oauth") else ""


def _peek(request: web.Request, raw: bytes) -> Mapping[str, object]:
    """The body if it can be read; who calls is asked before what is wrong with it is said."""
    try:
        return parse(raw, request.content_type)
    except Refused:
        return {}


def string(value: object, name: str) -> str:
    """A string, or a number as one. Raises ``Refused`` (100)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise parameter(f"Param {name} must be a string.")


def answer(document: object, status: int = 200) -> web.Response:
    """JSON as Graph writes it: compact, ``/`` as ``\\/``."""
    body = json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    return web.Response(body=body, status=status, headers=headers)


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"at {place}".encode()).decode()


def _place(cursor: str) -> int:
    try:
        return max(0, int(base64.urlsafe_b64decode(cursor).decode().removeprefix("at "))) if cursor else 0
    except ValueError:
        raise parameter("Invalid cursors values.") from None
