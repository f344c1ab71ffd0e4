"""Schedules, retries, pauses, leases and housekeeping, on a real hub (G7, G18, R8)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.app import Hub, now
from hub.cli.templates import FILES
from hub.errors import Conflict, NotFound, SourceUnavailable
from hub.pipeline.schedule import Schedule
from hub.settings import load_settings

NAME = "city-library-branches"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with Hub.open(load_settings(tmp_path, env={})) as made:
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


def test_G7_a_task_that_another_worker_holds_does_not_start(hub: Hub) -> None:
    ms = int(now().timestamp() * 1000)
    assert hub.store.leases.acquire(NAME, "somebody else", ms, 60_000) is not None
    with pytest.raises(Conflict, match="another worker"):
        hub.supervisor.run_now(NAME)
    with pytest.raises(NotFound):
        hub.supervisor.run_now("nobody")


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
