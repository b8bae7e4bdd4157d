"""What a running emulator shows: a line for each thing that happens, for a person; each event as JSON for a program."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aerobot.cli.durations import spoken
from aerobot.cli.stream import HANG, short
from aerobot.terminal import Terminal, safe

HIDDEN = {"sent", "delivered"}
"""Ticks that are not worth a line: the next one says more."""
CUT = 120


class EmulatorStream:
    """Renders the emulator's events as they come; of the webhook that is ``waited_for`` somebody else tells."""

    def __init__(self, terminal: Terminal, waited_for: str = "") -> None:
        self._terminal = terminal
        self._waited_for = waited_for
        self._armed: list[Mapping[str, Any]] = []
        self._unanswered = ""
        self._renderers: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "message": self._message,
            "tick": self._tick,
            "webhook": self._webhook,
            "graph": self._graph,
            "challenge": self._challenge,
            "connected": self._connected,
            "faults": self._faults,
            "clock": self._clock,
            "restarted": self._restarted,
        }

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        if self._terminal.json:
            self._terminal.line(dict(event))
            return
        render = self._renderers.get(str(event["event"]))
        if render is not None:
            render(event)

    def _message(self, event: Mapping[str, Any]) -> None:
        arrow = "-->" if event["direction"] == "in" else "<--"
        self._line(event, arrow, f"{_kind(event)} {short(str(event['phone']))}  {_cut(str(event['text']))}")

    def _tick(self, event: Mapping[str, Any]) -> None:
        if event["status"] == "failed":
            error = event.get("error") or {}
            words = f"failed: {error.get('code')} {error.get('title')}"
            self._mark(event, "failed", f"{short(str(event['phone']))}  {words}")
        elif event["status"] not in HIDDEN:
            self._line(event, "   ", self._terminal.faint(f"{'':8} {short(str(event['phone']))}  {event['status']}"))

    def _webhook(self, event: Mapping[str, Any]) -> None:
        if event["status"] == 200:
            if event["attempt"] > 1:
                self._mark(event, "ok", f"webhook ({event['what']}) taken at attempt {event['attempt']}")
            return
        if event["error"] == "not connected":
            self._mark(event, "warning", "no webhook is set: it waits", "Set one: aerobot phone connect URL")
            return
        again = ""
        if event.get("next_at"):
            again = f"; again in {spoken(max(0, event['next_at'] - event['at']) / 1000)}"
        tried = f", attempt {event['attempt']}" if event["attempt"] else ""
        self._mark(event, "warning", f"webhook ({event['what']}{tried}): {event['error']}{again}")

    def _graph(self, event: Mapping[str, Any]) -> None:
        if event["status"] < 400 and not event.get("fault"):
            return
        fault = f"  (fault: {event['fault']})" if event.get("fault") else ""
        code = f" {event['code']}" if event["code"] else ""
        answer = "got no whole answer" if event.get("broken") else f"answered {event['status']}{code}"
        self._mark(event, "warning", f"{event['method']} {event['path']} {answer}{fault}")

    def _challenge(self, event: Mapping[str, Any]) -> None:
        """One that is not answered is told once, however often it is asked."""
        why = "" if event["passed"] else event["error"] or f"answered {event['status']}"
        words = f"challenge to {event['url']}: {why}" if why else ""
        if words and event["url"] != self._waited_for and words != self._unanswered:
            self._mark(event, "warning", words)
        self._unanswered = words

    def _connected(self, event: Mapping[str, Any]) -> None:
        self._mark(event, "ok", f"webhooks go to {event['url']}")

    def _faults(self, event: Mapping[str, Any]) -> None:
        """What is armed, after each change: until it is gone."""
        words = ", ".join(named(one) for one in event["armed"])
        if words:
            self._mark(event, "warning", f"armed: {words}")
        elif self._armed:
            self._mark(event, "ok", "nothing is armed any more")
        self._armed = event["armed"]

    def _clock(self, event: Mapping[str, Any]) -> None:
        ahead = f"{spoken(event['offset'])} ahead of real time" if event["offset"] else "back to real time"
        self._mark(event, "warning" if event["offset"] else "ok", f"the clock is {ahead}")

    def _restarted(self, event: Mapping[str, Any]) -> None:
        anew = event.get("why") == "reset"
        self._mark(event, "ok", "everything begins anew" if anew else "another state was taken in")

    def _line(self, event: Mapping[str, Any], arrow: str, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(event["at"] / 1000))
        self._terminal.say(f"{self._terminal.faint(clock)} {arrow} {text}".rstrip(), hang=HANG)

    def _mark(self, event: Mapping[str, Any], state: str, text: str, remedy: str = "") -> None:
        self._line(event, f" {self._terminal.painted_mark(state)} ", safe(text))
        if remedy:
            self._terminal.say(f"{'':13}{remedy}", hang=13)


def named(armed: Mapping[str, Any]) -> str:
    """A fault as it waits: ``rate_limited ×2``, and for what, where that is not any send."""
    times = f" ×{armed['times']}" if armed["times"] > 1 else ""
    call = f" on {armed['call']}" if armed["call"] != "messages" else ""
    to = f" to {short(armed['to'])}" if armed["to"] else ""
    return f"{armed['name']}{times}{call}{to}"


def _kind(event: Mapping[str, Any]) -> str:
    from aerobot.emulator.bubble import word

    content = (event.get("message") or {}).get("content")
    return f"{safe(word(str(event['type']), content))[:11]:8}"


def _cut(text: str) -> str:
    text = safe(text)
    return text if len(text) <= CUT else text[: CUT - 1] + "…"
