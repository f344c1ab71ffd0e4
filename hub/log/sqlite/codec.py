"""How a block lies in a row: lz4, and a CRC32C over all that says where it belongs."""

from __future__ import annotations

import struct

import crc32c
import lz4.block

from hub.errors import CorruptBlock

MAX_UNPACKED = 64 * 1024 * 1024  # bytes; far above any block, far below what could hurt
_PLACE = struct.Struct(">iqqi")


def pack(section: bytes | memoryview) -> bytes:
    """The section as stored."""
    return bytes(lz4.block.compress(section, store_size=True))


def checksum(topic: str, partition: int, base_offset: int, last_offset: int, count: int, data: bytes) -> int:
    """CRC32C (Castagnoli) over place and stored bytes."""
    head = topic.encode() + _PLACE.pack(partition, base_offset, last_offset, count)
    return int(crc32c.crc32c(data, crc32c.crc32c(head)))


def unpack(topic: str, partition: int, offsets: tuple[int, int], count: int, crc: int, data: bytes) -> bytes:
    """The section, or CorruptBlock."""
    base_offset, last_offset = offsets
    if checksum(topic, partition, base_offset, last_offset, count, data) != crc:
        raise CorruptBlock(topic=topic, partition=partition, offset=base_offset)
    if len(data) < 4 or int.from_bytes(data[:4], "little") > MAX_UNPACKED:
        raise CorruptBlock(topic=topic, partition=partition, offset=base_offset)
    return bytes(lz4.block.decompress(data))
