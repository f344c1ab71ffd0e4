"""A whole mapping over a batch: where every row goes, and why (R10–R13, R30)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hub.mapping.codelists import CodeLists
from hub.mapping.program import Mapped, MappingSpec, compile_program

SOURCE = pa.schema([("id", pa.string()), ("n", pa.string()), ("kind", pa.string()), ("Totale alunni", pa.string())])
ADDRESS = pa.struct([pa.field("street", pa.string()), pa.field("number", pa.int32())])
TARGET = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("address", ADDRESS),
        pa.field("total", pa.int64()),
    ]
)
FIELDS = {
    "total": "to_long(column('Totale alunni'))",  # written first, but the target's order decides
    "id": "trim(id)",
    "count": "to_int(n)",
    "kind": "kind",
    "address.number": "nullif(to_int(n), 0)",
}


def run(rows: list[tuple[Any, ...]], keep: tuple[str, ...] = (), **more: Any) -> Mapped:
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(SOURCE))]
    spec = MappingSpec(fields=FIELDS, **more)
    symbols = {"kind": ["A", "B"]}
    program = compile_program(spec, SOURCE, TARGET, CodeLists(), symbols)
    assert program.columns == set(SOURCE.names)
    return program.apply(pa.record_batch(columns, schema=SOURCE), keep)


def reasons(mapped: Mapped) -> list[tuple[int, str, str, str]]:
    return [(f.row, f.stage, f.reason, f.path) for f in mapped.failures]


def test_every_row_is_a_record_a_failure_or_filtered() -> None:
    rows = [
        ("a", "1", "A", "5"),
        ("b", "x", "A", "5"),
        ("c", "0", None, None),
        ("d", "2", "Z", "1"),
        (None, "3", "B", "1"),
    ]
    mapped = run(rows, keep=("id", "count"))
    assert mapped.records.to_pylist() == [
        {"id": "a", "count": 1, "kind": "A", "address": {"street": None, "number": 1}, "total": 5},
        {"id": "c", "count": 0, "kind": None, "address": None, "total": None},
    ]
    assert mapped.rows.tolist() == [0, 2]
    assert mapped.rows.dtype == np.int64
    assert reasons(mapped) == [
        (1, "map", "BAD_NUMBER", "count"),
        (3, "map", "UNKNOWN_SYMBOL", "kind"),
        (4, "map", "NULL_REQUIRED", "id"),
    ]
    assert mapped.kept is not None
    assert mapped.kept.to_pylist() == [{"id": "b", "count": None}, {"id": "d", "count": 2}, {"id": None, "count": 3}]
    assert mapped.records.schema == TARGET


def test_the_first_failure_in_the_order_of_the_schema_counts() -> None:
    assert reasons(run([(None, "x", "Z", "x")])) == [(0, "map", "NULL_REQUIRED", "id")]
    assert reasons(run([("a", "x", "Z", "x")])) == [(0, "map", "BAD_NUMBER", "count")]
    assert reasons(run([("a", "1", "A", "x")])) == [(0, "map", "BAD_NUMBER", "total")]


def test_R10_where_filters_null_and_false_and_rejects_failures() -> None:
    rows = [("a", "1", "A", None), ("b", "1", None, None), ("c", "1", "B", None), ("d", "x", "A", None)]
    mapped = run(rows, keep=("id",), where="kind = 'A' AND to_int(n) = 1")
    assert mapped.rows.tolist() == [0]
    assert mapped.filtered.tolist() == [1, 2]
    assert reasons(mapped) == [(3, "where", "BAD_NUMBER", "where")]
    assert mapped.kept is not None
    assert mapped.kept.to_pylist() == [{"id": "d"}]


def test_R10_only_false_breaks_a_check_and_checks_see_target_fields() -> None:
    rows = [("a", "1", "A", None), ("b", "0", "A", None), ("c", "7", "A", None)]
    mapped = run(rows, checks={"small": "address.number < 5", "short": "length(id) = 1"})
    assert mapped.rows.tolist() == [0, 1]  # the second is NULL < 5
    assert reasons(mapped) == [(2, "check", "CHECK_FAILED", "small")]


def test_R10_a_check_that_fails_rejects_with_its_reason() -> None:
    mapped = run([("a", "1", "A", None), ("7", "1", "A", None)], checks={"number": "to_int(id) > 0"})
    assert reasons(mapped) == [(0, "check", "BAD_NUMBER", "number")]


def test_rows_keep_their_number_when_where_leaves_some_out() -> None:
    rows = [("a", "1", "B", None), ("b", "x", "A", None), ("c", "1", "B", None), ("d", "4", "A", None)]
    mapped = run(rows, where="kind = 'A'", checks={"small": "count < 4"})
    assert mapped.filtered.tolist() == [0, 2]
    assert reasons(mapped) == [(1, "map", "BAD_NUMBER", "count"), (3, "check", "CHECK_FAILED", "small")]


@pytest.mark.parametrize("more", [{}, {"where": "kind = 'A'"}, {"checks": {"c": "count > 0"}}])
def test_an_empty_batch_is_an_empty_batch(more: dict[str, Any]) -> None:
    mapped = run([], keep=("id",), **more)
    assert (mapped.records.num_rows, reasons(mapped), mapped.filtered.tolist()) == (0, [], [])
    assert mapped.kept is None


def test_R11_no_answer_of_a_run_quotes_a_cell() -> None:
    canary = "canary-90210"
    mapped = run([(canary, canary, canary, canary)], checks={"c": "to_int(id) > 0"})
    assert canary not in repr(mapped.failures) + repr(mapped.warnings)
