"""A connector's mapping, checked as a whole and compiled once; and the filters of grants, in the same language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal as OneOf

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.errors import ConfigurationInvalid, ExpressionInvalid
from hub.mapping.codelists import CodeLists
from hub.mapping.evaluate import Evaluation
from hub.mapping.language import parse_expression, suggest
from hub.mapping.total import widen
from hub.mapping.tree import Node, Part, columns_of
from hub.mapping.typing import Typed, assignable, hint
from hub.mapping.values import REASONS, Codes, Mask, as_mask, fail, merge, valid

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MappingSpec:
    """Expressions by target path (`address.street` for a nested field), and what rows must be."""

    fields: Mapping[str, str]
    where: str | None = None  # over source columns: NULL or FALSE = filtered
    checks: Mapping[str, str] = field(default_factory=dict)  # over target fields: only FALSE rejects
    optional: tuple[str, ...] = ()  # source columns that may be missing (R13)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake in a mapping. `path` is `fields.pupils`, `where` or `checks.plausible`."""

    path: str
    message: str
    position: int = 0  # character in the expression
    suggestion: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" ({self.suggestion})" if self.suggestion else "")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a row of the batch is not among the records: its first failure, in the order of the target's fields."""

    row: int
    stage: OneOf["map", "where", "check"]
    reason: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A batch after the mapping."""

    made: pa.RecordBatch  # rows that `where` let through, in the target's shape; anything in those that failed
    passed: Mask | None  # which of them did not fail; None: all
    places: Rows  # index in the batch of each of them
    failures: Sequence[Failure]
    filtered: Rows
    kept: pa.RecordBatch | None  # target fields asked for, of the failed rows; NULL where they failed
    warnings: Mapping[str, int]

    @cached_property
    def records(self) -> pa.RecordBatch:
        """Rows that passed."""
        return self.made if self.passed is None else self.made.filter(pa.array(self.passed))

    @property
    def rows(self) -> Rows:
        """Index in the batch of each record."""
        return self.places if self.passed is None else self.places[self.passed]


def columns_used(spec: MappingSpec) -> set[str]:
    """Source columns that a mapping reads, found without knowing the source. Raises ExpressionInvalid."""
    used: set[str] = set()
    for text in [*spec.fields.values(), *([spec.where] if spec.where else [])]:
        used |= columns_of(parse_expression(text, _Any()))
    return used


class _Any(tuple[str, ...]):
    """Every name is a column."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __new__(cls, *_names: object) -> _Any:
        return super().__new__(cls, ())


def problems(
    spec: MappingSpec,
    source: pa.Schema,
    target: pa.Schema,
    codes: CodeLists,
    symbols: Mapping[str, Sequence[str]] | None = None,
) -> list[Problem]:
    """Every mistake at once."""
    return list(_Compiler(spec, source, target, codes, symbols or {}).problems())


def compile_program(
    spec: MappingSpec,
    source: pa.Schema,
    target: pa.Schema,
    codes: CodeLists,
    symbols: Mapping[str, Sequence[str]] | None = None,
) -> Program:
    """Raises ConfigurationInvalid with every mistake."""
    compiler = _Compiler(spec, source, target, codes, symbols or {})
    found = tuple(str(p) for p in compiler.problems())
    if found:
        raise ConfigurationInvalid("the mapping does not fit its source and schema", mistakes=found)
    return Program(compiler)


