"""Where Meta sends messages: whose address is in force, whether it lives, and whether it takes what Meta would send.

Its words are exact: what is tried here is our own request, through the tunnel or at Aerostack; never Meta's.
"""

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok
from aerobot.doctor.remotes import Skip
from aerobot.doctor.whose import Owner, bare, place
from aerobot.errors import NetworkError
from aerobot.graph_admin import Callbacks, Finding
from aerobot.graph_admin.finding import finding
from aerobot.graph_admin.values import LEVELS, Callback
from aerobot.secret import is_loopback

OVERRIDES = "https://developers.facebook.com/docs/whatsapp/embedded-signup/webhooks/override"
WEBHOOKS = "https://developers.facebook.com/docs/graph-api/webhooks/getting-started"
SECONDS = 8.0
"""How long a host may take to show that it lives."""
CLOSED = ("ERR_NGROK_3200", "ERR_NGROK_8012")
"""What ngrok answers for a tunnel that nobody holds open, or that leads nowhere."""
TUNNEL_GONE = 530
"""Cloudflare's answer for a tunnel that is not connected."""
ABSENT = frozenset({502, 503, 504, 521, 522, 523})
"""What a proxy answers where nobody is behind it now."""


# -- in force ------------------------------------------------------------------------------------------------


def in_force(context: Context) -> Finding:
    """Which address Meta calls, at which level, and whose it is."""
    callbacks = context.number().callbacks
    there = callbacks.in_force
    if there is None:
        seen = "none at any level: Meta calls nobody"
        return finding("callback_none", "callback", "failed", seen, _set_one(context), OVERRIDES)
    owner = context.owner(there.url)
    seen = f"{there.level} > {place(there.url)} ({owner.words})"
    if owner.kind == "other_bot":
        wanted = context.settings.text("bot.id") or "a bot of these settings"
        remedy = f"It is not {wanted}'s: {_set_one(context)}"
        return finding("callback_other_bot", "callback", "failed", seen, remedy, OVERRIDES)
    if owner.kind in ("other", "elsewhere") and (silence := _silence(there.url)):
        return _silent(context, there, silence)
    if owner.kind == "other":
        remedy = f"Its messages go there. Yours: {_set_one(context)}"
        return finding("callback_not_ours", "callback", "failed", seen, remedy, OVERRIDES)
    return ok("callback_ours", "callback", seen + _wider(callbacks, there))


def _wider(callbacks: Callbacks, there: Callback) -> str:
    """What stands at wider levels, where nothing is narrower."""
    others = [(level, callbacks.at(level)) for level in LEVELS if level != there.level and callbacks.at(level)]
    return "".join(f"; {level} {place(url)}" for level, url in others if place(url) != place(there.url))


def _set_one(context: Context) -> str:
    if context.place() == "aerostack":
        return "aerobot activate --register phone"
    if not is_loopback(context.settings.text("whatsapp.graph_url")):
        return "aerobot serve --tunnel --register phone"
    return "aerobot phone connect URL (which serve prints)" if context.host() else "aerobot serve --register phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """That nobody answers at an address. ``lasting``: it is gone; else somebody may be there who does not answer us."""

    why: str
    lasting: bool = False


def _silent(context: Context, there: Callback, silence: Silence) -> Finding:
    """An override of a host that is gone can be cleared; the app's own callback can only be changed."""
    host = f"{there.level} > {place(there.url)}"
    if not silence.lasting:
        remedy = f"Meta may still reach it; if not: {_set_one(context)}"
        return finding("callback_silent", "callback", "failed", f"{host}: {silence.why}", remedy, OVERRIDES)
    seen = f"{host} is dead: {silence.why}"
    if there.level == "app":
        return finding("callback_dead", "callback", "failed", seen, _set_one(context), WEBHOOKS)
    remedy = f"aerobot doctor --fix (will clear the {there.level} override)"
    return finding("override_dead", "callback", "failed", seen, remedy, OVERRIDES)


