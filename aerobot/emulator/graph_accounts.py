"""What Graph answers about a WhatsApp Business Account: its fields, numbers, subscribed apps and templates.

Sources: Meta's pages "WhatsApp Business Account", "Subscribed apps", "Webhook overrides", "Message templates".
"""

import json
import re

from aerobot.emulator.business import Account
from aerobot.emulator.callbacks import Callbacks
from aerobot.emulator.graph_call import Call
from aerobot.emulator.graph_errors import no_field, not_there, parameter, refused
from aerobot.emulator.graph_numbers import GraphNumbers, not_subscribed, override
from aerobot.emulator.portal import Portal
from aerobot.emulator.templates import CATEGORIES, Template
from aerobot.emulator.tokens import MANAGEMENT

ACCOUNT = "WhatsAppBusinessAccount"
FIELDS = "id,name,timezone_id,message_template_namespace"
TEMPLATE = "MessageTemplate"
UNSET = (
    "correct_category", "degrees_of_freedom_spec", "last_updated_time", "library_template_name",
    "message_send_ttl_seconds", "previous_category", "quality_score", "sub_category",
)  # fmt: skip
"""What a template may have and these have not: asked for, it is left out."""
NAMED = re.compile(r"\{\{\s*[a-z_]")
"""Where a placeholder of a template begins that has a name instead of a number."""
MOST_TEMPLATES = 250
"""Of an account that is not verified (Meta: Message templates)."""
TEMPLATE_FIELDS = "name,parameter_format,components,language,status,category,id"


