"""Random schemas, plans, filters and deletes: every form, read by libraries that are not ours, says what fastavro reads of
the records as they were published (R10, R19, R23, R27, S17)."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import decimal
import io
import json
import math
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from hub import blocks
from hub.access import Contract, Grant, Plan
from hub.access.plan import plan_of
from hub.avro import Record, frame_header, parse_topic_schema
from hub.delivery.formats import FORMATS, Wanted
from hub.delivery.read import Delivery, DeliveryReader, ReadLimits
from tests.delivery.world import TOPIC, Hub
from tests.support.avro import records, values

Row = dict[str, Any]
WIDE = (
    ["null", "string", "long", {"type": "array", "items": "int"}],
    ["string", "long", {"type": "map", "values": "string"}],
    [{"type": "record", "name": "Left", "fields": [{"name": "a", "type": "int"}]}, "double", "bytes"],
)
WIDE_VALUES = (
    st.none() | st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1) | st.lists(st.integers(-9, 9), max_size=3),
    st.text(max_size=5) | st.integers(-9, 9) | st.dictionaries(st.sampled_from("ab"), st.text(max_size=3), max_size=2),
    st.fixed_dictionaries({"a": st.integers(-9, 9)}) | st.floats(allow_nan=False) | st.binary(max_size=4),
)
AWKWARD = st.sampled_from(['"', "\\", "=1+1", "-x", "\r\n", "a,b", "", "null", "\x00\x1f", "打通", "'", "\u2028"])
write = {form.name: form.write for form in FORMATS}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is published, and what is granted."""

    schema: Row
    rows: Sequence[Row | str]  # a text is the key of a tombstone
    fields: Sequence[str]
    without: str | None  # the row filter leaves this key out
    keyed: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    schema = draw(records([0]))
    kinds = [*schema["fields"], {"name": "text", "type": ["null", "string"]}]
    rows = [values(schema), st.fixed_dictionaries({"text": st.none() | AWKWARD | st.text(max_size=6)})]
    if draw(st.booleans()):
        choice = draw(st.integers(0, len(WIDE) - 1))
        kinds.append({"name": "wide", "type": WIDE[choice]})
        rows.append(st.fixed_dictionaries({"wide": WIDE_VALUES[choice]}))
    keys = st.sampled_from(["k1", "k2", "=k3", 'k"4'])
    keyed = draw(st.booleans())
    row = st.tuples(keys, *rows).map(lambda parts: {"id": parts[0], **{k: v for p in parts[1:] for k, v in p.items()}})
    paths = [path for field in kinds for path in paths_of(field)]
    return Case(
        schema={"type": "record", "name": "Top", "fields": [{"name": "id", "type": "string"}, *kinds]},
        rows=draw(st.lists(row | keys if keyed else row, min_size=1, max_size=6)),
        fields=["id", *draw(st.lists(st.sampled_from(paths), unique=True, max_size=4))],
        without=draw(st.none() | keys),
        keyed=keyed,
    )


def paths_of(field: Row) -> Iterator[str]:
    """The field itself, and fields of the record that it is."""
    yield field["name"]
    kind = field["type"]
    if isinstance(kind, dict) and kind["type"] == "record":
        yield from (f"{field['name']}.{inner['name']}" for inner in kind["fields"])


