"""Kafka record batches (magic 2) out of a fetch response → stored blocks. Pure.

Header of a batch, big-endian (KIP-98): base offset 8, length 4, leader epoch 4, magic 1, CRC-32C 4, attributes 2, last
offset delta 4, first timestamp 8, maximum timestamp 8, producer id 8, producer epoch 2, base sequence 4, count 4; then the
records, compressed as one. The CRC covers all behind it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import crc32c
import lz4.frame
import pyarrow as pa
import zstandard

from hub.errors import CorruptBlock
from hub.model import StoredBlock

HEADER = struct.Struct(">qiibIhiqqqhii")
LENGTH_AT, MAGIC_AT, CRC_END = 8, 16, 21
LENGTH = struct.Struct(">i")
OVERHEAD = 12  # base offset and length are not counted in the length
CODEC, LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20
MAX_SECTION = 64 * 1024 * 1024  # uncompressed bytes of one batch; ours have at most 512 KiB
MAX_COUNT = 1_000_000
SNAPPY = pa.Codec("snappy")
XERIAL, XERIAL_HEADER = b"\x82SNAPPY\x00", 16


@dataclass(frozen=True)
class Aborted:
    """An aborted transaction as a broker reports it with a fetch."""

    producer_id: int
    first_offset: int


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was taken of a fetch response: blocks without control and aborted batches, and the offset behind all of them."""

    blocks: Sequence[StoredBlock]
    next_offset: int
    spans: Sequence[tuple[int, int]] = ()  # first and last offset of what is there; what is missing between was removed


def parse(
    topic: str, partition: int, offset: int, data: bytes, aborted: Sequence[Aborted], max_bytes: int = MAX_SECTION
) -> Parsed:
    """Whole batches that end at or after `offset`, until their records fill `max_bytes`: what a broker sends is counted as it
    is compressed, and would be decompressed in vain. A cut-off one at the end is left for the next fetch.

    Raises CorruptBlock for the first batch when its checksum, codec or size is wrong; a later one ends the answer."""
    waiting = sorted(aborted, key=lambda a: a.first_offset)
    open_aborted: set[int] = set()
    found: list[StoredBlock] = []
    spans: list[tuple[int, int]] = []
    next_offset, size = offset, 0
    for batch in _batches(data):
        if batch.last_offset < offset:
            continue
        if size >= max_bytes:
            break
        try:
            batch.check(topic, partition)
            while waiting and waiting[0].first_offset <= batch.last_offset:
                open_aborted.add(waiting.pop(0).producer_id)
            if batch.attributes & CONTROL:
                open_aborted.discard(batch.producer_id)
            elif batch.count and not (batch.attributes & TRANSACTIONAL and batch.producer_id in open_aborted):
                found.append(batch.block(topic, partition))
                size += len(found[-1].records)
        except CorruptBlock:
            if next_offset > offset:
                break
            raise
        next_offset = batch.last_offset + 1
        # of one that was emptied the header stays as long as its producer is known: all of it was removed
        if batch.count:
            spans.append((batch.base_offset, batch.last_offset))
    return Parsed(blocks=found, next_offset=next_offset, spans=spans)


@dataclass(frozen=True)
class _Batch:
    base_offset: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    count: int
    covered: memoryview  # what the CRC covers
    body: memoryview

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_delta

    def check(self, topic: str, partition: int) -> None:
        good = self.magic == 2 and 0 <= self.count <= MAX_COUNT and crc32c.crc32c(self.covered) == self.crc
        if not good:
            raise CorruptBlock(topic=topic, partition=partition, offset=self.base_offset)

    def block(self, topic: str, partition: int) -> StoredBlock:
        try:
            records = _unpack(self.attributes & CODEC, self.body)
        except Exception:  # every codec has errors of its own
            raise CorruptBlock(topic=topic, partition=partition, offset=self.base_offset) from None
        return StoredBlock(
            topic=topic,
            partition=partition,
            base_offset=self.base_offset,
            last_offset=self.last_offset,
            count=self.count,
            timestamp_ms=self.max_timestamp,
            records=records,
        )


def _batches(data: bytes) -> Iterator[_Batch]:
    view, at = memoryview(data), 0
    while at + HEADER.size <= len(view):
        end = at + OVERHEAD + int(LENGTH.unpack_from(view, at + LENGTH_AT)[0])
        if end > len(view) or end < at + HEADER.size:
            return
        base, _length, _leader, magic, crc, attributes, last, first, latest, producer, _epoch, _sequence, count = (
            HEADER.unpack_from(view, at)
        )
        yield _Batch(
            base, magic, crc, attributes, last, first, latest, producer, count,
            view[at + CRC_END : end], view[at + HEADER.size : end],
        )  # fmt: skip
        at = end


def _unpack(codec: int, body: memoryview) -> bytes:
    """None, gzip, snappy, lz4 frame or zstd; bounded, because producers may be others (S3)."""
    if codec == 0:
        return bytes(body)
    if codec == 1:
        made = zlib.decompressobj(31)
        return _bounded(made.decompress(bytes(body), MAX_SECTION))
    if codec == 2:
        return _bounded(b"".join(_unsnap(bytes(body))))
    if codec == 3:
        return _bounded(lz4.frame.LZ4FrameDecompressor().decompress(bytes(body), max_length=MAX_SECTION))
    if codec == 4:
        with zstandard.ZstdDecompressor(max_window_size=128 * 1024 * 1024).stream_reader(bytes(body)) as reader:
            return _bounded(reader.read(MAX_SECTION))
    raise ValueError(f"codec {codec}")


def _unsnap(body: bytes) -> Iterator[bytes]:
    """Raw snappy as librdkafka writes it, or the blocks of xerial's framing as Java does."""
    if not body.startswith(XERIAL):
        yield _unsnap_one(body)
        return
    at = XERIAL_HEADER
    while at < len(body):
        (size,) = LENGTH.unpack_from(body, at)
        if size < 0:
            raise ValueError("a block of negative length")
        yield _unsnap_one(body[at + LENGTH.size : at + LENGTH.size + size])
        at += LENGTH.size + size


def _unsnap_one(block: bytes) -> bytes:
    """The format begins with its uncompressed length as a varint."""
    size = shift = at = 0
    while at < 5:
        byte = block[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    if size >= MAX_SECTION:
        raise ValueError("a batch is larger than 64 MiB")
    return bytes(SNAPPY.decompress(block, decompressed_size=size))


def _bounded(records: bytes) -> bytes:
    if len(records) >= MAX_SECTION:
        raise ValueError("a batch is larger than 64 MiB")
    return records
