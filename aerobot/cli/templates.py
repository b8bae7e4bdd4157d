"""`aerobot templates`: what may be said outside the session window."""

from typing import TYPE_CHECKING, Any

import typer

from aerobot.cli.command import META, Run, command, group
from aerobot.config import SETTINGS, Settings
from aerobot.errors import ConfigError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.graph_admin import GraphAdmin, Template

LONGEST = 40
"""Characters of a body's first line on the screen."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    inner = group(app, "templates", "The account's message templates.", panel=META)

    @command(inner, "list", examples=("aerobot templates list", "aerobot templates list --json"))
    def list_(run: Run) -> None:
        """List the templates: name, language, status, category and the body's first line.

        Only they may be sent outside the 24 hours since a user wrote, and only where Meta has approved them.
        """
        settings = run.settings()
        with run.terminal.busy("Asking Meta"), _admin(run, settings) as admin:
            account = _account(admin, settings)
            found = sorted(admin.templates(account), key=lambda one: (one.name, one.language))
        run.terminal.document(
            {"business_account_id": account, "templates": [_document(template) for template in found]}
        )
        _show(run, account, found)


def _admin(run: Run, settings: Settings) -> "GraphAdmin":
    from aerobot.graph_admin import GraphAdmin

    return GraphAdmin(
        settings.text("whatsapp.graph_url"),
        settings.text("whatsapp.graph_version"),
        access_token=settings.secret("whatsapp.access_token"),
        app_secret=settings.secret("whatsapp.app_secret"),
        app_id=settings.text("whatsapp.app_id") or None,
        hidden=[secret for s in SETTINGS if s.secret and (secret := settings.secret(s.key))],
        tell=lambda words: run.terminal.say(safe(words)),
        patience=20.0,
    )


def _account(admin: "GraphAdmin", settings: Settings) -> str:
    """The account of the settings, else the token's only one, else the one of the token's that has our number."""
    told = settings.text("whatsapp.business_account_id")
    if told:
        return told
    token, number = admin.debug_token(), settings.text("whatsapp.phone_number_id")
    targets = (token.targets() or ()) if token.valid else ()
    if len(targets) > 1:
        targets = tuple(one for one in targets if any(n.id == number for n in admin.phone_numbers(one)))
    if len(targets) != 1:
        why = "and the token does not tell of one" if token.valid else "and the access token is dead"
        raise ConfigError(
            f"whatsapp.business_account_id is not set, {why}.",
            "Meta > WhatsApp > API Setup shows it: aerobot config set whatsapp.business_account_id",
        )
    return targets[0]


def _document(template: "Template") -> dict[str, Any]:
    names = ("id", "name", "language", "status", "category", "reason", "body", "components")
    return {name: getattr(template, name) for name in names}


def _show(run: Run, account: str, found: list["Template"]) -> None:
    terminal = run.terminal
    terminal.say(safe(f"WABA {account}"))
    if not found:
        terminal.say("It has no templates. Make one: WhatsApp Manager > Message templates")
        return
    rows = [(t.name, t.language, t.status, t.category, _first(t.body)) for t in found]
    terminal.table(("NAME", "LANGUAGE", "STATUS", "CATEGORY", "BODY"), rows)
    for template in found:
        if template.reason and template.reason != "NONE":
            terminal.warn(f"{template.name} ({template.language}) was rejected: {template.reason}")
    good = next((t for t in found if t.status == "APPROVED"), found[0])
    terminal.say(safe(f"Next: aerobot send --to NUMBER --template {good.name} --language {good.language}"))


def _first(body: str) -> str:
    line = body.strip().partition("\n")[0].strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
