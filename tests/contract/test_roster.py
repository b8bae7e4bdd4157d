"""The roster over a real store: what a bot's former token and secret are good for, and for how long."""

from pathlib import Path

from aerobot.host.previous import LASTS_MS, carried
from aerobot.secret import Secret
from aerobot.store.roster import Roster, from_document, timestamp
from aerobot.store.sqlite import SqliteStore
from tests.stores import Clock

CONFIG = {"phone_number_id": "42", "access_token": "t2", "verify_token": "v", "app_secret": "s2"}


def changed(now: int) -> dict[str, object]:
    """A bot whose token and secret were changed now."""
    former = {"platform_config": {**CONFIG, "access_token": "t1", "app_secret": "s1-stolen"}}
    document = {"id": "bt_x", "name": "Acme", "status": "active", "platform_config": CONFIG}
    return {**document, "previous": carried(former, document, now=now)}


async def test_the_former_ones_end_after_a_day(tmp_path: Path) -> None:
    """In a host that runs, without a restart; and at the next start the database forgets them."""
    clock = Clock()
    store = SqliteStore(tmp_path / "aerobot.db", clock=clock)
    await store.open()
    roster = Roster(store, None)
    await roster.save(from_document(changed(clock.now)))
    clock.forward(LASTS_MS - 1000)
    bot = roster.get("bt_x")
    assert bot is not None
    assert (bot.access_token_previous, bot.app_secret_previous) == (Secret("t1"), Secret("s1-stolen"))
    clock.forward(1000)
    for found in (roster.get("bt_x"), *roster.all()):
        assert found is not None
        assert (found.access_token, found.access_token_previous) == (Secret("t2"), None)
        assert (found.app_secret, found.app_secret_previous) == (Secret("s2"), None)
        assert "previous" not in found.document
    await Roster(store, None).load()
    await store.close()
    assert b"s1-stolen" not in (tmp_path / "aerobot.db").read_bytes()


def test_what_a_change_leaves() -> None:
    """Only what was changed and is still of this number; a second change within the day lets go of the first's."""
    now = Clock().now
    before = {"platform_config": CONFIG}

    def left(document: dict[str, object], at: int = now, **config: str) -> object:
        return carried(document, {**document, "platform_config": {**CONFIG, **config}}, now=at)

    until = timestamp(now + LASTS_MS)
    assert left(before) is None
    assert left(before, app_secret="s3") == {"app_secret": "s2", "until": until}
    assert left(before, app_secret="") is None
    assert left(before, app_secret="s3", phone_number_id="43") is None
    once = {**before, "previous": {"app_secret": "s1", "until": until}}
    assert left(once, now + 5000) == once["previous"]
    later = timestamp(now + 5000 + LASTS_MS)
    assert left(once, now + 5000, app_secret="s3") == {"app_secret": "s2", "until": later}
    assert left(once, now + 5000, app_secret="s1") == {"app_secret": "s2", "until": later}
    assert left(once, now + 5000, access_token="t3") == {"app_secret": "s1", "access_token": "t2", "until": later}
    assert left(once, now + LASTS_MS, access_token="t3") == {
        "access_token": "t2",
        "until": timestamp(now + 2 * LASTS_MS),
    }
