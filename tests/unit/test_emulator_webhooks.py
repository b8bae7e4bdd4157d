"""Webhook bodies as Meta sends them: bytes, signatures, every kind, receipts, paths."""

import base64
import json
import re
from collections.abc import Mapping
from random import Random

import pytest

from aerobot.emulator.webhooks import (
    ALIASES,
    KINDS,
    Line,
    Sender,
    contact,
    envelope,
    failure,
    gathered,
    inbound,
    message,
    new_wamid,
    receipt,
    scoped_id,
    set_path,
    sign,
    status,
    wire,
)

LINE = Line(business_account_id="102290129340398", phone_number_id="106540352242922",
            display_phone_number="15550783881")  # fmt: skip
ANA = Sender(phone="16505551234", name="Ana", user_id="US.13491208655302741918", username="ana.n")
HIDDEN = Sender(name="Bo", user_id="NL.77aB")

TYPES = {
    "voice": "audio",
    "reaction_removed": "reaction",
    "button": "interactive",
    "list": "interactive",
    "flow": "interactive",
    "call_permission": "interactive",
    "quick_reply": "button",
}


def made(kind: str, sender: Sender = ANA, **more: object) -> dict[str, object]:
    return message(kind, sender, id="wamid.X", timestamp=1749416383, **more)


class TestWire:
    def test_is_compact_ascii_with_escaped_slashes(self) -> None:
        """The wire body is ASCII: accents, emoji and slashes are escaped before the signature is made."""
        body = wire({"a": "é/😀", "b": [1, None]})
        assert body == b'{"a":"\\u00e9\\/\\ud83d\\ude00","b":[1,null]}'
        assert json.loads(body) == {"a": "é/😀", "b": [1, None]}

    def test_takes_lone_surrogates(self) -> None:
        """Half an emoji, as a broken phone may send it, is no reason to fail."""
        assert wire("\ud83d") == b'"\\ud83d"'

    def test_signature(self) -> None:
        """RFC 4231 test case 2, and one body of ours computed with openssl."""
        digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        assert sign(b"what do ya want for nothing?", "Jefe") == f"sha256={digest}"
        digest = "dcee3a60640ae1a94d1956abbd4003a6e7116753f77ddfc8bb2dda5fd785716e"
        assert sign(b'{"a":"\\u00e9\\/"}', "app secret") == f"sha256={digest}"
        assert sign(wire({"a": "é/"}), "app secret") == f"sha256={digest}"


class TestEnvelope:
    def test_has_only_what_there_is(self) -> None:
        """Empty lists are left out, as Meta leaves them out."""
        body = envelope(LINE, statuses=[{"id": "w"}])
        assert body == {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": "102290129340398",
                    "changes": [
                        {
                            "value": {
                                "messaging_product": "whatsapp",
                                "metadata": {
                                    "display_phone_number": "15550783881",
                                    "phone_number_id": "106540352242922",
                                },
                                "statuses": [{"id": "w"}],
                            },
                            "field": "messages",
                        }
                    ],
                }
            ],
        }

    def test_field_can_be_another(self) -> None:
        """Any webhook field can be built."""
        entry = envelope(LINE, field="account_update")["entry"]
        assert entry[0]["changes"][0]["field"] == "account_update"

    def test_contact(self) -> None:
        """A user without a visible number has no ``wa_id``."""
        ids = {"wa_id": "16505551234", "user_id": "US.13491208655302741918"}
        assert contact(ANA) == {"profile": {"name": "Ana", "username": "ana.n"}} | ids
        assert contact(HIDDEN) == {"profile": {"name": "Bo"}, "user_id": "NL.77aB"}

    def test_system_messages_come_without_contacts(self) -> None:
        """``contacts`` is absent for a changed number (Meta's OpenAPI: not contacts)."""
        value = inbound(LINE, ANA, made("system"))["entry"][0]["changes"][0]["value"]
        assert "contacts" not in value
        value = inbound(LINE, ANA, made("text"))["entry"][0]["changes"][0]["value"]
        assert value["contacts"] == [contact(ANA)]

    def test_receipts_know_the_user(self) -> None:
        """By ids, and by the user name once the message arrived; ``failed`` names nobody, unless that is wanted."""
        ids = {"wa_id": "16505551234", "user_id": "US.13491208655302741918"}
        arrived = ids | {"profile": {"username": "ana.n"}}
        for word, known in (("sent", ids), ("delivered", arrived), ("read", arrived), ("failed", None)):
            found = self.contacts(ANA, status("w", word, recipient=ANA, timestamp=1))
            assert found == (known and [known])
        closed = status("w", "failed", recipient=ANA, timestamp=1, errors=[failure(131047, "Re-engagement message")])
        assert self.contacts(ANA, closed, failed=True) == [ids]
        lost = status("w", "failed", recipient=ANA, timestamp=1, errors=[failure(131026, "Message undeliverable")])
        assert self.contacts(ANA, lost, failed=True) == [{"wa_id": "16505551234"}]
        assert self.contacts(HIDDEN, lost, failed=True) is None
        assert self.contacts(HIDDEN, status("w", "read", recipient=HIDDEN, timestamp=1)) == [{"user_id": "NL.77aB"}]

    def test_a_batch_names_each_user_once(self) -> None:
        """With all that its messages and receipts tell of them; who is only in a ``system`` message is not named."""
        sent = status("w", "sent", recipient=ANA, timestamp=1)
        ben = Sender(phone="16505559999", name="Ben", user_id="US.1")
        body = gathered(
            [
                (LINE, ANA, False, sent),
                (LINE, ANA, True, made("text")),
                (LINE, ben, False, status("v", "sent", recipient=ben, timestamp=1)),
                (LINE, HIDDEN, True, made("system", HIDDEN)),
            ]
        )
        value = body["entry"][0]["changes"][0]["value"]
        assert value["contacts"] == [contact(ANA), {"wa_id": "16505559999", "user_id": "US.1"}]

    @staticmethod
    def contacts(user: Sender, told: Mapping[str, object], failed: bool = False) -> object:
        """``contacts`` of a body with this receipt."""
        return receipt(LINE, user, told, failed_contacts=failed)["entry"][0]["changes"][0]["value"].get("contacts")


