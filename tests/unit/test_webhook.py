"""Webhook bodies: every kind, every oddity, and nothing that raises."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerobot.whatsapp.messages import Identity, Message
from aerobot.whatsapp.webhook import Reading, Update, dump, load, read, read_message

SAMPLES = Path(__file__).parents[1] / "samples"
PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"
NUMBER = "106540352242922"


def reading(name: str) -> Reading:
    return read((SAMPLES / f"{name}.json").read_bytes(), phone_number_id=NUMBER)


def only(name: str) -> Update:
    (update,) = reading(name).updates
    return update


def message(name: str) -> Message:
    found = only(name).message
    assert found is not None
    return found


def envelope(value: object, field: object = "messages") -> bytes:
    change = {"value": value, "field": field}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [change]}]}
    return json.dumps(body).encode()


def phone(value: str) -> Identity:
    return Identity(kind="phone", value=value)


def user_id(value: str) -> Identity:
    return Identity(kind="user_id", value=value)


# -- what an engine is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("text", "text", "Do you deliver on Sundays?"),
        (
            "text-emoji-and-accents",
            "text",
            "Grüße aus Malmö 👩‍👩‍👧‍👦 – ¿abren mañana? https://example.com/a@b",
        ),
        ("text-without-type", "text", "My type got lost"),
        ("image", "image", "[Image]"),
        ("image-with-caption", "image", "The broken lamp [Image]"),
        ("video", "video", "[Video]"),
        ("video-with-caption", "video", "It flickers [Video]"),
        ("document", "document", "[Document: Rechnung März.pdf]"),
        ("document-with-caption", "document", "My order [Document: order.pdf]"),
        ("document-without-name", "document", "[Document]"),
        ("audio", "audio", "[Voice message]"),
        ("voice-note", "audio", "[Voice message]"),
        ("sticker", "sticker", "[Sticker]"),
        ("sticker-animated", "sticker", "[Sticker]"),
        ("location", "location", "[Location: 37.44216251868683, -122.16153582049394]"),
        ("location-with-name-and-round-numbers", "location", "[Location: 52.0, 4]"),
        ("location-with-unusual-numbers", "location", "[Location: 52.10, 1e2]"),
        ("contacts", "contacts", "[Contact: Ada Byron]"),
        ("contacts-several", "contacts", "[Contact: Ada Byron, Alan Turing, +44 20 7946 0000]"),
        ("contacts-without-name", "contacts", "[Contact: +44 20 7946 0000]"),
        ("contacts-empty", "contacts", "[Contact]"),
        ("reaction", "reaction", "[Reaction: 👍]"),
        ("reaction-removed", "reaction", "[Reaction removed]"),
        ("reaction-removed-empty", "reaction", "[Reaction removed]"),
        ("button-reply", "button_reply", "Yes, deliver"),
        ("button-reply-without-type", "button_reply", "Red"),
        ("list-reply", "list_reply", "Friday 9–12"),
        ("template-quick-reply", "button", "Stop promotions"),
        ("flow-reply", "nfm_reply", "Sent"),
        ("flow-reply-without-body", "nfm_reply", "[Form reply]"),
        ("order", "order", "[Order: 2 items]"),
    ],
)
def test_what_an_engine_is_told(name: str, kind: str, text: str) -> None:
    """Aerostack's table of placeholders, and ours beyond it, word by word."""
    update = only(name)
    assert (update.kind, update.note) == ("message", "")
    assert update.message is not None
    assert (update.message.kind, update.message.text, update.message.answerable) == (kind, text, True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("system-number-changed", "system"),
        ("system-number-changed-old-style", "system"),
        ("system-user-id-changed", "system"),
        ("system-identity-changed", "system"),
        ("unsupported", "unsupported"),
        ("unknown", "unknown"),
        ("edit", "edit"),
        ("revoke", "revoke"),
        ("request-welcome", "request_welcome"),
        ("call-permission-reply", "call_permission_reply"),
        ("interactive-of-unknown-kind", "interactive"),
        ("kind-of-the-future", "telepathy"),
    ],
)
def test_what_is_recorded_without_asking_the_engine(name: str, kind: str) -> None:
    """System messages, unsupported kinds and replies of unknown subtype are kept, but not answered."""
    update = only(name)
    assert (update.kind, update.note) == ("message", "")
    assert update.message is not None
    assert (update.message.kind, update.message.text, update.message.answerable) == (kind, "", False)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("button-reply", "deliver-yes"),
        ("list-reply", "slot-3"),
        ("template-quick-reply", "STOP-PROMOTIONS"),
        ("button-reply-without-type", "1"),
        ("text", ""),
    ],
)
def test_the_choice_is_the_id_of_what_was_tapped(name: str, choice: str) -> None:
    """A handler sees the title as text and the id that it gave as choice."""
    assert message(name).choice == choice


