"""The bots this host runs: the one of the settings and those made over the API, by id and by number."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from aerobot.secret import Secret
from aerobot.store.base import HostedBot, Store


def derived_id(phone_number_id: str) -> str:
    """The id of a bot that Aerostack has not named: the same for the same number, in Aerostack's form."""
    digest = hashlib.sha256(b"aerobot:" + phone_number_id.encode()).digest()
    return "bt_" + base64.b32encode(digest).decode().lower()[:20]


def from_document(document: Mapping[str, object], *, origin: str = "local") -> HostedBot:
    """A bot from the API's own field names (``platform_config`` and all)."""
    given = document.get("platform_config")
    config: Mapping[str, object] = given if isinstance(given, Mapping) else {}

    def secret(name: str) -> Secret | None:
        value = config.get(name)
        return Secret(str(value)) if value else None

    def number(name: str, default: float) -> float:
        value = document.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else default

    def text(name: str) -> str:
        return str(document.get(name) or "")

    return HostedBot(
        id=text("id"),
        origin=origin,
        name=text("name"),
        active=document.get("status") == "active",
        phone_number_id=str(config.get("phone_number_id") or ""),
        access_token=secret("access_token"),
        verify_token=secret("verify_token"),
        app_secret=secret("app_secret"),
        system_prompt=text("system_prompt"),
        welcome_message=text("welcome_message"),
        fallback_message=text("fallback_message"),
        timeout_ms=int(number("timeout_ms", 30_000)),
        max_messages=int(number("conversation_max_messages", 20)),
        ttl_hours=number("conversation_ttl_hours", 24),
        document=document,
    )


def timestamp(milliseconds: int) -> str:
    """A time in the API's form: ISO 8601, UTC, whole seconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Roster:
    """All bots of this host, kept in memory and written through to the store."""

    def __init__(self, store: Store, settings_bot: HostedBot | None) -> None:
        self._store = store
        self._bots: dict[str, HostedBot] = {}
        self._settings_bot = settings_bot

    async def load(self) -> None:
        """Read the bots made over the API; the one of the settings stands beside them."""
        self._bots = {bot.id: bot for bot in await self._store.bots()}
        if self._settings_bot is not None:
            self._bots[self._settings_bot.id] = self._settings_bot

    def get(self, bot_id: str) -> HostedBot | None:
        """The bot with this id."""
        return self._bots.get(bot_id)

    def all(self) -> tuple[HostedBot, ...]:
        """Every bot, the settings' one first."""
        return tuple(sorted(self._bots.values(), key=lambda bot: (bot.origin != "settings", bot.id)))

    async def save(self, bot: HostedBot) -> None:
        """Keep a bot made over the API."""
        await self._store.save_bot(bot)
        self._bots[bot.id] = bot

    async def delete(self, bot_id: str) -> None:
        """Forget a bot made over the API."""
        await self._store.delete_bot(bot_id)
        self._bots.pop(bot_id, None)
