"""Runs over real files and a real SQLite log: modes, reconciliation, quarantine, replay, breaker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.errors import BreakerTripped, ColumnsChanged, TooManyDeletions
from hub.mapping.program import MappingSpec
from hub.model import RunTotals
from tests.support.projects import FIELDS, Bench, make_plan

HEAD = "ID,REGION,SEATS\n"
TEN = HEAD + "".join(f"b{i},{'NS'[i % 2]},{i + 1}\n" for i in range(10))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_G2_every_row_is_accounted_for(bench: Bench) -> None:
    bench.write(HEAD + "a,N,5\nb,S,x\nc,N,skip\nd,S,-1\ne,N\n")
    result = bench.run()
    assert result.state == "completed"
    assert result.totals == RunTotals(read=5, published=1, quarantined=3, filtered=1)
    assert result.reasons == {"BAD_NUMBER": 1, "CHECK_FAILED": 1, "COLUMN_COUNT": 1}
    assert {(e.reason, e.row) for e in bench.open_entries()} == {
        ("BAD_NUMBER", 2),
        ("CHECK_FAILED", 4),
        ("COLUMN_COUNT", 5),
    }


def test_R18_second_run_publishes_nothing_and_one_change_is_one_record(bench: Bench) -> None:
    bench.write(TEN)
    assert bench.run().totals.published == 10
    again = bench.run()
    assert again.totals == RunTotals(read=10, unchanged=10)
    bench.write(TEN.replace("b3,S,4", "b3,S,44"))
    assert bench.run().totals == RunTotals(read=10, published=1, unchanged=9)
    assert len(bench.records()) == 11


def test_R18_deletions_come_from_complete_passes_only(bench: Bench) -> None:
    bench.write(TEN)
    bench.run()
    bench.write(TEN.replace("b3,S,4\n", ""))
    result = bench.run()
    assert result.totals == RunTotals(read=9, unchanged=9, deleted=1)
    tombstones = [(k, h["scope"]) for k, v, h in bench.records() if v is None]
    assert tombstones == [(b"b3", b'{"region":"S"}')]
    bench.write(TEN)
    assert bench.run().totals == RunTotals(read=10, published=1, unchanged=9)


def test_R18_too_many_deletions_pause_and_can_be_accepted(bench: Bench) -> None:
    bench.write(TEN)
    bench.run()
    bench.write(HEAD + "b0,N,1\n")
    result = bench.run()
    assert result.state == "paused"
    assert isinstance(result.error, TooManyDeletions)
    assert f"`datong connector resume {make_plan().connector} --accept-deletions`" in result.error.remedy
    assert not [v for _, v, _ in bench.records() if v is None]
    plan = make_plan()
    accepted = bench.run(replace(plan, limits=replace(plan.limits, deletions_share=1.0)))
    assert accepted.totals.deleted == 9


def test_R18_a_quarantined_row_keeps_its_key(bench: Bench) -> None:
    bench.write(TEN)
    bench.run()
    bench.write(TEN.replace("b3,S,4", "b3,S,oops"))
    assert bench.run().totals == RunTotals(read=10, quarantined=1, unchanged=9)


def test_R18_a_row_without_usable_key_stops_deletions_and_says_so(bench: Bench) -> None:
    bench.write(TEN)
    bench.run()
    bench.write(TEN.replace("b3,S,4", "b3,S,4,5,6"))
    result = bench.run()
    assert result.totals == RunTotals(read=10, quarantined=1, unchanged=9)
    assert "no deletions" in result.notes[0]


def test_R18_a_key_twice_in_one_pass_is_rejected(bench: Bench) -> None:
    bench.write(TEN + "b3,N,99\n")
    result = bench.run()
    assert result.reasons == {"DUPLICATE_KEY": 1}
    assert result.totals.published == 10


def test_R19_a_moved_scope_is_a_tombstone_and_a_record(bench: Bench) -> None:
    bench.write(TEN)
    bench.run()
    bench.write(TEN.replace("b3,S,4", "b3,N,4"))
    assert bench.run().totals == RunTotals(read=10, published=1, unchanged=9)
    moved = [(v is None, h["scope"]) for k, v, h in bench.records() if k == b"b3"]
    assert moved == [(False, None), (True, b'{"region":"S"}'), (False, None)]


def test_R22_an_open_row_is_counted_but_not_kept_twice(bench: Bench) -> None:
    bench.write(HEAD + "a,N,x\n")
    assert bench.run().totals.quarantined == 1
    assert bench.run().totals.quarantined == 1
    assert len(bench.open_entries()) == 1
    bench.write(HEAD + "a,N,3\n")
    assert bench.run().totals.published == 1
    assert bench.open_entries() == []


def test_R16_append_goes_on_after_a_prefix_and_starts_again_for_new_content(bench: Bench) -> None:
    plan = make_plan("append")
    bench.write(TEN)
    assert bench.run(plan).totals.published == 10
    assert bench.run(plan).totals.read == 0
    bench.write(TEN + "b10,N,3\n")
    assert bench.run(plan).totals == RunTotals(read=1, published=1)
    bench.write(HEAD + "z,N,3\n")
    assert bench.run(plan).totals == RunTotals(read=1, published=1)
    ids = [h["ce_id"] for _, _, h in bench.records()]
    assert len(set(ids)) == 12


def test_R20_replay_publishes_after_a_fix_and_supersedes_what_is_newer(bench: Bench) -> None:
    bench.write(HEAD + "a,N,1.000\nb,N,2.000\n")
    assert bench.run().totals.quarantined == 2
    bench.write(HEAD + "a,N,7\nb,N,2.000\n")
    assert bench.run().totals == RunTotals(read=2, published=1, quarantined=1)
    fields = {**FIELDS, "seats": "to_int(SEATS, '1.234,5')"}
    fixed = make_plan(mapping=MappingSpec(fields=fields), mapping_version="m2")
    result = bench.replay(fixed)
    assert result.totals == RunTotals(read=1, published=1)
    assert bench.open_entries() == []
    replayed = [h["replay"] for k, _, h in bench.records() if k == b"b"]
    assert replayed == [result.run_id.encode()]


def test_R20_a_key_published_since_is_superseded(bench: Bench) -> None:
    plan = make_plan("upsert")
    bench.write(HEAD + "a,N,x\n", "1.csv")
    bench.run(plan)
    bench.write(HEAD + "a,N,7\n", "2.csv")
    bench.run(plan)
    fixed = replace(plan, mapping=MappingSpec(fields={**FIELDS, "seats": "5"}), mapping_version="m2")
    assert bench.replay(fixed).totals == RunTotals(read=1, superseded=1)


def test_R21_the_batch_that_trips_the_breaker_is_appended_whole(bench: Bench) -> None:
    bench.write(HEAD + "".join(f"b{i},N,{'x' if i < 100 else i}\n" for i in range(150)))
    result = bench.run()
    assert result.state == "paused"
    assert isinstance(result.error, BreakerTripped)
    assert result.totals == RunTotals(read=150, published=50, quarantined=100)


def test_G8_the_share_counts_over_a_full_window_only(bench: Bench) -> None:
    bench.write(HEAD + "".join(f"b{i},N,{'x' if i % 10 == 0 else i + 1}\n" for i in range(900)))
    assert bench.run().state == "completed"
    bench.write(HEAD + "".join(f"b{i},N,{'x' if i % 10 == 0 else i + 1}\n" for i in range(1100)))
    assert bench.run().state == "paused"


def test_R13_a_missing_column_names_the_difference(bench: Bench) -> None:
    bench.write("ID,REGION\na,N\n")
    with pytest.raises(ColumnsChanged, match="SEATS"):
        bench.run()


@pytest.mark.parametrize("text", ["canary-5150,canary-N,7\nb,S,8\n", "canary-5150;canary-N;7\nb;S;8\n"])
def test_S16_a_lost_header_does_not_show_the_row_in_its_place(bench: Bench, text: str) -> None:
    bench.write(text)
    with pytest.raises(ColumnsChanged, match="none of the 3 columns") as paused:
        bench.run()
    assert "canary" not in str(paused.value)


@pytest.mark.parametrize("names", [("Id", "Region", "Seats"), ("ID_2", "AREA", "PLACES"), ("ID", "AREA", "PLACES")])
def test_R13_renamed_columns_are_shown(bench: Bench, names: tuple[str, ...]) -> None:
    bench.write(",".join(names) + "\na,N,7\n")
    with pytest.raises(ColumnsChanged, match=", ".join(f"`{n}`" for n in names)):
        bench.run()


def test_G3_sequences_are_contiguous_and_batches_say_their_size(bench: Bench) -> None:
    plan = make_plan("append")
    bench.write(TEN)
    bench.run(plan)
    bench.write(TEN + "x,N,1\ny,N,2\n")
    bench.run(plan)
    by_batch: dict[bytes, list[bytes]] = {}
    for _, _, headers in bench.records():
        by_batch.setdefault(headers["batch_id"], []).append(headers["batch_n"])
    assert {batch: set(n) for batch, n in by_batch.items()} == {
        batch: {str(len(n)).encode()} for batch, n in by_batch.items()
    }


def test_R4_a_fenced_writer_cannot_write(bench: Bench) -> None:
    from hub.errors import Fenced

    bench.write(TEN)
    bench.run()
    bench.log.open("branches", 99)
    with pytest.raises(Fenced):
        bench.run()


@pytest.mark.parametrize("every", [1000, 2, 1])
def test_F22_poison_at_any_rate_loses_nothing(bench: Bench, every: int) -> None:
    bench.write(HEAD + "".join(f"b{i},N,{'x' if i % every == 0 else i + 1}\n" for i in range(3000)))
    result = bench.run()
    bad = len([i for i in range(3000) if i % every == 0])
    assert result.totals == RunTotals(read=3000, published=3000 - bad, quarantined=bad)
    assert len(bench.open_entries()) == bad
    assert result.state == ("completed" if every == 1000 else "paused")
