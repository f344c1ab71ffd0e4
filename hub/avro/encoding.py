"""Arrow columns → Avro records, without touching a row (R30).

Each field becomes pieces (hub/ragged.py) whose concatenation is its Avro bytes; all pieces of all fields are joined at once.
A row that the schema does not allow is noted with its path and reason, encoded as something, and left out in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub import blocks, buffers, ragged
from hub.avro.arrow import BOUNDS, arrow_type, union_rows
from hub.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Type, Union
from hub.ragged import Cells, Piece, Same, Slices

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Records in the order of the rows they come from."""

    values: pa.BinaryArray  # header and Avro body of each accepted row
    rejected: Sequence[tuple[int, str, str]]  # row, path, reason
    accepted: Rows | None  # rows, or None for all


def encode(batch: pa.RecordBatch, schema: Record, *, header: bytes = b"", skip: Mask | None = None) -> Encoded:
    """Encode every row of a batch that has the record's columns, by name. Types that fit exactly are cast.

    Rows of `skip` are left out without being looked at."""
    rows = batch.num_rows
    encoder = _Encoder(rows, skip)
    pieces: list[Piece] = [Same(header)]
    for field in schema.fields:
        pieces += encoder.field(field.type, batch.column(field.name), field.name, None)
    values = ragged.join(pieces, rows).column()
    if not encoder.out.any():
        return Encoded(values=values, rejected=[], accepted=None)
    keep = ~encoder.out
    return Encoded(values=values.filter(pa.array(keep)), rejected=encoder.rejected(), accepted=np.flatnonzero(keep))


def encode_valid(columns: Mapping[str, pa.Array], schema: Record, *, header: bytes = b"") -> pa.BinaryArray:
    """At least one column by its field's name, each exactly of its Arrow type and with nothing that the schema does not
    allow, such as decoded ones: nothing is looked at again."""
    rows = len(next(iter(columns.values())))
    encoder = _Encoder(rows, None, trusting=True)
    pieces: list[Piece] = [Same(header)]
    for field in schema.fields:
        pieces += encoder.field(field.type, columns[field.name], field.name, None)
    return ragged.join(pieces, rows).column()


