"""``/{phone}/whatsapp_business_profile``: what people see when they open the business's chat info.

Source: Meta's page "Business profiles".
"""

from collections.abc import Mapping
from dataclasses import replace

from aerobot.emulator.business import Business, Number
from aerobot.emulator.graph_call import Call, string
from aerobot.emulator.graph_errors import parameter

PROFILE = "WhatsAppBusinessProfile"
FIELDS = "about,address,description,email,profile_picture_url,websites,vertical,messaging_product"
LIMITS: Mapping[str, int] = {"about": 139, "address": 256, "description": 512, "email": 128}
"""Characters."""
WEBSITES = 2
"""Each of at most 256 characters."""
VERTICALS = (
    "ALCOHOL", "APPAREL", "AUTO", "BEAUTY", "EDU", "ENTERTAIN", "EVENT_PLAN", "FINANCE", "GOVT", "GROCERY", "HEALTH",
    "HOTEL", "NONPROFIT", "NOT_A_BIZ", "ONLINE_GAMBLING", "OTC_DRUGS", "OTHER", "PHYSICAL_GAMBLING", "PROF_SERVICES",
    "RESTAURANT", "RETAIL", "TRAVEL", "UNDEFINED",
)  # fmt: skip


def show(call: Call, number: Number) -> dict[str, object]:
    """The profile as a list of one; what was never set is left out."""
    known = dict.fromkeys(FIELDS.split(",")) | {"vertical": "UNDEFINED", "messaging_product": "whatsapp", "id": None}
    return {"data": [call.chosen(known | dict(number.profile), FIELDS, PROFILE)]}


def change(call: Call, number: Number, business: Business) -> dict[str, object]:
    """Set what is named; an empty value removes it. Raises ``Refused`` (100)."""
    if call.text("messaging_product") != "whatsapp":
        raise parameter("Param messaging_product must be one of {WHATSAPP}")
    named = {key: value for key, value in call.params.items() if key in {*LIMITS, "websites", "vertical"}}
    for key, value in named.items():
        if value:
            _check(key, value)
    kept = {key: value for key, value in {**number.profile, **named}.items() if value}
    business.put_number(replace(number, profile=kept))
    return {"success": True}


def _check(key: str, value: object) -> None:
    if key == "vertical":
        if value not in VERTICALS:
            raise parameter(f"Param vertical must be one of {{{', '.join(VERTICALS)}}}")
    elif key == "websites":
        if not isinstance(value, list) or len(value) > WEBSITES or any(len(str(site)) > 256 for site in value):
            raise parameter(f"Param websites must be at most {WEBSITES} URLs of at most 256 characters.")
    elif len(string(value, key)) > LIMITS[key]:
        raise parameter(f"Param {key} must be at most {LIMITS[key]} characters long.")
