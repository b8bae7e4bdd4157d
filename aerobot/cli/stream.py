"""What a running host shows: one line for each event, for a person; one JSON document for each, for a program."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aerobot import events
from aerobot.terminal import Terminal, safe

WIDTH = 80
"""Columns that a line should fit."""
HANG = 30
"""Where a long event goes on below."""
SHORT = {
    "button_reply": "button", "list_reply": "list", "nfm_reply": "flow", "location_request": "location",
    "cta_url": "link", "call_permission_reply": "call", "request_welcome": "welcome",
}  # fmt: skip
"""Long kinds, as the column shows them."""


def short(who: str) -> str:
    """A customer's number, shortened to its last four."""
    return f"··{safe(who[-4:])}" if who else "··?"


class Stream:
    """Renders events as they come. Receipts of one part that come close together share a line."""

    def __init__(self, terminal: Terminal, *, texts: bool) -> None:
        self._terminal = terminal
        self._texts = texts
        self._receipts: dict[str, list[str]] = {}
        self._early: list[events.Event] | None = []
        self._renderers: Mapping[type[events.Event], Callable[[Any], None]] = {
            events.MessageReceived: self._message,
            events.PartSettled: self._part,
            events.ReceiptSeen: self._receipt,
            events.TurnEnded: self._turn,
            events.Rejected: self._rejected,
            events.Handshake: self._handshake,
            events.SampleArrived: self._sample,
            events.Recorded: self._recorded,
            events.NumberPaused: self._paused,
            events.NumberResumed: self._resumed,
            events.EngineReloaded: self._reloaded,
            events.Notice: self._notice,
            events.Unexpected: self._unexpected,
            events.Stopped: self._stopped,
        }

    def __call__(self, event: events.Event) -> None:
        """Show one event. For programs ``ready`` comes first: what was before it follows it."""
        if self._terminal.json:
            self._as_json(event)
            return
        if self._terminal.quiet and not isinstance(event, events.Notice):
            return  # it would be made up and not be shown
        render = self._renderers.get(type(event))
        if render is not None:
            render(event)

    def _as_json(self, event: events.Event) -> None:
        if self._early is not None and not isinstance(event, events.Ready):
            self._early.append(event)
            return
        for due in (event, *(self._early or ())):
            self._terminal.line(due.document(texts=self._texts))
        self._early = None

    # -- messages ---------------------------------------------------------------------------------------------------

    def _message(self, event: events.MessageReceived) -> None:
        name = f" {_cut(event.name, 14)}" if event.name else ""
        state = f"  ({safe(event.state)})" if event.state != "queued" else ""
        test = "  test" if event.channel == "test" else ""
        self._line(
            event.at, "-->", f"{_kind(event.kind)} {short(event.who)}{name}  {self._flat(event.text)}{test}{state}"
        )

    def _part(self, event: events.PartSettled) -> None:
        text = self._flat(event.text)
        if event.state in ("sent", "captured"):
            kept = ", kept here" if event.state == "captured" else ""
            took = f"{event.milliseconds} ms (bot {event.bot_milliseconds} ms){kept}"
            self._line(event.at, "<--", f"{_kind(event.kind)} {short(event.who)}  {text}  {self._faint(took)}")
            return
        words = {
            "failed": "not delivered",
            "not_sent": "not sent",
            "unknown": "outcome unknown, waiting for a status",
            "waiting": "tried again soon",
        }[event.state]
        over = event.state in ("failed", "not_sent")
        code = f"{event.code} " if event.code is not None else ""
        told = f"{short(event.who)}  {words}: {code}{event.error or ''}"
        listed = event.turn_id if over and event.channel == "whatsapp" else None
        self._mark(event.at, "failed" if over else "warning", told, event.remedy, listed=listed)

    def _receipt(self, event: events.ReceiptSeen) -> None:
        if event.status == "failed":
            code = f"{event.code} " if event.code is not None else ""
            told = f"{short(event.who)}  not delivered: {code}{event.error or ''}"
            self._mark(event.at, "failed", told, event.remedy, listed=event.failed_turn)
            return
        seen = self._receipts.setdefault(event.wamid, [])
        if not seen:
            asyncio.get_running_loop().call_later(0.7, self._flush, event)
        seen.append(event.status)

    def _flush(self, event: events.ReceiptSeen) -> None:
        seen = [status for status in self._receipts.pop(event.wamid, []) if status != "sent"]
        if seen:
            now = int(time.time() * 1000)
            self._line(now, "   ", self._faint(f"{'':8} {short(event.who)}  {', '.join(dict.fromkeys(seen))}"))

    def _turn(self, event: events.TurnEnded) -> None:
        if event.state == "failed":
            after = ", fallback sent" if event.fell_back else ", nothing was said"
            listed = event.turn_id if event.channel == "whatsapp" else None
            self._mark(event.at, "failed", f"{event.error}{after}", listed=listed)
            show_trace(self._terminal, event)
        else:
            self._line(event.at, "   ", self._faint(f"{'':8} {short(event.who)}  {event.state}"))

    # -- the host ---------------------------------------------------------------------------------------------------

    def _rejected(self, event: events.Rejected) -> None:
        self._mark(event.at, "warning", f"refused {event.status}: {event.reason}", event.remedy)

    def _handshake(self, event: events.Handshake) -> None:
        self._mark(event.at, "ok", f"the challenge was asked and answered for {event.bot_id}")

    def _sample(self, event: events.SampleArrived) -> None:
        good = "signature good" if event.signed else "unsigned"
        text = f"Meta's test delivery arrived, {good}: your webhook works. Now write to the number."
        self._mark(event.at, "ok", text)

    def _recorded(self, event: events.Recorded) -> None:
        note = f" ({event.note})" if event.note else ""
        self._line(event.at, "   ", self._faint(safe(f"recorded: {event.what}{note}")))

    def _paused(self, event: events.NumberPaused) -> None:
        code = f"{event.code} " if event.code is not None else ""
        text = f"THE NUMBER CANNOT SEND: {code}{event.error}. Messages are kept."
        self._mark(event.at, "failed", text, event.remedy)

    def _resumed(self, event: events.NumberResumed) -> None:
        self._mark(event.at, "ok", "the number sends again; the backlog goes out")

    def _reloaded(self, event: events.EngineReloaded) -> None:
        if event.error:
            self._mark(event.at, "failed", event.error, "Meanwhile the former version answers.")
        else:
            self._mark(event.at, "ok", f"{event.name} loaded again")

    def _notice(self, event: events.Notice) -> None:
        state = {"ok": "ok", "warning": "warning"}.get(event.level, "skipped")
        self._terminal.step(state, event.topic, safe(event.detail))

    def _unexpected(self, event: events.Unexpected) -> None:
        self._mark(event.at, "failed", f"unforeseen, in {event.where}: {event.error}", "Please report it.")

    def _stopped(self, event: events.Stopped) -> None:
        failed = f", {event.failed} failed" if event.failed else ""
        self._terminal.say(f"Stopped. {event.received} in, {event.answered} out{failed}.")

    # -- lines ------------------------------------------------------------------------------------------------------

    def _line(self, at: int, arrow: str, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(at / 1000))
        self._terminal.say(f"{self._faint(clock)} {arrow} {text}".rstrip(), hang=HANG)

    def _mark(self, at: int, state: str, text: str, remedy: str | None = None, *, listed: int | None = None) -> None:
        """A marked line; a turn that went onto the failed list is named by the command that shows it, never broken."""
        mark, text = self._terminal.painted_mark(state), safe(text)
        where = f"aerobot failed show {listed}" if listed is not None else ""
        fits = where and len(text) + len(where) <= WIDTH - 15
        self._line(at, f" {mark} ", f"{text}  {where}" if fits else text)
        if where and not fits:
            self._terminal.say(f"{'':13}{where}")
        if remedy:
            self._terminal.say(f"{'':13}{safe(remedy)}", hang=13)

    def _faint(self, text: str) -> str:
        return self._terminal.faint(text)

    def _flat(self, text: str) -> str:
        return _cut(text, 160)


