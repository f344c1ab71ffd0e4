"""Delimited text → columns of bytes, one chunk at a time. A bad row costs itself, with its number (R15).

Chunks without quotes, which is nearly all of most files, and those whose quotes are as RFC 4180 has them are cut at all
their delimiters and line ends at once; all others are read record by record. Bytes are decoded last, by column, and by value
only where a column does not decode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sources.quoting import NEWLINE, RETURN, Quotes
from connectors.sources.specs import MAX_COLUMNS
from hub import buffers, ragged
from hub.errors import FileRefused
from hub.model import ReadFailure
from hub.ragged import Slices

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CHUNK_BYTES = 4 * 1024 * 1024
MAX_QUOTED = 64 * 1024  # bytes of one quoted field
MAX_ROW = 1024 * 1024  # bytes
UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How rows and columns are told apart."""

    delimiter: bytes
    quote: bytes
    header: int  # line of the header; 0 = none
    columns: tuple[str, ...] | None
    nulls: tuple[str, ...]
    encoding: str


@dataclass
class Rows:
    """Some rows in columns, and those that are none. `numbers` count all rows of the file, 1 = first."""

    columns: list[pa.Array]
    numbers: npt.NDArray[np.int64]
    failures: list[ReadFailure] = field(default_factory=list)
    consumed: int = 0  # bytes of the stream up to here


