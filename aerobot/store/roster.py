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

    before = document.get("previous")
    former: Mapping[str, object] = before if isinstance(before, Mapping) else {}

    def secret(name: str, given: Mapping[str, object] = config) -> Secret | None:
        value = given.get(name)
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
        access_token_previous=secret("access_token", former),
        app_secret_previous=secret("app_secret", former),
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


def previous_of(document: Mapping[str, object], *, now: int) -> Mapping[str, object]:
    """The former token and secret in a bot's document, ``until`` when they are good; empty once that is over."""
    given = document.get("previous")
    if not isinstance(given, Mapping):
        return {}
    try:
        until = datetime.fromisoformat(str(given.get("until"))).timestamp() * 1000
    except ValueError:
        return {}
    return given if now < until else {}


class Roster:
    """All bots of this host, kept in memory and written through to the store."""

    def __init__(self, store: Store, settings_bot: HostedBot | None) -> None:
        self._store = store
        self._bots: dict[str, HostedBot] = {}
        self._settings_bot = settings_bot

    async def load(self) -> None:
        """Read the bots made over the API; the one of the settings stands beside them."""
        self._bots = {bot.id: bot for bot in await self._store.bots()}
        for bot in tuple(self._bots.values()):
            if self._is_over(bot):
                await self.save(_without_previous(bot))
        if self._settings_bot is not None:
            self._bots[self._settings_bot.id] = self._settings_bot

    def get(self, bot_id: str) -> HostedBot | None:
        """The bot with this id. A former token or secret whose time is over is gone."""
        bot = self._bots.get(bot_id)
        if bot is not None and self._is_over(bot):
            bot = self._bots[bot_id] = _without_previous(bot)
        return bot

    def all(self) -> tuple[HostedBot, ...]:
        """Every bot, the settings' one first."""
        bots = [bot for bot_id in tuple(self._bots) if (bot := self.get(bot_id)) is not None]
        return tuple(sorted(bots, key=lambda bot: (bot.origin != "settings", bot.id)))

    def _is_over(self, bot: HostedBot) -> bool:
        return "previous" in bot.document and not previous_of(bot.document, now=self._store.now())

    async def save(self, bot: HostedBot) -> None:
        """Keep a bot made over the API."""
        await self._store.save_bot(bot)
        self._bots[bot.id] = bot

    async def delete(self, bot_id: str) -> None:
        """Forget a bot made over the API."""
        await self._store.delete_bot(bot_id)
        self._bots.pop(bot_id, None)


def _without_previous(bot: HostedBot) -> HostedBot:
    return from_document({key: value for key, value in bot.document.items() if key != "previous"})
