"""What the two halves of the store's contract suite share: every test runs on every backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aerobot.store.base import Store
from tests.stores import BACKENDS, Clock, Desk, Sqlite


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite:
    return BACKENDS[request.param](tmp_path / "store")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(backend: Sqlite, clock: Clock) -> AsyncIterator[Store]:
    store = backend.store(clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def desk(store: Store, clock: Clock) -> Desk:
    return Desk(store, clock)
