"""Graph's JSON → values. It takes whatever stands there and never raises."""

from collections.abc import Mapping

from aerobot.graph_admin.values import (
    App,
    AppSubscription,
    Callbacks,
    Field,
    Granted,
    Number,
    SubscribedApp,
    Template,
    Token,
    Waba,
)
from aerobot.whatsapp.graph import failure_of
from aerobot.whatsapp.messages import Failure
from aerobot.whatsapp.wire import Object, as_id, as_list, as_object, as_seconds, as_text

MODES = {"SANDBOX": "TEST", "LIVE": "LIVE"}


def token_in(document: Object) -> Token:
    """The token that an answer of ``debug_token`` describes."""
    data = as_object(document.get("data"))
    return Token(
        kind=as_text(data.get("type")).upper(),
        app_id=as_id(data.get("app_id")),
        application=as_text(data.get("application")),
        valid=data.get("is_valid") is True,
        expires_at=as_seconds(data.get("expires_at")),
        scopes=_texts(data.get("scopes")),
        granular=tuple(_granted(as_object(item)) for item in as_list(data.get("granular_scopes"))),
        error=_error_in(data.get("error")),
    )


def _granted(item: Object) -> Granted:
    ids = item.get("target_ids")
    targets = tuple(as_id(one) for one in as_list(ids)) if isinstance(ids, list) else None
    return Granted(scope=as_text(item.get("scope")), targets=targets)


def _error_in(error: object) -> Failure | None:
    """A token's own error spells the subcode without ``error_``."""
    given = as_object(error)
    return failure_of({"error_subcode": given.get("subcode"), **given}) if given else None


def app_in(document: Object) -> App:
    """The app that an answer describes."""
    return App(id=as_id(document.get("id")), name=as_text(document.get("name")))


def callbacks_in(configuration: object) -> Callbacks:
    """A number's ``webhook_configuration``: all three levels at once, as our app sees them."""
    given = as_object(configuration)
    return Callbacks(
        phone=as_text(given.get("phone_number")),
        waba=as_text(given.get("whatsapp_business_account")),
        app=as_text(given.get("application")),
    )


def subscribed_app_in(item: Object) -> SubscribedApp:
    """One item of an account's ``subscribed_apps``."""
    data = as_object(item.get("whatsapp_business_api_data")) or item
    override = as_text(item.get("override_callback_uri"))
    return SubscribedApp(id=as_id(data.get("id")), name=as_text(data.get("name")), override=override)


def app_subscription_in(item: Object) -> AppSubscription:
    """One item of an app's ``subscriptions``; its fields are objects, in old versions plain names."""
    fields = [one if isinstance(one, Mapping) else {"name": one} for one in as_list(item.get("fields"))]
    named = (Field(name=as_text(one.get("name")), version=as_text(one.get("version"))) for one in fields)
    return AppSubscription(
        object=as_text(item.get("object")),
        callback_url=as_text(item.get("callback_url")),
        active=item.get("active") is not False,
        fields=tuple(field for field in named if field.name),
    )


def waba_in(document: Object) -> Waba:
    """The account that an answer describes."""
    return Waba(id=as_id(document.get("id")), name=as_text(document.get("name")))


def number_in(document: Object, waba_id: str = "") -> Number:
    """The number that an answer describes."""
    mode = as_text(document.get("account_mode")).upper()
    return Number(
        id=as_id(document.get("id")),
        display=as_text(document.get("display_phone_number")),
        verified_name=as_text(document.get("verified_name")),
        status=as_text(document.get("status")).upper(),
        mode=MODES.get(mode, mode),
        quality=as_text(document.get("quality_rating")).upper(),
        limit=as_text(document.get("whatsapp_business_manager_messaging_limit")),
        throughput=as_text(as_object(document.get("throughput")).get("level")),
        platform_type=as_text(document.get("platform_type")).upper(),
        name_status=as_text(document.get("name_status")).upper(),
        callbacks=callbacks_in(document.get("webhook_configuration")),
        waba_id=waba_id,
    )


def template_in(item: Object) -> Template:
    """One item of an account's ``message_templates``."""
    reason = as_text(item.get("rejected_reason"))
    return Template(
        id=as_id(item.get("id")),
        name=as_text(item.get("name")),
        language=as_text(item.get("language")),
        status=as_text(item.get("status")).upper(),
        category=as_text(item.get("category")).upper(),
        reason="" if reason == "NONE" else reason,
        components=tuple(as_object(part) for part in as_list(item.get("components"))),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for item in as_list(value) if (text := as_text(item)))
