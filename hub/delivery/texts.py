"""Columns as text, a column at a time: ISO 8601 times, decimals as digits, bytes as base64 (R27)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.avro.arrow import union_rows
from hub.lockstep import masked

Piece: TypeAlias = "pa.StringArray | str"  # what stands in every row: its own text (null: JSON's null), or the same one
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
NULL = "null"
ABSENT = pa.scalar(None, pa.string())
QUOTE, BACKSLASH, LETTER_T = ord('"'), ord("\\"), ord("T")
FIRST_PRINTABLE = 0x20
EXPONENT_FROM = 1e10  # Arrow writes floats from here on with an exponent
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
NOT_NUMBERS = ("nan", "inf", "-inf")
SPELLED = pa.array(["NaN", "Infinity", "-Infinity"])
ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
PADDING = ord("=")


def same(text: str) -> pa.StringScalar:
    """The text in every row. Arrow takes 50 µs to find out the type of a Python text."""
    return pa.scalar(text, pa.string())


EMPTY, MARK, POINT_ZERO, ZULU, COMMA = (same(text) for text in ("", '"', ".0", "Z", ","))


def plain(column: pa.Array) -> pa.StringArray:
    """Values of a simple type as text, nulls kept. Floats without a fraction keep `.0`."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_floating(kind):
        return _floats(column)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_timestamp(kind):
        return _times(column)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _base64(column.cast(pa.binary()))
    return column.cast(pa.string())


def raw(column: pa.StringArray | pa.BinaryArray) -> tuple[Ints, Bytes]:
    """Where values begin and end in the bytes that follow."""
    _valid, offsets, data = column.buffers()
    if not len(column):
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    span = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return span - span[0], np.frombuffer(data, np.uint8)[span[0] : span[-1]] if data else np.empty(0, np.uint8)


def _floats(column: pa.FloatingPointArray) -> pa.StringArray:
    """The shortest digits that read back the same; JSON has no NaN and no infinities, so these stand as names."""
    texts = column.cast(pa.string())
    values = np.asarray(column.fill_null(0.5).to_numpy(zero_copy_only=False), np.float64)
    whole = (np.trunc(values) == values) & (np.abs(values) < EXPONENT_FROM)
    if whole.any():
        spelled = pc.binary_join_element_wise(texts.filter(pa.array(whole)), POINT_ZERO, EMPTY)
        texts = pc.replace_with_mask(texts, pa.array(whole), spelled)
    if np.isfinite(values).all():
        return texts
    return pc.coalesce(SPELLED.take(pc.index_in(texts, pa.array(NOT_NUMBERS))), texts)


def _decimals(column: pa.Array) -> pa.StringArray:
    texts = column.cast(pa.string())
    if not (raw(texts)[1] == ord("E")).any():
        return texts
    return pa.array([None if v is None else f"{v:f}" for v in column.to_pylist()], pa.string())


def _times(column: pa.TimestampArray) -> pa.StringArray:
    """Arrow's own text has a blank for the T, and takes its time about zones."""
    unit, utc = column.type.unit, column.type.tz is not None
    texts = column.view(pa.timestamp(unit)).cast(pa.string())
    offsets, data = raw(texts)
    data = data.copy()
    lengths = np.diff(offsets)
    data[offsets[:-1][lengths > 0] + len("2026-11-25")] = LETTER_T
    made = _strings(offsets, data, column)
    return pc.binary_join_element_wise(made, ZULU, EMPTY) if utc else made


