"""From encoded records to blocks: keys, headers and partitions (R5, R6, R7)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub import blocks as sections
from hub.model import Block, Rows
from hub.pipeline.digests import DIGEST_BYTES, digests
from hub.pipeline.plan import TaskPlan

AHEAD = timedelta(days=1)  # a date of today may begin tomorrow by UTC; what is further ahead is a mistake or a plan
SCOPE = "scope"  # header of a tombstone: the scope under which the record was last delivered (R19)


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """Records on their way to one topic, in order; a null value is a tombstone."""

    keys: pa.BinaryArray | None
    values: pa.BinaryArray
    ids: pa.BinaryArray  # ce_id
    times: pa.BinaryArray | None = None  # ce_time
    scopes: pa.BinaryArray | None = None  # only tombstones have one

    def __len__(self) -> int:
        return len(self.values)


def text_of(column: pa.Array) -> pa.BinaryArray:
    """A key field as UTF-8 text: integers in decimal, dates and times in ISO 8601, binary as it is (R6)."""
    if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
        return column.cast(pa.binary())
    return column.cast(pa.string()).cast(pa.binary())


def keys_of(records: pa.RecordBatch, key: tuple[str, ...]) -> pa.BinaryArray:
    """The key of each record: the one field's text, or a compact JSON array of several (R6). Null where a field is."""
    columns = [text_of(records.column(name)) for name in key]
    if len(columns) == 1:
        return columns[0]
    rows = zip(*[c.cast(pa.string()).to_pylist() for c in columns], strict=True)
    texts = [None if None in row else json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows]
    return pa.array(texts, pa.string()).cast(pa.binary())


def scopes_of(columns: Mapping[str, pa.Array], rows: int) -> list[bytes]:
    """The scope fields of each record as a compact JSON object; `{}` where a topic declares none."""
    if not columns:
        return [b"{}"] * rows
    texts = [column.cast(pa.string()).to_pylist() for column in columns.values()]
    return [
        json.dumps(dict(zip(columns, row, strict=True)), separators=(",", ":"), ensure_ascii=False).encode()
        for row in zip(*texts, strict=True)
    ]


def positional_ids(task: str, origin: str, rows: Rows) -> pa.BinaryArray:
    """Record ids from where a row stands: the same on every reading of a class A source (R7)."""
    prefix = hashlib.blake2b(f"{task}\0{origin}".encode(), digest_size=8).hexdigest() + "-"
    numbers = pa.array(rows).cast(pa.string()).cast(pa.binary())
    return pc.binary_join_element_wise(pa.scalar(prefix.encode(), pa.binary()), numbers, pa.scalar(b"", pa.binary()))


def named_ids(task: str, names: pa.BinaryArray) -> pa.BinaryArray:
    """Record ids from what the source calls its rows (R7)."""
    return content_ids(f"{task}\0named", names, pa.nulls(len(names), pa.binary()))


def content_ids(task: str, keys: pa.BinaryArray | None, values: pa.BinaryArray) -> pa.BinaryArray:
    """Record ids from key and content, for sources whose positions do not repeat (R7)."""
    salt = hashlib.blake2b(task.encode(), digest_size=16).digest()
    named = keys if keys is not None else pa.scalar(b"", pa.binary())
    whole = pc.binary_join_element_wise(
        named, values, pa.scalar(b"\0", pa.binary()), null_handling="replace", null_replacement=b""
    )
    texts = b"".join(digests(whole, salt)).hex().encode()
    width = 2 * DIGEST_BYTES
    offsets = np.arange(0, (len(values) + 1) * width, width, dtype=np.int32)
    return pa.BinaryArray.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(texts)])


def iso_times(column: pa.Array) -> pa.BinaryArray:
    """A date or timestamp column as RFC 3339 text, for ce_time."""
    if pa.types.is_date(column.type):
        return pc.strftime(column.cast(pa.timestamp("s")), format="%Y-%m-%dT00:00:00Z").cast(pa.binary())
    text = pc.strftime(column.cast(pa.timestamp(column.type.unit)), format="%Y-%m-%dT%H:%M:%S")
    return pc.binary_join_element_wise(text, "Z", "").cast(pa.binary())


