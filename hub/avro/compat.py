"""Can a reader with one schema read what a writer with another wrote? (Avro 1.12, "Schema Resolution"; registry-api §3.)

Every incompatibility has its path and a sentence that a person understands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.avro.schema import branch_name
from hub.avro.types import Array, Enum, Field, Fixed, Map, Primitive, Record, Ref, Schema, Type, Union

PROMOTIONS = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}
LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")


@dataclass(frozen=True, kw_only=True)
class Incompatibility:
    """One reason. `kind` is stable; `path` is a field path in the reader's schema."""

    kind: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the schema'}: {self.message}"


def incompatibilities(reader: Schema, writer: Schema) -> list[Incompatibility]:
    """All reasons why `reader` cannot read every value of `writer`; empty when it can."""
    return _Comparison(reader, writer).types(reader.type, writer.type, "")


def check(level: str, new: Schema, olds: Sequence[Schema]) -> list[Incompatibility]:
    """What speaks against `new` after the live versions `olds` (oldest first), at a level of registry-api §3."""
    if level not in LEVELS:
        raise ValueError(f"{level} is not a compatibility level")
    direction, _, transitive = level.partition("_")
    if direction == "NONE":
        return []
    found: list[Incompatibility] = []
    for old in olds if transitive else olds[-1:]:
        if direction in ("BACKWARD", "FULL"):
            found += incompatibilities(new, old)
        if direction in ("FORWARD", "FULL"):
            found += incompatibilities(old, new)
    return found


def same_name(reader: Record | Enum | Fixed, writer: Record | Enum | Fixed) -> bool:
    """Named types match by unqualified name, or when an alias of the reader is the writer's full name."""
    return reader.name.rpartition(".")[2] == writer.name.rpartition(".")[2] or writer.name in reader.aliases


def writer_field(reader: Field, writer: Record) -> Field | None:
    """The writer's field that a reader's field reads: by name, or by the reader's aliases in order."""
    return next((f for name in (reader.name, *reader.aliases) if (f := writer.field(name))), None)


class _Comparison:
    """One pair of documents. A pair of types in progress counts as compatible (recursion)."""

    def __init__(self, reader: Schema, writer: Schema) -> None:
        self._reader, self._writer = reader, writer
        self._open: set[tuple[str, str]] = set()

    def types(self, reader: Type, writer: Type, path: str) -> list[Incompatibility]:
        reader, writer = self._reader.resolve(reader), self._writer.resolve(writer)
        if isinstance(writer, Union):
            return self._from_union(reader, writer, path)
        if isinstance(reader, Union):
            return self._into_union(reader, writer, path)
        if isinstance(reader, Primitive) and isinstance(writer, Primitive):
            if reader.name in PROMOTIONS.get(writer.name, {writer.name}):
                return []
            return [_mismatch(reader, writer, path)]
        if isinstance(reader, Array) and isinstance(writer, Array):
            return self.types(reader.items, writer.items, f"{path}[]")
        if isinstance(reader, Map) and isinstance(writer, Map):
            return self.types(reader.values, writer.values, f"{path}{{}}")
        if isinstance(reader, Record) and isinstance(writer, Record):
            return self._records(reader, writer, path)
        if isinstance(reader, Enum) and isinstance(writer, Enum):
            return _name_mismatch(reader, writer, path) or _enums(reader, writer, path)
        if isinstance(reader, Fixed) and isinstance(writer, Fixed):
            return _name_mismatch(reader, writer, path) or _fixed(reader, writer, path)
        return [_mismatch(reader, writer, path)]

    def _from_union(self, reader: Type, writer: Union, path: str) -> list[Incompatibility]:
        found = []
        for branch in writer.branches:
            if self.types(reader, branch, path):
                message = f"{_shown(reader)} cannot read the branch {_shown(branch)} that a writer may use"
                found.append(Incompatibility(kind="MISSING_UNION_BRANCH", path=path, message=message))
        return found

    def _into_union(self, reader: Union, writer: Type, path: str) -> list[Incompatibility]:
        if any(not self.types(branch, writer, path) for branch in reader.branches):
            return []
        message = f"no branch of {_shown(reader)} can read {_shown(writer)}"
        return [Incompatibility(kind="MISSING_UNION_BRANCH", path=path, message=message)]

    def _records(self, reader: Record, writer: Record, path: str) -> list[Incompatibility]:
        found = _name_mismatch(reader, writer, path)
        pair = (reader.name, writer.name)
        if found or pair in self._open:
            return found
        self._open.add(pair)
        for field in reader.fields:
            inner = f"{path}.{field.name}" if path else field.name
            written = writer_field(field, writer)
            if written is not None:
                found += self.types(field.type, written.type, inner)
            elif not field.has_default:
                message = "this field is new and has no default, so older records cannot be read"
                found.append(Incompatibility(kind="READER_FIELD_MISSING_DEFAULT_VALUE", path=inner, message=message))
        self._open.discard(pair)
        return found


def _enums(reader: Enum, writer: Enum, path: str) -> list[Incompatibility]:
    unknown = [s for s in writer.symbols if s not in reader.symbols]
    if not unknown or reader.default is not None:
        return []
    message = f"the reader's enum lacks {', '.join(unknown[:20])} and has no default"
    return [Incompatibility(kind="MISSING_ENUM_SYMBOLS", path=path, message=message)]


def _fixed(reader: Fixed, writer: Fixed, path: str) -> list[Incompatibility]:
    if reader.size == writer.size:
        return []
    message = f"the reader expects {reader.size} bytes, the writer writes {writer.size}"
    return [Incompatibility(kind="FIXED_SIZE_MISMATCH", path=path, message=message)]


def _name_mismatch(reader: Record | Enum | Fixed, writer: Record | Enum | Fixed, path: str) -> list[Incompatibility]:
    if same_name(reader, writer):
        return []
    message = f"the reader's name {reader.name} is not the writer's {writer.name}, and no alias says so"
    return [Incompatibility(kind="NAME_MISMATCH", path=path, message=message)]


def _mismatch(reader: Type, writer: Type, path: str) -> Incompatibility:
    return Incompatibility(kind="TYPE_MISMATCH", path=path, message=f"{_shown(reader)} cannot read {_shown(writer)}")


def _shown(of: Type) -> str:
    if isinstance(of, Union):
        return "a union of " + ", ".join(branch_name(b) for b in of.branches)
    if isinstance(of, Ref):
        return of.name
    return branch_name(of)
