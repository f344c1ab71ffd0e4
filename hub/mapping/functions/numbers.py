"""Numbers from text. Separators are declared, never guessed: `1.234` is a thousand in one country, one in another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub import buffers
from hub.mapping.codelists import CodeLists
from hub.mapping.functions.table import Function, Kernel, Parameter, always, constant, text
from hub.mapping.total import widen
from hub.mapping.values import Codes, Mask, as_mask, blank, fail, merge, valid

FORMATS = {
    "1234.5": ("", "."),
    "1,234.5": (",", "."),
    "1.234,5": (".", ","),
    "1234,5": ("", ","),
    "1 234,5": (" ", ","),
    "1'234.5": ("'", "."),
}
PLAIN = "1234.5"
ZERO, MINUS, POINT = np.uint8(ord("0")), ord("-"), ord(".")
SHORT = 300  # digits that no double is too small for


def _separators(literals: Sequence[Any]) -> tuple[str, str]:
    name = str(literals[0]) if literals else PLAIN
    if name not in FORMATS:
        raise ValueError(f"a number format is one of {', '.join(FORMATS)}")
    return FORMATS[name]


def _syntax(thousands: str, decimal: str, *, whole: bool) -> str:
    group = re.escape(thousands)
    digits = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+)" if thousands else "[0-9]+"
    fraction = "" if whole else rf"(?:{re.escape(decimal)}[0-9]+)?"
    return rf"^[+-]?{digits}{fraction}$"


def _plain(column: pa.Array, separators: tuple[str, str], *, whole: bool) -> tuple[pa.Array, Codes | None]:
    """Digits with a point, NULL where the text is no number in the declared format."""
    if whole and _digits(column, point=False):
        return column, None
    thousands, decimal = separators
    good = as_mask(pc.match_substring_regex(column, _syntax(thousands, decimal, whole=whole)))
    bad = valid(column) & ~good
    column = blank(column, bad)
    if thousands:
        column = pc.replace_substring(column, thousands, "")
    if decimal != ".":
        column = pc.replace_substring(column, decimal, ".")
    return pc.utf8_ltrim(column, "+"), fail(bad, "BAD_NUMBER")


def _digits(column: pa.Array, *, point: bool) -> bool:
    """Every value is digits, perhaps behind a minus, perhaps with points within: what nearly all numbers are, told from the
    bytes at once. Two points in one value are left for the conversion to refuse."""
    offsets, whole = buffers.text(column)
    data = whole[offsets[0] : offsets[-1]]
    places = offsets - offsets[0]
    starts, ends = places[:-1], places[1:]
    some = ends > starts
    if np.count_nonzero(some) < len(some):
        if np.count_nonzero(valid(column) & ~some):
            return False
        starts, ends = starts[some], ends[some]
    digits = np.count_nonzero((data - ZERO) < 10)
    if digits == len(data):
        return True
    minus = data[starts] == MINUS
    others = len(data) - digits - np.count_nonzero(minus)
    edges = [data[ends - 1]]
    if point:
        others -= np.count_nonzero(data == POINT)
        edges.append(data[np.minimum(starts + minus, ends - 1)])
    return others == 0 and all(np.count_nonzero((e - ZERO) < 10) == len(e) for e in edges)


def _cast(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Codes | None]:
    try:
        return column.cast(kind), None
    except pa.ArrowInvalid:
        large = valid(column) & ~_fits(column, kind.bit_width)
        return blank(column, large).cast(kind), fail(large, "OUT_OF_RANGE")


def _fits(column: pa.Array, bits: int) -> Mask:
    """Read off the digits, since a cell may hold thousands of them. Arrow's text → number allows leading zeros."""
    limit = str(2 ** (bits - 1))
    minus = as_mask(pc.starts_with(column, "-"))
    digits = pc.utf8_ltrim(column, "-0")
    size = np.asarray(pc.fill_null(pc.binary_length(digits), 0).to_numpy(zero_copy_only=False))
    under, same = as_mask(pc.less(digits, limit)), as_mask(pc.equal(digits, limit))
    fits: Mask = (size < len(limit)) | ((size == len(limit)) & (under | (same & minus)))
    return fits


