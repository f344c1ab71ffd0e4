"""One job of a worker from lease to result: build the task, run it, put the outcome on record."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

from hub.errors import ColumnsChanged, DatongError
from hub.model import RunTotals
from hub.pipeline.discard import Discard, Discarding
from hub.pipeline.followers import Open
from hub.pipeline.manifest import RunState
from hub.pipeline.plan import TaskPlan
from hub.pipeline.quarantine import Entry
from hub.pipeline.record_ids import RecordIds
from hub.pipeline.replay import Replay
from hub.pipeline.task import Run, RunResult, Surroundings, record_failure, reset_checkpoint
from hub.ports import Away, Log, Remembered, Source

PUSHED = "subscription/"  # tasks of subscriptions are named so; no connector's name has a slash


def task_of(subscription: str) -> str:
    """The task that pushes a subscription."""
    return PUSHED + subscription


def is_push(task: str) -> bool:
    """Does it push a subscription? Else it runs a connector."""
    return task.startswith(PUSHED)


def called(task: str) -> str:
    """For people: `connector NAME` or `subscription NAME`."""
    return f"subscription {task.removeprefix(PUSHED)}" if is_push(task) else f"connector {task}"


def command(task: str, verb: str) -> str:
    """The command that steers it."""
    kind, name = called(task).split(" ", 1)
    return f"`datong {kind} {verb} {name}`"


@dataclass
class Job:
    """A run or a replay that was asked for, is due, or is gone on with after its worker ended."""

    name: str
    accept_deletions: bool = False
    replay: bool = False  # of open rows of quarantine, instead of reading the source
    case: str | None = None  # of a replay: these rows only
    discard: Discarding | None = None  # open rows of quarantine that are set aside, instead of a run
    once: bool = False  # of a subscription: end when it has caught up
    reset: str | None = None  # why its checkpoint is set back, instead of a run
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    stop: threading.Event = field(default_factory=threading.Event)
    turn: threading.Event = field(
        default_factory=threading.Event
    )  # of a subscription: another one waits for its thread
    why: Literal["", "pause", "drain", "lost", "gone"] = ""  # it was stopped
    away: DatongError | None = None  # why its source does not answer, while it is asked again

    def source_is_away(self, why: DatongError | None) -> None:
        """The source is asked again; None: it answers."""
        self.away = why

    def to_text(self) -> str:
        """What another worker must know to go on with it."""
        told = {"run": self.run_id, "accept_deletions": self.accept_deletions, "replay": self.replay, "case": self.case}
        told |= {"once": True} if self.once else {}
        told |= {"reset": self.reset} if self.reset is not None else {}
        told |= {"discard": self.discard.to_json()} if self.discard is not None else {}
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def of(cls, name: str, text: str) -> Job:
        """The inverse of `to_text`."""
        told: dict[str, Any] = json.loads(text)
        return cls(
            name=name,
            run_id=told["run"],
            accept_deletions=told["accept_deletions"],
            replay=told["replay"],
            case=told["case"],
            once=told.get("once", False),
            reset=told.get("reset"),
            discard=Discarding.of(told["discard"]) if "discard" in told else None,
        )

    @property
    def aside(self) -> bool:
        """It is no run of the connector: its schedule does not count it, and it may begin while the connector is not to
        run."""
        return self.replay or self.reset is not None or self.discard is not None


class Runner(Protocol):
    """Executes jobs of one kind of task. Safe from many threads."""

    def execute(self, job: Job, epoch: int, progress: Callable[[RunTotals], None]) -> RunResult:
        """Run to the end. Every DatongError becomes a result; anything else is a bug and is raised."""


class Builder(Protocol):
    """Turns a connector's name into a plan and a source. The catalogue's and the kinds' side of a job."""

    def plan(self, name: str) -> TaskPlan:
        """Registers the schema and ensures the topic. Raises ConfigurationInvalid, SchemaIncompatible, NotFound."""

    def source(self, name: str, plan: TaskPlan, remembered: Remembered, away: Away) -> Source:
        """Opens the connector's source."""


