"""Rows of bytes of different lengths, put together from columns by numpy alone. Pure.

A row is its pieces, one after the other. Once each piece says how long it is in every row, all places are known, and a
piece is copied for all rows at once: a gather and a scatter of as many bytes as its longest needs. What that writes too much
in a shorter row lies in the pieces behind it, which are written later; rows that end before are copied by exact length. So
a piece costs about ten nanoseconds a row, and one byte of it next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import buffers
from hub.errors import LimitExceeded

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Size: TypeAlias = "Ints | int"  # of a piece in every row

MANY = 64  # bytes moved at once for all rows
ALIKE = 256  # the same, where most rows are nearly as long as the longest
LONG = 512  # bytes after which what is left is copied row by row
FEW = 8  # rows that are always copied one by one
MOST = 2**31 - 1  # bytes that one column can hold
TABLE = 1 << 17  # varints of 0 … 131071, as words


@dataclass(frozen=True)
class Same:
    """The same bytes in every row."""

    data: bytes

    @property
    def size(self) -> Size:
        return len(self.data)

    def put(self, out: Bytes, at: Ints, _ends: Ints) -> None:
        width = len(self.data)
        if width == 1:
            out[at] = self.data[0]
        elif width and len(at):
            _view(out, width)[at] = np.frombuffer(self.data, _void(width))


@dataclass(frozen=True)
class Stretches:
    """The same bytes in so many consecutive rows, then others in the next."""

    parts: Sequence[tuple[int, bytes]]

    @property
    def size(self) -> Size:
        sizes = [len(data) for _rows, data in self.parts]
        return sizes[0] if len(set(sizes)) == 1 else np.repeat(sizes, [rows for rows, _data in self.parts])

    def put(self, out: Bytes, at: Ints, ends: Ints) -> None:
        start = 0
        for rows, data in self.parts:
            Same(data).put(out, at[start : start + rows], ends)
            start += rows


@dataclass(frozen=True)
class Cells:
    """The first bytes of a row of a matrix; `sizes` None: all of them."""

    matrix: Bytes  # two-dimensional, C-contiguous
    sizes: Ints | None = None

    @property
    def size(self) -> Size:
        return int(self.matrix.shape[1]) if self.sizes is None else self.sizes

    def put(self, out: Bytes, at: Ints, ends: Ints) -> None:
        rows, width = self.matrix.shape
        if width == 1 and self.sizes is None:
            out[at] = self.matrix[:, 0]
        elif rows and width:
            whole = self.matrix.view(_void(width))[:, 0]
            if self.sizes is None or np.count_nonzero(at + width <= ends) == rows:
                _view(out, width)[at] = whole
            else:
                _copy(out, at, ends, self.matrix.reshape(-1), np.arange(rows) * width, self.sizes)


@dataclass(frozen=True)
class Slices:
    """So many bytes from a place in a buffer."""

    data: Bytes
    starts: Ints
    sizes: Ints

    @property
    def size(self) -> Size:
        return self.sizes

    def of(self, rows: Ints) -> Slices:
        """Some rows, or all in another order."""
        return Slices(self.data, self.starts[rows], self.sizes[rows])

    def put(self, out: Bytes, at: Ints, ends: Ints) -> None:
        _copy(out, at, ends, self.data, self.starts, self.sizes)


Piece: TypeAlias = "Same | Stretches | Cells | Slices"


@dataclass(frozen=True)
class Rows:
    """Consecutive rows: row i is `data[offsets[i] : offsets[i + 1]]`."""

    offsets: Ints
    data: Bytes

    def slices(self) -> Slices:
        """As a piece of other rows."""
        return Slices(self.data, self.offsets[:-1], np.diff(self.offsets))

    def column(self) -> pa.BinaryArray:
        """As Arrow has it, without a copy."""
        made = [None, pa.py_buffer(self.offsets.astype(np.int32)), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.binary(), len(self.offsets) - 1, made)


def gather(piece: Slices) -> Rows:
    """Values next to each other. What a copy writes too much here, the next row's overwrites: numpy assigns in the order of
    the index."""
    rows = len(piece.sizes)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(piece.sizes, out=offsets[1:])
    at, total, longest = offsets[:-1], int(offsets[-1]), int(piece.sizes.max(initial=0))
    out = np.empty(total + longest, np.uint8)
    if rows <= FEW or not _at_once(piece.sizes, longest):
        _copy(out, at, offsets[1:], piece.data, piece.starts, piece.sizes)
    elif longest:
        late = np.flatnonzero(piece.starts > len(piece.data) - longest)
        starts = piece.starts if not len(late) else np.minimum(piece.starts, max(len(piece.data) - longest, 0))
        if len(piece.data) >= longest:
            _view(out, longest)[at] = _view(piece.data, longest)[starts]
        _one_by_one(out, at[late], piece.data, piece.starts[late], piece.sizes[late])
    return Rows(offsets, out[:total])


def slices(column: pa.Array) -> Slices:
    """A column of text or bytes; NULL is empty."""
    offsets, data = buffers.text(column)
    places = offsets.astype(np.int64)
    sizes = places[1:] - places[:-1]
    if column.null_count:
        sizes *= buffers.valid(column)
    return Slices(data, places[:-1], sizes)


def windows(data: Bytes, starts: Ints, width: int) -> Bytes:
    """So many bytes from each place, a row each."""
    if not width or not len(starts):
        return np.empty((len(starts), width), np.uint8)
    return _view(data, width)[starts].view(np.uint8).reshape(-1, width)


def sizes_of(pieces: Sequence[Piece], rows: int) -> Ints:
    """How long each row gets."""
    total = np.full(rows, sum(p.size for p in pieces if isinstance(p.size, int)), np.int64)
    for piece in pieces:
        if not isinstance(piece.size, int):
            total += piece.size
    return total


def join(pieces: Sequence[Piece], rows: int) -> Rows:
    """Put rows together. Raises LimitExceeded when they are longer than a column can be."""
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(sizes_of(pieces, rows), out=offsets[1:])
    if offsets[-1] > MOST:
        raise LimitExceeded(
            "a batch's records are longer than two gigabytes", remedy="make the mapping's texts shorter"
        )
    out = np.empty(int(offsets[-1]), np.uint8)
    at, ends = offsets[:-1].copy(), offsets[1:]
    for piece in pieces if len(out) else ():
        piece.put(out, at, ends)
        at += piece.size
    return Rows(offsets, out)


def lengths(numbers: npt.NDArray[np.integer]) -> Cells:
    """Zigzag varints of numbers that are not negative, and mostly small."""
    most = int(numbers.max()) if len(numbers) else 0
    if most < 1 << 6:
        return Cells((numbers << 1).astype(np.uint8)[:, None])
    if most < TABLE:
        return Cells(WORDS[numbers].view(np.uint8).reshape(-1, 4), WORD_SIZES[numbers].astype(np.int64))
    return varints(numbers)


def varints(numbers: npt.NDArray[np.integer]) -> Cells:
    """Zigzag varints."""
    signed = numbers.astype(np.int64, copy=False)
    values = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    bits = int(values.max()).bit_length() if len(values) else 1
    if bits <= 7:
        return Cells(values.astype(np.uint8)[:, None])
    if bits > 56:
        return _long_varints(values, -(-bits // 7))
    kind: type[np.unsignedinteger[Any]] = np.uint32 if bits <= 28 else np.uint64
    values = values.astype(kind, copy=False)
    words, sizes = values & kind(0x7F), np.ones(len(values), np.int64)
    for k in range(1, -(-bits // 7)):
        more = values >= kind(1 << 7 * k)
        sizes += more
        words |= more.astype(kind) << kind(8 * k - 1)
        words |= (values & kind(0x7F << 7 * k)) << kind(k)
    return Cells(words.view(np.uint8).reshape(len(words), -1), sizes)


def _long_varints(values: npt.NDArray[np.uint64], width: int) -> Cells:
    """Those that may not fit in a word."""
    matrix, sizes = np.empty((len(values), width), np.uint8), np.ones(len(values), np.int64)
    for k in range(width):
        matrix[:, k] = values & np.uint64(0x7F)
        values = values >> np.uint64(7)
        more = values != 0
        matrix[:, k] |= more.view(np.uint8) << 7
        sizes += more
    return Cells(matrix, sizes)


def _words() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Zigzag varints of 0 … 131071 as little-endian words, and their sizes: every length in a record is among them."""
    z = np.arange(TABLE, dtype=np.uint32) << 1
    two, three = z >= 1 << 7, z >= 1 << 14
    words = z & 0x7F | two * np.uint32(0x80) | (z >> 7 & 0x7F) << 8 | three * np.uint32(0x8000) | (z >> 14) << 16
    return words.astype(np.uint32), (1 + two.astype(np.uint8) + three).astype(np.uint8)