class _Compiler:
    """Parses and checks all expressions of a mapping."""

    def __init__(
        self,
        spec: MappingSpec,
        source: pa.Schema,
        target: pa.Schema,
        codes: CodeLists,
        symbols: Mapping[str, Sequence[str]],
    ) -> None:
        self.spec, self.target, self.symbols = spec, target, symbols
        missing = {name: pa.string() for name in spec.optional if name not in source.names}
        self.source = {f.name: f.type for f in source} | missing
        self.leaves = dict(leaves(target))
        self.records = dict(records(target))
        self.typed = Typed(self.source, codes)
        self.checked = Typed({path: f.type for path, f in self.leaves.items()}, codes)
        self.fields: dict[str, Node] = {}
        self.where: Node | None = None
        self.checks: dict[str, Node] = {}

    def problems(self) -> Iterator[Problem]:
        for path, text in self.spec.fields.items():
            yield from self._field(path, text)
        yield from self._unmapped()
        if self.spec.where is not None:
            yield from self._condition("where", self.spec.where, self.typed)
        for name, text in self.spec.checks.items():
            yield from self._condition(f"checks.{name}", text, self.checked)

    def _field(self, path: str, text: str) -> Iterator[Problem]:
        where = f"fields.{path}"
        target = self.leaves.get(path)
        if target is None and path not in self.records:
            message = f"the schema has no field `{path}`"
            yield Problem(path=where, message=message, suggestion=suggest(path, [*self.leaves, *self.records]))
            return
        try:
            node = parse_expression(text, self.source)
            kind = self.typed.check(node)
        except ExpressionInvalid as error:
            yield Problem(path=where, message=error.message, position=error.position, suggestion=error.remedy)
            return
        if target is None:
            yield from self._record(path, node, kind)
            return
        if not assignable(kind, target.type):
            message = f"the expression gives {kind}, the field is {target.type}"
            yield Problem(path=where, message=message, suggestion=f"use {hint(target.type)}")
        self.fields[path] = node

    def _record(self, path: str, node: Node, kind: pa.DataType) -> Iterator[Problem]:
        """A record that one expression gives whole: each part becomes a field of its own."""
        inside = ", ".join(f.name for f in self.records[path])
        if not pa.types.is_struct(kind):
            message = f"the expression gives {kind}, the field is a record of {inside}"
            yield Problem(path=f"fields.{path}", message=message, suggestion=f"map its fields, such as `{path}.…`")
            return
        for part in kind:
            leaf = f"{path}.{part.name}"
            target = self.leaves.get(leaf)
            if target is None or not assignable(part.type, target.type):
                message = f"the expression gives a record with `{part.name}` of {part.type}, the field has {inside}"
                suggestion = "write `(…).part` to map one part alone"
                yield Problem(path=f"fields.{path}", message=message, suggestion=suggestion)
            elif leaf in self.spec.fields:
                yield Problem(path=f"fields.{leaf}", message=f"`{path}` gives this field already")
            else:
                self.fields[leaf] = Part(node, part.name)

    def _unmapped(self) -> Iterator[Problem]:
        given = {*self.spec.fields, *self.fields}
        for path, target in self.leaves.items():
            if path not in given and not target.nullable:
                yield Problem(path=f"fields.{path}", message="the schema requires this field and nothing maps to it")

    def _condition(self, path: str, text: str, typed: Typed) -> Iterator[Problem]:
        try:
            node = parse_expression(text, typed.columns)
            kind = typed.check(node)
        except ExpressionInvalid as error:
            yield Problem(path=path, message=error.message, position=error.position, suggestion=error.remedy)
            return
        if not pa.types.is_boolean(kind):
            yield Problem(path=path, message=f"a condition is expected, this gives {kind}")
        if path == "where":
            self.where = node
        else:
            self.checks[path.removeprefix("checks.")] = node


def leaves(schema: pa.Schema | pa.DataType, prefix: str = "") -> Iterator[tuple[str, pa.Field]]:
    """Fields that expressions give, nested ones by dotted path. A nullable record is given by its fields as well."""
    for one in schema:
        if pa.types.is_struct(one.type):
            for path, leaf in leaves(one.type, f"{prefix}{one.name}."):
                yield path, leaf.with_nullable(leaf.nullable or one.nullable)
        else:
            yield prefix + one.name, one


