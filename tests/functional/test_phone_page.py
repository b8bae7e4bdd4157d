"""The phone page in a real Chromium: a person writes, taps and reads, and a hostile message stays a message.

Chromium is driven over the W3C WebDriver protocol of chromedriver, spoken here in a few lines.
"""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aerobot.emulator.server import Emulator

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER = "\ue007"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --force-color-profile=srgb"
)
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63fccf50cf0000038201811f6b6f9a0000000049454e44ae426082"
)


def browser_missing() -> str:
    """What to say where there is no browser, or nothing."""
    if shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome")):
        return ""
    return "no Chromium here: apt-get install chromium chromium-driver"


@pytest.fixture(autouse=True)
def _browser() -> None:
    if missing := browser_missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)


class Browser:
    """One tab, driven over WebDriver."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def call(self, method: str, path: str, body: object = None) -> Any:
        async with self.session.request(method, self.base + path, json=body if method == "POST" else None) as response:
            value = (await response.json())["value"]
            assert response.status == 200, value
            return value

    async def open(self, url: str) -> None:
        await self.call("POST", "/url", {"url": url})

    async def run(self, script: str, *arguments: object) -> Any:
        return await self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    async def find(self, css: str) -> str:
        return (await self.call("POST", "/element", {"using": "css selector", "value": css}))[ELEMENT]

    async def type(self, css: str, text: str) -> None:
        await self.call("POST", f"/element/{await self.find(css)}/value", {"text": text})

    async def click(self, css: str) -> None:
        await self.call("POST", f"/element/{await self.find(css)}/click", {})

    async def until(self, script: str, *arguments: object, seconds: float = 15) -> Any:
        """Wait until a script returns something true."""
        async with asyncio.timeout(seconds):
            while not (found := await self.run(script, *arguments)):
                await asyncio.sleep(0.05)
            return found

    async def bubble(self, side: str, words: str) -> Any:
        """Wait for a bubble whose words are exactly these."""
        script = """return [...document.querySelectorAll(`.message[data-side=${arguments[0]}] .words`)]
            .some((found) => found.textContent === arguments[1])"""
        return await self.until(script, side, words)


@asynccontextmanager
async def chromium(width: int = 1280, height: int = 800, *, phone: bool = False) -> AsyncIterator[Browser]:
    """A fresh Chromium with a profile of its own."""
    process = await asyncio.create_subprocess_exec(
        "chromedriver", "--port=0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        try:
            said = ""
            async with asyncio.timeout(20):
                while not (port := re.search(r"successfully on port (\d+)", said)):
                    said = (await process.stdout.readline()).decode()
                    assert said, "chromedriver ended before it listened"
            options: dict[str, object] = {
                "binary": shutil.which("chromium") or shutil.which("google-chrome"),
                "args": [*FLAGS.split(), f"--user-data-dir={profile}", f"--window-size={width},{height}"],
            }
            if phone:
                metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
                options["mobileEmulation"] = {"deviceMetrics": metrics}
            base = f"http://127.0.0.1:{port[1]}/session"
            timeout = aiohttp.ClientTimeout(total=60)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
                async with session.post(base, json=wanted) as response:
                    made = (await response.json())["value"]
                assert "sessionId" in made, made
                browser = Browser(session, f"{base}/{made['sessionId']}")
                try:
                    yield browser
                finally:
                    await browser.call("DELETE", "")
        finally:
            process.terminate()
            await process.communicate()


class Bot:
    """A host in a few lines: reads, types, then answers every message through Graph."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.messages: list[dict[str, Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(text=request.query["hub.challenge"])
        value = (await request.json())["entry"][0]["changes"][0]["value"]
        for message in value.get("messages", []):
            self.messages.append(message)
            self.tasks.add(asyncio.ensure_future(self.answer(message)))
        return web.Response()

    async def send(self, **body: Any) -> str:
        credentials = self.emulator.credentials
        url = f"{self.emulator.graph_url}/v25.0/{credentials.phone_number_id}/messages"
        headers = {"Authorization": f"Bearer {credentials.access_token}"}
        document = {"messaging_product": "whatsapp", **body}
        async with self.session.post(url, json=document, headers=headers) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return str(answer["messages"][0]["id"]) if "messages" in answer else ""

    async def upload(self, data: bytes, mime_type: str) -> str:
        credentials = self.emulator.credentials
        url = f"{self.emulator.graph_url}/v25.0/{credentials.phone_number_id}/media"
        form = aiohttp.FormData({"messaging_product": "whatsapp"})
        form.add_field("file", data, filename="a", content_type=mime_type)
        headers = {"Authorization": f"Bearer {credentials.access_token}"}
        async with self.session.post(url, data=form, headers=headers) as response:
            return str((await response.json())["id"])

    async def answer(self, message: dict[str, Any]) -> None:
        typing = {"status": "read", "message_id": message["id"], "typing_indicator": {"type": "text"}}
        await self.send(**typing)
        to = "+" + message["from"]
        text = message.get("text", {}).get("body", "")
        if text == "wait":
            return
        if text == "menu":
            rows = [{"id": f"r{n}", "title": f"Row {n}", "description": "A row"} for n in range(3)]
            action = {"button": "Open the menu", "sections": [{"title": "All", "rows": rows}]}
            await self.send(
                to=to,
                type="interactive",
                interactive={"type": "list", "body": {"text": "Choose"}, "action": action},
            )
        elif message["type"] == "text":
            titles = ("Yes", "No")
            made = [{"type": "reply", "reply": {"id": f"id-{title}", "title": title}} for title in titles]
            action = {"buttons": made}
            words = {"text": f"You said *{text}*"}
            await self.send(to=to, type="interactive", interactive={"type": "button", "body": words, "action": action})
        else:
            await self.send(to=to, type="text", text={"body": f"Got {said(message)}"})


