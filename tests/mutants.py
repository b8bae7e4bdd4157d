"""Webhook bodies with something wrong in them, each beside a good message; the same seed makes the same bodies.

A ``piece`` is broken somewhere below one entry, and the good message beside it must be stored. An ``envelope`` is
broken above it, and ``bytes`` are no longer JSON: they must be answered and kept, whatever is in them.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from aerobot.emulator import webhooks

SAMPLES = Path(__file__).parent / "samples"
PAYLOADS = Path(__file__).parents[2] / "shared" / "payloads"
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "\0", "\x1b[2J", "a\r\nb", "\u202e", [], {}, [[]], [None], {"": {}}, [{}],
    {"id": []}, "1763900000", -(10**18), 1e308, {"body": {"body": []}}, [{"id": "wamid.same"}], "'; DROP TABLE parts;",
]  # fmt: skip
DEPTHS = (5, 90, 101, 150, 900, 1100, 5000, 20_000)
_RAW = "\u2063raw%d\u2063"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One body; ``wamid``, ``text`` and ``phone`` are the good message's."""

    body: bytes
    kind: str
    done: tuple[str, ...]
    wamid: str
    text: str
    phone: str


def documents() -> list[Any]:
    """Our own samples, and the public bodies where their folder stands beside the repository."""
    paths = [*sorted(SAMPLES.glob("*.json")), *sorted(PAYLOADS.rglob("*.json"))]
    found = [json.loads(path.read_text("utf-8")) for path in paths]
    return [document for document in found if _entries(document)]


def mutants(seed: int, count: int, line: webhooks.Line, sources: Sequence[Any] = ()) -> Iterator[Mutant]:
    """``count`` bodies for the number of ``line``."""
    dice = Random(seed)
    sources = sources or documents()
    for n in range(count):
        yield _Work(dice, deepcopy(dice.choice(sources)), line, n).mutant()