class _Encoder:
    """Makes pieces of columns and notes the rows that have no encoding. `owner` gives the row of each item of a list."""

    def __init__(self, rows: int, skip: Mask | None, *, trusting: bool = False) -> None:
        self.out: Mask = np.zeros(rows, np.bool_) if skip is None else skip.copy()  # rows that are left out
        self._skip, self._trusting = skip, trusting
        self._why: dict[int, tuple[str, str]] = {}

    def rejected(self) -> list[tuple[int, str, str]]:
        """In the order of the rows; a row's first reason counts."""
        return [(row, path, reason) for row, (path, reason) in sorted(self._why.items())]

    def field(self, of: Type, column: pa.Array, path: str, owner: Rows | None) -> list[Piece]:
        """The pieces of one value in every row."""
        if isinstance(column, pa.DictionaryArray):
            column = column.dictionary_decode()
        if isinstance(of, Union):
            inner = of.nullable
            return self._wide(of, column, path) if inner is None else self._nullable(of, inner, column, path, owner)
        if column.null_count and not (isinstance(of, Primitive) and of.name == "null"):
            self._fail(~buffers.valid(column), owner, path, "NULL_REQUIRED")
        return self._value(of, column, path, owner)

    def _fail(self, bad: Mask, owner: Rows | None, path: str, reason: str) -> None:
        """These rows of the column cannot be encoded."""
        rows = np.flatnonzero(bad)
        rows = rows if owner is None else owner[rows]
        if self._skip is not None:
            rows = rows[~self._skip[rows]]
        self.out[rows] = True
        for row in rows.tolist():
            self._why.setdefault(row, (path, reason))

    def _nullable(self, of: Union, inner: Type, column: pa.Array, path: str, owner: Rows | None) -> list[Piece]:
        """The number of the branch, then the value where there is one."""
        null, present = 2 * of.null_index, 2 * (1 - of.null_index)
        pieces = self._value(inner, column, path, owner)
        if not column.null_count:
            return [Same(bytes([present])), *pieces]
        there = buffers.valid(column)
        first, *rest = pieces
        lead = np.where(there, present, null).astype(np.uint8)
        if isinstance(first, Cells):
            return [_led(first, lead, there), *rest]
        return [Cells(lead[:, None]), *pieces]

    def _wide(self, of: Union, column: pa.UnionArray, path: str) -> list[Piece]:
        """Each branch's rows at once, then back in their places. The last branches of the schema may be missing. A mapping
        never makes these, so nobody asks whose item a row is."""
        codes, offsets = union_rows(column)
        starts, sizes, parts, end = np.zeros(len(column), np.int64), np.zeros(len(column), np.int64), [], 0
        for code in range(column.type.num_fields):
            mine = np.flatnonzero(codes == code)
            branch = column.field(code).take(pa.array(offsets[mine]))
            pieces = [Same(blocks.varint(code)), *self.field(of.branches[code], branch, path, mine)]
            made = ragged.join(pieces, len(mine)).slices()
            starts[mine], sizes[mine] = made.starts + end, made.sizes
            parts.append(made.data)
            end += len(made.data)
        return [Slices(np.concatenate(parts), starts, sizes)]

    def _value(self, of: Type, column: pa.Array, path: str, owner: Rows | None) -> list[Piece]:
        """Of any type but a union. Where the column is NULL, only the first piece has bytes, and only in Cells."""
        if isinstance(of, Record | Array | Map):
            return self._nested(of, column, path, owner)
        if isinstance(of, Enum):
            place = pc.index_in(column, _symbols(of.symbols))
            if place.null_count > column.null_count:
                self._fail(buffers.valid(column) & ~buffers.valid(place), owner, path, "UNKNOWN_SYMBOL")
            return [ragged.lengths(np.where(buffers.valid(place), buffers.numbers(place, np.int32), 0))]
        target = arrow_type(of)
        if column.type != target:
            column = self._cast(column, target, path, owner)
        elif pa.types.is_string(target) and not self._trusting and not buffers.is_utf8(column):
            self._fail(~_each_is_utf8(column), owner, path, "BAD_UTF8")
        if isinstance(of, Fixed):
            return _fixed(of, column)
        assert isinstance(of, Primitive)
        if of.logical in BOUNDS and not self._trusting:
            self._bounds(of.logical, column, path, owner)
        return _primitive(of, column)

    def _bounds(self, logical: str, column: pa.Array, path: str, owner: Rows | None) -> None:
        low, high = BOUNDS[logical]
        number = _integers(column)
        if len(number) and (number.min() < low or number.max() > high):
            self._fail(((number < low) | (number > high)) & buffers.valid(column), owner, path, "OUT_OF_RANGE")

    def _cast(self, column: pa.Array, target: pa.DataType, path: str, owner: Rows | None) -> pa.Array:
        try:
            return column.cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            fits = np.array([_casts(column[i : i + 1], target) for i in range(len(column))], np.bool_)
            reason = "DECIMAL_OVERFLOW" if pa.types.is_decimal(target) else "OUT_OF_RANGE"
            if pa.types.is_string(target):
                reason = "BAD_UTF8"
            self._fail(~fits, owner, path, reason)
            return pc.if_else(pa.array(fits), column, pa.scalar(None, column.type)).cast(target)

    def _nested(self, of: Record | Array | Map, column: pa.Array, path: str, owner: Rows | None) -> list[Piece]:
        """Only rows that have a value are looked at; where it is NULL, the row gets nothing."""
        if not column.null_count:
            return self._whole(of, column, path, owner)
        there = buffers.valid(column)
        rows = np.flatnonzero(there)
        pieces = self._whole(of, column.take(pa.array(rows)), path, rows if owner is None else owner[rows])
        made = ragged.join(pieces, len(rows)).slices()
        starts, sizes = np.zeros(len(column), np.int64), np.zeros(len(column), np.int64)
        starts[rows], sizes[rows] = made.starts, made.sizes
        return [Slices(made.data, starts, sizes)]

    def _whole(self, of: Record | Array | Map, column: pa.Array, path: str, owner: Rows | None) -> list[Piece]:
        """A column without NULL."""
        if isinstance(of, Record):
            return [p for f in of.fields for p in self.field(f.type, column.field(f.name), f"{path}.{f.name}", owner)]
        if isinstance(of, Array) and not pa.types.is_list(column.type):
            column = column.cast(pa.list_(column.type.value_type))
        places = buffers.offsets(column).astype(np.int64)
        counts = np.diff(places)
        rows = np.repeat(np.arange(len(column)), counts)
        rows = rows if owner is None else owner[rows]
        first, last = int(places[0]), int(places[-1])
        if isinstance(of, Array):
            pieces = self.field(of.items, column.values.slice(first, last - first), f"{path}[]", rows)
        else:
            keys = column.keys.slice(first, last - first)
            pieces = _text(keys)
            pieces += self.field(of.values, column.items.slice(first, last - first), f"{path}{{}}", rows)
        return _blocks(ragged.join(pieces, last - first), places - first, counts)


