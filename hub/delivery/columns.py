"""Records of a block as the columns that a plan allows: resolved, filtered, projected (R19, R23)."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import blocks
from hub.access.plan import Plan
from hub.avro import Record, arrow_schema, resolver
from hub.avro.decoding import At, Reader, Walk
from hub.avro.resolution import Resolution
from hub.avro.wire import HEADER_BYTES, schema_ids_at
from hub.lockstep import Lockstep
from hub.mapping.program import Filter, compile_filter

Rows = npt.NDArray[np.int64]
SCOPE_HEADER = "scope"
COMPILED_PLANS = 256
MADE_BYTES = 32 * 1024 * 1024  # of defaults, in one part
NOT_A_VALUE = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What leaves of some records, in order. `rows` are their places in what was given."""

    rows: Rows
    records: pa.RecordBatch  # columns of `delivered_schema`
    deleted: npt.NDArray[np.bool_]
    keys: pa.BinaryArray | None  # on keyed topics
    looked_at: int  # so many of what was given, from the first on; the rest is for the next call

    def head(self, count: int) -> Part:
        """The first so many."""
        keys = None if self.keys is None else self.keys[:count]
        return replace(
            self, rows=self.rows[:count], records=self.records[:count], deleted=self.deleted[:count], keys=keys
        )


def delivered_schema(plan: Plan) -> pa.Schema:
    """The columns of a delivery: the output schema's; on keyed topics deletes leave all but the key null."""
    schema = arrow_schema(plan.schema)
    return pa.schema([field.with_nullable(True) for field in schema]) if plan.keyed else schema


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    """How records of one writer schema are read for the plan."""

    writer: Record
    output: Resolution
    row_filter: Resolution | None

    @property
    def noted(self) -> frozenset[str]:
        """Fields that are read after the filter but may stand before its own."""
        return frozenset() if self.row_filter is None else self.output.needed


