"""Read what one schema wrote as another wants it, in columns (Avro 1.12, "Schema Resolution").

A pair is compiled once. Bytes are decoded by the writer's schema, with the reader's logical types laid over it where the
bytes are the same; what remains are promotions, defaults and reordering, which are operations on whole columns.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.avro.arrow import arrow_field, arrow_schema, arrow_type, union_rows
from hub.avro.compat import PROMOTIONS, incompatibilities, writer_field
from hub.avro.decoding import Walk, open_walk
from hub.avro.types import Array, Enum, Field, Fixed, Map, Partial, Primitive, Record, Schema, Type, Union
from hub.blocks import varint
from hub.errors import LimitExceeded, SchemaIncompatible

MAX_DEFAULTS = 256 * 1024 * 1024  # bytes in one column


@dataclass(frozen=True)
class Resolution:
    """A compiled pair. Safe from many threads."""

    writer: Record  # as decoded
    reader: Record

    @cached_property
    def needed(self) -> frozenset[str]:
        """The writer's fields that it reads."""
        return frozenset(field.name for field in self._sources.values())

    @cached_property
    def _sources(self) -> Mapping[str, Field]:
        """The writer's field of each of the reader's fields that has one, in the order they were written."""
        found = {f.name: source for f in self.reader.fields if (source := writer_field(f, self.writer)) is not None}
        places = {field.name: place for place, field in enumerate(self.writer.fields)}
        return dict(sorted(found.items(), key=lambda pair: places[pair[1].name]))

    @cached_property
    def _schema(self) -> pa.Schema:
        return arrow_schema(self.reader)

    def decode(self, values: pa.BinaryArray, *, skip: int = 5) -> pa.RecordBatch:
        """Framed records as columns of the reader's `arrow_schema`. Raises MalformedAvro."""
        walk = open_walk(values, self.writer, skip)
        batch = self.read(walk)
        walk.finish()
        return batch

    def read(self, walk: Walk) -> pa.RecordBatch:
        """The reader's columns, and no more than they need, from a walk through records of the writer's schema that stands
        before the first needed field or has noted those it passed. Raises MalformedAvro."""
        raw: dict[str, pa.Array] = {}
        for source in self._sources.values():
            if source.name not in raw:
                raw[source.name] = walk.column(source.name, source.type)
        columns = []
        for field in self.reader.fields:
            found = self._sources.get(field.name)
            if found is None:
                columns.append(_repeated(self._defaults[field.name], len(walk)))
            else:
                columns.append(_convert(found.type, field.type, raw[found.name]))
        if not columns:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(walk), pa.struct([])))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    @cached_property
    def _defaults(self) -> Mapping[str, pa.Array]:
        """One value each for the reader's fields that were not written."""
        return {f.name: default_column(f) for f in self.reader.fields if f.name not in self._sources}

    @cached_property
    def added_bytes(self) -> int:
        """About how much defaults add to each record."""
        return _added(self.writer, self.reader)


def resolver(writer: Record, reader: Record) -> Resolution:
    """Compile a pair. Raises SchemaIncompatible with every reason."""
    found = incompatibilities(_as_schema(reader), _as_schema(writer))
    if found:
        raise SchemaIncompatible(
            f"{reader.name} cannot read what was written", incompatibilities=tuple(str(f) for f in found)
        )
    fields = tuple(_effective_field(f, writer, reader) for f in writer.fields)
    return Resolution(replace(writer, fields=fields), reader)


def _as_schema(record: Record) -> Schema:
    return Schema(type=record, names={}, canonical="")


