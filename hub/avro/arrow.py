"""The Arrow form of each Avro type. Fixed: mapping, encoding, decoding and delivery rely on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.avro.schema import branch_name
from hub.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Ref, Type, Union
from hub.errors import SchemaInvalid

PRIMITIVE = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
LOGICAL = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "uuid": pa.string(),
}
_DAY_MS = 86_400_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, in days since 1970
_FIRST_MS, _LAST_MS = _FIRST_DAY * _DAY_MS, (_LAST_DAY + 1) * _DAY_MS - 1
_MILLIS = (_FIRST_MS, _LAST_MS)
_MICROS = (_FIRST_MS * 1000, _LAST_MS * 1000 + 999)
# The integers each logical type may hold: times of one day, and days that ISO 8601 writes with four digits. Avro names
# no bound for dates; one outside would fail in every reader's calendar, so it is refused where it enters (R29, R30).
BOUNDS = {
    "date": (_FIRST_DAY, _LAST_DAY),
    "time-millis": (0, _DAY_MS - 1),
    "time-micros": (0, _DAY_MS * 1000 - 1),
    "timestamp-millis": _MILLIS,
    "timestamp-micros": _MICROS,
    "local-timestamp-millis": _MILLIS,
    "local-timestamp-micros": _MICROS,
}


def arrow_type(of: Type) -> pa.DataType:
    """The Arrow type of a value; a union of null and one type is that type. Raises SchemaInvalid for recursion."""
    if isinstance(of, (Primitive, Fixed)) and of.logical == "decimal":
        return pa.decimal128(of.precision, of.scale) if of.precision <= 38 else pa.decimal256(of.precision, of.scale)
    if isinstance(of, Primitive):
        return LOGICAL[of.logical] if of.logical else PRIMITIVE[of.name]
    if isinstance(of, Fixed):
        return pa.binary(of.size)
    if isinstance(of, Enum):
        return pa.string()
    if isinstance(of, Record):
        return pa.struct([arrow_field(f.name, f.type) for f in of.made])
    if isinstance(of, Array):
        return pa.list_(arrow_field("item", of.items))
    if isinstance(of, Map):
        return pa.map_(pa.string(), arrow_field("value", of.values))
    if isinstance(of, Union):
        return _union_type(of)
    assert isinstance(of, Ref)
    raise SchemaInvalid("a recursive schema has no columns", where=of.name)


def _union_type(of: Union) -> pa.DataType:
    if of.nullable is not None:
        return arrow_type(of.nullable)
    return pa.dense_union([pa.field(branch_name(b), arrow_type(b)) for b in of.branches])


def arrow_field(name: str, of: Type) -> pa.Field:
    """A field; required ones are not nullable."""
    nullable = (isinstance(of, Union) and of.null_index >= 0) or (isinstance(of, Primitive) and of.name == "null")
    return pa.field(name, arrow_type(of), nullable=nullable)


def union_rows(column: pa.UnionArray) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    """The branch of each row, and its place there. (`type_codes` and `offsets` of a slice are those of the whole.)"""
    codes, offsets = column.buffers()[1:3]
    span = slice(column.offset, column.offset + len(column))
    return np.frombuffer(codes, np.int8)[span], np.frombuffer(offsets, np.int32)[span]


def arrow_schema(record: Record) -> pa.Schema:
    """The columns of a record."""
    return pa.schema([arrow_field(f.name, f.type) for f in record.fields])
