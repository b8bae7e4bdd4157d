"""Every kind that a business can send, at Meta's limits and one beyond: the table of the emulator's judgement."""

from typing import Any

import pytest

from aerobot.emulator.graph_errors import Refused
from aerobot.emulator.outgoing import Outgoing, read

Json = dict[str, Any]

BUSINESS = "15550104477"
IMAGE = {"link": "https://example.com/a.jpg"}
REPLY = {"type": "reply", "reply": {"id": "a", "title": "A"}}
QUICK = {"type": "quick_reply", "quick_reply": {"id": "a", "title": "A"}}
PRODUCT = {"catalog_id": "1", "product_retailer_id": "SKU-1"}


def judge(kind: str, content: object, **more: object) -> Outgoing:
    """The message that this body is; ``m1`` is the only file."""
    body = {"messaging_product": "whatsapp", "to": "+15550123456", "type": kind, kind: content, **more}
    return read(body, business=BUSINESS, knows_phone=lambda _: False, knows_media=lambda id_: id_ == "m1")


def refused(kind: str, content: object, **more: object) -> tuple[int, str]:
    """Code and words of the refusal."""
    with pytest.raises(Refused) as caught:
        judge(kind, content, **more)
    refusal = caught.value.refusal
    return refusal.code, refusal.details or refusal.message


def form(kind: str, action: object, *, body: str | None = "Choose", **more: object) -> Json:
    """An interactive message."""
    words = {} if body is None else {"body": {"text": body}}
    return {"type": kind, "action": action, **words, **more}


def header(kind: str, value: object) -> Json:
    return {"header": {"type": kind, kind: value}}


def flow(**more: object) -> Json:
    """The action of a flow; a parameter that is None is left out."""
    known = {"flow_message_version": "3", "flow_id": "1", "flow_cta": "Book", "flow_token": "t"} | more
    return {"name": "flow", "parameters": {key: value for key, value in known.items() if value is not None}}


def products(*counts: int, title: str | None = "T") -> Json:
    """The action of a product list with sections of so many products."""
    named = {} if title is None else {"title": title}
    sections = [{"product_items": [{"product_retailer_id": f"S{n}"} for n in range(count)]} | named for count in counts]
    return {"catalog_id": "1", "sections": sections}


def cards(number: int, **more: object) -> Json:
    """The action of a carousel with so many cards that open a link."""
    link = {"name": "cta_url", "parameters": {"display_text": "Buy", "url": "https://example.com"}}
    card = {"type": "cta_url", "header": {"type": "image", "image": IMAGE}, "action": link} | more
    return {"cards": [{"card_index": index, **card} for index in range(number)]}


def goods(number: int) -> Json:
    """The action of a carousel of products."""
    return {"cards": [{"card_index": index, "type": "product", "action": PRODUCT} for index in range(number)]}


def section(rows: int, title: str | None = None) -> Json:
    named = {} if title is None else {"title": title}
    return {"rows": [{"id": f"{title}{n}", "title": "R"} for n in range(rows)], **named}


