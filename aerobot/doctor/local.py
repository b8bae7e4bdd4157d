"""The host on this machine: whether it runs, what it runs, its store, its clock, and the session window."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok, skipped
from aerobot.doctor.remotes import Skip
from aerobot.graph_admin import Finding, verdicts
from aerobot.graph_admin.finding import finding
from aerobot.secret import is_loopback

LITTLE_SPACE = 200 * 1024 * 1024
"""Bytes: a disk with less is a warning."""
WINDOW = 24 * 3600
"""Seconds (Meta, "Customer service windows")."""
WINDOWS = "https://developers.facebook.com/docs/whatsapp/pricing#customer-service-windows"


def running(context: Context) -> Finding:
    """Whether a host of this number answers, and what it runs."""
    if context.place() == "aerostack":
        raise Skip("Aerostack runs this bot")
    host = context.host()
    if host is None and context.reached:
        raise Skip("the host is on another machine")
    if host is None:
        return finding("host_not_running", "host", "failed", "no host of this number runs here", "aerobot serve")
    seen = f"pid {host.pid}, aerobot {context.about_host().get('version') or '(version unknown)'}"
    if len(context.hosts()) > 1:
        seen += f" (and {len(context.hosts()) - 1} more)"
    return ok("host_running", "host", seen)


def worker(context: Context) -> Finding:
    """Whether the host answers what it takes."""
    host = context.host()
    if host is None or host.worker:
        return ok("worker_runs", "host", "")
    seen = f"pid {host.pid} has no worker (--no-worker): messages are kept, nobody is answered"
    return finding("worker_missing", "host", "warning", seen, "Start it without --no-worker: aerobot serve")


def store(context: Context) -> Finding:
    """Whether the store can be written and has room, and what waits in it."""
    host = context.host()
    if host is None:
        raise Skip("the host first")
    path, about = Path(host.database), context.about_host()
    if path.exists() and not os.access(path, os.W_OK):
        seen = f"{path.name} cannot be written"
        return finding("store_read_only", "store", "failed", seen, f"Look at the rights of {path}")
    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else LITTLE_SPACE
    if free < LITTLE_SPACE:
        seen = f"only {free // 2**20} MB are free at {path.parent}"
        return finding("store_full", "store", "warning", seen, "Make room: without it nothing is acknowledged")
    waiting = [f"{count} {what}" for what, count in (about.get("waiting") or {}).items() if count]
    return ok("store_works", "store", f"{path.name}, {' and '.join(waiting) or 'nothing'} waiting")


def failed(context: Context) -> Finding:
    """Whether turns wait on the failed list, which nobody is answered for until somebody looks."""
    from aerobot.store import sqlite_file

    host = context.host()
    if host is None:
        raise Skip("the host first")
    turns = sqlite_file.failed(Path(host.database)) or 0
    if not turns:
        return ok("none_failed", "store", "none failed")
    seen = f"{turns} {'turns' if turns > 1 else 'turn'} on the failed list: nobody was answered"
    return finding("turns_failed", "store", "warning", seen, "aerobot failed")


def engine(context: Context) -> Finding:
    """Whether the bot that answers could be loaded."""
    about = context.about_host()
    if error := about.get("engine_error"):
        return finding("engine_broken", "engine", "failed", str(error), "Mend the file; the former version answers")
    return ok("engine_loaded", "engine", str(about.get("engine") or "unknown"))


def clock(context: Context) -> Finding:
    """Whether this machine's clock agrees with Graph's ``Date``; a Graph on this machine has an emulator's clock."""
    found = verdicts.clock(context.graph().skew)
    if found.state in ("ok", "skipped") or not is_loopback(context.settings.text("whatsapp.graph_url")):
        return found
    off = found.seen.partition(":")[0]
    return ok("clock_emulated", "clock", f"{off} Graph, which is on this machine: its clock was moved")


def window(context: Context) -> Finding:
    """Until when the last conversation may be answered freely."""
    if context.place() == "aerostack":
        return skipped("window", "Aerostack does not tell when a user last wrote")
    last = context.about_host().get("last_conversation")
    at = last.get("window_at") if isinstance(last, Mapping) else None
    if not isinstance(at, int):
        return skipped("window", "nobody has written to this host yet")
    left = at / 1000 + WINDOW - context.now()
    if left > 0:
        return ok("window_open", "window", f"the last conversation: open for {_span(left)} more")
    seen = f"the last conversation: closed {_span(-left)} ago"
    return finding("window_closed", "window", "warning", seen, "The user has to write, or send a template", WINDOWS)


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"