def records(schema: pa.Schema | pa.DataType, prefix: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """Records inside a target by dotted path; one expression may give a record whole."""
    for one in schema:
        if pa.types.is_struct(one.type):
            yield prefix + one.name, one.type
            yield from records(one.type, f"{prefix}{one.name}.")


class Program:
    """A compiled mapping. Safe from many threads."""

    def __init__(self, compiler: _Compiler) -> None:
        self._c = compiler
        trees = [*compiler.fields.values(), *([compiler.where] if compiler.where else [])]
        self.columns = frozenset(c for tree in trees for c in columns_of(tree))

    def apply(self, batch: pa.RecordBatch, keep: tuple[str, ...] = ()) -> Mapped:
        """Map a batch. Never raises for a row."""
        c = self._c
        rows = np.arange(batch.num_rows, dtype=np.int64)
        failed_where: Codes | None = None
        filtered = np.empty(0, np.int64)
        warnings: Counter[str] = Counter()
        columns = {n: self._column(batch, n) for n in self.columns}
        if c.where is not None:
            value = Evaluation(c.typed, columns, len(rows)).value(c.where)
            failed_where = value.failed
            passes = as_mask(value.column)
            out = ~passes if failed_where is None else ~passes & (failed_where == 0)
            filtered = rows[out]
            rows = rows[~out]
            if len(filtered):
                chosen = pa.array(rows)
                columns = {n: col.take(chosen) for n, col in columns.items()}
                failed_where = failed_where[rows] if failed_where is not None else None
        outcome = _Outcome(len(rows))
        outcome.add(failed_where, "where", "where")
        evaluation = Evaluation(c.typed, columns, len(rows))
        made = self._fields(evaluation, outcome, len(rows))
        warnings.update(evaluation.warnings)
        if c.checks:
            self._checks(made, outcome, len(rows))
        return self._sorted(made, rows, outcome, keep, filtered, warnings)

    def _column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        place = batch.schema.get_field_index(name)
        return batch.column(place) if place >= 0 else pa.nulls(batch.num_rows, pa.string())

    def _fields(self, evaluation: Evaluation, outcome: _Outcome, rows: int) -> dict[str, pa.Array]:
        c = self._c
        made = {}
        for path, target in c.leaves.items():
            node = c.fields.get(path)
            if node is None:
                made[path] = pa.nulls(rows, target.type)
                continue
            value = evaluation.value(node)
            column, narrow = widen(value.column, target.type)
            failed = merge(merge(value.failed, narrow), self._symbols(path, column))
            if not target.nullable and column.null_count:
                failed = merge(failed, fail(~valid(column), "NULL_REQUIRED"))
            outcome.add(failed, "map", path)
            made[path] = column
        return made

    def _symbols(self, path: str, column: pa.Array) -> Codes | None:
        allowed = self._c.symbols.get(path)
        if allowed is None:
            return None
        known = as_mask(pc.is_in(column, pa.array(list(allowed), pa.string())))
        return fail(valid(column) & ~known, "UNKNOWN_SYMBOL")

    def _checks(self, made: dict[str, pa.Array], outcome: _Outcome, rows: int) -> None:
        evaluation = Evaluation(self._c.checked, made, rows)
        for name, node in self._c.checks.items():
            value = evaluation.value(node)
            false = valid(value.column) & ~as_mask(value.column, null=True)
            outcome.add(merge(value.failed, fail(false, "CHECK_FAILED")), "check", name)

    def _sorted(
        self,
        made: dict[str, pa.Array],
        rows: Rows,
        outcome: _Outcome,
        keep: tuple[str, ...],
        filtered: Rows,
        warnings: Mapping[str, int],
    ) -> Mapped:
        bad = outcome.bad
        kept, failures = None, []
        if bad is not None:
            lost = np.flatnonzero(bad)
            chosen = pa.array(lost)
            kept = pa.RecordBatch.from_arrays([made[k].take(chosen) for k in keep], list(keep)) if keep else None
            failures = [outcome.failure(int(i), int(rows[i])) for i in lost]
        return Mapped(
            made=pa.RecordBatch.from_arrays(_assemble(self._c.target, made, ""), schema=self._c.target),
            passed=None if bad is None else ~bad,
            places=rows,
            failures=failures,
            filtered=filtered,
            kept=kept,
            warnings=dict(warnings),
        )


class _Outcome:
    """The first failure of each row."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._codes: Codes | None = None
        self._where = np.zeros(rows, np.int32)
        self._places: list[tuple[OneOf["map", "where", "check"], str]] = []

    @property
    def bad(self) -> Mask | None:
        return None if self._codes is None else self._codes != 0

    def add(self, failed: Codes | None, stage: OneOf["map", "where", "check"], path: str) -> None:
        if failed is None:
            return
        if self._codes is None:
            self._codes = np.zeros(self._rows, np.int16)
        self._places.append((stage, path))
        first = (self._codes == 0) & (failed != 0)
        self._where[first] = len(self._places) - 1
        self._codes[first] = failed[first]

    def failure(self, place: int, row: int) -> Failure:
        assert self._codes is not None
        stage, path = self._places[int(self._where[place])]
        return Failure(row=row, stage=stage, reason=REASONS[int(self._codes[place])], path=path)


def _assemble(schema: pa.Schema | pa.DataType, made: Mapping[str, pa.Array], prefix: str) -> list[pa.Array]:
    """Flat columns by path → columns in the target's shape. A nullable record is NULL where all its fields are."""
    columns = []
    for one in schema:
        path = prefix + one.name
        if not pa.types.is_struct(one.type):
            columns.append(made[path])
            continue
        inner = _assemble(one.type, made, f"{path}.")
        mask = None
        if one.nullable:
            empty = np.logical_and.reduce([~valid(c) for c in inner])
            mask = pa.array(empty) if empty.any() else None
        columns.append(pa.StructArray.from_arrays(inner, fields=list(one.type), mask=mask))
    return columns


class Filter:
    """A grant's row filter: NULL or failure means not delivered (R10)."""

    def __init__(self, node: Node, typed: Typed) -> None:
        self._node, self._typed = node, typed
        self.columns = frozenset(columns_of(node))

    def apply(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Which rows pass; never NULL."""
        columns = {name: nested(batch, name) for name in self.columns}
        value = Evaluation(self._typed, columns, batch.num_rows).value(self._node)
        passes = as_mask(value.column)
        return pa.array(passes if value.bad is None else passes & ~value.bad)


def nested(batch: pa.RecordBatch, path: str) -> pa.Array:
    """A column by dotted path."""
    first, *rest = path.split(".")
    column = batch.column(first)
    return pc.struct_field(column, rest) if rest else column


def compile_filter(expression: str, schema: pa.Schema) -> Filter:
    """A condition over topic fields. Raises ExpressionInvalid."""
    typed = Typed({path: f.type for path, f in leaves(schema)}, CodeLists())
    node = parse_expression(expression, typed.columns)
    if not pa.types.is_boolean(typed.check(node)):
        raise ExpressionInvalid("a row filter is a condition")
    return Filter(node, typed)
