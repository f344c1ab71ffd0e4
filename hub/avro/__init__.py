"""Avro: schemas, columns ⇄ bytes, resolution, compatibility. Pure.

`hub.avro.schema`, `compat` and `types` import nothing of Arrow, so that the registry stays light; the column functions
below are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.avro.schema import canonical, fingerprint, parse
from hub.avro.topic import parse_topic_schema
from hub.avro.types import Record, Schema

if TYPE_CHECKING:
    from hub.avro.arrow import arrow_schema
    from hub.avro.decoding import decode
    from hub.avro.encoding import encode
    from hub.avro.resolution import resolver
    from hub.avro.wire import frame_header, schema_ids

_LATE = {
    "arrow_schema": "hub.avro.arrow",
    "decode": "hub.avro.decoding",
    "encode": "hub.avro.encoding",
    "frame_header": "hub.avro.wire",
    "resolver": "hub.avro.resolution",
    "schema_ids": "hub.avro.wire",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(name)


__all__ = [
    "Record",
    "Schema",
    "arrow_schema",
    "canonical",
    "decode",
    "encode",
    "fingerprint",
    "frame_header",
    "parse",
    "parse_topic_schema",
    "resolver",
    "schema_ids",
]
