"""The phone page in a real Chromium: a person writes, taps and reads, on one phone and on several, by any means."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aerobot.emulator.templates import Template
from tests.answering import PIXEL, world
from tests.browser import DOWN, ENTER, ESCAPE, FOREIGN, RIGHT, SCROLLS, SHIFT, TAB, UP, chromium, need_browser

MINE = "return [...document.querySelectorAll('[data-side=mine] .words')].map((words) => words.textContent)"
TO = "+15550123456"


@pytest.fixture(autouse=True)
def _browser() -> None:
    need_browser()


async def test_a_conversation() -> None:
    """Text, a picture, buttons and a list go both ways with blue ticks; a day without a word closes the window."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        assert "window closed" in await browser.until("return document.getElementById('window').textContent")
        await browser.type("#text", "Hello there" + ENTER)
        await browser.bubble("mine", "Hello there")
        await browser.bubble("theirs", "You said Hello there")
        await browser.until("return document.querySelector('[data-side=mine] .ticks')?.dataset.status === 'read'")
        shown = "return document.querySelector('[data-side=theirs] strong').textContent"
        assert await browser.run(shown) == "Hello there"
        assert await browser.run("return location.href") == emulator.graph_url + "/"
        await browser.until("return document.getElementById('window').textContent.includes('window open, 2')")

        await browser.click(".option:nth-child(2)")
        await browser.bubble("mine", "No")
        await browser.bubble("theirs", "Got id-No")
        tap = bot.messages[-1]
        assert tap["interactive"] == {"type": "button_reply", "button_reply": {"id": "id-No", "title": "No"}}
        ids = "return [...document.querySelectorAll('[data-side=theirs]')].map((e) => e.dataset.id)"
        assert tap["context"]["id"] in await browser.run(ids)
        await browser.until("return document.querySelector('.option:nth-child(2)').dataset.chosen === 'true'")

        await browser.type("#text", f"two{SHIFT}{ENTER}{SHIFT}lines{ENTER}")
        await browser.bubble("mine", "two\nlines")
        await browser.type("#text", "picture" + ENTER)
        await browser.bubble("theirs", "One pixel")
        await browser.until("return document.querySelector('.picture img')?.naturalWidth === 1")

        await browser.type("#text", "menu" + ENTER)
        await browser.until("return document.querySelector('.option[aria-haspopup]')")
        await browser.click(".option[aria-haspopup]")
        await browser.until("return document.getElementById('sheet').open")
        await browser.click("#sheet section .choice:nth-of-type(2)")
        await browser.bubble("theirs", "Got r1")
        row = {"id": "r1", "title": "Row 1", "description": "A row"}
        assert bot.messages[-1]["interactive"]["list_reply"] == row

        emulator.clock.advance(25 * 3600)
        await browser.until("return document.getElementById('window').textContent.includes('closed')")
        await browser.until("return [...document.querySelectorAll('.day')].at(-1).textContent === 'Yesterday'")
        await bot.send(to=TO, type="text", text={"body": "Are you still there?"})
        await browser.until("return document.querySelector('.problem')?.textContent.includes('131047')")
        await browser.type("#text", "Yes" + ENTER)
        await browser.bubble("theirs", "You said Yes")
        await browser.until("return document.getElementById('window').textContent.includes('open')")
        assert await browser.run(FOREIGN) == []
        assert await browser.complaints() == []


async def test_places_files_and_replies(tmp_path: Path) -> None:
    """A place, a contact, a picture, a reply and a reaction reach the bot as WhatsApp would send them."""
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.click("#attach")
        await browser.click("#menu [data-name=pin]")
        await browser.click("#sheet .choice")
        await browser.bubble("theirs", "Got location")
        assert bot.messages[-1]["location"]["name"] == "Vondelpark"

        await browser.click("#attach")
        await browser.click("#menu [data-name=person]")
        await browser.click("#sheet .choice")
        await browser.bubble("theirs", "Got contacts")

        await browser.type("#file", str(picture))
        await browser.type("#sheet input", "One pixel")
        await browser.click("#sheet .primary")
        await browser.bubble("theirs", "Got image")
        await browser.until("return document.querySelector('.picture img')?.naturalWidth === 1")
        image = bot.messages[-1]["image"]
        assert (image["caption"], image["mime_type"]) == ("One pixel", "image/png")
        async with bot.session.get(image["url"], headers=bot.headers) as response:
            assert await response.read() == PIXEL

        await browser.run("document.querySelector('[data-side=theirs] .handles button').click()")
        await browser.type("#text", "about that" + ENTER)
        await browser.bubble("mine", "about that")
        await browser.until("return document.querySelector('[data-side=mine] .quote')")
        await browser.bubble("theirs", "You said about that")
        assert bot.messages[-1]["context"]["id"].startswith("wamid.")

        await browser.run("document.querySelectorAll('[data-side=theirs] .handles button')[1].click()")
        await browser.click("#sheet .choice")
        await browser.until("return document.querySelector('.reactions')?.textContent === '👍'")
        await browser.bubble("theirs", "Got reaction")
        assert await browser.complaints() == []


