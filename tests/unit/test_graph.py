"""Replies become Graph bodies; whatever Graph answers becomes an id or an error with a meaning."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerobot.errors import Repeat
from aerobot.whatsapp.graph import (
    Accepted,
    Refused,
    addressed,
    bodies,
    failure_of,
    file_of,
    mark_read,
    meaning,
    response,
    with_media,
)
from aerobot.whatsapp.messages import (
    Audio,
    Button,
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

LINK = "https://example.com/x"


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (Text("Hi"), {"type": "text", "text": {"body": "Hi"}}),
        (Text(LINK, preview_url=True), {"type": "text", "text": {"body": LINK, "preview_url": True}}),
        (
            Buttons("Deliver?", ["Yes", Button("No", id="n")], header="Lamp", footer="Free"),
            {
                "type": "interactive",
                "interactive": {
                    "type": "button",
                    "header": {"type": "text", "text": "Lamp"},
                    "body": {"text": "Deliver?"},
                    "footer": {"text": "Free"},
                    "action": {
                        "buttons": [
                            {"type": "reply", "reply": {"id": "Yes", "title": "Yes"}},
                            {"type": "reply", "reply": {"id": "n", "title": "No"}},
                        ]
                    },
                },
            },
        ),
        (
            List("When?", "Days", ["Monday", Row("Friday", "Two slots left", id="fr")]),
            {
                "type": "interactive",
                "interactive": {
                    "type": "list",
                    "body": {"text": "When?"},
                    "action": {
                        "button": "Days",
                        "sections": [
                            {
                                "rows": [
                                    {"id": "Monday", "title": "Monday"},
                                    {"id": "fr", "title": "Friday", "description": "Two slots left"},
                                ]
                            }
                        ],
                    },
                },
            },
        ),
        (
            List(
                "When?",
                "Days",
                [Section("Week", ["Monday"]), Section("End", ["Sunday"])],
                header="H",
                footer="F",
            ),
            {
                "type": "interactive",
                "interactive": {
                    "type": "list",
                    "header": {"type": "text", "text": "H"},
                    "body": {"text": "When?"},
                    "footer": {"text": "F"},
                    "action": {
                        "button": "Days",
                        "sections": [
                            {"title": "Week", "rows": [{"id": "Monday", "title": "Monday"}]},
                            {"title": "End", "rows": [{"id": "Sunday", "title": "Sunday"}]},
                        ],
                    },
                },
            },
        ),
        (
            Link("Our shop", "Open", LINK),
            {
                "type": "interactive",
                "interactive": {
                    "type": "cta_url",
                    "body": {"text": "Our shop"},
                    "action": {"name": "cta_url", "parameters": {"display_text": "Open", "url": LINK}},
                },
            },
        ),
        (
            LocationRequest("Where?"),
            {
                "type": "interactive",
                "interactive": {
                    "type": "location_request_message",
                    "body": {"text": "Where?"},
                    "action": {"name": "send_location"},
                },
            },
        ),
        (Image(link=LINK, caption="Lamp"), {"type": "image", "image": {"link": LINK, "caption": "Lamp"}}),
        (Image(path="lamp.jpg"), {"type": "image", "image": {"path": "lamp.jpg"}}),
        (Video(id="42"), {"type": "video", "video": {"id": "42"}}),
        (Audio(id="42"), {"type": "audio", "audio": {"id": "42"}}),
        (Sticker(link=LINK), {"type": "sticker", "sticker": {"link": LINK}}),
        (
            Document(link=LINK, filename="a.pdf", caption="Bill"),
            {"type": "document", "document": {"link": LINK, "caption": "Bill", "filename": "a.pdf"}},
        ),
        (
            Location(52.0, 4.5, name="Hall"),
            {"type": "location", "location": {"latitude": 52.0, "longitude": 4.5, "name": "Hall"}},
        ),
        (
            Contact("Ada", "+1 650-555-1234"),
            {
                "type": "contacts",
                "contacts": [
                    {
                        "name": {"formatted_name": "Ada", "first_name": "Ada"},
                        "phones": [{"phone": "+1 650-555-1234", "type": "CELL", "wa_id": "16505551234"}],
                    }
                ],
            },
        ),
        (
            Contact("Ada"),
            {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ada", "first_name": "Ada"}}]},
        ),
        (
            Reaction("wamid.x", ""),
            {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}},
        ),
        (
            Template("hello_world"),
            {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}},
        ),
        (
            Template("sale", "de", [{"type": "body", "parameters": []}]),
            {
                "type": "template",
                "template": {
                    "name": "sale",
                    "language": {"code": "de"},
                    "components": [{"type": "body", "parameters": []}],
                },
            },
        ),
    ],
)
def test_a_reply_becomes_a_body(reply: Reply, body: dict[str, object]) -> None:
    """Each kind of reply is written as Meta's reference shows it."""
    assert bodies(reply) == (body,)