def _blocks(items: ragged.Rows, places: Rows, counts: Rows) -> list[Piece]:
    """One block of all items, then an empty block: `count items 0`, or `0` alone."""
    starts = items.offsets[places]
    count = ragged.lengths(counts)
    some = (counts > 0).astype(np.int64)
    sizes = some if count.sizes is None else some * count.sizes
    return [Cells(count.matrix, sizes), Slices(items.data, starts[:-1], np.diff(starts)), Same(b"\0")]


def _led(cells: Cells, lead: npt.NDArray[np.uint8], there: Mask) -> Cells:
    """With the branch before each; alone where there is no value."""
    matrix = np.empty((len(lead), cells.matrix.shape[1] + 1), np.uint8)
    matrix[:, 0], matrix[:, 1:] = lead, cells.matrix
    sizes = cells.sizes if cells.sizes is not None else cells.matrix.shape[1]
    return Cells(matrix, 1 + sizes * there)


def _primitive(of: Primitive, column: pa.Array) -> list[Piece]:
    if of.name == "null":
        return []
    if of.logical == "decimal":
        return _sized(_decimal(column))
    if of.name in ("int", "long"):
        return [ragged.varints(_integers(column))]
    if of.name in ("string", "bytes"):
        return _text(column)
    if of.name == "boolean":
        return [Cells(buffers.truth(column).view(np.uint8)[:, None])]
    return [Cells(buffers.cells(column, 4 if of.name == "float" else 8))]


def _fixed(of: Fixed, column: pa.Array) -> list[Piece]:
    if of.logical != "decimal":
        return [Cells(buffers.cells(column, of.size))]
    raw = _unscaled(column)
    width = raw.shape[1]
    if of.size <= width:
        return [Cells(np.ascontiguousarray(raw[:, width - of.size :]))]
    return [Cells(np.concatenate([np.repeat(_signs(raw)[:, None], of.size - width, axis=1), raw], axis=1))]


def _text(column: pa.Array) -> list[Piece]:
    return _sized(ragged.slices(column))


def _sized(body: Slices) -> list[Piece]:
    """Length and bytes."""
    return [ragged.lengths(body.sizes), body]


def _integers(column: pa.Array) -> npt.NDArray[np.int64]:
    kind = np.int32 if column.type.bit_width == 32 else np.int64
    return buffers.numbers(column, kind).astype(np.int64, copy=False)


def _decimal(column: pa.Array) -> Slices:
    """Two's complement, big-endian, as short as possible."""
    raw = _unscaled(column)
    rows, width = raw.shape
    signs = _signs(raw)
    lead = np.logical_and.accumulate(raw == signs[:, None], axis=1)
    drop = np.minimum(lead.sum(axis=1), width - 1)
    first = raw[np.arange(rows), drop]
    drop = np.maximum(drop - ((first >= 0x80) != (signs == 0xFF)), 0)
    return Slices(raw.reshape(-1), np.arange(rows) * width + drop, (width - drop) * buffers.valid(column))


def _unscaled(column: pa.Array) -> npt.NDArray[np.uint8]:
    """Big-endian bytes of each decimal's integer, a row each; zero where NULL."""
    matrix = buffers.cells(column, column.type.byte_width)[:, ::-1]
    if column.null_count:
        matrix = matrix * buffers.valid(column)[:, None]
    return np.ascontiguousarray(matrix)


def _signs(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.where(raw[:, 0] >= 0x80, 0xFF, 0x00).astype(np.uint8)


@lru_cache(maxsize=1024)
def _symbols(symbols: tuple[str, ...]) -> pa.Array:
    return pa.array(symbols, pa.string())


def _each_is_utf8(column: pa.Array) -> Mask:
    return np.array([_is_utf8(value) for value in column.cast(pa.binary()).to_pylist()], np.bool_)


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _casts(one: pa.Array, target: pa.DataType) -> bool:
    try:
        one.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
