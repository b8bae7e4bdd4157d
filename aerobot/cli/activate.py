"""`aerobot activate` and `deactivate`: a bot goes to work, and Meta's portal is told where it lives."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from aerobot.cli.account import Bot, Local, called, connect, which_bot
from aerobot.cli.command import BOTS, Run, command
from aerobot.cli.validate import NoValidate, check
from aerobot.cli.webhook import Level, LiveNumber, TakeOver, point
from aerobot.config import Settings
from aerobot.errors import AerobotError, ConfigError, NoReplyError, RemoteError, UsageError
from aerobot.terminal import safe

if TYPE_CHECKING:
    from aerobot.aerostack import Aerostack

Printed = Literal["webhook-url", "verify-token"]
Print = Annotated[Printed | None, typer.Option("--print", help="Print this one value alone.", show_default=False)]
ShowSecrets = Annotated[bool, typer.Option("--show-secrets", help="Show the verify token, even off a terminal.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until somebody has written to the bot.")]
Timeout = Annotated[int, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long --wait waits.")]

Register = Annotated[
    Level | None,
    typer.Option("--register", help="Point Meta at the bot at this level: no portal step is left."),
]

POLL = 3.0
"""Seconds between two looks at the bot."""
TROUBLES = (
    ("Verify fails", "the verify token must match exactly, case and all"),
    ("No answer", 'is "messages" subscribed? is the access token still valid?'),
    ("Not sent", "a test token dies after 24 h: use a System User's token"),
    ("Answers once", "the 24-hour window: the user has to write again"),
)
"""docs.aerostack.dev/bots/platforms/whatsapp, "Troubleshooting"."""


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(
        app,
        "activate",
        panel=BOTS,
        examples=("aerobot activate --register phone --wait", "aerobot activate --print webhook-url"),
    )
    def activate(
        run: Run,
        bot: Bot = None,
        *,
        print_: Print = None,
        show_secrets: ShowSecrets = False,
        wait: Wait = False,
        timeout: Timeout = 600,
        local: Local = False,
        register: Register = None,
        live_number: LiveNumber = False,
        take_over: TakeOver = False,
        no_validate: NoValidate = False,
    ) -> None:
        """Activate the bot and point Meta at it, or say what Meta's portal needs to know.

        The webhook URL goes to stdout, alone on its line. The verify token is shown on a terminal, with
        --show-secrets, or by --print verify-token.
        """
        from aerobot.aerostack import warnings_of

        settings = run.settings(mends=register is not None)
        _check_register(register, local=local, printed=print_)
        with connect(run, settings, local=local) as api:
            bot_id = which_bot(api, settings, bot)
            ours = bot_id == settings.text("bot.id") and settings.secret("whatsapp.access_token") is not None
            if ours and not local and not no_validate and not print_:
                check(run.terminal, settings, undone="Nothing was activated.")
            with run.terminal.busy("Activating"):
                answer = {"id": bot_id, **api.activate(bot_id)}
                known = _look(api, bot_id)
            _complete(run, api, answer, str(known.get("platform") or settings.text("bot.platform")))
            token = _verify_token(settings, known, bot_id)
            for words in warnings_of(api.shown(answer)):
                run.terminal.warn(words)
            if print_:
                _print(run, answer, token, print_)
            try:
                done = _registered(run, settings, answer, register, live_number=live_number, take_over=take_over)
                if not print_ and not done:
                    visible = token if show_secrets or run.terminal.interactive else None
                    _tell(run, settings, {**known, **answer}, visible)
                if wait:
                    answer["conversation_count"] = _wait(run, api, bot_id, timeout)
            finally:
                extra = {"verify_token": token} if show_secrets and token else {}
                run.terminal.document({**api.shown(answer), **extra})

    @command(
        app,
        "deactivate",
        panel=BOTS,
        examples=("aerobot deactivate", "aerobot deactivate bt_a1b2c3d4e5f6g7h8i9j0"),
    )
    def deactivate(run: Run, bot: Bot = None, *, local: Local = False) -> None:
        """Deactivate the bot: it keeps its settings and answers nobody."""
        settings = run.settings()
        with connect(run, settings, local=local) as api:
            bot_id = which_bot(api, settings, bot)
            with run.terminal.busy("Deactivating"):
                answer = {"id": bot_id, **api.deactivate(bot_id)}
            run.terminal.document(api.shown(answer))
            run.terminal.say(f"{str(answer.get('status') or 'inactive').capitalize()}: {called(answer, bot_id)}.")
            run.terminal.say(f"Next, when it shall answer again: aerobot activate{' --local' if local else ''}")


def _check_register(level: Level | None, *, local: bool, printed: Printed | None) -> None:
    if level is not None and local:
        raise UsageError("--register points Meta at Aerostack.", "For a host here: aerobot serve --tunnel --register")
    if level is not None and printed:
        raise UsageError("--print prints one value and does nothing else.", "Leave out one of --print and --register.")


def _registered(
    run: Run, settings: Settings, bot: dict[str, Any], level: Level | None, *, live_number: bool, take_over: bool
) -> bool:
    """Point Meta at the bot's webhook, where that is wanted; whether nothing is left to do by hand."""
    if level is None:
        return False
    url = str(bot["webhook_url"])
    if "/webhook/whatsapp/" not in url:
        raise UsageError("Only a WhatsApp bot has a webhook that Meta calls.", "Leave out --register.")
    run.terminal.value(url)
    run.terminal.say(safe(f"{str(bot.get('status') or 'active').capitalize()}: {called(bot, bot['id'])}."))
    made = point(run, settings, url, level, live_number=live_number, take_over=take_over)
    if made is None:
        return False
    bot["registered"] = made
    run.terminal.say('Next: write to the number, or aerobot ask "Hi"')
    return True


