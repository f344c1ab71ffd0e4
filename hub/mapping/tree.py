"""The checked tree of an expression: frozen nodes, so that equal subexpressions are computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: Any
    type: pa.DataType


@dataclass(frozen=True)
class Column:
    """A source column, or in checks and filters a target field (`address.street`)."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function of the table."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Binary:
    """Arithmetic `+ - * / %`, comparison `= <> < <= > >=`, or `AND`, `OR`."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Unary:
    """`NOT`, `-`, `IS NULL`."""

    op: str
    arg: Node


@dataclass(frozen=True)
class Case:
    """CASE WHEN … THEN … ELSE … END."""

    whens: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True)
class Coalesce:
    """The first that is not NULL."""

    args: tuple[Node, ...]


@dataclass(frozen=True)
class In:
    """One of some literals."""

    arg: Node
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Like:
    """SQL LIKE with % and _."""

    arg: Node
    pattern: str


@dataclass(frozen=True)
class Cast:
    """CAST(… AS …)."""

    arg: Node
    to: pa.DataType


@dataclass(frozen=True)
class Try:
    """A failure becomes NULL."""

    arg: Node


Node = Literal | Column | Call | Binary | Unary | Case | Coalesce | In | Like | Cast | Try


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
    if isinstance(node, (Unary, In, Like, Cast, Try)):
        return (node.arg,)
    if isinstance(node, Case):
        return (*[n for when in node.whens for n in when], node.otherwise)
    return ()
