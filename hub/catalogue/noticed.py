"""What a sample of a source says about where its table is: delimiter, footer, the rows of a document, more pages. Pure.

A guess is used and said aloud, so that a person can take it back; what cannot be told is a question."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

MOST_FOOTERS = 10  # rows
DELIMITERS = (";", "\t", "|")
NEXT = ("next", "next_url", "nexturl", "next_page_url", "nextpageurl", "nextlink", "href")
MARKS = ("next", "cursor", "next_cursor", "nextcursor", "next_token", "next_page_token", "nextpagetoken")
TOTALS = (
    "total", "count", "total_count", "totalcount", "total_items", "totalresults", "totalelements", "numberofelements",
    "totale", "gesamt", "anzahl", "total_records", "recordstotal", "numbermatched", "总数", "总计",
)  # fmt: skip
OFFSETS, SIZES = ("offset", "start", "skip"), ("limit", "size", "pagesize", "page_size", "per_page", "rows", "top")
SUMS = re.compile(
    r"(grand |sub)?tota(l|ls|le|li)\b|summe\b|insgesamt\b|gesamt\b|somme\b|合计|总计|小计|共计", re.IGNORECASE
)
ADDRESSES = ("http://", "https://", "/", "?")
MORE_PAGES = "say in its `source:` how pages follow each other: `paging: {by: page}`, or offset, cursor, link, next_url"


@dataclass(frozen=True, kw_only=True)
class Footer:
    """Rows at the end that are none of the table's."""

    rows: int
    column: str  # filled in all other rows and in none of these; empty where there is no such column


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A document of one row whose real rows stand in a list of it."""

    items: str
    paging: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def footer(sample: pa.RecordBatch) -> Footer | None:
    """The last rows, where they have at most half as many cells filled as rows usually have, or are called totals and lack
    cells of theirs."""
    filled = [column.is_valid().to_pylist() for column in sample.columns]
    counts = [sum(row) for row in zip(*filled, strict=True)]
    if not counts:
        return None
    usual = statistics.median(counts)
    totals = _totals(sample)
    bare = [n <= usual / 2 or (total and n < usual) for n, total in zip(counts, totals, strict=True)]
    rows = next((i for i, is_bare in enumerate(reversed(bare)) if not is_bare), len(counts))
    if not 0 < rows <= min(MOST_FOOTERS, len(counts) // 2):
        return None
    told = [
        n for n, cells in zip(sample.schema.names, filled, strict=True) if all(cells[:-rows]) and not any(cells[-rows:])
    ]
    return Footer(rows=rows, column=told[0] if told else "")


def _totals(sample: pa.RecordBatch) -> list[bool]:
    """Rows whose first filled cell says that they sum up the others."""
    firsts = (next((v for v in row.values() if v is not None), None) for row in sample.to_pylist())
    return [isinstance(first, str) and SUMS.match(first.strip()) is not None for first in firsts]


def delimiter(names: Sequence[str]) -> str:
    """What stands between the names of a header that was taken for one column; empty where it may well be one."""
    return next((mark for mark in DELIMITERS if len(names) == 1 and mark in names[0]), "")


def envelope(sample: pa.RecordBatch) -> Envelope | None:
    """The list of objects in a document that is one object, and what stands beside it about further pages."""
    if sample.num_rows != 1:
        return None
    cells = {n: v for n, v in zip(sample.schema.names, sample.slice(0, 1).to_pylist()[0].values(), strict=True) if v}
    lists = {name: found for name, text in cells.items() if (found := _objects(text))}
    if not lists:
        return None
    name = max(lists, key=lambda n: len(lists[n]))
    others = [n for n in lists if n != name]
    notes = [f"rows are the elements of `{name}`: `items: {name}`"]
    if others:
        notes.append("lists of objects stand also at " + ", ".join(f"`{n}`" for n in others))
    paging, more = _paging(cells, len(lists[name]))
    return Envelope(items=name, paging=paging, notes=[*notes, *more])


def _objects(text: Any) -> list[Any]:
    """The elements of a list of objects, of whatever a cell holds."""
    if not isinstance(text, str) or not text.startswith("[{"):
        return []
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else []


def _paging(cells: Mapping[str, Any], rows: int) -> tuple[Mapping[str, Any], list[str]]:
    """The settings where they are certain, and what to say about them."""
    for name, text in cells.items():
        if _last(name) in NEXT and "next" in name.casefold() and str(text).startswith(ADDRESSES):
            made = {"by": "next_url", "at": name}
            return made, [f"the next page's address stands at `{name}`: `paging: {{by: next_url, at: {name}}}`"]
    for name in cells:
        if _last(name) in MARKS:
            asked = f"`paging: {{by: cursor, at: {name}, parameter: …}}`"
            return {}, [f"`{name}` may be the mark of the next page: {asked}, with the query parameter that takes it"]
    for name, text in cells.items():
        if _last(name) in TOTALS and str(text).isdigit() and int(text) > rows:
            says = f"`{name}` says {int(text):,} and this page has {rows:,} rows"
            return {}, [f"{says}; {_by_offset(cells) or MORE_PAGES}"]
    return {}, []


def _by_offset(cells: Mapping[str, Any]) -> str:
    """What to try where an answer repeats the offset and the number of rows that it was asked for."""
    offset = next((n for n in cells if _last(n) in OFFSETS and cells[n] == "0"), "")
    size = next((n for n in cells if _last(n) in SIZES and str(cells[n]).isdigit()), "")
    if not offset:
        return ""
    more = f", size: {cells[size]}, size_parameter: {size.rpartition('.')[2]}" if size else ""
    return f"it repeats `{offset}`, so try `paging: {{by: offset, parameter: {offset.rpartition('.')[2]}, first: 0{more}}}`"


def _last(name: str) -> str:
    return name.rpartition(".")[2].strip("@_").casefold()
