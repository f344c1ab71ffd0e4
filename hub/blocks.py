"""Kafka v2 record sections ⇄ columns of keys, values and headers. Pure.

A section is the records of one Kafka record batch (KIP-98, "Record"): length, attributes, timestamp delta, offset delta,
key, value, headers; lengths are zigzag varints, null is -1. Both logs store exactly these bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import buffers, ragged
from hub.errors import MalformedBlock
from hub.lockstep import Lockstep, TooLong
from hub.model import MAX_BLOCK_BYTES, MAX_RECORDS
from hub.ragged import Cells, Piece, Same, Slices, Stretches

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
MAX_HEADERS = 1_000  # per record, when reading
MAX_READ_RECORDS = 1_000_000  # per section, when reading other producers'
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


@dataclass(frozen=True, kw_only=True)
class Run:
    """Records that go to one place, by their index in the columns (None: all), and the headers that all of them share."""

    rows: Ints | None = None
    constant: Sequence[tuple[str, bytes]] = ()


def cut(
    keys: pa.BinaryArray | None,
    values: pa.BinaryArray,
    per_record: Sequence[tuple[str, pa.BinaryArray]],
    runs: Sequence[Run],
    *,
    max_records: int = MAX_RECORDS,
    max_bytes: int = MAX_BLOCK_BYTES,
) -> Iterator[tuple[int, int, int, memoryview]]:
    """Cut the records of each run into sections within the bounds of R5: (number of the run, index in it of the first
    record, count, section), in order. All sections are parts of one buffer.

    A record larger than `max_bytes` gets a section of its own; the caller rejects those beforehand (TOO_LARGE)."""
    pieces, counts = _pieces(keys, values, per_record, runs)
    n = sum(counts)
    sizes = ragged.sizes_of(pieces, n) + 2
    ends = np.cumsum(sizes + 6)  # at most 3 bytes of length and 3 of offset delta below the bound
    cuts, firsts = [0], [0]  # of sections, and of the run that each is in
    for first, last in itertools.pairwise(np.cumsum([0, *counts]).tolist()):
        while cuts[-1] < last:
            start = cuts[-1]
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + max_bytes, side="right"))
            cuts.append(min(max(stop, start + 1), start + max_records, last))
            firsts.append(first)
    made = _join(pieces, sizes, np.repeat(cuts[:-1], np.diff(cuts)))
    whole, numbers = made.data.data, {first: i for i, first in enumerate(np.cumsum([0, *counts[:-1]]).tolist())}
    for (start, stop), first in zip(itertools.pairwise(cuts), firsts[1:], strict=True):
        yield numbers[first], start - first, stop - start, whole[int(made.offsets[start]) : int(made.offsets[stop])]


def split(
    keys: pa.BinaryArray | None,
    values: pa.BinaryArray,
    headers: Headers,
    *,
    max_records: int = MAX_RECORDS,
    max_bytes: int = MAX_BLOCK_BYTES,
) -> Iterator[tuple[int, int, memoryview]]:
    """`cut` of one run: (index of the first, count, section)."""
    run = Run(constant=headers.constant)
    for _run, start, count, section in cut(
        keys, values, headers.per_record, [run], max_records=max_records, max_bytes=max_bytes
    ):
        yield start, count, section


def encode(keys: pa.BinaryArray | None, values: pa.BinaryArray, headers: Headers) -> bytes:
    """All records as one section, however large. Offset deltas 0 … n-1, timestamp deltas 0, null value = tombstone."""
    pieces, (n,) = _pieces(keys, values, headers.per_record, [Run(constant=headers.constant)])
    return _join(pieces, ragged.sizes_of(pieces, n) + 2, np.zeros(n, np.int64)).data.tobytes()


def _pieces(
    keys: pa.BinaryArray | None,
    values: pa.BinaryArray,
    per_record: Sequence[tuple[str, pa.BinaryArray]],
    runs: Sequence[Run],
) -> tuple[list[Piece], list[int]]:
    """What follows the offset delta of each record, in the order of the runs; and how many records each run has."""
    rows = np.concatenate([r.rows for r in runs if r.rows is not None]) if runs[0].rows is not None else None
    counts = [len(values) if r.rows is None else len(r.rows) for r in runs]
    headers = np.repeat([len(r.constant) for r in runs], counts)
    pieces = [*_nullable(keys, rows), *_nullable(values, rows)]
    lead = len(pieces)
    for name, column in per_record:
        body, there = _of(column, rows)
        headers += there
        pieces += [_only_where(p, there) for p in (Same(_text(name)), ragged.lengths(body.sizes))]
        pieces.append(body)
    same = bool(len(headers)) and int(headers.min()) == int(headers.max())
    pieces.insert(lead, Same(varint(int(headers[0]))) if same else ragged.lengths(headers))
    constants = [b"".join(_text(k) + varint(len(v)) + v for k, v in r.constant) for r in runs]
    return [*pieces, Stretches(list(zip(counts, constants, strict=True)))], counts


def _of(column: pa.BinaryArray, rows: Ints | None) -> tuple[Slices, npt.NDArray[np.bool_]]:
    """The values, and which of them are not null."""
    body, there = ragged.slices(column), buffers.valid(column)
    return (body, there) if rows is None else (body.of(rows), there[rows])


def _nullable(column: pa.BinaryArray | None, rows: Ints | None) -> list[Piece]:
    """Length (-1 for null) and bytes of a key or value."""
    if column is None:
        return [Same(varint(-1))]
    body, there = _of(column, rows)
    sizes = ragged.varints(np.where(there, body.sizes, -1)) if column.null_count else ragged.lengths(body.sizes)
    return [sizes, body]


def _text(name: str) -> bytes:
    return varint(len(name.encode())) + name.encode()


def _only_where(piece: Same | Cells, there: npt.NDArray[np.bool_]) -> Piece:
    """Nothing in the other rows."""
    if there.all():
        return piece
    matrix = piece.matrix if isinstance(piece, Cells) else np.tile(np.frombuffer(piece.data, np.uint8), (len(there), 1))
    return Cells(matrix, piece.size * there)


def _join(pieces: list[Piece], sizes: Ints, starts: Ints) -> ragged.Rows:
    """Whole records; `starts` gives the first of each one's section, `sizes` what follows the offset delta and what stands
    before it: attributes and timestamp delta, a byte each."""
    deltas = np.arange(len(sizes)) - starts
    if max(sizes.max(initial=0) + 3, deltas.max(initial=0)) >= ragged.TABLE:
        delta = ragged.varints(deltas)
        return ragged.join([ragged.varints(sizes + delta.size), Same(b"\0\0"), delta, *pieces], len(sizes))
    delta_sizes = ragged.WORD_SIZES[deltas]
    body = sizes + delta_sizes
    ahead = ragged.WORD_SIZES[body] + np.uint8(2)  # of the offset delta
    words = ragged.WORDS[deltas].astype(np.uint64) << (ahead.astype(np.uint64) << np.uint64(3))
    words |= ragged.WORDS[body]
    lead = Cells(words.view(np.uint8).reshape(-1, 8), (ahead + delta_sizes).astype(np.int64))
    return ragged.join([lead, *pieces], len(sizes))


def partition_of(keys: pa.BinaryArray, partitions: int) -> npt.NDArray[np.int32]:
    """The partition of each key by murmur2, as every Kafka client has it."""
    return ((murmur2(keys) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)


def murmur2(keys: pa.BinaryArray) -> npt.NDArray[np.uint32]:
    """Kafka's 32-bit murmur2 (seed 0x9747b28c) of each key, computed for all keys of one length together."""
    whole = ragged.slices(keys)
    result = np.empty(len(keys), np.uint32)
    for length in np.flatnonzero(np.bincount(whole.sizes)).tolist():
        rows = np.flatnonzero(whole.sizes == length)
        result[rows] = _murmur2(ragged.windows(whole.data, whole.starts[rows], length))
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