async def test_voice_stickers_and_the_rarer_kinds() -> None:
    """A voice note, a sticker, forwarded words, a tapped ad and a poll go out as WhatsApp sends them, and look so."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.until("return document.querySelector('.phone')")

        async def attach(name: str, choice: str) -> None:
            await browser.click("#attach")
            await browser.click(f"#menu [data-name={name}]")
            await browser.click(f"#sheet {choice}")

        await attach("mic", ".choice:nth-of-type(2)")
        await browser.bubble("theirs", "Got voice")
        await browser.until("return document.querySelector('.voice audio')?.duration > 0.9")
        audio = bot.messages[-1]["audio"]
        assert (audio["voice"], audio["mime_type"]) == (True, "audio/ogg; codecs=opus")

        await attach("sticker", ".choice")
        await browser.bubble("theirs", "Got sticker")
        assert bot.messages[-1]["sticker"]["mime_type"] == "image/webp"
        await browser.until("return document.querySelector('[data-type=sticker] img')?.naturalWidth === 512")

        await browser.type("#text", "Read this")
        await attach("more", ".choice")
        await browser.bubble("theirs", "You said Read this")
        assert bot.messages[-1]["context"] == {"forwarded": True}
        assert await browser.run("return document.getElementById('text').value") == ""
        await attach("more", ".choice:nth-of-type(2)")
        await browser.bubble("theirs", "You said Everybody should read this!")
        assert bot.messages[-1]["context"] == {"frequently_forwarded": True}
        await attach("more", ".choice:nth-of-type(3)")
        await browser.bubble("theirs", "You said I saw your ad")
        assert bot.messages[-1]["referral"]["source_type"] == "ad"
        marks = "return [...document.querySelectorAll('.mark')].map((mark) => mark.textContent)"
        assert await browser.run(marks) == ["Forwarded", "Forwarded many times", "From an ad"]

        await attach("more", ".choice:nth-of-type(4)")
        await browser.bubble("theirs", "Got order")
        await attach("more", ".choice:nth-of-type(5)")
        await browser.bubble("theirs", "Got unsupported")
        assert await browser.run("return document.querySelector('.words.faint').textContent.includes('cannot read')")
        assert await browser.complaints() == []


async def test_a_recorded_voice_message() -> None:
    """What the microphone records arrives as whole pages of Opus in Ogg, every one with its checksum."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.until("return document.querySelector('.phone')")
        await browser.click("#attach")
        await browser.click("#menu [data-name=mic]")
        await browser.click("#sheet .choice")
        await browser.until("return document.querySelector('.seconds')?.textContent === '0:01'")
        await browser.click("#sheet .primary")
        await browser.bubble("theirs", "Got voice")
        audio = bot.messages[-1]["audio"]
        assert (audio["voice"], audio["mime_type"]) == (True, "audio/ogg; codecs=opus")
        async with bot.session.get(audio["url"], headers=bot.headers) as response:
            pages = list(ogg_pages(await response.read()))
        assert pages[0][28:36] == b"OpusHead"
        assert pages[1][28:36] == b"OpusTags"
        assert pages[0][5] == 2
        assert pages[-1][5] == 4
        seconds = int.from_bytes(pages[-1][6:14], "little") / 48_000
        played = await browser.until("return document.querySelector('.voice audio')?.duration")
        assert seconds >= 1
        assert abs(played - seconds) < 0.1


