"""Arrow columns → Avro records, without touching a row (R30).

Each column becomes a column of its Avro bytes; one join over all columns makes the records. A row that the schema does
not allow is taken out with its path and reason; the rest is encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub import blocks
from hub.avro import varint
from hub.avro.arrow import BOUNDS, arrow_type, union_rows
from hub.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Type, Union

Mask = npt.NDArray[np.bool_]
Part: TypeAlias = Any  # an Arrow array, or a scalar that stands for every row
EMPTY = pa.scalar(b"", pa.binary())


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Records in the order of the rows they come from."""

    values: pa.BinaryArray  # header and Avro body of each accepted row
    rejected: Sequence[tuple[int, str, str]]  # row, path, reason
    accepted: npt.NDArray[np.int64] | None  # rows, or None for all


def encode(batch: pa.RecordBatch, schema: Record, *, header: bytes = b"") -> Encoded:
    """Encode every row of a batch that has the record's columns, by name. Types that fit exactly are cast."""
    checker = _Checker(batch.num_rows)
    columns = [checker.prepare(f.type, batch.column(f.name), f.name) for f in schema.fields]
    bad = checker.bad
    accepted = None
    if bad.any():
        accepted = np.flatnonzero(~bad)
        chosen = pa.array(accepted)
        columns = [c.take(chosen) for c in columns]
    n = batch.num_rows if accepted is None else len(accepted)
    parts: list[Part] = [pa.scalar(header, pa.binary())] if header else []
    for field, column in zip(schema.fields, columns, strict=True):
        _encode(field.type, column, parts)
    return Encoded(values=_join(parts, n), rejected=checker.rejected(), accepted=accepted)


def encode_valid(columns: Mapping[str, pa.Array], schema: Record, *, header: bytes = b"") -> pa.BinaryArray:
    """At least one column by its field's name, each exactly of its Arrow type and with nothing that the schema does not
    allow, such as decoded ones: nothing is looked at again."""
    parts: list[Part] = [pa.scalar(header, pa.binary())] if header else []
    for field in schema.fields:
        _encode(field.type, columns[field.name], parts)
    return _join(parts, len(next(iter(columns.values()))))


def _join(parts: Sequence[Part], n: int) -> pa.BinaryArray:
    if not any(isinstance(p, pa.Array) for p in parts):
        whole = b"".join(p.as_py() for p in parts)
        return pa.array([whole] * n, pa.binary())
    return pc.binary_join_element_wise(*parts, EMPTY)


