"""The last records of a topic, decoded by their schemas and masked: enough to see what is there, and no more (G13)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hub import blocks
from hub.avro.types import Record
from hub.delivery.columns import PlanReader, delivered_schema, key_columns
from hub.delivery.texts import as_json
from hub.errors import CorruptBlock, DatongError, MalformedBlock, Retry
from hub.model import Json, Range
from hub.moments import iso
from hub.ports import LogReader
from hub.views.masked import masked
from hub.views.newest import newest_records, whole

MOST_PARTITIONS = 64  # of a topic with more, those are looked at that came furthest
Shown = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A topic, and how its records are read."""

    topic: str
    schema: Record  # the newest
    key: Sequence[str]  # empty: not keyed, or nobody knows
    keyed: bool


class Samples:
    """Of one topic. Every read starts near the end: what it costs does not grow with the topic."""

    def __init__(self, log: LogReader, of: Sampled, schema_of: Callable[[int], Record]) -> None:
        plan = whole(of.topic, of.schema, [f.name for f in of.schema.fields])
        self._log, self._of = log, of
        self._reader, self._columns = PlanReader(plan, schema_of), delivered_schema(plan)

    def last(self, spans: Mapping[int, Range], limit: int) -> tuple[list[Shown], list[str]]:
        """The newest records of all partitions together, newest first, and what is to be said of those that are missing."""
        found: list[tuple[int, Shown]] = []
        notes: list[str] = []
        furthest = sorted(spans, key=lambda p: -spans[p].end)[:MOST_PARTITIONS]
        if len(furthest) < len(spans):
            notes.append(f"looked at {len(furthest)} of {len(spans)} partitions")
        for partition in sorted(furthest):
            try:
                newest = newest_records(self._log, self._of.topic, partition, spans[partition], limit)
            except (CorruptBlock, MalformedBlock):
                notes.append(f"partition {partition} ends in a damaged block; `datong fsck` finds it")
                continue
            if newest is not None:
                found += zip(newest[1], self._shown(partition, *newest), strict=True)
        found.sort(key=lambda one: (one[0], one[1]["offset"]), reverse=True)
        return [shown for _, shown in found[:limit]], notes

    def _shown(self, partition: int, records: blocks.Records, times: Sequence[int]) -> Iterator[Shown]:
        values = self._values(records)
        gone = self._deleted(records)
        for place, offset in enumerate(records.offsets.tolist()):
            op, shown = "unreadable", gone.get(place, {})
            if records.value_lengths[place] < 0:
                op = "delete"
            elif place in values:
                op, shown = "upsert" if self._of.keyed else "append", values[place]
            yield {
                "partition": partition,
                "offset": offset,
                "appended": iso(times[place]),
                "op": op,
                "values": masked(shown, self._of.schema),
            }

    def _values(self, records: blocks.Records) -> dict[int, dict[str, Json]]:
        """Of live records, by place; one that cannot be read is missing, whoever put it there."""
        found: dict[int, dict[str, Json]] = {}
        at = 0
        while at < len(records):
            rest = blocks.join([records], at)
            try:
                part = self._reader.read(rest)
            except Retry:
                raise  # the registry is away
            except DatongError:
                if len(rest) == 1:
                    return found
                alone = {p: self._values(blocks.join([records.head(p + 1)], p)) for p in range(at, len(records))}
                return found | {place: one[0] for place, one in alone.items() if one}
            for row, values in zip(part.rows.tolist(), _json(part.records), strict=True):
                found[at + row] = values
            at += part.looked_at
        return found

    def _deleted(self, records: blocks.Records) -> dict[int, dict[str, Json]]:
        """Key fields of tombstones, by place."""
        rows = np.flatnonzero(records.value_lengths < 0)
        if not self._of.key or not len(rows):
            return {}
        keys = blocks.column(records.open(), records.key_starts[rows], records.key_lengths[rows])
        columns = key_columns(keys, self._of.key, self._columns)
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        return dict(zip(rows.tolist(), _json(batch), strict=True))


def _json(batch: pa.RecordBatch) -> list[dict[str, Json]]:
    """Rows as deliveries say them in JSON (R27)."""
    columns = [[json.loads(text) for text in as_json(column).to_pylist()] for column in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