def _effective(writer: Type, reader: Type) -> Type:
    """The writer's type with the reader's logical types where the bytes are the same, and none elsewhere."""
    if isinstance(writer, Primitive):
        match = reader if isinstance(reader, Primitive) and reader.name == writer.name else None
        if match is None and isinstance(reader, Union):
            match = next((b for b in reader.branches if isinstance(b, Primitive) and b.name == writer.name), None)
        if match is not None:
            return replace(writer, logical=match.logical, precision=match.precision, scale=match.scale)
        return replace(writer, logical=None)
    if isinstance(writer, Union):
        return Union(branches=tuple(_effective(b, _branch(reader, b)) for b in writer.branches))
    reader = _branch(reader, writer)
    if isinstance(writer, Fixed) and isinstance(reader, Fixed):
        return replace(writer, logical=reader.logical, precision=reader.precision, scale=reader.scale)
    if isinstance(writer, Array) and isinstance(reader, Array):
        return Array(items=_effective(writer.items, reader.items))
    if isinstance(writer, Map) and isinstance(reader, Map):
        return Map(values=_effective(writer.values, reader.values))
    if isinstance(writer, Record) and isinstance(reader, Record):
        return _partial(writer, reader)
    return writer


def _partial(writer: Record, reader: Record) -> Partial:
    """Only the fields that the reader has are made into columns."""
    wanted = frozenset(s.name for r in reader.fields if (s := writer_field(r, writer)) is not None)
    return Partial(
        name=writer.name,
        fields=tuple(_effective_field(f, writer, reader) for f in writer.fields),
        aliases=writer.aliases,
        wanted=wanted,
    )


def _effective_field(field: Field, writer: Record, reader: Record) -> Field:
    target = next((r for r in reader.fields if writer_field(r, writer) is field), None)
    return replace(field, type=_effective(field.type, target.type if target else field.type))


def _branch(reader: Type, writer: Type) -> Type:
    """The reader's branch that reads a writer's type; the reader itself when it is no union."""
    if not isinstance(reader, Union) or isinstance(writer, Union):
        return reader
    exact = [b for b in reader.branches if _same_kind(b, writer) and _reads(b, writer)]
    readable = exact or [b for b in reader.branches if _reads(b, writer)]
    return readable[0] if readable else reader


def _same_kind(reader: Type, writer: Type) -> bool:
    if isinstance(reader, Primitive) and isinstance(writer, Primitive):
        return reader.name == writer.name
    return type(reader) is type(writer)


def _reads(reader: Type, writer: Type) -> bool:
    pair = (Schema(type=reader, names={}, canonical=""), Schema(type=writer, names={}, canonical=""))
    return not incompatibilities(*pair)


def _convert(writer: Type, reader: Type, column: pa.Array) -> pa.Array:
    """A column of the (effective) writer's type as the reader's type."""
    target = arrow_type(reader)
    if isinstance(reader, Union):
        return _to_union(writer, reader, column)
    if isinstance(writer, Union):
        return _convert_from_union(writer, reader, column)
    if isinstance(writer, Primitive) and isinstance(reader, Primitive):
        return column if column.type == target else _promote(writer, reader, column)
    if isinstance(writer, Enum) and isinstance(reader, Enum):
        return _enum(writer, reader, column)
    if isinstance(writer, Array) and isinstance(reader, Array):
        items = _convert(writer.items, reader.items, column.flatten())
        counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        made = pa.ListArray.from_arrays(_offsets(counts), items, type=target)
        return _with_nulls(made, column)
    if isinstance(writer, Map) and isinstance(reader, Map):
        return _map(writer, reader, column)
    if isinstance(writer, Record) and isinstance(reader, Record):
        return _record(writer, reader, column)
    return column if column.type == target else column.cast(target)


def _promote(writer: Primitive, reader: Primitive, column: pa.Array) -> pa.Array:
    physical = arrow_type(Primitive(name=reader.name))
    if "int" in PROMOTIONS.get(writer.name, ()) or writer.name == "long":
        column = column.cast(physical, safe=False)  # to float and double with Avro's rounding
    else:
        column = column.cast(physical)
    return column if reader.logical is None or reader.logical == "uuid" else column.cast(arrow_type(reader))


def _enum(writer: Enum, reader: Enum, column: pa.Array) -> pa.Array:
    if set(writer.symbols) <= set(reader.symbols):
        return column
    known = pc.is_in(column, pa.array(reader.symbols, pa.string()))
    keep = pc.or_(known, column.is_null())
    return pc.if_else(keep, column, pa.scalar(reader.default, pa.string()))


