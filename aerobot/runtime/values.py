"""What the settings mean for a start: the bot, the database, who can reach it; and what a start is told beside them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aerobot import events
from aerobot.config import Settings
from aerobot.errors import ConfigError
from aerobot.runtime.keeping import at_home, kept_in
from aerobot.runtime.listening import descriptors
from aerobot.secret import is_loopback, may_carry_secrets
from aerobot.store.base import HostedBot
from aerobot.store.roster import derived_id

if TYPE_CHECKING:
    from aerobot.engine import Engine
    from aerobot.host.gate import Limits
    from aerobot.registration.plan import Wish

LOOPBACK = ("127.0.0.1", "::1", "localhost")
OWN_FILES = 200
"""Open files that the host itself needs, with its private listener, and the bot beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a start of the host decides beside the settings. ``free_ports`` takes others where its own are taken.

    ``register``: at which level Meta is pointed at the host, and what was agreed to; ``None``: not at all.
    ``made`` is an engine that exists already, in the place of the one called ``engine``.
    Without ``worker`` it only receives; what it keeps is answered by a later start.
    """

    engine: str
    made: "Engine | None" = None
    tunnel: bool = False
    register: "Wish | None" = None
    free_ports: bool = False
    sandbox: bool = False
    worker: bool = True
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(slots=True)
class Counts:
    """How much a host did, for its last line."""

    received: int = 0
    answered: int = 0
    failed: int = 0

    def take(self, event: events.Event) -> None:
        """Count an event."""
        if isinstance(event, events.MessageReceived):
            self.received += 1
        elif isinstance(event, events.TurnEnded) and event.state == "failed":
            self.failed += 1
        elif isinstance(event, events.PartSettled):
            self.answered += event.state in ("sent", "captured")
            self.failed += event.state in ("failed", "not_sent")


def settings_bot(settings: Settings) -> HostedBot | None:
    """The bot that the settings alone describe, ``None`` while its number or a token is missing."""
    number = settings.text("whatsapp.phone_number_id")
    token, verify = settings.secret("whatsapp.access_token"), settings.secret("whatsapp.verify_token")
    if not number or token is None or verify is None:
        return None
    bot_id = settings.text("bot.id") or derived_id(number)
    return HostedBot(
        id=bot_id,
        origin="settings",
        name=settings.text("bot.name") or "WhatsApp bot",
        active=True,
        phone_number_id=number,
        access_token=token,
        verify_token=verify,
        app_secret=settings.secret("whatsapp.app_secret"),
        access_token_previous=settings.secret("whatsapp.access_token_previous"),
        app_secret_previous=settings.secret("whatsapp.app_secret_previous"),
        system_prompt=system_prompt(settings),
        welcome_message=settings.text("bot.welcome_message"),
        fallback_message=settings.text("bot.fallback_message"),
        timeout_ms=settings.get("bot.timeout_ms"),
        max_messages=settings.get("bot.conversation_max_messages"),
        ttl_hours=settings.get("bot.conversation_ttl_hours"),
        document={"platform": "whatsapp", "platform_config": {"phone_number_id": number}},
    )


def system_prompt(settings: Settings) -> str:
    """The prompt itself, or what its file holds; ``ConfigError`` where the file cannot be read."""
    name = settings.text("bot.system_prompt_file")
    if settings.text("bot.system_prompt") or not name:
        return settings.text("bot.system_prompt")
    try:
        return (settings.folder / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"bot.system_prompt_file: {name} cannot be read: {error}.") from None


def database_path(settings: Settings) -> Path:
    """Where the store's file is; ``ConfigError`` for a kind of database that this version has not, or no file."""
    given = settings.text("serve.database") or str(Path(".aerobot", "aerobot.db"))
    if given.startswith("sqlite:///"):
        given = given.removeprefix("sqlite:///")
    elif "://" in given:
        raise ConfigError(
            f"serve.database: this version keeps its store in SQLite, not in {given.partition(':')[0]}.",
            "Give a path or sqlite:///path.",
        )
    remedy = "serve.database names a file, or one that is not there yet."
    return kept_in((settings.folder / at_home(Path(given), remedy)).resolve(), remedy)


def limits(settings: Settings, notice: Callable[[str, str, str], None]) -> "Limits":
    """What the public listener puts up with; fewer connections, and a notice, where the system allows fewer files."""
    from aerobot.host.gate import Limits

    wanted = settings.get("serve.max_connections")
    files = descriptors(wanted + OWN_FILES)
    connections = min(wanted, max(1, files - OWN_FILES))
    if connections < wanted:
        detail = f"{connections} connections at most, not {wanted}: the system allows {files} open files (ulimit -n)"
        notice("warning", "public", detail)
    return Limits(
        connections=connections,
        header_seconds=settings.get("serve.header_seconds"),
        header_bytes=settings.get("serve.max_header_bytes"),
        body_seconds=settings.get("serve.body_seconds"),
        body_bytes=settings.get("serve.max_body_bytes"),
        held_bytes=settings.get("serve.max_held_bytes"),
        idle_seconds=settings.get("serve.idle_seconds"),
    )


def leaves_loopback(settings: Settings) -> bool:
    """Whether replies go to the real WhatsApp."""
    return not is_loopback(settings.text("whatsapp.graph_url"))


def check_exposure(settings: Settings, options: Options, bot: HostedBot | None) -> None:
    """Refuse a start that would let strangers in, or that cannot be reached as it must be (``ConfigError``)."""
    public_url = settings.text("serve.public_url")
    exposed = options.tunnel or public_url or settings.text("serve.host") not in LOOPBACK
    if exposed and bot is not None and bot.app_secret is None and not settings.get("serve.allow_unsigned"):
        raise ConfigError(
            "Without whatsapp.app_secret anybody who finds the address could pose as Meta.",
            "Set it (Meta > App settings > Basic), or accept the risk with --allow-unsigned.",
        )
    if options.register and not (options.tunnel or public_url) and leaves_loopback(settings):
        raise ConfigError(
            "Meta can be pointed only at an address that it can reach.", "Add --tunnel, or --public-url URL."
        )
    if options.register and bot is None:
        raise ConfigError("Meta can be pointed here only for a number of the settings.", "aerobot init")
    if options.tunnel and bot is None:
        raise ConfigError(
            "A tunnel needs a number to be proven with: whatsapp.phone_number_id, access_token and verify_token.",
            "aerobot init asks for them.",
        )
    if public_url and not may_carry_secrets(public_url):
        raise ConfigError(f"serve.public_url is {public_url}: Meta calls https alone.", "Give an https address.")
    private = settings.text("serve.private_host")
    open_wide = settings.secret("serve.private_token") and settings.get("serve.allowed_hosts")
    if private not in LOOPBACK and not open_wide:
        raise ConfigError(
            f"serve.private_host is {private}: beyond loopback it also needs serve.private_token and "
            "serve.allowed_hosts.",
            "Set all three, or leave it at 127.0.0.1.",
        )
