"""The whole chain in order: which checks there are, what each one needs, and how they are made.

Its law: a check that fails, even unforeseen, becomes a finding; what builds on it is skipped and says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aerobot.doctor import account, callback, files, live, local, meta
from aerobot.doctor.context import Context
from aerobot.doctor.outcome import ok, skipped, unanswered, unforeseen
from aerobot.doctor.remotes import Skip
from aerobot.errors import AerobotError, NetworkError, UsageError
from aerobot.graph_admin import Finding
from aerobot.graph_admin.finding import SEEN

Part = Callable[[Context], Finding]
VIA = {"graph": "Graph", "aerostack": "Aerostack", "host": "the host"}
"""Whom a check asks, and how that is called in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the checklist, made of ``parts`` whose good findings share it; a bad one has a line of its own.

    It ``needs`` checks that were made and held, and comes ``after`` others that at least did not fail. Unless it is
    ``thorough``, nothing more is looked at after the first part that fails.
    """

    name: str
    group: str
    topic: str
    parts: tuple[Part, ...]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    via: str = "host"
    thorough: bool = False


def _check(name: str, *parts: Part, group: str = "", topic: str = "", via: str = "host", **more: object) -> Check:
    given: Any = more
    return Check(name=name, group=group or name, topic=topic or name, parts=parts, via=via, **given)


_FILES = (files.configuration, files.permissions, files.git, files.committed, files.slips)
_TOKEN = (meta.token_form, meta.token_life, meta.token_scopes, meta.token_app)
_SECRET = (meta.secret_form, meta.secret_fits, meta.verify_form)
_ACCOUNT = (account.login, account.workspace, account.bot)
_WABA = (meta.number_in_waba, meta.subscribed)

CHECKS: tuple[Check, ...] = (
    _check("files", *_FILES, thorough=True),
    _check("aerostack", *_ACCOUNT, topic="Aerostack", via="aerostack"),
    _check("token", *_TOKEN, via="graph"),
    _check("secret", *_SECRET, group="token", via="graph"),
    _check("number", meta.number, needs=("token",), via="graph"),
    _check("waba", *_WABA, topic="WABA", needs=("token", "number"), via="graph"),
    _check("field", meta.field, needs=("secret",), via="graph"),
    _check("callback", callback.in_force, needs=("number",), via="graph"),
    _check("public", callback.challenge, needs=("callback",), via="public"),
    _check("delivery", callback.delivery, after=("secret", "public"), via="delivery"),
    _check("host", local.running, local.worker),
    _check("store", local.store, local.failed, group="host", needs=("host",)),
    _check("engine", local.engine, group="host", needs=("host",)),
    _check("clock", local.clock, group="host", via="graph"),
    _check("window", local.window, after=("host",)),
    _check("live", live.live, after=("token", "number", "waba", "field", "callback", "public", "delivery", "host")),
)
GROUPS = tuple(dict.fromkeys(check.group for check in CHECKS))


def chosen(only: str | None) -> tuple[Check, ...]:
    """The checks of a group with all that they need; of every group without one."""
    if only is None:
        return CHECKS
    if only.lower() not in GROUPS:
        raise UsageError(
            f'There is no group "{only}".', "Groups: " + ", ".join(GROUPS[:7]) + ",\n" + ", ".join(GROUPS[7:])
        )
    known: Mapping[str, Check] = {check.name: check for check in CHECKS}
    wanted = {check.name for check in CHECKS if check.group == only.lower()}
    while more := {need for name in wanted for need in known[name].needs} - wanted:
        wanted |= more
    return tuple(check for check in CHECKS if check.name in wanted)


class Examination:
    """One pass along the chain; it remembers what stands in the way of what comes later."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failed: dict[str, str] = {}
        """Checks that failed, and what therefore comes first."""
        self._unmade: dict[str, str] = {}
        """Checks that could not be made, and why."""
        self._down: dict[str, str] = {}

    def make(self, check: Check) -> tuple[Finding, ...]:
        """Make one check; its findings, at least one."""
        if why := self._obstacle(check):
            self._unmade[check.name] = why
            return (skipped(check.topic, why),)
        found: list[Finding] = []
        for part in check.parts:
            found.append(self._part(check, part))
            if found[-1].state == "skipped" or (found[-1].state == "failed" and not check.thorough):
                break
        if any(one.state == "failed" for one in found):
            self._failed[check.name] = self._down.get(check.via) or _first(check)
        elif found[0].state == "skipped":
            self._unmade[check.name] = found[0].seen.removeprefix("skipped: ")
        return tuple(found)

    def _obstacle(self, check: Check) -> str:
        """What has to come first; empty where nothing has."""
        for need in check.needs:
            if why := self._failed.get(need) or self._unmade.get(need):
                return why
        earlier = [self._failed[one] for one in check.after if one in self._failed]
        return earlier[0] if earlier else self._down.get(check.via, "")

    def _part(self, check: Check, part: Part) -> Finding:
        try:
            return part(self._context)
        except Skip as skip:
            return skipped(check.topic, skip.why, skip.remedy)
        except AerobotError as error:
            if isinstance(error, NetworkError) and check.via in VIA:
                self._down[check.via] = f"{VIA[check.via]} first"
                return unanswered(check.via, VIA[check.via].removeprefix("the "), error)
            return unanswered(check.via, check.topic, error)
        except Exception as error:
            if self._context.debug:
                raise
            return unforeseen(check.topic, error)


def _first(check: Check) -> str:
    return f"{check.topic} first" if check.topic == "Aerostack" else f"the {check.topic} first"


def lines(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What of a check's findings is shown: the bad ones; else the good ones on one line, and what was skipped."""
    bad = tuple(one for one in found if one.state in ("failed", "warning"))
    if bad:
        return bad
    good = [one for one in found if one.state == "ok"]
    rest = tuple(one for one in found if one.state == "skipped")
    if not good:
        return rest
    seen = ""
    for words in (one.seen for one in good if one.seen):
        joined = f"{seen}, {words}" if seen else words
        seen = joined if len(joined) <= SEEN else seen
    return (ok(good[0].name, good[0].topic, seen), *rest)