def ogg_pages(data: bytes) -> Iterator[bytes]:
    """The pages of an Ogg file; fails where a checksum is wrong (RFC 3533)."""
    while data:
        assert data[:5] == b"OggS\0"
        length = 27 + data[26] + sum(data[27 : 27 + data[26]])
        page, data = data[:length], data[length:]
        found = 0
        for byte in page[:22] + bytes(4) + page[26:]:
            found ^= byte << 24
            for _ in range(8):
                found = (found << 1) ^ (0x104C11DB7 if found & 0x80000000 else 0)
        assert found == int.from_bytes(page[22:26], "little")
        yield page


async def test_a_written_message_is_edited_and_deleted() -> None:
    """The last written message can be edited, then deleted for everyone; both reach the bot, and the bubble says so."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "wait" + ENTER)
        await browser.bubble("mine", "wait")
        await browser.until("return document.querySelector('[data-side=mine]').dataset.id.startsWith('wamid')")
        await browser.type("#text", "wait, please")
        for name, kind in (("edit", "edit"), ("trash", "revoke")):
            await browser.click("#attach")
            await browser.click("#menu [data-name=more]")
            await browser.click(f"#sheet .choice:has(.icon-{name})")
            await browser.bubble("theirs", f"Got {kind}")
            words = "return document.querySelector('[data-side=mine] .words').textContent"
            assert await browser.run(words) == ("wait, please" if kind == "edit" else "This message was deleted.")
        assert bot.messages[-1]["revoke"]["original_message_id"] == bot.messages[0]["id"]


async def test_a_template_card() -> None:
    """A template shows its text with the values in place; its quick reply is tapped, its link and code are there."""
    buttons = [
        {"type": "QUICK_REPLY", "text": "On my way"},
        {"type": "URL", "text": "Track it", "url": "https://bakery.example/o/{{1}}"},
        {"type": "COPY_CODE"},
    ]
    parts = (
        {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
        {"type": "BODY", "text": "Hi {{1}}, it is *ready*."},
        {"type": "FOOTER", "text": "Corner Bakery"},
        {"type": "BUTTONS", "buttons": buttons},
    )
    given = [
        {"type": "header", "parameters": [{"type": "text", "text": "2041"}]},
        {"type": "body", "parameters": [{"type": "text", "text": "Alex"}]},
        {"type": "button", "sub_type": "quick_reply", "index": "0",
         "parameters": [{"type": "payload", "payload": "p1"}]},
        {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "2041"}]},
        {"type": "button", "sub_type": "copy_code", "index": "2",
         "parameters": [{"type": "coupon_code", "coupon_code": "BREAD10"}]},
    ]  # fmt: skip
    async with world() as (emulator, bot), chromium() as browser:
        emulator.portal.put_template(
            Template(id="1", name="ready", language="en", status="APPROVED", category="MARKETING", components=parts)
        )
        await browser.open(emulator.page_url)
        await browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        template = {"name": "ready", "language": {"code": "en"}, "components": given}
        await bot.send(to=TO, type="template", template=template)
        await browser.bubble("theirs", "Hi Alex, it is ready.")
        assert await browser.run("return document.querySelector('.title').textContent") == "Order 2041"
        assert await browser.run("return document.querySelector('a.option').href") == "https://bakery.example/o/2041"
        await browser.click(".option:nth-child(3)")
        await browser.until("return document.querySelector('.option:nth-child(3)').textContent === 'Copied: BREAD10'")
        assert await browser.clipboard() == "BREAD10"
        await browser.click(".option")
        await browser.bubble("theirs", "Got p1")
        assert bot.messages[-1]["button"] == {"payload": "p1", "text": "On my way"}
        await browser.until("return document.querySelector('.option').dataset.chosen === 'true'")


async def test_several_bots() -> None:
    """A phone has a chat with each bot: what is written goes to that number alone, and unread answers are counted."""
    async with world(auto_read=False) as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "to the first" + ENTER)
        await browser.bubble("theirs", "You said to the first")
        await browser.click("#world")
        await browser.type("#sheet [name=name][placeholder='Night Desk']", "Night Desk" + ENTER)
        await browser.until("return document.querySelectorAll('#phones .phone').length === 2")
        await browser.click("#phones .group li:nth-child(2) .phone")
        await browser.until("return document.getElementById('bot-name').textContent === 'Night Desk'")
        assert await browser.run(MINE) == []
        await browser.type("#text", "to the second" + ENTER)
        await browser.bubble("theirs", "You said to the second")
        numbers = [value["metadata"]["phone_number_id"] for value in bot.values]
        assert numbers[0] == emulator.credentials.phone_number_id != numbers[1]

        await bot.send(to=TO, type="text", text={"body": "one"})
        await bot.send(to=TO, type="text", text={"body": "two"})
        await browser.until("return document.querySelector('#phones .badge')?.textContent === '2'")
        await browser.click("#phones .phone")
        await browser.bubble("theirs", "two")
        assert await browser.run(MINE) == ["to the first"]
        await browser.until("return !document.querySelector('#phones .badge')")
        assert await browser.complaints() == []


async def test_a_username_instead_of_a_number() -> None:
    """A phone without a number is added on the page; the bot gets a user id, no number, and its answer arrives."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.click("#add-phone")
        await browser.type("#sheet [name=name]", "Ana")
        await browser.run("document.querySelector('#sheet input[value=username]').click()")
        await browser.type("#sheet [name=username]", "@ana.writes" + ENTER)
        await browser.until("return document.getElementById('mine').textContent.includes('@ana.writes')")
        await browser.type("#text", "Hello" + ENTER)
        await browser.bubble("theirs", "You said Hello")
        message, contact = bot.messages[-1], bot.values[-1]["contacts"][0]
        assert "from" not in message
        assert "wa_id" not in contact
        assert contact["profile"]["username"] == "ana.writes"
        assert message["from_user_id"] == contact["user_id"]
        await browser.click("#mine")
        assert message["from_user_id"] in await browser.run("return document.querySelector('.facts').textContent")
        assert await browser.complaints() == []


