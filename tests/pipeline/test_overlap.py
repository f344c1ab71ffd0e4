"""Steps that overlap: the log of one after the other, every way to end, and nothing left behind (R1, R4, R21)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from connectors.context import SourceContext
from connectors.sources.files import FilesSource
from connectors.sources.specs import FilesSpec
from hub.errors import BreakerTripped, ColumnsChanged, Fenced, FileRefused, LogUnavailable, OutcomeUnknown
from hub.log.sqlite import SqliteLog
from hub.model import Appended, Batch, Checkpoint, Mode, RunTotals, SourceCheckpoint
from hub.pipeline.overlap import Bounds, Overlapped, Step
from hub.pipeline.task import Run, RunResult, Surroundings
from hub.ports import Writer
from tests.support.projects import TOPIC, Bench, make_plan, ticking

HEAD = "ID,REGION,SEATS\n"
WAIT_S = 30.0


def threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.is_alive()}


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = threads()
    yield
    assert threads() <= before


# --- the steps alone --------------------------------------------------------------------------------------------------


def numbers(n: int, fail_at: int | None = None) -> Generator[int, None, None]:
    for i in range(n):
        if i == fail_at:
            raise LogUnavailable(f"at {i}")
        yield i


def overlapped(source: Generator[int, None, None], *steps: Callable[[int], int], **more: Any) -> Overlapped[int]:
    named: list[Step] = [(f"s{i}", step) for i, step in enumerate(steps)]
    return Overlapped(source, named, size=lambda _n: 1, abandon=more.pop("abandon", lambda: None), name="t", **more)


def test_results_come_in_order_whichever_step_is_slow() -> None:
    def jitter(n: int) -> int:
        time.sleep(random.Random(n).random() / 200)
        return n

    with overlapped(numbers(60), jitter, lambda n: n * 2, jitter) as results:
        assert list(results) == [2 * n for n in range(60)]


@pytest.mark.parametrize("where", ["source", "step"])
def test_an_error_comes_after_all_results_before_it(where: str) -> None:
    def step(n: int) -> int:
        if where == "step" and n == 7:
            raise LogUnavailable("at 7")
        return n

    with overlapped(numbers(20, 7 if where == "source" else None), step, lambda n: n) as results:
        assert [next(results) for _ in range(7)] == list(range(7))
        with pytest.raises(LogUnavailable, match="at 7"):
            next(results)


def test_leaving_early_ends_every_thread_and_closes_the_source_where_it_ran() -> None:
    closed: list[str] = []

    def source() -> Generator[int, None, None]:
        try:
            yield from range(10_000)
        finally:
            closed.append(threading.current_thread().name)

    abandoned: list[int] = []
    with overlapped(source(), lambda n: n, abandon=lambda: abandoned.append(1)) as results:
        assert next(results) == 0
    assert (closed, abandoned) == (["t-read"], [1])


def test_a_source_that_waits_is_told_to_give_up() -> None:
    gone = Event()

    def source() -> Generator[int, None, None]:
        yield 0
        assert gone.wait(WAIT_S)

    with overlapped(source(), lambda n: n, abandon=gone.set) as results:
        assert next(results) == 0


def test_no_more_is_under_way_than_the_bounds_allow() -> None:
    under_way, most = [0], [0]
    lock = threading.Lock()

    def source() -> Generator[int, None, None]:
        for i in range(50):
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            yield i

    with overlapped(source(), lambda n: n, lambda n: n, bounds=Bounds(items=3)) as results:
        for _ in results:
            time.sleep(0.001)
            with lock:
                under_way[0] -= 1
    assert most[0] == 3


def test_one_item_passes_however_large_and_then_alone() -> None:
    seen: list[int] = []

    def source() -> Generator[int, None, None]:
        for i in range(5):
            seen.append(i)
            yield i

    with Overlapped[int](
        source(), [("s", lambda n: n)], size=lambda _n: 10**9, abandon=lambda: None, name="t", bounds=Bounds(bytes=10)
    ) as results:
        for n in results:
            time.sleep(0.01)
            assert max(seen) == n


# --- runs -------------------------------------------------------------------------------------------------------------


def everything(log: SqliteLog) -> list[tuple[Any, ...]]:
    """All of a log's tables, byte for byte."""
    connection = log._writer
    tables = ("topic", "partition", "block", "task")
    return [row for table in tables for row in connection.execute(f"SELECT * FROM {table}").fetchall()]


