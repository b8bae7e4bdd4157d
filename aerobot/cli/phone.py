"""`aerobot phone`: what a person does on the emulated phone, from the terminal: write, tap, look."""

import mimetypes
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aerobot.cli import phone_world
from aerobot.cli.command import TEST, Run, command, group
from aerobot.cli.emulated import (
    From,
    Port,
    To,
    choice,
    choose_bot,
    choose_phone,
    client,
    last_words,
    name_of,
    of_chat,
    quoted,
    show_messages,
)
from aerobot.errors import ConfigError, NoReplyError, UsageError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.emulator.client import Client

POLL = 0.1
LATEST = 30
MODES = {"SANDBOX": "TEST"}
"""Meta's word, and the one that people read everywhere else."""
UNHEARD = "No webhook is set: the message waits."
CONNECT = "aerobot phone connect URL"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    inner = group(app, "phone", "The emulated phone, and the world around it.", panel=TEST)
    _send(inner)
    _tap(inner)
    _chat(inner)
    _add(inner)
    _list(inner)
    phone_world.register(inner)


def _send(inner: typer.Typer) -> None:
    @command(
        inner, "send", examples=('aerobot phone send "Hi"', "aerobot phone send --file photo.jpg --caption 'Look'")
    )
    def send(
        run: Run,
        text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="What to write.")] = None,
        from_: From = None,
        to: To = None,
        kind: Annotated[
            str | None, typer.Option("--type", metavar="KIND", help="Another kind, as in send-test.")
        ] = None,
        file: Annotated[Path | None, typer.Option(metavar="PATH", help="A file to send.")] = None,
        caption: Annotated[str, typer.Option(metavar="TEXT", help="With --file.")] = "",
        reply: Annotated[bool, typer.Option("--reply", help="As a reply to the bot's last message.")] = False,
        forwarded: Annotated[bool, typer.Option("--forwarded", help="As a forwarded message.")] = False,
        ad: Annotated[bool, typer.Option("--ad", help="As somebody who comes from an ad.")] = False,
        wait: Annotated[
            float, typer.Option(metavar="S", help="Wait for the bot's answer, so many seconds.", min=0)
        ] = 0.0,
        emulator: Port = None,
    ) -> None:
        """Write to the bot from an emulated phone.

        With --wait the answer is printed; without one in time the exit code is 6.
        """
        if (text is None) == (file is None) and kind is None:
            raise UsageError("Give a text, --file or --type.", 'aerobot phone send "Hi"')
        if text is not None and not text.strip():
            raise UsageError("Nobody can send an empty text.", 'aerobot phone send "Hi"')
        with client(emulator) as found:
            state = found.get("state", recent="50")
            phone, number = choose_phone(state, from_), choose_bot(state, to)
            about = last_words(state, phone, number) if reply else ""
            if file is not None:
                sent = _send_file(found, phone, number, file, caption or text or "", about)
            else:
                body: dict[str, Any] = {
                    "kind": kind or "text",
                    "text": text,
                    "number": number,
                    "about": about,
                    "referral": ad,
                }
                if forwarded:
                    body["context"] = {"forwarded": True}
                sent = found.post(f"phones/{quoted(phone)}/messages", body)
            answered = _answers(found, phone, number, sent["wamid"], wait) if wait else []
            heard = bool(answered) or _heard(found, state, number)
        run.terminal.document({**sent, "phone": phone, "number": number, "replies": answered})
        run.terminal.say(f"--> {safe(name_of(state, phone))}  {safe(text or kind or str(file))}")
        show_messages(run.terminal, answered)
        if wait and not answered:
            raise _no_answer(wait, heard=heard)
        if not heard:
            run.terminal.say(f"{UNHEARD} {CONNECT}")
        elif not wait:
            run.terminal.say("Next: aerobot phone chat          --wait 5 prints the answer")


def _tap(inner: typer.Typer) -> None:
    @command(inner, "tap", examples=('aerobot phone tap "Opening hours"', 'aerobot phone tap "A list" --wait 5'))
    def tap(
        run: Run,
        title: Annotated[str, typer.Argument(metavar="TITLE", help="Of a button or row, as the bot wrote it.")],
        from_: From = None,
        to: To = None,
        wait: Annotated[
            float, typer.Option(metavar="S", help="Wait for the bot's answer, so many seconds.", min=0)
        ] = 0.0,
        emulator: Port = None,
    ) -> None:
        """Tap a button, or a row of a list, of the bot's latest message that has it."""
        with client(emulator) as found:
            state = found.get("state", recent="50")
            phone, number = choose_phone(state, from_), choose_bot(state, to)
            body = choice(state, phone, number, title)
            sent = found.post(f"phones/{quoted(phone)}/messages", {**body, "number": number})
            answered = _answers(found, phone, number, sent["wamid"], wait) if wait else []
            heard = bool(answered) or _heard(found, state, number)
        run.terminal.document({**sent, "phone": phone, "number": number, "replies": answered})
        run.terminal.say(f"--> {safe(name_of(state, phone))}  [{safe(title)}]")
        show_messages(run.terminal, answered)
        if wait and not answered:
            raise _no_answer(wait, heard=heard)


