"""A parsed Avro schema: a tree of frozen values (Avro 1.12, "Schema Declaration"). Imports nothing of Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NO_DEFAULT: Any = type("NoDefault", (), {"__repr__": lambda _self: "NO_DEFAULT"})()


@dataclass(frozen=True, kw_only=True)
class Primitive:
    """A primitive type, perhaps with a logical one."""

    name: str
    logical: str | None = None  # only where valid for the type; unknown ones are ignored
    precision: int = 0  # decimal
    scale: int = 0  # decimal
    props: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """So many bytes under a name."""

    name: str  # full name
    size: int
    logical: str | None = None
    precision: int = 0
    scale: int = 0
    aliases: tuple[str, ...] = ()  # full names
    props: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Enum:
    """One of some symbols."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None  # what a reader takes for a symbol it does not know
    aliases: tuple[str, ...] = ()
    props: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Array:
    """Items of one type."""

    items: Type
    props: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Map:
    """Values of one type under string keys."""

    values: Type
    props: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Union:
    """One of several types."""

    branches: tuple[Type, ...]

    @property
    def nullable(self) -> Type | None:
        """The one other branch when this is null and one type, in any order; else None."""
        others = [b for b in self.branches if not is_null(b)]
        return others[0] if len(others) == 1 and len(self.branches) == 2 else None

    @property
    def null_index(self) -> int:
        """Place of null, or -1."""
        return next((i for i, b in enumerate(self.branches) if is_null(b)), -1)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a record. `props` has what Avro does not know: doc_zh, unit, classification …"""

    name: str
    type: Type
    default: Any = NO_DEFAULT
    doc: str = ""
    aliases: tuple[str, ...] = ()
    props: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_default(self) -> bool:
        """A default may be None, so its absence has a value of its own."""
        return self.default is not NO_DEFAULT


@dataclass(frozen=True, kw_only=True)
class Record:
    """Named fields in order."""

    name: str
    fields: tuple[Field, ...]
    doc: str = ""
    aliases: tuple[str, ...] = ()
    props: Mapping[str, Any] = field(default_factory=dict)

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((f for f in self.fields if f.name == name), None)

    @property
    def made(self) -> tuple[Field, ...]:
        """The fields that become columns."""
        return self.fields


@dataclass(frozen=True, kw_only=True)
class Partial(Record):
    """A record as it was written, of which a reader wants some fields only. In no schema; made when a pair is resolved."""

    wanted: frozenset[str]

    @property
    def made(self) -> tuple[Field, ...]:
        """The fields that become columns."""
        return tuple(f for f in self.fields if f.name in self.wanted)


@dataclass(frozen=True, kw_only=True)
class Ref:
    """A use of a named type inside its own definition: only recursive schemas have these."""

    name: str


Type = Primitive | Fixed | Enum | Array | Map | Union | Record | Ref


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A whole document: its top type and every named type in it or in its references."""

    type: Type
    names: Mapping[str, Type]
    canonical: str  # compact JSON, the registry's identity (registry-api §2)

    def resolve(self, of: Type) -> Type:
        """Follow a Ref."""
        return self.names[of.name] if isinstance(of, Ref) else of


def is_null(of: Type) -> bool:
    """The null type."""
    return isinstance(of, Primitive) and of.name == "null"
