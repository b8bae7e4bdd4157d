"""The emulated world on command: its clock, its faults, several bots, how webhooks arrive, and all of it kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aerobot.emulator.clock import Clock
from aerobot.emulator.places import is_here
from aerobot.emulator.presets import PRESETS, SPECIAL
from aerobot.emulator.server import Emulator
from aerobot.emulator.settings import Settings
from aerobot.emulator.state import StateFile
from aerobot.errors import ConfigError
from tests.contract.test_emulator_graph import PNG, TEXT, USER, Graph, Host, control, served

HOUR = 3600.0


@asynccontextmanager
async def world(**more: Any) -> AsyncIterator[tuple[Emulator, Host, Graph]]:
    """An emulator, a host that takes its webhooks, and a client of its Graph."""
    emulator = Emulator(seed=21, receipts_delay=0.0, **more)
    await emulator.start(port=0)
    host = Host(emulator.credentials.verify_token)
    async with served(host), aiohttp.ClientSession() as session:
        try:
            await emulator.connect(host.url)
            yield emulator, host, Graph(emulator, session)
        finally:
            await emulator.stop()


async def wrote(emulator: Emulator, host: Host, text: str = "Hi", **more: Any) -> str:
    """A person writes, and the host has it."""
    before = len(host.bodies)
    wamid = emulator.act("text", text=text, **more)
    await host.until(lambda: len(host.bodies) > before)
    return wamid


# -- time ------------------------------------------------------------------------------------------------------------


class TestClock:
    async def test_sleepers_wake_when_it_is_moved(self) -> None:
        """An hour passes at once for whoever sleeps by it, and nobody wakes before their time."""
        clock = Clock(lambda: 1_000.0)
        short, long = asyncio.ensure_future(clock.sleep(HOUR)), asyncio.ensure_future(clock.sleep(2 * HOUR))
        await asyncio.sleep(0)
        clock.advance(HOUR + 1)
        await asyncio.wait_for(short, 5)
        assert not long.done()
        clock.advance(HOUR)
        await asyncio.wait_for(long, 5)
        assert clock() == 1_000.0 + 2 * HOUR + 1

    def test_forward_only(self) -> None:
        """A step back or beyond ten years is refused; reset is the way back."""
        clock = Clock(lambda: 1_000.0)
        clock.advance(10)
        for step in (-1.0, 11 * 366 * 86400.0, float("nan")):
            with pytest.raises(ValueError, match="forward only"):
                clock.advance(step)
        with pytest.raises(ValueError, match="forward only"):
            clock.move_to(1_005.0)
        clock.move_to(1_100.0)
        assert clock() == 1_100.0
        clock.reset()
        assert (clock(), clock.offset) == (1_000.0, 0.0)

    async def test_the_window_closes(self) -> None:
        """Within 24 hours of a message anything goes; after it a text fails later with 131047, a template does not."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            first = await graph.sent(**TEXT)
            await host.until(lambda: host.told(first) == ["sent", "delivered", "read"])
            emulator.clock.advance(24 * HOUR + 1)
            late = await graph.sent(**TEXT)
            await host.until(lambda: host.told(late) == ["failed"])
            [status] = [s for v in host.values for s in v.get("statuses", []) if s["id"] == late]
            assert status["errors"][0]["code"] == 131047
            hello = await graph.sent(type="template", template={"name": "hello_world", "language": {"code": "en_US"}})
            await host.until(lambda: host.told(hello)[-1:] == ["read"])
            await wrote(emulator, host, "Again")
            again = await graph.sent(**TEXT)
            await host.until(lambda: host.told(again)[-1:] == ["read"])

    async def test_the_window_at_once_or_off(self) -> None:
        """Refused at once with 131047, or sent all the same, by the setting; nobody has written yet."""
        async with world(window="at_once") as (emulator, host, graph):
            status, answer = await graph.send(**TEXT)
            assert (status, answer["error"]["code"]) == (400, 131047)
            emulator.settle(window="off")
            wamid = await graph.sent(**TEXT)
            await host.until(lambda: host.told(wamid)[-1:] == ["read"])

    async def test_what_nobody_wrote_opens_no_window(self) -> None:
        """A first opening of the chat and a number change are no messages."""
        async with world(window="at_once") as (emulator, host, graph):
            emulator.act("request_welcome")
            emulator.act("system")
            await host.until(lambda: len(host.bodies) == 2)
            assert (await graph.send(**TEXT))[0] == 400

    async def test_tokens_expire(self) -> None:
        """190 with 463 once the clock has passed."""
        async with world(window="off") as (emulator, _, graph):
            graph.token = emulator.portal.issue_token(expires_at=emulator.clock() + 2 * HOUR)
            assert (await graph.send(**TEXT))[0] == 200
            emulator.clock.advance(2 * HOUR)
            status, answer = await graph.send(**TEXT)
            assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (401, 190, 463)

    async def test_media_dies(self) -> None:
        """A URL after five minutes, a webhook's id after seven days, an upload after thirty."""
        async with world(window="off") as (emulator, host, graph):
            emulator.send_file(PNG, "image/png")
            await host.until(lambda: host.bodies)
            received = host.values[0]["messages"][0]["image"]["id"]
            uploaded = (await graph.upload())[1]["id"]
            url = (await graph.call("GET", f"/v25.0/{received}"))[1]["url"]
            assert (await graph.call("GET", url))[0] == 200
            emulator.clock.advance(301)
            assert (await graph.call("GET", url))[0] == 404
            fresh = (await graph.call("GET", f"/v25.0/{received}"))[1]["url"]
            assert (await graph.call("GET", fresh))[1] == PNG
            emulator.clock.advance(7 * 24 * HOUR)
            assert (await graph.call("GET", f"/v25.0/{received}"))[1]["error"]["code"] == 100
            assert (await graph.send(type="image", image={"id": uploaded}))[0] == 200
            emulator.clock.advance(23 * 24 * HOUR)
            assert (await graph.send(type="image", image={"id": uploaded}))[0] == 400

    async def test_retries_fall_due(self) -> None:
        """The schedule is visible, and moving the clock brings the next attempt; after a week it is given up."""
        async with world() as (emulator, host, _):
            emulator.settle(retries=[60, HOUR])
            host.statuses[:] = [500, 500, 204]
            emulator.act("text", text="Hi")
            await host.until(lambda: len(host.bodies) == 1)
            for wait, count in ((61, 2), (HOUR + 1, 3), (HOUR + 1, 4)):
                await asyncio.sleep(0.02)
                [delivery] = emulator.deliveries()
                assert (delivery.state, len(delivery.attempts)) == ("retrying", count - 1)
                assert delivery.next_at is not None
                assert delivery.next_at > emulator.clock.milliseconds
                emulator.clock.advance(wait)
                await host.until(lambda count=count: len(host.bodies) == count)
            await asyncio.sleep(0.02)
            assert (delivery.state, delivery.next_at) == ("delivered", None)
            host.statuses[:] = [500] * 5
            emulator.act("text", text="never")
            await host.until(lambda: len(host.bodies) == 5)
            await asyncio.sleep(0.02)
            emulator.clock.advance(8 * 24 * HOUR)
            await host.until(lambda: len(host.bodies) == 6)
            await asyncio.sleep(0.02)
            assert emulator.deliveries()[-1].state == "gave_up"

    async def test_over_http(self) -> None:
        """The control API moves it, says where it is, and refuses nonsense with a sentence."""
        async with world() as (emulator, _, graph):
            url = "/_/clock"
            status, shown = await control(emulator, graph.session, "POST", url, {"advance": 90_000})
            assert (status, shown["offset"]) == (200, 90_000)
            assert (await control(emulator, graph.session, "GET", url))[1]["offset"] == 90_000
            at = emulator.clock() + 50
            shown = (await control(emulator, graph.session, "POST", url, {"at": at}))[1]
            assert abs(shown["now"] / 1000 - at) < 5
            assert (await control(emulator, graph.session, "POST", url, {"reset": True}))[1]["offset"] == 0
            for wrong in ({}, {"advance": "1h"}, {"advance": -1}, {"at": 1}, {"reset": 1}):
                status, answer = await control(emulator, graph.session, "POST", url, wrong)
                assert (status, answer["error"]["message"][-1]) == (400, ".")


