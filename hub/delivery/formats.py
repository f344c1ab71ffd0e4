"""A delivery as JSON, NDJSON or CSV (R27). Column by column; no row is ever built.

Every record carries `_offset` and `_partition`; on keyed topics also `_op`: upsert, or delete with only its key fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from hub.delivery.read import Delivery
from hub.delivery.texts import as_json, plain

Formulas = Literal["escape", "raw"]
FORMULA = r"^[=+\-@\t\r]"  # what a spreadsheet takes for a formula (OWASP ASVS 5.0, 1.2.10)
NEEDS_QUOTES = r'[",\r\n]'


def to_ndjson(delivery: Delivery) -> bytes:
    """One JSON object a line, each line ended; empty for no records."""
    lines = _objects(delivery)
    return b"" if not lines else ("\n".join(lines) + "\n").encode()


def to_json(delivery: Delivery) -> bytes:
    """A JSON array of the same objects."""
    return ("[" + ",".join(_objects(delivery)) + "]").encode()


def to_csv(delivery: Delivery, *, formulas: Formulas = "escape") -> bytes:
    """RFC 4180 with a header line: nested fields dotted, lists and maps as JSON, null empty and empty text `""`.

    Text that a spreadsheet would take for a formula gets an apostrophe in front, unless `formulas` is raw; numbers not.
    """
    names, columns = [], []
    for name, column in _meta(delivery).items():
        names.append(name)
        columns.append(plain(column))
    for name, column in _flat(delivery.records):
        names.append(_quote_one(name))
        columns.append(_csv_texts(column, formulas))
    lines = [",".join(names)]
    if delivery.records.num_rows:
        rows = pc.binary_join_element_wise(*[pc.fill_null(c, "") for c in columns], ",")
        lines += rows.to_pylist()
    return ("\r\n".join(lines) + "\r\n").encode()


FORMATS: Mapping[str, Callable[[Delivery], bytes]] = {
    "application/json": to_json,
    "application/x-ndjson": to_ndjson,
    "text/csv": to_csv,
}
"""Writers by media type, the preferred one first."""


def _meta(delivery: Delivery) -> Mapping[str, pa.Array]:
    columns = {"_offset": pa.array(delivery.offsets), "_partition": pa.array(delivery.partitions)}
    if delivery.deleted is not None:
        columns["_op"] = pc.if_else(pa.array(delivery.deleted), "delete", "upsert")
    return columns


def _objects(delivery: Delivery) -> list[str]:
    columns = dict(_meta(delivery))
    columns.update(zip(delivery.records.schema.names, delivery.records.columns, strict=True))
    parts: list[pa.Array | str] = []
    for place, (name, column) in enumerate(columns.items()):
        parts += [("," if place else "{") + json.dumps(name) + ":", as_json(column)]
    texts: list[str] = pc.binary_join_element_wise(*parts, "}", "").to_pylist()
    return texts


def _flat(records: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    """Columns with records taken apart: `address.street`."""
    for name, column in zip(records.schema.names, records.columns, strict=True):
        yield from _flat_column(name, column)


def _flat_column(name: str, column: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if not pa.types.is_struct(column.type):
        yield name, column
        return
    for field, child in zip(column.type, column.flatten(), strict=True):
        yield from _flat_column(f"{name}.{field.name}", child)


def _csv_texts(column: pa.Array, formulas: Formulas) -> pa.StringArray:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_map(kind) or pa.types.is_union(kind):
        return _quote(pc.if_else(column.is_valid(), as_json(column), pa.scalar(None, pa.string())))
    texts = plain(column)
    if not pa.types.is_string(kind):
        return texts
    if formulas == "escape":
        risky = pc.match_substring_regex(texts, FORMULA)
        texts = pc.if_else(risky, pc.binary_join_element_wise("'", texts, ""), texts)
    return _quote(texts)


def _quote(texts: pa.StringArray) -> pa.StringArray:
    """Quotes where needed, and around empty text, which would else read as null."""
    needed = pc.or_(pc.match_substring_regex(texts, NEEDS_QUOTES), pc.equal(texts, ""))
    if not pc.any(needed).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), texts)


def _quote_one(name: str) -> str:
    text: str = _quote(pa.array([name])).to_pylist()[0]
    return text
