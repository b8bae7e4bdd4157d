"""The emulated business as Meta keeps it: apps, accounts, numbers, and where webhooks go.

State only. Delivery precedence (Meta, "Webhook overrides"): number > WhatsApp Business Account > app, decided
per app, and only if the app is subscribed to the account and to the field ``messages``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from aerobot.emulator.credentials import Credentials, pretty
from aerobot.emulator.templates import HELLO, Template
from aerobot.emulator.tokens import App
from aerobot.emulator.webhooks import Line

PIN = "123456"
"""The two-step verification PIN of the number, until it is arranged otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A business number; ``phone`` in digits, ``overrides`` the callback by app id.

    ``account_mode`` is ``SANDBOX`` for Meta's test numbers, else ``LIVE``. ``pin`` is the one it was registered
    with, empty before the first time. ``health`` is Meta's ``can_send_message``, ``profile`` what was set
    of the business profile, ``blocked`` the keys of users who may not write to it.
    """

    id: str
    phone: str
    name: str
    account_id: str
    account_mode: str = "SANDBOX"
    status: str = "CONNECTED"
    quality_rating: str = "GREEN"
    name_status: str = "APPROVED"
    code_verification_status: str = "VERIFIED"
    throughput: str = "STANDARD"
    messaging_limit: str = "TIER_250"
    health: str = "AVAILABLE"
    registered: bool = True
    pin: str = field(default=PIN, repr=False)
    overrides: Mapping[str, str] = field(default_factory=dict)
    profile: Mapping[str, object] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()

    def shown(self) -> dict[str, str]:
        """As the page knows it."""
        return {
            "number": self.id,
            "name": self.name,
            "phone": self.phone,
            "display": pretty(self.phone),
            "mode": self.account_mode,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A WhatsApp Business Account. ``apps`` are those subscribed to it, each with its override or ``""``."""

    id: str
    name: str
    apps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """An app's own callback and the webhook fields that it wants."""

    callback_url: str = ""
    fields: tuple[str, ...] = ("messages",)


class Business:
    """All of it; ``changed`` is called after every change. Graph has no other memory than this.

    ``require_proof``: the app's setting "Require App Secret". ``clock_ahead``: by how many seconds the ``Date``
    of Graph's answers is ahead. ``outage``: how Graph fails, see ``arrange.OUTAGES``.
    """

    def __init__(self, credentials: Credentials, name: str, changed: Callable[[], None]) -> None:
        random = Random(credentials.app_id)  # noqa: S311 - the other app is only a stand-in
        self.app = App(id=credentials.app_id, name=name, secret=credentials.app_secret)
        self.other_app = App(
            id=f"8{random.randrange(10**14):014d}", name="Another app", secret=f"{random.getrandbits(128):032x}"
        )
        self.apps = {app.id: app for app in (self.app, self.other_app)}
        self.account_id = credentials.business_account_id
        self.other_account_id = f"3{random.randrange(10**14):014d}"
        self.number_id = credentials.phone_number_id
        mine = Account(id=self.account_id, name="Test WhatsApp Business Account", apps={self.app.id: ""})
        other = Account(id=self.other_account_id, name="Another WhatsApp Business Account")
        self.accounts = {account.id: account for account in (mine, other)}
        number = Number(
            id=self.number_id, phone=credentials.display_phone_number, name=name, account_id=self.account_id
        )
        self.numbers = {number.id: number}
        self.subscriptions = {self.app.id: Subscription()}
        self.templates: dict[str, tuple[Template, ...]] = dict.fromkeys(self.accounts, (HELLO,))
        self.require_proof = False
        self.clock_ahead = 0.0
        self.outage = ""
        self._changed = changed

    # -- what is --

    @property
    def number(self) -> Number:
        """The number that the phones write to."""
        return self.numbers[self.number_id]

    def line(self, number_id: str) -> Line:
        """A number as webhooks name it."""
        number = self.numbers[number_id]
        return Line(business_account_id=number.account_id, phone_number_id=number.id, display_phone_number=number.phone)

    def levels(self, app_id: str, number: Number) -> dict[str, str]:
        """``webhook_configuration``: the callback at each level that has one; ``application`` always."""
        subscription = self.subscriptions.get(app_id)
        found = {
            "phone_number": number.overrides.get(app_id, ""),
            "whatsapp_business_account": self.accounts[number.account_id].apps.get(app_id, ""),
        }
        kept = {level: url for level, url in found.items() if url}
        return kept | {"application": subscription.callback_url if subscription else ""}

    def callback(self, number_id: str) -> str:
        """The callback of our app that is in force for a number; empty if none was ever set."""
        number = self.numbers.get(number_id)
        return next(iter(self.levels(self.app.id, number).values())) if number else ""

    def obstacle(self, number_id: str) -> str:
        """Why Meta sends no webhooks of a number's messages; empty if it does."""
        if self.app.id not in self.accounts[self.numbers[number_id].account_id].apps:
            return "the app is not subscribed to the WhatsApp Business Account"
        subscription = self.subscriptions.get(self.app.id)
        if subscription is None or "messages" not in subscription.fields:
            return "the app is not subscribed to the field messages"
        return ""

    def bots(self) -> list[Number]:
        """Whom phones can write to: our number, then the other registered ones of our account."""
        others = [n for n in self.numbers.values() if n.registered and n.account_id == self.account_id]
        return [self.number, *(number for number in others if number.id != self.number_id)]

    # -- what changes --

    def connect(self, url: str) -> None:
        """Make this the callback of all webhooks: the app's own, subscribed to our account, nothing overriding."""
        app_id = self.app.id
        account = self.accounts[self.number.account_id]
        fields = self.subscriptions.get(app_id, Subscription()).fields
        self.accounts[account.id] = replace(account, apps={**account.apps, app_id: ""})
        for number in self.numbers.values():
            self.numbers[number.id] = replace(number, overrides=_without(number.overrides, app_id))
        fields = tuple(dict.fromkeys((*fields, "messages")))
        self.put_subscription(app_id, Subscription(callback_url=url, fields=fields))

    def put_number(self, number: Number) -> None:
        """Add or change a number."""
        self.numbers[number.id] = number
        self._changed()

    def override_number(self, number: Number, app_id: str, url: str) -> None:
        """Set the number's override of an app; none if ``url`` is empty."""
        others = _without(number.overrides, app_id)
        self.put_number(replace(number, overrides=others | ({app_id: url} if url else {})))

    def subscribe(self, account_id: str, app_id: str, override: str = "") -> None:
        """Subscribe an app to an account, or change its override there."""
        account = self.accounts[account_id]
        self.accounts[account_id] = replace(account, apps={**account.apps, app_id: override})
        self._changed()

    def unsubscribe(self, account_id: str, app_id: str) -> None:
        """Unsubscribe an app from an account; its override there goes too."""
        account = self.accounts[account_id]
        self.accounts[account_id] = replace(account, apps=_without(account.apps, app_id))
        self._changed()

    def put_subscription(self, app_id: str, subscription: Subscription | None) -> None:
        """Set an app's own callback and fields; None removes both."""
        self.subscriptions.pop(app_id, None)
        if subscription is not None:
            self.subscriptions[app_id] = subscription
        self._changed()


def _without(urls: Mapping[str, str], app_id: str) -> dict[str, str]:
    return {key: url for key, url in urls.items() if key != app_id}
