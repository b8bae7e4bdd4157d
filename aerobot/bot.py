"""The public API for people's bots: what a handler is given, what it may return, and a small router.

from aerobot.bot import Buttons, Turn

def reply(turn: Turn):
    return Buttons(f"You said: {turn.text}", ["Yes", "No"])
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from aerobot.errors import AerobotError
from aerobot.whatsapp.messages import (
    Attachment,
    Audio,
    Button,
    Buttons,
    Contact,
    Document,
    Identity,
    Image,
    Link,
    List,
    Location,
    LocationRequest,
    Message,
    Place,
    Reaction,
    Reply,
    ReplyError,
    Row,
    Section,
    Sticker,
    Template,
    Text,
    Video,
)

__all__ = [
    "Answer",
    "Attachment",
    "Audio",
    "Button",
    "Buttons",
    "Contact",
    "Conversation",
    "Document",
    "Handler",
    "Identity",
    "Image",
    "Link",
    "List",
    "Location",
    "LocationRequest",
    "Message",
    "Place",
    "Reaction",
    "Reply",
    "ReplyError",
    "Router",
    "Row",
    "Said",
    "Section",
    "Sticker",
    "Template",
    "Text",
    "Turn",
    "Video",
    "replies",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One entry of the history: ``role`` is ``user`` or ``bot``, ``text`` what was really said."""

    role: str
    text: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One user of one bot. ``id`` is stable; ``phone`` (digits) is empty for users known by username alone."""

    id: int
    bot_id: str
    name: str = ""
    phone: str = ""
    user_id: str = ""
    channel: str = "whatsapp"
    is_new: bool = False


def _no_media(_: Attachment) -> Future[bytes]:
    raise AerobotError("Media cannot be opened here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a bot is asked about: one message, or several where ``serve.debounce_ms`` joins them.

    ``text`` is all of their texts, one a line; ``history`` is what was said before, oldest first;
    ``window_closes_at`` is when free-form answers end (milliseconds since 1970, ``None`` if unknown).
    """

    messages: tuple[Message, ...]
    conversation: Conversation
    history: tuple[Said, ...] = ()
    system_prompt: str = ""
    window_closes_at: int | None = None
    id: int = 0
    opener: Callable[[Attachment], Future[bytes]] = field(default=_no_media, repr=False)

    @property
    def text(self) -> str:
        """The texts of the messages, one a line."""
        return "\n".join(message.text for message in self.messages)

    @property
    def message(self) -> Message:
        """The last message."""
        return self.messages[-1]

    async def open(self, attachment: Attachment) -> bytes:
        """The bytes of an attachment, from Meta (at most 100 MB); ``AerobotError`` where it is gone."""
        return await asyncio.wrap_future(self.opener(attachment))

    def read(self, attachment: Attachment) -> bytes:
        """The same for handlers that are not async: it blocks until the bytes are there."""
        return self.opener(attachment).result()


Answer = str | Reply | Iterable[str | Reply] | None
"""What a handler may return: text, one reply, several, or nothing."""

Handler = Callable[[Turn], Answer | Awaitable[Answer]]


def replies(answer: object) -> tuple[Reply, ...]:
    """What a handler returned, as replies; empty text is nothing. ``ReplyError`` names what cannot be said."""
    if answer is None:
        return ()
    if isinstance(answer, str):
        return (Text(answer),) if answer.strip() else ()
    if isinstance(answer, Reply):
        return (answer,)
    if isinstance(answer, Iterable) and not isinstance(answer, bytes | dict):
        return tuple(reply for item in answer for reply in replies(item))
    raise ReplyError(
        f"A bot returns text, replies or nothing, not {type(answer).__name__}",
        "See aerobot.bot: Text, Buttons, List, Image ...",
    )


class Router:
    """Chooses a handler by what was said; the first that fits answers, ``otherwise`` if none does.

    router = Router()

    @router.on("help", "menu")          # these texts, or a tapped button with this id or title
    def menu(turn): ...

    @router.matching(r"order (\\d+)")    # anywhere in the text
    def order(turn): ...

    @router.kind("image", "document")
    def file(turn): ...

    @router.otherwise
    def anything(turn): ...
    """

    def __init__(self) -> None:
        self._rules: list[tuple[Callable[[Message], bool], Handler]] = []
        self._otherwise: Handler | None = None

    def on(self, *texts: str) -> Callable[[Handler], Handler]:
        """For these texts, without regard to case and outer white space, or a choice with that id."""
        wanted = {text.strip().casefold() for text in texts}
        return self._rule(lambda m: m.text.strip().casefold() in wanted or m.choice.casefold() in wanted)

    def matching(self, pattern: str) -> Callable[[Handler], Handler]:
        """For texts in which the regular expression is found, without regard to case."""
        compiled = re.compile(pattern, re.IGNORECASE)
        return self._rule(lambda m: compiled.search(m.text) is not None)

    def kind(self, *kinds: str) -> Callable[[Handler], Handler]:
        """For these kinds of message, in WhatsApp's words: text, image, location ..."""
        return self._rule(lambda m: m.kind in kinds)

    def otherwise(self, handler: Handler) -> Handler:
        """For everything else."""
        self._otherwise = handler
        return handler

    def _rule(self, fits: Callable[[Message], bool]) -> Callable[[Handler], Handler]:
        def keep(handler: Handler) -> Handler:
            self._rules.append((fits, handler))
            return handler

        return keep

    def handler_for(self, turn: Turn) -> Handler | None:
        """The handler that answers this turn."""
        return next((handler for fits, handler in self._rules if fits(turn.message)), self._otherwise)

    async def __call__(self, turn: Turn) -> Sequence[Reply]:
        handler = self.handler_for(turn)
        if handler is None:
            return ()
        answer = handler(turn)
        return replies(await answer if inspect.isawaitable(answer) else answer)
