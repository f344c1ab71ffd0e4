"""Source `files`: what departments export. Positions are content, not names: a replaced file is a new version (R16)."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Event
from typing import cast

import pyarrow as pa

from connectors.context import SourceContext
from connectors.sources import bytes as streams
from connectors.sources.delimited import Rows
from connectors.sources.formats import (
    OWN_ENCODING,
    TEXTS,
    DocumentReader,
    Reader,
    document_reader,
    format_of,
    text_reader,
)
from connectors.sources.members import ZipPlace
from connectors.sources.opening import shown
from connectors.sources.places import LocalPlace, Opened, Place, wait_until_stable
from connectors.sources.specs import FilesSpec
from connectors.sources.versions import FileVersion, Prefix, after, position, versions
from hub.errors import DatongError, FileRefused, SourceUnavailable
from hub.model import Batch, Finding, Report, SourceCheckpoint, Stream

SAMPLE_ROWS = 1
UTF8 = "utf-8"


class FilesSource:
    """One glob below the files root, or below a directory of an SFTP server."""

    replayable = True
    repeats = False

    def __init__(self, spec: FilesSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._marks = (spec.delimiter + spec.quote).encode()
        self._closed = Event()
        self._opened_place: Place | None = None

    @property
    def _place(self) -> Place:
        """Opened when first needed, so that `check` can say what is wrong with it."""
        if self._opened_place is None:
            self._opened_place = _open_place(self._spec, self._context)
        return self._opened_place

    def check(self) -> Report:
        """The files that match, and whether each can be read."""
        try:
            return self._check()
        finally:
            self._leave()

    def _check(self) -> Report:
        try:
            names = self._names()
        except DatongError as error:
            return Report(findings=[Finding(name="files", ok=False, detail=error.statement, remedy=error.remedy)])
        findings = []
        for name in names:
            try:
                columns = self._head(name).names
                findings.append(Finding(name=shown(name), ok=True, detail=f"{len(columns)} columns"))
            except DatongError as error:
                findings.append(Finding(name=shown(name), ok=False, detail=error.message, remedy=error.remedy))
        return Report(findings=findings)

    def discover(self) -> list[Stream]:
        """One stream: the columns of the last file that matches."""
        try:
            columns = self._head(self._names()[-1]).names
        finally:
            self._leave()
        schema = pa.schema([(n, pa.string()) for n in columns])
        return [Stream(name=self._spec.path, columns=schema)]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """Rows of the files in the order of their names. A refused file is raised after the others were read.

        With `watch_s`, the directory is looked at again so often, and the batches end with `stop` only."""
        done = versions(after)
        watch = self._spec.watch_s if self._context.mode != "snapshot" else None
        if watch is None:
            yield from self._pass(done, stop)
            return
        while not stop.is_set() and not self._closed.is_set():
            yield from self._look(done, stop)
            yield Batch(records=_no_rows(), position=position(done))
            waited = 0.0
            while waited < watch and not self._closed.is_set() and not stop.wait(min(watch - waited, 1.0)):
                waited += 1.0
                yield Batch(records=_no_rows(), position=position(done))

    def _look(self, done: dict[str, FileVersion], stop: Event) -> Iterator[Batch]:
        """One pass of a watched directory, where it is well that nothing is there yet, or that a file does not rest."""
        try:
            yield from self._pass(done, stop)
        except SourceUnavailable as problem:
            if self._spec.sftp is not None and not problem.where:
                raise

    def _pass(self, done: dict[str, FileVersion], stop: Event) -> Iterator[Batch]:
        refused: FileRefused | None = None
        snapshot = self._context.mode == "snapshot"
        last: Batch | None = None
        for name in self._names():
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
            last = Batch(records=_no_rows(), position=position(done))
        if last is not None:
            yield replace(last, complete=complete)
        if refused is not None:
            raise refused

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """Files need no word."""

    def close(self) -> None:
        """End `batches` soon."""
        self._closed.set()
        self._leave()

    def _leave(self) -> None:
        place, self._opened_place = self._opened_place, None
        if place is not None:
            place.close()

    def _names(self) -> list[str]:
        names = self._place.names(self._spec.path)
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

    def _head(self, name: str) -> Reader:
        """The reader of a file after its first rows, so that its columns are known."""
        with self._place.open(name) as opened:
            version = self._first_version(opened, name, None)
            reader = self._reader(version, wanted=None)
            for _rows in itertools.islice(reader.read(self._stream(opened, version)), SAMPLE_ROWS):
                pass
            return reader

    def _file(self, name: str, known: FileVersion | None, done: dict[str, FileVersion], stop: Event) -> Iterator[Batch]:
        with self._place.open(name) as opened:
            before = wait_until_stable(opened, self._spec.stable_after_s, stop)
            version = self._resume(opened, name, known)
            reader = self._reader(version, wanted=self._context.columns)
            if version.consumed:
                reader.resume(list(version.names), version.rows, version.consumed)
            for rows, read in self._rows(opened, reader, version):
                numbers = [int(rows.numbers[-1])] if len(rows.numbers) else []
                last = max([*numbers, *[f.row for f in rows.failures]])
                version = replace(read, rows=last, names=tuple(reader.names))
                done[name] = version
                yield _batch(reader, rows, version, done)
                if stop.is_set() or self._closed.is_set():
                    return
            if opened.signature() != before:
                raise SourceUnavailable("the file changed while it was read", where=name, remedy="it is read again")
            self._not_another(reader, version)

    def _not_another(self, reader: Reader, version: FileVersion) -> None:
        """A header without rows is an empty list; one without a single column that is wanted is another file."""
        wanted = self._context.columns
        if not version.rows and wanted and reader.names and wanted.isdisjoint(reader.names):
            raise FileRefused("has no rows, and none of the columns that are needed", where=version.name)

    def _rows(self, opened: Opened, reader: Reader, version: FileVersion) -> Iterator[tuple[Rows, FileVersion]]:
        """Rows and how far the file is read with them: a text to a byte, a document as a whole."""
        if not self._is_text(version.name):
            for rows in reader.read(self._stream(opened, version)):
                yield rows, replace(version, consumed=1)
            return
        stream = after(self._stream(opened, version), version.consumed)
        hashed = Prefix(stream, version, self._stream(opened, version) if version.consumed else iter(()))
        for rows in reader.read(iter(hashed)):
            yield rows, replace(version, consumed=rows.consumed, prefix=hashed.digest(rows.consumed))

    def _is_text(self, name: str) -> bool:
        return format_of(self._spec, name) in TEXTS

    def _resume(self, opened: Opened, name: str, known: FileVersion | None) -> FileVersion:
        """Go on behind what was read, if that still is the file's beginning; else a new version (R16)."""
        if known is None or not known.consumed:
            return self._first_version(opened, name, None)
        version = replace(known, name=name)
        stream = self._stream(opened, version)
        text = self._is_text(name)
        if streams.has_prefix(stream, known.consumed, known.prefix) if text else streams.digest(stream) == known.prefix:
            return version
        return self._first_version(opened, name, known)

    def _first_version(self, opened: Opened, name: str, before: FileVersion | None) -> FileVersion:
        text = self._is_text(name)
        replaced = int(before.version.partition(".")[2] or 0) + 1 if before else 0
        limit = 4096 if text and self._context.mode != "snapshot" else None
        version = FileVersion(name=name, version="", encoding=self._encoding(opened, name))
        whole = streams.digest(self._stream(opened, version) if not text else self._raw(opened, name), limit)
        beginning = whole[:12]
        version = replace(version, version=f"{beginning}.{replaced}" if replaced else beginning)
        if not text:
            version = replace(version, prefix=whole)
            reader = cast(DocumentReader, self._reader(version, wanted=frozenset()))
            reader.verify(self._stream(opened, version))
        return version

    def _encoding(self, opened: Opened, name: str) -> str:
        if format_of(self._spec, name) in OWN_ENCODING:
            return ""
        return self._spec.encoding or streams.decide_encoding(lambda: self._raw(opened, name), name)

    def _raw(self, opened: Opened, name: str) -> Iterator[bytes]:
        return streams.chunks(opened.file, name, self._spec.max_expansion)

    def _stream(self, opened: Opened, version: FileVersion) -> Iterator[bytes]:
        """The unpacked bytes from the start, in an encoding that their reader can cut."""
        raw = self._raw(opened, version.name)
        if self._is_text(version.name):
            return streams.cuttable(raw, version.encoding, self._marks, version.name)
        if not version.encoding:
            return raw
        encoding = codecs.lookup(version.encoding).name
        return streams.as_utf8(raw, "utf-8-sig" if encoding == UTF8 else encoding, version.name)

    def _reader(self, version: FileVersion, wanted: frozenset[str] | None) -> Reader:
        if not self._is_text(version.name):
            return document_reader(self._spec, version.name, wanted)
        encoding = streams.cut_as(version.encoding, self._marks)
        return text_reader(self._spec, version.name, encoding, wanted)


def _open_place(spec: FilesSpec, context: SourceContext) -> Place:
    if spec.sftp is not None:
        from connectors.sources.sftp import SftpPlace

        place: Place = SftpPlace(spec.sftp, context)
    else:
        place = LocalPlace(context.root, context.refused)
    return ZipPlace(place, spec.member, spec.max_expansion) if spec.member is not None else place


def _batch(reader: Reader, rows: Rows, version: FileVersion, done: Mapping[str, FileVersion]) -> Batch:
    names = [reader.names[i] for i in reader.kept]
    records = pa.RecordBatch.from_arrays(rows.columns, names) if names else _no_columns(len(rows.numbers))
    return Batch(
        records=records,
        position=position(done),
        origin=version.origin,
        rows=rows.numbers,
        failures=tuple(rows.failures),
        columns=tuple(reader.names),
    )


def _no_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _no_rows() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([], schema=pa.schema([]))
