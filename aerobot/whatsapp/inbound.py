"""One inbound message: Meta's object → ``Message``, with the table of what an engine is told about each kind.

Sources: docs.aerostack.dev/bots/platforms/whatsapp ("Supported Message Types"), and for what it does not name
developers.facebook.com/docs/whatsapp, "Webhooks" (messages) and "Business-scoped user ids".
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aerobot.whatsapp.messages import Attachment, Identity, Message, Place
from aerobot.whatsapp.rules import number_forms
from aerobot.whatsapp.wire import Number, Object, as_id, as_list, as_object, as_seconds, as_text, clean

Fields = dict[str, Any]
"""What a kind contributes to a ``Message``: at least its text."""


def read_message(raw: Object, contact: Object | None) -> Message:
    """A message from Meta's message object and the contact that came with it, fresh or from the store.

    ``answerable`` is false for kinds that are recorded only, and for content that cannot be read. The kind of
    an interactive answer is its own: button_reply, list_reply, nfm_reply, call_permission_reply.
    """
    kind, content = _kind(raw)
    reader = READERS.get(kind)
    fields = reader(content) if reader else None
    context, profile = as_object(raw.get("context")), as_object(as_object(contact).get("profile"))
    referral = raw.get("referral")
    return Message(
        id=as_id(raw.get("id")),
        kind=kind,
        timestamp=as_seconds(raw.get("timestamp")),
        identities=_identities(raw, as_object(contact)),
        name=as_text(profile.get("name")),
        username=as_text(profile.get("username")),
        answerable=fields is not None,
        context_id=as_id(context.get("id")),
        forwarded=context.get("forwarded") is True or context.get("frequently_forwarded") is True,
        referral=referral if isinstance(referral, dict) else None,
        group_id=as_id(raw.get("group_id")),
        raw=raw,
        **({"text": ""} if fields is None else fields),
    )


def _kind(raw: Object) -> tuple[str, object]:
    """What a message is, and its content; one that lacks its type is what its content says."""
    kind = as_text(raw.get("type")) or next((name for name in (*READERS, "interactive") if name in raw), "")
    content = raw.get(kind)
    if kind != "interactive":
        return kind or "unknown", content
    inner = as_object(content)
    kind = as_text(inner.get("type")) or next((name for name in _ANSWERS if name in inner), "")
    return (kind, inner.get(kind)) if kind in _ANSWERS else ("interactive", content)


# -- who sent it ---------------------------------------------------------------------------------------------


def named(*names: tuple[str, object]) -> tuple[Identity, ...]:
    """The identities that have a value, each once; numbers without their plus sign."""
    found = dict.fromkeys((kind, as_id(value).removeprefix("+")) for kind, value in names)
    return tuple(Identity(kind=kind, value=value) for kind, value in found if value)


def agrees(raw: Object, contact: Object) -> bool | None:
    """Whether a contact is the sender of a message; ``None`` where they have nothing to compare.

    The spellings of one number (Argentina, Mexico, Brazil) agree with each other.
    """
    user, its_user = as_id(raw.get("from_user_id")), as_id(contact.get("user_id"))
    if user and its_user:
        return user == its_user
    phone, its_phone = as_id(raw.get("from")), as_id(contact.get("wa_id"))
    if phone and its_phone:
        return phone == its_phone or its_phone in number_forms(phone)
    return None


def _identities(raw: Object, contact: Object) -> tuple[Identity, ...]:
    """Who sent a message. A contact adds what the message leaves out, unless it is somebody else's."""
    keys = ("from", "from_user_id", "from_parent_user_id")
    phone, user, parent = [as_id(raw.get(key)) for key in keys]
    if contact and agrees(raw, contact) is not False:
        phone = phone or as_id(contact.get("wa_id"))
        user = user or as_id(contact.get("user_id"))
        parent = parent or as_id(contact.get("parent_user_id"))
    if not phone and not user and raw.get("type") == "system":
        system = as_object(raw.get("system"))
        user, parent = as_id(system.get("user_id")), as_id(system.get("parent_user_id"))
    return named(("phone", phone), ("user_id", user), ("parent_user_id", parent))


# -- what an engine is told ----------------------------------------------------------------------------------


def _read_text(content: object) -> Fields | None:
    body = as_object(content).get("body")
    return {"text": clean(body)} if isinstance(body, str) else None


