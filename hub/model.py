"""Values that travel between the ports: frozen, keyword-only, valid when they exist. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.findings import Finding as Finding  # beside them for those who have the values already
from hub.findings import Report as Report

Json = Any  # a JSON value: None, bool, int, float, str, or a list or dict of them
Rows = npt.NDArray[np.int64]
Mode = Literal["append", "upsert", "snapshot"]

TOPIC_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9_-]*)+")  # agency.domain.entity.vN
MAX_TOPIC_NAME = 249  # characters, Kafka's own bound
MAX_RECORDS = 1_000  # per block (R5)
MAX_BLOCK_BYTES = 512 * 1024  # uncompressed record section (R5)

QUARANTINE = "__quarantine"
MANIFESTS = "__manifests"
STATE = "__state"
INTERNAL_TOPICS = (QUARANTINE, MANIFESTS, STATE)


@dataclass(frozen=True, kw_only=True)
class SourceCheckpoint:
    """A position in a source: what has been read up to here. Opaque to everyone but the source that made it."""

    value: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a task stores with each append (G6): the source's position and the task's own counters."""

    source: SourceCheckpoint | None  # None: nothing acknowledged yet
    batch: int = 0  # number of the last batch appended
    sequences: Mapping[str, int] = field(default_factory=dict)  # "topic/partition" -> last `seq` given (G3)
    columns: Sequence[str] | None = None  # of the source, sorted, as known when a run last ended (R13); None: not yet

    @classmethod
    def of(cls, data: Mapping[str, Json]) -> Checkpoint:
        """From its fields as JSON. Raises KeyError and TypeError for what is none."""
        source, columns = data["source"], data.get("columns")
        return cls(
            source=SourceCheckpoint(value=source["value"]) if source else None,
            batch=data["batch"],
            sequences=data["sequences"],
            columns=None if columns is None else tuple(columns),
        )


@dataclass(frozen=True, kw_only=True)
class ReadFailure:
    """A row that the source found but could not turn into columns."""

    row: int  # number of the row within its origin, 1 = first data row
    reason: str  # BAD_ENCODING, COLUMN_COUNT, UNCLOSED_QUOTE, TOO_LARGE, BAD_JSON …
    raw: bytes  # as read; kept in quarantine, never shown
    path: str = ""  # column, when one is to blame


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows in columns, and the position after them. An idle source yields empty ones."""

    records: pa.RecordBatch  # the source's columns; text sources deliver strings
    position: SourceCheckpoint  # after this batch
    origin: str = ""  # file name @ content version, or table name: where the rows stand
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))  # number of each row within its origin
    failures: Sequence[ReadFailure] = ()
    complete: bool = False  # a complete pass over the source ends with this batch (R18)
    deduplicated: int = 0  # rows read again in an overlap window and left out of `records`
    columns: Sequence[
        str
    ] = ()  # all that the source has there, those that nobody wants included; empty: not known (R13)
    ids: pa.BinaryArray | None = (
        None  # what the source calls each row, the same whenever it comes again; None: it does not
    )
    notes: Sequence[str] = ()  # about the source, for a person; the run shows each once. Never data
    remember: Sequence[bytes] = ()  # names that `Remembered` says yes to for 72 hours, from the append of this batch on

    def __post_init__(self) -> None:
        if len(self.rows) != self.records.num_rows or (self.ids is not None and len(self.ids) != len(self.rows)):
            raise ValueError("one row number per record, and one id where there are ids")

    @property
    def read(self) -> int:
        """Rows that the source handed over, good or bad."""
        return int(self.records.num_rows) + len(self.failures) + self.deduplicated


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a departmental system sent by HTTP, before anybody looked at it."""

    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a sender is told when all it sent is durable."""

    records: int  # rows that came; the mapping may have filtered or quarantined some
    again: bool = False  # it had been taken before


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One thing a source can be read as: a file set or a table."""

    name: str
    columns: pa.Schema
    key: Sequence[str] = ()
    rows: int | None = None  # estimate


