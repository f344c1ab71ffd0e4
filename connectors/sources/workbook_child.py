"""`python -m connectors.sources.workbook_child REQUEST <workbook >rows.arrow`: cells → columns of text, in a process that
may fail alone: a hostile workbook meets this process's limits, never the hub's (S3).

REQUEST is JSON: sheet, header, header_rows, columns, group_column, memory (bytes). Output is an Arrow IPC stream of text
columns. What is wrong with the workbook is one line on stderr, with exit code 3; another code means that a limit was met.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

REFUSED = 3
CPU_S = 120
ROWS_AT_ONCE = 10_000
MAX_COLUMNS = 2_000
LOOKED_AT = 50  # rows in which the header is looked for
EXACT = 2**53  # up to here a cell's number is a whole number for certain
Cells = list[str]


class Refused(Exception):
    """The workbook is not as the settings say."""


class Misplaced(Refused):
    """It would be, were its header another row."""


def main(request: dict[str, Any]) -> int:
    """Write the rows of all wanted sheets."""
    limit(request["memory"])
    try:
        with CalamineWorkbook.from_filelike(sys.stdin.buffer) as workbook:
            sheets = [workbook.get_sheet_by_name(name) for name in wanted(workbook.sheet_names, request["sheet"])]
            write(sheets, request)
    except CalamineError:
        return refuse("is not a workbook that can be read")
    except Refused as reason:
        return refuse(str(reason))
    return 0


def refuse(text: str) -> int:
    """One line for the hub."""
    sys.stderr.write(f"{text}\n")
    return REFUSED


def limit(memory: int) -> None:
    """Memory and time of this process, where the system has such limits."""
    try:
        import resource
    except ImportError:  # Windows: the size of the file alone bounds the work
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def wanted(names: Sequence[str], sheet: str | int | None) -> list[str]:
    """By number (1 = first), by name, or all that match."""
    if not names:
        raise Refused("has no sheet")
    if sheet is None:
        return [names[0]]
    if isinstance(sheet, int):
        if sheet > len(names):
            raise Refused(f"has {len(names)} sheets, so there is no sheet {sheet}")
        return [names[sheet - 1]]
    found = [n for n in names if n == sheet] or [n for n in names if fnmatch.fnmatchcase(n, sheet)]
    if not found:
        raise Refused(f"has no sheet `{sheet}`; there are " + ", ".join(f"`{n}`" for n in names[:20]))
    return found


def write(sheets: Sequence[CalamineSheet], request: dict[str, Any]) -> None:
    """All sheets as one stream; the columns of the first are those of all, and a wildcard adds `@sheet`."""
    many = isinstance(request["sheet"], str) and any(c in request["sheet"] for c in "*?[")
    writer: pa.RecordBatchStreamWriter | None = None
    schema: pa.Schema | None = None
    for sheet in sheets:
        with hinted(sheet, request["header"]):
            rows = rows_of(sheet)
            names = header(rows, sheet, request)
            body = grouped(rows, len(names), request["group_column"] is not None)
            extra = [n for n in (request["group_column"], "@sheet" if many else None) if n]
            found = pa.schema([(name, pa.string()) for name in [*names, *extra]])
            if writer is None or schema is None:
                schema = found
                writer = pa.ipc.new_stream(sys.stdout.buffer, schema)
            elif set(found.names) - set(schema.names):
                raise Refused(f"sheet `{sheet.name}` has other columns than the sheets before it")
            for made in batches(body, found, sheet.name if many else None):
                columns = [
                    made.column(n) if n in found.names else pa.nulls(len(made), pa.string()) for n in schema.names
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    if writer is not None:
        writer.close()


@contextlib.contextmanager
def hinted(sheet: CalamineSheet, header: int) -> Iterator[None]:
    """A refusal for the header's sake names the row that looks like the header."""
    try:
        yield
    except Misplaced as reason:
        row = likely_header(sheet)
        hint = "" if row in (None, header) else f"; row {row} looks like the header: set `header: {row}`"
        raise Refused(f"{reason}{hint}") from None


