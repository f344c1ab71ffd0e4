"""Source `files`: what departments export. Positions are content, not names: a replaced file is a new version (R16)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, BinaryIO

import pyarrow as pa

from connectors.context import SourceContext
from connectors.sources import bytes as streams
from connectors.sources.delimited import Delimited, Dialect, Rows
from connectors.sources.ndjson import JsonLines
from connectors.sources.opening import matching, open_below
from connectors.sources.specs import FilesSpec
from hub.errors import DatongError, FileRefused, SourceUnavailable
from hub.model import Batch, Finding, Report, SourceCheckpoint, Stream

SAMPLE_ROWS = 1
WAIT_S = 0.1


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """How far one content of one file was read."""

    name: str
    version: str  # content hash of its beginning, and how often the name was replaced
    encoding: str
    rows: int = 0  # data rows up to here, bad ones too
    consumed: int = 0  # bytes of the unpacked stream up to here
    prefix: str = ""  # hash of those bytes
    names: tuple[str, ...] = ()  # columns

    @property
    def origin(self) -> str:
        """Where a row stands, for record ids and quarantine."""
        return f"{self.name}@{self.version}"


class FilesSource:
    """One glob below the files root."""

    replayable = True

    def __init__(self, spec: FilesSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._marks = (spec.delimiter + spec.quote).encode()
        self._closed = Event()

    def check(self) -> Report:
        """The files that match, and whether each can be read."""
        try:
            names = self._names()
        except DatongError as error:
            return Report(findings=[Finding(name="files", ok=False, detail=error.statement, remedy=error.remedy)])
        findings = []
        for name in names:
            try:
                columns = self._head(name).names
                findings.append(Finding(name=name, ok=True, detail=f"{len(columns)} columns"))
            except DatongError as error:
                findings.append(Finding(name=name, ok=False, detail=error.message, remedy=error.remedy))
        return Report(findings=findings)

    def discover(self) -> list[Stream]:
        """One stream: the columns of the first file that matches."""
        names = self._names()
        columns = self._head(names[-1]).names
        schema = pa.schema([(n, pa.string()) for n in columns])
        return [Stream(name=self._spec.path, columns=schema)]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """Rows of the files in the order of their names. A refused file is raised after the others were read."""
        done = _versions(after)
        refused: FileRefused | None = None
        names = self._names()
        snapshot = self._context.mode == "snapshot"
        last: Batch | None = None
        for name in names:
            if stop.is_set():
                return
            try:
                for batch in self._file(name, None if snapshot else done.get(name), done, stop):
                    if last is not None:
                        yield last
                    last = batch
            except FileRefused as error:
                refused = refused or error
        complete = snapshot and refused is None and not stop.is_set()
        if last is None and complete:
            last = Batch(records=_no_rows(), position=_position(done))
        if last is not None:
            yield replace(last, complete=complete)
        if refused is not None:
            raise refused

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """Files need no word."""

    def close(self) -> None:
        """End `batches` soon."""
        self._closed.set()

    def _names(self) -> list[str]:
        names = matching(self._context.root, self._spec.path, self._context.refused)
        if not names:
            raise SourceUnavailable(
                "no file matches", where=self._spec.path, remedy="see that the files are there and not links"
            )
        if self._context.mode == "snapshot" and len(names) > 1:
            if self._spec.snapshot_of is None:
                raise FileRefused(
                    f"{len(names)} files match a snapshot", where=self._spec.path, remedy="say `snapshot_of:`"
                )
            return names[-1:] if self._spec.snapshot_of == "newest" else names
        return names

    def _head(self, name: str) -> Delimited | JsonLines:
        """The reader of a file after its first rows, so that its columns are known."""
        with open_below(self._context.root, name) as file:
            version = self._first_version(file, name, None)
            reader = self._reader(version, wanted=None)
            for _rows in itertools.islice(reader.read(self._stream(file, version)), SAMPLE_ROWS):
                pass
            return reader

    def _file(self, name: str, known: FileVersion | None, done: dict[str, FileVersion], stop: Event) -> Iterator[Batch]:
        with open_below(self._context.root, name) as file:
            before = self._stable(file, stop)
            version = self._resume(file, name, known)
            reader = self._reader(version, wanted=self._context.columns)
            if version.names:
                reader.resume(list(version.names), version.rows, version.consumed)
            stream = _after(self._stream(file, version), version.consumed)
            hashed = _Prefix(stream, version, self._stream(file, version) if version.consumed else iter(()))
            for rows in reader.read(iter(hashed)):
                numbers = [int(rows.numbers[-1])] if len(rows.numbers) else []
                last = max([*numbers, *[f.row for f in rows.failures]])
                version = replace(
                    version,
                    rows=last,
                    consumed=rows.consumed,
                    prefix=hashed.digest(rows.consumed),
                    names=tuple(reader.names),
                )
                done[name] = version
                yield _batch(reader, rows, version, done)
                if stop.is_set() or self._closed.is_set():
                    return
            if _signature(file) != before:
                raise SourceUnavailable("the file changed while it was read", where=name, remedy="it is read again")
            self._not_another(reader, version)

    def _not_another(self, reader: Delimited | JsonLines, version: FileVersion) -> None:
        """A header without rows is an empty list; one without a single column that is wanted is another file."""
        wanted = self._context.columns
        if not version.rows and wanted and reader.names and wanted.isdisjoint(reader.names):
            raise FileRefused("has no rows, and none of the columns that are needed", where=version.name)

    def _stable(self, file: BinaryIO, stop: Event) -> tuple[int, ...]:
        """Wait until the file was left alone for a while; a file that never rests is read in a later run."""
        import time

        deadline = time.monotonic() + max(self._spec.stable_after_s * 10, 1)
        while True:
            status = os.fstat(file.fileno())
            age = time.time() - status.st_mtime
            if age >= self._spec.stable_after_s or age < 0:
                return _signature(file)
            if time.monotonic() > deadline:
                raise SourceUnavailable("the file is being written", remedy="it is read when it rests")
            if stop.wait(min(self._spec.stable_after_s, WAIT_S)):
                return _signature(file)

    def _resume(self, file: BinaryIO, name: str, known: FileVersion | None) -> FileVersion:
        """Go on behind what was read, if that still is the file's beginning; else a new version (R16)."""
        if known is None or not known.consumed:
            return self._first_version(file, name, None)
        version = replace(known, name=name)
        if streams.digest(self._stream(file, version), known.consumed) == known.prefix:
            return version
        return self._first_version(file, name, known)

    def _first_version(self, file: BinaryIO, name: str, before: FileVersion | None) -> FileVersion:
        raw = streams.chunks(file, name, self._spec.max_expansion)
        limit = None if self._context.mode == "snapshot" else 4096
        beginning = streams.digest(raw, limit)[:12]
        replaced = int(before.version.partition(".")[2] or 0) + 1 if before else 0
        encoding = self._spec.encoding
        if encoding is None:
            expansion = self._spec.max_expansion
            encoding = streams.decide_encoding(lambda: streams.chunks(file, name, expansion), name)
        return FileVersion(name=name, version=f"{beginning}.{replaced}" if replaced else beginning, encoding=encoding)

    def _stream(self, file: BinaryIO, version: FileVersion) -> Iterator[bytes]:
        """The unpacked bytes from the start, in an encoding whose lines can be cut as bytes."""
        raw = streams.chunks(file, version.name, self._spec.max_expansion)
        return streams.cuttable(raw, version.encoding, self._marks, version.name)

    def _reader(self, version: FileVersion, wanted: frozenset[str] | None) -> Delimited | JsonLines:
        encoding = streams.cut_as(version.encoding, self._marks)
        ending = version.name.removesuffix(".gz").rpartition(".")[2].lower()
        form = self._spec.format or {"tsv": "tsv", "ndjson": "ndjson", "jsonl": "ndjson"}.get(ending, "csv")
        if form == "ndjson":
            return JsonLines(encoding, wanted=wanted)
        dialect = Dialect(
            delimiter=b"\t" if form == "tsv" else self._spec.delimiter.encode(),
            quote=self._spec.quote.encode(),
            header=self._spec.header,
            columns=self._spec.columns,
            nulls=self._spec.nulls,
            encoding=encoding,
        )
        return Delimited(dialect, version.name, wanted=wanted)


