"""What goes through WhatsApp, as values: messages that arrive, receipts, and the kinds of reply with Meta's limits.

Longer than other modules on purpose: it is the vocabulary that all others share.
Source of fields and limits: developers.facebook.com/docs/whatsapp/cloud-api (Messages, Webhooks), Graph v25.0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from aerobot.errors import AerobotError

# -- inbound ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A name by which Meta knows a user: ``phone`` (digits), ``user_id`` or ``parent_user_id`` (business-scoped)."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that came with a message. ``id`` is opened with ``turn.open(attachment)``; Meta keeps it 7 days."""

    kind: str
    id: str
    mime_type: str = ""
    sha256: str = ""
    filename: str = ""
    caption: str = ""
    voice: bool = False
    animated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A location, its numbers as the JSON had them."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One inbound message.

    ``text`` is what an engine is given: the text itself or the placeholder of its kind. ``timestamp`` is in
    whole seconds since 1970, ``None`` where Meta's was not a number. ``answerable`` is false for kinds that are
    recorded without asking the engine. ``choice`` is the id of a tapped button or list row, ``context_id`` the
    message replied to, ``referral`` the ad the user came from. ``raw`` is Meta's own object, unchanged.
    """

    id: str
    kind: str
    text: str
    timestamp: int | None = None
    identities: tuple[Identity, ...] = ()
    name: str = ""
    username: str = ""
    answerable: bool = True
    attachment: Attachment | None = None
    location: Place | None = None
    choice: str = ""
    context_id: str = ""
    forwarded: bool = False
    reaction_to: str = ""
    referral: Mapping[str, object] | None = None
    group_id: str = ""
    raw: Mapping[str, object] = field(default_factory=dict, repr=False)

    def identity(self, kind: str) -> str:
        """The value of one identity, empty where it is not known."""
        return next((i.value for i in self.identities if i.kind == kind), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as Meta words it, in a response or in a receipt."""

    code: int | None
    title: str = ""
    details: str = ""
    subcode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of something we sent. ``callback_data`` is our part's id where Meta echoes it."""

    wamid: str
    status: str
    timestamp: int | None = None
    callback_data: str = ""
    recipient: str = ""
    participant: str = ""
    failure: Failure | None = None
    raw: Mapping[str, object] = field(default_factory=dict, repr=False)


# -- outbound ---------------------------------------------------------------------------------------------------


class ReplyError(AerobotError):
    """A reply that WhatsApp would refuse; the message names the field and its limit."""

    kind = "reply"


def _within(what: str, value: str, most: int, least: int = 1) -> None:
    if not isinstance(value, str):
        raise ReplyError(f"{what} must be text, not {type(value).__name__}")
    if not least <= len(value.encode("utf-16-le", "surrogatepass")) // 2 <= most:
        raise ReplyError(f"{what} must have {least} to {most} characters, it has {len(value)}")


def _count(what: str, items: Sequence[object], most: int, least: int = 1) -> None:
    if not least <= len(items) <= most:
        raise ReplyError(f"{what}: {least} to {most} are allowed, there are {len(items)}")


def _listed(what: str, items: object) -> None:
    if isinstance(items, str):
        raise ReplyError(f"{what} are a list, not one text: [{items!r}]")


def _unique(what: str, values: Sequence[str]) -> None:
    if len(set(values)) != len(values):
        raise ReplyError(f"{what} must differ from each other")


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, split into several messages where it is longer than 4,096 UTF-16 code units."""

    kind: ClassVar[str] = "text"
    text: str
    preview_url: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ReplyError(f"Text must be text, not {type(self.text).__name__}")
        if not self.text.strip():
            raise ReplyError("Text must not be empty")

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return self.text


@dataclass(frozen=True, slots=True)
class Button:
    """A quick reply: title 1 to 20 characters, id up to 256 (the title where it is not given)."""

    title: str
    id: str = ""

    def __post_init__(self) -> None:
        _within("A button's title", self.title, 20)
        _within("A button's id", self.id, 256, 0)


@dataclass(frozen=True, slots=True)
class Buttons:
    """Text with 1 to 3 buttons. ``text`` up to 1,024, ``header`` and ``footer`` up to 60 characters."""

    kind: ClassVar[str] = "buttons"
    text: str
    buttons: Sequence[Button | str]
    header: str = field(default="", kw_only=True)
    footer: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _within("Buttons' text", self.text, 1024)
        _within("A header", self.header, 60, 0)
        _within("A footer", self.footer, 60, 0)
        _listed("Buttons", self.buttons)
        object.__setattr__(self, "buttons", tuple(b if isinstance(b, Button) else Button(b) for b in self.buttons))
        _count("Buttons", self.buttons, 3)
        _unique("Button titles", [b.title for b in self.buttons if isinstance(b, Button)])
        _unique("Button ids", [b.id or b.title for b in self.buttons if isinstance(b, Button)])

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return self.text + "\n" + " ".join(f"[{b.title}]" for b in self.buttons if isinstance(b, Button))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list: title up to 24, description up to 72, id up to 200 characters (the title where not given)."""

    title: str
    description: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        _within("A row's title", self.title, 24)
        _within("A row's description", self.description, 72, 0)
        _within("A row's id", self.id, 200, 0)


@dataclass(frozen=True, slots=True)
class Section:
    """A group of rows; its title (up to 24 characters) is required where there is more than one."""

    title: str
    rows: Sequence[Row | str]

    def __post_init__(self) -> None:
        _within("A section's title", self.title, 24, 0)
        _listed("Rows", self.rows)
        object.__setattr__(self, "rows", tuple(r if isinstance(r, Row) else Row(r) for r in self.rows))
        _count("Rows of a section", self.rows, 10)