def _map(writer: Map, reader: Map, column: pa.Array) -> pa.Array:
    raw = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    start, stop = int(raw[0]), int(raw[-1])
    values = _convert(writer.values, reader.values, column.items.slice(start, stop - start))
    keys = column.keys.slice(start, stop - start)
    made = pa.MapArray.from_arrays(pa.array(raw - raw[0]), keys, values, type=arrow_type(reader))
    return _with_nulls(made, column)


def _record(writer: Record, reader: Record, column: pa.Array) -> pa.Array:
    columns = []
    for field in reader.fields:
        source = writer_field(field, writer)
        if source is None:
            columns.append(_repeated(default_column(field), len(column)))
        else:
            columns.append(_convert(source.type, field.type, column.field(source.name)))
    fields = [arrow_field(f.name, f.type) for f in reader.fields]
    if not fields:
        return pa.array([{}] * len(column), pa.struct([]))
    mask = column.is_null() if column.null_count else None
    return pa.StructArray.from_arrays(columns, fields=fields, mask=mask)


def _to_union(writer: Type, reader: Union, column: pa.Array) -> pa.Array:
    if reader.nullable is not None:
        if isinstance(writer, Primitive) and writer.name == "null":
            return pa.nulls(len(column), arrow_type(reader))
        if isinstance(writer, Union) and writer.nullable is None:
            return _convert_from_union(writer, reader, column)
        inner = writer.nullable if isinstance(writer, Union) else writer
        assert inner is not None
        return _convert(inner, reader.nullable, column)
    if not isinstance(writer, Union):
        writer, column = Union(branches=(writer,)), _wrap(column)
    elif writer.nullable is not None:
        column = _unfold(writer, column)
    return _regroup(writer, reader, column)


def _wrap(column: pa.Array) -> pa.Array:
    zeros = pa.array(np.zeros(len(column), np.int8))
    return pa.UnionArray.from_dense(zeros, pa.array(np.arange(len(column), dtype=np.int32)), [column], ["0"])


def _unfold(writer: Union, column: pa.Array) -> pa.Array:
    """A nullable column as a dense union of its two branches."""
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    codes = np.where(valid, 1 - writer.null_index, writer.null_index).astype(np.int8)
    offsets = np.where(valid, np.cumsum(valid) - 1, np.cumsum(~valid) - 1).astype(np.int32)
    children = [pa.nulls(int((~valid).sum())), column.drop_null()]
    if writer.null_index == 1:
        children.reverse()
    return pa.UnionArray.from_dense(pa.array(codes), pa.array(offsets), children, ["0", "1"])


def _regroup(writer: Union, reader: Union, column: pa.Array) -> pa.Array:
    """Each writer branch goes to the reader branch that reads it; several may go to one."""
    codes, offsets = union_rows(column)
    new_codes, new_offsets = np.zeros(len(codes), np.int8), np.zeros(len(codes), np.int32)
    children: list[list[pa.Array]] = [[] for _ in reader.branches]
    filled = [0] * len(reader.branches)
    for i, branch in enumerate(writer.branches):
        rows = np.flatnonzero(codes == i)
        target = _branch(reader, branch)
        place = next(k for k, b in enumerate(reader.branches) if b is target)
        child = column.field(i).take(pa.array(offsets[rows]))
        children[place].append(_convert(branch, target, child))
        new_codes[rows], new_offsets[rows] = place, filled[place] + np.arange(len(rows))
        filled[place] += len(rows)
    kind = arrow_type(reader)
    joined = [pa.concat_arrays(parts) if parts else pa.array([], kind[i].type) for i, parts in enumerate(children)]
    return pa.UnionArray.from_dense(pa.array(new_codes), pa.array(new_offsets), joined, [f.name for f in kind])


