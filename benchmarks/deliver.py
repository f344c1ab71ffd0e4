"""`python -m benchmarks.deliver SUBJECT PROJECT [--rows N] [--tally]`: one way to hand out a topic's records, timed.

`rows-ndjson` reads the hub's own log and its sections, then goes row by row: fastavro, a condition, a dict, json. The hub's
way has the name of a form; `answers-ndjson` is that with everything else that an answer of its API takes."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

from benchmarks.delivery import FIELDS
from benchmarks.project import Project
from benchmarks.schema import SCHEMA, SCHEMA_ID

AGENCY = "reader"
FETCH_BYTES = 4 * 1024 * 1024
HEAD, LENGTH = struct.Struct(">iqi"), struct.Struct(">i")
MODULUS = 1 << 64
Row = tuple[Any, ...]


class Batch(NamedTuple):
    """So many records were read; this is what is handed out of them."""

    read: int
    delivered: int
    body: bytes


def rows_ndjson(project: Path) -> Iterator[Batch]:
    """A block at a time. fastavro is told which fields are wanted, which is a little faster than reading all of them."""
    from hub import blocks
    from hub.log.sqlite import SqliteLog

    wanted = {*FIELDS, "sex"}
    writer = fastavro.parse_schema(SCHEMA)
    reader = fastavro.parse_schema({**SCHEMA, "fields": [f for f in SCHEMA["fields"] if f["name"] in wanted]})
    read: Callable[..., Any] = fastavro.schemaless_reader
    dump = json.dumps
    log = SqliteLog.at(project / "var/log.db", clock=lambda: 0)
    for partition, block in _blocks(log):
        records = blocks.decode(block.records, block.base_offset)
        lines = []
        for offset, value in zip(records.offsets.tolist(), records.values.to_pylist(), strict=True):
            body = io.BytesIO(value)
            body.seek(5)
            record = read(body, writer, reader)
            if record["sex"] == "FEMALE":
                line = {"_offset": offset, "_partition": partition, **{name: record[name] for name in FIELDS}}
                line["birth_date"] = line["birth_date"].isoformat()
                lines.append(dump(line, ensure_ascii=False))
        yield Batch(len(records), len(lines), ("\n".join(lines) + "\n").encode())
    log.close()


def _blocks(log: Any) -> Iterator[tuple[int, Any]]:
    topic = Project(directory=Path()).topic
    for partition, span in log.ends(topic).items():
        offset = span.earliest
        while offset < span.end:
            fetch = log.read(topic, partition, offset, FETCH_BYTES)
            for block in fetch.blocks:
                yield partition, block
            offset = fetch.next_offset


def hub(project: Path, form: str) -> Iterator[Batch]:
    """The same work as above: blocks of the log → columns that the grant allows → the form, 10,000 records at a time."""
    from datetime import UTC, datetime

    from hub.access import Plan, Request, decide
    from hub.app import Hub
    from hub.delivery.formats import Wanted
    from hub.delivery.read import DeliveryReader, ReadLimits
    from hub.settings import load_settings

    write = _writer(form)
    request = Request(agency=AGENCY, topic=Project(directory=Path()).topic)
    positions: dict[int, int] = {}
    with Hub.open(load_settings(project, env={})) as opened:
        limits = opened.settings.limits
        reader = DeliveryReader(opened.log, lambda number: opened.registry.parsed(number).type)  # type: ignore[arg-type, return-value]
        plan = decide(request, opened.deliveries.grants(), opened.deliveries.contract(request.topic), datetime.now(UTC))
        assert isinstance(plan, Plan)
        while True:
            found = reader.read(
                plan, positions, ReadLimits(max_records=limits.read_records, max_bytes=limits.read_bytes)
            )
            yield _batch(found, positions, write(found, Wanted(schema_id=SCHEMA_ID)))
            positions = dict(found.positions)
            if not found.lag:
                return


def answers(project: Path, form: str) -> Iterator[Batch]:
    """All that the hub does for one answer but HTTP: decision, group, the block cache, columns, form, durable cursor; and
    the commit that follows."""
    from hub.access import Request
    from hub.app import Hub
    from hub.delivery.formats import Wanted
    from hub.delivery.groups import Member
    from hub.settings import load_settings

    write = _writer(form)
    request = Request(agency=AGENCY, topic=Project(directory=Path()).topic)
    member = Member(group=f"bench-{os.getpid()}", reader="bench")
    positions: dict[int, int] = {}
    with Hub.open(load_settings(project, env={})) as opened:
        while True:
            pulled = opened.deliveries.pull(request, member)
            body = write(pulled.delivery, Wanted(schema_id=pulled.schema_id))
            yield _batch(pulled.delivery, positions, body)
            positions = dict(pulled.delivery.positions)
            opened.deliveries.commit(request, member, positions)
            if not pulled.delivery.lag:
                return


def _writer(form: str) -> Callable[[Any, Any], bytes]:
    from hub.delivery.formats import FORMATS

    return next(f.write for f in FORMATS if f.name == form)


def _batch(delivery: Any, before: dict[int, int], body: bytes) -> Batch:
    read = sum(at - before.get(partition, 0) for partition, at in delivery.positions.items())
    return Batch(read, delivery.records.num_rows, body)


def main() -> None:
    """Hand out, and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("subjects", help="one, or several with commas between for --tally")
    parser.add_argument("project", type=Path)
    parser.add_argument("--rows", type=int, default=sys.maxsize, help="stop after so many records")
    parser.add_argument("--tally", action="store_true", help="what was said instead of how fast")
    chosen = parser.parse_args()
    if chosen.tally:
        print(json.dumps({name: tally(name, chosen.project) for name in chosen.subjects.split(",")}))
    else:
        print(json.dumps(timed(batches_of(chosen.subjects, chosen.project), chosen.rows)))


