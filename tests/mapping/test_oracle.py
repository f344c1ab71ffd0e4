"""The same expressions, evaluated by SQLite: whatever parses must mean what it means in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from hub.errors import ExpressionInvalid
from hub.mapping.codelists import CodeLists
from hub.mapping.evaluate import Evaluation
from hub.mapping.language import parse_expression
from hub.mapping.program import compile_filter
from hub.mapping.typing import Typed

ROWS = [(a, b, s) for a in (None, -3, 0, 2) for b in (None, 0, 2) for s in (None, "", "ab", "xb")]
SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("s", pa.string())])
BATCH = pa.record_batch([pa.array(list(column)) for column in zip(*ROWS, strict=True)], schema=SCHEMA)

NUMBERS: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["a", "b", "0", "2", "-3", "NULL"]),
        st.builds("({} {} {})".format, NUMBERS, st.sampled_from(["+", "-", "*"]), NUMBERS),
        st.builds("coalesce({}, {})".format, NUMBERS, NUMBERS),
        st.builds("nullif({}, {})".format, NUMBERS, NUMBERS),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, CONDITIONS, NUMBERS, NUMBERS),
        st.builds("CASE {} WHEN {} THEN {} END".format, NUMBERS, NUMBERS, NUMBERS),
    )
)
CONDITIONS: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="]), NUMBERS),
        st.builds("({} {} {})".format, CONDITIONS, st.sampled_from(["AND", "OR"]), CONDITIONS),
        st.builds("NOT ({})".format, CONDITIONS),
        st.builds("{} {}".format, NUMBERS, st.sampled_from(["IS NULL", "IS NOT NULL", "ISNULL", "NOTNULL"])),
        st.builds("s {}".format, st.sampled_from(["IS NULL", "IS NOT NULL", "= ''", "<> 'ab'"])),
        st.builds("s {}LIKE {}".format, st.sampled_from(["", "NOT "]), st.sampled_from(["'%b'", "'_b'", "''", "'x%'"])),
        st.builds(
            "{} {}IN ({})".format, NUMBERS, st.sampled_from(["", "NOT "]), st.sampled_from(["0", "0, 2", "2, NULL"])
        ),
        st.builds("{} {}BETWEEN {} AND {}".format, NUMBERS, st.sampled_from(["", "NOT "]), NUMBERS, NUMBERS),
    )
)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = ON")
    connection.execute("CREATE TABLE t (a INTEGER, b INTEGER, s TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    yield connection
    connection.close()


def by_columns(expression: str) -> list[Any]:
    typed = Typed({f.name: f.type for f in SCHEMA}, CodeLists())
    node = parse_expression(expression, SCHEMA.names)
    typed.check(node)
    columns = {name: BATCH.column(name) for name in SCHEMA.names}
    value = Evaluation(typed, columns, BATCH.num_rows).value(node)
    assert value.failed is None
    return [int(v) if isinstance(v, bool) else v for v in value.column.to_pylist()]


@settings(max_examples=80, deadline=None)
@given(expression=st.one_of(CONDITIONS, NUMBERS))
def test_an_expression_means_what_it_means_in_sql(database: sqlite3.Connection, expression: str) -> None:
    try:
        ours = by_columns(expression)
    except ExpressionInvalid:
        return  # over the depth limit, or a bare NULL negated: refusing is fine, another answer is not
    assert ours == [row[0] for row in database.execute(f"SELECT {expression} FROM t ORDER BY rowid")]


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("consent IS NOT NULL", [True, False, True]),
        ("consent NOTNULL", [True, False, True]),
        ("consent IS NULL", [False, True, False]),
        ("region NOT LIKE 'X%'", [True, False, False]),
        ("region LIKE 'X%'", [False, True, False]),
        ("region NOT IN ('03')", [False, True, False]),
        ("length(region) NOT BETWEEN 1 AND 9", [False, False, False]),
    ],
)
def test_R10_a_row_filter_never_delivers_what_it_negates(expression: str, passes: list[bool]) -> None:
    schema = pa.schema([("consent", pa.string()), ("region", pa.string())])
    batch = pa.record_batch({"consent": ["yes", None, "no"], "region": ["03", "X9", None]}, schema=schema)
    assert compile_filter(expression, schema).apply(batch).to_pylist() == passes


@pytest.mark.parametrize(
    "expression",
    [
        "a BETWEEN SYMMETRIC 2 AND 0",
        "s NOT ILIKE 'x'",
        "s LIKE 'x' ESCAPE '!'",
        "CAST(s AS INT DEFAULT 1 ON CONVERSION ERROR)",
        "a IS NOT DISTINCT FROM b",
        "a IN (SELECT 1)",
        "upper(DISTINCT s)",
        "s[1]",
        "a" + "[1]" * 600,
        "a > 1e999",
    ],
)
def test_S14_a_flag_that_is_not_read_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionInvalid):
        parse_expression(expression, SCHEMA.names)
