"""Tasks that are due get a lease, a thread and a run; what ends badly is retried, paused or failed (G7, G8, G18).

States are those of Kafka Connect: RUNNING (wanted and well), PAUSED, STOPPED, FAILED. A person, or a run that hit the
breaker, changed columns or too many deletions, pauses a connector; an error that trying again cannot mend fails it.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog

from hub.errors import Conflict, DatongError, Fenced, NotFound, Reject, Retry
from hub.model import RunTotals
from hub.pipeline.jobs import Job, JobRunner
from hub.pipeline.quarantine import Entry
from hub.pipeline.schedule import Schedule
from hub.pipeline.task import RunResult
from hub.store.leases import Lease, Leases
from hub.store.states import ConnectorStates

State = Literal["RUNNING", "PAUSED", "STOPPED", "FAILED"]
log = structlog.get_logger("datong.supervisor")


@dataclass(frozen=True, kw_only=True)
class SupervisorOptions:
    """How many tasks at once, and how long things may take."""

    workers: int = 4
    lease_ttl_s: float = 30.0
    tick_s: float = 1.0
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    retries: int = 8  # in a row, then the task is FAILED
    housekeeping_s: float = 3600.0  # between two rounds of retention and compaction (R8)


@dataclass(frozen=True, kw_only=True)
class ConnectorStatus:
    """What an operator sees of one connector."""

    name: str
    state: State
    reason: str  # why it is not RUNNING; empty when it is
    running: bool  # a run is under way
    run_id: str | None  # of that run, or the last
    totals: RunTotals  # of that run so far
    next_run: datetime | None


@dataclass
class _Task:
    """The supervisor's own book on one connector."""

    schedule: Schedule
    watched_since: datetime
    last_start: datetime | None = None
    retry_at: datetime | None = None
    failures: int = 0
    job: Job | None = None
    done: Future[RunResult] | None = None
    totals: RunTotals = field(default_factory=RunTotals)
    run_id: str | None = None
    last: RunResult | None = None


