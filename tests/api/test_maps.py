"""What a topic has of each region: counted from the log, kept, and gone on with (R3, R8, S13)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from hub import blocks
from hub.avro import encode, parse_topic_schema
from hub.avro.types import Record
from hub.avro.wire import frame_header
from hub.errors import LogUnavailable, RegistryUnavailable
from hub.log.sqlite import SqliteLog
from hub.model import Block, Fetch, Topic
from hub.views.newest import whole
from hub.views.tally import Tally
from tests.api.test_api import agency
from tests.api.test_shared import Served, serve
from tests.contracts.log_contract import at
from tests.support.projects import make_project

TOPIC = "city.test.place.v1"
REGIONS = {"N": 0, "S": 1}
SCHEMA = {"type": "record", "name": "P", "fields": [{"name": "region", "type": ["null", "string"]}]}
MAP = """\
map: branches
title: Branches
boundaries: regions.geojson
key: code
topic: city-library.culture.branch.v1
field: district
"""


class Clock:
    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Bench:
    """A topic of two partitions, and what is appended to it."""

    def __init__(self, directory: Path, *, keyed: bool, retention_ms: int | None = None) -> None:
        self.clock = Clock()
        self.log = SqliteLog.at(directory / "log.db", clock=self.clock)
        self.log.ensure(Topic(name=TOPIC, partitions=2, compacted=keyed, retention_ms=retention_ms))
        self.record: Record = parse_topic_schema(json.dumps(SCHEMA))
        self.writer, self.number, self.keyed = self.log.open("t", 1), 0, keyed

    def append(self, *rows: tuple[str, str | None]) -> None:
        """(key, region); region `-` is a deletion. The first letter of a key says its partition."""
        found = []
        for partition in (0, 1):
            mine = [row for row in rows if ord(row[0][0]) % 2 == partition]
            if mine:
                found += self._blocks(partition, mine)
        self.number += 1
        self.writer.append(found, at(self.number, TOPIC))

    def _blocks(self, partition: int, rows: list[tuple[str, str | None]]) -> list[Block]:
        regions = pa.array([None if r == "-" else r for _, r in rows], pa.string())
        batch = pa.RecordBatch.from_arrays([regions], names=["region"])
        values = encode(batch, self.record, header=frame_header(1)).values
        made = pa.array(
            [None if r == "-" else v for (_, r), v in zip(rows, values.to_pylist(), strict=True)], pa.binary()
        )
        keys = pa.array([key.encode() for key, _ in rows], pa.binary())
        return [
            Block(topic=TOPIC, partition=partition, count=count, records=section)
            for _, count, section in blocks.split(keys, made, blocks.Headers(), max_records=7)
        ]

    def tally(self, schema_of: Callable[[int], Record] | None = None) -> Tally:
        plan, schema_of = whole(TOPIC, self.record, ["region"]), schema_of or (lambda _id: self.record)
        return Tally(self.log, plan, schema_of, lambda v: REGIONS.get(v, 2), len(REGIONS), keyed=self.keyed)


def counts(tally: Tally) -> list[int]:
    tally.catch_up()
    assert tally.complete
    found: list[int] = tally.counts().tolist()
    return found


def test_a_keyed_topic_counts_the_latest_of_each_key(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keyed=True)
    tally = bench.tally()
    assert counts(tally) == [0, 0, 0]
    bench.append(("a", "N"), ("b", "N"), ("c", "S"), ("d", "?"), ("e", None))
    assert counts(tally) == [2, 1, 2]
    bench.append(("a", "S"), ("b", "-"), ("a", "N"), ("c", "N"), ("gone", "-"))
    assert counts(tally) == [2, 0, 2]
    bench.append(("b", "S"))
    assert counts(tally) == counts(bench.tally()) == [2, 1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_R8_going_on_finds_what_counting_anew_finds_and_compaction_changes_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench(tmp_path, keyed=True)
    tally, truth = bench.tally(), dict[str, str | None]()
    for _ in range(12):
        rows = [
            (f"{chance.choice('abc')}{chance.randrange(30)}", chance.choice(["N", "S", "?", None, "-"]))
            for _ in range(40)
        ]
        bench.append(*rows)
        truth |= dict(rows)
        if chance.random() < 0.3:
            bench.log.maintain()
        live = [region for region in truth.values() if region != "-"]
        wanted = [live.count("N"), live.count("S"), live.count("?") + live.count(None)]
        assert counts(tally) == counts(bench.tally()) == wanted


def test_R8_an_append_topic_counts_what_retention_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keyed=False, retention_ms=1_000)
    tally = bench.tally()
    bench.append(*[("a", "N")] * 20, *[("b", "S")] * 3)
    assert counts(tally) == [20, 3, 0]
    bench.clock.now += 5_000
    bench.append(("a", "S"), ("b", "S"))
    bench.log.maintain()
    assert counts(tally) == counts(bench.tally()) == [0, 2, 0]
    assert tally.newest_ms.tolist()[1] == bench.clock.now


def test_only_what_is_new_is_read_and_a_budget_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keyed=False)
    tally = bench.tally()
    bench.append(*[("a", "N")] * 70)
    tally.catch_up(budget=1)
    assert (tally.complete, tally.counts().tolist()) == (False, [7, 0, 0])  # a block at least
    assert counts(tally) == [70, 0, 0]
    tally.catch_up(budget=0)
    assert tally.complete  # nothing more was to be read
    bench.append(("a", "S"))
    tally.catch_up(budget=0)
    assert not tally.complete
    assert counts(tally) == [70, 1, 0]


def test_what_nobody_can_read_is_counted_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keyed=False)
    tally = bench.tally()
    bench.append(("a", "N"))
    strange = blocks.encode(pa.array([b"a"]), pa.array([b"no avro"], pa.binary()), blocks.Headers())
    bench.writer.append([Block(topic=TOPIC, partition=1, count=1, records=strange)], at(9, TOPIC))
    bench.append(("a", "S"))
    assert (counts(tally), tally.unreadable) == ([1, 1, 0], 1)


def test_a_log_that_goes_away_in_between_makes_nothing_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.views.tally.FETCH_BYTES", 1)  # a block a time
    bench = Bench(tmp_path, keyed=False)
    bench.append(*[("a", "N")] * 20)  # three blocks
    tally, there, left = bench.tally(), bench.log.read, [2]

    def read(topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        left[0] -= 1
        if left[0] == 0:
            raise LogUnavailable("no broker answers")
        return there(topic, partition, offset, max_bytes)

    monkeypatch.setattr(bench.log, "read", read)
    with pytest.raises(LogUnavailable):
        tally.catch_up()
    assert counts(tally) == counts(bench.tally()) == [20, 0, 0]


def test_a_registry_that_is_away_makes_nothing_unreadable(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keyed=False)
    bench.append(("a", "N"), ("b", "S"))
    away = [True]

    def schema_of(_id: int) -> Record:
        if away[0]:
            raise RegistryUnavailable("the registry does not answer")
        return bench.record

    tally = bench.tally(schema_of)
    with pytest.raises(RegistryUnavailable):
        tally.catch_up()
    away[0] = False
    assert (counts(tally), tally.unreadable) == ([1, 1, 0], 0)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    root = make_project(tmp_path / "p")
    (root / "maps.d").mkdir()
    (root / "maps.d/branches.yaml").write_text(MAP)
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}
    regions = [{"type": "Feature", "properties": {"code": code}, "geometry": shape} for code in ("West", "North")]
    (root / "regions.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": regions}))
    (root / "datong.yaml").write_text("deletions: {max_share: 1}\n")
    with serve(root) as made:
        yield made


def values(served: Served) -> dict[str, object]:
    return {r["key"]: r["value"] for r in served.get("/api/v1/maps/branches")["regions"]}


def test_a_map_over_the_api_goes_with_the_topic(served: Served) -> None:
    assert [m["map"] for m in served.get("/api/v1/maps")["maps"]] == ["branches"]
    empty = served.get("/api/v1/maps/branches")
    assert (empty["note"], empty["complete"]) == ("nothing was published yet", True)
    assert values(served) == {"West": 0, "North": 0}
    served.branches({"B-1": 1, "B-2": 2})
    assert values(served) == {"West": 0, "North": 2}
    served.branches({"B-2": 2})
    assert values(served) == {"West": 0, "North": 1}
    served.edit("maps.d/branches.yaml", measure="freshness")
    found = served.get("/api/v1/maps/branches")
    assert (found["unit"], found["regions"][0]["value"]) == ("seconds", None)
    assert 0 <= found["regions"][1]["value"] < 600
    shape = served.api.get("/api/v1/maps/branches/boundaries")
    assert shape.headers["content-type"] == "application/geo+json"
    assert shape.content == (served.root / "regions.geojson").read_bytes()
    assert served.api.get("/api/v1/maps/none").status_code == 404


def test_S13_maps_are_for_operators(served: Served) -> None:
    mine = agency(served.api)
    for path in ("maps", "maps/branches", "maps/branches/boundaries"):
        assert served.api.get(f"/api/v1/{path}", headers=mine).status_code == 403
