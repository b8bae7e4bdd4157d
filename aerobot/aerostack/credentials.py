"""Which credential goes where, judged before anything is sent: no secret travels in the clear."""

import base64
import ipaddress
import json
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from aerobot.errors import ConfigError
from aerobot.secret import Secret

BY_HAND = (
    "By hand: log in at https://app.aerostack.dev, open the browser's developer tools,\n"
    'copy the token after "Authorization: Bearer" of any /api request (Network), then\n'
    "aerobot login --token -"
)
"""How to get a token without ``/api/auth/login``."""

OTHERS = {
    "ask_live_": "a gateway consumer key",
    "mwt_": "a workspace's MCP token",
    "aek_": "an agent endpoint's key",
}
"""Aerostack's other keys, which no account endpoint takes (docs.aerostack.dev/features/security)."""

LATEST = 253402300800
"""The end of the year 9999, in unix seconds: past it no date can be shown."""


def jwt_expiry(token: Secret) -> int | None:
    """The ``exp`` of a JWT in unix seconds, its signature unverified; ``None`` where it tells none."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    expiry = payload.get("exp") if isinstance(payload, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not 0 < expiry < LATEST:
        return None
    return int(expiry)


def when(moment: float) -> str:
    """Unix seconds as a date and time of this machine's time zone."""
    return datetime.fromtimestamp(moment, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def origin_of(api_url: str) -> str:
    """``api_url`` as an origin without a final slash.

    Anything but an origin is a ``ConfigError``, and so is plain http to an address that is not loopback.
    """
    try:
        parts = urlsplit(api_url.strip())
        _ = parts.port
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("http", "https") or not parts.hostname or extra:
        raise ConfigError(
            "aerostack.api_url must be an origin: scheme and host, without a path or a password.",
            "aerobot config set aerostack.api_url https://api.aerostack.dev",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(
            f"aerostack.api_url is plain http ({parts.netloc}): whoever listens could read your token.",
            f"Use https: aerobot config set aerostack.api_url https://{parts.netloc}",
        )
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine and no other."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def headers_for(token: Secret | None, api_key: Secret | None, *, now: float) -> dict[str, str]:
    """The header that proves who is calling: the token, else the account key.

    ``ConfigError`` where there is neither, where one stands in the other's place, and where the token expired
    before ``now`` (unix seconds).
    """
    if token:
        _look_at_token(token, now)
        return {"Authorization": f"Bearer {token.reveal()}"}
    if api_key:
        _look_at_key(api_key)
        return {"X-API-Key": api_key.reveal()}
    raise ConfigError("You are not logged in to Aerostack.", "aerobot login, or set AEROSTACK_TOKEN.")


def _look_at_token(token: Secret, now: float) -> None:
    value = token.reveal()
    if value.startswith("ak_"):
        raise ConfigError(
            "aerostack.token holds an account key (ak_...), not the token of a login.",
            "Keep it as aerostack.api_key: aerobot config set aerostack.api_key",
        )
    _look_at(value, "aerostack.token", "aerobot login --token -")
    expiry = jwt_expiry(token)
    if expiry is not None and expiry <= now:
        raise ConfigError(f"Your Aerostack login expired on {when(expiry)}.", "Log in again: aerobot login")


def _look_at_key(api_key: Secret) -> None:
    value = api_key.reveal()
    if value.startswith("eyJ"):
        raise ConfigError(
            "aerostack.api_key holds the token of a login (a JWT), not an account key (ak_...).",
            "Keep it as aerostack.token: aerobot login --token -",
        )
    _look_at(value, "aerostack.api_key", "aerobot config set aerostack.api_key")


def _look_at(value: str, setting: str, remedy: str) -> None:
    for prefix, words in OTHERS.items():
        if value.startswith(prefix):
            raise ConfigError(
                f"{setting} holds {words} ({prefix}...), which the bots API does not take.", "aerobot login"
            )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            f"{setting} holds white space or characters that no credential has.",
            f'Paste it once more, alone, without "Bearer": {remedy}',
        )