class PlanReader:
    """A compiled plan: one resolution per writer schema, made when that schema first turns up. Thread-safe."""

    def __init__(self, plan: Plan, schema_of: Callable[[int], Record]) -> None:
        self._plan, self._schema_of = plan, schema_of
        self.schema = delivered_schema(plan)
        self._seen = None if plan.filter_schema is None else arrow_schema(plan.filter_schema)
        self._filter: Filter | None = None
        if plan.where is not None and self._seen is not None:
            self._filter = compile_filter(plan.where, self._seen)
        self._made: dict[int, _Compiled] = {}

    def read(self, records: blocks.Records) -> Part:
        """What leaves of these records: at least of the first, and of no more than make `MADE_BYTES` by their defaults.

        Raises MalformedAvro, MalformedBlock, SchemaIncompatible, NotFound for an unknown schema id."""
        data = records.open()
        starts, lengths = records.value_starts, records.value_lengths
        live = np.arange(len(records))
        if (lengths < 0).any():
            live = np.flatnonzero(lengths >= 0)
            starts, lengths = starts[live], lengths[live]
        at = At(starts + HEADER_BYTES, starts + lengths, live)
        ids = schema_ids_at(data, starts, at.end)
        looked_at = self._room(ids, len(records))
        if looked_at < len(records):
            records = records.head(looked_at)
            some = np.flatnonzero(live < looked_at)
            live, at, ids = live[some], at.some(some), ids[some]
        rows, batches = self._upserts(data, at, ids)
        upserts = sum(map(len, rows))
        if self._plan.keyed and len(live) < len(records):
            gone, deletes = self._deletes(data, records)
            rows.append(gone)
            batches.append(deletes)
        return self._ordered(rows, batches, upserts, (data, records))

    def _room(self, ids: npt.NDArray[np.int64], count: int) -> int:
        """How many records may be looked at, by what the defaults of their schemas add to each."""
        added = max([self._compiled(schema_id).output.added_bytes for schema_id in distinct(ids)], default=0)
        return min(count, max(1, MADE_BYTES // max(added, 1)))

    def _upserts(self, data: Lockstep, at: At, ids: npt.NDArray[np.int64]) -> tuple[list[Rows], list[pa.RecordBatch]]:
        """Records of one schema id at a time, each id's read by its own resolution (R23)."""
        kept, batches = [], []
        many = distinct(ids)
        for schema_id in many:
            compiled = self._compiled(schema_id)
            some = at if len(many) == 1 else at.some(np.flatnonzero(ids == schema_id))
            walk = Walk(Reader(data), compiled.writer, some, compiled.noted)
            rows = some.row
            if self._filter is not None and compiled.row_filter is not None:
                mask = _mask(self._filter, compiled.row_filter.read(walk))
                if not mask.all():
                    passed = np.flatnonzero(mask)
                    rows, walk = rows[passed], walk.some(passed)
            if len(rows):
                batches.append(_as(compiled.output.read(walk), self.schema))
                walk.finish()
                kept.append(rows)
        return kept, batches

    def _compiled(self, schema_id: int) -> _Compiled:
        found = self._made.get(schema_id)
        if found is None:
            writer, seen = self._schema_of(schema_id), self._plan.filter_schema
            found = self._made[schema_id] = _Compiled(
                writer=writer,
                output=resolver(writer, self._plan.schema),
                row_filter=None if seen is None else resolver(writer, seen),
            )
        return found

    def _ordered(
        self, rows: list[Rows], batches: list[pa.RecordBatch], upserts: int, given: tuple[Lockstep, blocks.Records]
    ) -> Part:
        """Groups put back into the order of the records; deletes stand behind the others in `rows`."""
        data, records = given
        place = np.concatenate([np.empty(0, np.int64), *rows])
        whole = joined(batches, self.schema)
        deleted = np.zeros(len(place), np.bool_)
        deleted[upserts:] = True
        if len(rows) > 1:
            order = np.argsort(place, kind="stable")
            place, whole, deleted = place[order], whole.take(pa.array(order)), deleted[order]
        keys = None
        if self._plan.keyed:
            keys = blocks.column(data, records.key_starts[place], records.key_lengths[place])
        return Part(rows=place, records=whole, deleted=deleted, keys=keys, looked_at=len(records))

    def _deletes(self, data: Lockstep, records: blocks.Records) -> tuple[Rows, pa.RecordBatch]:
        """Tombstones whose scope the filter lets through, as key fields and nulls (R19, R27)."""
        rows = np.flatnonzero(records.value_lengths < 0)
        if self._filter is not None and self._seen is not None:
            rows = rows[self._in_scope(self._filter, self._seen, records.header(SCOPE_HEADER, rows))]
        keys = blocks.column(data, records.key_starts[rows], records.key_lengths[rows])
        columns = key_columns(keys, self._plan.key, self.schema)
        arrays = [columns.get(f.name, pa.nulls(len(rows), f.type)) for f in self.schema]
        return rows, pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _in_scope(self, row_filter: Filter, seen: pa.Schema, scopes: pa.BinaryArray) -> npt.NDArray[np.bool_]:
        """Each scope is looked at once, however many tombstones carry it. One without a scope that can be read goes to
        nobody who has a filter."""
        coded = scopes.fill_null(b"").dictionary_encode()
        found = [_object(scope) for scope in coded.dictionary.to_pylist()]
        columns = [_typed([_text(scope.get(f.name)) for scope in found], f.type) for f in seen]
        batch = pa.RecordBatch.from_arrays(columns, schema=pa.schema([f.with_nullable(True) for f in seen]))
        known = np.array([all(f.name in scope for f in seen) for scope in found], np.bool_)
        passed: npt.NDArray[np.bool_] = (_mask(row_filter, batch) & known)[coded.indices.to_numpy()]
        return passed


class PlanReaders:
    """Compiled plans, the most recently used ones. Thread-safe."""

    def __init__(self, schema_of: Callable[[int], Record]) -> None:
        self._schema_of = schema_of
        self._lock = threading.Lock()
        self._made: OrderedDict[str, PlanReader] = OrderedDict()

    def get(self, plan: Plan) -> PlanReader:
        """The compiled form of a plan. Raises ExpressionInvalid when its filter does not fit its fields."""
        with self._lock:
            found = self._made.get(plan.fingerprint)
            if found is None:
                found = self._made[plan.fingerprint] = PlanReader(plan, self._schema_of)
            self._made.move_to_end(plan.fingerprint)
            while len(self._made) > COMPILED_PLANS:
                self._made.popitem(last=False)
            return found


def key_columns(keys: pa.BinaryArray, names: Sequence[str], schema: pa.Schema) -> Mapping[str, pa.Array]:
    """Key fields from record keys: the text of the one field, or a JSON array of several (R6). What is no value of its field
    is null: producers that are not the hub's may have keys of their own."""
    found = keys.to_pylist()
    if len(names) == 1:
        kind = schema.field(names[0]).type
        return {names[0]: _typed(found if _is_bytes(kind) else [_decoded(key) for key in found], kind)}
    rows = [_array(key, len(names)) for key in found]
    return {
        name: _typed([_text(row[place]) for row in rows], schema.field(name).type) for place, name in enumerate(names)
    }


def _typed(values: Sequence[str | bytes | None], kind: pa.DataType) -> pa.Array:
    """Values from their text, or their bytes; what is no value of the type is null."""
    given = pa.binary() if any(isinstance(value, bytes) for value in values) else pa.string()
    try:
        return pa.array(values, given).cast(kind)
    except NOT_A_VALUE:
        return pa.concat_arrays([_one(value, given, kind) for value in values])


def _one(value: str | bytes | None, given: pa.DataType, kind: pa.DataType) -> pa.Array:
    try:
        return pa.array([value], given).cast(kind)
    except NOT_A_VALUE:
        return pa.nulls(1, kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _decoded(text: bytes | None) -> str | None:
    try:
        return None if text is None else text.decode()
    except UnicodeDecodeError:
        return None


def _array(text: bytes | None, length: int) -> Sequence[Any]:
    data = _parsed(text)
    return data if isinstance(data, list) and len(data) == length else [None] * length


def _object(text: bytes | None) -> Mapping[str, Any]:
    data = _parsed(text)
    return data if isinstance(data, dict) else {}


def _parsed(text: bytes | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str | None:
    """A JSON value as the text that a key or scope field has; nothing for a text that is none."""
    if not isinstance(value, str):
        return None if value is None else json.dumps(value)
    return value if _is_text(value) else None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _mask(row_filter: Filter, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Which rows pass; the filter itself lets neither NULL nor failure pass (R10)."""
    return np.asarray(row_filter.apply(batch).to_numpy(zero_copy_only=False), np.bool_)


def distinct(numbers: npt.NDArray[np.int64]) -> list[int]:
    """The different ones, which are nearly always one."""
    if len(numbers) and (numbers == numbers[0]).all():
        return [int(numbers[0])]
    found: list[int] = np.unique(numbers).tolist()
    return found


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return batch if batch.schema is schema else pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def joined(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """All rows as one batch."""
    if not batches:
        return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
