"""Columns ⇄ bytes against fastavro: random schemas and batches, evolved readers, malformed bytes (R29, R30)."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import tracemalloc
import uuid

import fastavro
import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from hub.avro import arrow_schema, decode, encode, frame_header, parse, resolver, schema_ids
from hub.errors import LimitExceeded, MalformedAvro
from tests.support.avro import records, values


def one(schema: dict, value: object, header: bytes = b"") -> bytes:
    out = io.BytesIO()
    out.write(header)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def as_batch(schema: dict, rows: list[dict]) -> pa.RecordBatch:
    record = parse(json.dumps(schema)).type
    columns = arrow_schema(record)
    arrays = [pa.array([r[f.name] for r in rows], f.type) for f in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def plain(value: object) -> object:
    """Maps come out of Arrow as pairs, uuids out of fastavro as objects."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(v, tuple) for v in value):
            return {k: plain(v) for k, v in value}
        return [plain(v) for v in value]
    return value


def equal(ours: object, theirs: object, of: object) -> bool:
    if isinstance(of, dict) and of["type"] == "map" and ours == [] and theirs == {}:
        return True
    return plain(ours) == plain(theirs) or (ours == [] and theirs == {})


@st.composite
def schema_and_rows(draw: st.DrawFn) -> tuple[dict, list[dict]]:
    schema = draw(records([0]))
    return schema, draw(st.lists(values(schema), min_size=1, max_size=6))


def normal(value: object) -> object:
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items()} or []
    if isinstance(value, list):
        if value and all(isinstance(v, tuple) for v in value):
            return {k: normal(v) for k, v in value} or []
        return [normal(v) for v in value]
    return str(value) if isinstance(value, uuid.UUID) else value


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema_and_rows())
def test_bytes_equal_fastavro_and_come_back(case: tuple[dict, list[dict]]) -> None:
    schema, rows = case
    record = parse(json.dumps(schema)).type
    header = frame_header(7)
    encoded = encode(as_batch(schema, rows), record, header=header)
    assert encoded.rejected == []
    assert encoded.values.to_pylist() == [one(schema, r, header) for r in rows]
    assert schema_ids(encoded.values).tolist() == [7] * len(rows)
    decoded = decode(encoded.values, record, skip=5)
    decoded.validate(full=True)
    assert decoded.schema == arrow_schema(record)
    assert [normal(r) for r in decoded.to_pylist()] == [normal(r) for r in rows]
    picked = decode(encoded.values, record, skip=5, wanted=frozenset({"f0"}))
    assert picked.column(0).equals(decoded.column(0)) or str(picked.column(0)) == str(decoded.column(0))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema_and_rows(), st.data())
def test_R29_malformed_bytes_are_a_clear_error_and_cost_no_memory(
    case: tuple[dict, list[dict]], data: st.DataObject
) -> None:
    schema, rows = case
    record = parse(json.dumps(schema)).type
    body = bytearray(one(schema, rows[0]))
    for _ in range(data.draw(st.integers(1, 3))):
        if body and data.draw(st.booleans()):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        elif body:
            del body[data.draw(st.integers(0, len(body) - 1)) :]
        else:
            body += data.draw(st.binary(max_size=8))
    column = pa.array([bytes(body)], pa.binary())
    tracemalloc.start()
    try:
        decoded = decode(column, record)
    except MalformedAvro as error:
        assert error.row == 0  # noqa: PT017 - most bytes are refused, some are other values
    else:
        decoded.validate(full=True)
        decoded.to_pylist()  # what is let through can be written down
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("logical", "base", "bad"),
    [
        ("time-millis", "int", [-1, 86_400_000]),
        ("time-micros", "long", [-1, 86_400_000_000]),
        ("date", "int", [-719_163, 2_932_897]),
        ("timestamp-millis", "long", [-62_135_596_800_001, 253_402_300_800_000]),
        ("timestamp-micros", "long", [-62_135_596_800_000_001, 253_402_300_800_000_000]),
        ("local-timestamp-millis", "long", [-62_135_596_800_001, 253_402_300_800_000]),
        ("local-timestamp-micros", "long", [-62_135_596_800_000_001, 253_402_300_800_000_000]),
    ],
)
def test_R29_R30_times_outside_the_calendar_are_refused_on_both_ways(logical: str, base: str, bad: list[int]) -> None:
    schema = {"type": "record", "name": "T", "fields": [{"name": "at", "type": {"type": base, "logicalType": logical}}]}
    plain = {"type": "record", "name": "T", "fields": [{"name": "at", "type": base}]}
    record = parse(json.dumps(schema)).type
    width = pa.int32() if base == "int" else pa.int64()
    exact = arrow_schema(record).field("at").type
    for number, inside in ((bad[0], bad[0] + 1), (bad[1], bad[1] - 1)):
        with pytest.raises(MalformedAvro, match="out of range"):
            decode(pa.array([one(plain, {"at": number})], pa.binary()), record)
        column = pa.array([number, inside], width).view(exact)
        encoded = encode(pa.record_batch([column], names=["at"]), record)
        assert encoded.rejected == [(0, "at", "OUT_OF_RANGE")]
        decode(encoded.values, record).to_pylist()