class Desk:
    """One topic that cases are published on, one behind the other, and what reads it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._schemas: dict[int, Record] = {}
        self.reader = DeliveryReader(hub.log, self._schemas.__getitem__)
        self.start = 0

    def publish(self, case: Case) -> None:
        """As fastavro writes them, two to a block."""
        schema_id = len(self._schemas) + 1
        self._schemas[schema_id] = parse_topic_schema(json.dumps(case.schema))
        self.start = self._hub.log.ends(TOPIC)[0].end
        sections = []
        for start in range(0, len(case.rows), 2):
            part = case.rows[start : start + 2]
            keys = pa.array([(row if isinstance(row, str) else row["id"]).encode() for row in part], pa.binary())
            bodies = [None if isinstance(row, str) else encoded(case.schema, row, schema_id) for row in part]
            scopes = [json.dumps({"id": row}).encode() if isinstance(row, str) else None for row in part]
            headers = blocks.Headers(
                per_record=[("scope", pa.array(scopes, pa.binary()))], constant=[("ce_type", b"t")]
            )
            sections.append((0, blocks.encode(keys, pa.array(bodies, pa.binary()), headers), len(part)))
        self._hub.append(*sections)

    def read(self, case: Case, most: int = 1_000) -> tuple[Plan, list[Delivery]]:
        """The answers to one subscriber."""
        self.publish(case)
        plan, found, positions = planned(case), [], {0: self.start}
        while True:
            delivery = self.reader.read(plan, positions, ReadLimits(max_records=most))
            found.append(delivery)
            positions = dict(delivery.positions)
            if not delivery.lag:
                return plan, found


@pytest.fixture
def desk(hub: Hub) -> Desk:
    return Desk(hub)


def encoded(schema: Row, row: Row, schema_id: int) -> bytes:
    out = io.BytesIO(frame_header(schema_id))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), row)
    return out.getvalue()


def planned(case: Case) -> Plan:
    key = ("id",) if case.keyed else ()
    contract = Contract(topic=TOPIC, schema=parse_topic_schema(json.dumps(case.schema)), key=key, scope=key)
    where = None if case.without is None else f"id <> '{case.without}'"
    by = () if case.without is None else ("id",)
    grant = Grant(
        name="g", agency="a", topic=TOPIC, purpose="p", fields=tuple(case.fields), where=where, filter_fields=by
    )
    return plan_of(grant, contract)


def expected(case: Case, start: int) -> list[Row]:
    """Fields of the records that the grant lets out, with `_offset` and, on keyed topics, `_op`."""
    parsed = fastavro.parse_schema(case.schema)
    found = []
    for offset, row in enumerate(case.rows, start):
        key = row if isinstance(row, str) else row["id"]
        if key == case.without:
            continue
        if isinstance(row, str):
            fields = {name: key if name == "id" else None for name in cut(case.fields)}
        else:
            body = io.BytesIO(encoded(case.schema, row, 1))
            body.seek(5)
            whole: Any = fastavro.schemaless_reader(body, parsed)
            fields = {name: projected(whole[name], inner) for name, inner in cut(case.fields).items()}
        order = [field["name"] for field in case.schema["fields"] if field["name"] in fields]
        about = {"_op": "delete" if isinstance(row, str) else "upsert"} if case.keyed else {}
        found.append({"_offset": offset, **about, **{name: fields[name] for name in order}})
    return found


def cut(fields: Sequence[str]) -> Mapping[str, set[str]]:
    """Top-level fields, and which inner ones; none: all."""
    whole = {path for path in fields if "." not in path}
    found: dict[str, set[str]] = {path: set() for path in whole}
    for path in fields:
        name, _, inner = path.partition(".")
        if inner and name not in whole:
            found.setdefault(name, set()).add(inner)
    return found


def projected(value: Any, inner: set[str]) -> Any:
    return {n: v for n, v in value.items() if n in inner} if inner else value


def normal(value: Any) -> Any:
    """Maps come out of Arrow as pairs, uuids out of fastavro as objects; nothing tells an empty map from an empty list."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items()} or []
    if isinstance(value, list):
        if value and all(isinstance(v, tuple) for v in value):
            return normal(dict(value))
        return [normal(v) for v in value]
    return value


