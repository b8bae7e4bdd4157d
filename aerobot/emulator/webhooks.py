"""Builds and signs webhook bodies as Meta sends them: the only place that does. No I/O, no clock, no dice.

Longer than other modules on purpose: it is the table of every inbound kind. Source of the shapes:
developers.facebook.com/docs/whatsapp/cloud-api/webhooks and Meta's OpenAPI description.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence
from dataclasses import dataclass
from random import Random

KINDS: tuple[str, ...] = (
    "text",
    "image",
    "video",
    "audio",
    "voice",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "reaction_removed",
    "button",
    "list",
    "flow",
    "quick_reply",
    "order",
    "system",
    "unsupported",
    "unknown",
    "request_welcome",
    "edit",
    "revoke",
    "call_permission",
)
"""The words for ``message`` and ``send-test --type``. Most are Meta's ``type``; those that are not:

``button`` a tap on a reply button (``interactive.button_reply``) · ``list`` a chosen row
(``interactive.list_reply``) · ``flow`` a filled-in form (``interactive.nfm_reply``) · ``quick_reply`` a tap
below a template (Meta's type ``button``) · ``call_permission`` (``interactive.call_permission_reply``) ·
``voice`` an ``audio`` with ``voice: true`` ·
``reaction_removed`` a ``reaction`` without ``emoji`` · ``system`` a changed number.
"""

ALIASES: Mapping[str, str] = {
    "button_reply": "button",
    "list_reply": "list",
    "nfm_reply": "flow",
    "template_button": "quick_reply",
    "call_permission_reply": "call_permission",
    "contact": "contacts",
}
"""Other words that ``message`` takes for the same kinds."""

UNDELIVERABLE = 131026
"""Nobody on WhatsApp has the number."""

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The business number a webhook is about; ``display_phone_number`` is digits only, as in webhooks."""

    business_account_id: str
    phone_number_id: str
    display_phone_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A WhatsApp user: ``phone`` in digits, or empty for one known by ``user_id`` (``US.1349…``) alone."""

    phone: str = ""
    name: str = ""
    user_id: str = ""
    username: str = ""


def wire(document: object) -> bytes:
    r"""The bytes that Meta would send: compact JSON in ASCII, ``\uXXXX``-escaped, ``/`` as ``\/``.

    A receiver that re-serialises before it checks the signature fails on these as it would in production.
    """
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    return text.replace("/", "\\/").encode("ascii")


def sign(body: bytes, app_secret: str) -> str:
    """The value of ``X-Hub-Signature-256`` for exactly these bytes: ``sha256=`` and 64 hex digits."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def envelope(
    line: Line,
    *,
    messages: Iterable[Mapping[str, object]] = (),
    statuses: Iterable[Mapping[str, object]] = (),
    contacts: Iterable[Mapping[str, object]] = (),
    field: str = "messages",
) -> Json:
    """One webhook body (Meta: up to 1,000 updates); what is empty is left out."""
    change = _change(line, messages=messages, statuses=statuses, contacts=contacts, field=field)
    entry = {"id": line.business_account_id, "changes": [change]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _change(
    line: Line,
    *,
    messages: Iterable[Mapping[str, object]],
    statuses: Iterable[Mapping[str, object]],
    contacts: Iterable[Mapping[str, object]],
    field: str = "messages",
) -> Json:
    metadata = {"display_phone_number": line.display_phone_number, "phone_number_id": line.phone_number_id}
    value: Json = {"messaging_product": "whatsapp", "metadata": metadata}
    for key, items in (("contacts", contacts), ("messages", messages), ("statuses", statuses)):
        if found := [dict(item) for item in items]:
            value[key] = found
    return {"value": value, "field": field}


def contact(sender: Sender) -> Json:
    """The ``contacts[]`` entry of a user; ``wa_id`` is left out for users without a visible number."""
    profile = {"name": sender.name} | ({"username": sender.username} if sender.username else {})
    found: Json = {"profile": profile}
    if sender.phone:
        found["wa_id"] = sender.phone
    if sender.user_id:
        found["user_id"] = sender.user_id
    return found


def inbound(line: Line, sender: Sender, *messages: Mapping[str, object]) -> Json:
    """A body with one user's messages; ``contacts`` is left out where all are ``system``, as Meta does."""
    named = any(message.get("type") != "system" for message in messages)
    return envelope(line, messages=messages, contacts=[contact(sender)] if named else ())


def receipt(line: Line, sender: Sender, *statuses: Mapping[str, object], failed_contacts: bool = False) -> Json:
    """A body with one user's receipts; ``failed_contacts`` names the user beside ``failed`` too, see ``_known``."""
    known: Json = {}
    for told in statuses:
        known = _joined(known, _known(sender, told, failed_contacts=failed_contacts))
    return envelope(line, statuses=statuses, contacts=[known] if known else ())


def gathered(
    updates: Iterable[tuple[Line, Sender, bool, Mapping[str, object]]], *, failed_contacts: bool = False
) -> Json:
    """One body with many updates, as Meta batches them: an entry for each account, a change for each number.

    An update is the number, the user, whether it is a message (else a status), and the message or status itself.
    Each user stands in ``contacts`` once, with all that the updates tell.
    """
    lines: dict[Line, tuple[list[Json], list[Json], dict[Sender, Json]]] = {}
    for line, sender, is_message, content in updates:
        messages, statuses, users = lines.setdefault(line, ([], [], {}))
        (messages if is_message else statuses).append(dict(content))
        users[sender] = _joined(users.get(sender, {}), _known(sender, content, failed_contacts=failed_contacts))
    entries: dict[str, list[Json]] = {}
    for line, (messages, statuses, users) in lines.items():
        contacts = [known for known in users.values() if known]
        change = _change(line, messages=messages, statuses=statuses, contacts=contacts)
        entries.setdefault(line.business_account_id, []).append(change)
    found = [{"id": account, "changes": changes} for account, changes in entries.items()]
    return {"object": "whatsapp_business_account", "entry": found}


def _known(sender: Sender, content: Mapping[str, object], *, failed_contacts: bool) -> Json:
    """What ``contacts`` tells of the user of one message or status; nothing beside ``system``.

    Beside a status it has the ids, and the user name once the message reached somebody, but no profile name.
    Meta's page on user ids says that ``failed`` has no ``contacts``; some that were seen have them
    (github.com/david-lev/pywa/issues/227): with ``failed_contacts`` the ids, and of a number that cannot be reached
    (131026) nothing but the number.
    """
    if content.get("type") == "system" or (content.get("status") == "failed" and not failed_contacts):
        return {}
    found = contact(sender)
    if "status" not in content:
        return found
    del found["profile"]
    errors = content.get("errors")
    if isinstance(errors, list) and any(error["code"] == UNDELIVERABLE for error in errors):
        found.pop("user_id", None)
    elif sender.username and content["status"] in ("delivered", "read", "played"):
        found["profile"] = {"username": sender.username}
    return found


def _joined(one: Json, other: Json) -> Json:
    """Both together; what only one of them knows is kept."""
    profile: Json = {}
    for part in (one, other):
        if isinstance(said := part.get("profile"), Mapping):
            profile |= said
    return {**one, **other} | ({"profile": profile} if profile else {})


def message(
    kind: str,
    sender: Sender,
    *,
    id: str,  # noqa: A002 - Meta's own word
    timestamp: int,
    text: str | None = None,
    about: str = "",
    line: Line | None = None,
    context: Mapping[str, object] | None = None,
    content: object = None,
    referral: Mapping[str, object] | None = None,
) -> Json:
    """One ``messages[]`` object of a kind in ``KINDS``, with fields as realistic as Meta's samples.

    ``timestamp`` is in whole seconds since 1970. ``text`` is what the kind has by way of words: body,
    caption, title of the button or row, emoji of a reaction, name of a contact or place; ``None`` takes the
    usual ones. ``about`` is the wamid that the message refers to (reply, tap, reaction, edit, revoke) and
    ``line`` the business number it came from; ``context`` (``{"forwarded": True}``) replaces their outcome.
    ``content`` is laid over the innermost content object (``{"id": …, "title": …}`` of a button), or replaces
    it where either is not an object. Raises ``ValueError`` for an unknown kind.
    """
    word = ALIASES.get(kind, kind)
    if word not in KINDS:
        raise ValueError(f"There is no message kind {kind!r}; the kinds are {', '.join(KINDS)}.")
    target = about or _some_wamid(id, sender)
    meta_type, built = _content(word, sender, id, text, target)
    found: Json = {"from": sender.phone} if sender.phone else {}
    if sender.user_id:
        found["from_user_id"] = sender.user_id
    found |= {"id": id, "timestamp": str(timestamp), "type": meta_type}
    if word in ("unsupported", "unknown"):
        found["errors"] = [_error(131051, "Message type unknown", "Message type is currently not supported.")]
    if built is not None:
        found[meta_type] = _overlaid(meta_type, built, content)
    given = dict(context) if context is not None else _context(word, about, target, line)
    if given:
        found["context"] = given
    if referral is not None:
        found["referral"] = dict(referral)
    return found


def _context(word: str, about: str, target: str, line: Line | None) -> Json:
    tapped = word in ("button", "list", "flow", "quick_reply", "call_permission")
    replied = bool(about) and word not in ("reaction", "reaction_removed", "edit", "revoke", "system")
    if not tapped and not replied:
        return {}
    return {"from": line.display_phone_number if line else "15550104477", "id": target}


def _overlaid(meta_type: str, built: object, content: object) -> object:
    if content is None:
        return built
    if meta_type == "interactive" and isinstance(built, dict):
        inner = str(built["type"])
        return {**built, inner: _overlaid("", built[inner], content)}
    if isinstance(built, dict) and isinstance(content, Mapping):
        return {**built, **content}
    return content


def _content(word: str, sender: Sender, id_: str, text: str | None, target: str) -> tuple[str, object]:
    """Meta's ``type`` and the object under that name; ``None`` where the kind has none."""
    if word in _FILES:
        return _media(word, id_, text)
    match word:
        case "text":
            return "text", {"body": "Hi" if text is None else text}
        case "location":
            name = text or "Vondelpark"
            place = {"latitude": 52.357994, "longitude": 4.868648, "name": name, "address": "Amsterdam"}
            return "location", place
        case "contacts":
            return "contacts", [_card(text or "Sam Okafor")]
        case "reaction":
            return "reaction", {"message_id": target, "emoji": text or "👍"}
        case "reaction_removed":
            return "reaction", {"message_id": target}
        case "button" | "list" | "flow" | "call_permission":
            return "interactive", _tap(word, text)
        case "quick_reply":
            return "button", {"payload": text or "Yes, please", "text": text or "Yes, please"}
        case "order":
            item = {"product_retailer_id": "SKU-1001", "quantity": 2, "item_price": 12.5, "currency": "EUR"}
            return "order", {"catalog_id": "194836987003835", "text": text or "", "product_items": [item]}
        case "system":
            return "system", _number_change(sender)
        case "unsupported":
            return "unsupported", {"type": "poll_creation"}
        case "edit":
            inner = {"type": "text", "text": {"body": "Hi there" if text is None else text}}
            return "edit", {"original_message_id": target, "message": {"context": {"id": "M0"}, **inner}}
        case "revoke":
            return "revoke", {"original_message_id": target}
    return word, None  # request_welcome and unknown have no content


_FILES: Mapping[str, tuple[str, str, Mapping[str, object]]] = {
    "image": ("image", "image/jpeg", {}),
    "video": ("video", "video/mp4", {}),
    "audio": ("audio", "audio/mpeg", {"voice": False}),
    "voice": ("audio", "audio/ogg; codecs=opus", {"voice": True}),
    "document": ("document", "application/pdf", {"filename": "invoice-2041.pdf"}),
    "sticker": ("sticker", "image/webp", {"animated": False}),
}


def _media(word: str, id_: str, caption: str | None) -> tuple[str, object]:
    meta_type, mime_type, extra = _FILES[word]
    digest = hashlib.sha256(id_.encode()).digest()
    number = str(int.from_bytes(digest[:6], "big") + 10**15)
    url = f"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid={number}&source=webhook"
    found: Json = {"caption": caption} if caption and word in ("image", "video", "document") else {}
    found |= {"mime_type": mime_type, "sha256": base64.b64encode(digest).decode(), "id": number, "url": url}
    return meta_type, found | dict(extra)


def _card(name: str) -> Json:
    first, _, last = name.partition(" ")
    names = {"formatted_name": name, "first_name": first} | ({"last_name": last} if last else {})
    return {"name": names, "phones": [{"phone": "+1 555-010-9921", "wa_id": "15550109921", "type": "CELL"}]}


def _tap(word: str, text: str | None) -> Json:
    match word:
        case "button":
            return {"type": "button_reply", "button_reply": {"id": "yes", "title": text or "Yes, please"}}
        case "list":
            row = {"id": "row-1", "title": text or "Tomorrow", "description": "Between 9:00 and 12:00"}
            return {"type": "list_reply", "list_reply": row}
        case "flow":
            answers = '{"flow_token":"unused","name":"Ana","guests":"2"}'
            form = {"name": "flow", "body": text or "Sent", "response_json": answers}
            return {"type": "nfm_reply", "nfm_reply": form}
    reply = {"response": "accept", "is_permanent": False, "response_source": "user_action"}
    return {"type": "call_permission_reply", "call_permission_reply": reply}


def _number_change(sender: Sender) -> Json:
    old = sender.phone or "15550123456"
    new = old[:-1] + str((int(old[-1]) + 1) % 10) if old[-1].isdigit() else "15550123457"
    body = f"User {sender.name or old} changed from {old} to {new}"
    return {"body": body, "wa_id": new, "type": "user_changed_number"}


def _some_wamid(id_: str, sender: Sender) -> str:
    """The id of an earlier message that nobody has: stable for the same ``id_``."""
    return new_wamid(Random(f"about {id_}"), sender.phone, outgoing=True)  # noqa: S311 - not for secrets


def _error(code: int, title: str, details: str) -> Json:
    href = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
    return {"code": code, "title": title, "message": title, "error_data": {"details": details}, "href": href}


_FREE: Mapping[str, object] = {
    "billable": False,
    "pricing_model": "PMP",
    "category": "service",
    "type": "free_customer_service",
}


def failure(code: int, title: str, details: str = "") -> Json:
    """One ``errors[]`` object of a status or message, as Meta words it."""
    return _error(code, title, details or title)


def status(
    wamid: str,
    status: str,
    *,
    recipient: Sender | str,
    timestamp: int,
    callback_data: str | None = None,
    errors: Iterable[Mapping[str, object]] | None = None,
) -> Json:
    """One ``statuses[]`` object: ``sent``, ``delivered``, ``read``, ``played`` or ``failed``.

    ``recipient`` is a user, or the digits of a number; ``callback_data`` is what the send had as
    ``biz_opaque_callback_data``; prices come with ``sent`` and ``delivered`` (no ``conversation``: v24.0).
    """
    user = Sender(phone=recipient) if isinstance(recipient, str) else recipient
    found: Json = {"id": wamid, "status": status, "timestamp": str(timestamp)}
    if user.phone:
        found["recipient_id"] = user.phone
    if user.user_id and (status != "failed" or not user.phone):
        found["recipient_user_id"] = user.user_id
    if status in ("sent", "delivered"):
        found["pricing"] = dict(_FREE)
    if errors is not None:
        found["errors"] = [dict(error) for error in errors]
    if callback_data is not None:
        found["biz_opaque_callback_data"] = callback_data
    return found


def new_wamid(random: Random, phone: str = "", *, outgoing: bool = False) -> str:
    """A fresh message id: ``wamid.`` and base64 of the user's number and random hex, built as Meta's are."""
    digits = (phone or "15550123456")[:60].encode("ascii", "replace")
    length = 9 if outgoing else 10
    unique = random.getrandbits(8 * length).to_bytes(length, "big").hex().upper().encode()
    head = b"\x1c\x18" + bytes([len(digits)]) + digits + b"\x15\x02\x00"
    body = (b"\x11" if outgoing else b"\x12") + b"\x18" + bytes([len(unique)]) + unique + b"\x00"
    return "wamid." + base64.b64encode(head + body).decode()


def scoped_id(phone: str) -> str:
    """The business-scoped id of the user with this number, always the same one.

    Since April 2026 every webhook names users by one, beside their number or instead of it (Meta:
    Business-scoped user IDs).
    """
    return f"US.{int.from_bytes(hashlib.sha256(phone.encode()).digest()[:8], 'big'):020d}"


def set_path(document: object, path: str, value: object) -> None:
    """Put a value at a path such as ``entry.0.changes.0.value.messages.0.text.body``, in place.

    Raises ``ValueError`` with a sentence that names the first step that does not exist.
    """
    *parents, last = path.split(".")
    inner = document
    for depth, step in enumerate(parents):
        inner = _step(inner, step, path, depth)
    _step(inner, last, path, len(parents))
    if isinstance(inner, MutableMapping):
        inner[last] = value
    elif isinstance(inner, MutableSequence):
        inner[int(last)] = value


def _step(inner: object, step: str, path: str, depth: int) -> object:
    where = ".".join(path.split(".")[:depth]) or "the body"
    if isinstance(inner, Mapping):
        if step in inner:
            return inner[step]
        known = ", ".join(map(str, inner)) or "nothing"
        raise ValueError(f"{path!r}: {where} has no {step!r}; it has {known}.")
    if isinstance(inner, MutableSequence):
        if step.isascii() and step.isdigit() and int(step) < len(inner):
            return inner[int(step)]
        raise ValueError(f"{path!r}: {where} is a list of {len(inner)}; {step!r} is not a place in it.")
    raise ValueError(f"{path!r}: {where} is neither an object nor a list, so it has no {step!r}.")
