"""`aerobot phone fault|clock|set|redeliver|connect|reset|export|import`: the world around the emulated phone."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from aerobot.cli.command import Run, command
from aerobot.cli.durations import is_duration, moment, seconds, spoken
from aerobot.cli.emulated import Port, client
from aerobot.cli.emulator_stream import named
from aerobot.errors import ConfigError, UsageError
from aerobot.terminal import safe

MEANING = 46
"""Columns for what a fault means."""


def register(inner: typer.Typer) -> None:
    """Add the commands to the group."""
    _faults(inner)
    _time(inner)
    _settings(inner)
    _connect(inner)
    _state(inner)


def _faults(inner: typer.Typer) -> None:
    @command(inner, "fault", examples=("aerobot phone fault rate_limited --times 2", "aerobot phone fault --clear"))
    def fault(
        run: Run,
        name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which; without: what there is.")] = None,
        times: Annotated[int, typer.Option(metavar="N", help="How many calls it meets.", min=1, max=10_000)] = 1,
        call: Annotated[
            str, typer.Option(metavar="CALL", help="messages, read, media, download, settings or any.")
        ] = "messages",
        to: Annotated[str, typer.Option(metavar="PHONE", help="Only sends to this number.")] = "",
        clear: Annotated[bool, typer.Option("--clear", help="Forget what is armed: this one, or all.")] = False,
        emulator: Port = None,
    ) -> None:
        """Arm a fault: the bot's next calls meet it.

        Without a name: every fault there is, and what is armed.
        """
        with client(emulator) as found:
            if clear:
                armed = found.delete("faults", **({"name": name} if name else {}))["armed"]
            elif name:
                body = {"name": name, "times": times, "call": call, "to": to}
                armed = found.post("faults", body)["armed"]
            else:
                faults = found.get("state", recent="1")["faults"]
                armed = faults["armed"]
                run.terminal.document(faults)
                rows = [(key, str(one["code"] or ""), _cut(one["meaning"])) for key, one in faults["known"].items()]
                run.terminal.table(("NAME", "CODE", "MEANING"), rows)
        if name or clear:
            run.terminal.document({"armed": armed})
        words = ", ".join(named(one) for one in armed)
        run.terminal.say(f"Armed: {words}" if words else "Nothing is armed.")


def _cut(meaning: str) -> str:
    return meaning if len(meaning) <= MEANING else meaning[: MEANING - 1] + "…"


def _time(inner: typer.Typer) -> None:
    @command(inner, "clock", examples=("aerobot phone clock +25h", "aerobot phone clock --reset"))
    def clock(
        run: Run,
        move: Annotated[
            str | None, typer.Argument(metavar="[TIME]", help="+25h, or 2026-12-01T10:00; without: what it shows.")
        ] = None,
        reset: Annotated[bool, typer.Option("--reset", help="Back to real time.")] = False,
        emulator: Port = None,
    ) -> None:
        """Move the emulator's clock: session windows close, tokens and media expire, retries fall due."""
        with client(emulator) as found:
            if reset:
                shown = found.post("clock", {"reset": True})
            elif move:
                to = {"advance": seconds(move)} if is_duration(move) else {"at": moment(move)}
                shown = found.post("clock", to)
            else:
                shown = found.get("clock")
        run.terminal.document(shown)
        at = datetime.fromtimestamp(shown["now"] / 1000).astimezone()
        ahead = f", {spoken(shown['offset'])} ahead of real time" if shown["offset"] else ", real time"
        run.terminal.result(f"{at:%Y-%m-%d %H:%M:%S}{ahead}")


