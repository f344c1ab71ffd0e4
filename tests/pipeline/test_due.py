"""Which worker starts what, and when: requests, schedules, retries, hand-overs and dead holders (G7, G18, F5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hub.pipeline.due import PATIENCE_MS, Measure, Seen, starts, when
from hub.pipeline.schedule import Schedule
from hub.store.leases import TaskRow

NOW = 1_700_000_000_000
BY = Measure(worker="me", now_ms=NOW, silent_s=20.0, grace_s=10.0)
HOURLY = Schedule(kind="interval", every=timedelta(hours=1))
FRESH = Seen(
    row=TaskRow(task="t"), state="RUNNING", schedule=HOURLY, watched_ms=NOW, started_ms=None, aside=False,
    unchanged_s=0.0,
)  # fmt: skip
RAN = replace(FRESH, row=TaskRow(task="t", epoch=1, started_ms=NOW - 3_600_000, last_holder="me"))
ASKED = replace(FRESH, row=TaskRow(task="t", job="{}", due_ms=NOW), schedule=Schedule(kind="manual"))
HELD = replace(FRESH, row=TaskRow(task="t", epoch=3, holder="other", expires_ms=NOW + 1, job="{}"))


def row(seen: Seen, **changes: object) -> Seen:
    return replace(seen, row=replace(seen.row, **changes))  # type: ignore[arg-type] # as given


def test_a_task_is_due_by_schedule_by_request_and_by_retry() -> None:
    assert starts(FRESH, BY)
    assert starts(RAN, BY)
    assert not starts(row(RAN, started_ms=NOW - 3_599_999), BY)
    assert starts(ASKED, BY)
    assert starts(row(RAN, started_ms=NOW, due_ms=NOW - 1), BY)
    assert not starts(row(RAN, due_ms=NOW + 1), BY)
    assert not starts(replace(FRESH, schedule=Schedule(kind="manual")), BY)


def test_what_only_the_history_knows_counts_until_the_store_knows_better() -> None:
    assert when(replace(FRESH, started_ms=NOW)) == NOW + 3_600_000
    assert when(replace(RAN, started_ms=NOW)) == NOW


@pytest.mark.parametrize("state", ["PAUSED", "STOPPED", "FAILED"])
def test_a_connector_that_is_not_to_run_is_not_started_by_itself(state: str) -> None:
    for seen in (FRESH, RAN, row(RAN, due_ms=NOW)):
        assert not starts(replace(seen, state=state), BY)  # type: ignore[arg-type] # parametrized
    asked = replace(ASKED, state=state)  # type: ignore[arg-type] # parametrized
    assert starts(asked, BY) == (state == "FAILED")
    assert starts(replace(asked, aside=True), BY), "a replay runs in every state (R20)"


def test_F5_the_last_worker_of_a_task_goes_first() -> None:
    others = row(RAN, last_holder="other")
    assert starts(RAN, BY)
    assert not starts(others, BY)
    assert not starts(others, replace(BY, now_ms=NOW + PATIENCE_MS - 1))
    assert starts(others, replace(BY, now_ms=NOW + PATIENCE_MS))
    assert starts(row(ASKED, last_holder=""), BY), "a hand-over names nobody"


def test_G7_a_holder_is_dead_when_it_was_silent_for_a_lease() -> None:
    assert not starts(HELD, BY)
    assert not starts(replace(HELD, unchanged_s=19.9), BY)
    assert starts(replace(HELD, unchanged_s=20.0), BY), "whatever the clock says (G19)"


def test_G18_a_lease_that_ran_out_while_nobody_could_look_is_left_to_its_holder_for_a_moment() -> None:
    expired = row(HELD, expires_ms=NOW)
    assert not starts(expired, BY)
    assert not starts(replace(expired, unchanged_s=9.9), BY)
    assert starts(replace(expired, unchanged_s=10.0), BY)
    assert not starts(replace(expired, unchanged_s=60.0, state="PAUSED"), BY)
