"""Interactive messages: which header, body, footer and action each form may have. Pure.

Sources: Meta's OpenAPI description and its pages "Interactive messages", "Sending a Flow", "Share products" and
"Interactive media carousel messages", Graph v25.0. The body of a list may be longer than the description says.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aerobot.emulator.fields import (
    Json,
    Known,
    a_file,
    a_text,
    a_word,
    an_object,
    is_url,
    length,
    objects,
    title,
    within,
)
from aerobot.emulator.graph_errors import invalid, required

ACTION = "interactive['action']"
MEDIA = ("image", "video", "document")
ANY = ("text", *MEDIA)
EMOJI = re.compile(r"[\u2190-\u2bff\u3030\ufe0f\U0001f000-\U0001faff]")
"""Most of them: what the button of a flow may not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What one form allows. ``name`` is the action's own, empty where it has none; ``body`` in characters."""

    check: Callable[[Json, Known], None]
    name: str = ""
    headers: tuple[str, ...] = ANY
    header_required: bool = False
    body: int = 1024
    body_required: bool = True
    footer: bool = True


def read(value: object, knows_media: Known) -> tuple[str, str, str]:
    """Words for a person, the header's media id and link. Raises ``Refused`` as Graph would answer."""
    interactive = an_object(value, "interactive")
    kind = a_text(interactive, "type", "interactive")
    form = FORMS.get(kind)
    if form is None:
        raise invalid(f"Unsupported interactive type {kind!r}")
    words = _words(interactive, form, kind)
    media, link = _header(interactive, form, kind, knows_media)
    action = an_object(interactive.get("action"), ACTION)
    if form.name and action.get("name") != form.name:
        raise invalid(f"Action name must be {form.name}")
    form.check(action, knows_media)
    return words, media, link


def _words(interactive: Json, form: Form, kind: str) -> str:
    if interactive.get("footer") is not None:
        if not form.footer:
            raise invalid(f"Footer is not allowed for interactive type {kind!r}")
        title("Footer text", an_object(interactive["footer"], "interactive['footer']").get("text"), 60)
    if interactive.get("body") is None:
        if form.body_required:
            raise required("interactive['body']")
        return ""
    return title("Body text", an_object(interactive["body"], "interactive['body']").get("text"), form.body)


def _header(interactive: Json, form: Form, kind: str, knows_media: Known) -> tuple[str, str]:
    if interactive.get("header") is None:
        if form.header_required:
            raise required("interactive['header']")
        return "", ""
    header = an_object(interactive["header"], "interactive['header']")
    word = a_text(header, "type", "interactive['header']")
    if word not in form.headers:
        raise invalid(f"Header of type {word!r} is not allowed for interactive type {kind!r}")
    if word == "text":
        title("Header text", header.get("text"), 60)
        return "", ""
    return a_file(f"interactive['header']['{word}']", header.get(word), knows_media)


# -- buttons and lists --


