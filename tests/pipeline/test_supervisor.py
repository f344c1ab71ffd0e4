"""Schedules, retries, pauses, leases and housekeeping, on a real hub (G7, G18, R8)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.app import Hub, now
from hub.cli.main import run as command
from hub.errors import Conflict, Fenced, NotFound, SourceUnavailable
from hub.model import Checkpoint, RunTotals
from hub.pipeline.jobs import Job
from hub.pipeline.manifest import Manifest
from hub.pipeline.quarantine import Entry
from hub.pipeline.schedule import Schedule
from hub.settings import load_settings
from hub.store.engine import writing
from hub.store.tables import tasks
from tests.support.projects import make_project

NAME = "city-library-branches"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub.open(load_settings(make_project(tmp_path), env={})) as made:
        yield made


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_due_connector_runs_by_itself_once(hub: Hub) -> None:
    hub.supervisor._options = replace(hub.supervisor._options, tick_s=0.02, housekeeping_s=0.0)
    cleaned: list[int] = []
    hub.supervisor._housekeeping = lambda: cleaned.append(1)
    hub.supervisor.start()
    until(lambda: hub.history.last(NAME) is not None and not hub.supervisor.status(NAME).running)
    until(lambda: bool(cleaned))
    assert len(hub.history.runs(NAME)) == 1
    due = hub.supervisor.status(NAME).next_run
    assert due is not None
    assert timedelta(minutes=59) < due - now() < timedelta(minutes=61)


def test_G18_a_source_that_is_away_is_tried_again_later(hub: Hub) -> None:
    file = hub.settings.root / "data/branches.csv"
    content = file.read_text()
    file.unlink()
    hub.supervisor.run_now(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert isinstance(result.error, SourceUnavailable)
    until(lambda: not hub.supervisor.status(NAME).running)
    status = hub.supervisor.status(NAME)
    assert status.state == "RUNNING"
    assert status.next_run is not None
    assert status.next_run - now() < timedelta(seconds=5)
    file.write_text(content)
    hub.supervisor._options = replace(hub.supervisor._options, tick_s=0.02)
    hub.supervisor.start()
    until(lambda: (last := hub.history.last(NAME)) is not None and last.state == "completed")


def test_R13_changed_columns_pause_and_resuming_goes_on(hub: Hub) -> None:
    file = hub.settings.root / "data/branches.csv"
    content = file.read_text()
    file.write_text(content.replace("Seats", "Chairs"))
    hub.supervisor.run_now(NAME)
    hub.supervisor.wait(NAME, 60)
    until(lambda: hub.supervisor.status(NAME).state == "PAUSED")
    assert "Seats" in hub.supervisor.status(NAME).reason
    with pytest.raises(Conflict):
        hub.supervisor.run_now(NAME)
    file.write_text(content)
    hub.steer(NAME, "resume")
    hub.supervisor.run_now(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert result.totals.published == 3


def test_R13_a_new_column_is_told_by_the_api_and_by_commands(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    root, loaded = hub.settings.root, hub.loaded
    file = root / "data/branches.csv"
    hub.supervisor.run_now(NAME)
    hub.supervisor.wait(NAME, 60)
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{head},Canteen", *[f"{row},canary" for row in rows]]) + "\n")
    hub.close()
    assert command(["run", "--project", str(root)]) == 0
    assert "a new column in the source, ignored: `Canteen`" in capsys.readouterr().out
    assert command(["connector", "show", NAME, "--project", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "ignored: `Canteen`" in shown
    assert "canary" not in shown
    with Hub.open(loaded) as again:
        newest, before = again.views.runs(NAME, 2)
        assert (newest["notes"], before["notes"]) == (["a new column in the source, ignored: `Canteen`"], [])


def test_G7_a_task_that_another_worker_holds_does_not_start(hub: Hub) -> None:
    assert hub.store.leases.acquire(NAME, "somebody else", 60_000) is not None
    with pytest.raises(Conflict, match=r"another worker.*somebody else"):
        hub.supervisor.run_now(NAME)
    with pytest.raises(NotFound):
        hub.supervisor.run_now("nobody")


def quick(hub: Hub) -> None:
    hub.supervisor._options = replace(hub.supervisor._options, tick_s=0.02)


def test_G18_a_run_whose_process_died_is_gone_on_with_at_the_next_start(hub: Hub) -> None:
    """With the same id, with what was asked for, and without waiting for the dead one's lease."""
    job = Job(name=NAME, accept_deletions=True)
    assert hub.store.leases.acquire(NAME, "a process that was killed", 3_600_000, job=job.to_text()) is not None
    loaded = hub.loaded
    hub.close()
    with Hub.open(loaded) as again:
        status = again.supervisor.status(NAME)
        assert (status.running, status.unfinished, status.run_id) == (False, True, job.run_id)
        quick(again)
        again.supervisor.start()
        until(lambda: not again.supervisor.status(NAME).unfinished)
        assert again.views.run(NAME, job.run_id, 0)["state"] == "completed"
        assert [run.run for run in again.history.runs(NAME)] == [job.run_id]


def test_a_command_that_was_interrupted_leaves_nothing_to_be_gone_on_with(hub: Hub) -> None:
    hub.supervisor.run_now(NAME)
    hub.supervisor.drain(60)  # before or after its end
    row = hub.store.leases.get(NAME)
    assert (row.held, row.job, row.due_ms) == (False, "", None)


