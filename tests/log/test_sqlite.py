"""The SQLite adapter: the port's contract, then compaction, retention and versions (R8, G20)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.errors import DirectoryTooNew, OffsetOutOfRange
from hub.log.sqlite import SqliteLog
from hub.model import Topic
from tests.contracts.log_contract import TOPIC, LogContract, at, contents, make_blocks

DAY_MS = 24 * 3600 * 1000


class Clock:
    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[SqliteLog]:
    made = SqliteLog.at(tmp_path / "log.db", clock=clock)
    yield made
    made.close()


class TestSqliteLog(LogContract):
    """All of the contract."""

    @pytest.fixture
    def later(self, clock: Clock) -> Callable[[], object]:
        def move() -> None:
            clock.now += 3

        return move


def test_R3_offsets_of_this_adapter_have_no_gaps(log: SqliteLog) -> None:
    log.ensure(Topic(name=TOPIC))
    writer = log.open("task", 1)
    for part in range(3):
        writer.append(make_blocks(["k"] * 1500, ["v"] * 1500), at(part))
    assert [o for o, _ in contents(log)] == list(range(4500))


def test_R8_compaction_keeps_the_last_of_each_key_and_offsets(log: SqliteLog, clock: Clock) -> None:
    log.ensure(Topic(name=TOPIC, compacted=True))
    writer = log.open("task", 1)
    for round_ in range(3):
        writer.append(make_blocks([f"k{i}" for i in range(100)], [f"{round_}"] * 100), at(round_))
    writer.append(make_blocks(["k5", "new"], [None, "1"]), at(9))
    done = log.maintain()
    assert (done.records, done.blocks) == (201, 2)
    found = contents(log)
    assert len(found) == 101
    assert found[0][0] == 200
    assert log.ends(TOPIC)[0].end == 302
    assert dict(found)[300] is None
    assert log.verify() == []
    clock.now += 31 * DAY_MS
    writer.append(make_blocks(["z"], ["1"]), at(10))
    log.maintain()
    assert 300 not in dict(contents(log))


def test_R8_retention_gives_a_gap_and_never_an_offset_twice(log: SqliteLog, clock: Clock) -> None:
    log.ensure(Topic(name=TOPIC, retention_ms=DAY_MS))
    writer = log.open("task", 1)
    writer.append(make_blocks(["a"] * 10, ["1"] * 10), at(1))
    clock.now += 2 * DAY_MS
    writer.append(make_blocks(["b"] * 10, ["2"] * 10), at(2))
    log.maintain()
    with pytest.raises(OffsetOutOfRange) as gap:
        log.read(TOPIC, 0, 0, 1)
    assert gap.value.earliest == 10
    assert (log.ends(TOPIC)[0].earliest, log.ends(TOPIC)[0].end) == (10, 20)
    writer.append(make_blocks(["c"], ["3"]), at(3))
    assert contents(log)[-1][0] == 20


def test_R8_retention_by_size(log: SqliteLog) -> None:
    log.ensure(Topic(name=TOPIC, retention_bytes=1))
    writer = log.open("task", 1)
    for i in range(3):
        writer.append(make_blocks(["a"], [str(i)]), at(i))
    log.maintain()
    assert [v for _, v in contents(log)] == [b"2"]


def test_G20_a_newer_log_is_refused(log: SqliteLog, tmp_path: Path, clock: Clock) -> None:
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DirectoryTooNew):
        SqliteLog.at(tmp_path / "log.db", clock=clock)
