"""Webhook JSON → messages, receipts and everything else, each with the identity by which it is known again.

Law: no body, however broken, raises, and a broken piece never hides a good one. All strings in the values
made here are clean (no NUL, no lone surrogates); ``raw`` is Meta's own object, unchanged. ``inbound`` reads
one message and ``wire`` the JSON; what a store needs of them is named here too.
Sources: developers.facebook.com/docs/whatsapp, "Webhooks" (messages, statuses, fields) and "Business-scoped
user ids".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from aerobot.whatsapp.graph import failure_of
from aerobot.whatsapp.inbound import READERS, agrees, named, read_message
from aerobot.whatsapp.messages import ORDER, Identity, Message, Receipt
from aerobot.whatsapp.rules import number_forms
from aerobot.whatsapp.wire import (
    Object,
    as_id,
    as_list,
    as_object,
    as_seconds,
    as_text,
    clean,
    decode,
    digest,
    dump,
    load,
    shallow,
)

__all__ = ["FIELDS", "Reading", "Update", "dump", "load", "read", "read_message"]

Links = tuple[tuple[Identity, ...], ...]

_DEPTH = 100  # Meta's bodies are at most 15 deep
_SAMPLE_WAMID = "ABGGFlA5Fpa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One thing that Meta reports.

    ``identity`` is the same in every repetition. ``kind`` is ``message`` or ``status`` for what is handled (a
    message may still not be ``answerable``); ``other`` is only recorded, and ``note`` says why: sample ·
    another_number · group · no_sender · errors · calls · empty · unknown_status · other_field ·
    unknown_field · unreadable. ``links`` are groups of identities of one user, old ones first. ``contact`` is
    Meta's object about a message's sender: with ``message.raw`` all that ``read_message`` needs.
    """

    kind: Literal["message", "status", "other"]
    identity: str
    field: str
    note: str = ""
    message: Message | None = None
    receipt: Receipt | None = None
    links: Links = ()
    contact: Object | None = None
    raw: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a body holds. ``problem`` is one sentence where it cannot be used as a whole, else empty;
    ``sample`` marks the test delivery of Meta's dashboard, whose updates are all ``other``.
    """

    updates: tuple[Update, ...] = ()
    problem: str = ""
    sample: bool = False


# -- the envelope --------------------------------------------------------------------------------------------


def read(body: bytes, *, phone_number_id: str) -> Reading:
    """Read a webhook body for the number ``phone_number_id`` (empty: for any); never raises."""
    try:
        value = _loaded(decode(body))
    except ValueError as error:
        what = "is empty" if not body.strip() else f"is not JSON: {clean(str(error))[:200]}"
        return Reading(problem=f"The body {what}")
    if problem := _problem(value):
        return Reading(problem=problem)
    updates = tuple(update for entry in value["entry"] for update in _entry(entry, phone_number_id))
    return Reading(updates=updates, sample=any(update.note == "sample" for update in updates))


def _loaded(text: str) -> Any:
    """The JSON; what is nested deeper than anything of Meta's is null. ``ValueError`` where it is no JSON."""
    try:
        value = load(text)
    except RecursionError:
        return load(shallow(text, _DEPTH))
    deep = text.count("{") + text.count("[") > _DEPTH and _too_deep(value)
    return load(shallow(text, _DEPTH)) if deep else value


