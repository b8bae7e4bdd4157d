"""The emulated world: the users and their phones, their chats with every business number, who is looking.

State only: nothing here sends anything or waits; what happens is written to the journal.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice, takewhile
from typing import Any, Final

from aerobot.emulator.bubble import RANKS, Bubble
from aerobot.emulator.clock import Clock
from aerobot.emulator.credentials import pretty
from aerobot.emulator.journal import Journal
from aerobot.emulator.webhooks import Sender, scoped_id

KEPT: Final = 20_000
"""Messages kept in memory; beyond it the oldest go."""
TYPING_SECONDS: Final = 25
"""A typing indicator ends with the reply, or after this (Meta: Typing indicators)."""
WINDOW: Final = 86_400
"""Seconds for which a user's message opens the session window (Meta: Customer service windows)."""
SILENT: Final = ("system", "request_welcome")
"""Inbound types that open no window: nobody wrote them."""

DEFAULT = Sender(phone="15550123456", name="Alex Rivera")
"""The user whose phone is there from the start; a fictional number."""


@dataclass(slots=True, kw_only=True)
class Chat:
    """Between one phone and one number.

    ``written_at``: when the user last wrote, in seconds since 1970. ``for_business`` are the messages that the
    business has not read, ``for_person`` those that were delivered and not read, oldest first.
    """

    written_at: float | None = None
    typing_until: float = 0.0
    for_business: list[str] = field(default_factory=list)
    for_person: dict[str, None] = field(default_factory=dict)


def key_of(user: Sender) -> str:
    """By what a user's chats are found: the number in digits, else the business-scoped id."""
    return user.phone or user.user_id


