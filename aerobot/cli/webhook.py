"""`aerobot webhook`: what Meta calls for the number, and pointing it somewhere else and back."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from aerobot.cli.command import META, Run, command, group
from aerobot.config import Settings, state_folder
from aerobot.errors import CHECK, ConfigError, UsageError
from aerobot.secret import may_carry_secrets
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.registration.plan import Obstacle, PutBack, Standing, Wish
    from aerobot.registration.records import Record
    from aerobot.registration.registrar import Registrar

Level = Literal["phone", "waba", "app"]
LevelOption = Annotated[
    Level, typer.Option("--level", help="phone: this number alone; waba: its account; app: all of the app.")
]
LiveNumber = Annotated[bool, typer.Option("--live-number", help="Yes, though it is a LIVE number with customers.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Yes, though another host has it, or it cannot be put back.")
]
LEVELS: tuple[Level, ...] = ("phone", "waba", "app")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    inner = group(app, "webhook", "What Meta calls for your number: look, set, put back, try.", panel=META)
    _add_show(inner)
    _add_set(inner)
    _add_clear(inner)
    _add_verify(inner)


# -- show ---------------------------------------------------------------------------------------------------------


def _add_show(inner: typer.Typer) -> None:
    @command(inner, "show", examples=("aerobot webhook show", "aerobot webhook show --json"))
    def show(run: Run) -> None:
        """Show the callback at each level, which is in force, and whose it is.

        The narrowest wins: phone, then waba, then app. Overrides carry messages; what is sent at all is chosen by
        the app's fields.
        """
        settings = run.settings(mends=True)
        with run.terminal.busy("Asking Meta"):
            standing = registrar(run, settings).look()
        document = _document(settings, standing)
        run.terminal.document(document)
        _tell_standing(run.terminal, standing, document)


def _document(settings: Settings, standing: "Standing") -> dict[str, Any]:
    force = standing.callbacks.in_force
    urls = {level: standing.callbacks.at(level) for level in LEVELS}
    record = standing.record
    return {
        "phone_number_id": standing.number.id,
        "display_phone_number": standing.number.display,
        "mode": standing.number.mode or None,
        "in_force": force.level if force else None,
        "callbacks": {level: _callback(settings, standing, url) for level, url in urls.items()},
        "subscribed": standing.subscribed,
        "fields": list(standing.fields or ()) if standing.fields_known else None,
        "registration": _record(record, alive=standing.alive) if record else None,
    }


def _callback(settings: Settings, standing: "Standing", url: str) -> dict[str, Any] | None:
    return {"url": url, "whose": _whose(settings, standing, url)} if url else None


def _record(record: "Record", *, alive: bool) -> dict[str, Any]:
    kind = "lasting" if record.lasting else ("running" if alive else "leftover")
    former = record.former or None
    return {"kind": kind, "level": record.level, "url": record.url, "before": former, "pid": record.pid}


def _whose(settings: Settings, standing: "Standing", url: str) -> str:
    """Whose an address is, as far as this machine can tell."""
    from aerobot.host.record import running

    record = standing.record
    if url.startswith(settings.text("aerostack.api_url").rstrip("/") + "/"):
        return "aerostack"
    if record is not None and url in record.urls and not record.lasting:
        return "this_host" if standing.alive else "crashed_run"
    for host in running(state_folder(os.environ) / "hosts"):
        if any(origin and url.startswith(origin + "/") for origin in (host.public_url, host.local_url)):
            return "this_host"
    return "set_by_aerobot" if url in standing.our_urls else "unknown"


WHOSE = {
    "aerostack": "Aerostack",
    "this_host": "a host on this machine",
    "crashed_run": "a run that crashed: aerobot webhook clear",
    "set_by_aerobot": "set by aerobot",
    "unknown": "a host unknown here",
}


def _tell_standing(terminal: Terminal, standing: "Standing", document: Mapping[str, Any]) -> None:
    terminal.result(safe(headline(standing)))
    for level in LEVELS:
        found = document["callbacks"][level]
        if found is None:
            terminal.result(f"  {terminal.mark('skipped')} {level:6} none")
            continue
        force = document["in_force"] == level
        words = f"{WHOSE[found['whose']]}{'  (in force)' if force else ''}"
        terminal.result(f"  {terminal.mark('ok' if force else 'skipped')} {level:6} {words}")
        terminal.value(found["url"])
    if not standing.subscribed:
        terminal.warn("The app is NOT subscribed to the account: no message can arrive.", "aerobot doctor --fix")
    if standing.warning:
        terminal.warn(f"{standing.warning[:1].upper()}{standing.warning[1:]}.")
    if standing.alive:
        terminal.say("What stood before is put back when that host stops.")
    elif standing.record is not None:
        terminal.say("Put back what stood before: aerobot webhook clear")
    terminal.say("Next: aerobot webhook verify")


# -- set ----------------------------------------------------------------------------------------------------------


def _add_set(inner: typer.Typer) -> None:
    @command(
        inner,
        "set",
        examples=(
            "aerobot webhook set https://bots.acme.example/api/bots/webhook/whatsapp/bt_1",
            "aerobot webhook set https://acme.example/hook --level waba --json",
        ),
    )
    def set_(
        run: Run,
        url: Annotated[str, typer.Argument(metavar="URL", help="The webhook; it must answer Meta's challenge now.")],
        *,
        level: LevelOption = "phone",
        live_number: LiveNumber = False,
        take_over: TakeOver = False,
    ) -> None:
        """Point Meta at a webhook and leave it so, until `aerobot webhook clear`.

        Meta is given whatsapp.verify_token and asks URL for its challenge before it agrees.
        """
        settings = run.settings(mends=True)
        _check_url(url)
        made = point(run, settings, url, level, live_number=live_number, take_over=take_over)
        run.terminal.document(made or {"level": None, "url": None})
        run.terminal.say("Next: aerobot webhook verify" if made else "Nothing was changed.")


def _check_url(url: str) -> None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or not may_carry_secrets(url):
        raise UsageError(f"{url}: Meta calls https alone.", "Give an address that starts with https://")


def point(
    run: Run, settings: Settings, url: str, level: Level, *, live_number: bool, take_over: bool
) -> dict[str, Any] | None:
    """Point Meta at ``url`` for good; the document of what stands, ``None`` where somebody said no."""
    made = registrar(run, settings)
    wish = agree(run.terminal, made, level, url=url, live_number=live_number, take_over=take_over)
    if wish is None:
        return None
    with run.terminal.busy("Meta asks the challenge"):
        standing = made.register(wish, url, lasting=True).found
    run.terminal.step("ok", "Meta", f"asked the challenge, {safe(_called(settings, url))} answered.")
    if standing.warning:
        run.terminal.step("warning", "Meta", safe(standing.warning))
    run.terminal.say("Undo: aerobot webhook clear")
    return {"level": level, "url": url, "display_phone_number": standing.number.display}


def _called(settings: Settings, url: str) -> str:
    """A host in a sentence."""
    ours = url.startswith(settings.text("aerostack.api_url").rstrip("/") + "/")
    return "Aerostack" if ours else urlsplit(url).netloc


# -- clear --------------------------------------------------------------------------------------------------------


def _add_clear(inner: typer.Typer) -> None:
    @command(inner, "clear", examples=("aerobot webhook clear", "aerobot webhook clear --level waba"))
    def clear(
        run: Run,
        *,
        level: Annotated[
            Level | None, typer.Option("--level", help="Take away what stands there, whoever set it.")
        ] = None,
        take_over: TakeOver = False,
        forget: Annotated[
            bool, typer.Option("--forget", help="Only drop what was written down; Meta is not asked.")
        ] = False,
    ) -> None:
        """Put back what stood at Meta before aerobot changed it, or take a callback away.

        Finishes what a crashed `serve --register` left, and undoes `activate --register` and `webhook set`. Without
        such a record it takes the number's own override away.
        """
        settings = run.settings(mends=True)
        made = registrar(run, settings)
        if forget:
            _forget(run, made)
            return
        record = made.record()
        if record is not None and level in (None, record.level):
            with run.terminal.busy("Putting back"):
                ended = made.finish(take_over=take_over)
        else:
            ended = _take_away(run.terminal, settings, made, level or "phone", take_over=take_over)
        if ended is not None:
            _tell_ended(run.terminal, ended)


def _forget(run: Run, made: "Registrar") -> None:
    record = made.forget()
    run.terminal.document({"forgotten": _record(record, alive=False) if record else None})
    words = f"Forgotten: {record.display} -> {record.url}" if record else "Nothing was written down."
    run.terminal.say(safe(words))
    run.terminal.say("What stands at Meta: aerobot webhook show")


def _take_away(
    terminal: Terminal, settings: Settings, made: "Registrar", level: Level, *, take_over: bool
) -> "PutBack | None":
    """Take away what no record is about; what is not ours only after a yes."""
    standing = made.look(level)
    url = standing.callbacks.at(level)
    if not url:
        terminal.document({"display_phone_number": standing.number.display, "how": "nothing", "level": level})
        terminal.say(safe(f"{headline(standing)}: nothing is set at the level {level}."))
        terminal.say("Next: aerobot webhook show")
        return None
    terminal.say(safe(headline(standing)))
    fields = f", with its fields ({', '.join(standing.fields or ())})" if level == "app" else ""
    words = f"{url} ({WHOSE[_whose(settings, standing, url)]}) would be taken away{fields}."
    if not take_over:
        if not terminal.interactive:
            raise UsageError(words, "It cannot be set again from here. If that is right: --take-over")
        terminal.warn(words, "It cannot be set again from here.")
        if not terminal.confirm("Take it away?"):
            terminal.say("Nothing was changed.")
            return None
    with terminal.busy("Clearing"):
        return made.clear(level)


def _tell_ended(terminal: Terminal, ended: "PutBack") -> None:
    force = {"level": ended.now.level, "url": ended.now.url} if ended.now else None
    terminal.document({"display_phone_number": ended.display, "how": ended.how, "why": ended.why, "in_force": force})
    if ended.how in ("as before", "changed"):
        terminal.step("ok", "Meta", safe(ended.words))
    else:
        terminal.warn(ended.words)
    terminal.say("Next: aerobot webhook show")


# -- verify -------------------------------------------------------------------------------------------------------


def _add_verify(inner: typer.Typer) -> None:
    @command(
        inner,
        "verify",
        examples=("aerobot webhook verify", "aerobot webhook verify https://acme.example/hook --json"),
    )
    def verify(
        run: Run,
        url: Annotated[
            str | None, typer.Argument(metavar="[URL]", help="The webhook; else the one that Meta calls.")
        ] = None,
    ) -> None:
        """Try a webhook as Meta would: its handshake, a signed delivery, and a forged one.

        The requests are our own, through the tunnel or proxy that stands before it; Meta itself asks only when a
        callback is set. What is delivered is a receipt of no message, so no bot answers it. Exit 7 if one fails.
        """
        from aerobot import probe

        settings = run.settings(mends=True)
        token = settings.secret("whatsapp.verify_token")
        if token is None:
            raise ConfigError("whatsapp.verify_token is not set.", "aerobot init invents one.")
        address = url or _in_force(run, settings)
        _check_url(address)
        run.terminal.value(address)
        with run.terminal.busy("Trying it"):
            checks = probe.verified(
                address,
                token,
                settings.secret("whatsapp.app_secret"),
                phone_number_id=settings.text("whatsapp.phone_number_id"),
            )
        good = all(check.state != "failed" for check in checks)
        run.terminal.document({"url": address, "ok": good, "by": "aerobot", "checks": [_check(c) for c in checks]})
        for check in checks:
            took = f"  {run.terminal.faint(f'{check.milliseconds} ms')}" if check.milliseconds else ""
            run.terminal.step(check.state, check.name, safe(check.seen) + took)
            if check.remedy:
                run.terminal.say(f"{'':14}{safe(check.remedy)}")
        if not good:
            raise typer.Exit(CHECK)
        run.terminal.say("These were our own requests, not Meta's: Meta asks when a callback is set.")
        run.terminal.say("Next: aerobot webhook show")


def _check(check: Any) -> dict[str, Any]:
    return {name: getattr(check, name) for name in check.__dataclass_fields__}


def _in_force(run: Run, settings: Settings) -> str:
    standing = registrar(run, settings).look()
    run.terminal.say(safe(headline(standing)))
    force = standing.callbacks.in_force
    if force is None:
        raise ConfigError("Meta calls nothing for this number yet.", "Name a webhook, or: aerobot webhook set URL")
    return force.url


# -- what others share --------------------------------------------------------------------------------------------


def registrar(run: Run, settings: Settings) -> "Registrar":
    """The registrar of the settings' number, which tells what it has to say on this terminal."""
    from aerobot.runtime import registrar_of

    return registrar_of(settings, os.environ, lambda words: run.terminal.warn(words))


