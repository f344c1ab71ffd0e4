"""Text: case, blanks, parts, patterns (RE2, so that no pattern can stall the hub)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub import buffers, ragged
from hub.mapping.codelists import CodeLists
from hub.mapping.functions.table import Function, Kernel, Parameter, always, constant, simple, text
from hub.mapping.patterns import fixed_width, matches
from hub.mapping.refusals import refusal
from hub.mapping.values import as_mask, blank, valid
from hub.mapping.writing import WIDE

TEXT, INT, BOOL = pa.string(), pa.int32(), pa.bool_()
EMPTY, ZERO = pa.scalar("", TEXT), pa.scalar(0, INT)  # typed, for Arrow looks for dateutil to learn a type
MAX_PLACE = 2**31 - 1
FIRST_MARK, LAST_MARK = np.uint8(0x21), np.uint8(0x7E)  # ASCII that is seen


def _substr(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    start, *rest = literals
    length = rest[0] if rest else None
    if not (isinstance(start, int) and 1 <= start <= MAX_PLACE):
        raise ValueError("the first character is 1")
    if length is not None and not (isinstance(length, int) and 0 <= length <= MAX_PLACE):
        raise ValueError("a length is a whole number from 0 on")
    end = None if length is None else start - 1 + length
    return lambda columns: (_slice(columns[0], start - 1, end), None, {})


def _slice(column: pa.Array, start: int, end: int | None) -> pa.Array:
    """Characters from `start` to `end`. Where all are ASCII, they are bytes."""
    if not buffers.is_ascii(column):
        return pc.utf8_slice_codeunits(column, start, end)
    whole = ragged.slices(column)
    skip = np.minimum(whole.sizes, start)
    sizes = (whole.sizes if end is None else np.minimum(whole.sizes, end)) - skip
    made = ragged.gather(ragged.Slices(whole.data, whole.starts + skip, sizes)).column().view(TEXT)
    return blank(made, ~valid(column)) if column.null_count else made


def _replace(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    old, new = (str(x) for x in literals)
    if not old:
        raise ValueError("the text to replace is empty")  # Arrow would look for it for ever
    return lambda columns: (pc.replace_substring(columns[0], old, new), None, {})


def _split_at(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    separator = str(literals[0])
    if not separator:
        raise ValueError("the separator is empty")
    return lambda columns: (_split(columns[0], separator), None, {})


def _split(column: pa.Array, separator: str) -> pa.Array:
    """Parts between separators; the empty text has none."""
    parts = pc.split_pattern(column, separator)
    empty = as_mask(pc.equal(column, EMPTY))
    if not empty.any():
        return parts
    lengths = np.asarray(pc.fill_null(parts.value_lengths(), ZERO).to_numpy(zero_copy_only=False))
    offsets = np.zeros(len(column) + 1, np.int32)
    np.cumsum(np.where(empty, 0, lengths), out=offsets[1:])
    values = parts.flatten().filter(pa.array(np.repeat(~empty, lengths)))
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=column.is_null() if column.null_count else None)


def _normalise(column: pa.Array) -> pa.Array:
    """Over distinct values: the work is Python's, the repetition Arrow's."""
    coded = column.dictionary_encode()
    fixed = [" ".join(unicodedata.normalize("NFC", v.translate(WIDE)).split()) for v in coded.dictionary.to_pylist()]
    return pa.array(fixed, TEXT).take(coded.indices)


def _pattern(literals: Sequence[Any]) -> str:
    pattern = str(literals[0])
    why = refusal(pattern)
    if why:
        raise ValueError(why)
    return pattern


def _matches(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    pattern = _pattern(literals)
    places = fixed_width(pattern)
    if places is not None:
        return lambda columns: (matches(columns[0], places), None, {})
    return lambda columns: (pc.match_substring_regex(columns[0], pattern), None, {})


def _replace_pattern(literals: Sequence[Any], _codes: CodeLists) -> Kernel:
    pattern = _pattern(literals)
    try:
        pc.replace_substring_regex(pa.array([""]), pattern, str(literals[1]))
    except pa.ArrowInvalid as error:
        raise ValueError("the replacement refers to a group that the pattern does not have") from error
    return lambda columns: (pc.replace_substring_regex(columns[0], pattern, str(literals[1])), None, {})


def _concat(*columns: pa.Array) -> pa.Array:
    rows = len(columns[0])
    made = ragged.join([ragged.slices(c) for c in columns], rows).column().view(TEXT)
    if not any(c.null_count for c in columns):
        return made
    return blank(made, ~np.logical_and.reduce([valid(c) for c in columns]))


def _trim(column: pa.Array) -> pa.Array:
    return column if _is_trimmed(column) else pc.utf8_trim_whitespace(column)


def _is_trimmed(column: pa.Array) -> bool:
    """No value begins or ends with a blank or with a character outside ASCII, which may be one."""
    offsets, data = buffers.text(column)
    starts, ends = offsets[:-1], offsets[1:]
    some = ends > starts
    if np.count_nonzero(some) < len(some):
        starts, ends = starts[some], ends[some]
    return not any(
        np.count_nonzero((edge - FIRST_MARK) > LAST_MARK - FIRST_MARK) for edge in (data[starts], data[ends - 1])
    )


def _upper(column: pa.Array) -> pa.Array:
    return pc.ascii_upper(column) if buffers.is_ascii(column) else pc.utf8_upper(column)


def _lower(column: pa.Array) -> pa.Array:
    return pc.ascii_lower(column) if buffers.is_ascii(column) else pc.utf8_lower(column)


FUNCTIONS = (
    Function(
        name="trim",
        doc="Without blanks at both ends (Unicode white space).",
        parameters=(text(),),
        result=always(TEXT),
        bind=simple(_trim),
        examples=(("trim('  a b ')", "a b"),),
    ),
    Function(
        name="upper",
        doc="Upper case, by Unicode.",
        parameters=(text(),),
        result=always(TEXT),
        bind=simple(_upper),
        examples=(("upper('è b')", "È B"),),
    ),
    Function(
        name="lower",
        doc="Lower case, by Unicode.",
        parameters=(text(),),
        result=always(TEXT),
        bind=simple(_lower),
        examples=(("lower('È B')", "è b"),),
    ),
    Function(
        name="title_case",
        doc="Each run of letters begins with a capital, the rest is small.",
        parameters=(text(),),
        result=always(TEXT),
        bind=simple(pc.utf8_title),
        examples=(("title_case('REGGIO NELL''EMILIA')", "Reggio Nell'Emilia"),),
    ),
    Function(
        name="replace",
        doc="Every occurrence of a text replaced by another.",
        parameters=(text(), constant("old"), constant("new")),
        result=always(TEXT),
        bind=_replace,
        examples=(("replace('a-b-c', '-', '/')", "a/b/c"),),
    ),
    Function(
        name="replace_pattern",
        doc="Every match of an RE2 pattern replaced; `\\1` is the first group.",
        parameters=(text(), constant("pattern"), constant("new")),
        result=always(TEXT),
        bind=_replace_pattern,
        examples=(("replace_pattern('a1b22', '[0-9]+', '#')", "a#b#"),),
    ),
    Function(
        name="substr",
        doc="Characters from a place on (1 is the first), at most so many.",
        parameters=(text(), constant("start", "number"), constant("length", "number", optional=True)),
        result=always(TEXT),
        bind=_substr,
        examples=(("substr('Torino', 2, 3)", "ori"), ("substr('Torino', 4)", "ino")),
    ),
    Function(
        name="length",
        doc="Number of characters (code points).",
        parameters=(text(),),
        result=always(INT),
        bind=simple(pc.utf8_length),
        examples=(("length('Forlì')", 5),),
    ),
    Function(
        name="concat",
        doc="Texts one after the other; NULL when one is NULL. Also written `a || b`.",
        parameters=(Parameter(name="value", type="text", repeat=True),),
        result=always(TEXT),
        bind=simple(_concat),
        examples=(("concat('IT', '-', '03')", "IT-03"), ("'a' || 'b'", "ab")),
    ),
    Function(
        name="split",
        doc="A list of the parts between separators; the empty text gives an empty list.",
        parameters=(text(), constant("separator")),
        result=always(pa.list_(TEXT)),
        bind=_split_at,
        examples=(("split('a|b', '|')", ["a", "b"]), ("split('', '|')", [])),
    ),
    Function(
        name="matches",
        doc="Whether an RE2 pattern is found anywhere; anchor it with ^ and $.",
        parameters=(text(), constant("pattern")),
        result=always(BOOL),
        bind=_matches,
        examples=(("matches('AB12', '^[A-Z]{2}[0-9]+$')", True), ("matches('x', '^y')", False)),
    ),
    Function(
        name="starts_with",
        doc="Whether a text begins with another.",
        parameters=(text(), constant("prefix")),
        result=always(BOOL),
        bind=simple(lambda c, prefix: pc.starts_with(c, prefix)),
        examples=(("starts_with('Torino', 'To')", True),),
    ),
    Function(
        name="normalise_text",
        doc="NFC, full-width letters and digits made half-width, white space folded to single blanks.",
        parameters=(text(),),
        result=always(TEXT),
        bind=simple(_normalise),
        examples=(("normalise_text('Ａ１　 b ')", "A1 b"),),
    ),
)
