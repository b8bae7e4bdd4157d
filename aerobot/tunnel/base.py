"""What every maker of tunnels gives, and which addresses are fit to be one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from aerobot.errors import NetworkError

LOOPBACK = ("localhost", "127.0.0.1", "::1")

Report = Callable[[str], None]
"""Is told, in a sentence, what a person should know while a tunnel is opened or proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What its maker gives with a tunnel; ``limits`` says it to a person, empty where there is nothing to say.

    ``head_start``: seconds before a new name is looked up first. ``probe_seconds``: how often a request of ours
    may go through it without eating up what the plan allows.
    """

    provider: str
    limits: str = ""
    head_start: float = 0
    probe_seconds: float = 60


class Tunnel(Protocol):
    """An open tunnel."""

    @property
    def terms(self) -> Terms:
        """What comes with it."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the process that holds it open still runs."""
        ...

    @property
    def url(self) -> str:
        """The origin under which the world reaches the port: https, without a path."""
        ...

    async def close(self) -> None:
        """End it and its process; doing so twice does no harm."""
        ...

    def kill(self) -> None:
        """End its process at once, where no event loop can be waited for."""
        ...


def public_origin(url: str) -> str:
    """``url`` as an origin; a ``NetworkError`` unless it is https (plain http only on loopback)."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not safe or not parts.hostname:
        raise NetworkError(f"The tunnel's address {url} is not https.", "Meta calls https alone.")
    return f"{parts.scheme}://{parts.netloc}"


def local_address(host: str, port: int) -> str:
    """The listener as the agent on this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