def test_R29_six_bytes_do_not_become_a_gigabyte() -> None:
    schema = {"type": "record", "name": "B", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}
    record = parse(json.dumps(schema)).type
    bomb = pa.array([b"\xfe\xff\xff\xff\x0f\x00"], pa.binary())
    with pytest.raises(MalformedAvro):
        decode(bomb, record)


def test_R29_several_and_negative_blocks_are_read() -> None:
    schema = {"type": "record", "name": "B", "fields": [{"name": "a", "type": {"type": "array", "items": "int"}}]}
    record = parse(json.dumps(schema)).type
    body = b"\x04\x02\x04" + b"\x01\x02\x06" + b"\x00"  # [1, 2], then one item in one byte: [3]
    assert decode(pa.array([body, b"\0"], pa.binary()), record).to_pylist() == [{"a": [1, 2, 3]}, {"a": []}]


EVOLVED = [
    ("int", "long", 5),
    ("int", "double", 5),
    ("long", "float", 2**40),
    ("float", "double", 1.5),
    ("string", "bytes", "né"),
    ("bytes", "string", b"abc"),
    (["null", "int"], ["null", "long"], None),
    (["null", "int"], ["null", "long"], 4),
    ("int", ["null", "long"], 4),
    ("int", ["string", "long"], 4),
    (["null", "int", "string"], ["string", "int", "null"], "x"),
    (["int", "string"], ["null", "string", "long"], 3),
    (["int", "long"], "double", 3),
    ({"type": "array", "items": "int"}, {"type": "array", "items": ["null", "double"]}, [1, 2]),
    ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}, {"k": 1}),
]


@pytest.mark.parametrize(("writer", "reader", "value"), EVOLVED)
def test_resolution_equals_fastavro(writer: object, reader: object, value: object) -> None:
    old = {"type": "record", "name": "R", "fields": [{"name": "gone", "type": "string"}, {"name": "v", "type": writer}]}
    new = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "added", "type": {"type": "array", "items": "int"}, "default": [1, 2]},
            {"name": "w", "aliases": ["v"], "type": reader},
            {"name": "n", "type": ["null", "string"], "default": None},
        ],
    }
    rows = [{"gone": "x", "v": value}] * 3
    framed = pa.array([one(old, r, frame_header(1)) for r in rows], pa.binary())
    ours = resolver(parse(json.dumps(old)).type, parse(json.dumps(new)).type).decode(framed)
    theirs = [
        fastavro.schemaless_reader(io.BytesIO(f[5:]), fastavro.parse_schema(old), fastavro.parse_schema(new))
        for f in framed.to_pylist()
    ]
    assert [normal(r) for r in ours.to_pylist()] == [normal(r) for r in theirs]
    assert ours.schema == arrow_schema(parse(json.dumps(new)).type)


