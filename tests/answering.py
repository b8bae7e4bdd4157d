"""A bot in a few lines behind an emulator, for tests of the phone page: it reads, types, then answers through Graph."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from aerobot.emulator.server import Emulator

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63fccf50cf0000038201811f6b6f9a0000000049454e44ae426082"
)


class Bot:
    """Answers a text with buttons, ``menu`` with a list, ``wait`` never, anything else with what it got.

    ``messages`` are Meta's message objects as they came, ``values`` the change that each stood in; ``statuses`` are
    the receipts. While ``broken`` is set, every webhook gets this HTTP status; ``says`` is the body of each answer.
    """

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.messages: list[dict[str, Any]] = []
        self.values: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.broken = 0
        self.says = ""
        self._bell = asyncio.Event()

    async def got(self, kind: str) -> dict[str, Any]:
        """The first message of this kind, as soon as it is there."""
        async with asyncio.timeout(15):
            while not (found := [message for message in self.messages if message["type"] == kind]):
                self._bell.clear()
                await self._bell.wait()
        return found[0]

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(text=request.query["hub.challenge"])
        if self.broken:
            return web.Response(status=self.broken, text="The bot is broken.")
        body = await request.json()
        for value in (change["value"] for entry in body["entry"] for change in entry["changes"]):
            self.statuses += value.get("statuses", [])
            for message in value.get("messages", []):
                self.messages.append(message)
                self.values.append(value)
                self.tasks.add(asyncio.ensure_future(self.answer(message, value)))
        self._bell.set()
        return web.Response(text=self.says, content_type="text/html")

    async def send(self, number: str = "", expect: int = 200, **body: Any) -> str:
        """Send one message and return its wamid; empty for what makes none, or where a refusal is expected."""
        url = f"{self.emulator.graph_url}/v25.0/{number or self.emulator.credentials.phone_number_id}/messages"
        async with self.session.post(url, json={"messaging_product": "whatsapp", **body}, headers=self.headers) as made:
            answer = await made.json()
            assert made.status == expect, answer
            return str(answer["messages"][0]["id"]) if "messages" in answer else ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What Graph wants."""
        return {"Authorization": f"Bearer {self.emulator.credentials.access_token}"}

    async def upload(self, data: bytes, mime_type: str) -> str:
        """Upload a file and return its media id."""
        url = f"{self.emulator.graph_url}/v25.0/{self.emulator.credentials.phone_number_id}/media"
        form = aiohttp.FormData({"messaging_product": "whatsapp"})
        form.add_field("file", data, filename="a", content_type=mime_type)
        async with self.session.post(url, data=form, headers=self.headers) as made:
            return str((await made.json())["id"])

    async def answer(self, message: dict[str, Any], value: dict[str, Any]) -> None:
        number = value["metadata"]["phone_number_id"]
        typing = {"status": "read", "message_id": message["id"], "typing_indicator": {"type": "text"}}
        await self.send(number, **typing)
        to = {"to": "+" + message["from"]} if "from" in message else {"recipient": message["from_user_id"]}
        words = message.get("text", {}).get("body", "")
        if words == "wait" or message["type"] == "system":
            return
        if words == "menu":
            await self.send(number, **to, type="interactive", interactive=menu())
        elif words == "picture":
            media = await self.upload(PIXEL, "image/png")
            await self.send(number, **to, type="image", image={"id": media, "caption": "One pixel"})
        elif message["type"] == "text":
            await self.send(number, **to, type="interactive", interactive=buttons(f"You said *{words}*", "Yes", "No"))
        else:
            await self.send(number, **to, type="text", text={"body": f"Got {said(message)}"})


def menu() -> dict[str, Any]:
    """A list of three rows."""
    rows = [{"id": f"r{n}", "title": f"Row {n}", "description": "A row"} for n in range(3)]
    action = {"button": "Open the menu", "sections": [{"title": "All", "rows": rows}]}
    return {"type": "list", "body": {"text": "Choose"}, "action": action}


def buttons(words: str, *titles: str) -> dict[str, Any]:
    """A message with buttons, their ids ``id-TITLE``."""
    made = [{"type": "reply", "reply": {"id": f"id-{title}", "title": title}} for title in titles]
    return {"type": "button", "body": {"text": words}, "action": {"buttons": made}}


def said(message: dict[str, Any]) -> str:
    """What a message was about, in a word."""
    content = message.get(message["type"])
    if message["type"] == "interactive":
        return str(content[content["type"]]["id"])
    if message["type"] == "button":
        return str(content["payload"])
    return "voice" if message["type"] == "audio" and content["voice"] else str(message["type"])


@asynccontextmanager
async def world(**wishes: Any) -> AsyncIterator[tuple[Emulator, Bot]]:
    """An emulator with a bot behind it; ``wishes`` go to the emulator."""
    emulator = Emulator(name="Corner Bakery", receipts_delay=0.02, **wishes)
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
            await asyncio.gather(*bot.tasks, return_exceptions=True)
            await emulator.stop()
            await runner.cleanup()