async def test_a_number_change_and_a_phone_forgotten() -> None:
    """With a new number a person keeps the chat, and the bot is told; a forgotten phone is gone with its chats."""
    async with world() as (emulator, bot), chromium() as browser:
        emulator.add_phone("15550107777", "Mira")
        await browser.open(emulator.page_url)
        await browser.type("#text", "Hello" + ENTER)
        await browser.bubble("theirs", "You said Hello")
        await browser.click("#mine")
        await browser.run("document.querySelector('#sheet [name=phone]').value = '+31 6 99998888'")
        await browser.click("#sheet .primary")
        await browser.until("return document.querySelector('[data-type=system]')")
        changed = await bot.got("system")
        assert changed["system"]["wa_id"] == "31699998888"
        await browser.type("#text", "Same chat" + ENTER)
        await browser.bubble("theirs", "You said Same chat")
        assert bot.messages[-1]["from"] == "31699998888"
        assert await browser.run(MINE) == ["Hello", changed["system"]["body"], "Same chat"]
        await browser.click("#mine")
        await browser.click("#sheet .danger")
        await browser.click("#sheet .danger")
        await browser.until("return document.querySelectorAll('#phones .phone').length === 1")
        await browser.until("return document.getElementById('mine').textContent.includes('Mira')")
        assert await browser.run("return document.querySelector('.hello') !== null")
        await browser.click("#mine")
        await browser.click("#sheet .danger")
        await browser.click("#sheet .danger")
        await browser.until("return document.getElementById('chat').hidden")
        await browser.click("#add-phone")
        await browser.type("#sheet [name=name]", "Ana" + ENTER)
        await browser.until("return document.getElementById('mine').textContent.includes('Ana')")
        await browser.type("#text", "I am new" + ENTER)
        await browser.bubble("theirs", "You said I am new")
        assert await browser.complaints() == []


