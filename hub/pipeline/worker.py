"""Jobs under leases, in threads: taken, renewed, and given back with what is to come of the task (G7, G18)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import structlog

from hub.errors import Conflict, DatongError, Fenced, Reject, Retry
from hub.jitter import jittered
from hub.model import RunTotals
from hub.pipeline.jobs import Job, JobRunner, Runner, as_json, called, command, is_push
from hub.pipeline.task import RunResult
from hub.store import Store
from hub.store.leases import Ending, Lease, TaskRow
from hub.store.states import ITSELF, State, StateChange

FOREIGN = (
    "was the store restored from an older backup, or does another hub use the same log? When you know that no other does, "
    "{command} goes on under a higher epoch"
)
MOST_TOLD = 1_000  # characters of why a source does not answer
log = structlog.get_logger("datong.worker")


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How many jobs at once, and how long things may take."""

    threads: int = 4
    pushes: int = 32  # subscriptions at once, besides
    turn_s: float = 30.0  # a push that ran for so long makes room for one that waits
    lease_s: float = 20.0  # a worker that is silent for so long is dead to the others
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    retries: int = 8  # in a row, then the task is FAILED

    @property
    def renew_s(self) -> float:
        """Between two renewals."""
        return self.lease_s / 4

    @property
    def grace_s(self) -> float:
        """What a holder is given to show that it lives, after the store was away for all."""
        return self.lease_s / 2

    @property
    def longest_pause_s(self) -> float:
        """Between two attempts to reach the store: several fit into the grace."""
        return min(5.0, self.lease_s / 8)


@dataclass
class Running:
    """A job of this process."""

    job: Job
    lease: Lease
    failures: int  # passing faults before it
    totals: RunTotals = field(default_factory=RunTotals)
    began: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    told: str = ""  # to the other nodes: why its source does not answer
    state_mark: int | None = None  # the change of the connector's state that this job began under
    settling: bool = False  # it has ended, and its lease is being given back
    done: Future[RunResult] = field(default_factory=Future)

    @property
    def away(self) -> str:
        """Why its source does not answer, while it is asked again."""
        away = self.job.away
        return away.told.replace("\0", "�")[:MOST_TOLD] if away else ""


