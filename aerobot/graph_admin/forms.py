"""What a secret's look alone tells, before it is sent anywhere: the slips of copying. No value is ever shown."""

import re

from aerobot.graph_admin.finding import Finding, State
from aerobot.secret import Secret

LEAST_VERIFY = 8
"""A shorter verify token is easily guessed."""
MOST_VERIFY = 255
SECRET_LENGTH = 32
BREAKS = frozenset("\r\n")


def access_token(secret: Secret) -> Finding:
    """Whether it can be an access token: what is surely none is named; tokens have no form to be held to."""
    value = secret.reveal()
    remedy = "Copy it alone: WhatsApp > API Setup, or the system user's token"
    problem = _slip(value)
    if not problem and value.lower().startswith("bearer"):
        problem = 'begins with "Bearer": that word is not part of it'
    if not problem and value.startswith("eyJ") and value.count(".") == 2:
        problem = "is a JWT, perhaps Aerostack's login, not Meta's token"
    if not problem and re.fullmatch(r"[0-9a-fA-F]{32}", value):
        problem = "looks like the app secret"
    if not problem and re.fullmatch(r"[0-9]+\|.+", value):
        problem = "is the app's own token, which may not act for WhatsApp"
    if not problem and value.isdigit():
        problem = "is a number: an id in the token's place?"
    return _verdict("access_token_form", "token", problem, remedy)


def app_secret(secret: Secret) -> Finding:
    """Whether it can be an app secret: 32 characters, 0-9 and a-f in lower case."""
    value = secret.reveal()
    problem = _slip(value)
    if not problem and value.startswith("EAA"):
        problem = "looks like an access token"
    if not problem and len(value) != SECRET_LENGTH:
        problem = f"has {len(value)} characters; Meta's have {SECRET_LENGTH}"
    if not problem and not re.fullmatch(r"[0-9a-fA-F]+", value):
        problem = "has other characters than 0-9 and a-f"
    if not problem and value != value.lower():
        problem = "has capitals; Meta's are in lower case"
    return _verdict("app_secret_form", "secret", problem, "Copy it: App settings > Basic > App secret > Show")


def verify_token(secret: Secret) -> Finding:
    """Whether it is a sane verify token: whole, long enough, and the same after a trip through an address."""
    value = secret.reveal()
    remedy = "Any strong word of yours: aerobot config set whatsapp.verify_token"
    problem = _slip(value)
    if problem or len(value) > MOST_VERIFY:
        return _verdict("verify_token_form", "verify", problem or f"is longer than {MOST_VERIFY} characters", remedy)
    if len(value) < LEAST_VERIFY:
        problem = f"has {len(value)} characters: easily guessed"
    elif not re.fullmatch(r"[A-Za-z0-9._~-]+", value):
        problem = "has characters that some programs lose in an address"
    return _verdict("verify_token_weak", "verify", problem, remedy, state="warning")


def _slip(value: str) -> str:
    """What went wrong in copying; empty where nothing did."""
    if not value.strip():
        return "is empty"
    if value != value.strip():
        where = "ends" if value == value.lstrip() else "begins"
        edge = value[len(value.rstrip()) :] if where == "ends" else value[: -len(value.lstrip())]
        return f"{where} with {'a line break' if BREAKS & set(edge) else 'white space'}"
    if any(c.isspace() for c in value):
        return "has a line break inside" if BREAKS & set(value) else "has white space inside"
    if value[0] in "\"'" and value[-1] == value[0]:
        return "stands in quotation marks"
    if not value.isprintable() or not value.isascii():
        return "has characters that no credential has"
    return ""


def _verdict(name: str, topic: str, problem: str, remedy: str, *, state: State = "failed") -> Finding:
    if not problem:
        return Finding(name=name, topic=topic, state="ok", seen="looks whole")
    return Finding(name=name, topic=topic, state=state, seen=problem, remedy=remedy)