def headline(standing: "Standing") -> str:
    """Which number, and whether it is TEST or LIVE."""
    return f"{standing.display}  {standing.number.mode or 'TEST or LIVE is not told'}"


def agree(
    terminal: Terminal,
    made: "Registrar",
    level: Level,
    *,
    url: str = "",
    live_number: bool,
    take_over: bool,
) -> "Wish | None":
    """Everything that needs a deliberate yes, asked or taken from flags; ``None`` where somebody said no.

    Elsewhere than on a terminal, what no flag says yes to is a ``UsageError``.
    """
    from aerobot.registration.plan import Wish

    with terminal.busy("Asking Meta what stands"):
        standing = made.look(level)
        found = made.obstacles(standing, level, url)
    terminal.say(safe(headline(standing)))
    for one in found:
        if (one.kind == "live" and live_number) or (one.kind != "live" and take_over):
            terminal.warn(one.message)
        elif not (terminal.interactive and one.asks):
            raise one.error
        elif not _said_yes(terminal, one, standing):
            return None
    return Wish(level=level, agreed=frozenset(one.kind for one in found))


def _said_yes(terminal: Terminal, obstacle: "Obstacle", standing: "Standing") -> bool:
    terminal.warn(obstacle.message)
    if obstacle.kind != "live":
        return terminal.confirm(obstacle.asks)
    typed = terminal.ask(obstacle.asks)
    if typed and typed != standing.number.last_four:
        raise UsageError(f"{standing.display} does not end in {typed}.", "Nothing was changed.")
    return bool(typed)


def choose_level(terminal: Terminal) -> Literal["phone", "waba", "app", "no"]:
    """Ask at which level Meta is pointed here."""
    options = (
        ("phone", "phone  this number alone; put back exactly afterwards (recommended)"),
        ("waba", "waba   every number of its account"),
        ("app", "app    everything of the app; put back only where its verify token is ours"),
        ("no", "no     I set it by hand"),
    )
    return terminal.choose("Point Meta at this host while it runs?", options)  # type: ignore[return-value]
