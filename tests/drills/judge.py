"""Who judges a drill: what was acknowledged and what Graph took are compared; only the order is read from the database.

It shares nothing with the code under test: the texts are the drill's own, the calls are Graph's, and the order is the
conversation's ``seq`` as it stands in the file.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from tests.drills.graph import Call
from tests.drills.host import Host

ENDINGS = (" a", " b")
"""What the drills' bot adds to a text: one part each."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """``lost`` and ``foreign`` name texts; ``worst`` is the most doubles of one conversation in one epoch."""

    acked: int
    answered: int
    lost: list[str]
    disorder: int
    doubles: int
    worst: int
    foreign: list[str]


def judge(
    acked: Collection[str], taken: Sequence[Call], order: Iterable[tuple[str, str]], endings: Sequence[str] = ENDINGS
) -> Verdict:
    """Compare. ``order`` is (phone, text) of every stored message, each conversation's in the order of its commits."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for phone, text in order:
        wanted[phone] += [text + ending for ending in endings]
    heard: dict[str, list[str]] = defaultdict(list)
    for call in taken:
        heard[call.to].append(call.text)
    said = {text for texts in heard.values() for text in texts}
    lost = [text for text in acked if any(text + ending not in said for ending in endings)]
    disorder, foreign = 0, []
    for phone, texts in heard.items():
        places = {text: place for place, text in enumerate(wanted[phone])}
        first = list(dict.fromkeys(texts))
        foreign += [text for text in first if text not in places]
        ranks = [places[text] for text in first if text in places]
        disorder += sum(one > other for one, other in itertools.pairwise(ranks))
    doubles = _doubles(taken)
    return Verdict(
        acked=len(acked),
        answered=len(acked) - len(lost),
        lost=lost,
        disorder=disorder,
        doubles=sum(doubles.values()),
        worst=max(doubles.values(), default=0),
        foreign=foreign,
    )


def _doubles(taken: Sequence[Call]) -> Counter[tuple[str, int]]:
    """How often something was said again, by conversation and by the epoch in which it was said first."""
    first: dict[tuple[str, str], int] = {}
    found: Counter[tuple[str, int]] = Counter()
    for call in taken:
        if (call.to, call.text) in first:
            found[call.to, first[call.to, call.text]] += 1
        first.setdefault((call.to, call.text), call.epoch)
    return found


def order_of(host: Host) -> list[tuple[str, str]]:
    """The commit order, from the file."""
    return host.rows(
        "SELECT c.phone, m.text FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        " ORDER BY m.conversation_id, m.seq"
    )  # type: ignore[return-value]


# -- figures ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Figures:
    """The table that a drill prints. A figure with a promise that it breaks makes the drill fail.

    A promise that is about ``seconds`` depends on what else the machine does: the command judges it, the short form
    in the tests only shows it.
    """

    title: str
    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)
    late: bool = False

    def add(self, name: str, figure: object, promise: str = "", *, good: bool = True) -> None:
        """One line: what, how much, and what was promised."""
        self.rows.append((name, str(figure), promise, good))

    def add_seconds(self, name: str, figure: object, promise: str, *, good: bool) -> None:
        """One line whose promise is about time."""
        self.rows.append((name, str(figure), promise if good else f"{promise}, MISSED", True))
        self.late |= not good

    def add_verdict(self, verdict: Verdict, *, doubles: str, worst: int) -> None:
        """The lines that most drills have; ``worst``: doubles of one conversation in one epoch that are allowed."""
        self.add("acknowledged messages", verdict.acked)
        self.add("lost", len(verdict.lost), "0", good=not verdict.lost)
        self.add("out of order", verdict.disorder, "0", good=not verdict.disorder)
        self.add("doubles", f"{verdict.doubles}, at most {verdict.worst} of one", doubles, good=verdict.worst <= worst)
        self.add("said without having been asked", len(verdict.foreign), "0", good=not verdict.foreign)

    @property
    def good(self) -> bool:
        """Whether every promise was kept, but for those about time."""
        return all(good for *_, good in self.rows)

    def print(self) -> int:
        """Print it; the exit code, which judges time too."""
        print(self.title)
        for name, figure, promise, good in self.rows:
            print(f"  {name:<34} {figure:<34} {promise:<34} {'' if good else 'BROKEN'}".rstrip())
        return 0 if self.good and not self.late else 1


def share(values: Sequence[float], part: float) -> float:
    """The value below which this part of all values lies (0.99: the p99); 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
