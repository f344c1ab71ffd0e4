"""How far each content of each file was read: positions are content, not names (R16)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sources import bytes as streams
from hub.model import SourceCheckpoint


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """How far one content of one file was read."""

    name: str
    version: str  # content hash of its beginning, and how often the name was replaced
    encoding: str
    rows: int = 0  # data rows up to here, bad ones too
    consumed: int = 0  # bytes of the unpacked stream up to here; of documents, 1 once rows were read
    prefix: str = ""  # hash of those bytes; of documents, of all bytes
    names: tuple[str, ...] = ()  # columns

    @property
    def origin(self) -> str:
        """Where a row stands, for record ids and quarantine."""
        return f"{self.name}@{self.version}"


class Prefix:
    """Passes bytes on and knows the hash of all up to a place in the stream."""

    def __init__(self, parts: Iterator[bytes], version: FileVersion, before: Iterator[bytes]) -> None:
        self._parts = parts
        self._hash = hashlib.sha256()
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
        return streams.prefix_of(self._hash.copy())


def after(parts: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """The stream without its first `skip` bytes."""
    for part in parts:
        if skip >= len(part):
            skip -= len(part)
            continue
        yield part[skip:]
        skip = 0


def position(done: Mapping[str, FileVersion]) -> SourceCheckpoint:
    """All versions as a checkpoint."""
    return SourceCheckpoint(value={"files": [{**v.__dict__, "names": list(v.names)} for v in done.values()]})


def versions(checkpoint: SourceCheckpoint | None) -> dict[str, FileVersion]:
    """All versions of a checkpoint, by name."""
    found: Sequence[dict[str, Any]] = checkpoint.value.get("files", ()) if checkpoint else ()
    return {v["name"]: FileVersion(**{**v, "names": tuple(v["names"])}) for v in found}
