"""How Graph is spoken to: replies become request bodies, responses become ids or errors, codes get a meaning.

Longer than other modules because of the table of codes. It sends nothing; ``sender`` does.
Sources: WhatsApp Cloud API reference (Messages), "Error codes", Graph v25.0.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aerobot.errors import Repeat
from aerobot.whatsapp import rules
from aerobot.whatsapp.messages import (
    Audio,
    Buttons,
    Contact,
    Document,
    Failure,
    Image,
    Link,
    List,
    Location,
    LocationRequest,
    Reaction,
    Reply,
    Row,
    Section,
    Sticker,
    Template,
    Text,
    Video,
)
from aerobot.whatsapp.wire import Object, as_list, as_object, as_text, clean

Body = dict[str, object]

# -- replies → bodies ----------------------------------------------------------------------------------------


def bodies(reply: Reply) -> tuple[Body, ...]:
    """One Graph message body for each part of a reply, not yet addressed; only long text has more than one.

    Media with a local ``path`` carry that path; see ``file_of`` and ``with_media``.
    """
    if isinstance(reply, Text):
        extra: Body = {"preview_url": True} if reply.preview_url else {}
        return tuple(_typed("text", {"body": part, **extra}) for part in rules.split(clean(reply.text)))
    return (_BODIES[type(reply)](reply),)


def _typed(kind: str, content: object) -> Body:
    return {"type": kind, kind: content}


def _media(reply: Image | Video | Audio | Document | Sticker) -> Body:
    names = ("link", "id", "path", "caption", "filename")
    return _typed(reply.kind, {name: value for name in names if (value := getattr(reply, name, ""))})


def _interactive(kind: str, reply: Buttons | List | Link | LocationRequest, action: Body) -> Body:
    content: Body = {"type": kind}
    if header := getattr(reply, "header", ""):
        content["header"] = {"type": "text", "text": header}
    content["body"] = {"text": reply.text}
    if footer := getattr(reply, "footer", ""):
        content["footer"] = {"text": footer}
    return _typed("interactive", {**content, "action": action})


def _buttons(reply: Buttons) -> Body:
    buttons = [b for b in reply.buttons if not isinstance(b, str)]
    replies = [{"type": "reply", "reply": {"id": b.id or b.title, "title": b.title}} for b in buttons]
    return _interactive("button", reply, {"buttons": replies})


def _list(reply: List) -> Body:
    sections = [_section(section) for section in reply.sections if isinstance(section, Section)]
    return _interactive("list", reply, {"button": reply.button, "sections": sections})


def _section(section: Section) -> Body:
    rows = [_row(row) for row in section.rows if isinstance(row, Row)]
    return {"title": section.title, "rows": rows} if section.title else {"rows": rows}


def _row(row: Row) -> Body:
    body: Body = {"id": row.id or row.title, "title": row.title}
    return {**body, "description": row.description} if row.description else body


def _link(reply: Link) -> Body:
    parameters = {"display_text": reply.title, "url": reply.url}
    return _interactive("cta_url", reply, {"name": "cta_url", "parameters": parameters})


def _location_request(reply: LocationRequest) -> Body:
    return _interactive("location_request_message", reply, {"name": "send_location"})


def _location(reply: Location) -> Body:
    place: Body = {"latitude": reply.latitude, "longitude": reply.longitude}
    return _typed("location", place | {n: v for n in ("name", "address") if (v := getattr(reply, n))})


def _contact(reply: Contact) -> Body:
    contact: Body = {"name": {"formatted_name": reply.name, "first_name": reply.name}}
    if reply.phone:
        contact["phones"] = [{"phone": reply.phone, "type": "CELL", "wa_id": re.sub(r"\D", "", reply.phone)}]
    return _typed("contacts", [contact])


def _reaction(reply: Reaction) -> Body:
    return _typed("reaction", {"message_id": reply.message_id, "emoji": reply.emoji})


def _template(reply: Template) -> Body:
    template: Body = {"name": reply.name, "language": {"code": reply.language}}
    if reply.components:
        template["components"] = [dict(component) for component in reply.components]
    return _typed("template", template)


_BODIES = cast(
    Mapping[type, Callable[[Reply], Body]],
    {
        Buttons: _buttons,
        List: _list,
        Link: _link,
        LocationRequest: _location_request,
        Location: _location,
        Contact: _contact,
        Reaction: _reaction,
        Template: _template,
        Image: _media,
        Video: _media,
        Audio: _media,
        Document: _media,
        Sticker: _media,
    },
)


def file_of(body: Object) -> str | None:
    """The local path of a body's media, ``None`` where there is nothing to upload."""
    path = as_object(body.get(as_text(body.get("type")))).get("path")
    return path if isinstance(path, str) and path else None


