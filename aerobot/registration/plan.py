"""What stands at Meta, what stands in the way of pointing it at us, and how it is told. No I/O."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aerobot.errors import UsageError
from aerobot.graph_admin.values import Callback, Callbacks, Number
from aerobot.registration.records import LEVELS, Level, Record, host_of

Kind = Literal["live", "fight", "shadowed", "lost", "other"]
NAMES: Mapping[Level, str] = {"phone": "phone override", "waba": "WABA override", "app": "app callback"}
TAKE_OVER = "--take-over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A level, and the kinds of obstacles that somebody said yes to."""

    level: Level
    agreed: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands at Meta for a number, and our own record of it.

    ``subscribed``: whether the app gets the account's webhooks. ``fields`` are what it gets of them, ``None`` for
    nothing at all; ``fields_known`` is false where that cannot be asked (it takes the app secret).
    """

    number: Number
    business_account_id: str
    app_id: str
    subscribed: bool
    fields: tuple[str, ...] | None = None
    fields_known: bool = False
    record: Record | None = None
    alive: bool = False

    @property
    def display(self) -> str:
        """The number for people."""
        return self.number.display or self.number.id

    @property
    def callbacks(self) -> Callbacks:
        """The address at each level."""
        return self.number.callbacks

    @property
    def our_urls(self) -> tuple[str, ...]:
        """Every address that a record says was set by an aerobot of this user."""
        record, found = self.record, list[str]()
        while record is not None:
            found += record.urls
            record = record.under
        return tuple(found)

    @property
    def warning(self) -> str:
        """Why no message comes although an override is set; empty where nothing is known to be missing."""
        if not self.fields_known or "messages" in (self.fields or ()):
            return ""
        if self.fields is None:
            return "the app has no callback and no fields of its own: messages come with --register app alone"
        return 'the app is not subscribed to the field "messages": aerobot doctor --fix'


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Something that needs a deliberate yes: to ``asks`` on a terminal, where that is not empty, or by ``flag``."""

    kind: Kind
    message: str
    hint: str
    asks: str = ""
    flag: str = TAKE_OVER

    @property
    def error(self) -> UsageError:
        """The same as a refusal."""
        return UsageError(self.message, self.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What is known about addresses: ``mine`` are those that our verify token was set for; ``answers`` asks one."""

    mine: Collection[str] = ()
    answers: Callable[[str], bool] = field(default=lambda _: True)


def obstacles(standing: Standing, level: Level, known: Ownership) -> tuple[Obstacle, ...]:
    """What stands in the way of setting a callback at ``level``, in the order in which it should be asked."""
    found = []
    if standing.number.mode != "TEST":
        found.append(_live(standing))
    if standing.record is not None and standing.alive:
        words = f"{standing.display} is served by another aerobot ({standing.record.holder})."
        found.append(Obstacle(kind="fight", message=words, hint=f"Stop that one, or take the number: {TAKE_OVER}"))
    ours = {*standing.our_urls, *known.mine}
    found += _shadows(standing, level, ours)
    there = standing.callbacks.at(level)
    force = standing.callbacks.in_force
    if there and there not in ours:
        found.append(_lost(there, level, alive=known.answers(there)))
    elif force is not None and force.url not in ours and known.answers(force.url):
        found.append(_other(standing, force))
    return tuple(found)


def _live(standing: Standing) -> Obstacle:
    kind = "LIVE" if standing.number.mode else "perhaps LIVE (Meta does not tell)"
    return Obstacle(
        kind="live",
        message=f"{standing.display} is {kind}: its customers' messages would come here.",
        hint="If that is what you want: --live-number",
        asks="Its last four digits, if that is what you want",
        flag="--live-number",
    )


def _shadows(standing: Standing, level: Level, ours: Collection[str]) -> list[Obstacle]:
    """A narrower override wins: what is set behind it changes nothing."""
    narrower = LEVELS[: LEVELS.index(level)]
    held = {standing.record.level} if standing.record and not standing.record.lasting else set()
    found = next((one for one in narrower if standing.callbacks.at(one) and one not in held), None)
    if found is None:
        return []
    url = standing.callbacks.at(found)
    whose = "of this aerobot's " if url in ours else ""
    words = f"A {NAMES[found]} {whose}({host_of(url)}) wins over one at the level {level}: no message would come."
    hint = f"Set it at the level {found}, or first: aerobot webhook clear --level {found}"
    return [Obstacle(kind="shadowed", message=words, hint=hint)]


def _lost(url: str, level: Level, *, alive: bool) -> Obstacle:
    host = host_of(url)
    words = f"The {NAMES[level]} is {host}'s, and could not be put back: its verify token is not known here."
    if not alive:
        words += " Nothing answers there now."
    hint = f"{TAKE_OVER} gives it up: {url}\nwould have to be set again by whoever set it."
    return Obstacle(kind="lost", message=words, hint=hint, asks="" if alive else "Give it up?")


def _other(standing: Standing, force: Callback) -> Obstacle:
    host = host_of(force.url)
    return Obstacle(
        kind="other",
        message=f"{standing.display} is {host}'s now (the {NAMES[force.level]}), and {host} answers.",
        hint=f"Messages would come here instead of there. If that is right: {TAKE_OVER}",
        asks=f"Take the number from {host}?",
    )


# -- what a new record says ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Heritage:
    """What a new record takes over from the one that is there."""

    before: Mapping[str, str]
    fields: tuple[str, ...] | None
    urls: tuple[str, ...] = ()
    under: Record | None = None


def inherit(standing: Standing, level: Level, *, lasting: bool) -> Heritage:
    """What stood before, seen through what an aerobot of ours set over it and did not put back."""
    now: dict[str, str] = {one: standing.callbacks.at(one) for one in LEVELS}
    old = standing.record
    if old is None:
        return Heritage(before=now, fields=standing.fields)
    replaced = old.level == level and now[level] in old.urls and (lasting or not old.lasting)
    if replaced:
        return Heritage(before={**now, level: old.former}, fields=old.fields, urls=old.urls, under=old.under)
    return Heritage(before=now, fields=standing.fields, under=old if old.lasting else old.under)


# -- how it ended ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What stands now, and why where it is not as before."""

    display: str
    now: Callback | None
    how: Literal["as before", "changed", "lost", "taken"] = "as before"
    why: str = ""

    @property
    def good(self) -> bool:
        """Whether everything is as it was."""
        return self.how == "as before"

    @property
    def words(self) -> str:
        """One line."""
        where = f"{host_of(self.now.url)} ({NAMES[self.now.level]})" if self.now else "nothing"
        line = f"{self.display} -> {where}"
        return f"{line} (as before)" if self.good else f"{line}; {self.why}"


def after(callbacks: Callbacks, level: Level, url: str) -> Callback | None:
    """What is in force once ``url`` stands at ``level``."""
    urls: dict[Level, str] = {one: callbacks.at(one) for one in LEVELS}
    urls[level] = url
    return next((Callback(level=one, url=urls[one]) for one in LEVELS if urls[one]), None)
