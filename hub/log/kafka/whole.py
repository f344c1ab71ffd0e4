"""A whole topic of somebody else, once: keys and values in the order of each partition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from hub import blocks as sections
from hub.log.kafka.cluster import connect
from hub.log.kafka.options import KafkaOptions
from hub.log.kafka.reader import KafkaReader

FETCH_BYTES = 4 * 1024 * 1024
Pair = tuple[bytes | None, bytes | None]


def whole_topic(options: KafkaOptions, topic: str) -> Iterator[Pair]:
    """From the earliest record to the end as it is now. Raises NotFound, LogUnavailable, ConfigurationInvalid."""
    with closing(connect(options)) as connection:
        reader = KafkaReader(connection)
        for partition, span in reader.ends(topic).items():
            at = span.earliest
            while at < span.end:
                fetch = reader.read(topic, partition, at, FETCH_BYTES)
                for block in fetch.blocks:
                    records = sections.decode(block.records, block.base_offset)
                    yield from zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True)
                if fetch.next_offset <= at:
                    break
                at = fetch.next_offset
