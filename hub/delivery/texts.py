"""Columns as text, a column at a time: ISO 8601 times, decimals as digits, bytes as base64 (R27)."""

from __future__ import annotations

import base64
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULL = "null"
NEEDS_ESCAPE = r'["\\\x00-\x1f\x7f]'
NOT_NUMBERS = ("nan", "inf", "-inf")
SPELLED = pa.array(["NaN", "Infinity", "-Infinity"])


def plain(column: pa.Array) -> pa.StringArray:
    """Values of a simple type as text, nulls kept. Floats without a fraction keep `.0`."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return _floats(column)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        texts = [None if v is None else base64.b64encode(v).decode() for v in column.to_pylist()]
        return pa.array(texts, pa.string())
    return column.cast(pa.string())


def _floats(column: pa.Array) -> pa.StringArray:
    """The shortest digits that read back the same; JSON has no NaN and no infinities, so these stand as names."""
    texts = column.cast(pa.string())
    whole = pc.match_substring_regex(texts, r"^-?[0-9]+$")
    texts = pc.if_else(whole, pc.binary_join_element_wise(texts, ".0", ""), texts)
    odd = pc.index_in(texts, pa.array(NOT_NUMBERS))
    return pc.coalesce(SPELLED.take(odd), texts) if odd.null_count < len(odd) else texts


def _decimals(column: pa.Array) -> pa.StringArray:
    texts = column.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    return pa.array([None if v is None else f"{v:f}" for v in column.to_pylist()], pa.string())


def as_json(column: pa.Array) -> pa.StringArray:
    """Each value as JSON text; nulls as `null`, so the result has none."""
    kind = column.type
    if pa.types.is_struct(kind):
        texts = _struct(column)
    elif pa.types.is_list(kind):
        texts = _list(column)
    elif pa.types.is_map(kind):
        texts = _map(column)
    elif pa.types.is_union(kind):
        return _union(column)
    else:
        texts = _simple(column)
    if not column.null_count:
        return texts
    return pc.if_else(column.is_valid(), texts, NULL)


def _simple(column: pa.Array) -> pa.StringArray:
    kind, texts = column.type, plain(column)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
        return pc.fill_null(texts, NULL)
    if pa.types.is_floating(kind):
        named = pc.is_in(texts, SPELLED)
        texts = pc.if_else(named, _quoted(texts), texts) if pc.any(named).as_py() else texts
        return pc.fill_null(texts, NULL)
    return _strings(pc.fill_null(texts, ""))


def _strings(texts: pa.StringArray) -> pa.StringArray:
    """Most texts need no escape, and most that do are rare: only those are touched one by one."""
    special = pc.match_substring_regex(texts, NEEDS_ESCAPE)
    quoted = _quoted(texts)
    if not pc.any(special).as_py():
        return quoted
    escaped = [json.dumps(text, ensure_ascii=False) for text in texts.filter(special).to_pylist()]
    return pc.replace_with_mask(quoted, special, pa.array(escaped, pa.string()))


def _quoted(texts: pa.StringArray) -> pa.StringArray:
    return pc.binary_join_element_wise('"', texts, '"', "")


def _struct(column: pa.StructArray) -> pa.StringArray:
    parts: list[pa.Array | str] = []
    for place, field in enumerate(column.type):
        parts += [("," if place else "{") + json.dumps(field.name) + ":", as_json(column.field(place))]
    if not parts:
        return pa.array(["{}"] * len(column), pa.string())
    return pc.binary_join_element_wise(*parts, "}", "")


def _list(column: pa.ListArray) -> pa.StringArray:
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return _joined(lengths, as_json(column.flatten()), "[", "]")


def _map(column: pa.MapArray) -> pa.StringArray:
    entries = column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", column.type.item_type)])))
    lengths = pc.fill_null(pc.list_value_length(entries), 0)
    flat = entries.flatten()
    pairs = pc.binary_join_element_wise(as_json(flat.field(0)), ":", as_json(flat.field(1)), "")
    return _joined(lengths, pairs, "{", "}")


def _joined(lengths: pa.Array, items: pa.StringArray, opening: str, closing: str) -> pa.StringArray:
    offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), items)
    return pc.binary_join_element_wise(opening, pc.binary_join(lists, ","), closing, "")


def _union(column: pa.UnionArray) -> pa.StringArray:
    """The bare value of whichever branch it is."""
    codes = np.asarray(column.type_codes)
    offsets = np.asarray(column.offsets)
    rows = [np.flatnonzero(codes == code) for code in range(column.type.num_fields)]
    texts = [as_json(column.field(i).take(pa.array(offsets[mine]))) for i, mine in enumerate(rows)]
    return pa.concat_arrays(texts).take(pa.array(np.argsort(np.concatenate(rows), kind="stable")))
