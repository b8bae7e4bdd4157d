"""What a test can arrange in the emulated world, by name; wrong names and values are sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypedDict, cast

from aerobot.emulator.business import Business, Number, Subscription
from aerobot.emulator.tokens import Token, Tokens

HOUR: Final = 3600
LATEST: Final = 10**10
"""Seconds since 1970 that every calendar here knows, in the year 2286."""


class Changes(TypedDict, total=False):
    """Each stays until it is arranged otherwise; what is not named stays as it is. No callback is asked anything.

    The main token is the one among the credentials, "our" app, account and number are theirs too.
    """

    token: str
    """Of the main token: ``valid``; ``expired`` since an hour (190/463); ``invalidated`` (190/467); ``unknown``,
    which nobody can parse (190)."""
    token_type: str
    """``SYSTEM_USER`` (default) or ``USER``, as the temporary ones are."""
    token_expires_at: float
    """Seconds since 1970; 0: never (default)."""
    token_scopes: Sequence[str]
    """Default ``tokens.SCOPES``. Without one, its calls are refused with 10."""
    token_targets: Sequence[str] | None
    """The accounts it was granted (default: ours); None: any, ``target_ids`` is missing then. Without ours, sends
    are refused with 200, all else with 100/33."""
    token_app_id: str
    """Whose it is: ``portal.app.id`` (default) or ``portal.other_app.id``."""
    require_proof: bool
    """The app's setting "Require App Secret": calls without ``appsecret_proof`` are refused with 100."""
    account_subscribed: bool
    """Whether our app is subscribed to our account (default) and so gets webhooks."""
    account_callback: str
    """Our app's override at the account, ``""`` for none (default); setting one subscribes the app."""
    number_callback: str
    """Our app's override at the number, ``""`` for none (default)."""
    app_callback: str
    """Our app's own callback, ``""`` for none (default; ``connect`` sets it)."""
    app_fields: Sequence[str]
    """The webhook fields that our app wants (default: ``messages``)."""
    number_account_id: str
    """The account that our number is in: ours (default) or ``portal.other_account_id``. The token has to be
    granted that too (``token_targets``), or the number is not there for it."""
    account_mode: str
    """``SANDBOX`` (default, Meta's test numbers) or ``LIVE``."""
    number_status: str
    """``CONNECTED`` (default) or any of ``STATUSES``."""
    quality_rating: str
    """``GREEN`` (default), ``YELLOW``, ``RED`` or ``UNKNOWN``."""
    name_status: str
    """``APPROVED`` (default) or any of ``NAME_STATUSES``."""
    code_verification_status: str
    """``VERIFIED`` (default), ``NOT_VERIFIED`` or ``EXPIRED``; ``register`` wants the first (133006)."""
    throughput: str
    """``STANDARD`` (default) or ``HIGH``."""
    messaging_limit: str
    """``TIER_250`` (default) to ``TIER_UNLIMITED``, see ``LIMITS``."""
    health: str
    """``can_send_message``: ``AVAILABLE`` (default), ``LIMITED`` or ``BLOCKED``."""
    registered: bool
    """Whether the number was registered (default); if not, sends are refused with 133010."""
    pin: str
    """The two-step PIN (default ``business.PIN``), ``""`` for none yet; ``register`` wants it (133005)."""
    clock_ahead: float
    """Seconds by which the ``Date`` of Graph's answers is ahead of the emulator's clock (default 0)."""
    outage: str
    """``html`` (500 and a page) or ``unavailable`` (503, code 2) for every call; ``""``: Graph works (default)."""


STATUSES: Final = (
    "CONNECTED", "PENDING", "DISCONNECTED", "FLAGGED", "RESTRICTED", "BANNED", "RATE_LIMITED", "MIGRATED", "DELETED",
    "UNVERIFIED", "UNKNOWN",
)  # fmt: skip
NAME_STATUSES: Final = ("APPROVED", "AVAILABLE_WITHOUT_REVIEW", "DECLINED", "EXPIRED", "NONE", "PENDING_REVIEW")
LIMITS: Final = ("TIER_250", "TIER_2K", "TIER_10K", "TIER_100K", "TIER_UNLIMITED")
OUTAGES: Final = ("", "html", "unavailable")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("valid", "expired", "invalidated", "unknown"),
    "token_type": ("SYSTEM_USER", "USER"),
    "account_mode": ("SANDBOX", "LIVE"),
    "number_status": STATUSES,
    "quality_rating": ("GREEN", "YELLOW", "RED", "UNKNOWN"),
    "name_status": NAME_STATUSES,
    "code_verification_status": ("VERIFIED", "NOT_VERIFIED", "EXPIRED"),
    "throughput": ("STANDARD", "HIGH"),
    "messaging_limit": LIMITS,
    "health": ("AVAILABLE", "LIMITED", "BLOCKED"),
    "outage": OUTAGES,
}
_TEXTS: Final = ("token_app_id", "account_callback", "number_callback", "app_callback", "number_account_id", "pin")
_FLAGS: Final = ("require_proof", "account_subscribed", "registered")
_AMOUNTS: Final = ("token_expires_at", "clock_ahead")
_LISTS: Final = ("token_scopes", "token_targets", "app_fields")
NAMES: Final = (*_CHOICES, *_TEXTS, *_FLAGS, *_AMOUNTS, *_LISTS)