@dataclass
class _Work:
    dice: Random
    document: Any
    line: webhooks.Line
    n: int
    done: list[str] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)

    def mutant(self) -> Mutant:
        kind = self.dice.choices(["piece", "envelope", "bytes"], [80, 8, 12])[0]
        holder = self.document if kind == "envelope" else self.dice.choice(_entries(self.document))
        for _ in range(self.dice.randint(1, 4)):
            self._break_one(holder)
        wamid, text, phone = f"wamid.good.{self.n}", f"good {self.n}", f"3161{self.n:07}"
        self._add_sibling(wamid, text, phone)
        body = self._wire()
        if kind == "bytes":
            body = self._garbled(body)
        return Mutant(body=body, kind=kind, done=tuple(self.done), wamid=wamid, text=text, phone=phone)

    # -- structure

    def _break_one(self, holder: Any) -> None:
        places = list(_places(holder))
        if not places:
            return
        parent, key = self.dice.choice(places)
        name = self.dice.choice(list(_OPERATIONS))
        self.done.append(name)
        _OPERATIONS[name](self, parent, key)

    def _drop(self, parent: Any, key: Any) -> None:
        del parent[key]

    def _duplicate(self, parent: Any, key: Any) -> None:
        if isinstance(parent, list):
            parent.extend(deepcopy(parent[key]) for _ in range(self.dice.randint(1, 5)))
        else:
            parent[f"{key}2"] = deepcopy(parent[key])

    def _swap(self, parent: Any, key: Any) -> None:
        old = parent[key]
        parent[key] = self.dice.choice([[old], {"value": old}, json.dumps(old), len(json.dumps(old)), not old])

    def _odd(self, parent: Any, key: Any) -> None:
        parent[key] = deepcopy(self.dice.choice(ODD))

    def _rename(self, parent: Any, key: Any) -> None:
        if isinstance(parent, dict):
            parent[self.dice.choice(["", "type", "id", "from", "text", "\0", "\ud800", "x" * 5000])] = parent.pop(key)

    def _huge(self, parent: Any, key: Any) -> None:
        size = self.dice.choices([1000, 10_000, 100_000], [60, 35, 5])[0]
        parent[key] = self.dice.choice(["x", "\0", "é", "👍", "\\", '"', "\u202e", "\n"]) * size

    def _surrogate(self, parent: Any, key: Any) -> None:
        parent[key] = self.dice.choice(["\ud83d", "\udc4d", "a\udfffb", "\udc4d\ud83d", "\ud83dtext"])

    # -- what no Python value is written as

    def _nest(self, parent: Any, key: Any) -> None:
        depth, (left, middle, right) = self.dice.choice(DEPTHS), self.dice.choice(_NESTS)
        parent[key] = self._raw(left * depth + middle + right * depth)

    def _number(self, parent: Any, key: Any) -> None:
        digits = b"9" * self.dice.choice((20, 400, 4301, 20_000))
        parent[key] = self._raw(self.dice.choice([b"NaN", b"Infinity", b"-Infinity", digits, b"-" + digits, b"1e999"]))

    def _unicode(self, parent: Any, key: Any) -> None:
        wrong = self.dice.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80"])
        parent[key] = self._raw(b'"a' + wrong * self.dice.randint(1, 3) + b'z"')

    def _raw(self, content: bytes) -> str:
        self.raws.append(content)
        return _RAW % (len(self.raws) - 1)

    # -- the good one

    def _add_sibling(self, wamid: str, text: str, phone: str) -> None:
        """An entry of its own, a change of its own, or a message among the broken ones."""
        sender = webhooks.Sender(phone=phone, name="Good")
        said = webhooks.message("text", sender, id=wamid, timestamp=int(time.time()), text=text)
        entry = webhooks.inbound(self.line, sender, said)["entry"][0]
        entries = _entries(self.document)
        broken = self.dice.choice(entries) if entries else None
        changes = broken.get("changes") if isinstance(broken, dict) else None
        where = self.dice.randint(0, 2)
        if where and isinstance(broken, dict) and isinstance(changes, list):
            broken["id"] = entry["id"]  # an entry of Meta's own sample, id 0, is nobody's
            value = next((v for v in map(_messages_value, changes) if v is not None), None)
            if where == 2 and value is not None:
                value["metadata"] = entry["changes"][0]["value"]["metadata"]
                value["messages"].insert(self.dice.randint(0, len(value["messages"])), said)
            else:
                changes.insert(self.dice.randint(0, len(changes)), entry["changes"][0])
        elif isinstance(self.document, dict):
            if not isinstance(self.document.get("entry"), list):
                self.document["entry"] = []
            self.document["entry"].insert(self.dice.randint(0, len(self.document["entry"])), entry)

    # -- bytes

    def _wire(self) -> bytes:
        ascii_only = self.dice.random() < 0.5
        body = json.dumps(self.document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        for number, content in enumerate(self.raws):
            token = json.dumps(_RAW % number, ensure_ascii=ascii_only).encode()
            body = body.replace(token, content)
        return body

    def _garbled(self, body: bytes) -> bytes:
        """Cut off, overwritten, doubled, packed into another encoding."""
        at, junk = self.dice.randrange(len(body)), self.dice.randbytes(self.dice.randint(1, 8))
        how = self.dice.choice(["cut", "tail", "junk", "doubled", "prefixed", "flipped", "utf-16"])
        self.done.append(how)
        return {
            "cut": body[:at], "tail": body[at:], "junk": body[:at] + junk + body[at + 1 :], "doubled": body + body,
            "prefixed": b"\xef\xbb\xbf" + body, "flipped": body[:at] + bytes([body[at] ^ 0x20]) + body[at + 1 :],
            "utf-16": body.decode("utf-8", "replace").encode("utf-16"),
        }[how]  # fmt: skip


_NESTS = ((b"[", b"", b"]"), (b'{"a":', b"1", b"}"), (b'[{"text":', b'"x"', b"}]"))
_OPERATIONS: dict[str, Callable[[_Work, Any, Any], None]] = {
    "drop": _Work._drop, "duplicate": _Work._duplicate, "swap": _Work._swap, "odd": _Work._odd, "rename": _Work._rename,
    "huge string": _Work._huge, "surrogate": _Work._surrogate, "nest": _Work._nest, "number": _Work._number,
    "unicode": _Work._unicode,
}  # fmt: skip


def _entries(document: Any) -> list[Any]:
    entries = document.get("entry") if isinstance(document, dict) else None
    return entries if isinstance(entries, list) else []


def _messages_value(change: Any) -> dict[str, Any] | None:
    """The value of a change that has messages, none of them Meta's own sample."""
    value = change.get("value") if isinstance(change, dict) else None
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
        return None
    if change.get("field") != "messages" or "ABGGFlA5Fpa" in json.dumps(value["messages"]):
        return None
    return value


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Every (parent, key) below ``holder``."""
    level = [holder]
    while level:
        item = level.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            yield item, key
            level.append(item[key])