class Delimited:
    """Reads one stream. `names` is known once the header was read."""

    def __init__(self, dialect: Dialect, where: str, *, wanted: frozenset[str] | None) -> None:
        self._d, self._where, self._wanted = dialect, where, wanted
        self.names: list[str] = []
        self._row = 0
        self._consumed = 0
        self._skipping = False  # inside a row that was too large to hold

    def resume(self, names: list[str], row: int, consumed: int) -> None:
        """Go on behind the header, after `row` rows and `consumed` bytes."""
        self.names, self._row, self._consumed = names, row, consumed

    @property
    def kept(self) -> list[int]:
        """Places of the columns that are wanted; all, when one of those is absent, so that a refusal can name them."""
        wanted = self._wanted if self._wanted is not None and self._wanted <= set(self.names) else None
        return [i for i, n in enumerate(self.names) if wanted is None or n in wanted]

    def read(self, parts: Iterator[bytes]) -> Iterator[Rows]:
        """All rows of the stream, in order."""
        buffer = b""
        ended = False
        source = iter(parts)
        while not ended:
            size = len(buffer)
            collected = [buffer]
            while size < CHUNK_BYTES:
                part = next(source, None)
                if part is None:
                    ended = True
                    break
                collected.append(part)
                size += len(part)
            buffer = b"".join(collected)
            if self._skipping:
                buffer = self._skip(buffer)
            if not self.names:
                buffer = self._take_header(buffer, ended)
            rows, buffer = self._chunk(buffer, ended)
            rows.consumed = self._consumed
            if len(rows.numbers) or rows.failures:
                yield rows

    def _skip(self, buffer: bytes) -> bytes:
        end = buffer.find(b"\n") + 1
        self._skipping = end == 0
        self._consumed += end or len(buffer)
        return buffer[end:] if end else b""

    def _take_header(self, buffer: bytes, ended: bool) -> bytes:
        if buffer.startswith(UTF8_BOM):
            buffer = buffer[len(UTF8_BOM) :]
            self._consumed += len(UTF8_BOM)
        if self._d.columns is not None:
            self.names = list(self._d.columns)
        for line in range(1, self._d.header + 1):
            if not buffer:
                if self._consumed > len(UTF8_BOM):
                    message = f"has {line - 1} lines, and its header is line {self._d.header}"
                    raise FileRefused(message, where=self._where, remedy="see `header:`")
                return b""
            end = self._scan(buffer, 0, ended)[1] if line == self._d.header else buffer.find(b"\n") + 1
            end = end or len(buffer)
            if line == self._d.header and self._d.columns is None:
                self.names = self._header(buffer[:end])
            buffer = buffer[end:]
            self._consumed += end
        return buffer

    def _header(self, record: bytes) -> list[str]:
        """The names. Whatever looks like a whole file in one line is refused, for no row would be read of it."""
        if b"\0" in record:
            raise FileRefused(
                "the header has NUL bytes", where=self._where, remedy="is it UTF-16? declare `encoding: utf-16-le`"
            )
        quote = re.escape(self._d.quote)
        if _lone_returns(re.sub(quote + b"[^" + quote + b"]*" + quote, b"", record)):
            raise FileRefused("lines end in CR alone", where=self._where, remedy="have them end in LF or CR LF")
        try:
            names = [f.decode(self._d.encoding).strip() for f in self._fields(record)]
        except UnicodeDecodeError as error:
            raise FileRefused("the header does not decode", where=self._where) from error
        if len(names) > MAX_COLUMNS:
            raise FileRefused(f"has {len(names):,} columns, {MAX_COLUMNS:,} are the most", where=self._where)
        twice = sorted({n for n in names if n and names.count(n) > 1})
        if twice:
            raise FileRefused(f"has the column `{twice[0][:60]}` twice", where=self._where)
        return [n or f"column_{i + 1}" for i, n in enumerate(names)]

    def _chunk(self, buffer: bytes, ended: bool) -> tuple[Rows, bytes]:
        tidy = None if _lone_returns(buffer) else self._tidy(buffer, ended)
        if tidy is not None:
            cut, quotes = tidy
            rows = self._fast(buffer[:cut], quotes)
        else:
            rows, cut = self._careful(buffer, ended)
        self._consumed += cut
        return rows, buffer[cut:]

    def _tidy(self, buffer: bytes, ended: bool) -> tuple[int, Quotes] | None:
        """How much of the buffer can be cut at once, which is whole rows; None where quotes, or a row, are not as usual."""
        quotes = Quotes(buffer, self._d.quote)
        if not len(quotes):
            cut = len(buffer) if ended else buffer.rfind(b"\n") + 1
            return (cut, quotes) if cut or len(buffer) <= MAX_ROW else None
        cut = len(buffer) if ended else quotes.last_line(buffer)
        return (cut, quotes) if cut and quotes.tidy(cut, self._d.delimiter[0], MAX_QUOTED) else None

    def _fast(self, data: bytes, quotes: Quotes) -> Rows:
        """Rows with tidy quotes or none: all delimiters and line ends at once, then column by column what lies between."""
        if not data:
            return Rows(columns=self._empty(), numbers=np.empty(0, np.int64))
        raw = np.frombuffer(data, np.uint8)
        marks, last = _marks(raw, self._d.delimiter[0], len(self.names), quotes)
        ends = marks[last]
        starts = np.concatenate([[0], ends[:-1] + 1])
        returns = (ends > starts) & (raw[np.maximum(ends - 1, 0)] == RETURN)
        lengths = ends - starts - returns
        fields = np.diff(last, prepend=-1)
        blank = lengths == 0
        wrong = ~blank & ((fields != len(self.names)) | (lengths > MAX_ROW))
        numbers = self._row + np.cumsum(~blank)
        self._row += int((~blank).sum())

        def row(place: int) -> bytes:
            return data[int(starts[place]) : int(starts[place] + lengths[place])]

        failures = [self._bad_line(int(numbers[i]), row(i)) for i in np.flatnonzero(wrong).tolist()]
        good = np.flatnonzero(~blank & ~wrong)
        ends = _ends(marks, last[good], len(self.names))
        columns = self._between(raw, starts[good], ends, returns[good], quotes)
        rows = Rows(columns=columns, numbers=numbers[good].astype(np.int64), failures=failures)
        return self._decode(rows, lambda place: row(int(good[place])))

    def _between(self, raw: Bytes, starts: Ints, ends: Ints, returns: Mask, quotes: Quotes) -> list[pa.Array]:
        """The wanted columns of lines that have all fields: `ends` has a row for each column. A carriage return that ends a
        line is not part of its last value, nor are the quotes around one."""
        columns = []
        for place in self.kept:
            begins = starts if place == 0 else ends[place - 1] + 1
            sizes = ends[place] - begins
            if place == len(ends) - 1:
                sizes -= returns
            if len(quotes):
                around = quotes.open(begins)
                begins, sizes = begins + around, sizes - 2 * around
            columns.append(quotes.single(ragged.gather(Slices(raw, begins, sizes)).column()))
        return columns

    def _bad_line(self, number: int, line: bytes) -> ReadFailure:
        reason = "TOO_LARGE" if len(line) > MAX_ROW else "COLUMN_COUNT"
        return ReadFailure(row=number, reason=reason, raw=line[:MAX_QUOTED])

    def _empty(self) -> list[pa.Array]:
        return [pa.array([], pa.string()) for _ in self.kept]

    def _careful(self, buffer: bytes, ended: bool) -> tuple[Rows, int]:
        """Record by record. A quote that does not close costs its line; reading goes on from the next one."""
        at = 0
        records: list[list[bytes]] = []
        raws: list[bytes] = []
        numbers: list[int] = []
        failures: list[ReadFailure] = []
        while at < len(buffer):
            kind, end = self._scan(buffer, at, ended)
            if kind == "more":
                if len(buffer) - at <= 2 * MAX_ROW:
                    break  # the rest of this record is still to come
                self._skipping, kind, end = True, "large", len(buffer)
            record = buffer[at:end].rstrip(b"\r\n")
            at = end
            if not record:
                continue
            self._row += 1
            fields = self._fields(record) if kind == "record" and len(record) <= MAX_ROW else None
            if fields is not None and len(fields) == len(self.names):
                records.append([fields[i] for i in self.kept])
                raws.append(record)
                numbers.append(self._row)
            elif kind == "unclosed":
                failures.append(ReadFailure(row=self._row, reason="UNCLOSED_QUOTE", raw=record[:MAX_QUOTED]))
            else:
                failures.append(self._bad_line(self._row, record))
        columns = [pa.array(list(c), pa.binary()) for c in zip(*records, strict=True)] if records else self._empty()
        rows = Rows(columns=columns, numbers=np.array(numbers, np.int64), failures=failures)
        return self._decode(rows, raws.__getitem__), at

    def _scan(self, buffer: bytes, at: int, ended: bool) -> tuple[str, int]:
        """What begins here: a `record` and its end, `more` bytes needed, or a line with an `unclosed` quote."""
        start = at
        while True:
            newline = buffer.find(b"\n", at)
            mark = buffer.find(self._d.quote, at, newline if newline >= 0 else len(buffer))
            if mark < 0:
                if newline >= 0:
                    return "record", newline + 1
                return ("record", len(buffer)) if ended else ("more", 0)
            if mark > start and buffer[mark - 1 : mark] != self._d.delimiter:
                at = mark + 1  # inside an unquoted field a quote is a character like any other
                continue
            closing = self._closing(buffer, mark + 1)
            if closing is None:
                if not ended and len(buffer) - mark <= MAX_QUOTED:
                    return "more", 0
                return "unclosed", buffer.find(b"\n", start) + 1 or len(buffer)
            at = closing

    def _closing(self, buffer: bytes, at: int) -> int | None:
        """Behind the quote that closes a field; None when there is none within 64 KiB."""
        bound = at + MAX_QUOTED
        while True:
            mark = buffer.find(self._d.quote, at, bound)
            if mark < 0:
                return None
            if buffer[mark + 1 : mark + 2] != self._d.quote:
                return mark + 1
            at = mark + 2

    def _fields(self, record: bytes) -> list[bytes]:
        """One record's fields, as Python's csv tells them apart, but of any length and with any bytes in them."""
        record = record.rstrip(b"\r\n")
        if self._d.quote not in record:
            return record.split(self._d.delimiter)
        fields, at = [], 0
        while at <= len(record):
            quoted, at = self._quoted(record, at)
            end = record.find(self._d.delimiter, at)
            end = end if end >= 0 else len(record)
            fields.append(quoted + record[at:end])
            at = end + 1
        return fields

    def _quoted(self, record: bytes, at: int) -> tuple[bytes, int]:
        """The quoted part that begins a field, its doubled quotes made single, and the place behind it."""
        quote = self._d.quote
        if record[at : at + 1] != quote:
            return b"", at
        parts: list[bytes] = []
        while True:
            mark = record.find(quote, at + 1)
            if mark < 0:
                return b"".join([*parts, record[at + 1 :]]), len(record)
            doubled = record[mark + 1 : mark + 2] == quote
            parts.append(record[at + 1 : mark + doubled])
            at = mark + doubled
            if not doubled:
                return b"".join(parts), mark + 1

    def _decode(self, rows: Rows, raw: Callable[[int], bytes]) -> Rows:
        """Bytes → text, nulls → NULL; rows with a value that does not decode are taken out, `raw` as they stood there."""
        bad: dict[int, int] = {}
        texts = []
        for place, column in zip(self.kept, rows.columns, strict=True):
            text, wrong = _to_text(column, self._d.encoding)
            texts.append(text)
            for row in wrong:
                bad.setdefault(row, place)
        if bad:
            for row, place in bad.items():
                number, bytes_read = int(rows.numbers[row]), raw(row)[:MAX_QUOTED]
                rows.failures.append(
                    ReadFailure(row=number, reason="BAD_ENCODING", raw=bytes_read, path=self.names[place])
                )
            keep = np.setdiff1d(np.arange(len(rows.numbers)), list(bad))
            texts = [t.take(pa.array(keep)) for t in texts]
            rows.numbers = rows.numbers[keep]
            rows.failures.sort(key=lambda f: f.row)
        rows.columns = [self._nulls(t) for t in texts]
        return rows

    def _nulls(self, column: pa.Array) -> pa.Array:
        if self._d.nulls == ("",):
            hit = pc.equal(column, "")
        elif self._d.nulls:
            hit = pc.is_in(column, pa.array(self._d.nulls, pa.string()))
        else:
            return column
        return pc.if_else(hit, pa.scalar(None, pa.string()), column) if pc.any(hit).as_py() else column