def checked(changes: Mapping[str, object]) -> Changes:
    """These names and values, known to be good. Raises ``ValueError`` with a sentence."""
    for name, value in changes.items():
        _check(name, value)
    return cast("Changes", dict(changes))


def _check(name: str, value: object) -> None:
    if name not in NAMES:
        raise ValueError(f"There is nothing called {name!r} to arrange; there are {', '.join(NAMES)}.")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name} is one of {', '.join(map(repr, _CHOICES[name]))}, not {value!r}.")
    if name in _TEXTS and not isinstance(value, str):
        raise ValueError(f"{name} is a string.")
    if name in _FLAGS and not isinstance(value, bool):
        raise ValueError(f"{name} is true or false.")
    if name in _AMOUNTS and (
        isinstance(value, bool) or not isinstance(value, int | float) or not -LATEST <= value <= LATEST
    ):
        raise ValueError(f"{name} is a number of seconds.")
    if name in _LISTS and not _is_list(value) and not (value is None and name == "token_targets"):
        raise ValueError(f"{name} is a list of strings.")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, str) for v in value)


def apply(changes: Changes, *, business: Business, tokens: Tokens, token: Token, now: float) -> Token:
    """Make it so; the main token as it is then. Raises ``ValueError`` for an app or account that is not there."""
    app_id, account_id = changes.get("token_app_id", ""), changes.get("number_account_id", "")
    if app_id and app_id not in business.apps:
        raise ValueError(f"There is no app {app_id!r}; there are {', '.join(business.apps)}.")
    if account_id and account_id not in business.accounts:
        raise ValueError(f"There is no account {account_id!r}; there are {', '.join(business.accounts)}.")
    token = _token(changes, token, now)
    if changes.get("token") == "unknown":
        tokens.forget(token.value)
    elif "token" in changes or tokens.get(token.value):
        tokens.keep(token)
    business.require_proof = changes.get("require_proof", business.require_proof)
    business.clock_ahead = changes.get("clock_ahead", business.clock_ahead)
    business.outage = changes.get("outage", business.outage)
    _webhooks(changes, business)
    business.put_number(_number(changes, business))
    return token


def _token(changes: Changes, token: Token, now: float) -> Token:
    if "token" in changes:
        expires_at = int(now) - HOUR if changes["token"] == "expired" else 0
        token = replace(token, expires_at=expires_at, invalidated=changes["token"] == "invalidated")
    targets = changes.get("token_targets", token.targets)
    return replace(
        token,
        app_id=changes.get("token_app_id") or token.app_id,
        type=changes.get("token_type", token.type),
        issued_at=min(token.issued_at, int(now) - 2 * HOUR) if changes.get("token") == "expired" else token.issued_at,
        expires_at=int(changes.get("token_expires_at", token.expires_at)),
        scopes=tuple(changes.get("token_scopes", token.scopes)),
        targets=None if targets is None else tuple(targets),
    )


def _webhooks(changes: Changes, business: Business) -> None:
    app, account = business.app.id, business.account_id
    if changes.get("account_subscribed") is True:
        business.subscribe(account, app, business.accounts[account].apps.get(app, ""))
    elif changes.get("account_subscribed") is False:
        business.unsubscribe(account, app)
    if changes.get("account_callback") or ("account_callback" in changes and app in business.accounts[account].apps):
        business.subscribe(account, app, changes["account_callback"])
    if "app_callback" in changes or "app_fields" in changes:
        present = business.subscriptions.get(app) or Subscription(fields=())
        url = changes.get("app_callback", present.callback_url)
        fields = tuple(changes.get("app_fields", present.fields))
        business.put_subscription(app, Subscription(callback_url=url, fields=fields))


_OF_NUMBER: Final = (
    "account_mode", "quality_rating", "name_status", "code_verification_status", "throughput", "messaging_limit",
    "health", "pin",
)  # fmt: skip


def _number(changes: Changes, business: Business) -> Number:
    number = business.number
    given = cast("Mapping[str, str]", changes)
    for name in _OF_NUMBER:
        if name in given:
            number = replace(number, **{name: given[name]})  # type: ignore[arg-type]
    if "registered" in changes:
        status = "CONNECTED" if changes["registered"] else "DISCONNECTED"
        number = replace(number, registered=changes["registered"], status=status)
    if "number_callback" in changes:
        others = {key: url for key, url in number.overrides.items() if key != business.app.id}
        url = changes["number_callback"]
        number = replace(number, overrides=others | ({business.app.id: url} if url else {}))
    return replace(
        number,
        status=changes.get("number_status", number.status),
        account_id=changes.get("number_account_id") or number.account_id,
    )