GOOD: dict[str, tuple[str, object]] = {
    "text": ("text", {"body": "x" * 4096, "preview_url": True}),
    "image by id": ("image", {"id": "m1", "caption": "x" * 1024}),
    "video by link": ("video", {"link": "http://example.com/a.mp4", "caption": "c"}),
    "document": ("document", {"id": "m1", "filename": "a.pdf", "caption": "c"}),
    "audio": ("audio", {"id": "m1"}),
    "voice": ("audio", {"id": "m1", "voice": True}),
    "audio that is no voice": ("audio", {"id": "m1", "voice": False}),
    "sticker": ("sticker", {"id": "m1"}),
    "location": ("location", {"latitude": -90, "longitude": 180, "name": "n", "address": "a"}),
    "five contacts": ("contacts", [{"name": {"formatted_name": "S"}}] * 5),
    "reaction": ("reaction", {"message_id": "wamid.x", "emoji": "👍"}),
    "reaction removed": ("reaction", {"message_id": "wamid.x", "emoji": ""}),
    "template": (
        "template",
        {"name": "t", "language": {"code": "en_US"}, "components": [{"type": "body", "parameters": []}]},
    ),
    "one button": ("interactive", form("button", {"buttons": [REPLY]}, body="x" * 1024)),
    "button, longest id": (
        "interactive",
        form("button", {"buttons": [{"type": "reply", "reply": {"id": "x" * 256, "title": "x" * 20}}]}),
    ),
    "buttons under text": ("interactive", form("button", {"buttons": [REPLY]}, **header("text", "x" * 60))),
    "buttons under an image": ("interactive", form("button", {"buttons": [REPLY]}, **header("image", IMAGE))),
    "buttons under a video": ("interactive", form("button", {"buttons": [REPLY]}, **header("video", {"id": "m1"}))),
    "buttons under a document": ("interactive", form("button", {"buttons": [REPLY]}, **header("document", IMAGE))),
    "footer": ("interactive", form("button", {"buttons": [REPLY]}, footer={"text": "x" * 60})),
    "list": ("interactive", form("list", {"button": "x" * 20, "sections": [section(10)]}, body="x" * 4096)),
    "list of ten sections": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1, f"{n}" * 24) for n in range(10)]}, **header("text", "h")),
    ),
    "list row": (
        "interactive",
        form(
            "list",
            {"button": "o", "sections": [{"rows": [{"id": "x" * 200, "title": "x" * 24, "description": "x" * 72}]}]},
        ),
    ),
    "link": (
        "interactive",
        form("cta_url", {"name": "cta_url", "parameters": {"display_text": "x" * 20, "url": "https://e.com"}}),
    ),
    "flow by id": ("interactive", form("flow", flow())),
    "flow by name": ("interactive", form("flow", flow(flow_id=None, flow_name="f", mode="draft"))),
    "flow, published": ("interactive", form("flow", flow(mode="published", flow_cta="x" * 30))),
    "flow to a screen": (
        "interactive",
        form("flow", flow(flow_action="navigate", flow_action_payload={"screen": "A", "data": {"a": 1}})),
    ),
    "flow with an endpoint": ("interactive", form("flow", flow(flow_action="data_exchange"))),
    "flow without a token": ("interactive", form("flow", flow(flow_token=None))),
    "location request": ("interactive", form("location_request_message", {"name": "send_location"})),
    "contact request": ("interactive", form("request_contact_info", {"name": "request_contact_info"})),
    "address": (
        "interactive",
        form("address_message", {"name": "address_message", "parameters": {"country": "IN"}}),
    ),
    "call permission": (
        "interactive",
        form("call_permission_request", {"name": "call_permission_request"}, body=None),
    ),
    "call button": ("interactive", form("voice_call", {"name": "voice_call"})),
    "call button, longest": (
        "interactive",
        form("voice_call", {"name": "voice_call", "parameters": {"display_text": "x" * 20, "ttl_minutes": 43200}}),
    ),
    "product": ("interactive", form("product", PRODUCT)),
    "product without words": ("interactive", form("product", PRODUCT, body=None)),
    "products": ("interactive", form("product_list", products(20, 10), **header("text", "h"))),
    "products in ten sections": ("interactive", form("product_list", products(*[3] * 10), **header("text", "h"))),
    "products in one section": ("interactive", form("product_list", products(1, title=None), **header("text", "h"))),
    "catalogue": ("interactive", form("catalog_message", {"name": "catalog_message"})),
    "catalogue with a thumbnail": (
        "interactive",
        form(
            "catalog_message",
            {"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "SKU-1"}},
        ),
    ),
    "carousel of links": ("interactive", form("carousel", cards(10, body={"text": "x" * 156 + "\n\nxx"}))),
    "carousel of replies": ("interactive", form("carousel", cards(2, action={"buttons": [QUICK]}))),
    "carousel of products": ("interactive", form("carousel", goods(2))),
}

UNFIT = 131009