def newest_event(out: Outgoing, at_ms: int) -> int | None:
    """The newest event time of these records, ms; None when they have none.

    What lies more than a day ahead of the clock does not count, or one mistyped year would make a topic fresh for ever."""
    if out.times is None:
        return None
    most = (datetime.fromtimestamp(at_ms / 1000, UTC) + AHEAD).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    past = out.times.filter(pc.less(out.times, pa.scalar(most, pa.binary())))
    newest = pc.max(past).as_py() if len(past) else None
    if newest is None:
        return None
    try:
        return int(datetime.fromisoformat(newest.decode()).timestamp() * 1000)
    except ValueError:  # a year that Python's calendar does not have
        return None


class Publisher:
    """Cuts records into blocks for the topic of one task and numbers them (G3: seq = seq_base + place in the batch)."""

    def __init__(
        self, plan: TaskPlan, *, epoch: int, sequences: Mapping[str, int], replay_of: str | None = None
    ) -> None:
        self._plan = plan
        self._epoch = epoch
        self.sequences = dict(sequences)
        self._next = 0  # round robin for topics without key (R6)
        self._constant = [
            ("ce_specversion", b"1.0"),
            ("ce_source", plan.source_uri.encode()),
            ("ce_type", plan.topic.name.encode()),
            ("ce_dataschema", f"/schemas/ids/{plan.schema_id}".encode()),
            *([("replay", replay_of.encode())] if replay_of else []),
        ]

    def blocks(self, out: Outgoing, *, batch_id: str) -> list[Block]:
        """All records of one batch as blocks, each partition's in order."""
        if not len(out):
            return []
        topic = self._plan.topic.name
        partitions, runs = [], []
        for partition, rows in self._partitions(out):
            place = f"{topic}/{partition}"
            base = self.sequences.get(place, -1) + 1
            partitions.append(partition)
            runs.append(sections.Run(rows=rows, constant=self._shared(batch_id.encode(), len(out), base)))
            self.sequences[place] = base + (len(out) if rows is None else len(rows)) - 1
        return [
            Block(topic=topic, partition=partitions[run], count=count, records=section)
            for run, _start, count, section in sections.cut(out.keys, out.values, _per_record(out), runs)
        ]

    def _shared(self, batch_id: bytes, batch_n: int, base: int) -> list[tuple[str, bytes]]:
        numbers = [("batch_n", batch_n), ("seq_base", base), ("epoch", self._epoch)]
        return [*self._constant, ("batch_id", batch_id), *[(k, str(v).encode()) for k, v in numbers]]

    def _partitions(self, out: Outgoing) -> Iterator[tuple[int, Rows | None]]:
        """Each partition and the places of its records; None: all of them."""
        partitions = self._plan.topic.partitions
        if partitions == 1:
            yield 0, None
        elif out.keys is None:  # whole blocks, round robin
            for start in range(0, len(out), 1000):
                yield self._next % partitions, np.arange(start, min(start + 1000, len(out)))
                self._next += 1
        else:
            where = sections.partition_of(out.keys, partitions)
            for partition in range(partitions):
                rows = np.flatnonzero(where == partition)
                if len(rows):
                    yield partition, rows


def _per_record(out: Outgoing) -> list[tuple[str, pa.BinaryArray]]:
    named = (("ce_id", out.ids), ("ce_time", out.times), (SCOPE, out.scopes))
    return [(name, column) for name, column in named if column is not None]


def concat(parts: list[Outgoing]) -> Outgoing:
    """Several groups of records as one, in order. Headers that one group lacks are null there."""

    def join(columns: list[pa.Array | None]) -> pa.Array | None:
        if all(c is None for c in columns):
            return None
        full = [
            c.cast(pa.binary()) if c is not None else pa.nulls(len(p), pa.binary())
            for c, p in zip(columns, parts, strict=True)
        ]
        return pa.concat_arrays(full)

    if len(parts) == 1:
        return parts[0]
    return Outgoing(
        keys=join([p.keys for p in parts]),
        values=join([p.values for p in parts]),
        ids=join([p.ids for p in parts]),
        times=join([p.times for p in parts]),
        scopes=join([p.scopes for p in parts]),
    )