class _Checker:
    """Brings columns into the exact Arrow types and finds rows that have no encoding."""

    def __init__(self, rows: int) -> None:
        self.bad: Mask = np.zeros(rows, np.bool_)
        self._why: dict[int, tuple[str, str]] = {}

    def rejected(self) -> list[tuple[int, str, str]]:
        return [(row, path, reason) for row, (path, reason) in sorted(self._why.items())]

    def fail(self, mask: Mask, owner: npt.NDArray[np.int64] | None, path: str, reason: str) -> None:
        """Rows of this column (or the rows that own its items) cannot be encoded."""
        rows = np.flatnonzero(mask)
        for row in (rows if owner is None else owner[rows]).tolist():
            self.bad[row] = True
            self._why.setdefault(row, (path, reason))

    def prepare(self, of: Type, column: pa.Array, path: str, owner: npt.NDArray[np.int64] | None = None) -> pa.Array:
        """The column in its exact type; bad rows keep their place and are dropped later."""
        if isinstance(column, pa.DictionaryArray):
            column = column.dictionary_decode()
        if isinstance(of, Union):
            inner = of.nullable
            if inner is None:
                raise TypeError("a mapping never makes unions wider than nullable")  # checked when compiled
            return self._prepare(inner, column, path, owner)
        if column.null_count and not (isinstance(of, Primitive) and of.name == "null"):
            self.fail(_np(column.is_null()), owner, path, "NULL_REQUIRED")
        return self._prepare(of, column, path, owner)

    def _prepare(self, of: Type, column: pa.Array, path: str, owner: npt.NDArray[np.int64] | None) -> pa.Array:
        if isinstance(of, Record):
            return self._record(of, column, path, owner)
        if isinstance(of, Array):
            return self._list(of, column, path, owner)
        if isinstance(of, Map):
            return self._map(of, column, path, owner)
        target = arrow_type(of)
        if isinstance(of, Enum):
            known = pc.is_in(column, pa.array(of.symbols, pa.string()))
            self.fail(_np(pc.and_(column.is_valid(), pc.invert(known))), owner, path, "UNKNOWN_SYMBOL")
            return column
        if column.type == target:
            if pa.types.is_string(target):
                return self._utf8(column, path, owner)
        else:
            column = self._cast(column, target, path, owner)
        if isinstance(of, Primitive) and of.logical in BOUNDS:
            low, high = BOUNDS[of.logical]
            number = _integers(column)
            self.fail((number < low) | (number > high), owner, path, "OUT_OF_RANGE")
        return column

    def _utf8(self, column: pa.Array, path: str, owner: npt.NDArray[np.int64] | None) -> pa.Array:
        """Arrow does not check UTF-8 when a column is made from buffers; a schema string must be valid (R30)."""
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            binary = column.cast(pa.binary())
            self.fail(np.array([not _is_utf8(v) for v in binary.to_pylist()]), owner, path, "BAD_UTF8")
        return column

    def _cast(self, column: pa.Array, target: pa.DataType, path: str, owner: npt.NDArray[np.int64] | None) -> pa.Array:
        try:
            return column.cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            fits = np.array([_casts(column[i : i + 1], target) for i in range(len(column))], np.bool_)
            reason = "DECIMAL_OVERFLOW" if pa.types.is_decimal(target) else "OUT_OF_RANGE"
            if pa.types.is_string(target):
                reason = "BAD_UTF8"
            self.fail(~fits, owner, path, reason)
            return pc.if_else(pa.array(fits), column, pa.scalar(None, column.type)).cast(target)

    def _record(self, of: Record, column: pa.Array, path: str, owner: npt.NDArray[np.int64] | None) -> pa.Array:
        """A null record stands for its union's null branch: its fields are not looked at."""
        valid = _np(column.is_valid())
        rows = np.flatnonzero(valid)
        dense = column if valid.all() else column.take(pa.array(rows))
        inner = rows if owner is None else owner[rows]
        children = []
        for f in of.fields:
            child = pc.struct_field(dense, [f.name])
            children.append(self.prepare(f.type, child, f"{path}.{f.name}", inner))
        made = pa.StructArray.from_arrays(children, names=[f.name for f in of.fields])
        return made if valid.all() else _scatter(made, valid)

    def _list(self, of: Array, column: pa.Array, path: str, owner: npt.NDArray[np.int64] | None) -> pa.Array:
        column = column.cast(pa.list_(column.type.value_type))
        counts = _counts(column)
        rows = np.repeat(np.arange(len(column)), counts)
        items = self.prepare(of.items, column.flatten(), f"{path}[]", rows if owner is None else owner[rows])
        return _nulls(pa.ListArray.from_arrays(_offsets(counts), items), column)

    def _map(self, of: Map, column: pa.Array, path: str, owner: npt.NDArray[np.int64] | None) -> pa.Array:
        counts = _counts(column)
        start, stop = _span(column)
        rows = np.repeat(np.arange(len(column)), counts)
        values = column.items.slice(start, stop - start)
        made = self.prepare(of.values, values, f"{path}{{}}", rows if owner is None else owner[rows])
        keys = column.keys.slice(start, stop - start).cast(pa.string())
        entries = pa.StructArray.from_arrays([keys, made], names=["key", "value"])
        return _nulls(pa.ListArray.from_arrays(_offsets(counts), entries), column)


