"""NDJSON → columns of text: one object a line, nested objects by dotted names, arrays as JSON text (S24)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from connectors.sources.delimited import MAX_QUOTED, MAX_ROW, Rows
from connectors.sources.objects import BYTES_AT_ONCE, ROWS_AT_ONCE, Bad, add_names, columns_of, flatten, kept, parse
from hub.model import ReadFailure


class JsonLines:
    """Reads one stream. Columns are those met in a batch; numbers keep the text they were written with."""

    def __init__(self, encoding: str, *, wanted: frozenset[str] | None) -> None:
        self._encoding, self._wanted = encoding, wanted
        self.names: list[str] = []
        self._row = 0
        self._consumed = 0

    def resume(self, names: list[str], row: int, consumed: int) -> None:
        """Go on after `row` rows and `consumed` bytes."""
        self.names, self._row, self._consumed = names, row, consumed

    def read(self, parts: Iterator[bytes]) -> Iterator[Rows]:
        """All rows of the stream, in order."""
        lines: list[bytes] = []
        size = 0
        for line in _lines(parts):
            lines.append(line)
            size += len(line)
            if len(lines) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
                yield self._batch(lines)
                lines, size = [], 0
        if lines:
            yield self._batch(lines)

    def _batch(self, lines: list[bytes]) -> Rows:
        made: list[dict[str, str | None]] = []
        numbers, failures = [], []
        for line in lines:
            self._consumed += len(line)
            text = line.strip(b"\r\n\xef\xbb\xbf" if self._row == 0 else b"\r\n")
            if not text.strip():
                continue
            self._row += 1
            try:
                made.append(self._parse(text))
                numbers.append(self._row)
            except Bad as bad:
                failures.append(ReadFailure(row=self._row, reason=str(bad), raw=text[:MAX_QUOTED]))
        add_names(self.names, made)
        columns = columns_of(made, [self.names[i] for i in self.kept])
        return Rows(columns=columns, numbers=np.array(numbers, np.int64), failures=failures, consumed=self._consumed)

    @property
    def kept(self) -> list[int]:
        """Places of the columns that are wanted."""
        return kept(self.names, self._wanted)

    def _parse(self, line: bytes) -> dict[str, str | None]:
        if len(line) > MAX_ROW:
            raise Bad("TOO_LARGE")
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise Bad("BAD_ENCODING") from error
        data = parse(text)
        if not isinstance(data, dict):
            raise Bad("BAD_JSON")
        return flatten(data)


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Lines with their ends; one longer than a row may be is handed over in pieces that will not parse."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if len(rest) > 2 * MAX_ROW:
            yield rest
            rest = b""
    if rest:
        yield rest
