"""What the credentials and Graph's answers mean: from values to findings. Pure: the time is passed in.

Each gives one finding, good or bad, so that a checklist can show it; ``worst`` picks the one that matters.
Sources: WhatsApp Cloud API ("Get started", "Phone numbers"), Graph API ("Access tokens"), and the causes of
silence that public issues name most often (see the WABA's subscription).
"""

from collections.abc import Collection

from aerobot.errors import AerobotError, NetworkError
from aerobot.graph_admin.client import Kind
from aerobot.graph_admin.failures import GraphError
from aerobot.graph_admin.finding import Finding, State, finding, short, when
from aerobot.graph_admin.values import MANAGEMENT, MESSAGING, AppSubscription, Number, SubscribedApp, Token, Waba
from aerobot.whatsapp import graph

SOON = 3 * 86_400
"""A token that dies within this many seconds is a warning."""
DAY = 86_400
SKEW, SKEW_LARGE = 300, 3600
"""Seconds: what a clock may be wrong before it is mentioned, and before it does harm."""

SYSTEM_USERS = "https://business.facebook.com/settings/system-users"
TOKENS = "https://developers.facebook.com/docs/whatsapp/business-management-api/get-started"
APPS = "https://developers.facebook.com/apps"
NUMBERS = "https://business.facebook.com/wa/manage/phone-numbers"
REGISTRATION = "https://developers.facebook.com/docs/whatsapp/cloud-api/reference/registration"
LASTING = "A lasting one: System users > Generate token, expiration Never"
LACKING = {MESSAGING: "send or get messages", MANAGEMENT: "set up webhooks"}
LIMITED = {
    "FLAGGED": "its quality is low: Meta may restrict it",
    "RESTRICTED": "restricted: no new conversations for now",
    "RATE_LIMITED": "rate-limited for now",
}


def of_error(topic: str, error: AerobotError) -> Finding:
    """A check that could not be made: what only a missing network explains is a warning, not a wall."""
    if isinstance(error, NetworkError):
        return finding("unreachable", topic, "warning", error.message, error.hint)
    name = "refused"
    if isinstance(error, GraphError):
        name = error.cause or f"refused_{error.failure.code or error.status}"
    return finding(name, topic, "failed", error.message, error.hint)


def skipped(topic: str, why: str, remedy: str = "") -> Finding:
    """A check that needs something that is not there."""
    return finding("skipped", topic, "skipped", f"skipped: {why}", remedy)


# -- the access token ----------------------------------------------------------------------------------------


def token_life(token: Token, *, now: float) -> Finding:
    """Whether the token lives, of which kind it is, and until when; ``now`` in unix seconds."""
    dies = token.expires_at or 0
    if dies and dies <= now:
        return finding("token_expired", "token", "failed", f"expired {when(dies, now)}", LASTING, SYSTEM_USERS)
    if not token.valid:
        return _dead(token)
    if token.kind in ("PAGE", "APP"):
        seen = f"is of the kind {token.kind}: it may not act for WhatsApp"
        return finding("token_kind", "token", "failed", seen, LASTING, SYSTEM_USERS)
    who = {"SYSTEM_USER": "a system user's", "USER": "a person's"}.get(token.kind, "valid")
    if token.expires_at is None:
        return finding("token_life", "token", "ok", f"{who}, its end unknown")
    if not dies:
        return finding("token_life", "token", "ok", f"{who}, does not expire")
    if token.temporary:
        return finding("token_temporary", "token", "warning", f"temporary, dies {when(dies, now)}", LASTING, TOKENS)
    if dies - now <= SOON:
        return finding("token_dies_soon", "token", "warning", f"dies {when(dies, now)}", LASTING, SYSTEM_USERS)
    return finding("token_life", "token", "ok", f"{who}, until {when(dies, now)}")


def _dead(token: Token) -> Finding:
    error = token.error
    found = graph.meaning(error.code, error.subcode) if error else None
    expired = error is not None and error.subcode == 463
    seen = found.title if found and found.title else "Meta says that it is not valid"
    return finding("token_expired" if expired else "token_invalid", "token", "failed", seen, LASTING, SYSTEM_USERS)


