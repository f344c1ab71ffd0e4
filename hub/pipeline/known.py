"""The tasks that a node knows of: those of the catalogue, and what a connector that is gone has left to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub.errors import NotFound
from hub.pipeline import due
from hub.pipeline.jobs import Job, called, is_push
from hub.pipeline.schedule import Schedule
from hub.store.leases import NOTHING, TaskRow
from hub.store.store import Board

BY_HAND = Schedule(kind="manual")


@dataclass
class Known:
    """A task, and how long its lease has looked the same to us."""

    schedule: Schedule
    watched_ms: int
    started_ms: int | None = None  # from the history
    lease: tuple[int, str, int] = (0, "", 0)  # epoch, holder, expiry
    since: float = field(default_factory=time.monotonic)

    def seen(self, name: str, board: Board) -> due.Seen:
        """The task as this node sees it."""
        row = board.task(name)
        return due.Seen(
            row=row,
            state=board.state(name).state,
            schedule=self.schedule,
            watched_ms=self.watched_ms,
            started_ms=self.started_ms,
            aside=row.job != NOTHING and Job.of(name, row.job).aside,
            unchanged_s=time.monotonic() - self.since,
        )


class KnownTasks:
    """By name. All methods are thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}  # the catalogue's
        self._orphans: dict[str, Known] = {}  # of which a job is to be done still
        self._lock = threading.Lock()

    def watch(self, schedules: Mapping[str, Schedule], last_starts: Mapping[str, datetime], now_ms: int) -> None:
        """The catalogue's tasks as they are now. `last_starts`: of those that the store has not seen start."""
        with self._lock:
            for name, schedule in schedules.items():
                known = self._known.setdefault(name, Known(schedule=schedule, watched_ms=now_ms))
                known.schedule = schedule
                if known.started_ms is None and name in last_starts:
                    known.started_ms = int(last_starts[name].timestamp() * 1000)
            self._known = {name: self._known[name] for name in schedules}

    def __contains__(self, name: str) -> bool:
        """Is it the catalogue's?"""
        with self._lock:
            return name in self._known

    def all(self) -> Mapping[str, Known]:
        """The catalogue's, sorted."""
        with self._lock:
            return dict(sorted(self._known.items()))

    def find(self, name: str) -> Known:
        """One of the catalogue's. Raises NotFound."""
        with self._lock:
            try:
                return self._known[name]
            except KeyError:
                kind = "subscription" if is_push(name) else "connector"
                raise NotFound(f"there is no {called(name)}", remedy=f"`datong {kind} list` names them") from None

    def to_do(self, board: Board) -> list[due.Seen]:
        """All that this node may start, as it sees it."""
        with self._lock:
            return [known.seen(name, board) for name, known in self._all().items()]

    def look(self, board: Board) -> None:
        """Note since when each lease has looked the same, and what a connector that is gone has left to do."""
        left = [name for name, row in board.tasks.items() if discards(row)]
        with self._lock:
            self._orphans = {
                name: self._orphans.get(name) or Known(schedule=BY_HAND, watched_ms=board.now_ms)
                for name in left
                if name not in self._known
            }
            for name, known in self._all().items():
                row = board.task(name)
                lease = (row.epoch, row.holder, row.expires_ms)
                if lease != known.lease:
                    known.lease, known.since = lease, time.monotonic()

    def could_not_look(self) -> None:
        """A holder that lives is given time to show it."""
        with self._lock:
            for known in self._all().values():
                known.since = time.monotonic()

    def _all(self) -> Mapping[str, Known]:
        return {**self._orphans, **self._known}


def discards(row: TaskRow) -> bool:
    """Is what it does, or what waits, to set rows aside? Of all jobs that alone needs no connector."""
    return row.job != NOTHING and Job.of(row.task, row.job).discard is not None
