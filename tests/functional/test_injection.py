"""What strangers write, through every field of theirs, into a real host: terminal, JSON, database, disk."""

import contextlib
import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import time
import unicodedata
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from aerobot.emulator import webhooks
from tests.emulated import EmulatedMeta
from tests.running import AEROBOT, Running, environment

SAMPLES = Path(__file__).parents[1] / "samples"
NUMBER, SECRET, BOT = "106540352242922", "0123456789abcdef0123456789abcdef", "bt_acme"
ATTACK = (
    "evil\x1b]0;pwned\x07\x1b[2J\x1b[1;1H\x9b31m\x9d0;x\x9c\x7f\b\b\rFORGED\r\nFORGED 12:00:00 ok"
    "\u2028FORGED\u0085FORGED"
    "\u202egnp\u2066\u200f\u200b\u00ad\ufeff\ud83d\0[bold]x[/bold]\t"
    "'; DROP TABLE messages; --\"../../../../pwned%n%s{0}$(id)"
)  # fmt: skip
"""Titles, colours, cursor moves, line breaks of every kind, turned and hidden text, markup, SQL, paths, formats."""
BOT_FILE = """\
def reply(turn):
    if turn.message.kind == "text":
        raise ValueError(turn.text)
    return turn.text[:1000] + "\\n" + turn.conversation.name
"""
HIDING = set("\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u2060\u2061\u2062\u2063\u2064\ufeff\ufff9\ufffa\ufffb")


def leaves(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a text stands."""
    if isinstance(item, str):
        yield path
    for key, inner in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
        yield from leaves(inner, (*path, key))


def attacks(number: str) -> list[bytes]:
    """Each sample once for each text in it: the attack in the place of that text, and beside it as a key."""
    found: dict[tuple[str, tuple[Any, ...]], bytes] = {}
    for path in sorted(SAMPLES.glob("*.json")):
        document = json.loads(path.read_text("utf-8"))
        document["entry"] = [entry for entry in document["entry"] if isinstance(entry, dict)]
        for place in leaves(document["entry"][0]):
            kind = path.stem.partition("-")[0]
            if (kind, place) not in found:
                found[kind, place] = _attacked(document, place, len(found))
    return [body.replace(NUMBER.encode(), number.encode()) for body in found.values()]


def _attacked(document: Any, place: tuple[Any, ...], number: int) -> bytes:
    made = deepcopy(document)
    for n, change in enumerate(made["entry"][0].get("changes", [])):
        value = change.get("value") if isinstance(change, dict) else None
        for message in value.get("messages") or [] if isinstance(value, dict) else ():
            if isinstance(message, dict):
                message.update(id=f"wamid.{number}.{n}", timestamp=str(int(time.time())))
    holder = made["entry"][0]
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = ATTACK
    if isinstance(holder, dict):
        holder[ATTACK] = ATTACK
    return json.dumps(made).encode()


def steers(text: str, *, colours: bool = False) -> list[str]:
    """What in a text could move a cursor, change a title, turn or hide text; a line break at its end is none."""
    if colours:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")
    wrong = [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cs")]
    wrong += [c for c in text if c in HIDING or "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069"]
    return wrong + [line for line in text.split("\n") if line.startswith("FORGED")]


@pytest.fixture
def meta() -> Iterator[EmulatedMeta]:
    with EmulatedMeta() as emulated:
        yield emulated


@pytest.fixture
def env(tmp_path: Path, meta: EmulatedMeta) -> dict[str, str]:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "bot.py").write_text(BOT_FILE)
    found = meta.credentials
    settings = {
        "WHATSAPP_GRAPH_URL": meta.url, "WHATSAPP_PHONE_NUMBER_ID": found.phone_number_id,
        "WHATSAPP_ACCESS_TOKEN": found.access_token, "WHATSAPP_VERIFY_TOKEN": "verify", "WHATSAPP_APP_SECRET": SECRET,
        "BOT_ID": BOT, "SERVE_PORT": "0", "SERVE_PRIVATE_PORT": "0",
    }  # fmt: skip
    return environment(tmp_path, {f"AEROBOT_{key}": value for key, value in settings.items()})


COMMAND = ["serve", "bot.py", "--no-validate"]


def assail(url: str, number: str) -> int:
    """Say the attack everywhere: in bodies, in paths, in queries, in headers; returns how many bodies were taken."""
    latin = ATTACK.encode("latin-1", "ignore").replace(b"\0", b"").replace(b"\r", b"").replace(b"\n", b"")
    hostile = {"User-Agent": latin, "X-Forwarded-For": latin, "Referer": latin, "X-Request-Id": latin}
    with httpx.Client(timeout=20) as client:
        bodies = attacks(number)
        for body in bodies:
            signed = {"X-Hub-Signature-256": webhooks.sign(body, SECRET)}
            assert client.post(url, content=body, headers=signed).status_code == 200
        for headers in (
            hostile,
            {"X-Hub-Signature-256": latin},
            {"X-Hub-Signature-256": b"sha256=" + latin},
            {"Content-Type": latin},
        ):
            with contextlib.suppress(httpx.RemoteProtocolError):  # bytes that no header may have end a connection
                assert client.post(url, content=b"{}", headers=headers).status_code in (400, 401, 403)
        raw = quote(ATTACK.encode("utf-8", "surrogatepass"))
        for path in (f"{url}/../{raw}", f"{url}{raw}", url.rpartition("/")[0] + "/" + raw):
            assert client.post(path, content=b"x").status_code in (400, 403, 404)
        query = f"?hub.mode={raw}&hub.verify_token={raw}&hub.challenge={raw}"
        assert client.get(url + query).status_code in (400, 403)
    return len(bodies)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in str(path)}


def test_nothing_steers_the_terminal_forges_a_line_or_leaves_the_database(
    tmp_path: Path, env: dict[str, str], meta: EmulatedMeta
) -> None:
    """Plain output: every line is the host's own; the tables stand and hold the words; no file was made elsewhere."""
    before = everything(tmp_path)
    with Running(COMMAND, cwd=tmp_path / "bot", env=env) as host:
        url = host.line()
        count = assail(url, meta.credentials.phone_number_id)
        meta.until(lambda: host.stderr.count("ValueError") > 5 and host.stderr.count("<--") > 5, timeout=30)
        assert host.stop() == 130
    assert steers(host.stderr) == []
    assert steers("\n".join(host.lines)) == []
    assert "unforeseen" not in host.stderr
    assert host.stderr.count("-->") > count / 4
    assert "\\u001b]0;pwned\\u0007" in host.stderr
    new = {name for name in everything(tmp_path) - before if not name.startswith(("bot/.aerobot", "state"))}
    assert new == set()
    db = sqlite3.connect(tmp_path / "bot" / ".aerobot" / "aerobot.db")
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    kept = db.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0]
    texts = [row[0] for row in db.execute("SELECT text FROM messages UNION ALL SELECT name FROM conversations")]
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()
    assert {"messages", "parts", "conversations", "deliveries"} <= tables
    assert kept >= count
    assert any("'; DROP TABLE messages; --\"../../../../pwned%n%s{0}$(id)" in text for text in texts)