@dataclass(frozen=True, slots=True)
class List:
    """Text with a list to choose from: ``button`` (up to 20) opens it; at most 10 sections and 10 rows in all."""

    kind: ClassVar[str] = "list"
    text: str
    button: str
    sections: Sequence[Section | Row | str]
    header: str = field(default="", kw_only=True)
    footer: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _within("A list's text", self.text, 4096)
        _within("A list's button", self.button, 20)
        _within("A header", self.header, 60, 0)
        _within("A footer", self.footer, 60, 0)
        _listed("Sections", self.sections)
        given = tuple(self.sections)
        if not any(isinstance(item, Section) for item in given):
            given = (Section("", tuple(r for r in given if isinstance(r, Row | str))),)
        if not all(isinstance(item, Section) for item in given):
            raise ReplyError("A list has sections or rows, not both")
        sections = tuple(item for item in given if isinstance(item, Section))
        _count("Sections of a list", sections, 10)
        rows = [row for section in sections for row in section.rows if isinstance(row, Row)]
        _count("Rows of a list", rows, 10)
        _unique("Row ids", [row.id or row.title for row in rows])
        if len(sections) > 1 and not all(section.title for section in sections):
            raise ReplyError("A list with several sections needs a title for each")
        object.__setattr__(self, "sections", sections)

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        rows = [r.title for s in self.sections if isinstance(s, Section) for r in s.rows if isinstance(r, Row)]
        return self.text + "\n" + " ".join(f"[{title}]" for title in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Media:
    """One of ``link`` (an https address that Meta fetches), ``id`` (uploaded before) or ``path`` (a local file)."""

    kind: ClassVar[str] = "media"
    link: str = ""
    id: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        given = [name for name in ("link", "id", "path") if getattr(self, name)]
        if len(given) != 1:
            raise ReplyError(f"{type(self).__name__} needs exactly one of link, id and path, it has {len(given)}")
        if self.link and not self.link.startswith(("https://", "http://")):
            raise ReplyError(f"{type(self).__name__}: a link starts with https://")
        object.__setattr__(self, "path", str(self.path))
        _within("A caption", getattr(self, "caption", ""), 1024, 0)

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        caption = getattr(self, "caption", "")
        return f"{caption} [{type(self).__name__}]".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(_Media):
    """A picture: jpeg or png, at most 5 MB; caption up to 1,024 characters."""

    kind: ClassVar[str] = "image"
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video(_Media):
    """A video: mp4 or 3gp, at most 16 MB; caption up to 1,024 characters."""

    kind: ClassVar[str] = "video"
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(_Media):
    """Sound: aac, amr, mp3, mp4 or ogg (opus, mono), at most 16 MB."""

    kind: ClassVar[str] = "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(_Media):
    """Any file, at most 100 MB; ``filename`` is what the user sees; caption up to 1,024 characters."""

    kind: ClassVar[str] = "document"
    caption: str = ""
    filename: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticker(_Media):
    """A webp sticker: at most 100 KB, animated 500 KB."""

    kind: ClassVar[str] = "sticker"


@dataclass(frozen=True, slots=True)
class Location:
    """A place on the map, in degrees."""

    kind: ClassVar[str] = "location"
    latitude: float
    longitude: float
    name: str = field(default="", kw_only=True)
    address: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ReplyError("A location has a latitude from -90 to 90 and a longitude from -180 to 180")

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return f"[Location: {self.latitude}, {self.longitude}]"


@dataclass(frozen=True, slots=True)
class LocationRequest:
    """Text with a button that shares the user's location; up to 1,024 characters."""

    kind: ClassVar[str] = "location_request"
    text: str

    def __post_init__(self) -> None:
        _within("A location request's text", self.text, 1024)

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return self.text


@dataclass(frozen=True, slots=True)
class Link:
    """Text with a button that opens an address: text up to 1,024, title up to 20 characters."""

    kind: ClassVar[str] = "cta_url"
    text: str
    title: str
    url: str
    header: str = field(default="", kw_only=True)
    footer: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _within("A link's text", self.text, 1024)
        _within("A link's title", self.title, 20)
        _within("A header", self.header, 60, 0)
        _within("A footer", self.footer, 60, 0)
        if not self.url.startswith(("https://", "http://")):
            raise ReplyError("A link's url starts with https://")

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return f"{self.text}\n[{self.title}]"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact card: a name, and a phone number in international form."""

    kind: ClassVar[str] = "contacts"
    name: str
    phone: str = ""

    def __post_init__(self) -> None:
        _within("A contact's name", self.name, 512)

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return f"[Contact: {self.name}]"


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji on a message of the user's, by its id; an empty emoji takes it away."""

    kind: ClassVar[str] = "reaction"
    message_id: str
    emoji: str

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return f"[Reaction: {self.emoji}]" if self.emoji else "[Reaction removed]"


@dataclass(frozen=True, slots=True)
class Template:
    """An approved template, the only kind that may be sent outside the session window.

    ``components`` is Meta's own list.
    """

    kind: ClassVar[str] = "template"
    name: str
    language: str = "en_US"
    components: Sequence[Mapping[str, object]] = ()

    @property
    def said(self) -> str:
        """What the conversation's history remembers."""
        return f"[Template: {self.name}]"


Reply = (
    Text
    | Buttons
    | List
    | Image
    | Video
    | Audio
    | Document
    | Sticker
    | Location
    | LocationRequest
    | Link
    | Contact
    | Reaction
    | Template
)
"""Everything a bot can say."""

ORDER: Mapping[str, int] = {"sent": 1, "delivered": 2, "read": 3, "played": 4, "failed": 9}
"""How far a receipt moves a part; a lower one never undoes a higher one."""
