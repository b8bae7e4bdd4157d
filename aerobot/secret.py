"""A value that prints as ``***`` and has to be asked for by name."""

from collections.abc import Mapping
from urllib.parse import urlsplit

MASK = "***"

NAMES = frozenset(
    {
        "access_token",
        "access_token_previous",
        "verify_token",
        "app_secret",
        "app_secret_previous",
        "bot_token",
        "webhook_secret",
        "signing_secret",
        "public_key",
        "llm_api_key",
        "api_key",
        "token",
        "private_token",
        "authtoken",
        "password",
        "secret",
        "client_secret",
        "authorization",
        "refresh_token",
    }
)
"""Field names, Meta's, Aerostack's and ours, whose values are never shown."""


class Secret:
    """A string that never appears in ``repr``, ``str``, logs or errors; ``reveal()`` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


def masked(value: object) -> object:
    """A copy of a JSON value in which every secret (by its field's name, at any depth) reads ``***``."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Mapping):
        return {
            key: MASK if str(key).lower() in NAMES and inner not in (None, "") else masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine; what is no address does not."""
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return False
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def may_carry_secrets(url: str) -> bool:
    """Whether a secret may be sent there: over https, or without leaving this machine."""
    try:
        return urlsplit(url).scheme == "https" or is_loopback(url)
    except ValueError:
        return False
