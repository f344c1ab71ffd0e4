"""What a topic has of each region: counted from the log, kept, and gone on with (R3, R8, S13)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from hub import blocks
from hub.avro import encode, parse_topic_schema
from hub.avro.types import Record
from hub.avro.wire import frame_header
from hub.errors import LogUnavailable, RegistryUnavailable
from hub.log.sqlite import SqliteLog
from hub.model import Block, Fetch, Topic
from hub.pipeline.quarantine import Closing, Entry, to_blocks
from hub.views.newest import whole
from hub.views.quarantined import QuarantineTally
from hub.views.tally import Tally
from tests.api.test_api import agency, run
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


def shown(served: Served) -> tuple[dict[str, list[object]], int, bool]:
    """The map over the API: of each region share, rows and records; rows that nobody can tell; whether all was counted."""
    found = served.get("/api/v1/maps/branches")
    regions = {r["key"]: [r["value"], r["quarantined"], r["records"]] for r in found["regions"]}
    return regions, found["untold"], found["complete"]


def test_G9_the_share_in_quarantine_is_told_from_the_rows_as_they_were_read(served: Served) -> None:
    served.edit("maps.d/branches.yaml", measure="quarantine")
    (old,) = (served.root / "data").glob("branches*.csv")
    rows = ["1,One,North,5", "2,Two,North,none", "3,Three,West,none", "4,Four,South,none", "5,Five,,none"]
    lines = [f"b-{row},2020-01-01" for row in rows] + ["b-6,Six,West,1,2020-01-01,more"]
    old.write_text("Code,Name,District,Seats,Opened\n" + "\n".join(lines) + "\n")
    assert run(served.api)["totals"]["quarantined"] == 5  # type: ignore[index]
    assert served.get("/api/v1/maps/branches")["unit"] == "share"
    assert shown(served) == ({"West": [1.0, 1, 0], "North": [0.5, 1, 1]}, 3, True)
    name = "connectors.d/city-library-branches.yaml"
    publish = yaml.safe_load((served.root / name).read_text())["publish"]
    publish["fields"]["district"] = "CASE trim(District) WHEN 'South' THEN 'West' ELSE trim(District) END"
    served.edit(name, publish=publish)
    assert shown(served) == ({"West": [1.0, 2, 0], "North": [0.5, 1, 1]}, 2, True), "by the mapping of today"
    old.write_text(old.read_text().replace("North,none", "North,7"))
    assert run(served.api)["state"] == "completed"
    assert shown(served)[0]["North"] == [0.0, 0, 2], "a row that is mended is open no more"
    kept = served.hub.views._quarantined["branches"][2]
    assert shown(served)[2]
    assert served.hub.views._quarantined["branches"][2] is kept, "nothing is counted twice"
    publish["fields"]["district"] = "trim(column('Name of the district'))"
    served.edit(name, publish={**publish, "optional": ["Name of the district"]})
    assert shown(served) == ({"West": [None, 0, 0], "North": [0.0, 0, 2]}, 4, True), "nobody can tell"


def test_S16_a_quarantine_is_counted_a_part_at_a_time_and_what_no_hub_wrote_is_nobodys(served: Served) -> None:
    served.edit("maps.d/branches.yaml", measure="quarantine")
    run(served.api)
    asked = served.hub.views._quarantine(served.hub.catalogue.maps["branches"])._asked
    codes = served.hub.catalogue.codes
    entry = Entry(
        id="a", task="city-library-branches", topic=asked.topic, stage="map", reason="BAD_NUMBER", path="seats",
        origin="f", row=1, columns={"District": "N"}, types={}, raw=None, mapping="", record_id="", run="r", at=1,
    )  # fmt: skip
    strange = replace(entry, id="b", columns={"District": "no number"}, types={"District": "int64"})
    other, empty = replace(entry, id="c", topic="city.other.v1"), replace(entry, id="d", columns={})
    writer = served.hub.log.open("city-library-branches", 1_000)
    for number, found in enumerate(([entry, strange], [other, empty])):
        writer.append(to_blocks(found, entry.task), at(1_000 + number, asked.topic))
    tally = QuarantineTally(served.hub.log, asked, codes, lambda v: REGIONS.get(v, 2), len(REGIONS))
    tally.catch_up(budget=0)
    assert (tally.complete, tally.counts().tolist()) == (False, [0, 0, 0])
    tally.catch_up()
    assert (tally.complete, tally.counts().tolist()) == (True, [1, 0, 3]), (
        "one of the project's own is of no region either"
    )
    closing = Closing(id="a", task=entry.task, outcome="discarded", run="r", at=2)
    writer.append(to_blocks([closing], entry.task), at(1_002, asked.topic))
    tally.catch_up()
    assert tally.counts().tolist() == [0, 0, 3]