class JobRunner:
    """Executes jobs. Safe from many threads; leases keep two jobs of one task apart."""

    def __init__(
        self,
        builder: Builder,
        log: Log,
        clock_ms: Callable[[], int],
        *,
        rows: Callable[[str, str | None], Sequence[Entry]] = lambda _task, _case: (),
        chosen: Callable[[str, str | None, Collection[int]], Sequence[Open]] = lambda _task, _case, _rows: (),
        polled: Callable[[str, float], None] = lambda _task, _seconds: None,
    ) -> None:
        """`rows` gives the open rows of quarantine of a task, all or of one case, and `chosen` the same without their data, or
        some of them by their places; `polled` is told how long a source took to give each batch."""
        self._polled, self._chosen = polled, chosen
        self._builder, self._log, self._clock_ms, self._rows = builder, log, clock_ms, rows

    def execute(self, job: Job, epoch: int, progress: Callable[[RunTotals], None]) -> RunResult:
        """Run to the end. Every DatongError becomes a result; anything else is a bug and is raised."""
        around = Surroundings(
            reader=self._log,
            clock_ms=self._clock_ms,
            epoch=epoch,
            progress=progress,
            polled=lambda seconds: self._polled(job.name, seconds),
            run_id=job.run_id,
        )
        try:
            if job.discard is not None:
                return self._discard(job, job.discard, around)
            plan = self._builder.plan(job.name)
        except DatongError as error:
            return _failed(job, error)
        if job.accept_deletions:
            plan = replace(plan, limits=replace(plan.limits, deletions_share=1.0))
        return self._execute(job, plan, around)

    def _discard(self, job: Job, asked: Discarding, around: Surroundings) -> RunResult:
        with closing(self._log.open(job.name, around.epoch)) as writer:
            wanted = partial(self._chosen, job.name, asked.case, asked.rows)
            return Discard(job.name, writer, around, asked).execute(wanted, job.stop)

    def _execute(self, job: Job, plan: TaskPlan, around: Surroundings) -> RunResult:
        try:
            with ExitStack() as held:
                if job.reset is not None:
                    writer = held.enter_context(closing(self._log.open(plan.connector, around.epoch)))
                    return reset_checkpoint(plan, writer, around, job.reset)
                if job.replay:
                    writer = held.enter_context(closing(self._log.open(plan.connector, around.epoch)))
                    return Replay(plan, writer, around).execute(self._rows(job.name, job.case), job.stop)
                ids = RecordIds(plan.connector)
                source = held.enter_context(
                    closing(self._builder.source(job.name, plan, ids.known, job.source_is_away))
                )
                writer = held.enter_context(closing(self._log.open(plan.connector, around.epoch)))
                return Run(plan, source, writer, around, ids).execute(job.stop)
        except DatongError as error:
            return self._recorded(job, plan, around, error)

    def _recorded(self, job: Job, plan: TaskPlan, around: Surroundings, error: DatongError) -> RunResult:
        state: RunState = "paused" if isinstance(error, ColumnsChanged) else "failed"
        try:
            with closing(self._log.open(plan.connector, around.epoch)) as writer:
                return record_failure(plan, writer, around, error, state=state)
        except DatongError:  # the log itself is the trouble: the first error is the one to tell
            return replace(_failed(job, error), state=state)


def as_json(result: RunResult) -> dict[str, Any]:
    """How a run ended, as every node shows it."""
    changed = result.error if isinstance(result.error, ColumnsChanged) and result.error.missing else None
    return {
        "run": result.run_id,
        "state": result.state,
        "totals": vars(result.totals),
        "reasons": dict(result.reasons),
        "warnings": dict(result.warnings),
        "notes": list(result.notes),
        "error": result.error.told if result.error else "",
        **({"columns": {"missing": list(changed.missing), "there": list(changed.there)}} if changed else {}),
    }


def _failed(job: Job, error: DatongError) -> RunResult:
    return RunResult(run_id=job.run_id, state="failed", totals=RunTotals(), reasons={}, warnings={}, error=error)
