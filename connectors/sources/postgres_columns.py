"""PostgreSQL's types as Arrow columns: what each is read as, and which values cost their row (F12).

    boolean; smallint, integer, bigint     as they are; oid becomes int64
    real, double precision                 as they are, NaN and infinities included
    numeric(p, s), p <= 38, 0 <= s <= p    decimal128(p, s); NaN costs the row
    other numeric                          text, exact: the driver has no type for it and a double would round
    date, timestamp, timestamptz           date32, timestamp[us], timestamp[us, UTC]; infinity, years before 1 and after
                                           9999 cost the row
    time                                   time64[us]; 24:00 costs the row
    text, varchar                          text
    char(n)                                text without its padding
    bytea                                  binary
    arrays of int, real, boolean, text     lists; of more than one dimension they cost the row
    other arrays                           lists of text
    uuid, json, jsonb, enums, intervals (ISO 8601), money, timetz, xml, inet, ranges, records, anything else
                                           text, as `::text` writes it

A cell of more than 1 MiB costs its row. It is left on the server, and looked for only where the table has large cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hub.model import ReadFailure

MAX_CELL = 1024 * 1024  # bytes
RAW = 1000  # characters of each cell of a failed row that are kept
MAX_DIGITS = 38
PLAIN = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
LISTS = ("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar")
FIRST, LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
BOUNDS = {
    "date": "{c} NOT BETWEEN date '0001-01-01' AND date '9999-12-31'",
    "timestamp": f"{{c}} NOT BETWEEN timestamp '{FIRST}' AND timestamp '{LAST}'",
    "timestamptz": f"{{c}} NOT BETWEEN timestamptz '{FIRST}+00' AND timestamptz '{LAST}+00'",
    "time": "{c} = time '24:00'",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column as the catalogue has it, domains resolved."""

    name: str
    type: str  # pg_type.typname of its type, or of its elements
    array: bool = False
    modifier: int = -1  # pg_attribute.atttypmod
    readable: bool = True  # the user has SELECT on it

    @property
    def arrow(self) -> pa.DataType:
        """What it is read as."""
        if self.array:
            return pa.list_(PLAIN[self.type] if self.type in LISTS else pa.string())
        if self.type == "oid":
            return pa.int64()
        if self.type == "numeric":
            return self._decimal() or pa.string()
        return PLAIN.get(self.type, pa.string())

    @property
    def quoted(self) -> str:
        """Its name as an identifier."""
        return quote(self.name)

    def expression(self, *, large: bool) -> str:
        """What is selected. `large`: cells over the limit stay on the server."""
        c = self.quoted
        if self.array:
            made = f"({c if self.type in LISTS else f'{c}::text[]'})[:]"  # a slice counts from 1: the driver wants that
        elif self.type == "oid":
            made = f"{c}::bigint"
        else:
            made = c if self.type in PLAIN else f"{c}::text"
        if large and (size := self._size()):
            made = f"CASE WHEN {size} <= {MAX_CELL} THEN {made} END"
        return made if made == c else f"{made} AS {c}"

    def conditions(self, *, large: bool) -> Iterator[tuple[str, str]]:
        """Condition, and the reason with which a row fails that meets it."""
        c = self.quoted
        if self.array:
            yield f"array_ndims({c}) > 1", "TYPE_MISMATCH"
        elif self.type in BOUNDS:
            yield BOUNDS[self.type].format(c=c), "OUT_OF_RANGE"
        elif self.type == "numeric" and self._decimal():
            yield f"{c} = 'NaN'", "OUT_OF_RANGE"
        if large and (size := self._size()):
            yield f"{size} > {MAX_CELL}", "TOO_LARGE"

    def _size(self) -> str:
        if not self.array and self.type in ("text", "varchar", "bytea"):
            return f"octet_length({self.quoted})"
        fixed = self.type in PLAIN or self.type in ("numeric", "oid", "uuid", "interval", "money", "timetz")
        return "" if fixed and not self.array else f"octet_length({self.quoted}::text)"

    def _decimal(self) -> pa.DataType | None:
        if self.modifier < 4:
            return None
        digits, scale = (self.modifier - 4) >> 16 & 0xFFFF, (self.modifier - 4) & 0x7FF
        return pa.decimal128(digits, scale) if digits <= MAX_DIGITS and scale <= digits else None


