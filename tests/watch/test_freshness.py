"""How fresh a topic is: by event time, by whole passes, by appends; and what the manifests keep of it (R2, R7)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from hub.avro import arrow_schema, parse_topic_schema
from hub.model import Checkpoint, RunTotals
from hub.pipeline import followers
from hub.pipeline.followers import Published, RunHistory
from hub.pipeline.freshness import freshness
from hub.pipeline.manifest import Manifest
from hub.pipeline.plan import TaskPlan
from hub.pipeline.publish import Outgoing, newest_event
from tests.support.projects import FIELDS, SCHEMA, TOPIC, Bench, make_plan

HOUR_MS = 3_600_000
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("published", "event_time", "completed_ms", "since_ms", "by"),
    [
        (Published(), False, None, None, "append"),
        (Published(records=1, newest_ms=500), False, None, 500, "append"),
        (Published(records=1, newest_ms=500), False, 900, 900, "pass"),
        (
            Published(records=1, newest_ms=500),
            False,
            400,
            400,
            "pass",
        ),  # a pass under way, or a replay, makes nothing whole
        (Published(records=1, newest_ms=500, event_ms=100), True, None, 100, "event"),
        (Published(records=1, newest_ms=500, event_ms=100), True, 900, 100, "event"),
        (Published(records=1, newest_ms=500), True, 900, 500, "append"),  # nothing with an event time yet
        (Published(), False, 900, 900, "pass"),  # an empty source, read whole
    ],
)
def test_what_a_topic_is_as_fresh_as(
    published: Published, event_time: bool, completed_ms: int | None, since_ms: int | None, by: str
) -> None:
    found = freshness(published, event_time=event_time, target=None, completed_ms=completed_ms)
    assert (found.since_ms, found.by) == (since_ms, by)
    assert not found.late(10**15)


def test_a_topic_is_late_from_its_target_on() -> None:
    found = freshness(
        Published(records=1, newest_ms=1_000), event_time=False, target=timedelta(seconds=2), completed_ms=None
    )
    assert [found.late(at) for at in (500, 1_000, 3_000, 3_001)] == [False, False, False, True]
    assert [found.age_s(at) for at in (500, 3_001)] == [0.0, 2.001]
    never = freshness(Published(), event_time=True, target=timedelta(seconds=2), completed_ms=None)
    assert (never.age_s(10**15), never.late(10**15)) == (None, False)


def outgoing(*times: str | None) -> Outgoing:
    column = pa.array([None if t is None else t.encode() for t in times], pa.binary())
    return Outgoing(keys=None, values=column, ids=column, times=column)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("times", "newest"),
    [
        ((), None),
        ((None, None), None),
        (("2026-11-01T00:00:00Z", None, "2026-10-31T23:59:59Z"), "2026-11-01T00:00:00Z"),
        (("2026-11-25T23:00:00.250000Z",), "2026-11-25T23:00:00.250000Z"),
        (("2026-11-27T00:00:00Z", "2026-11-20T00:00:00Z"), "2026-11-27T00:00:00Z"),  # a day ahead, by UTC
        (("2206-11-20T00:00:00Z", "2026-11-20T00:00:00Z"), "2026-11-20T00:00:00Z"),  # mistyped
        (("10000-01-01T00:00:00Z",), None),  # a year that Python's calendar does not have
    ],
)
def test_R7_the_newest_event_time_of_an_append(times: tuple[str | None, ...], newest: str | None) -> None:
    assert newest_event(outgoing(*times), NOW_MS) == (None if newest is None else ms(newest))


def timed_plan() -> TaskPlan:
    field = {"name": "seen", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None}
    record = parse_topic_schema(json.dumps({**SCHEMA, "fields": [*SCHEMA["fields"], field]}))  # type: ignore[misc]
    plan = make_plan("append", record=record, target=arrow_schema(record), event_time="seen")
    fields = {**FIELDS, "seen": "to_date(SEEN, '%Y-%m-%d')"}
    return make_plan(
        "append",
        record=record,
        target=arrow_schema(record),
        event_time="seen",
        mapping=type(plan.mapping)(fields=fields, where=None, checks={}),
    )


def test_R2_manifests_keep_the_newest_event_time_and_the_history_sums_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("ID,REGION,SEATS,SEEN\na,r,1,2023-05-01\nb,r,2,2023-04-01\nc,r,3,2093-01-01\nd,r,4,\n")
    assert bench.run(timed_plan()).totals.published == 4
    history = RunHistory(bench.log)
    assert history.sums().topics[TOPIC].event_ms == ms("2023-05-01T00:00:00Z")
    bench.write("ID,REGION,SEATS,SEEN\ne,r,1,2022-01-01\n", "b.csv")
    bench.run(timed_plan())
    again, anew = history.sums().topics[TOPIC], RunHistory(bench.log).sums().topics[TOPIC]
    assert again == anew
    assert (again.records, again.event_ms) == (5, ms("2023-05-01T00:00:00Z"))
    assert again.newest_ms is not None
    assert again.newest_ms > 1_700_000_000_000


def manifest(run: str, **more: object) -> Manifest:
    base: dict[str, object] = {
        "run": run,
        "task": "t",
        "topic": TOPIC,
        "epoch": 1,
        "batch": 1,
        "batch_id": "",
        "totals": RunTotals(),
        "at": NOW_MS,
        "started": NOW_MS,
    }
    return Manifest(**{**base, **more})  # type: ignore[arg-type]


def test_the_history_sums_days_reasons_last_runs_and_completions(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    yesterday = NOW_MS - 13 * HOUR_MS
    told = [
        manifest("1", totals=RunTotals(read=5, published=3, quarantined=2), reasons={"BAD": 2}, at=yesterday),
        manifest("1", at=yesterday, state="completed"),
        manifest("2", totals=RunTotals(read=1, published=1)),
        manifest("r", totals=RunTotals(read=1, published=1, deleted=4), replay=True, state="completed"),
        manifest("2", state="failed", error="SourceUnavailable: no", at=NOW_MS + 1),
    ]
    writer = bench.log.open("t", 1)
    for number, one in enumerate(told):
        writer.append([one.to_block()], Checkpoint(source=None, batch=number))
    sums = RunHistory(bench.log).sums()
    assert (sums.day(yesterday), sums.day(NOW_MS), sums.day(NOW_MS + 48 * HOUR_MS)) == (3, 6, 0)
    assert sums.topics[TOPIC] == Published(records=9, newest_ms=NOW_MS)
    assert (sums.last["t"].run, sums.last["t"].state) == ("2", "failed")
    assert sums.last_read["t"] == RunTotals(read=1, published=1), "of no replay"
    assert sums.completed == {"t": yesterday}
    assert sums.published == {(TOPIC, "t"): 5}
    assert sums.quarantined == {(TOPIC, "BAD"): 2}


def test_a_run_that_goes_on_for_longer_than_the_history_keeps_runs_keeps_its_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "RUNS_KEPT", 2)
    bench = Bench(tmp_path)
    writer, history = bench.log.open("t", 1), RunHistory(bench.log)
    told = [manifest("long", totals=RunTotals(read=2, published=2))]
    told += [manifest(str(n), task="other", totals=RunTotals(read=1, published=1)) for n in range(3)]
    told += [manifest("long", totals=RunTotals(read=3, published=3))]
    for number, one in enumerate(told):
        writer.append([one.to_block()], Checkpoint(source=None, batch=number))
        history.sums()
    last = history.last("t")
    assert last is not None
    assert (last.run, last.totals.read) == ("long", 5)
    assert history.get("long") == last


def test_G8_how_much_of_what_was_read_is_bad_is_told_by_the_newest_run_that_read_anything(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    writer, history = bench.log.open("t", 1), RunHistory(bench.log)
    bad, more = RunTotals(read=20, published=10, quarantined=10), RunTotals(read=5, quarantined=5)
    told = [
        (manifest("before", totals=RunTotals(read=9, published=9), replay=True), None),
        (manifest("1", totals=bad), bad),
        (manifest("1", totals=more), bad + more),
        (manifest("idle", state="completed"), bad + more),
        (manifest("a", totals=RunTotals(read=7, published=7), replay=True), bad + more),
        (manifest("2", totals=RunTotals(read=1, published=1)), RunTotals(read=1, published=1)),
    ]
    for number, (one, known) in enumerate(told):
        writer.append([one.to_block()], Checkpoint(source=None, batch=number))
        assert history.sums().last_read.get("t") == known


def test_a_manifest_without_event_time_is_read_as_before(tmp_path: Path) -> None:
    value = json.loads(json.dumps(vars(manifest("1")) | {"totals": vars(RunTotals())}))
    del value["event_ms"]
    assert Manifest.parse(json.dumps(value).encode()).event_ms is None
