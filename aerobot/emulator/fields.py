"""One field of a body: read, or refused as Graph refuses it. Lengths are counted in UTF-16 code units."""

import re
from collections.abc import Callable, Mapping, Sequence

from aerobot.emulator.graph_errors import invalid, parameter, required

Json = Mapping[str, object]
Known = Callable[[str], bool]
"""Whether an id is one of ours."""


def an_object(value: object, where: str) -> Json:
    """A JSON object; ``where`` is its name in what is said of it, as in the functions below."""
    if not isinstance(value, Mapping):
        raise parameter(f"Param {where} must be a JSON object.")
    return value


def an_array(value: object, where: str) -> Sequence[object]:
    """A JSON array."""
    if not isinstance(value, list):
        raise parameter(f"Param {where} must be an array.")
    return value


def objects(value: object, where: str) -> list[Json]:
    """An array of objects."""
    return [an_object(item, where) for item in an_array(value, where)]


def a_text(owner: Json, key: str, where: str = "", *, default: str | None = None) -> str:
    """The string of that key in ``owner``; without a default it has to be there."""
    name = f"{where}['{key}']" if where else key
    value = owner.get(key, default)
    if value is None:
        raise required(name)
    if not isinstance(value, str):
        raise parameter(f"Param {name} must be a string.")
    return value


def a_flag(owner: Json, key: str, where: str) -> None:
    """True or false, where it is there at all."""
    if not isinstance(owner.get(key, False), bool):
        raise parameter(f"Param {where}['{key}'] must be a boolean.")


def a_word(owner: Json, key: str, where: str, words: Sequence[str]) -> str:
    """One of these words; the first where the key is missing."""
    value = a_text(owner, key, where, default=words[0])
    if value not in words:
        raise parameter(f"Param {where}['{key}'] must be one of {{{', '.join(words)}}} - got \"{value}\".")
    return value


def length(value: str) -> int:
    """How long Graph takes a text to be."""
    return len(value.encode("utf-16-le", "surrogatepass")) // 2


def within(name: str, value: str, most: int, least: int = 1) -> str:
    """A text within a limit; one that has to be there may not be blank."""
    found = length(value)
    if found > most:
        raise parameter(f"Param {name} must be at most {most} characters long.")
    if found < least or (least and not value.strip()):
        raise required(name)
    return value


def title(what: str, value: object, most: int) -> str:
    """A text of 1 to ``most`` within an interactive message (131009)."""
    if not isinstance(value, str) or not 1 <= length(value) <= most:
        raise invalid(f"{what} length invalid. Min length: 1, Max length: {most}")
    return value


def is_url(value: object) -> bool:
    """Whether it begins as a web address does."""
    return bool(re.match(r"https?://[^\s/]", str(value)))


def a_file(where: str, value: object, knows_media: Known) -> tuple[str, str]:
    """``(id, link)`` of a file: exactly one of them."""
    found = an_object(value, where)
    media, link = found.get("id"), found.get("link")
    if bool(media) == bool(link):
        if not media:
            raise invalid(f"{where}: one of id or link is required")
        raise invalid(f"{where}: id and link exclude each other")
    if link and not is_url(link):
        raise parameter(f"Param {where}['link'] is not a valid URI.")
    if media and not knows_media(str(media)):
        raise parameter(f"Param {where}['id'] is not a valid whatsapp business account media attachment ID.")
    return str(media or ""), str(link or "")