def _read_media(kind: str, content: object) -> Fields | None:
    if not isinstance(content, dict):
        return None
    attachment = Attachment(
        kind=kind,
        id=as_id(content.get("id")),
        mime_type=as_text(content.get("mime_type")),
        sha256=as_text(content.get("sha256")),
        filename=as_text(content.get("filename")),
        caption=as_text(content.get("caption")),
        voice=content.get("voice") is True,
        animated=content.get("animated") is True,
    )
    named_file = kind == "document" and attachment.filename
    word = f"[Document: {attachment.filename}]" if named_file else _PLACEHOLDERS[kind]
    captioned = attachment.caption and kind in ("image", "video", "document")
    return {"text": f"{attachment.caption} {word}" if captioned else word, "attachment": attachment}


def _read_location(content: object) -> Fields | None:
    place = as_object(content)
    latitude, longitude = _number(place.get("latitude")), _number(place.get("longitude"))
    if not latitude or not longitude:
        return None
    location = Place(
        latitude=float(latitude),
        longitude=float(longitude),
        name=as_text(place.get("name")),
        address=as_text(place.get("address")),
        url=as_text(place.get("url")),
    )
    return {"text": f"[Location: {latitude}, {longitude}]", "location": location}


_JSON_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,9})?")


def _number(value: object) -> str:
    """The JSON text of a finite number, in quotation marks or not; else empty."""
    text = value.text if isinstance(value, Number) else str(value) if type(value) in (int, float, str) else ""
    return text if _JSON_NUMBER.fullmatch(text) and math.isfinite(float(text)) else ""


def _read_contacts(content: object) -> Fields | None:
    if not isinstance(content, list):
        return None
    names = ", ".join(filter(None, map(_contact_name, content)))
    return {"text": f"[Contact: {names}]" if names else "[Contact]"}


def _contact_name(card: object) -> str:
    """The name of a contact card, else its first phone number."""
    name, phones = as_object(as_object(card).get("name")), as_list(as_object(card).get("phones"))
    parts = " ".join(filter(None, (as_text(name.get(part)) for part in ("first_name", "last_name"))))
    numbers = (as_id(as_object(phone).get(key)) for phone in phones for key in ("phone", "wa_id"))
    return as_text(name.get("formatted_name")) or parts or next(filter(None, numbers), "")


def _read_reaction(content: object) -> Fields | None:
    if not isinstance(content, dict):
        return None
    emoji = as_text(content.get("emoji"))
    text = f"[Reaction: {emoji}]" if emoji else "[Reaction removed]"
    return {"text": text, "reaction_to": as_id(content.get("message_id"))}


def _read_order(content: object) -> Fields | None:
    items = as_object(content).get("product_items")
    return {"text": f"[Order: {len(items)} items]"} if isinstance(items, list) else None


def _read_tap(title: str, choice: str, content: object) -> Fields | None:
    """A tapped button or list row: what the user saw, and the id the bot gave it."""
    tapped = as_object(content)
    said = tapped.get(title)
    return {"text": clean(said), "choice": as_id(tapped.get(choice))} if isinstance(said, str) else None


def _read_form(content: object) -> Fields | None:
    """A filled-in flow or address form; what was filled in stays in ``raw``."""
    return {"text": as_text(content.get("body")) or "[Form reply]"} if isinstance(content, dict) else None


_PLACEHOLDERS: Mapping[str, str] = {
    "image": "[Image]",
    "video": "[Video]",
    "document": "[Document]",
    "audio": "[Voice message]",
    "sticker": "[Sticker]",
}
READERS: Mapping[str, Callable[[object], Fields | None]] = {
    "text": _read_text,
    **{kind: partial(_read_media, kind) for kind in _PLACEHOLDERS},
    "location": _read_location,
    "contacts": _read_contacts,
    "reaction": _read_reaction,
    "order": _read_order,
    "button": partial(_read_tap, "text", "payload"),
    "button_reply": partial(_read_tap, "title", "id"),
    "list_reply": partial(_read_tap, "title", "id"),
    "nfm_reply": _read_form,
}
"""The kinds that are answered; all others (system, unsupported, edit, request_welcome ...) are recorded."""
_ANSWERS = ("button_reply", "list_reply", "nfm_reply", "call_permission_reply")
