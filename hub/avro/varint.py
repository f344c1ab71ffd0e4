"""Zigzag varints in columns (Avro 1.12, "Binary Encoding")."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Unsigned = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
MAX_BYTES = 10


def binary(lengths: npt.NDArray[np.integer], data: Bytes) -> pa.BinaryArray:
    """A column of consecutive slices."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)


def zigzag(values: Ints) -> Unsigned:
    """Signed to unsigned, small magnitudes first."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def encode(values: Unsigned) -> pa.BinaryArray:
    """Unsigned numbers as varints."""
    n = len(values)
    if not n:
        return pa.array([], pa.binary())
    width = max(-(-int(values.max()).bit_length() // 7), 1)
    if width == 1:
        return binary(np.ones(n, np.int32), values.astype(np.uint8))
    matrix = np.empty((n, width), np.uint8)
    lengths = np.ones(n, np.int32)
    rest = values
    for k in range(width):
        matrix[:, k] = rest & np.uint64(0x7F)
        rest = rest >> np.uint64(7)
        if k + 1 < width:
            more = rest != 0
            matrix[:, k] |= more.view(np.uint8) << 7
            lengths += more
    if int(lengths.min()) == width:
        return binary(lengths, matrix.reshape(-1))
    return binary(lengths, matrix[np.arange(width) < lengths[:, None]])


_LENGTHS = encode(np.arange(4096, dtype=np.uint64) << np.uint64(1))


def lengths(numbers: npt.NDArray[np.integer]) -> pa.BinaryArray:
    """Non-negative lengths or indexes as Avro longs; small ones from a table."""
    if not len(numbers) or int(numbers.max()) < 4096:
        return _LENGTHS.take(pa.array(numbers))
    return encode(numbers.astype(np.uint64) << np.uint64(1))
