"""What can be set right from here: each repair says what it will change before it changes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from aerobot.doctor.context import Context
from aerobot.doctor.remotes import Skip
from aerobot.doctor.whose import bare, place
from aerobot.errors import AerobotError
from aerobot.graph_admin import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A change: in words, as the call that makes it, and the call itself (which raises ``AerobotError``)."""

    words: str
    call: str
    run: Callable[[], object]


def repairs(context: Context, findings: Iterable[Finding]) -> tuple[Repair, ...]:
    """The repairs for what was found, in the order in which they help."""
    made = []
    for finding in findings:
        maker = _REPAIRS.get(finding.name) if finding.state == "failed" else None
        try:
            repair = maker(context) if maker else None
        except (AerobotError, Skip):
            continue
        if repair is not None:
            made.append(repair)
    return tuple(made)


def _permissions(context: Context) -> Repair | None:
    files = [path for path in context.settings.secret_files if path.stat().st_mode & 0o077]
    names = " ".join(path.name for path in files)

    def make_private() -> None:
        for path in files:
            path.chmod(0o600)

    return Repair(words=f"nobody else may read {names}", call=f"chmod 600 {names}", run=make_private)


def _subscribe(context: Context) -> Repair:
    graph, waba_id = context.graph(), context.waba_id()
    name = context.token().application or graph.app_id
    return Repair(
        words=f'app "{name}" gets the webhooks of WABA {waba_id}',
        call=f"POST /{waba_id}/subscribed_apps",
        run=lambda: graph.subscribe(waba_id),
    )


def _field(context: Context) -> Repair | None:
    """The app's callback stays; where it has none, ours is set, for fields cannot be without one."""
    graph, there, token = context.graph(), context.app_subscription(), context.secret("whatsapp.verify_token")
    ours = context.own_webhook()
    url = (there.callback_url if there else "") or (ours.url if ours and ours.url.startswith("https:") else "")
    if not url:
        return None
    return Repair(
        words=f"the app also gets messages; Meta will challenge {place(url)}",
        call=f"POST /{graph.app_id}/subscriptions",
        run=lambda: graph.merge_app_subscription(verify_token=token, callback_url=url),
    )


def _register(context: Context) -> Repair | None:
    graph, pin, number_id = context.graph(), context.wish.pin, context.text("whatsapp.phone_number_id")
    if pin is None:
        return None
    return Repair(
        words=f"the number {context.number().display or number_id} is registered with this PIN",
        call=f"POST /{number_id}/register",
        run=lambda: graph.register(number_id, pin),
    )


def _override(context: Context) -> Repair | None:
    graph, there = context.graph(), context.number().callbacks.in_force
    if there is None or there.level == "app":
        return None
    words = f"no longer called: {bare(there.url)}"
    if there.level == "phone":
        number_id = context.text("whatsapp.phone_number_id")
        call = f"POST /{number_id} (no override)"
        return Repair(words=words, call=call, run=lambda: graph.clear_number_override(number_id))
    waba_id = context.waba_id()
    call = f"POST /{waba_id}/subscribed_apps (no override)"
    return Repair(words=words, call=call, run=lambda: graph.clear_waba_override(waba_id))


_REPAIRS: Mapping[str, Callable[[Context], Repair | None]] = {
    "env_readable": _permissions,
    "waba_not_subscribed": _subscribe,
    "field_missing": _field,
    "number_unregistered": _register,
    "override_dead": _override,
}