def with_media(body: Object, media_id: str) -> Body:
    """The body with its local path replaced by the id of the upload."""
    kind = as_text(body.get("type"))
    media = {name: value for name, value in as_object(body.get(kind)).items() if name != "path"}
    return {**body, kind: {"id": media_id, **media}}


def addressed(body: Object, *, to: str | None, recipient: str | None, part_id: str, reply_to: str = "") -> Body:
    """The body as Graph wants it: ``to`` (digits, sent as ``+digits``) where known, else ``recipient``
    (business-scoped id), and our part's id, which Meta echoes in receipts (at most 512 characters).

    ``reply_to`` quotes a message; Meta has no such thing for reactions.
    """
    whole: Body = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    if to:
        whole["to"] = "+" + to.lstrip("+")
    elif recipient:
        whole["recipient"] = recipient
    else:
        raise ValueError("A message needs a number or a business-scoped id to go to")
    if reply_to and body.get("type") != "reaction":
        whole["context"] = {"message_id": reply_to}
    return {**whole, **body, "biz_opaque_callback_data": part_id}


def mark_read(wamid: str, *, typing: bool) -> Body:
    """Marks a message and those before it as read; ``typing`` also shows "typing…" for up to 25 seconds."""
    body: Body = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}
    return {**body, "typing_indicator": {"type": "text"}} if typing else body


# -- responses -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Graph took the message; it is not delivered yet. ``recipient`` is Meta's ``wa_id`` or ``user_id``."""

    wamid: str
    recipient: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Graph said no, or nothing that makes sense. ``retry_after`` is in seconds.

    ``reason`` is why, without Meta's code, for whoever says that beside it; ``message`` a whole sentence.
    """

    failure: Failure
    repeat: Repeat
    status: int
    retry_after: float | None
    reason: str
    remedy: str

    @property
    def message(self) -> str:
        """The code and the reason."""
        code = self.failure.code
        return self.reason if code is None else f"Meta's error {code}: {self.reason}"


def response(status: int, body: bytes, retry_after: str | None = None, *, wants_id: bool = True) -> Accepted | Refused:
    """Read the answer to a ``POST /messages``, whatever it is; a 2xx without a message id is *ambiguous*.

    ``wants_id`` is false where a 2xx says it all: nothing was sent, something was marked.
    """
    ok = 200 <= status < 300
    if ok and not wants_id:
        return Accepted(wamid="")
    answer = _parsed(body)
    if ok and (wamid := as_text(_first(answer.get("messages")).get("id"))):
        to = _first(answer.get("contacts"))
        return Accepted(wamid=wamid, recipient=as_text(to.get("wa_id")) or as_text(to.get("user_id")))
    failure = _failure(answer.get("error")) or Failure(code=None)
    known = _find(failure.code, failure.subcode)
    found = known or _UNKNOWN
    transient = as_object(answer.get("error")).get("is_transient") is True
    return Refused(
        failure=failure,
        repeat=known.repeat if known else _repeat(status, transient),
        status=status,
        retry_after=_seconds(retry_after),
        reason=_reason(status, failure, known, body),
        remedy=found.remedy if failure.code is not None else _by_status(status),
    )


def failure_of(errors: object) -> Failure | None:
    """The first of Meta's ``errors`` in a message, receipt or value; ``None`` where there is none."""
    return _failure(_first(errors) or errors)


