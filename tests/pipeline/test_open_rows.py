"""What is told of quarantine is what is open, whichever run it is of (G8, G9, R20, R22)."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.app import Hub
from hub.cli.templates import CONNECTOR_YAML, TOPIC_YAML
from hub.log.sqlite import SqliteLog
from hub.mapping.program import MappingSpec
from hub.metrics import HubCollector, see
from hub.model import QUARANTINE, Checkpoint, RunTotals
from hub.pipeline import quarantine
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.quarantine import Closing, Entry
from hub.pipeline.task import reset_checkpoint
from hub.settings import load_settings
from hub.watch.desk import Gatherer
from tests.pipeline.test_internal_topics import ENTRY
from tests.support.projects import FIELDS, TOPIC, Bench, make_plan, make_project

HEAD = "ID,REGION,SEATS\n"
PLACE = (TOPIC, "branches")
NAME = "city-library-branches"
MENDED = MappingSpec(fields={**FIELDS, "seats": "coalesce(try(to_int(SEATS)), 1)"})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def index(bench: Bench) -> OpenQuarantine:
    """One that follows from the start; what a new one finds is the same."""
    return OpenQuarantine(bench.log, RunHistory(bench.log))


def open_rows(index: OpenQuarantine, bench: Bench) -> int:
    counts = index.counts()
    assert counts == OpenQuarantine(bench.log, RunHistory(bench.log)).counts()
    return counts.get(PLACE, 0)


def test_G9_rows_of_an_older_run_are_open_whatever_newer_runs_read(bench: Bench, index: OpenQuarantine) -> None:
    plan = make_plan("append")
    for number, (text, left) in enumerate([("a,N,x\nb,N,y\n", 2), ("c,N,5\n", 2), ("d,N,z\n", 3), ("", 3)]):
        bench.write(HEAD + text, f"{number}.csv")
        bench.run(plan)
        assert open_rows(index, bench) == left
    mended = make_plan("append", mapping=MENDED, mapping_version="m2")
    assert bench.replay(mended).totals == RunTotals(read=3, published=3)
    assert (open_rows(index, bench), index.counts()) == (0, {})


def test_R22_a_row_is_open_until_it_is_gone_set_aside_or_mended_and_a_reset_changes_nothing(
    bench: Bench, index: OpenQuarantine
) -> None:
    bench.write(HEAD + "a,N,x\nb,N,y\nc,N,z\n")
    for _ in range(2):
        bench.run()
        assert open_rows(index, bench) == 3, "met again, and counted once"
    bench.write(HEAD + "b,N,y\nc,N,z\n")
    bench.run()
    assert open_rows(index, bench) == 2
    bench.epoch += 1
    reset_checkpoint(make_plan(), bench.log.open("branches", bench.epoch), bench.around(), "why not")
    assert open_rows(index, bench) == 2
    (case,) = index.cases()
    bench.discard(case.case.id, index.chosen()[0].offset)
    assert open_rows(index, bench) == 1
    bench.write(HEAD + "c,N,7\n")
    bench.run()
    assert open_rows(index, bench) == 0


def test_R20_a_row_that_fails_anew_is_another_entry_and_open_once(bench: Bench, index: OpenQuarantine) -> None:
    bench.write(HEAD + "a,N,x\n")
    bench.run()
    assert bench.replay(make_plan(mapping_version="m2")).totals == RunTotals(read=1, quarantined=1)
    assert open_rows(index, bench) == 1


ITEMS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(("a", "b")), st.sampled_from(("t.x.y.v1", "t.x.z.v1")), st.booleans()),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(ITEMS)
def test_counts_are_those_of_a_walk_whatever_was_opened_and_closed(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[int, str, str, bool]]
) -> None:
    """Of topics of one connector, entries that stand there twice, and closings of nothing."""
    log = SqliteLog.at(tmp_path_factory.mktemp("log") / "log.db", clock=lambda: 1_700_000_000_000)
    index, walked = OpenQuarantine(log, RunHistory(log)), dict[str, tuple[str, str]]()
    writer = log.open("a", 1)
    for batch, (number, task, topic, opens) in enumerate(steps):
        item: Entry | Closing
        if opens:
            item = Entry(**{**vars(ENTRY), "id": str(number), "task": task, "topic": topic})
            walked[item.id] = (topic, task)
        else:
            item = Closing(id=str(number), task=task, outcome="gone", run="r", at=1)
            walked.pop(item.id, None)
        writer.append(quarantine.to_blocks([item], task), Checkpoint(source=None, batch=batch))
        if number % 2:
            assert index.counts() == Counter(walked.values())
    assert index.counts() == Counter(walked.values())
    log.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Whose connector publishes each file once."""
    files = {
        f"connectors.d/{NAME}.yaml": CONNECTOR_YAML.replace("  key: [branch_id]\n  mode: snapshot", "  mode: append"),
        "topics.d/branch.yaml": TOPIC_YAML.replace("scope: [district]\n", ""),
        "grants.d/planning.yaml": "",
    }
    with Hub.open(load_settings(make_project(tmp_path / "p", files), env={})) as made:
        yield made


def run(hub: Hub) -> None:
    hub.supervisor.run_now(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert result.error is None


def told(hub: Hub) -> list[tuple[str, int]]:
    """Alerts of quarantine, each with the rows that its text says are open, and what Prometheus is told."""
    body, _type = hub.metrics.render()
    (metric,) = re.findall(rf'datong_quarantine_open_rows{{connector="{NAME}",topic="[^"]+"}} (\S+)', body.decode())
    alerts = [alert for alert in hub.alerts.listed() if alert["kind"].startswith("quarantine")]
    found = [(a["kind"], int(re.findall(r"(\d+) open", a["message"]["en"])[0])) for a in alerts]
    assert [count for _kind, count in found] == ([float(metric)] if float(metric) else [])
    return found


def test_G8_an_alert_lasts_while_a_row_waits_and_ends_when_none_does(hub: Hub) -> None:
    assert told(hub) == []
    run(hub)
    assert told(hub) == [("quarantine_share", 1)]
    run(hub)
    assert told(hub) == [("quarantine_share", 1)], "a run that read nothing says nothing of how much is bad"
    more = hub.settings.root / "data/branches-2.csv"
    more.write_text("Code,Name,District,Seats,Opened\nb-005,Fifth,North,7,\n", encoding="utf-8")
    run(hub)
    assert told(hub) == [("quarantine_rows", 1)], "of an older run"
    (case,) = hub.quarantine.cases()
    hub.quarantine.discard(case=case["case"], rows=(), reason="nobody knows")
    assert hub.supervisor.wait(NAME, 60) is not None
    assert told(hub) == []


def test_F17_a_damaged_block_of_quarantine_keeps_nothing_else_from_being_told(hub: Hub) -> None:
    run(hub)
    with sqlite3.connect(hub.settings.data_path / "log.db") as connection:
        connection.execute("UPDATE block SET data = zeroblob(length(data)) WHERE topic = ?", (QUARANTINE,))
    connection.close()
    watched = replace(hub._watched, quarantine=OpenQuarantine(hub.log, hub.history))
    assert watched.open_rows() is None
    facts = Gatherer(watched, untold=dict).facts([hub.watch.look()])
    assert (facts.open, facts.last_read[NAME].quarantined, facts.last[NAME].state) == ({}, 1, "completed")
    families = {family.name for family in HubCollector(partial(see, watched, hub._monitoring)).collect()}
    assert "datong_records_quarantined" in families
    assert "datong_quarantine_open_rows" not in families, "nobody knows is not none"
