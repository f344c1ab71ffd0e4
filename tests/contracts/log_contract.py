"""What every adapter of the log promises. An adapter's test module subclasses `LogContract` and gives a `log` fixture."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pyarrow as pa
import pytest

from hub import blocks
from hub.errors import Conflict, Fenced, NotFound, OffsetOutOfRange
from hub.model import QUARANTINE, Block, Checkpoint, SourceCheckpoint, Topic
from hub.ports import Log

TOPIC = "city.test.thing.v1"


def make_blocks(
    keys: Sequence[str], values: Sequence[str | None], *, topic: str = TOPIC, partition: int = 0
) -> list[Block]:
    """Blocks of these records."""
    key_column = pa.array([k.encode() for k in keys], pa.binary())
    value_column = pa.array([None if v is None else v.encode() for v in values], pa.binary())
    return [
        Block(topic=topic, partition=partition, count=count, records=section)
        for _, count, section in blocks.split(key_column, value_column, blocks.Headers())
    ]


def contents(log: Log, topic: str = TOPIC, partition: int = 0) -> list[tuple[int, bytes | None]]:
    """(offset, value) of every record."""
    span = log.ends(topic)[partition]
    offset, found = span.earliest, []
    while offset < span.end:
        fetch = log.read(topic, partition, offset, 1_000_000)
        for block in fetch.blocks:
            part = blocks.decode(block.records, block.base_offset)
            found += list(zip(part.offsets.tolist(), part.values.to_pylist(), strict=True))
        assert fetch.next_offset > offset
        offset = fetch.next_offset
    return found


def at(position: int) -> Checkpoint:
    return Checkpoint(
        source=SourceCheckpoint(value={"at": position}), batch=position, sequences={f"{TOPIC}/0": position}
    )


class LogContract:
    """Give a fixture `log: Log`, empty but for internal topics."""

    def test_G6_checkpoint_and_data_are_one(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC, partitions=2))
        writer = log.open("task", 1)
        assert writer.checkpoint() is None
        made = writer.append([*make_blocks(["a"], ["1"]), *make_blocks(["b"], ["2"], partition=1)], at(1))
        assert list(made.offsets) == [0, 0]
        assert log.open("task", 1).checkpoint() == at(1)
        writer.append([], at(2))
        assert writer.checkpoint() == at(2)

    def test_R2_internal_topics_take_part_in_the_append(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        writer = log.open("task", 1)
        writer.append([*make_blocks(["a"], ["1"]), *make_blocks(["q"], ["why"], topic=QUARANTINE)], at(1))
        assert len(contents(log, QUARANTINE)) == 1

    def test_R1_an_append_that_raises_leaves_nothing(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        writer = log.open("task", 1)
        with pytest.raises(NotFound):
            writer.append([*make_blocks(["a"], ["1"]), *make_blocks(["b"], ["2"], topic="city.no.such.v1")], at(1))
        assert contents(log) == []
        assert writer.checkpoint() is None

    def test_R4_an_older_epoch_is_fenced_everywhere(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        old = log.open("task", 1)
        new = log.open("task", 2)
        with pytest.raises(Fenced):
            old.append(make_blocks(["a"], ["1"]), at(1))
        with pytest.raises(Fenced):
            log.open("task", 1)
        log.open("task", 2)
        new.append(make_blocks(["a"], ["2"]), at(1))
        assert [v for _, v in contents(log)] == [b"2"]

    def test_R3_reading_by_offset(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        writer = log.open("task", 1)
        for part in range(3):
            writer.append(make_blocks([f"k{i}" for i in range(1500)], [f"{part}-{i}" for i in range(1500)]), at(part))
        assert log.ends(TOPIC)[0].end == 4500
        fetch = log.read(TOPIC, 0, 1700, 1)
        assert len(fetch.blocks) == 1
        assert fetch.blocks[0].base_offset <= 1700 < fetch.next_offset
        assert [o for o, _ in contents(log)] == list(range(4500))
        end = log.read(TOPIC, 0, 4500, 1)
        assert (list(end.blocks), end.next_offset, end.end) == ([], 4500, 4500)
        with pytest.raises(OffsetOutOfRange):
            log.read(TOPIC, 0, 4501, 1)
        with pytest.raises(NotFound):
            log.read("city.no.such.v1", 0, 0, 1)

    def test_R5_null_values_and_keys_come_back(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        log.open("task", 1).append(make_blocks(["a", "b"], ["1", None]), at(1))
        assert [v for _, v in contents(log)] == [b"1", None]

    def test_R9_the_number_of_partitions_never_changes(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC, partitions=2))
        log.ensure(Topic(name=TOPIC, partitions=2, retention_ms=1000))
        with pytest.raises(Conflict):
            log.ensure(Topic(name=TOPIC, partitions=3))
        assert log.topics()[TOPIC].retention_ms == 1000

    def test_wait_wakes_for_an_append(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        writer = log.open("task", 1)
        assert not log.wait(TOPIC, {0: 0}, 0.01)
        later = threading.Timer(0.1, lambda: writer.append(make_blocks(["a"], ["1"]), at(1)))
        later.start()
        assert log.wait(TOPIC, {0: 0}, 30)
        later.join()

    def test_tasks_append_beside_each_other_and_readers_see_whole_appends(self, log: Log) -> None:
        log.ensure(Topic(name=TOPIC))
        stop = threading.Event()
        torn: list[int] = []

        def look() -> None:
            while not stop.is_set():
                if len(contents(log)) % 10:
                    torn.append(1)

        def work(name: str) -> None:
            writer = log.open(name, 1)
            for i in range(20):
                writer.append(make_blocks([f"{name}{i}-{k}" for k in range(10)], ["x"] * 10), at(i))

        reader = threading.Thread(target=look)
        writers = [threading.Thread(target=work, args=(n,)) for n in ("one", "two")]
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        reader.join()
        assert torn == []
        assert [o for o, _ in contents(log)] == list(range(400))