def test_a_program_that_reads_the_events_reads_one_document_a_line(
    tmp_path: Path, env: dict[str, str], meta: EmulatedMeta
) -> None:
    """--json --texts: ASCII, a document each, the texts as they were; without --texts no word of a customer's."""
    for flags in (["--json", "--texts"], ["--json"]):
        with Running([*COMMAND, *flags], cwd=tmp_path / "bot", env=env) as host:
            assail(host.event("ready")["webhook_url"], meta.credentials.phone_number_id)
            host.event("message", kind="sticker")
            host.stop()
        documents = [json.loads(line) for line in host.lines]
        assert all(line.isascii() and line.isprintable() for line in host.lines)
        assert all(isinstance(document, dict) and "event" in document for document in documents)
        assert steers(host.stderr) == []
        assert not [document for document in documents if document["event"] == "error"]
        texts = [document["text"] for document in documents if document.get("text")]
        assert any("\x1b]0;pwned\x07" in text for text in texts) == ("--texts" in flags)


def test_on_a_terminal_only_our_own_colours_are_sent(tmp_path: Path, env: dict[str, str], meta: EmulatedMeta) -> None:
    """With colour and width, as a person sees it."""
    shown = _on_a_terminal(tmp_path / "bot", env, meta)
    assert "\x1b[" in shown, "it was no terminal"
    assert "\\u001b]0;pwned" in shown
    assert steers(shown, colours=True) == []


def _on_a_terminal(folder: Path, env: dict[str, str], meta: EmulatedMeta) -> str:
    master, slave = pty.openpty()
    environ = {**env, "TERM": "xterm", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [*AEROBOT, *COMMAND], cwd=folder, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = b""

    def read(until: bytes) -> None:
        nonlocal shown
        end = time.monotonic() + 30
        while until not in shown and time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    shown += os.read(master, 65536)
                except OSError:
                    return

    try:
        read(b"Ready.")
        found = re.search(rb"http://127\.0\.0\.1:\d+/api/bots/webhook/whatsapp/bt_acme", shown)
        assert found, shown
        with httpx.Client(timeout=20) as client:
            for body in [body for body in attacks(meta.credentials.phone_number_id) if b'"type": "text"' in body][:80]:
                signed = {"X-Hub-Signature-256": webhooks.sign(body, SECRET)}
                assert client.post(found[0].decode(), content=body, headers=signed).status_code == 200
        read(b"ValueError")
        process.terminate()
        read(b"Stopped.")
        process.wait(20)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return shown.decode("utf-8", "surrogateescape")
