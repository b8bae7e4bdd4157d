"""`aerobot doctor`: the whole chain as a live checklist; each failure with its remedy, some of them set right."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from aerobot.cli.account import Yes
from aerobot.cli.command import META, Run, command
from aerobot.config import Settings, load
from aerobot.errors import CHECK, AerobotError, ConfigError, UsageError
from aerobot.secret import Secret
from aerobot.terminal import Terminal, safe

if TYPE_CHECKING:
    from aerobot.doctor import Context, Repair, Wish
    from aerobot.graph_admin import Finding

MOST_ROUNDS = 3
"""How often repairs are looked for: one may bring the next to light."""
WIDTH = 80
SILENT = ("worker_missing", "turns_failed")
"""Warnings that somebody is not answered: they come before any further look."""

Fix = Annotated[bool, typer.Option("--fix", help="Set right what can be; it is named and asked for first.")]
Only = Annotated[
    str | None, typer.Option("--only", metavar="GROUP", help="One group: files, aerostack, token, number, waba ...")
]
Live = Annotated[bool, typer.Option("--live", help="At the end, wait for a real message and its answer.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="S", min=1, help="Seconds that --live waits.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings fail too.")]
Pin = Annotated[
    str | None, typer.Option("--pin", metavar="-", help="With --fix: the number's PIN on stdin, to register it.")
]


@dataclass(slots=True, kw_only=True)
class Report:
    """What one pass found: every finding, the lines that were shown, what could be repaired, and whose number it is."""

    findings: list[tuple[str, "Finding"]] = field(default_factory=list)
    lines: list["Finding"] = field(default_factory=list)
    repairs: tuple["Repair", ...] = ()
    number: str = ""

    def count(self, state: str) -> int:
        """How many lines have this state."""
        return sum(line.state == state for line in self.lines)

    def kinds(self) -> set[tuple[str, str]]:
        """What each line said, for the next pass."""
        return {(line.topic, line.name) for line in self.lines}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "doctor",
        panel=META,
        examples=("aerobot doctor --fix", "aerobot doctor --live"),
    )
    def doctor(
        run: Run,
        *,
        fix: Fix = False,
        only: Only = None,
        live: Live = False,
        timeout: Timeout = 300,
        strict: Strict = False,
        pin: Pin = None,
        yes: Yes = False,
    ) -> None:
        """Say why the bot is silent: check every link from your files to WhatsApp.

        Groups: files, aerostack, token, number, waba, field, callback, public, delivery, host, window, live.
        Nobody is written to. Exit: 0 nothing failed, 7 something did.
        """
        from aerobot.doctor import Wish, chosen

        chosen(only)
        wish = Wish(pin=_pin(run.terminal, pin), live=live, timeout=timeout)
        report, fixed = _pass(run, only, wish, shown=None), list[str]()
        if fix:
            report, fixed = _fix(run, only, wish, report, yes=yes)
        _end(run.terminal, report, fixed, live=live, fix=fix)
        if report.count("failed") or (strict and report.count("warning")):
            raise typer.Exit(CHECK)


def _pin(terminal: Terminal, given: str | None) -> Secret | None:
    if given is None:
        return None
    if given != "-":
        hint = "Pipe it: aerobot doctor --fix --yes --pin - < file"
        raise UsageError("--pin takes only -: a PIN typed here stays in the shell's history.", hint)
    value = terminal.ask("Two-step PIN of the number", hidden=True) if terminal.interactive else sys.stdin.read()
    if not (value.strip().isascii() and value.strip().isdigit() and len(value.strip()) == 6):
        raise UsageError("The PIN has six digits.", "A number that never had one takes any.")
    return Secret(value.strip())


# -- one pass ------------------------------------------------------------------------------------------------


def _pass(run: Run, only: str | None, wish: "Wish", *, shown: set[tuple[str, str]] | None) -> Report:
    """Make the checks, each line as its check ends; with ``shown``, only what differs from the pass before."""
    from aerobot.doctor import Context

    try:
        settings = _settings(run)
    except ConfigError as error:
        return _unreadable(run.terminal, error)
    tell = run.terminal.say
    with Context(settings, wish, debug=run.shared.debug, tell=lambda words: tell(safe(words))) as context:
        return _checked(run.terminal, context, only, shown)


def _settings(run: Run) -> Settings:
    """The settings, whose warnings become findings."""
    return load(config=run.shared.config, profile=run.shared.profile)


def _unreadable(terminal: Terminal, error: ConfigError) -> Report:
    from aerobot.graph_admin.finding import finding

    found = finding("config_unreadable", "files", "failed", error.message, error.hint.partition("\n")[0])
    show(terminal, found)
    return Report(findings=[("files", found)], lines=[found])


def _checked(terminal: Terminal, context: "Context", only: str | None, shown: set[tuple[str, str]] | None) -> Report:
    from aerobot.doctor import Examination, chosen, lines, repairs

    report, examination = Report(), Examination(context)
    for check in chosen(only):
        with terminal.busy(check.topic):
            found = examination.make(check)
        wanted = only is None or check.group == only.lower()
        for line in lines(found):
            if wanted or line.state == "failed":
                report.lines.append(line)
                if shown is None or (line.topic, line.name) not in shown:
                    show(terminal, line)
        report.findings += [(check.group, one) for one in found if wanted or one.state == "failed"]
    report.repairs = repairs(context, [one for _, one in report.findings])
    report.number = context.called()
    return report


def show(terminal: Terminal, finding: "Finding") -> None:
    """One finding: what was seen; where it is bad, the remedy and the page about it."""
    more = [finding.remedy, finding.link] if finding.state in ("failed", "warning") or terminal.verbose else []
    rest = "".join(f"\n    {terminal.faint(safe(text))}" for text in more if text)
    terminal.step(finding.state, finding.topic, safe(finding.seen) + rest)


# -- repairs -------------------------------------------------------------------------------------------------


def _fix(run: Run, only: str | None, wish: "Wish", report: Report, *, yes: bool) -> tuple[Report, list[str]]:
    """Name the changes, ask, make them, and look again."""
    fixed: list[str] = []
    for _ in range(MOST_ROUNDS):
        due = [repair for repair in report.repairs if repair.call not in fixed]
        if not due or not _agreed(run.terminal, due, report.number, yes=yes):
            break
        done = [repair.call for repair in due if _repaired(run.terminal, repair)]
        fixed += done
        if not done:
            break
        run.terminal.say("Once more:")
        report = _pass(run, only, wish, shown=report.kinds())
    return report, fixed


def _agreed(terminal: Terminal, due: Sequence["Repair"], number: str, *, yes: bool) -> bool:
    terminal.say(f"To be changed{safe(number and f' for {number}')}:")
    for repair in due:
        terminal.say(f"  {repair.call}")
        terminal.say(f"    {safe(repair.words)}")
    return yes or terminal.confirm("Change this?" if len(due) == 1 else "Change all this?")


def _repaired(terminal: Terminal, repair: "Repair") -> bool:
    try:
        with terminal.busy(repair.call):
            repair.run()
    except AerobotError as error:
        return _unrepaired(terminal, error.message, error.hint)
    except OSError as error:
        return _unrepaired(terminal, f"{repair.call}: {error.strerror}")
    terminal.step("ok", "fixed", repair.call)
    return True


def _unrepaired(terminal: Terminal, message: str, hint: str = "") -> bool:
    if terminal.json:
        terminal.warn(message, hint)
    terminal.step("failed", "fix", f"{safe(message)}\n    {safe(hint)}".rstrip())
    return False


# -- the end -------------------------------------------------------------------------------------------------


def _end(terminal: Terminal, report: Report, fixed: Sequence[str], *, live: bool, fix: bool) -> None:
    counts = {state: report.count(state) for state in ("failed", "warning", "skipped", "ok")}
    terminal.document(
        {
            "failed": counts["failed"],
            "warnings": counts["warning"],
            "skipped": counts["skipped"],
            "findings": [_document(group, finding) for group, finding in report.findings],
            "fixes": [{"call": repair.call, "what": repair.words} for repair in report.repairs],
            "fixed": list(fixed),
        }
    )
    names = {"failed": "failed", "warning": "warning", "skipped": "skipped"}
    told = [
        f"{counts[state]} {name}{'s' if state == 'warning' and counts[state] > 1 else ''}"
        for state, name in names.items()
    ]
    shown = [words for state, words in zip(names, told, strict=True) if counts[state]]
    terminal.say(f"{', '.join(shown)}." if shown else f"All {counts['ok']} hold.")
    if report.repairs and not fix:
        _offer(terminal, report.repairs)
    else:
        terminal.say(_next(report, live=live))


def _offer(terminal: Terminal, repairs: Sequence["Repair"]) -> None:
    line = f"Fix: aerobot doctor --fix    (will {', '.join(repair.call for repair in repairs)})"
    if len(line) <= WIDTH:
        terminal.say(line)
        return
    terminal.say("Fix: aerobot doctor --fix, which will")
    for repair in repairs:
        terminal.say(f"  {repair.call}")


def _next(report: Report, *, live: bool) -> str:
    bad = next((line for line in report.lines if line.state == "failed"), None)
    silent = next((line for line in report.lines if line.name in SILENT), None)
    if bad is None and silent is not None:
        return f"Next: {silent.remedy.rpartition(': ')[2]}"
    if bad is None:
        return 'Next: aerobot send-test "Hi"' if live else "Next: aerobot doctor --live"
    if bad.name.endswith("_unreachable"):
        return f"Next: aerobot doctor, once {bad.topic} can be reached"
    command = bad.remedy.partition(" (")[0]
    if command.startswith(("aerobot ", "chmod ", "git ")) and "--fix" not in command:
        return safe(f"Next: {command}")
    return f"Next: mend the {bad.topic}, as said above, then aerobot doctor"


def _document(group: str, finding: "Finding") -> dict[str, object]:
    return {
        "group": group,
        "name": finding.name,
        "state": finding.state,
        "topic": finding.topic,
        "seen": finding.seen,
        "remedy": finding.remedy,
        "link": finding.link,
    }
