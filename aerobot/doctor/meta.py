"""Meta's side of the chain: token, secret, number, account and field; the verdicts are ``graph_admin``'s."""

from dataclasses import replace

from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok
from aerobot.doctor.remotes import Skip
from aerobot.errors import AerobotError, UsageError
from aerobot.graph_admin import Finding, GraphError, Number, forms, verdicts
from aerobot.graph_admin.finding import finding

PORTAL = "https://developers.facebook.com/apps"
NOT_THERE = ((100, 33), (33, None), (803, None))
"""Codes and subcodes by which Graph says that it does not know an id, or does not show it to this token."""
REGISTER = "aerobot doctor --fix --pin -    (its two-step PIN, six digits, on stdin)"


# -- token and secret ----------------------------------------------------------------------------------------


def token_form(context: Context) -> Finding:
    """Whether the token looks like one."""
    found = forms.access_token(context.secret("whatsapp.access_token"))
    return found if found.state != "ok" else ok(found.name, "token", "")


def token_life(context: Context) -> Finding:
    """Whether it lives, of which kind, until when."""
    return verdicts.token_life(context.token(), now=context.now())


def token_scopes(context: Context) -> Finding:
    """Whether it may do what a bot needs."""
    return replace(verdicts.token_scopes(context.token()), topic="token")


def token_app(context: Context) -> Finding:
    """Whether it is of the app that the settings name."""
    found = verdicts.token_app(context.token(), context.settings.text("whatsapp.app_id"))
    return found if found.state != "ok" else ok(found.name, "token", "")


def secret_form(context: Context) -> Finding:
    """Whether the app secret looks like one."""
    found = forms.app_secret(context.secret("whatsapp.app_secret"))
    return found if found.state != "ok" else ok(found.name, "secret", "")


def secret_fits(context: Context) -> Finding:
    """Whether it is the secret of the token's app, which signs what Meta sends."""
    try:
        name = context.token().application
    except (AerobotError, Skip):
        name = ""
    fits = context.secret_fits()
    return verdicts.secret_fit(fits, name or context.graph().app_id)


def verify_form(context: Context) -> Finding:
    """Whether the verify token is a sane one."""
    found = forms.verify_token(context.secret("whatsapp.verify_token"))
    if found.state == "ok":
        return ok(found.name, "secret", "")
    return replace(found, topic="secret", seen=f"the verify token {found.seen}")


# -- number --------------------------------------------------------------------------------------------------


def number(context: Context) -> Finding:
    """Whether the number is real, registered and connected; what else Meta tells of it."""
    number_id = context.text("whatsapp.phone_number_id")
    try:
        found = context.number()
    except GraphError as error:
        return _no_number(context, number_id, error)
    verdict = verdicts.number_works(found)
    if verdict.name == "number_unregistered":
        return replace(verdict, remedy=REGISTER)
    return verdict if verdict.state != "ok" else replace(verdict, seen=_with_limits(verdict.seen, found))


def _with_limits(seen: str, number: Number) -> str:
    limit = number.limit.removeprefix("TIER_").lower()
    more = [f"{limit} new users a day" if limit else "", number.throughput.lower() if number.throughput else ""]
    for words in more:
        if words and len(seen) + len(words) + 2 <= 64:
            seen += f", {words}"
    return seen


def _no_number(context: Context, number_id: str, error: GraphError) -> Finding:
    """Why Graph shows no such number: the id is another thing's, another account's, or nobody's."""
    waba_id = context.settings.text("whatsapp.business_account_id")
    if error.node_type:
        graph = context.graph()
        kind = graph.kind_of(waba_id) if waba_id else ""
        return replace(verdicts.ids_in_place(number_id, waba_id, phone_kind="waba", waba_kind=kind), topic="number")
    if (error.failure.code, error.failure.subcode) not in NOT_THERE:
        raise error
    try:
        found = verdicts.number_in_waba(number_id, context.waba(), context.numbers())
    except (AerobotError, Skip):
        return finding("number_unknown", "number", "failed", error.message, error.hint, PORTAL)
    return replace(found, topic="number")


# -- account and field ---------------------------------------------------------------------------------------


def number_in_waba(context: Context) -> Finding:
    """Whether the number is one of the account's, and the token may use that account."""
    waba_id = context.waba_id()
    reaches = verdicts.token_reaches(context.token(), waba_id)
    if reaches.state != "ok":
        return reaches
    found = verdicts.number_in_waba(context.text("whatsapp.phone_number_id"), context.waba(), context.numbers())
    return found if found.state != "ok" else ok(found.name, "WABA", "")


def subscribed(context: Context) -> Finding:
    """Whether our app gets the account's webhooks."""
    return verdicts.app_subscribed(context.subscription(), _app(context), context.waba_id())


def field(context: Context) -> Finding:
    """Whether the app asked for messages."""
    try:
        return verdicts.field_subscribed(context.app_subscription())
    except UsageError as error:
        return finding("app_id_wrong", "field", "failed", error.message, error.hint, PORTAL)


def _app(context: Context) -> str:
    """The app's name, or its id where nobody tells it."""
    return context.token().application or context.graph().app_id
