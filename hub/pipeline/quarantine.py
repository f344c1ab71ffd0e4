"""Rows that could not be published: kept whole, explained, and read again after a fix (G9, R20, R22).

The topic `__quarantine` holds three kinds of JSON records, keyed by the entry's id: an *entry* (the row as read and why it
failed), a *closing* of an entry (replayed, superseded, gone from the source, discarded). An entry is open until closed.
Its id is made from task, raw content and mapping version, so the same bad row read again is the same entry: open still, or
set aside still when a person discarded it (R22).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from hub import blocks
from hub.model import QUARANTINE, Batch, Block, StoredBlock
from hub.pipeline import internal
from hub.pipeline.plan import TaskPlan
from hub.ports import LogReader

JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
SORTED = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
CONNECTOR = "__connect.errors.connector.name"  # header: a block is of one task
MAX_RAW = 64 * 1024  # bytes of a row kept; a longer one is cut and says so
Stage = Literal["read", "map", "where", "check", "key", "encode", "snapshot"]
Outcome = Literal["replayed", "superseded", "gone", "discarded"]


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Why one row of a batch goes to quarantine. `index` points into the batch's records, or its failures."""

    index: int
    stage: Stage
    reason: str
    path: str = ""
    in_failures: bool = False  # index counts `Batch.failures`


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One quarantined row."""

    id: str
    task: str
    topic: str
    stage: str
    reason: str
    path: str  # field or column to blame
    origin: str  # file @ version, or table
    row: int  # number within the origin
    columns: Mapping[str, Any] | None  # as read, JSON values; None when the row could not be decoded
    types: Mapping[str, str]  # Arrow types of the columns that are not text
    raw: bytes | None  # only when there are no columns
    mapping: str  # mapping version
    record_id: str  # the ce_id it would have had
    run: str
    at: int  # ms

    def to_json(self) -> bytes:
        """The record's value in `__quarantine`."""
        data = {**self.__dict__, "kind": "entry", "raw": base64.b64encode(self.raw).decode() if self.raw else None}
        return JSON.encode(data).encode()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entry:
        """The inverse of `to_json`, without the kind. Raises KeyError and TypeError for what is none."""
        return cls(**{**data, "raw": base64.b64decode(data["raw"]) if data["raw"] else None})


@dataclass(frozen=True, kw_only=True)
class Closing:
    """The end of an entry."""

    id: str
    task: str
    outcome: Outcome
    run: str
    at: int  # ms
    by: str = ""  # the person who set it aside; nobody: a run closed it
    why: str = ""  # what that person said

    @property
    def set_aside(self) -> bool:
        """Did a person do it? Then the same row read again under the same mapping stays closed (R22)."""
        return self.outcome == "discarded" and self.by != ""

    def to_json(self) -> bytes:
        """The record's value in `__quarantine`."""
        told = {name: value for name, value in self.__dict__.items() if value or name not in ("by", "why")}
        return JSON.encode({**told, "kind": "closing"}).encode()


@dataclass
class OpenEntries:
    """The ids of a task's open entries, of those met again in this pass, and of those that a person set aside."""

    ids: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)
    discarded: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, reader: LogReader, task: str) -> OpenEntries:
        """From the topic itself, which is the truth."""
        found, name = cls(), task.encode()

        def wanted(block: StoredBlock) -> bool:
            return blocks.first_headers(block.records).get(CONNECTOR) in (None, name)

        for _offset, item in internal.Follower(reader, QUARANTINE, _glance_at(task), wanted=wanted).new():
            found._take(item)
        return found

    def _take(self, item: str | Closing | None) -> None:
        if isinstance(item, Closing):
            self.ids.discard(item.id)
            if item.set_aside:
                self.discarded.add(item.id)
        elif item is not None:
            self.ids.add(item)
            self.discarded.discard(item)

    def meet(self, made: Sequence[Entry]) -> list[Entry]:
        """Those that are to be appended: neither open already nor set aside (R22)."""
        self.met.update(entry.id for entry in made)
        fresh = {entry.id: entry for entry in made if entry.id not in self.ids and entry.id not in self.discarded}
        self.ids.update(fresh)
        return list(fresh.values())


