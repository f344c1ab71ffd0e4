"""Record sections against kafka-python's own builder and reader, both ways, and bytes that are none (R5, R6, R7)."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from kafka.partitioner.default import murmur2
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from hub import blocks
from hub.errors import MalformedBlock
from hub.model import MAX_BLOCK_BYTES, MAX_RECORDS

OVERHEAD = 61  # bytes of a record batch before its records
Row = tuple[bytes | None, bytes | None, bytes | None]
rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.binary(max_size=200)),
        st.one_of(st.none(), st.binary(max_size=400)),
        st.one_of(st.none(), st.binary(max_size=20)),
    ),
    min_size=1,
    max_size=40,
)
constants = st.lists(st.tuples(st.text("abc_", min_size=1, max_size=5), st.binary(max_size=9)), max_size=3)


def columns(found: list[Row], constant: list[tuple[str, bytes]]) -> tuple[pa.Array, pa.Array, blocks.Headers]:
    keys, values, ids = (pa.array([r[i] for r in found], pa.binary()) for i in range(3))
    return keys, values, blocks.Headers(per_record=[("ce_id", ids)], constant=constant)


def kafka_batch(found: list[Row], constant: list[tuple[str, bytes]], *, step: int = 1) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10**9)
    for i, (key, value, identity) in enumerate(found):
        headers = ([("ce_id", identity)] if identity is not None else []) + constant
        builder.append(i * step, 0, key, value, headers)
    return bytes(builder.build())


@settings(max_examples=150, deadline=None)
@given(rows, constants)
def test_sections_equal_kafka_python_s_and_are_read_back(found: list[Row], constant: list[tuple[str, bytes]]) -> None:
    keys, values, headers = columns(found, constant)
    section = blocks.encode(keys, values, headers)
    assert section == kafka_batch(found, constant)[OVERHEAD:]
    records = blocks.decode(section, 100)
    assert records.offsets.tolist() == [100 + i for i in range(len(found))]
    assert list(zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True)) == [(r[0], r[1]) for r in found]
    expected = [r[2] if r[2] is not None else dict(reversed(constant)).get("ce_id") for r in found]
    assert records.header("ce_id").to_pylist() == expected


@settings(max_examples=60, deadline=None)
@given(rows, constants, st.integers(1, 5))
def test_other_producers_sections_with_gaps_are_read(found: list[Row], constant: Any, step: int) -> None:
    batch = kafka_batch(found, constant, step=step)
    theirs = [(r.offset, r.key, r.value) for r in DefaultRecordBatch(batch)]
    records = blocks.decode(batch[OVERHEAD:], 0)
    ours = zip(records.offsets.tolist(), records.keys.to_pylist(), records.values.to_pylist(), strict=True)
    assert list(ours) == theirs
    assert blocks.first_value(batch[OVERHEAD:]) == (theirs[0][0], theirs[0][2])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=50), st.integers(1, 12))
def test_R6_partitions_are_every_kafka_client_s(keys: list[bytes], partitions: int) -> None:
    expected = [(murmur2(k) & 0x7FFFFFFF) % partitions for k in keys]
    assert blocks.partition_of(pa.array(keys, pa.binary()), partitions).tolist() == expected


@settings(max_examples=300, deadline=None)
@given(rows, st.data())
def test_malformed_sections_are_refused_or_are_other_records(found: list[Row], data: st.DataObject) -> None:
    section = bytearray(blocks.encode(*columns(found, [("k", b"v")])))
    place = data.draw(st.integers(0, len(section) - 1))
    if data.draw(st.booleans()):
        section[place] = data.draw(st.integers(0, 255))
    else:
        del section[place:]
    try:
        blocks.decode(bytes(section), 0).header("ce_id")
    except MalformedBlock:
        return
    if section:  # whole as far as all records are
        blocks.first_value(bytes(section))


@pytest.mark.parametrize("sizes", [[1, 20_000, 3], [70, 9_000, 70], [20_000] * 3, [2_000_000, 0], []])
def test_records_of_any_length_are_read(sizes: list[int]) -> None:
    """Lengths of one, two, three and four bytes, also beside each other."""
    values = pa.array([bytes([i % 256]) * size for i, size in enumerate(sizes)], pa.binary())
    records = blocks.decode(blocks.encode(values, values, blocks.Headers(constant=[("k", b"v")])), 5)
    assert records.values.equals(values)
    assert records.keys.equals(values)
    assert records.header("k").to_pylist() == [b"v"] * len(sizes)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, min_size=1, max_size=4), st.data())
def test_joined_sections_are_their_records_one_behind_the_other(found: list[list[Row]], data: st.DataObject) -> None:
    parts = [blocks.decode(blocks.encode(*columns(part, [("k", b"v")])), 100 * i) for i, part in enumerate(found)]
    first = data.draw(st.integers(0, len(found[0])))
    joined = blocks.join(parts, first)
    flat = [row for part in found for row in part][first:]
    assert joined.keys.to_pylist() == [row[0] for row in flat]
    assert joined.values.to_pylist() == [row[1] for row in flat]
    assert joined.header("ce_id").to_pylist() == [row[2] for row in flat]
    assert [h["k"] for h in joined.headers()] == [b"v"] * len(flat)
    assert joined.offsets.tolist() == [100 * i + n for i, part in enumerate(found) for n in range(len(part))][first:]
    some = np.array(data.draw(st.lists(st.integers(0, max(len(flat) - 1, 0)), unique=True).map(sorted)), np.int64)
    if len(flat):
        assert joined.header("ce_id", some).to_pylist() == [flat[i][2] for i in some]
    count = data.draw(st.integers(0, len(flat)))
    assert joined.head(count).values.to_pylist() == [row[1] for row in flat[:count]]


@pytest.mark.parametrize("size", [10, 600, 5_000, 60_000])
def test_R5_sections_stay_within_their_bounds(size: int) -> None:
    values = pa.array([b"x" * size] * 2_500, pa.binary())
    total = 0
    for start, count, section in blocks.split(None, values, blocks.Headers(constant=[("a", b"b" * 100)])):
        assert start == total
        assert 1 <= count <= MAX_RECORDS
        assert len(section) <= MAX_BLOCK_BYTES
        total += count
    assert total == 2_500


def test_R8_keeping_some_records_keeps_their_offsets() -> None:
    keys = pa.array([b"a", b"b", b"c"], pa.binary())
    records = blocks.decode(blocks.encode(keys, keys, blocks.Headers()), 10)
    kept = blocks.decode(blocks.keep(records, pa.array([0, 2])), 10)
    assert kept.offsets.tolist() == [10, 12]
    assert kept.values.to_pylist() == [b"a", b"c"]
