"""Rows as a source delivers them → framed Avro records with keys, and a reason for every row that is not one.

The same code serves a run, a replay and a preview (one executor)."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.avro import encode, frame_header
from hub.errors import ColumnsChanged
from hub.mapping.program import Mapped, Program, columns_used, compile_program
from hub.model import MAX_BLOCK_BYTES, Batch, Rows
from hub.pipeline import publish
from hub.pipeline.columns import SHOWN, shown
from hub.pipeline.plan import TaskPlan
from hub.pipeline.quarantine import Rejection, Stage

HEADER_ROOM = 4 * 1024  # bytes kept free in a block for one record's headers


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """A batch, sorted: `values` and `keys` are those of the good rows, `rows` their index in the batch."""

    rows: Rows
    made: pa.RecordBatch  # the mapping's result, bad rows included
    places: Rows | None  # of the good rows in it; None: all are good
    values: pa.BinaryArray
    keys: pa.BinaryArray | None
    rejections: Sequence[Rejection]
    filtered: Rows
    warnings: Mapping[str, int]
    failed_keys: pa.BinaryArray  # keys that could be read of rows that failed
    hidden_keys: int  # failed rows whose key could not be read (R18)

    def column(self, name: str) -> pa.Array:
        """One field of the good rows."""
        column = self.made.column(name)
        return column if self.places is None else column.take(pa.array(self.places))

    @property
    def records(self) -> pa.RecordBatch:
        """All fields of the good rows."""
        return self.made if self.places is None else self.made.take(pa.array(self.places))

    def without(self, which: Rows, stage: Stage, reason: str, path: str = "") -> Normalised:
        """The same with some good rows (by their place here) turned into rejections."""
        if not len(which):
            return self
        keep = np.setdiff1d(np.arange(len(self.rows)), which)
        chosen = pa.array(keep)
        more = [Rejection(index=int(self.rows[i]), stage=stage, reason=reason, path=path) for i in which.tolist()]
        hidden = int(self.keys.take(pa.array(which)).null_count) if self.keys is not None else 0
        return Normalised(
            rows=self.rows[keep],
            made=self.made,
            places=keep if self.places is None else self.places[keep],
            values=self.values.take(chosen),
            keys=self.keys.take(chosen) if self.keys is not None else None,
            rejections=[*self.rejections, *more],
            filtered=self.filtered,
            warnings=self.warnings,
            failed_keys=self.failed_keys,
            hidden_keys=self.hidden_keys + hidden,
        )


class Normaliser:
    """One task's mapping and schema, applied to batch after batch."""

    def __init__(self, plan: TaskPlan) -> None:
        self._plan = plan
        self._header = frame_header(plan.schema_id)
        self._programs: dict[str, Program] = {}

    def apply(self, batch: Batch) -> Normalised:
        """Never raises for a row. Raises ColumnsChanged when the batch lacks columns (R13)."""
        return self.encode(batch, self.map(batch))

    def map(self, batch: Batch) -> Mapped:
        """The first half: expressions and checks. Raises ColumnsChanged (R13)."""
        return self.program(batch.records.schema, batch.origin, batch.columns).apply(batch.records, keep=self._plan.key)

    def encode(self, batch: Batch, mapped: Mapped) -> Normalised:
        """The second half: Avro, keys and sizes. Another thread may map the next batch meanwhile."""
        rejections = [Rejection(index=f.row, stage=f.stage, reason=f.reason, path=f.path) for f in mapped.failures]
        rejections += [
            Rejection(index=i, stage="read", reason=f.reason, path=f.path, in_failures=True)
            for i, f in enumerate(batch.failures)
        ]
        failed_keys = self._failed_keys(mapped)
        result = self._encode(mapped, rejections, failed_keys, len(batch.failures))
        return self._check_sizes(self._check_keys(result))

    def program(self, schema: pa.Schema, origin: str, there: Sequence[str] = ()) -> Program:
        """The mapping compiled for the columns that a file or page really has; kept per set of columns. `there`: those that
        were not read included, so that a refusal can show what became of one."""
        signature = str(schema)
        program = self._programs.get(signature)
        if program is None:
            require_columns(self._plan, schema.names, origin, there)
            program = compile_program(
                self._plan.mapping, schema, self._plan.target, self._plan.codes, self._plan.symbols
            )
            self._programs[signature] = program
        return program

    def _failed_keys(self, mapped: Mapped) -> pa.BinaryArray:
        if not self._plan.key or mapped.kept is None:
            return pa.array([], pa.binary())
        return publish.keys_of(mapped.kept, self._plan.key).drop_null()

    def _encode(
        self, mapped: Mapped, rejections: list[Rejection], failed_keys: pa.BinaryArray, unread: int
    ) -> Normalised:
        made, key = mapped.made, self._plan.key
        skip = None if mapped.passed is None else ~mapped.passed
        encoded = encode(made, self._plan.record, header=self._header, skip=skip)
        rejections += [
            Rejection(index=int(mapped.places[i]), stage="encode", reason=reason, path=path)
            for i, path, reason in encoded.rejected
        ]
        if encoded.rejected and key:
            lost = pa.array([row for row, _path, _reason in encoded.rejected])
            failed_keys = pa.concat_arrays([failed_keys, publish.keys_of(made.take(lost), key).drop_null()])
        keys = publish.keys_of(made, key) if key else None
        if keys is not None and encoded.accepted is not None:
            keys = keys.take(pa.array(encoded.accepted))
        return Normalised(
            rows=mapped.places if encoded.accepted is None else mapped.places[encoded.accepted],
            made=made,
            places=encoded.accepted,
            values=encoded.values,
            keys=keys,
            rejections=rejections,
            filtered=mapped.filtered,
            warnings=mapped.warnings,
            failed_keys=failed_keys,
            hidden_keys=len(rejections) - len(failed_keys) if key else unread,
        )

    def _check_keys(self, result: Normalised) -> Normalised:
        if result.keys is None or not result.keys.null_count:
            return result
        missing = np.flatnonzero(result.keys.is_null().to_numpy(zero_copy_only=False))
        return result.without(missing, "key", "NULL_KEY", self._plan.key[0])

    def _check_sizes(self, result: Normalised) -> Normalised:
        """A record that would not fit in a block (R5)."""
        room = MAX_BLOCK_BYTES - HEADER_ROOM
        if len(result.values) == 0 or result.values.nbytes <= room:
            return result
        sizes = pc.binary_length(result.values).to_numpy(zero_copy_only=False).astype(np.int64)
        if result.keys is not None:
            sizes = sizes + pc.binary_length(result.keys).to_numpy(zero_copy_only=False)
        return result.without(np.flatnonzero(sizes > room), "encode", "TOO_LARGE")


def require_columns(plan: TaskPlan, names: Sequence[str], origin: str, there: Sequence[str] = ()) -> None:
    """Columns that the mapping reads must be there or be declared optional (R13)."""
    needed = columns_used(plan.mapping)
    missing = sorted(needed - set(names) - set(plan.mapping.optional))
    if not missing:
        return
    there = there or names
    remedy = "mend the source, change the mapping, or name the column under `optional:`, then resume"
    message = f"the mapping needs {shown(missing)}; the source has {shown(there)}"
    columns = {"missing": missing[:SHOWN], "there": there[:SHOWN]}
    if not _is_header(needed, there):
        columns = {}  # what stands there may be somebody's data
        message = f"the source has none of the {len(needed)} columns that the mapping needs, such as `{missing[0]}`"
        remedy = "is it the right source? of a file, see `header:`, `delimiter:` and `encoding:`; then resume"
    raise ColumnsChanged(message, where=origin, remedy=remedy, **columns)


def _is_header(needed: Collection[str], names: Sequence[str]) -> bool:
    """Whether these are names of columns. Where none is like one that is known, they may be somebody's data (S16)."""
    known = [name.casefold() for name in names]
    return any(difflib.get_close_matches(name.casefold(), known, 1) for name in needed)
