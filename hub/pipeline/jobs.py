"""One job of the supervisor from lease to result: build the task, run it, put the outcome on record."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from hub.errors import ColumnsChanged, DatongError
from hub.model import RunTotals
from hub.pipeline.manifest import RunState
from hub.pipeline.plan import TaskPlan
from hub.pipeline.quarantine import Entry
from hub.pipeline.replay import Replay
from hub.pipeline.task import Run, RunResult, Surroundings, record_failure
from hub.ports import Log, Source
from hub.store.leases import Lease


@dataclass
class Job:
    """A run or a replay that was asked for."""

    name: str
    accept_deletions: bool = False
    entries: tuple[Entry, ...] | None = None  # a replay of these
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    stop: threading.Event = field(default_factory=threading.Event)
    lease: Lease | None = None


class Builder(Protocol):
    """Turns a connector's name into a plan and a source. The catalogue's and the kinds' side of a job."""

    def plan(self, name: str) -> TaskPlan:
        """Registers the schema and ensures the topic. Raises ConfigurationInvalid, SchemaIncompatible, NotFound."""

    def source(self, name: str, plan: TaskPlan) -> Source:
        """Opens the connector's source."""


class JobRunner:
    """Executes jobs. Safe from many threads; the supervisor keeps two jobs of one task apart."""

    def __init__(
        self,
        builder: Builder,
        log: Log,
        clock_ms: Callable[[], int],
        *,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._builder, self._log, self._clock_ms, self._ended = builder, log, clock_ms, ended

    def execute(self, job: Job, epoch: int, progress: Callable[[RunTotals], None]) -> RunResult:
        """Run to the end. Every DatongError becomes a result; anything else is a bug and is raised."""
        try:
            plan = self._builder.plan(job.name)
        except DatongError as error:
            return _failed(job, error)
        if job.accept_deletions:
            plan = replace(plan, limits=replace(plan.limits, deletions_share=1.0))
        around = Surroundings(
            reader=self._log, clock_ms=self._clock_ms, epoch=epoch, progress=progress, run_id=job.run_id
        )
        try:
            return self._execute(job, plan, around)
        finally:
            self._ended()

    def _execute(self, job: Job, plan: TaskPlan, around: Surroundings) -> RunResult:
        try:
            with ExitStack() as held:
                if job.entries is not None:
                    writer = held.enter_context(closing(self._log.open(plan.connector, around.epoch)))
                    return Replay(plan, writer, around).execute(job.entries, job.stop)
                source = held.enter_context(closing(self._builder.source(job.name, plan)))
                writer = held.enter_context(closing(self._log.open(plan.connector, around.epoch)))
                return Run(plan, source, writer, around).execute(job.stop)
        except DatongError as error:
            return self._recorded(job, plan, around, error)

    def _recorded(self, job: Job, plan: TaskPlan, around: Surroundings, error: DatongError) -> RunResult:
        state: RunState = "paused" if isinstance(error, ColumnsChanged) else "failed"
        try:
            with closing(self._log.open(plan.connector, around.epoch)) as writer:
                return record_failure(plan, writer, around, error, state=state)
        except DatongError:  # the log itself is the trouble: the first error is the one to tell
            return replace(_failed(job, error), state=state)


def _failed(job: Job, error: DatongError) -> RunResult:
    return RunResult(run_id=job.run_id, state="failed", totals=RunTotals(), reasons={}, warnings={}, error=error)
