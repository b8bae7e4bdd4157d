"""What a person does on the emulated phone: each act becomes a bubble on the phone and a signed webhook."""

from collections.abc import Callable, Mapping
from random import Random

from aerobot.emulator import webhooks
from aerobot.emulator.deliver import Delivery
from aerobot.emulator.media import File, Files
from aerobot.emulator.phone import Bubble, World
from aerobot.emulator.webhooks import Line


class Person:
    """The hands on every phone. ``address`` gives the URL of a file's download as webhooks carry it."""

    def __init__(
        self,
        *,
        world: World,
        delivery: Delivery,
        files: Files,
        line: Callable[[], Line],
        random: Random,
        now: Callable[[], float],
        address: Callable[[str], str],
    ) -> None:
        self._world = world
        self._delivery = delivery
        self._files = files
        self._line = line
        self._random = random
        self._now = now
        self._address = address

    def send(
        self,
        phone: str,
        kind: str,
        *,
        text: str | None = None,
        about: str = "",
        content: object = None,
        client: str = "",
    ) -> str:
        """Send one message of a kind in ``webhooks.KINDS``; its wamid, once it is queued for delivery.

        ``about`` is the message replied to, tapped or reacted to. Raises ``ValueError`` for an unknown kind.
        """
        sender = self._world.user(phone)
        wamid = webhooks.new_wamid(self._random, sender.phone)
        built = webhooks.message(
            kind,
            sender,
            id=wamid,
            timestamp=int(self._now()),
            text=text,
            about=about,
            line=self._line(),
            content=content,
        )
        meta_type = str(built["type"])
        bubble = Bubble(
            id=wamid,
            phone=phone,
            direction="in",
            at=self._world.milliseconds(),
            type=meta_type,
            text=words(built),
            content=built.get(meta_type),
            about=about,
            media=_media_id(built.get(meta_type)),
            status="sent",
        )
        self._remember_choice(about, built.get(meta_type))
        self._world.show(bubble, client=client)
        document = webhooks.inbound(self._line(), sender, built)
        self._delivery.post(document, lane=phone, wamid=wamid, what="message", done=self._arrived(wamid))
        return wamid

    def send_file(self, phone: str, file: File, *, caption: str = "", about: str = "", client: str = "") -> str:
        """Send a file that was put into the world's files, as the kind that its media type suggests."""
        kind = kind_of(file.mime_type)
        content: dict[str, object] = {"caption": caption} if caption and kind != "audio" else {}
        content |= {
            "mime_type": file.mime_type,
            "sha256": file.sha256_base64,
            "id": file.id,
            "url": self._address(file.id),
        }
        if kind == "document":
            content["filename"] = file.filename or "file"
        return self.send(phone, kind, text="", about=about, content=content, client=client)

    def _arrived(self, wamid: str) -> Callable[[], None]:
        def done() -> None:
            self._world.tick(wamid, "delivered")

        return done

    def _remember_choice(self, about: str, content: object) -> None:
        if not about or not isinstance(content, Mapping):
            return
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