async def test_wrong_and_missing_token() -> None:
    """Without the right token the page says what to do, and shows nothing else."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.graph_url + "/")
        gate = "return !document.getElementById('gate').hidden && document.getElementById('gate').textContent"
        assert "needs its whole address" in await browser.until(gate)
        await browser.open(emulator.graph_url + "/#token=wrong")
        await browser.until(f"return ({gate.removeprefix('return ')} || '').includes('out of date')")
        assert await browser.run("return document.getElementById('app').hidden")
        await browser.open(emulator.page_url)
        await browser.until("return !document.getElementById('app').hidden && document.querySelector('.phone')")
        await browser.open(emulator.graph_url + "/")
        await browser.until("return document.querySelector('.phone')")


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
async def test_fits_the_screen(size: tuple[int, int]) -> None:
    """At phone and desktop width the page itself never scrolls; the list and the drawer are one step away."""
    narrow = size[0] < 761
    async with world() as (emulator, _), chromium(*size, phone=narrow) as browser:
        emulator.add_phone("15550107777", "A person with quite a long name, longer than the list is wide")
        await browser.open(emulator.page_url)
        for text in ("x" * 500, "wait", "https://example.com/" + "y" * 300):
            await emulator.say(text)
        await browser.until("return document.querySelectorAll('.message .bubble').length >= 5")
        assert not await browser.run(SCROLLS)
        assert await browser.run(
            "const log = document.getElementById('log'); return log.scrollWidth <= log.clientWidth"
        )
        if narrow:
            await browser.click("#back")
        await browser.click("#phones li:first-child button")
        await browser.run("document.querySelector('[data-side=mine] .icon-inspect').parentElement.click()")
        await browser.until("return document.querySelector('#drawer .fold')")
        assert not await browser.run(SCROLLS)
        wide = await browser.run("return document.getElementById('drawer').offsetWidth")
        assert (wide == size[0], await browser.run("return document.getElementById('chat').inert")) == (narrow, narrow)
        await browser.press(ESCAPE)
        assert await browser.run("return document.getElementById('drawer').hidden")
        assert not await browser.run("return document.getElementById('chat').inert")
        await browser.click("#mine")
        await browser.until("return document.getElementById('sheet').open")
        await browser.press(ESCAPE)
        if narrow:
            await browser.click("#back")
        await browser.click("#phones li:nth-child(2) button")
        await browser.until("return document.querySelector('.hello')")
        assert not await browser.run(SCROLLS)


async def test_keyboard_and_screen_reader() -> None:
    """The log is announced, everything has a name, the menu is worked by keys, Escape gives the focus back."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "menu" + ENTER)
        await browser.until("return document.querySelector('.option')")
        assert await browser.run("return document.getElementById('log').getAttribute('role')") == "log"
        nameless = """return [...document.querySelectorAll('button, input, textarea, [role=img]')]
            .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length || e.hidden))
            .map((e) => e.outerHTML)"""
        assert await browser.run(nameless) == []
        await browser.run("document.getElementById('attach').focus()")
        await browser.type("#attach", ENTER)
        assert await browser.run("return document.activeElement.textContent") == "Photo or video"
        await browser.type("#menu [data-name=photo]", DOWN)
        assert await browser.run("return document.activeElement.textContent") == "Document"
        await browser.type("#menu [data-name=file]", ESCAPE)
        assert await browser.run("return document.activeElement.id") == "attach"
        await browser.type(".option", ENTER)
        assert await browser.until("return document.getElementById('sheet').open")
        await browser.type("#sheet .choice", ESCAPE)
        assert await browser.run("return document.activeElement.className") == "option"
        assert json.loads(await browser.run("return JSON.stringify(document.title)")) == "Corner Bakery"


async def test_by_keyboard_alone() -> None:
    """A chat is chosen, a message written, the drawer opened, read and closed, without a pointer."""
    async with world() as (emulator, _), chromium() as browser:
        emulator.add_phone("15550107777", "Mira")
        await browser.open(emulator.page_url)
        await browser.until("return document.activeElement.id === 'text'")
        await browser.run("document.getElementById('add-phone').focus()")
        for _ in range(2):
            await browser.press(TAB)
        assert await browser.run("return document.activeElement.textContent.includes('Mira')")
        await browser.press(ENTER)
        await browser.until("return document.getElementById('mine').textContent.includes('Mira')")
        assert await browser.focused() == "text"
        await browser.press("Hi" + ENTER)
        await browser.bubble("theirs", "You said Hi")
        await browser.press(UP)
        label = await browser.run("return document.activeElement.getAttribute('aria-label')")
        assert "Corner Bakery" in label
        assert "You said Hi" in label
        await browser.press(UP)
        assert "You," in await browser.run("return document.activeElement.getAttribute('aria-label')")
        await browser.press(ENTER)
        await browser.until("return document.querySelector('#drawer .fold')")
        assert await browser.focused() == "drawer-title"
        await browser.press(TAB + TAB)
        assert await browser.focused() == "tab-webhook"
        await browser.press(RIGHT + RIGHT)
        assert await browser.focused() == "tab-graph"
        assert await browser.run("return document.querySelector('#drawer .panel').textContent.includes('Send')")
        await browser.press(ESCAPE)
        assert await browser.run("return document.getElementById('drawer').hidden")
        assert "You," in await browser.run("return document.activeElement.getAttribute('aria-label')")
        await browser.press(DOWN + "r")
        assert await browser.focused() == "text"
        assert await browser.run("return !document.getElementById('replying').hidden")
