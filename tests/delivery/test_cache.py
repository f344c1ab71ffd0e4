"""One cache for all subscribers (R25)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.delivery.cache import BlockCache
from hub.delivery.read import ReadLimits
from hub.errors import NotFound, OffsetOutOfRange
from hub.log.sqlite import SqliteLog
from hub.model import Fetch, Topic
from tests.delivery.world import TOPIC, Hub, school


class CountingLog(SqliteLog):
    """The real log, which also counts what is read."""

    def __init__(self, path: Path, clock_ms: Callable[[], int]) -> None:
        super().__init__(path, clock_ms)
        self.reads = 0
        self._count_lock = threading.Lock()

    def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        with self._count_lock:
            self.reads += 1
        return super().read(topic, partition, offset, max_bytes)


@pytest.fixture
def counting(tmp_path: Path, hub: Hub) -> CountingLog:
    log = CountingLog.at(tmp_path / "log.db", clock=lambda: 1)
    assert isinstance(log, CountingLog)
    return log


def test_R25_fifty_subscribers_fetch_once(hub: Hub, counting: CountingLog) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(200)], block=20)
    cache = BlockCache(counting, 10_000_000)

    def walk(_: int) -> int:
        position = records = 0
        while found := cache.block(TOPIC, 0, position):
            records += len(found.records.offsets)
            position = found.next_offset
            if position == 200:
                break
        return records

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(walk, range(50))) == [200] * 50
    assert counting.reads == 1
    counting.close()


def test_R25_memory_stays_within_its_bound(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(500)], block=20)
    cache = BlockCache(hub.log, 20_000)
    for _round in range(2):
        for position in range(0, 500, 20):
            found = cache.block(TOPIC, 0, position)
            assert found is not None
            assert found.records.offsets[0] == position
            assert cache.size <= 20_000


def test_a_cache_without_room_still_reads(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(50)], block=10)
    cache = BlockCache(hub.log, 0)
    found = cache.block(TOPIC, 0, 15)
    assert found is not None
    assert (found.start, found.next_offset, cache.size) == (10, 20, 0)


def test_R25_a_small_cache_does_not_fetch_what_it_cannot_keep(hub: Hub, counting: CountingLog) -> None:
    """Readers of other places would else throw out what was fetched ahead, and each block be fetched many times."""
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(400)], block=20)
    cache = BlockCache(counting, 60_000)
    for position in range(0, 400, 20):
        assert cache.block(TOPIC, 0, position) is not None
    assert 4 <= counting.reads <= 20
    assert cache.size <= 60_000
    counting.close()


def test_the_end_is_none_and_new_blocks_are_seen(hub: Hub) -> None:
    schema = hub.schema()
    cache = BlockCache(hub.log, 1_000_000)
    assert cache.block(TOPIC, 0, 0) is None
    hub.publish(schema, [school(1)])
    assert cache.block(TOPIC, 0, 0) is not None
    assert cache.block(TOPIC, 0, 1) is None
    hub.publish(schema, [school(2)])
    assert cache.block(TOPIC, 0, 1) is not None


def test_errors_of_the_log_pass_through(hub: Hub) -> None:
    cache = BlockCache(hub.log, 1_000)
    with pytest.raises(OffsetOutOfRange):
        cache.block(TOPIC, 0, 5)
    with pytest.raises(NotFound):
        cache.block("no.such.v1", 0, 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offsets=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 39)), max_size=40),
    room=st.sampled_from([0, 3_000, 8_000, 10_000_000]),
)
def test_R3_R25_any_order_of_reads_gives_what_the_log_gives(
    hub: Hub, offsets: list[tuple[int, int]], room: int
) -> None:
    """Also in compacted partitions with holes inside and between blocks."""
    keyed = "it-mim.education.keyed.v1"
    hub.log.ensure(Topic(name=keyed, partitions=2, compacted=True))
    schema = hub.schema()
    if not hub.log.ends(keyed)[0].end:
        for partition in (0, 1):
            for start in range(0, 40, 8):
                rows = [school(n % (7 + partition * 6)) for n in range(start, start + 8)]
                writer_rows = hub.section(schema, rows)
                hub.append((partition, writer_rows, 8), topic=keyed)
        hub.log.maintain()
    cache = BlockCache(hub.log, room)
    for partition, offset in offsets:
        direct = hub.log.read(keyed, partition, max(offset, hub.log.ends(keyed)[partition].earliest), 1)
        found = cache.block(keyed, partition, max(offset, hub.log.ends(keyed)[partition].earliest))
        if found is None:
            assert not direct.blocks
        else:
            assert found.block == direct.blocks[0]


def test_R25_subscribers_with_different_grants_share_blocks(hub: Hub, counting: CountingLog) -> None:
    from hub.avro import Record
    from hub.delivery.read import DeliveryReader

    schema = hub.schema()
    hub.publish(schema, [school(n, "03" if n % 2 else "04") for n in range(100)], block=10)
    record = hub.registry.parsed(schema).type
    assert isinstance(record, Record)
    reader = DeliveryReader(counting, lambda _id: record)
    plans = [hub.plan(schema, "school_id"), hub.plan(schema, "region")]
    plans += [hub.plan(schema, "school_id", where=f"region = '0{n}'", by=("region",)) for n in (3, 4)]
    counts = [reader.read(plan, {}, ReadLimits()).records.num_rows for plan in plans]
    assert counts == [100, 100, 50, 50]
    assert counting.reads == 1
    counting.close()
