"""What a person does on the emulated phone: each act becomes a bubble on the phone and a signed webhook."""

from collections.abc import Callable, Mapping

from aerobot.emulator import webhooks
from aerobot.emulator.bubble import Bubble
from aerobot.emulator.clock import Clock
from aerobot.emulator.deliver import Courier
from aerobot.emulator.deliveries import Update
from aerobot.emulator.ids import Ids
from aerobot.emulator.media import File, Files
from aerobot.emulator.phone import World
from aerobot.emulator.webhooks import Line, Sender

UNCAPTIONED = ("audio", "voice", "sticker")
"""Files that carry no caption."""
AD: Mapping[str, object] = {
    "source_url": "https://fb.me/3cR7Wqlz",
    "source_id": "120208030294830421",
    "source_type": "ad",
    "headline": "Fresh bread, every morning",
    "body": "Order until nine, and it is on your table at seven.",
    "media_type": "image",
    "image_url": "https://scontent.xx.fbcdn.net/v/t45.1/ad.jpg",
    "ctwa_clid": "ARAkLkA8rmlFeiCktEJQ-QTwRiyYHAFDLMNDBH0CD3qpjd0HR4irJ6LE",
    "welcome_message": {"text": "Hi! What can we bake for you?"},
}
"""Where a click on an ad comes from (Meta: Click to WhatsApp ads)."""


class Person:
    """The hands on every phone.

    ``line`` is a number as webhooks name it, ``address`` the URL of a file's download, ``blocked`` whether a number
    has blocked a phone: what is written there stays at one tick, and nobody is told.
    """

    def __init__(
        self,
        *,
        world: World,
        courier: Courier,
        files: Files,
        line: Callable[[str], Line],
        ids: Ids,
        clock: Clock,
        address: Callable[[str], str],
        blocked: Callable[[str, str], bool],
    ) -> None:
        self._blocked = blocked
        self._world = world
        self._courier = courier
        self._files = files
        self._line = line
        self._ids = ids
        self._clock = clock
        self._address = address

    def send(
        self,
        phone: str,
        number: str,
        kind: str,
        *,
        text: str | None = None,
        about: str = "",
        content: object = None,
        context: Mapping[str, object] | None = None,
        referral: Mapping[str, object] | None = None,
        client: str = "",
    ) -> str:
        """Send one message of a kind in ``webhooks.KINDS``; its wamid, once it is queued for delivery.

        ``number`` is the business number written to, ``about`` the message replied to, tapped or reacted to;
        ``context`` marks it as forwarded, ``referral`` as coming from an ad. Raises ``ValueError`` for an unknown
        kind.
        """
        sender = self._world.user(phone)
        wamid = webhooks.new_wamid(self._ids.dice("message"), sender.phone)
        line = self._line(number)
        built = webhooks.message(
            kind,
            sender,
            id=wamid,
            timestamp=int(self._clock()),
            text=text,
            about=about,
            line=line,
            content=content,
            context=context,
            referral=referral,
        )
        meta_type = str(built["type"])
        bubble = Bubble(
            id=wamid,
            number=number,
            phone=phone,
            direction="in",
            at=self._clock.milliseconds,
            type=meta_type,
            text=words(built),
            content=built.get(meta_type),
            about=about,
            media=_media_id(built.get(meta_type)),
            status="sent",
            context=context,
            referral=referral,
        )
        self._remember_choice(about, built.get(meta_type))
        self._world.show(bubble, client=client)
        if not self._blocked(phone, number):
            self._courier.post(Update(line=line, user=sender, what="message", content=built))
        return wamid

    def send_file(
        self,
        phone: str,
        number: str,
        file: File,
        *,
        kind: str = "",
        caption: str = "",
        about: str = "",
        client: str = "",
    ) -> str:
        """Send a file that was put into the world's files; as the kind that its media type suggests if not told."""
        kind = kind or kind_of(file.mime_type)
        content: dict[str, object] = {"caption": caption} if caption and kind not in UNCAPTIONED else {}
        content |= {
            "mime_type": file.mime_type,
            "sha256": file.sha256_base64,
            "id": file.id,
            "url": self._address(file.id),
        }
        if kind == "document":
            content["filename"] = file.filename or "file"
        return self.send(phone, number, kind, text="", about=about, content=content, client=client)

    def change_number(self, phone: str, new: str) -> None:
        """Take another number, in digits; every business that the user has a chat with is told (``system``)."""
        before = self._world.user(phone)
        numbers = self._world.numbers_of(phone)
        self._world.change_number(phone, new)
        body = f"User {before.name or before.phone} changed from {before.phone} to {new}"
        content = {"body": body, "wa_id": new, "type": "user_changed_number"}
        for number in numbers:
            self._tell_change(before, new, number, content)

    def _tell_change(self, before: Sender, new: str, number: str, content: Mapping[str, object]) -> None:
        """The message comes from the old number and stands in the chat that moved."""
        wamid = webhooks.new_wamid(self._ids.dice("message"), before.phone)
        built = webhooks.message("system", before, id=wamid, timestamp=int(self._clock()), content=content)
        bubble = Bubble(
            id=wamid,
            number=number,
            phone=new,
            direction="in",
            at=self._clock.milliseconds,
            type="system",
            text=str(content["body"]),
            content=content,
            status="sent",
        )
        self._world.show(bubble)
        self._courier.post(Update(line=self._line(number), user=before, what="message", content=built))

    def _remember_choice(self, about: str, content: object) -> None:
        if not about or not isinstance(content, Mapping):
            return
        if "payload" in content:  # a quick reply below a template
            self._world.chosen(about, str(content["payload"]))
        inner = content.get(str(content.get("type")))
        if isinstance(inner, Mapping):
            self._world.chosen(about, str(inner.get("id", "")))


def kind_of(mime_type: str) -> str:
    """The kind of message that carries a file of this media type on a real phone."""
    base = mime_type.partition(";")[0].strip().lower()
    if base in ("image/jpeg", "image/png", "image/gif", "image/webp"):
        return "image"
    if base in ("video/mp4", "video/3gpp", "video/webm", "video/quicktime"):
        return "video"
    return "audio" if base.startswith("audio/") else "document"


def words(message: Mapping[str, object]) -> str:
    """What a person reads of a message, in a line: its text, caption, title, emoji or name."""
    meta_type = str(message.get("type"))
    content = message.get(meta_type)
    if isinstance(content, list):
        names = [card["name"]["formatted_name"] for card in content if isinstance(card, dict)]
        return ", ".join(names)
    if not isinstance(content, Mapping):
        return ""
    inner = content.get(str(content.get("type"))) if meta_type == "interactive" else content
    if not isinstance(inner, Mapping):
        return ""
    for key in ("body", "caption", "title", "text", "emoji", "name", "filename"):
        if inner.get(key):
            return str(inner[key])
    return ""


def _media_id(content: object) -> str:
    return str(content["id"]) if isinstance(content, Mapping) and "mime_type" in content else ""
