"""Sink `file`: each batch a file of its own, named by what it holds; the names are the sink's only memory.

A file appears whole, by a rename. Its name says from and to which offset of each partition it goes, so the sink knows by
looking at its directory where to go on, and no batch is written twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from connectors.context import SinkContext
from connectors.sinks.specs import FileSpec
from hub.errors import ConfigurationInvalid, StorageFull
from hub.model import PushRules, SinkBatch

ENDINGS: Mapping[str, str] = {"ndjson": "ndjson", "csv": "csv", "avro": "avro", "parquet": "parquet"}
PART = re.compile(r"p(\d{1,6})-(\d{1,19})-(\d{1,19})")
NO_SPACE = {28, 122}  # ENOSPC, EDQUOT


class FileSink:
    """One directory. `positions` is read from it anew each time."""

    rules = PushRules()

    def __init__(self, spec: FileSpec, context: SinkContext) -> None:
        self._spec = spec
        self._name = re.sub(r"[^A-Za-z0-9.-]", "_", context.subscription)
        self._directory = context.place(spec.directory)
        self._directory.mkdir(parents=True, exist_ok=True)

    def positions(self) -> Mapping[int, int]:
        """The furthest offsets that any file goes to."""
        found: dict[int, int] = {}
        for path in self._files():
            for partition, _start, end in self._parts(path):
                found[partition] = max(found.get(partition, 0), end)
        return found

    def write(self, batch: SinkBatch) -> None:
        """Durable when it returns. A batch without records moves nothing."""
        if batch.reset:
            for path in self._files():
                path.unlink()
        if not len(batch.offsets):
            return
        name = f"{self._name}.{'_'.join(self._spans(batch))}.{ENDINGS[self._spec.format]}"
        draft = self._directory / f".{name}.part"
        try:
            with draft.open("wb") as file:
                file.write(batch.form(self._spec.format))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._directory / name)
            self._sync()
        except OSError as error:
            draft.unlink(missing_ok=True)
            if error.errno in NO_SPACE:
                raise StorageFull("the sink's disk is full", where=self._spec.directory, remedy="free space") from error
            raise ConfigurationInvalid(
                f"a file cannot be written ({error.strerror})", where=self._spec.directory, remedy="check its rights"
            ) from error

    def close(self) -> None:
        """Nothing is held."""

    def _spans(self, batch: SinkBatch) -> list[str]:
        """`pPARTITION-FROM-TO` of each partition that the batch has records of."""
        made = []
        for partition in sorted(set(batch.partitions.tolist())):
            first = int(batch.offsets[batch.partitions == partition].min())
            made.append(f"p{partition}-{first}-{batch.positions[partition]}")
        return made

    def _files(self) -> list[Path]:
        return [p for p in self._directory.glob(f"{self._name}.p*") if p.is_file()]

    def _parts(self, path: Path) -> list[tuple[int, int, int]]:
        middle = path.name.removeprefix(f"{self._name}.").rpartition(".")[0]
        return [(int(a), int(b), int(c)) for a, b, c in PART.findall(middle)]

    def _sync(self) -> None:
        """The name too must survive a power cut."""
        if os.name == "posix":
            folder = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
