"""Which task starts now, and where. Pure: what is known and what time it is are arguments.

The last worker of a task takes it again at once, the others wait a little: so it stays where it is while that worker is
well and idle, and moves when it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hub.pipeline.schedule import Schedule
from hub.store.leases import NOBODY, NOTHING, TaskRow
from hub.store.states import State

PATIENCE_MS = 3_000  # given to the task's last worker before another one takes it


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A task as a worker sees it."""

    row: TaskRow
    state: State
    schedule: Schedule
    watched_ms: int  # since when this node knows the connector
    started_ms: int | None  # last start of which only the history knows
    aside: bool  # the job that waits is no run of the connector, and may begin in every state
    unchanged_s: float  # for how long the row's lease has looked like this, by our own measure


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Who asks, when, and how long a holder may be silent."""

    worker: str
    now_ms: int  # by the store's clock
    silent_s: float  # a lease is as long
    grace_s: float  # a holder may come back for so long after we could not see it


def when(seen: Seen) -> int | None:
    """When the task is due by itself, ms; None: not by itself."""
    if seen.row.due_ms is not None:
        return seen.row.due_ms
    started = seen.row.started_ms if seen.row.started_ms is not None else seen.started_ms
    due = seen.schedule.due(
        last_start=None if started is None else _time(started), watched_since=_time(seen.watched_ms)
    )
    return None if due is None else int(due.timestamp() * 1000)


def starts(seen: Seen, by: Measure) -> bool:
    """Shall this worker start the task, or go on with its job, now?"""
    waits = seen.row.job != NOTHING
    if seen.state in ("PAUSED", "STOPPED") and not (waits and seen.aside):
        return False
    if seen.row.held:
        return gone(seen, by)
    due = when(seen)
    if due is None or (seen.state == "FAILED" and not waits):
        return False
    mine = seen.row.last_holder in (NOBODY, by.worker)
    return due + (0 if mine else PATIENCE_MS) <= by.now_ms


def gone(seen: Seen, by: Measure) -> bool:
    """Is the holder of the lease dead? It did not renew for a lease's length, or its lease ran out and it does not come."""
    expired = seen.row.expires_ms <= by.now_ms
    return seen.unchanged_s >= by.silent_s or (expired and seen.unchanged_s >= by.grace_s)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