# -- faults ----------------------------------------------------------------------------------------------------------


class TestFaults:
    def test_there_are_enough(self) -> None:
        """At least twenty that matter, each with a meaning, each code with a recipient that triggers it."""
        assert len(PRESETS) >= 20
        assert all(fault.meaning for fault in PRESETS.values())
        codes = {fault.refusal.code for fault in PRESETS.values() if fault.refusal}
        assert {f"15559{code:06d}" for code in codes} <= set(SPECIAL)

    @pytest.mark.parametrize("name", [name for name, fault in PRESETS.items() if fault.refusal])
    async def test_refusals_and_later_failures(self, name: str) -> None:
        """Each answers with its own code in Meta's envelope, or accepts and fails later with it; once."""
        fault = PRESETS[name]
        assert fault.refusal is not None
        async with world(window="off") as (emulator, host, graph):
            emulator.arm(name)
            status, answer = await graph.send(**TEXT)
            if fault.later:
                wamid = answer["messages"][0]["id"]
                await host.until(lambda: host.told(wamid) == ["failed"])
                code = host.values[0]["statuses"][0]["errors"][0]["code"]
            else:
                assert status == fault.refusal.status
                assert answer["error"]["fbtrace_id"]
                code = answer["error"]["code"]
            assert code == fault.refusal.code
            assert (await graph.send(**TEXT))[0] == 200

    async def test_armed_for_a_call(self) -> None:
        """A fault waits for its kind of call, and only as often as it was armed; it is told until it is gone."""
        async with world(window="off") as (emulator, host, graph):
            wamid = await wrote(emulator, host)
            emulator.arm("unavailable", call="media")
            emulator.arm("rate_limited", 2, call="read")
            emulator.arm("temporary", call="settings")
            assert (await graph.send(**TEXT))[0] == 200
            assert (await graph.upload())[1]["error"]["code"] == 131016
            assert (await graph.upload())[0] == 200
            read = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}
            path = f"/v25.0/{graph.number}/messages"
            answers = [(await graph.call("POST", path, json=read))[0] for _ in range(3)]
            assert answers == [429, 429, 200]
            assert (await graph.call("GET", f"/v25.0/{graph.number}"))[0] == 503
            assert (await graph.call("GET", f"/v25.0/{graph.number}"))[0] == 200
            emulator.arm("server_error", call="any")
            assert (await graph.send(**TEXT))[0] == 500
            assert emulator.meta.faults.armed == []

    async def test_armed_for_a_recipient(self) -> None:
        """Only sends to that number meet it."""
        async with world(window="off") as (emulator, _, graph):
            emulator.arm("undeliverable", to="+31 6 1234 5678")
            emulator.arm("parameter", to="31612345679")
            assert (await graph.send(**TEXT))[0] == 200
            assert (await graph.send("+31612345679", **TEXT))[0] == 400
            assert [one["to"] for one in emulator.meta.faults.armed] == ["31612345678"]

    async def test_download_faults(self) -> None:
        """The file behind a media URL can break too."""
        async with world() as (emulator, host, graph):
            emulator.send_file(PNG, "image/png")
            await host.until(lambda: host.bodies)
            url = host.values[0]["messages"][0]["image"]["url"]
            emulator.arm("server_error", call="download")
            assert (await graph.call("GET", url))[0] == 500
            emulator.arm("half_answer", call="messages")
            assert (await graph.call("GET", url))[1] == PNG

    @pytest.mark.parametrize(("body", "words"), [
        ({"name": "rain"}, "no fault"), ({"name": "timeout", "call": "lunch"}, "no call"),
        ({"name": "window_closed", "call": "media"}, "messages only"), ({"name": "timeout", "times": 0}, "times"),
        ({"name": "timeout", "times": True}, "whole number"), ({}, "no fault"),
    ])  # fmt: skip
    async def test_nonsense(self, body: dict[str, Any], words: str) -> None:
        """A sentence, and nothing is armed."""
        async with world() as (emulator, _, graph):
            status, answer = await control(emulator, graph.session, "POST", "/_/faults", body)
            assert (status, words in answer["error"]["message"]) == (400, True)
            assert emulator.meta.faults.armed == []

    async def test_special_recipients(self) -> None:
        """Without arming anything: the last six digits are the error's code, again and again."""
        async with world(window="off") as (_, host, graph):
            for _ in range(2):
                assert (await graph.send("+1 555 913 0429", **TEXT))[1]["error"]["code"] == 130429
            wamid = (await graph.send("15559131026", **TEXT))[1]["messages"][0]["id"]
            await host.until(lambda: host.told(wamid) == ["failed"])
            assert (await graph.send("15558000500", **TEXT))[0] == 500

    async def test_retry_after(self) -> None:
        """One preset comes with the header that others do not send."""
        async with world(window="off") as (emulator, _, graph):
            emulator.arm("rate_limited_wait")
            url = f"{emulator.graph_url}/v25.0/{graph.number}/messages"
            headers = {"Authorization": f"Bearer {graph.token}"}
            body = {"messaging_product": "whatsapp", "to": USER, **TEXT}
            async with graph.session.post(url, json=body, headers=headers) as response:
                assert (response.status, response.headers["Retry-After"]) == (429, "2")

    async def test_limits(self) -> None:
        """Switched on: 80 a second for the number, 45 at once and then one in 6 s for a user; time refills both."""
        async with world(window="off", now=lambda: 1_800_000_000.0) as (emulator, _, graph):
            emulator.settle(pair_limit=True)
            codes = [(await graph.send(**TEXT))[0] for _ in range(46)]
            assert codes == [200] * 45 + [400]
            assert (await graph.send("+15550100001", **TEXT))[0] == 200
            emulator.clock.advance(6)
            assert [(await graph.send(**TEXT))[0] for _ in range(2)] == [200, 400]
            emulator.settle(pair_limit=False, throughput_limit=True)
            answers = [await graph.send(**TEXT) for _ in range(81)]
            assert [status for status, _ in answers] == [200] * 80 + [429]
            assert answers[-1][1]["error"]["code"] == 130429
            emulator.clock.advance(1)
            assert (await graph.send(**TEXT))[0] == 200


