"""Functions that give a record: to a field that is a record, or part by part."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from hub.mapping.program import Mapped, MappingSpec, compile_program, problems
from tests.mapping.reference import REFERENCE

SOURCE = pa.schema([("said", pa.string()), ("x", pa.float64()), ("y", pa.float64()), ("map", pa.string())])
DAY = pa.date32()
PERIOD = pa.struct([pa.field("start", DAY, nullable=False), pa.field("end", DAY), pa.field("precision", pa.string())])
PLACE = pa.struct([("longitude", pa.float64()), ("latitude", pa.float64()), ("datum", pa.string())])


def target(*fields: pa.Field) -> pa.Schema:
    return pa.schema(list(fields))


def run(fields: dict[str, str], schema: pa.Schema, rows: list[tuple[Any, ...]], **more: Any) -> Mapped:
    program = compile_program(MappingSpec(fields=fields, **more), SOURCE, schema, REFERENCE)
    columns = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(SOURCE)]
    return program.apply(pa.record_batch(columns, schema=SOURCE))


def complaints(fields: dict[str, str], schema: pa.Schema) -> list[tuple[str, str]]:
    return [(p.path, p.message) for p in problems(MappingSpec(fields=fields), SOURCE, schema, REFERENCE)]


def test_a_record_is_given_whole() -> None:
    schema = target(pa.field("period", PERIOD))
    rows = [("2023年第3季度", None, None, None), (None, None, None, None), ("昨天", None, None, None)]
    mapped = run({"period": "parse_period(said)"}, schema, rows)
    quarter = {"start": dt.date(2023, 7, 1), "end": dt.date(2023, 9, 30), "precision": "quarter"}
    assert mapped.records.to_pylist() == [{"period": quarter}, {"period": None}]
    assert [(f.row, f.reason, f.path) for f in mapped.failures] == [(2, "BAD_PERIOD", "period.start")]
    mapped.records.validate(full=True)


def test_R30_a_record_that_is_required_fails_at_its_first_required_part() -> None:
    schema = target(pa.field("period", PERIOD, nullable=False))
    mapped = run({"period": "parse_period(said)"}, schema, [(None, None, None, None)])
    assert [(f.reason, f.path) for f in mapped.failures] == [("NULL_REQUIRED", "period.start")]


def test_one_part_is_a_value_like_any_other() -> None:
    fields = {"first": "parse_period(said).start", "month": "(parse_period(said)).precision = 'month'"}
    schema = target(pa.field("first", DAY), pa.field("month", pa.bool_()))
    mapped = run(fields, schema, [("2023年10月", None, None, None), (None, None, None, None)])
    assert mapped.records.to_pylist() == [
        {"first": dt.date(2023, 10, 1), "month": True},
        {"first": None, "month": None},
    ]


def test_R10_a_record_goes_through_case_coalesce_and_try() -> None:
    fields = {
        "place": "CASE WHEN map = 'baidu' THEN to_wgs84(x, y, 'BD-09') ELSE to_wgs84(x, y, 'WGS84') END",
        "period": "coalesce(try(parse_period(said)), parse_period('2020'))",
    }
    rows = [("?", 109.852578, 40.664297, "baidu"), ("2021", 109.8403, 40.6574, None), ("2021", 40.6, 109.8, "baidu")]
    mapped = run(fields, target(pa.field("place", PLACE), pa.field("period", PERIOD)), rows)
    assert [(f.row, f.reason, f.path) for f in mapped.failures] == [(2, "BAD_COORDINATE", "place.longitude")]
    for record, year in zip(mapped.records.to_pylist(), (2020, 2021), strict=True):
        assert record["place"]["longitude"] == pytest.approx(109.8403, abs=1e-6)
        assert record["place"]["datum"] == "WGS84"
        assert record["period"]["start"] == dt.date(year, 1, 1)


def test_checks_see_the_parts_of_a_record() -> None:
    schema = target(pa.field("period", PERIOD))
    rows = [("2023年10月", None, None, None), ("2023年", None, None, None)]
    mapped = run({"period": "parse_period(said)"}, schema, rows, checks={"monthly": "period.precision = 'month'"})
    assert [(f.row, f.reason, f.path) for f in mapped.failures] == [(1, "CHECK_FAILED", "monthly")]


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"period": "said"}, "fields.period", "is a record of start, end, precision"),
        ({"period": "to_wgs84(x, y, 'WGS84')"}, "fields.period", "a record with `longitude`"),
        (
            {"period": "parse_period(said)", "period.end": "parse_date(said)"},
            "fields.period.end",
            "gives this field already",
        ),
        ({"period.start": "parse_period(said)"}, "fields.period.start", "the field is date32"),
        ({"period.start": "parse_period(said).begin"}, "fields.period.start", "there is no part `begin`"),
        ({"period.start": "said.start"}, "fields.period.start", "no column `said.start`"),
        ({"period.start": "trim(said).start"}, "fields.period.start", "goes after a function that gives a record"),
        ({"period": "parse_period(said) = parse_period(said)"}, "fields.period", "cannot compare"),
        ({"perod": "parse_period(said)"}, "fields.perod", "no field `perod`"),
    ],
)
def test_S14_what_does_not_fit_a_record_is_refused_when_saved(fields: dict[str, str], path: str, message: str) -> None:
    found = complaints(fields, target(pa.field("period", PERIOD)))
    assert any(p == path and message in m for p, m in found), found


def test_a_part_that_the_schema_requires_and_nothing_gives_is_missed() -> None:
    inner = pa.struct([*PERIOD, pa.field("source", pa.string(), nullable=False)])
    found = complaints({"period": "parse_period(said)"}, target(pa.field("period", inner, nullable=False)))
    assert found == [("fields.period.source", "the schema requires this field and nothing maps to it")]