class _Prefix:
    """Passes bytes on and knows the hash of all up to a place in the stream."""

    def __init__(self, parts: Iterator[bytes], version: FileVersion, before: Iterator[bytes]) -> None:
        import hashlib

        self._parts = parts
        self._hash = hashlib.blake2b(digest_size=16)
        left = version.consumed
        for part in before:
            self._hash.update(part[:left])
            left -= len(part)
            if left <= 0:
                break
        self._at = version.consumed
        self._pending: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self._pending.append(part)
            yield part

    def digest(self, consumed: int) -> str:
        """Hash of the stream's first `consumed` bytes; must not go back."""
        while self._pending and self._at < consumed:
            part = self._pending[0]
            take = min(len(part), consumed - self._at)
            self._hash.update(part[:take])
            self._at += take
            self._pending[0] = part[take:]
            if not self._pending[0]:
                self._pending.pop(0)
        return self._hash.copy().hexdigest()


def _after(parts: Iterator[bytes], skip: int) -> Iterator[bytes]:
    for part in parts:
        if skip >= len(part):
            skip -= len(part)
            continue
        yield part[skip:]
        skip = 0


def _signature(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _batch(reader: Delimited | JsonLines, rows: Rows, version: FileVersion, done: dict[str, FileVersion]) -> Batch:
    names = [reader.names[i] for i in reader.kept]
    records = pa.RecordBatch.from_arrays(rows.columns, names) if names else _no_columns(len(rows.numbers))
    return Batch(
        records=records,
        position=_position(done),
        origin=version.origin,
        rows=rows.numbers,
        failures=tuple(rows.failures),
    )


def _no_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _no_rows() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([], schema=pa.schema([]))


def _position(done: dict[str, FileVersion]) -> SourceCheckpoint:
    return SourceCheckpoint(value={"files": [_as_json(v) for v in done.values()]})


def _as_json(version: FileVersion) -> dict[str, Any]:
    return {**version.__dict__, "names": list(version.names)}


def _versions(position: SourceCheckpoint | None) -> dict[str, FileVersion]:
    found: Sequence[dict[str, Any]] = position.value.get("files", ()) if position else ()
    return {v["name"]: FileVersion(**{**v, "names": tuple(v["names"])}) for v in found}