def token_scopes(token: Token) -> Finding:
    """Whether the token may do what a bot needs; without ``…_management`` it can still talk."""
    if not token.knows_scopes:
        return skipped("scopes", "Meta does not tell what this token may do")
    missing = [scope for scope in (MESSAGING, MANAGEMENT) if not token.has(scope)]
    if not missing:
        return finding("token_scopes", "scopes", "ok", "may message and manage WhatsApp")
    state: State = "failed" if MESSAGING in missing else "warning"
    seen = f"lacks {missing[0]}: cannot {LACKING[missing[0]]}"
    if len(missing) == 2:
        seen = "lacks whatsapp_business_messaging and ..._management"
    remedy = f"Generate it anew with {missing[0] if len(missing) == 1 else 'both, and business_management'}"
    return finding("token_scopes_missing", "scopes", state, seen, remedy, SYSTEM_USERS)


def token_app(token: Token, app_id: str) -> Finding:
    """Whether the token is of the app that we were told."""
    name = short(token.application, 20) or "an app"
    if not token.app_id or not app_id or token.app_id == app_id:
        return finding("token_app", "app", "ok", f"{name} ({token.app_id or app_id})")
    seen = f"token of another app: {name} ({token.app_id})"
    remedy = f"aerobot config set whatsapp.app_id {token.app_id}, with that app's secret"
    return finding("token_other_app", "app", "failed", seen, remedy, APPS)


def token_reaches(token: Token, business_account_id: str) -> Finding:
    """Whether the token may use this account; one that is limited to none may use all of its user's."""
    targets = token.targets(MANAGEMENT)
    targets = token.targets(MESSAGING) if targets is None else targets
    if targets is None or business_account_id in targets:
        return finding("token_reaches", "WABA", "ok", f"the token may use {business_account_id}")
    seen = f"the token may not use the account {business_account_id}"
    remedy = "Give the system user this account (full control), then a new token"
    if len(targets) == 1:
        remedy = f"It may use {targets[0]}: is that the one? Else give the user this account"
    return finding("token_other_waba", "WABA", "failed", seen, remedy, SYSTEM_USERS)


# -- the app secret ------------------------------------------------------------------------------------------


def secret_fit(fits: bool, app: str) -> Finding:
    """Whether the app secret is that of ``app`` (its name or id)."""
    if fits:
        return finding("secret_fits", "secret", "ok", "is the app's")
    seen = f"is not that of {short(app, 16)}: every webhook would be refused"
    return finding("secret_wrong", "secret", "failed", seen, "Copy it: App settings > Basic > App secret > Show", APPS)


# -- accounts and numbers ------------------------------------------------------------------------------------


def ids_in_place(
    phone_number_id: str, business_account_id: str = "", *, phone_kind: Kind = "", waba_kind: Kind = ""
) -> Finding:
    """Whether the phone number's id and the WABA's stand in their own places; the kinds are ``kind_of``'s."""
    same = phone_number_id == business_account_id
    if same or phone_kind == "waba" or waba_kind == "number":
        seen = "phone_number_id and business_account_id are swapped"
        if same or waba_kind not in ("", "number"):
            seen = "phone_number_id holds the WABA's id"
        elif phone_kind not in ("", "waba"):
            seen = "business_account_id holds a phone number's id"
        remedy = "aerobot config set whatsapp.phone_number_id / .business_account_id"
        return finding("ids_swapped", "ids", "failed", seen, remedy, APPS)
    if phone_kind == "other":
        seen = f"{phone_number_id} is no phone number's id"
        return finding("ids_wrong", "ids", "failed", seen, "WhatsApp > API Setup > Phone number ID", APPS)
    return finding("ids_in_place", "ids", "ok", f"number {phone_number_id}")


