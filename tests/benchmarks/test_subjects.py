"""Every subject that needs no network logs the same records before it is timed. Never how fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import pipeline, postgres, small_batch, snapshot, sqlite, subjects
from benchmarks.broker import Broker
from benchmarks.database import Server, server
from benchmarks.measure import SubjectFailed, module, run
from benchmarks.rounds import Measured
from benchmarks.subjects import Bench
from benchmarks.workload import write_rows
from deploy.services import ServiceMissing
from deploy.services import kafka as service
from tests.support.requirements import unavailable

ROWS = 3_000


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("workload") / "extract.csv"
    write_rows(made, ROWS)
    return made


@pytest.fixture
def bench(extract: Path, tmp_path: Path) -> Bench:
    return Bench.of("sqlite", tmp_path, lambda _rows: extract, peers={})


@pytest.fixture
def on_kafka(bench: Bench, kafka_cluster: service.Cluster) -> Iterator[Bench]:
    broker = Broker(kafka_cluster.bootstrap, None)
    yield replace(bench, sink="kafka", broker=broker)
    broker.close()


@pytest.fixture
def table(extract: Path) -> Iterator[Server]:
    try:
        with server() as there:
            run(module("benchmarks.table", "load", extract), env=there.env)
            yield there
    except ServiceMissing as missing:
        unavailable("postgres", str(missing))


def test_rows_blocks_and_columns_leave_the_same_sqlite_log(bench: Bench) -> None:
    content = sqlite.check_content(bench, ROWS)
    assert content["accepted"] == subjects.rows_tuned(bench, ROWS).accepted
    rows, blocks = (sqlite.append(bench, way, ROWS) for way in ("rows", "blocks"))
    assert blocks.bytes_out is not None
    assert rows.bytes_out is not None
    assert blocks.bytes_out < rows.bytes_out


def test_the_hub_rows_tuned_produce_and_raw_batches_send_the_same_to_kafka(on_kafka: Bench) -> None:
    content = pipeline.check_content(on_kafka, ROWS)
    assert content["accepted"] + content["rejected"] == ROWS
    assert pipeline.check_peers(on_kafka, ROWS, content) == {}


def test_a_sender_of_other_content_or_none_is_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    same = Measured(rows=9, wall_s=1, cpu_s=1, rss_mb=1, accepted=8, rejected=0, hash="aa")
    monkeypatch.setattr(subjects, "produce", lambda *_a, **_k: same)
    content = {"rows": 9, "accepted": 8, "rejected": 1, "hash": "aa"}
    for other in ({"accepted": 7}, {"hash": "ab"}):
        different = replace(same, **other)  # type: ignore[arg-type]
        monkeypatch.setattr(subjects, "raw", lambda *_a, made=different, **_k: made)
        differing = pipeline.check_peers(replace(bench, broker=object()), 9, content)  # type: ignore[arg-type]
        assert list(differing) == ["raw-batches"]
        assert "not that of rows-tuned" in differing["raw-batches"]

    def fails(*_a: object, **_k: object) -> Measured:
        raise SubjectFailed("no route")

    monkeypatch.setattr(subjects, "raw", fails)
    assert pipeline.check_peers(replace(bench, broker=object()), 9, content) == {"raw-batches": "no route"}  # type: ignore[arg-type]


def test_a_table_published_to_both_logs_says_what_its_extract_says(on_kafka: Bench, table: Server) -> None:
    content = postgres.check_content(on_kafka, table, ROWS)
    assert content["accepted"] + content["rejected"] == ROWS
    assert postgres.copy(table).rows == postgres.read(on_kafka, table).rows == ROWS
    warm = postgres.warm(on_kafka, table)[postgres.WARM]
    assert (warm.rows, warm.accepted) == (ROWS, content["accepted"])


def test_an_unchanged_snapshot_publishes_nothing(bench: Bench) -> None:
    runs = snapshot.twice(bench, ROWS)
    first, again = runs[snapshot.FIRST], runs[snapshot.AGAIN]
    assert (first.published, again.published) == (first.accepted, 0)
    assert first.accepted == again.accepted > 0.98 * ROWS


def test_small_batches_of_16_fields_are_accepted(bench: Bench) -> None:
    answer = small_batch.once(bench)
    assert answer["fields"] == 16
    assert answer["accepted"] > 100 * answer["rejected"] > 0
    assert set(answer["sizes"]) >= {small_batch.FIXED, small_batch.NEXT, "10 rows", "100 rows"}
