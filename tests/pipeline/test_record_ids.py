"""What is delivered again is published once, for 72 hours, over crashes and restarts (G4, R2, F14)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.context import SourceContext
from connectors.outbound import Outbound
from connectors.sources.rest import RestSource
from connectors.sources.rest_specs import RestSpec
from hub.log.sqlite import SqliteLog
from hub.model import Checkpoint, RunTotals
from hub.pipeline import record_ids
from hub.pipeline.record_ids import KEPT_MS, RecordIds
from tests.support.fault_server import FaultServer, Request, answer
from tests.support.projects import Bench, make_plan

HOUR = 3600 * 1000
START = 1_800_000_000_000


def column(*ids: str) -> pa.BinaryArray:
    return pa.array([i.encode() for i in ids], pa.binary())


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=8))
def test_G4_fresh_is_what_no_earlier_batch_and_no_earlier_row_had(batches: list[list[str]]) -> None:
    ids, seen = RecordIds("t"), set[str]()
    for number, batch in enumerate(batches):
        expected = [i for i, name in enumerate(batch) if name not in seen and name not in batch[:i]]
        rows = ids.fresh(column(*batch)).tolist()
        assert rows == expected
        ids.remember(column(*[batch[i] for i in rows]), number, START)
        seen.update(batch)
    assert len(ids) == len(seen)


def test_G4_ids_that_share_half_of_their_digest_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record_ids._digests

    def halved(ids: pa.BinaryArray) -> Any:
        made = whole(ids)
        made[:, 0] = 7
        return made

    monkeypatch.setattr(record_ids, "_digests", halved)
    ids, many = RecordIds("t"), [str(i) for i in range(50)]
    ids.remember(column(*many[::2]), 1, START)
    assert [many[i] for i in ids.fresh(column(*many))] == many[1::2]


def test_G4_ids_are_found_again_after_a_restart_and_forgotten_after_72_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_ids, "PER_ENTRY", 2)  # several entries a batch
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: START)
    writer, ids = log.open("t", 1), RecordIds("t")
    for number, at in ((1, START), (2, START + HOUR)):
        made = ids.remember(column(*(f"{number}-{i}" for i in range(5))), number, at)
        writer.append(made, Checkpoint(source=None, batch=number))
    again = RecordIds.load(log, "t")
    assert len(again) == 10
    assert again.fresh(column("1-0", "2-4", "new")).tolist() == [2]
    late = START + KEPT_MS + HOUR // 2
    writer.append(again.remember(column("new"), 3, late), Checkpoint(source=None, batch=3))
    for known in (again, RecordIds.load(log, "t")):
        assert known.fresh(column("1-0", "2-4", "new")).tolist() == [0]
    assert len(RecordIds.load(log, "another")) == 0
    log.close()


def test_G4_names_of_a_source_are_known_beside_record_ids_and_never_taken_for_one(tmp_path: Path) -> None:
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: START)
    writer, ids = log.open("t", 1), RecordIds("t")
    made = ids.remember(column("a", "b"), 1, START, [b"a", b"name"])
    writer.append(made, Checkpoint(source=None, batch=1))
    for known in (ids, RecordIds.load(log, "t")):
        assert list(known.known([b"name", b"b", b"a", b"c"])) == [True, False, True, False]
        assert known.fresh(column("name", "b", "c")).tolist() == [0, 2]
    log.close()


@pytest.fixture
def table() -> list[dict[str, Any]]:
    return [{"ID": f"b{i}", "REGION": "N", "SEATS": "5"} for i in range(20)]


@pytest.fixture
def service(table: list[dict[str, Any]]) -> Iterator[FaultServer]:
    """Gives all rows of a table."""

    def reply(_request: Request) -> Any:
        return answer(table)

    server = FaultServer(reply)
    yield server
    server.close()


def rest(server: FaultServer) -> RestSource:
    context = SourceContext(
        task="branches", root=Path("/nowhere"), mode="append", outbound=Outbound(allowed=frozenset({server.address}))
    )
    return RestSource(RestSpec(kind="rest", url=f"{server.url}/rows"), context)


def test_G4_F14_rows_that_a_service_gives_again_are_counted_as_deduplicated(
    tmp_path: Path, service: FaultServer, table: list[dict[str, Any]]
) -> None:
    bench, plan = Bench(tmp_path), make_plan("append")
    bench.clock = lambda: START
    table.append(dict(table[0]))
    assert bench.run(plan, rest(service)).totals == RunTotals(read=21, published=20, deduplicated=1)
    table[:] = [*table[10:], {"ID": "new", "REGION": "S", "SEATS": "1"}]
    bench.clock = lambda: START + KEPT_MS - HOUR
    assert bench.run(plan, rest(service)).totals == RunTotals(read=12, published=1, deduplicated=11)
    assert len(bench.records()) == 21
    assert len({h["ce_id"] for _k, _v, h in bench.records()}) == 21


def test_G4_rows_of_files_are_told_apart_by_their_place_and_never_dropped(tmp_path: Path) -> None:
    bench, plan = Bench(tmp_path), make_plan("append")
    bench.write("ID,REGION,SEATS\na,N,1\na,N,1\n")
    assert bench.run(plan).totals == RunTotals(read=2, published=2)
