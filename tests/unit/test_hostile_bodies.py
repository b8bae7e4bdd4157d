"""Properties of the parser, the signature and the splitter under whatever a stranger may write."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerobot.emulator import webhooks
from aerobot.whatsapp import signature
from aerobot.whatsapp.rules import split, units
from aerobot.whatsapp.webhook import dump, load, read, read_message
from aerobot.whatsapp.wire import shallow

NUMBER = "106540352242922"
LINE = webhooks.Line(business_account_id="102290129340398", phone_number_id=NUMBER, display_phone_number="15550783881")
BROKEN = "\u2063broken\u2063"
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Any JSON as Python writes it: NaN, infinities, NULs and lone surrogates too."""
HARDLY_JSON = [
    b"NaN", b"-Infinity", b"9" * 20_000, b"1e9999", b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xc3"', b'"\\ud83d"',
    b"[" * 200 + b"]" * 200, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'"%s"' % bytes(0),
    b'"' + b"x" * 500_000 + b'"',
]  # fmt: skip
NEST = st.builds(
    lambda depth, pair: pair[0] * depth + b"0" + pair[1] * depth,
    st.integers(1, 30_000),
    st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"text":', b"}]"), (b'{"]":[', b"]}")]),
)
NO_TEXT = st.binary(min_size=1, max_size=20).map(lambda junk: b'"' + junk.replace(b'"', b"").replace(b"\\", b"") + b'"')
PIECES = ANY.map(lambda value: json.dumps(value).encode()) | NEST | NO_TEXT.filter(lambda text: min(text) >= 0x20)


def message(wamid: str, text: str = "good") -> dict[str, Any]:
    return webhooks.message("text", webhooks.Sender(phone="31612345678"), id=wamid, timestamp=1763899200, text=text)


def beside(place: str, piece: bytes) -> bytes:
    """A body with a good message, and a piece of JSON's kind beside it."""
    document: Any = webhooks.inbound(LINE, webhooks.Sender(phone="31612345678", name="Ana"), message("wamid.good"))
    (entry,) = document["entry"]
    value = entry["changes"][0]["value"]
    broken = message("wamid.broken")
    match place:
        case "entry":
            document["entry"].insert(0, BROKEN)
        case "change":
            entry["changes"].insert(0, BROKEN)
        case "value":
            entry["changes"].insert(0, {"field": "messages", "value": BROKEN})
        case "message":
            value["messages"].insert(0, BROKEN)
        case "contacts":
            value["contacts"] = BROKEN
        case "statuses":
            value["statuses"] = BROKEN
        case _:
            broken[place] = BROKEN
            value["messages"].insert(0, broken)
    return json.dumps(document).encode().replace(json.dumps(BROKEN).encode(), piece)


PLACES = [
    "entry", "change", "value", "message", "contacts", "statuses", "id", "from", "type", "text", "context", "timestamp",
    "referral", "group_id",
]  # fmt: skip


def good_ones(body: bytes) -> list[str]:
    updates = read(body, phone_number_id=NUMBER).updates
    return [u.message.text for u in updates if u.kind == "message" and u.message and u.message.id == "wamid.good"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("piece", HARDLY_JSON, ids=lambda piece: piece[:9].decode("ascii", "replace"))
def test_no_piece_hides_a_good_message(place: str, piece: bytes) -> None:
    """What is hardly JSON (a number that is none, bytes that are no text, a nest without end) spoils itself alone."""
    assert good_ones(beside(place, piece)) == ["good"]


@given(st.sampled_from(PLACES), PIECES)
@settings(deadline=None)
def test_whatever_stands_beside_it_a_good_message_is_read(place: str, piece: bytes) -> None:
    """The good message is read once, and all that is read can be written down and read again."""
    body = beside(place, piece)
    assert good_ones(body) == ["good"]
    for update in read(body, phone_number_id=NUMBER).updates:
        update.identity.encode()
        if update.message:
            again = read_message(load(dump(update.message.raw)), load(dump(update.contact)))
            assert (again.id, again.kind, again.text) == (update.message.id, update.message.kind, update.message.text)


@given(st.sampled_from(PLACES), PIECES)
@settings(deadline=None)
def test_a_repetition_has_the_same_identities(place: str, piece: bytes) -> None:
    """The same bytes are the same updates, so that a redelivery is known."""
    body = beside(place, piece)
    first, again = (read(body, phone_number_id=NUMBER).updates for _ in range(2))
    assert [update.identity for update in first] == [update.identity for update in again]


@given(ANY, st.integers(1, 5))
@settings(deadline=None)
def test_what_is_shallow_stays_as_it_is(value: object, most: int) -> None:
    """Cutting takes only what is nested deeper, brackets in strings are no nests, and what is left is JSON."""
    text = json.dumps(value)
    assert shallow(text, 100) == text
    assert json.loads(shallow(text, most), parse_constant=str) == _cut(json.loads(text, parse_constant=str), most)


def _cut(value: object, most: int) -> object:
    if isinstance(value, dict):
        return {key: _cut(inner, most - 1) for key, inner in value.items()} if most else None
    if isinstance(value, list):
        return [_cut(inner, most - 1) for inner in value] if most else None
    return value


@pytest.mark.parametrize("text", ["[" * 500_000, '{"' * 500_000, '"' * 999_999, '\\"' * 500_000, "]" * 500_000, '"\\'])
def test_no_text_takes_long_to_cut(text: str) -> None:
    """Half a million brackets or open strings are one pass; anything slower would not end here."""
    assert len(shallow(text, 100)) <= len(text) + len("null")


# -- the signature ---------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.text(min_size=1, max_size=40).filter(str.strip))
def test_only_the_true_digest_is_good(body: bytes, secret: str) -> None:
    """The signature of these bytes by this secret, and no other: not of one byte more, not by one character more."""
    header = webhooks.sign(body, secret)
    assert signature.check(body, header, [secret]).ok
    assert not signature.check(body + b" ", header, [secret]).ok
    assert not signature.check(body, header, [secret + "x"]).ok
    assert not signature.check(body, webhooks.sign(body, secret + "x"), [secret]).ok


@given(st.binary(max_size=100), st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_no_changed_digit_is_good(body: bytes, at: int, digit: str) -> None:
    """Every digit counts."""
    good = webhooks.sign(body, "secret")
    at += len("sha256=")
    header = good[:at] + digit + good[at + 1 :]
    assert signature.check(body, header, ["secret"]).ok == (header == good)


@given(st.binary(max_size=100), st.text(st.characters(), max_size=90))
def test_no_other_header_is_good(body: bytes, header: str) -> None:
    """Whatever is not the digest is refused, and the reason tells nothing of the secret."""
    verdict = signature.check(body, header, ["s3cret-of-the-app"])
    assert not verdict.ok
    assert "s3cret" not in verdict.detail + verdict.remedy


# -- the splitter ----------------------------------------------------------------------------------------------------


@given(st.text(st.characters(), max_size=300), st.integers(1, 50))
def test_every_part_fits_and_says_something(text: str, limit: int) -> None:
    """No part is longer than Graph takes or blank, whatever the text is made of; an emoji alone may need two units."""
    for part in split(text, limit):
        assert units(part) <= max(limit, 2)
        assert part.strip()
