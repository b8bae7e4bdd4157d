"""Secrets on their way to Graph: what a header can carry, the proof, and what logs and errors must not show."""

import hashlib
import hmac
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aerobot.errors import AerobotError, ConfigError
from aerobot.graph_admin.call import Call
from aerobot.secret import MASK, Secret

LEAST_HIDDEN = 6
"""Shorter secrets are not searched for in texts: every other word would turn into ``***``."""


def proof(access_token: str, app_secret: Secret) -> str:
    """``appsecret_proof``: that whoever holds the token also knows the secret of its app (Graph API, "Secure")."""
    return hmac.new(app_secret.reveal().encode(), access_token.encode(), hashlib.sha256).hexdigest()


def hide(error: AerobotError, hidden: Iterable[Secret]) -> None:
    """Take every secret out of an error's words."""
    words = [word for secret in hidden if len(word := secret.reveal()) >= LEAST_HIDDEN]
    for word in words:
        error.message, error.hint = error.message.replace(word, MASK), error.hint.replace(word, MASK)
    error.args = (error.message,)


def sendable(secret: Secret, setting: str) -> str:
    """The value of a secret that a header can carry; else a ``ConfigError`` that does not show it."""
    value = secret.reveal()
    if not value.isascii() or not value.isprintable() or " " in value:
        words = f"{setting} holds white space or characters that no credential has."
        raise ConfigError(words, f"Paste it once more, alone: aerobot config set {setting}")
    return value


def without_query(record: logging.LogRecord) -> bool:
    """A filter for httpx's log: it writes whole addresses, and ``debug_token`` has a token in its own."""
    if isinstance(record.args, tuple):
        record.args = tuple(_path_alone(value) for value in record.args)
    return True


def _path_alone(value: object) -> object:
    text = str(value)
    return text.partition("?")[0] if "input_token=" in text or "appsecret_proof=" in text else value


def revealed(value: Any) -> Any:
    """A copy of a body or a query with its secrets in it, for the one place that sends it."""
    if isinstance(value, Secret):
        return value.reveal()
    return {key: revealed(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def secrets_in(call: Call) -> Iterator[Secret]:
    """The secrets that a call carries itself: tokens asked about, verify tokens, PINs."""
    for value in (*call.params.values(), *(call.body or {}).values()):
        inner = value.values() if isinstance(value, Mapping) else (value,)
        yield from (one for one in inner if isinstance(one, Secret))