# -- bots and people --------------------------------------------------------------------------------------------------


class TestBots:
    async def test_two_bots(self) -> None:
        """A second number gets its own messages and sends into its own chat; each has its own window."""
        async with world(window="at_once") as (emulator, host, graph):
            second = emulator.add_bot("15550100099", "Night desk")
            await wrote(emulator, host, "To the second", number=second)
            assert host.values[0]["metadata"] == {
                "display_phone_number": "15550100099", "phone_number_id": second,
            }  # fmt: skip
            assert (await graph.send(**TEXT))[1]["error"]["code"] == 131047
            graph.number = second
            wamid = await graph.sent(**TEXT)
            await host.until(lambda: host.told(wamid)[-1:] == ["read"])
            assert [bubble.text for bubble in emulator.messages(number=second)] == ["To the second", "Hi"]
            assert emulator.messages() == []

    async def test_an_override_is_of_its_number(self) -> None:
        """Webhooks of one number go to its override, the other's to the app's callback."""
        async with world() as (emulator, host, graph):
            second = emulator.add_bot("15550100099", "Night desk")
            other = Host(emulator.credentials.verify_token)
            async with served(other):
                hook = {"override_callback_uri": other.url, "verify_token": emulator.credentials.verify_token}
                path = f"/v25.0/{second}"
                assert (await graph.call("POST", path, json={"webhook_configuration": hook}))[0] == 200
                emulator.act("text", text="one")
                emulator.act("text", text="two", number=second)
                await host.until(lambda: host.bodies)
                await other.until(lambda: other.bodies)
                assert [v["messages"][0]["text"]["body"] for v in host.values + other.values] == ["one", "two"]

    async def test_username_only(self) -> None:
        """Somebody known by username has no number: no ``from``, no ``wa_id``; the answer goes to the user id."""
        async with world() as (emulator, host, graph):
            key = emulator.add_phone("", "Mira Patel", username="mira.patel")
            await wrote(emulator, host, phone=key)
            [value] = host.values
            [message], [contact] = value["messages"], value["contacts"]
            assert "from" not in message
            assert message["from_user_id"] == key
            assert contact == {"profile": {"name": "Mira Patel", "username": "mira.patel"}, "user_id": key}
            body = {"messaging_product": "whatsapp", "recipient": key, **TEXT}
            status, answer = await graph.call("POST", f"/v25.0/{graph.number}/messages", json=body)
            assert (status, answer["contacts"]) == (200, [{"input": key, "user_id": key}])
            assert emulator.messages(key)[-1].text == "Hi"

    async def test_a_number_changes(self) -> None:
        """Every bot with a chat is told by a ``system`` message without contacts; the chat moves along."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            path = f"/_/phones/{USER}/number"
            status, found = await control(emulator, graph.session, "POST", path, {"phone": "+1 555 012 9999"})
            assert (status, found) == (200, {"phone": "15550129999"})
            await host.until(lambda: len(host.bodies) == 2)
            told = host.values[1]
            assert "contacts" not in told
            assert told["messages"][0]["from"] == USER
            assert told["messages"][0]["system"]["wa_id"] == "15550129999"
            assert [bubble.type for bubble in emulator.messages("15550129999")] == ["text", "system"]
            for wrong in (USER, "15550129999"):
                answer = await control(emulator, graph.session, "POST", path, {"phone": wrong})
                assert answer[0] == 400

    async def test_forwarded_and_from_an_ad(self) -> None:
        """Both arrive as Meta marks them."""
        async with world() as (emulator, host, graph):
            path = f"/_/phones/{USER}/messages"
            context = {"text": "a", "context": {"forwarded": True}}
            await control(emulator, graph.session, "POST", path, context)
            await control(emulator, graph.session, "POST", path, {"text": "b", "referral": True})
            await host.until(lambda: len(host.bodies) == 2)
            first, second = (value["messages"][0] for value in host.values)
            assert first["context"] == {"forwarded": True}
            assert second["referral"]["source_type"] == "ad"
            assert second["referral"]["ctwa_clid"]

    async def test_a_phone_is_removed(self) -> None:
        """Its chats go with it."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            assert (await control(emulator, graph.session, "DELETE", f"/_/phones/{USER}"))[0] == 200
            state = (await control(emulator, graph.session, "GET", "/_/state"))[1]
            assert (state["phones"], state["messages"], state["windows"]) == ([], [], [])


