"""Kafka v2 record sections ⇄ columns of keys, values and headers. Pure.

A section is the records of one Kafka record batch (KIP-98, "Record"): length, attributes, timestamp delta, offset delta,
key, value, headers; lengths are zigzag varints, null is -1. Both logs store exactly these bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.errors import MalformedBlock
from hub.lockstep import Lockstep, TooLong
from hub.model import MAX_BLOCK_BYTES, MAX_RECORDS

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
MAX_HEADERS = 1_000  # per record, when reading
MAX_READ_RECORDS = 1_000_000  # per section, when reading other producers'
_EMPTY = pa.scalar(b"", pa.binary())
_TABLE = 1 << 17
_STEPS = tuple(2 + ((first & 0x7F) >> 1) for first in range(256))  # of a length whose first byte this is


@dataclass(frozen=True, kw_only=True)
class Headers:
    """Headers of the records of a section: first those with a value per record (null: left out there), then constants."""

    per_record: Sequence[tuple[str, pa.BinaryArray]] = ()
    constant: Sequence[tuple[str, bytes]] = ()


def varint(number: int) -> bytes:
    """A zigzag varint, at most 10 bytes."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _make_table() -> tuple[pa.BinaryArray, Ints]:
    """Zigzag varints of 0 … 131071 and their lengths: every length and delta of a block is in it."""
    z = np.arange(_TABLE, dtype=np.uint32) << 1
    size = 1 + (z >= 1 << 7).astype(np.int32) + (z >= 1 << 14).astype(np.int32)
    raw = np.stack([z & 0x7F, (z >> 7) & 0x7F, (z >> 14) & 0x7F], axis=1).astype(np.uint8)
    raw[:, 0] |= (size > 1).astype(np.uint8) << 7
    raw[:, 1] |= (size > 2).astype(np.uint8) << 7
    data = raw[np.arange(3) < size[:, None]]
    offsets = np.zeros(_TABLE + 1, np.int32)
    np.cumsum(size, out=offsets[1:])
    table = pa.Array.from_buffers(pa.binary(), _TABLE, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return table, size.astype(np.int64)


_VARINTS, _VARINT_SIZES = _make_table()


def _varints(numbers: Ints) -> pa.BinaryArray:
    if not len(numbers) or int(numbers.max()) < _TABLE:
        return _VARINTS.take(pa.array(numbers))
    return pa.array([varint(int(n)) for n in numbers], pa.binary())


def _varint_sizes(numbers: Ints) -> Ints:
    if not len(numbers) or int(numbers.max()) < _TABLE:
        return _VARINT_SIZES[numbers]
    return np.array([len(varint(int(n))) for n in numbers], np.int64)


def _lengths(column: pa.BinaryArray) -> Ints:
    return np.asarray(pc.fill_null(pc.binary_length(column), 0), np.int64)


@dataclass
class _Parts:
    """What follows the offset delta of each record, and the length of all but it and the record's own length."""

    columns: list[pa.Array | pa.Scalar]
    sizes: Ints


def _bytes_field(column: pa.BinaryArray | None, parts: _Parts) -> None:
    """Length (-1 for null) and bytes of a key or value."""
    if column is None:
        parts.columns.append(pa.scalar(b"\x01", pa.binary()))
        parts.sizes[:] += 1
        return
    lengths = _lengths(column)
    prefix = _varints(lengths)
    sizes = lengths + _varint_sizes(lengths)
    if column.null_count:
        missing = column.is_null()
        prefix = pc.if_else(missing, pa.scalar(b"\x01", pa.binary()), prefix)
        column = column.fill_null(b"")
        sizes = np.where(missing.to_numpy(zero_copy_only=False), 1, sizes)
    parts.columns += [prefix, column]
    parts.sizes[:] += sizes


def _headers_field(headers: Headers, n: int, parts: _Parts) -> None:
    """Number of headers, then name and value of each."""
    counts = np.full(n, len(headers.constant), np.int64)
    columns: list[pa.Array | pa.Scalar] = []
    for name, values in headers.per_record:
        present = values.is_valid().to_numpy(zero_copy_only=False)
        counts += present
        lead = varint(len(name.encode())) + name.encode()
        lengths = _lengths(values)
        body = pc.binary_join_element_wise(
            pa.scalar(lead, pa.binary()), _varints(lengths), values.fill_null(b""), _EMPTY
        )
        sizes = len(lead) + lengths + _varint_sizes(lengths)
        if not present.all():
            body = pc.if_else(pa.array(present), body, _EMPTY)
            sizes = np.where(present, sizes, 0)
        columns.append(body)
        parts.sizes[:] += sizes
    fixed = b"".join(varint(len(k.encode())) + k.encode() + varint(len(v)) + v for k, v in headers.constant)
    parts.sizes[:] += _varint_sizes(counts) + len(fixed)
    parts.columns.append(_varints(counts))
    parts.columns += columns
    if fixed:
        parts.columns.append(pa.scalar(fixed, pa.binary()))


def _parts(keys: pa.BinaryArray | None, values: pa.BinaryArray, headers: Headers) -> _Parts:
    n = len(values)
    parts = _Parts([], np.full(n, 2, np.int64))  # attributes and timestamp delta
    _bytes_field(keys, parts)
    _bytes_field(values, parts)
    _headers_field(headers, n, parts)
    return parts


def _section(parts: _Parts, start: int, count: int) -> bytes:
    deltas = np.arange(count, dtype=np.int64)
    body = parts.sizes[start : start + count] + _VARINT_SIZES[deltas]
    columns = [c if isinstance(c, pa.Scalar) else c.slice(start, count) for c in parts.columns]
    joined = pc.binary_join_element_wise(
        _varints(body), pa.scalar(b"\0\0", pa.binary()), _VARINTS.slice(0, count), *columns, _EMPTY
    )
    offsets, data = _raw(joined)
    return data[offsets[0] : offsets[-1]].tobytes()


def split(
    keys: pa.BinaryArray | None,
    values: pa.BinaryArray,
    headers: Headers,
    *,
    max_records: int = MAX_RECORDS,
    max_bytes: int = MAX_BLOCK_BYTES,
) -> Iterator[tuple[int, int, bytes]]:
    """Cut records into sections within the bounds of R5: (index of the first, count, section), in order.

    A record larger than `max_bytes` gets a section of its own; the caller rejects those beforehand (TOO_LARGE)."""
    n = len(values)
    if not n:
        return
    parts = _parts(keys, values, headers)
    ends = np.cumsum(parts.sizes + 6)  # at most 3 bytes of length and 3 of offset delta below the bound
    start = 0
    while start < n:
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + max_bytes, side="right"))
        stop = min(max(stop, start + 1), start + max_records, n)
        yield start, stop - start, _section(parts, start, stop - start)
        start = stop


