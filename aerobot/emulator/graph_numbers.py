"""What Graph answers about a business number: its fields, its override, ``register`` and ``deregister``.

Sources: Meta's pages "Phone numbers", "Webhook overrides", "Registration", "Two-step verification".
"""

from collections.abc import Mapping
from dataclasses import replace

from aerobot.emulator import graph_profile
from aerobot.emulator.business import Business, Number
from aerobot.emulator.callbacks import LONGEST, Callbacks
from aerobot.emulator.credentials import pretty
from aerobot.emulator.graph_blocks import GraphBlocks
from aerobot.emulator.graph_call import Call, string
from aerobot.emulator.graph_errors import Refused, no_field, no_path, not_there, parameter, refused, required
from aerobot.emulator.tokens import MANAGEMENT

NUMBER = "WhatsAppBusinessPhoneNumber"
FIELDS = (
    "verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,throughput,"
    "webhook_configuration,id"
)
UNSET = (
    "certificate", "conversational_automation", "country_code", "country_dial_code",
    "eligibility_for_api_business_global_search", "last_onboarded_time", "new_certificate", "new_name_status",
    "username",
)  # fmt: skip
"""What a number may have and these have not: asked for, it is left out."""
OVERRIDE = "webhook_configuration['override_callback_uri']"


class GraphNumbers:
    """The endpoints of numbers, but for messages and media."""

    def __init__(self, *, business: Business, callbacks: Callbacks, blocks: GraphBlocks) -> None:
        self._business = business
        self._callbacks = callbacks
        self._blocks = blocks

    async def answer(self, call: Call, number: Number) -> dict[str, object]:
        """One call; the token is known to see the number's account."""
        call.token.need(MANAGEMENT)
        match call.method, call.edge:
            case "GET", "":
                return self.show(call, number)
            case "POST", "":
                return await self._configure(call, number)
            case "GET", "whatsapp_business_profile":
                return graph_profile.show(call, number)
            case "POST", "whatsapp_business_profile":
                return graph_profile.change(call, number, self._business)
            case "GET" | "POST" | "DELETE", "block_users":
                return self._blocks.answer(call, number)
            case "POST", "register":
                return self._register(call, number)
            case "POST", "deregister":
                return self._deregister(number)
            case "GET", _:
                raise no_field(call.edge, NUMBER)
            case _, "":
                raise not_there(call.method, call.node)
        raise no_path(call.edge)

    def show(self, call: Call, number: Number) -> dict[str, object]:
        """The fields asked for."""
        known: Mapping[str, object] = {
            "id": number.id,
            "verified_name": number.name,
            "display_phone_number": pretty(number.phone),
            "code_verification_status": number.code_verification_status,
            "name_status": number.name_status,
            "quality_rating": number.quality_rating,
            "platform_type": "CLOUD_API" if number.registered else "NOT_APPLICABLE",
            "account_mode": number.account_mode,
            "status": number.status,
            "throughput": {"level": number.throughput if number.registered else "NOT_APPLICABLE"},
            "webhook_configuration": self._business.levels(call.token.app_id, number),
            "whatsapp_business_manager_messaging_limit": number.messaging_limit,
            "is_official_business_account": False,
            "is_pin_enabled": bool(number.pin),
            "is_on_biz_app": False,
            "is_preverified_number": False,
            "search_visibility": "NON_VISIBLE",
            "quality_score": {"score": number.quality_rating},
            "messaging_limit_tier": number.messaging_limit,
            "health_status": self._health(number),
        } | dict.fromkeys(UNSET)
        return call.chosen(known, FIELDS, NUMBER)

    def _health(self, number: Number) -> dict[str, object]:
        health = number.health if number.registered else "BLOCKED"
        mine: dict[str, object] = {"entity_type": "PHONE_NUMBER", "id": number.id, "can_send_message": health}
        if not number.registered:
            said = "The phone number is not registered."
            cure = "Register it: POST /{phone_number_id}/register."
            mine["errors"] = [{"error_code": 133010, "error_description": said, "possible_solution": cure}]
        others = [("WABA", number.account_id), ("APP", self._business.app.id)]
        rest = [{"entity_type": kind, "id": id_, "can_send_message": "AVAILABLE"} for kind, id_ in others]
        return {"can_send_message": health, "entities": [mine, *rest]}

    async def _configure(self, call: Call, number: Number) -> dict[str, object]:
        """Set the override, or remove it with an empty one."""
        wanted = call.params.get("webhook_configuration")
        if wanted is None:
            raise required("webhook_configuration")
        if not isinstance(wanted, Mapping):
            raise parameter("Param webhook_configuration must be a JSON object.")
        if "override_callback_uri" not in wanted:
            raise required(OVERRIDE)
        url = override(wanted, OVERRIDE)
        if url:
            if call.token.app_id not in self._business.accounts[number.account_id].apps:
                raise not_subscribed()
            token = string(wanted.get("verify_token", ""), "webhook_configuration['verify_token']")
            await self._callbacks.set(url, token, name=OVERRIDE)
        self._business.override_number(self._business.numbers[number.id], call.token.app_id, url)
        return {"success": True}

    def _register(self, call: Call, number: Number) -> dict[str, object]:
        if call.text("messaging_product") != "whatsapp":
            raise parameter("Param messaging_product must be one of {WHATSAPP}")
        pin = call.text("pin")
        if len(pin) != 6 or not (pin.isascii() and pin.isdigit()):
            raise parameter("Param pin must be 6 digits")
        if number.code_verification_status != "VERIFIED":
            details = "The phone number has to be verified before it is registered."
            raise refused(133006, "Phone number re-verification needed", details)
        if number.pin and pin != number.pin:
            raise refused(133005, "Two step verification PIN mismatch", "The PIN is not the one that was set.")
        self._business.put_number(replace(number, registered=True, status="CONNECTED", pin=pin))
        return {"success": True}

    def _deregister(self, number: Number) -> dict[str, object]:
        if not number.registered:
            raise not_registered()
        self._business.put_number(replace(number, registered=False, status="DISCONNECTED"))
        return {"success": True}


def override(params: Mapping[str, object], name: str) -> str:
    """``override_callback_uri`` of these parameters, at most 200 characters. Raises ``Refused`` (100)."""
    url = string(params.get("override_callback_uri", ""), name)
    if len(url) > LONGEST:
        raise parameter(f"Param {name} must be at most {LONGEST} characters long.")
    return url


def not_subscribed() -> Refused:
    """An override before the app is subscribed to the account."""
    return parameter(
        "Before override the current callback uri, your app must be subscribed to receive messages for "
        "WhatsApp Business Account"
    )


def not_registered() -> Refused:
    """The number cannot send before ``register``."""
    return refused(133010, "Account not registered", "The number is not registered.")
