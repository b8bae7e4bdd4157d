"""Would WhatsApp send this? Pure: a body of ``POST …/messages`` in, a value or a refusal out.

Limits: Meta's OpenAPI description and message pages, Graph v25.0; wordings are Graph's own where known.
Interactive messages have a module of their own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aerobot.emulator import interactive
from aerobot.emulator.bodies import loads
from aerobot.emulator.fields import Json, Known, a_file, a_flag, a_text, an_array, an_object, within
from aerobot.emulator.graph_errors import invalid, not_json, parameter, required

FILES = ("image", "video", "audio", "document", "sticker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that was accepted. ``to`` is digits or empty, ``recipient`` a user id or empty."""

    to: str
    recipient: str
    input: str
    type: str
    content: object
    text: str
    about: str
    callback_data: str
    media: str
    link: str


def parse(raw: bytes, content_type: str) -> Json:
    """A Graph body as an object: JSON, or a form whose values may be JSON themselves."""
    if content_type == "application/x-www-form-urlencoded":
        fields = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        return {key: maybe_json(value) for key, value in fields.items()}
    try:
        found = loads(raw or b"{}")
    except ValueError:
        raise not_json("it does not parse") from None
    if not isinstance(found, dict):
        raise not_json("it is not an object")
    return found


def maybe_json(value: str) -> object:
    """A value that stood in a form or query: the object or list that it spells, else itself."""
    if not value.startswith(("{", "[")):
        return value
    try:
        return loads(value)
    except ValueError:
        return value


def read(body: Json, *, business: str, knows_phone: Known, knows_media: Known) -> Outgoing:
    """Check one body. ``business`` is our number in digits. Raises ``Refused`` as Graph would answer."""
    if body.get("messaging_product") != "whatsapp":
        raise (required("messaging_product") if "messaging_product" not in body else invalid("messaging_product"))
    to, recipient = _addressee(body, business, knows_phone)
    if to == business:
        raise invalid("Recipient cannot be sender")
    kind = a_text(body, "type", default="text")
    check = _CHECKS.get(kind)
    if check is None:
        kinds = ", ".join(name.upper() for name in _CHECKS)
        raise parameter(f'Param type must be one of {{{kinds}}} - got "{kind}".')
    if kind not in body:
        raise required(kind)
    callback = a_text(body, "biz_opaque_callback_data", default="")
    within("biz_opaque_callback_data", callback, 512, 0)
    content = body[kind]
    if isinstance(content, str):
        content = maybe_json(content)
    text, media, link = check(kind, content, knows_media)
    return Outgoing(
        to=to,
        recipient=recipient,
        input=str(body.get("to") or body.get("recipient")),
        type=kind,
        content=content,
        text=text,
        about=_context(body, kind),
        callback_data=callback,
        media=media,
        link=link,
    )


def normalise(number: str, business: str, knows_phone: Known) -> str:
    """Digits of a number as Meta reads it: without ``+`` a short one gets our own country's code.

    Bare digits that are a number already (11 or more, or a known phone) stay as they are.
    """
    digits = re.sub(r"[\s+().\-\u00a0]", "", number)
    if not digits.isascii() or not digits.isdigit():
        raise invalid("The recipient is not a phone number")
    if not number.strip().startswith("+") and len(digits) < 11 and not knows_phone(digits):
        digits = business[: max(1, len(business) - 10)] + digits
    if not 7 <= len(digits) <= 15:
        raise invalid("The recipient is not a phone number")
    return digits


def _addressee(body: Json, business: str, knows_phone: Known) -> tuple[str, str]:
    to, recipient = body.get("to"), body.get("recipient")
    if not to and not recipient:
        raise required("to")
    if body.get("recipient_type", "individual") != "individual":
        raise invalid("Groups are not part of this emulator yet")
    if recipient and not re.fullmatch(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}", str(recipient)):
        raise invalid("recipient is not a business-scoped user id")
    digits = normalise(str(to), business, knows_phone) if to else ""
    return digits, str(recipient or "")


def _context(body: Json, kind: str) -> str:
    if body.get("context") is None:
        return ""
    context = an_object(body["context"], "context")
    if kind == "reaction":
        raise invalid("A reaction cannot be sent as a reply")
    return a_text(context, "message_id", "context")


# -- the kinds --

Checked = tuple[str, str, str]
"""What a check finds: words for a person, media id, link."""


def _plain(kind: str, value: object, knows_media: Known) -> Checked:
    said = an_object(value, "text")
    a_flag(said, "preview_url", "text")
    return within("text['body']", a_text(said, "body", "text"), 4096), "", ""


def _media(kind: str, value: object, knows_media: Known) -> Checked:
    media, link = a_file(kind, value, knows_media)
    file = an_object(value, kind)
    caption = a_text(file, "caption", kind, default="")
    if caption and kind in ("audio", "sticker"):
        raise parameter(f"Param {kind}['caption'] is not allowed.")
    if "voice" in file and kind != "audio":
        raise parameter(f"Param {kind}['voice'] is not allowed.")
    a_flag(file, "voice", kind)
    within(f"{kind}['caption']", caption, 1024, 0)
    return caption or a_text(file, "filename", kind, default=""), media, link


def _location(kind: str, value: object, knows_media: Known) -> Checked:
    place = an_object(value, "location")
    for key, most in (("latitude", 90.0), ("longitude", 180.0)):
        if key not in place:
            raise required(f"location['{key}']")
        try:
            number = float(str(place[key]))
        except ValueError:
            raise invalid(f"location['{key}'] is not a number") from None
        if not -most <= number <= most:
            raise invalid(f"location['{key}'] is out of range")
    return a_text(place, "name", "location", default=""), "", ""


def _contacts(kind: str, value: object, knows_media: Known) -> Checked:
    cards = an_array(value, "contacts")
    if not 1 <= len(cards) <= 5:
        raise invalid("Invalid contacts count. Min allowed: 1, Max allowed: 5")
    names = []
    for number, card in enumerate(cards):
        where = f"contacts[{number}]"
        name = an_object(an_object(card, where).get("name"), f"{where}['name']")
        names.append(within(f"{where}['name']['formatted_name']", a_text(name, "formatted_name", where), 1024))
    return ", ".join(names), "", ""


def _reaction(kind: str, value: object, knows_media: Known) -> Checked:
    reaction = an_object(value, "reaction")
    within("reaction['message_id']", a_text(reaction, "message_id", "reaction"), 4096)
    return a_text(reaction, "emoji", "reaction"), "", ""


def _template(kind: str, value: object, knows_media: Known) -> Checked:
    template = an_object(value, "template")
    name = within("template['name']", a_text(template, "name", "template"), 512)
    language = an_object(template.get("language"), "template['language']")
    within("template['language']['code']", a_text(language, "code", "template['language']"), 20)
    an_array(template.get("components", []), "template['components']")
    return name, "", ""


_CHECKS: Mapping[str, Callable[[str, object, Known], Checked]] = {
    "text": _plain,
    **dict.fromkeys(FILES, _media),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": lambda kind, value, knows_media: interactive.read(value, knows_media),
    "template": _template,
}
