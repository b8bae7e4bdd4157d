"""Aerostack's bots API in the words of its answers, for the bots that this host runs."""

import secrets
from collections.abc import Callable, Mapping

from aerobot import events
from aerobot.host import previous
from aerobot.host.paths import path_of
from aerobot.host.reader import received
from aerobot.host.refusal import Refusal
from aerobot.secret import MASK, masked
from aerobot.store.base import Delivery, HostedBot, Part, Store, Verdict
from aerobot.store.roster import Roster, from_document, timestamp
from aerobot.whatsapp import webhook
from aerobot.whatsapp.webhook import Update

NEEDED = ("phone_number_id", "access_token", "verify_token")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class BotsApi:
    """Lists, makes, changes and tests bots. ``origin()`` is the address under which the public listener is reached."""

    def __init__(
        self,
        *,
        store: Store,
        roster: Roster,
        origin: Callable[[], str],
        emit: Callable[[events.Event], None],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._roster = roster
        self._origin = origin
        self._emit = emit
        self._wake = wake

    def bot(self, bot_id: str) -> HostedBot:
        """The bot, or a 404 that names those that are here."""
        bot = self._roster.get(bot_id)
        if bot is None:
            here = ", ".join(b.id for b in self._roster.all()) or "none"
            raise Refusal(404, "NOT_FOUND", f"There is no bot {bot_id[:80]} here. This host runs: {here}")
        return bot

    def list(self) -> list[object]:
        """All bots, secrets masked."""
        return [self._shown(bot) for bot in self._roster.all()]

    def show(self, bot_id: str) -> object:
        """One bot, secrets masked."""
        return self._shown(self.bot(bot_id))

    @staticmethod
    def _shown(bot: HostedBot) -> object:
        status = "active" if bot.active else "inactive"
        return masked({**bot.document, "id": bot.id, "name": bot.name, "status": status, "origin": bot.origin})

    async def create(self, given: Mapping[str, object]) -> object:
        """A new bot in this host's store, inactive."""
        if not isinstance(given.get("name"), str) or not str(given["name"]).strip():
            raise Refusal(400, "VALIDATION_ERROR", "name is required")
        _check(given)
        now = timestamp(self._store.now())
        bot_id = "bt_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
        document = {
            "platform": "whatsapp", **given, "id": bot_id, "status": "inactive", "created_at": now, "updated_at": now,
        }  # fmt: skip
        former = previous.lasting(given.get("previous"), now=self._store.now())
        bot = from_document(_with(document, former))
        await self._roster.save(bot)
        return self._shown(bot)

    async def update(self, bot_id: str, given: Mapping[str, object]) -> object:
        """Change fields; ``platform_config`` is replaced as a whole.

        A token and a secret that are changed are taken for a day more, unless ``previous`` says otherwise.
        """
        bot = self._own(bot_id)
        _check(given)
        fixed = ("id", "status", "created_at", "origin")
        changes = {key: value for key, value in given.items() if key not in fixed}
        document = {**bot.document, **changes, "status": "active" if bot.active else "inactive"}
        if "previous" in given:
            former = previous.lasting(given["previous"], now=self._store.now())
        else:
            former = previous.carried(bot.document, document, now=self._store.now())
        bot = from_document(_with(document, former))
        await self._roster.save(bot)
        return self._shown(bot)

    async def delete(self, bot_id: str) -> None:
        """Forget a bot; what it received stays."""
        await self._roster.delete(self._own(bot_id).id)

    async def activate(self, bot_id: str) -> dict[str, object]:
        """Let a bot answer, and say where Meta should call it."""
        bot = self.bot(bot_id)
        missing = [name for name in NEEDED if not getattr(bot, name)]
        if missing:
            names = ", ".join(f"platform_config.{name}" for name in missing)
            raise Refusal(400, "VALIDATION_ERROR", f"It cannot be activated without {names}")
        if not bot.active:
            await self._roster.save(from_document({**bot.document, "status": "active"}))
        unsigned = "No app_secret: signatures are not checked, so anybody could pose as Meta."
        warnings = [] if bot.app_secret else [unsigned]
        twins = [b.id for b in self._roster.all() if b.phone_number_id == bot.phone_number_id and b.id != bot.id]
        if twins:
            warnings.append(f"The same number also belongs to {', '.join(twins)}; Meta calls one address for it.")
        url = self._origin() + path_of(bot.id)
        return {"status": "active", "webhook_url": url, "manual_setup_required": True, "warnings": warnings}

    async def deactivate(self, bot_id: str) -> dict[str, object]:
        """Let a bot rest: what arrives is recorded and not answered."""
        bot = self._own(bot_id)
        await self._roster.save(from_document({**bot.document, "status": "inactive"}))
        return {"status": "inactive"}

    def _own(self, bot_id: str) -> HostedBot:
        bot = self.bot(bot_id)
        if bot.origin == "settings":
            where = f"{bot_id} lives in the settings of this host: change aerobot.toml and start again"
            raise Refusal(409, "CONFLICT", where)
        return bot

    def unforeseen(self, error: Exception) -> None:
        """Tell of an exception that nobody foresaw."""
        words = f"{type(error).__name__}: {error}"
        self._emit(events.Unexpected(at=self._store.now(), where="private listener", error=words))

    # -- tests ------------------------------------------------------------------------------------------------------

    async def submit(self, bot: HostedBot, text: str) -> str:
        """Put a test message straight into the store, from a user of its own; returns its id."""
        name = secrets.token_hex(8)
        wamid = f"wamid.test.{name}"
        raw: dict[str, object] = {"id": wamid, "from_user_id": f"XX.test{name}", "type": "text", "text": {"body": text}}
        contact = {"user_id": raw["from_user_id"], "profile": {"name": "Test"}}
        message = webhook.read_message(raw, contact)
        update = Update(kind="message", identity=wamid, field="messages", message=message, contact=contact, raw=raw)
        delivery = Delivery(
            bot_id=bot.id, number=bot.phone_number_id, body=b"", signed=True, updates=(update,), state="test",
            active=bot.active, channel="test", capture=True,
        )  # fmt: skip
        ((outcome,),) = await self._store.record((delivery,))
        self._emit(received(bot.id, message, outcome, self._store.now()))
        self._wake()
        return wamid

    @staticmethod
    def answer(verdict: Verdict | None) -> dict[str, object]:
        """A settled test as ``POST /test`` answers it; what went wrong is a ``Refusal``."""
        if verdict is None or not verdict.settled:
            raise Refusal(504, "TIMEOUT", "The bot did not answer in time")
        if verdict.state == "failed" and not verdict.parts:
            raise Refusal(502, "ENGINE_FAILED", f"The bot failed: {verdict.error or verdict.reason}")
        if verdict.state == "ignored" and verdict.reason == "inactive":
            raise Refusal(409, "INACTIVE", "The bot is not active: aerobot activate --local")
        return {
            "response": "\n\n".join(part.said for part in verdict.parts),
            "tool_calls": [],
            "tokens": {"input": 0, "output": 0},
            "cost_cents": 0,
            "latency_ms": (verdict.settled_at or verdict.received_at) - verdict.received_at,
            "loop_iterations": 1,
            "conversation_id": f"bconv_{verdict.turn_id}",
        }

    @staticmethod
    def verdict(verdict: Verdict | None, doing: Callable[[int], str]) -> dict[str, object]:
        """A verdict as JSON, and what the engine is at if it is still thinking."""
        if verdict is None:
            return {"stored": False, "settled": False}
        at_work = doing(verdict.turn_id) if verdict.turn_id is not None and not verdict.settled else ""
        return {
            "stored": True,
            "settled": verdict.settled,
            "claimed": verdict.turn_id is not None,
            "state": verdict.state,
            "reason": verdict.reason,
            "outcome": verdict.outcome,
            "error": verdict.error,
            "doing": at_work,
            "delivery_id": verdict.delivery_id,
            "engine_ms": verdict.engine_ms,
            "milliseconds": (verdict.settled_at - verdict.received_at) if verdict.settled_at else None,
            "parts": [_part(part) for part in verdict.parts],
        }


def _with(document: Mapping[str, object], former: Mapping[str, object] | None) -> dict[str, object]:
    """A bot's document with these former values, and no others."""
    rest = {key: value for key, value in document.items() if key != "previous"}
    return {**rest, "previous": former} if former else rest


def _part(part: Part) -> dict[str, object]:
    return {
        "kind": part.kind, "state": part.state, "text": part.said, "body": part.body, "wamid": part.wamid,
        "error": part.error, "receipt": part.receipt,
    }  # fmt: skip


_TEXTS = ("name", "system_prompt", "welcome_message", "fallback_message")
_NUMBERS = {"timeout_ms": (1, 60_000), "conversation_max_messages": (0, 1000), "conversation_ttl_hours": (0, 8760)}
"""Fields with their least and most; Aerostack's own limit is the 60 seconds."""


def _check(given: Mapping[str, object]) -> None:
    """Refuse what makes no sense, by the field's name."""
    if given.get("platform", "whatsapp") != "whatsapp":
        raise Refusal(400, "VALIDATION_ERROR", "platform: a local host runs WhatsApp bots alone")
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str | None):
            raise Refusal(400, "VALIDATION_ERROR", f"{name} must be text")
    for name, (least, most) in _NUMBERS.items():
        value = given.get(name, least)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and least <= value <= most):  # type: ignore[operator]
            raise Refusal(400, "VALIDATION_ERROR", f"{name} must be a number from {least} to {most}")
    _check_config(given.get("platform_config"))
    _check_previous(given.get("previous"))


def _check_config(config: object) -> None:
    if config is not None and not isinstance(config, Mapping):
        raise Refusal(400, "VALIDATION_ERROR", "platform_config must be an object")
    masked_ones = [name for name, value in (config or {}).items() if value == MASK]
    if masked_ones:
        words = f"platform_config.{masked_ones[0]} is {MASK}: give it in clear"
        raise Refusal(400, "VALIDATION_ERROR", words)
    number = config.get("phone_number_id") if isinstance(config, Mapping) else None
    if number is not None and not (isinstance(number, str) and number.isascii() and number.isdigit()):
        raise Refusal(400, "VALIDATION_ERROR", "platform_config.phone_number_id must be digits")


def _check_previous(former: object) -> None:
    """``None`` forgets the former ones; else an object of them, in clear."""
    if former is None:
        return
    values = former.items() if isinstance(former, Mapping) else [("", None)]
    clear = all(isinstance(value, str) and value not in ("", MASK) for _, value in values)
    if not clear or not all(name in previous.NAMES for name, _ in values):
        what = f"the former {' and '.join(previous.NAMES)} in clear, or null"
        raise Refusal(400, "VALIDATION_ERROR", f"previous must be {what}")
