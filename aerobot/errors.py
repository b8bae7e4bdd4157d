"""What can go wrong, said for a person: one sentence, one remedy, one exit code."""

from collections.abc import Sequence
from enum import StrEnum

UNEXPECTED, USAGE, CONFIG, REFUSED, NETWORK, NO_REPLY, CHECK = 1, 2, 3, 4, 5, 6, 7
INTERRUPTED = 130


class Repeat(StrEnum):
    """What the caller of a failed remote call may do next."""

    SAFE = "safe"
    """It was rejected before it had an effect: repeat after a back-off."""
    AMBIGUOUS = "ambiguous"
    """It may have had its effect: find out before repeating."""
    NEVER = "never"
    """It will fail again: give up and say so."""
    BLOCKED = "blocked"
    """Not this call but the whole number is stuck (token, payment, lock): wait until that is healed."""


class AerobotError(Exception):
    """An error whose cause is known.

    ``message`` is one sentence without a final full stop's worth of doubt, ``hint`` the remedy,
    ``code`` the exit code of a command that ends with it, ``kind`` a stable word for programs. ``problems`` are
    the settings in the way, each with what is wrong with it, where the hint lists several.
    """

    kind = "unexpected"
    code = UNEXPECTED

    def __init__(self, message: str, hint: str = "", *, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)


class UsageError(AerobotError):
    """The command line does not make sense (exit 2)."""

    kind = "usage"
    code = USAGE


class ConfigError(AerobotError):
    """A setting, a credential or a local file is missing or wrong (exit 3)."""

    kind = "config"
    code = CONFIG


class RemoteError(AerobotError):
    """A remote answered, and the answer was no (exit 4); ``status`` is its HTTP status, 0 where there was none."""

    kind = "refused"
    code = REFUSED

    def __init__(self, message: str, hint: str = "", *, status: int = 0, repeat: Repeat = Repeat.NEVER) -> None:
        super().__init__(message, hint)
        self.status = status
        self.repeat = repeat


class NetworkError(AerobotError):
    """Nothing answered: no network, a timeout, TLS, or a tunnel that did not open (exit 5)."""

    kind = "network"
    code = NETWORK

    def __init__(self, message: str, hint: str = "", *, repeat: Repeat = Repeat.AMBIGUOUS) -> None:
        super().__init__(message, hint)
        self.repeat = repeat


class NoReplyError(AerobotError):
    """The bot said nothing, failed, or did not say it in time (exit 6)."""

    kind = "no_reply"
    code = NO_REPLY


class StoreUnavailable(AerobotError):
    """The database cannot be written now (disk full, locked, gone); nothing was acknowledged (exit 3)."""

    kind = "store_unavailable"
    code = CONFIG


class Fenced(AerobotError):
    """Somebody else holds this conversation now: drop what was being done, write nothing."""

    kind = "fenced"