def test_an_attachment_keeps_what_meta_says() -> None:
    """File name, caption, type, hash, id and the flags of voice notes and stickers stay on the message."""
    found = message("document-with-caption").attachment
    assert found is not None
    assert (found.kind, found.filename, found.caption) == ("document", "order.pdf", "My order")
    assert found.mime_type == "application/pdf"
    assert found.id.isdigit()
    assert found.sha256.endswith("=")
    for name, flags in {
        "voice-note": (True, False),
        "audio": (False, False),
        "sticker-animated": (False, True),
    }.items():
        found = message(name).attachment
        assert found is not None
        assert (found.voice, found.animated) == flags


def test_a_place_keeps_its_name() -> None:
    """Engines are told the numbers only; name and address stay on the message."""
    found = message("location-with-name-and-round-numbers").location
    assert found is not None
    assert (found.latitude, found.longitude) == (52.0, 4.0)
    assert (found.name, found.address, found.url) == (
        "Town hall",
        "Spui 70, The Hague",
        "https://example.com/hall",
    )


def test_context_and_referral_stay_on_the_message() -> None:
    """What a message answers, whether it was forwarded, and the ad it came from."""
    assert message("text-reply").context_id.startswith("wamid.")
    assert not message("text-reply").forwarded
    assert message("text-forwarded").forwarded
    assert message("text-forwarded-often").forwarded
    assert message("reaction").reaction_to.startswith("wamid.")
    referral = message("text-from-ad").referral
    assert referral is not None
    assert referral["source_type"] == "ad"


# -- who wrote it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "who", "identities"),
    [
        ("text", "Mara Lindqvist", {"phone": "16315554821"}),
        ("text-without-contacts", "", {"phone": "16315554821"}),
        (
            "text-from-username-only",
            "Mara Lindqvist",
            {"user_id": "US.48151623420070", "parent_user_id": "US.ENT.90125551984"},
        ),
        (
            "text-with-number-and-user-id",
            "Mara Lindqvist",
            {"phone": "16315554821", "user_id": "US.48151623420070", "parent_user_id": "US.ENT.90125551984"},
        ),
        ("text-with-other-wa-id", "Mara Lindqvist", {"phone": "16315554821"}),
        (
            "text-from-brazil-without-the-ninth-digit",
            "Bia",
            {"phone": "553187654321", "user_id": "BR.7788990011"},
        ),
        (
            "system-user-id-changed",
            "",
            {"user_id": "US.60221407600001", "parent_user_id": "US.ENT.90125551984"},
        ),
    ],
)
def test_who_wrote(name: str, who: str, identities: dict[str, str]) -> None:
    """Number and user ids come from the message, the rest from its contact unless that is somebody else's."""
    found = message(name)
    assert found.name == who
    assert {identity.kind: identity.value for identity in found.identities} == identities


def test_each_message_has_its_own_contact() -> None:
    """In a batch, names go by number and never by position."""
    first, second = [update.message for update in reading("two-messages-of-two-people").updates]
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("Mara Lindqvist", "Ben Okafor")


