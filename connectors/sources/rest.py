"""Source `rest`: a web service that answers with JSON, page by page (class B: read again, it may answer differently).

Rows move while pages are turned, so no position inside a pass is worth keeping: a pass that is broken off is asked for
anew, and record ids tell what was met before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from threading import Event
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from connectors.context import SourceContext
from connectors.sources.answers import Answers, Missing, Page
from connectors.sources.delimited import Rows
from connectors.sources.items import JsonItems
from connectors.sources.more_pages import MorePages, more_pages
from connectors.sources.rest_specs import Paging, RestSpec
from hub.errors import AnswerRefused, DatongError, FileRefused
from hub.model import Batch, Finding, Report, SourceCheckpoint, Stream

Moment = float | datetime


@dataclass
class _Turn:
    """Where the next page is."""

    url: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """One page in columns; `document` is there when paging needs it."""

    page: Page
    rows: Rows
    names: list[str]
    there: list[str]  # all columns of the page, read or not
    document: Any

    @property
    def count(self) -> int:
        return len(self.rows.numbers) + len(self.rows.failures)


class RestSource:
    """One address and the pages behind it."""

    replayable = False
    repeats = True

    def __init__(self, spec: RestSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._answers = Answers(spec, context)

    def check(self) -> Report:
        """One request for the first page."""
        try:
            read = self._ask(self._first(None), Event())
        except DatongError as error:
            return Report(findings=[Finding(name=self._where, ok=False, detail=error.message, remedy=error.remedy)])
        except Missing:
            return Report(
                findings=[Finding(name=self._where, ok=False, detail="404", remedy="check address and parameters")]
            )
        more = self._more(read)
        detail, remedy = f"{read.count} rows in the first page", more.note() if more else ""
        return Report(findings=[Finding(name=self._where, ok=True, detail=detail, remedy=remedy)])

    def discover(self) -> list[Stream]:
        """One stream: the columns of the first page."""
        try:
            read = self._ask(self._first(None), Event())
        except Missing:
            raise self._not_there() from None
        return [Stream(name=self._where, columns=pa.schema([(n, pa.string()) for n in read.there]))]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """All rows, or those since the newest met. The position moves behind the last page, with an empty batch."""
        first = self._spec.since.first if self._spec.since is not None else None
        since = None if self._context.mode == "snapshot" else _since(after) or first
        newest = since
        more: MorePages | None = None
        count, nothing = 0, pa.RecordBatch.from_arrays([], schema=pa.schema([]))
        for read in self._pages(since, stop):
            newest = self._newest(newest, read)
            more = self._more(read)
            made = self._batch(read, count, after)
            count, nothing = count + read.count, made.records.slice(0, 0)
            yield made  # before the next page is asked for, which may take its time
        if stop.is_set():
            return
        part = more is not None and more.certain  # rows of other pages are not gone (R18)
        yield Batch(
            records=nothing,
            position=SourceCheckpoint(value={"since": newest}),
            complete=self._context.mode == "snapshot" and not part,
            notes=(more.note(),) if more else (),
        )

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """A service needs no word."""

    def close(self) -> None:
        """End what is under way."""
        self._answers.close()

    @property
    def _where(self) -> str:
        return self._spec.url.partition("?")[0]

    def _pages(self, since: str | None, stop: Event) -> Iterator[_Read]:
        """Pages with rows, in order. Raises AnswerRefused for a service that gives the same page again."""
        turn: _Turn | None = self._first(since)
        met: set[bytes] = set()
        rows = 0
        for number in range(self._spec.pages + 1):
            if stop.is_set() or turn is None:
                return
            if number == self._spec.pages:
                raise AnswerRefused(
                    f"there are more than {number:,} pages", where=self._where, remedy="raise `pages`, or ask for less"
                )
            try:
                read = self._ask(turn, stop)
            except Missing:
                if number and self._spec.paging and self._spec.paging.ends_with_404:
                    return
                raise self._not_there() from None
            if not read.count:
                return
            self._check_new(read, met)
            rows += read.count
            yield read
            turn = self._next(turn, read, number + 1, rows)

    def _check_new(self, read: _Read, met: set[bytes]) -> None:
        digest = hashlib.blake2b(read.page.body, digest_size=16).digest()
        if digest in met:
            raise AnswerRefused(
                "the service gives the same page again", where=self._where, remedy="check `paging` and its parameter"
            )
        met.add(digest)

    def _not_there(self) -> AnswerRefused:
        return AnswerRefused("the service answers 404", where=self._where, remedy="check the address")

    def _first(self, since: str | None) -> _Turn:
        made = _Turn(self._spec.url)
        paging = self._spec.paging
        if self._spec.since is not None and self._context.mode != "snapshot":
            made.parameters[self._spec.since.parameter] = self._asked_since(since or self._spec.since.first)
        if paging is not None:
            if paging.by in ("page", "offset"):
                made.parameters[paging.parameter] = str(paging.first)
            if paging.size is not None and paging.size_parameter:
                made.parameters[paging.size_parameter] = str(paging.size)
        return made

    def _next(self, turn: _Turn, read: _Read, pages: int, rows: int) -> _Turn | None:
        paging = self._spec.paging
        if paging is None:
            return None
        if paging.by in ("page", "offset"):
            value = paging.first + (pages if paging.by == "page" else rows)
            return _Turn(turn.url, {**turn.parameters, paging.parameter: str(value)})
        if paging.by == "cursor":
            cursor = _at(read.document, paging)
            return None if cursor is None else _Turn(turn.url, {**turn.parameters, paging.parameter: cursor})
        found = _link(read.page.link) if paging.by == "link" else _at(read.document, paging)
        if not found:
            return None
        url = str(httpx.URL(read.page.url).join(found))
        self._answers.check_host(url)
        return _Turn(url)

    def _more(self, read: _Read) -> MorePages | None:
        """What is said of pages that this connector does not read."""
        if self._spec.paging is not None:
            return None
        return more_pages(_link(read.page.link), read.page.body, read.count)

    def _ask(self, turn: _Turn, stop: Event) -> _Read:
        return self._answers.page(turn.url, turn.parameters, stop, self._parse)

    def _parse(self, page: Page) -> _Read:
        """Raises FileRefused for a body that is not whole JSON with rows where they should stand."""
        wanted = self._context.columns
        if wanted is not None and self._spec.since is not None:
            wanted |= {self._spec.since.at}
        reader = JsonItems("json", self._spec.items, self._where, wanted=wanted, nulls=self._spec.nulls)
        parts = list(reader.read(iter([page.body])))
        paging = self._spec.paging
        document = json.loads(page.body) if paging is not None and paging.by in ("cursor", "next_url") else None
        names = [reader.names[i] for i in reader.kept]
        return _Read(page=page, rows=_joined(parts, len(names)), names=names, there=reader.names, document=document)

    def _batch(self, read: _Read, before: int, after: SourceCheckpoint | None) -> Batch:
        kept = [i for i, n in enumerate(read.names) if self._context.columns is None or n in self._context.columns]
        names = [read.names[i] for i in kept]
        columns = [read.rows.columns[i] for i in kept]
        if names:
            records = pa.RecordBatch.from_arrays(columns, names)
        else:
            records = pa.RecordBatch.from_struct_array(pa.array([{}] * len(read.rows.numbers), pa.struct([])))
        failures = tuple(replace(f, row=f.row + before) for f in read.rows.failures)
        position = after or SourceCheckpoint(value={"since": None})
        return Batch(
            records=records,
            position=position,
            origin=self._where,
            rows=read.rows.numbers + before,
            failures=failures,
            columns=read.there,
        )

    def _newest(self, newest: str | None, read: _Read) -> str | None:
        if self._spec.since is None or self._spec.since.at not in read.names:
            return newest
        column = read.rows.columns[read.names.index(self._spec.since.at)]
        best = _moment(newest)
        for text in column.unique().to_pylist():
            moment = _moment(text)
            if moment is not None and (best is None or _later(moment, best)):
                newest, best = text, moment
        return newest

    def _asked_since(self, since: str) -> str:
        assert self._spec.since is not None
        moment, overlap = _moment(since), self._spec.since.overlap
        if moment is None or not overlap:
            return since
        if isinstance(moment, float):
            return f"{moment - overlap:.15g}"
        earlier = moment - timedelta(seconds=overlap)
        if len(since) == len("2026-01-01"):
            return earlier.date().isoformat()
        text = earlier.isoformat()
        return text.replace("+00:00", "Z") if since.endswith("Z") else text


def _joined(parts: list[Rows], columns: int) -> Rows:
    """Batches of one page as one; columns that came late are NULL before."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        empty = [pa.array([], pa.string()) for _ in range(columns)]
        return Rows(columns=empty, numbers=np.empty(0, np.int64))

    def column(place: int) -> pa.Array:
        found = [p.columns[place] if place < len(p.columns) else pa.nulls(len(p.numbers), pa.string()) for p in parts]
        return pa.concat_arrays(found)

    return Rows(
        columns=[column(i) for i in range(columns)],
        numbers=np.concatenate([p.numbers for p in parts]),
        failures=[f for p in parts for f in p.failures],
    )


