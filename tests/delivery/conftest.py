"""A log, a registry and a topic on temporary files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.avro import Record
from hub.delivery.groups import Subscriptions
from hub.delivery.read import DeliveryReader
from hub.log.sqlite import SqliteLog
from hub.model import Topic
from hub.registry import Registry
from hub.store import Store
from tests.delivery.world import TOPIC, Hub
from tests.support.stores import url

__all__ = ["url"]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """SQLite; a module whose tests are about the store gives both."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def make_hub(tmp_path: Path, store_url: str) -> Iterator[Callable[..., Hub]]:
    opened: list[Hub] = []

    def make(*, partitions: int = 1, cache_bytes: int = 8_000_000, **topic: Any) -> Hub:
        now = [1_000]
        log = SqliteLog.at(tmp_path / "log.db", clock=lambda: now[0])
        log.ensure(replace(Topic(name=TOPIC, partitions=partitions), **topic))
        store = Store.open(store_url, clock=lambda: now[0])
        registry = Registry(store)

        def schema_of(schema_id: int) -> Record:
            record = registry.parsed(schema_id).type
            assert isinstance(record, Record)
            return record

        reader = DeliveryReader(log, schema_of, cache_bytes=cache_bytes)
        subscriptions = Subscriptions(log, registry, store.groups, reader, lambda: now[0])
        hub = Hub(log, store, registry, reader, subscriptions, now)
        opened.append(hub)
        return hub

    yield make
    for hub in opened:
        hub.log.close()
        hub.store.close()


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub()
