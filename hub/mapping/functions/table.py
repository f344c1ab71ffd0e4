"""What a function of the mapping language is: types, failures, documentation and kernel, in one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hub.mapping.codelists import CodeLists
from hub.mapping.values import Codes

Kernel = Callable[[Sequence[pa.Array]], tuple[pa.Array, "Codes | None", dict[str, int]]]
"""Columns in, column out, with failures and warnings. NULL in gives NULL out; never raises for a row."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One argument."""

    name: str
    type: str  # text, number, exact, any, date: what `ACCEPTS` knows
    literal: bool = False  # must be a constant, checked when the expression is saved
    optional: bool = False
    repeat: bool = False  # the last one may come many times


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the table. `examples` run as tests and stand in the reference."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    result: Callable[[Sequence[Any]], pa.DataType]  # from the literal arguments
    bind: Callable[[Sequence[Any], CodeLists], Kernel]  # raises ValueError with the reason for a bad literal
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    examples: tuple[tuple[str, Any], ...] = field(default_factory=tuple)

    @property
    def signature(self) -> str:
        """As in the reference: `name(value, format, …)`."""
        parts = []
        for p in self.parameters:
            text = f"'{p.name}'" if p.literal else p.name
            text = f"[{text}]" if p.optional else text
            parts.append(f"{text}, …" if p.repeat else text)
        return f"{self.name}({', '.join(parts)})"


@dataclass(frozen=True)
class Fails:
    """In an example: the reason with which it fails."""

    reason: str


ACCEPTS: dict[str, Callable[[pa.DataType], bool]] = {
    "text": pa.types.is_string,
    "number": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t),
    "exact": lambda t: pa.types.is_integer(t) or pa.types.is_decimal(t),
    "any": lambda _t: True,
    "date": lambda t: pa.types.is_date(t) or pa.types.is_timestamp(t),
}


def simple(kernel: Callable[..., pa.Array]) -> Callable[[Sequence[Any], CodeLists], Kernel]:
    """A kernel that cannot fail and takes its literals as arguments after the columns."""

    def bind(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
        return lambda columns: (kernel(*columns, *literals), None, {})

    return bind


def always(kind: pa.DataType) -> Callable[[Sequence[Any]], pa.DataType]:
    """The same result type whatever the literals."""
    return lambda _literals: kind


def text(name: str = "value") -> Parameter:
    """A text argument."""
    return Parameter(name=name, type="text")


def constant(name: str, kind: str = "text", *, optional: bool = False, repeat: bool = False) -> Parameter:
    """An argument that must be a constant."""
    return Parameter(name=name, type=kind, literal=True, optional=optional, repeat=repeat)