def test_G7_a_node_that_serves_hands_its_run_over_when_it_ends(hub: Hub) -> None:
    hub.supervisor.set_state(NAME, "STOPPED", reason="not by itself", by="test")
    quick(hub)
    hub.supervisor.start()
    hub.supervisor.set_state(NAME, "RUNNING", reason="", by="test")
    worker = hub.supervisor.worker
    assert worker is not None
    until(lambda: bool(worker.running()) or hub.history.last(NAME) is not None)
    hub.supervisor.drain(60)
    row = hub.store.leases.get(NAME)
    assert not row.held
    assert (row.job == "") == (json.loads(row.outcome)["state"] == "completed" if row.outcome else False)


def test_G18_what_failed_is_tried_again_by_whoever_is_there_then(hub: Hub) -> None:
    """How often it failed and when it is due again outlive the process."""
    file = hub.settings.root / "data/branches.csv"
    content = file.read_text()
    file.unlink()
    for failures in (1, 2):
        hub.supervisor.run_now(NAME)
        hub.supervisor.wait(NAME, 60)
        row = hub.store.leases.get(NAME)
        assert (row.failures, row.due_ms is not None) == (failures, True)
    file.write_text(content)
    loaded = hub.loaded
    hub.close()
    with Hub.open(loaded) as again:
        assert again.supervisor.status(NAME).next_run is not None
        quick(again)
        again.supervisor.start()
        until(lambda: (last := again.history.last(NAME)) is not None and last.state == "completed")
        until(lambda: again.store.leases.get(NAME).failures == 0)


def test_R4_a_store_that_is_older_than_the_log_fails_the_task_and_says_so(hub: Hub) -> None:
    """It came from a backup: its epochs are lower than those the log has seen. Nobody took over, so the node stays."""
    hub.log.open(NAME, 99).close()
    hub.supervisor.run_now(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert isinstance(result.error, Fenced)
    assert hub.supervisor.status(NAME).state == "FAILED"
    assert "older than 99" in hub.supervisor.status(NAME).reason
    assert "older backup" in hub.supervisor.status(NAME).reason
    assert not hub.supervisor.fenced
    hub.steer(NAME, "resume")
    hub.supervisor.run_now(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert (result.state, hub.store.leases.get(NAME).epoch) == ("completed", 100)


def test_R4_a_worker_whose_lease_was_taken_changes_nothing_and_is_to_end(hub: Hub) -> None:
    taken = threading.Event()

    def take(_task: str, _case: str | None) -> list[Entry]:
        """In the middle of its run: somebody takes the task."""
        lease = hub.store.leases.get(NAME)
        with writing(hub.store.engine) as connection:
            connection.execute(sa.update(tasks).values(holder="another", epoch=lease.epoch + 1))
        taken.set()
        return []

    worker = hub.supervisor.worker
    assert worker is not None
    worker._runner._rows = take
    hub.supervisor.replay(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert taken.is_set()
    assert hub.supervisor.fenced
    assert hub.store.leases.get(NAME).holder == "another"
    assert hub.store.states.get(NAME).state == "RUNNING"


def test_a_hub_by_itself_is_one_node(hub: Hub) -> None:
    (node,) = hub.views.nodes()
    assert (node["role"], node["alive"], node["runs"]) == ("all", True, [])
    assert hub.supervisor.nodes_alive() == {"all": 1}


def test_a_run_that_was_cut_short_is_not_shown_as_running_for_ever(hub: Hub) -> None:
    hub.supervisor.run_now(NAME)
    first = hub.supervisor.wait(NAME, 60)
    assert first is not None
    manifest = Manifest(
        run="cut", task=NAME, topic="city-library.culture.branch.v1", epoch=9, batch=1, batch_id="x",
        totals=RunTotals(), at=1, started=1,
    )  # fmt: skip
    writer = hub.log.open(NAME, 9)
    writer.append([manifest.to_block()], Checkpoint(source=None, batch=1))
    shown = hub.views.run(NAME, "cut", 0)
    assert (shown["state"], shown["exit_code"], "without a word" in shown["error"]) == ("failed", 1, True)
    assert {run["run"]: run["state"] for run in hub.views.runs(NAME, 10)} == {
        "cut": "failed",
        first.run_id: "completed",
    }


START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "last", "due"),
    [
        (Schedule(kind="manual"), None, None),
        (Schedule(kind="once"), None, START),
        (Schedule(kind="once"), START, None),
        (Schedule(kind="interval", every=timedelta(minutes=15)), None, START),
        (Schedule(kind="interval", every=timedelta(minutes=15)), START, START + timedelta(minutes=15)),
        (Schedule(kind="cron", cron="0 3 * * *"), None, datetime(2026, 11, 25, 3, 0, tzinfo=UTC)),
        (Schedule(kind="cron", cron="0 3 * * *"), START, datetime(2026, 11, 25, 3, 0, tzinfo=UTC)),
    ],
)
def test_when_a_task_is_due(schedule: Schedule, last: datetime | None, due: datetime | None) -> None:
    assert schedule.due(last_start=last, watched_since=START) == due
