"""Would WhatsApp send this? Pure: a body of ``POST …/messages`` in, a value or a refusal out.

Limits: Meta's OpenAPI description and message pages, Graph v25.0; wordings are Graph's own where known.
Longer than other modules on purpose: it is the table of all outgoing kinds.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aerobot.emulator.graph_errors import invalid, not_json, parameter, required

FILES = ("image", "video", "audio", "document", "sticker")
Known = Callable[[str], bool]
Json = Mapping[str, object]


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
        found = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise not_json("it does not parse") from None
    if not isinstance(found, dict):
        raise not_json("it is not an object")
    return found


def maybe_json(value: str) -> object:
    """A value that stood in a form or query: the object or list that it spells, else itself."""
    if not value.startswith(("{", "[")):
        return value
    try:
        found: object = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found


def read(body: Json, *, business: str, knows_phone: Known, knows_media: Known) -> Outgoing:
    """Check one body. ``business`` is our number in digits. Raises ``Refused`` as Graph would answer."""
    if body.get("messaging_product") != "whatsapp":
        raise (required("messaging_product") if "messaging_product" not in body else invalid("messaging_product"))
    to, recipient = _addressee(body, business, knows_phone)
    if to == business:
        raise invalid("Recipient cannot be sender")
    kind = _text(body, "type", default="text")
    check = _CHECKS.get(kind)
    if check is None:
        kinds = ", ".join(name.upper() for name in _CHECKS)
        raise parameter(f'Param type must be one of {{{kinds}}} - got "{kind}".')
    if kind not in body:
        raise required(kind)
    callback = _text(body, "biz_opaque_callback_data", default="")
    _within("biz_opaque_callback_data", callback, 512, 0)
    text, media, link = check(kind, body[kind], knows_media)
    return Outgoing(
        to=to,
        recipient=recipient,
        input=str(body.get("to") or body.get("recipient")),
        type=kind,
        content=body[kind],
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
    context = _object(body["context"], "context")
    if kind == "reaction":
        raise invalid("A reaction cannot be sent as a reply")
    return _text(context, "message_id", "context")


# -- small checks --


def _object(value: object, where: str) -> Json:
    if not isinstance(value, Mapping):
        raise parameter(f"Param {where} must be a JSON object.")
    return value


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise parameter(f"Param {where} must be an array.")
    return value


def _text(owner: Json, key: str, where: str = "", *, default: str | None = None) -> str:
    name = f"{where}['{key}']" if where else key
    value = owner.get(key, default)
    if value is None:
        raise required(name)
    if not isinstance(value, str):
        raise parameter(f"Param {name} must be a string.")
    return value


def _within(name: str, value: str, most: int, least: int = 1) -> str:
    """A text within a limit, counted in UTF-16 code units."""
    length = len(value.encode("utf-16-le", "surrogatepass")) // 2
    if length > most:
        raise parameter(f"Param {name} must be at most {most} characters long.")
    if length < least or (least and not value.strip()):
        raise required(name)
    return value


def _title(what: str, value: object, most: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value.encode("utf-16-le", "surrogatepass")) // 2 <= most:
        raise invalid(f"{what} length invalid. Min length: 1, Max length: {most}")
    return value


def _file(where: str, value: object, knows_media: Known) -> tuple[str, str]:
    """``(id, link)`` of a file: exactly one of them."""
    file = _object(value, where)
    media, link = file.get("id"), file.get("link")
    if bool(media) == bool(link):
        if not media:
            raise invalid(f"{where}: one of id or link is required")
        raise invalid(f"{where}: id and link exclude each other")
    if link and not re.match(r"https?://[^\s/]", str(link)):
        raise parameter(f"Param {where}['link'] is not a valid URI.")
    if media and not knows_media(str(media)):
        text = "is not a valid whatsapp business account media attachment ID"
        raise parameter(f"Param {where}['id'] {text}.")
    return str(media or ""), str(link or "")


# -- the kinds --

Checked = tuple[str, str, str]
"""What a check finds: words for a person, media id, link."""


def _plain(kind: str, value: object, knows_media: Known) -> Checked:
    text = _within("text['body']", _text(_object(value, "text"), "body", "text"), 4096)
    return text, "", ""


def _media(kind: str, value: object, knows_media: Known) -> Checked:
    media, link = _file(kind, value, knows_media)
    file = _object(value, kind)
    caption = _text(file, "caption", kind, default="")
    if caption and kind in ("audio", "sticker"):
        raise parameter(f"Param {kind}['caption'] is not allowed.")
    _within(f"{kind}['caption']", caption, 1024, 0)
    return caption or _text(file, "filename", kind, default=""), media, link


def _location(kind: str, value: object, knows_media: Known) -> Checked:
    place = _object(value, "location")
    for key, most in (("latitude", 90.0), ("longitude", 180.0)):
        if key not in place:
            raise required(f"location['{key}']")
        try:
            number = float(str(place[key]))
        except ValueError:
            raise invalid(f"location['{key}'] is not a number") from None
        if not -most <= number <= most:
            raise invalid(f"location['{key}'] is out of range")
    return _text(place, "name", "location", default=""), "", ""


def _contacts(kind: str, value: object, knows_media: Known) -> Checked:
    cards = _list(value, "contacts")
    if not 1 <= len(cards) <= 5:
        raise invalid("Invalid contacts count. Min allowed: 1, Max allowed: 5")
    names = []
    for number, card in enumerate(cards):
        where = f"contacts[{number}]"
        name = _object(_object(card, where).get("name"), f"{where}['name']")
        names.append(_within(f"{where}['name']['formatted_name']", _text(name, "formatted_name", where), 1024))
    return ", ".join(names), "", ""


def _reaction(kind: str, value: object, knows_media: Known) -> Checked:
    reaction = _object(value, "reaction")
    _within("reaction['message_id']", _text(reaction, "message_id", "reaction"), 4096)
    return _text(reaction, "emoji", "reaction"), "", ""


def _template(kind: str, value: object, knows_media: Known) -> Checked:
    template = _object(value, "template")
    name = _within("template['name']", _text(template, "name", "template"), 512)
    language = _object(template.get("language"), "template['language']")
    _within("template['language']['code']", _text(language, "code", "template['language']"), 20)
    _list(template.get("components", []), "template['components']")
    return name, "", ""


def _interactive(kind: str, value: object, knows_media: Known) -> Checked:
    interactive = _object(value, "interactive")
    form = _text(interactive, "type", "interactive")
    check = _FORMS.get(form)
    if check is None:
        raise invalid(f"Unsupported interactive type {form!r}")
    words = _words(interactive, 4096 if form == "list" else 1024)
    media, link = _header(interactive, form, knows_media)
    check(_object(interactive.get("action"), "interactive['action']"))
    return words, media, link


def _words(interactive: Json, most: int) -> str:
    if interactive.get("footer") is not None:
        footer = _object(interactive["footer"], "interactive['footer']")
        _title("Footer text", footer.get("text"), 60)
    if interactive.get("body") is None:
        raise required("interactive['body']")
    body = _object(interactive["body"], "interactive['body']")
    return _title("Body text", body.get("text"), most)


def _header(interactive: Json, form: str, knows_media: Known) -> tuple[str, str]:
    if interactive.get("header") is None:
        return "", ""
    header = _object(interactive["header"], "interactive['header']")
    kind = _text(header, "type", "interactive['header']")
    if kind == "text":
        _title("Header text", header.get("text"), 60)
        return "", ""
    if form == "list" or kind not in ("image", "video", "document"):
        raise invalid(f"Header of type {kind!r} is not allowed for interactive type {form!r}")
    return _file(f"interactive['header']['{kind}']", header.get(kind), knows_media)


def _buttons(action: Json) -> None:
    buttons = _list(action.get("buttons"), "interactive['action']['buttons']")
    if not 1 <= len(buttons) <= 3:
        raise invalid("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
    replies = [_object(_object(b, "button").get("reply"), "button['reply']") for b in buttons]
    titles = [_title("Button title", reply.get("title"), 20) for reply in replies]
    ids = [_title("Button id", reply.get("id"), 256) for reply in replies]
    if len(set(titles)) < len(titles) or len(set(ids)) < len(ids):
        raise invalid("Duplicated button title or id")


def _sections(action: Json) -> None:
    _title("Action button", action.get("button"), 20)
    sections = [_object(s, "section") for s in _list(action.get("sections"), "interactive['action']['sections']")]
    if not 1 <= len(sections) <= 10:
        raise invalid("Invalid sections count. Min allowed: 1, Max allowed: 10")
    rows = []
    for section in sections:
        if section.get("title") is not None or len(sections) > 1:
            _title("Section title", section.get("title"), 24)
        found = _list(section.get("rows"), "section['rows']")
        if not found:
            raise invalid("Section has no rows")
        rows += [_object(row, "row") for row in found]
    if len(rows) > 10:
        raise invalid("Total row count exceed max allowed count: 10")
    for row in rows:
        _row(row)
    if len({row["id"] for row in rows}) < len(rows):
        raise invalid("Duplicated row id")


def _row(row: Json) -> None:
    _title("Row id", row.get("id"), 200)
    if not isinstance(row.get("title"), str) or not row["title"]:
        raise invalid("Row title is required")
    if len(str(row["title"]).encode("utf-16-le", "surrogatepass")) // 2 > 24:
        raise invalid("Row title is too long. Max length is 24")
    if len(str(row.get("description") or "").encode("utf-16-le", "surrogatepass")) // 2 > 72:
        raise invalid("Row description is too long. Max length is 72")


def _link(action: Json) -> None:
    parameters = _object(action.get("parameters"), "interactive['action']['parameters']")
    _title("Display text", parameters.get("display_text"), 20)
    if not re.match(r"https?://[^\s/]", str(parameters.get("url"))):
        raise invalid("url is not a valid URI")


def _flow(action: Json) -> None:
    parameters = _object(action.get("parameters"), "interactive['action']['parameters']")
    _title("Flow CTA", parameters.get("flow_cta"), 30)
    if bool(parameters.get("flow_id")) == bool(parameters.get("flow_name")):
        raise invalid("One of flow_id or flow_name is required")


def _nothing(action: Json) -> None:
    """Kinds of which only the words are checked yet."""


_FORMS: Mapping[str, Callable[[Json], None]] = {
    "button": _buttons,
    "list": _sections,
    "cta_url": _link,
    "flow": _flow,
    "location_request_message": _nothing,
    "address_message": _nothing,
    "call_permission_request": _nothing,
    "voice_call": _nothing,
    "request_contact_info": _nothing,
    "product": _nothing,
    "product_list": _nothing,
    "catalog_message": _nothing,
}

_CHECKS: Mapping[str, Callable[[str, object, Known], Checked]] = {
    "text": _plain,
    **dict.fromkeys(FILES, _media),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": _template,
}
