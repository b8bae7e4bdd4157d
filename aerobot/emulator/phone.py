"""The emulated world: the users and their phones, their chats with the business, ticks, and who is looking.

State only: nothing here sends anything or waits; what happens is written to the journal.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from aerobot.emulator.credentials import pretty
from aerobot.emulator.journal import Journal
from aerobot.emulator.webhooks import Sender, scoped_id

KEPT = 20_000
"""Messages kept in memory; beyond it the oldest go."""
TYPING_SECONDS = 25
"""A typing indicator ends with the reply, or after this (Meta: Typing indicators)."""
RANKS: Final = {"accepted": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4, "failed": 5}

DEFAULT = Sender(phone="15550123456", name="Alex Rivera")
"""The user whose phone is there from the start; a fictional number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One message as a phone shows it.

    ``phone`` is the number (or user id) whose chat it is in; ``direction`` is the business's view: ``in``
    was written there, ``out`` by the bot. ``at`` is in ms since 1970, ``content`` Meta's object of that
    ``type``, ``media`` the id of its file, ``about`` the wamid it replies to, ``chosen`` the id of the button
    or row that was tapped below it, ``reactions`` who (``in``/``out``) reacted with what.
    """

    id: str
    phone: str
    direction: str
    at: int
    type: str
    text: str
    content: object = None
    about: str = ""
    media: str = ""
    status: str = "accepted"
    error: Mapping[str, object] | None = None
    chosen: str = ""
    reactions: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """For the page."""
        return asdict(self)


def key_of(user: Sender) -> str:
    """By what a user's chat is found: the number in digits, else the business-scoped id."""
    return user.phone or user.user_id


class World:
    """Everything that the phones show. Users are found by number in digits or by user id."""

    def __init__(self, *, journal: Journal, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._users: dict[str, Sender] = {}
        self._bubbles: dict[str, Bubble] = {}
        self._typing: dict[str, float] = {}
        self._open: dict[str, str] = {}
        self._unread: dict[str, list[str]] = {}

    # -- users --

    def add_user(self, user: Sender) -> Sender:
        """Add a user, or change the name of one who is there; who has no business-scoped id gets one."""
        user = replace(user, user_id=user.user_id or scoped_id(user.phone))
        self._users[key_of(user)] = user
        self._journal.add("phone", phone=key_of(user), name=user.name, username=user.username)
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

    # -- messages --

    def milliseconds(self) -> int:
        """The world's clock, in ms since 1970."""
        return int(self._now() * 1000)

    def show(self, bubble: Bubble, *, client: str = "") -> None:
        """A message appears in its chat. ``client`` is the page's own name for what it has just sent."""
        if bubble.type == "reaction" and isinstance(bubble.content, Mapping):
            self._react(bubble.content, bubble.direction)
        self._bubbles[bubble.id] = bubble
        if len(self._bubbles) > KEPT:
            del self._bubbles[next(iter(self._bubbles))]
        if bubble.direction == "out":
            self._typing.pop(bubble.phone, None)
        else:
            self._unread.setdefault(bubble.phone, []).append(bubble.id)
        self._journal.add(
            "message",
            direction=bubble.direction,
            wamid=bubble.id,
            type=bubble.type,
            text=bubble.text,
            phone=bubble.phone,
            client=client,
            message=bubble.document(),
        )

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
        fields = {"error": dict(error)} if error else {}
        self._journal.add("tick", wamid=wamid, status=status, phone=found.phone, **fields)
        return True

    # -- what the business does to a chat --

    def business_read(self, wamid: str) -> None:
        """The business read this message and so the earlier ones of that chat."""
        target = self._bubbles.get(wamid)
        waiting = self._unread.get(target.phone, []) if target else []
        if wamid in waiting:
            place = waiting.index(wamid) + 1
            for earlier in waiting[:place]:
                self.tick(earlier, "read")
            del waiting[:place]

    def business_types(self, wamid: str) -> None:
        """The business is typing in the chat of this message."""
        if (found := self._bubbles.get(wamid)) is not None:
            self._typing[found.phone] = self._now() + TYPING_SECONDS
            self._journal.add("typing", phone=found.phone, seconds=TYPING_SECONDS)

    # -- what a person does to a chat --

    def look(self, viewer: str, key: str) -> None:
        """A page shows the chat of this phone now; none where ``key`` is empty."""
        self._open.pop(viewer, None)
        if key:
            self._open[viewer] = key

    def looked_at(self, key: str) -> bool:
        """Whether some page shows this chat now."""
        return key in self._open.values()

    def unread(self, key: str) -> list[Bubble]:
        """What the bot said that arrived in this chat and was not read."""
        return [
            bubble
            for bubble in self._bubbles.values()
            if bubble.phone == key and bubble.direction == "out" and bubble.status == "delivered"
        ]

    def document(self) -> dict[str, object]:
        """All of it, for a page that has just been opened."""
        now = self._now()
        typing = {key: round(until - now, 1) for key, until in self._typing.items() if until > now}
        phones = [
            {"phone": key, "name": user.name, "number": pretty(user.phone) if user.phone else user.username}
            for key, user in self._users.items()
        ]
        messages = [bubble.document() for bubble in self._bubbles.values()]
        return {"phones": phones, "messages": messages, "typing": typing}
