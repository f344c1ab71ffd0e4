"""From blocks to what a plan allows: fields, filters, schemas, tombstones, limits, gaps, damage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hub import blocks
from hub.delivery.formats import FORMATS, Wanted
from hub.delivery.read import Delivery, Gap, ReadLimits
from hub.errors import CorruptBlock, NotFound, OffsetOutOfRange, SchemaIncompatible
from hub.model import Topic
from tests.delivery.world import SCHOOL, TOPIC, Hub, school

ANY = ReadLimits()
KEYED = {"key": ("school_id",), "scope": ("region",)}


def ids(delivery: Delivery) -> list[str]:
    names: list[str] = delivery.records.column("school_id").to_pylist()
    return names


def test_R23_only_the_fields_of_the_grant_leave(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(1), school(2)])
    delivery = hub.reader.read(hub.plan(schema, "school_id", "address.city"), {}, ANY)
    assert delivery.records.to_pylist() == [
        {"school_id": "S1", "address": {"city": "Lodi"}},
        {"school_id": "S2", "address": {"city": "Lodi"}},
    ]
    assert delivery.offsets.tolist() == [0, 1]
    assert delivery.partitions.tolist() == [0, 0]
    assert (delivery.positions, delivery.ends, delivery.lag, delivery.gaps) == ({0: 2}, {0: 2}, 0, ())
    assert delivery.deleted is None


def test_R10_filters_deliver_only_what_is_true(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(1), school(2, "04"), school(3, pupils=None), school(100), school(4)])
    plan = hub.plan(schema, "school_id", where="region = '03' AND 10 / (pupils - 1) < 9", by=("region", "pupils"))
    delivery = hub.reader.read(plan, {}, ANY)
    assert ids(delivery) == ["S100", "S4"]  # S1 divides by zero, S3 is NULL
    assert delivery.offsets.tolist() == [3, 4]
    assert delivery.records.schema.names == ["school_id"]


@pytest.mark.parametrize("by", ["school_id", "region", "pupils"])
@pytest.mark.parametrize(
    "fields", [("school_id",), ("pupils",), ("school_id", "pupils"), ("region", "address.city"), ("address.street",)]
)
def test_R10_R23_fields_before_and_behind_the_filter_s_own(hub: Hub, by: str, fields: tuple[str, ...]) -> None:
    schema = hub.schema()
    rows = [school(1), school(2, pupils=None), school(3, "04"), school(300)]
    hub.publish(schema, rows, block=2)
    passes: dict[str, Callable[[Any], bool]] = {
        "school_id <> 'S1'": lambda row: row["school_id"] != "S1",
        "region = '03'": lambda row: row["region"] == "03",
        "pupils > 1": lambda row: (row["pupils"] or 0) > 1,
    }
    where = next(text for text in passes if text.startswith(by))
    delivery = hub.reader.read(hub.plan(schema, *fields, where=where, by=(by,)), {}, ANY)
    wanted = [row for row in rows if passes[where](row)]
    tops = [name for name in ("school_id", "region", "pupils") if name in fields]
    inner = {path.partition(".")[2] for path in fields if "." in path}
    expected = [
        {
            **{name: row[name] for name in tops},
            **({"address": {n: v for n, v in row["address"].items() if n in inner}} if inner else {}),
        }
        for row in wanted
    ]
    assert delivery.records.to_pylist() == expected


def test_R23_what_a_grant_leaves_out_is_passed_over(hub: Hub) -> None:
    """A field that nobody asked for is not made into a column: not even its text is looked at."""
    schema = hub.schema()
    good = hub.encoded(schema, school(1))
    bad = good.replace(b"Via 1", b"Via \xff")
    values = pa.array([bad, good], pa.binary())
    hub.append((0, blocks.encode(None, values, blocks.Headers()), 2))
    assert ids(hub.reader.read(hub.plan(schema, "school_id", "address.city"), {}, ANY)) == ["S1", "S1"]
    with pytest.raises(CorruptBlock):
        hub.reader.read(hub.plan(schema, "address.street"), {}, ANY)


def test_filters_see_nested_fields(hub: Hub) -> None:
    schema = hub.schema()
    other = {"street": "x", "city": "Pavia"}
    hub.publish(schema, [school(1), school(2, address=other)])
    plan = hub.plan(schema, "school_id", where="address.city = 'Pavia'", by=("address.city",))
    assert ids(hub.reader.read(plan, {}, ANY)) == ["S2"]


def test_R23_a_block_may_mix_schemas_and_leaves_in_one(hub: Hub) -> None:
    old = hub.schema()
    fields = [*SCHOOL["fields"], {"name": "level", "type": "string", "default": "primary"}]
    new = hub.schema({**SCHOOL, "fields": fields})
    rows = [
        (old, school(1)),
        (old, school(2)),
        (new, school(3, level="high")),
        (old, school(4)),
        (new, school(5, level="low")),
    ]
    values = pa.array([hub.encoded(schema, row) for schema, row in rows], pa.binary())
    hub.append((0, blocks.encode(None, values, blocks.Headers()), len(rows)))
    delivery = hub.reader.read(hub.plan(new, "school_id", "level"), {}, ANY)
    assert [tuple(row.values()) for row in delivery.records.to_pylist()] == [
        ("S1", "primary"), ("S2", "primary"), ("S3", "high"), ("S4", "primary"), ("S5", "low")
    ]  # fmt: skip
    narrowed = hub.reader.read(hub.plan(new, "school_id", where="level <> 'primary'", by=("level",)), {}, ANY)
    assert ids(narrowed) == ["S3", "S5"]
    by_old = hub.reader.read(hub.plan(old, "school_id"), {}, ANY)
    assert len(ids(by_old)) == 5


def test_a_writer_schema_that_cannot_be_resolved_is_an_error(hub: Hub) -> None:
    hub.registry.set_level("NONE")
    old = hub.schema()
    new = hub.schema({**SCHOOL, "fields": [*SCHOOL["fields"], {"name": "level", "type": "string"}]})
    hub.publish(old, [school(1)])
    with pytest.raises(SchemaIncompatible):
        hub.reader.read(hub.plan(new, "level"), {}, ANY)
    assert ids(hub.reader.read(hub.plan(new, "school_id"), {}, ANY)) == ["S1"]


def test_R19_tombstones_go_to_those_who_had_the_record(hub: Hub) -> None:
    schema = hub.schema()
    gone = ['S1|{"region":"03"}', 'S2|{"region":"04"}', 'S3|{"region":null}', "S4", "S5|{}", "S6|not json", "S7|[1]"]
    hub.publish(schema, [school(1), *gone, school(2)])  # type: ignore[list-item] # tombstones are texts
    mine = hub.plan(schema, "school_id", "pupils", where="region = '03'", by=("region",), **KEYED)
    delivery = hub.reader.read(mine, {}, ANY)
    assert delivery.records.to_pylist() == [
        {"school_id": "S1", "pupils": 1}, {"school_id": "S1", "pupils": None}, {"school_id": "S2", "pupils": 2}
    ]  # fmt: skip
    assert delivery.deleted is not None
    assert delivery.deleted.tolist() == [False, True, False]
    assert delivery.offsets.tolist() == [0, 1, 8]
    everything = hub.reader.read(hub.plan(schema, "school_id", **KEYED), {}, ANY)
    assert ids(everything) == ["S1", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S2"]


def test_R27_a_delete_has_the_key_fields_and_nothing_else(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, ['["S1","03"]|{"region":"03"}', school(2)])  # type: ignore[list-item] # a tombstone
    plan = hub.plan(schema, key=("school_id", "region"), scope=("region",))
    delivery = hub.reader.read(plan, {}, ANY)
    assert delivery.records.to_pylist()[0] == {"school_id": "S1", "region": "03", "pupils": None, "address": None}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("long", "-17", -17),
        ({"type": "int", "logicalType": "date"}, "2024-02-29", "2024-02-29"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            "2024-02-29 10:11:12.500Z",
            "2024-02-29 10:11:12.500000+00:00",
        ),
        ({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, "-1.50", "-1.50"),
        ("boolean", "true", True),
        ("bytes", "raw", b"raw"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "string", "logicalType": "uuid"}, "7e0f", "7e0f"),
    ],
)
def test_R6_keys_of_every_type_come_back_from_their_text(hub: Hub, kind: Any, text: str, value: Any) -> None:
    fields = [{"name": "id", "type": kind}, {"name": "other", "type": "string"}]
    schema = hub.schema({"type": "record", "name": "R", "fields": fields})
    hub.publish(schema, [text])  # type: ignore[list-item] # a tombstone
    row = hub.reader.read(hub.plan(schema, "id", "other", key=("id",)), {}, ANY).records.to_pylist()[0]
    assert (row["id"] if isinstance(value, (bytes, bool, int)) else str(row["id"])) == value
    assert row["other"] is None


@pytest.mark.parametrize(
    ("kinds", "key"),
    [
        (["string"], b"\xff\xfe"),
        (["string"], None),
        (["long"], b"seventeen"),
        ([{"type": "fixed", "name": "F", "size": 3}], b"four"),
        (["string", "string"], b"not json"),
        (["string", "string"], b'["one"]'),
        (["string", "string"], b'["\\ud800", {"a": 1}]'),
        (["string", "string"], b"[" * 100_000),
        (["string", "long"], b'["a", "b"]'),
        (["string", "long"], None),
    ],
)
def test_R6_R27_keys_that_are_none_of_ours_do_not_stop_a_delivery(
    hub: Hub, kinds: list[Any], key: bytes | None
) -> None:
    """On Kafka anybody with the right may write to a topic. What such a key does not say is null."""
    names = tuple(f"k{n}" for n in range(len(kinds)))
    fields = [{"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True)]
    schema = hub.schema({"type": "record", "name": "R", "fields": [*fields, {"name": "other", "type": "string"}]})
    values = pa.array([None], pa.binary())
    hub.append((0, blocks.encode(pa.array([key], pa.binary()), values, blocks.Headers()), 1))
    delivery = hub.reader.read(hub.plan(schema, *names, "other", key=names), {}, ANY)
    row = delivery.records.to_pylist()[0]
    assert row["other"] is None
    assert None in [row[name] for name in names]
    assert delivery.keys is not None
    assert delivery.keys.to_pylist() == [key]
    for form in FORMATS:
        form.write(delivery, Wanted(schema_id=1))


def test_tombstones_on_topics_without_key_are_nobodys(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(1), "S1", school(2)])  # type: ignore[list-item] # a tombstone
    delivery = hub.reader.read(hub.plan(schema, "school_id"), {}, ANY)
    assert ids(delivery) == ["S1", "S2"]
    assert delivery.positions == {0: 3}


def test_batches_end_at_their_limits_and_go_on_behind(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(25)], block=10)
    plan = hub.plan(schema, "school_id")
    seen: list[int] = []
    positions: dict[int, int] = {}
    sizes = []
    while True:
        delivery = hub.reader.read(plan, positions, ReadLimits(max_records=7))
        if not delivery.records.num_rows:
            break
        seen += delivery.offsets.tolist()
        sizes.append(delivery.records.num_rows)
        positions = dict(delivery.positions)
    assert seen == list(range(25))
    assert sizes == [7, 7, 7, 4]
    one_block = hub.reader.read(plan, {}, ReadLimits(max_bytes=1))
    assert one_block.offsets.tolist() == list(range(10))
    assert one_block.lag == 15


def test_a_limit_cuts_behind_the_last_delivered_record(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n, "03" if n % 3 == 0 else "04") for n in range(10)])
    plan = hub.plan(schema, "school_id", where="region = '03'", by=("region",))
    first = hub.reader.read(plan, {}, ReadLimits(max_records=2))
    assert (first.offsets.tolist(), first.positions) == ([0, 3], {0: 4})
    second = hub.reader.read(plan, first.positions, ANY)
    assert (second.offsets.tolist(), second.positions) == ([6, 9], {0: 10})


def test_an_empty_batch_still_moves_on(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n, "04") for n in range(30)], block=10)
    plan = hub.plan(schema, "school_id", where="region = '03'", by=("region",))
    delivery = hub.reader.read(plan, {}, ReadLimits(max_bytes=1))
    assert (delivery.records.num_rows, delivery.positions, delivery.lag) == (0, {0: 10}, 20)
    assert delivery.records.schema.names == ["school_id"]


def test_partitions_are_read_the_longest_lag_first(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(partitions=3)
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(3)], partition=0)
    hub.publish(schema, [school(n) for n in range(10, 18)], partition=2)
    delivery = hub.reader.read(hub.plan(schema, "school_id"), {}, ReadLimits(max_records=9))
    assert delivery.partitions.tolist() == [2] * 8 + [0]
    assert delivery.positions == {0: 1, 1: 0, 2: 8}
    rest = hub.reader.read(hub.plan(schema, "school_id"), delivery.positions, ANY)
    assert ids(rest) == ["S1", "S2"]


def test_R3_F27_a_trimmed_position_is_a_gap_never_silence(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(retention_ms=1_000)
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(20)], block=10)
    hub.now[0] += 100_000
    hub.publish(schema, [school(n) for n in range(20, 25)])
    plan = hub.plan(schema, "school_id")
    assert len(ids(hub.reader.read(plan, {0: 3}, ANY))) == 22  # and now they are in the cache
    hub.log.maintain()
    (earliest,) = {span.earliest for span in hub.log.ends(TOPIC).values()}
    assert earliest == 20
    delivery = hub.reader.read(plan, {0: 3}, ANY)
    assert delivery.gaps == (Gap(partition=0, position=3, earliest=20),)
    assert delivery.offsets.tolist() == [20, 21, 22, 23, 24]
    fresh = hub.reader.read(plan, {}, ANY)
    assert (fresh.gaps, fresh.offsets.tolist()) == ((), [20, 21, 22, 23, 24])


def test_F29_a_cursor_beyond_the_end_is_told(hub: Hub) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(1)])
    with pytest.raises(OffsetOutOfRange, match="older than this cursor"):
        hub.reader.read(hub.plan(schema), {0: 2}, ANY)


def flip(path: Path, base_offset: int) -> None:
    """One bit of a stored block, as a disk would."""
    with sqlite3.connect(path) as connection:
        table = next(
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if "base_offset" in {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        )
        query = f"SELECT rowid, data FROM {table} WHERE topic = ? AND base_offset = ?"
        rowid, data = connection.execute(query, (TOPIC, base_offset)).fetchone()
        broken = bytes([*data[:-1], data[-1] ^ 1])
        connection.execute(f"UPDATE {table} SET data = ? WHERE rowid = ?", (broken, rowid))
    connection.close()


def test_F17_a_damaged_block_is_not_served_its_neighbours_are(make_hub: Callable[..., Hub], tmp_path: Path) -> None:
    hub = make_hub(partitions=2)
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(30)], block=10)
    hub.publish(schema, [school(n) for n in range(5)], partition=1)
    flip(tmp_path / "log.db", 10)
    plan = hub.plan(schema, "school_id")
    first = hub.reader.read(plan, {}, ANY)
    assert first.positions == {0: 10, 1: 5}
    with pytest.raises(CorruptBlock) as caught:
        hub.reader.read(plan, first.positions, ANY)
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == (TOPIC, 0, 10)
    assert hub.reader.read(plan, {0: 20, 1: 5}, ANY).offsets.tolist() == list(range(20, 30))


@pytest.mark.parametrize("value", [b"", b"\0\0", b"\1\0\0\0\1xyz", b"\0\0\0\0\1\xff\xff\xff\xff"])
def test_F17_a_record_that_is_no_avro_is_a_damaged_block(hub: Hub, value: bytes) -> None:
    schema = hub.schema()
    hub.append((0, blocks.encode(None, pa.array([value], pa.binary()), blocks.Headers()), 1))
    with pytest.raises(CorruptBlock):
        hub.reader.read(hub.plan(schema), {}, ANY)


NO_AVRO = blocks.encode(None, pa.array([b"\0\0\0\0\1\xff"], pa.binary()), blocks.Headers())


@pytest.mark.parametrize("section", [NO_AVRO, b"\x02", b"\x0a\0\0\0\x09"])
def test_F17_blocks_before_a_damaged_one_are_served_though_all_are_read_together(hub: Hub, section: bytes) -> None:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(20)], block=10)
    hub.append((0, section, 1))
    hub.publish(schema, [school(n) for n in range(21, 25)])
    plan = hub.plan(schema, "school_id")
    first = hub.reader.read(plan, {}, ANY)
    assert (first.offsets.tolist(), first.positions) == (list(range(20)), {0: 20})
    with pytest.raises(CorruptBlock) as caught:
        hub.reader.read(plan, first.positions, ANY)
    assert caught.value.offset == 20
    assert hub.reader.read(plan, {0: 21}, ANY).offsets.tolist() == [21, 22, 23, 24]


def test_G17_large_defaults_do_not_make_large_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher may add a field with a default of 50 kB to ten thousand records that lack it."""
    monkeypatch.setattr("hub.delivery.columns.MADE_BYTES", 400_000)
    old = hub.schema()
    hub.publish(old, [school(n) for n in range(100)], block=50)
    note = {"name": "note", "type": "string", "default": "x" * 50_000}
    new = hub.schema({**SCHOOL, "fields": [*SCHOOL["fields"], note]})
    plan = hub.plan(new, "school_id", "note")
    first = hub.reader.read(plan, {}, ReadLimits(max_bytes=1_000_000))
    assert first.offsets.tolist() == list(range(21))  # three parts of seven: the third is the last that begins
    assert first.records.column("note").to_pylist() == ["x" * 50_000] * 21
    assert hub.reader.read(plan, first.positions, ReadLimits(max_bytes=1)).offsets.tolist() == list(range(21, 28))
    hub.append((0, NO_AVRO, 1))
    seen: list[int] = []
    positions: dict[int, int] = {}
    while positions.get(0, 0) < 100:  # also when each block must be read by itself, because one of them is damaged
        delivery = hub.reader.read(plan, positions, ReadLimits(max_bytes=100_000_000))
        seen += delivery.offsets.tolist()
        positions = dict(delivery.positions)
    assert seen == list(range(100))