def _failure(error: object) -> Failure | None:
    if isinstance(error, str) and error.strip():
        return Failure(code=None, title=clean(error))
    if not isinstance(error, dict) or not error:
        return None
    data = error.get("error_data")
    details = as_text(as_object(data).get("details")) or as_text(data)
    return Failure(
        code=_integer(error.get("code")),
        title=re.sub(r"^\(#\d+\)\s*", "", as_text(error.get("title")) or as_text(error.get("message"))),
        details=details or as_text(error.get("details")) or as_text(error.get("error_user_msg")),
        subcode=_integer(error.get("error_subcode")),
    )


def _repeat(status: int, transient: bool) -> Repeat:
    """What a status without a known code allows."""
    if status == 429:
        return Repeat.SAFE
    refused = 300 <= status < 500 and not transient
    return Repeat.NEVER if refused else Repeat.AMBIGUOUS


def _by_status(status: int) -> str:
    if 300 <= status < 400:
        return "Check whatsapp.graph_url: it redirects"
    if status == 429:
        return "Too many calls: it is repeated more slowly"
    if 400 <= status < 500:
        return "Check whatsapp.graph_url, whatsapp.graph_version and whatsapp.phone_number_id"
    return "Usually passes by itself; see metastatus.com"


def _reason(status: int, failure: Failure, known: "Meaning | None", body: bytes) -> str:
    said = " ".join(part for part in (failure.title, failure.details) if part)
    if failure.code is not None:
        return known.title if known else said or "unknown"
    if said:
        return f"Graph answered {status}: {said}"
    if 200 <= status < 300:
        return f"Graph answered {status} without a message id"
    what = "nothing" if not body.strip() else "HTML" if body.lstrip()[:1] == b"<" else "something unreadable"
    return f"Graph answered {status} with {what} instead of an error in JSON"


def _parsed(body: bytes) -> Object:
    try:
        return as_object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _seconds(retry_after: str | None) -> float | None:
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _first(value: object) -> Object:
    return as_object(next(iter(as_list(value)), None))


