"""Internal topics that others wrote to: what is not the hub's own is passed over, counted and told once (R2)."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import structlog
from structlog.testing import capture_logs

from hub import blocks
from hub.log.passed_over import SHOWN_MS
from hub.log.sqlite import SqliteLog
from hub.model import MANIFESTS, QUARANTINE, STATE, Block, Checkpoint, RunTotals
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.manifest import SHAPE as manifest_shape
from hub.pipeline.manifest import Manifest
from hub.pipeline.quarantine import CONNECTOR, Closing, Entry, OpenEntries, _glance_at, parse, to_blocks
from hub.pipeline.quarantine import SHAPE as quarantine_shape
from hub.pipeline.record_ids import RecordIds
from hub.pipeline.snapshot import KeyState
from tests.support.projects import Bench, make_plan

HEAD = "ID,REGION,SEATS\n"
ENTRY = Entry(
    id="0" * 32, task="branches", topic="city.culture.branch.v1", stage="map", reason="BAD_NUMBER", path="seats",
    origin="a.csv", row=1, columns={"ID": "a"}, types={}, raw=None, mapping="m1", record_id="", run="r", at=1,
)  # fmt: skip
CLOSING = Closing(id="0" * 32, task="branches", outcome="gone", run="r", at=1)
MANIFEST = Manifest(
    run="r", task="branches", topic="city.culture.branch.v1", epoch=1, batch=1, batch_id="b", totals=RunTotals(), at=1,
    started=1,
)  # fmt: skip


def changed(value: bytes, **members: Any) -> bytes:
    return json.dumps({**json.loads(value), **members}).encode()


def without(value: bytes, member: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(value).items() if k != member}).encode()


def manifest(**members: Any) -> bytes:
    return changed(json.dumps(asdict(MANIFEST)).encode(), **members)


ANY: Sequence[bytes | None] = (
    None, b"", b"\xff\x00", b"not JSON", b"null", b"7", b'"entry"', b"[]", b"{}", b"[" * 100_000, b"1" * 5000,
    b'{"kind": []}', b'{"kind": "entry"}', b'{"kind": "closing"}', b'{"kind": "other", "id": "x"}',
)  # fmt: skip
FOREIGN: dict[str, Sequence[bytes | None]] = {
    QUARANTINE: (
        *ANY,
        *(changed(ENTRY.to_json(), **{name: wrong}) for name, wrong in [
            ("id", 7), ("task", None), ("stage", "other"), ("row", "1"), ("row", 2**63), ("at", "now"), ("at", -1),
            ("at", 10**18), ("at", True), ("columns", [1]), ("columns", {"ID": [1]}), ("columns", {"ID": 1.5}),
            ("types", {"ID": "no such type"}), ("types", {"ID": 7}), ("types", None), ("raw", "%"), ("raw", 7),
            ("reason", "\ud800"), ("another", 1),
        ]),
        without(ENTRY.to_json(), "id"), without(ENTRY.to_json(), "raw"),
        changed(CLOSING.to_json(), outcome="lost"), changed(CLOSING.to_json(), reason="x"), without(CLOSING.to_json(), "at"),
    ),
    MANIFESTS: (
        *ANY,
        *(manifest(**{name: wrong}) for name, wrong in [
            ("run", None), ("task", 7), ("totals", None), ("totals", {"read": "1"}), ("totals", {"other": 1}),
            ("totals", {"read": 1.5}), ("reasons", {"X": "1"}), ("reasons", []), ("warnings", {"X": None}),
            ("state", "other"), ("started", 10**30), ("at", 1.5), ("replay", 1), ("event_ms", "1"),
            ("event_ms", 10**18), ("error", "\udfff"), ("another", 1),
        ]),
        without(manifest(), "totals"), without(manifest(), "started"),
    ),
}  # fmt: skip


def foreign(
    log: SqliteLog, topic: str, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None
) -> None:
    """Written into a topic as by somebody who has the right to it: a record a block, and all of them in one."""
    column = pa.array(values, pa.binary())
    names = pa.array(keys if keys is not None else [b"k"] * len(values), pa.binary())
    made = [
        Block(topic=topic, partition=0, count=len(part),
              records=blocks.encode(names.slice(at, len(part)), part, blocks.Headers()))
        for at, part in [*((i, column.slice(i, 1)) for i in range(len(values))), (0, column)]
    ]  # fmt: skip
    log.open("somebody", 1).append(made, Checkpoint(source=None))


def test_the_hubs_own_records_have_every_member_that_is_looked_for() -> None:
    """A new field of a record needs its line in the shape, or the hub would not know its own records."""
    assert set(manifest_shape) == {f.name for f in fields(Manifest)}
    own = {f.name for kind in (Entry, Closing) for f in fields(kind)}
    assert set(quarantine_shape) == {*own, "kind"}
    assert Manifest.parse(manifest()) == MANIFEST
    assert [parse(item.to_json()) for item in (ENTRY, CLOSING)] == [ENTRY, CLOSING]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("topic", [QUARANTINE, MANIFESTS])
def test_G2_G9_runs_and_indexes_are_the_same_with_and_without_what_others_wrote(
    bench: Bench, tmp_path: Path, topic: str
) -> None:
    (tmp_path / "other").mkdir()
    plain = Bench(tmp_path / "other")
    for one in (bench, plain):
        one.write(HEAD + "a,N,5\nb,S,x\nc,N,y\n")
        assert one.run().totals == RunTotals(read=3, published=1, quarantined=2)
    foreign(bench.log, topic, FOREIGN[topic])
    for one in (bench, plain):
        one.write(HEAD + "a,N,5\nb,S,7\nc,N,y\n")
        assert one.run().totals == RunTotals(read=3, published=1, quarantined=1, unchanged=1)
    histories = [RunHistory(one.log) for one in (bench, plain)]
    shown = [[(r.state, r.totals, r.reasons) for r in h.runs()] for h in histories]
    assert shown[0] == shown[1]
    indexes = [OpenQuarantine(one.log, h) for one, h in zip((bench, plain), histories, strict=True)]
    assert [[(c.case.id, c.count) for c in i.cases()] for i in indexes] == [[(indexes[1].cases()[0].case.id, 1)]] * 2
    assert [[e.columns for e in i.entries()] for i in indexes] == [[{"ID": "c", "REGION": "N", "SEATS": "y"}]] * 2
    (notice,) = bench.log.notices()
    assert (notice.ok, plain.log.notices()) == (False, [])
    assert f"{topic}: {2 * len(FOREIGN[topic])} records are not the hub's own" in notice.detail


def test_G9_a_replay_goes_on_beside_what_others_wrote(bench: Bench) -> None:
    bench.write(HEAD + "a,N,1.000\n")
    bench.run()
    foreign(bench.log, QUARANTINE, FOREIGN[QUARANTINE])
    fields = {**make_plan().mapping.fields, "seats": "to_int(SEATS, '1.234,5')"}
    mapping = make_plan().mapping.__class__(fields=fields)
    assert bench.replay(make_plan(mapping=mapping, mapping_version="m2")).totals == RunTotals(read=1, published=1)


def test_what_others_wrote_is_told_once_and_counted_once_however_often_it_is_met(bench: Bench) -> None:
    foreign(bench.log, QUARANTINE, [b"canary-of-somebody"])
    bench.write(HEAD + "a,N,5\n")
    with capture_logs() as lines:
        for _ in range(3):
            bench.run()
        OpenQuarantine(bench.log, RunHistory(bench.log)).cases()
    told = [line for line in lines if line["event"] == "records_passed_over"]
    assert [(t["topic"], t["log_level"]) for t in told] == [(QUARANTINE, "warning")]
    (notice,) = bench.log.notices()
    assert "2 records" in notice.detail
    assert "canary" not in f"{told} {notice}"
    structlog.reset_defaults()


def test_the_notice_ends_a_week_after_the_last_record(tmp_path: Path) -> None:
    now = [1_700_000_000_000]
    log = SqliteLog.at(tmp_path / "log.db", clock=lambda: now[0])
    foreign(log, MANIFESTS, [b"x"])
    history = RunHistory(log)
    assert history.runs() == []
    assert len(log.notices()) == 1
    now[0] += SHOWN_MS + 1
    assert log.notices() == []
    foreign(log, MANIFESTS, [b"y"])
    history.runs()
    assert len(log.notices()) == 1
    log.close()


def test_a_block_that_no_client_of_ours_would_make_is_passed_over_whole(bench: Bench) -> None:
    bench.write(HEAD + "a,N,5\nb,N,x\n")
    bench.run()
    value = pa.array([ENTRY.to_json()], pa.binary())
    crowd = blocks.Headers(constant=[(CONNECTOR + str(i), b"x") for i in range(1500)])
    for section in (blocks.encode(value, value, crowd), b"\x04\x00\x00\x00"):
        block = Block(topic=QUARANTINE, partition=0, count=1, records=section)
        bench.log.open("somebody", 1).append([block], Checkpoint(source=None))
    assert bench.run().totals == RunTotals(read=2, quarantined=1, unchanged=1)
    assert len(bench.log.notices()) == 1


def test_R2_state_of_keys_is_the_same_with_and_without_what_others_wrote(bench: Bench) -> None:
    bench.write(HEAD + "a,N,5\nb,S,6\n")
    bench.run()
    own = b"branches\0"
    foreign(
        bench.log, STATE,
        [b"short", b"", b"x" * 23, b"{}", b"y" * 40, None],
        [own + b"a", own + b"b", own + b"c", own + b"d", b"nobody", None],
    )  # fmt: skip
    assert len(KeyState.load(bench.log, "branches")) == 2
    assert bench.run().totals == RunTotals(read=2, unchanged=2)
    (notice,) = bench.log.notices()
    assert f"{STATE}: " in notice.detail
    bench.write(HEAD + "a,N,5\nb,S,6\nc,N,7\n")
    assert bench.run().totals == RunTotals(read=3, published=1, unchanged=2)


def test_G4_record_ids_are_the_same_with_and_without_what_others_wrote(bench: Bench) -> None:
    ids = RecordIds("branches")
    one = pa.array([b"id-1"], pa.binary())
    bench.log.open("branches", 1).append(ids.remember(one, 1, 1_700_000_000_000), Checkpoint(source=None))
    prefix = b"\1branches\0"
    wrong = [b"", b"short", struct.pack(">q", 1) + b"x" * 15]
    foreign(bench.log, STATE, wrong, [prefix + b"8.0", prefix + b"9.0", prefix + b"7.0"])
    again = RecordIds.load(bench.log, "branches")
    assert len(again) == 1
    assert again.fresh(one).tolist() == []
    assert len(bench.log.notices()) == 1


def test_R22_what_a_run_knows_of_open_rows_is_the_same_by_a_glance_as_in_full() -> None:
    glance = _glance_at("branches")
    own = ENTRY.to_json()
    assert glance(own) == ENTRY.id
    assert glance(own.replace(b'"row":1', b'"row":?')) == ENTRY.id, "the hub's own form is not looked into"
    assert glance(changed(own)) == ENTRY.id, "any other form of it is"
    assert glance(CLOSING.to_json()) == CLOSING
    other = Entry(**{**vars(ENTRY), "task": 'bran"ches.*'})
    assert (glance(other.to_json()), _glance_at(other.task)(other.to_json())) == (None, ENTRY.id)
    tricky = Closing(**{**vars(CLOSING), "outcome": "discarded", "by": "b", "why": '","topic":"x","kind":"entry"}'})
    assert glance(tricky.to_json()) == tricky
    for wrong in (None, b"", changed(own, row="1"), own[:-1], own.replace(b'"topic"', b'"topics"')):
        with pytest.raises(ValueError, match=r"another|Expecting"):
            glance(wrong)


def test_R22_a_run_reads_ids_of_its_own_task_from_shared_blocks_too(bench: Bench) -> None:
    mine, other = (Entry(**{**vars(ENTRY), "id": c * 32, "task": t}) for c, t in (("a", "branches"), ("b", "other")))
    aside = Closing(id="c" * 32, task="branches", outcome="discarded", run="r", at=1, by="b", why="w")
    for task, items in (("branches", (mine, aside)), ("other", (other,))):
        bench.log.open(task, 1).append(to_blocks(items, task), Checkpoint(source=None))
    found = OpenEntries.load(bench.log, "branches")
    assert (found.ids, found.discarded) == ({"a" * 32}, {"c" * 32})