def _buttons(action: Json, knows_media: Known) -> None:
    buttons = objects(action.get("buttons"), f"{ACTION}['buttons']")
    if not 1 <= len(buttons) <= 3:
        raise invalid("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
    _replies(buttons, "reply")


def _replies(buttons: list[Json], kind: str) -> None:
    """Buttons that come back as they are: titles and ids within limits, none of them twice."""
    for button in buttons:
        if button.get("type") != kind:
            raise invalid(f"Button type must be {kind}")
    replies = [an_object(button.get(kind), f"button['{kind}']") for button in buttons]
    titles = [title("Button title", reply.get("title"), 20) for reply in replies]
    ids = [title("Button id", reply.get("id"), 256) for reply in replies]
    if len(set(titles)) < len(titles) or len(set(ids)) < len(ids):
        raise invalid("Duplicated button title or id")


def _list(action: Json, knows_media: Known) -> None:
    title("Action button", action.get("button"), 20)
    rows = [row for section in _sections(action) for row in _items(section, "rows")]
    if len(rows) > 10:
        raise invalid("Total row count exceed max allowed count: 10")
    for row in rows:
        _row(row)
    if len({row["id"] for row in rows}) < len(rows):
        raise invalid("Duplicated row id")


def _sections(action: Json) -> list[Json]:
    sections = objects(action.get("sections"), f"{ACTION}['sections']")
    if not 1 <= len(sections) <= 10:
        raise invalid("Invalid sections count. Min allowed: 1, Max allowed: 10")
    for section in sections:
        if section.get("title") is not None or len(sections) > 1:
            title("Section title", section.get("title"), 24)
    return sections


def _items(section: Json, key: str) -> list[Json]:
    items = objects(section.get(key), f"section['{key}']")
    if not items:
        raise invalid(f"Section has no {key}")
    return items


def _row(row: Json) -> None:
    title("Row id", row.get("id"), 200)
    if not isinstance(row.get("title"), str) or not row["title"]:
        raise invalid("Row title is required")
    if length(str(row["title"])) > 24:
        raise invalid("Row title is too long. Max length is 24")
    if length(str(row.get("description") or "")) > 72:
        raise invalid("Row description is too long. Max length is 72")


# -- links, calls, flows --


def _parameters(action: Json) -> Json:
    return an_object(action.get("parameters"), f"{ACTION}['parameters']")


def _link(action: Json, knows_media: Known) -> None:
    parameters = _parameters(action)
    title("Display text", parameters.get("display_text"), 20)
    if not is_url(parameters.get("url")):
        raise invalid("url is not a valid URI")


def _call(action: Json, knows_media: Known) -> None:
    """A call button lives for 1 minute to 30 days."""
    parameters = an_object(action.get("parameters", {}), f"{ACTION}['parameters']")
    if parameters.get("display_text") is not None:
        title("Display text", parameters["display_text"], 20)
    minutes = parameters.get("ttl_minutes", 1)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 1 <= minutes <= 43_200:
        raise invalid("ttl_minutes must be between 1 and 43200")


def _flow(action: Json, knows_media: Known) -> None:
    parameters, where = _parameters(action), f"{ACTION}['parameters']"
    if a_text(parameters, "flow_message_version", where) != "3":
        raise invalid("flow_message_version must be 3")
    if EMOJI.search(title("Flow CTA", parameters.get("flow_cta"), 30)):
        raise invalid("Flow CTA must not contain emoji")
    if bool(parameters.get("flow_id")) == bool(parameters.get("flow_name")):
        raise invalid("One of flow_id or flow_name is required")
    a_word(parameters, "mode", where, ("published", "draft"))
    does = a_word(parameters, "flow_action", where, ("navigate", "data_exchange"))
    if "flow_action_payload" in parameters:
        if does != "navigate":
            raise invalid("flow_action_payload is only for flow_action navigate")
        payload = an_object(parameters["flow_action_payload"], f"{where}['flow_action_payload']")
        within("flow_action_payload['screen']", a_text(payload, "screen", "flow_action_payload"), 4096)


def _address(action: Json, knows_media: Known) -> None:
    a_text(_parameters(action), "country", f"{ACTION}['parameters']")


def _nothing(action: Json, knows_media: Known) -> None:
    """The name says it all."""


# -- products and cards --


def _product(action: Json, knows_media: Known) -> None:
    for key in ("catalog_id", "product_retailer_id"):
        within(f"{ACTION}['{key}']", a_text(action, key, ACTION), 4096)


def _products(action: Json, knows_media: Known) -> None:
    within(f"{ACTION}['catalog_id']", a_text(action, "catalog_id", ACTION), 4096)
    items = [item for section in _sections(action) for item in _items(section, "product_items")]
    if len(items) > 30:
        raise invalid("Total product count exceed max allowed count: 30")
    for item in items:
        within("product_retailer_id", a_text(item, "product_retailer_id", "product_items"), 4096)


def _catalog(action: Json, knows_media: Known) -> None:
    if action.get("parameters") is not None:
        where = f"{ACTION}['parameters']"
        within(where, a_text(_parameters(action), "thumbnail_product_retailer_id", where), 4096)


def _carousel(action: Json, knows_media: Known) -> None:
    cards = objects(action.get("cards"), f"{ACTION}['cards']")
    if not 2 <= len(cards) <= 10:
        raise invalid("Invalid cards count. Min allowed: 2, Max allowed: 10")
    if [card.get("card_index") for card in cards] != list(range(len(cards))):
        raise invalid("card_index must count from 0")
    if len({_card(card, knows_media) for card in cards}) > 1:
        raise invalid("Cards must have the same header and buttons")


def _card(card: Json, knows_media: Known) -> tuple[str, int]:
    """What has to be the same on all cards: the kind of the action, and how many buttons there are."""
    action = an_object(card.get("action"), "card['action']")
    if a_text(card, "type", "card", default="cta_url") == "product":
        _product(action, knows_media)
        return "product", 0
    header = an_object(card.get("header"), "card['header']")
    kind = a_text(header, "type", "card['header']")
    if kind not in ("image", "video"):
        raise invalid(f"Header of type {kind!r} is not allowed for a card")
    a_file(f"card['header']['{kind}']", header.get(kind), knows_media)
    if card.get("body") is not None:
        words = title("Card body text", an_object(card["body"], "card['body']").get("text"), 160)
        if words.count("\n") > 2:
            raise invalid("Card body text may have 2 line breaks")
    if "buttons" not in action:
        _link(action, knows_media)
        return "cta_url", 1
    buttons = objects(action["buttons"], "card['action']['buttons']")
    if not buttons:
        raise invalid("Card has no buttons")
    _replies(buttons, "quick_reply")
    return "quick_reply", len(buttons)


FORMS: Mapping[str, Form] = {
    "button": Form(check=_buttons),
    "list": Form(check=_list, headers=("text",), body=4096),
    "cta_url": Form(check=_link, name="cta_url"),
    "flow": Form(check=_flow, name="flow"),
    "location_request_message": Form(check=_nothing, name="send_location"),
    "request_contact_info": Form(check=_nothing, name="request_contact_info"),
    "address_message": Form(check=_address, name="address_message"),
    "call_permission_request": Form(check=_nothing, name="call_permission_request", body_required=False),
    "voice_call": Form(check=_call, name="voice_call"),
    "product": Form(check=_product, headers=(), body_required=False),
    "product_list": Form(check=_products, headers=("text",), header_required=True),
    "catalog_message": Form(check=_catalog, name="catalog_message", headers=()),
    "carousel": Form(check=_carousel, headers=(), footer=False),
}