def _glance_at(task: str) -> Callable[[bytes | None], str | Closing | None]:
    """`parse` for who needs no more of a task's entries than their ids, which is all that a run needs of 100,000 of them
    before it can begin. What begins and ends exactly as the hub writes an entry is not looked into; all else is parsed."""
    name = re.escape(JSON.encode(task).encode())
    own = re.compile(rb'\{"id":"([0-9a-f]{32})","task":' + name + rb',"topic":.*,"kind":"entry"\}', re.DOTALL)

    def glance(value: bytes | None) -> str | Closing | None:
        found = own.fullmatch(value or b"")
        if found is not None:
            return found[1].decode()
        item = parse(value)
        if item.task != task:
            return None
        return item.id if isinstance(item, Entry) else item

    return glance


def parse(value: bytes | None) -> Entry | Closing:
    """One record of `__quarantine`. Raises ValueError for one that no hub wrote."""
    data = internal.document(value, SHAPE)
    kind = data.pop("kind", None)
    try:
        return Entry.from_json(data) if kind == "entry" else Closing(**data)
    except (TypeError, KeyError) as error:
        raise ValueError("another shape") from error


def _is_row(value: Any) -> bool:
    """Columns as `rows_as_json` makes them?"""
    return value is None or (isinstance(value, dict) and all(_is_cell(v) for v in value.values()))


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or internal.number(value)


def _is_types(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) and _is_type(v) for v in value.values())


@lru_cache(maxsize=256)
def _is_type(name: str) -> bool:
    try:
        _arrow_type(name)
    except (ValueError, pa.ArrowException):
        return False
    return True


def _is_bytes(value: Any) -> bool:
    try:
        return value is None or (isinstance(value, str) and base64.b64decode(value, validate=True) is not None)
    except binascii.Error:
        return False


SHAPE: Mapping[str, internal.Fits] = {
    "kind": internal.one_of(("entry", "closing")),
    **dict.fromkeys(("id", "task", "topic", "reason", "path", "origin", "mapping", "record_id", "run"), internal.text),
    **dict.fromkeys(("by", "why"), internal.text),
    "stage": internal.one_of(get_args(Stage)),
    "outcome": internal.one_of(get_args(Outcome)),
    "row": internal.number,
    "at": internal.moment,
    "columns": _is_row,
    "types": _is_types,
    "raw": _is_bytes,
}


def entries(
    plan: TaskPlan, batch: Batch, rejections: Sequence[Rejection], ids: Mapping[int, str], *, run: str, at_ms: int
) -> list[Entry]:
    """An entry per rejection. `ids` gives the record id of rows that got so far as to have one."""
    decoded = [r for r in rejections if not r.in_failures]
    rows = rows_as_json(batch.records, [r.index for r in decoded])
    by_index = {r.index: row for r, row in zip(decoded, rows, strict=True)}
    types = {f.name: str(f.type) for f in batch.records.schema if not pa.types.is_string(f.type)}
    made = []
    for rejection in rejections:
        failure = batch.failures[rejection.index] if rejection.in_failures else None
        columns = None if failure else by_index[rejection.index]
        raw = failure.raw[:MAX_RAW] if failure else None
        content = raw if raw is not None else SORTED.encode(columns).encode()
        row = failure.row if failure else int(batch.rows[rejection.index])
        made.append(
            Entry(
                id=entry_id(plan.connector, content, plan.mapping_version),
                task=plan.connector,
                topic=plan.topic.name,
                stage=rejection.stage,
                reason=rejection.reason,
                path=rejection.path,
                origin=batch.origin,
                row=row,
                columns=columns,
                types={} if failure else types,
                raw=raw,
                mapping=plan.mapping_version,
                record_id="" if failure else ids.get(rejection.index, ""),
                run=run,
                at=at_ms,
            )
        )
    return made


def entry_id(task: str, content: bytes, mapping: str) -> str:
    """32 hex characters; the same row under the same mapping is the same entry (R22)."""
    return hashlib.blake2b(content, digest_size=16, key=_salt(task, mapping)).hexdigest()