def encode(keys: pa.BinaryArray | None, values: pa.BinaryArray, headers: Headers) -> bytes:
    """All records as one section, however large. Offset deltas 0 … n-1, timestamp deltas 0, null value = tombstone."""
    return _section(_parts(keys, values, headers), 0, len(values))


def partition_of(keys: pa.BinaryArray, partitions: int) -> npt.NDArray[np.int32]:
    """The partition of each key by murmur2, as every Kafka client has it."""
    return ((murmur2(keys) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)


def murmur2(keys: pa.BinaryArray) -> npt.NDArray[np.uint32]:
    """Kafka's 32-bit murmur2 (seed 0x9747b28c) of each key, computed for all keys of one length together."""
    offsets, data = _raw(keys)
    lengths = np.diff(offsets)
    result = np.empty(len(keys), np.uint32)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        matrix = data[offsets[rows][:, None] + np.arange(length)] if length else np.empty((len(rows), 0), np.uint8)
        result[rows] = _murmur2(matrix)
    return result


def _murmur2(keys: Bytes) -> npt.NDArray[np.uint32]:
    m = np.uint32(0x5BD1E995)
    n, length = keys.shape
    h = np.full(n, np.uint32(0x9747B28C) ^ np.uint32(length), np.uint32)
    with np.errstate(over="ignore"):
        for i in range(0, length - 3, 4):
            k = np.ascontiguousarray(keys[:, i : i + 4]).view("<u4")[:, 0] * m
            k = (k ^ (k >> np.uint32(24))) * m
            h = (h * m) ^ k
        tail = length & ~3
        for j in reversed(range(length & 3)):
            h ^= keys[:, tail + j].astype(np.uint32) << np.uint32(8 * j)
        if length & 3:
            h = h * m
        h = (h ^ (h >> np.uint32(13))) * m
        return np.asarray(h ^ (h >> np.uint32(15)), np.uint32)


def _raw(column: pa.BinaryArray) -> tuple[Ints, Bytes]:
    _valid, offsets, data = column.buffers()
    span = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1] if offsets else np.zeros(1)
    return span.astype(np.int64), np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)


