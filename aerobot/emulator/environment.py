"""What a client needs to talk to the emulator, under the names that it reads from its environment."""

from collections.abc import Mapping

from aerobot.emulator.credentials import Credentials

VERSION = "v25.0"


def environment(credentials: Credentials, graph_url: str) -> dict[str, str]:
    """Variables by name: ours, those of PyWa's command line, and those of Meta's Node SDK.

    ``WA_BASE_URL`` is a host and port, as that SDK wants it.
    """
    return {
        **_ours(credentials, graph_url),
        "PYWA_TOKEN": credentials.access_token,
        "PYWA_PHONE_ID": credentials.phone_number_id,
        "WA_BASE_URL": graph_url.removeprefix("http://"),
        "WA_PHONE_NUMBER_ID": credentials.phone_number_id,
        "WA_BUSINESS_ACCOUNT_ID": credentials.business_account_id,
        "M4D_APP_ID": credentials.app_id,
        "M4D_APP_SECRET": credentials.app_secret,
        "CLOUD_API_ACCESS_TOKEN": credentials.access_token,
        "CLOUD_API_VERSION": VERSION,
        "WEBHOOK_VERIFICATION_TOKEN": credentials.verify_token,
    }


def _ours(credentials: Credentials, graph_url: str) -> Mapping[str, str]:
    return {
        "AEROBOT_WHATSAPP_GRAPH_URL": graph_url,
        "AEROBOT_WHATSAPP_PHONE_NUMBER_ID": credentials.phone_number_id,
        "AEROBOT_WHATSAPP_ACCESS_TOKEN": credentials.access_token,
        "AEROBOT_WHATSAPP_APP_SECRET": credentials.app_secret,
        "AEROBOT_WHATSAPP_VERIFY_TOKEN": credentials.verify_token,
        "AEROBOT_WHATSAPP_BUSINESS_ACCOUNT_ID": credentials.business_account_id,
        "AEROBOT_WHATSAPP_APP_ID": credentials.app_id,
    }