def test_one_contact_is_not_given_to_a_strangers_message() -> None:
    """With two messages and one contact, the message of the other person has no name and no user id."""
    messages = [{"from": who, "id": who, "type": "text", "text": {"body": "x"}} for who in ("1555", "1666")]
    contacts = [{"wa_id": "1555", "user_id": "US.1", "profile": {"name": "One"}}]
    first, second = read(
        envelope({"messages": messages, "contacts": contacts}), phone_number_id=NUMBER
    ).updates
    assert first.message is not None
    assert second.message is not None
    assert first.message.identities == (phone("1555"), user_id("US.1"))
    assert (second.message.name, second.message.identities) == ("", (phone("1666"),))


@pytest.mark.parametrize("name", ["system-number-changed", "system-number-changed-old-style"])
def test_a_changed_number_links_old_and_new(name: str) -> None:
    """The conversation goes on under the new number."""
    assert only(name).links == ((phone("16315554821"), phone("16315559999")),)


def test_a_changed_user_id_links_old_and_new() -> None:
    """The old user id stands only in the text of the system message."""
    (group,) = only("system-user-id-changed").links
    assert group[:2] == (user_id("US.48151623420070"), user_id("US.60221407600001"))


def test_the_field_user_id_update_links_old_and_new() -> None:
    """It is recorded, and all five names of the user become one."""
    update = only("user-id-update")
    assert (update.kind, update.note) == ("other", "other_field")
    (group,) = update.links
    assert {identity.value for identity in group} == {
        "16315554821", "US.48151623420070", "US.60221407600001",
        "US.ENT.90125551984", "US.ENT.11235813213455",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "User x from US.111 to US.222 changed from US.333 to US.999",
        "User x changed from US.111 to US.222",
        "User US.111 to US.222",
        "",
    ],
)
def test_a_users_own_name_links_nobody(body: str) -> None:
    """A name that reads like Meta's sentence does not give one user another's conversation."""
    system = {
        "type": "user_changed_user_id",
        "user_id": "US.222",
        "body": body + " changed from US.333 to US.444",
    }
    raw = {"id": "wamid.x", "type": "system", "system": system}
    (update,) = read(envelope({"messages": [raw]}), phone_number_id=NUMBER).updates
    assert update.links == ()


# -- what is handled, and what is only recorded --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("text-in-group", "group"),
        ("text-for-another-number", "another_number"),
        ("message-without-sender", "no_sender"),
        ("errors-of-the-number", "errors"),
        ("calls-connect", "calls"),
        ("empty-value", "empty"),
        ("status-of-unknown-kind", "unknown_status"),
        ("account-update", "other_field"),
        ("field-of-the-future", "unknown_field"),
        ("dashboard-sample", "sample"),
    ],
)
def test_what_is_only_recorded(name: str, note: str) -> None:
    """Everything authentic is kept; what is not for the bot says why in a word."""
    found = reading(name)
    (update,) = found.updates
    assert (found.problem, update.kind, update.note) == ("", "other", note)
    assert found.sample is (note == "sample")


def test_a_message_in_a_group_is_read_all_the_same() -> None:
    """It is recorded with what it says."""
    update = only("text-in-group")
    assert update.message is not None
    assert (update.message.text, update.message.group_id) == ("Hello all", "120363418770915618@g.us")


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "played"])
def test_a_receipt(status: str) -> None:
    """A status names our message, the user and, where Meta echoes it, our part."""
    update = only(f"status-{status}")
    assert update.kind == "status"
    assert update.receipt is not None
    assert (update.receipt.status, update.receipt.timestamp) == (status, 1763899200)
    assert update.receipt.recipient == "16315554821"
    assert update.receipt.callback_data == ("" if status == "played" else "part-17")
    assert update.identity == f"{update.receipt.wamid}|{status}|"


def test_a_failed_receipt_says_why() -> None:
    """Meta's code, title and details come with it."""
    receipt = only("status-failed-window-closed").receipt
    assert receipt is not None
    assert receipt.failure is not None
    assert (receipt.failure.code, receipt.failure.title) == (131047, "Re-engagement message")
    assert "more than 24 hours" in receipt.failure.details


def test_a_receipt_of_a_user_without_number() -> None:
    """It names the business-scoped id."""
    receipt = only("status-for-username-only").receipt
    assert receipt is not None
    assert receipt.recipient == "US.48151623420070"