def run(directory: Path, files: list[list[str]], *, overlap: bool, **changes: Any) -> tuple[list[Any], list[Any]]:
    """How two runs over the files end, with a clock and ids of their own, and what the log then holds."""
    directory.mkdir()
    bench = Bench(directory)
    bench.clock = ticking()
    bench.log._clock_ms = bench.clock
    for i, lines in enumerate(files):
        bench.write(HEAD + "".join(f"{line}\n" for line in lines), f"{i:02}.csv")
    plan = make_plan(**changes)
    bench.log.ensure(plan.topic)
    ends = []
    for epoch in (1, 2):
        writer = bench.log.open(plan.connector, epoch)
        around = Surroundings(reader=bench.log, clock_ms=bench.clock, epoch=epoch, run_id=f"r{epoch}", overlap=overlap)
        source = bench.source(plan.mode, snapshot_of="union") if plan.mode == "snapshot" else bench.source(plan.mode)
        result = Run(plan, source, writer, around).execute(Event())
        ends.append((result.state, result.totals, result.reasons, result.notes, str(result.error)))
    found = everything(bench.log)
    bench.log.close()
    return ends, found


ROW = st.one_of(
    st.tuples(st.integers(0, 60), st.sampled_from("NSW"), st.integers(-1, 9)).map(lambda r: f"b{r[0]},{r[1]},{r[2]}"),
    st.sampled_from(["b1,N", "b2,S,skip", "b3,N,bad", ",N,4", 'b4,"N",5', "b5,N,6,7"]),
)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(ROW, max_size=40), min_size=1, max_size=7), st.sampled_from(["append", "upsert", "snapshot"]))
def test_the_log_is_byte_for_byte_that_of_one_step_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[str]], mode: Mode
) -> None:
    directory = tmp_path_factory.mktemp("runs")
    one = run(directory / "one", files, overlap=False, mode=mode)
    other = run(directory / "other", files, overlap=True, mode=mode)
    assert one == other


def test_R21_the_log_is_the_same_when_the_breaker_trips(tmp_path: Path) -> None:
    good = [[f"g{i}-{j},N,5" for j in range(50)] for i in range(8)]
    good[3] = [f"x{j},N,bad" for j in range(150)]
    one = run(tmp_path / "one", good, overlap=False, mode="append")
    other = run(tmp_path / "other", good, overlap=True, mode="append")
    assert one == other
    assert other[0][0][0] == "paused"


class Watched(FilesSource):
    """Files, and a word on what is asked of them."""

    def __init__(self, data: Path, mode: Mode = "append") -> None:
        super().__init__(
            FilesSpec(kind="files", path="*.csv", stable_after_s=0),
            SourceContext(task="branches", root=data, mode=mode),
        )
        self.read = 0
        self.acknowledged: list[SourceCheckpoint] = []
        self.on_batch: Callable[[int], None] = lambda _n: None
        self.on_acknowledge: Callable[[SourceCheckpoint], None] = lambda _p: None
        self.closed = False

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        for batch in super().batches(after, stop):
            self.on_batch(self.read)
            self.read += 1
            yield batch

    def acknowledge(self, position: SourceCheckpoint) -> None:
        self.on_acknowledge(position)
        self.acknowledged.append(position)

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    for i in range(12):
        made.write(HEAD + "".join(f"b{i}-{j},N,{j + 1}\n" for j in range(20)), f"{i:02}.csv")
    return made


def execute(bench: Bench, source: Watched, stop: Event | None = None, writer: Writer | None = None) -> RunResult:
    plan = make_plan("append")
    bench.log.ensure(plan.topic)
    bench.epoch += 1
    writer = writer or bench.log.open(plan.connector, bench.epoch)
    around = Surroundings(reader=bench.log, clock_ms=bench.clock, epoch=bench.epoch)
    return Run(plan, source, writer, around).execute(stop or Event())