def _settings(inner: typer.Typer) -> None:
    @command(inner, "set", examples=("aerobot phone set window=at_once", "aerobot phone set batch=100 copies=2"))
    def set_(
        run: Run,
        changes: Annotated[
            list[str] | None, typer.Argument(metavar="[NAME=VALUE …]", help="What to change; without: what there is.")
        ] = None,
        emulator: Port = None,
    ) -> None:
        """Change how the emulated Meta behaves: receipts, window, limits, batches, copies, order, delay.

        docs/emulator.md has every name.
        """
        with client(emulator) as found:
            shown = found.post("settings", _changes(changes)) if changes else found.get("settings")
        run.terminal.document(shown)
        run.terminal.table(("NAME", "VALUE"), [(name, json.dumps(value)) for name, value in shown.items()])

    @command(inner, "redeliver", examples=("aerobot phone redeliver --all", "aerobot phone redeliver wamid.HBg…"))
    def redeliver(
        run: Run,
        wamid: Annotated[str | None, typer.Argument(metavar="[WAMID]", help="Of a message.")] = None,
        all_: Annotated[bool, typer.Option("--all", help="Every webhook that there was.")] = False,
        release: Annotated[bool, typer.Option("--release", help="With hold=true: what is held goes out.")] = False,
        emulator: Port = None,
    ) -> None:
        """Deliver webhooks once more, as Meta does when another app's endpoint failed."""
        if sum((wamid is not None, all_, release)) != 1:
            raise UsageError("Give the wamid of a message, --all or --release.")
        with client(emulator) as found:
            if release:
                done = found.post("deliveries/release")
            else:
                done = found.post("deliveries/redeliver", {"all": True} if all_ else {"wamid": wamid})
        run.terminal.document(done)
        [(word, count)] = done.items()
        run.terminal.say(f"{count} {word}.")


def _connect(inner: typer.Typer) -> None:
    @command(
        inner, "connect",
        examples=("aerobot phone connect http://127.0.0.1:3000/webhook", "aerobot phone connect URL --json"),
    )  # fmt: skip
    def connect(
        run: Run,
        url: Annotated[str, typer.Argument(metavar="URL", help="A webhook that answers Meta's challenge.")],
        emulator: Port = None,
    ) -> None:
        """Send webhooks there: the challenge is asked, then all that waited goes out.

        Clients that set their callback over Graph do the same by themselves.
        """
        with client(emulator) as found:
            found.post("connect", {"url": url})
        run.terminal.document({"url": url})
        run.terminal.say(f"Webhooks go to {safe(url)}")
        run.terminal.say('Next: aerobot phone send "Hi" --wait 5')


def _changes(given: list[str]) -> Mapping[str, Any]:
    found = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"{one!r} is not NAME=VALUE.", "aerobot phone set window=at_once")
        try:
            found[name.strip()] = json.loads(value, parse_constant=str)
        except (ValueError, RecursionError):
            found[name.strip()] = value
    return found


def _state(inner: typer.Typer) -> None:
    @command(inner, "reset", examples=("aerobot phone reset", "aerobot phone reset --all"))
    def reset(
        run: Run,
        all_: Annotated[bool, typer.Option("--all", help="The set-up at Meta too: no webhook is set then.")] = False,
        emulator: Port = None,
    ) -> None:
        """Begin anew: phones, messages, files, faults, settings and clock. Credentials stay."""
        with client(emulator) as found:
            found.post("reset", {"all": all_})
        run.terminal.document({"reset": True})
        run.terminal.say("Everything begins anew.")

    @command(inner, "export", examples=("aerobot phone export state.json", "aerobot phone export - > state.json"))
    def export(
        run: Run,
        file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - is stdout.")],
        emulator: Port = None,
    ) -> None:
        """Write the emulator's whole state, secrets of the emulated business included (0600)."""
        with client(emulator) as found:
            state = found.get("export")
        text = json.dumps(state)
        if file == "-":
            run.terminal.value(text) if not run.terminal.json else run.terminal.line(state)
            return
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as to:
                os.fchmod(to.fileno(), 0o600)  # one that was there before may be open to others
                to.write(text)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}.") from None
        run.terminal.document({"file": file})
        run.terminal.say(f"Wrote {safe(file)}. Next: aerobot phone import {safe(file)}")

    @command(inner, "import", examples=("aerobot phone import state.json", "aerobot phone import - < state.json"))
    def import_(
        run: Run,
        file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote; - is stdin.", allow_dash=True)],
        emulator: Port = None,
    ) -> None:
        """Go on from a state: phones, chats, set-up, clock and credentials are those of the file then."""
        import sys

        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
            state = json.loads(text)
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
        except (ValueError, RecursionError):
            raise ConfigError(f"{file} is not JSON.", "Give a file that aerobot phone export wrote.") from None
        if not isinstance(state, dict):
            raise ConfigError(f"{file} is no state of the emulator.", "Give a file that aerobot phone export wrote.")
        with client(emulator) as found:
            try:
                found.post("import", state)
            except UsageError as error:
                raise UsageError(f"{file}: {error.message}", "Give a file that aerobot phone export wrote.") from None
        run.terminal.document({"imported": str(file)})
        run.terminal.say("The emulator goes on from there.")
