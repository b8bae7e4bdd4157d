"""Message templates: what Meta would say about sending one, and the card that the user sees. Pure.

Source: Meta, "Message templates" and "Error codes" (132000 to 132018).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aerobot.emulator.graph_errors import refused

STATUSES: Final = ("APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED")
CATEGORIES: Final = ("AUTHENTICATION", "MARKETING", "UTILITY")
_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_WITH_FILES: Final = ("IMAGE", "VIDEO", "DOCUMENT")
Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A message template of an account; ``components`` as Meta lists them (HEADER, BODY, FOOTER, BUTTONS)."""

    id: str
    name: str
    language: str
    status: str
    category: str
    components: tuple[Json, ...]

    def component(self, kind: str) -> Json:
        """The component of this type, empty where there is none."""
        return next((found for found in self.components if found.get("type") == kind), {})

    def text(self, kind: str) -> str:
        """The text of a component, with its placeholders."""
        return str(self.component(kind).get("text") or "")


def of_body(*, id: str, name: str, language: str, status: str, category: str, body: str) -> Template:  # noqa: A002
    """A template that has a body and nothing else."""
    parts = ({"type": "BODY", "text": body},)
    return Template(id=id, name=name, language=language, status=status, category=category, components=parts)


HELLO: Final = of_body(
    id="1192339204654487",
    name="hello_world",
    language="en_US",
    status="APPROVED",
    category="UTILITY",
    body="Welcome and congratulations!! This message demonstrates your ability to send a message.",
)
"""The one that every test account has."""


def find(templates: Iterable[Template], name: str, language: str) -> Template:
    """The template that may be sent. Raises ``Refused``: 132001, 132015 (paused) or 132016 (disabled)."""
    found = next((t for t in templates if (t.name, t.language) == (name, language)), None)
    if found is None or found.status not in ("APPROVED", "PAUSED", "DISABLED"):
        details = f"template name ({name}) does not exist in {language}"
        raise refused(132001, "Template name does not exist in the translation", details, status=404)
    if found.status == "PAUSED":
        raise refused(132015, "Template is paused", f"The template ({name}) is paused because of low quality.")
    if found.status == "DISABLED":
        raise refused(132016, "Template is disabled", f"The template ({name}) was paused too often.")
    return found


def card(template: Template, sent: Json) -> dict[str, object]:
    """What the user sees: ``header``, ``body``, ``footer``, ``buttons``. ``sent`` is the ``template`` of the body.

    Raises ``Refused``: 132000 for another number of parameters than the text has places, 132012 for a header or
    button that does not fit.
    """
    given = [part for part in _list(sent.get("components")) if isinstance(part, Mapping)]
    parts = {str(part.get("type", "")).lower(): part for part in given}
    buttons = [part for part in given if str(part.get("type", "")).lower() == "button"]
    found: dict[str, object] = {"body": _filled("body", template.text("BODY"), parts.get("body", {}))}
    if template.component("HEADER"):
        found["header"] = _header(template.component("HEADER"), parts.get("header", {}))
    if template.text("FOOTER"):
        found["footer"] = template.text("FOOTER")
    listed = _list(template.component("BUTTONS").get("buttons"))
    made = [_button(one, place, buttons) for place, one in enumerate(listed) if isinstance(one, Mapping)]
    return found | ({"buttons": made} if made else {})


def _filled(where: str, text: str, part: Json) -> str:
    """A text with its places filled. Raises ``Refused`` (132000)."""
    places = list(dict.fromkeys(_PLACE.findall(text)))
    values = [value for value in _list(part.get("parameters")) if isinstance(value, Mapping)]
    if len(values) != len(places):
        details = (
            f"{where}: number of localizable_params ({len(values)}) does not match the expected number of params "
            f"({len(places)})"
        )
        raise refused(132000, "Number of parameters does not match the expected number of params", details)
    named = {str(v.get("parameter_name") or place): _value(v) for v, place in zip(values, places, strict=True)}
    return _PLACE.sub(lambda found: named.get(found.group(1), found.group(0)), text)


def _value(parameter: Json) -> str:
    kind = str(parameter.get("type", "text"))
    inner = parameter.get(kind)
    if isinstance(inner, Mapping):
        return str(inner.get("fallback_value") or "")
    return str(inner if inner is not None else "")


def _header(component: Json, part: Json) -> dict[str, object]:
    kind = str(component.get("format") or "TEXT")
    if kind == "TEXT":
        return {"type": "text", "text": _filled("header", str(component.get("text") or ""), part)}
    if kind not in _WITH_FILES:
        return {"type": kind.lower()}
    given = next((v for v in _list(part.get("parameters")) if isinstance(v, Mapping)), {})
    file = given.get(kind.lower())
    if not isinstance(file, Mapping) or not (file.get("id") or file.get("link")):
        details = f"header: Format mismatch, expected {kind}, received {str(given.get('type', 'UNKNOWN')).upper()}"
        raise refused(132012, "Parameter format does not match format in the created template", details)
    return {"type": kind.lower(), "media": str(file.get("id") or ""), "link": str(file.get("link") or "")}


def _button(button: Json, place: int, given: Sequence[Json]) -> dict[str, str]:
    kind = str(button.get("type", "QUICK_REPLY"))
    found = {"type": kind, "text": str(button.get("text") or "")}
    part = next((one for one in given if str(one.get("index")) == str(place)), {})
    if kind == "URL":
        found["url"] = _filled(f"button {place}", str(button.get("url") or ""), part)
    first = next((v for v in _list(part.get("parameters")) if isinstance(v, Mapping)), {})
    if kind == "QUICK_REPLY":
        found["payload"] = str(first.get("payload") or button.get("text") or "")
    if kind == "COPY_CODE":
        found |= {"text": found["text"] or "Copy code", "code": str(first.get("coupon_code") or "")}
    return found


def words(shown: Mapping[str, object]) -> str:
    """A card in a line."""
    return str(shown.get("body") or "")


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()
