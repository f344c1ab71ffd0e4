"""R11: no cell, however odd, makes `apply` raise, wrap or speak; and a batch is what its rows are alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from hub.errors import ExpressionInvalid
from hub.mapping.codelists import Code, CodeList
from hub.mapping.language import parse_expression
from hub.mapping.program import MappingSpec, Program, compile_program, problems
from hub.mapping.typing import Typed
from tests.mapping.reference import REFERENCE

BIG = 2**63 - 1
DAWN, DUSK = dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.UTC)
CANARY = "canary-5571"
TEXTS = ["", "x", CANARY, " 12 ", "-5", "5.5", "0.5", "1.234,5", "1e400", "NaN", "9" * 5000, "2023-02-29", "true", None]
CHINESE = ["11010519491231002x", "91350100M000100Y43", "二〇二三年十月", "１１０１０１", "三十一", "13800138000", "男"]
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "s": (
        pa.string(),
        [*TEXTS, "0" * 40 + "7", "-9223372036854775808", "9223372036854775808", "2023-03-26 02:30", *CHINESE],
    ),
    "i": (pa.int32(), [0, 1, -1, 2**31 - 1, -(2**31), None]),
    "n": (pa.int64(), [0, -1, BIG, -BIG - 1, 2**53 + 1, None]),
    "f": (pa.float64(), [0.0, 1.5, 1e308, -1e308, 1e19, float("nan"), float("inf"), None]),
    "d": (pa.decimal128(10, 2), [Decimal("0"), Decimal("1.25"), Decimal("-99999999.99"), None]),
    "w": (pa.decimal128(38, 0), [Decimal(1), Decimal("9" * 38), None]),
    "t": (pa.date32(), [DAWN.date(), DUSK.date(), None]),
    "m": (pa.timestamp("ms", "UTC"), [DAWN, DUSK, None]),
    "b": (pa.bool_(), [True, False, None]),
    "g": (pa.list_(pa.string()), [[], ["a", None], None]),
}
TYPES = {name: kind for name, (kind, _values) in COLUMNS.items()}
EXAMPLE = CodeList(name="example.list", version="1", codes=[Code(code="x", name=CANARY)])
CODES = replace(REFERENCE, lists={**REFERENCE.lists, "example.list": EXAMPLE})

LEAVES = st.sampled_from([*COLUMNS, "0", "2", "-1", "9223372036854775807", "1.5", "'x'", "NULL", "TRUE"])
SHAPES = [
    "to_int({})", "to_long({}, '1.234,5')", "to_double({})", "to_decimal({}, 2, 2)", "to_decimal({}, 38, 10)", "abs({})",
    "to_date({}, '%Y-%m-%d')", "to_timestamp({}, '%Y-%m-%d %H:%M', 'Europe/Rome')", "start_of_day({}, 'Europe/Rome')",
    "code({}, 'example.list', 'example.list.name')", "code({}, 'example.list.name', 'example.list')", "split({}, '|')",
    "substr({}, 2, 3)", "normalise_text({})", "title_case({})", "length({})", "matches({}, '^[0-9]+$')", "try({})",
    "replace('x', 'x', {})", "replace({}, '9', '')", "-({})", "NOT ({})", "({}) IS NOT NULL", "({}) IN (1, 2.5, NULL)",
    "({}) IN (9223372036854775807)", "({}) LIKE '%5'", "cn_id({})", "cn_id_15to18({})", "cn_id_born({})", "cn_id_sex({})",
    "uscc({})", "lei({})", "division_code({})", "division_current({})", "division_parent({})", "division_level({})",
    "parse_date({})", "parse_period({})", "parse_period({}).end", "({}).start", "parse_timestamp({}, 'Asia/Shanghai')",
    "phone({})", "mask({}, 2)", "phone({}, 'IT')", "cn_sex({})", "cn_ethnicity({})", "iso_3166({})", "currency({})",
    "code_in({}, 'it.region')", "token({}, '${{secret:EXAMPLE}}')", "convert({}, '亩', 'ha')", "convert({}, '°F', 'K')",
    "to_money({}, '亿元', 38, 2)", "to_money({}, '分', 38, 2)", "exchange({}, 'ITL', 'EUR', 'eu.euro-rates', 38, 2)",
    "exchange(5, {}, 'EUR', 'eu.euro-rates', 4, 2)", "to_wgs84({}, 40.5, 'BD-09')", "to_wgs84(109.8, {}, 'GCJ-02').longitude",
    *[f"CAST({{}} AS {kind})" for kind in ("INT", "BIGINT", "DOUBLE", "TEXT", "BOOLEAN", "DATE")],
]  # fmt: skip
TWO = [
    "coalesce({}, {})", "nullif({}, {})", "cn_sex({}, {})", "division_code({}, {})", "to_wgs84({}, {}, 'BD-09')",
]  # fmt: skip
PAIRS = [f"({{}} {op} {{}})" for op in ("+", "-", "*", "/", "%", "=", "<", ">=", "AND", "OR", "||")]


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(str.format, st.sampled_from(SHAPES), inner),
        st.builds(str.format, st.sampled_from([*PAIRS, *TWO]), inner, inner),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, inner, inner, inner),
    )


EXPRESSIONS = st.recursive(LEAVES, _grow, max_leaves=4)
ROWS = st.lists(
    st.fixed_dictionaries({n: st.sampled_from(v) for n, (_kind, v) in COLUMNS.items()}), min_size=1, max_size=5
)


def program(expression: str) -> Program | None:
    """The expression as the one field of a target of its own type, or None where it is refused when saved."""
    source = pa.schema(list(TYPES.items()))
    try:
        kind = Typed(TYPES, CODES).check(parse_expression(expression, TYPES))
    except ExpressionInvalid:
        return None
    return compile_program(MappingSpec(fields={"v": expression}), source, pa.schema([("v", kind)]), CODES)


def outcome(compiled: Program, batch: pa.RecordBatch) -> list[Any]:
    mapped = compiled.apply(batch)
    mapped.records.validate(full=True)
    found: dict[int, Any] = {f.row: f.reason for f in mapped.failures}
    for row, scalar in zip(mapped.rows.tolist(), mapped.records.column("v"), strict=True):
        assert row not in found
        found[row] = scalar.is_valid and str(scalar.cast(pa.string()) if pa.types.is_timestamp(scalar.type) else scalar)
    return [found[row] for row in range(batch.num_rows)]


@settings(max_examples=1000, deadline=None)
@given(EXPRESSIONS, ROWS)
def test_R11_no_row_raises_and_a_batch_is_its_rows(expression: str, rows: list[dict[str, Any]]) -> None:
    compiled = program(expression)
    if compiled is None:
        return
    batch = pa.record_batch([pa.array([r[n] for r in rows], kind) for n, kind in TYPES.items()], names=list(TYPES))
    alone = [outcome(compiled, batch.slice(i, 1))[0] for i in range(len(rows))]
    assert outcome(compiled, batch) == alone
    assert compiled.apply(batch.slice(0, 0)).records.num_rows == 0


@pytest.mark.parametrize(
    ("expression", "column", "value", "expected"),
    [
        ("to_int(c)", pa.string(), "9" * 5000, "OUT_OF_RANGE"),
        ("to_int(c)", pa.string(), "0" * 5000 + "7", 7),
        ("to_int(c)", pa.string(), "-2147483648", -(2**31)),
        ("to_int(c)", pa.string(), "2147483648", "OUT_OF_RANGE"),
        ("to_long(c)", pa.string(), "-9223372036854775808", -BIG - 1),
        ("to_long(c)", pa.string(), "-9223372036854775809", "OUT_OF_RANGE"),
        ("to_decimal(c, 2, 2)", pa.string(), "5.5", "OUT_OF_RANGE"),
        ("to_decimal(c, 2, 2)", pa.string(), "0.55", Decimal("0.55")),
        ("c > 1.5", pa.int64(), 2**53 + 1, "WOULD_ROUND"),
        ("c / 2", pa.int64(), BIG, "WOULD_ROUND"),
        ("abs(c)", pa.int64(), BIG, "WOULD_ROUND"),
        ("-c", pa.int32(), -(2**31), "OUT_OF_RANGE"),
        ("-c", pa.int64(), -BIG - 1, "OUT_OF_RANGE"),
        ("c % -1", pa.int64(), -BIG - 1, 0),
        ("c % 3", pa.int64(), -BIG - 1, -2),
        ("c % 2", pa.float64(), -3.5, -1.5),
        ("c * c", pa.int64(), 2**40, "OUT_OF_RANGE"),
        ("c + c", pa.decimal128(38, 0), Decimal("9" * 38), "OUT_OF_RANGE"),
        ("c - c", pa.decimal128(38, 0), Decimal("9" * 38), Decimal(0)),
        ("c * c", pa.decimal128(38, 0), Decimal("9" * 38), "OUT_OF_RANGE"),
        ("CAST(c AS INT)", pa.decimal128(10, 2), Decimal("1.25"), "WOULD_ROUND"),
        ("CAST(c AS TEXT)", pa.binary(), b"\xff", "OUT_OF_RANGE"),
        ("c IN (9223372036854775807)", pa.float64(), 1e18, False),
        ("start_of_day(c, 'Europe/Rome')", pa.date32(), DAWN.date(), "OUT_OF_RANGE"),
        ("to_timestamp(c, '%Y-%m-%d %H:%M', 'Europe/Rome')", pa.string(), "0001-01-01 00:00", "BAD_TIMESTAMP"),
        ("replace('x', 'x', 'y')", pa.string(), None, "y"),
    ],
)
def test_R11_odd_cells_have_a_reason(expression: str, column: pa.DataType, value: Any, expected: Any) -> None:
    kind = Typed({"c": column}, CODES).check(parse_expression(expression, ["c"]))
    compiled = compile_program(
        MappingSpec(fields={"v": expression}), pa.schema([("c", column)]), pa.schema([("v", kind)]), CODES
    )
    mapped = compiled.apply(pa.record_batch([pa.array([None, value], column)], names=["c"]))
    found: Any = [f.reason for f in mapped.failures if f.row == 1]
    assert (found or mapped.records.column("v").to_pylist()[-1:]) == [expected]


@pytest.mark.parametrize(
    ("expression", "kind", "target", "reason"),
    [
        ("c", pa.int64(), pa.float64(), "WOULD_ROUND"),
        ("c", pa.float64(), pa.float32(), "OUT_OF_RANGE"),
        ("c", pa.string(), pa.string(), "NULL_REQUIRED"),
    ],
)
def test_R30_a_value_that_its_field_cannot_hold_fails_with_the_path(
    expression: str, kind: pa.DataType, target: pa.DataType, reason: str
) -> None:
    bad = {"WOULD_ROUND": 2**53 + 1, "OUT_OF_RANGE": 1e300, "NULL_REQUIRED": None}[reason]
    inner = pa.struct([pa.field("v", target, nullable=False)])
    compiled = compile_program(
        MappingSpec(fields={"a.v": expression}),
        pa.schema([("c", kind)]),
        pa.schema([pa.field("a", inner, nullable=False)]),
        CODES,
    )
    mapped = compiled.apply(pa.record_batch([pa.array([bad], kind)], names=["c"]))
    assert [(f.row, f.stage, f.reason, f.path) for f in mapped.failures] == [(0, "map", reason, "a.v")]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("replace(s, '', 'q')", "empty"),  # Arrow would fill the memory
        ("split(s, '')", "empty"),
        ("substr(s, 0)", "first character"),
        ("substr(s, 1, -1)", "length"),
        ("substr(s, 1.5)", "first character"),
        ("substr(s, NULL)", "constant"),
        ("starts_with(s, NULL)", "constant"),
        ("matches(s, NULL)", "constant"),
        ("CAST(g AS TEXT)", "cannot be CAST"),
        ("CAST(i AS DATE)", "cannot be CAST"),
        ("CAST(t AS DOUBLE)", "cannot be CAST"),
        ("g = g", "cannot compare"),
        ("g IN (NULL)", "cannot compare"),
        ("d % d", "whole numbers"),
    ],
)
def test_S14_what_no_kernel_can_do_is_refused_when_saved(expression: str, message: str) -> None:
    found = problems(
        MappingSpec(fields={"v": expression}), pa.schema(list(TYPES.items())), pa.schema([("v", pa.string())]), CODES
    )
    assert any(message in p.message for p in found), found


def test_R11_one_bad_row_costs_its_neighbours_nothing() -> None:
    values = [1] * 5000
    values[17] = values[4321] = BIG
    compiled = program("n + 1")
    assert compiled is not None
    rest = {name: pa.nulls(len(values), kind) for name, kind in TYPES.items()}
    mapped = compiled.apply(pa.record_batch({**rest, "n": pa.array(values, pa.int64())}))
    assert [(f.row, f.reason) for f in mapped.failures] == [(17, "OUT_OF_RANGE"), (4321, "OUT_OF_RANGE")]
    assert set(mapped.records.column("v").to_pylist()) == {2}


def test_R36_an_instant_as_text_and_as_a_date_needs_no_zone_database() -> None:
    source = pa.schema([("m", pa.timestamp("ms", "UTC"))])
    target = pa.schema([("text", pa.string()), ("day", pa.date32())])
    spec = MappingSpec(fields={"text": "CAST(m AS TEXT)", "day": "CAST(m AS DATE)"})
    batch = pa.record_batch([pa.array([DUSK, None], source.field("m").type)], schema=source)
    assert compile_program(spec, source, target, CODES).apply(batch).records.to_pylist() == [
        {"text": "9999-12-31 23:59:00.000Z", "day": DUSK.date()},
        {"text": None, "day": None},
    ]