@lru_cache(maxsize=64)
def _salt(task: str, mapping: str) -> bytes:
    return hashlib.blake2b(f"{task}\0{mapping}".encode(), digest_size=16).digest()


def rows_as_json(records: pa.RecordBatch, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Rows as JSON values, exact: decimals, dates and times as text, bytes as base64."""
    if not rows:
        return []
    picked = records.take(pa.array(rows, pa.int64()))
    columns = {name: _json_values(picked.column(i)) for i, name in enumerate(picked.schema.names)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json_values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        values: list[Any] = column.to_pylist()
        return values
    if pa.types.is_binary(kind):
        return [None if v is None else base64.b64encode(v).decode() for v in column.to_pylist()]
    if pa.types.is_floating(kind):
        return [None if v is None else repr(v) for v in column.to_pylist()]
    texts: list[Any] = column.cast(pa.string()).to_pylist()
    return texts


def records_from_json(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> pa.RecordBatch:
    """The inverse of `rows_as_json`, for replay. All rows have the same columns."""
    names = list(rows[0])
    columns = [_column([row[name] for row in rows], types.get(name)) for name in names]
    return pa.RecordBatch.from_arrays(columns, names)


def _column(values: list[Any], kind: str | None) -> pa.Array:
    if kind is None:
        return pa.array(values, pa.string())
    target = _arrow_type(kind)
    if pa.types.is_binary(target):
        return pa.array([None if v is None else base64.b64decode(v) for v in values], target)
    if pa.types.is_floating(target):
        return pa.array([None if v is None else float(v) for v in values], target)
    if pa.types.is_integer(target) or pa.types.is_boolean(target):
        return pa.array(values, target)
    return pa.array(values, pa.string()).cast(target)


def _arrow_type(text: str) -> pa.DataType:
    """The types a source may deliver, from their own spelling."""
    name, _, arguments = text.partition("(")
    if name.startswith("decimal"):
        precision, scale = arguments.rstrip(")").split(",")
        return (
            pa.decimal128(int(precision), int(scale))
            if name == "decimal128"
            else pa.decimal256(int(precision), int(scale))
        )
    unit, _, zone = text.partition("[")[2].rstrip("]").partition(", tz=")
    if text.startswith("timestamp"):
        return pa.timestamp(unit, zone or None)
    if text.startswith("time"):
        return pa.time64(unit) if unit in ("us", "ns") else pa.time32(unit)
    simple = {"double": pa.float64(), "float": pa.float32(), "date32[day]": pa.date32(), "bool": pa.bool_()}
    return simple.get(text) or pa.type_for_alias(name)


def to_blocks(items: Sequence[Entry | Closing], task: str) -> list[Block]:
    """Entries and closings as blocks of `__quarantine`, with Kafka Connect's dead-letter headers."""
    if not items:
        return []
    keys = pa.array([item.id.encode() for item in items], pa.binary())
    values = pa.array([item.to_json() for item in items], pa.binary())
    reasons = [item.reason.encode() if isinstance(item, Entry) else None for item in items]
    stages = [item.stage.encode() if isinstance(item, Entry) else None for item in items]
    headers = blocks.Headers(
        per_record=[
            ("__connect.errors.exception.class.name", pa.array(reasons, pa.binary())),
            ("__connect.errors.stage", pa.array(stages, pa.binary())),
        ],
        constant=[(CONNECTOR, task.encode())],
    )
    return [
        Block(topic=QUARANTINE, partition=0, count=count, records=section)
        for _start, count, section in blocks.split(keys, values, headers)
    ]


def in_order(batch: Batch, rejections: Sequence[Rejection]) -> Any:
    """For the breaker: one flag per row read, whether it is rejected, in the order of the rows' numbers."""
    count = batch.records.num_rows
    bad = np.zeros(count + len(batch.failures), np.bool_)
    bad[np.array([r.index + (count if r.in_failures else 0) for r in rejections], np.int64)] = True
    if not batch.failures:
        return bad
    numbers = np.concatenate([batch.rows, np.array([f.row for f in batch.failures], np.int64)])
    return bad[np.argsort(numbers, kind="stable")]