def _encode(of: Type, column: pa.Array, out: list[Part]) -> None:
    """Append the parts whose concatenation is each row's bytes. Every row has an encoding by now."""
    if isinstance(of, Union) and of.nullable is None:
        out.append(_wide_union(of, column))
    elif isinstance(of, Union):
        _encode_nullable(of, column, out)
    elif isinstance(of, Record):
        for i, field in enumerate(of.fields):
            _encode(field.type, column.field(i), out)
    elif isinstance(of, Array):
        _encode_list(column, lambda items, parts: _encode(of.items, items, parts), out)
    elif isinstance(of, Map):
        entries = _entries(column) if pa.types.is_map(column.type) else column
        _encode_list(entries, lambda items, parts: _entry(of, items, parts), out)
    elif isinstance(of, Enum):
        out.append(varint.lengths(_np(pc.fill_null(pc.index_in(column, pa.array(of.symbols)), 0))))
    elif isinstance(of, Fixed):
        out.append(_decimal_fixed(column, of.size) if of.logical == "decimal" else column.cast(pa.binary()))
    else:
        _encode_primitive(of, column, out)


def _encode_primitive(of: Type, column: pa.Array, out: list[Part]) -> None:
    assert isinstance(of, Primitive)
    if of.name == "null":
        return
    if of.logical == "decimal":
        body = _decimal_bytes(column)
        out += [varint.lengths(_lengths(body)), body]
    elif of.name in ("int", "long"):
        out.append(varint.encode(varint.zigzag(_integers(column))))
    elif of.name in ("string", "bytes"):
        body = column.cast(pa.binary())
        out += [varint.lengths(_lengths(body)), body]
    elif of.name == "boolean":
        flags = _np(pc.fill_null(column, False)).astype(np.uint8)
        out.append(varint.binary(np.ones(len(column), np.int32), flags))
    else:
        width, kind = (4, "<f4") if of.name == "float" else (8, "<f8")
        numbers = _np(pc.fill_null(column, 0.0)).astype(kind)
        out.append(varint.binary(np.full(len(column), width, np.int32), numbers.view(np.uint8)))


def _encode_nullable(of: Union, column: pa.Array, out: list[Part]) -> None:
    inner = of.nullable
    assert inner is not None
    null = bytes([2 * of.null_index])
    present = bytes([2 * (1 - of.null_index)])
    if column.null_count == 0:
        out.append(pa.scalar(present, pa.binary()))
        _encode(inner, column, out)
        return
    valid = _np(column.is_valid())
    parts: list[Part] = [pa.scalar(present, pa.binary())]
    if isinstance(inner, (Record, Array, Map)):
        _encode(inner, column.take(pa.array(np.flatnonzero(valid))), parts)
        body = _scatter(_join(parts, int(valid.sum())), valid)
    else:
        _encode(inner, column, parts)
        filled = [p if isinstance(p, pa.Scalar) else p.fill_null(b"") for p in parts]
        body = _join(filled, len(column))
    out.append(pc.if_else(pa.array(valid), body, pa.scalar(null, pa.binary())))


def _wide_union(of: Union, column: pa.UnionArray) -> pa.BinaryArray:
    """Each branch's rows at once, then back into their order. The last branches of the schema may be missing."""
    codes, offsets = union_rows(column)
    rows, bodies = [], []
    for code in range(column.type.num_fields):
        mine = np.flatnonzero(codes == code)
        parts: list[Part] = [pa.scalar(blocks.varint(code), pa.binary())]
        _encode(of.branches[code], column.field(code).take(pa.array(offsets[mine])), parts)
        rows.append(mine)
        bodies.append(_join(parts, len(mine)))
    return pa.concat_arrays(bodies).take(pa.array(np.argsort(np.concatenate(rows), kind="stable")))


def _entries(column: pa.MapArray) -> pa.ListArray:
    fields = [pa.field("key", column.type.key_type), pa.field("value", column.type.item_type)]
    return column.cast(pa.list_(pa.struct(fields)))


def _entry(of: Map, entries: pa.StructArray, out: list[Part]) -> None:
    key = entries.field(0).cast(pa.binary())
    out += [varint.lengths(_lengths(key)), key]
    _encode(of.values, entries.field(1), out)


