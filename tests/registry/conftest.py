"""A registry over a store, on both databases."""

from __future__ import annotations

import pytest

from hub.registry import Registry
from hub.store import Store
from tests.support.stores import now, store, url

__all__ = ["now", "store", "url"]


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)