def test_a_receipt_in_a_group_is_one_per_participant() -> None:
    """Two members who read a message are two receipts."""
    update = only("status-in-group")
    assert update.receipt is not None
    assert update.receipt.participant == "16315554821"
    assert update.identity.endswith("|read|16315554821")


def test_messages_and_statuses_share_a_body() -> None:
    """Both are found, the message first."""
    assert [update.kind for update in reading("message-and-status").updates] == ["message", "status"]
    assert len(reading("statuses-out-of-order").updates) == 3


# -- repetitions ---------------------------------------------------------------------------------------------


def test_a_repeated_message_has_the_same_identity() -> None:
    """A message is known by its id, in one body or in two."""
    first, second = reading("same-message-twice").updates
    assert first.message is not None
    assert first.identity == second.identity == first.message.id
    assert only("text").identity == only("text").identity != first.identity


def test_what_has_no_id_is_known_by_its_content() -> None:
    """The order of keys does not matter, a difference anywhere does."""
    update = only("text-without-id")
    assert update.identity.startswith("sha256:")
    assert update.message is not None
    assert update.message.id == ""
    one = b'{"entry":[{"id":"1","time":5,"changes":[{"field":"security","value":{"a":1,"b":2}}]}]}'
    two = b'{"entry":[{"changes":[{"value":{"b":2, "a":1},"field":"security"}],"time":5,"id":"1"}]}'
    other = one.replace(b"5", b"6")
    identities = [read(body, phone_number_id=NUMBER).updates[0].identity for body in (one, two, other)]
    assert identities[0] == identities[1] != identities[2]


def test_calls_are_known_by_id_and_event() -> None:
    """Ringing twice is one update, hanging up is another."""
    assert only("calls-connect").identity == "wacid.HBgLMTYzMTU1NTQ4MjEVAgASGBQ=|connect"


def test_ids_that_cleaning_would_make_equal_stay_different() -> None:
    """Two ids with different lone surrogates are two messages, and their identities can be stored."""
    raws = [
        {"from": "1", "id": f"wamid.{s}", "type": "text", "text": {"body": "x"}} for s in ("\ud800", "\ud801")
    ]
    first, second = read(envelope({"messages": raws}), phone_number_id=NUMBER).updates
    assert first.identity.encode() != second.identity.encode()


def test_a_thousand_updates_in_a_body() -> None:
    """Meta batches up to 1,000 updates; all are read."""
    raws = [{"from": str(n), "id": f"wamid.{n}", "type": "text", "text": {"body": "[{"}} for n in range(1000)]
    updates = read(envelope({"messages": raws}), phone_number_id=NUMBER).updates
    assert len({update.identity for update in updates}) == 1000
    assert {update.kind for update in updates} == {"message"}


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "The body is empty"),
        (b" \n", "The body is empty"),
        (b"hello", "The body is not JSON"),
        (b'{"entry":', "The body is not JSON"),
        (b"\xff\xfe\x00", "The body is not JSON"),
        (b"NaN", "not an object"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"{}", "an empty object"),
        (b'{"object":"page","entry":[{}]}', "The body is about page"),
        (b'{"object":null,"entry":[{}]}', "about something else"),
        (b'{"object":"whatsapp_business_account"}', "no entry"),
        (b'{"entry":[]}', "no entry"),
        (b'{"entry":{"id":"1"}}', "no entry"),
        (b"[" * 100_000, "The body is not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not an object"),
        (b'{"entry":' + b'{"a":' * 300 + b"1" + b"}" * 301, "no entry"),
    ],
)
def test_a_body_that_is_no_webhook_has_a_problem(body: bytes, problem: str) -> None:
    """One sentence says what is wrong with it."""
    found = read(body, phone_number_id=NUMBER)
    assert problem in found.problem
    assert found.updates == ()