def _chat(inner: typer.Typer) -> None:
    @command(inner, "chat", examples=("aerobot phone chat", "aerobot phone chat --from Ana --last 5"))
    def chat(
        run: Run,
        from_: From = None,
        to: To = None,
        last: Annotated[int, typer.Option(metavar="N", help="How many messages.", min=1)] = LATEST,
        emulator: Port = None,
    ) -> None:
        """Print the chat of a phone with a bot."""
        with client(emulator) as found:
            state = found.get("state", recent=str(last))
        phone, number = choose_phone(state, from_), choose_bot(state, to)
        messages = of_chat(state, phone, number)
        run.terminal.document({"phone": phone, "number": number, "messages": messages})
        if not messages:
            run.terminal.say(f'Nothing yet. Try: aerobot phone send "Hi" --from {phone}')
        show_messages(run.terminal, messages)


def _add(inner: typer.Typer) -> None:
    @command(
        inner, "add", examples=("aerobot phone add Ana +5491123456789", "aerobot phone add Mira --username mira.p")
    )
    def add(
        run: Run,
        name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is.")],
        number: Annotated[str, typer.Argument(metavar="[NUMBER]", help="Their number.")] = "",
        username: Annotated[
            str, typer.Option(metavar="NAME", help="Known by username alone: the bot never sees a number.")
        ] = "",
        emulator: Port = None,
    ) -> None:
        """Add a phone: another person who can write to the bot."""
        if not number and not username:
            raise UsageError("Give a number, or --username.", "aerobot phone add Ana +15550100777")
        with client(emulator) as found:
            made = found.post("phones", {"name": name, "phone": number, "username": username})
        run.terminal.document(made)
        run.terminal.say(f"{safe(name)} has a phone: {made['phone']}")
        run.terminal.say(f'Next: aerobot phone send "Hi" --from {made["phone"]}')


def _list(inner: typer.Typer) -> None:
    @command(inner, "list", examples=("aerobot phone list", "aerobot phone list --json"))
    def list_(run: Run, emulator: Port = None) -> None:
        """List the phones, and the bots that they can write to."""
        with client(emulator) as found:
            state = found.get("state", recent="1")
        run.terminal.document({"phones": state["phones"], "numbers": state["numbers"]})
        run.terminal.table(("PHONE", "NAME", "NUMBER"), [(p["phone"], p["name"], p["number"]) for p in state["phones"]])
        bots = [(n["number"], n["name"], f"{n['display']}, {_mode(n)}") for n in state["numbers"]]
        run.terminal.result("")
        run.terminal.table(("BOT", "NAME", "NUMBER"), bots)
        run.terminal.say('Next: aerobot phone send "Hi" --from NAME')


def _mode(number: Mapping[str, str]) -> str:
    return MODES.get(number["mode"], number["mode"])


# -- sending and waiting ------------------------------------------------------------------------------------------


def _send_file(found: "Client", phone: str, number: str, file: Path, caption: str, about: str) -> Any:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    mime_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    fields = {"caption": caption, "number": number, "about": about}
    return found.post_file(f"phones/{quoted(phone)}/files", fields, file.name, data, mime_type)


def _answers(found: "Client", phone: str, number: str, wamid: str, patience: float) -> list[dict[str, Any]]:
    """What the bot says after a message: until it has been silent for a moment, or the time is over."""
    until = time.monotonic() + patience
    answered: list[dict[str, Any]] = []
    quiet = 0
    while time.monotonic() < until and quiet < 5:
        time.sleep(POLL)
        messages = found.get("messages", phone=phone, number=number, count="200")["messages"]
        place = next((at for at, m in enumerate(messages) if m["id"] == wamid), -1)
        now = [m for m in messages[place + 1 :] if m["direction"] == "out"]
        quiet = quiet + 1 if now and len(now) == len(answered) else 0
        answered = now
    return answered


def _heard(found: "Client", state: Mapping[str, Any], number: str) -> bool:
    """Whether some webhook gets what is written; of a bot other than the main one that is not known, so it is yes."""
    return number != state["numbers"][0]["number"] or bool(found.get("portal")["callback"])


def _no_answer(wait: float, *, heard: bool) -> NoReplyError:
    if heard:
        return NoReplyError(f"No answer within {wait:g} s.", "aerobot phone chat shows what came since.")
    return NoReplyError(f"No answer within {wait:g} s. {UNHEARD}", CONNECT)
