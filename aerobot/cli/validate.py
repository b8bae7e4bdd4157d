"""What Meta says of the credentials, asked by a command itself: what only a missing network explains stops nothing."""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from aerobot.config import SETTINGS, Settings
from aerobot.errors import AerobotError, ConfigError, NetworkError, RemoteError, Repeat
from aerobot.secret import Secret
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.graph_admin import Finding, GraphAdmin, Number

CONNECT, ANSWER, LONGEST = 3.0, 8.0, 12.0
"""Seconds: to connect to Graph, for one answer, and for the whole of a check."""
WALLS = {
    "token_expired": "whatsapp.access_token",
    "token_invalid": "whatsapp.access_token",
    "token_kind": "whatsapp.access_token",
    "refused_190": "whatsapp.access_token",
    "not_there": "whatsapp.phone_number_id",
    "ids_swapped": "whatsapp.phone_number_id",
}
"""What cannot work at all, and the setting that is to blame."""

NoValidate = Annotated[bool, typer.Option("--no-validate", help="Do not ask Meta about the credentials first.")]


def admin_of(settings: Settings, token: Secret | None, app_secret: Secret | None, app_id: str) -> "GraphAdmin":
    """A client of Graph for a look in passing: nothing is asked twice, nothing is waited for long."""
    from aerobot.graph_admin import GraphAdmin

    return GraphAdmin(
        settings.text("whatsapp.graph_url"),
        settings.text("whatsapp.graph_version"),
        access_token=token,
        app_secret=app_secret,
        app_id=app_id or None,
        hidden=[secret for s in SETTINGS if s.secret and (secret := settings.secret(s.key))],
        connect_timeout=CONNECT,
        read_timeout=ANSWER,
        patience=0,
    )


def look(admin: "GraphAdmin", phone_number_id: str, *, now: float) -> "list[Finding]":
    """The cheap part: whether the token lives and of which kind it is, whether the number is there and works."""
    from aerobot.graph_admin import verdicts

    found: list[Finding] = []
    try:
        token = admin.debug_token()
        found.append(verdicts.token_life(token, now=now))
        if found[0].state == "failed":
            return found
        app = verdicts.token_app(token, admin.app_id)
        admin.prove = app.state == "ok"
        admin.app_id = token.app_id or admin.app_id
        found += [one for one in (app, verdicts.token_scopes(token)) if one.state != "ok"]
        found.append(verdicts.number_works(_number(admin, phone_number_id, found)))
    except AerobotError as error:
        verdict = verdicts.of_error("number" if found else "token", error)
        passing = isinstance(error, RemoteError) and error.repeat in (Repeat.SAFE, Repeat.AMBIGUOUS)
        found.append(replace(verdict, name="unreachable", state="warning") if passing else verdict)
    return found


def _number(admin: "GraphAdmin", phone_number_id: str, found: "list[Finding]") -> "Number":
    """The number; an app secret that does not fit is found on the way, and the number asked for without it."""
    from aerobot.graph_admin import GraphError, verdicts

    try:
        return admin.number(phone_number_id)
    except GraphError as error:
        if error.cause != "secret_wrong" or not admin.prove:
            raise
        found.append(verdicts.of_error("secret", error))
    admin.prove = False
    return admin.number(phone_number_id)


def check(terminal: Terminal, settings: Settings, *, undone: str = "") -> None:
    """Look, and say what matters: the number, and what is not as it should be.

    What cannot work is a ``ConfigError`` that says what was ``undone`` ("Nothing was created."), and without that
    a warning. Where Meta cannot be asked in time, that is said and stops nothing.
    """
    number = settings.text("whatsapp.phone_number_id")
    looked = _Look(settings)
    with terminal.busy("Asking Meta about the number"):
        looked.start()
        looked.join(LONGEST)
    if looked.trouble is not None and not isinstance(looked.trouble, AerobotError):
        raise looked.trouble
    if looked.trouble is not None:
        unchecked(terminal, number, looked.trouble.message)
        return
    for finding in looked.found:
        if undone and finding.name in WALLS and finding.state == "failed":
            raise _wall(finding, undone)
    for finding in looked.found:
        if finding.name == "unreachable":
            unchecked(terminal, number, finding.seen)
        elif finding.topic == "number" or finding.state in ("failed", "warning"):
            show(terminal, finding, topic="WhatsApp" if finding.topic == "number" else "")


def called(settings: Settings) -> str | None:
    """The address that Meta calls for the settings' number, empty where there is none; ``None``: it cannot be asked."""
    secrets = settings.secret("whatsapp.access_token"), settings.secret("whatsapp.app_secret")
    try:
        with admin_of(settings, *secrets, settings.text("whatsapp.app_id")) as admin:
            force = admin.number(settings.text("whatsapp.phone_number_id")).callbacks.in_force
    except AerobotError:
        return None
    return force.url if force else ""


class _Look(threading.Thread):
    """The look in a thread of its own, which nobody has to wait for: one address after another may be tried."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self.found: list[Finding] = []
        host = urlsplit(settings.text("whatsapp.graph_url")).netloc
        self.trouble: Exception | None = NetworkError(f"{host} did not answer in time.")

    def run(self) -> None:
        settings = self._settings
        token, secret = settings.secret("whatsapp.access_token"), settings.secret("whatsapp.app_secret")
        try:
            with admin_of(settings, token, secret, settings.text("whatsapp.app_id")) as admin:
                self.found = look(admin, settings.text("whatsapp.phone_number_id"), now=time.time())
            self.trouble = None
        except Exception as error:
            self.trouble = error


def _wall(finding: "Finding", undone: str) -> ConfigError:
    key = WALLS[finding.name]
    words = finding.seen.rstrip(".")
    if words[0].islower():
        words = f"The access token {words}"
    then = "" if f"config set {key}" in finding.remedy else f"Then: aerobot config set {key}"
    lines = (finding.remedy, finding.link, then, "Without this check: --no-validate")
    hint = "\n".join(line for line in lines if line)
    return ConfigError(f"{words}. {undone}", hint, problems=[(key, finding.seen)])


def unchecked(terminal: Terminal, phone_number_id: str, why: str) -> None:
    """The number could not be looked at: that is said, and stops nothing."""
    words = f"Not checked at Meta: {why}"
    if terminal.json:
        terminal.warn(words)
    terminal.step("warning", "WhatsApp", safe(f"phone number id {phone_number_id}. {words}"))


def show(terminal: Terminal, finding: "Finding", *, topic: str = "") -> None:
    """One finding: what was seen, and below it the remedy and its page where there is something to remedy."""
    bad = finding.state in ("failed", "warning")
    if terminal.json and bad:
        terminal.warn(f"{topic or finding.topic}: {finding.seen}", finding.remedy)
    terminal.step(finding.state, topic or finding.topic, safe(finding.seen))
    for text in (finding.remedy, finding.link) if bad or finding.state == "skipped" else ():
        if text:
            terminal.say(terminal.faint(f"{'':14}{safe(text)}"), hang=14)


def documents(findings: "Iterable[Finding]") -> list[dict[str, str]]:
    """Findings as JSON."""
    return [
        {"name": f.name, "topic": f.topic, "state": f.state, "seen": f.seen, "remedy": f.remedy, "link": f.link}
        for f in findings
    ]
