"""How a check's findings are made: words that fit a line, and errors turned into findings."""

from aerobot.errors import AerobotError, NetworkError
from aerobot.graph_admin import Finding, GraphError, verdicts
from aerobot.graph_admin.finding import finding


def ok(name: str, topic: str, seen: str) -> Finding:
    """A link of the chain that holds."""
    return finding(name, topic, "ok", seen)


def skipped(topic: str, why: str, remedy: str = "") -> Finding:
    """A check that could not be made, and what would change that."""
    return finding("skipped", topic, "skipped", f"skipped: {why}", remedy)


def unanswered(via: str, topic: str, error: AerobotError) -> Finding:
    """What an error says: nothing came back from ``via`` (Graph, Aerostack, the host), or it said no."""
    if isinstance(error, NetworkError):
        return finding(f"{via}_unreachable", topic, "failed", error.message, _line(error.hint))
    if isinstance(error, GraphError):
        return verdicts.of_error(topic, error)
    return finding(f"{via}_refused", topic, "failed", error.message, _line(error.hint))


def unforeseen(topic: str, error: Exception) -> Finding:
    """A check that broke: its kind alone is told, for its words could hold anything."""
    seen = f"could not be checked: {type(error).__name__}"
    return finding("unexpected", topic, "failed", seen, "Please report it, with what --debug shows")


def _line(text: str) -> str:
    return text.partition("\n")[0]