class Supervisor:
    """Owns the threads in which tasks run. All methods are thread-safe."""

    def __init__(
        self,
        runner: JobRunner,
        leases: Leases,
        states: ConnectorStates,
        *,
        clock: Callable[[], datetime],
        options: SupervisorOptions,
        housekeeping: Callable[[], object] = lambda: None,
    ) -> None:
        self._runner, self._leases, self._states = runner, leases, states
        self._clock, self._options = clock, options
        self._housekeeping = housekeeping
        self._cleaned = time.monotonic()
        self._holder = uuid.uuid4().hex
        self._tasks: dict[str, _Task] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="task")
        self._thread: threading.Thread | None = None

    def watch(self, schedules: Mapping[str, Schedule], last_starts: Mapping[str, datetime]) -> None:
        """The connectors there are now. Those that are gone are forgotten once their run ends."""
        with self._lock:
            for name, schedule in schedules.items():
                task = self._tasks.get(name)
                if task is None:
                    task = self._tasks[name] = _Task(schedule=schedule, watched_since=self._clock())
                    task.last_start = last_starts.get(name)
                task.schedule = schedule
            for name in set(self._tasks) - set(schedules):
                if self._tasks[name].job is None:
                    del self._tasks[name]

    def start(self) -> None:
        """Begin to look at schedules."""
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Let every run finish its batch and stop. True when all did in time."""
        self._stop.set()
        with self._lock:
            running = [t for t in self._tasks.values() if t.job]
            for task in running:
                if task.job:
                    task.job.stop.set()
        if self._thread:
            self._thread.join(timeout_s)
        deadline = threading.Event()
        for task in running:
            if task.done:
                try:
                    task.done.result(timeout_s)
                except Exception:
                    deadline.set()  # its own error is in its history; here only "not in time" matters
        self._pool.shutdown(wait=not deadline.is_set(), cancel_futures=True)
        return not deadline.is_set()

    def names(self) -> Sequence[str]:
        """The connectors that are watched, sorted."""
        with self._lock:
            return sorted(self._tasks)

    def status(self, name: str) -> ConnectorStatus:
        """Raises NotFound."""
        with self._lock:
            task = self._task(name)
            state = self._states.get(name)
            return ConnectorStatus(
                name=name,
                state=state.state,
                reason=state.reason,
                running=task.job is not None,
                run_id=task.run_id,
                totals=task.totals,
                next_run=self._due(name, task),
            )

    def run_now(self, name: str, *, accept_deletions: bool = False) -> str:
        """Start a run and return its id. Raises Conflict when one is under way or the connector is not to run."""
        with self._lock:
            task = self._task(name)
            state = self._states.get(name)
            if state.state in ("PAUSED", "STOPPED"):
                raise Conflict(
                    f"connector {name} is {state.state}" + (f": {state.reason}" if state.reason else ""),
                    remedy=f"`datong connector resume {name}` first",
                )
            return self._begin(name, task, Job(name=name, accept_deletions=accept_deletions))

    def replay(self, name: str, entries: Sequence[Entry]) -> str:
        """Start a replay of quarantined rows and return its run id (R20). Allowed in every state but while it runs."""
        with self._lock:
            return self._begin(name, self._task(name), Job(name=name, entries=tuple(entries)))

    def wait(self, name: str, timeout_s: float | None = None) -> RunResult | None:
        """The result of the run under way, or of the last one; None when the time is up."""
        with self._lock:
            done = self._task(name).done
        if done is None:
            return self._task(name).last
        try:
            return done.result(timeout_s)
        except TimeoutError:
            return None

    def set_state(self, name: str, state: State, *, reason: str, by: str) -> None:
        """Pause, stop or resume. A run under way finishes its batch first."""
        with self._lock:
            task = self._task(name)
            self._states.put(name, state, reason=reason, by=by, now_ms=self._ms())
            task.failures, task.retry_at = 0, None
            if state in ("PAUSED", "STOPPED") and task.job:
                task.job.stop.set()

    def _task(self, name: str) -> _Task:
        try:
            return self._tasks[name]
        except KeyError:
            raise NotFound(f"there is no connector {name}", remedy="`datong connector list` names them") from None

    def _ms(self) -> int:
        return int(self._clock().timestamp() * 1000)

    def _due(self, name: str, task: _Task) -> datetime | None:
        if self._states.get(name).state != "RUNNING":
            return None
        return task.retry_at or task.schedule.due(last_start=task.last_start, watched_since=task.watched_since)

    def _loop(self) -> None:
        while not self._stop.wait(self._options.tick_s):
            try:
                self._tick()
                if time.monotonic() - self._cleaned >= self._options.housekeeping_s:
                    self._cleaned = time.monotonic()
                    self._housekeeping()
            except DatongError as error:
                log.error("tick failed", error=error.code, message=error.message)

    def _tick(self) -> None:
        now = self._clock()
        with self._lock:
            for name, task in list(self._tasks.items()):
                if task.job is not None:
                    self._renew(task.job)
                    continue
                due = self._due(name, task)
                if due is not None and due <= now:
                    self._begin(name, task, Job(name=name))

    def _renew(self, job: Job) -> None:
        if job.lease and not self._leases.renew(job.lease, self._ms(), int(self._options.lease_ttl_s * 1000)):
            log.error("lease lost", connector=job.name)
            job.stop.set()

    def _begin(self, name: str, task: _Task, job: Job) -> str:
        if task.job is not None:
            raise Conflict(f"connector {name} is running already", remedy=f"wait, or `datong connector pause {name}`")
        if self._stop.is_set():
            raise Conflict("the hub is shutting down")
        lease = self._leases.acquire(name, self._holder, self._ms(), int(self._options.lease_ttl_s * 1000))
        if lease is None:
            raise Conflict(f"another worker runs connector {name}", remedy="wait until its lease ends")
        job.lease = lease
        task.job, task.run_id, task.totals = job, job.run_id, RunTotals()
        task.last_start = self._clock()
        task.retry_at = None
        task.done = self._pool.submit(self._run, name, task, job, lease)
        return job.run_id

    def _run(self, name: str, task: _Task, job: Job, lease: Lease) -> RunResult:
        def progress(totals: RunTotals) -> None:
            task.totals = totals

        try:
            result = self._runner.execute(job, lease.epoch, progress)
        except Exception as error:  # a bug of ours must fail this task, never the hub
            log.exception("run failed", connector=name)
            failure = error if isinstance(error, DatongError) else DatongError(f"unexpected {type(error).__name__}")
            result = RunResult(
                run_id=job.run_id, state="failed", totals=task.totals, reasons={}, warnings={}, error=failure
            )
        with self._lock:
            self._leases.release(lease)
            task.job, task.last, task.totals = None, result, result.totals
            self._settle(name, task, result)
        return result

    def _settle(self, name: str, task: _Task, result: RunResult) -> None:
        error = result.error
        log.info(
            "run ended",
            connector=name,
            run=result.run_id,
            state=result.state,
            error=error.code if error else None,
            **{k: v for k, v in vars(result.totals).items() if v},
        )
        if error is None:
            task.failures = 0
            if self._states.get(name).state == "FAILED":
                self._states.put(name, "RUNNING", reason="", by="supervisor", now_ms=self._ms())
        elif isinstance(error, Retry) and task.failures < self._options.retries:
            task.failures += 1
            wait = min(self._options.retry_first_s * 2 ** (task.failures - 1), self._options.retry_most_s)
            wait *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter against herds, not a secret
            task.retry_at = datetime.fromtimestamp(self._clock().timestamp() + wait, UTC)
        else:
            state: State = "PAUSED" if result.state == "paused" or isinstance(error, Reject) else "FAILED"
            if isinstance(error, Fenced):
                state = "FAILED"
            self._states.put(name, state, reason=str(error), by="supervisor", now_ms=self._ms())