def test_a_long_text_becomes_several_bodies() -> None:
    """Text is the only kind that is split."""
    found = bodies(Text("word " * 2000, preview_url=True))
    assert len(found) == 3
    assert {body["type"] for body in found} == {"text"}
    assert all("preview_url" in str(body) for body in found)


def test_a_text_is_sent_clean() -> None:
    """Half an emoji and NUL would be refused by Graph."""
    assert bodies(Text("a\ud83d\0b")) == ({"type": "text", "text": {"body": "a\ufffdb"}},)


def test_a_local_file_is_named_until_it_is_uploaded() -> None:
    """The path is found in the body and gives way to the id of the upload; the caption stays."""
    (body,) = bodies(Document(path="/tmp/a.pdf", caption="Bill", filename="a.pdf"))
    assert file_of(body) == "/tmp/a.pdf"
    sent = with_media(body, "42")
    assert sent == {"type": "document", "document": {"id": "42", "caption": "Bill", "filename": "a.pdf"}}
    assert file_of(sent) is None
    assert file_of(body) == "/tmp/a.pdf"
    assert file_of({"type": "text", "text": {"body": "x"}}) is None
    assert file_of({}) is None


BODY = {"type": "text", "text": {"body": "Hi"}}


def test_a_number_is_addressed_with_a_plus() -> None:
    """Without it Meta would put the business's own country code in front."""
    assert addressed(BODY, to="16315554821", recipient="US.1", part_id="part-17") == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+16315554821",
        **BODY,
        "biz_opaque_callback_data": "part-17",
    }


def test_a_user_without_number_is_addressed_by_id() -> None:
    """The business-scoped id goes into recipient."""
    sent = addressed(BODY, to=None, recipient="US.1", part_id="part-17", reply_to="wamid.q")
    assert sent["recipient"] == "US.1"
    assert "to" not in sent
    assert sent["context"] == {"message_id": "wamid.q"}


def test_a_reaction_quotes_nothing() -> None:
    """Meta refuses a reaction with a context."""
    (body,) = bodies(Reaction("wamid.x", "👍"))
    assert "context" not in addressed(body, to="1", recipient=None, part_id="p", reply_to="wamid.q")


def test_nobody_cannot_be_addressed() -> None:
    """A body without any recipient is a mistake of ours."""
    with pytest.raises(ValueError, match="number or a business-scoped id"):
        addressed(BODY, to=None, recipient="", part_id="p")


def test_read_and_typing_are_one_body() -> None:
    """Typing is shown by a read receipt with one key more."""
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
    assert mark_read("wamid.x", typing=False) == read
    assert mark_read("wamid.x", typing=True) == {**read, "typing_indicator": {"type": "text"}}


# -- responses -----------------------------------------------------------------------------------------------