def number_works(number: Number) -> Finding:
    """Whether the number can send and receive: registered, connected, its quality."""
    name = f"{number.display or number.id}{f', {number.mode}' if number.mode else ''}"
    if number.registered is False:
        seen = f"{name}, NOT registered: it cannot send or receive"
        return finding(
            "number_unregistered", "number", "failed", seen, "aerobot doctor --fix --pin - (six digits)", REGISTRATION
        )
    if number.status in LIMITED:
        seen = f"{name}, {LIMITED[number.status]}"
        return finding("number_limited", "number", "warning", seen, "See WhatsApp Manager > Account quality", NUMBERS)
    if number.connected is False:
        seen = f"{name}, {number.status}: it cannot send or receive"
        return finding("number_disconnected", "number", "failed", seen, "See why: WhatsApp Manager", NUMBERS)
    if number.quality == "RED":
        seen = f"{name}, quality RED: Meta may restrict it"
        return finding("number_quality", "number", "warning", seen, "Users block or report it: see Insights", NUMBERS)
    told = [name, "connected" if number.connected else "", number.quality if number.quality != "UNKNOWN" else ""]
    return finding("number_works", "number", "ok", ", ".join(word for word in told if word))


def account(waba: Waba, numbers: Collection[Number]) -> Finding:
    """What the account is, and how many numbers it has."""
    count = len(numbers)
    seen = f"{_named(waba)}, {'no numbers' if not count else '1 number' if count == 1 else f'{count} numbers'}"
    if not count:
        remedy = "Add one: WhatsApp > API Setup, or WhatsApp Manager > Phone numbers"
        return finding("waba_without_numbers", "WABA", "warning", seen, remedy, NUMBERS)
    return finding("waba", "WABA", "ok", seen)


def _named(waba: Waba) -> str:
    return f"{short(waba.name, 20)} ({waba.id})" if waba.name else waba.id


def number_in_waba(phone_number_id: str, waba: Waba, numbers: Collection[Number]) -> Finding:
    """Whether the number is one of the account's."""
    name = _named(waba)
    if any(number.id == phone_number_id for number in numbers):
        return finding("number_in_waba", "WABA", "ok", name)
    seen = f"{name} lacks the bot's number"
    theirs = ", ".join(number.id for number in numbers)
    remedy = f"Its numbers: {theirs}" if theirs else "It has no numbers: WhatsApp > API Setup"
    return finding("number_not_in_waba", "WABA", "failed", seen, remedy, NUMBERS)


# -- webhooks ------------------------------------------------------------------------------------------------


def app_subscribed(ours: SubscribedApp | None, app: str, business_account_id: str) -> Finding:
    """Whether the app gets the account's webhooks at all: the most common silent death."""
    if ours is not None:
        return finding("waba_subscribed", "WABA", "ok", f'app "{short(ours.name or app, 30)}" is subscribed')
    seen = f'app "{short(app, 16)}" is NOT subscribed: no message can arrive'
    remedy = f"aerobot doctor --fix (will POST /{business_account_id}/subscribed_apps)"
    return finding("waba_not_subscribed", "WABA", "failed", seen, remedy)


def field_subscribed(subscription: AppSubscription | None, field: str = "messages") -> Finding:
    """Whether the app asked for that kind of webhook; no override can replace it."""
    if subscription is not None and field in subscription.names and subscription.active:
        return finding("field_on", "field", "ok", f"{field} on")
    what = "is inactive" if subscription and field in subscription.names else "is not subscribed"
    seen = f"{field} {what} at app level: no message can arrive"
    remedy = "aerobot doctor --fix, or App > WhatsApp > Configuration > Webhook fields"
    return finding("field_missing", "field", "failed", seen, remedy, APPS)


def clock(skew: float | None) -> Finding:
    """Whether this machine's clock is right; ``skew`` is in seconds, positive where it is ahead."""
    if skew is None:
        return skipped("clock", "nothing answered with a date")
    off = abs(skew)
    if off <= SKEW:
        return finding("clock", "clock", "ok", "right" if off < 3 else f"{off:.0f} s {_side(skew)}")
    state: State = "failed" if off > SKEW_LARGE else "warning"
    seen = f"{_span(off)} {_side(skew)}: windows and expiries are judged wrongly"
    return finding("clock_wrong", "clock", state, seen, "Let the system set it (NTP), then start again")


def _side(skew: float) -> str:
    return "ahead" if skew > 0 else "behind"


def _span(seconds: float) -> str:
    for unit, length in (("days", DAY), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