def batches_of(subject: str, project: Path) -> Iterator[Batch]:
    """What a subject hands out."""
    way, _, form = subject.rpartition("-")
    if way == "rows":
        return rows_ndjson(project)
    return answers(project, form) if way else hub(project, form)


def timed(batches: Iterator[Batch], rows: int) -> dict[str, Any]:
    """Time and sizes from the second batch on: before it are imports, connections and compiled expressions. The bytes go
    where nobody reads them."""
    read = delivered = size = 0
    next(batches)
    with open(os.devnull, "wb", buffering=0) as out:
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            out.write(batch.body)
            read, delivered, size = read + batch.read, delivered + batch.delivered, size + len(batch.body)
            if read >= rows:
                break
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    if not delivered:
        raise SystemExit("too few rows to measure: one batch has them all")
    return {"read": read, "delivered": delivered, "bytes_out": size, **took}


def tally(subject: str, project: Path) -> dict[str, Any]:
    """What was said, whatever its order."""
    total = count = 0
    for batch in batches_of(subject, project):
        for row in PARSERS[subject.rpartition("-")[2]](batch.body):
            digest = hashlib.blake2b(repr(row).encode(), digest_size=8).digest()
            total, count = (total + int.from_bytes(digest, "big")) % MODULUS, count + 1
    return {"delivered": count, "hash": f"{total:016x}"}


def parsed_ndjson(body: bytes) -> Iterator[Row]:
    """By json."""
    for line in body.splitlines():
        yield _row(json.loads(line))


def parsed_csv(body: bytes) -> Iterator[Row]:
    """By csv; what it cannot say of types is put right."""
    for row in csv.DictReader(io.StringIO(body.decode(), newline="")):
        numbers = {name: int(row[name]) for name in ("_offset", "_partition", "record_id")}
        yield _row({**row, **numbers, "amount": float(row["amount"])})


def parsed_arrow(body: bytes) -> Iterator[Row]:
    """By pyarrow's own reader of streams."""
    import pyarrow as pa

    yield from map(_row, pa.ipc.open_stream(body).read_all().to_pylist())


def parsed_avro(body: bytes) -> Iterator[Row]:
    """By fastavro's reader of container files."""
    records: Iterable[Any] = fastavro.reader(io.BytesIO(body))
    yield from map(_row, records)


def parsed_framed(body: bytes) -> Iterator[Row]:
    """By hand, and the bodies by fastavro with the grant's schema: the wanted fields of the workload's."""
    fields = [f for f in SCHEMA["fields"] if f["name"] in FIELDS]
    schema, at = fastavro.parse_schema({**SCHEMA, "fields": fields}), 0
    while at < len(body):
        partition, offset, key = HEAD.unpack_from(body, at)
        at += HEAD.size + max(key, 0)
        (length,) = LENGTH.unpack_from(body, at)
        at += LENGTH.size + length
        record: Any = fastavro.schemaless_reader(io.BytesIO(body[at - length + 5 : at]), schema)
        yield _row({"_partition": partition, "_offset": offset, **record})


def _row(record: dict[str, Any]) -> Row:
    born = record["birth_date"]
    values = {**record, "birth_date": born if isinstance(born, str) else born.isoformat()}
    return tuple(values[name] for name in ("_partition", "_offset", *FIELDS))


PARSERS: dict[str, Callable[[bytes], Iterable[Row]]] = {
    "ndjson": parsed_ndjson,
    "csv": parsed_csv,
    "arrow": parsed_arrow,
    "avro": parsed_avro,
    "framed": parsed_framed,
}

if __name__ == "__main__":
    main()
