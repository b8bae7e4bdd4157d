"""Finds the running emulator, a phone and a bot in it, and shows what stands in a chat."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot.config import state_folder
from aerobot.errors import UsageError
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.emulator.client import Client

Port = Annotated[int | None, typer.Option("--emulator", metavar="PORT", help="Which emulator, where several run.")]
From = Annotated[str | None, typer.Option("--from", metavar="PHONE", help="Whose phone: a number, or part of a name.")]
To = Annotated[str | None, typer.Option("--to", metavar="BOT", help="Which bot: a number, id or name.")]


def client(port: int | None) -> "Client":
    """The running emulator; the sandbox's own for what ``sandbox --exec`` runs. Exit 5 if there is none."""
    from aerobot.emulator.client import Client, EmulatorNote, find

    url, token = os.environ.get("AEROBOT_EMULATOR_URL"), os.environ.get("AEROBOT_EMULATOR_TOKEN")
    if port is None and url and token:
        return Client(EmulatorNote(pid=os.getppid(), url=url, token=token, state=""))
    return Client(find(state_folder(os.environ), port))


def quoted(part: str) -> str:
    """As one part of a path."""
    from aerobot.emulator.client import path

    return path(part)


def choose_phone(state: Mapping[str, Any], given: str | None) -> str:
    """The phone that is meant: by key, number or part of a name; the first if nothing is given."""
    phones: list[dict[str, str]] = state["phones"]
    if not phones:
        raise UsageError("There is no phone.", "aerobot phone add Ana +15550100777")
    if given is None:
        return phones[0]["phone"]
    digits = "".join(c for c in given if c.isdigit())
    exact = [p for p in phones if given.lstrip("@") in (p["phone"], p["username"]) or (digits and digits == p["phone"])]
    fits = exact or [p for p in phones if given.casefold() in p["name"].casefold()]
    if len(fits) == 1:
        return fits[0]["phone"]
    names = ", ".join(f"{p['name']} ({p['phone']})" for p in fits or phones)
    what = "Several phones are" if fits else "No phone is"
    raise UsageError(f"{what} called {given!r}; there are {names}.", "aerobot phone add makes another.")


def choose_bot(state: Mapping[str, Any], given: str | None) -> str:
    """The business number that is meant, by id, number or name; the main one if nothing is given."""
    numbers: list[dict[str, str]] = state["numbers"]
    if given is None:
        return numbers[0]["number"]
    digits = "".join(c for c in given if c.isdigit())
    fits = [
        n for n in numbers
        if given == n["number"] or (digits and digits == n["phone"]) or given.casefold() == n["name"].casefold()
    ]  # fmt: skip
    if len(fits) == 1:
        return fits[0]["number"]
    names = ", ".join(f"{n['name']} ({n['display']})" for n in numbers)
    raise UsageError(f"No bot is called {given!r}; there are {names}.")


def name_of(state: Mapping[str, Any], phone: str) -> str:
    """Whose phone it is."""
    return next((str(p["name"]) for p in state["phones"] if p["phone"] == phone), phone)


def of_chat(state: Mapping[str, Any], phone: str, number: str) -> list[dict[str, Any]]:
    """The messages of a chat, oldest first."""
    return [m for m in state["messages"] if (m["phone"], m["number"]) == (phone, number)]


def last_words(state: Mapping[str, Any], phone: str, number: str) -> str:
    """The wamid of what the bot said last; ``UsageError`` if it said nothing."""
    found = [m["id"] for m in of_chat(state, phone, number) if m["direction"] == "out"]
    if not found:
        raise UsageError("The bot has said nothing to reply to yet.")
    return str(found[-1])


def choice(state: Mapping[str, Any], phone: str, number: str, title: str) -> dict[str, Any]:
    """The message that a tap on this title is."""
    offered: list[str] = []
    for message in reversed(of_chat(state, phone, number)):
        for kind, content in choices(message) if message["direction"] == "out" else ():
            words = str(content.get("title") or content.get("text"))
            if words.casefold() == title.casefold():
                return {"kind": kind, "content": content, "about": message["id"], "text": words}
            offered.append(words)
    there = f"there are {', '.join(offered[:10])}" if offered else "nothing can be tapped"
    raise UsageError(f"No button or row is called {title!r}; {there}.")


def choices(message: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What can be tapped below a message: the kind of the answer, and its content."""
    content = message.get("content")
    if message["type"] == "template":
        buttons = (message.get("template") or {}).get("buttons", [])
        return [
            ("quick_reply", {"text": b["text"], "payload": b.get("payload", b["text"])})
            for b in buttons if b["type"] == "QUICK_REPLY"
        ]  # fmt: skip
    if message["type"] != "interactive" or not isinstance(content, Mapping):
        return []
    action = content.get("action") or {}
    replies = [("button", dict(button["reply"])) for button in action.get("buttons") or () if button.get("reply")]
    rows = [("list", dict(row)) for section in action.get("sections") or () for row in section.get("rows") or ()]
    return replies + rows


def show_messages(terminal: Terminal, messages: list[dict[str, Any]]) -> None:
    """Messages as results: who, what, what can be tapped."""
    from aerobot.emulator.bubble import word

    for message in messages:
        arrow = "-->" if message["direction"] == "in" else "<--"
        kind = word(message["type"], message["content"])
        status = f"  ({message['status']})" if message["status"] == "failed" else ""
        text = message["text"] or f"[{message['type']}]"
        for place, line in enumerate((safe(text, lines=True) + status).split("\n")):
            head = f"{arrow} {safe(kind)[:11]:8} " if place == 0 else " " * 13
            terminal.result((head + line).rstrip(), hang=13)
        titles = [str(content.get("title") or content.get("text")) for _, content in choices(message)]
        if titles and message["direction"] == "out":
            terminal.result(" " * 13 + " ".join(f"[{safe(title)}]" for title in titles), hang=13)
