"""Many places of one buffer read at once: varints and slices. Pure.

Records lie one behind the other, each at a place of its own; whatever all of them have next is read for all of them by a
handful of array operations. Both record sections (hub/blocks.py) and Avro bodies (hub/avro/decoding.py) are read so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
BEYOND = 64  # bytes that may be looked at behind the end: callers check their positions at least that often
MAX_SIZE = 2**31 - 1 - BEYOND  # offsets of Arrow's binary columns have 32 bits


def _u64(number: int) -> np.uint64:
    return np.uint64(number)


_CONTINUED, _ONE = _u64(0x8080808080808080), _u64(1)
_PAYLOAD = _u64(0x7F7F7F7F7F7F7F7F)
_PAIRS = (_u64(0x007F007F007F007F), _u64(0x7F007F007F007F00), _u64(1))
_QUADS = (_u64(0x00003FFF00003FFF), _u64(0x3FFF00003FFF0000), _u64(2))
_HALVES = (_u64(0x000000000FFFFFFF), _u64(0x0FFFFFFF00000000), _u64(4))


def unzigzag(values: Words) -> Ints:
    """Unsigned to signed: 0, -1, 1, -2 …"""
    return (values >> _ONE).view(np.int64) ^ -(values & _ONE).view(np.int64)


_SMALL = unzigzag(np.arange(256, dtype=np.uint64))  # the numbers of one byte


class TooLong(Exception):
    """A varint has more than 64 bits. `place` is its index among the positions asked for."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class Lockstep:
    """Some byte strings, joined. Positions are from 0 to `size`, and at most `BEYOND` past it."""

    def __init__(self, *parts: bytes | memoryview) -> None:
        whole = b"".join([*parts, bytes(BEYOND + 8)])
        self.size = len(whole) - BEYOND - 8
        if self.size > MAX_SIZE:
            raise ValueError("a buffer has at most 2 GiB")
        self.bytes: Bytes = np.frombuffer(whole, np.uint8)
        self._words: Words = np.ndarray((len(whole) - 7,), "<u8", whole, strides=(1,))

    def words(self, at: Ints) -> Words:
        """The eight bytes from each position on, little-endian."""
        return self._words[at]

    def numbers(self, at: Ints) -> tuple[Ints, Ints]:
        """The zigzag varint at each position, and the position behind it. Raises TooLong."""
        first = self.bytes[at]
        after = at + 1
        if not len(at) or int(first.max()) < 0x80:
            return _SMALL[first], after
        more = first >= 0x80
        second = self.bytes[after] * more
        if int(second.max()) < 0x80:
            zigzag = (first & 0x7F) + (second.astype(np.int64) << 7)
            return (zigzag >> 1) ^ -(zigzag & 1), after + more
        long = np.flatnonzero(second & 0x80)
        if 2 * len(long) > len(at):
            return self._long(at, np.arange(len(at)))
        zigzag = (first & 0x7F) + (second.astype(np.int64) << 7)
        values, after = (zigzag >> 1) ^ -(zigzag & 1), after + more
        values[long], after[long] = self._long(at[long], long)
        return values, after

    def behind(self, at: Ints) -> Ints:
        """The position behind the varint at each position. Raises TooLong."""
        if not len(at) or int(self.bytes[at].max()) < 0x80:
            return at + 1
        stops = ~self.words(at) & _CONTINUED
        below = (stops & (~stops + _ONE)) - _ONE
        after = at + 1 + (np.bitwise_count(below) >> 3)
        huge = np.flatnonzero(stops == 0)
        if len(huge):
            _values, after[huge] = self._huge(at[huge], np.zeros(len(huge), np.uint64), huge)
        return after

    def _long(self, at: Ints, places: Ints) -> tuple[Ints, Ints]:
        """Of any length: seven bits of each byte up to the first without its top bit, eight bytes at a time."""
        words = self.words(at)
        stops = ~words & _CONTINUED
        stop = stops & (~stops + _ONE)  # the lowest; 0 when there is none in eight bytes
        below = stop - _ONE
        values = words & below & _PAYLOAD
        for low, high, shift in (_PAIRS, _QUADS, _HALVES):
            values = (values & low) | ((values & high) >> shift)
        after = at + (np.bitwise_count(below) >> 3).astype(np.int64) + 1
        huge = np.flatnonzero(stop == 0)
        if len(huge):
            values[huge], after[huge] = self._huge(at[huge], values[huge], places[huge])
        return unzigzag(values), after

    def _huge(self, at: Ints, low: Words, places: Ints) -> tuple[Words, Ints]:
        """Of nine or ten bytes."""
        ninth, tenth = self.bytes[at + 8], self.bytes[at + 9]
        ten = ninth >= 0x80
        wrong = ten & (tenth > 1)
        if wrong.any():
            raise TooLong(int(places[int(np.argmax(wrong))]))
        values = low | ((ninth & 0x7F).astype(np.uint64) << _u64(56))
        values |= np.where(ten, tenth, 0).astype(np.uint64) << _u64(63)
        return values, at + 9 + ten

    def slices(self, starts: Ints, lengths: Ints, valid: Mask | None = None) -> pa.BinaryArray:
        """A column of slices, each behind the one before; `valid` says which are not null, and those that are have length
        0. One copy, made by Arrow: what lies between two slices is a slice that is left out."""
        n = len(starts)
        if not n:
            return pa.array([], pa.binary())
        offsets = np.empty(2 * n, np.int32)
        offsets[::2] = starts
        offsets[1::2] = starts + lengths
        if (offsets[1:] < offsets[:-1]).any():
            raise ValueError("slices must not overlap")
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.bytes)]
        mixed = pa.Array.from_buffers(pa.binary(), 2 * n - 1, buffers)
        made = mixed.take(pa.array(np.arange(0, 2 * n - 1, 2)))
        return made if valid is None else masked(made, valid)


def masked(column: pa.Array, valid: Mask) -> pa.Array:
    """The same column, null where not `valid`. It must have no offset and, if it is nested, no use for one."""
    _old, *buffers = column.buffers()
    return pa.Array.from_buffers(column.type, len(column), [bits(valid), *buffers])


def bits(mask: Mask) -> pa.Buffer:
    """A mask as Arrow's bitmap."""
    return pa.py_buffer(np.packbits(mask, bitorder="little"))
