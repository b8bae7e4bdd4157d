"""Whatever is signed is answered and kept: mutated bodies over a real socket, any text in a real store."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aerobot.emulator import webhooks
from aerobot.store.base import Delivery
from aerobot.store.sqlite import SqliteStore
from aerobot.whatsapp.webhook import read
from tests.drills import mutants as drill
from tests.front import BOT, LINE, NUMBER
from tests.mutants import documents, mutants

NOW = 1_763_899_200_000
ANA = webhooks.Sender(phone="31612345678", name="Ana")

ODD = ["", "\0", "a\0b", "\ud83d", "'; DROP TABLE messages; --", '" OR 1=1 --', "%s{0}", "../../etc", "\x1b]0;x\x07"]
TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(ODD)
"""Any text at all, NULs and lone surrogates too, and what has broken other programs."""


@pytest.mark.parametrize("seed", range(4))
async def test_mutated_bodies_are_answered_and_their_siblings_stored(seed: int, tmp_path: Path) -> None:
    """200 each, every delivery kept, every good message stored once, queued, and given to a worker; nothing odd."""
    figures = await drill.drill(tmp_path, seed=seed, count=250)
    assert figures.good, figures
    assert figures.siblings > 150


def test_the_same_seed_makes_the_same_bodies() -> None:
    """A body that broke something can be made again; only the time in it is that of the day."""

    def made(seed: int) -> list[tuple[str, tuple[str, ...], int]]:
        return [(m.kind, m.done, len(m.body)) for m in mutants(seed, 50, LINE, documents())]

    assert made(7) == made(7)
    assert made(7) != made(8)


@st.composite
def deliveries(draw: st.DrawFn) -> bytes:
    """A body with a few messages whose every text is anybody's, some of them sent twice."""
    messages: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["text", "document", "image", "reaction"]))
        said = webhooks.message("text", ANA, id="wamid.1", timestamp=NOW // 1000, text=draw(TEXT))
        said = {**said, "id": draw(TEXT), "from": draw(TEXT)}
        if kind != "text":
            content = {key: draw(TEXT) for key in ("id", "mime_type", "filename", "caption", "emoji", "message_id")}
            said = {**said, "type": kind, kind: content}
        messages += [said] * draw(st.integers(1, 2))
    named = webhooks.Sender(phone=ANA.phone, name=draw(TEXT))
    return json.dumps(webhooks.inbound(LINE, named, *messages)).encode()


@given(deliveries())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_goes_in_and_comes_out(tmp_path: Path, body: bytes) -> None:
    """Stored once, given to a worker as it arrived and in that order; a redelivery changes nothing."""
    updates = read(body, phone_number_id=NUMBER).updates
    delivery = Delivery(bot_id=BOT, number=NUMBER, body=body, signed=True, updates=updates)

    async def there_and_back() -> None:
        store = SqliteStore(Path(tempfile.mkdtemp(dir=tmp_path)) / "store.db", clock=lambda: NOW)
        await store.open()
        try:
            (outcomes,) = await store.record((delivery,))
            ((*again,),) = await store.record((delivery,))
            assert not any(outcome.new for outcome in again)
            new = [outcome for outcome in outcomes if outcome.new]
            assert len(new) == len({(update.kind, update.identity) for update in updates})
            queued = [(o.conversation_id, o.update.message) for o in new if o.state == "queued"]
            work = await store.claim("test", 100, join=True)
            claimed = {item.claim.conversation_id: list(item.messages) for item in work}
            assert claimed == {id_: [said for of, said in queued if of == id_] for id_, _ in queued}
        finally:
            await store.close()

    asyncio.run(there_and_back())