class TestMessages:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind(self, kind: str) -> None:
        """Every word gives a message of Meta's type with its content under that name."""
        found = made(kind)
        assert found["from"] == "16505551234"
        assert found["from_user_id"] == "US.13491208655302741918"
        assert found["timestamp"] == "1749416383"
        assert found["type"] == TYPES.get(kind, kind)
        assert (found["type"] in found) is (kind not in ("unknown", "request_welcome"))
        assert json.loads(wire(found)) == found

    def test_same_input_same_message(self) -> None:
        """Nothing in a message is random."""
        assert all(made(kind) == made(kind) for kind in KINDS)

    def test_text(self) -> None:
        """The plainest one, whole."""
        assert message("text", Sender(phone="1"), id="w", timestamp=2, text="Hé") == {
            "from": "1",
            "id": "w",
            "timestamp": "2",
            "type": "text",
            "text": {"body": "Hé"},
        }

    def test_hidden_number(self) -> None:
        """A user known by id alone has no ``from``."""
        assert "from" not in made("text", HIDDEN)

    def test_words_go_where_the_kind_has_them(self) -> None:
        """``text`` is the body, caption, title or emoji."""
        assert made("image", text="Look")["image"]["caption"] == "Look"
        assert "caption" not in made("image")["image"]
        assert "caption" not in made("audio", text="Look")["audio"]
        assert made("button", text="No")["interactive"]["button_reply"]["title"] == "No"
        assert made("reaction", text="❤️")["reaction"]["emoji"] == "❤️"
        assert "emoji" not in made("reaction_removed")["reaction"]

    def test_voice_is_an_audio(self) -> None:
        """There is no type ``voice`` in the Cloud API."""
        assert made("voice")["audio"]["voice"] is True

    def test_about(self) -> None:
        """What a message refers to stands where its kind has it."""
        assert made("text", about="wamid.A", line=LINE)["context"] == {"from": "15550783881", "id": "wamid.A"}
        assert "context" not in made("text")
        assert made("button", about="wamid.A", line=LINE)["context"]["id"] == "wamid.A"
        assert made("reaction", about="wamid.A")["reaction"]["message_id"] == "wamid.A"
        assert "context" not in made("reaction", about="wamid.A")
        assert made("revoke", about="wamid.A")["revoke"] == {"original_message_id": "wamid.A"}
        assert made("text", context={"forwarded": True})["context"] == {"forwarded": True}

    def test_content_is_laid_over(self) -> None:
        """``content`` replaces fields of the innermost object, or all of what is not an object."""
        found = made("list", content={"id": "r9", "title": "Nine"})["interactive"]
        assert found["list_reply"]["id"] == "r9"
        assert found["list_reply"]["description"]
        assert made("contacts", content=[])["contacts"] == []
        assert made("text", content="a string")["text"] == "a string"

    def test_response_json_is_a_string(self) -> None:
        """A form's answers are JSON within a string."""
        form = made("flow")["interactive"]["nfm_reply"]
        assert json.loads(form["response_json"])["name"] == "Ana"

    def test_unsupported_says_why(self) -> None:
        """131051, and since 2025 what kind it was."""
        found = made("unsupported")
        assert found["errors"][0]["code"] == 131051
        assert found["unsupported"] == {"type": "poll_creation"}

    def test_aliases_and_unknown_words(self) -> None:
        """Meta's own words for taps are taken; anything else is named with what there is."""
        assert all(made(alias) == made(kind) for alias, kind in ALIASES.items())
        with pytest.raises(ValueError, match=r"no message kind 'fax'; the kinds are text, image,"):
            made("fax")


