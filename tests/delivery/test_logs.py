"""Deliveries from SQLite blobs and from Kafka fetches: every form says the same of the same records (R3, R23, R27)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import fastavro
import pyarrow as pa
import pytest

from deploy.services.kafka import Cluster
from hub import blocks
from hub.access import Contract, Grant, Plan
from hub.access.plan import plan_of
from hub.avro import Record, arrow_schema, encode, frame_header, parse_topic_schema
from hub.delivery.formats import FORMATS, Wanted
from hub.delivery.read import Delivery, DeliveryReader, ReadLimits
from hub.log.kafka import KafkaLog
from hub.log.sqlite import SqliteLog
from hub.model import Block, Checkpoint, Topic
from hub.ports import Log
from tests.delivery.test_every_format import unframed
from tests.delivery.world import SCHOOL, school
from tests.support.kafka import fresh, kafka_cluster, options_of

__all__ = ["kafka_cluster"]
NEWER = {**SCHOOL, "fields": [*SCHOOL["fields"], {"name": "level", "type": "string", "default": "primary"}]}
SCHEMAS = {1: SCHOOL, 2: NEWER}
FIELDS = ("school_id", "pupils", "address.city", "level")
write = {form.name: form.write for form in FORMATS}


@pytest.fixture(params=["sqlite", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made: Log
    if request.param == "sqlite":
        made = SqliteLog.at(tmp_path / "log.db", clock=lambda: 1)
    else:
        made = KafkaLog(options_of(request.getfixturevalue("kafka_cluster")))
    yield made
    made.close()


def record_of(schema_id: int) -> Record:
    return parse_topic_schema(json.dumps(SCHEMAS[schema_id]))


def planned(topic: str) -> Plan:
    grant = Grant(
        name="g", agency="a", topic=topic, purpose="p", fields=FIELDS, where="region = '03'", filter_fields=("region",)
    )
    return plan_of(grant, Contract(topic=topic, schema=record_of(2), key=("school_id",), scope=("region",)))


def section(schema_id: int, rows: list[dict[str, Any] | str]) -> bytes:
    """A row that is a text is a tombstone `key|region`."""
    keys = [(row.partition("|")[0] if isinstance(row, str) else row["school_id"]).encode() for row in rows]
    scopes = [json.dumps({"region": row[-2:]}).encode() if isinstance(row, str) else None for row in rows]
    values = [None if isinstance(row, str) else framed(schema_id, row) for row in rows]
    headers = blocks.Headers(
        per_record=[("ce_id", pa.array(keys, pa.binary())), ("scope", pa.array(scopes, pa.binary()))],
        constant=[("ce_source", b"/test")],
    )
    return blocks.encode(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), headers)


def framed(schema_id: int, row: dict[str, Any]) -> bytes:
    record = record_of(schema_id)
    batch = pa.RecordBatch.from_pylist([row], arrow_schema(record))
    made = encode(batch, record, header=frame_header(schema_id))
    value: bytes = made.values[0].as_py()
    return value


def publish(log: Log, topic: str) -> list[tuple[str, dict[str, Any] | None]]:
    """Two schemas, tombstones of both regions, two partitions, an append in each: on Kafka markers stand between them.
    What of it the grant lets out, partition by partition: key, and fields or None for a delete."""
    log.ensure(Topic(name=topic, partitions=2, compacted=True))
    appends: list[tuple[int, int, list[dict[str, Any] | str]]] = [
        (0, 1, [school(n, "03" if n % 3 else "04") for n in range(50)]),
        (0, 1, ["S1|03", "S3|04", school(51)]),
        (1, 2, [school(100, level="high"), school(101, "04", level="high"), "S7|03"]),
        (0, 2, [school(52, pupils=None, level="low"), school(53, address={"street": "x", "city": None}, level="a\"b")]),
    ]  # fmt: skip
    writer = log.open(fresh("task"), 1)
    for number, (partition, schema_id, rows) in enumerate(appends):
        block = Block(topic=topic, partition=partition, count=len(rows), records=section(schema_id, rows))
        writer.append([block], Checkpoint(source=None, batch=number))
    writer.close()
    told: list[tuple[int, str, dict[str, Any] | None]] = []
    for partition, schema_id, rows in appends:
        for row in rows:
            if isinstance(row, str):
                if row.endswith("|03"):
                    told.append((partition, row.partition("|")[0], None))
            elif row["region"] == "03":
                level = row.get("level", "primary" if schema_id == 1 else None)
                city = {"city": row["address"]["city"]}
                told.append((partition, row["school_id"], {"pupils": row["pupils"], "address": city, "level": level}))
    return [(key, fields) for _p, key, fields in sorted(told, key=lambda one: one[0])]


def deliveries(log: Log, topic: str, most: int) -> list[Delivery]:
    reader, plan = DeliveryReader(log, record_of), planned(topic)
    found: list[Delivery] = []
    positions: dict[int, int] = {}
    while True:
        found.append(reader.read(plan, positions, ReadLimits(max_records=most)))
        positions = dict(found[-1].positions)
        if not found[-1].lag:
            return found


def of_lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def of_csv(body: bytes) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(body.decode(), newline=""))
    return [
        {
            **{name: row[name] for name in ("_op", "school_id")},
            "_offset": int(row["_offset"]), "_partition": int(row["_partition"]),
            "pupils": int(row["pupils"]) if row["pupils"] else None, "level": row["level"] or None,
            "address": {"city": row["address.city"] or None} if row["_op"] == "upsert" else None,
        }
        for row in rows
    ]  # fmt: skip


def of_framed(body: bytes) -> list[dict[str, Any]]:
    schema = fastavro.parse_schema(json.loads(planned("a.b.v1").schema_text))
    rows = []
    for partition, offset, key, value in unframed(body):
        assert key is not None
        row: dict[str, Any] = {"_partition": partition, "_offset": offset, "_op": "upsert" if value else "delete"}
        fields: Any = {"pupils": None, "address": None, "level": None}
        if value:
            fields = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema)
        rows.append({**row, **fields, "school_id": key.decode()})
    return rows


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "json": json.loads,
    "ndjson": of_lines,
    "csv": of_csv,
    "arrow": lambda body: pa.ipc.open_stream(body).read_all().to_pylist(),
    "avro": lambda body: list(fastavro.reader(io.BytesIO(body))),  # type: ignore[arg-type]
    "framed": of_framed,
}


@pytest.mark.parametrize("most", [7, 1_000])
def test_R23_R27_every_form_from_both_logs(log: Log, most: int) -> None:
    topic = f"city.test.{fresh('logs')}.v1"
    expected = publish(log, topic)
    found = deliveries(log, topic, most)
    offsets = [(int(p), int(o)) for d in found for p, o in zip(d.partitions, d.offsets, strict=True)]
    assert len(set(offsets)) == len(expected)
    for name, read in READERS.items():
        rows = [row for d in found for row in read(write[name](d, Wanted(schema_id=9)))]
        assert [(row["_partition"], row["_offset"]) for row in rows] == offsets, name
        ordered = sorted(rows, key=lambda row: (row["_partition"], row["_offset"]))
        for row, (key, fields) in zip(ordered, expected, strict=True):
            want = fields or {"pupils": None, "address": None, "level": None}
            assert (row["school_id"], row["_op"]) == (key, "upsert" if fields else "delete"), name
            assert {field: row[field] for field in want} == want, name


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_R3_records_of_other_producers_are_delivered_in_every_codec(kafka_cluster: Cluster, codec: str) -> None:
    """Other batches, other headers, Confluent's framing: what any Kafka client of an agency may have written."""
    log = KafkaLog(options_of(kafka_cluster))
    topic = f"city.test.{fresh('foreign')}.v1"
    log.ensure(Topic(name=topic))
    client = confluent_kafka.Producer(
        {"bootstrap.servers": kafka_cluster.bootstrap, "compression.type": codec, "batch.num.messages": 7}
    )
    for n in range(100):
        client.produce(
            topic, key=f"S{n}", value=framed(1 + n % 2, school(n, level="x")), headers=[("trace", bytes([n]))]
        )
    client.produce(topic, key="S5", value=None, headers=[("scope", b'{"region": "03"}')])
    client.flush(30)
    try:
        (delivery,) = deliveries(log, topic, 1_000)
        rows = of_framed(write["framed"](delivery, Wanted(schema_id=9)))
    finally:
        log.close()
    assert [row["school_id"] for row in rows] == [*[f"S{n}" for n in range(100)], "S5"]
    assert [row["pupils"] for row in rows] == [*range(100), None]
    assert {row["level"] for row in rows} == {"primary", "x", None}
