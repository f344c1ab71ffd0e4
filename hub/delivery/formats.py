"""The forms in which a delivery can leave, by media type (R27).

Every record carries `_offset` and `_partition`; on keyed topics also `_op`: upsert, or delete with only its key fields.
Framed Avro says the same in its own way: hub/delivery/binary.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hub.delivery.binary import to_arrow, to_framed, to_ocf
from hub.delivery.lines import Formulas, to_csv, to_json, to_ndjson
from hub.delivery.read import Delivery


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a form needs to know besides the delivery."""

    schema_id: int  # of the output schema, in the grant's own subject
    formulas: Formulas = "escape"


@dataclass(frozen=True, kw_only=True)
class Format:
    """One form."""

    name: str  # for people: `--format`
    media_type: str
    content_type: str  # as answers name it
    write: Callable[[Delivery, Wanted], bytes]


def _format(name: str, media_type: str, write: Callable[[Delivery, Wanted], bytes], parameters: str = "") -> Format:
    return Format(name=name, media_type=media_type, content_type=media_type + parameters, write=write)


FORMATS = (
    _format("json", "application/json", lambda d, _w: to_json(d)),
    _format("ndjson", "application/x-ndjson", lambda d, _w: to_ndjson(d)),
    _format("csv", "text/csv", lambda d, w: to_csv(d, w.formulas), "; charset=utf-8"),
    _format("arrow", "application/vnd.apache.arrow.stream", lambda d, w: to_arrow(d, w.schema_id)),
    _format("avro", "application/vnd.apache.avro", lambda d, w: to_ocf(d, w.schema_id)),
    _format("framed", "application/vnd.confluent.avro", lambda d, w: to_framed(d, w.schema_id)),
)
"""The preferred one first."""
