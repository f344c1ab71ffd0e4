"""Places of a partition by time."""

from __future__ import annotations

from hub.errors import OffsetOutOfRange
from hub.model import Range
from hub.ports import LogReader

ONE_BLOCK = 1  # bytes: at least one block is answered, however large


def offset_at(log: LogReader, topic: str, partition: int, span: Range, timestamp_ms: int) -> int:
    """Where the first block begins that was appended at this time or later; the end, if none was.

    Looked for by halves, a block at a time: some twenty reads of one block for a million records. Append times grow with
    offsets; where a clock was set back between two of them, the place is one of those that fit. Raises NotFound."""
    low, high = span.earliest, span.end
    while low < high:
        middle = (low + high) // 2
        try:
            blocks = log.read(topic, partition, middle, ONE_BLOCK).blocks
        except OffsetOutOfRange as error:  # retention was faster
            if error.earliest <= low:
                raise
            low = min(error.earliest, high)
            continue
        if not blocks or blocks[0].timestamp_ms >= timestamp_ms:
            high = middle
        else:
            low = min(max(blocks[0].last_offset, middle) + 1, high)
    return low
