"""The mapping language: every function's examples, failures as SQL would meet them, and what is refused when saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from hub.errors import ConfigurationInvalid, ExpressionInvalid
from hub.mapping.codelists import Code, CodeList, CodeLists
from hub.mapping.evaluate import Evaluation
from hub.mapping.functions import TABLE, Fails
from hub.mapping.language import parse_expression
from hub.mapping.program import MappingSpec, compile_filter, compile_program, problems
from hub.mapping.typing import Typed
from hub.mapping.values import REASONS
from tests.mapping.reference import MISTAKES, REFERENCE

CODES = CodeLists.of(
    CodeList(
        name="example.istat",
        version="1",
        codes=[
            Code(code="009001", name="Alassio", to={"example.cadastral": "A145"}),
            Code(code="040012", name="Forlì", to={"example.cadastral": "D704"}),
            Code(code="000009", name="Old Town", valid_to="1999-01-01", to={"example.cadastral": "Z999"}),
        ],
    ),
    CodeList(name="example.twin", version="1", codes=[Code(code="1", name="Same"), Code(code="2", name="SAME")]),
)
WITH_EXAMPLES = replace(REFERENCE, lists={**REFERENCE.lists, **CODES.lists})
EXAMPLES = [(f.name, e, r) for f in TABLE.values() for e, r in f.examples]


def evaluate(expression: str, codes: CodeLists = CODES, /, **columns: list[Any]) -> tuple[list[Any], list[str]]:
    """Values and reasons, row by row."""
    arrays = {name: pa.array(values) for name, values in columns.items()} or {"x": pa.array(["x"])}
    typed = Typed({name: a.type for name, a in arrays.items()}, codes)
    node = parse_expression(expression, arrays)
    typed.check(node)
    rows = len(next(iter(arrays.values())))
    value = Evaluation(typed, arrays, rows).value(node)
    failed = [""] * rows if value.failed is None else [REASONS[c] for c in value.failed]
    return value.column.to_pylist(), failed


@pytest.mark.parametrize(("function", "expression", "expected"), EXAMPLES)
def test_an_example_of_the_reference_is_true(function: str, expression: str, expected: Any) -> None:
    values, failed = evaluate(expression, WITH_EXAMPLES)
    if isinstance(expected, Fails):
        assert failed == [expected.reason], function
    else:
        assert (values, failed) == ([expected], [""]), function


def test_the_shipped_code_lists_are_sound() -> None:
    assert MISTAKES == []


def test_every_function_has_an_example_and_a_sentence() -> None:
    for function in TABLE.values():
        assert function.examples, function.name
        assert function.doc.endswith("."), function.name


BAD = "to_int(a)"  # fails for 'x'


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"b = 'n' AND {BAD} = 1", [(False, ""), (False, "")]),
        (f"b = 'y' OR {BAD} = 1", [(True, ""), (None, "BAD_NUMBER")]),
        (f"{BAD} = 1 AND b = 'n'", [(None, "BAD_NUMBER")] * 2),
        (f"CASE WHEN b = 'y' THEN 1 ELSE {BAD} END", [(1, ""), (None, "BAD_NUMBER")]),
        (f"coalesce(c, {BAD})", [(7, ""), (None, "BAD_NUMBER")]),
        (f"coalesce({BAD}, 3)", [(None, "BAD_NUMBER")] * 2),
        (f"coalesce(try({BAD}), 3)", [(3, "")] * 2),
        (f"try({BAD})", [(None, "")] * 2),
    ],
)
def test_R10_a_failure_counts_only_where_SQL_evaluates(expression: str, expected: list[tuple[Any, str]]) -> None:
    columns = {"a": ["x", "x"], "b": ["y", "z"], "c": pa.array([7, None], pa.int32()).to_pylist()}
    if expression.startswith("b = 'n' AND"):
        columns["b"] = ["y", "z"]
    values, failed = evaluate(expression, **columns)
    assert list(zip(values, failed, strict=True)) == expected


@pytest.mark.parametrize(
    ("expression", "value", "reason"),
    [
        ("a + 1", 2**63 - 1, "OUT_OF_RANGE"),
        ("a / 0", 5, "DIVISION_BY_ZERO"),
        ("a % 0", 5, "DIVISION_BY_ZERO"),
        ("CAST(a AS INT)", 2**40, "OUT_OF_RANGE"),
        ("CAST(b AS INT)", 2.5, "WOULD_ROUND"),
        ("to_decimal(c, 5, 1)", "1.25", "WOULD_ROUND"),
        ("to_decimal(c, 4, 1)", "12345.0", "OUT_OF_RANGE"),
        ("to_double(c)", "1e400", "OUT_OF_RANGE"),
        ("to_double(c)", "NaN", "BAD_NUMBER"),
        ("to_long(c)", "9223372036854775808", "OUT_OF_RANGE"),
        ("to_date(c, '%Y-%m-%d')", "2023-02-29", "BAD_DATE"),
        ("to_date(c, '%Y-%m-%d')", "0000-01-01", "BAD_DATE"),
        ("to_timestamp(c, '%Y-%m-%d %H:%M', 'Europe/Rome')", "2023-03-26 02:30", "NONEXISTENT_TIME"),
        ("to_timestamp(c, '%Y-%m-%d %H:%M', 'Europe/Rome')", "2023-10-29 02:30", "AMBIGUOUS_TIME"),
        ("code(c, 'example.cadastral', 'example.istat')", "Q", "UNKNOWN_CODE"),
        ("code(c, 'example.twin.name', 'example.twin')", "same", "AMBIGUOUS_NAME"),
    ],
)
def test_R11_bad_rows_never_reach_a_kernel_that_raises_or_wraps(expression: str, value: Any, reason: str) -> None:
    name = {int: "a", float: "b", str: "c"}[type(value)]
    good = {"a": 1, "b": 1.0, "c": None}[name]
    values, failed = evaluate(expression, **{name: [value, good]})
    assert failed[0] == reason
    assert values[0] is None
    if expression[-1] != "0":
        assert failed[1] == ""


def test_R14_a_retired_code_is_a_warning() -> None:
    program = compile_program(
        MappingSpec(fields={"v": "code(c, 'example.istat', 'example.istat.name')"}),
        pa.schema([("c", pa.string())]),
        pa.schema([("v", pa.string())]),
        CODES,
    )
    mapped = program.apply(pa.record_batch({"c": ["000009", "009001"]}))
    assert mapped.records.num_rows == 2
    assert mapped.warnings == {"RETIRED_CODE": 1}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("uper(a)", "did you mean `upper`"),
        ("A", "did you mean `a`"),
        ("(SELECT 1)", "not part of the language"),
        ("a; DROP TABLE x", "several statements"),
        ("current_date", "no column"),
        ("matches(a, '(x)\\1')", "RE2"),
        ("matches(a, '(?=x)')", "RE2"),
        ("to_date(a, '%Q')", "%Q is not known"),
        ("to_timestamp(a, '%Y-%m-%d %H:%M', 'Mars/Base')", "no time zone"),
        ("trim(a, a)", "other arguments"),
        ("a + 1", "numbers"),
        ("upper(", "not an expression"),
        ("a" + " || a" * 700, "2,000 characters"),
        ("(" * 100 + "a" + ")" * 100, "levels deep"),
        ("trim(" * 40 + "a" + ")" * 40, "expression"),
        ("code(a, 'nothing', 'example.istat')", "no code list"),
    ],
)
def test_S14_what_is_not_in_the_language_is_refused_when_saved(expression: str, message: str) -> None:
    spec = MappingSpec(fields={"v": expression})
    found = problems(spec, pa.schema([("a", pa.string())]), pa.schema([("v", pa.string())]), CODES)
    assert len(found) == 1
    assert message in str(found[0])


def test_R12_every_mistake_at_once() -> None:
    spec = MappingSpec(
        fields={"v": "nope", "w": "to_int(a, 'odd')", "zz": "a", "n": "a"},
        where="a",
        checks={"one": "missing > 1", "two": "v"},
    )
    target = pa.schema(
        [
            pa.field("v", pa.string()),
            pa.field("w", pa.int32()),
            pa.field("n", pa.int32()),
            pa.field("need", pa.string(), nullable=False),
        ]
    )
    paths = {p.path for p in problems(spec, pa.schema([("a", pa.string())]), target, CODES)}
    assert paths == {
        "fields.v",
        "fields.w",
        "fields.zz",
        "fields.n",
        "fields.need",
        "where",
        "checks.one",
        "checks.two",
    }


def test_R13_an_optional_column_that_is_missing_is_null() -> None:
    spec = MappingSpec(fields={"v": "coalesce(b, a)"}, optional=("b",))
    program = compile_program(spec, pa.schema([("a", pa.string())]), pa.schema([("v", pa.string())]), CODES)
    assert program.apply(pa.record_batch({"a": ["x"]})).records.to_pylist() == [{"v": "x"}]


def test_R11_messages_hold_no_cell() -> None:
    canary = "canary-8841"
    with pytest.raises(ConfigurationInvalid) as refused:
        compile_program(
            MappingSpec(fields={"v": "to_int(a) + 'x'"}),
            pa.schema([("a", pa.string())]),
            pa.schema([("v", pa.int32())]),
            CODES,
        )
    assert canary not in str(refused.value)
    _values, failed = evaluate("to_int(a)", a=[canary])
    assert failed == ["BAD_NUMBER"]


def test_R10_a_filter_lets_null_and_failures_not_pass() -> None:
    schema = pa.schema([("region", pa.string()), ("n", pa.string())])
    batch = pa.record_batch({"region": ["03", None, "04"], "n": ["1", "1", "x"]}, schema=schema)
    assert compile_filter("region = '03'", schema).apply(batch).to_pylist() == [True, False, False]
    assert compile_filter("to_int(n) = 1", schema).apply(batch).to_pylist() == [True, True, False]
    with pytest.raises(ExpressionInvalid):
        compile_filter("region", schema)


EXPRESSIONS = [
    "to_int(a)",
    "coalesce(try(to_int(a)), length(b))",
    "CASE WHEN b = 'x' THEN to_int(a) WHEN b IS NULL THEN 0 ELSE length(b) END",
    "to_int(a) > 3 AND b <> 'x' OR a IS NULL",
    "nullif(trim(a), '') || upper(b)",
    "to_decimal(a, 6, 2)",
    "b IN ('x', 'y', NULL)",
    "a LIKE '1%'",
    "split(b, ' ')",
    "to_int(a) * 7 - 2",
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(EXPRESSIONS),
    st.lists(
        st.tuples(
            st.sampled_from(["1", "12", " 3", "x", "", None, "99999999999", "1.5"]),
            st.sampled_from(["x", "y z", "", None]),
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_a_batch_gives_what_each_row_gives_alone(expression: str, rows: list[tuple[Any, Any]]) -> None:
    def both(part: list[tuple[Any, Any]]) -> list[tuple[Any, str]]:
        columns = {"a": pa.array([r[0] for r in part], pa.string()), "b": pa.array([r[1] for r in part], pa.string())}
        typed = Typed({n: c.type for n, c in columns.items()}, CODES)
        node = parse_expression(expression, columns)
        typed.check(node)
        value = Evaluation(typed, columns, len(part)).value(node)
        failed = [""] * len(part) if value.failed is None else [REASONS[c] for c in value.failed]
        values = [None if f else v for v, f in zip(value.column.to_pylist(), failed, strict=True)]
        return list(zip(values, failed, strict=True))

    assert both(rows) == [both([row])[0] for row in rows]
