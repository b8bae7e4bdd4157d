"""`aerobot failed`: turns that nobody was answered for, why, and how they go on."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from aerobot.cli.account import Yes
from aerobot.cli.command import OPERATE, Run, command, group
from aerobot.cli.moments import ago, count, moment
from aerobot.cli.reach import Reach, reach
from aerobot.cli.stream import short
from aerobot.errors import REFUSED, UsageError
from aerobot.terminal import safe

ENGINE_REMEDY = "Mend the bot first; then it is asked again, about the same messages."
HEAD = ("N", "WHEN", "WHO", "CAUSE", "WHY", "TRIES")
WHO = 14
"""Columns of the list that a name has at least."""
Turn = Mapping[str, Any]

Ids = Annotated[list[int] | None, typer.Argument(metavar="N", help="Turns of the list.")]
Cause = Annotated[
    str | None, typer.Option("--cause", metavar="CAUSE", help="All of one cause: Meta's code, engine or send.")
]
All = Annotated[bool, typer.Option("--all", help="The whole list.")]


def register(app: typer.Typer) -> None:
    """Add the group; alone it lists."""
    failed = group(
        app, "failed", "List the turns that failed for good; show why, retry, discard.", panel=OPERATE, alone=_list
    )
    _register_reading(failed)
    _register_retry(failed)
    _register_discard(failed)


def _register_reading(failed: typer.Typer) -> None:
    @command(failed, "list", examples=("aerobot failed", "aerobot failed list --cause 131047 --json"))
    def list_(
        run: Run,
        cause: Cause = None,
        limit: Annotated[int, typer.Option(metavar="N", help="At most so many; 0: all.", min=0)] = 50,
    ) -> None:
        """List every turn whose bot or whose sending finally failed, the oldest first.

        Tests are not on the list. What was said to a user in its place (a fallback) does not take it off.
        """
        _list(run, cause=cause, limit=limit)

    @command(failed, "show", examples=("aerobot failed show 7", "aerobot failed show 7 --json"))
    def show(run: Run, number: Annotated[int, typer.Argument(metavar="N", help="A turn of the list.")]) -> None:
        """Show one: what was asked, what was said of the answer, why it failed, and what helps."""
        place = reach(run)
        turn = place.ask("failed_turn", id=number)
        run.terminal.document({**turn, "database": str(place.database)})
        _show(run, turn)


def _register_retry(failed: typer.Typer) -> None:
    @command(failed, "retry", examples=("aerobot failed retry 7 9", "aerobot failed retry --cause 131026"))
    def retry(
        run: Run,
        numbers: Ids = None,
        cause: Cause = None,
        every: All = False,
        anyway: Annotated[
            bool, typer.Option("--anyway", help="Also those whose session window is known to be closed.")
        ] = False,
    ) -> None:
        """Let failed turns go on where they failed; what arrived is not said twice.

        Where the bot failed it is asked again. Turns whose session window has closed stay on the list: WhatsApp
        would refuse all but a template. Exit: 4 where nothing could be retried.
        """
        chosen = _chosen(numbers, cause, every=every)
        place = reach(run)
        with run.terminal.busy("Retrying"):
            answer = place.ask("retry", **chosen, anyway=anyway)
        run.terminal.document({**answer, "running": place.running, "database": str(place.database)})
        _retried(run, place, answer)
        if not answer["retried"] and (answer["closed"] or answer["missing"]):
            raise typer.Exit(REFUSED)


def _register_discard(failed: typer.Typer) -> None:
    @command(failed, "discard", examples=("aerobot failed discard 7", "aerobot failed discard --all --yes"))
    def discard(run: Run, numbers: Ids = None, cause: Cause = None, every: All = False, yes: Yes = False) -> None:
        """Take turns off the list without an answer; their messages stay, as failed."""
        chosen = _chosen(numbers, cause, every=every)
        place = reach(run)
        what = "the whole list" if every else f"everything of cause {cause}"
        if not numbers and not yes and not run.terminal.confirm(f"Discard {safe(what)}?"):
            raise typer.Exit(0)
        answer = place.ask("discard", **chosen)
        run.terminal.document({**answer, "database": str(place.database)})
        gone = answer["discarded"]
        run.terminal.step("ok" if gone else "skipped", "discarded", _numbers(gone) or "nothing")
        _missing(run, answer)
        run.terminal.say("Next: aerobot failed")
        if not gone and answer["missing"]:
            raise typer.Exit(REFUSED)


def _chosen(numbers: Sequence[int] | None, cause: str | None, *, every: bool) -> dict[str, object]:
    if sum((bool(numbers), cause is not None, every)) != 1:
        raise UsageError("Which ones? Give their numbers, or --cause CAUSE, or --all.", "aerobot failed lists them.")
    return {"ids": list(numbers or ()), "cause": cause, "all": every}


# -- what is shown ------------------------------------------------------------------------------------------------


def _list(run: Run, *, cause: str | None = None, limit: int = 50) -> None:
    place = reach(run, told=True)
    answer = place.ask("failed", cause=cause, limit=limit)
    run.terminal.document({**answer, "database": str(place.database)})
    terminal, turns = run.terminal, answer["failed"]
    if not turns:
        terminal.say("Nothing failed." if not answer["causes"] else f"Nothing of cause {safe(str(cause))} failed.")
        terminal.say("Next: aerobot db info")
        return
    terminal.table(HEAD, _rows(turns, terminal.columns))
    every = sum(answer["causes"].values()) if cause is None else answer["causes"].get(cause, 0)
    if every > len(turns):
        terminal.say(f"{count(every - len(turns), 'more is', 'more are')} on the list: --limit 0")
    causes = ", ".join(f"{name} ({times})" for name, times in answer["causes"].items())
    terminal.say(safe(f"Causes: {causes}"), hang=8)
    terminal.say(f"Next: aerobot failed show {turns[0]['id']}")


def _rows(turns: Sequence[Turn], columns: int) -> list[tuple[str, ...]]:
    """The rows of the list; where they would be wider than the terminal, names and then reasons are cut."""
    rows = [
        (str(turn["id"]), moment(turn["failed_at"]), f"{short(turn['who'])} {safe(turn['name'])}", turn["cause"],
         safe(turn["error"]), str(turn["attempts"]))
        for turn in turns
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    free = columns - sum(widths) - 2 * (len(HEAD) - 1) + widths[2] + widths[4]
    who = max(WHO, free - widths[4])
    why = max(WHO, free - min(who, widths[2]))
    return [(*row[:2], _cut(row[2], who), row[3], _cut(row[4], why), row[5]) for row in rows]


def _show(run: Run, turn: Turn) -> None:
    terminal = run.terminal
    name = f" {turn['name']}" if turn["name"] else ""
    when = f"failed {moment(turn['failed_at'])}, {ago(turn['failed_at'])}"
    terminal.result(safe(f"Turn {turn['id']}  {short(turn['who'])}{name}  {when}"))
    for topic, words in _facts(turn):
        terminal.result(f"  {topic:<10}{safe(words)}", hang=12)
    for text in turn["asked"]:
        terminal.result(f"--> {_cut(text, 160)}", hang=4)
    for part in turn["parts"]:
        state = part["receipt"] if part["receipt"] and part["state"] == "sent" else part["state"].replace("_", " ")
        good = part["state"] == "sent" and part["receipt"] != "failed"
        mark = terminal.mark("ok" if good else "failed")
        terminal.result(f"<-- {mark} {_cut(part['text'], 160)}  ({safe(state)})", hang=6)
    terminal.say(f"Next: {_next(turn)}")


def _facts(turn: Turn) -> list[tuple[str, str]]:
    engine = turn["cause"] == "engine"
    code = f"{turn['code']} " if turn["code"] is not None else ""
    cause = f"the bot: {turn['error']}" if engine else f"{code}{turn['error']}"
    fallback = ", fallback sent" if turn["fell_back"] else ""
    retries = f", retried {count(turn['retries'], 'time')}" if turn["retries"] else ""
    facts = [("cause", cause + fallback), ("tried", count(turn["attempts"], "time") + retries)]
    remedy = ENGINE_REMEDY if engine else turn["remedy"]
    if turn["window"] == "closed":
        facts.append(("window", f"closed: the user wrote last {ago(turn['window_at'])}; only a template is taken"))
    return [*facts, ("remedy", remedy)] if remedy else facts


def _next(turn: Turn) -> str:
    if turn["window"] == "closed":
        return f"aerobot templates list    (without an answer: aerobot failed discard {turn['id']})"
    return f"aerobot failed retry {turn['id']}"


def _retried(run: Run, place: Reach, answer: Mapping[str, Any]) -> None:
    terminal, retried, closed = run.terminal, answer["retried"], answer["closed"]
    if not retried and not closed and not answer["missing"]:
        terminal.say("Nothing failed: there is nothing to retry.")
        return
    if retried:
        words = "go on where they failed" if len(retried) > 1 else "goes on where it failed"
        terminal.step("ok", "retried", f"{_numbers(retried)}: {words}")
    if closed:
        many = _numbers([turn["id"] for turn in closed])
        terminal.step("warning", "left", f"{many}: the 24 hours since the user wrote are over (131047),")
        terminal.say(f"{'':14}WhatsApp would take a template only: aerobot templates list", hang=14)
    _missing(run, answer)
    if retried and not place.running:
        terminal.say(f"No host runs: kept in {safe(place.words.partition(' (')[0])}, sent when one starts.")
        terminal.say("Next: aerobot serve")
    else:
        terminal.say("Next: aerobot failed" + ("    (--anyway tries those too)" if closed else ""))


def _missing(run: Run, answer: Mapping[str, Any]) -> None:
    if answer["missing"]:
        run.terminal.step("skipped", "missing", f"not on the list (any more): {_numbers(answer['missing'])}")


def _numbers(numbers: Sequence[int]) -> str:
    """Up to eight turns by number; more by how many there are."""
    return ", ".join(map(str, numbers)) if len(numbers) <= 8 else f"{len(numbers):,} of them"


def _cut(text: str, most: int) -> str:
    text = safe(text)
    return text if len(text) <= most else text[: most - 1] + "…"
