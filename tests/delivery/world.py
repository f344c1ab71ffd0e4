"""A log, a registry and a topic, open, and ways to publish: what the delivery tests share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hub import blocks
from hub.access import Contract, Grant, Plan
from hub.access.plan import plan_of
from hub.avro import Record, arrow_schema, encode, frame_header
from hub.delivery.groups import Subscriptions
from hub.delivery.read import DeliveryReader
from hub.log.sqlite import SqliteLog
from hub.model import Block, Checkpoint, Topic
from hub.registry import Registry
from hub.store import Store

TOPIC = "it-mim.education.school.v1"
SCHOOL: dict[str, Any] = {
    "type": "record",
    "name": "School",
    "namespace": "edu",
    "fields": [
        {"name": "school_id", "type": "string"},
        {"name": "region", "type": "string"},
        {"name": "pupils", "type": ["null", "int"], "default": None},
        {"name": "address", "type": {"type": "record", "name": "Address", "fields": [
            {"name": "street", "type": "string"}, {"name": "city", "type": ["null", "string"], "default": None}]}},
    ],
}  # fmt: skip
ALL = ("school_id", "region", "pupils", "address")


def school(number: int, region: str = "03", **more: Any) -> dict[str, Any]:
    row = {
        "school_id": f"S{number}",
        "region": region,
        "pupils": number,
        "address": {"street": f"Via {number}", "city": "Lodi"},
    }
    return {**row, **more}


@dataclass
class Hub:
    """What a delivery needs, open."""

    log: SqliteLog
    store: Store
    registry: Registry
    reader: DeliveryReader
    subscriptions: Subscriptions
    now: list[int] = field(default_factory=lambda: [1_000])
    _topics: dict[str, Topic] = field(default_factory=dict)

    def schema(self, text: Mapping[str, Any] = SCHOOL, topic: str = TOPIC) -> int:
        return self.registry.register(f"{topic}-value", json.dumps(text)).id

    def contract(self, schema_id: int, **more: Any) -> Contract:
        record = self.registry.parsed(schema_id).type
        assert isinstance(record, Record)
        return Contract(topic=TOPIC, schema=record, **more)

    def plan(
        self, schema_id: int, *fields: str, where: str | None = None, by: tuple[str, ...] = (), **more: Any
    ) -> Plan:
        grant = Grant(
            name="g", agency="it-lom", topic=TOPIC, purpose="p", fields=fields or ALL, where=where, filter_fields=by
        )
        return plan_of(grant, self.contract(schema_id, **more))

    def append(self, *sections: tuple[int, bytes, int], topic: str = TOPIC) -> list[int]:
        """(partition, section, count) as blocks of one append."""
        writer = self.log.open("task", 1)
        made = [Block(topic=topic, partition=p, count=n, records=section) for p, section, n in sections]
        return list(writer.append(made, Checkpoint(source=None)).offsets)

    def publish(
        self, schema_id: int, rows: Sequence[Mapping[str, Any]], *, partition: int = 0, block: int = 1000
    ) -> None:
        """Rows as blocks of at most `block` records; a row that is a str is a tombstone `key` or `key|scope JSON`."""
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            self.append((partition, self.section(schema_id, part), len(part)))

    def section(self, schema_id: int, rows: Sequence[Any]) -> bytes:
        keys, values, scopes = [], [], []
        for row in rows:
            if isinstance(row, str):
                key, _, scope = row.partition("|")
                keys.append(key.encode())
                values.append(None)
                scopes.append(scope.encode() if scope else None)
            else:
                keys.append(str(next(iter(row.values()))).encode())
                values.append(self.encoded(schema_id, row))
                scopes.append(None)
        headers = blocks.Headers(
            per_record=[("ce_id", pa.array(keys, pa.binary())), ("scope", pa.array(scopes, pa.binary()))],
            constant=[("ce_source", b"/test")],
        )
        return blocks.encode(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), headers)

    def encoded(self, schema_id: int, row: Mapping[str, Any]) -> bytes:
        record = self.registry.parsed(schema_id).type
        assert isinstance(record, Record)
        batch = pa.RecordBatch.from_pylist([dict(row)], arrow_schema(record))
        made = encode(batch, record, header=frame_header(schema_id))
        assert not made.rejected, made.rejected
        value: bytes = made.values[0].as_py()
        return value
