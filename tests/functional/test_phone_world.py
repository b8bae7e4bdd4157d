"""Behind the page, in a real Chromium: drawer, switches, lost connections, hostile words and very many of them."""

import asyncio
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from aerobot.emulator.templates import Template
from tests.answering import world
from tests.browser import ENTER, ESCAPE, FOREIGN, Browser, chromium, need_browser

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
TO = "+15550123456"
PANEL = "return document.querySelector('#drawer .panel').textContent"
LOOKED = "return !['', 'Looking…'].includes(document.querySelector('#drawer .panel').textContent)"


@pytest.fixture(autouse=True)
def _browser() -> None:
    need_browser()


async def inspect(browser: Browser, side: str, place: int = -1) -> None:
    """Open the drawer of a message on this side, the last one or another."""
    messages = f"[...document.querySelectorAll('[data-side={side}]:not(.typing)')]"
    await browser.run(f"{messages}.at({place}).querySelector('.icon-inspect').parentElement.click()")
    await browser.until(LOOKED)


async def shows(browser: Browser, tab: str, *words: str) -> str:
    """Wait until a tab of the drawer shows these words; all that it shows, with everything unfolded."""
    await browser.click(f"#tab-{tab}")
    found = "const shown = document.querySelector('#drawer .panel').textContent;"
    await browser.until(f"{found} return arguments[0].every((words) => shown.includes(words))", words)
    await browser.run("document.querySelectorAll('#drawer details').forEach((one) => { one.open = true })")
    return str(await browser.run(PANEL))


async def test_the_drawer_of_a_written_message() -> None:
    """The exact signed bytes, the attempt with its headers, the calls that answered it, and when it was read."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "Grüße 🎉" + ENTER)
        await browser.bubble("theirs", "You said Grüße 🎉")
        await inspect(browser, "mine")
        assert "Grüße 🎉" in await shows(browser, "webhook", "X-Hub-Signature-256")
        await browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        await browser.click("#drawer [aria-pressed]")
        sent = await browser.run("return document.querySelector('#drawer .raw').textContent")
        secret = emulator.credentials.app_secret.encode()
        digest = hmac.new(secret, sent.encode(), hashlib.sha256).hexdigest()
        assert await browser.run("return document.querySelector('.signed code').textContent") == f"sha256={digest}"
        await browser.click("#drawer .body-head .small:last-child")
        await browser.until("return document.querySelector('#drawer .body-head').textContent.includes('Copied')")
        assert await browser.clipboard() == sent
        shown = await shows(browser, "attempts", "#1", "200")
        assert f"sha256={digest}" in shown
        assert "Content-Type" in shown
        shown = await shows(browser, "graph", "Read, typing", "Send interactive")
        assert "typing_indicator" in shown
        assert "You said *Grüße 🎉*" in shown
        await shows(browser, "receipts", "Written on the phone", "Taken by the bot’s webhook", "Read by the bot")
        assert await browser.complaints() == []


async def test_the_drawer_of_an_answer() -> None:
    """The call that made it, and one delivery for each receipt, which come in while the drawer is open."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "wait" + ENTER)
        await browser.bubble("mine", "wait")
        emulator.settle(hold=True)
        await bot.send(to=TO, type="text", text={"body": "Here I am"})
        await browser.bubble("theirs", "Here I am")
        await inspect(browser, "theirs")
        assert '"body": "Here I am"' in await shows(browser, "graph", "Send text", "200")
        await shows(browser, "webhook", "Webhooks are held")
        await shows(browser, "receipts", "Accepted by Graph")
        await browser.until("return document.querySelector('.strip').textContent.includes('waiting')")
        await browser.click("#strip .chip .round")
        await browser.until("return document.getElementById('strip').hidden")
        await browser.until("return document.querySelectorAll('.timeline li[data-mood=good]').length === 2")
        assert [status["status"] for status in bot.statuses] == ["sent", "read"], "who looks at a chat reads at once"
        shown = await shows(browser, "webhook", "Receipt: sent", "Receipt: read")
        assert shown.count('"recipient_id": ') == 2


async def test_a_webhook_that_fails_is_delivered_again() -> None:
    """Each attempt with its answer and the time of the next one; Redeliver tries at once."""
    async with world() as (emulator, bot), chromium() as browser:
        emulator.settle(retries=[3600])
        bot.broken = 500
        await browser.open(emulator.page_url)
        await browser.type("#text", "Hello" + ENTER)
        await browser.until("return document.getElementById('notice').textContent.includes('500')")
        await inspect(browser, "mine")
        shown = await shows(browser, "attempts", "500", "Next try in ", "retrying")
        assert "The bot is broken." in shown
        bot.broken = 0
        await browser.click("#drawer .again")
        await shows(browser, "attempts", "#2", "delivered")
        await browser.bubble("theirs", "You said Hello")
        await browser.until("return document.getElementById('notice').hidden")