def test_unknown_topic_and_schema_are_not_found(hub: Hub) -> None:
    schema = hub.schema()
    plan = hub.plan(schema)
    value = b"\0\0\0\x03\xe7" + hub.encoded(schema, school(1))[5:]
    hub.append((0, blocks.encode(None, pa.array([value], pa.binary()), blocks.Headers()), 1))
    with pytest.raises(NotFound, match="Schema 999"):
        hub.reader.read(plan, {}, ANY)
    from dataclasses import replace

    with pytest.raises(NotFound):
        hub.reader.read(replace(plan, topic="no.such.v1", fingerprint="x"), {}, ANY)


def test_R8_blocks_with_holes_are_read_on(hub: Hub) -> None:
    """A compacted block keeps its offsets; count ≠ last - first + 1 (R3)."""
    hub.log.ensure(Topic(name="it-mim.education.keyed.v1", compacted=True))
    schema = hub.schema()
    for round_ in range(3):
        rows = [school(n, pupils=round_) for n in range(5)]
        hub.append((0, hub.section(schema, rows), 5), topic="it-mim.education.keyed.v1")
    hub.log.maintain()
    from dataclasses import replace

    plan = replace(hub.plan(schema, "school_id", "pupils", **KEYED), topic="it-mim.education.keyed.v1", fingerprint="k")
    delivery = hub.reader.read(plan, {}, ReadLimits(max_records=3))
    assert delivery.records.column("pupils").to_pylist() == [2, 2, 2]
    rest = hub.reader.read(plan, delivery.positions, ANY)
    assert [*ids(delivery), *ids(rest)] == ["S0", "S1", "S2", "S3", "S4"]
    assert rest.lag == 0


def test_R14_limits_are_at_least_one() -> None:
    with pytest.raises(ValueError, match="room"):
        ReadLimits(max_records=0)


def test_the_plan_schema_is_what_the_registry_would_give(hub: Hub) -> None:
    schema = hub.schema()
    plan = hub.plan(schema, "school_id")
    registered = hub.registry.register("grant.g-value", plan.schema_text).id
    assert [f["name"] for f in json.loads(hub.registry.by_id(registered))["fields"]] == ["school_id"]