def _whole(kind: pa.DataType) -> Any:
    def bind(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
        separators = _separators(literals)

        def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
            digits, bad = _plain(columns[0], separators, whole=True)
            numbers, large = _cast(digits, kind)
            return numbers, merge(bad, large), {}

        return kernel

    return bind


def _to_double(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    separators = _separators(literals)
    thousands, decimal = separators
    exponent = _syntax(thousands, decimal, whole=False)[:-1] + r"(?:[eE][+-]?[0-9]{1,4})?$"

    def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
        column = columns[0]
        if _digits(column, point=separators == FORMATS[PLAIN]) and (numbers := _short(column)) is not None:
            return numbers, None, {}
        bad = valid(column) & ~as_mask(pc.match_substring_regex(column, exponent))
        column = blank(column, bad)
        if thousands:
            column = pc.replace_substring(column, thousands, "")
        if decimal != ".":
            column = pc.replace_substring(column, decimal, ".")
        numbers = pc.utf8_ltrim(column, "+").cast(pa.float64())
        infinite = as_mask(pc.is_inf(numbers))
        return blank(numbers, infinite), merge(fail(bad, "BAD_NUMBER"), fail(infinite, "OUT_OF_RANGE")), {}

    return kernel


def _short(column: pa.Array) -> pa.Array | None:
    """Digits as doubles; None when a value is too long to be surely finite, or has two points."""
    offsets, _data = buffers.text(column)
    if len(column) and int(np.maximum.reduce(offsets[1:] - offsets[:-1])) > SHORT:
        return None
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def precision_of(literals: Sequence[Any]) -> tuple[int, int]:
    precision, scale = literals[0], literals[1]
    if not (isinstance(precision, int) and isinstance(scale, int) and 0 < precision <= 38 and 0 <= scale <= precision):
        raise ValueError("precision is 1 to 38, scale 0 to precision")
    return precision, scale


def to_decimal(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    precision, scale = precision_of(literals)
    separators = _separators(literals[2:])

    def kernel(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
        if _digits(columns[0], point=separators == FORMATS[PLAIN]):
            with suppress(pa.ArrowInvalid):
                return columns[0].cast(pa.decimal128(precision, scale)), None, {}
        column, bad = _plain(columns[0], separators, whole=False)
        column = pc.replace_substring_regex(column, r"(\.[0-9]*?)0+$", r"\1")
        column = pc.utf8_rtrim(column, ".")
        rounds = _rounds(column, scale)
        column = blank(column, rounds)
        whole = rf"^-?0*[0-9]{{0,{precision - scale}}}(\.[0-9]*)?$"
        large = valid(column) & ~as_mask(pc.match_substring_regex(column, whole))
        codes = merge(bad, merge(fail(rounds, "WOULD_ROUND"), fail(large, "OUT_OF_RANGE")))
        return blank(column, large).cast(pa.decimal128(precision, scale)), codes, {}

    return kernel


def _rounds(column: pa.Array, scale: int) -> Mask:
    """More digits after the point than the scale keeps."""
    return as_mask(pc.match_substring_regex(column, rf"\.[0-9]{{{scale + 1},}}$"))


def _abs(columns: Sequence[pa.Array]) -> tuple[pa.Array, Codes | None, dict[str, int]]:
    column, failed = widen(columns[0], pa.float64())
    return pc.abs(column), failed, {}


NUMBER_FORMAT = constant("format", optional=True)

FUNCTIONS = (
    Function(
        name="to_int",
        doc="A whole number of 32 bits from text; `format` names the separators by example, such as '1.234,5'.",
        parameters=(text(), NUMBER_FORMAT),
        result=always(pa.int32()),
        bind=_whole(pa.int32()),
        reasons=("BAD_NUMBER", "OUT_OF_RANGE"),
        examples=(("to_int('-17')", -17), ("to_int('2.644', '1.234,5')", 2644)),
    ),
    Function(
        name="to_long",
        doc="A whole number of 64 bits from text.",
        parameters=(text(), NUMBER_FORMAT),
        result=always(pa.int64()),
        bind=_whole(pa.int64()),
        reasons=("BAD_NUMBER", "OUT_OF_RANGE"),
        examples=(("to_long('9223372036854775807')", 9223372036854775807),),
    ),
    Function(
        name="to_double",
        doc="A floating-point number from text. NaN and infinity are no numbers here.",
        parameters=(text(), NUMBER_FORMAT),
        result=always(pa.float64()),
        bind=_to_double,
        reasons=("BAD_NUMBER", "OUT_OF_RANGE"),
        examples=(("to_double('1.234,5', '1.234,5')", 1234.5), ("to_double('1e3')", 1000.0)),
    ),
    Function(
        name="to_decimal",
        doc="An exact number of `precision` digits, `scale` of them after the point. Rounding is a failure.",
        parameters=(text(), constant("precision", "number"), constant("scale", "number"), NUMBER_FORMAT),
        result=lambda literals: pa.decimal128(*precision_of(literals)),
        bind=to_decimal,
        reasons=("BAD_NUMBER", "WOULD_ROUND", "OUT_OF_RANGE"),
        examples=(
            ("CAST(to_decimal('104617.73', 12, 2) AS TEXT)", "104617.73"),
            ("CAST(to_decimal('1.240,5', 10, 2, '1.234,5') AS TEXT)", "1240.50"),
        ),
    ),
    Function(
        name="abs",
        doc="Without its sign.",
        parameters=(Parameter(name="value", type="number"),),
        result=always(pa.float64()),
        bind=lambda _literals, _codes: _abs,
        examples=(("abs(-2.5)", 2.5),),
    ),
)


def to_number(column: pa.Array, to: pa.DataType) -> tuple[pa.Array, Codes | None]:
    """CAST of text: the plain format, or an ISO date."""
    from hub.mapping.functions.dates import bind_iso_date

    if pa.types.is_date(to):
        made, failed, _ = bind_iso_date([column])
    elif pa.types.is_floating(to):
        made, failed, _ = _to_double([], CodeLists())([column])
    else:
        made, failed, _ = _whole(to)([], CodeLists())([column])
    return made, failed