def _marks(raw: Bytes, delimiter: int, columns: int, quotes: Quotes) -> tuple[Ints, Ints]:
    """Where delimiters and line ends stand, one behind the last line if it has none; and which of them end a line."""
    breaks = raw == NEWLINE
    marks = quotes.outside(np.flatnonzero(breaks | (raw == delimiter)))
    lines = int(np.count_nonzero(breaks[marks] if len(quotes) else breaks))
    if len(marks) == lines * columns and lines and marks[-1] == len(raw) - 1:
        last = np.arange(columns - 1, len(marks), columns)
        if breaks[marks[last]].all():  # every line has all its fields, as they nearly always do
            return marks, last
    last = np.flatnonzero(breaks[marks])
    if not breaks[-1]:
        marks, last = np.append(marks, len(raw)), np.append(last, len(marks))
    return marks, last


def _ends(marks: Ints, last: Ints, columns: int) -> Ints:
    """Where each column's values end, a row a column, in lines that have them all."""
    if len(marks) == len(last) * columns:
        return np.ascontiguousarray(marks.reshape(-1, columns).T)
    return np.stack([marks[last - (columns - 1 - place)] for place in range(columns)])


def _lone_returns(buffer: bytes) -> bool:
    """A carriage return that is not part of a line end."""
    returns = buffer.count(b"\r")
    return returns > 0 and returns != buffer.count(b"\r\n") + buffer.endswith(b"\r")


def _to_text(column: pa.Array, encoding: str) -> tuple[pa.Array, list[int]]:
    if pa.types.is_string(column.type):
        return column, []
    text = column.view(pa.string())
    if buffers.is_utf8(text) if encoding == "utf-8" else buffers.is_ascii(text):
        return text, []
    values: list[str | None] = []
    wrong = []
    for i, value in enumerate(column.to_pylist()):
        try:
            values.append(value.decode(encoding))
        except UnicodeDecodeError:
            values.append(None)
            wrong.append(i)
    return pa.array(values, pa.string()), wrong
