"""A `files` source on a directory, read at once."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

from connectors.context import SourceContext
from connectors.sources.files import FilesSource
from connectors.sources.specs import FilesSpec
from hub.model import Batch, Mode, SourceCheckpoint


def source(root: Path, mode: Mode = "append", wanted: frozenset[str] | None = None, **spec: Any) -> FilesSource:
    made = FilesSpec(kind="files", **{"path": "*", "stable_after_s": 0, **spec})
    context = SourceContext(task="t", root=root, mode=mode, refused=(root / "var",), columns=wanted)
    return FilesSource(made, context)


def read(root: Path, after: SourceCheckpoint | None = None, **options: Any) -> list[Batch]:
    return list(source(root, **options).batches(after, Event()))


def rows(batches: list[Batch]) -> list[dict[str, Any]]:
    return [r for b in batches for r in b.records.to_pylist()]


def failures(batches: list[Batch]) -> list[tuple[int, str]]:
    return [(f.row, f.reason) for b in batches for f in b.failures]