def _since(after: SourceCheckpoint | None) -> str | None:
    return None if after is None else after.value.get("since")


def _at(document: Any, paging: Paging) -> str | None:
    """The value at a path of a page; None when it is not there, null, empty or false."""
    found = _member(document, paging.at or "")
    if found is None or found is False or found == "":
        return None
    if isinstance(found, Mapping | list):
        raise FileRefused(f"what stands at `{paging.at}` is no text or number")
    return str(found)


def _member(document: Any, path: str) -> Any:
    """What stands at a path; a member whose own name has dots in it, such as `@odata.nextLink`, comes first."""
    if not isinstance(document, Mapping):
        return None
    if path in document:
        return document[path]
    name, _, rest = path.partition(".")
    return _member(document.get(name), rest) if rest else None


def _link(header: str) -> str | None:
    """The target with rel=next (RFC 8288)."""
    found = httpx.Response(200, headers={"link": header}).links.get("next", {}) if header else {}
    return found.get("url")


def _moment(text: str | None) -> Moment | None:
    """A number, or a date or time in ISO 8601."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.combine(date.fromisoformat(text), datetime.min.time())
        except ValueError:
            return None


def _later(one: Moment, other: Moment) -> bool:
    """Of different kinds (with and without a zone, numbers and times) neither is later."""
    try:
        return one > other  # type: ignore[operator]
    except TypeError:
        return False
