"""A delivery as JSON, NDJSON or CSV (R27). Column by column; no row is ever built."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.delivery.read import Delivery
from hub.delivery.texts import ABSENT, EMPTY, MARK, Piece, as_json, join, json_pieces, plain, raw, same

Formulas = Literal["escape", "raw"]
FORMULA = np.frombuffer(b"=+-@\t\r", np.uint8)  # what a spreadsheet takes for a formula (OWASP ASVS 5.0, 1.2.10)
SPECIAL = b',"\r\n'
APOSTROPHE, UPSERT, DELETE = same("'"), same("upsert"), same("delete")


def to_ndjson(delivery: Delivery) -> bytes:
    """One JSON object a line, each line ended; empty for no records."""
    return _bytes(_objects(delivery, "}\n"))


def to_json(delivery: Delivery) -> bytes:
    """A JSON array of the same objects."""
    return b"[" + _bytes(_objects(delivery, "},"))[:-1] + b"]"


def to_csv(delivery: Delivery, formulas: Formulas = "escape") -> bytes:
    """RFC 4180 with a header line: nested fields dotted, lists and maps as JSON, null empty and empty text `""`.

    Text that a spreadsheet would take for a formula gets an apostrophe in front, unless `formulas` is raw; numbers not.
    """
    names: list[str] = []
    pieces: list[Piece] = []
    for name, column in _about(delivery).items():
        names.append(name)
        pieces += [column if isinstance(column, str) else plain(column), ","]
    for name, column in _flat(delivery.records):
        names.append(name)
        pieces += [_csv_texts(column, formulas), ","]
    head = (",".join(names) + "\r\n").encode()
    if not delivery.records.num_rows:
        return head
    return head + _bytes(join([*pieces[:-1], "\r\n"], delivery.records.num_rows, null=""))


def _about(delivery: Delivery) -> Mapping[str, pa.Array | str]:
    """What every record carries besides its fields. What is the same in all of them is a text."""
    about: dict[str, pa.Array | str] = {"_offset": pa.array(delivery.offsets)}
    about["_partition"] = _same(delivery.partitions) or pa.array(delivery.partitions)
    if delivery.deleted is not None:
        some = delivery.deleted.any()
        about["_op"] = pc.if_else(pa.array(delivery.deleted), DELETE, UPSERT) if some else "upsert"
    return about


def _same(values: np.ndarray) -> str | None:
    return str(values[0]) if len(values) and (values == values[0]).all() else None


def _objects(delivery: Delivery, end: str) -> pa.StringArray:
    pieces: list[Piece] = []
    for name, column in _about(delivery).items():
        quote = '"' if name == "_op" else ""
        value = [quote + column + quote] if isinstance(column, str) else json_pieces(column)
        pieces += [f'{"," if pieces else "{"}"{name}":', *value]
    for name, column in zip(delivery.records.schema.names, delivery.records.columns, strict=True):
        pieces += [f",{json.dumps(name)}:", *json_pieces(column)]
    return join([*pieces, end], delivery.records.num_rows)


def _bytes(texts: pa.StringArray) -> bytes:
    """All texts, one behind the other."""
    return raw(texts)[1].tobytes()


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
        return _quote(pc.if_else(column.is_valid(), as_json(column), ABSENT))
    texts = plain(column)
    if not pa.types.is_string(kind):
        return texts
    return _quote(_without_formulas(texts) if formulas == "escape" else texts)


def _without_formulas(texts: pa.StringArray) -> pa.StringArray:
    offsets, data = raw(texts)
    filled = np.flatnonzero(np.diff(offsets))
    risky = np.zeros(len(texts), np.bool_)
    risky[filled] = np.isin(data[offsets[filled]], FORMULA)
    if not risky.any():
        return texts
    return pc.if_else(pa.array(risky), pc.binary_join_element_wise(APOSTROPHE, texts, EMPTY), texts)


def _quote(texts: pa.StringArray) -> pa.StringArray:
    """Quotes where needed, and around empty text, which would else read as null."""
    offsets, data = raw(texts)
    needed = np.diff(offsets) == 0
    for code in SPECIAL:
        places = np.flatnonzero(data == code)
        needed[np.searchsorted(offsets, places, side="right") - 1] = True
    if not needed.any():
        return texts
    doubled = pc.replace_substring(texts.filter(pa.array(needed)), '"', '""')
    return pc.replace_with_mask(texts, pa.array(needed), pc.binary_join_element_wise(MARK, doubled, MARK, EMPTY))
