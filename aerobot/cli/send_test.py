"""`aerobot send-test`: a signed, realistic webhook goes in, the reply is printed, nobody real is messaged."""

import json
import os
import random
import secrets
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from aerobot.cli.command import TEST, Run, command
from aerobot.cli.stream import short, show_parts
from aerobot.config import Settings, state_folder
from aerobot.errors import ConfigError, NoReplyError, RemoteError, UsageError
from aerobot.secret import Secret
from aerobot.terminal import safe

DEFAULT_TEXT = "Hello from aerobot send-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to send, as it was asked for."""

    text: str | None
    kind: str
    changes: tuple[str, ...]
    payload: Path | None
    sender: str
    name: str
    deliver: bool
    timeout: float | None
    curl: bool


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "send-test",
        panel=TEST,
        examples=('aerobot send-test "Where is my order?"', "aerobot send-test --type image --json"),
    )
    def send_test(
        run: Run,
        text: Annotated[
            str | None, typer.Argument(help="What the user writes (a caption, where there is one).")
        ] = None,
        kind: Annotated[
            str,
            typer.Option(
                "--type",
                metavar="KIND",
                help="text, image, audio, document, location, contacts, reaction, button, list ...",
            ),
        ] = "text",
        changes: Annotated[
            list[str] | None,
            typer.Option(
                "--set", metavar="PATH=VALUE", help="Change the body, e.g. entry.0.id=1; VALUE is JSON or text."
            ),
        ] = None,
        payload: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="A webhook body of your own; its id, time and number are made new."),
        ] = None,
        sender: Annotated[
            str | None, typer.Option("--from", metavar="NUMBER", help="The user's number; else a new user.")
        ] = None,
        name: Annotated[str, typer.Option("--from-name", metavar="NAME", help="The user's name.")] = "Test user",
        timeout: Annotated[
            float | None, typer.Option(metavar="S", help="Seconds to wait; else the bot's own limit and 5 more.", min=0)
        ] = None,
        curl: Annotated[bool, typer.Option("--curl", help="Print the request as a curl command instead.")] = False,
        deliver: Annotated[bool, typer.Option("--deliver", help="Really send the replies, to --from.")] = False,
        url: Annotated[
            str | None, typer.Option(metavar="URL", help="Send to a deployed bot's webhook instead.")
        ] = None,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> None:
        """Try one message: a signed webhook goes in, the reply is printed.

        It enters a running `aerobot serve` or `sandbox` as Meta's would, apart from real users. Replies are kept,
        not sent to WhatsApp, be it Meta's or emulated, unless --deliver says so.
        Exit: 0 answered, 4 refused, 5 nothing listens, 6 no reply.
        """
        if deliver and not sender:
            raise UsageError("--deliver sends to a real person: say to whom, with --from NUMBER.")
        wanted = Wanted(
            text=DEFAULT_TEXT if text is None and kind == "text" else text,
            kind=kind,
            changes=tuple(changes or ()),
            payload=payload,
            sender="".join(c for c in sender or "" if c.isascii() and c.isdigit()),
            name=name,
            deliver=deliver,
            timeout=timeout,
            curl=curl,
        )
        if sender and not wanted.sender:
            raise UsageError(f"--from {sender}: a number has digits.")
        if url:
            _to_deployed(run, wanted, url, yes=yes)
        else:
            _to_local(run, wanted)


# -- the body -----------------------------------------------------------------------------------------------------


