"""A real message on its way: which number sends is said, a LIVE one asks, Graph is asked once, receipts are read."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from aerobot.cli.account import span
from aerobot.cli.command import Run
from aerobot.cli.stream import short
from aerobot.cli.validate import admin_of
from aerobot.config import SETTINGS, Settings, state_folder
from aerobot.errors import AerobotError, ConfigError, NetworkError, NoReplyError, RemoteError, Repeat
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.graph_admin import GraphError, Number
    from aerobot.host.record import HostRecord
    from aerobot.probe import Journey
    from aerobot.sender import Line, Sender
    from aerobot.whatsapp.messages import Reply
    from aerobot.whatsapp.rules import Window

Reached = Literal["accepted", "sent", "delivered", "read"]
UPLOAD_SECONDS = 600.0
"""The most that an upload may take: 100 MB at 1.4 Mbit/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to send to whom, as it was asked for. ``file`` is uploaded first, under ``mime_type``."""

    to: str
    reply: "Reply"
    file: Path | None
    mime_type: str
    wait: Reached
    timeout: float
    yes: bool

    @property
    def is_template(self) -> bool:
        """Whether it may be sent outside the session window."""
        return self.reply.kind == "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """The number that sends. ``mode`` is TEST, LIVE or empty, ``proof`` whether our app secret is its app's."""

    id: str
    display: str = ""
    mode: str = ""
    proof: bool = False
    trouble: NetworkError | None = None


# -- from whom ---------------------------------------------------------------------------------------------------


def _line(settings: Settings) -> "Line":
    from aerobot.sender import Line

    number, token = settings.text("whatsapp.phone_number_id"), settings.secret("whatsapp.access_token")
    for key, there in (("whatsapp.phone_number_id", number), ("whatsapp.access_token", token)):
        if not there:
            raise ConfigError(f"{key} is not set.", "aerobot init asks for it.")
    assert token is not None
    return Line(phone_number_id=number, access_token=token, app_secret=settings.secret("whatsapp.app_secret"))


def _look(settings: Settings, line: "Line") -> From:
    """The number as Meta knows it; what a better credential cures is a ``ConfigError``, silence is remembered."""
    from aerobot.graph_admin import GraphError

    app_id = settings.text("whatsapp.app_id")
    with admin_of(settings, line.access_token, line.app_secret, app_id) as admin:
        try:
            try:
                number = admin.number(line.phone_number_id)
            except GraphError as error:
                if error.cause != "secret_wrong" or not admin.prove:
                    raise
                admin.prove = False
                number = admin.number(line.phone_number_id)
        except GraphError as error:
            return _unknown(line, error)
        except NetworkError as error:
            return From(id=line.phone_number_id, trouble=error)
        return _known(number, proof=admin.prove and line.app_secret is not None)


def _known(number: "Number", *, proof: bool) -> From:
    return From(id=number.id, display=number.display, mode=number.mode, proof=proof)


def _unknown(line: "Line", error: "GraphError") -> From:
    """Not shown to this token: without the permission to look one may still send; without a token, not."""
    from aerobot.whatsapp.refusals import TOKEN_CODES

    if error.failure.code in TOKEN_CODES or error.cause in ("not_there", "ids_swapped"):
        raise ConfigError(f"{error.message} Nothing was sent.", error.hint) from None
    return From(id=line.phone_number_id)


def _host(number: str) -> "HostRecord | None":
    """The host here that gets this number's receipts, the newest where there are several."""
    from aerobot.host.record import running

    found = [host for host in running(state_folder(os.environ) / "hosts") if number in host.phone_number_ids]
    return max(found, key=lambda host: host.started_at, default=None)


# -- sending -----------------------------------------------------------------------------------------------------