def quote(name: str) -> str:
    """An identifier that the catalogue knows, as SQL."""
    return '"' + name.replace('"', '""') + '"'


class Projection:
    """The columns that are read, and two more where a value may cost its row: which condition, and the row as text."""

    def __init__(self, columns: Sequence[Column], *, large: bool, verify: bool) -> None:
        self._columns = columns
        self._verify = verify  # text may not be UTF-8
        self._checks = [(c.name, *check) for c in columns for check in c.conditions(large=large)]
        self._large = large
        self.schema = pa.schema([(c.name, c.arrow) for c in columns])

    def select(self) -> str:
        """The select list, at least one expression."""
        made = [c.expression(large=self._large) for c in self._columns]
        if self._checks:
            cases = " ".join(f"WHEN {check} THEN {i}" for i, (_, check, _) in enumerate(self._checks))
            anything = " OR ".join(f"({check})" for _, check, _ in self._checks)
            cells = ", ".join(f"left({c.quoted}::text, {RAW})" for c in self._columns)
            made += [f"CASE {cases} END", f"CASE WHEN {anything} THEN ARRAY[{cells}]::text END"]
        return ", ".join(made) or "1"

    def records(self, batch: pa.RecordBatch, first: int) -> tuple[pa.RecordBatch, np.ndarray, list[ReadFailure]]:
        """Good rows, their numbers from `first` on, and the failures. `batch` begins with the select list's columns."""
        width = len(self._columns)
        failures = self._failed(batch, first) if self._checks else []
        columns = [_storage(batch.column(i)) for i in range(width)]
        if self._verify:
            failures += _undecodable(columns, self.schema.names, first, {f.row for f in failures})
        numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
        if failures:
            numbers = np.setdiff1d(numbers, [f.row for f in failures])
            kept = pa.array(numbers - first)
            columns = [c.take(kept) for c in columns]
        made = [c if c.type == f.type else c.cast(f.type) for c, f in zip(columns, self.schema, strict=True)]
        if not made:  # only how many there are
            made_none = pa.RecordBatch.from_arrays([pa.nulls(len(numbers))], ["none"])
            return made_none.select([]), numbers, failures
        return pa.RecordBatch.from_arrays(made, schema=self.schema), numbers, sorted(failures, key=lambda f: f.row)

    def _failed(self, batch: pa.RecordBatch, first: int) -> list[ReadFailure]:
        width = len(self._columns)
        codes, raws = batch.column(width), batch.column(width + 1)
        if codes.null_count == len(codes):
            return []
        found = []
        for i in np.flatnonzero(codes.is_valid().to_numpy(zero_copy_only=False)).tolist():
            name, _, reason = self._checks[codes[i].as_py()]
            raw = raws[i].cast(pa.binary()).as_py()
            found.append(ReadFailure(row=first + i, reason=reason, raw=raw, path=name))
        return found


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _undecodable(columns: Sequence[pa.Array], names: Sequence[str], first: int, known: set[int]) -> list[ReadFailure]:
    """Rows with text that is not UTF-8: a SQL_ASCII database holds what it was given."""
    found: dict[int, ReadFailure] = {}
    for name, column in zip(names, columns, strict=True):
        texts = column.flatten() if pa.types.is_list(column.type) else column
        if not pa.types.is_string(texts.type) or _valid(texts):
            continue
        for i in range(len(column)):
            cell = column.slice(i, 1)
            texts = cell.flatten() if pa.types.is_list(cell.type) else cell
            if first + i not in known and i not in found and not _valid(texts):
                raw = b"".join(t or b"" for t in texts.cast(pa.binary()).to_pylist())
                found[i] = ReadFailure(row=first + i, reason="BAD_ENCODING", raw=raw, path=name)
    return list(found.values())


def _valid(texts: pa.Array) -> bool:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