def _body(wanted: Wanted, wamid: str, number: str, account: str) -> bytes:
    """The wire bytes of what is sent; every way to ask for nonsense is a ``UsageError``."""
    from aerobot import probe
    from aerobot.emulator import webhooks

    now = int(time.time())
    if wanted.payload is not None:
        document = _from_file(wanted.payload, wamid, now, number)
    else:
        line = webhooks.Line(
            business_account_id=account or probe.TEST_ACCOUNT,
            phone_number_id=number,
            display_phone_number="15550783881",
        )
        number = wanted.sender or _new_number()
        sender = webhooks.Sender(phone=number, name=wanted.name, user_id=webhooks.scoped_id(number))
        kind = webhooks.ALIASES.get(wanted.kind, wanted.kind)
        if kind not in webhooks.KINDS:
            raise UsageError(f'There is no type "{wanted.kind}".', "Types: " + ", ".join(webhooks.KINDS))
        message = webhooks.message(kind, sender, id=wamid, timestamp=now, text=wanted.text, line=line)
        document = webhooks.inbound(line, sender, message)
    for change in wanted.changes:
        _change(document, change)
    try:
        return webhooks.wire(document)
    except RecursionError:
        raise UsageError("The body is nested too deeply to be sent.") from None


def _from_file(path: Path, wamid: str, now: int, number: str) -> dict[str, Any]:
    from aerobot import probe

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        return probe.payload(text, wamid=wamid, now=now, phone_number_id=number)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a webhook body: {error}.") from None


def _change(document: dict[str, Any], change: str) -> None:
    from aerobot.emulator import webhooks

    path, separator, raw = change.partition("=")
    if not separator:
        raise UsageError(f"--set {change}: write PATH=VALUE.")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = raw
    try:
        webhooks.set_path(document, path, value)
    except ValueError as error:
        raise UsageError(f"--set {change}: {error}") from None


def _new_number() -> str:
    return f"1555{secrets.randbelow(10**7):07d}"


# -- to a local host ----------------------------------------------------------------------------------------------


def _to_local(run: Run, wanted: Wanted) -> None:
    from aerobot import probe
    from aerobot.emulator import webhooks
    from aerobot.host import record
    from aerobot.host.paths import path_of

    settings, terminal = run.settings(), run.terminal
    host = record.choose(
        record.running(state_folder(os.environ) / "hosts"),
        config=str(settings.path) if settings.path else None,
        phone_number_id=settings.text("whatsapp.phone_number_id"),
    )
    if not host.worker and not wanted.curl:
        raise NoReplyError(
            f"The host that runs (pid {host.pid}) has no worker: nothing it takes is answered. Nothing was sent.",
            "Start it without --no-worker: aerobot serve",
        )
    wamid = webhooks.new_wamid(random.SystemRandom())
    channel = probe.TestChannel(host)
    announced = channel.announce(
        wamid, bot_id="", phone_number_id=settings.text("whatsapp.phone_number_id"), deliver=wanted.deliver
    )
    secret = host.sandbox_secret or settings.secret("whatsapp.app_secret")
    body = _body(wanted, wamid, announced.phone_number_id, settings.text("whatsapp.business_account_id"))
    if _wamid(body, wamid) != wamid:  # changed by --set: that is the id to expect
        wamid = _wamid(body, wamid)
        channel.announce(wamid, bot_id=announced.bot_id, phone_number_id="", deliver=wanted.deliver)
    url = host.local_url + path_of(announced.bot_id)
    if wanted.curl:
        terminal.value(_curl(url, body, secret))
        return
    delivered = probe.deliver(url, body, secret)
    where = url.split("/")[2]
    signed = "signed" if secret else "unsigned"
    terminal.say(
        f"--> {wanted.kind:8} {short(_sender(body))} {safe(wanted.name)}  "
        + terminal.faint(f"{where}, {signed}, {delivered.status} in {delivered.milliseconds} ms")
    )
    if delivered.status != 200:
        raise _refused(delivered.status, settings, host, signed=secret is not None)
    timeout = wanted.timeout if wanted.timeout is not None else announced.timeout_ms / 1000 + 5
    with terminal.busy("waiting for the reply"):
        verdict = channel.verdict(announced.bot_id, wamid, timeout=timeout)
    parts = verdict.get("parts", [])
    show_parts(terminal, parts)
    answered = _answered(verdict)
    terminal.document({"answered": answered, "bot_id": announced.bot_id, "wamid": wamid, **verdict})
    probe.judged(verdict, waited=timeout, describe=lambda seconds: f"{seconds:g} s")
    terminal.say(
        f"Answered in {verdict['milliseconds']} ms (bot {verdict['engine_ms']} ms). {_where(announced, body)}"
    )