@dataclass(frozen=True)
class Records:
    """Records of one section, or of several one behind the other, as places in their bytes; columns are made when asked
    for. A length of -1 is null."""

    sections: tuple[bytes, ...]
    offsets: Ints
    key_starts: Ints
    key_lengths: Ints
    value_starts: Ints
    value_lengths: Ints
    header_starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.offsets)

    def size(self, count: int) -> int:
        """Bytes of the first so many."""
        if not count:
            return 0
        return int(self.ends[count - 1] - self.key_starts[0])

    def head(self, count: int) -> Records:
        """The first so many."""
        cut = {f.name: getattr(self, f.name)[:count] for f in fields(self) if f.name != "sections"}
        return replace(self, **cut)

    def open(self) -> Lockstep:
        """The bytes that the places stand in, copied once."""
        return Lockstep(*self.sections)

    @cached_property
    def keys(self) -> pa.BinaryArray:
        """Null where the record's key is."""
        return column(self.open(), self.key_starts, self.key_lengths)

    @cached_property
    def values(self) -> pa.BinaryArray:
        """Null where the record's value is."""
        return column(self.open(), self.value_starts, self.value_lengths)

    def headers(self) -> list[dict[str, bytes | None]]:
        """All headers of each record; the first of several with one name counts."""
        data = b"".join(self.sections)
        spans = zip(self.header_starts.tolist(), self.ends.tolist(), strict=True)
        return [_read_headers(data, start, end) for start, end in spans]

    def header(self, name: str, rows: Ints | None = None) -> pa.BinaryArray:
        """The value of one header of each record (or of some, ascending), null where there is none. The first of several
        counts. Raises MalformedBlock."""
        chosen = slice(None) if rows is None else rows
        return _header(self.open(), self.header_starts[chosen], self.ends[chosen], name.encode())


def column(data: Lockstep, starts: Ints, lengths: Ints) -> pa.BinaryArray:
    """Slices of records, one behind the other, null for a length of -1."""
    missing = lengths < 0
    if not missing.any():
        return data.slices(starts, lengths)
    return data.slices(starts, np.where(missing, 0, lengths), ~missing)


def join(parts: Sequence[Records], first: int = 0) -> Records:
    """Records of at least one section as one, without the first so many."""
    sizes = [sum(map(len, part.sections)) for part in parts]
    shifts = np.repeat(np.cumsum([0, *sizes[:-1]]), [len(part) for part in parts])[first:]

    def places(name: str) -> Ints:
        return np.concatenate([getattr(part, name) for part in parts])[first:]

    return Records(
        sections=tuple(section for part in parts for section in part.sections),
        offsets=places("offsets"),
        key_starts=places("key_starts") + shifts,
        key_lengths=places("key_lengths"),
        value_starts=places("value_starts") + shifts,
        value_lengths=places("value_lengths"),
        header_starts=places("header_starts") + shifts,
        ends=places("ends") + shifts,
    )


def decode(section: bytes, base_offset: int) -> Records:
    """The records of any producer's section. Raises MalformedBlock; allocates no more than the section's own size."""
    data = Lockstep(section)
    with _malformed():
        ends = _ends(section)
        lengths, at = data.numbers(_starts(ends))
        if len(ends) > MAX_READ_RECORDS or data.size != int(ends[-1:].sum()) or (at + lengths != ends).any():
            ends = _ends_of_any(section)
            _lengths, at = data.numbers(_starts(ends))
        _time, at = data.numbers(at + 1)  # behind the attributes
        delta, at = data.numbers(at)
        key_starts, key_lengths, at = _spans(data, at, ends)
        value_starts, value_lengths, at = _spans(data, at, ends)
    return Records(
        sections=(section,),
        offsets=base_offset + delta,
        key_starts=key_starts,
        key_lengths=key_lengths,
        value_starts=value_starts,
        value_lengths=value_lengths,
        header_starts=at,
        ends=ends,
    )


def _starts(ends: Ints) -> Ints:
    return np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1]])


