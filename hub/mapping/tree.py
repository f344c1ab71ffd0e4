"""The checked tree of an expression: frozen nodes, so that equal subexpressions are computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

T = TypeVar("T")


def _hashed_once(cls: type[T]) -> type[T]:
    """Trees are looked up for every batch; the hash of a whole tree is made the first time only."""
    make: Callable[[Any], int] = cls.__hash__

    def remembered(self: Any) -> int:
        known = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = make(self)
        return int(known)

    setattr(cls, "__hash__", remembered)  # noqa: B010 - a plain assignment is refused by mypy
    return cls


@_hashed_once
@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: Any
    type: pa.DataType


@_hashed_once
@dataclass(frozen=True)
class Column:
    """A source column, or in checks and filters a target field (`address.street`)."""

    name: str


@_hashed_once
@dataclass(frozen=True)
class Call:
    """A function of the table."""

    function: str
    args: tuple[Node, ...]


@_hashed_once
@dataclass(frozen=True)
class Binary:
    """Arithmetic `+ - * / %`, comparison `= <> < <= > >=`, or `AND`, `OR`."""

    op: str
    left: Node
    right: Node


@_hashed_once
@dataclass(frozen=True)
class Unary:
    """`NOT`, `-`, `IS NULL`."""

    op: str
    arg: Node


@_hashed_once
@dataclass(frozen=True)
class Case:
    """CASE WHEN … THEN … ELSE … END."""

    whens: tuple[tuple[Node, Node], ...]
    otherwise: Node


@_hashed_once
@dataclass(frozen=True)
class Coalesce:
    """The first that is not NULL."""

    args: tuple[Node, ...]


@_hashed_once
@dataclass(frozen=True)
class In:
    """One of some literals."""

    arg: Node
    values: tuple[Any, ...]


@_hashed_once
@dataclass(frozen=True)
class Like:
    """SQL LIKE with % and _."""

    arg: Node
    pattern: str


@_hashed_once
@dataclass(frozen=True)
class Cast:
    """CAST(… AS …)."""

    arg: Node
    to: pa.DataType


@_hashed_once
@dataclass(frozen=True)
class Try:
    """A failure becomes NULL."""

    arg: Node


@_hashed_once
@dataclass(frozen=True)
class Part:
    """A part of a record that a function gives: `parse_period(x).start`."""

    arg: Node
    name: str


Node = Literal | Column | Call | Binary | Unary | Case | Coalesce | In | Like | Cast | Try | Part


def columns_of(node: Node) -> set[str]:
    """Every column that an expression reads."""
    if isinstance(node, Column):
        return {node.name}
    found: set[str] = set()
    for child in children(node):
        found |= columns_of(child)
    return found


def children(node: Node) -> tuple[Node, ...]:
    """Operands in the order they are evaluated."""
    if isinstance(node, (Call, Coalesce)):
        return node.args
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, (Unary, In, Like, Cast, Try, Part)):
        return (node.arg,)
    if isinstance(node, Case):
        return (*[n for when in node.whens for n in when], node.otherwise)
    return ()
