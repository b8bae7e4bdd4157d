"""`aerobot conversations`: a person's data, found by any of their names, and erased."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from aerobot.cli.account import Yes
from aerobot.cli.command import OPERATE, Run, command, group
from aerobot.cli.moments import count, moment
from aerobot.cli.reach import Reach, reach, shown
from aerobot.cli.stream import short
from aerobot.errors import RemoteError, UsageError
from aerobot.terminal import safe

Facts = Mapping[str, Any]
Who = Annotated[
    str | None, typer.Argument(metavar="[WHO]", help="A number, its last four digits or more, a user id, or a name.")
]
Id = Annotated[int | None, typer.Option("--id", metavar="N", help="The conversation's own id, as list shows it.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    inner = group(app, "conversations", "Find a person's data, look at it, erase it.", panel=OPERATE)
    _register_reading(inner)
    _register_forget(inner)


def _register_reading(inner: typer.Typer) -> None:
    @command(inner, "list", examples=("aerobot conversations list", "aerobot conversations list 4821 --json"))
    def list_(
        run: Run,
        who: Who = None,
        limit: Annotated[int, typer.Option(metavar="N", help="At most so many; 0: all.", min=0)] = 50,
    ) -> None:
        """List conversations, the latest first: all, or those of a number, its last digits, a user id, a name."""
        place = reach(run, told=True)
        answer = place.ask("conversations", who=who, limit=limit)
        run.terminal.document({**answer, "database": str(place.database)})
        _list(run, answer["conversations"])

    @command(inner, "show", examples=("aerobot conversations show Ana", "aerobot conversations show --id 12 --json"))
    def show(
        run: Run,
        who: Who = None,
        number: Id = None,
        limit: Annotated[int, typer.Option(metavar="N", help="The last so many lines; 0: all.", min=0)] = 20,
    ) -> None:
        """Show one conversation: who it is, and what was said; --json has the numbers in full."""
        place = reach(run)
        found = place.ask("conversation", id=_one(place, who, number), limit=limit)
        run.terminal.document({**found, "database": str(place.database)})
        _show(run, found)


def _register_forget(inner: typer.Typer) -> None:
    examples = ("aerobot conversations forget +31612344821", "aerobot conversations forget --id 12 --yes")

    @command(inner, "forget", examples=examples)
    def forget(run: Run, who: Who = None, number: Id = None, yes: Yes = False) -> None:
        """Erase a person: messages, replies, receipts, names, and every raw delivery that names them.

        Also what is not answered yet. It cannot be undone. Digests stay, so that a delivery that Meta repeats
        brings nothing back; backups made earlier still have it all. With --yes WHO must be the whole number, id or
        name.
        """
        place = reach(run)
        people = _same_person(place, who, number)
        if yes and who is not None and not _whole(people[0], who):
            hint = f"Without --yes you are asked. It is --id {people[0]['id']}: {_who(people[0])}"
            raise UsageError(f"{who} is only a part of what is found: with --yes give the whole.", hint)
        _announce(run, place, people)
        if not yes and not run.terminal.confirm("Erase it for good?"):
            run.terminal.say("Nothing was erased.")
            raise typer.Exit(0)
        with run.terminal.busy("Erasing"):
            erased = [place.ask("forget", id=person["id"]) for person in people]
        run.terminal.document({"database": str(place.database), "forgotten": erased})
        total = {key: sum(one["erased"][key] for one in erased) for key in erased[0]["erased"]}
        run.terminal.step("ok", "erased", _amount(total))
        run.terminal.say(f"{'':14}Backups made earlier still have it. What they write next begins anew.", hang=14)
        run.terminal.say("Next: aerobot conversations list")


# -- who is meant -------------------------------------------------------------------------------------------------


def _found(place: Reach, who: str | None, number: int | None) -> list[Facts]:
    if (who is None) == (number is None):
        raise UsageError("Whose? Give a number, its last digits, a user id or a name, or --id N.")
    if number is not None:
        return [place.ask("conversation", id=number, limit=1)["conversation"]]
    people: list[Facts] = place.ask("conversations", who=who, limit=0)["conversations"]
    if not people:
        raise RemoteError(f"Nobody is found by {who}.", "aerobot conversations list")
    return people


def _one(place: Reach, who: str | None, number: int | None) -> int:
    """The conversation that is meant; where a person has several, the latest."""
    return int(_same_person(place, who, number)[0]["id"])


def _same_person(place: Reach, who: str | None, number: int | None) -> list[Facts]:
    """All conversations of the one person who is meant; where several people fit, a ``UsageError`` names them."""
    people = _found(place, who, number)
    names = {frozenset((i["kind"], i["value"]) for i in person["identities"]) for person in people}
    shared = frozenset.intersection(*names)
    if len(people) > 1 and not shared:
        listed = "\n".join(f"--id {person['id']:<6}{_who(person)}" for person in people[:10])
        raise UsageError(f"{len(people)} people are found by {who}. Which one?", listed)
    return people


def _whole(person: Facts, who: str) -> bool:
    """Whether somebody was named by a whole number (in any of its forms), a whole id or the whole name."""
    from aerobot.whatsapp import rules

    forms = rules.number_forms("".join(c for c in who if c.isdigit()))
    known = {identity["value"] for identity in person["identities"]}
    named = bool(who.strip()) and who.casefold() == person["name"].casefold()
    return (bool(who) and who in known) or not known.isdisjoint(forms) or named


# -- what is shown ------------------------------------------------------------------------------------------------


def _list(run: Run, people: Sequence[Facts]) -> None:
    terminal = run.terminal
    if not people:
        terminal.say("Nobody wrote yet, or nobody is found by that.")
        return
    rows = [
        (str(p["id"]), _who(p), "test" if p["channel"] == "test" else "", moment(p["last_at"]), str(p["messages"]),
         str(p["waiting"] or ""))
        for p in people
    ]  # fmt: skip
    terminal.table(("ID", "WHO", "", "LAST", "MESSAGES", "UNANSWERED"), rows)
    terminal.say(f"Next: aerobot conversations show --id {people[0]['id']}")


def _who(person: Facts) -> str:
    name = person["name"] if len(person["name"]) <= 24 else person["name"][:23] + "…"
    return safe(f"{short(person['phone'] or person['user_id'])} {name}".rstrip())


def _show(run: Run, found: Facts) -> None:
    terminal, person = run.terminal, found["conversation"]
    names = ", ".join(f"{one['kind']} {short(one['value'])}" for one in person["identities"]) or "no name but this"
    terminal.result(f"{_who(person)}  conversation {person['id']} of {safe(person['bot_id'])}")
    terminal.result(f"  {'known by':<10}{safe(names)}", hang=12)
    waits = f", {person['waiting']} of them not answered yet" if person["waiting"] else ""
    since = f"since {moment(person['first_at'])}, last {moment(person['last_at'])}"
    terminal.result(f"  {'messages':<10}{person['messages']}{waits}; {since}", hang=12)
    for line in found["lines"]:
        arrow = "-->" if line["role"] == "user" else "<--"
        state = "" if line["state"] in ("answered", "sent") and not line["note"] else f"  ({_state(line)})"
        text = safe(line["text"])
        text = text if len(text) <= 160 else text[:159] + "…"
        terminal.result(f"{moment(line['at'])} {arrow} {text}{safe(state)}", hang=13)
    terminal.say(f"Next: aerobot conversations forget --id {person['id']}    (erases all of it)")


def _state(line: Facts) -> str:
    """A message's or part's state: a receipt says more than that it was sent."""
    state, note = str(line["state"]).replace("_", " "), str(line["note"])
    if state in ("sent", "answered"):
        return note or state
    return f"{state}: {note}" if note else state


def _announce(run: Run, place: Reach, people: Sequence[Facts]) -> None:
    """What will be erased, before it is."""
    where = shown(place.database)
    run.terminal.say(safe(f"This erases, in {where}:"), hang=2)
    for person in people:
        waits = f", {person['waiting']} not answered yet" if person["waiting"] else ""
        test = "test, " if person["channel"] == "test" else ""
        run.terminal.say(f"  {_who(person)}  {test}{count(person['messages'], 'message')}{waits}", hang=4)


def _amount(erased: Mapping[str, int]) -> str:
    return ", ".join(
        (
            count(erased["messages"], "message"),
            count(erased["parts"], "reply", "replies"),
            count(erased["receipts"], "receipt"),
            count(erased["bodies"], "raw delivery", "raw deliveries"),
            count(erased["identities"], "identity", "identities"),
        )
    )