class Worker:
    """Owns the threads in which jobs run. All methods are thread-safe."""

    def __init__(
        self,
        name: str,
        runner: JobRunner,
        store: Store,
        clock_ms: Callable[[], int],
        options: WorkerOptions,
        pusher: Runner | None = None,
    ) -> None:
        """`pusher` runs the tasks of subscriptions, in threads of their own: they wait for news most of the time."""
        self.name, self.options = name, options
        self.fenced = threading.Event()  # somebody took a task away from us: this process is to end (R4)
        self._pusher: Runner = pusher or runner
        self._runner, self._store, self._clock_ms = runner, store, clock_ms
        self._running: dict[str, Running] = {}
        self._last: dict[str, RunResult] = {}
        self._lock = threading.Lock()
        self._beginning = threading.Lock()
        self._draining = threading.Event()
        self._over = threading.Event()  # nothing is waited for any more
        self._hands_over = False
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="task")
        self._pushers = ThreadPoolExecutor(options.pushes, thread_name_prefix="push")

    def idle(self, task: str) -> bool:
        """Is a thread free for it?"""
        push = is_push(task)
        busy = sum(is_push(other) == push for other in self.running())
        return busy < (self.options.pushes if push else self.options.threads)

    def make_room(self) -> None:
        """The push that ran longest ends, if it had its turn; its subscription is due again behind those that wait."""
        pushes = [one for one in self.running().values() if is_push(one.job.name) and not one.job.turn.is_set()]
        if len(pushes) < self.options.pushes:
            return  # another one is ending
        longest = min(pushes, key=lambda one: one.began)
        if time.monotonic() - longest.began >= self.options.turn_s:
            longest.job.turn.set()

    def running(self) -> Mapping[str, Running]:
        """The jobs of this process by task."""
        with self._lock:
            return dict(self._running)

    def begin(self, row: TaskRow, job: Job, *, stale: bool = False) -> bool:
        """Take the task as it was seen and start the job; False when it changed meanwhile, or somebody has it."""
        with self._beginning:
            if self._draining.is_set():
                raise Conflict("the hub is shutting down")
            if job.name in self._running:
                raise Conflict(
                    f"{called(job.name)} is running already", remedy=f"wait, or {command(job.name, 'pause')}"
                )
            lease = self._store.leases.acquire(
                job.name,
                self.name,
                self._ttl_ms,
                job=job.to_text(),
                scheduled=not job.aside,
                seen=row,
                stale=stale,
            )
            if lease is None:
                return False
            running = Running(job=job, lease=lease, failures=row.failures)
            with self._lock:
                self._running[job.name] = running
            (self._pushers if is_push(job.name) else self._pool).submit(self._run, running)
            return True

    def renew(self) -> None:
        """Renew the leases that are due for it, or have something to tell. A job whose lease is lost stops."""
        for running in self.running().values():
            asked, away = time.monotonic(), running.away
            if running.settling or (asked - running.renewed < self.options.renew_s and away == running.told):
                continue
            if self._store.leases.renew(running.lease, self._ttl_ms, away=away):
                running.renewed, running.told = asked, away
            elif not running.settling:
                self._lose(running)

    def stop(self, name: str, *, epoch: int | None = None, why: Literal["pause", "gone"] = "pause") -> None:
        """A person paused it, or it is `gone` from the catalogue: it finishes its batch. With `epoch`, only what runs under
        that lease."""
        running = self.running().get(name)
        if running and epoch in (None, running.lease.epoch):
            running.job.why = running.job.why or why
            running.job.stop.set()

    def wait(self, name: str, timeout_s: float | None = None) -> RunResult | None:
        """The result of the job under way, or of the last one; None when the time is up or there was none."""
        running = self.running().get(name)
        if running is None:
            return self._last.get(name)
        try:
            return running.done.result(timeout_s)
        except NotYet:
            return None

    def drain(self, timeout_s: float, *, hand_over: bool) -> bool:
        """Let every job finish its batch and stop. True when all did in time. With `hand_over`, others go on at once."""
        deadline = time.monotonic() + timeout_s
        self._hands_over = hand_over
        self._draining.set()
        with self._beginning:  # who is past the look at `_draining` is in `_running` now
            jobs = self.running().values()
        for running in jobs:
            running.job.why = running.job.why or "drain"
            running.job.stop.set()
        while (left := self.running()) and time.monotonic() < deadline:
            with suppress(Retry):
                self.renew()  # who drains for longer than a lease keeps it
            wait([one.done for one in left.values()], 0.2)
        ended = not self.running()
        self._over.set()
        for pool in (self._pool, self._pushers):
            pool.shutdown(wait=ended, cancel_futures=True)
        return ended

    @property
    def _ttl_ms(self) -> int:
        return int(self.options.lease_s * 1000)

    def _run(self, running: Running) -> None:
        name = running.job.name
        result = self._execute(running)
        log.info(
            "run ended",
            connector=name,
            run=result.run_id,
            state=result.state,
            error=result.error.code if result.error else None,
            **{k: v for k, v in vars(result.totals).items() if v},
        )
        try:
            self._settle(running, result)
        finally:
            with self._lock:
                del self._running[name]
                self._last[name] = result
            running.done.set_result(result)

    def _execute(self, running: Running) -> RunResult:
        job = running.job

        def progress(totals: RunTotals) -> None:
            running.totals = totals

        try:
            runner = self._pusher if is_push(job.name) else self._runner
            return runner.execute(job, running.lease.epoch, progress)
        except Exception as error:  # a bug of ours must fail this task, never the hub
            log.exception("run failed", connector=job.name)
            failure = error if isinstance(error, DatongError) else DatongError(f"unexpected {type(error).__name__}")
            return RunResult(
                run_id=job.run_id, state="failed", totals=running.totals, reasons={}, warnings={}, error=failure
            )

    def _settle(self, running: Running, result: RunResult) -> None:
        """Give the lease back, for as long as it takes the store to hear it; a lost one changes nothing."""
        running.settling = True
        ending, change = self._ending(running, result)
        pause = 0.1
        while True:
            try:
                held = self._store.settle(running.lease, ending, change)
            except Retry as error:
                log.warning("the store does not hear how a run ended", connector=running.job.name, error=error.message)
                if self._over.wait(jittered(pause)):
                    return
                pause = min(pause * 2, self.options.longest_pause_s)
            except DatongError as error:
                log.error("a run cannot be put on record", connector=running.job.name, error=str(error))
                return
            else:
                if not held:
                    self._lose(running)
                return

    def _lose(self, running: Running) -> None:
        if running.job.why != "lost":
            log.error("another worker took over", connector=running.job.name, epoch=running.lease.epoch)
        running.job.why = "lost"
        running.job.stop.set()
        self.fenced.set()

    def _ending(self, running: Running, result: RunResult) -> tuple[Ending, StateChange | None]:
        """What is to come of the task, and of its connector's state."""
        error, job = result.error, running.job
        outcome = json.dumps(as_json(result), ensure_ascii=False, separators=(",", ":")).replace("\\u0000", "�")
        if error is None and result.state == "stopped" and job.why == "drain" and self._hands_over:
            return Ending(job=job.to_text(), due_in_ms=0, failures=running.failures), None
        if error is None and result.state == "stopped" and job.why == "gone":
            return Ending(due_in_ms=0, failures=running.failures, outcome=outcome), None  # it goes on when it is back
        if job.discard is not None and not isinstance(
            error, Fenced
        ):  # says nothing of whether the connector is well, nor of when it is due
            return Ending(due_in_ms=0 if running.failures else None, failures=running.failures, outcome=outcome), None
        if error is None:
            return Ending(outcome=outcome), self._change(job.name, "RUNNING", "", only_from="FAILED")
        moved = is_push(job.name) and result.totals.read  # what it pushed, it need not push again
        before = 0 if moved else running.failures
        if isinstance(error, Retry) and (error.patient or before < self.options.retries):
            failures = before + 1
            wait_s = min(self.options.retry_first_s * 2 ** (failures - 1), self.options.retry_most_s)
            wait_s = jittered(wait_s)
            return Ending(due_in_ms=int(wait_s * 1000), failures=failures, outcome=outcome), None
        paused = result.state == "paused" or isinstance(error, Reject)
        if isinstance(error, Fenced):  # counts only if the lease is ours still: then no other worker fenced us
            foreign = FOREIGN.format(command=command(job.name, "resume"))
            reason = f"{error.message}, but no worker of this store has it: {foreign}"
            return Ending(outcome=outcome, epoch=error.newest), self._change(job.name, "FAILED", reason)
        return Ending(outcome=outcome), self._change(job.name, "PAUSED" if paused else "FAILED", str(error))

    def _change(self, name: str, state: State, reason: str, *, only_from: State | None = None) -> StateChange:
        return StateChange(
            connector=name, state=state, reason=reason, by=ITSELF, now_ms=self._clock_ms(), only_from=only_from
        )