def in_json(value: Any) -> Any:
    """What JSON says of a value: texts for what it has no type for."""
    if isinstance(value, dict):
        return {k: in_json(v) for k, v in value.items()} or []
    if isinstance(value, list):
        return [in_json(v) for v in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def alike(got: Any, want: Any) -> bool:
    """Is a JSON value the Python one?"""
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(alike(got[k], want[k]) for k in want)
    if isinstance(want, list):
        return (got == {} and want == []) or (
            isinstance(got, list) and len(got) == len(want) and all(map(alike, got, want))
        )
    if isinstance(want, dt.datetime):
        return bool(dt.datetime.fromisoformat(got) == want)
    if isinstance(want, dt.date):
        return bool(got == want.isoformat())
    if isinstance(want, dt.time):
        return dt.time.fromisoformat(got) == want
    if isinstance(want, decimal.Decimal):
        return isinstance(got, str) and "E" not in got and decimal.Decimal(got) == want
    if isinstance(want, float):
        return isinstance(got, float) and (got == want or np.float32(got) == np.float32(want))
    return bool(got == want and type(got) is type(want))


every = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@every
@given(case=cases())
def test_R27_json_and_ndjson(desk: Desk, case: Case) -> None:
    _plan, (delivery,) = desk.read(case)
    wanted = Wanted(schema_id=1)
    got = [json.loads(line) for line in write["ndjson"](delivery, wanted).decode().split("\n")[:-1]]
    assert [row.pop("_partition") for row in got] == [0] * len(got)
    want = expected(case, desk.start)
    assert [list(row) for row in got] == [list(row) for row in want]
    for row, fields in zip(got, want, strict=True):
        assert alike(row, in_json(normal(fields))), (row, fields)
    assert [
        {k: v for k, v in r.items() if k != "_partition"} for r in json.loads(write["json"](delivery, wanted))
    ] == got


@every
@given(case=cases())
def test_S17_R27_csv(desk: Desk, case: Case) -> None:
    """The cells are what NDJSON says, in text; with escaping, no cell of text begins like a formula."""
    _plan, (delivery,) = desk.read(case)
    lines = [json.loads(line) for line in write["ndjson"](delivery, Wanted(schema_id=1)).decode().split("\n")[:-1]]
    raw = write["csv"](delivery, Wanted(schema_id=1, formulas="raw")).decode()
    header, *table = csv.reader(io.StringIO(raw, newline=""))
    assert len(table) == len(lines)
    for cells, row in zip(table, lines, strict=True):
        for name, cell in zip(header, cells, strict=True):
            assert same_cell(cell, reach(row, name)), (name, cell, row)
    escaped = write["csv"](delivery, Wanted(schema_id=1)).decode()
    texts = {f.name for f in delivery.records.schema if pa.types.is_string(f.type)}
    for cells in list(csv.reader(io.StringIO(escaped, newline="")))[1:]:
        assert not [c for n, c in zip(header, cells, strict=True) if n in texts and c[:1] in set("=+-@\t\r")]


def reach(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def same_cell(cell: str, value: Any) -> bool:
    if value is None:
        return cell == ""
    if isinstance(value, (dict, list)):
        return bool(json.loads(cell) == value)
    if isinstance(value, bool):
        return cell == str(value).lower()
    if isinstance(value, (int, float)):
        return float(cell) == value and (isinstance(value, float) or int(cell) == value)
    return cell in (value, json.dumps(value, ensure_ascii=False))  # of a wide union: as in JSON


@every
@given(case=cases(), most=st.sampled_from([1, 3, 1_000]))
def test_R23_arrow(desk: Desk, case: Case, most: int) -> None:
    """Also cut into several answers, which have one schema."""
    plan, found = desk.read(case, most)
    streams = [pa.ipc.open_stream(write["arrow"](delivery, Wanted(schema_id=7))) for delivery in found]
    assert all(stream.schema.equals(streams[0].schema, check_metadata=True) for stream in streams)
    metadata = {b"datong.topic": plan.topic.encode(), b"datong.grant": b"g", b"datong.schema_id": b"7"}
    assert streams[0].schema.metadata == metadata
    table = pa.concat_tables([stream.read_all() for stream in streams])
    table.validate(full=True)
    got = [normal(row) for row in table.to_pylist()]
    assert [row.pop("_partition") for row in got] == [0] * len(got)
    assert got == [normal(row) for row in expected(case, desk.start)]


@every
@given(case=cases())
def test_R23_R27_container_files(desk: Desk, case: Case) -> None:
    plan, (delivery,) = desk.read(case)
    body = write["avro"](delivery, Wanted(schema_id=7))
    file = fastavro.reader(io.BytesIO(body))
    assert (file.metadata["datong.topic"], file.metadata["datong.schema_id"]) == (plan.topic, "7")
    got: list[Any] = [normal(row) for row in file]
    assert [row.pop("_partition") for row in got] == [0] * len(got)
    want = [normal(row) for row in expected(case, desk.start)]
    assert got == want
    if not any(isinstance(row, str) for row in case.rows):  # the registered output schema reads upserts
        narrowed: Any = fastavro.reader(
            io.BytesIO(body), reader_schema=fastavro.parse_schema(json.loads(plan.schema_text))
        )
        bare = [{k: v for k, v in row.items() if not k.startswith("_")} for row in want]
        assert [normal(row) for row in narrowed] == bare


@every
@given(case=cases())
def test_R27_G13_framed(desk: Desk, case: Case) -> None:
    """Keys of keyed topics, no others; a delete is a key with a null value; bodies have the grant's registered schema."""
    plan, (delivery,) = desk.read(case)
    body = write["framed"](delivery, Wanted(schema_id=2**31 - 1))
    schema = fastavro.parse_schema(json.loads(plan.schema_text))
    got = list(unframed(body))
    want = expected(case, desk.start)
    assert [(p, o) for p, o, _k, _v in got] == [(0, row["_offset"]) for row in want]
    for (_p, _o, key, value), row in zip(got, want, strict=True):
        assert key == (row["id"].encode() if case.keyed else None)
        if row.get("_op") == "delete":
            assert value is None
            continue
        assert value is not None
        assert value[:5] == frame_header(2**31 - 1)
        stream = io.BytesIO(value[5:])
        fields = {k: v for k, v in row.items() if not k.startswith("_")}
        assert normal(fastavro.schemaless_reader(stream, schema)) == normal(fields)
        assert stream.read() == b""


def unframed(body: bytes) -> Iterator[tuple[int, int, bytes | None, bytes | None]]:
    """Partition, offset, key and value of each record."""
    at = 0

    def sized() -> bytes | None:
        nonlocal at
        (length,) = struct.unpack_from(">i", body, at)
        at += 4 + max(length, 0)
        return None if length < 0 else body[at - length : at]

    while at < len(body):
        partition, offset = struct.unpack_from(">iq", body, at)
        at += 12
        yield partition, offset, sized(), sized()


@pytest.mark.parametrize("name", [form.name for form in FORMATS])
def test_nothing_is_an_empty_answer_in_every_format(hub: Hub, name: str) -> None:
    schema = hub.schema()
    delivery = hub.reader.read(hub.plan(schema, "school_id", key=("school_id",)), {}, ReadLimits())
    body = write[name](delivery, Wanted(schema_id=1))
    empty: Mapping[str, Callable[[], bool]] = {
        "json": lambda: body == b"[]",
        "ndjson": lambda: body == b"",
        "csv": lambda: body == b"_offset,_partition,_op,school_id\r\n",
        "arrow": lambda: pa.ipc.open_stream(body).read_all().num_rows == 0,
        "avro": lambda: list(fastavro.reader(io.BytesIO(body))) == [],
        "framed": lambda: body == b"",
    }
    assert empty[name]()
