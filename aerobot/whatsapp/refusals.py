"""What Meta's no to a message that somebody sent by hand means to them: an error, its exit code, what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from aerobot.errors import AerobotError, ConfigError, NetworkError, NoReplyError, RemoteError, Repeat
from aerobot.whatsapp import graph
from aerobot.whatsapp.graph import Refused
from aerobot.whatsapp.recipient import not_listed

NOBODY_KNOWS = "It may have been sent all the same, so it was not sent again: look at the phone first."
LATER = "It was not sent. Try again in some minutes."
TOKEN_CODES = frozenset({0, 104, 190, 2500})
"""Meta's codes that say: no living access token."""
CREDENTIALS = TOKEN_CODES | {3, 10, 33, 131005, *range(200, 300)}
"""Meta's codes that a better credential, permission or id cures."""


def refusal(answer: Refused, to: str) -> AerobotError:
    """Graph's no at once, or its silence, as an error with what to do. It is never sent again from here."""
    failure, words = answer.failure, f"{answer.message.rstrip('.')}."
    if answer.repeat is Repeat.AMBIGUOUS:
        return NetworkError(words, NOBODY_KNOWS) if answer.status == 0 else RemoteError(words, NOBODY_KNOWS)
    if answer.status == 0:
        return NetworkError(words, f"Nothing was sent. {answer.remedy}".strip(), repeat=answer.repeat)
    code = failure.code
    if code in CREDENTIALS or (code, failure.subcode) == (100, 33):
        return ConfigError(f"{words} Nothing was sent.", answer.remedy)
    if answer.repeat is Repeat.SAFE:
        return RemoteError(words, LATER, status=answer.status)
    return RemoteError(words, "\n".join(_hints(code, answer.remedy, failure.details, to)), status=answer.status)


def failed(receipt: Mapping[str, Any], to: str) -> NoReplyError:
    """Meta's no after it had accepted the message."""
    code = receipt["code"]
    meaning = graph.meaning(code)
    known = meaning.title or receipt["error"] or "Meta gives no reason"
    passes = meaning.repeat in (Repeat.SAFE, Repeat.AMBIGUOUS)
    hints = (LATER,) if passes else _hints(code, str(receipt["remedy"] or ""), "", to)
    number = f"{code} " if code is not None else ""
    return NoReplyError(f"Failed: {number}{known.rstrip('.')}.", "\n".join(hints))


def _hints(code: int | None, remedy: str, details: str, to: str) -> Sequence[str]:
    if code == 131030:
        return not_listed(to)
    lines = [remedy]
    if code == 131047:
        lines.append(f"Try: aerobot send --to +{to} --template hello_world")
    elif code is not None and 132000 <= code < 133000:
        lines.append("Names, languages and what they say: aerobot templates list")
    elif details:
        lines.append(f"Meta: {details}")
    return [line for line in lines if line]
