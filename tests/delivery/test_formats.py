"""JSON, NDJSON and CSV, compared with a plain row-by-row writer (R27, S17)."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.access import Contract, Grant
from hub.access.plan import plan_of
from hub.avro import arrow_schema, parse_topic_schema
from hub.delivery.columns import delivered_schema
from hub.delivery.lines import to_csv, to_json, to_ndjson
from hub.delivery.read import Delivery

ADDRESS = {"type": "record", "name": "Address", "fields": [
    {"name": "street", "type": "string"}, {"name": "geo", "type": ["null", {"type": "record", "name": "Geo", "fields": [
        {"name": "lat", "type": "double"}, {"name": "note", "type": ["null", "string"]}]}]}]}  # fmt: skip
TYPES: dict[str, Any] = {
    "text": ["null", "string"],
    "kind": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]},
    "flag": ["null", "boolean"],
    "small": ["null", "int"],
    "big": "long",
    "real": ["null", "double"],
    "single": "float",
    "raw": ["null", "bytes"],
    "mark": {"type": "fixed", "name": "Mark", "size": 2},
    "cost": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 10}],
    "day": ["null", {"type": "int", "logicalType": "date"}],
    "clock": {"type": "int", "logicalType": "time-millis"},
    "fine": {"type": "long", "logicalType": "time-micros"},
    "at": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
    "exact": {"type": "long", "logicalType": "timestamp-micros"},
    "local": {"type": "long", "logicalType": "local-timestamp-millis"},
    "id": {"type": "string", "logicalType": "uuid"},
    "tags": ["null", {"type": "array", "items": ["null", "string"]}],
    "counts": {"type": "map", "values": "int"},
    "home": ["null", ADDRESS],
    "past": {"type": "array", "items": "Address"},
    "nothing": "null",
}
SCHEMA = {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in TYPES.items()]}

texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["=1+1", "-x", "+", "@a", "\t", "\r\n", '"', "a,b", "", "null"]
)
instants = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - local times are meant
addresses = st.fixed_dictionaries(
    {
        "street": texts,
        "geo": st.none()
        | st.fixed_dictionaries({"lat": st.floats(allow_nan=False, allow_infinity=False), "note": st.none() | texts}),
    }
)


def millis(value: datetime | time) -> Any:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


ROWS = st.fixed_dictionaries(
    {
        "text": st.none() | texts,
        "kind": st.sampled_from("AB"),
        "flag": st.none() | st.booleans(),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "big": st.integers(-(2**63), 2**63 - 1),
        "real": st.none() | st.floats(),
        "single": st.floats(width=32),
        "raw": st.none() | st.binary(max_size=5),
        "mark": st.binary(min_size=2, max_size=2),
        "cost": st.none() | st.decimals(-(10**9), 10**9, places=10),
        "day": st.none() | st.dates(),
        "clock": st.times().map(millis),
        "fine": st.times(),
        "at": st.none() | instants.map(lambda d: millis(d).replace(tzinfo=UTC)),
        "exact": instants.map(lambda d: d.replace(tzinfo=UTC)),
        "local": instants.map(millis),
        "id": texts,
        "tags": st.none() | st.lists(st.none() | texts, max_size=3),
        "counts": st.dictionaries(texts, st.integers(-5, 5), max_size=3),
        "home": st.none() | addresses,
        "past": st.lists(addresses, max_size=2),
        "nothing": st.none(),
    }
)


def delivery(schema: dict[str, Any], rows: list[dict[str, Any]], deleted: list[bool] | None = None) -> Delivery:
    record = parse_topic_schema(json.dumps(schema))
    grant = Grant(name="g", agency="a", topic="a.b.v1", purpose="p", fields=tuple(f.name for f in record.fields))
    key = () if deleted is None else (record.fields[0].name,)
    plan = plan_of(grant, Contract(topic="a.b.v1", schema=record, key=key))
    wanted = delivered_schema(plan)
    columns = []
    for field in wanted:
        values = [row[field.name] for row in rows]
        if pa.types.is_map(field.type):
            values = [list(v.items()) for v in values]
        columns.append(pa.array(values, field.type))
    return Delivery(
        plan=plan,
        records=pa.RecordBatch.from_arrays(columns, schema=wanted),
        offsets=np.arange(7, 7 + len(rows)),
        partitions=np.zeros(len(rows), np.int32),
        deleted=None if deleted is None else np.array(deleted, np.bool_),
        positions={0: 7 + len(rows)},
        ends={0: 7 + len(rows)},
    )


def expected(value: Any) -> Any:
    """What JSON shows for a Python value, written the slow way."""
    if isinstance(value, dict):
        return {name: expected(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [expected(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return f"{value.quantize(Decimal(10) ** -10):f}"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (date, time, datetime)):
        return value
    return value


def same(got: Any, want: Any) -> bool:
    if isinstance(want, datetime):
        return datetime.fromisoformat(got) == want and ("Z" in got) == (want.tzinfo is not None) and "T" in got
    if isinstance(want, date):
        return bool(got == want.isoformat())
    if isinstance(want, time):
        return time.fromisoformat(got) == want
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(same(got[n], want[n]) for n in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(same, got, want))
    return bool(got == want and type(got) is type(want))


def single(row: dict[str, Any]) -> dict[str, Any]:
    """float32 shows its own shortest digits."""
    short = float(str(np.float32(row["single"])))
    return {**row, "single": short}


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_R27_ndjson_says_what_the_records_are(rows: list[dict[str, Any]]) -> None:
    made = delivery(SCHEMA, rows)
    lines = to_ndjson(made).decode().split("\n")
    assert lines.pop() == ""
    for number, (line, row) in enumerate(zip(lines, rows, strict=True)):
        got = json.loads(line)
        assert list(got) == ["_offset", "_partition", *TYPES]
        assert (got.pop("_offset"), got.pop("_partition")) == (7 + number, 0)
        want = expected(single(row))
        for name in TYPES:
            assert same(got[name], want[name]), (name, got[name], want[name])
    assert json.loads(to_json(made)) == [json.loads(line) for line in lines]


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROWS, min_size=2, max_size=5), start=st.integers(0, 1))
def test_R27_slices_of_a_batch_say_the_same(rows: list[dict[str, Any]], start: int) -> None:
    whole = delivery(SCHEMA, rows)
    part = replace(
        whole, records=whole.records.slice(start, 1), offsets=whole.offsets[start : start + 1],
        partitions=whole.partitions[start : start + 1],
    )  # fmt: skip
    assert to_ndjson(part).decode() == to_ndjson(whole).decode().split("\n")[start] + "\n"
    assert (
        list(csv.reader(io.StringIO(to_csv(part).decode(), newline="")))[1]
        == list(csv.reader(io.StringIO(to_csv(whole).decode(), newline="")))[start + 1]
    )


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_R27_csv_reads_back_with_any_csv_reader(rows: list[dict[str, Any]]) -> None:
    body = to_csv(delivery(SCHEMA, rows), formulas="raw").decode()
    header, *table = list(csv.reader(io.StringIO(body, newline="")))
    assert header[:3] == ["_offset", "_partition", "text"]
    assert header[-5:] == ["home.street", "home.geo.lat", "home.geo.note", "past", "nothing"]
    for line, row in zip(table, rows, strict=True):
        cells = dict(zip(header, line, strict=True))
        assert cells["text"] == (row["text"] or "")
        assert cells["small"] == ("" if row["small"] is None else str(row["small"]))
        assert cells["home.street"] == ((row["home"] or {}).get("street") or "")
        assert cells["counts"] == "{}" if not row["counts"] else json.loads(cells["counts"]) == row["counts"]
        assert cells["tags"] == "" if row["tags"] is None else json.loads(cells["tags"]) == row["tags"]
        assert cells["nothing"] == ""


TEXT = {
    "type": "record",
    "name": "R",
    "fields": [{"name": n, "type": ["null", t]} for n, t in (("t", "string"), ("n", "long"), ("d", "double"))],
}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_S17_text_that_a_spreadsheet_would_run_is_escaped(start: str) -> None:
    rows = [{"t": f"{start}cmd|' /C calc'!A0", "n": -17, "d": -1.5}, {"t": f"a{start}", "n": 17, "d": 2.0}]
    body = to_csv(delivery(TEXT, rows)).decode()
    _header, first, second = list(csv.reader(io.StringIO(body, newline="")))
    assert first[2:] == [f"'{start}cmd|' /C calc'!A0", "-17", "-1.5"]
    assert second[2:] == [f"a{start}", "17", "2.0"]
    raw = to_csv(delivery(TEXT, rows), formulas="raw").decode()
    assert list(csv.reader(io.StringIO(raw, newline="")))[1][2] == rows[0]["t"]


def test_R27_csv_tells_null_from_empty_text() -> None:
    rows = [{"t": None, "n": None, "d": None}, {"t": "", "n": 0, "d": float("nan")}, {"t": 'a"b', "n": 1, "d": 1e20}]
    body = to_csv(delivery(TEXT, rows)).decode()
    assert body == '_offset,_partition,t,n,d\r\n7,0,,,\r\n8,0,"",0,NaN\r\n9,0,"a""b",1,1e+20\r\n'


def test_R27_deletes_are_marked_in_every_format() -> None:
    rows = [{"t": "S1", "n": 1, "d": 1.0}, {"t": "S1", "n": None, "d": None}]
    made = delivery(TEXT, rows, deleted=[False, True])
    lines = [json.loads(line) for line in to_ndjson(made).splitlines()]
    assert [line["_op"] for line in lines] == ["upsert", "delete"]
    assert lines[1] == {"_offset": 8, "_partition": 0, "_op": "delete", "t": "S1", "n": None, "d": None}
    assert to_csv(made).decode().splitlines() == [
        "_offset,_partition,_op,t,n,d",
        "7,0,upsert,S1,1,1.0",
        "8,0,delete,S1,,",
    ]


def test_wide_unions_show_the_bare_value() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "u", "type": ["null", "string", "long"]}]}
    made = delivery(TEXT, [])
    kind = arrow_schema(parse_topic_schema(json.dumps(schema))).field("u").type
    codes, offsets = pa.array([1, 2, 0, 1], pa.int8()), pa.array([0, 0, 0, 1], pa.int32())
    children = [pa.nulls(1), pa.array(["=x", "y"]), pa.array([-17], pa.int64())]
    column = pa.UnionArray.from_dense(codes, offsets, children, [f.name for f in kind])
    union = replace(
        made,
        records=pa.RecordBatch.from_arrays([column], ["u"]),
        offsets=np.arange(4),
        partitions=np.zeros(4, np.int32),
    )
    assert [row["u"] for row in json.loads(to_json(union))] == ["=x", -17, None, "y"]
    last = replace(union, records=union.records[2:], offsets=np.arange(2), partitions=np.zeros(2, np.int32))
    assert [row["u"] for row in json.loads(to_json(last))] == [None, "y"]  # a slice of a union
    cells = [line[2] for line in csv.reader(io.StringIO(to_csv(union).decode()))][1:]
    assert cells == ['"=x"', "-17", "", '"y"']
