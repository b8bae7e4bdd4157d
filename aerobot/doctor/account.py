"""Aerostack: whether its login lives, the workspace is ours, the bot is there and active."""

from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok
from aerobot.doctor.remotes import Skip
from aerobot.errors import ConfigError, RemoteError
from aerobot.graph_admin import Finding
from aerobot.graph_admin.finding import finding, when

TOPIC = "Aerostack"
SOON = 3600
"""Seconds: a login that ends within them is a warning."""
DOCS = "https://docs.aerostack.dev/bots/api-reference"


def login(context: Context) -> Finding:
    """Whether there is a login, and for how long; nothing is sent."""
    from aerobot.aerostack import jwt_expiry

    api, token = context.aerostack(), context.settings.secret("aerostack.token")
    expiry = jwt_expiry(token) if token else None
    left = expiry - context.now() if expiry is not None else None
    if left is not None and expiry is not None and left <= 0:
        seen = f"the login expired {when(expiry, context.now())}"
        return finding("aerostack_token_expired", TOPIC, "failed", seen, "aerobot login", DOCS)
    try:
        api.check()
    except ConfigError as error:
        return finding("aerostack_token_form", TOPIC, "failed", error.message, error.hint, DOCS)
    if token is None:
        return ok("aerostack_key", TOPIC, "by account key")
    if left is None:
        return ok("aerostack_login", TOPIC, "logged in")
    if left < SOON:
        seen = f"logged in for {left / 60:.0f} min more"
        return finding("aerostack_login_ends", TOPIC, "warning", seen, "aerobot login", DOCS)
    return ok("aerostack_login", TOPIC, f"logged in, {left / 3600:.0f} h left")


def workspace(context: Context) -> Finding:
    """Whether Aerostack takes the login, and the workspace is one of ours."""
    wanted = context.settings.text("aerostack.workspace_id")
    try:
        there = context.workspaces()
    except ConfigError as error:
        return finding("aerostack_token_refused", TOPIC, "failed", error.message, "aerobot login", DOCS)
    if not wanted or any(one.get("id") == wanted for one in there):
        return ok("workspace", TOPIC, "")
    seen = f"workspace {wanted} is not one of this account's {len(there)}"
    return finding("workspace_not_ours", TOPIC, "failed", seen, "aerobot workspaces lists yours", DOCS)


def bot(context: Context) -> Finding:
    """Whether the bot is there and active; that it rests is no fault where a host of one's own answers."""
    if not context.settings.text("bot.id"):
        raise Skip("bot.id is not set", "aerobot create, or aerobot bots use BOT")
    bot_id = context.text("bot.id")
    try:
        status = str(context.bot().get("status") or "active")
    except RemoteError as error:
        if error.status != 404:
            raise
        return finding("bot_unknown", TOPIC, "failed", f"there is no bot {bot_id}", "aerobot bots list", DOCS)
    if status == "active":
        return ok("bot_active", TOPIC, "bot active")
    if context.place() == "local":
        return ok("bot_rests", TOPIC, f"bot {status} there; a host of your own answers")
    seen = f"the bot is {status}: it answers nobody"
    return finding("bot_inactive", TOPIC, "failed", seen, f"aerobot activate {bot_id}", DOCS)
