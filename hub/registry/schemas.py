"""What the hub needs of a schema registry: its own over the store, or somebody else's over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hub.avro.types import Schema
from hub.registry.errors import Break
from hub.registry.model import Draft, Level, Reference, Registered, SchemaVersion


class Schemas(Protocol):
    """Subjects, versions, ids. An id means one schema for ever, so what was seen once is never asked for again: an outage
    stops nobody who uses known schemas, and lets those wait (RegistryUnavailable) who need unknown ones (G10, F19)."""

    def register(self, subject: str, text: str, references: Sequence[Reference] = ()) -> Registered:
        """Give a schema an id and the subject a version of it. May be repeated. Raises SchemaInvalid, SchemaIncompatible,
        RegistryUnavailable; then nothing was registered, or it was and the next call says so."""

    def register_freely(self, subject: str, text: str) -> Registered:
        """The same in a subject where nothing is compared: level NONE is set first where it is not (R23)."""

    def by_id(self, schema_id: int) -> str:
        """The canonical text. Raises NotFound."""

    def parsed(self, schema_id: int) -> Schema:
        """The tree, references included. Raises NotFound."""

    def subjects(self) -> list[str]:
        """With a live version, sorted."""

    def versions(self, subject: str) -> list[int]:
        """Live ones, ascending. Raises NotFound."""

    def latest(self, subject: str) -> SchemaVersion:
        """The highest live version. Raises NotFound."""

    def newest(self, subject: str) -> SchemaVersion | None:
        """The same, or None when there is none."""

    def any_version(self, subject: str, version: int) -> SchemaVersion:
        """A version, softly deleted or not; LATEST is the highest live one. Raises NotFound."""

    def level(self, subject: str | None = None) -> Level:
        """The compatibility level in force for a subject, or the global one."""

    def compare(self, subject: str, draft: Draft, version: int | None = None) -> list[Break]:
        """What speaks against a schema. Never registers. Raises SchemaInvalid, NotFound."""

    def tree(self, draft: Draft) -> Schema:
        """Anything that can be sent, as a tree. Raises SchemaInvalid."""

    def close(self) -> None:
        """Let connections go. Nothing is asked after it."""
