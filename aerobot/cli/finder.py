"""What `aerobot init` need not ask: found at Meta and Aerostack with the credentials given, and shown.

Its law: nothing is raised. Who cannot be asked, or says no, is a warning.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aerobot.cli.validate import ANSWER, CONNECT, admin_of, show
from aerobot.config import Settings
from aerobot.errors import AerobotError
from aerobot.secret import Secret
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.graph_admin import Discovered, Finding, Number

TOKEN, SECRET, APP = "whatsapp.access_token", "whatsapp.app_secret", "whatsapp.app_id"
PHONE, WABA, SPACE = "whatsapp.phone_number_id", "whatsapp.business_account_id", "aerostack.workspace_id"
OFFLINE = "Nothing is checked then: what you give is written as it is."


class Finder:
    """Looks with what is known so far; each finding is shown once."""

    def __init__(self, terminal: Terminal, settings: Settings) -> None:
        self._terminal, self._settings = terminal, settings
        self.findings: list[Finding] = []
        self.numbers: tuple[Number, ...] = ()
        """Those that were seen last."""

    def look(self, values: Mapping[str, str]) -> "Discovered | None":
        """What Graph tells; ``None`` where there is no token, or nobody to ask."""
        from aerobot.graph_admin import discover

        if not values.get(TOKEN):
            return None
        app_secret = Secret(values[SECRET]) if values.get(SECRET) else None
        waba, phone = values.get(WABA, ""), values.get(PHONE, "")
        try:
            with (
                admin_of(self._settings, Secret(values[TOKEN]), app_secret, values.get(APP, "")) as admin,
                self._terminal.busy("Asking Meta what the token and the secret are for"),
            ):
                found = discover(admin, now=time.time(), business_account_id=waba, phone_number_id=phone)
        except AerobotError as error:
            self._failed("Meta", error.message, OFFLINE)
            return None
        for finding in found.findings:
            if finding not in self.findings and finding.name != "unreachable":
                self._show(finding)
        if found.offline:
            why = [finding.seen for finding in found.findings if finding.name == "unreachable"]
            self._failed("Meta", why[0] if why else "cannot be reached", OFFLINE)
        self.numbers = found.numbers
        return None if found.offline and found.token is None else found

    def workspaces(self) -> list[tuple[str, str]]:
        """The workspaces of whoever is logged in, each with its name; none where nobody is."""
        from aerobot.aerostack import Aerostack

        settings = self._settings
        token, api_key = settings.secret("aerostack.token"), settings.secret("aerostack.api_key")
        if not token and not api_key:
            return []
        try:
            with (
                Aerostack(
                    settings.text("aerostack.api_url"),
                    token=token,
                    api_key=api_key,
                    connect_timeout=CONNECT,
                    read_timeout=ANSWER,
                    patience=0,
                ) as api,
                self._terminal.busy("Asking Aerostack for your workspaces"),
            ):
                answer = [one for one in api.workspaces() if one.get("id")]
        except AerobotError as error:
            self._failed("Aerostack", error.message)
            return []
        found = [(str(one["id"]), str(one.get("name") or one["id"])) for one in answer]
        if len(found) == 1:
            self._show(_ok("workspace", "space", f'Aerostack workspace "{found[0][1]}" (the only one)'))
        return found

    def _failed(self, topic: str, why: str, remedy: str = "") -> None:
        from aerobot.graph_admin.finding import finding

        self._show(finding("unreachable", topic, "warning", why, remedy))

    def _show(self, finding: "Finding") -> None:
        if finding not in self.findings:
            self.findings.append(finding)
            show(self._terminal, finding)


def _ok(name: str, topic: str, seen: str) -> "Finding":
    from aerobot.graph_admin.finding import finding

    return finding(name, topic, "ok", seen)


def filled(values: Mapping[str, str], found: "Discovered | None", *, choose: bool = True) -> dict[str, str]:
    """``values`` with what was found of those that they leave open.

    That is the app; with ``choose`` the number, where there is only one; the account of the number that is known.
    """
    more: dict[str, str] = {}
    if found is not None and found.app is not None:
        more[APP] = found.app.id
    numbers = found.numbers if found is not None else ()
    if choose and len(numbers) == 1:
        more[PHONE] = numbers[0].id
    ours = [number for number in numbers if number.id == {**more, **values}.get(PHONE)]
    if ours and ours[0].waba_id:
        more[WABA] = ours[0].waba_id
    return {**more, **values}


def by_itself(finder: Finder, values: Mapping[str, str]) -> dict[str, str]:
    """``values`` with what could be found where nobody can be asked; several numbers are named, none is taken."""
    found = dict(values)
    if values.get("bot.platform", "whatsapp") == "whatsapp":
        found = filled(values, finder.look(values))
    if SPACE not in found and len(spaces := finder.workspaces()) == 1:
        found[SPACE] = spaces[0][0]
    return found


def named(number: "Number") -> str:
    """A number in a question: ``+1 555-010-4477, Acme Support, TEST``."""
    parts = (number.display or number.id, number.verified_name, number.mode)
    return safe(", ".join(part for part in parts if part))
