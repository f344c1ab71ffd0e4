"""Confluent framing: a zero byte, the schema id as big-endian int32, then the Avro body (registry-api §8)."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.errors import MalformedAvro

HEADER_BYTES = 5


def frame_header(schema_id: int) -> bytes:
    """The five bytes before a body."""
    return struct.pack(">bI", 0, schema_id)


def schema_ids(values: pa.BinaryArray) -> npt.NDArray[np.int64]:
    """The schema id of each framed value; nulls not allowed. Raises MalformedAvro for a value that is not framed."""
    if not len(values):
        return np.empty(0, np.int64)
    _valid, offset_buffer, data_buffer = values.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    short = np.flatnonzero(np.diff(offsets) < HEADER_BYTES)
    if len(short):
        raise MalformedAvro("no schema id before the record", row=int(short[0]))
    data = np.frombuffer(data_buffer, np.uint8)
    head = data[offsets[:-1, None] + np.arange(HEADER_BYTES)]
    unframed = np.flatnonzero(head[:, 0])
    if len(unframed):
        raise MalformedAvro("the record does not begin with a zero byte", row=int(unframed[0]))
    return np.asarray(head[:, 1:].astype(np.int64) @ np.array([1 << 24, 1 << 16, 1 << 8, 1]), np.int64)
