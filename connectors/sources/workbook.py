"""XLSX, XLS and ODS → columns of text (calamine). Whole, at most 100 MB, in a child process with limits (R16, S3)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sources.delimited import Rows
from connectors.sources.objects import kept
from connectors.sources.workbook_child import REFUSED
from hub.errors import FileRefused

MAX_BYTES = 100 * 1024 * 1024
MAX_UNPACKED = 256 * 1024 * 1024
MAX_ENTRIES = 10_000
RATIO = 100
FREE_EXPANSION = 16 * 1024 * 1024
MEMORY = 1024**3  # bytes of the child
TIMEOUT_S = 300
INHERITED = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMPDIR")  # no secrets of the hub's among them


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What of a workbook is read, and where its header stands."""

    sheet: str | int | None
    header: int
    header_rows: int
    columns: tuple[str, ...] | None
    group_column: str | None


class Workbook:
    """Reads one stream, whole. Cells are text: numbers as they are shortest, dates in ISO 8601, formulas as their values."""

    whole = True

    def __init__(self, layout: Layout, where: str, *, wanted: frozenset[str] | None, nulls: tuple[str, ...]) -> None:
        self._layout, self._where, self._wanted = layout, where, wanted
        self._nulls = pa.array(nulls, pa.string())
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
        """A workbook is read whole before its first row is delivered, so there is nothing to do."""

    def read(self, parts: Iterator[bytes]) -> Iterator[Rows]:
        """All rows behind those that are known, in order. Raises FileRefused."""
        with self._spooled(parts) as file, tempfile.TemporaryFile() as answer:
            self._check(file)
            self._convert(file, answer)
            answer.seek(0)
            if not os.fstat(answer.fileno()).st_size:
                return
            done = 0
            with pa.ipc.open_stream(answer) as reader:
                self.names = reader.schema.names
                for batch in reader:
                    start = min(max(self._skip - done, 0), batch.num_rows)
                    numbers = np.arange(done + start + 1, done + batch.num_rows + 1)
                    done += batch.num_rows
                    if len(numbers):
                        columns = [self._without_nulls(batch.column(i).slice(start)) for i in self.kept]
                        yield Rows(columns=columns, numbers=numbers)

    def _without_nulls(self, column: pa.Array) -> pa.Array:
        if not len(self._nulls):
            return column
        return pc.if_else(pc.is_in(column, self._nulls), pa.scalar(None, pa.string()), column)

    @contextlib.contextmanager
    def _spooled(self, parts: Iterator[bytes]) -> Iterator[IO[bytes]]:
        with tempfile.TemporaryFile() as file:
            size = 0
            for part in parts:
                size += len(part)
                if size > MAX_BYTES:
                    raise FileRefused(
                        f"is larger than {MAX_BYTES >> 20} MB", where=self._where, remedy="export it as CSV"
                    )
                file.write(part)
            file.flush()
            file.seek(0)
            yield file

    def _check(self, file: IO[bytes]) -> None:
        """XLSX and ODS are zip files: what they grow to is known before anything is unpacked."""
        if file.read(2) == b"PK":
            try:
                with zipfile.ZipFile(file) as archive:
                    entries = archive.infolist()
            except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
                raise FileRefused("is not a workbook that can be read", where=self._where) from error
            unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
            grows = unpacked > max(FREE_EXPANSION, packed * RATIO)
            if grows or unpacked > MAX_UNPACKED or len(entries) > MAX_ENTRIES:
                raise FileRefused("grows too much when unpacked", where=self._where, remedy="export the sheet as CSV")

    def _convert(self, file: IO[bytes], answer: IO[bytes]) -> None:
        request = json.dumps({**vars(self._layout), "memory": MEMORY})
        command = [sys.executable, "-P", "-m", "connectors.sources.workbook_child", request]
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # the child reads from where the descriptor stands, not the buffer
        try:
            done = subprocess.run(  # noqa: S603 - this module's own child, no shell
                command, stdin=file, stdout=answer, stderr=subprocess.PIPE, env=environment(),
                timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise FileRefused("takes too long to read", where=self._where, remedy="export the sheet as CSV") from None
        if done.returncode == REFUSED:
            raise FileRefused(done.stderr.decode("utf-8", "replace").strip()[-500:], where=self._where)
        if done.returncode:
            raise FileRefused(
                f"could not be read within the limits of memory and time (exit {done.returncode})",
                where=self._where,
                remedy="export the sheet as CSV",
            )


def environment() -> dict[str, str]:
    """Of the child: what it needs to start, and where this process imports from."""
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return found | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
