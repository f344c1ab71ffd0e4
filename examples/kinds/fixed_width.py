"""A kind of source, worked out: one file of fixed-width lines, as old registers export them.

source: {kind: fixed_width, path: data/register.txt, columns: {id: 8, name: 40, born: 8}}
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from connectors.context import SourceContext
from connectors.sources.opening import open_below
from hub.errors import DatongError
from hub.model import Batch, Finding, ReadFailure, Report, SourceCheckpoint, Stream

ROWS_AT_ONCE = 10_000


class FixedWidthSpec(BaseModel):
    """Lines whose columns have so many characters each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["fixed_width"] = Field(description="Always `fixed_width`.")
    path: str = Field(description="File below the files root.", max_length=1000)
    columns: dict[str, int] = Field(description="Column → characters, in the order of the line.", min_length=1)


class FixedWidthSource:
    """Class A: a line stands where it stands, so a position is the number of lines read."""

    replayable = True
    repeats = False

    def __init__(self, spec: FixedWidthSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._closed = Event()
        self._width = sum(spec.columns.values())

    def check(self) -> Report:
        """Can the file be opened? Changes nothing, raises nothing."""
        try:
            open_below(self._context.root, self._spec.path).close()
        except DatongError as error:
            return Report(findings=[Finding(name=self._spec.path, ok=False, detail=error.message, remedy=error.remedy)])
        return Report(findings=[Finding(name=self._spec.path, ok=True)])

    def discover(self) -> list[Stream]:
        """The columns are those of the settings."""
        return [Stream(name=self._spec.path, columns=pa.schema([(n, pa.string()) for n in self._spec.columns]))]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """Some thousand lines at a time. The last batch of a whole pass says so: deletions rest on it."""
        done = int(after.value["lines"]) if after and self._context.mode != "snapshot" else 0
        waiting: list[tuple[int, bytes]] = []
        last: Batch | None = None
        with open_below(self._context.root, self._spec.path) as file:
            for number, line in enumerate(file, 1):
                if number <= done:
                    continue
                waiting.append((number, line.rstrip(b"\r\n")))
                if len(waiting) < ROWS_AT_ONCE:
                    continue
                if last is not None:
                    yield last
                last, waiting = self._batch(waiting), []
                if stop.is_set() or self._closed.is_set():
                    break
        stopped = stop.is_set() or self._closed.is_set()
        if last is not None and (waiting or stopped):
            yield last
            last = None
        if stopped:
            return
        last = last or self._batch(waiting, done)
        yield Batch(**{**vars(last), "complete": self._context.mode == "snapshot"})

    def _batch(self, lines: list[tuple[int, bytes]], done: int = 0) -> Batch:
        """Lines → columns of text; a line that is none is a failure with its number, never an exception."""
        rows: list[list[str | None]] = []
        numbers: list[int] = []
        failures: list[ReadFailure] = []
        for number, line in lines:
            try:
                rows.append(self._cut(line.decode("utf-8")))
                numbers.append(number)
            except ValueError as error:
                reason = "BAD_ENCODING" if isinstance(error, UnicodeDecodeError) else "COLUMN_COUNT"
                failures.append(ReadFailure(row=number, reason=reason, raw=line))
        wanted = [
            i for i, n in enumerate(self._spec.columns) if self._context.columns is None or n in self._context.columns
        ]
        names = [list(self._spec.columns)[i] for i in wanted]
        columns = [pa.array([row[i] for row in rows], pa.string()) for i in wanted]
        return Batch(
            records=pa.RecordBatch.from_arrays(columns, names),
            position=SourceCheckpoint(value={"lines": lines[-1][0] if lines else done}),
            origin=self._spec.path,
            rows=np.array(numbers, np.int64),
            failures=tuple(failures),
            columns=tuple(self._spec.columns),
        )

    def _cut(self, line: str) -> list[str | None]:
        if len(line) != self._width:
            raise ValueError("the line has another length")
        ends = np.cumsum(list(self._spec.columns.values())).tolist()
        return [line[start:end].strip() or None for start, end in zip([0, *ends], ends, strict=False)]

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """A file needs no word."""

    def close(self) -> None:
        """From any thread; `batches` then ends."""
        self._closed.set()
