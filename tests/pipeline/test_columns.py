"""Columns of a source that come, go and come back (R13)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.errors import ColumnsChanged
from hub.pipeline.columns import MOST, SourceColumns
from tests.support.projects import Bench, make_plan

HEAD = "ID,REGION,SEATS"
ROWS = "a,N,7{0}\nb,S,8{0}\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def write(bench: Bench, *more: str, name: str = "a.csv") -> None:
    """Two rows; the columns after the three that the mapping knows have the value `canary`."""
    bench.write(",".join([HEAD, *more]) + "\n" + ROWS.format(",canary" * len(more)), name)


def test_R13_a_new_column_is_reported_once_and_ignored(bench: Bench) -> None:
    write(bench, "OLD")
    assert bench.run().notes == ()  # what was there from the first is not new
    write(bench, "OLD", "PHONE", "E-MAIL")
    result = bench.run()
    assert (result.state, result.totals.unchanged) == ("completed", 2)
    assert result.notes == ("2 new columns in the source, ignored: `PHONE`, `E-MAIL`",)
    assert bench.run().notes == ()
    write(bench, "OLD")
    assert bench.run().notes == ()
    write(bench, "E-MAIL", "OLD")
    assert bench.run().notes == ()  # nor is what comes back


def test_R13_the_log_names_a_new_column_and_no_value(bench: Bench) -> None:
    write(bench)
    bench.run()
    write(bench, "PHONE")
    with capture_logs() as lines:
        result = bench.run()
    assert [(one["event"], one["columns"]) for one in lines] == [("new columns in the source", ["PHONE"])]
    assert "canary" not in f"{lines}{result}"


def test_R13_a_new_column_that_the_mapping_uses_is_no_news(bench: Bench) -> None:
    plan = make_plan("append")
    optional = replace(plan, mapping=replace(plan.mapping, optional=("REGION",)))
    bench.write("ID,SEATS\na,7\n")
    first = bench.run(optional)
    assert (first.totals.published, first.notes) == (1, ())
    write(bench, name="b.csv")
    second = bench.run(optional)
    assert (second.totals.published, second.notes) == (2, ())


def test_R13_an_optional_column_may_go_and_another_may_not(bench: Bench) -> None:
    plan = make_plan("upsert")
    optional = replace(plan, mapping=replace(plan.mapping, optional=("REGION",)))
    write(bench)
    assert bench.run(optional).totals.published == 2
    bench.write("ID,SEATS\na,7\nb,8\n")
    assert bench.run(optional).totals.published == 2  # their region is NULL now
    bench.write("ID,REGION,CHAIRS\na,N,7\n")
    with pytest.raises(ColumnsChanged, match=r"needs `SEATS`; the source has `ID`, `REGION`, `CHAIRS`"):
        bench.run(optional)


def test_R13_a_refusal_shows_columns_that_were_not_read(bench: Bench) -> None:
    """Which a source of objects leaves out: without them nobody would see what became of the missing one."""
    bench.write('{"ID": "a", "REGION": "N", "CHAIRS": 7}\n', "a.ndjson")
    source = bench.source(path="*.ndjson")
    source._context = replace(source._context, columns=frozenset({"ID", "REGION", "SEATS"}))
    with pytest.raises(ColumnsChanged, match=r"the source has `ID`, `REGION`, `CHAIRS`"):
        bench.run(source=source)


def test_R13_a_run_that_pauses_keeps_what_it_did_not_tell(bench: Bench) -> None:
    plan = make_plan("append")
    write(bench)
    bench.run(plan)
    write(bench, "PHONE", name="b.csv")
    bench.write("ID,REGION\nc,N\n", "c.csv")
    with pytest.raises(ColumnsChanged):
        bench.run(plan)
    write(bench, name="c.csv")
    write(bench, "PHONE", name="d.csv")
    assert bench.run(plan).notes == ("a new column in the source, ignored: `PHONE`",)


def test_R13_a_replay_leaves_the_known_columns_alone(bench: Bench) -> None:
    write(bench, "OLD")
    bench.write(f"{HEAD},OLD\na,N,many,canary\n")
    bench.run()
    bench.replay(make_plan())
    write(bench, "OLD", "NEW")
    assert bench.run().notes == ("a new column in the source, ignored: `NEW`",)


def test_R13_a_checkpoint_of_before_is_a_first_look() -> None:
    columns = SourceColumns(None, {"ID"})
    assert columns.see(["ID", "OLD"]) == []
    assert (columns.note(), columns.after()) == (None, ("ID", "OLD"))
    assert SourceColumns(None, {"ID"}).after() is None  # of a source that does not say


def test_R13_objects_with_data_for_names_are_not_watched_for_ever() -> None:
    columns = SourceColumns(("ID",), {"ID"})
    assert len(columns.see(["ID", *(f"person {i}" for i in range(MOST))])) == MOST
    assert columns.see(["ID", "one more"]) == []
    note = columns.note() or ""
    assert (note.count("`"), note[-1]) == (80, "…")
    known = columns.after() or ()
    assert len(known) == MOST
    assert SourceColumns(known, {"ID"}).see(["ID", "one more"]) == []


def test_S16_a_row_in_the_place_of_the_header_is_not_told() -> None:
    columns = SourceColumns(("ID", "REGION"), {"ID"})
    assert columns.see(["canary-5150", "canary-N"]) == []
    assert columns.note() is None