@dataclass(frozen=True)
class Records:
    """Records of one section, or of several one behind the other, as places in their bytes; columns are made when asked
    for. A length of -1 is null."""

    sections: tuple[bytes | memoryview, ...]
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


def decode(section: bytes | memoryview, base_offset: int) -> Records:
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


def _ends(section: bytes | memoryview) -> Ints:
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


def _ends_of_any(section: bytes | memoryview) -> Ints:
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
    _offset, at, end = _first(section)
    for _ in range(2):
        at = _read_bytes(section, at, end)[2]
    return _read_headers(section, at, end)


def first_key(section: bytes) -> bytes | None:
    """Key of the first record alone. Raises MalformedBlock."""
    _offset, at, end = _first(section)
    start, length, _end = _read_bytes(section, at, end)
    return bytes(section[start : start + length]) if length >= 0 else None


def first_value(section: bytes) -> tuple[int, bytes | None]:
    """Offset delta and value of the first record alone: of sections that have one, a twentieth of the time of `decode`.
    Raises MalformedBlock."""
    offset, at, end = _first(section)
    start, length, _end = _read_bytes(section, _read_bytes(section, at, end)[2], end)
    return offset, bytes(section[start : start + length]) if length >= 0 else None


def _first(section: bytes) -> tuple[int, int, int]:
    """Of the first record: its offset delta, where its key begins, and where it ends."""
    length, at = _read(section, 0, len(section))
    end = at + length
    if length < 0 or end > len(section):
        raise MalformedBlock("record 0 ends outside its block")
    _delta, at = _read(section, at + 1, end)
    offset, at = _read(section, at, end)
    return offset, at, end


def _read(data: bytes | memoryview, at: int, end: int) -> tuple[int, int]:
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
