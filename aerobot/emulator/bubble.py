"""One message as a phone shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

RANKS: Final = {"accepted": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4, "failed": 5}
"""How far a message is; it never goes back."""

WORDS: Final = {
    "button": "buttons", "button_reply": "button", "list_reply": "list", "cta_url": "link", "nfm_reply": "flow",
    "location_request_message": "location", "call_permission_reply": "call",
}  # fmt: skip
"""What people call the kinds of interactive messages, as the host's own lines do."""


def word(kind: str, content: object) -> str:
    """The kind of a message as a person reads it: of an interactive one what it is."""
    if kind != "interactive" or not isinstance(content, Mapping):
        return kind
    inner = str(content.get("type") or kind)
    return WORDS.get(inner, inner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One message of the chat between a ``phone`` (its number in digits, or a user id) and a business ``number``.

    ``direction`` is the business's view: ``in`` was written on the phone, ``out`` by the bot. ``at`` is in ms
    since 1970, ``content`` Meta's object of that ``type``, ``media`` the id of its file, ``about`` the wamid it
    replies to, ``chosen`` the id of the button or row that was tapped below it, ``reactions`` who (``in``/``out``)
    reacted with what, ``template`` a template with its parameters filled in.
    """

    id: str
    number: str
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
    context: Mapping[str, object] | None = None
    referral: Mapping[str, object] | None = None
    template: Mapping[str, object] | None = None

    @property
    def chat(self) -> tuple[str, str]:
        """The phone and the number."""
        return self.phone, self.number

    def document(self) -> dict[str, object]:
        """As JSON, for the page and for keeping; what is inside is shared, not copied."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def kept(cls, document: Mapping[str, object]) -> "Bubble":
        """What ``document`` gave. Raises ``ValueError`` or ``TypeError`` for anything else."""
        names = {one.name for one in fields(cls)}
        found = cls(**{key: value for key, value in document.items() if key in names})  # type: ignore[arg-type]
        texts = (found.id, found.number, found.phone, found.type, found.text, found.about, found.media, found.chosen)
        if not all(isinstance(value, str) for value in texts):
            raise ValueError("a message has another form")
        if found.direction not in ("in", "out") or found.status not in RANKS or not isinstance(found.at, int):
            raise ValueError("a message has another form")
        return found
