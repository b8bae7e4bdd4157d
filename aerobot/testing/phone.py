"""The phones that write to the bot: what a person does on one, and what comes back."""

from collections.abc import Mapping

from aerobot.emulator.bubble import Bubble
from aerobot.emulator.person import AD
from aerobot.emulator.phone import DEFAULT
from aerobot.engine import sample
from aerobot.testing.bench import Bench
from aerobot.testing.reply import Reply, shown
from aerobot.testing.stage import Stage
from aerobot.testing.story import Story

SECONDS = 5.0
"""For how long a reply is waited for, where a test does not say."""


class Phone:
    """One person's phone. What is sent returns its wamid at once; ``await phone.reply()`` is what comes back.

    ``number`` is ``+digits``, empty for a person who is known by a username alone; ``key`` is the number in digits
    or the business-scoped id.
    """

    def __init__(self, name: str, key: str, bench: Bench, stage: Stage) -> None:
        self.name = name
        self.key = key
        self.number = f"+{key}" if key.isdigit() else ""
        self._bench = bench
        self._stage = stage
        self._story = Story(bench, name, key)
        self._read: set[str] = set()

    def __repr__(self) -> str:
        return f"<Phone {self.name} {self.number or self.key}>"

    # -- sending ------------------------------------------------------------------------------------------------

    async def send(
        self, text: str, *, reply_to: "Reply | str" = "", forwarded: bool = False, from_ad: bool = False
    ) -> str:
        """Write a text: as an answer to a message (a ``Reply`` or a wamid), forwarded, or after a click on an ad."""
        return await self.act(
            "text",
            text=text,
            about=_wamid(reply_to),
            context={"forwarded": True} if forwarded else None,
            referral=AD if from_ad else None,
        )

    async def send_image(self, data: bytes = b"", *, caption: str = "", mime_type: str = "image/jpeg") -> str:
        """Send a picture; without bytes a small one."""
        return await self.send_file(data or sample("image"), mime_type, caption=caption)

    async def send_voice(self, data: bytes = b"") -> str:
        """Send a voice message (Ogg with Opus); without bytes a short one."""
        return await self.send_file(data or sample("audio"), "audio/ogg; codecs=opus", kind="voice")

    async def send_document(
        self,
        data: bytes = b"",
        *,
        filename: str = "document.pdf",
        caption: str = "",
        mime_type: str = "application/pdf",
    ) -> str:
        """Send a document; without bytes a small PDF."""
        return await self.send_file(
            data or sample("document"), mime_type, kind="document", filename=filename, caption=caption
        )

    async def send_file(
        self, data: bytes, mime_type: str, *, kind: str = "", filename: str = "", caption: str = ""
    ) -> str:
        """Send any file, as ``image``, ``video``, ``audio``, ``voice``, ``document`` or ``sticker``.

        Without ``kind`` its media type decides. The bot opens the very bytes.
        """

        async def sent() -> str:
            return self._bench.emulator.send_file(
                data, mime_type, filename=filename, caption=caption, kind=kind, phone=self.key
            )

        return await self._stage.share(sent())

    async def send_location(self, latitude: float, longitude: float, *, name: str = "", address: str = "") -> str:
        """Share a place, in degrees."""
        place = {"latitude": latitude, "longitude": longitude, "name": name, "address": address}
        return await self.act("location", content=place)

    async def send_contact(self, name: str, phone: str = "") -> str:
        """Share a contact; ``phone`` in any form."""
        digits = "".join(c for c in phone if c.isdigit())
        numbers = [{"phone": phone, "wa_id": digits, "type": "CELL"}] if phone else []
        card = {"name": {"formatted_name": name, "first_name": name.partition(" ")[0]}, "phones": numbers}
        return await self.act("contacts", content=[card])

    async def react(self, emoji: str, *, to: "Reply | str" = "") -> str:
        """React to a message of the bot's (default: its last one); an empty emoji takes the reaction away."""
        __tracebackhide__ = True
        about = _wamid(to) or self._last(self.received).wamid
        return await self.act("reaction" if emoji else "reaction_removed", text=emoji, about=about)

    async def tap(self, title: str, *, on: Reply | None = None) -> str:
        """Tap a button or a row of a list: below ``on``, else below the last message that has this title.

        Raises ``AssertionError`` that names what can be tapped.
        """
        __tracebackhide__ = True
        asked = [on] if on is not None else [reply for reply in self.received if reply.choices]
        found = next((reply for reply in reversed(asked) if title in reply.choices), None)
        if found is None:
            there = ", ".join(repr(choice) for reply in asked for choice in reply.choices)
            raise AssertionError(f"{self.name} cannot tap {title!r}; there is {there or 'nothing to tap'}.")
        choice = {"id": found.choices[title], "title": title}
        if found.type == "template":
            return await self.act("quick_reply", about=found.wamid, content={"text": title, "payload": choice["id"]})
        return await self.act("list" if title in found.rows else "button", about=found.wamid, content=choice)

    async def act(
        self,
        kind: str,
        *,
        text: str | None = None,
        about: str = "",
        content: object = None,
        context: Mapping[str, object] | None = None,
        referral: Mapping[str, object] | None = None,
    ) -> str:
        """Send any other kind (``flow``, ``order``, ``edit``, ``unsupported`` …), its content laid over the usual one.

        Raises ``ValueError`` for an unknown kind, with those that there are.
        """

        async def acted() -> str:
            return self._bench.emulator.act(
                kind, phone=self.key, text=text, about=about, content=content, context=context, referral=referral
            )

        return await self._stage.share(acted())

    # -- what comes back ----------------------------------------------------------------------------------------

    @property
    def received(self) -> tuple[Reply, ...]:
        """Everything that the bot said so far, what failed included."""
        return self._stage.ask(lambda: tuple(self._shown(bubble) for bubble in self._out()))

    async def reply(self, *, timeout: float = SECONDS) -> Reply:
        """The next message of the bot's, in order, each once; what Meta did not deliver is passed over.

        Raises ``AssertionError`` after ``timeout`` seconds, or as soon as it is sure that none comes: it tells what
        the phone shows, what the host said and where the bot failed.
        """
        __tracebackhide__ = True
        found, story = await self._stage.share(self._next(timeout))
        if found is None:
            raise AssertionError(story)
        return found

    async def replies(self, count: int, *, timeout: float = SECONDS) -> list[Reply]:
        """The next so many messages of the bot's; ``timeout`` is for each of them."""
        __tracebackhide__ = True
        found = []
        for number in range(count):
            reply, story = await self._stage.share(self._next(timeout))
            if reply is None:
                raise AssertionError(f"{number} of {count} replies came. {story}")
            found.append(reply)
        return found

    async def silence(self, *, timeout: float = SECONDS) -> None:
        """Wait until the host is done with what was sent. Raises ``AssertionError`` for a reply that was not taken.

        A bot that failed was not silent; that raises too.
        """
        __tracebackhide__ = True
        story = await self._stage.share(self._silent(timeout))
        if story:
            raise AssertionError(story)

    # -- on the stage -------------------------------------------------------------------------------------------

    async def _next(self, timeout: float) -> tuple[Reply | None, str]:
        async def look() -> Bubble | bool | None:
            over = await self._bench.quiet(self.key)
            return self._unread() or (False if over else None)

        found = await self._bench.until(look, timeout)
        if isinstance(found, Bubble):
            self._read.add(found.id)
            return self._shown(found), ""
        return None, await self._story.no_reply("" if found is False else f"within {timeout:g} s")

    async def _silent(self, timeout: float) -> str:
        async def look() -> bool | None:
            return await self._bench.quiet(self.key) or None

        if not await self._bench.until(look, timeout):
            return await self._story.not_done(f"within {timeout:g} s")
        if (said := self._unread()) is not None:
            return await self._story.spoke(said)
        return await self._story.failure()

    def _unread(self) -> Bubble | None:
        """The oldest that no test has taken; nothing while Meta has not made up its mind about it."""
        fresh = (bubble for bubble in self._out() if bubble.id not in self._read and bubble.status != "failed")
        first = next(fresh, None)
        return first if first is not None and first.status != "accepted" else None

    def _out(self) -> list[Bubble]:
        bubbles = self._bench.emulator.meta.world.bubbles(self.key)
        return [bubble for bubble in bubbles if bubble.direction == "out"]

    def _shown(self, bubble: Bubble) -> Reply:
        return shown(bubble, self._bench, self._stage)

    def _last(self, received: tuple[Reply, ...]) -> Reply:
        __tracebackhide__ = True
        if not received:
            raise AssertionError(f"The bot has said nothing to {self.name} yet.")
        return received[-1]


class Phones:
    """All phones: ``default`` is there from the start, ``add`` brings more."""

    def __init__(self, bench: Bench, stage: Stage) -> None:
        self._bench = bench
        self._stage = stage
        self._count = 0
        self.default = Phone(DEFAULT.name, DEFAULT.phone, bench, stage)

    def __repr__(self) -> str:
        return "<Phones>"

    def add(self, name: str, number: str = "", *, username: str = "") -> Phone:
        """Another person: by number in any form, by username alone, or with a fictional number of their own."""
        self._count += 1
        number = number or ("" if username else f"1555014{self._count:04}")
        key = self._stage.ask(lambda: self._bench.emulator.add_phone(number, name, username=username.lstrip("@")))
        return Phone(name, key, self._bench, self._stage)


def _wamid(message: "Reply | str") -> str:
    return message if isinstance(message, str) else message.wamid
