"""What `connector new` notices in a sample, and what it must not take for a footer, a list of rows or a delimiter."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from hub.catalogue.noticed import delimiter, envelope, footer
from hub.catalogue.propose import expression, look

FULL, HALF, ONE = ("x", "y", "z", "w"), ("x", "y", None, None), ("x", None, None, None)


def sample(*rows: tuple[str | None, ...]) -> pa.RecordBatch:
    columns = [pa.array(list(cells), pa.string()) for cells in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(columns, ["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([FULL] * 5 + [ONE], (1, "b")),
        ([FULL] * 5 + [HALF, ONE, ONE], (3, "c")),
        ([FULL] * 5 + [("Totale Italia", None, "9", "9"), ONE], (2, "b")),
        ([FULL] * 5 + [(None, "合计", "9", "9")], (1, "a")),
        ([FULL] * 5 + [("Total", "y", "9", "9")], None),  # nothing tells it from the others
        ([FULL] * 5 + [("Totana", None, "9", "9")], None),  # a town
        ([FULL] * 5 + [ONE, FULL], None),  # in the middle it may be a heading
        ([FULL, ("x", None, "z", "w")] * 3 + [ONE], (1, "c")),
        ([("x", "y", None, "w"), ("x", None, "z", None), ("x", "y", "z", None)] * 3 + [ONE], (1, "")),
        ([FULL, ONE, ONE], None),  # as many as half: who knows which are the rows
        ([FULL] * 40 + [ONE] * 11, None),  # too many for a footer
        ([ONE] * 5, None),
        ([FULL] * 5, None),
    ],
)
def test_a_footer_is_what_is_nearly_blank_at_the_end(
    rows: list[tuple[str | None, ...]], found: tuple[int, str] | None
) -> None:
    last = footer(sample(*rows))
    assert (None if last is None else (last.rows, last.column)) == found


def test_a_sample_without_rows_or_columns_has_no_footer() -> None:
    assert footer(pa.RecordBatch.from_arrays([], schema=pa.schema([]))) is None
    assert footer(sample(FULL).slice(1)) is None


def page(**members: Any) -> pa.RecordBatch:
    cells = {n: v if isinstance(v, str) or v is None else json.dumps(v) for n, v in members.items()}
    return pa.RecordBatch.from_pylist([cells], schema=pa.schema([(n, pa.string()) for n in cells]))


ROWS = [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("members", "items", "paging", "noted"),
    [
        ({"data": ROWS}, "data", {}, 1),
        ({"data.rows": ROWS, "links.next": "/s?page=2"}, "data.rows", {"by": "next_url", "at": "links.next"}, 2),
        ({"value": ROWS, "@odata.nextLink": "https://x.example/s?skip=2"}, "value",
         {"by": "next_url", "at": "@odata.nextLink"}, 2),
        ({"rows": ROWS, "next": None, "total": 2}, "rows", {}, 1),  # all are here
        ({"rows": ROWS, "meta.next_cursor": "abc"}, "rows", {}, 2),  # a mark, whose parameter is not known
        ({"rows": ROWS, "totalElements": 3}, "rows", {}, 2),
        ({"r.rows": ROWS, "r.totale": "57", "r.offset": "0", "r.limit": "2"}, "r.rows", {}, 2),
    ],
)  # fmt: skip
def test_rows_within_a_document_and_what_follows_it(
    members: dict[str, Any], items: str, paging: dict[str, str], noted: int
) -> None:
    found = envelope(page(**members))
    assert found is not None
    assert (found.items, found.paging, len(found.notes)) == (items, paging, noted)


@pytest.mark.parametrize("members", [{"a": "1"}, {"a": [1, 2]}, {"a": "[{not json"}, {"a": []}, {"a": None}])
def test_a_document_without_a_list_of_objects_is_one_row(members: dict[str, Any]) -> None:
    assert envelope(page(**members)) is None


def test_an_answer_that_repeats_what_it_was_asked_for_tells_how_to_go_on() -> None:
    found = envelope(page(**{"r.rows": ROWS, "r.totale": "57", "r.offset": "0", "r.limit": "2"}))
    assert found is not None
    assert "paging: {by: offset, parameter: offset, first: 0, size: 2, size_parameter: limit}" in found.notes[-1]


def test_rows_that_hold_lists_are_rows() -> None:
    one = page(id="1", parts=ROWS)
    assert envelope(pa.Table.from_batches([one, one]).combine_chunks().to_batches()[0]) is None


@pytest.mark.parametrize(
    ("names", "mark"), [(["a;b"], ";"), (["a\tb"], "\t"), (["a|b;c"], ";"), (["a"], ""), (["a;b", "c"], "")]
)
def test_a_header_of_one_column_may_be_cut_wrongly(names: list[str], mark: str) -> None:
    assert delimiter(names) == mark


@pytest.mark.parametrize(
    ("values", "made", "noted"),
    [
        (["2026-01-01T10:00:00Z", "2026-01-01T10:00:00.5+01:00"], "parse_timestamp(a, 'UTC')", False),
        (["2026-01-01T10:00:00", "2026-01-02T10:00:00"], "to_timestamp(a, '%Y-%m-%dT%H:%M:%S', 'UTC')", True),
        (["12:00+01:00", "13:00+01:00"], "trim(a)", False),
        (["1", "2", "3", "4", "5", "6", "7", "8", "9", "<=3"], "trim(a)", True),
        (["1", "2", "3", "x"], "trim(a)", False),
        (["true", "false", "true"], "CAST(a AS BOOLEAN)", False),
        (["true", "yes"], "trim(a)", False),
    ],
)
def test_times_with_an_offset_and_columns_that_are_numbers_but_for_a_few(
    values: list[str], made: str, noted: bool
) -> None:
    (column,) = look(pa.RecordBatch.from_arrays([pa.array(values)], ["a"]))
    assert (expression(column), bool(column.note)) == (made, noted)