class GraphAccounts:
    """The endpoints of accounts."""

    def __init__(self, *, portal: Portal, numbers: GraphNumbers, callbacks: Callbacks) -> None:
        self._portal = portal
        self._business = portal.business
        self._numbers = numbers
        self._callbacks = callbacks

    async def answer(self, call: Call) -> dict[str, object]:
        """One call on an account that exists."""
        account = self._business.accounts[call.node]
        if not call.token.sees(account.id):
            raise not_there(call.method, call.node)
        call.token.need(MANAGEMENT)
        match call.method, call.edge:
            case "GET", "":
                return self._show(call, account)
            case "GET", "phone_numbers":
                numbers = [n for n in self._business.numbers.values() if n.account_id == account.id]
                return call.page([self._numbers.show(call, number) for number in numbers])
            case "GET", "message_templates":
                return self._templates(call, account)
            case "POST", "message_templates":
                return self._create_template(call, account)
            case "DELETE", "message_templates":
                return self._delete_template(call, account)
            case "GET", "subscribed_apps":
                return {"data": [self._subscribed(call, account, app_id) for app_id in account.apps]}
            case "POST", "subscribed_apps":
                await self._subscribe(call, account)
                return {"success": True}
            case "DELETE", "subscribed_apps":
                self._business.unsubscribe(account.id, call.token.app_id)
                return {"success": True}
            case "GET", _:
                raise no_field(call.edge, ACCOUNT)
        raise not_there(call.method, call.node)

    def _show(self, call: Call, account: Account) -> dict[str, object]:
        known = {
            "id": account.id,
            "name": account.name,
            "timezone_id": "1",
            "message_template_namespace": f"ns_{account.id}",
            "currency": "USD",
            "country": "US",
            "status": "ACTIVE",
            "account_review_status": "APPROVED",
            "business_verification_status": "not_verified",
            "ownership_type": "SELF",
            "owner_business_info": {"name": account.name, "id": f"5{account.id[1:]}"},
            "on_behalf_of_business_info": None,
            "health_status": self._health(account),
            "subscribed_apps": {"data": [self._subscribed(call, account, app_id) for app_id in account.apps]},
            "is_enabled_for_insights": False,
            "disable_marketing_messages_on_cloud_api": False,
            "marketing_messages_lite_api_status": "INELIGIBLE",
            "marketing_messages_onboarding_status": "PENDING_VALID_PAYMENT_METHOD",
        }
        return call.chosen(known, FIELDS, ACCOUNT)

    def _health(self, account: Account) -> dict[str, object]:
        well = "AVAILABLE"
        entities = [("WABA", account.id), ("APP", self._business.app.id)]
        known = [{"entity_type": kind, "id": id_, "can_send_message": well} for kind, id_ in entities]
        return {"can_send_message": well, "entities": known}

    def _subscribed(self, call: Call, account: Account, app_id: str) -> dict[str, object]:
        """The override is told to its own app alone; the verify token to nobody."""
        app = self._business.apps[app_id]
        link = f"https://www.facebook.com/games/?app_id={app_id}"
        found: dict[str, object] = {"whatsapp_business_api_data": {"link": link, "name": app.name, "id": app_id}}
        if account.apps[app_id] and app_id == call.token.app_id:
            found["override_callback_uri"] = account.apps[app_id]
        return found

    async def _subscribe(self, call: Call, account: Account) -> None:
        """Subscribe the token's app; without an override in the body, one that is there is cleared."""
        app_id = call.token.app_id
        url = override(call.params, "override_callback_uri")
        if url:
            if app_id not in account.apps:
                raise not_subscribed()
            await self._callbacks.set(url, call.maybe("verify_token"), name="override_callback_uri")
        self._business.subscribe(account.id, app_id, url)

    def template(self, call: Call) -> dict[str, object] | None:
        """``GET /{template}``: one of an account that the token sees; None if the node is no such template."""
        for account_id, templates in self._business.templates.items():
            for found in templates:
                if found.id == call.node and call.token.sees(account_id):
                    call.token.need(MANAGEMENT)
                    return call.chosen(_template(found), TEMPLATE_FIELDS, TEMPLATE)
        return None

    def _templates(self, call: Call, account: Account) -> dict[str, object]:
        every = found = self._business.templates[account.id]
        for key in ("name", "language", "status", "category"):
            wanted = [word for word in call.maybe(key).split(",") if word]
            found = tuple(t for t in found if not wanted or getattr(t, key) in wanted)
        page = call.page([call.chosen(_template(t), TEMPLATE_FIELDS, TEMPLATE) for t in found])
        return page | _summary(call.maybe("summary"), len(found), len(every))

    def _create_template(self, call: Call, account: Account) -> dict[str, object]:
        """Approved at once; Meta takes minutes to days."""
        name, language, category = (call.text(key) for key in ("name", "language", "category"))
        if not re.fullmatch(r"[a-z0-9_]{1,512}", name):
            raise parameter("Param name must be lowercase letters, digits and underscores, at most 512 of them")
        if category not in CATEGORIES:
            raise parameter(f'Param category must be one of {{{", ".join(CATEGORIES)}}} - got "{category}".')
        parts = call.params.get("components")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise parameter("Param components must be an array of objects.")
        if not any(part.get("type") == "BODY" and isinstance(part.get("text"), str) for part in parts):
            raise parameter("A template has a component of type BODY with a text.")
        if any((t.name, t.language) == (name, language) for t in self._business.templates[account.id]):
            raise refused(2388024, "Content in this language already exists")
        made = Template(
            id=self._portal.new_template_id(),
            name=name,
            language=language,
            status="APPROVED",
            category=category,
            components=tuple(parts),
        )
        self._portal.put_template(made, account.id)
        return {"id": made.id, "status": made.status, "category": made.category}

    def _delete_template(self, call: Call, account: Account) -> dict[str, object]:
        """By name: in every language."""
        name = call.text("name")
        known = self._business.templates[account.id]
        left = tuple(template for template in known if template.name != name)
        if len(left) == len(known):
            raise refused(2593002, "Message template not found", f"There is no template {name!r}.")
        self._business.templates[account.id] = left
        return {"success": True}


def _summary(asked: str, found: int, every: int) -> dict[str, object]:
    """The counts asked for, if any."""
    known = {
        "total_count": found,
        "message_template_count": every,
        "message_template_limit": MOST_TEMPLATES,
        "are_translations_complete": True,
    }
    chosen = {name: known[name] for name in asked.split(",") if name in known}
    return {"summary": chosen} if chosen else {}


def _template(template: Template) -> dict[str, object]:
    known: dict[str, object] = {
        "id": template.id,
        "name": template.name,
        "parameter_format": "NAMED" if NAMED.search(json.dumps(template.components)) else "POSITIONAL",
        "components": [dict(part) for part in template.components],
        "language": template.language,
        "status": template.status,
        "category": template.category,
        "rejected_reason": "NONE",
        "cta_url_link_tracking_opted_out": False,
    }
    return known | dict.fromkeys(UNSET)
