"""Objects → columns of text: nested ones by dotted names, arrays as JSON text, numbers as they are written (S24)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

ROWS_AT_ONCE = 10_000
BYTES_AT_ONCE = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_MEMBERS = 2_000
Row = dict[str, str | None]


class Bad(ValueError):
    """What is no row; the argument is the reason."""


class Number(str):
    """A number as it is written: 17 digits, 1e400 or a trailing zero are the mapping's to judge."""


def parse(text: str) -> Any:
    """A JSON document whose numbers keep their spelling. Raises Bad: BAD_JSON, TOO_DEEP, DUPLICATE_MEMBER, NOT_A_NUMBER."""
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_float=Number, parse_int=Number, parse_constant=_no_constant
        )
    except Bad:
        raise
    except (ValueError, RecursionError) as error:
        raise Bad("TOO_DEEP" if isinstance(error, RecursionError) else "BAD_JSON") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Bad("DUPLICATE_MEMBER")
    return found


def _no_constant(_text: str) -> Any:
    raise Bad("NOT_A_NUMBER")


def flatten(data: dict[str, Any]) -> Row:
    """One object as a row. Raises Bad: TOO_DEEP, TOO_LARGE, BAD_ENCODING."""
    row: Row = {}
    _flatten(data, "", row, 0)
    return row


def _flatten(data: dict[str, Any], prefix: str, row: Row, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Bad("TOO_DEEP")
    for name, value in data.items():
        path = prefix + name
        if len(row) >= MAX_MEMBERS:
            raise Bad("TOO_LARGE")
        if isinstance(value, dict):
            _flatten(value, f"{path}.", row, depth + 1)
        elif value is None or isinstance(value, str):
            row[path] = _surrogate_free(value)
        else:
            row[path] = _surrogate_free(_text(value, depth))


def _text(value: Any, depth: int) -> str:
    """As JSON; a number keeps its spelling."""
    if depth > MAX_DEPTH:
        raise Bad("TOO_DEEP")
    if isinstance(value, Number):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(_text(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        members = (f"{json.dumps(n, ensure_ascii=False)}: {_text(v, depth + 1)}" for n, v in value.items())
        return "{" + ", ".join(members) + "}"
    return json.dumps(value, ensure_ascii=False)


def _surrogate_free(value: str | None) -> str | None:
    try:
        return None if value is None else str(value.encode(), "utf-8")
    except UnicodeEncodeError as error:
        raise Bad("BAD_ENCODING") from error


def add_names(names: list[str], rows: Sequence[Row]) -> None:
    """Columns in the order in which they are met; at most 2,000."""
    known = set(names)
    for row in rows:
        if not known.issuperset(row):
            fresh = [n for n in row if n not in known]
            names += fresh
            known.update(fresh)
    del names[MAX_MEMBERS:]


def record_batch(rows: Sequence[Row], wanted: frozenset[str] | None) -> pa.RecordBatch:
    """Rows of a source that is pushed to. A wanted column that no row has is NULL: no sender can stop a connector (R13)."""
    names: list[str] = []
    if wanted is None:
        add_names(names, rows)
    else:
        names += sorted(wanted)
    if names:
        return pa.RecordBatch.from_arrays(columns_of(rows, names), names)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))


def kept(names: Sequence[str], wanted: frozenset[str] | None) -> list[int]:
    """Places of the columns that are wanted."""
    return [i for i, n in enumerate(names) if wanted is None or n in wanted]


def columns_of(rows: Sequence[Row], names: Sequence[str]) -> list[pa.Array]:
    """A column of text for each name; NULL where a row has no such member."""
    return [pa.array([row.get(name) for row in rows], pa.string()) for name in names]
