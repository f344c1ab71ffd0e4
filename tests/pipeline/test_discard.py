"""Rows that a person set aside: closed with a reason, and closed still when they are read again as they are (R22, G9)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.app import Hub
from hub.cli.templates import FILES
from hub.errors import ConfigurationInvalid, Conflict, Fenced, NotFound
from hub.mapping.program import MappingSpec
from hub.model import QUARANTINE, RunTotals
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.jobs import Job
from hub.pipeline.quarantine import Closing, parse
from hub.settings import load_settings
from hub.store.leases import NOBODY
from hub.watch.alerts import Facts, Thresholds, causes
from tests.support.nodes import until
from tests.support.projects import FIELDS, Bench, make_plan
from tests.support.reading import quarantined, records_of
from tests.watch.test_alerts import WELL, sample

ROOT = Path(__file__).resolve().parents[2]
HEAD = "ID,REGION,SEATS\n"
BAD = HEAD + "a,N,5\nb,S,x\nc,N,y\nd,N,-1\n"
NAME = "city-library-branches"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def index(bench: Bench) -> OpenQuarantine:
    return OpenQuarantine(bench.log, RunHistory(bench.log))


def closings(bench: Bench) -> list[Closing]:
    return [item for item in quarantined(bench.log) if isinstance(item, Closing)]


def case_of(bench: Bench, reason: str) -> str:
    return next(one.case.id for one in index(bench).cases() if one.case.reason == reason)


def test_R22_a_row_set_aside_stays_so_while_content_and_mapping_are_the_same(bench: Bench) -> None:
    bench.write(BAD)
    assert bench.run().totals == RunTotals(read=4, published=1, quarantined=3)
    done = bench.discard(case_of(bench, "BAD_NUMBER"), why="the office is closed")
    assert (done.state, done.totals) == ("completed", RunTotals(read=2, discarded=2))
    assert [(c.outcome, c.by, c.why) for c in closings(bench)] == [("discarded", "olaf", "the office is closed")] * 2
    again = bench.run()
    assert again.totals == RunTotals(read=4, unchanged=1, quarantined=1, discarded=2)
    assert again.reasons == {"CHECK_FAILED": 1}
    assert [e.reason for e in bench.open_entries()] == ["CHECK_FAILED"]
    bench.write(BAD.replace("b,S,x", "b,S,xx"))
    assert bench.run().totals == RunTotals(read=4, unchanged=1, quarantined=2, discarded=1), "the row changed"
    bench.write(BAD)
    changed = make_plan(mapping_version="m2")
    assert bench.run(changed).totals == RunTotals(read=4, unchanged=1, quarantined=3), "a new mapping looks anew"
    assert bench.run().totals.discarded == 2, "and under the old one they are what they were"


def test_R22_a_row_that_is_mended_at_the_source_is_published_and_its_key_was_never_deleted(bench: Bench) -> None:
    bench.write(BAD.replace("b,S,x", "b,S,7"))
    bench.run()
    bench.write(BAD)
    bench.run()
    bench.discard()
    assert bench.run().totals == RunTotals(read=4, unchanged=1, discarded=3), "no tombstone for b"
    bench.write(BAD.replace("b,S,x", "b,S,8"))
    assert bench.run().totals == RunTotals(read=4, published=1, unchanged=1, discarded=2)


def test_R22_a_row_set_aside_that_left_the_source_is_not_closed_twice_and_comes_back_closed(bench: Bench) -> None:
    bench.write(BAD)
    bench.run()
    bench.discard()
    before = len(closings(bench))
    bench.write(HEAD + "a,N,5\n")
    assert bench.run().totals == RunTotals(read=1, unchanged=1)
    assert len(closings(bench)) == before
    bench.write(BAD)
    assert bench.run().totals == RunTotals(read=4, unchanged=1, discarded=3)


def test_R20_a_replay_does_not_open_what_was_set_aside_under_its_mapping(bench: Bench) -> None:
    bench.write(HEAD + "b,S,x\n")
    bench.run(make_plan())
    bench.discard()
    bench.run(make_plan(mapping_version="m2"))
    assert len(bench.open_entries()) == 1
    assert bench.replay(make_plan()).totals == RunTotals(read=1, discarded=1), "back under the first mapping"
    assert bench.open_entries() == []
    assert closings(bench)[-1].outcome == "superseded"


def test_what_a_replay_filters_out_is_not_set_aside_by_a_person(bench: Bench) -> None:
    bench.write(HEAD + "b,S,x\n")
    bench.run()
    without = make_plan(mapping=MappingSpec(fields=FIELDS, where="SEATS <> 'x'"), mapping_version="m2")
    assert bench.replay(without).totals == RunTotals(read=1, filtered=1)
    assert not closings(bench)[-1].set_aside
    assert bench.run().totals == RunTotals(read=1, quarantined=1)


def test_rows_that_could_not_be_split_are_set_aside_too_and_the_breaker_leaves_them_out(bench: Bench) -> None:
    plan = make_plan("append")
    plan = replace(plan, limits=replace(plan.limits, breaker_in_a_row=3))
    text = HEAD + "a,N,5\nb\nc\nd,N,x\n"
    bench.write(text)
    assert bench.run(plan).state == "paused"
    bench.discard(case_of(bench, "COLUMN_COUNT"))
    bench.write(text, "again.csv")
    again = bench.run(plan)
    assert (again.state, again.totals) == ("completed", RunTotals(read=4, published=1, quarantined=1, discarded=2))
    assert again.reasons == {"BAD_NUMBER": 1}


def test_G9_it_is_reconciled_and_neither_alerts_nor_metrics_count_it_as_open(bench: Bench) -> None:
    bench.write(BAD)
    bench.run()
    runs = RunHistory(bench.log)

    followed = index(bench)

    def told() -> list[str]:
        sums, rows = runs.sums(), {task: count for (_topic, task), count in followed.counts().items()}
        facts = Facts(
            samples=[sample(connectors={"branches": WELL})], last=sums.last, last_read=sums.last_read, open=rows
        )
        return [cause.kind for cause in causes(facts, Thresholds())]

    assert told() == ["quarantine_share"]
    bench.discard()
    assert told() == []
    bench.run()
    assert told() == []
    records = runs.runs()
    assert [(r.replay, r.discard, r.totals.difference) for r in records] == [
        (False, False, 0), (True, True, 0), (False, False, 0)
    ]  # fmt: skip
    assert runs.sums().quarantined == {
        ("city.culture.branch.v1", "BAD_NUMBER"): 2,
        ("city.culture.branch.v1", "CHECK_FAILED"): 1,
    }
    assert runs.sums().discarded == {("city.culture.branch.v1", "branches"): 3}
    assert (runs.last("branches") or records[1]).run == records[0].run, "it is no run of the connector"


def test_some_rows_of_a_case_by_their_places_and_who_did_it_by_case(bench: Bench) -> None:
    bench.write(BAD)
    bench.run()
    case = case_of(bench, "BAD_NUMBER")
    first, second = index(bench).chosen(case=case)
    bench.discard(case, first.offset, why="a test entry")
    followed = index(bench)
    assert [e.offset for e in followed.chosen(case=case)] == [second.offset]
    bench.discard(case, first.offset, second.offset, why="another one")
    assert [(one.why, one.count, one.case.id) for one in followed.set_aside(case)] == [
        ("another one", 1, case), ("a test entry", 1, case)
    ]  # fmt: skip
    assert bench.discard(case).totals == RunTotals(), "nothing is open any more, and nothing is done twice"
    assert len(closings(bench)) == 2


def test_positions_and_columns_of_the_source_stay_as_they_are(bench: Bench) -> None:
    plan = make_plan("append")
    bench.write(BAD)
    bench.run(plan)
    before = bench.log.checkpoint_of("branches")
    bench.discard()
    after = bench.log.checkpoint_of("branches")
    assert before is not None
    assert after is not None
    assert replace(after, batch=before.batch) == before
    assert after.batch > before.batch
    assert bench.run(plan).totals.read == 0


def test_R4_whoever_lost_the_task_sets_nothing_aside(bench: Bench) -> None:
    bench.write(BAD)
    bench.run()
    bench.log.open("branches", 99)
    with pytest.raises(Fenced):
        bench.discard()
    assert closings(bench) == []


KILLED = """
import sys
from pathlib import Path
from hub.pipeline import discard
from tests.support.nodes import until
from tests.support.projects import Bench
discard.CHUNK = 2
bench = Bench(Path(sys.argv[1]))
bench.epoch = int(sys.argv[2])
print(bench.discard().totals.discarded, flush=True)
"""


@pytest.mark.parametrize("failpoint", ["begin", "appended", "committed"])
def test_F1_killed_at_every_step_closes_each_row_once(tmp_path: Path, failpoint: str) -> None:
    bench = Bench(tmp_path)
    bench.write(HEAD + "".join(f"b{i},N,x\n" for i in range(5)))
    bench.run()
    bench.log.close()

    def child(epoch: int, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(epoch)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    killed = child(2, TEST_FAILPOINT=f"{failpoint}:kill@2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = child(3)
    assert done.stdout.strip() == ("1" if failpoint == "committed" else "3"), done.stderr
    again = Bench(tmp_path)
    found = Counter(key for key, _ in records_of(again.log, QUARANTINE))
    assert (len(found), set(found.values())) == (5, {2}), "an entry and one closing each"
    assert again.open_entries() == []
    assert sum(r.totals.discarded for r in RunHistory(again.log).runs()) == 5


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with Hub.open(load_settings(tmp_path, env={})) as made:
        made.supervisor.run_now(NAME)
        made.supervisor.wait(NAME, 60)
        yield made


def set_aside(hub: Hub, **asked: object) -> None:
    (started,) = hub.quarantine.discard(**{"case": None, "rows": (), "reason": "why not", "by": "olaf", **asked})  # type: ignore[arg-type]
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert (result.run_id, result.state, result.error) == (started["run"], "completed", None)


@pytest.mark.parametrize("state", ["PAUSED", "FAILED", "STOPPED", "RUNNING"])
def test_the_connectors_state_is_left_alone_and_its_file_may_be_broken(hub: Hub, state: str) -> None:
    (case,) = hub.quarantine.cases()
    hub.supervisor.set_state(NAME, state, reason="so", by="x")  # type: ignore[arg-type]
    (hub.settings.root / "schemas/culture/branch.avsc").write_text("{}") if state == "RUNNING" else None
    set_aside(hub, case=case["case"])
    assert hub.quarantine.cases() == []
    assert (hub.supervisor.status(NAME).state, hub.store.states.get(NAME).reason) == (state, "so")
    assert hub.store.leases.get(NAME).holder == NOBODY


def test_R35_a_reason_is_a_persons_text_and_rows_must_be_open(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    (case,) = hub.quarantine.cases()
    for reason in ("", "  ", "x" * 501, "a\x1bb", "a\u202eb"):
        with pytest.raises(ConfigurationInvalid, match="needs a reason"):
            hub.quarantine.discard(case=case["case"], rows=(), reason=reason)
    for asked in ({"case": "nothing", "rows": ()}, {"case": None, "rows": (10**6,)}, {"case": None, "rows": ()}):
        with pytest.raises(NotFound):
            hub.quarantine.discard(**asked, reason="r")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationInvalid, match="more than 1,000"):
        hub.quarantine.discard(case=None, rows=range(1_001), reason="r")
    (row,) = hub.quarantine.case(case["case"], 5)["rows"]
    set_aside(hub, rows=(row["id"],), reason=" canary of\n a person ")
    (aside,) = hub.quarantine.set_aside()
    assert (aside["why"], aside["by"], aside["count"]) == ("canary of a person", "olaf", 1)
    shown = hub.quarantine.case(case["case"], 5)
    assert (shown["count"], shown["rows"], shown["set_aside"]) == (0, [], [aside])
    with pytest.raises(NotFound):
        hub.quarantine.discard(case=case["case"], rows=(), reason="twice")
    printed = capfd.readouterr()
    assert "canary" not in printed.out + printed.err
    assert "discards" in printed.err


def test_R20_it_waits_for_a_run_as_a_replay_does(hub: Hub) -> None:
    (case,) = hub.quarantine.cases()
    lease = hub.store.leases.acquire(NAME, "another", 60_000)
    assert lease is not None
    with pytest.raises(Conflict, match="another worker runs"):
        hub.quarantine.discard(case=case["case"], rows=(), reason="r")
    hub.store.leases.release(lease)
    set_aside(hub, case=case["case"])


def test_F1_a_hub_that_was_killed_goes_on_with_it(hub: Hub) -> None:
    """What is left of it in the store is enough for the next process."""
    (case,) = hub.quarantine.cases()
    worker = hub.supervisor.worker
    assert worker is not None
    asked: list[Job] = []
    begun = worker.begin
    worker.begin = lambda row, job, **more: asked.append(job) or True  # type: ignore[func-returns-value, method-assign]
    (started,) = hub.quarantine.discard(case=case["case"], rows=(), reason="r", by="li.na")
    worker.begin = begun  # type: ignore[method-assign]
    assert hub.store.leases.acquire(NAME, "dead", 60_000, job=asked[0].to_text(), scheduled=False)
    hub.store.leases.abandon()
    hub.supervisor.start()
    until(lambda: not hub.quarantine.cases())
    (aside,) = hub.quarantine.set_aside()
    assert (aside["run"], aside["by"], aside["why"]) == (started["run"], "li.na", "r")


def test_a_closing_without_a_person_is_written_as_it_always_was() -> None:
    gone = Closing(id="i", task="t", outcome="gone", run="r", at=1)
    assert gone.to_json() == b'{"id":"i","task":"t","outcome":"gone","run":"r","at":1,"kind":"closing"}'
    aside = replace(gone, outcome="discarded", by="b", why="w")
    assert (parse(aside.to_json()), parse(gone.to_json())) == (aside, gone)