def refused(status: int, body: object, retry_after: str | None = None) -> Refused:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = response(status, raw, retry_after)
    assert isinstance(found, Refused)
    return found


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": "+16315554821", "wa_id": "16315554821"}],
                "messages": [{"id": "wamid.x"}],
            },
            Accepted(wamid="wamid.x", recipient="16315554821"),
        ),
        (
            {"contacts": [{"input": "US.1", "user_id": "US.1"}], "messages": [{"id": "wamid.x"}]},
            Accepted(wamid="wamid.x", recipient="US.1"),
        ),
        ({"contacts": "?", "messages": [{"id": "wamid.x"}]}, Accepted(wamid="wamid.x")),
    ],
)
def test_an_accepted_message_has_an_id(body: object, accepted: Accepted) -> None:
    """The id is all that is needed; who it went to comes as number or as id."""
    assert response(200, json.dumps(body).encode()) == accepted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>",
        b'{"messages":[{"id":',
        b"{}",
        b'{"messages":[]}',
        b'{"messages":[{"id":5}]}',
        b"[" * 9999,
    ],
)
def test_success_without_an_id_is_ambiguous(body: bytes) -> None:
    """It may have been sent, so it is not simply sent again."""
    found = refused(200, body)
    assert found.repeat is Repeat.AMBIGUOUS
    assert "without a message id" in found.message


def test_a_mark_needs_no_id() -> None:
    """What was marked was not sent: a 2xx is all there is to know, and an error is one as ever."""
    assert response(200, b'{"success":true}', wants_id=False) == Accepted(wamid="")
    found = response(401, b'{"error":{"code":190}}', wants_id=False)
    assert isinstance(found, Refused)
    assert found.repeat is Repeat.BLOCKED


def test_an_error_is_explained() -> None:
    """Code, title, details and subcode are Meta's; meaning and remedy are ours."""
    found = refused(
        401,
        {
            "error": {
                "message": "Error validating access token: Session has expired",
                "type": "OAuthException",
                "code": 190,
                "error_subcode": 463,
                "error_data": {"messaging_product": "whatsapp", "details": "Expired on Friday"},
                "fbtrace_id": "A",
            }
        },
    )
    assert found.failure == Failure(
        code=190,
        title="Error validating access token: Session has expired",
        details="Expired on Friday",
        subcode=463,
    )
    assert found.repeat is Repeat.BLOCKED
    assert found.message == "Meta's error 190: The access token has expired"
    assert found.reason == "The access token has expired"
    assert "whatsapp.access_token" in found.remedy


@pytest.mark.parametrize(
    ("status", "body", "code", "repeat"),
    [
        (400, {"error": {"code": "131056", "message": "pair"}}, 131056, Repeat.SAFE),
        (400, {"error": {"code": 131009, "error_data": "a string"}}, 131009, Repeat.NEVER),
        (500, {"error": {"code": 131009}}, 131009, Repeat.NEVER),
        (500, {"error": {"code": 3}}, 3, Repeat.BLOCKED),
        (403, {"error": {"code": 130429}}, 130429, Repeat.SAFE),
        (400, {"error": {"code": 100, "error_subcode": 33}}, 100, Repeat.BLOCKED),
        (400, {"error": {"code": 999999, "message": "new"}}, 999999, Repeat.NEVER),
        (400, {"error": {"code": 999999, "is_transient": True}}, 999999, Repeat.AMBIGUOUS),
        (500, {"error": {"code": 999999}}, 999999, Repeat.AMBIGUOUS),
        (429, {"error": {"code": 999999}}, 999999, Repeat.SAFE),
        (429, b"slow down", None, Repeat.SAFE),
        (400, {"error": "a string"}, None, Repeat.NEVER),
        (400, {"error": {"code": True, "message": 5}}, None, Repeat.NEVER),
        (400, {"error": {"code": "x"}}, None, Repeat.NEVER),
        (404, b"<html>not found</html>", None, Repeat.NEVER),
        (302, b"", None, Repeat.NEVER),
        (502, b"<html>bad gateway</html>", None, Repeat.AMBIGUOUS),
        (500, b'{"error":{"code":13', None, Repeat.AMBIGUOUS),
        (503, b"", None, Repeat.AMBIGUOUS),
        (500, b"[]", None, Repeat.AMBIGUOUS),
    ],
)
def test_what_may_be_repeated(status: int, body: object, code: int | None, repeat: Repeat) -> None:
    """A known code decides, then the status: 5xx may have been sent, 429 was not, 4xx stays wrong."""
    found = refused(status, body)
    assert (found.failure.code, found.repeat) == (code, repeat)
    assert found.status == status
    assert found.message
    assert found.remedy


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-1", None),
        ("nan", None),
        ("Fri, 07 Nov 2026 23:59:59 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_in_seconds(header: str | None, seconds: float | None) -> None:
    """A date, which nobody here can compare with a clock, is left out."""
    assert refused(429, b"", header).retry_after == seconds


@given(st.integers(100, 599), st.binary(max_size=200), st.text(st.characters(), max_size=20))
def test_no_response_raises(status: int, body: bytes, retry_after: str) -> None:
    """Whatever comes back is an id or an error."""
    assert isinstance(response(status, body, retry_after), Accepted | Refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["code", "message", "error_data", "details", "error_subcode", "title", "id"]), inner
    ),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_no_error_raises(value: object) -> None:
    """Whatever stands under error, errors or messages."""
    response(400, json.dumps({"error": value, "messages": value}).encode())
    response(200, json.dumps({"error": value, "messages": value}).encode())
    failure = failure_of(value)
    assert failure is None or isinstance(failure, Failure)


