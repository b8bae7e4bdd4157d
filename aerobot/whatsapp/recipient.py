"""Whom a message is for: numbers as people write them, files as WhatsApp takes them, and a test number's list."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from aerobot.whatsapp import rules

NATIONAL = 10
"""Up to so many digits may be a number without its country code: then the ``+`` has to say that it is not."""
LIST = "Meta > WhatsApp > API Setup > To (at most 5 numbers)"
MEGA = 1024 * 1024


def digits_of(written: str) -> str:
    """An international number as digits; what could be somebody else's is a ``ValueError`` with a sentence.

    Spaces, dashes, brackets and what copying adds are left out, ``00`` and ``+`` say that a country code follows.
    """
    bare = "".join(c for c in written.replace("(0)", "") if unicodedata.category(c) not in ("Cf", "Zs", "Pd", "Cc"))
    bare = re.sub(r"[().\u00b7/]", "", bare)
    international = bare.startswith(("+", "00"))
    digits = bare.removeprefix("+") if bare.startswith("+") else bare.removeprefix("00")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f'"{written}" is not a phone number')
    if digits.startswith("0") or (not international and len(digits) <= NATIONAL):
        raise ValueError(f'"{written}" has no country code: write it as +CODE NUMBER')
    if not 7 <= len(digits) <= 15:
        raise ValueError(f'"{written}" has {len(digits)} digits; a number with its country code has 7 to 15')
    return digits


# -- a test number's list ------------------------------------------------------------------------------------


def not_listed(digits: str) -> tuple[str, ...]:
    """What to do about error 131030, a line each: first the form of the number, then the list.

    Argentina and Mexico are seen on the list without their mobile digit (kevinrivm/vocero-crm#35,
    chatwoot/chatwoot#13932); of other forms nobody knows which one it has.
    """
    others = rules.number_forms(digits)[1:]
    if not others:
        return (f"Add it to the test number's list: {LIST}",)
    other = others[0]
    known = {"549": "Argentine", "521": "Mexican"}.get(digits[:3], "")
    wrote = f"You wrote {_begun(digits)}; "
    if known:
        said = f"{wrote}Meta keeps {known} numbers as {_begun(other)} on that list."
    else:
        said = f"{wrote}that list may have it as {_begun(other)}."
    return said, f"Try: aerobot send --to +{other} …", f"In no form on the list? {LIST}"


def _begun(digits: str) -> str:
    """How a number begins, up to where its two forms differ: ``+54 9 11…``."""
    pattern = {
        "54": r"(54)(9?)(\d{2})",
        "52": r"(52)(1?)(\d{2})",
        "55": r"(55)(\d{2})(9?)(\d{4})" if len(digits) == 13 else r"(55)(\d{2})()(\d{4})",
    }[digits[:2]]
    found = re.match(pattern, digits)
    assert found is not None
    return "+" + " ".join(group for group in found.groups() if group) + "…"


# -- files ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What WhatsApp takes as a kind of file: media types by the name's ending (none: any), and the most bytes."""

    types: Mapping[str, str]
    most: int


TAKES: Mapping[str, Takes] = {
    "image": Takes(types={".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}, most=5 * MEGA),
    "video": Takes(types={".mp4": "video/mp4", ".3gp": "video/3gpp"}, most=16 * MEGA),
    "audio": Takes(
        types={
            ".ogg": "audio/ogg", ".opus": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".mp4": "audio/mp4",
            ".aac": "audio/aac", ".amr": "audio/amr",
        },
        most=16 * MEGA,
    ),
    "document": Takes(types={}, most=100 * MEGA),
}  # fmt: skip
"""Limits of the Cloud API (Media)."""


def media_type(kind: str, ending: str, size: int) -> str:
    """The media type under which a file is uploaded, empty for any; a ``ValueError`` where WhatsApp takes it not so."""
    takes = TAKES[kind]
    if takes.types and ending.lower() not in takes.types:
        raise ValueError(f"as {kind} WhatsApp takes {', '.join(takes.types)}")
    if not size:
        raise ValueError("it is empty")
    if size > takes.most:
        raise ValueError(f"it has {size / MEGA:.1f} MB; as {kind} WhatsApp takes at most {takes.most // MEGA}")
    return takes.types.get(ending.lower(), "")