@pytest.mark.parametrize(
    ("writer", "reader", "value", "expected"),
    [
        ({"type": "int", "logicalType": "date"}, "int", dt.date(2020, 1, 2), 18263),
        ("int", {"type": "int", "logicalType": "date"}, 9, dt.date(1970, 1, 10)),
    ],
)
def test_the_reader_s_logical_type_counts(writer: object, reader: object, value: object, expected: object) -> None:
    """fastavro keeps the writer's; the specification resolves the underlying types and the reader interprets them."""
    old = {"type": "record", "name": "R", "fields": [{"name": "v", "type": writer}]}
    new = {"type": "record", "name": "R", "fields": [{"name": "v", "type": reader}]}
    framed = pa.array([one(old, {"v": value}, frame_header(1))], pa.binary())
    ours = resolver(parse(json.dumps(old)).type, parse(json.dumps(new)).type).decode(framed)
    assert ours.to_pylist() == [{"v": expected}]


def test_two_fields_may_read_one() -> None:
    old = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "v", "type": "int"}]}
    fields = [{"name": name, "aliases": ["v"], "type": "long"} for name in ("x", "y")]
    new = {"type": "record", "name": "R", "fields": [*fields, {"name": "a", "type": "int"}]}
    framed = pa.array([one(old, {"a": n, "v": 10 * n}, frame_header(1)) for n in range(3)], pa.binary())
    ours = resolver(parse(json.dumps(old)).type, parse(json.dumps(new)).type).decode(framed)
    assert ours.to_pylist() == [{"x": 10 * n, "y": 10 * n, "a": n} for n in range(3)]


def test_R29_defaults_do_not_fill_the_memory() -> None:
    old = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    added = {"name": "b", "type": "string", "default": "x" * 500_000}
    new = {"type": "record", "name": "R", "fields": [*old["fields"], added]}
    pair = resolver(parse(json.dumps(old)).type, parse(json.dumps(new)).type)
    assert pair.added_bytes == 500_003
    framed = pa.array([one(old, {"a": 1}, frame_header(1))] * 1_000, pa.binary())
    assert pair.decode(framed[:2]).num_rows == 2
    with pytest.raises(LimitExceeded):
        pair.decode(framed)


def test_wider_unions_are_read() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "u", "type": ["null", "int", "string"]}]}
    rows = [{"u": None}, {"u": 3}, {"u": "x"}]
    framed = pa.array([one(schema, r) for r in rows], pa.binary())
    assert decode(framed, parse(json.dumps(schema)).type).to_pylist() == rows


REJECTED = [
    ("string", pa.array(["a", None]), "NULL_REQUIRED"),
    ("int", pa.array([1, 2**40]), "OUT_OF_RANGE"),
    ({"type": "enum", "name": "E", "symbols": ["A"]}, pa.array(["A", "Z"]), "UNKNOWN_SYMBOL"),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1},
        pa.array([decimal.Decimal("1.5"), decimal.Decimal("123456.5")]),
        "DECIMAL_OVERFLOW",
    ),
    ({"type": "array", "items": "string"}, pa.array([["a"], ["b", None]]), "NULL_REQUIRED"),
]


@pytest.mark.parametrize(("kind", "column", "reason"), REJECTED)
def test_R30_a_row_that_does_not_fit_is_rejected_alone(kind: object, column: pa.Array, reason: str) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}
    encoded = encode(pa.RecordBatch.from_arrays([column], ["v"]), parse(json.dumps(schema)).type)
    assert [(row, why) for row, _path, why in encoded.rejected] == [(1, reason)]
    assert encoded.rejected[0][1].startswith("v")
    assert encoded.accepted is not None
    assert encoded.accepted.tolist() == [0]
    assert len(encoded.values) == 1


def test_R30_invalid_utf8_is_rejected() -> None:
    raw = pa.array([b"ok", b"\xff"], pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    schema = {"type": "record", "name": "R", "fields": [{"name": "v", "type": "string"}]}
    encoded = encode(pa.RecordBatch.from_arrays([bad], ["v"]), parse(json.dumps(schema)).type)
    assert encoded.rejected == [(1, "v", "BAD_UTF8")]