def test_a_broken_piece_never_hides_a_good_one() -> None:
    """Every broken entry, change and message is recorded by itself; the good message is handled."""
    updates = reading("broken-pieces-beside-a-good-one").updates
    assert [update.note for update in updates].count("unreadable") == 9
    (good,) = [update for update in updates if update.kind == "message"]
    assert good.message is not None
    assert good.message.text == "I am fine"
    assert len({update.identity for update in updates}) == len(updates)


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "text", "text": "a string where an object belongs"},
        {"type": "text", "text": {"body": None}},
        {"type": "text"},
        {"type": "image", "image": "photo"},
        {"type": "location", "location": {"latitude": 1}},
        {"type": "location", "location": {"latitude": True, "longitude": 1}},
        {"type": "location", "location": {"latitude": "north", "longitude": "nan"}},
        {"type": "contacts", "contacts": {}},
        {"type": "reaction", "reaction": []},
        {"type": "order", "order": {"product_items": 3}},
        {"type": "button", "button": {"payload": "x"}},
        {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": "x"}},
        {"type": "interactive", "interactive": {"type": "nfm_reply"}},
    ],
)
def test_content_that_cannot_be_read_is_recorded(raw: dict[str, Any]) -> None:
    """A message of a known kind with broken content is kept and not answered."""
    body = envelope({"messages": [{"from": "16315554821", "id": "wamid.x", **raw}]})
    (update,) = read(body, phone_number_id=NUMBER).updates
    assert (update.kind, update.note, update.identity) == ("other", "unreadable", "wamid.x")
    assert update.message is not None
    assert not update.message.answerable


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [("1763899200", 1763899200), (1763899200, 1763899200), ("yesterday", None), (None, None), (True, None),
     (1.5, None), ("-5", None), ("１２", None), ("9" * 400, None), (10**30, None), ({}, None)],
)  # fmt: skip
def test_times_that_are_no_numbers_are_unknown(timestamp: object, seconds: int | None) -> None:
    """An odd time does not spoil its message."""
    raw = {"from": "1", "id": "x", "type": "text", "text": {"body": "x"}, "timestamp": timestamp}
    assert read_message(load(json.dumps(raw)), None).timestamp == seconds


def test_an_id_of_ten_kilobytes_is_an_id() -> None:
    """Ids are opaque and of any length."""
    update = only("text-with-huge-id")
    assert len(update.identity) > 10_000
    assert update.message is not None
    assert update.message.id == update.identity


def test_text_can_be_stored_and_printed() -> None:
    """Lone surrogates become U+FFFD and NUL goes; terminal escapes and markup are the terminal's business."""
    found = message("text-lone-surrogates")
    assert (found.text, found.name) == ("half \ufffd an emoji, whole \U0001f600", "Half \ufffd")
    found = message("text-terminal-escapes")
    assert found.text == "[/b][red]not markup[/red] \x1b[31mnot red\x1b[0m \x1b]0;title\x07 nul"


@pytest.mark.parametrize(
    "metadata", [None, "x", {}, {"phone_number_id": None}, {"phone_number_id": int(NUMBER)}]
)
def test_a_message_that_names_no_other_number_is_ours(metadata: object) -> None:
    """Only another number's id makes it another's."""
    raw = {"from": "1", "id": "x", "type": "text", "text": {"body": "x"}}
    (update,) = read(envelope({"metadata": metadata, "messages": [raw]}), phone_number_id=NUMBER).updates
    assert update.kind == "message"


