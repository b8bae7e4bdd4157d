"""PyWa, released and unpatched, against the emulated Meta: what it sends arrives, what happens it understands."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest
from pywa import WhatsApp, errors, types
from pywa.types import templates
from pywa.types.flows import FlowActionType, FlowStatus
from pywa.types.templates import TemplateLanguage
from pywa_async import WhatsApp as AsyncWhatsApp

from aerobot.emulator import webhooks
from aerobot.emulator.webhooks import Sender, scoped_id
from tests.emulated import EmulatedMeta
from tests.foreign.pywa_bot import META, AsyncTransport, Bot, client, session

USER = "15550123456"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63fccf50cf0000038201811f6b6f9a0000000049454e44ae426082"
)
MEDIA = {
    "image": (PNG, "image/png"),
    "video": (b"a video", "video/mp4"),
    "audio": (b"a song", "audio/mpeg"),
    "document": (b"%PDF-1.4", "application/pdf"),
    "sticker": (b"a sticker", "image/webp"),
}


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as made:
        yield made


@pytest.fixture
def wa(meta: EmulatedMeta) -> Iterator[WhatsApp]:
    with session(meta) as calls:
        yield client(meta, calls)


@pytest.fixture
def bot(meta: EmulatedMeta) -> Iterator[Bot]:
    with Bot(meta) as made:
        yield made


def act(meta: EmulatedMeta, kind: str, **more: Any) -> str:
    """Something done on the phone; its wamid."""

    async def acted() -> str:
        return meta.emulator.act(kind, **more)

    return str(meta.run(acted()))


def arm(meta: EmulatedMeta, fault: str) -> None:
    """Spoil the next send."""

    async def armed() -> None:
        meta.emulator.arm(fault)

    meta.run(armed())


def shown(meta: EmulatedMeta) -> dict[str, Any]:
    """The last message that the phone got from the business."""
    meta.until(lambda: bool(meta.replies(USER)))
    return dict(meta.replies(USER)[-1]["message"])


# -- sending --


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call of PyWa's, and Meta's object of that type as the phone has it; ``ANY`` is an id of Meta's own."""

    send: Callable[[WhatsApp], Any]
    type: str
    content: object


def interactive(send: Callable[[WhatsApp], Any], kind: str, action: object, **more: object) -> Row:
    """A row of an interactive message with the body "Hi"."""
    return Row(send=send, type="interactive", content={"type": kind, "body": {"text": "Hi"}, "action": action, **more})