def _problem(value: object) -> str:
    """Why a body cannot be used as a whole, empty where it can."""
    if not isinstance(value, dict):
        return "The body is JSON, but not an object"
    if not value:
        return "The body is an empty object"
    thing = value.get("object", "whatsapp_business_account")
    if thing != "whatsapp_business_account":
        return f"The body is about {as_text(thing)[:80] or 'something else'}, not whatsapp_business_account"
    return "" if as_list(value.get("entry")) else "The body has no entry"


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else as_list(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One change of an entry: what its updates have in common; ``note`` is set where it is not for us."""

    waba: object
    time: object
    field: str = ""
    value: Object
    note: str = ""

    def other(self, note: str, raw: object, identity: str = "", **more: Any) -> Update:
        identity = identity or digest(self.waba, self.field, raw, self.time)
        note = self.note or note
        return Update(kind="other", identity=identity, field=self.field, note=note, raw=raw, **more)


def _entry(entry: object, ours: str) -> Iterator[Update]:
    known = as_object(entry)
    about = _Change(waba=known.get("id"), time=known.get("time"), value={})
    changes = as_list(known.get("changes"))
    if not changes:
        yield about.other("unreadable", entry)
    for change in changes:
        item = as_object(change)
        value, field = item.get("value"), as_id(item.get("field")) or "messages"
        if isinstance(value, dict):
            note = _not_for_us(about.waba, value, ours)
            yield from _change(_Change(waba=about.waba, time=about.time, field=field, value=value, note=note))
        else:
            yield replace(about, field=field).other("unreadable", change)


def _not_for_us(waba: object, value: Object, ours: str) -> str:
    """Meta's dashboard sample has fixed ids; another number's updates belong to another bot."""
    messages = as_list(value.get("messages"))
    if as_id(waba) == "0" or (messages and as_object(messages[0]).get("id") == _SAMPLE_WAMID):
        return "sample"
    number = as_id(as_object(value.get("metadata")).get("phone_number_id"))
    return "another_number" if number and ours and number != ours else ""


def _change(about: _Change) -> Iterator[Update]:
    if about.field == "messages":
        return _messages(about)
    if about.field == "calls":
        return _calls(about)
    known = about.field in FIELDS or about.field.startswith("group_")
    note = "other_field" if known else "unknown_field"
    return iter((about.other(note, about.value, links=_renamed(about.value)),))


def _messages(about: _Change) -> Iterator[Update]:
    found = [key for key in ("messages", "statuses", "errors") if key in about.value]
    if not found:
        yield about.other("empty", about.value)
    for key in found:
        pieces = about.value[key]
        if key == "errors" or not isinstance(pieces, list):
            yield about.other("errors" if key == "errors" else "unreadable", {key: pieces})
            continue
        reader = partial(_message, _contacts(about.value)) if key == "messages" else _status
        for piece in pieces:
            yield reader(about, piece) if isinstance(piece, dict) else about.other("unreadable", piece)


def _calls(about: _Change) -> Iterator[Update]:
    """Calls and their statuses are recorded; by their ids a repetition is known."""
    names = {"calls": ("id", "event"), "statuses": ("id", "status", "recipient_participant_id")}
    pieces = [(piece, names[key]) for key in names for piece in as_list(about.value.get(key))]
    for piece, keys in pieces:
        item = as_object(piece)
        identity = "|".join(as_id(item.get(key)) for key in keys) if as_id(item.get("id")) else ""
        yield about.other("calls" if item else "unreadable", piece, identity)
    if not pieces:
        yield about.other("calls", about.value)


# -- messages and statuses -----------------------------------------------------------------------------------


def _message(contacts: Mapping[str, Object], about: _Change, raw: Object) -> Update:
    wamid = as_id(raw.get("id"))
    identity = wamid if wamid and wamid == str(raw.get("id")) else digest(raw)
    if about.note:
        return about.other("", raw, identity)
    contact = _contact(contacts, raw)
    message = read_message(raw, contact)
    if note := _only_recorded(message):
        return about.other(note, raw, identity, message=message, contact=contact)
    return Update(
        kind="message",
        identity=identity,
        field=about.field,
        message=message,
        links=_moved(raw) if message.kind == "system" else (),
        contact=contact,
        raw=raw,
    )


def _only_recorded(message: Message) -> str:
    if message.group_id:
        return "group"
    if not message.identities:
        return "no_sender"
    return "unreadable" if message.kind in READERS and not message.answerable else ""


def _contacts(value: Object) -> Mapping[str, Object]:
    """The contacts by number and by user id; the only one of an only message by the empty name."""
    contacts = [contact for contact in as_list(value.get("contacts")) if isinstance(contact, dict)]
    known = {as_id(contact.get(key)): contact for contact in contacts for key in ("wa_id", "user_id")}
    known.pop("", None)
    alone = len(contacts) == 1 and len(as_list(value.get("messages"))) == 1
    return {**known, "": contacts[0]} if alone else known


def _contact(contacts: Mapping[str, Object], raw: Object) -> Object | None:
    """The contact who sent a message, by user id or any spelling of the number."""
    user, phone = as_id(raw.get("from_user_id")), as_id(raw.get("from"))
    found = contacts.get(user or phone) or contacts.get(phone)
    if not found and phone:
        found = next((contacts[form] for form in number_forms(phone) if form in contacts), None)
    return found if found and agrees(raw, found) else contacts.get("")


def _status(about: _Change, raw: Object) -> Update:
    wamid, status = as_id(raw.get("id")), as_text(raw.get("status"))
    if not wamid or not status:
        return about.other("unreadable", raw)
    participant, its_user = raw.get("recipient_participant_id"), raw.get("recipient_participant_user_id")
    participant = as_id(participant) or as_id(its_user)
    identity = f"{wamid}|{status}|{participant}"
    if about.note:
        return about.other("", raw, identity)
    receipt = Receipt(
        wamid=wamid,
        status=status,
        timestamp=as_seconds(raw.get("timestamp")),
        callback_data=as_text(raw.get("biz_opaque_callback_data")),
        recipient=as_id(raw.get("recipient_id")) or as_id(raw.get("recipient_user_id")),
        participant=participant,
        failure=failure_of(raw.get("errors")),
        raw=raw,
    )
    if status not in ORDER:
        return about.other("unknown_status", raw, identity, receipt=receipt)
    return Update(kind="status", identity=identity, field=about.field, receipt=receipt, raw=raw)


# -- users who change their number or id ---------------------------------------------------------------------

_BSUID = r"[A-Z]{2}\.[A-Za-z0-9.]{1,132}"
_CHANGED = re.compile(rf".*\bfrom ({_BSUID}) to ({_BSUID})\.?\s*", re.DOTALL)


def _moved(raw: Object) -> Links:
    """Old and new identities in a system message about a changed number or user id.

    The old user id stands only in the text, which begins with a name of the user's own choice: just its end
    is trusted, and only where it names the new id that Meta gives.
    """
    system = as_object(raw.get("system"))
    kind, user = as_text(system.get("type")), as_id(system.get("user_id"))
    after = (("user_id", user), ("parent_user_id", system.get("parent_user_id")))
    before = (("phone", raw.get("from")), ("user_id", raw.get("from_user_id")))
    if kind == "user_changed_user_id":
        said = _CHANGED.fullmatch(as_text(system.get("body")))
        old = said[1] if said and said[2] == user else ""
        return _group(*before, ("user_id", old), *after)
    if kind == "user_changed_number":
        new = ("phone", system.get("wa_id") or system.get("new_wa_id"))
        return _group(*before, ("phone", system.get("customer")), new, *after)
    return ()


def _renamed(value: Object) -> Links:
    """Old and new identities in the field ``user_id_update``."""
    return tuple(
        group
        for item in map(as_object, as_list(value.get("user_id_update")))
        for group in _group(
            ("phone", item.get("wa_id")),
            *[(kind, as_object(item.get(kind)).get(when)) for when in _WHEN for kind in _USER],
        )
    )


_USER, _WHEN = ("user_id", "parent_user_id"), ("previous", "current")


def _group(*names: tuple[str, object]) -> Links:
    """One group of identities, or none where there is nothing to link."""
    group = named(*names)
    return (group,) if len(group) > 1 else ()


FIELDS = frozenset({
    "account_alerts", "account_review_update", "account_settings_update", "account_update",
    "automatic_events", "business_capability_update", "business_status_update", "business_username_update",
    "business_username_updates", "calls", "consumer_profile", "flows", "history", "message_echoes",
    "message_template_components_update", "message_template_quality_update",
    "message_template_status_update", "messages", "messaging_handovers", "partner_solutions",
    "payment_configuration_update", "phone_number_name_update", "phone_number_quality_update", "security",
    "smb_app_state_sync", "smb_message_echoes", "standby", "template_category_update",
    "template_correct_category_detection", "tracking_events", "user_id_update", "user_preferences",
})  # fmt: skip
"""The webhook fields that Meta documents, besides ``group_*``."""