WORDS, WORD_SIZES = _words()


def _copy(out: Bytes, at: Ints, ends: Ints, data: Bytes, starts: Ints, sizes: Ints) -> None:
    """`sizes` bytes from `starts` to `at`. Bytes between there and `ends` may be written too."""
    if len(at) <= FEW:
        _one_by_one(out, at, data, starts, sizes)
        return
    longest = int(sizes.max())
    if _at_once(sizes, longest):
        if longest:
            _spread(out, at, ends, data, starts, sizes, longest)
        return
    done = 0
    while True:
        left = sizes - done
        width = min(int(left.max()), MANY)
        _spread(out, at + done, ends, data, starts + done, np.minimum(left, width), width)
        done += width
        more = np.flatnonzero(left > width)
        at, ends, starts, sizes = at[more], ends[more], starts[more], sizes[more]
        if done >= LONG or len(more) <= FEW:
            _one_by_one(out, at + done, data, starts + done, sizes - done)
            return


def _at_once(sizes: Ints, longest: int) -> bool:
    return longest <= MANY or (longest <= ALIKE and longest * len(sizes) <= 2 * int(sizes.sum()))


def _spread(out: Bytes, at: Ints, ends: Ints, data: Bytes, starts: Ints, sizes: Ints, width: int) -> None:
    fits = (at + width <= ends) & (starts <= len(data) - width)
    if np.count_nonzero(fits) == len(fits):
        _view(out, width)[at] = _view(data, width)[starts]
        return
    rows = np.flatnonzero(fits)
    if len(rows):
        _view(out, width)[at[rows]] = _view(data, width)[starts[rows]]
    rows = np.flatnonzero(~fits)
    _exactly(out, at[rows], data, starts[rows], sizes[rows])


def _exactly(out: Bytes, at: Ints, data: Bytes, starts: Ints, sizes: Ints) -> None:
    """All rows of one length together."""
    order = np.argsort(sizes.astype(np.uint16), kind="stable")
    counts = np.bincount(sizes)
    end = int(counts[0])
    for size in (np.flatnonzero(counts[1:]) + 1).tolist():
        rows = order[end : end + int(counts[size])]
        _view(out, size)[at[rows]] = _view(data, size)[starts[rows]]
        end += len(rows)


def _one_by_one(out: Bytes, at: Ints, data: Bytes, starts: Ints, sizes: Ints) -> None:
    for to, start, size in zip(at.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        out[to : to + size] = data[start : start + size]


def _void(width: int) -> np.dtype[np.void]:
    return np.dtype((np.void, width))


def _view(buffer: Bytes, width: int) -> npt.NDArray[np.void]:
    """Every `width` consecutive bytes of a buffer, overlapping."""
    return np.ndarray((len(buffer) - width + 1,), _void(width), buffer, 0, (1,))