class TestBlocks:
    async def test_a_user_is_blocked_and_let_in_again(self) -> None:
        """What they write reaches nobody, what is sent to them is refused (130403), until they are let in again."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            path = f"/v25.0/{graph.number}/block_users"
            body = {"messaging_product": "whatsapp", "block_users": [{"user": f"+{USER}"}]}
            status, answer = await graph.call("POST", path, json=body)
            assert (status, answer["block_users"]) == (200, {"added_users": [{"input": f"+{USER}", "wa_id": USER}]})
            emulator.act("text", text="Anybody?")
            assert (await graph.send(**TEXT))[1]["error"]["code"] == 130403
            assert [one["wa_id"] for one in (await graph.call("GET", path))[1]["data"]] == [USER]
            assert (await graph.call("DELETE", path, json=body))[1]["block_users"]["removed_users"]
            await wrote(emulator, host, "Again")
            texts = [value["messages"][0]["text"]["body"] for value in host.values if "messages" in value]
            assert texts == ["Hi", "Again"]
            assert emulator.messages()[1].status == "sent"

    async def test_only_who_wrote_lately(self) -> None:
        """139100 for everybody else; nonsense is 100."""
        async with world() as (_, __, graph):
            path = f"/v25.0/{graph.number}/block_users"
            for users, code in (([{"user": USER}], 139100), ([], 100), ("x", 100), ([7], 131009)):
                body = {"messaging_product": "whatsapp", "block_users": users}
                assert (await graph.call("POST", path, json=body))[1]["error"]["code"] == code


# -- how webhooks arrive ----------------------------------------------------------------------------------------------


class TestWebhooks:
    async def test_batches(self) -> None:
        """Up to so many updates in one body, nothing twice and nothing lost."""
        async with world() as (emulator, host, _):
            emulator.settle(batch=4)
            for number in range(10):
                emulator.act("text", text=str(number))
            emulator.clock.advance(1)
            await host.until(lambda: len(host.bodies) == 3)
            sizes = [len(value["messages"]) for value in host.values]
            texts = [m["text"]["body"] for value in host.values for m in value["messages"]]
            assert (sizes, texts) == ([4, 4, 2], [str(number) for number in range(10)])
            assert all(len(value["contacts"]) == 1 for value in host.values)

    async def test_a_thousand_in_one(self) -> None:
        """Meta's largest batch."""
        async with world() as (emulator, host, _):
            emulator.settle(hold=True, batch=1000)
            for number in range(1000):
                emulator.act("text", text=str(number))
            await asyncio.sleep(0.02)
            assert host.bodies == []
            emulator.settle(hold=False)
            await host.until(lambda: host.bodies)
            assert len(host.values[0]["messages"]) == 1000

    async def test_a_batch_of_two_numbers(self) -> None:
        """One body, a change for each number; receipts and messages side by side."""
        async with world(window="off") as (emulator, host, graph):
            second = emulator.add_bot("15550100099", "Night desk")
            emulator.settle(hold=True, batch=100)
            emulator.act("text", text="one")
            emulator.act("text", text="two", number=second)
            await graph.sent(**TEXT)
            while emulator.meta.courier.waiting < 5:
                await asyncio.sleep(0.01)
            emulator.meta.courier.release()
            await host.until(lambda: host.bodies)
            [entry] = json.loads(host.bodies[0])["entry"]
            numbers = [change["value"]["metadata"]["phone_number_id"] for change in entry["changes"]]
            assert numbers == [emulator.credentials.phone_number_id, second]
            first = entry["changes"][0]["value"]
            assert (len(first["messages"]), len(first["statuses"]), len(first["contacts"])) == (1, 3, 1)

    async def test_copies_and_reverse(self) -> None:
        """Every body twice, and what was gathered last comes first."""
        async with world() as (emulator, host, _):
            emulator.settle(copies=2, reverse=True)
            for text in "abc":
                emulator.act("text", text=text)
            emulator.clock.advance(1)
            await host.until(lambda: len(host.bodies) == 6)
            texts = [value["messages"][0]["text"]["body"] for value in host.values]
            assert sorted(texts) == list("aabbcc")
            assert list(dict.fromkeys(texts)) == list("cba")

    async def test_delay(self) -> None:
        """Nothing arrives before its time."""
        async with world() as (emulator, host, _):
            emulator.settle(delay=HOUR)
            emulator.act("text", text="later")
            await asyncio.sleep(0.02)
            assert host.bodies == []
            emulator.clock.advance(HOUR)
            await host.until(lambda: host.bodies)

    async def test_every_attempt_is_kept_and_can_be_repeated(self) -> None:
        """What was sent, what was answered; once more by number, by message, or all."""
        async with world() as (emulator, host, graph):
            host.statuses[:] = [503]
            wamid = emulator.act("text", text="Hi")
            await host.until(lambda: len(host.bodies) == 2)
            await asyncio.sleep(0.02)
            query = f"/_/deliveries?wamid={wamid}"
            [delivery] = (await control(emulator, graph.session, "GET", query))[1]["deliveries"]
            first, second = delivery["attempts"]
            assert (first["status"], second["status"], delivery["state"]) == (503, 200, "delivered")
            assert first["request"]["X-Hub-Signature-256"] == host.headers[0]["X-Hub-Signature-256"]
            assert delivery["body"].encode() == host.bodies[0] == host.bodies[1]
            assert (first["url"], "Server" in first["response"]) == (host.url, True)
            path = "/_/deliveries/redeliver"
            for body in ({"delivery": delivery["delivery"]}, {"wamid": wamid}, {"all": True}):
                count = len(host.bodies)
                assert (await control(emulator, graph.session, "POST", path, body))[1] == {"redelivered": 1}
                await host.until(lambda count=count: len(host.bodies) == count + 1)
            assert len(set(host.bodies)) == 1
            for wrong in ({}, {"delivery": 99}, {"wamid": "nobody"}, {"all": "yes"}):
                assert (await control(emulator, graph.session, "POST", path, wrong))[0] == 400

    async def test_the_story_of_a_message(self) -> None:
        """For one that was written: its delivery, and the calls that answered it; for an answer its call."""
        async with world() as (emulator, host, graph):
            wamid = await wrote(emulator, host)
            read = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}
            await graph.call("POST", f"/v25.0/{graph.number}/messages", json=read)
            answer = await graph.sent(**TEXT)
            await host.until(lambda: host.told(answer)[-1:] == ["read"])
            await wrote(emulator, host, "Thanks")
            await graph.sent(**TEXT)
            story = (await control(emulator, graph.session, "GET", f"/_/messages/{wamid}"))[1]
            assert [call["wamid"] for call in story["calls"]] == ["", answer]
            assert json.loads(story["calls"][0]["request"])["status"] == "read"
            assert [delivery["what"] for delivery in story["deliveries"]] == ["message"]
            story = (await control(emulator, graph.session, "GET", f"/_/messages/{answer}"))[1]
            assert json.loads(story["calls"][0]["answer"])["messages"] == [{"id": answer}]
            assert [delivery["what"] for delivery in story["deliveries"]] == ["sent", "delivered", "read"]
            assert graph.token not in json.dumps(story)
            assert (await control(emulator, graph.session, "GET", "/_/messages/nobody"))[0] == 404

    async def test_audio_is_played(self) -> None:
        """Told once, with its callback data; for audio of the bot's alone."""
        async with world(window="off") as (emulator, host, graph):
            media = (await graph.upload(b"OggS" + bytes(50), "audio/ogg"))[1]["id"]
            wamid = await graph.sent(type="audio", audio={"id": media}, biz_opaque_callback_data="p")
            await host.until(lambda: host.told(wamid) == ["sent", "delivered", "read"])
            path = f"/_/messages/{wamid}/played"
            for _ in range(2):
                assert (await control(emulator, graph.session, "POST", path))[0] == 200
            await host.until(lambda: host.told(wamid)[-1] == "played")
            assert host.told(wamid).count("played") == 1
            assert host.values[-1]["statuses"][0]["biz_opaque_callback_data"] == "p"
            text = await graph.sent(**TEXT)
            assert (await control(emulator, graph.session, "POST", f"/_/messages/{text}/played"))[0] == 400
            assert (await control(emulator, graph.session, "POST", "/_/messages/x/played"))[0] == 404

    async def test_a_tapped_quick_reply_is_remembered(self) -> None:
        """A template's button looks tapped also after the page was loaded again."""
        async with world() as (emulator, host, graph):
            wamid = await graph.sent(type="template", template={"name": "hello_world", "language": {"code": "en_US"}})
            emulator.act("quick_reply", about=wamid, content={"payload": "yes-1", "text": "Yes"})
            await host.until(lambda: any("messages" in value for value in host.values))
            assert emulator.messages()[0].chosen == "yes-1"

    async def test_only_this_machine(self) -> None:
        """A webhook elsewhere is not called unless that was permitted; the sentence says how."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            emulator.arrange(app_callback="https://example.com/hook")
            emulator.act("text", text="Hi")
            while not emulator.deliveries()[-1].attempts:
                await asyncio.sleep(0.01)
            assert "--allow-external" in emulator.deliveries()[-1].attempts[0].error
            hook = {"override_callback_uri": "https://example.com/hook", "verify_token": "x"}
            path = f"/v25.0/{graph.number}"
            answer = (await graph.call("POST", path, json={"webhook_configuration": hook}))[1]["error"]
            assert (answer["code"], "not on this machine" in answer["message"]) == (2200, True)


# -- settings, ids, state ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [
    {"rain": 1}, {"auto_read": 1}, {"sent_delay": -1}, {"sent_delay": "1"}, {"batch": 0}, {"batch": 1001},
    {"copies": 2.5}, {"window": "open"}, {"retries": []}, {"retries": ["x"]}, {"hold": "yes"}, {"delay": True},
])  # fmt: skip
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    """A sentence for each, and nothing changes."""
    with pytest.raises(ValueError, match=r"\.$"):
        Settings().changed(wrong)


async def test_ids_are_deterministic() -> None:
    """With the same seed the n-th message and file have the same ids, whatever is asked of Graph in between."""

    async def ids(asks: int) -> list[str]:
        async with world(window="off") as (emulator, _, graph):
            found = [emulator.act("text", text="Hi")]
            for _ in range(asks):
                await graph.call("GET", f"/v25.0/{graph.number}")
            found += [await graph.sent(**TEXT), (await graph.upload())[1]["id"]]
            return found

    assert await ids(0) == await ids(3)


class TestState:
    async def test_export_and_import(self) -> None:
        """All of it comes back: chats, files, set-up, clock, what is armed, and what is still on its way."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            emulator.add_bot("15550100099", "Night desk")
            emulator.portal.add_template("order", "Order {{1}}")
            media = (await graph.upload())[1]["id"]
            emulator.arm("pair_rate", 3)
            emulator.settle(batch=7, hold=True)
            emulator.clock.advance(HOUR)
            emulator.act("text", text="held")
            kept = json.loads(json.dumps(emulator.export()))
        other = Emulator()
        await other.start(port=0)
        async with served(host), aiohttp.ClientSession() as session:
            try:
                other.restore(kept)
                again = json.loads(json.dumps(other.export()))
                for part in ("world", "files", "portal", "settings", "credentials", "clock", "faults", "ids"):
                    assert again[part] == kept[part]
                graph = Graph(other, session)
                assert (await graph.call("GET", f"/v25.0/{media}"))[0] == 200
                await other.connect(host.url)
                await host.until(lambda: len(host.bodies) == 2)
                assert host.values[1]["messages"][0]["text"]["body"] == "held"
            finally:
                await other.stop()

    @pytest.mark.parametrize("wrong", [
        None, [], {}, {"aerobot_emulator": 2}, {"aerobot_emulator": 1}, {"aerobot_emulator": 1, "credentials": {}},
    ])  # fmt: skip
    async def test_what_is_no_state(self, wrong: object) -> None:
        """A sentence, and the world is as before."""
        async with world() as (emulator, host, _):
            await wrote(emulator, host)
            before = emulator.export()
            with pytest.raises(ValueError, match=r"\.$"):
                emulator.restore(wrong)
            assert emulator.export()["world"] == before["world"]

    @pytest.mark.parametrize("path", ["world", "portal", "files", "deliveries", "settings", "faults", "ids"])
    async def test_a_damaged_state(self, path: str) -> None:
        """A part that is something else: a sentence, and the world goes on as before."""
        async with world() as (emulator, host, graph):
            await wrote(emulator, host)
            kept = json.loads(json.dumps(emulator.export()))
            kept[path] = "rubbish"
            with pytest.raises(ValueError, match="cannot be read"):
                emulator.restore(kept)
            assert [bubble.text for bubble in emulator.messages()] == ["Hi"]
            wamid = await graph.sent(**TEXT)
            await host.until(lambda: host.told(wamid)[-1:] == ["read"])

    async def test_reset(self) -> None:
        """Begins anew with the same credentials and the same webhook; readers are told to load again."""
        async with world() as (emulator, host, graph):
            first = await wrote(emulator, host)
            emulator.arm("timeout")
            emulator.clock.advance(HOUR)
            before = (await control(emulator, graph.session, "GET", "/_/state"))[1]
            watch = emulator.watch()
            assert (await control(emulator, graph.session, "POST", "/_/reset"))[0] == 200
            event = await anext(watch)
            while event["event"] != "restarted":
                event = await anext(watch)
            state = (await control(emulator, graph.session, "GET", "/_/state"))[1]
            assert (state["messages"], state["faults"]["armed"], state["clock"]["offset"]) == ([], [], 0)
            assert state["epoch"] == event["epoch"] != before["epoch"]
            second = await wrote(emulator, host)
            assert second != first
            assert (await graph.send(**TEXT))[0] == 200
            emulator.reset(everything=True)
            assert emulator.portal.document()["callback"] == ""
            assert emulator.act("text", text="Hi") == first

    async def test_the_file(self, tmp_path: Path) -> None:
        """What happened stands there after a stop, for its owner alone, and an emulator goes on from it."""
        path = tmp_path / "deep" / "state.json"
        file = StateFile(path)
        assert file.read() is None
        async with world() as (emulator, host, _):
            file.start(emulator.export)
            wamid = await wrote(emulator, host)
            await file.stop(emulator.export)
        assert path.stat().st_mode & 0o777 == 0o600
        kept = StateFile(path).read()
        assert kept is not None
        emulator = Emulator(kept=kept)
        await emulator.start(port=0)
        assert [bubble.id for bubble in emulator.messages()] == [wamid]
        assert emulator.act("text", text="next") != wamid
        await emulator.stop()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"aerobot_emulator": 9}', "\x00"])
    def test_a_bad_file(self, tmp_path: Path, text: str) -> None:
        """Refused with its name and a way out; it is left as it is."""
        path = tmp_path / "state.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"state\.json"):
            StateFile(path).read()
        assert path.read_text() == text


