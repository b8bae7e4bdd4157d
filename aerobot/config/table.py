"""The table of settings: each declared once, with its meaning, its default and what a value looks like."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "integer", "number", "boolean", "list", "table"]
Form = Literal["", "word", "digits", "origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its key, what it means, and what a value must look like.

    ``aliases`` are environment variables read below its own twin ``AEROBOT_SECTION_KEY``. ``form`` is the
    form of a text: a ``word`` has no white space, ``digits`` are a word of digits, an ``origin`` is scheme
    and host; white space around any of them, and around a secret, is a slip of copying. ``example`` is TOML.
    """

    key: str
    meaning: str
    kind: Kind = "text"
    default: object = None
    secret: bool = False
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    aliases: tuple[str, ...] = ()
    form: Form = ""
    example: str = ""

    @property
    def section(self) -> str:
        """The part before the dot."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The part after the dot."""
        return self.key.partition(".")[2]

    @property
    def variable(self) -> str:
        """Its environment twin."""
        return "AEROBOT_" + self.key.replace(".", "_").upper()


def _s(key: str, meaning: str, kind: Kind = "text", **more: Any) -> Setting:
    return Setting(key=key, meaning=meaning, kind=kind, **more)


SETTINGS: tuple[Setting, ...] = (
    _s(
        "aerostack.api_url",
        "Origin of the Aerostack API, without a path.",
        default="https://api.aerostack.dev",
        aliases=("AEROSTACK_API_URL",),
        form="origin",
    ),
    _s(
        "aerostack.token",
        "The JWT of your Aerostack login; `aerobot login` keeps it for you.",
        secret=True,
        aliases=("AEROSTACK_TOKEN",),
    ),
    _s(
        "aerostack.api_key",
        "An account key (ak_...), sent as X-API-Key, only where no token is set.",
        secret=True,
        aliases=("AEROSTACK_API_KEY",),
    ),
    _s(
        "aerostack.workspace_id",
        "The workspace that new bots belong to; `aerobot workspaces` lists yours.",
        form="word",
        example='"ws_a1b2c3d4"',
    ),
    _s(
        "bot.id",
        "The bot's id (bt_...); `aerobot create` writes it here.",
        form="word",
        example='"bt_a1b2c3d4e5f6g7h8i9j0"',
    ),
    _s("bot.name", "The bot's display name.", example='"Acme Support"'),
    _s(
        "bot.platform",
        "Where the bot lives.",
        default="whatsapp",
        choices=("whatsapp", "telegram", "discord", "slack", "custom"),
    ),
    _s("bot.system_prompt", "What the bot is told to be.", example='"You help the customers of Acme Corp."'),
    _s(
        "bot.system_prompt_file",
        "A file that holds the system prompt, relative to this one.",
        example='"prompt.md"',
    ),
    _s("bot.description", "A line for yourself and your team.", example='"First line support"'),
    _s(
        "bot.platform_config",
        "Credentials of platforms other than WhatsApp, passed on as they are; its secrets belong into .env.",
        "table",
        example='{ application_id = "123456789012345678" }',
    ),
    _s(
        "bot.llm_provider",
        "Who runs the model.",
        choices=("anthropic", "openai", "gemini", "groq", "workers-ai", "custom"),
        example='"anthropic"',
    ),
    _s(
        "bot.llm_model",
        "The model's name; Aerostack's own default is claude-sonnet-4-6.",
        example='"claude-sonnet-4-6"',
    ),
    _s("bot.llm_api_key", "Your own key for the model's provider (billing_mode byok).", secret=True),
    _s("bot.llm_config", "Passed on to the model.", "table", example="{ temperature = 0.7 }"),
    _s(
        "bot.billing_mode",
        "Who pays for the model.",
        choices=("wallet", "byok", "plan_quota"),
        example='"wallet"',
    ),
    _s("bot.max_loop_iterations", "Rounds of tool calls for one answer.", "integer", least=1, example="10"),
    _s("bot.max_tokens_per_turn", "Tokens for one answer.", "integer", least=1, example="8192"),
    _s(
        "bot.timeout_ms",
        "How long the bot may think about one turn, in milliseconds.",
        "integer",
        default=30000,
        least=1,
        most=60000,
    ),
    _s(
        "bot.conversation_max_messages",
        "How many earlier messages the bot is shown.",
        "integer",
        default=20,
        least=0,
    ),
    _s(
        "bot.conversation_ttl_hours",
        "How old a shown message may be, in hours.",
        "number",
        default=24,
        least=0,
    ),
    _s("bot.enable_rag", "Reserved by Aerostack.", "boolean", example="false"),
    _s(
        "bot.welcome_message",
        "Said once, before the first answer to a new user.",
        example='"Welcome to Acme!"',
    ),
    _s("bot.fallback_message", "Said when the bot fails or takes too long.", example='"Sorry, once more?"'),
    _s("bot.spending_cap_cents", "Lifetime spending cap, in cents.", "integer", least=0, example="1000"),
    _s(
        "bot.workflow_enabled",
        "1: run the workflow instead of the agent loop.",
        "integer",
        least=0,
        most=1,
        example="0",
    ),
    _s("bot.workflow_json", "The workflow: nodes and edges.", "table", example="{ nodes = [], edges = [] }"),
    _s(
        "whatsapp.phone_number_id",
        "Meta > WhatsApp > API Setup > Phone number ID (digits).",
        form="digits",
        example='"123456789012345"',
    ),
    _s(
        "whatsapp.access_token",
        "Meta > WhatsApp > API Setup, or a System User's lasting token.",
        secret=True,
    ),
    _s(
        "whatsapp.access_token_previous",
        "The token before it, used where Meta refuses access_token (190), while you change it.",
        secret=True,
    ),
    _s(
        "whatsapp.verify_token",
        "Any strong word of yours; Meta sends it back to prove itself.",
        secret=True,
    ),
    _s("whatsapp.app_secret", "Meta > App settings > Basic; checks that a webhook is Meta's.", secret=True),
    _s(
        "whatsapp.app_secret_previous",
        "The secret before it; webhooks signed with it are taken too, while you change it.",
        secret=True,
    ),
    _s(
        "whatsapp.business_account_id",
        "Meta > WhatsApp > API Setup > WhatsApp Business Account ID (digits).",
        form="digits",
        example='"112233445566778"',
    ),
    _s(
        "whatsapp.app_id",
        "Meta > App settings > Basic > App ID (digits).",
        form="digits",
        example='"1029384756"',
    ),
    _s(
        "whatsapp.graph_url",
        "Origin of Meta's Graph API.",
        default="https://graph.facebook.com",
        form="origin",
    ),
    _s("whatsapp.graph_version", "Version of the Graph API.", default="v25.0", form="word"),
    _s("serve.host", "Where the public listener listens.", default="127.0.0.1"),
    _s("serve.port", "Its port; 0 picks a free one.", "integer", default=8460, least=0, most=65535),
    _s("serve.private_host", "Where the private listener listens.", default="127.0.0.1"),
    _s("serve.private_port", "Its port; 0 picks a free one.", "integer", default=8461, least=0, most=65535),
    _s(
        "serve.private_token",
        "The private listener's bearer token; made up at each start if unset.",
        secret=True,
    ),
    _s(
        "serve.allowed_hosts",
        "Host names under which the private listener may be called, beside loopback.",
        "list",
        default=(),
        example='["host.docker.internal"]',
    ),
    _s(
        "serve.database",
        "A path or sqlite:///path; unset: .aerobot/aerobot.db beside this file.",
        example='"sqlite:////var/lib/aerobot/acme.db"',
    ),
    _s(
        "serve.engine",
        "What answers: echo, demo, a file (bot.py), bot.py:name or module:name.",
        example='"bot.py"',
    ),
    _s(
        "serve.public_url",
        "The https origin under which Meta reaches the public listener.",
        form="origin",
        example='"https://bots.acme.example"',
    ),
    _s(
        "serve.register",
        "Point Meta here while it runs, at which level; unset: asked for with a tunnel on a terminal, else no.",
        choices=("phone", "waba", "app", "no"),
        example='"phone"',
    ),
    _s(
        "serve.allow_unsigned",
        "Accept unsigned messages although the listener is exposed.",
        "boolean",
        default=False,
    ),
    _s(
        "serve.debounce_ms",
        "How long to wait for more before thinking, in milliseconds; 0: each message by itself.",
        "integer",
        default=0,
        least=0,
        most=60000,
    ),
    _s(
        "serve.max_connections",
        "Connections that may be open at the public listener; beyond it the one that waits longest is closed.",
        "integer",
        default=500,
        least=1,
        most=100000,
    ),
    _s(
        "serve.header_seconds",
        "How long a caller may take for a request's headers, in seconds.",
        "number",
        default=10,
        least=0.1,
    ),
    _s(
        "serve.max_header_bytes",
        "How large a request's headers may be together, in bytes.",
        "integer",
        default=32768,
        least=8192,
        most=1048576,
    ),
    _s(
        "serve.body_seconds",
        "How long a caller may take for a request's body, in seconds.",
        "number",
        default=30,
        least=0.1,
    ),
    _s(
        "serve.max_body_bytes",
        "How large a request's body may be, in bytes; Meta sends up to 3 MB.",
        "integer",
        default=4194304,
        least=3145728,
        most=67108864,
    ),
    _s(
        "serve.max_held_bytes",
        "How much all bodies that are on their way may take together, in bytes.",
        "integer",
        default=67108864,
        least=8388608,
    ),
    _s(
        "serve.idle_seconds",
        "How long a connection may stay open between two requests, in seconds.",
        "number",
        default=75,
        least=0.1,
    ),
    _s(
        "serve.retention_days",
        "How many days deliveries and messages are kept; 0: for ever. What is not finished stays.",
        "integer",
        default=30,
        least=0,
        most=36500,
    ),
    _s(
        "tunnel.provider",
        "The tunnel's maker; auto: ngrok where it has an authtoken, else cloudflared where it is installed.",
        default="auto",
        choices=("auto", "ngrok", "cloudflared"),
    ),
    _s("tunnel.authtoken", "ngrok's authtoken; unset: the ngrok agent's own configuration.", secret=True),
    _s("tunnel.domain", "Your fixed ngrok domain.", form="word", example='"acme.ngrok.app"'),
    _s(
        "emulator.port",
        "Port of the emulated Meta; 0 picks a free one.",
        "integer",
        default=8462,
        least=0,
        most=65535,
    ),
    _s("emulator.seed", "Makes the emulator's ids repeatable.", "integer", example="1"),
    _s("engine.reload", "Load bot.py again when it is saved.", "boolean", default=True),
)

BY_KEY: dict[str, Setting] = {setting.key: setting for setting in SETTINGS}
SECTIONS = tuple(dict.fromkeys(setting.section for setting in SETTINGS))
OTHER_VARIABLES = frozenset(
    {
        "AEROBOT_CONFIG", "AEROBOT_CONFIG_HOME", "AEROBOT_STATE_HOME", "AEROBOT_EMAIL", "AEROBOT_PASSWORD",
        "AEROBOT_WEBHOOK_URL", "AEROBOT_PRIVATE_URL", "AEROBOT_PRIVATE_TOKEN", "AEROBOT_EMULATOR_URL",
        "AEROBOT_EMULATOR_TOKEN", "AEROBOT_PAGE_URL",
    }
)  # fmt: skip
"""Variables that are not settings: where files are, `aerobot login` without a terminal, and what `sandbox --exec`
tells its command."""