def _look(api: "Aerostack", bot_id: str) -> dict[str, Any]:
    """What else is known of the bot; nothing, where the platform does not tell."""
    try:
        return api.bot(bot_id)
    except AerobotError:
        return {}


def _complete(run: Run, api: "Aerostack", answer: dict[str, Any], platform: str) -> None:
    """An answer without the URL is given the documented one, and that is said where it matters."""
    if not answer.get("webhook_url"):
        answer["webhook_url"] = f"{api.remote.origin}/api/bots/webhook/{platform}/{answer['id']}"
        if answer.get("manual_setup_required", platform == "whatsapp"):
            run.terminal.warn("The answer had no webhook_url; by the documentation it is the one shown here.")


def _verify_token(settings: Settings, known: dict[str, Any], bot_id: str) -> str | None:
    """The verify token of the settings, where they are this bot's."""
    secret = settings.secret("whatsapp.verify_token")
    config = known.get("platform_config")
    number = config.get("phone_number_id") if isinstance(config, dict) else None
    theirs = number is not None and number == settings.text("whatsapp.phone_number_id")
    return secret.reveal() if secret and (theirs or settings.text("bot.id") in ("", bot_id)) else None


def _print(run: Run, answer: dict[str, Any], token: str | None, what: Printed) -> None:
    if what == "webhook-url":
        run.terminal.value(str(answer["webhook_url"]))
    elif token:
        run.terminal.value(token)
    else:
        raise ConfigError(
            "The verify token of this bot is not known here: Aerostack does not give it back.",
            "It is whatsapp.verify_token of the settings the bot was created with.",
        )


def _tell(run: Run, settings: Settings, bot: dict[str, Any], token: str | None) -> None:
    url, say = str(bot["webhook_url"]), run.terminal.say
    if settings.text("bot.id") == bot["id"]:
        bot = {"name": settings.text("bot.name"), **bot}
    say(safe(f"{str(bot.get('status') or 'active').capitalize()}: {called(bot, bot['id'])}."))
    whatsapp = "/webhook/whatsapp/" in url or bot.get("platform") == "whatsapp"
    if not bot.get("manual_setup_required", whatsapp):
        run.terminal.value(url)
        say('Nothing is left to set up. Next: aerobot ask "Hi"')
    elif not whatsapp:
        say("The platform has to be told once: give it this as the bot's request URL.")
        run.terminal.value(url)
        say('Next: aerobot ask "Hi"')
    elif urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        run.terminal.value(url)
        say("Meta cannot reach this machine. A tunnel helps: aerobot serve --tunnel")
        say('Next: aerobot send-test "Hi"')
    else:
        _tell_portal(run, settings, url, token)
        number = _number(bot)
        say(f'Next: write to {f"https://wa.me/{number}" if number else "the number"}, or aerobot ask "Hi"')


def _tell_portal(run: Run, settings: Settings, url: str, token: str | None) -> None:
    """Step 4 of docs.aerostack.dev/bots/platforms/whatsapp, with the user's own values."""
    app = settings.text("whatsapp.app_id")
    say = run.terminal.say
    say("Meta has to be told once.")
    say("  By aerobot   aerobot activate --register phone   (undo: aerobot webhook clear)")
    say("  By hand:")
    say(safe(f"  1  Your app: https://developers.facebook.com/apps{f'/{app}' if app else ''}"))
    say("     WhatsApp > Configuration > Webhook > Edit")
    say("  2  Callback URL")
    run.terminal.value(url)
    say(f"  3  Verify token   {safe(token) if token else '(hidden here: --print verify-token)'}")
    say("     Verify and Save")
    say('  4  Webhook fields: subscribe "messages"')
    _tell_troubles(run)


def _tell_troubles(run: Run) -> None:
    run.terminal.say("Stays silent?")
    for trouble, remedy in TROUBLES:
        run.terminal.say(f"  {trouble:<14}{remedy}")


def _number(bot: dict[str, Any]) -> str:
    """The bot's phone number as digits, where somebody tells it."""
    config = bot.get("platform_config")
    for place in (config if isinstance(config, dict) else {}, bot):
        for name in ("display_phone_number", "phone_number"):
            digits = "".join(c for c in str(place.get(name) or "") if c in "0123456789")
            if digits:
                return digits
    return ""


def _wait(run: Run, api: "Aerostack", bot_id: str, timeout: int) -> int:
    """The number of conversations, as soon as there is one; ``NoReplyError`` after ``timeout`` seconds."""
    ends = time.monotonic() + timeout
    run.terminal.say("Waiting for the first conversation (Ctrl-C ends the waiting, not the bot).")
    with run.terminal.busy("Write to the bot now"):
        while True:
            mine = [bot for bot in api.bots() if bot.get("id") == bot_id]
            if not mine:
                raise RemoteError(f"{api.remote.name} no longer lists {bot_id}.", "aerobot bots list")
            count = mine[0].get("conversation_count")
            if isinstance(count, int) and count > 0:
                break
            if time.monotonic() + POLL > ends:
                raise NoReplyError(f"Nobody's message has reached the bot within {timeout} s.", _hints())
            time.sleep(POLL)
    active = mine[0].get("last_active_at")
    words = f"It works: {count} conversation{'' if count == 1 else 's'}"
    run.terminal.say(safe(f"{words}, last active {active}." if active else f"{words}."))
    run.terminal.say("Next: aerobot bots show")
    return count


def _hints() -> str:
    return "\n".join(f"{trouble:<14}{remedy}" for trouble, remedy in TROUBLES)