def _base64(column: pa.BinaryArray) -> pa.StringArray:
    """All values at once: each three bytes are four characters."""
    offsets, data = raw(column)
    lengths = np.diff(offsets)
    groups = -(-lengths // 3)
    starts = np.concatenate([[0], np.cumsum(groups)])
    padded = np.zeros(3 * int(starts[-1]), np.uint32)
    padded[np.repeat(3 * starts[:-1] - offsets[:-1], lengths) + np.arange(len(data))] = data
    bits = padded[::3] << 16 | padded[1::3] << 8 | padded[2::3]
    text = ALPHABET[(bits[:, None] >> np.array([18, 12, 6, 0], np.uint32)) & 63].reshape(-1)
    for missing in (1, 2):
        rows = 3 * groups - lengths >= missing
        text[4 * starts[1:][rows] - missing] = PADDING
    return _strings(4 * starts, text, column)


def _strings(offsets: Ints, data: Bytes, like: pa.Array) -> pa.StringArray:
    """Texts with the nulls of another column."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    made = pa.Array.from_buffers(pa.string(), len(like), buffers)
    return masked(made, like.is_valid().to_numpy(zero_copy_only=False)) if like.null_count else made


def json_pieces(column: pa.Array) -> list[Piece]:
    """What each value is in JSON, as pieces to be joined."""
    kind = column.type
    if pa.types.is_null(kind):
        return [NULL]
    if pa.types.is_union(kind):
        return [_union(column)]
    if pa.types.is_struct(kind):
        pieces = _struct(column)
    elif pa.types.is_list(kind):
        pieces = [_list(column)]
    elif pa.types.is_map(kind):
        pieces = [_map(column)]
    else:
        return _simple(column)
    return [_null_where(column, join(pieces, len(column)))] if column.null_count else pieces


def as_json(column: pa.Array) -> pa.StringArray:
    """Each value as JSON text; nulls as `null`, so the result has none."""
    return join(json_pieces(column), len(column))


def join(pieces: Sequence[Piece], rows: int, null: str = NULL) -> pa.StringArray:
    """The text of each row; for a null stands `null`."""
    merged = list(_merged(pieces))
    if all(isinstance(piece, str) for piece in merged):
        return pa.array(["".join(map(str, merged))] * rows, pa.string())
    scalars = [same(piece) if isinstance(piece, str) else piece for piece in merged]
    return pc.binary_join_element_wise(*scalars, EMPTY, null_handling="replace", null_replacement=null)


def _merged(pieces: Sequence[Piece]) -> Iterator[Piece]:
    constant = ""
    for piece in pieces:
        if isinstance(piece, str):
            constant += piece
            continue
        if constant:
            yield constant
        yield piece
        constant = ""
    if constant:
        yield constant


def _null_where(column: pa.Array, texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(column.is_valid(), texts, ABSENT)


def _simple(column: pa.Array) -> list[Piece]:
    kind, texts = column.type, plain(column)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return [texts]
    if pa.types.is_floating(kind):
        named = pc.fill_null(pc.is_in(texts, SPELLED), False)
        return [pc.if_else(named, _quoted(texts), texts) if pc.any(named).as_py() else texts]
    if pa.types.is_string(kind):
        texts = _escaped(texts)
    return [_quoted(texts)] if texts.null_count else ['"', texts, '"']


def _quoted(texts: pa.StringArray) -> pa.StringArray:
    return pc.binary_join_element_wise(MARK, texts, MARK, EMPTY)


def _escaped(texts: pa.StringArray) -> pa.StringArray:
    """As inside of JSON's quotation marks. Few texts need anything: only those are touched."""
    offsets, data = raw(texts)
    special = (data < FIRST_PRINTABLE) | (data == QUOTE) | (data == BACKSLASH)
    if not special.any():
        return texts
    places = np.flatnonzero(special)
    chosen = np.zeros(len(texts), np.bool_)
    chosen[np.searchsorted(offsets, places, side="right") - 1] = True
    some = texts.filter(pa.array(chosen))
    some = pc.replace_substring(pc.replace_substring(some, "\\", "\\\\"), '"', '\\"')
    for code in np.unique(data[data < FIRST_PRINTABLE]).tolist():
        some = pc.replace_substring(some, chr(code), SHORT.get(chr(code), f"\\u{code:04x}"))
    return pc.replace_with_mask(texts, pa.array(chosen), some)


def _struct(column: pa.StructArray) -> list[Piece]:
    pieces: list[Piece] = []
    for place, field in enumerate(column.type):
        pieces += [("," if place else "{") + json.dumps(field.name) + ":", *json_pieces(column.field(place))]
    return [*pieces, "}"] if pieces else ["{}"]


def _list(column: pa.ListArray) -> pa.StringArray:
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return _joined(lengths, as_json(column.flatten()), "[", "]")


def _map(column: pa.MapArray) -> pa.StringArray:
    entries = column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", column.type.item_type)])))
    lengths = pc.fill_null(pc.list_value_length(entries), 0)
    flat = entries.flatten()
    pairs = join([*json_pieces(flat.field(0)), ":", *json_pieces(flat.field(1))], len(flat))
    return _joined(lengths, pairs, "{", "}")


def _joined(lengths: pa.Array, items: pa.StringArray, opening: str, closing: str) -> pa.StringArray:
    offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), items)
    return pc.binary_join_element_wise(same(opening), pc.binary_join(lists, COMMA), same(closing), EMPTY)


def _union(column: pa.UnionArray) -> pa.StringArray:
    """The bare value of whichever branch it is."""
    codes, offsets = union_rows(column)
    rows = [np.flatnonzero(codes == code) for code in range(column.type.num_fields)]
    texts = [as_json(column.field(i).take(pa.array(offsets[mine]))) for i, mine in enumerate(rows)]
    return pa.concat_arrays(texts).take(pa.array(np.argsort(np.concatenate(rows), kind="stable")))