def likely_header(sheet: CalamineSheet) -> int | None:
    """The first row, 1 = first, with more than half as many cells filled as the fullest of the first rows."""
    filled = [sum(map(bool, row)) for row in itertools.islice(rows_of(sheet), LOOKED_AT)]
    most = max(filled, default=0)
    return next((i for i, n in enumerate(filled, 1) if 2 * n > most), None) if most > 1 else None


def rows_of(sheet: CalamineSheet) -> Iterator[Cells]:
    """Rows from the first line of the sheet on, with the columns that are blank from its left edge on."""
    if sheet.start is None:
        return
    margin = [""] * sheet.start[1]
    for row in sheet.iter_rows():
        yield margin + [text(cell) for cell in row]


def text(cell: Any) -> str:
    """A cell as text: whole numbers without a point, dates and times in ISO 8601. An error value is blank."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < EXACT else repr(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return f"PT{cell.total_seconds():.10g}S" if isinstance(cell, timedelta) else str(cell)


def header(rows: Iterator[Cells], sheet: CalamineSheet, request: dict[str, Any]) -> list[str]:
    """Names of the columns; what stands above the header is passed over. Merged cells count for all they cover."""
    first, count = request["header"], request["header_rows"]
    lines = [row for number, row in zip(range(1, first + count), rows, strict=False) if number >= first > 0]
    if request["columns"] is not None:
        return list(request["columns"])
    if len(lines) < count or not any(any(line) for line in lines):
        raise Misplaced(f"has no header in row {first} of sheet `{sheet.name}`")
    for (top, left), (bottom, right) in getattr(sheet, "merged_cell_ranges", None) or ():
        for row in range(top, bottom + 1):
            if 0 <= row - first + 1 < count and first - 1 <= top:
                spread(lines[row - first + 1], lines[top - first + 1][left], left, right)
    names = [" ".join(" ".join(dict.fromkeys(filter(None, parts))).split()) for parts in zip(*lines, strict=True)]
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise Refused(f"has {len(names):,} columns, {MAX_COLUMNS:,} are the most")
    named = [name or f"column_{i + 1}" for i, name in enumerate(names)]
    twice = next((n for n in named if named.count(n) > 1), None)
    if twice is not None:
        raise Misplaced(f"has the column `{twice[:60]}` twice; name the columns under `columns:`")
    return named


def spread(line: Cells, value: str, left: int, right: int) -> None:
    """Write a merged cell's value into all columns it covers."""
    for column in range(left, min(right + 1, len(line))):
        line[column] = value


def grouped(rows: Iterator[Cells], width: int, by_group: bool) -> Iterator[Cells]:
    """Rows that are not blank, cut or filled to `width`. With groups, a row that has its first cell alone is the heading
    of those below it, and stands in one more column there."""
    heading = ""
    for row in rows:
        if not any(row):
            continue
        if len(row) > width and any(row[width:]):
            raise Misplaced("has cells to the right of its header; name the columns under `columns:`")
        cells = row[:width] + [""] * (width - len(row))
        if not by_group:
            yield cells
        elif cells[0] and not any(cells[1:]):
            heading = cells[0]
        else:
            yield [*cells, heading]


def batches(body: Iterator[Cells], schema: pa.Schema, sheet: str | None) -> Iterator[pa.RecordBatch]:
    """In columns, some thousand rows at a time."""
    waiting: list[Cells] = []
    for row in body:
        waiting.append(row if sheet is None else [*row, sheet])
        if len(waiting) >= ROWS_AT_ONCE:
            yield batch(waiting, schema)
            waiting = []
    yield batch(waiting, schema)


def batch(rows: list[Cells], schema: pa.Schema) -> pa.RecordBatch:
    """Rows → columns."""
    columns = zip(*rows, strict=True) if rows else [() for _ in schema]
    return pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in columns], schema=schema)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
