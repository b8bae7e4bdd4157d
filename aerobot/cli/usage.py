"""What a command line that makes no sense is told: the option parser's sentences in our own words."""

import os
import re
from collections.abc import Sequence

from aerobot.errors import UsageError

_SAYS = (
    (r"Input should be a (?:valid|finite) integer\b.*", "must be a whole number"),
    (r"Input should be a (?:valid|finite) number\b.*", "must be a number"),
    (r"Input should be a valid boolean\b.*", "must be true or false"),
    (r"Input should be less than or equal to (\S+)", r"must be at most \1"),
    (r"Input should be less than (\S+)", r"must be less than \1"),
    (r"Input should be greater than or equal to (\S+)", r"must be at least \1"),
    (r"Input should be greater than (\S+)", r"must be more than \1"),
    (r"Value error, (.+)", r"\1"),
)


def in_our_words(message: str) -> str:
    """The parser's sentence as we would say it; one that is not known stays as it is."""
    unknown = re.fullmatch(r"No such option: (\S+) \(Possible options: (.+)\)", message)
    if unknown:
        return f"No such option: {unknown[1]}. Did you mean {unknown[2].replace(', ', ' or ')}?"
    extra = re.fullmatch(r"Got unexpected extra arguments? ?\(s\)? \((.+)\)", message)
    if extra:
        return f"There is no argument for this: {extra[1]}."
    invalid = re.fullmatch(r"Invalid value for '?([^':]+)'?: (.+)", message, re.DOTALL)
    if not invalid:
        return message
    for pattern, words in _SAYS:
        found = re.fullmatch(pattern, invalid[2].rstrip("."), re.DOTALL)
        if found:
            said = found.expand(words)
            return f"{invalid[1]}{'' if said.startswith('must') else ':'} {said}."
    return message


def check_text(arguments: Sequence[str]) -> None:
    """``UsageError`` for an argument that is no text: bytes that are no UTF-8 can be neither sent nor kept as such."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            seen = os.fsencode(argument).decode("utf-8", "backslashreplace")
            raise UsageError(
                f"The argument {seen} has bytes that are no UTF-8.", "Write it in UTF-8; rename a file of such a name."
            ) from None
