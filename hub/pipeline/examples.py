"""Does a connector's mapping make of its examples what they say? The same code as a run, on one row at a time."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hub.mapping.program import columns_used
from hub.model import Batch, SourceCheckpoint
from hub.pipeline.normalise import Normaliser
from hub.pipeline.plan import TaskPlan
from hub.pipeline.preview import explain


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What must become of a row: exactly one of record, rejected, filtered."""

    row: Mapping[str, Any]
    record: Mapping[str, Any] | None = None
    rejected: str | None = None
    path: str | None = None
    filtered: bool = False


def differences(plan: TaskPlan, wanted: Wanted) -> list[str]:
    """What is not as the example says; empty when all is."""
    good = Normaliser(plan).apply(_batch(plan, wanted.row))
    if good.rejections:
        one = good.rejections[0]
        if wanted.rejected is None:
            return [f"is rejected with {one.reason} in {one.path or 'the row'}: {explain(one.reason)}"]
        found = [] if one.reason == wanted.rejected else [f"is rejected with {one.reason}, not {wanted.rejected}"]
        if wanted.path is not None and one.path != wanted.path:
            found.append(f"the field to blame is {one.path or 'none'}, not {wanted.path}")
        return found
    if len(good.filtered):
        return [] if wanted.filtered else ["is filtered out by `where`"]
    if wanted.record is None:
        outcome = "be filtered out" if wanted.filtered else f"be rejected with {wanted.rejected}"
        return [f"becomes a record, and should {outcome}"]
    record: dict[str, Any] = good.records.to_pylist()[0]
    return _compare(record, wanted.record, "")


def _batch(plan: TaskPlan, row: Mapping[str, Any]) -> Batch:
    """One row with every column that the mapping reads."""
    names = dict.fromkeys([*row, *sorted(columns_used(plan.mapping))])
    columns = [_cell(row.get(name)) for name in names]
    records = pa.RecordBatch.from_arrays(columns, names=list(names))
    return Batch(records=records, position=SourceCheckpoint(value={}), origin="example", rows=np.array([1], np.int64))


def _cell(value: Any) -> pa.Array:
    """NULL has no type, which fits every expression."""
    return pa.array([value], pa.string()) if isinstance(value, str) else pa.array([value])


def _compare(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str) -> list[str]:
    made = []
    for name, value in wanted.items():
        path = prefix + name
        if name not in found:
            made.append(f"there is no field {path}")
        elif isinstance(value, Mapping) and isinstance(found[name], Mapping):
            made += _compare(found[name], value, f"{path}.")
        elif _plain(found[name]) != _plain(value):
            made.append(f"{path} is {_plain(found[name])!r}, not {_plain(value)!r}")
    return made


def _plain(value: Any) -> Any:
    """As YAML may spell it: dates and times in ISO 8601, decimals as numbers."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value
