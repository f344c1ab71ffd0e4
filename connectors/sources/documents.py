"""Files that make sense only as a whole: JSON documents, XML, workbooks. Read in order, resumed by row number.

A document that cannot be read to its end is refused before its first row is delivered, so that nothing of a file that was
cut off is published.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from connectors.sources.delimited import Rows
from connectors.sources.objects import BYTES_AT_ONCE, ROWS_AT_ONCE, Row, add_names, columns_of, kept
from hub.errors import FileRefused
from hub.model import ReadFailure

Found = Row | ReadFailure
QUIET_BYTES = 16 * 1024 * 1024  # read without anything being found


class Document:
    """Base of the readers of documents; `_find` gives their rows."""

    whole = True

    def __init__(self, where: str, *, wanted: frozenset[str] | None, nulls: tuple[str, ...]) -> None:
        self._where, self._wanted, self._nulls = where, wanted, frozenset(nulls)
        self.names: list[str] = []
        self._skip = 0

    def resume(self, names: list[str], row: int, _consumed: int) -> None:
        """Go on after `row` rows."""
        self.names, self._skip = names, row

    @property
    def kept(self) -> list[int]:
        """Places of the columns that are wanted."""
        return kept(self.names, self._wanted)

    def verify(self, parts: Iterator[bytes]) -> None:
        """Read to the end once. Raises FileRefused for a document that is malformed or beyond a limit."""
        for _found in self._find(parts):
            pass

    def read(self, parts: Iterator[bytes]) -> Iterator[Rows]:
        """All rows behind those that are known, in order."""
        batch = _Gathering(self)
        for number, found in enumerate(self._find(parts), 1):
            if number <= self._skip:
                continue
            batch.add(number, found)
            if batch.full:
                yield batch.rows(self._nulls)
                batch = _Gathering(self)
        if batch.numbers or batch.failures:
            yield batch.rows(self._nulls)

    def _find(self, parts: Iterator[bytes]) -> Iterator[Found]:
        """Rows, and what should have been one. Failures need no number."""
        raise NotImplementedError


class _Gathering:
    """Rows of one batch."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._made: list[Row] = []
        self.numbers: list[int] = []
        self.failures: list[ReadFailure] = []
        self._size = 0

    def add(self, number: int, found: Found) -> None:
        """One row or failure."""
        if isinstance(found, ReadFailure):
            self.failures.append(ReadFailure(row=number, reason=found.reason, raw=found.raw, path=found.path))
            return
        self._made.append(found)
        self.numbers.append(number)
        self._size += sum(len(v) for v in found.values() if v)

    @property
    def full(self) -> bool:
        return len(self.numbers) + len(self.failures) >= ROWS_AT_ONCE or self._size >= BYTES_AT_ONCE

    def rows(self, nulls: frozenset[str]) -> Rows:
        """In columns."""
        if nulls:
            self._made = [{n: None if v in nulls else v for n, v in row.items()} for row in self._made]
        document = self._document
        add_names(document.names, self._made)
        columns = columns_of(self._made, [document.names[i] for i in document.kept])
        return Rows(columns=columns, numbers=np.array(self.numbers, np.int64), failures=self.failures)


class Feed:
    """Parts of a stream as a file that parsers read. Refuses to go on for ever without anything being found."""

    def __init__(self, parts: Iterator[bytes], where: str) -> None:
        self._parts, self._where = parts, where
        self._left = b""
        self._quiet = 0

    def found(self) -> None:
        """Something was found: the count of quiet bytes starts anew."""
        self._quiet = 0

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; nothing at the end."""
        if size == 0:
            return b""
        if not self._left:
            self._left = next(self._parts, b"")
        taken = self._left[:size] if size > 0 else self._left
        self._left = self._left[len(taken) :]
        self._quiet += len(taken)
        if self._quiet > QUIET_BYTES:
            raise FileRefused("has a single value of more than 16 MB", where=self._where)
        return taken