def said(message: dict[str, Any]) -> str:
    """What a message was about, in a word."""
    content = message[message["type"]]
    if message["type"] == "interactive":
        return str(content[content["type"]]["id"])
    return str(message["type"])


@asynccontextmanager
async def world() -> AsyncIterator[tuple[Emulator, Bot]]:
    """An emulator with a bot behind it."""
    emulator = Emulator(name="Corner Bakery", receipts_delay=0.02)
    await emulator.start(port=0)
    async with aiohttp.ClientSession() as session:
        bot = Bot(emulator, session)
        app = web.Application()
        app.router.add_route("*", "/", bot.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await emulator.connect(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        try:
            yield emulator, bot
        finally:
            await asyncio.gather(*bot.tasks)
            await emulator.stop()
            await runner.cleanup()


SCROLLS = "return document.documentElement.scrollWidth > innerWidth || document.body.scrollHeight > innerHeight"
FOREIGN = "return performance.getEntriesByType('resource').map((e) => e.name).filter((n) => !n.startsWith(origin))"


async def complaints(browser: Browser) -> list[str]:
    """What the page wrote to the browser's console."""
    return [entry["message"] for entry in await browser.call("POST", "/se/log", {"type": "browser"})]


async def test_a_conversation() -> None:
    """What is typed appears with blue ticks, the answer appears, a tapped button is sent and answered."""
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "Hello there" + ENTER)
        await browser.bubble("mine", "Hello there")
        await browser.bubble("theirs", "You said Hello there")
        await browser.until("return document.querySelector('[data-side=mine] .ticks')?.dataset.status === 'read'")
        assert (
            await browser.run("return document.querySelector('[data-side=theirs] strong').textContent") == "Hello there"
        )
        assert await browser.run("return location.href") == emulator.graph_url + "/"

        await browser.click(".option:nth-child(2)")
        await browser.bubble("mine", "No")
        await browser.bubble("theirs", "Got id-No")
        tap = bot.messages[-1]
        assert tap["interactive"] == {"type": "button_reply", "button_reply": {"id": "id-No", "title": "No"}}
        assert tap["context"]["id"] in await browser.run(
            "return [...document.querySelectorAll('[data-side=theirs]')].map((e) => e.dataset.id)"
        )
        await browser.until("return document.querySelector('.option:nth-child(2)').dataset.chosen === 'true'")

        await browser.type("#text", "two\ue008" + ENTER + "\ue008lines" + ENTER)
        await browser.bubble("mine", "two\nlines")
        assert await browser.run(FOREIGN) == []
        assert await complaints(browser) == []


async def test_lists_places_files_and_replies(tmp_path: Any) -> None:
    """A list row, a place, a picture, a reply and a reaction reach the bot as WhatsApp would send them."""
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    async with world() as (emulator, bot), chromium() as browser:
        await browser.open(emulator.page_url)
        await browser.type("#text", "menu" + ENTER)
        await browser.until("return document.querySelector('.option')")
        await browser.click(".option")
        await browser.until("return document.getElementById('sheet').open")
        await browser.click("#sheet section .choice:nth-of-type(2)")
        await browser.bubble("theirs", "Got r1")
        row = {"id": "r1", "title": "Row 1", "description": "A row"}
        assert bot.messages[-1]["interactive"]["list_reply"] == row

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
        headers = {"Authorization": f"Bearer {emulator.credentials.access_token}"}
        async with bot.session.get(image["url"], headers=headers) as response:
            assert await response.read() == PIXEL

        await browser.run("document.querySelector('[data-side=theirs] .handles button').click()")
        await browser.type("#text", "about that" + ENTER)
        await browser.bubble("mine", "about that")
        await browser.until("return document.querySelector('[data-side=mine] .quote')")
        assert bot.messages[-1]["context"]["id"].startswith("wamid.")

        await browser.run("document.querySelectorAll('[data-side=theirs] .handles button')[1].click()")
        await browser.click("#sheet .choice")
        await browser.until("return document.querySelector('.reactions')?.textContent === '👍'")
        await browser.bubble("theirs", "Got reaction")
        assert await complaints(browser) == []


async def test_a_hostile_bot() -> None:
    """No text, name, file name, caption, title, address or media type of a message runs as script."""
    async with world() as (emulator, bot), chromium() as browser:
        emulator.add_phone("15550107777", HOSTILE)
        to = "+15550123456"
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
        template = {"name": HOSTILE, "language": {"code": "<i>"}, "components": [None, 7, {"parameters": "x"}]}
        await bot.send(to=to, type="template", template=template)
        await bot.send(to=to, type="reaction", reaction={"message_id": wamid, "emoji": HOSTILE})
        emulator.send_file(page, "text/html", filename=HOSTILE)
        emulator.send_file(b"<svg onload=alert(1)>", "image/svg+xml")
        emulator.act("unsupported")
        await browser.open(emulator.page_url)
        await browser.until("return document.querySelectorAll('.message').length >= 12")
        await bot.send(to=to, type="text", text={"body": HOSTILE})
        await browser.bubble("theirs", HOSTILE)
        await browser.run("document.querySelectorAll('.option').forEach((option) => option.click())")
        await asyncio.sleep(0.5)
        assert await browser.run("return window.hacked ?? null") is None
        assert (
            await browser.run("return document.querySelectorAll('img[src=x], .message script, #phones img').length")
            == 0
        )
        strange = "return [...document.querySelectorAll('a[href]')].map((a) => a.protocol)"
        assert set(await browser.run(strange)) <= {"https:", "http:", "blob:"}
        assert await browser.run("return [...document.querySelectorAll('a[href^=blob]')].every((a) => a.download)")
        assert not [line for line in await complaints(browser) if "Uncaught" in line]
        shown = "return import('/static/api.js').then((api) => api.media(arguments[0])).then((file) => file.shown)"
        assert await browser.run(shown, pretended) is True
        assert await browser.run(shown, document) is False


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


async def test_nothing_is_lost_while_away() -> None:
    """What happens while the page cannot reach the emulator appears once it can, each message once."""
    async with world() as (emulator, _), chromium() as browser:
        await browser.open(emulator.page_url)
        await emulator.say("before")
        await browser.bubble("mine", "before")
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        network = "Network.emulateNetworkConditions"
        await browser.call("POST", "/goog/cdp/execute", {"cmd": "Network.enable", "params": {}})
        await browser.call("POST", "/goog/cdp/execute", {"cmd": network, "params": offline})
        await browser.run("document.getElementById('text').focus()")
        await browser.type("#text", "not now" + ENTER)
        await browser.until("return document.querySelector('.problem')?.textContent.includes('Not sent')")
        await emulator.say("while away")
        online = offline | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        await browser.call("POST", "/goog/cdp/execute", {"cmd": network, "params": online})
        await browser.bubble("mine", "while away")
        await browser.click(".problem button")
        await browser.bubble("theirs", "You said not now")
        mine = "return [...document.querySelectorAll('[data-side=mine] .words')].map((w) => w.textContent)"
        assert sorted(await browser.run(mine)) == ["before", "not now", "while away"]


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
async def test_fits_the_screen(size: tuple[int, int]) -> None:
    """At phone and desktop width the page itself never scrolls, and the chat list is one step away."""
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
        await browser.type("#menu [data-name=photo]", "\ue015")
        assert await browser.run("return document.activeElement.textContent") == "Document"
        await browser.type("#menu [data-name=file]", "\ue00c")
        assert await browser.run("return document.activeElement.id") == "attach"
        await browser.type(".option", ENTER)
        assert await browser.until("return document.getElementById('sheet').open")
        await browser.type("#sheet .choice", "\ue00c")
        assert await browser.run("return document.activeElement.className") == "option"
        assert json.loads(await browser.run("return JSON.stringify(document.title)")) == "Corner Bakery"