def test_a_batch_is_acknowledged_after_its_append_and_never_before(bench: Bench) -> None:
    source = Watched(bench.data)

    def durable(position: SourceCheckpoint) -> None:
        stored = bench.log.checkpoint_of("branches")
        assert stored is not None
        assert stored.source == position

    source.on_acknowledge = durable
    assert execute(bench, source).totals.published == 240
    assert len(source.acknowledged) == 12


def test_what_is_read_ahead_is_bounded(bench: Bench) -> None:
    source = Watched(bench.data)
    ahead: list[int] = []
    source.on_batch = lambda n: ahead.append(n + 1 - len(source.acknowledged))
    source.on_acknowledge = lambda _p: time.sleep(0.01)
    execute(bench, source)
    assert max(ahead) <= Bounds().items


def test_G6_stop_leaves_whole_batches_and_the_next_run_takes_the_rest(bench: Bench) -> None:
    source, stop = Watched(bench.data), Event()
    source.on_acknowledge = lambda _p: stop.set() if len(source.acknowledged) == 2 else None
    result = execute(bench, source, stop)
    assert result.state == "stopped"
    assert result.totals == RunTotals(read=60, published=60)
    assert execute(bench, Watched(bench.data)).totals == RunTotals(read=180, published=180)
    assert len({k for k, _, _ in ((h["ce_id"], v, k) for k, v, h in bench.records())}) == 240


def test_a_source_that_fails_is_told_after_what_it_gave_was_appended(bench: Bench) -> None:
    source = Watched(bench.data)

    def fail(n: int) -> None:
        if n == 5:
            raise FileRefused("broken")

    source.on_batch = fail
    with pytest.raises(FileRefused):
        execute(bench, source)
    assert len(source.acknowledged) == 5
    assert len(bench.records()) == 100


def test_R13_a_step_that_fails_is_told_after_what_came_before_was_appended(bench: Bench) -> None:
    bench.write("ID,REGION\nx,N\n", "05.csv")
    with pytest.raises(ColumnsChanged):
        execute(bench, Watched(bench.data))
    assert len(bench.records()) == 100


class Failing:
    """A writer of the real log that fails at its n-th append."""

    def __init__(self, inner: Writer, at: int, error: Exception) -> None:
        self._inner, self._left, self._error = inner, at, error

    def checkpoint(self) -> Checkpoint | None:
        return self._inner.checkpoint()

    def append(self, blocks: Any, checkpoint: Checkpoint) -> Appended:
        self._left -= 1
        if not self._left:
            raise self._error
        return self._inner.append(blocks, checkpoint)

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize(
    "error", [Fenced("newer"), OutcomeUnknown("no answer"), LogUnavailable("away"), ValueError("bug")]
)
def test_R1_R4_an_append_that_fails_ends_all_and_acknowledges_nothing_more(bench: Bench, error: Exception) -> None:
    source = Watched(bench.data)
    bench.log.ensure(make_plan("append").topic)
    with pytest.raises(type(error)):
        execute(bench, source, writer=Failing(bench.log.open("branches", 1), 4, error))
    assert len(source.acknowledged) == 3
    assert source.closed
    assert len(bench.records()) == 60
    bench.epoch = 1
    assert execute(bench, Watched(bench.data)).totals == RunTotals(read=180, published=180)
    assert len(bench.records()) == 240


def test_R21_nothing_behind_the_batch_that_trips_the_breaker_is_appended(bench: Bench) -> None:
    bench.write(HEAD + "".join(f"x{j},N,bad\n" for j in range(150)), "04.csv")
    source = Watched(bench.data)
    result = execute(bench, source)
    assert result.state == "paused"
    assert isinstance(result.error, BreakerTripped)
    assert result.totals == RunTotals(read=230, published=80, quarantined=150)
    assert source.closed


def test_the_topic_keeps_the_order_of_the_source(bench: Bench) -> None:
    plan = replace(make_plan("append"), topic=replace(make_plan("append").topic, partitions=1))
    bench.log.ensure(plan.topic)
    writer = bench.log.open(plan.connector, 1)
    around = Surroundings(reader=bench.log, clock_ms=bench.clock, epoch=1)
    Run(plan, Watched(bench.data), writer, around).execute(Event())
    order = [value[6:].split(b"\x02")[0] for _k, value, _h in bench.records(TOPIC) if value]
    assert order == [f"b{i}-{j}".encode() for i in range(12) for j in range(20)]