class TestTemplates:
    COMPONENTS = (
        {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
        {"type": "BODY", "text": "Hello {{name}}, it left {{city}}."},
        {"type": "FOOTER", "text": "Corner Bakery"},
        {"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Thanks"}, {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"},
        ]},
    )  # fmt: skip

    async def test_a_card(self) -> None:
        """Places are filled, by position and by name, in header, body and buttons."""
        async with world() as (emulator, _, graph):
            path = f"/v25.0/{emulator.credentials.business_account_id}/message_templates"
            body = {"name": "order", "language": "en", "category": "UTILITY", "components": list(self.COMPONENTS)}
            status, made = await graph.call("POST", path, json=body)
            assert (status, made["status"]) == (200, "APPROVED")
            named = [
                {"type": "text", "parameter_name": "name", "text": "Ana"},
                {"type": "text", "parameter_name": "city", "text": "Utrecht"},
            ]
            components = [
                {"type": "header", "parameters": [{"type": "text", "text": "12"}]},
                {"type": "body", "parameters": named},
                {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "12"}]},
            ]
            template = {"name": "order", "language": {"code": "en"}, "components": components}
            await graph.sent(type="template", template=template)
            [bubble] = emulator.messages()
            assert bubble.text == "Hello Ana, it left Utrecht."
            assert bubble.template == {
                "body": "Hello Ana, it left Utrecht.",
                "header": {"type": "text", "text": "Order 12"},
                "footer": "Corner Bakery",
                "buttons": [
                    {"type": "QUICK_REPLY", "text": "Thanks", "payload": "Thanks"},
                    {"type": "URL", "text": "Track", "url": "https://x.example/12"},
                ],
            }
            assert (await graph.call("DELETE", f"{path}?name=order"))[1] == {"success": True}
            assert (await graph.send(type="template", template=template))[1]["error"]["code"] == 132001

    @pytest.mark.parametrize(("change", "code"), [
        ({"name": "nobody"}, 132001), ({"language": {"code": "nl"}}, 132001), ({"components": []}, 132000),
        ({"components": [{"type": "body", "parameters": [{"type": "text", "text": "a"}] * 3}]}, 132000),
    ])  # fmt: skip
    async def test_what_does_not_fit(self, change: dict[str, Any], code: int) -> None:
        """Meta's own codes."""
        async with world() as (emulator, _, graph):
            emulator.portal.add_template("two", "{{1}} and {{2}}", language="en")
            template = {"name": "two", "language": {"code": "en"}, **change}
            assert (await graph.send(type="template", template=template))[1]["error"]["code"] == code

    @pytest.mark.parametrize(("status", "code"), [("PAUSED", 132015), ("DISABLED", 132016), ("PENDING", 132001)])
    async def test_what_may_not_be_sent(self, status: str, code: int) -> None:
        """Paused, disabled, not approved."""
        async with world() as (emulator, _, graph):
            emulator.portal.add_template("one", "Hi", language="en", status=status)
            template = {"name": "one", "language": {"code": "en"}}
            assert (await graph.send(type="template", template=template))[1]["error"]["code"] == code