def _encode_list(column: pa.Array, encode_items: Callable[[pa.Array, list[Part]], None], out: list[Part]) -> None:
    """One block of all items, then an empty block: `count items 0`, or `0` alone."""
    counts = _counts(column)
    items: list[Part] = []
    flat = column.flatten()
    encode_items(flat, items)
    joined = _join(items, len(flat)) if items else pa.array([b""] * len(flat), pa.binary())
    starts = _raw_offsets(joined)[_offsets(counts).to_numpy()]
    body = pa.Array.from_buffers(
        pa.binary(), len(counts), [None, pa.py_buffer(starts.astype(np.int32)), joined.buffers()[2]]
    )
    some = pa.array(counts > 0)
    out += [pc.if_else(some, varint.lengths(counts), EMPTY), body, pa.scalar(b"\0", pa.binary())]


def _integers(column: pa.Array) -> npt.NDArray[np.int64]:
    kind = column.type
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        column = column.cast(pa.int32())
    column = column.cast(pa.int64())
    return np.asarray(_np(column.fill_null(0) if column.null_count else column), np.int64)


def _decimal_bytes(column: pa.Array) -> pa.BinaryArray:
    """Two's complement, big-endian, as short as possible."""
    raw = _unscaled(column)
    width = raw.shape[1]
    lead = raw[:, :1] == raw  # placeholder of the right shape
    sign = np.where(raw[:, 0] >= 0x80, 0xFF, 0x00).astype(np.uint8)
    lead = np.logical_and.accumulate(raw == sign[:, None], axis=1)
    drop = lead.sum(axis=1)
    drop = np.minimum(drop, width - 1)
    first = raw[np.arange(len(raw)), np.minimum(drop, width - 1)]
    drop = drop - ((first >= 0x80) != (sign == 0xFF))
    drop = np.maximum(drop, 0)
    keep = np.arange(width) >= drop[:, None]
    return varint.binary((width - drop).astype(np.int32), raw[keep])


def _decimal_fixed(column: pa.Array, size: int) -> pa.BinaryArray:
    raw = _unscaled(column)
    width = raw.shape[1]
    if size <= width:
        cut = raw[:, width - size :]
    else:
        sign = np.where(raw[:, :1] >= 0x80, 0xFF, 0x00).astype(np.uint8)
        cut = np.concatenate([np.repeat(sign, size - width, axis=1), raw], axis=1)
    return varint.binary(np.full(len(raw), size, np.int32), cut.reshape(-1))


def _unscaled(column: pa.Array) -> npt.NDArray[np.uint8]:
    """Big-endian bytes of each decimal's integer, a row each; zero where null."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width : (column.offset + len(column)) * width]
    matrix = data.reshape(-1, width)[:, ::-1]
    return np.where(_np(column.is_valid())[:, None], matrix, 0).astype(np.uint8)


def _scatter(dense: pa.Array, valid: Mask) -> pa.Array:
    """Rows of `dense` at the places where `valid`, null elsewhere."""
    index = np.cumsum(valid) - 1
    return dense.take(pa.array(np.where(valid, index, 0), mask=~valid))


def _nulls(made: pa.ListArray, like: pa.Array) -> pa.ListArray:
    if not like.null_count:
        return made
    return pa.ListArray.from_arrays(made.offsets, made.values, mask=like.is_null())


def _counts(column: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_map(column.type):
        counts = np.diff(_raw_offsets(column)).astype(np.int64)
        return np.where(_np(column.is_valid()), counts, 0)
    return np.asarray(_np(pc.fill_null(pc.list_value_length(column), 0)), np.int64)


def _span(column: pa.Array) -> tuple[int, int]:
    offsets = _raw_offsets(column)
    return int(offsets[0]), int(offsets[-1])


def _offsets(counts: npt.NDArray[np.int64]) -> pa.Array:
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.array(offsets)


def _raw_offsets(column: pa.Array) -> npt.NDArray[np.int32]:
    buffer = column.buffers()[1]
    if buffer is None:
        return np.zeros(len(column) + 1, np.int32)
    return np.frombuffer(buffer, np.int32)[column.offset : column.offset + len(column) + 1]


def _lengths(column: pa.Array) -> npt.NDArray[np.int32]:
    return np.asarray(_np(pc.fill_null(pc.binary_length(column), 0)), np.int32)


def _np(column: pa.Array) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False))


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
