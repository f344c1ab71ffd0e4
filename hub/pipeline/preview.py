"""Source row, result and rejection side by side, before anything is deployed: a run on a few rows that appends nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import pyarrow as pa

from hub.model import Batch, ReadFailure
from hub.pipeline import quarantine
from hub.pipeline.normalise import Normaliser
from hub.pipeline.plan import TaskPlan
from hub.pipeline.quarantine import Entry
from hub.pipeline.replay import as_batch, chunks
from hub.ports import Source

EXPLANATIONS = {
    "NULL_REQUIRED": "the target field must have a value and the expression gave NULL",
    "NULL_KEY": "a key field is NULL",
    "CHECK_FAILED": "the contract check is false for this row",
    "BAD_ENCODING": "the row's bytes are not valid in the file's encoding",
    "COLUMN_COUNT": "the row has another number of columns than the header",
    "UNCLOSED_QUOTE": "a quoted field is not closed, or longer than 64 KiB",
    "TOO_LARGE": "the row or record is over its size limit",
    "DUPLICATE_KEY": "an earlier row of the same pass has this key",
    "UNKNOWN_CODE": "the code is not in the code list",
    "AMBIGUOUS_NAME": "several entries of the code list have this name",
    "BAD_DATE": "not a date in any of the formats given",
    "BAD_NUMBER": "not a number in the format given ('1,234.5' unless another is named)",
    "WOULD_ROUND": "the number has more digits after the point than the target keeps",
    "UNKNOWN_SYMBOL": "the value is not a symbol of the target's enum",
    "OUT_OF_RANGE": "the number does not fit the target type",
    "BAD_TIMESTAMP": "not a time in any of the formats given",
    "NONEXISTENT_TIME": "the clock skipped this time when it was put forward",
    "AMBIGUOUS_TIME": "the clock showed this time twice when it was put back",
    "DIVISION_BY_ZERO": "the divisor is zero",
    "BAD_LENGTH": "the identifier has another number of characters",
    "BAD_CHARACTER": "the identifier has a character that cannot stand there",
    "BAD_CHECK_DIGIT": "the check digit does not fit: a character is mistyped",
    "FUTURE_DATE": "the date has not come yet",
    "AMBIGUOUS_DATE": "the order of day and month, or what the years mean, is not in the text: use to_date with a format",
    "IMPRECISE_DATE": "the text names a month, quarter or year but no day: use parse_period",
    "BAD_PERIOD": "not a period in any known spelling",
    "BAD_PHONE": "the numbering plan has no such telephone number",
    "BAD_COORDINATE": "not a longitude and latitude in degrees; are they exchanged?",
    "UNKNOWN_TYPE": "the registering authority registers no such kind of organisation",
    "NO_SUCCESSOR": "the code was retired and no single code goes on under its name",
    "BAD_JSON": "not JSON, or not an object where one is wanted",
    "DUPLICATE_MEMBER": "an object of the document names a member twice",
    "NOT_A_NUMBER": "a number is NaN or infinite, which JSON does not have",
    "TOO_DEEP": "the document is nested deeper than its limit",
    "TYPE_MISMATCH": "the database delivered a value of another type than the column's",
}


@dataclass(frozen=True, kw_only=True)
class PreviewRow:
    """One source row and what became of it."""

    row: int
    origin: str
    source: dict[str, Any] | None  # None: the row could not be split into columns
    result: dict[str, Any] | None
    outcome: str  # published, filtered, or the rejection's reason
    path: str = ""
    explanation: str = ""


def preview(plan: TaskPlan, source: Source, limit: int, *, patience_s: float = float("inf")) -> list[PreviewRow]:
    """The first `limit` rows, or those of them that came in time. Shows data as read: for the publishing agency's own
    eyes, never stored or logged."""
    rows: list[PreviewRow] = []
    normaliser = Normaliser(plan)
    stop = Event()
    deadline = time.monotonic() + patience_s
    for batch in source.batches(None, stop):
        rows += _rows(normaliser, _head(batch, limit - len(rows)))
        if len(rows) >= limit or time.monotonic() > deadline:
            stop.set()
            break
    source.close()
    return sorted(rows, key=lambda r: r.row)[:limit]


def preview_entries(plan: TaskPlan, entries: Sequence[Entry]) -> list[PreviewRow]:
    """What would become of quarantined rows. Those that could not be split into columns stay as they are."""
    normaliser = Normaliser(plan)
    rows = [
        replace(row, origin=entry.origin)
        for chunk in chunks(entries)
        for row, entry in zip(_rows(normaliser, as_batch(chunk)), chunk, strict=True)
    ]
    return rows + [
        PreviewRow(
            row=e.row,
            origin=e.origin,
            source=None,
            result=None,
            outcome=e.reason,
            path=e.path,
            explanation=explain(e.reason),
        )
        for e in entries
        if e.columns is None
    ]


def _head(batch: Batch, limit: int) -> Batch:
    failures: Sequence[ReadFailure] = batch.failures[:limit]
    return Batch(
        records=batch.records.slice(0, limit),
        position=batch.position,
        origin=batch.origin,
        rows=batch.rows[:limit],
        failures=failures,
    )


def _rows(normaliser: Normaliser, batch: Batch) -> list[PreviewRow]:
    good = normaliser.apply(batch)
    sources = quarantine.rows_as_json(batch.records, range(batch.records.num_rows))
    results = dict(zip(good.rows.tolist(), _results(good.records), strict=True))
    rejected = {r.index: r for r in good.rejections if not r.in_failures}
    made = []
    for i, cells in enumerate(sources):
        rejection = rejected.get(i)
        outcome = rejection.reason if rejection else "published" if i in results else "filtered"
        made.append(
            PreviewRow(
                row=int(batch.rows[i]),
                origin=batch.origin,
                source=cells,
                result=results.get(i),
                outcome=outcome,
                path=rejection.path if rejection else "",
                explanation=explain(rejection.reason) if rejection else "",
            )
        )
    for failure in batch.failures:
        made.append(
            PreviewRow(
                row=failure.row,
                origin=batch.origin,
                source=None,
                result=None,
                outcome=failure.reason,
                path=failure.path,
                explanation=explain(failure.reason),
            )
        )
    return made


def _results(records: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = records.to_pylist()
    return [
        {k: v if isinstance(v, (str, int, float, list, dict, type(None))) else str(v) for k, v in r.items()}
        for r in rows
    ]


def explain(reason: str) -> str:
    """A sentence for a reason code; the code itself where there is none."""
    return EXPLANATIONS.get(reason, reason.replace("_", " ").lower())
