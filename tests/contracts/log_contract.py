"""What every adapter of the log promises. An adapter's test module subclasses `LogContract` and gives a `log` fixture."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from hub import blocks
from hub.delivery.places import offset_at
from hub.errors import Conflict, Fenced, NotFound, OffsetOutOfRange
from hub.model import QUARANTINE, Block, Checkpoint, SourceCheckpoint, Topic
from hub.ports import Log, OpenLog

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


def at(position: int, topic: str = TOPIC) -> Checkpoint:
    source = SourceCheckpoint(value={"at": position})
    columns = None if position == 1 else ("id", "区")  # known from the second on (R13)
    return Checkpoint(source=source, batch=position, sequences={f"{topic}/0": position}, columns=columns)


class LogContract:
    """Give a fixture `log: Log`. It may hold topics of other tests: each test has a topic and a task of its own."""

    @pytest.fixture
    def topic(self) -> str:
        return f"city.test.thing-{uuid.uuid4().hex[:8]}.v1"

    @pytest.fixture
    def task(self) -> str:
        return f"task-{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def later(self) -> Callable[[], object]:
        """Lets the log's clock go on."""
        return lambda: time.sleep(0.003)

    def test_G6_checkpoint_and_data_are_one(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic, partitions=2))
        writer = log.open(task, 1)
        assert writer.checkpoint() is log.checkpoint_of(task) is None
        one = make_blocks(["a"], ["1"], topic=topic)
        made = writer.append([*one, *make_blocks(["b"], ["2"], topic=topic, partition=1)], at(1))
        assert list(made.offsets) == [0, 0]
        again = log.open(task, 1)
        assert again.checkpoint() == at(1)
        again.append([], at(2))
        assert again.checkpoint() == at(2)
        assert log.open(task, 1).checkpoint() == log.checkpoint_of(task) == at(2)

    def test_R2_internal_topics_take_part_in_the_append(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        before = len(contents(log, QUARANTINE))
        writer = log.open(task, 1)
        one = make_blocks(["a"], ["1"], topic=topic)
        closed = '{"kind": "closing", "id": "none", "task": "none", "outcome": "gone", "run": "none", "at": 0}'
        writer.append(
            [*one, *make_blocks(["q"], [closed], topic=QUARANTINE)], at(1)
        )  # hubs of other tests read it, too
        assert len(contents(log, QUARANTINE)) == before + 1

    def test_R1_an_append_that_raises_leaves_nothing(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        writer = log.open(task, 1)
        one = make_blocks(["a"], ["1"], topic=topic)
        for lost in (
            make_blocks(["b"], ["2"], topic="city.no.such.v1"),
            make_blocks(["b"], ["2"], topic=topic, partition=7),
        ):
            with pytest.raises(NotFound):
                writer.append([*one, *lost], at(1))
        assert contents(log, topic) == []
        assert writer.checkpoint() is None
        writer.append(one, at(1))
        assert [v for _, v in contents(log, topic)] == [b"1"]

    def test_R4_an_older_epoch_is_fenced_everywhere(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        old = log.open(task, 1)
        log.open(task, 2)
        with pytest.raises(Fenced):
            old.append(make_blocks(["a"], ["1"], topic=topic), at(1))
        with pytest.raises(Fenced):
            log.open(task, 1)
        new = log.open(task, 2)
        new.append(make_blocks(["a"], ["2"], topic=topic), at(1))
        with pytest.raises(Fenced):
            log.open(task, 1)
        new.append(make_blocks(["a"], ["3"], topic=topic), at(2))
        assert [v for _, v in contents(log, topic)] == [b"2", b"3"]

    def test_R3_reading_by_offset(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        writer = log.open(task, 1)
        values = [f"{part}-{i}" for part in range(3) for i in range(1500)]
        for part in range(3):
            of = values[part * 1500 : (part + 1) * 1500]
            writer.append(make_blocks([f"k{i}" for i in range(1500)], of, topic=topic), at(part))
        end = log.ends(topic)[0].end
        assert end >= 4500
        fetch = log.read(topic, 0, 1700, 1)
        assert len(fetch.blocks) == 1
        assert fetch.blocks[0].base_offset <= 1700 < fetch.next_offset
        found = contents(log, topic)
        assert [v for _, v in found] == [v.encode() for v in values]
        assert len({o for o, _ in found}) == 4500
        assert [o for o, _ in found] == sorted(o for o, _ in found)
        last = log.read(topic, 0, end, 1)
        assert (list(last.blocks), last.next_offset, last.end) == ([], end, end)
        with pytest.raises(OffsetOutOfRange):
            log.read(topic, 0, end + 1, 1)
        for nowhere in (("city.no.such.v1", 0), (topic, 1)):
            with pytest.raises(NotFound):
                log.read(*nowhere, 0, 1)
        with pytest.raises(NotFound):
            log.ends("city.no.such.v1")

    def test_ends_of_many_topics_are_those_of_each(self, log: Log, topic: str, task: str) -> None:
        names = [topic, f"{topic}-b", f"{topic}-c"]
        for name, partitions in zip(names, (1, 3, 2), strict=True):
            log.ensure(Topic(name=name, partitions=partitions, compacted=partitions == 2))
        writer = log.open(task, 1)
        for name, partition in ((names[0], 0), (names[1], 2), (names[2], 1)):
            writer.append(make_blocks(["a", "b"], ["1", "2"], topic=name, partition=partition), at(1, name))
        ends = {name: log.ends(name) for name in names}
        assert [span.end > 0 for spans in ends.values() for span in spans.values()] == [
            True,
            *[False] * 2,
            True,
            False,
            True,
        ]
        assert log.ends_of([*names, "city.no.such.v1"]) == ends
        assert log.ends_of(names[1:2]) == {names[1]: ends[names[1]]}
        assert log.ends_of([]) == {}

    def test_R5_null_values_and_keys_come_back(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        log.open(task, 1).append(make_blocks(["a", "b"], ["1", None], topic=topic), at(1))
        assert [v for _, v in contents(log, topic)] == [b"1", None]

    def test_R7_headers_and_the_append_time_come_back(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        column = pa.array([b"x"], pa.binary())
        headers = blocks.Headers(per_record=[("ce_id", column)], constant=[("epoch", b"1")])
        section = blocks.encode(column, column, headers)
        log.open(task, 1).append([Block(topic=topic, partition=0, count=1, records=section)], at(1))
        (stored,) = log.read(topic, 0, 0, 1000).blocks
        assert stored.records == section
        assert blocks.first_headers(stored.records) == {"ce_id": b"x", "epoch": b"1"}
        assert stored.timestamp_ms > 1_600_000_000_000

    def test_R8_compaction_and_retention_are_settings_of_the_topic(self, log: Log, topic: str) -> None:
        wanted = Topic(name=topic, partitions=3, compacted=True)
        log.ensure(wanted)
        assert log.topics()[topic] == wanted
        other = Topic(name=f"{topic}-b", retention_ms=86_400_000, retention_bytes=1_000_000)
        log.ensure(other)
        assert log.topics()[other.name] == other

    def test_R9_the_number_of_partitions_never_changes(self, log: Log, topic: str) -> None:
        log.ensure(Topic(name=topic, partitions=2))
        log.ensure(Topic(name=topic, partitions=2, retention_ms=1000))
        with pytest.raises(Conflict):
            log.ensure(Topic(name=topic, partitions=3))
        assert log.topics()[topic].retention_ms == 1000

    def test_wait_wakes_for_an_append(self, log: Log, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic))
        writer = log.open(task, 1)
        assert not log.wait(topic, {0: 0}, 0.01)
        later = threading.Timer(0.1, lambda: writer.append(make_blocks(["a"], ["1"], topic=topic), at(1)))
        later.start()
        assert log.wait(topic, {0: 0}, 30)
        later.join()

    def test_tasks_append_beside_each_other_and_readers_see_whole_appends(
        self, log: Log, topic: str, task: str
    ) -> None:
        log.ensure(Topic(name=topic))
        stop = threading.Event()
        torn: list[int] = []

        def look() -> None:
            while not stop.is_set():
                if len(contents(log, topic)) % 10:
                    torn.append(1)

        def work(name: str) -> None:
            writer = log.open(name, 1)
            for i in range(20):
                writer.append(make_blocks([f"{name}{i}-{k}" for k in range(10)], ["x"] * 10, topic=topic), at(i))

        reader = threading.Thread(target=look)
        writers = [threading.Thread(target=work, args=(f"{task}-{n}",)) for n in ("one", "two")]
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        reader.join()
        assert torn == []
        assert len(contents(log, topic)) == 400

    def test_R7_a_moment_leads_to_the_first_block_that_was_appended_then_or_later(
        self, log: Log, topic: str, task: str, later: Callable[[], object]
    ) -> None:
        log.ensure(Topic(name=topic))
        writer = log.open(task, 1)
        span = log.ends(topic)[0]
        assert offset_at(log, topic, 0, span, 0) == offset_at(log, topic, 0, span, 1 << 50) == span.end
        for i in range(5):
            writer.append(make_blocks([f"{i}-{k}" for k in range(1 + i)], ["x"] * (1 + i), topic=topic), at(i))
            later()
        span, times, offset = log.ends(topic)[0], [], 0
        while offset < span.end and (fetch := log.read(topic, 0, offset, 1)).blocks:
            times += [(block.last_offset, block.timestamp_ms) for block in fetch.blocks]
            offset = fetch.next_offset
        assert len({moment for _, moment in times}) >= 5
        for moment in sorted({m + d for _, m in times for d in (-1, 0, 1)}):
            found = offset_at(log, topic, 0, span, moment)
            assert [m < moment for last, m in times if last < found] == [True] * sum(last < found for last, _ in times)
            assert [m >= moment for last, m in times if last >= found] == [True] * sum(
                last >= found for last, _ in times
            )

    def test_the_size_of_a_topic_grows_with_it(self, log: OpenLog, topic: str, task: str) -> None:
        log.ensure(Topic(name=topic, partitions=2))
        assert not log.size(topic)
        writer = log.open(task, 1)
        writer.append([b for p in range(2) for b in make_blocks(["a"], ["1"], topic=topic, partition=p)], at(1))
        one = log.size(topic)
        keys = [uuid.uuid4().hex for _ in range(1000)]
        writer.append(make_blocks(keys, keys, topic=topic), at(2))
        more = log.size(topic)
        assert one is not None
        assert more is not None
        assert 0 < one < 2_000
        assert 20_000 < more < 200_000
        with pytest.raises(NotFound):
            log.size("city.no.such.v1")