async def test_an_armed_fault_shows_until_it_is_used() -> None:
    """A fault armed on the page stands above the chat, spoils so many calls, and is gone with the last one."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "wait" + ENTER)
        await browser.click("#world")
        await browser.type("#sheet [name=name]", "spam_limited")
        await browser.run("document.querySelector('#sheet [name=times]').value = 2")
        await browser.click("#sheet .arm .primary")
        await browser.until("return document.querySelector('#sheet .armed').textContent.includes('spam_limited')")
        await browser.type("#sheet .arm .primary", ESCAPE)
        await browser.until("return document.getElementById('strip').textContent === 'spam_limited × 2'")
        await bot.send(expect=400, to=TO, type="text", text={"body": "one"})
        await browser.until("return document.getElementById('strip').textContent === 'spam_limited'")
        await bot.send(expect=400, to=TO, type="text", text={"body": "two"})
        await browser.until("return document.getElementById('strip').hidden")
        await bot.send(to=TO, type="text", text={"body": "three"})
        await browser.bubble("theirs", "three")
        emulator.arm("slow", call="media")
        await browser.until("return document.getElementById('strip').textContent === 'slow on media'")
        await browser.click("#strip [aria-label='Disarm slow']")
        await browser.until("return document.getElementById('strip').hidden")


async def test_a_special_number_is_written_from() -> None:
    """The world lists the numbers that always meet a fault; one is chosen, written from, and its answer fails."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.click("#world")
        await browser.click("#sheet .special summary")
        wanted = (
            "[...document.querySelectorAll('.special .choice')].find((one) => one.textContent.includes('undeliver'))"
        )
        await browser.run(f"{wanted}.click()")
        await browser.until("return document.getElementById('mine').textContent.includes('+1 555-913-1026')")
        await browser.type("#text", "Hi" + ENTER)
        await browser.until("return document.querySelector('.problem')?.textContent.includes('131026')")


async def test_the_clock_moved_on_the_page_closes_the_window() -> None:
    """25 hours on, the window is closed and a free message fails with 131047; back in real time it is open."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "wait" + ENTER)
        await browser.until("return document.getElementById('window').textContent.includes('open')")
        await browser.click("#world")
        await browser.click("#sheet [data-seconds='90000']")
        await browser.until("return document.getElementById('strip').textContent === 'Clock 25 h ahead'")
        assert "closed" in await browser.run("return document.getElementById('window').textContent")
        await bot.send(to=TO, type="text", text={"body": "too late"})
        await browser.until("return document.querySelector('.problem')?.textContent.includes('131047')")
        await browser.press(ESCAPE)
        await browser.click("#strip [aria-label='Back to real time']")
        await browser.until("return document.getElementById('strip').hidden")
        await browser.until("return document.getElementById('window').textContent.includes('open')")
        assert emulator.clock.offset == 0


async def test_a_webhook_connected_on_the_page() -> None:
    """The page connects a webhook, says why where its challenge is not answered, and what waited is delivered."""
    async with world() as (emulator, _), chromium() as browser:
        url = str(emulator.portal.document()["callback"])
        emulator.reset(everything=True)
        await browser.open(emulator.page_url)
        await browser.type("#text", "Anybody?" + ENTER)
        await browser.until("return document.getElementById('notice').textContent.includes('No bot is connected')")
        await browser.click("#world")
        await browser.type("#sheet [name=url]", f"{emulator.graph_url}/nothing" + ENTER)
        await browser.until("return document.querySelector('.sheet-problem')")
        await browser.run("document.querySelector('#sheet [name=url]').select()")
        await browser.press(url + ENTER)
        await browser.until("return document.querySelector('.callback [role=status]').textContent === 'Connected.'")
        await browser.press(ESCAPE)
        await browser.bubble("theirs", "You said Anybody?")


async def test_settings_and_reset_on_the_page() -> None:
    """What is set on the page is set; a reset asks once, forgets everything, and the page goes on."""
    async with world() as (emulator, _), chromium() as browser:
        emulator.add_phone("15550107777", "Mira")
        await browser.open(emulator.page_url)
        await browser.type("#text", "Hello" + ENTER)
        await browser.bubble("theirs", "You said Hello")
        await browser.click("#world")
        await browser.run("document.querySelector('#sheet [value=at_once]').click()")
        await browser.click("#sheet [data-setting=reverse]")
        await browser.run("document.querySelector('#sheet [data-setting=copies]').select()")
        await browser.press("3" + ENTER)
        await browser.until("return document.getElementById('strip').textContent.includes('Each webhook 3 times')")
        settings = emulator.meta.settings
        assert (settings.window, settings.reverse, settings.copies) == ("at_once", True, 3)
        await browser.click("#sheet .danger")
        assert "Forget" in await browser.run("return document.querySelector('#sheet .danger').textContent")
        await browser.click("#sheet .danger")
        await browser.until("return document.querySelectorAll('#phones .phone').length === 1")
        await browser.until("return document.querySelector('.hello') && document.getElementById('strip').hidden")
        await browser.type("#text", "Again" + ENTER)
        await browser.bubble("theirs", "You said Again")
        assert await browser.complaints() == []


async def test_the_world_is_kept_as_a_file(tmp_path: Path) -> None:
    """What the page exports, it imports again: after a reset everything is back, and the chat goes on."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "Hello" + ENTER)
        await browser.bubble("theirs", "You said Hello")
        await browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        await browser.click("#world")
        await browser.run("[...document.querySelectorAll('.way')].find((one) => one.textContent === 'Export').click()")
        kept = tmp_path / "emulator.json"
        async with asyncio.timeout(15):
            while not kept.exists():
                await asyncio.sleep(0.05)
        await browser.press(ESCAPE)
        emulator.reset()
        await browser.until("return document.querySelector('.hello')")
        await browser.click("#world")
        await browser.type("#sheet input[type=file]", str(kept))
        await browser.bubble("theirs", "You said Hello")
        await browser.type("#text", "And on" + ENTER)
        await browser.bubble("theirs", "You said And on")