REPLIES = [types.Button("Yes", "yes"), types.Button("No", "no")]
ACTION = {
    "buttons": [
        {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
        {"type": "reply", "reply": {"id": "no", "title": "No"}},
    ]
}
LIST = types.SectionList("Open", [types.Section("Days", [types.SectionRow("Monday", "mon", "at nine")])])
CARD = types.Contact(
    name=types.Contact.Name(formatted_name="Sam Okafor", first_name="Sam"),
    phones=[types.Contact.Phone(phone="+15550109921", type="WORK", wa_id="15550109921")],
)
FLOW = {"flow_message_version": "3", "flow_token": "t", "flow_id": "7", "flow_cta": "Book", "mode": "published"}
CARDS = [
    types.ImageCarouselCard(image="https://example.com/a.png", body="One", buttons=[types.Button("A", "a")]),
    types.ImageCarouselCard(image="https://example.com/b.png", body="Two", buttons=[types.Button("B", "b")]),
]


def card(index: int, letter: str, body: str) -> dict[str, object]:
    """A card of ``CARDS`` as Meta gets it."""
    button = {"type": "quick_reply", "quick_reply": {"id": letter, "title": letter.upper()}}
    image = {"type": "image", "image": {"link": f"https://example.com/{letter}.png"}}
    found = {"card_index": index, "type": "cta_url", "header": image, "body": {"text": body}}
    return found | {"action": {"buttons": [button]}}


SENDS: dict[str, Row] = {
    "text": Row(
        send=lambda wa: wa.send_message(USER, "Héllo/😀"),
        type="text",
        content={"body": "Héllo/😀", "preview_url": False},
    ),
    "text with a preview": Row(
        send=lambda wa: wa.send_message(USER, "https://example.com", preview_url=True),
        type="text",
        content={"body": "https://example.com", "preview_url": True},
    ),
    "buttons": interactive(
        lambda wa: wa.send_message(USER, "Hi", header="Top", footer="Below", buttons=REPLIES),
        "button",
        ACTION,
        header={"type": "text", "text": "Top"},
        footer={"text": "Below"},
    ),
    "buttons under an image": interactive(
        lambda wa: wa.send_image(USER, PNG, caption="Hi", mime_type="image/png", buttons=REPLIES),
        "button",
        ACTION,
        header={"type": "image", "image": {"id": ANY}},
    ),
    "list": interactive(
        lambda wa: wa.send_message(USER, "Hi", buttons=LIST),
        "list",
        {
            "button": "Open",
            "sections": [{"title": "Days", "rows": [{"id": "mon", "title": "Monday", "description": "at nine"}]}],
        },
    ),
    "link button": interactive(
        lambda wa: wa.send_message(USER, "Hi", buttons=types.URLButton("Pay", "https://example.com/pay")),
        "cta_url",
        {"name": "cta_url", "parameters": {"display_text": "Pay", "url": "https://example.com/pay"}},
    ),
    "flow to a screen": interactive(
        lambda wa: wa.send_message(
            USER,
            "Hi",
            buttons=types.FlowButton(
                "Book", flow_id="7", flow_token="t", flow_action_type=FlowActionType.NAVIGATE, flow_action_screen="DAY"
            ),
        ),
        "flow",
        {"name": "flow", "parameters": FLOW | {"flow_action": "navigate", "flow_action_payload": {"screen": "DAY"}}},
    ),
    "flow in draft": interactive(
        lambda wa: wa.send_message(
            USER, "Hi", buttons=types.FlowButton("Book", flow_id="7", flow_token="t", mode=FlowStatus.DRAFT)
        ),
        "flow",
        {"name": "flow", "parameters": FLOW | {"mode": "draft"}},
    ),
    "call button": interactive(
        lambda wa: wa.send_message(USER, "Hi", buttons=types.VoiceCallButton("Call", ttl_minutes=60)),
        "voice_call",
        {"name": "voice_call", "parameters": {"display_text": "Call", "ttl_minutes": 60}},
    ),
    "call permission request": interactive(
        lambda wa: wa.send_message(USER, "Hi", buttons=types.CallPermissionRequestButton()),
        "call_permission_request",
        {"name": "call_permission_request"},
    ),
    "location request": interactive(
        lambda wa: wa.request_location(USER, "Hi"), "location_request_message", {"name": "send_location"}
    ),
    "contact request": interactive(
        lambda wa: wa.request_contact_info(USER, "Hi"), "request_contact_info", {"name": "request_contact_info"}
    ),
    "catalogue": interactive(
        lambda wa: wa.send_catalog(USER, "Hi", thumbnail_product_sku="SKU-1"),
        "catalog_message",
        {"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "SKU-1"}},
    ),
    "product": Row(
        send=lambda wa: wa.send_product(USER, "44", "SKU-1"),
        type="interactive",
        content={"type": "product", "action": {"catalog_id": "44", "product_retailer_id": "SKU-1"}},
    ),
    "products": interactive(
        lambda wa: wa.send_products(USER, "44", [types.ProductsSection("New", ["SKU-1", "SKU-2"])], "Shop", "Hi"),
        "product_list",
        {
            "catalog_id": "44",
            "sections": [
                {"title": "New", "product_items": [{"product_retailer_id": f"SKU-{number}"} for number in (1, 2)]}
            ],
        },
        header={"type": "text", "text": "Shop"},
    ),
    "carousel": interactive(
        lambda wa: wa.send_carousel(USER, body="Hi", cards=CARDS),
        "carousel",
        {"cards": [card(0, "a", "One"), card(1, "b", "Two")]},
    ),
    "location": Row(
        send=lambda wa: wa.send_location(USER, 52.36, 4.87, "Vondelpark", "Amsterdam"),
        type="location",
        content={"latitude": 52.36, "longitude": 4.87, "name": "Vondelpark", "address": "Amsterdam"},
    ),
    "contact": Row(
        send=lambda wa: wa.send_contact(USER, CARD),
        type="contacts",
        content=[
            {
                "name": {"formatted_name": "Sam Okafor", "first_name": "Sam"}
                | dict.fromkeys(["last_name", "middle_name", "suffix", "prefix"]),
                "phones": [{"phone": "+15550109921", "type": "WORK", "wa_id": "15550109921"}],
                "birthday": None,
                "org": None,
                **{empty: [] for empty in ("emails", "urls", "addresses")},
            }
        ],
    ),
    "template": Row(
        send=lambda wa: wa.send_template(USER, "hello_world", TemplateLanguage.ENGLISH_US, []),
        type="template",
        content={"name": "hello_world", "language": ANY, "components": []},
    ),
    "voice message": Row(
        send=lambda wa: wa.send_voice(USER, b"a voice", mime_type="audio/ogg"),
        type="audio",
        content={"id": ANY, "voice": True},
    ),
}


@pytest.mark.parametrize("name", SENDS)
def test_sends(meta: EmulatedMeta, wa: WhatsApp, name: str) -> None:
    """Each kind of message gets PyWa an id, and is on the phone as it was said."""
    row = SENDS[name]
    sent = row.send(wa)
    found = shown(meta)
    assert (sent.id, sent.chat.id, sent.from_phone_id) == (found["id"], USER, meta.credentials.phone_number_id)
    assert (found["type"], found["content"]) == (row.type, row.content)


@pytest.mark.parametrize("by", ["bytes", "id", "link"])
@pytest.mark.parametrize("kind", MEDIA)
def test_sends_files(meta: EmulatedMeta, wa: WhatsApp, kind: str, by: str) -> None:
    """Each kind of file goes as bytes, by the id of an upload, and as a link."""
    data, mime_type = MEDIA[kind]
    caption = {} if kind in ("audio", "sticker") else {"caption": "Look"}
    if by == "link":
        file: Any = f"https://example.com/{kind}"
    else:
        file = data if by == "bytes" else wa.upload_media(data, mime_type=mime_type, filename=kind).id
    more: dict[str, Any] = {"mime_type": mime_type} if by == "bytes" else {}
    more |= {"filename": "a.pdf"} if kind == "document" else {}
    getattr(wa, f"send_{kind}")(USER, file, **caption, **more)
    found = shown(meta)
    content = dict(found["content"])
    assert (found["type"], content.get("caption")) == (kind, caption.get("caption"))
    if by == "link":
        assert content["link"] == file
    else:
        assert wa.get_media_bytes(wa.get_media_url(content["id"]).url) == data
    if kind == "document":
        assert content["filename"] == "a.pdf"


def test_replies_in_context(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """A reply is about the message that it quotes."""
    asked = act(meta, "text", text="Hi?")
    wa.send_message(USER, "Hi!", reply_to_message_id=asked)
    assert shown(meta)["about"] == asked


def test_reacts_and_takes_it_back(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """A reaction is on the message, and then no more."""
    liked = act(meta, "text", text="Hi")
    sent = wa.send_reaction(USER, "👍", liked)
    assert shown(meta)["content"] == {"message_id": liked, "emoji": "👍"}
    gone = wa.remove_reaction(USER, liked)
    meta.until(lambda: shown(meta)["id"] == gone.id)
    assert (sent.message_id, shown(meta)["content"]) == (liked, {"message_id": liked, "emoji": ""})


def test_sends_to_a_user_id(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """A business-scoped id is an address as good as the number."""
    sent = wa.send_message(scoped_id(USER), "Hi")
    assert (sent.chat.id, shown(meta)["id"]) == (scoped_id(USER), sent.id)


def test_marks_as_read(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """The blue ticks appear on the phone."""
    wamid = act(meta, "text", text="Hi")
    assert wa.mark_message_as_read(wamid).success
    meta.until(lambda: any(e["event"] == "tick" and e["status"] == "read" and e["wamid"] == wamid for e in meta.seen))


def test_types(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """The phone shows that the business is typing."""
    assert wa.indicate_typing(act(meta, "text", text="Hi")).success
    meta.until(lambda: any(e["event"] == "typing" and e["phone"] == USER for e in meta.seen))


# -- files --


def test_a_file_from_upload_to_deletion(meta: EmulatedMeta, wa: WhatsApp, tmp_path: Path) -> None:
    """Uploaded, described, downloaded to disk and into memory, deleted, gone."""
    file = wa.upload_media(PNG, mime_type="image/png", filename="a.png")
    about = wa.get_media_url(file.id)
    assert (about.id, about.mime_type, about.file_size) == (file.id, "image/png", len(PNG))
    assert about.sha256 == hashlib.sha256(PNG).hexdigest()
    assert wa.get_media_bytes(about.url) == PNG
    assert b"".join(wa.stream_media(about.url)) == PNG
    path = wa.download_media(url=about.url, path=tmp_path, filename="a.png")
    assert Path(path).read_bytes() == PNG
    assert wa.delete_media(file.id, phone_id=None).success
    with pytest.raises(errors.WhatsAppError, match="does not exist") as caught:
        wa.get_media_url(file.id)
    assert caught.value.code == 100
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        wa.get_media_bytes(about.url)


# -- the set-up --


def test_reads_the_account(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """Every field that PyWa knows of an account."""
    account = wa.get_business_account()
    assert (account.id, account.status) == (meta.credentials.business_account_id, "ACTIVE")
    assert account.subscribed_apps is not None
    assert [app.id for app in account.subscribed_apps] == [meta.credentials.app_id]


def test_reads_the_number(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """Every field that PyWa knows of a number."""
    number = wa.get_business_phone_number()
    digits = "".join(letter for letter in str(number.display_phone_number) if letter.isdigit())
    assert (number.id, digits) == (meta.credentials.phone_number_id, meta.credentials.display_phone_number)
    assert (number.status, number.platform_type, number.quality_rating) == ("CONNECTED", "CLOUD_API", "GREEN")


def test_lists_the_numbers(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """The numbers of the account, page by page."""
    others = [meta.emulator.portal.add_number(f"155501098{n:02d}", f"Number {n}") for n in range(3)]
    found = list(wa.get_business_phone_numbers(pagination=types.Pagination(limit=2)).all())
    assert {number.id for number in found} == {meta.credentials.phone_number_id, *others}


def test_reads_templates(wa: WhatsApp) -> None:
    """The list with its counts, and one template by its id."""
    found = wa.get_templates()
    [hello] = list(found)
    assert (hello.name, found.total_count, found.message_template_limit) == ("hello_world", 1, 250)
    assert wa.get_template(hello.id).name == "hello_world"


def test_a_template_from_creation_to_deletion(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """Created, read back, sent with its parameters by name, refused without them, deleted, gone."""
    spoken = templates.BodyText("Hi {{who}}, shall we?", who="Ana")
    buttons = templates.Buttons(buttons=[templates.QuickReplyButton(text="Yes")])
    made = wa.create_template(
        templates.Template(
            name="greeting",
            language=TemplateLanguage.ENGLISH_US,
            category=templates.TemplateCategory.UTILITY,
            parameter_format=templates.ParamFormat.NAMED,
            components=[templates.HeaderText(text="Hello"), spoken, templates.FooterText(text="Bye"), buttons],
        )
    )
    found = wa.get_template(made.id)
    assert (found.status, found.parameter_format) == (made.status, "NAMED")
    assert found.components[1].to_dict() == spoken.to_dict()
    said = spoken.params(who="Bo"), templates.QuickReplyButton.params(callback_data="yes", index=0)
    assert wa.send_template(USER, "greeting", TemplateLanguage.ENGLISH_US, said).status == "accepted"
    [body, button] = shown(meta)["content"]["components"]
    assert body["parameters"] == [{"type": "text", "parameter_name": "who", "text": "Bo"}]
    assert button["parameters"] == [{"type": "payload", "payload": "yes"}]
    with pytest.raises(errors.TemplateParamCountMismatch):
        wa.send_template(USER, "greeting", TemplateLanguage.ENGLISH_US, [])
    assert wa.delete_template("greeting").success
    with pytest.raises(errors.TemplateNotExists):
        wa.send_template(USER, "greeting", TemplateLanguage.ENGLISH_US, said)


def test_sets_the_business_profile(wa: WhatsApp) -> None:
    """What is set is read."""
    assert wa.update_business_profile(about="Open 9 to 18", websites=["https://example.com"]).success
    profile = wa.get_business_profile()
    assert (profile.about, profile.websites) == ("Open 9 to 18", ("https://example.com",))


def test_registers_the_number_again(wa: WhatsApp) -> None:
    """Off and on, with the PIN that was set."""
    assert wa.deregister_phone_number().success
    with pytest.raises(errors.WhatsAppError) as caught:
        wa.send_message(USER, "Hi")
    assert caught.value.code == 133010
    assert wa.register_phone_number(pin="123456").success
    assert wa.send_message(USER, "Hi").id


def test_gets_the_apps_token(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """From the app's id and secret."""
    given = meta.credentials
    assert wa.get_app_access_token(given.app_id, given.app_secret) == meta.emulator.portal.app.token


# -- PyWa's webhook --

LEVELS = {"APP": "application", "WABA": "whatsapp_business_account", "PHONE": "phone_number"}


@pytest.mark.parametrize("scope", LEVELS)
def test_registers_its_callback(meta: EmulatedMeta, scope: str) -> None:
    """PyWa's server starts and points Meta at itself, for the app, the account or the number; PyWa reads it back."""
    with Bot(meta, scope=scope) as bot:
        found = bot.wa.get_business_phone_number().webhook_configuration
        assert found is not None
        assert found[LEVELS[scope]] == bot.url
        act(meta, "text", text="Hi")
        assert bot.next(types.Message).text == "Hi"


@pytest.mark.parametrize("scope", ["WABA", "PHONE"])
def test_removes_its_override(meta: EmulatedMeta, scope: str) -> None:
    """What it set it takes away, and is told so."""
    with Bot(meta, scope=scope) as bot:
        gone = bot.wa.delete_waba_callback_url() if scope == "WABA" else bot.wa.delete_phone_callback_url()
        assert gone.success
        assert bot.wa.get_business_phone_number().webhook_configuration == {"application": ""}


def test_checks_signatures(meta: EmulatedMeta, bot: Bot) -> None:
    """PyWa takes what the emulator signed with the app's secret, and nothing else."""
    act(meta, "text", text="é/😀 & <b>@")
    assert bot.next(types.Message).text == "é/😀 & <b>@"
    body = webhooks.wire(webhooks.inbound(meta.credentials.line, Sender(phone=USER)))
    for headers, status in (({}, 401), ({"X-Hub-Signature-256": webhooks.sign(body, "another secret")}, 403)):
        assert httpx.post(bot.url, content=body, headers=headers).status_code == status


def test_refuses_what_another_secret_signed(meta: EmulatedMeta) -> None:
    """With a wrong secret PyWa refuses everything, and the emulator goes on trying as Meta would."""
    with Bot(meta, scope="PHONE", app_secret="another secret"):
        act(meta, "text", text="Hi")
        meta.until(lambda: [e["status"] for e in meta.seen if e["event"] == "webhook"][:2] == [403, 403])


# -- receiving --


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Something done on the phone, the class that PyWa makes of it, and what of it PyWa has to know."""

    kind: str
    as_: type[Any] = types.Message
    more: Mapping[str, object] | None = None
    reads: Callable[[Any], object]
    wanted: object


ARRIVALS: dict[str, Arrival] = {
    "text": Arrival(kind="text", more={"text": "é/😀"}, reads=lambda u: u.text, wanted="é/😀"),
    "image": Arrival(
        kind="image",
        more={"text": "Look"},
        reads=lambda u: (u.image.mime_type, u.caption),
        wanted=("image/jpeg", "Look"),
    ),
    "video": Arrival(kind="video", reads=lambda u: u.video.mime_type, wanted="video/mp4"),
    "song": Arrival(kind="audio", reads=lambda u: (u.audio.mime_type, u.audio.voice), wanted=("audio/mpeg", False)),
    "voice": Arrival(kind="voice", reads=lambda u: u.audio.voice, wanted=True),
    "document": Arrival(kind="document", reads=lambda u: u.document.filename, wanted="invoice-2041.pdf"),
    "sticker": Arrival(kind="sticker", reads=lambda u: u.sticker.animated, wanted=False),
    "location": Arrival(
        kind="location",
        reads=lambda u: (u.location.latitude, u.location.longitude, u.location.name),
        wanted=(52.357994, 4.868648, "Vondelpark"),
    ),
    "contact": Arrival(
        kind="contacts",
        more={"text": "Sam Okafor"},
        reads=lambda u: (u.contacts[0].name.formatted_name, u.contacts[0].phones[0].wa_id),
        wanted=("Sam Okafor", "15550109921"),
    ),
    "order": Arrival(
        kind="order",
        reads=lambda u: [(p.sku, p.quantity, p.price, p.currency) for p in u.order.products],
        wanted=[("SKU-1001", 2, 12.5, "EUR")],
    ),
    "unsupported": Arrival(
        kind="unsupported",
        reads=lambda u: (u.unsupported.type, type(u.error)),
        wanted=("poll_creation", errors.UnsupportedMessageType),
    ),
    "changed number": Arrival(
        kind="system", as_=types.PhoneNumberChange, reads=lambda u: u.old_wa_id, wanted="15550123456"
    ),
    "call permission": Arrival(
        kind="call_permission", as_=types.CallPermissionUpdate, reads=lambda u: u.response.value, wanted="accept"
    ),
    "edited": Arrival(
        kind="edit", as_=types.EditedMessage, more={"text": "Hi there"}, reads=lambda u: u.message.text,
        wanted="Hi there",
    ),
    "filled-in flow": Arrival(
        kind="flow", as_=types.FlowCompletion, reads=lambda u: u.response, wanted={"name": "Ana", "guests": "2"}
    ),
    "template button": Arrival(
        kind="quick_reply", as_=types.CallbackButton, more={"text": "Stop"}, reads=lambda u: u.data, wanted="Stop"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRIVALS)
def test_receives(meta: EmulatedMeta, bot: Bot, name: str) -> None:
    """PyWa makes of each kind what it is, and knows from whom."""
    row = ARRIVALS[name]
    wamid = act(meta, row.kind, **(row.more or {}))
    found = bot.next(row.as_)
    assert (found.id, row.reads(found)) == (wamid, row.wanted)
    if row.kind != "system":
        who = found.from_user
        assert (who.wa_id, who.bsuid, who.name) == (USER, scoped_id(USER), "Alex Rivera")


def test_receives_a_file_and_downloads_it(meta: EmulatedMeta, bot: Bot) -> None:
    """From the webhook's own URL, which wants the token, and by its id."""

    async def sent() -> str:
        return meta.emulator.send_file(PNG, "image/png", filename="a.png", caption="Look")

    meta.run(sent())
    found = bot.next(types.Message)
    assert found.image is not None
    assert (found.caption, found.image.get_bytes()) == ("Look", PNG)
    assert bot.wa.get_media_bytes(bot.wa.get_media_url(found.image.id).url) == PNG


def test_receives_a_tap_on_its_button(meta: EmulatedMeta, bot: Bot) -> None:
    """The data that PyWa gave the button, and the message it was below."""
    sent = bot.wa.send_message(USER, "Hi", buttons=REPLIES)
    act(meta, "button", about=sent.id, content={"id": "no", "title": "No"})
    found = bot.next(types.CallbackButton)
    assert (found.data, found.title, found.reply_to_message.id) == ("no", "No", sent.id)


def test_receives_a_row_of_its_list(meta: EmulatedMeta, bot: Bot) -> None:
    """The data that PyWa gave the row, and the message it was in."""
    sent = bot.wa.send_message(USER, "Hi", buttons=LIST)
    act(meta, "list", about=sent.id, content={"id": "mon", "title": "Monday", "description": "at nine"})
    found = bot.next(types.CallbackSelection)
    assert (found.data, found.description, found.reply_to_message.id) == ("mon", "at nine", sent.id)


def test_receives_a_reaction_and_its_end(meta: EmulatedMeta, bot: Bot) -> None:
    """With an emoji, then without."""
    sent = bot.wa.send_message(USER, "Hi")
    for kind, emoji in (("reaction", "👍"), ("reaction_removed", None)):
        act(meta, kind, about=sent.id)
        found = bot.next(types.Message)
        assert found.reaction is not None
        assert (found.reaction.message_id, found.reaction.emoji) == (sent.id, emoji)


def test_receives_a_reply(meta: EmulatedMeta, bot: Bot) -> None:
    """It knows which of its messages is quoted."""
    sent = bot.wa.send_message(USER, "Hi")
    act(meta, "text", text="Hi yourself", about=sent.id)
    found = bot.next(types.Message)
    assert found.reply_to_message is not None
    assert (found.text, found.reply_to_message.id) == ("Hi yourself", sent.id)


@pytest.mark.parametrize(("word", "often"), [("forwarded", False), ("frequently_forwarded", True)])
def test_receives_what_was_forwarded(meta: EmulatedMeta, bot: Bot, word: str, often: bool) -> None:
    """A body of the emulator's builder and signer, as ``send-test`` posts it, for what no phone here can do."""
    sender = Sender(phone=USER, name="Alex Rivera", user_id=scoped_id(USER))
    message = webhooks.message("text", sender, id="wamid.F", timestamp=1_800_000_000, context={word: True})
    body = webhooks.wire(webhooks.inbound(meta.credentials.line, sender, message))
    signature = {"X-Hub-Signature-256": webhooks.sign(body, meta.credentials.app_secret)}
    assert httpx.post(bot.url, content=body, headers=signature).status_code == 200
    found = bot.next(types.Message)
    assert (found.forwarded, found.forwarded_many_times) == (True, often)


def test_receives_from_somebody_without_a_number(meta: EmulatedMeta, bot: Bot) -> None:
    """Who has a user name is known by the business-scoped id alone, and answered there."""
    act(meta, "text", phone="US.13491208655302741918", text="Hi")
    found = bot.next(types.Message)
    assert (found.from_user.wa_id, found.from_user.bsuid) == (None, "US.13491208655302741918")
    found.reply("Hi yourself")
    meta.until(lambda: [e["text"] for e in meta.replies("US.13491208655302741918")] == ["Hi yourself"])


def test_answers_from_a_handler(meta: EmulatedMeta, bot: Bot) -> None:
    """The shortcuts of an update reach the chat it came from."""
    wamid = act(meta, "text", text="Hi")
    found = bot.next(types.Message)
    assert found.mark_as_read().success
    assert found.indicate_typing().success
    found.react("👍")
    found.reply("Hi yourself", quote=True)
    meta.until(lambda: len(meta.replies(USER)) == 2)
    assert shown(meta)["about"] == wamid


# -- statuses --


def test_follows_a_message(meta: EmulatedMeta, bot: Bot) -> None:
    """Sent, delivered, read, each with the tracker that PyWa gave it; prices with the first two."""
    sent = bot.wa.send_message(USER, "Hi", tracker="order 7")
    for word, price in (("sent", True), ("delivered", True), ("read", False)):
        found = bot.next(types.MessageStatus)
        assert (found.id, found.status.value, found.tracker) == (sent.id, word, "order 7")
        assert (found.pricing is not None, found.from_user.wa_id) == (price, USER)


def test_waits_for_the_reply(meta: EmulatedMeta, bot: Bot) -> None:
    """PyWa's own waiting ends with what the person writes (again and again, as nobody can see PyWa begin to wait)."""
    heard = threading.Event()

    def insist() -> None:
        while not heard.wait(0.05):
            act(meta, "text", text="Yes")

    person = threading.Thread(target=insist)
    person.start()
    try:
        assert bot.wa.send_message(USER, "Sure?").wait_for_reply(timeout=10).text == "Yes"
    finally:
        heard.set()
        person.join()


def test_a_reaction_is_only_sent(meta: EmulatedMeta, bot: Bot) -> None:
    """No other status follows; the next is that of the next message."""
    liked = bot.wa.send_reaction(USER, "👍", act(meta, "text", text="Hi"))
    assert bot.next(types.MessageStatus).id == liked.id
    sent = bot.wa.send_message(USER, "Hi")
    assert bot.next(types.MessageStatus).id == sent.id


def test_learns_why_a_message_failed(meta: EmulatedMeta, bot: Bot) -> None:
    """Accepted, then failed: PyWa's own class for 131047, with the tracker. It reads those that name the user."""
    meta.emulator.settle(failed_contacts=True)
    arm(meta, "window_closed")
    sent = bot.wa.send_message(USER, "Hi", tracker="order 7")
    found = bot.next(types.MessageStatus)
    assert (found.id, found.status.value, found.tracker) == (sent.id, "failed", "order 7")
    assert isinstance(found.error, errors.ReEngagementMessage)


# -- errors --

FAULTS: dict[str, type[errors.WhatsAppError]] = {
    "token_expired": errors.ExpiredAccessToken,
    "window_closed_at_once": errors.ReEngagementMessage,
    "not_on_list": errors.RecipientNotInAllowedList,
    "rate_limited": errors.RateLimitHit,
    "pair_rate": errors.TooManyMessages,
    "payment": errors.BusinessPaymentIssue,
    "account_locked": errors.AccountLocked,
    "unavailable": errors.ServiceUnavailable,
    "something_went_wrong": errors.UnknownError,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_raises_its_own_errors(meta: EmulatedMeta, wa: WhatsApp, fault: str) -> None:
    """Each refusal is PyWa's own class for its code, with Meta's trace id; the next send goes well."""
    arm(meta, fault)
    with pytest.raises(FAULTS[fault]) as caught:
        wa.send_message(USER, "Hi")
    assert caught.value.fbtrace_id
    assert wa.send_message(USER, "Hi").id


def test_raises_on_a_wrong_value(wa: WhatsApp) -> None:
    """One button too many is 131009, with the words that say so."""
    with pytest.raises(errors.InvalidParameter) as caught:
        wa.send_message(USER, "Hi", buttons=[types.Button(letter, letter) for letter in "abcd"])
    assert caught.value.details == "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"


def test_raises_on_html(meta: EmulatedMeta, wa: WhatsApp) -> None:
    """A page instead of JSON is an error all the same."""
    arm(meta, "server_error")
    with pytest.raises(errors.WhatsAppError, match="Sorry, something went wrong"):
        wa.send_message(USER, "Hi")


# -- the asynchronous client --


async def test_the_asynchronous_client(meta: EmulatedMeta) -> None:
    """It sends, uploads, downloads and reads the set-up; an error is an error.

    It does not register its callback here: for that it makes a session of its own, which no setting reaches.
    """
    given = meta.credentials
    async with httpx.AsyncClient(mounts={META: AsyncTransport(meta.url)}) as calls:
        wa = AsyncWhatsApp(given.phone_number_id, given.access_token, session=calls)
        sent = await wa.send_message(USER, "Hi", buttons=REPLIES, tracker="order 7")
        assert (shown(meta)["id"], shown(meta)["content"]["action"]) == (sent.id, ACTION)
        file = await wa.upload_media(PNG, mime_type="image/png", filename="a.png")
        assert await wa.get_media_bytes((await wa.get_media_url(file.id)).url) == PNG
        assert (await wa.delete_media(file.id)).success
        assert (await wa.get_business_phone_number()).status == "CONNECTED"
        assert (await wa.indicate_typing(act(meta, "text", text="Hi"))).success
        arm(meta, "not_on_list")
        with pytest.raises(errors.RecipientNotInAllowedList):
            await wa.send_message(USER, "Hi")