def _silence(url: str) -> Silence | None:
    """Why nobody is at an address; ``None`` where somebody is. It is asked without any token."""
    import httpx

    headers = {"ngrok-skip-browser-warning": "1", "User-Agent": "aerobot"}
    try:
        answer = httpx.get(bare(url), headers=headers, timeout=SECONDS, trust_env=not is_loopback(url))
    except httpx.TimeoutException:
        return Silence(why=f"no answer within {SECONDS:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return _broken(error)
    if answer.headers.get("ngrok-error-code") in CLOSED or answer.status_code == TUNNEL_GONE:
        return Silence(why="no tunnel is open there", lasting=True)
    return Silence(why=f"it answers {answer.status_code}") if answer.status_code in ABSENT else None


def _broken(error: BaseException) -> Silence:
    """What the lack of a connection says: no such host, nobody listening, or something in between."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return Silence(why="no such host", lasting=True)
        if isinstance(cause, ConnectionRefusedError):
            return Silence(why="nothing listens", lasting=True)
        if isinstance(cause, ssl.SSLError):
            return Silence(why="its certificate is not valid")
        cause = cause.__cause__ or cause.__context__
    return Silence(why="no connection")


# -- reached -------------------------------------------------------------------------------------------------


def challenge(context: Context) -> Finding:
    """Whether the address answers our own challenge with our verify token, through the outside world."""
    token, there = context.secret("whatsapp.verify_token"), context.webhook()
    if there is None:
        raise Skip("there is no address to ask", "aerobot serve --tunnel")
    from aerobot.tunnel import prove

    parts, began = urlsplit(there.url), time.monotonic()
    try:
        asyncio.run(prove(f"{parts.scheme}://{parts.netloc}", parts.path, token, attempts=2))
    except NetworkError as error:
        return _unproven(error)
    context.reached, took = True, round((time.monotonic() - began) * 1000)
    return ok("challenge_answered", "public", f"our challenge answered {there.way} in {took} ms")


def _unproven(error: NetworkError) -> Finding:
    if "another verify token" in error.message:
        remedy = "Set the same on both sides: aerobot config set whatsapp.verify_token"
        return finding("verify_token_wrong", "public", "failed", error.message, remedy, WEBHOOKS)
    return finding("public_unreachable", "public", "failed", error.message, error.hint, WEBHOOKS)


# -- delivered -----------------------------------------------------------------------------------------------


def delivery(context: Context) -> Finding:
    """Whether a delivery signed as Meta signs is taken. It is empty: no bot thinks, and nobody is written to."""
    from aerobot import probe
    from aerobot.emulator import webhooks

    secret = context.secret("whatsapp.app_secret")
    there = context.webhook() if context.reached else context.own_webhook()
    if there is None:
        raise Skip("there is no address of ours", "aerobot serve")
    line = webhooks.Line(
        business_account_id=context.settings.text("whatsapp.business_account_id") or probe.TEST_ACCOUNT,
        phone_number_id=context.text("whatsapp.phone_number_id"),
        display_phone_number="15550783881",
    )
    got = probe.deliver(there.url, webhooks.wire(webhooks.envelope(line)), secret)
    if got.status == 200:
        return ok("delivery_taken", "delivery", f"signed and empty, taken {there.way} in {got.milliseconds} ms")
    if got.status in (401, 403):
        seen = f"refused with {got.status}: it checks with another app secret"
        remedy = "Set the same on both sides: aerobot config set whatsapp.app_secret"
        return finding("delivery_refused", "delivery", "failed", seen, remedy, WEBHOOKS)
    seen = f"answered with {got.status}: Meta would repeat it for days"
    return finding("delivery_failed", "delivery", "failed", seen, _about(context.owner(there.url)), WEBHOOKS)


def _about(owner: Owner) -> str:
    if owner.kind == "aerostack":
        return "Is the bot there and active? aerobot bots show"
    return "The host's own output says why; is it the newest?"
