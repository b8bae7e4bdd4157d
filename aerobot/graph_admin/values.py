"""What Graph tells about tokens, apps, accounts and numbers, as plain values; what it leaves out is empty.

Sources: Graph API (Debug Token, App Subscriptions), WhatsApp Business Management API (Phone numbers,
Webhook overrides), v25.0.
"""

from dataclasses import dataclass
from typing import Literal

from aerobot.whatsapp.messages import Failure
from aerobot.whatsapp.wire import Object, as_text

MESSAGING, MANAGEMENT = "whatsapp_business_messaging", "whatsapp_business_management"
"""What a token must be allowed: to send and get messages; to read and set up numbers and webhooks."""
OBJECT = "whatsapp_business_account"
"""The object of an app's subscription that carries WhatsApp's webhooks."""

Level = Literal["phone", "waba", "app"]
LEVELS: tuple[Level, ...] = ("phone", "waba", "app")
"""Where a callback can be set, the narrowest, which wins, first."""


# -- tokens and apps -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A scope of a token and the ids that it is limited to; ``targets`` is ``None`` where it is not limited."""

    scope: str
    targets: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What ``debug_token`` says. ``expires_at`` is in unix seconds, 0 for never, ``None`` where it is not told.

    ``kind`` is Meta's word: SYSTEM_USER, USER, PAGE, APP. ``error`` is Meta's reason where it is not ``valid``.
    """

    kind: str = ""
    app_id: str = ""
    application: str = ""
    valid: bool = True
    expires_at: int | None = None
    scopes: tuple[str, ...] = ()
    granular: tuple[Granted, ...] = ()
    error: Failure | None = None

    @property
    def temporary(self) -> bool:
        """Whether it is a person's token that dies, such as the one on the page API Setup."""
        return self.kind == "USER" and bool(self.expires_at)

    @property
    def knows_scopes(self) -> bool:
        """Whether its scopes were told at all."""
        return bool(self.scopes or self.granular)

    def has(self, scope: str) -> bool:
        """Whether it may do that."""
        return scope in self.scopes or any(granted.scope == scope for granted in self.granular)

    def targets(self, scope: str = MANAGEMENT) -> tuple[str, ...] | None:
        """The accounts that the scope is limited to; ``None``: to none, or it was not told."""
        found = [granted.targets for granted in self.granular if granted.scope == scope]
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app of Meta's developer portal."""

    id: str
    name: str = ""


# -- callbacks -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """An address that Meta calls, and the level at which it is set."""

    level: Level
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """The address set at each level, empty where there is none. The narrowest wins: phone > WABA > app."""

    phone: str = ""
    waba: str = ""
    app: str = ""

    def at(self, level: Level) -> str:
        """The address at one level."""
        return {"phone": self.phone, "waba": self.waba, "app": self.app}[level]

    @property
    def in_force(self) -> Callback | None:
        """The one that Meta calls."""
        return next((Callback(level=level, url=url) for level in LEVELS if (url := self.at(level))), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribedApp:
    """An app that gets an account's webhooks, and the address that it set for this account alone."""

    id: str
    name: str = ""
    override: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A subscribed kind of webhook, and the version of Graph in which its body is written."""

    name: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSubscription:
    """What an app gets, and where, unless an override is narrower."""

    object: str
    callback_url: str = ""
    active: bool = True
    fields: tuple[Field, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its fields."""
        return tuple(field.name for field in self.fields)


# -- accounts and numbers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Waba:
    """A WhatsApp Business account."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A business's number. ``mode`` is TEST, LIVE or empty; ``registered`` is ``None`` where it is not told.

    ``display`` is for people (``+1 555-010-4477``); ``limit`` (TIER_250 …), ``throughput``, ``status``,
    ``quality`` and ``name_status`` are Meta's words. ``waba_id`` is known of numbers found through their account.
    """

    id: str
    display: str = ""
    verified_name: str = ""
    status: str = ""
    mode: str = ""
    quality: str = ""
    limit: str = ""
    throughput: str = ""
    platform_type: str = ""
    name_status: str = ""
    callbacks: Callbacks = Callbacks()
    waba_id: str = ""

    @property
    def registered(self) -> bool | None:
        """Whether it is registered on the Cloud API: only then it sends and receives."""
        return self.platform_type == "CLOUD_API" if self.platform_type else None

    @property
    def connected(self) -> bool | None:
        """Whether it is connected to WhatsApp."""
        return self.status == "CONNECTED" if self.status else None

    @property
    def last_four(self) -> str:
        """Its last four digits: what is typed to confirm a change to a LIVE number."""
        return "".join(c for c in self.display if c.isdigit())[-4:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A message template; ``components`` are as Meta gives them, ``reason`` is why it was rejected."""

    id: str
    name: str
    language: str
    status: str = ""
    category: str = ""
    reason: str = ""
    components: tuple[Object, ...] = ()

    @property
    def body(self) -> str:
        """The text of its body, with ``{{1}}`` where a parameter goes."""
        bodies = (part for part in self.components if as_text(part.get("type")).upper() == "BODY")
        return as_text(next(bodies, {}).get("text"))
