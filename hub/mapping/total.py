"""Conversions and arithmetic that give a column, and a reason for each row that they cannot do (R11).

Arrow's own kernels raise for a whole batch because of one row, with the cell in the message. Here nothing of that gets
out: the batch is tried at once, and only if that fails are its bad rows found by halving, which costs as much as there
are bad rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.mapping.values import Codes, Mask, as_mask, blank, fail, merge, valid

Result = tuple[pa.Array, Codes | None]
CHECKED: dict[str, Callable[..., pa.Array]] = {
    "+": pc.add_checked,
    "-": pc.subtract_checked,
    "*": pc.multiply_checked,
}
SUM = 75  # digits of a decimal256 whose sums still fit in 76
ZULU = ("UTC", "+00:00")


def total(kernel: Callable[..., pa.Array], columns: list[pa.Array], reason: str) -> Result:
    """A kernel that works row by row and lets NULL through: rows for which it raises ArrowInvalid are NULL and failed."""
    try:
        return kernel(*columns), None
    except pa.ArrowInvalid:
        bad = _bad_rows(kernel, columns)
    return kernel(*(blank(c, bad) for c in columns)), fail(bad, reason)


def _bad_rows(kernel: Callable[..., pa.Array], columns: list[pa.Array]) -> Mask:
    rows = len(columns[0])
    bad = np.zeros(rows, np.bool_)
    open_parts = [(0, rows)]
    while open_parts:
        start, length = open_parts.pop()
        try:
            kernel(*(c.slice(start, length) for c in columns))
        except pa.ArrowInvalid:
            if length == 1:
                bad[start] = True
            else:
                half = length // 2
                open_parts += [(start, half), (start + half, length - half)]
    return bad


def widen(column: pa.Array, kind: pa.DataType) -> Result:
    """To a type that `typing.common` or `typing.assignable` found wide enough; single values may still not fit: a whole
    number over 2^53 as a double would round, a double can be out of a float's range."""
    own = column.type
    if own == kind:
        return column, None
    if pa.types.is_null(own):
        return pa.nulls(len(column), kind), None
    if pa.types.is_floating(kind):
        if pa.types.is_integer(own):
            return total(lambda c: c.cast(kind), [column], "WOULD_ROUND")
        made = column.cast(kind)
        lost = as_mask(pc.is_inf(made)) & ~as_mask(pc.is_inf(column.cast(pa.float64())))
        return blank(made, lost), fail(lost, "OUT_OF_RANGE")
    if pa.types.is_integer(own) and pa.types.is_decimal(kind):
        # Straight to 128 bits, Arrow would want room for the largest number there is.
        return total(lambda c: c.cast(pa.decimal256(76, kind.scale)).cast(kind), [column], "OUT_OF_RANGE")
    return total(lambda c: c.cast(kind), [column], "OUT_OF_RANGE")


def to_whole(column: pa.Array, kind: pa.DataType) -> Result:
    """Fractions, decimals, booleans and wider whole numbers → whole numbers. Rounding is a failure."""
    own = column.type
    if not (pa.types.is_floating(own) or pa.types.is_decimal(own)):
        return total(lambda c: c.cast(kind), [column], "OUT_OF_RANGE")
    rounds = valid(column) & ~as_mask(pc.equal(pc.trunc(column), column), null=True)
    column, failed = blank(column, rounds), fail(rounds, "WOULD_ROUND")
    made, large = total(lambda c: c.cast(kind), [column], "OUT_OF_RANGE")
    return made, merge(failed, large)


def to_text(column: pa.Array) -> Result:
    """As ISO 8601 for times. An instant in UTC loses its zone first, for Arrow asks the system's zone database even for
    UTC (R36)."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz in ZULU:
        wall = column.cast(pa.int64()).cast(pa.timestamp(kind.unit)).cast(pa.string())
        return pc.binary_join_element_wise(wall, pa.scalar("Z", pa.string()), pa.scalar("", pa.string())), None
    return total(lambda c: c.cast(pa.string()), [column], "OUT_OF_RANGE")


def to_day(column: pa.Array) -> Result:
    """An instant → its date in UTC, a local time → its date."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pa.int64()).cast(pa.timestamp(kind.unit))
    return total(lambda c: c.cast(pa.date32()), [column], "OUT_OF_RANGE")


def arithmetic(op: str, left: pa.Array, right: pa.Array, kind: pa.DataType) -> Result:
    """`+ - * / %` of two columns as the result's type; both may be of other, narrower types."""
    if pa.types.is_decimal(kind):
        return _decimal(op, left, right, kind)
    (left, failed), (right, more) = widen(left, kind), widen(right, kind)
    failed = merge(failed, more)
    if op in CHECKED:
        made, large = total(CHECKED[op], [left, right], "OUT_OF_RANGE")
        failed = merge(failed, large)
    else:
        zero = as_mask(pc.equal(right, pa.scalar(0, kind)))
        failed = merge(failed, fail(zero & valid(left), "DIVISION_BY_ZERO"))
        divisor = blank(right, zero)
        made = pc.divide(left, divisor) if op == "/" else _remainder(left, divisor)
    return _finite(made, failed)


def _decimal(op: str, left: pa.Array, right: pa.Array, kind: pa.DataType) -> Result:
    """Exact, in 256 bits; what does not fit in the result's digits is out of range."""
    if op == "*":
        # The digits of both and one more must be at most 76: the right side gives up its 38th.
        wide = [pa.decimal256(38, _scale(left.type)), pa.decimal256(37, _scale(right.type))]
    else:
        wide = [pa.decimal256(SUM, kind.scale)] * 2

    def kernel(a: pa.Array, b: pa.Array) -> pa.Array:
        return CHECKED[op](a.cast(wide[0]), b.cast(wide[1])).cast(kind)

    return total(kernel, [left, right], "OUT_OF_RANGE")


def _scale(kind: pa.DataType) -> int:
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def _remainder(left: pa.Array, right: pa.Array) -> pa.Array:
    """The rest that has the sign of the left side, as in SQL."""
    if pa.types.is_integer(left.type):
        # The rest by −1 is that by 1, and the quotient by −1 is the only one that can overflow.
        right = pc.if_else(pc.equal(right, pa.scalar(-1, right.type)), pa.scalar(1, right.type), right)
        return pc.subtract(left, pc.multiply(pc.divide(left, right), right))
    gone = ~(valid(left) & valid(right))
    with np.errstate(invalid="ignore"):
        rest = np.fmod(left.to_numpy(zero_copy_only=False), right.to_numpy(zero_copy_only=False))
    return pa.array(rest, left.type, mask=gone, from_pandas=False)


def _finite(column: pa.Array, failed: Codes | None) -> Result:
    if not pa.types.is_floating(column.type):
        return column, failed
    infinite = valid(column) & ~as_mask(pc.is_finite(column), null=True)
    return blank(column, infinite), merge(failed, fail(infinite, "OUT_OF_RANGE"))


def negative(column: pa.Array, kind: pa.DataType) -> Result:
    """The number with the other sign."""
    column, failed = widen(column, kind)
    made, large = total(pc.negate_checked, [column], "OUT_OF_RANGE")
    return made, merge(failed, large)
