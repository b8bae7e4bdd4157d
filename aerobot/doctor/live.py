"""The end in reality: a person writes, and what became of it is watched, here or at Aerostack."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok
from aerobot.doctor.remotes import Skip
from aerobot.errors import NetworkError
from aerobot.graph_admin import Finding
from aerobot.graph_admin.finding import finding
from aerobot.host.record import HostRecord

TOPIC = "live"
POLL = 3.0
"""Seconds between two looks at Aerostack."""


def live(context: Context) -> Finding:
    """Wait for a message from WhatsApp and for its answer."""
    if not context.wish.live:
        raise Skip("not asked for", "aerobot doctor --live")
    host = context.host()
    if context.place() == "aerostack":
        return _at_aerostack(context)
    if host is None:
        raise Skip("no host here whose events could be followed", "aerobot serve")
    if not host.worker:
        raise Skip("the host has no worker: nobody would be answered", "aerobot serve")
    return asyncio.run(_here(context, host))


def _invite(context: Context) -> None:
    digits = "".join(c for c in context.number().display if c.isdigit())
    where = f"https://wa.me/{digits}" if digits else "the number"
    context.tell(f"Write anything to {where}    (Ctrl-C ends the waiting)")


def _late(context: Context, what: str = "no message came") -> Finding:
    remedy = "Did Meta call? Look at the callback above, then write once more"
    return finding("live_late", TOPIC, "failed", f"{what} within {context.wish.timeout:g} s", remedy)


# -- a host of our own ---------------------------------------------------------------------------------------


async def _here(context: Context, host: HostRecord) -> Finding:
    """Follow the host's events: a message, then what became of its turn."""
    seen = ""
    try:
        async with asyncio.timeout(context.wish.timeout):
            conversation, kind = None, ""
            async for event in _events(context, host):
                if event.get("channel", "whatsapp") != "whatsapp":
                    continue
                if event.get("event") == "message" and conversation is None:
                    conversation, kind = event.get("conversation_id"), str(event.get("kind"))
                    seen = f"received ({kind}), not answered"
                    if str(event.get("state")).startswith("ignored"):
                        return _ignored(event)
                elif event.get("conversation_id") == conversation is not None and (found := _ended(event)):
                    return found
    except TimeoutError:
        return _late(context, seen or "no message came")
    raise NetworkError("The host stopped meanwhile.", "aerobot serve")


def _ignored(event: Mapping[str, Any]) -> Finding:
    seen = f"received, {event.get('state')}"
    return finding("live_ignored", TOPIC, "failed", seen, "Is the bot active? Write a text")


def _ended(event: Mapping[str, Any]) -> Finding | None:
    """What an event says of the turn; nothing while it is not over."""
    if event.get("event") == "turn":
        why = event.get("error") or event.get("state")
        return finding("live_unanswered", TOPIC, "failed", f"received, then {why}", "The host's output says more")
    if event.get("event") != "part" or event.get("state") in ("unknown", "planned"):
        return None
    if event.get("state") in ("sent", "captured"):
        return ok("live_answered", TOPIC, f"received, answered in {event.get('milliseconds', 0) / 1000:.1f} s")
    why = " ".join(str(part) for part in (event.get("code"), event.get("error") or event.get("state")) if part)
    seen = f"received; the answer was not delivered: {why}"
    return finding("live_unsent", TOPIC, "failed", seen, str(event.get("remedy") or ""))


async def _events(context: Context, host: HostRecord) -> AsyncIterator[Mapping[str, Any]]:
    """The host's events as they come; the invitation is spoken once they are followed."""
    import aiohttp

    headers = {"Authorization": f"Bearer {host.private_token.reveal()}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(host.private_url + "/api/events") as answer,
        ):
            if answer.status != 200:
                raise NetworkError(f"The host answers {answer.status} for its events.", "aerobot serve")
            _invite(context)
            async for line in answer.content:
                if line.strip():
                    yield json.loads(line)
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise NetworkError("The host cannot be followed.", "Does it still run? aerobot status") from None


# -- at Aerostack --------------------------------------------------------------------------------------------


def _at_aerostack(context: Context) -> Finding:
    """Watch the bot's conversations grow; whether it was answered, Aerostack does not tell."""
    before, began = _activity(context), time.monotonic()
    _invite(context)
    while time.monotonic() - began < context.wish.timeout:
        time.sleep(min(POLL, max(0.0, context.wish.timeout - (time.monotonic() - began))))
        if _activity(context) != before:
            took = time.monotonic() - began
            return ok("live_received", TOPIC, f"received by Aerostack within {took:.0f} s; the answer is on your phone")
    return _late(context, "Aerostack told of no message")


def _activity(context: Context) -> tuple[object, object]:
    """What of the bot changes when somebody writes."""
    wanted = context.text("bot.id")
    mine = next((bot for bot in context.aerostack().bots() if bot.get("id") == wanted), {})
    return mine.get("conversation_count"), mine.get("last_active_at")