def _ends(section: bytes) -> Ints:
    """Where each record ends, as far as lengths of one or two bytes say: the caller looks whether that is right. One step
    a record, because only its length says where the next one begins; this is the only such step on the way out."""
    at = 0
    ends: list[int] = []
    add, two = ends.append, _STEPS
    try:
        while True:
            first = section[at]
            at += two[first] + (section[at + 1] << 6) if first > 0x7F else 1 + (first >> 1)
            add(at)
    except IndexError:  # the end
        return np.array(ends, np.int64)


def _ends_of_any(section: bytes) -> Ints:
    """The same for lengths of any size. Raises MalformedBlock."""
    ends: list[int] = []
    size, at = len(section), 0
    while at < size:
        length, at = _read(section, at, size)
        at += length
        if length < 0 or at > size or len(ends) >= MAX_READ_RECORDS:
            raise MalformedBlock(f"record {len(ends)} ends outside its block")
        ends.append(at)
    return np.array(ends, np.int64)


def _spans(data: Lockstep, at: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    """Starts and lengths of a byte string of each record, and where it ends; -1 is null. Raises MalformedBlock."""
    lengths, starts = data.numbers(at)
    after = starts + np.maximum(lengths, 0)
    if ((lengths < -1) | (lengths > ends - starts) | (starts > ends)).any():
        raise MalformedBlock("a key, value or header runs over the end of its record")
    return starts, lengths, after


def _header(data: Lockstep, at: Ints, ends: Ints, name: bytes) -> pa.BinaryArray:
    """In rounds: one header of every record that still has one."""
    starts, lengths = at.copy(), np.full(len(at), -1, np.int64)
    with _malformed():
        counts, at = data.numbers(at)
        if ((counts < 0) | (counts > MAX_HEADERS) | (at > ends)).any():
            raise MalformedBlock("a record has an impossible number of headers")
        found = np.zeros(len(at), np.bool_)
        live = np.flatnonzero(counts)
        number = 0
        while len(live):
            name_at, name_length, value = _spans(data, at[live], ends[live])
            value_at, value_length, after = _spans(data, value, ends[live])
            mine = (name_length == len(name)) & ~found[live]
            mine[mine] = (data.bytes[name_at[mine, None] + np.arange(len(name))] == np.frombuffer(name, np.uint8)).all(
                1
            )
            rows = live[mine]
            found[rows], starts[rows], lengths[rows] = True, value_at[mine], value_length[mine]
            at[live] = after
            number += 1
            live = live[counts[live] > number]
    return column(data, starts, lengths)


@contextmanager
def _malformed() -> Iterator[None]:
    try:
        yield
    except TooLong as error:
        raise MalformedBlock("a number has more than 64 bits") from error


def first_headers(section: bytes) -> dict[str, bytes | None]:
    """Headers of the first record alone: constants of a block stand in every record. Raises MalformedBlock."""
    length, at = _read(section, 0, len(section))
    end = at + length
    if length < 0 or end > len(section):
        raise MalformedBlock("record 0 ends outside its block")
    _delta, at = _read(section, at + 1, end)
    _offset, at = _read(section, at, end)
    for _ in range(2):
        at = _read_bytes(section, at, end)[2]
    return _read_headers(section, at, end)


def _read(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A zigzag varint at `at`, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    raise MalformedBlock("a number runs over the end of its record")


def _read_bytes(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    length, at = _read(data, at, end)
    if length < -1 or at + max(length, 0) > end:
        raise MalformedBlock("a key, value or header runs over the end of its record")
    return at, length, at + max(length, 0)


def _read_headers(data: bytes, at: int, end: int) -> dict[str, bytes | None]:
    count, at = _read(data, at, end)
    if not 0 <= count <= MAX_HEADERS:
        raise MalformedBlock("a record has an impossible number of headers")
    found: dict[str, bytes | None] = {}
    for _ in range(count):
        name_at, name_length, at = _read_bytes(data, at, end)
        value_at, value_length, at = _read_bytes(data, at, end)
        name = data[name_at : name_at + max(name_length, 0)].decode("utf-8", "replace")
        found.setdefault(name, data[value_at : value_at + value_length] if value_length >= 0 else None)
    return found


def keep(records: Records, rows: pa.Array) -> bytes:
    """The section with some of its records only, byte for byte, offset deltas unchanged: for compaction."""
    starts = np.concatenate([np.zeros(1, np.int64), records.ends[:-1]])
    spans = [(int(starts[i]), int(records.ends[i])) for i in rows.to_pylist()]
    data = b"".join(records.sections)
    return b"".join(data[start:end] for start, end in spans)
