"""A delivery as an Arrow stream, an Avro object container file, or framed Avro records (R23, R27). No row is ever built.

Framed, each record is, numbers big-endian as in Kafka's own messages:

    partition int32 · offset int64 · length of key int32 · key · length of value int32 · value

A length of -1 is null: no key, or a delete. A value is Confluent's frame, a zero byte and the id of the grant's output
schema as int32, then the Avro body. A delete of a keyed topic is its key with a null value. Records of other topics have no
key: theirs may hold fields that the grant leaves out (G13).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.access.plan import Plan
from hub.access.project import schema_text
from hub.avro import frame_header
from hub.avro.arrow import union_rows
from hub.avro.encoding import encode_valid
from hub.avro.types import Enum, Field, Primitive, Record, Type, Union, is_null
from hub.blocks import varint
from hub.delivery.read import Delivery
from hub.delivery.texts import raw, same

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
FRAME = np.dtype([("partition", ">i4"), ("offset", ">i8"), ("key", ">i4")])
UPSERT, DELETE, EMPTY = same("upsert"), same("delete"), pa.scalar(b"", pa.binary())
NOTHING = Primitive(name="null")
OPERATION = Enum(name="datong.Operation", symbols=("upsert", "delete"))
OFFSET = Field(name="_offset", type=Primitive(name="long"), doc="Offset of the record in its partition.")
PARTITION = Field(name="_partition", type=Primitive(name="int"), doc="Partition of the record's topic.")
OP = Field(name="_op", type=OPERATION, doc="delete: the key is gone; all fields but its own are null.")


def to_arrow(delivery: Delivery, schema_id: int) -> bytes:
    """One stream with one batch, or none for no records; topic, grant and schema id are the schema's metadata."""
    columns = about_columns(delivery)
    about = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    schema = pa.schema([*about, *delivery.records.schema], metadata=_metadata(delivery.plan, schema_id))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        if delivery.records.num_rows:
            arrays = [*columns.values(), *delivery.records.columns]
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    made: bytes = sink.getvalue().to_pybytes()
    return made


def to_ocf(delivery: Delivery, schema_id: int) -> bytes:
    """A container file without compression. Its schema is `container_schema`; the metadata has topic, grant and schema id."""
    record = container_schema(delivery.plan)
    sync = secrets.token_bytes(SYNC_BYTES)
    metadata = {"avro.codec": "null", "avro.schema": schema_text(record), **_metadata(delivery.plan, schema_id)}
    entries = b"".join(_text(name) + _text(value) for name, value in metadata.items())
    head = MAGIC + varint(len(metadata)) + entries + varint(0) + sync
    if not delivery.records.num_rows:
        return head
    columns = _columns(delivery.records)
    deleted = delivery.deleted
    if deleted is not None and deleted.any():
        columns = {n: _with_nulls(c, deleted) if pa.types.is_union(c.type) else c for n, c in columns.items()}
    body = raw(encode_valid({**about_columns(delivery), **columns}, record))[1].tobytes()
    return b"".join([head, varint(delivery.records.num_rows), varint(len(body)), body, sync])


def to_framed(delivery: Delivery, schema_id: int) -> bytes:
    """Records one behind the other, as this module's head says."""
    rows = delivery.records.num_rows
    if not rows:
        return b""
    values = _framed_values(delivery, schema_id)
    keys = pa.nulls(rows, pa.binary()) if delivery.keys is None else delivery.keys
    head = np.empty(rows, FRAME)
    head["partition"], head["offset"], head["key"] = delivery.partitions, delivery.offsets, _lengths(keys)
    lengths = _fixed(_lengths(values).astype(">i4").tobytes(), 4)
    made = pc.binary_join_element_wise(
        _fixed(head.tobytes(), FRAME.itemsize),
        keys,
        lengths,
        values,
        EMPTY,
        null_handling="replace",
        null_replacement=b"",
    )
    return raw(made)[1].tobytes()


def _framed_values(delivery: Delivery, schema_id: int) -> pa.BinaryArray:
    """Null for deletes."""
    header, schema, deleted = frame_header(schema_id), delivery.plan.schema, delivery.deleted
    if deleted is None or not deleted.any():
        return encode_valid(_columns(delivery.records), schema, header=header)
    values = encode_valid(_columns(delivery.records.filter(pa.array(~deleted))), schema, header=header)
    return values.take(pa.array(np.maximum(np.cumsum(~deleted) - 1, 0), mask=deleted))


def container_schema(plan: Plan) -> Record:
    """The output schema with what every record carries in front. On keyed topics every field may be null: deletes."""
    fields = plan.schema.fields
    if not plan.keyed:
        return replace(plan.schema, fields=(OFFSET, PARTITION, *fields))
    return replace(plan.schema, fields=(OFFSET, PARTITION, OP, *map(_optional, fields)))


def _optional(field: Field) -> Field:
    """Null besides what it is; in front of it unless a default of the field's own must fit the first branch."""
    branches: tuple[Type, ...] = field.type.branches if isinstance(field.type, Union) else (field.type,)
    if any(map(is_null, branches)):
        return field
    if field.has_default or len(branches) > 1:
        return replace(field, type=Union(branches=(*branches, NOTHING)))
    return replace(field, type=Union(branches=(NOTHING, *branches)), default=None)


def _with_nulls(column: pa.UnionArray, deleted: npt.NDArray[np.bool_]) -> pa.UnionArray:
    """Deletes take the union's own null branch, or the one that `container_schema` puts behind the others."""
    codes, offsets = (part.copy() for part in union_rows(column))
    children = [column.field(code) for code in range(column.type.num_fields)]
    place = next((code for code, child in enumerate(children) if pa.types.is_null(child.type)), len(children))
    children[place : place + 1] = [pa.nulls(1)]
    codes[deleted] = place
    offsets[codes == place] = 0
    return pa.UnionArray.from_dense(pa.array(codes), pa.array(offsets), children)


def _columns(records: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(records.schema.names, records.columns, strict=True))


def about_columns(delivery: Delivery) -> dict[str, pa.Array]:
    """What every record carries besides its fields."""
    columns = {"_offset": pa.array(delivery.offsets), "_partition": pa.array(delivery.partitions)}
    if delivery.deleted is not None:
        columns["_op"] = pc.if_else(pa.array(delivery.deleted), DELETE, UPSERT)
    return columns


def _metadata(plan: Plan, schema_id: int) -> dict[str, str]:
    return {"datong.topic": plan.topic, "datong.grant": plan.grant, "datong.schema_id": json.dumps(schema_id)}


def _text(text: str) -> bytes:
    body = text.encode()
    return varint(len(body)) + body


def _lengths(column: pa.BinaryArray) -> np.ndarray:
    """-1 for null."""
    return np.asarray(pc.fill_null(pc.binary_length(column), -1))


def _fixed(data: bytes, width: int) -> pa.BinaryArray:
    """Values of one width as binary."""
    offsets = np.arange(0, len(data) + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