def _where(announced: Any, body: bytes) -> str:
    """Who got the reply, in plain words."""
    if announced.capture:
        return "Kept here: nothing was sent to WhatsApp."
    return f"Graph took it, for {short(_sender(body))}."


def _answered(verdict: Any) -> bool:
    from aerobot import probe

    try:
        probe.judged(verdict, waited=0)
    except NoReplyError:
        return False
    return True


def _wamid(body: bytes, announced: str) -> str:
    """The message's id as it was sent: ``--set`` may have changed it."""
    try:
        found = str(json.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["id"])
        found.encode()
    except (ValueError, KeyError, IndexError, TypeError):
        return announced
    return found


def _sender(body: bytes) -> str:
    try:
        return str(json.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0].get("from", ""))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""


def _refused(status: int, settings: Settings, host: Any, *, signed: bool) -> RemoteError:
    ours = f'profile "{settings.profile}"' if settings.profile else str(settings.path or "no aerobot.toml")
    theirs = f'profile "{host.profile}"' if host.profile else host.config
    started = f"with {theirs}" if theirs else "without an aerobot.toml, with what its environment had"
    if status == 401 and not signed:
        unset = f"whatsapp.app_secret is not set here ({ours})"
        hint = f"The host checks signatures, and {unset}.\nIt was started {started}."
    elif status in (401, 403):
        hint = f"This command signs with the app secret that is set here ({ours}).\nThe host was started {started}."
    else:
        hint = "The host's own output says why."
    return RemoteError(f"Refused with {status}.", hint, status=status)


def _curl(url: str, body: bytes, secret: Secret | None) -> str:
    from aerobot import probe

    flags = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in probe.headers(body, secret).items()]
    return f"curl -i {shlex.quote(url)} {' '.join(flags)} --data-binary {shlex.quote(body.decode('ascii'))}"


# -- to a deployed bot --------------------------------------------------------------------------------------------


def _to_deployed(run: Run, wanted: Wanted, url: str, *, yes: bool) -> None:
    """A real delivery to somebody's server: said, asked, and its answer reported."""
    from aerobot import probe
    from aerobot.emulator import webhooks

    settings, terminal = run.settings(), run.terminal
    number = settings.text("whatsapp.phone_number_id")
    secret = settings.secret("whatsapp.app_secret")
    if not number:
        raise ConfigError(
            "whatsapp.phone_number_id is not set: the deployed bot would not know itself.", "aerobot init"
        )
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"--url {url}: an address starts with https://")
    body = _body(
        wanted, webhooks.new_wamid(random.SystemRandom()), number, settings.text("whatsapp.business_account_id")
    )
    if wanted.curl:
        terminal.value(_curl(url, body, secret))
        return
    terminal.say(
        f"This goes to {url.split('/')[2]} for real: the bot will think (that may be billed) and try to answer"
    )
    terminal.say(
        f"{short(_sender(body))} on WhatsApp. {'Signed.' if secret else 'NOT signed: no whatsapp.app_secret.'}"
    )
    if not yes and not terminal.confirm("Send it?"):
        raise typer.Exit(0)
    delivered = probe.deliver(url, body, secret, timeout=30.0)
    terminal.document({"status": delivered.status, "milliseconds": delivered.milliseconds, "text": delivered.text})
    if delivered.status != 200:
        hint = (
            "Its app secret is another one than ours." if delivered.status in (401, 403) else safe(delivered.text[:200])
        )
        raise RemoteError(
            f"It answered {delivered.status}, and Meta would repeat the delivery.", hint, status=delivered.status
        )
    terminal.result(f"Accepted: 200 in {delivered.milliseconds} ms.")
    terminal.say("What it replies shows on WhatsApp and in its own logs.")
