"""Confluent framing: a zero byte, the schema id as big-endian int32, then the Avro body (registry-api §8)."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.errors import MalformedAvro
from hub.lockstep import Ints, Lockstep

HEADER_BYTES = 5


def frame_header(schema_id: int) -> bytes:
    """The five bytes before a body."""
    return struct.pack(">bI", 0, schema_id)


def schema_ids(values: pa.BinaryArray) -> npt.NDArray[np.int64]:
    """The schema id of each framed value; nulls not allowed. Raises MalformedAvro for a value that is not framed."""
    if not len(values):
        return np.empty(0, np.int64)
    data, starts, ends = places(values)
    return schema_ids_at(data, starts, ends)


def schema_ids_at(data: Lockstep, starts: Ints, ends: Ints) -> npt.NDArray[np.int64]:
    """The same for values that stand anywhere in a buffer."""
    short = np.flatnonzero(ends - starts < HEADER_BYTES)
    if len(short):
        raise MalformedAvro("no schema id before the record", row=int(short[0]))
    words = data.words(starts)
    unframed = np.flatnonzero(words & np.uint64(0xFF))
    if len(unframed):
        raise MalformedAvro("the record does not begin with a zero byte", row=int(unframed[0]))
    return (words >> np.uint64(8)).astype(np.uint32).byteswap().astype(np.int64)


def places(values: pa.BinaryArray) -> tuple[Lockstep, Ints, Ints]:
    """A column without nulls as a buffer, and where each value starts and ends in it."""
    _valid, offset_buffer, data_buffer = values.buffers()
    n = len(values)
    raw = np.frombuffer(offset_buffer, np.int32)[values.offset : values.offset + n + 1] if n else np.zeros(1, np.int32)
    offsets = raw.astype(np.int64)
    first = int(offsets[0])
    data = memoryview(data_buffer)[first : int(offsets[-1])] if data_buffer else b""
    return Lockstep(data), offsets[:-1] - first, offsets[1:] - first
