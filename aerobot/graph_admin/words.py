"""A refusal of Graph's in one sentence and one remedy, with a stable name where its cause is known.

Codes and their meanings stand in ``whatsapp.graph``; here is what set-up calls add to them, recognised by Meta's
words where the code says too little. Seen in public issues of chatwoot, Kdyby, koala and original-coast-clothing.
"""

import re
from typing import NamedTuple

from aerobot.errors import Repeat
from aerobot.graph_admin.call import Call
from aerobot.whatsapp import graph
from aerobot.whatsapp.graph import Refused
from aerobot.whatsapp.messages import Failure

SECRET = "Copy it from App settings > Basic of the app that made the access token."
NEEDS = "The token needs whatsapp_business_management, its system user the account."
LOOK = "It may have been done all the same: aerobot doctor shows."
VAGUE = frozenset({1, 2, 3, 10, 100, 131000, 131005, 131008, 131009, *range(200, 300)})
"""Codes whose meaning says little without Meta's own words."""
PERMISSIONS = frozenset({3, 10, 131005, *range(200, 300)})


class Words(NamedTuple):
    """A sentence, its remedy, and the name of the cause, empty where only Meta's code tells it."""

    sentence: str
    remedy: str
    cause: str = ""


def said(call: Call, answer: Refused) -> Words:
    """What a refusal means."""
    failure = answer.failure
    theirs = re.sub(r"^\(#\d+\)\s*", "", f"{failure.title} {failure.details}".strip())
    for recognise in (_of_credentials, _of_callbacks, _of_things):
        found = recognise(call, failure, theirs)
        if found:
            return found
    words = answer.message
    if failure.code in VAGUE and graph.meaning(failure.code, failure.subcode).title:
        words += f" ({_line(theirs)})"
    if failure.code in PERMISSIONS:
        return Words(f"{words}.", NEEDS, "permission_missing")
    return Words(f"{words}.", _sentence(_patience(call, answer.repeat) or answer.remedy))


def _patience(call: Call, repeat: Repeat) -> str:
    """The remedy for what passes: set-up calls are not repeated for ever, as messages are."""
    if repeat is Repeat.SAFE:
        return "Wait some minutes: Meta counts such calls by the hour"
    if repeat is Repeat.AMBIGUOUS:
        doubt = "" if call.reads else f"{LOOK} "
        return f"{doubt}That is on Meta's side (metastatus.com): try again in a few minutes"
    return ""


def _of_credentials(call: Call, failure: Failure, theirs: str) -> Words | None:
    low = theirs.lower()
    if "appsecret_proof" in low and "require" in low:
        words = "The app demands a proof by its app secret, and none is set."
        return Words(words, "aerobot config set whatsapp.app_secret", "proof_needed")
    if "appsecret_proof" in low:
        return Words("The app secret is not that of the access token's app.", SECRET, "secret_wrong")
    if "viewing app" in low:
        return Words("The access token is of another app than the app secret.", SECRET, "token_other_app")
    wrong = failure.code in (101, 190) or "client secret" in low
    if call.credential == "app" and wrong:
        words = "The app id and the app secret do not belong together."
        return Words(words, "Copy both from App settings > Basic.", "secret_wrong")
    return None


def _of_callbacks(call: Call, failure: Failure, theirs: str) -> Words | None:
    low = theirs.lower()
    if "before override" in low:
        words = "No override yet: the app gets no messages of this account."
        remedy = "First subscribe the app to the account and to messages: aerobot doctor --fix"
        return Words(words, remedy, "not_subscribed")
    if failure.code == 2200 or "verification failed" in low or "couldn't be validated" in low:
        reason = re.search(r"following errors?: *(.+)", theirs) or re.search(r"(?:failed|validated)[:.]? *(.*)", theirs)
        why = f" ({_line(reason[1] if reason and reason[1] else theirs, 120)})"
        remedy = "Does it run, by https, with this verify token? aerobot webhook verify"
        return Words(f"Meta got no challenge back from the webhook{why}.", remedy, "challenge_failed")
    return None


def _of_things(call: Call, failure: Failure, theirs: str) -> Words | None:
    """What is not there, or is another kind of thing than was meant."""
    if (failure.code, failure.subcode) == (100, 33) or failure.code in (33, 803):
        check = f"Check {call.setting}, and that" if call.setting else "See that"
        words = f"Graph shows this token no {call.about}."
        return Words(words, f"{check} the system user has the account.", "not_there")
    if "unknown path components" in theirs.lower():
        words = f"Graph has no {call.method} {call.path} in this version."
        return Words(words, "Check whatsapp.graph_version.", "no_such_call")
    found = re.search(r"on node type \((\w+)\)", theirs)
    kind, (meant, _, value) = kind_of_node(found[1]) if found else "", call.about.partition(" ")
    if kind and value and kind != meant:
        words = f"{value} is the id of a {kind}, not of a {meant}."
        return Words(words, f"aerobot config set {call.setting}", "ids_swapped")
    return None


def kind_of_node(node_type: str) -> str:
    """``number``, ``WABA`` or nothing, from Meta's name of a node's type."""
    if "PhoneNumber" in node_type:
        return "number"
    return "WABA" if "BusinessAccount" in node_type else ""


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?")) else f"{text}."


def _line(text: str, most: int = 200) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= most else text[: most - 1] + "…"