def test_numbers_with_thousands_of_digits_are_kept() -> None:
    """Python refuses to convert them; they are kept as they stand."""
    body = b'{"entry":[{"id":"1","changes":[{"field":"security","value":{"n":' + b"7" * 9000 + b"}}]}]}"
    (update,) = read(body, phone_number_id=NUMBER).updates
    assert update.note == "other_field"
    assert dump(update.raw) == '{"n":' + "7" * 9000 + "}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = [
    "id", "from", "type", "text", "body", "messages", "statuses", "contacts", "errors", "wa_id", "user_id",
    "name",
    "profile", "image", "location", "latitude", "longitude", "interactive", "button_reply", "title", "status",
    "context", "system", "reaction", "order", "product_items", "metadata", "phone_number_id", "group_id",
    "timestamp", "user_id_update", "calls", "value", "field", "changes",
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A good body in which some pieces were replaced by anything."""
    names = sorted(path.name for path in SAMPLES.glob("*.json"))
    body = json.loads((SAMPLES / draw(st.sampled_from(names))).read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        spots: list[tuple[Any, Any]] = []
        pending: list[Any] = [body["entry"]]
        while pending:
            at = pending.pop()
            for key, inner in at.items() if isinstance(at, dict) else enumerate(at):
                spots.append((at, key))
                if isinstance(inner, dict | list):
                    pending.append(inner)
        if spots:
            at, key = draw(st.sampled_from(spots))
            at[key] = draw(JSON | st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
    return json.dumps(body).encode()


@given(broken())
def test_nothing_raises_and_everything_can_be_stored(body: bytes) -> None:
    """Whatever stands where, each update has an identity, and all strings made of it can be encoded."""
    for update in read(body, phone_number_id=NUMBER).updates:
        assert update.identity
        assert (update.note == "") is (update.kind != "other")
        strings = [update.identity, update.field]
        if update.message:
            strings += [update.message.text, update.message.name, update.message.id, update.message.kind]
            strings += [identity.value for identity in update.message.identities]
            again = read_message(load(dump(update.message.raw)), load(dump(update.contact)))
            assert again == update.message
        if update.receipt:
            strings += [update.receipt.wamid, update.receipt.status, update.receipt.recipient]
        assert b"\0" not in "".join(strings).encode()
        load(dump(update.raw))


@given(st.binary(max_size=300))
def test_no_bytes_raise(body: bytes) -> None:
    """Bytes that are nothing at all have a problem."""
    assert read(body, phone_number_id=NUMBER).problem


# -- the way through a store ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["52.0", "52.10", "37.44216251868683", "1e2", "1E+2", "-0", "-0.0", "0.10000000000000000001", "1e999",
     "123456789012345678901234567890", "true", "null", '"\\ud800 \\u0000"', '{"a":[1.50,{}]}', '""'],
)  # fmt: skip
def test_json_keeps_its_text(text: str) -> None:
    """What is loaded and dumped again is the same JSON, to the last zero."""
    assert dump(load(text)) == text


@given(JSON)
def test_json_keeps_its_meaning(value: object) -> None:
    """Dumped JSON is ASCII, and means what was loaded."""
    text = dump(load(json.dumps(value)))
    assert text.isascii()
    assert json.loads(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_a_message_is_made_again_from_the_store(path: Path) -> None:
    """Message and contact as stored give the message that was received."""
    for update in read(path.read_bytes(), phone_number_id=NUMBER).updates:
        if update.message:
            contact = load(dump(update.contact)) if update.contact else None
            assert read_message(load(dump(update.message.raw)), contact) == update.message


# -- other people's bodies -----------------------------------------------------------------------------------


def bodies() -> list[Path]:
    return sorted(PAYLOADS.glob("*/*.json")) if PAYLOADS.is_dir() else []


UNREADABLE = {
    "HeiCg+whatsapp-cloud-api-py/002-text-account-alerts",
    "netflie+whatsapp-cloud-api/010-location",
}


@pytest.mark.skipif(not bodies(), reason="public webhook bodies are read from ../shared/payloads: put them there")
@pytest.mark.parametrize("path", bodies(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_bodies_of_other_projects(path: Path) -> None:
    """Every message and status is found; unreadable are a text without text and a place without numbers."""
    raw = json.loads(path.read_bytes())
    changes = [change for entry in raw["entry"] for change in entry["changes"]]
    values = [change["value"] for change in changes if change["field"] == "messages"]
    numbers = {value["metadata"]["phone_number_id"] for value in values if "metadata" in value}
    found = read(path.read_bytes(), phone_number_id=numbers.pop() if numbers else NUMBER)
    assert found.problem == ""
    assert not found.sample
    unreadable = any(update.note == "unreadable" for update in found.updates)
    assert unreadable is (f"{path.parent.name}/{path.stem}" in UNREADABLE)
    messages = [m["id"] for value in values for m in value.get("messages", ())]
    statuses = [s["id"] for value in values for s in value.get("statuses", ())]
    assert [u.message.id for u in found.updates if u.message] == messages
    assert [u.receipt.wamid for u in found.updates if u.receipt] == statuses