class TestStatus:
    def test_whole(self) -> None:
        """Prices with sent and delivered, our data echoed, no conversation since v24.0."""
        found = status("w", "sent", recipient="16505551234", timestamp=7, callback_data="part-1")
        price = {"billable": False, "pricing_model": "PMP", "category": "service"}
        assert found == {
            "id": "w",
            "status": "sent",
            "timestamp": "7",
            "recipient_id": "16505551234",
            "pricing": price | {"type": "free_customer_service"},
            "biz_opaque_callback_data": "part-1",
        }
        assert "pricing" not in status("w", "read", recipient=ANA, timestamp=7)

    def test_failed(self) -> None:
        """A failed one names the error, and the user only by what it was sent to."""
        error = failure(131047, "Re-engagement message", "More than 24 hours")
        found = status("w", "failed", recipient=ANA, timestamp=7, errors=[error])
        assert "recipient_user_id" not in found
        assert error["title"] == error["message"]
        assert error["error_data"] == {"details": "More than 24 hours"}
        assert found["errors"] == [error]
        assert status("w", "failed", recipient=HIDDEN, timestamp=7)["recipient_user_id"] == "NL.77aB"


class TestScopedId:
    def test_is_one_of_its_own_for_each_number(self) -> None:
        """Two letters, a dot and digits, always the same for a number."""
        ids = [scoped_id("15550123456"), scoped_id("15550123457"), scoped_id("15550123456")]
        assert all(re.fullmatch(r"[A-Z]{2}\.[0-9]{20}", found) for found in ids)
        assert ids[0] == ids[2] != ids[1]


class TestWamid:
    def test_looks_like_metas(self) -> None:
        """``wamid.`` and base64 that holds the user's number and 20 (18 outgoing) hex digits."""
        for outgoing, digits in ((False, 20), (True, 18)):
            wamid = new_wamid(Random(1), "16505551234", outgoing=outgoing)
            raw = base64.b64decode(wamid.removeprefix("wamid."), validate=True)
            assert raw[:3] == bytes([0x1C, 0x18, 11])
            assert b"16505551234" in raw
            assert len(raw) == 3 + 11 + 3 + 3 + digits + 1

    def test_repeatable_and_distinct(self) -> None:
        """The same dice give the same ids, and no two of them are the same."""
        dice, again = Random(7), Random(7)
        ids = [new_wamid(dice) for _ in range(1000)]
        assert ids == [new_wamid(again) for _ in range(1000)]
        assert len(set(ids)) == 1000


class TestSetPath:
    def test_sets_in_place(self) -> None:
        """Objects by name, lists by number."""
        body = inbound(LINE, ANA, made("text"))
        set_path(body, "entry.0.changes.0.value.messages.0.text.body", "new")
        set_path(body, "entry.0.id", 0)
        assert body["entry"][0]["id"] == 0
        value = body["entry"][0]["changes"][0]["value"]
        assert value["messages"][0]["text"] == {"body": "new"}

    @pytest.mark.parametrize(
        ("path", "sentence"),
        [
            ("entry.0.idd", "'entry.0.idd': entry.0 has no 'idd'; it has id, changes."),
            ("nope", "'nope': the body has no 'nope'; it has object, entry."),
            ("entry.1.id", "'entry.1.id': entry is a list of 1; '1' is not a place in it."),
            ("entry.-1", "'entry.-1': entry is a list of 1; '-1' is not a place in it."),
            ("object.x", "'object.x': object is neither an object nor a list, so it has no 'x'."),
            ("", "'': the body has no ''; it has object, entry."),
        ],
    )
    def test_says_what_is_not_there(self, path: str, sentence: str) -> None:
        """A path that leads nowhere is a typo: the sentence names the step."""
        with pytest.raises(ValueError) as caught:
            set_path(envelope(LINE), path, 1)
        assert str(caught.value) == sentence