def _kind(kind: str) -> str:
    return f"{_cut(SHORT.get(kind, kind), 11):8}"


def _cut(text: str, most: int) -> str:
    text = safe(text[: most + 1])  # what is shown of it; escaped it only grows
    return text if len(text) <= most else text[: most - 1] + "…"


def show_trace(terminal: Terminal, event: events.TurnEnded) -> None:
    """The bot's own lines that led to its failure."""
    for line in (event.trace or "").split("\n") if event.trace else ():
        terminal.say(f"{'':13}{terminal.faint(safe(line))}", hang=15)


def show_parts(terminal: Terminal, parts: Sequence[Mapping[str, Any]]) -> None:
    """A reply as results: each part's text, and what can be tapped below it."""
    for part in parts:
        text, choices = _words(part)
        for number, line in enumerate(safe(text, lines=True).split("\n")):
            head = f"<-- {_kind(part['kind'])} " if number == 0 else " " * 13
            terminal.result((head + line).rstrip(), hang=13)
        if choices:
            terminal.result(" " * 13 + " ".join(f"[{safe(choice)}]" for choice in choices), hang=13)


def _words(part: Mapping[str, Any]) -> tuple[str, list[str]]:
    interactive = part["body"].get("interactive")
    if not isinstance(interactive, Mapping):
        return part["text"], []
    action = interactive.get("action", {})
    choices = [button["reply"]["title"] for button in action.get("buttons", [])]
    choices += [row["title"] for section in action.get("sections", []) for row in section.get("rows", [])]
    if "parameters" in action:
        choices.append(action["parameters"].get("display_text", ""))
    return interactive.get("body", {}).get("text", part["text"]), choices
