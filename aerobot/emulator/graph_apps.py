"""What Graph answers about apps and tokens: ``debug_token``, ``oauth/access_token``, apps, subscriptions.

Sources: Graph API, "Debug token", "Application subscriptions"; wordings as seen in public issues.
"""

import json
from collections.abc import Mapping

from aerobot.emulator.business import Business, Subscription
from aerobot.emulator.callbacks import Callbacks
from aerobot.emulator.graph_call import Call, string
from aerobot.emulator.graph_errors import Refusal, Refused, no_field, no_path, not_there, parameter, refused, required
from aerobot.emulator.tokens import Tokens, no_application

OBJECT = "whatsapp_business_account"
VERSION = "v25.0"
APP_FIELDS = "category,link,name,id"
FIELDS = frozenset(
    [
        "account_alerts",
        "account_review_update",
        "account_settings_update",
        "account_update",
        "automatic_events",
        "business_capability_update",
        "business_username_update",
        "calls",
        "consumer_profile",
        "flows",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "history",
        "message_echoes",
        "message_template_components_update",
        "message_template_quality_update",
        "message_template_status_update",
        "messages",
        "messaging_handovers",
        "partner_solutions",
        "payment_configuration_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "security",
        "smb_app_state_sync",
        "smb_message_echoes",
        "standby",
        "template_category_update",
        "tracking_events",
        "user_id_update",
        "user_preferences",
    ]
)
"""What a WhatsApp Business Account can tell an app."""


class GraphApps:
    """The endpoints of apps; subscriptions want the app's own token and no other."""

    def __init__(self, *, business: Business, tokens: Tokens, callbacks: Callbacks) -> None:
        self._business = business
        self._tokens = tokens
        self._callbacks = callbacks

    def access_token(self, params: Mapping[str, str]) -> dict[str, object]:
        """``GET /oauth/access_token`` with the client's credentials: the app's token, or 1 or 101."""
        for name in ("client_id", "client_secret"):
            if not params.get(name):
                raise parameter(f"Missing {name} parameter.")
        if params.get("grant_type") != "client_credentials":
            raise parameter("Param grant_type must be client_credentials")
        app = self._business.apps.get(params["client_id"])
        if app is None:
            raise no_application()
        if params["client_secret"] != app.secret:
            raise Refused(Refusal(code=1, message="Error validating client secret."))
        return {"access_token": app.token, "token_type": "bearer"}

    def debug_token(self, call: Call) -> dict[str, object]:
        """``GET /debug_token``: what there is to know about ``input_token``."""
        return {"data": self._tokens.about(call.text("input_token"), call.token)}

    def has(self, node: str) -> bool:
        """Whether this is an app, or the word for the token's own."""
        return node == "app" or node in self._business.apps

    async def answer(self, call: Call) -> dict[str, object]:
        """``/app`` and ``/{app}``, ``/{app}/subscriptions``."""
        app_id = call.token.app_id if call.node == "app" else call.node
        if app_id != call.token.app_id:
            raise not_there(call.method, call.node)
        match call.method, call.edge:
            case "GET", "":
                return self._show(call, app_id)
            case "GET" | "POST" | "DELETE", "subscriptions":
                return await self._subscriptions(call, app_id)
            case "GET", _:
                raise no_field(call.edge, "Application")
            case _, "":
                raise not_there(call.method, call.node)
        raise no_path(call.edge)

    def _show(self, call: Call, app_id: str) -> dict[str, object]:
        app = self._business.apps[app_id]
        link = f"https://www.facebook.com/games/?app_id={app_id}"
        known = {"id": app_id, "name": app.name, "category": "Business", "link": link, "namespace": None}
        return call.chosen(known, APP_FIELDS, "Application")

    async def _subscriptions(self, call: Call, app_id: str) -> dict[str, object]:
        if call.token.type != "APP":
            raise refused(15, "This method must be called with an app access_token.")
        if call.method == "GET":
            return {"data": self._listed(app_id)}
        if call.method == "POST":
            await self._subscribe(call, app_id)
        else:
            self._unsubscribe(call, app_id)
        return {"success": True}

    def _listed(self, app_id: str) -> list[dict[str, object]]:
        found = self._business.subscriptions.get(app_id)
        if found is None:
            return []
        fields = [{"name": name, "version": VERSION} for name in found.fields]
        return [{"object": OBJECT, "callback_url": found.callback_url, "active": True, "fields": fields}]

    async def _subscribe(self, call: Call, app_id: str) -> None:
        """The new fields replace the old ones: whether Meta merges them is not documented."""
        _object(call.text("object"))
        url = call.text("callback_url")
        fields = _fields(call)
        if not fields:
            raise required("fields")
        await self._callbacks.set(url, call.maybe("verify_token"), name="callback_url")
        self._business.put_subscription(app_id, Subscription(callback_url=url, fields=fields))

    def _unsubscribe(self, call: Call, app_id: str) -> None:
        if call.maybe("object"):
            _object(call.maybe("object"))
        gone = _fields(call)
        found = self._business.subscriptions.get(app_id)
        left = tuple(name for name in found.fields if name not in gone) if found and gone else ()
        url = found.callback_url if found else ""
        kept = Subscription(callback_url=url, fields=left) if left else None
        self._business.put_subscription(app_id, kept)


def _object(name: str) -> None:
    if name != OBJECT:
        raise parameter(f'Param object must be one of {{{OBJECT.upper()}}} - got "{name}".')


def _fields(call: Call) -> tuple[str, ...]:
    """``fields`` as a comma list or a JSON list; known ones only."""
    given = call.params.get("fields", "")
    names = given if isinstance(given, list) else string(given, "fields").split(",")
    found = [string(name, "fields").strip() for name in names]
    for place, name in enumerate(found):
        if name and name not in FIELDS:
            wanted = json.dumps(sorted(FIELDS))
            raise parameter(f'Param fields[{place}] must be one of {wanted} - got "{name}".')
    return tuple(dict.fromkeys(name for name in found if name))