BAD: dict[str, tuple[str, object, int, str]] = {
    "text, preview": ("text", {"body": "x", "preview_url": "yes"}, 100, "text['preview_url'] must be a boolean"),
    "media, id and link": ("image", {"id": "m1", **IMAGE}, UNFIT, "exclude each other"),
    "media, unknown id": ("image", {"id": "m2"}, 100, "media attachment ID"),
    "media, link": ("image", {"link": "example.com/a.jpg"}, 100, "not a valid URI"),
    "media, caption": ("document", {"id": "m1", "caption": "x" * 1025}, 100, "at most 1024"),
    "sticker, caption": ("sticker", {"id": "m1", "caption": "x"}, 100, "not allowed"),
    "voice of an image": ("image", {"id": "m1", "voice": True}, 100, "image['voice'] is not allowed"),
    "voice, not a boolean": ("audio", {"id": "m1", "voice": "yes"}, 100, "must be a boolean"),
    "location, half": ("location", {"latitude": 1}, 100, "location['longitude']"),
    "location, words": ("location", {"latitude": "north", "longitude": 0}, UNFIT, "not a number"),
    "location, beyond": ("location", {"latitude": 0, "longitude": 180.1}, UNFIT, "out of range"),
    "contacts, six": ("contacts", [{"name": {"formatted_name": "S"}}] * 6, UNFIT, "Max allowed: 5"),
    "contacts, nameless": ("contacts", [{"phones": []}], 100, "contacts[0]['name']"),
    "contacts, no list": ("contacts", {"name": {}}, 100, "must be an array"),
    "reaction to nothing": ("reaction", {"emoji": "👍"}, 100, "reaction['message_id']"),
    "reaction without emoji": ("reaction", {"message_id": "wamid.x"}, 100, "reaction['emoji']"),
    "template, no language": ("template", {"name": "t"}, 100, "template['language']"),
    "no body": ("interactive", form("button", {"buttons": [REPLY]}, body=None), 100, "interactive['body']"),
    "no action": ("interactive", form("button", None), 100, "interactive['action']"),
    "long footer": ("interactive", form("button", {"buttons": [REPLY]}, footer={"text": "x" * 61}), UNFIT, "Footer"),
    "long header": ("interactive", form("button", {"buttons": [REPLY]}, **header("text", "x" * 61)), UNFIT, "Header"),
    "audio header": ("interactive", form("button", {"buttons": [REPLY]}, **header("audio", IMAGE)), UNFIT, "'audio'"),
    "button, other type": ("interactive", form("button", {"buttons": [QUICK]}), UNFIT, "Button type must be reply"),
    "button, long id": (
        "interactive",
        form("button", {"buttons": [{"type": "reply", "reply": {"id": "x" * 257, "title": "A"}}]}),
        UNFIT,
        "Button id length",
    ),
    "list, long body": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1)]}, body="x" * 4097),
        UNFIT,
        "Max length: 4096",
    ),
    "list, image header": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1)]}, **header("image", IMAGE)),
        UNFIT,
        "Header of type 'image'",
    ),
    "list, long button": (
        "interactive",
        form("list", {"button": "x" * 21, "sections": [section(1)]}),
        UNFIT,
        "Action button",
    ),
    "list, no sections": ("interactive", form("list", {"button": "o", "sections": []}), UNFIT, "sections count"),
    "list, eleven sections": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1, f"{n}") for n in range(11)]}),
        UNFIT,
        "sections count",
    ),
    "list, nameless sections": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1), section(1)]}),
        UNFIT,
        "Section title",
    ),
    "list, long section": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1, "x" * 25)]}),
        UNFIT,
        "Section title",
    ),
    "list, same ids": (
        "interactive",
        form("list", {"button": "o", "sections": [section(1, "a") | {"rows": [{"id": "1", "title": "R"}] * 2}]}),
        UNFIT,
        "Duplicated row id",
    ),
    "link, long": (
        "interactive",
        form("cta_url", {"name": "cta_url", "parameters": {"display_text": "x" * 21, "url": "https://e.com"}}),
        UNFIT,
        "Display text",
    ),
    "link, no URL": (
        "interactive",
        form("cta_url", {"name": "cta_url", "parameters": {"display_text": "x", "url": "e.com"}}),
        UNFIT,
        "url is not a valid URI",
    ),
    "link, other name": (
        "interactive",
        form("cta_url", {"name": "url", "parameters": {"display_text": "x", "url": "https://e.com"}}),
        UNFIT,
        "Action name must be cta_url",
    ),
    "flow, version": ("interactive", form("flow", flow(flow_message_version="2")), UNFIT, "flow_message_version"),
    "flow, no version": ("interactive", form("flow", flow(flow_message_version=None)), 100, "flow_message_version"),
    "flow, long": ("interactive", form("flow", flow(flow_cta="x" * 31)), UNFIT, "Max length: 30"),
    "flow, emoji": ("interactive", form("flow", flow(flow_cta="Book 📅")), UNFIT, "must not contain emoji"),
    "flow, id and name": ("interactive", form("flow", flow(flow_name="f")), UNFIT, "flow_id or flow_name"),
    "flow, neither": ("interactive", form("flow", flow(flow_id=None)), UNFIT, "flow_id or flow_name"),
    "flow, mode": ("interactive", form("flow", flow(mode="secret")), 100, "{published, draft}"),
    "flow, action": ("interactive", form("flow", flow(flow_action="jump")), 100, "{navigate, data_exchange}"),
    "flow, no screen": ("interactive", form("flow", flow(flow_action_payload={})), 100, "['screen'] is required"),
    "flow, payload with an endpoint": (
        "interactive",
        form("flow", flow(flow_action="data_exchange", flow_action_payload={"screen": "A"})),
        UNFIT,
        "only for flow_action navigate",
    ),
    "location request, name": (
        "interactive",
        form("location_request_message", {"name": "location"}),
        UNFIT,
        "Action name must be send_location",
    ),
    "contact request, name": ("interactive", form("request_contact_info", {}), UNFIT, "Action name must be"),
    "address, no country": (
        "interactive",
        form("address_message", {"name": "address_message", "parameters": {}}),
        100,
        "['country']",
    ),
    "call permission, name": ("interactive", form("call_permission_request", {"name": "call"}), UNFIT, "Action name"),
    "call button, too long": (
        "interactive",
        form("voice_call", {"name": "voice_call", "parameters": {"ttl_minutes": 43201}}),
        UNFIT,
        "ttl_minutes",
    ),
    "product, header": ("interactive", form("product", PRODUCT, **header("text", "h")), UNFIT, "Header of type"),
    "product, no catalogue": ("interactive", form("product", {"product_retailer_id": "1"}), 100, "['catalog_id']"),
    "products, no header": ("interactive", form("product_list", products(1)), 100, "interactive['header']"),
    "products, 31": ("interactive", form("product_list", products(31), **header("text", "h")), UNFIT, "count: 30"),
    "products, eleven sections": (
        "interactive",
        form("product_list", products(*[1] * 11), **header("text", "h")),
        UNFIT,
        "sections count",
    ),
    "products, nameless sections": (
        "interactive",
        form("product_list", products(1, 1, title=None), **header("text", "h")),
        UNFIT,
        "Section title",
    ),
    "products, none": (
        "interactive",
        form("product_list", products(0), **header("text", "h")),
        UNFIT,
        "Section has no product_items",
    ),
    "catalogue, header": (
        "interactive",
        form("catalog_message", {"name": "catalog_message"}, **header("text", "h")),
        UNFIT,
        "Header of type",
    ),
    "carousel, one card": ("interactive", form("carousel", cards(1)), UNFIT, "Invalid cards count"),
    "carousel, eleven cards": ("interactive", form("carousel", cards(11)), UNFIT, "Invalid cards count"),
    "carousel, header": ("interactive", form("carousel", cards(2), **header("text", "h")), UNFIT, "Header of type"),
    "carousel, footer": ("interactive", form("carousel", cards(2), footer={"text": "f"}), UNFIT, "Footer is not"),
    "carousel, long card": ("interactive", form("carousel", cards(2, body={"text": "x" * 161})), UNFIT, "Card body"),
    "carousel, many lines": ("interactive", form("carousel", cards(2, body={"text": "\n" * 3})), UNFIT, "line breaks"),
    "carousel, text on top": (
        "interactive",
        form("carousel", cards(2, header={"type": "text", "text": "h"})),
        UNFIT,
        "for a card",
    ),
    "carousel, no buttons": ("interactive", form("carousel", cards(2, action={"buttons": []})), UNFIT, "no buttons"),
    "carousel, counted wrongly": (
        "interactive",
        form("carousel", {"cards": [cards(1)["cards"][0]] * 2}),
        UNFIT,
        "card_index must count from 0",
    ),
    "carousel, mixed": (
        "interactive",
        form("carousel", {"cards": [*cards(1)["cards"], {"card_index": 1, "type": "product", "action": PRODUCT}]}),
        UNFIT,
        "same header and buttons",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_at_the_limit(name: str) -> None:
    """What Meta's pages allow is sent as it was said."""
    kind, content = GOOD[name]
    found = judge(kind, content)
    assert (found.to, found.type, found.content) == ("15550123456", kind, content)


@pytest.mark.parametrize("name", BAD)
def test_beyond_the_limit(name: str) -> None:
    """What they do not allow is refused with the code and the words that tell why."""
    kind, content, code, words = BAD[name]
    found, said = refused(kind, content)
    assert (found, words in said) == (code, True), said


def test_every_form_is_in_the_table() -> None:
    """No form of interactive message is without a row that it passes and one that it does not."""
    from aerobot.emulator.interactive import FORMS

    for table in (GOOD, BAD):
        known = {row[1]["type"] for row in table.values() if row[0] == "interactive"}  # type: ignore[index]
        assert known == set(FORMS)


def test_a_reaction_is_no_reply() -> None:
    """A reaction names its message itself; a context beside it is refused."""
    reaction = {"message_id": "wamid.x", "emoji": "👍"}
    assert refused("reaction", reaction, context={"message_id": "wamid.x"})[0] == UNFIT


def test_a_reply_keeps_what_it_is_about() -> None:
    """``context.message_id`` and ``biz_opaque_callback_data`` come with the message."""
    found = judge("text", {"body": "Hi"}, context={"message_id": "wamid.x"}, biz_opaque_callback_data="x" * 512)
    assert (found.about, found.callback_data) == ("wamid.x", "x" * 512)
    assert refused("text", {"body": "Hi"}, biz_opaque_callback_data="x" * 513)[0] == 100


def test_content_may_be_json_in_a_string() -> None:
    """Graph decodes an object or list that stands in a string, as it does in forms; whatsapp-api-js relies on it."""
    found = judge("contacts", '[{"name":{"formatted_name":"Sam"}}]', biz_opaque_callback_data='{"a":1}')
    assert (found.content, found.text) == ([{"name": {"formatted_name": "Sam"}}], "Sam")
    assert found.callback_data == '{"a":1}'
    assert refused("text", '{"body"')[0] == 100
