"""A registry over a store, on both databases, and its HTTP API in this process."""

from __future__ import annotations

from collections.abc import Iterator

import anyio.from_thread
import pytest

from hub.registry import Registry
from hub.store import Store
from tests.registry.calls import Calls, Served
from tests.support.stores import empty_url, now, store, url

__all__ = ["empty_url", "now", "store", "url"]


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The registry's HTTP API in this process."""
    with anyio.from_thread.start_blocking_portal() as portal:
        yield Served(portal)


@pytest.fixture
def api(served: Served, store: Store) -> Iterator[Calls]:
    """It over the test's store, called by its operator."""
    with served.calling(store) as calls:
        yield calls


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)
