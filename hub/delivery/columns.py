"""Records of a block as the columns that a plan allows: resolved, filtered, projected (R19, R23)."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.access.plan import Plan
from hub.avro import Record, arrow_schema, resolver, schema_ids
from hub.avro.resolution import Resolution
from hub.mapping.program import Filter, compile_filter

Rows = npt.NDArray[np.int64]
SCOPE_HEADER = "scope"
COMPILED_PLANS = 256
NOT_A_VALUE = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some records of one block after the filter, in order. `rows` are their places in what was given."""

    rows: Rows
    records: pa.RecordBatch  # columns of `delivered_schema`
    deleted: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Records of a block from some offset on. `scopes` gives the scope header of each when asked."""

    keys: pa.BinaryArray
    values: pa.BinaryArray
    scopes: Callable[[], pa.BinaryArray]


def delivered_schema(plan: Plan) -> pa.Schema:
    """The columns of a delivery: the output schema's; on keyed topics deletes leave all but the key null."""
    schema = arrow_schema(plan.schema)
    return pa.schema([field.with_nullable(True) for field in schema]) if plan.keyed else schema


class PlanReader:
    """A compiled plan: one resolution per writer schema, made when that schema first turns up. Thread-safe."""

    def __init__(self, plan: Plan, schema_of: Callable[[int], Record]) -> None:
        self._plan, self._schema_of = plan, schema_of
        self.schema = delivered_schema(plan)
        self._seen = None if plan.filter_schema is None else arrow_schema(plan.filter_schema)
        self._filter: Filter | None = None
        if plan.where is not None and self._seen is not None:
            self._filter = compile_filter(plan.where, self._seen)
        self._outputs: dict[int, Resolution] = {}
        self._filters: dict[int, Resolution] = {}

    def read(self, records: Slice) -> Part:
        """What of these records leaves. Raises MalformedAvro, SchemaIncompatible, NotFound for an unknown schema id."""
        live = records.values.is_valid().to_numpy(zero_copy_only=False)
        rows, batches = self._upserts(records.values, np.flatnonzero(live))
        upserts = sum(batch.num_rows for batch in batches)
        if self._plan.keyed and not live.all():
            gone, deletes = self._deletes(records, np.flatnonzero(~live))
            rows.append(gone)
            batches.append(deletes)
        place = np.concatenate(rows) if rows else np.empty(0, np.int64)
        order = np.argsort(place, kind="stable")
        table = pa.Table.from_batches(batches, self.schema).combine_chunks()
        joined = table.to_batches()[0] if table.num_rows else _empty(self.schema)
        if len(order) > upserts:  # deletes stand behind the others
            joined = joined.take(pa.array(order))
        return Part(rows=place[order], records=joined, deleted=order >= upserts)

    def _upserts(self, values: pa.BinaryArray, rows: Rows) -> tuple[list[Rows], list[pa.RecordBatch]]:
        """Runs of records with one schema id, each read by its own resolution."""
        if len(rows) != len(values):
            values = values.take(pa.array(rows))
        ids = schema_ids(values)
        borders = [*np.flatnonzero(np.diff(ids, prepend=-1)).tolist(), len(ids)]
        kept, batches = [], []
        for start, stop in pairwise(borders):
            mine, run = self._allowed(values.slice(start, stop - start), rows[start:stop], int(ids[start]))
            if len(mine):
                output = self._resolution(self._outputs, int(ids[start]), self._plan.schema).decode(run)
                kept.append(mine)
                batches.append(pa.RecordBatch.from_arrays(output.columns, schema=self.schema))
        return kept, batches

    def _allowed(self, values: pa.BinaryArray, rows: Rows, schema_id: int) -> tuple[Rows, pa.BinaryArray]:
        """The records that the row filter lets through; only its own fields are decoded for it."""
        if self._filter is None or self._plan.filter_schema is None:
            return rows, values
        seen = self._resolution(self._filters, schema_id, self._plan.filter_schema).decode(values)
        mask = _mask(self._filter, seen)
        return (rows, values) if mask.all() else (rows[mask], values.filter(pa.array(mask)))

    def _resolution(self, made: dict[int, Resolution], schema_id: int, reader: Record) -> Resolution:
        found = made.get(schema_id)
        if found is None:
            found = made[schema_id] = resolver(self._schema_of(schema_id), reader)
        return found

    def _deletes(self, records: Slice, rows: Rows) -> tuple[Rows, pa.RecordBatch]:
        """Tombstones whose scope the filter lets through, as key fields and nulls (R19, R27)."""
        chosen = pa.array(rows)
        if self._filter is not None and self._seen is not None:
            mask = self._in_scope(self._filter, self._seen, records.scopes().take(chosen))
            rows, chosen = rows[mask], pa.array(rows[mask])
        columns = key_columns(records.keys.take(chosen), self._plan.key, self.schema)
        arrays = [columns.get(f.name, pa.nulls(len(rows), f.type)) for f in self.schema]
        return rows, pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _in_scope(self, row_filter: Filter, seen: pa.Schema, scopes: pa.BinaryArray) -> npt.NDArray[np.bool_]:
        """A tombstone without a scope that can be read goes to nobody who has a filter."""
        found = [_object(scope) for scope in scopes.to_pylist()]
        columns = [_typed([_text(scope.get(f.name)) for scope in found], f.type) for f in seen]
        batch = pa.RecordBatch.from_arrays(columns, schema=pa.schema([f.with_nullable(True) for f in seen]))
        known = np.array([all(f.name in scope for f in seen) for scope in found], np.bool_)
        return _mask(row_filter, batch) & known


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
    """Key fields from record keys: the text of the one field, or a JSON array of several (R6)."""
    if len(names) == 1:
        kind = schema.field(names[0]).type
        return {names[0]: keys.cast(kind) if _is_bytes(kind) else _typed(keys.cast(pa.string()).to_pylist(), kind)}
    rows = [json.loads(key) for key in keys.to_pylist()]
    return {
        name: _typed([_text(row[place]) for row in rows], schema.field(name).type) for place, name in enumerate(names)
    }


def _typed(texts: list[str | None], kind: pa.DataType) -> pa.Array:
    """Values from their text; what is no value of the type is null."""
    column = pa.array(texts, pa.string())
    try:
        return column.cast(kind)
    except NOT_A_VALUE:
        return pa.concat_arrays([_one(text, kind) for text in texts])


def _one(text: str | None, kind: pa.DataType) -> pa.Array:
    try:
        return pa.array([text], pa.string()).cast(kind)
    except NOT_A_VALUE:
        return pa.nulls(1, kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _object(text: bytes | None) -> Mapping[str, Any]:
    try:
        data = json.loads(text) if text is not None else None
    except ValueError:
        data = None
    return data if isinstance(data, dict) else {}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _mask(row_filter: Filter, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Which rows pass; the filter itself lets neither NULL nor failure pass (R10)."""
    return np.asarray(row_filter.apply(batch).to_numpy(zero_copy_only=False), np.bool_)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