async def test_nothing_is_lost_while_away() -> None:
    """What happens while the page cannot reach the emulator appears once it can, each message once."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.page_url)
        await emulator.say("before")
        await browser.bubble("mine", "before")
        await browser.network(on=False)
        await browser.run("document.getElementById('text').focus()")
        await browser.type("#text", "not now" + ENTER)
        await browser.until("return document.querySelector('.problem')?.textContent.includes('Not sent')")
        for n in range(50):
            await emulator.say(f"while away {n}")
        await browser.network(on=True)
        await browser.bubble("mine", "while away 49")
        await browser.click(".problem button")
        await browser.bubble("theirs", "You said not now")
        shown = "return [...document.querySelectorAll('[data-side=mine] .words')].map((words) => words.textContent)"
        away = [f"while away {n}" for n in range(50)]
        assert [words for words in await browser.run(shown) if words != "not now"] == ["before", *away]
        assert (await browser.run(shown)).count("not now") == 1


def link(url: str) -> dict[str, Any]:
    """A button that opens an address."""
    action = {"name": "cta_url", "parameters": {"display_text": "Open", "url": url}}
    return {"type": "cta_url", "body": {"text": HOSTILE}, "action": action}


def hostile_template() -> Template:
    """A template whose text, link and buttons are hostile."""
    buttons = [
        {"type": "QUICK_REPLY", "text": HOSTILE},
        {"type": "URL", "text": HOSTILE, "url": "javascript:window.hacked=7//{{1}}"},
        {"type": HOSTILE, "text": HOSTILE},
    ]
    parts = (
        {"type": "HEADER", "format": "TEXT", "text": "{{1}}"},
        {"type": "BODY", "text": HOSTILE + "{{1}}"},
        {"type": "FOOTER", "text": HOSTILE},
        {"type": "BUTTONS", "buttons": buttons},
    )
    return Template(id="1", name="hostile", language="en", status="APPROVED", category="MARKETING", components=parts)


async def test_a_hostile_bot() -> None:
    """Nothing that a message, a person or a webhook says runs as script, makes an element or loads anything."""
    async with world(window="off") as (emulator, bot), chromium() as browser:
        emulator.add_phone("15550107777", HOSTILE, username=HOSTILE)
        emulator.add_bot("15550104599", HOSTILE)
        to = "+15550123456"
        bot.says = HOSTILE
        page = b"<html><script>window.hacked=4;opener&&(opener.hacked=4)</script>"
        pretended = await bot.upload(page, "image/png")
        document = await bot.upload(page, "text/plain")
        text = {"body": f"{HOSTILE} *{HOSTILE}* ```{HOSTILE}```"}
        wamid = await bot.send(to=to, type="text", text=text)
        await bot.send(to=to, type="image", image={"id": pretended, "caption": HOSTILE})
        await bot.send(to=to, type="document", document={"id": document, "filename": HOSTILE})
        place = {"latitude": 1, "longitude": 1, "name": HOSTILE, "address": HOSTILE}
        await bot.send(to=to, type="location", location=place)
        card = {"name": {"formatted_name": HOSTILE}, "phones": [{"phone": HOSTILE}]}
        await bot.send(to=to, type="contacts", contacts=[card])
        await bot.send(to=to, type="contacts", contacts=[{"name": {"formatted_name": "x"}, "phones": 7}])
        reply = {"type": "reply", "reply": {"id": HOSTILE, "title": "<b>bold</b>"}}
        interactive = {"type": "button", "body": {"text": HOSTILE}, "action": {"buttons": [reply]}}
        await bot.send(to=to, type="interactive", interactive=interactive)
        await bot.send(to=to, type="text", text={"body": 'javascript:window.hacked=3 https://x/"onclick="y'})
        await bot.send(to=to, type="interactive", interactive=link("javascript:window.hacked=5"), expect=400)
        await bot.send(to=to, type="interactive", interactive=link(f'https://x/"{HOSTILE}'))
        emulator.portal.put_template(hostile_template())
        value = [{"type": "text", "text": HOSTILE}]
        filled = [{"type": "header", "parameters": value}, {"type": "body", "parameters": value},
                  {"type": "button", "sub_type": "url", "index": "1", "parameters": value}]  # fmt: skip
        template = {"name": "hostile", "language": {"code": "en"}, "components": filled}
        await bot.send(to=to, type="template", template=template)
        await bot.send(to=to, type="reaction", reaction={"message_id": wamid, "emoji": HOSTILE})
        emulator.send_file(page, "text/html", filename=HOSTILE)
        emulator.send_file(b"<svg onload=alert(1)>", "image/svg+xml")
        emulator.act("unsupported", content={"type": HOSTILE})
        ad = {"source_url": "javascript:window.hacked=6", "source_type": HOSTILE, "headline": HOSTILE, "body": HOSTILE}
        emulator.act("text", text="ad", referral={**ad, "image_url": "https://ad.example/a.jpg"})
        emulator.act("system", content={"body": HOSTILE})
        await browser.open(emulator.page_url)
        await browser.until("return document.querySelectorAll('.message').length >= 12")
        await bot.send(to=to, type="text", text={"body": HOSTILE})
        await browser.bubble("theirs", HOSTILE)
        await browser.run("document.querySelectorAll('.option').forEach((option) => option.click())")
        await browser.bubble("mine", "<b>bold</b>")
        await browser.run("document.querySelector('#sheet').close()")
        made = "return document.querySelectorAll('img[src=x], #chat script, #phones img, #drawer img').length"
        said = ""
        for side in ("mine", "theirs"):
            await browser.run(f"document.querySelector('[data-side={side}] .icon-inspect').parentElement.click()")
            await browser.until(LOOKED)
            for name in ("attempts", "graph", "receipts", "webhook"):
                await browser.click(f"#tab-{name}")
                await browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true })")
                assert await browser.run(made) == 0
                said += await browser.run(PANEL)
        assert said.count(HOSTILE) >= 3, "the drawer shows what was said, as text"
        assert await browser.run("return window.hacked ?? null") is None
        strange = "return [...document.querySelectorAll('a[href]')].map((a) => a.protocol)"
        assert set(await browser.run(strange)) <= {"https:", "http:", "blob:"}
        assert await browser.run("return [...document.querySelectorAll('a[href^=blob]')].every((a) => a.download)")
        assert await browser.run(FOREIGN) == []
        assert await browser.complaints() == [], "it tried what the policy forbids"
        shown = "return import('/static/api.js').then((api) => api.media(arguments[0])).then((file) => file.shown)"
        assert await browser.run(shown, pretended) is True
        assert await browser.run(shown, document) is False


async def test_ten_thousand_messages() -> None:
    """However many messages a chat has, little of it is drawn: one can write, scroll back, and stay there."""
    drawn = "return document.querySelectorAll('article').length"
    async with world() as (emulator, _), chromium() as browser:
        emulator.settle(hold=True)
        await browser.open(emulator.page_url)
        await browser.until("return document.querySelector('.hello')")
        for n in range(10_000):
            await emulator.say(f"message {n}")
            if n % 500 == 499:
                await browser.bubble("mine", f"message {n}")
        assert await browser.run(drawn) <= 600
        await browser.type("#text", "Still here" + ENTER)
        await browser.bubble("mine", "Still here")

        await browser.open(emulator.graph_url + "/?again")
        await browser.bubble("mine", "Still here")
        assert await browser.run(drawn) <= 200
        for earlier in ("message 9801", "message 9651"):
            await browser.run("document.getElementById('log').scrollTop = 0")
            await browser.click(".earlier")
            await browser.bubble("mine", earlier)
        await browser.run("document.getElementById('log').scrollTop = 0")
        await browser.until("return !document.getElementById('down').hidden")
        await emulator.say("A later one")
        await browser.bubble("mine", "A later one")
        assert await browser.run("return document.getElementById('log').scrollTop") == 0
        shown = "return [...document.querySelectorAll('[data-side=mine] .words')].map((words) => words.textContent)"
        words = [one for one in await browser.run(shown) if one.startswith("message")]
        assert words == [f"message {n}" for n in range(10_000 - len(words), 10_000)]