class TestAttacks:
    async def test_reset_ends_the_old_world(self) -> None:
        """A webhook that waited for its next attempt never comes after a reset, and nothing holds up the stop."""
        async with world() as (emulator, host, _):
            emulator.settle(retries=[HOUR])
            host.statuses[:] = [500]
            emulator.act("text", text="old world")
            await host.until(lambda: host.bodies)
            await asyncio.sleep(0.02)
            emulator.clock.advance(10)
            emulator.reset()
            emulator.clock.advance(2 * HOUR)
            await wrote(emulator, host, "new world")
            assert len(host.bodies) == 2
            async with asyncio.timeout(5):
                await emulator.stop()

    @pytest.mark.parametrize("body", [
        b'{"messaging_product":"whatsapp","to":"1","type":"text","text":{"body":"x","z":NaN}}',
        b'{"a":' * 200 + b"1" + b"}" * 200, b"[" * 100_000, b'{"z":1e999}',
    ])  # fmt: skip
    async def test_what_is_hardly_json(self, body: bytes) -> None:
        """No number, too deep: refused in Meta's envelope, by the control API with a sentence; never kept."""
        async with world(window="off") as (emulator, _, graph):
            headers = {"Content-Type": "application/json"}
            path = f"/v25.0/{graph.number}/messages"
            assert (await graph.call("POST", path, data=body, headers=headers))[1]["error"]["code"] == 100
            headers = {"Authorization": f"Bearer {emulator.control_token}"}
            url = f"{emulator.graph_url}/_/phones/{USER}/messages"
            async with graph.session.post(url, data=body, headers=headers) as response:
                assert response.status == 400
            assert emulator.messages() == []

    @pytest.mark.parametrize("url", [
        "http://192.0.2.2\x00.localhost:1/", "https://192.0.2.2\x00.localhost/", "http://127.0.0.1 .evil.example/",
        "http://127.0.0.1.evil.example/", "http://localhost@evil.example/", "http://[::ffff:192.0.2.2]/", "",
    ])  # fmt: skip
    def test_what_only_looks_like_this_machine(self, url: str) -> None:
        """Nothing that two programs may read in two ways is called."""
        assert not is_here(url)

    @pytest.mark.parametrize("part", [
        b"garbage", b"A: \x00", b"B: " + b"x" * 20_000,
        b'Content-Disposition: form-data; name="a\x1b"; filename="b\x1b"',
    ])  # fmt: skip
    async def test_broken_forms(self, part: bytes) -> None:
        """A sentence or Meta's envelope, never a 5xx."""
        async with world() as (emulator, _, graph):
            body = b"--x\r\n" + part + b"\r\n\r\nhello\r\n--x--\r\n"
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            path = f"/v25.0/{graph.number}/media"
            assert (await graph.call("POST", path, data=body, headers=headers))[0] == 400
            headers |= {"Authorization": f"Bearer {emulator.control_token}"}
            url = f"{emulator.graph_url}/_/phones/{USER}/files"
            async with graph.session.post(url, data=body, headers=headers) as response:
                assert response.status in (201, 400)

    @pytest.mark.parametrize("path", ["/_/portal", "/_/clock"])
    @pytest.mark.parametrize("number", ["1e18", "-1e18", "1" + "0" * 400])
    async def test_numbers_without_end(self, path: str, number: str) -> None:
        """Refused; Graph goes on."""
        async with world(window="off") as (emulator, _, graph):
            name = "clock_ahead" if path == "/_/portal" else "advance"
            headers = {"Authorization": f"Bearer {emulator.control_token}"}
            body = f'{{"{name}": {number}}}'
            async with graph.session.post(emulator.graph_url + path, data=body, headers=headers) as response:
                assert response.status == 400
            assert (await graph.send(**TEXT))[0] == 200

    @pytest.mark.parametrize(("place", "value"), [
        ("clock", 1e308), ("clock", -1), ("clock", "x"), ("ids", {"message": "x"}), ("seed", "x"), ("name", None),
        ("portal.numbers", []), ("portal.tokens.0.app_id", "0"), ("portal.tokens.0.expires_at", "x"),
        ("world.users.0.name", []), ("world.chats.0.written_at", float("inf")), ("credentials.app_secret", 7),
    ])  # fmt: skip
    async def test_one_damaged_value(self, place: str, value: object) -> None:
        """An import is all or nothing: the world goes on as before, and takes a good one."""
        async with world(window="off") as (emulator, host, graph):
            await wrote(emulator, host)
            good = json.loads(json.dumps(emulator.export()))
            bad = json.loads(json.dumps(good))
            *steps, last = place.split(".")
            inner = bad
            for step in steps:
                inner = inner[int(step)] if step.isdecimal() else inner[step]
            inner[int(last) if last.isdecimal() else last] = value
            with pytest.raises(ValueError, match=r"\.$"):
                emulator.restore(bad)
            assert [bubble.text for bubble in emulator.messages()] == ["Hi"]
            assert (await graph.send(**TEXT))[0] == 200
            emulator.restore(good)
            assert (await control(emulator, graph.session, "GET", "/_/state"))[0] == 200

    async def test_half_an_emoji_survives(self) -> None:
        """A lone surrogate is JSON: it is exported, kept and taken in again."""
        async with world(window="off") as (emulator, _, graph):
            headers = {"Content-Type": "application/json"}
            body = b'{"messaging_product":"whatsapp","to":"15550123456","type":"text","text":{"body":"cut \\ud83d"}}'
            path = f"/v25.0/{graph.number}/messages"
            assert (await graph.call("POST", path, data=body, headers=headers))[0] == 200
            emulator.restore(json.loads(json.dumps(emulator.export())))
            assert emulator.messages()[0].text == "cut \ud83d"

    async def test_one_state_for_one_emulator(self, tmp_path: Path) -> None:
        """A second one is refused while the first keeps it; afterwards it is free."""
        async with world() as (emulator, _, __):
            first, second = StateFile(tmp_path / "s.json"), StateFile(tmp_path / "s.json")
            first.start(emulator.export)
            with pytest.raises(ConfigError, match="Another emulator"):
                second.start(emulator.export)
            await first.stop(emulator.export)
            second.start(emulator.export)
            await second.stop(emulator.export)
            assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []

    async def test_a_folder_that_takes_nothing_for_a_while(self, tmp_path: Path) -> None:
        """It is told, and written as soon as it can be, without another event."""
        folder = tmp_path / "deep"
        file = StateFile(folder / "s.json")
        told: list[str] = []
        async with world() as (emulator, host, _):
            file.start(emulator.export, told.append)
            moved = folder.rename(tmp_path / "away")
            await wrote(emulator, host)
            file.wanted()
            async with asyncio.timeout(10):
                while not told:
                    await asyncio.sleep(0.01)
                moved.rename(folder)
                while told[-1]:
                    await asyncio.sleep(0.01)
            kept = json.loads((folder / "s.json").read_text())
            assert [bubble["text"] for bubble in kept["world"]["bubbles"]] == ["Hi"]
            await file.stop(emulator.export)
