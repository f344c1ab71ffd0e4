"""Tree → column, over a whole batch at once. Failures are data; a kernel that would raise or wrap never sees a bad row
(R10, R11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.functions.numbers import to_number
from hub.mapping.total import arithmetic, negative, to_day, to_text, to_whole, widen
from hub.mapping.tree import Binary, Call, Case, Cast, Coalesce, Column, In, Like, Literal, Node, Part, Try, Unary
from hub.mapping.typing import COMPARE, Typed, common
from hub.mapping.values import Codes, Value, as_mask, blank, fail, merge, only_where, valid

COMPARISONS: dict[str, Callable[..., pa.Array]] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class Evaluation:
    """One batch. Equal subexpressions are computed once."""

    def __init__(self, typed: Typed, columns: dict[str, pa.Array], rows: int) -> None:
        self._typed, self._columns, self._rows = typed, columns, rows
        self._done: dict[Node, Value] = {}
        self.warnings: Counter[str] = Counter()

    def value(self, node: Node) -> Value:
        """The column of a node, NULL in rows that failed."""
        if isinstance(node, Column):
            return Value(self._columns[node.name])
        known = self._done.get(node)
        if known is None:
            known = self._done[node] = self._value(node)
        return known

    def _value(self, node: Node) -> Value:
        if isinstance(node, Literal):
            return Value(pa.repeat(pa.scalar(node.value, node.type), self._rows))
        return self._HANDLERS[type(node)](self, node)

    def _as(self, node: Node, kind: pa.DataType) -> Value:
        """A node's column in a wider type."""
        value = self.value(node)
        if value.column.type == kind:
            return value
        column, failed = widen(value.column, kind)
        return Value(column, merge(value.failed, failed))

    def _call(self, node: Call) -> Value:
        kernel = self._typed.kernels[node]
        args = [self.value(a) for a in self._typed.inputs[node]]
        column, failed, warnings = kernel([_text_null(a.column) for a in args])
        before: Codes | None = None
        for arg in args:
            before = merge(before, arg.failed)
        self.warnings.update(warnings)
        return Value(column, merge(before, failed))

    def _binary(self, node: Binary) -> Value:
        if node.op in ("AND", "OR"):
            return self._logic(node)
        kinds = [self._typed.check(node.left), self._typed.check(node.right)]
        kind = common(kinds, node.op)
        if pa.types.is_null(kind):
            return Value(pa.nulls(self._rows, self._typed.check(node)))
        if node.op not in COMPARE:
            return self._arithmetic(node)
        left = self._as(node.left, kind)
        if isinstance(node.right, Literal) and (constant := _constant(node.right, kind)) is not None:
            return Value(COMPARISONS[node.op](left.column, constant), left.failed)
        right = self._as(node.right, kind)
        return Value(COMPARISONS[node.op](left.column, right.column), merge(left.failed, right.failed))

    def _logic(self, node: Binary) -> Value:
        """Kleene; the right side's failure counts only where the left does not decide (R10)."""
        left, right = self._as(node.left, pa.bool_()), self._as(node.right, pa.bool_())
        decides = as_mask(left.column if node.op == "OR" else pc.invert(left.column))
        failed = merge(left.failed, only_where(right.failed, ~decides))
        combine = pc.and_kleene if node.op == "AND" else pc.or_kleene
        column = combine(left.column, right.column)
        return Value(column if failed is None else blank(column, failed != 0), failed)

    def _arithmetic(self, node: Binary) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        column, failed = arithmetic(node.op, left.column, right.column, self._typed.check(node))
        failed = merge(merge(left.failed, right.failed), failed)
        return Value(column if failed is None else blank(column, failed != 0), failed)

    def _unary(self, node: Unary) -> Value:
        arg = self.value(node.arg)
        if node.op == "IS NULL":
            column = arg.column.is_null()
            return Value(column if arg.bad is None else blank(column, arg.bad), arg.failed)
        if node.op == "NOT":
            return Value(pc.invert(arg.column.cast(pa.bool_())), arg.failed)
        column, failed = negative(arg.column, self._typed.check(node))
        return Value(column, merge(arg.failed, failed))

    def _case(self, node: Case) -> Value:
        """Branches from the last to the first; a failure counts only where its condition or branch is reached."""
        kind = self._typed.check(node)
        result = self._as(node.otherwise, kind)
        for condition, branch in reversed(node.whens):
            test = self._as(condition, pa.bool_())
            taken = as_mask(test.column)
            if isinstance(branch, Literal) and branch.value is None:
                column, chosen = blank(result.column, taken), only_where(result.failed, ~taken)
            else:
                value = self._as(branch, kind)
                column = pc.if_else(pa.array(taken), value.column, result.column)
                chosen = merge(only_where(value.failed, taken), only_where(result.failed, ~taken))
            failed = merge(test.failed, chosen)
            result = Value(column if failed is None else blank(column, failed != 0), failed)
        return result

    def _coalesce(self, node: Coalesce) -> Value:
        """A failure is not NULL: it counts, unless an earlier argument had a value."""
        kind = self._typed.check(node)
        first, *rest = [self._as(a, kind) for a in node.args]
        column, failed = first.column, first.failed
        for value in rest:
            open_rows = ~valid(column) if failed is None else ~valid(column) & (failed == 0)
            failed = merge(failed, only_where(value.failed, open_rows))
            column = pc.if_else(pa.array(open_rows), value.column, column)
        return Value(column, failed)

    def _in(self, node: In) -> Value:
        values = [pa.array([v]) for v in node.values if v is not None]
        kind = common([self._typed.check(node.arg), *[v.type for v in values]], "IN")
        arg = self._as(node.arg, kind)
        # A constant that the wider type cannot hold exactly equals nothing; it becomes NULL and finds nothing.
        known = pa.concat_arrays([widen(v, kind)[0] for v in values]).drop_null() if values else pa.array([], kind)
        found = pc.is_in(arg.column, known)
        unknown = ~valid(arg.column)
        if None in node.values:
            unknown |= ~as_mask(found)
        return Value(blank(found, unknown), arg.failed)

    def _like(self, node: Like) -> Value:
        arg = self._as(node.arg, pa.string())
        return Value(pc.match_like(arg.column, node.pattern), arg.failed)

    def _cast(self, node: Cast) -> Value:
        arg = self.value(node.arg)
        if arg.column.type == node.to:
            return arg
        column, failed = _cast(arg.column, node.to)
        return Value(column, merge(arg.failed, failed))

    def _try(self, node: Try) -> Value:
        return Value(self.value(node.arg).column)

    def _part(self, node: Part) -> Value:
        arg = self.value(node.arg)
        return Value(pc.struct_field(arg.column, [node.name]), arg.failed)

    _HANDLERS: ClassVar[dict[type, Callable[..., Value]]] = {
        Call: _call,
        Binary: _binary,
        Unary: _unary,
        Case: _case,
        Coalesce: _coalesce,
        In: _in,
        Like: _like,
        Cast: _cast,
        Try: _try,
        Part: _part,
    }


@lru_cache(maxsize=1024)
def _constant(node: Literal, kind: pa.DataType) -> pa.Scalar | None:
    """A literal in a wider type, as a value that stands for a whole column; None when it is not exact there."""
    column, failed = widen(pa.array([node.value], node.type), kind)
    return column[0] if failed is None else None


def _text_null(column: pa.Array) -> pa.Array:
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _cast(column: pa.Array, to: pa.DataType) -> tuple[pa.Array, Codes | None]:
    own = column.type
    if pa.types.is_null(own):
        return pa.nulls(len(column), to), None
    if pa.types.is_string(own) and pa.types.is_boolean(to):
        known = pc.is_in(column, pa.array(["true", "false"]))
        bad = valid(column) & ~as_mask(known)
        return blank(pc.equal(column, "true"), bad), fail(bad, "BAD_NUMBER")
    if pa.types.is_string(own):
        return to_number(column, to)
    if pa.types.is_string(to):
        return to_text(column)
    if pa.types.is_date(to):
        return to_day(column)
    if pa.types.is_integer(to):
        return to_whole(column, to)
    return widen(column, to)
