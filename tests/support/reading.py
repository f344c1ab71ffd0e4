"""Everything on a topic, straight from the log."""

from __future__ import annotations

from hub import blocks
from hub.model import QUARANTINE
from hub.pipeline.internal import Follower
from hub.pipeline.quarantine import Closing, Entry, parse
from hub.ports import LogReader


def records_of(log: LogReader, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """(key, value) of every record."""
    found: list[tuple[bytes | None, bytes | None]] = []
    for partition, span in log.ends(topic).items():
        offset = span.earliest
        while offset < span.end:
            fetch = log.read(topic, partition, offset, 10_000_000)
            for block in fetch.blocks:
                part = blocks.decode(block.records, block.base_offset)
                found += list(zip(part.keys.to_pylist(), part.values.to_pylist(), strict=True))
            offset = fetch.next_offset
    return found


def quarantined(log: LogReader) -> list[Entry | Closing]:
    """Entries of quarantine and their closings, in order; what others wrote is passed over."""
    return [item for _offset, item in Follower(log, QUARANTINE, parse).new()]