@dataclass(frozen=True, kw_only=True)
class Topic:
    """What the log must know of a topic. Its contract (title, sharing, freshness) is the catalogue's."""

    name: str
    partitions: int = 1  # fixed for the life of a topic version (R9)
    compacted: bool = False  # keyed topics keep the last record of each key (R8)
    retention_ms: int | None = None  # append topics: age at which records may go; None = keep
    retention_bytes: int | None = None  # per partition

    def __post_init__(self) -> None:
        if self.name not in INTERNAL_TOPICS and not TOPIC_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a topic name (agency.domain.entity.vN, lower case)")
        if len(self.name) > MAX_TOPIC_NAME or not 1 <= self.partitions <= 1_000:
            raise ValueError("a topic has a name of at most 249 characters and 1 to 1,000 partitions")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Records to append to one partition: a Kafka v2 record section (hub/blocks.py), offset deltas 0 … count - 1."""

    topic: str
    partition: int
    count: int
    records: bytes | memoryview

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_RECORDS or len(self.records) > 2 * MAX_BLOCK_BYTES:
            raise ValueError("a block has 1 to 1,000 records and at most 1 MiB")


@dataclass(frozen=True, kw_only=True)
class StoredBlock:
    """A block as the log keeps it. Its records carry offset deltas from `base_offset`; deltas may have gaps (R3)."""

    topic: str
    partition: int
    base_offset: int
    last_offset: int
    count: int
    timestamp_ms: int  # append time, ms since 1970 UTC (R7)
    records: bytes


@dataclass(frozen=True, kw_only=True)
class Range:
    """Offsets of a partition: `earliest` is the first that can be read, `end` the one the next record will get."""

    earliest: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """An answer of the log. `next_offset` is where to go on; count ≠ distance of offsets (R3)."""

    blocks: Sequence[StoredBlock]
    next_offset: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Appended:
    """The base offset each block got, in the order they were given."""

    offsets: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class PushRules:
    """How the hub pushes to a sink."""

    tries: int = 1  # of one batch; then the run fails, or the batch is set aside
    wait_most_s: float = 60.0  # between two tries, whoever asked for more
    dead_letters: bool = False  # a batch that failed is set aside, and the following ones go on
    max_records: int | None = None  # in a batch; None: as many as an answer to a subscriber has


@dataclass(frozen=True, kw_only=True)
class SinkBatch:
    """A delivery on its way to a subscriber's own system. Partitions one after the other, each in offset order."""

    records: pa.RecordBatch  # the grant's fields
    key: Sequence[str]  # key fields of a keyed topic; empty for the others
    offsets: npt.NDArray[np.int64]  # of each record
    partitions: npt.NDArray[np.int32]
    deleted: npt.NDArray[np.bool_] | None  # keyed topics: True = delete, key fields only
    positions: Mapping[int, int]  # per partition, where to go on behind this batch
    reset: bool  # what was written before is void: reading began again
    form: Callable[[str], bytes]  # all of it as json, ndjson, csv, avro or parquet
    about: Mapping[str, Json] = field(default_factory=dict)  # topic, grant and schema_id, for those who are told


@dataclass(frozen=True, kw_only=True)
class Message:
    """What somebody is told of alerts."""

    subject: str
    text: str
    body: Mapping[str, Json]  # the same for programs


@dataclass(frozen=True, kw_only=True)
class RunTotals:
    """The account of a run (G2): read = published + quarantined + filtered + unchanged + deduplicated + discarded.

    Deletions and superseded replays are counted apart."""

    read: int = 0
    published: int = 0
    quarantined: int = 0
    filtered: int = 0
    unchanged: int = 0
    deduplicated: int = 0
    deleted: int = 0
    superseded: int = 0
    discarded: int = 0  # rows that a person has set aside (R22)

    @property
    def difference(self) -> int:
        """0 when the run reconciles."""
        accounted = self.published + self.quarantined + self.filtered + self.unchanged + self.deduplicated
        return self.read - accounted - self.superseded - self.discarded

    def __add__(self, other: RunTotals) -> RunTotals:
        return RunTotals(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})