def _integer(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9 else None


# -- what codes mean -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What an error code means, what the operator does about it, and whether the call may be repeated."""

    title: str
    remedy: str
    repeat: Repeat


def meaning(code: int | None, subcode: int | None = None) -> Meaning:
    """The meaning of one of Meta's codes; an unknown one has an empty title and is never repeated."""
    return _find(code, subcode) or _UNKNOWN


def _find(code: int | None, subcode: int | None) -> Meaning | None:
    if code is None:
        return None
    if subcode is not None and (code, subcode) in _SUBCODES:
        return _SUBCODES[code, subcode]
    if code in _CODES:
        return _CODES[code]
    return next((found for numbers, found in _RANGES if code in numbers), None)


_SAFE, _AMBIGUOUS, _NEVER, _BLOCKED = Repeat.SAFE, Repeat.AMBIGUOUS, Repeat.NEVER, Repeat.BLOCKED
_UNKNOWN = Meaning(
    title="",
    remedy="See Meta's list: developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes",
    repeat=_NEVER,
)
_TOKEN = "Generate a new token (a System User token does not expire) and set whatsapp.access_token"
_SCOPES = "Give the token whatsapp_business_messaging, and its system user the app and the account"
_WAIT = "Nothing: it is tried again by itself"
_REGISTER = "Register the number: POST /{phone_number_id}/register with its PIN"
_TEMPLATE = "Compare the call with the template in WhatsApp Manager"
_SUPPORT = "Open WhatsApp Manager > Account quality and follow the steps there"


def _rows(repeat: Repeat, *rows: tuple[int, str, str]) -> dict[int, Meaning]:
    return {code: Meaning(title=title, remedy=remedy, repeat=repeat) for code, title, remedy in rows}


# fmt: off
_CODES: Mapping[int, Meaning] = {
    # Rejected before anything happened.
    **_rows(
        _SAFE,
        (4, "The app made too many calls", _WAIT),
        (17, "The user made too many calls", _WAIT),
        (613, "Too many calls to this endpoint", _WAIT),
        (80007, "The WhatsApp Business account made too many calls", _WAIT),
        (130429, "The number sent more messages a second than it may", _WAIT),
        (131056, "Too many messages to the same user in a short time", _WAIT),
    ),
    # May have been sent all the same.
    **_rows(
        _AMBIGUOUS,
        (1, "Graph failed for an unknown reason", _WAIT),
        (2, "Graph is temporarily unavailable", _WAIT),
        (131000, "Meta could not send the message for an unknown reason", _WAIT),
        (131016, "WhatsApp's service is temporarily unavailable", _WAIT),
        (131057, "The number is in maintenance, for instance while its throughput is raised", _WAIT),
        (2494100, "The number is in maintenance, for instance while its throughput is raised", _WAIT),
        (133004, "Meta's server for numbers is temporarily unavailable", _WAIT),
    ),
    # The number is stuck, whatever is sent.
    **_rows(
        _BLOCKED,
        (0, "The access token could not be authenticated", _TOKEN),
        (3, "The app may not make this call", _SCOPES),
        (10, "The token lacks a permission", _SCOPES),
        (33, "The phone number id does not exist, or not for this token", "Check whatsapp.phone_number_id"),
        (104, "The call came without an access token", _TOKEN),
        (190, "The access token is invalid or expired", _TOKEN),
        (368, "The account is restricted for breaking a policy", _SUPPORT),
        (2500, "The call came without an active access token", _TOKEN),
        (131005, "Access denied: a permission is missing or was withdrawn", _SCOPES),
        (131031, "The account is locked or restricted, or its PIN is wrong", _SUPPORT),
        (131037, "The number's display name is not approved yet", "Have it approved in WhatsApp Manager"),
        (131042, "There is a problem with the payment method", "Fix it in Meta's Billing & payments"),
        (131045, "The number is not registered, or its certificate is wrong", _REGISTER),
        (133010, "The number is not registered on the Cloud API", _REGISTER),
    ),
    # Sending the same again fails again.
    **_rows(
        _NEVER,
        (100, "A parameter is wrong, misspelt or too long", "Read Meta's details: they name the parameter"),
        (130403, "The business has blocked this user", "Unblock the user"),
        (130472, "The user is in an experiment of Meta's and gets no marketing messages", "Nothing helps"),
        (130497, "The account may not message users in this country", "Check the policy for this country"),
        (131008, "A required parameter is missing", "Read Meta's details: they name the parameter"),
        (131009, "A parameter has a wrong value", "Read Meta's details: they name the parameter"),
        (131021, "Sender and recipient are the same number", "Write from another number"),
        (131026, "The message cannot be delivered: not on WhatsApp, old version, or terms not accepted",
         "Ask the user to open or update WhatsApp"),
        (131030, "The recipient is not among the test number's allowed ones",
         "Add the recipient in API Setup > To (at most 5)"),
        (131047, "More than 24 hours have passed since the user's last message",
         "Wait for the user to write, or send a template"),
        (131048, "The number is limited because users reported it as spam", _SUPPORT),
        (131049, "Meta held it back: this user gets too many marketing messages", "Wait at least 24 hours"),
        (131050, "The user stopped marketing messages of this business", "Send this user none"),
        (131051, "This type of message is not supported", "Send another type"),
        (131052, "The media that the user sent could not be downloaded", "Ask the user to send it again"),
        (131053, "The media could not be uploaded", "Check size and type: often the type is not the file's"),
        (131055, "This method is not allowed for marketing messages", "Use the Messages API"),
        (131060, "The message is currently unavailable", "Ask the user to send it again"),
        (131062, "This message cannot be sent to a business-scoped id", "Send it to the phone number"),
        (131063, "Marketing messages are switched off for this account", "Switch them on"),
        (131064, "The messaging limit is reached after templates were put in the wrong category", _SUPPORT),
        (132000, "The number of the template's parameters is wrong", _TEMPLATE),
        (132001, "There is no such template in this language, or it is not approved", _TEMPLATE),
        (132005, "The template's text is too long once filled in", "Shorten the parameters"),
        (132007, "The template breaks a policy", "Change the template and have it approved again"),
        (132008, "A template parameter has a wrong format", _TEMPLATE),
        (132012, "A template parameter has a wrong format", _TEMPLATE),
        (132015, "The template is paused because of its low quality", "Edit the template, or wait"),
        (132016, "The template is disabled for good because of its low quality", "Create another template"),
        (132018, "The template's parameters are not valid", _TEMPLATE),
        (132068, "The flow is blocked", "Correct the flow in WhatsApp Manager"),
        (132069, "The flow is throttled to 10 messages an hour", "Correct the flow's endpoint"),
        (133000, "The number was not deregistered completely", "Deregister it again, then register it"),
        (133005, "The two-step PIN is wrong", "Check the PIN, or reset it in WhatsApp Manager"),
        (133006, "The number has to be verified before it is registered", "Verify it with a code first"),
        (133008, "Too many wrong PINs", "Wait as long as Meta's details say"),
        (133009, "The PIN was entered too fast", "Wait, then enter it again"),
        (133015, "The number was deleted a moment ago", "Wait 5 minutes, then register it"),
        (133016, "The number was registered and deregistered too often", "Wait 72 hours"),
        (134011, "The terms of payments were not accepted", "Accept them in WhatsApp Manager"),
        (134100, "Only marketing messages may be sent this way", "Use the Messages API"),
        (134101, "The template is not synchronised with the Marketing Messages API yet", "Wait 10 minutes"),
        (134102, "The template cannot be used with the Marketing Messages API", "Use the Messages API"),
        (135000, "A generic failure, for reasons in the request's parameters", "Read Meta's details"),
        (136024, "The number is verified already", "Nothing: go on with its registration"),
        (137000, "The user's identity has changed", "Confirm who it is, then send the new hash"),
    ),
}

_SUBCODES: Mapping[tuple[int, int], Meaning] = {
    (code, subcode): Meaning(title=title, remedy=remedy, repeat=_BLOCKED)
    for code, subcode, title, remedy in (
        (100, 33, "The phone number id does not exist, or not for this token",
         "Check whatsapp.phone_number_id, and that the token may use its account"),
        (190, 458, "The user removed the app, so the access token is void", _TOKEN),
        (190, 459, "The token's user must pass a security check", "Log in at facebook.com"),
        (190, 460, "The access token is void because its user's password changed", _TOKEN),
        (190, 463, "The access token has expired", _TOKEN),
        (190, 464, "The token's user is not confirmed", "Confirm the user at facebook.com"),
        (190, 467, "The access token was withdrawn or its user logged out", _TOKEN),
        (190, 492, "The token's user has no role in the business any more", _TOKEN),
    )
}

_RANGES: Sequence[tuple[range, Meaning]] = (
    (range(200, 300), Meaning(title="The token lacks a permission", remedy=_SCOPES, repeat=_BLOCKED)),
    *((numbers, Meaning(title=title, remedy="Read Meta's details", repeat=_NEVER)) for numbers, title in (
        (range(131200, 131300), "A group operation failed"),
        (range(132000, 133000), "The template or flow cannot be used"),
        (range(133000, 134000), "The number's registration failed"),
        (range(138000, 139000), "A call failed"),
        (range(139000, 140000), "Blocking users or a flow failed"),
        (range(147000, 148000), "A username operation failed"),
        (range(2388000, 2389000), "Managing the template failed"),
    )),
)
# fmt: on
