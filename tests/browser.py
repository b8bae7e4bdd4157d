"""A real Chromium for tests, driven over the W3C WebDriver protocol of chromedriver, spoken here in a few lines."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER, ESCAPE, TAB, SHIFT = "\ue007", "\ue00c", "\ue004", "\ue008"
UP, DOWN, LEFT, RIGHT = "\ue013", "\ue015", "\ue012", "\ue014"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --force-color-profile=srgb "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)

MOUSE = "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"
"""A machine without a screen has no mouse either; a desktop has."""
SCROLLS = "return document.documentElement.scrollWidth > innerWidth || document.body.scrollHeight > innerHeight"
"""Whether the page itself scrolls."""
FOREIGN = """return performance.getEntriesByType('resource').map((entry) => entry.name)
    .filter((name) => !name.replace('blob:', '').startsWith(origin))"""
"""What the page loaded from elsewhere; a blob of its own is not."""


def browser_missing() -> str:
    """What to say where there is no browser, or nothing."""
    if shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome")):
        return ""
    return "no Chromium here: apt-get install chromium chromium-driver"


def need_browser() -> None:
    """Skip the test where there is no browser; under CI that is a failure."""
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

    async def press(self, keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        await self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    async def focused(self, what: str = "id") -> Any:
        """A property of the element that has the focus."""
        return await self.run("return document.activeElement[arguments[0]]", what)

    async def command(self, name: str, **parameters: object) -> Any:
        """One command of the DevTools protocol."""
        return await self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    async def clipboard(self) -> str:
        """What was copied."""
        script = "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
        return str(await self.call("POST", "/execute/async", {"script": script, "args": []}))

    async def network(self, *, on: bool) -> None:
        """Cut the page off, or let it through again."""
        speed = -1 if on else 0
        await self.command("Network.enable")
        await self.command(
            "Network.emulateNetworkConditions",
            offline=not on, latency=0, downloadThroughput=speed, uploadThroughput=speed,
        )  # fmt: skip

    async def complaints(self) -> list[str]:
        """What the page wrote to the browser's console since the last time."""
        return [entry["message"] for entry in await self.call("POST", "/se/log", {"type": "browser"})]

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
            own = [f"--user-data-dir={profile}", f"--window-size={width},{height}", *([] if phone else [MOUSE])]
            options: dict[str, object] = {
                "binary": shutil.which("chromium") or shutil.which("google-chrome"),
                "args": [*FLAGS.split(), *own],
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
