"""One message of the bot's, as it stands on a phone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aerobot.emulator.bubble import Bubble, word
from aerobot.testing.bench import Bench
from aerobot.testing.stage import Stage

LONGEST = 60
"""Characters of a text that are shown in a failed assertion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the bot said. Its words stay as they were; ``status``, ``error`` and ``media`` are as they are now.

    ``type`` is Meta's (``text``, ``interactive``, ``image`` …), ``text`` what a person reads first (body or caption),
    ``content`` Meta's object of that type, ``quotes`` the wamid that it replies or reacts to. ``buttons`` are the
    titles below it, ``rows`` those of a list; ``choices`` are the titles that can be tapped, with their ids.
    """

    wamid: str
    type: str
    text: str
    content: Any
    header: str = ""
    footer: str = ""
    buttons: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    quotes: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    _bench: Bench = field(compare=False)
    _stage: Stage = field(compare=False)

    def __repr__(self) -> str:
        """What a person reads, and what can be tapped: short enough for a failed assertion."""
        text = " ".join(self.text.split())
        cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
        words = [word(self.type, self.content), repr(cut) if text else ""]
        words += [repr(titles) for titles in (self.buttons, self.rows) if titles]
        return f"<Reply {' '.join(one for one in words if one)}>"

    @property
    def status(self) -> str:
        """``accepted``, ``sent``, ``delivered``, ``read``, ``played`` or ``failed``."""
        return self._stage.ask(self._now).status

    @property
    def error(self) -> Mapping[str, Any] | None:
        """Why it failed, in Meta's words: ``code``, ``title``, ``error_data``."""
        return self._stage.ask(self._now).error

    @property
    def media(self) -> bytes:
        """The bytes of its file, uploaded or fetched by link; empty where it has none, or not yet."""
        return self._stage.ask(self._file)

    def _now(self) -> Bubble:
        bubble = self._bench.emulator.meta.world.bubble(self.wamid)
        assert bubble is not None
        return bubble

    def _file(self) -> bytes:
        file = self._bench.emulator.meta.files.seen(self._now().media)
        return file.data if file is not None else b""

    async def reaches(self, status: str, *, timeout: float = 5.0) -> None:
        """Wait until it is ``delivered``, ``read`` or ``failed``. Raises ``AssertionError`` with where it is."""
        __tracebackhide__ = True

        async def look() -> bool | None:
            return self._now().status == status or None

        if not await self._stage.share(self._bench.until(look, timeout)):
            raise AssertionError(f"{self.text!r} is {self.status}, not {status}, after {timeout:g} s: {self.error}")


def shown(bubble: Bubble, bench: Bench, stage: Stage) -> Reply:
    """A bubble as a reply."""
    content = bubble.content if isinstance(bubble.content, Mapping) else {}
    action = _object(content.get("action"))
    buttons = [_object(button.get("reply")) for button in _objects(action.get("buttons"))]
    rows = [row for section in _objects(action.get("sections")) for row in _objects(section.get("rows"))]
    link = str(_object(action.get("parameters")).get("display_text") or "")
    below = _objects(_object(bubble.template).get("buttons"))
    titles = [*_titles(buttons), *([link] if link else []), *(str(button.get("text") or "") for button in below)]
    return Reply(
        wamid=bubble.id,
        type=bubble.type,
        text=str(_object(content.get("body")).get("text") or bubble.text),
        content=bubble.content,
        header=str(_object(content.get("header")).get("text") or ""),
        footer=str(_object(content.get("footer")).get("text") or ""),
        buttons=tuple(titles),
        rows=tuple(_titles(rows)),
        quotes=bubble.about or str(content.get("message_id") or ""),
        choices={str(one.get("title")): str(one.get("id")) for one in (*buttons, *rows)}
        | {str(one.get("text")): str(one["payload"]) for one in below if "payload" in one},
        _bench=bench,
        _stage=stage,
    )


def _titles(choices: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(choice.get("title") or "") for choice in choices]


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
