"""Whose an address is that Meta calls: our host's, our bot's at Aerostack, or somebody else's. No I/O."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["laptop", "public", "aerostack", "elsewhere", "other_bot", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who answers at an address. ``words`` say it, ``way`` how our own request gets there.

    ``elsewhere``: the address names our bot, and no host that we know has it; ``other_bot``: another one's at
    Aerostack.
    """

    kind: Kind
    words: str
    way: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is worth asking with our verify token."""
        return self.kind in ("laptop", "public", "aerostack", "elsewhere")


def whose(
    url: str, *, paths: Collection[str], aerostack: Collection[str], laptop: Mapping[str, str], public_url: str
) -> Owner:
    """The owner of ``url``; ``paths`` are our bot's, ``laptop`` has the origins of hosts here and the ways there."""
    origin, path = origin_of(url), urlsplit(url).path
    named = path in paths
    ways = {origin_of(there): way for there, way in laptop.items()}
    if origin in ways:
        return Owner(kind="laptop", words="this laptop", way=ways[origin])
    if origin in map(origin_of, aerostack):
        if named:
            return Owner(kind="aerostack", words="Aerostack", way="at Aerostack")
        return Owner(kind="other_bot", words="another bot at Aerostack")
    if public_url and origin == origin_of(public_url):
        return Owner(kind="public", words="serve.public_url", way="through serve.public_url")
    if named:
        return Owner(kind="elsewhere", words="a host elsewhere", way="from outside")
    return Owner(kind="other", words="not ours")


def origin_of(url: str) -> str:
    """Scheme and host of an address, in lower case."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def place(url: str) -> str:
    """An address as short as it can be told: its host."""
    return urlsplit(url).netloc.rpartition("@")[2] or "an address without a host"


def bare(url: str) -> str:
    """An address without a password or a query, which may hold somebody's secrets."""
    return f"{urlsplit(url).scheme}://{place(url)}{urlsplit(url).path}"