def _convert_from_union(writer: Union, reader: Type, column: pa.Array) -> pa.Array:
    """Every branch of the writer is readable by one type: put the rows back together."""
    if writer.nullable is not None:
        return _convert(writer.nullable, reader, column)
    codes, offsets = union_rows(column)
    parts, rows = [], []
    for i, branch in enumerate(writer.branches):
        mine = np.flatnonzero(codes == i)
        parts.append(_convert(branch, reader, column.field(i).take(pa.array(offsets[mine]))))
        rows.append(mine)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return pa.concat_arrays(parts).take(pa.array(order))


def default_column(field: Field) -> pa.Array:
    """The field's default, once."""
    body = default_bytes(field.type, field.default)
    alone = Record(name="_", fields=(field,))
    return open_walk(pa.array([body], pa.binary()), alone, 0).column(field.name, field.type)


def _repeated(one: pa.Array, rows: int) -> pa.Array:
    if one.nbytes * rows > MAX_DEFAULTS:
        raise LimitExceeded(f"defaults of one field would take more than {MAX_DEFAULTS:,} bytes")
    return one.take(pa.array(np.zeros(rows, np.int64)))


def _added(writer: Type, reader: Type) -> int:
    """Bytes of the defaults that a value of the writer's type is given, items of lists and maps counted once."""
    if isinstance(reader, Union):
        return max(_added(writer, branch) for branch in reader.branches)
    if isinstance(writer, Union):
        return max(_added(branch, reader) for branch in writer.branches)
    if isinstance(writer, Array) and isinstance(reader, Array):
        return _added(writer.items, reader.items)
    if isinstance(writer, Map) and isinstance(reader, Map):
        return _added(writer.values, reader.values)
    if not (isinstance(writer, Record) and isinstance(reader, Record)):
        return 0
    pairs = [(field, writer_field(field, writer)) for field in reader.fields]
    return sum(
        len(default_bytes(field.type, field.default)) if source is None else _added(source.type, field.type)
        for field, source in pairs
        if source is not None or field.has_default
    )


def default_bytes(of: Type, value: Any) -> bytes:
    """The Avro encoding of a default given as JSON (Avro 1.12, "Complex Types", table of default values)."""
    if isinstance(of, Union):
        place = next(i for i, b in enumerate(of.branches) if _default_fits(b, value))
        return varint(place) + default_bytes(of.branches[place], value)
    if isinstance(of, Record):
        return b"".join(default_bytes(f.type, value.get(f.name, f.default)) for f in of.fields)
    if isinstance(of, Array):
        items = b"".join(default_bytes(of.items, v) for v in value)
        return (varint(len(value)) + items if value else b"") + b"\0"
    if isinstance(of, Map):
        items = b"".join(_text(k.encode()) + default_bytes(of.values, v) for k, v in value.items())
        return (varint(len(value)) + items if value else b"") + b"\0"
    if isinstance(of, Enum):
        return varint(of.symbols.index(value))
    if isinstance(of, Fixed):
        return bytes(value.encode("latin-1"))
    assert isinstance(of, Primitive)
    return _primitive_default(of.name, value)


def _primitive_default(name: str, value: Any) -> bytes:
    if name == "null":
        return b""
    if name == "boolean":
        return b"\1" if value else b"\0"
    if name in ("int", "long"):
        return varint(value)
    if name in ("float", "double"):
        return struct.pack("<f" if name == "float" else "<d", value)
    return _text(value.encode("latin-1" if name == "bytes" else "utf-8"))


def _text(body: bytes) -> bytes:
    return varint(len(body)) + body


def _default_fits(of: Type, value: Any) -> bool:
    from hub.avro.defaults import check_default
    from hub.errors import SchemaInvalid

    try:
        check_default(of, value, {}, "")
    except SchemaInvalid:
        return False
    return True


def _offsets(counts: Sequence[int]) -> pa.Array:
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.array(offsets)


def _with_nulls(made: pa.Array, like: pa.Array) -> pa.Array:
    return pc.if_else(like.is_valid(), made, pa.scalar(None, made.type)) if like.null_count else made