class Sending:
    """One message on its way: looked at, agreed to, sent, waited for."""

    def __init__(self, run: Run, wanted: Wanted) -> None:
        self._terminal = run.terminal
        self._settings = run.settings()
        self._wanted = wanted
        self._line = _line(self._settings)
        self._host = _host(self._line.phone_number_id)
        self._from = From(id=self._line.phone_number_id)
        self._window: Window | None = None
        self._asked = False
        self._journey: Journey | None = None

    def go(self) -> None:
        """All of it. Every trouble is an ``AerobotError``, without any secret in its words."""
        from aerobot.graph_admin.guard import hide

        try:
            with self._terminal.busy("Asking Meta about the number"):
                self._from = _look(self._settings, self._line)
            self._say_first()
            self._say_window()
            self._agree()
            self._send()
        except AerobotError as error:
            hide(error, [secret for s in SETTINGS if s.secret and (secret := self._settings.secret(s.key))])
            raise

    def _say_first(self) -> None:
        """Which number, and whether it is TEST or LIVE."""
        there = self._from
        who = there.display or f"phone number id {there.id}"
        what = there.mode or "TEST or LIVE is not known"
        self._terminal.say(safe(f"{who}  {what}  sends to {short(self._wanted.to)}"))
        if there.trouble is not None:
            self._warn(f"Not looked up at Meta: {there.trouble.message}")

    def _say_window(self) -> None:
        """What is known of the 24 hours, before anything is sent; templates need none."""
        from aerobot import probe
        from aerobot.whatsapp import rules

        if self._wanted.is_template:
            return
        if self._host is None:
            self._terminal.step("skipped", "window", "not known: no host runs here; outside it only templates arrive")
            return
        now = time.time() * 1000
        at = probe.window_at(self._host, phone_number_id=self._line.phone_number_id, number=self._wanted.to)
        self._window = rules.window(at, round(now))
        if self._window.closes_at is None:
            self._terminal.step("skipped", "window", "not known: to the host here this user has not written yet")
        elif self._window.open:
            left = span((self._window.closes_at - now) / 1000)
            self._terminal.step("ok", "window", f"open for {left} more")
        else:
            ago = span((now - self._window.closes_at) / 1000)
            self._warn(f"The session window closed {ago} ago: Meta lets only templates through.", "--template NAME")

    def _agree(self) -> None:
        """A yes for what reaches a real person, and for waiting where nobody is told."""
        there, terminal = self._from, self._terminal
        if self._wanted.wait != "accepted" and self._host is None:
            self._warn(
                f"Whether it is {self._wanted.wait} cannot be told: no host is running.", "aerobot serve --tunnel"
            )
        if self._wanted.yes or there.mode == "TEST":
            return
        if there.trouble is not None:
            raise NetworkError(there.trouble.message, f"Nothing was sent. {there.trouble.hint}".strip())
        what = "A LIVE number writes to a real person" if there.mode else "Perhaps this is a LIVE number"
        cost = ", and Meta may bill the template" if self._wanted.is_template else ""
        if not terminal.confirm(f"{what}{cost}. Send it?"):
            terminal.say("Nothing was sent.")
            raise typer.Exit(0)

    def _send(self) -> None:
        try:
            asyncio.run(self._travel())
        except KeyboardInterrupt:
            if self._journey is not None:
                self._document()
            elif self._asked:
                from aerobot.whatsapp.refusals import NOBODY_KNOWS

                self._warn("Interrupted while Graph was asked.", NOBODY_KNOWS)
            raise
        self._document()
        self._judge()

    async def _travel(self) -> None:
        from aerobot import probe
        from aerobot.sender import Sender
        from aerobot.whatsapp import graph

        sender = Sender(
            graph_url=self._settings.text("whatsapp.graph_url"), version=self._settings.text("whatsapp.graph_version")
        )
        await sender.start()
        try:
            if self._from.proof:
                sender.prove(self._line)
            body: Mapping[str, object] = graph.bodies(self._wanted.reply)[0]
            if self._wanted.file is not None:
                body = graph.with_media(body, await self._upload(sender, self._wanted.file))
            async with AsyncExitStack() as stack:
                stream = None
                if self._host is not None and self._wanted.wait != "accepted":
                    stream = await self._follow(stack, self._host)
                journey = await self._post(sender, body)
                if stream is not None:
                    with self._terminal.busy(f"Waiting until it is {self._wanted.wait}"):
                        until, timeout = self._wanted.wait, self._wanted.timeout
                        await probe.receipts(journey, stream, until, timeout=timeout, tell=self._tell)
        finally:
            await sender.close()

    async def _follow(self, stack: AsyncExitStack, host: "HostRecord") -> AsyncIterator[Mapping[str, Any]]:
        from aerobot import probe

        try:
            return await stack.enter_async_context(probe.following(host))
        except NetworkError as error:
            error.hint = f"Nothing was sent. {error.hint}"
            raise

    async def _upload(self, sender: "Sender", file: Path) -> str:
        try:
            with self._terminal.progress(f"Uploading {safe(file.name)}") as progress:
                found = await sender.upload(
                    self._line, file, mime_type=self._wanted.mime_type, timeout=UPLOAD_SECONDS, progress=progress
                )
        except (NetworkError, RemoteError) as error:
            error.hint = f"The upload failed; nothing was sent. {error.hint}".strip()
            if error.repeat is Repeat.BLOCKED:
                raise ConfigError(error.message, error.hint) from None
            raise
        self._terminal.step("ok", "uploaded", safe(file.name))
        return found

    async def _post(self, sender: "Sender", body: Mapping[str, object]) -> "Journey":
        """The one call that counts, made once."""
        from aerobot.probe import Journey
        from aerobot.whatsapp.graph import Refused
        from aerobot.whatsapp.refusals import refusal

        self._asked, started = True, time.monotonic()
        part_id = f"aerobot-send.{uuid.uuid4().hex}"
        answer = await sender.send(self._line, body, phone=self._wanted.to, user_id="", part_id=part_id)
        took = round((time.monotonic() - started) * 1000)
        if isinstance(answer, Refused):
            raise refusal(answer, self._wanted.to)
        self._journey = Journey(wamid=answer.wamid, recipient=answer.recipient, milliseconds=took)
        self._terminal.step("ok", "accepted", f"{took / 1000:.1f} s")
        self._terminal.value(answer.wamid)
        return self._journey

    def _tell(self, receipt: Mapping[str, Any]) -> None:
        if receipt["status"] != "failed":
            self._terminal.step("ok", safe(str(receipt["status"])), f"{receipt['milliseconds'] / 1000:.1f} s")

    def _warn(self, words: str, hint: str = "") -> None:
        self._terminal.warn(words, hint)

    # -- the end -------------------------------------------------------------------------------------------------

    def _document(self) -> None:
        journey, window = self._journey, self._window
        assert journey is not None
        known = self._host is not None and self._wanted.wait != "accepted"
        self._terminal.document(
            {
                "wamid": journey.wamid,
                "to": self._wanted.to,
                "recipient": journey.recipient,
                "phone_number_id": self._line.phone_number_id,
                "display_phone_number": self._from.display or None,
                "mode": self._from.mode or None,
                "window": {"open": window.open, "closes_at": window.closes_at} if window and window.known else None,
                "state": journey.state,
                "verdict": "known" if known else "unknown",
                "reached": journey.reached(self._wanted.wait),
                "milliseconds": journey.milliseconds,
                "receipts": journey.receipts,
            }
        )

    def _judge(self) -> None:
        from aerobot.whatsapp.refusals import failed

        journey, wanted = self._journey, self._wanted
        assert journey is not None
        if journey.failure is not None:
            raise failed(journey.failure, wanted.to)
        if not journey.reached(wanted.wait):
            raise self._late(journey)
        if wanted.wait != "accepted":
            self._terminal.say("Next, the other half: aerobot doctor --live")
        elif self._host is None:
            self._terminal.say("Accepted; verdict unknown: no host is running. The phone shows it, or the host of")
            self._terminal.say("aerobot serve --tunnel, and --wait delivered.")
        else:
            self._terminal.say("Accepted; whether it arrives: --wait delivered, or the output of aerobot serve.")

    def _late(self, journey: "Journey") -> NoReplyError:
        wait, far = self._wanted.wait, journey.state
        if self._host is None:
            hint = "Start one that Meta calls (aerobot serve --tunnel), or look at the phone."
            return NoReplyError("Accepted; verdict unknown: no host is running.", hint)
        if journey.lost:
            return NoReplyError(f"The host stopped before it was {wait}: {far} so far.", "aerobot serve --tunnel")
        words = f"Not {wait} within {self._wanted.timeout:g} s: {far} so far."
        if far == "accepted":
            return NoReplyError(words, "No receipt came. Does Meta call the host here? aerobot webhook show")
        if far == "delivered":
            return NoReplyError(words, "Nobody has opened the chat, or that user tells nobody of reading.")
        return NoReplyError(words, "Is the phone on, and on the network?")