@pytest.mark.parametrize(
    ("errors", "failure"),
    [
        (
            [
                {"code": 131026, "title": "Undeliverable", "error_data": {"details": "Not on WhatsApp"}},
                {"code": 1},
            ],
            Failure(code=131026, title="Undeliverable", details="Not on WhatsApp"),
        ),
        (
            [{"code": 131051, "details": "Not supported", "message": "M"}],
            Failure(code=131051, title="M", details="Not supported"),
        ),
        ({"code": 4}, Failure(code=4)),
        ({"code": 131026, "title": "(#131026) Undeliverable"}, Failure(code=131026, title="Undeliverable")),
        (["broken"], None),
        ([], None),
        (None, None),
    ],
)
def test_errors_of_a_receipt(errors: object, failure: Failure | None) -> None:
    """The first of Meta's errors is the cause."""
    assert failure_of(errors) == failure


# -- the table -----------------------------------------------------------------------------------------------

SAFE = {4, 17, 613, 80007, 130429, 131056}
AMBIGUOUS = {1, 2, 131000, 131016, 131057, 133004, 2494100}
BLOCKED = {0, 3, 10, 33, 104, 190, 200, 215, 299, 368, 2500, 131005, 131031, 131037, 131042, 131045, 133010}
NEVER = {
    100, 130403, 130472, 130497, 131008, 131009, 131021, 131026, 131030, 131047, 131048, 131049, 131050,
    131051, 131052, 131053, 131055, 131060, 131062, 131063, 131064, 132000, 132001, 132005, 132007,
    132008, 132012, 132015, 132016, 132018, 132068, 132069, 133000, 133005, 133006, 133008, 133009,
    133015, 133016, 134011, 134100, 134101, 134102, 135000, 136024, 137000, 138001, 139100, 131215,
    147001, 2388001,
}  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "repeat"),
    [(SAFE, Repeat.SAFE), (AMBIGUOUS, Repeat.AMBIGUOUS), (BLOCKED, Repeat.BLOCKED), (NEVER, Repeat.NEVER)],
)
def test_every_code_is_in_its_set(codes: set[int], repeat: Repeat) -> None:
    """Each of Meta's codes has a title, a remedy of one line, and one of the four sets."""
    for code in codes:
        found = meaning(code)
        assert found.repeat is repeat, code
        assert found.title, code
        assert 0 < len(found.remedy) <= 110, code


@pytest.mark.parametrize("subcode", [458, 459, 460, 463, 464, 467, 492])
def test_a_token_has_many_ways_to_be_void(subcode: int) -> None:
    """Subcodes say which; all block the number. An unknown subcode means what its code means."""
    found = meaning(190, subcode)
    assert found.repeat is Repeat.BLOCKED
    assert found.title != meaning(190).title
    assert meaning(190, 1) == meaning(190)


@pytest.mark.parametrize("code", [None, -1, 999999])
def test_an_unknown_code_means_nothing(code: int | None) -> None:
    """It has no title, points to Meta's list and is not repeated."""
    found = meaning(code)
    assert (found.title, found.repeat) == ("", Repeat.NEVER)
    assert "error-codes" in found.remedy
