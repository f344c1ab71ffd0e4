"""Avro schema files, found below the project's `schemas/` first and below the shipped ones second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from hub.avro import arrow_schema, parse_topic_schema
from hub.avro.types import Record
from hub.catalogue.mistakes import did_you_mean, nearest
from hub.errors import DatongError

MAX_BYTES = 1024 * 1024  # of one schema file (S23)


@dataclass(frozen=True, kw_only=True)
class SchemaFile:
    """A schema that a topic can hold."""

    name: str  # as connectors name it: `education/school.avsc`
    text: str  # as written
    record: Record
    columns: pa.Schema  # the same as Arrow


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why a schema file cannot be used."""

    message: str
    suggestion: str = ""


@dataclass(frozen=True, kw_only=True)
class SchemaFiles:
    """The schema files of a project; each is read once."""

    folders: Sequence[Path]
    _known: dict[str, SchemaFile | Refused] = field(default_factory=dict)

    def get(self, name: str) -> SchemaFile | Refused:
        """The schema of that name, or what is wrong with it."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def meant(self, name: str) -> SchemaFile | None:
        """The sound schema whose name is nearest to one that is not there."""
        near = nearest(name, set(self.names()) - {name})
        found = self.get(near) if near else None
        return found if isinstance(found, SchemaFile) else None

    def _read(self, name: str) -> SchemaFile | Refused:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            return Refused(message="must be a file below `schemas/`")
        path = next((f / name for f in self.folders if (f / name).is_file()), None)
        if path is None:
            suggestion = did_you_mean(name, self.names()) or f"write schemas/{name}"
            return Refused(message="there is no such schema file", suggestion=suggestion)
        try:
            content = path.read_bytes()
            if len(content) > MAX_BYTES:
                return Refused(message=f"the schema file has more than {MAX_BYTES:,} bytes")
            text = content.decode("utf-8-sig")
            record = parse_topic_schema(text)
            return SchemaFile(name=name, text=text, record=record, columns=arrow_schema(record))
        except (OSError, UnicodeDecodeError):
            return Refused(message="the schema file cannot be read as UTF-8")
        except DatongError as error:
            place = f"{error.where}: " if error.where else ""
            return Refused(message=f"the schema is refused: {place}{error.message}", suggestion=error.remedy)

    def names(self) -> list[str]:
        """Every schema file there is."""
        found = {p.relative_to(f).as_posix() for f in self.folders for p in f.glob("**/*.avsc")}
        return sorted(found)


def scalar_columns(columns: pa.Schema) -> Mapping[str, pa.Field]:
    """The top-level fields that can be part of a key, a scope or an event time."""
    nested = (pa.types.is_struct, pa.types.is_list, pa.types.is_map, pa.types.is_union)
    return {f.name: f for f in columns if not any(is_kind(f.type) for is_kind in nested)}