class World:
    """Everything that the phones show. Users are found by number in digits or by user id."""

    def __init__(self, *, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._users: dict[str, Sender] = {}
        self._bubbles: dict[str, Bubble] = {}
        self._chats: dict[tuple[str, str], Chat] = {}
        self._open: dict[str, tuple[str, str]] = {}
        self.viewers: set[str] = set()

    # -- users --

    def add_user(self, user: Sender) -> Sender:
        """Add a user, or change the name of one who is there; who has no business-scoped id gets one."""
        user = replace(user, user_id=user.user_id or scoped_id(user.phone))
        self._users[key_of(user)] = user
        self._journal.add("phone", **_shown(user))
        return user

    def user(self, key: str) -> Sender:
        """The user of a number or user id; made on first sight."""
        found = self._users.get(key)
        if found is not None:
            return found
        phone = key if key.isdigit() else ""
        name = f"Guest {key[-4:]}"
        return self.add_user(Sender(phone=phone, name=name, user_id="" if phone else key))

    def by_user_id(self, user_id: str) -> str:
        """The key of the user with this business-scoped id; the id itself for one who is new."""
        return next((key for key, user in self._users.items() if user.user_id == user_id), user_id)

    def knows(self, key: str) -> bool:
        """Whether this number or user id has a phone here."""
        return key in self._users

    def remove_user(self, key: str) -> None:
        """Forget a phone and its chats."""
        self._users.pop(key, None)
        self._bubbles = {wamid: bubble for wamid, bubble in self._bubbles.items() if bubble.phone != key}
        self._chats = {chat: state for chat, state in self._chats.items() if chat[0] != key}
        self._journal.add("phone_gone", phone=key)

    def change_number(self, key: str, phone: str) -> Sender:
        """A user takes another number; the chats go along. The user as they are then."""
        user = replace(self._users.pop(key), phone=phone)
        self._users[phone] = user
        moved = {
            wamid: replace(bubble, phone=phone) if bubble.phone == key else bubble
            for wamid, bubble in self._bubbles.items()
        }
        self._bubbles = moved
        self._chats = {(phone if chat[0] == key else chat[0], chat[1]): state for chat, state in self._chats.items()}
        self._journal.add("phone_changed", old=key, **_shown(user))
        return user

    def numbers_of(self, key: str) -> list[str]:
        """The business numbers that this phone has a chat with."""
        return [number for phone, number in self._chats if phone == key]

    # -- messages --

    def show(self, bubble: Bubble, *, client: str = "") -> None:
        """A message appears in its chat. ``client`` is the page's own name for what it has just sent."""
        if bubble.type == "reaction" and isinstance(bubble.content, Mapping):
            self._react(bubble.content, bubble.direction)
        self._bubbles[bubble.id] = bubble
        if len(self._bubbles) > KEPT:
            del self._bubbles[next(iter(self._bubbles))]
        chat = self._chat(bubble.chat)
        if bubble.direction == "out":
            chat.typing_until = 0.0
        else:
            chat.for_business.append(bubble.id)
            del chat.for_business[:-KEPT]
        self._journal.add(
            "message",
            direction=bubble.direction,
            wamid=bubble.id,
            type=bubble.type,
            text=bubble.text,
            phone=bubble.phone,
            number=bubble.number,
            client=client,
            message=bubble.document(),
        )
        if bubble.direction == "in" and bubble.type not in SILENT:
            self._open_window(bubble.chat, chat)

    def _chat(self, key: tuple[str, str]) -> Chat:
        return self._chats.setdefault(key, Chat())

    def _react(self, content: Mapping[str, object], who: str) -> None:
        target = self._bubbles.get(str(content.get("message_id")))
        if target is None:
            return
        others = {side: emoji for side, emoji in target.reactions.items() if side != who}
        emoji = str(content.get("emoji") or "")
        self._bubbles[target.id] = replace(target, reactions=others | ({who: emoji} if emoji else {}))

    def bubble(self, wamid: str) -> Bubble | None:
        """The message with this id, if it is (still) here."""
        return self._bubbles.get(wamid)

    def bubbles(self, phone: str = "", number: str = "") -> list[Bubble]:
        """The messages, oldest first; of one phone, of one number, or all."""
        found = self._bubbles.values()
        return [b for b in found if phone in ("", b.phone) and number in ("", b.number)]

    def chosen(self, wamid: str, choice: str) -> None:
        """A button or row below this message was tapped."""
        if (found := self._bubbles.get(wamid)) is not None:
            self._bubbles[wamid] = replace(found, chosen=choice)

    def attach(self, wamid: str, media: str) -> None:
        """The file of a message that was sent as a link has been fetched."""
        if (found := self._bubbles.get(wamid)) is not None:
            self._bubbles[wamid] = replace(found, media=media)
            self._journal.add("media", wamid=wamid, phone=found.phone, media=media)

    def tick(self, wamid: str, status: str, error: Mapping[str, object] | None = None) -> bool:
        """Move a message along sent < delivered < read; false if it was there already or has failed."""
        found = self._bubbles.get(wamid)
        if found is None or RANKS[found.status] >= RANKS[status]:
            return False
        self._bubbles[wamid] = replace(found, status=status, error=error)
        if found.direction == "out":
            waiting = self._chat(found.chat).for_person
            waiting.pop(wamid, None)
            if status == "delivered":
                waiting[wamid] = None
        fields = {"error": dict(error)} if error else {}
        self._journal.add("tick", wamid=wamid, status=status, phone=found.phone, number=found.number, **fields)
        return True

    # -- the session window --

    def _open_window(self, key: tuple[str, str], chat: Chat) -> None:
        chat.written_at = self._clock()
        until = int((chat.written_at + WINDOW) * 1000)
        self._journal.add("window", phone=key[0], number=key[1], until=until)

    def window_open(self, phone: str, number: str) -> bool:
        """Whether the user wrote to this number within 24 hours."""
        chat = self._chats.get((phone, number))
        return chat is not None and chat.written_at is not None and self._clock() < chat.written_at + WINDOW

    # -- what the business does to a chat --

    def business_read(self, wamid: str) -> None:
        """The business read this message and so the earlier ones of that chat."""
        target = self._bubbles.get(wamid)
        waiting = self._chat(target.chat).for_business if target else []
        if wamid in waiting:
            place = waiting.index(wamid) + 1
            for earlier in waiting[:place]:
                self.tick(earlier, "read")
            del waiting[:place]

    def business_types(self, wamid: str) -> None:
        """The business is typing in the chat of this message."""
        if (found := self._bubbles.get(wamid)) is not None:
            self._chat(found.chat).typing_until = self._clock() + TYPING_SECONDS
            self._journal.add("typing", phone=found.phone, number=found.number, seconds=TYPING_SECONDS)

    # -- what a person does to a chat --

    def look(self, viewer: str, phone: str, number: str = "") -> None:
        """A page shows this chat now; none where ``phone`` is empty."""
        self._open.pop(viewer, None)
        if phone:
            self._open[viewer] = (phone, number)

    def looked_at(self, chat: tuple[str, str]) -> bool:
        """Whether some page shows this chat now."""
        return chat in self._open.values()

    @property
    def watched(self) -> bool:
        """Whether somebody has the page open, at whichever chat."""
        return bool(self.viewers)

    def unread(self, phone: str, number: str) -> list[Bubble]:
        """What the bot said that arrived in this chat and was not read."""
        chat = self._chats.get((phone, number))
        return [self._bubbles[wamid] for wamid in chat.for_person if wamid in self._bubbles] if chat else []

    # -- all of it --

    def document(self, recent: int | None = None) -> dict[str, object]:
        """For a page that has just been opened; ``recent`` messages of each chat (default: all)."""
        now = self._clock()
        windows, typing = [], []
        for (phone, number), chat in self._chats.items():
            if chat.written_at is not None:
                until = int((chat.written_at + WINDOW) * 1000)
                windows.append({"phone": phone, "number": number, "until": until})
            if chat.typing_until > now:
                typing.append({"phone": phone, "number": number, "seconds": round(chat.typing_until - now, 1)})
        phones = [_shown(user) for user in self._users.values()]
        messages = [bubble.document() for bubble in self._latest(recent)]
        return {"phones": phones, "messages": messages, "windows": windows, "typing": typing}

    def _latest(self, recent: int | None) -> Iterable[Bubble]:
        if recent is None:
            return self._bubbles.values()
        seen: dict[tuple[str, str], int] = {}
        found: deque[Bubble] = deque()
        for bubble in reversed(self._bubbles.values()):
            count = seen[bubble.chat] = seen.get(bubble.chat, 0) + 1
            if count <= recent:
                found.appendleft(bubble)
        return found

    def before(self, wamid: str, count: int) -> list[Bubble]:
        """Up to ``count`` messages of the same chat before this one, oldest first."""
        target = self._bubbles.get(wamid)
        if target is None:
            return []
        earlier = takewhile(lambda bubble: bubble.id != wamid, self.bubbles(*target.chat))
        return list(deque(earlier, maxlen=count))

    def kept(self) -> dict[str, Any]:
        """All that has to be kept, as JSON."""
        chats = [
            {"phone": phone, "number": number, "written_at": chat.written_at, "for_business": chat.for_business}
            for (phone, number), chat in self._chats.items()
        ]
        users = [asdict(user) for user in self._users.values()]
        return {"users": users, "bubbles": [b.document() for b in self._bubbles.values()], "chats": chats}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take in what ``kept`` gave. Raises ``ValueError``, ``TypeError`` or ``KeyError`` for anything else."""
        for user in kept["users"]:
            if not all(isinstance(value, str) for value in user.values()):
                raise TypeError("a user has another form")
            self.add_user(Sender(**user))
        for document in islice(kept["bubbles"], KEPT):
            bubble = Bubble.kept(document)
            self._bubbles[bubble.id] = bubble
            if bubble.direction == "out" and bubble.status == "delivered":
                self._chat(bubble.chat).for_person[bubble.id] = None
        for found in kept["chats"]:
            chat = self._chat((str(found["phone"]), str(found["number"])))
            chat.written_at = None if found["written_at"] is None else float(found["written_at"])
            chat.for_business = [str(wamid) for wamid in found["for_business"]]


def _shown(user: Sender) -> dict[str, str]:
    number = pretty(user.phone) if user.phone else f"@{user.username}" if user.username else user.user_id
    return {
        "phone": key_of(user), "name": user.name, "number": number, "username": user.username, "user_id": user.user_id,
    }  # fmt: skip
