"""What runs where: every node looks at the board that all share, and those that work take what is due (G7, G18).

States are those of Kafka Connect: RUNNING (wanted and well), PAUSED, STOPPED, FAILED. A person, or a run that hit the
breaker, changed columns or too many deletions, pauses a connector; an error that trying again cannot mend fails it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from hub.errors import Conflict, DatongError, NotFound, NoWorker
from hub.jitter import jittered
from hub.model import RunTotals
from hub.pipeline import due
from hub.pipeline.discard import Discarding
from hub.pipeline.jobs import Job, called, command, is_push
from hub.pipeline.known import BY_HAND, Known, KnownTasks, discards
from hub.pipeline.schedule import Schedule
from hub.pipeline.task import RunResult
from hub.pipeline.worker import Worker
from hub.store import Store
from hub.store.leases import TaskRow
from hub.store.nodes import Node, NodeSeen
from hub.store.states import ITSELF, State
from hub.store.store import Board

log = structlog.get_logger("datong.supervisor")


@dataclass(frozen=True, kw_only=True)
class SupervisorOptions:
    """How often to look."""

    tick_s: float = 1.0
    housekeeping_s: float = 3600.0  # between two rounds of retention and compaction (R8)
    alive_s: float = 20.0  # a node that gave no sign for so long is not counted on


@dataclass(frozen=True, kw_only=True)
class ConnectorStatus:
    """What an operator sees of one connector, whichever node runs it."""

    name: str
    state: State
    reason: str  # why it is not RUNNING; empty when it is
    by_itself: bool  # a run brought it there, not a person
    running: bool  # a run is under way
    worker: str | None  # the node that runs it
    run_id: str | None  # of the run under way or waited for, or of the last one
    unfinished: bool  # that run has not ended: it is under way, or waits for a worker
    outcome: Mapping[str, Any] | None  # how the last run ended, as `jobs.as_json` has it
    totals: RunTotals | None  # of the run so far, when it is this process that runs it
    next_run: datetime | None
    failures: int  # passing faults in a row: it is tried again
    away: str  # why its source does not answer the run under way, code and message, while it is asked again


class Supervisor:
    """Looks at the board, and lets its worker, if this node has one, do what is due. All methods are thread-safe."""

    def __init__(
        self,
        store: Store,
        node: Node,
        worker: Worker | None,
        *,
        clock_ms: Callable[[], int],
        options: SupervisorOptions,
        reload: Callable[[], None] = lambda: None,
        housekeeping: Callable[[], object] = lambda: None,
    ) -> None:
        """`reload`: another node was told that the configuration changed."""
        self.worker = worker
        self._store, self._node = store, node
        self._clock_ms, self._options = clock_ms, options
        self._reload, self._housekeeping = reload, housekeeping
        self._cleaned, self._beaten = time.monotonic(), float("-inf")
        self._tasks = KnownTasks()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._alone = NodeSeen(**vars(node), started_ms=clock_ms(), silent_ms=0)
        self._configuration = 0  # what was signalled before we read it is met by the first look

    @property
    def node_name(self) -> str:
        """This process, as leases name it."""
        return self._node.name

    @property
    def fenced(self) -> bool:
        """Did another worker take a task away from this one? Then this process is to end (R4)."""
        return self.worker is not None and self.worker.fenced.is_set()

    def watch(self, schedules: Mapping[str, Schedule], last_starts: Mapping[str, datetime]) -> None:
        """The tasks there are now. `last_starts`: of those that the store has not seen start."""
        self._tasks.watch(schedules, last_starts, self._store.board().now_ms)

    def reload_everywhere(self) -> None:
        """Every node reads the configuration again; this one at once. A run asked for after this meets the new one."""
        number = self._store.nodes.signal()
        self._reload()
        self._configuration = number

    def start(self) -> None:
        """Begin to look at the board, and be seen. Raises Retry when the store does not answer."""
        self._beat()
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Let every run finish its batch and stop; other workers go on at once. True when all did in time."""
        self._stop.set()
        deadline = time.monotonic() + timeout_s
        ended = self.worker is None or self.worker.drain(timeout_s, hand_over=self._thread is not None)
        if self._thread:
            self._thread.join(max(deadline - time.monotonic(), 1.0))
            self._thread = None
            try:
                self._store.nodes.leave(self._node.name)
            except DatongError as error:  # it will be seen to be silent
                log.info("the store does not hear that this node ends", error=error.message)
        return ended

    def nodes(self) -> Sequence[NodeSeen]:
        """The processes that take part, silent ones included until they are forgotten."""
        return self._store.nodes.all() if self._store.shared else [self._alone]

    def alive(self, node: NodeSeen) -> bool:
        """Did it give a sign of life lately?"""
        return node.silent_ms < self._options.alive_s * 1000

    def nodes_alive(self) -> Mapping[str, int]:
        """How many there are of each role."""
        return Counter(node.role for node in self.nodes() if self.alive(node))

    def names(self) -> Sequence[str]:
        """The connectors of the catalogue, sorted."""
        return [name for name in self._tasks.all() if not is_push(name)]

    def status(self, name: str, *, gone: bool = False) -> ConnectorStatus:
        """Raises NotFound; with `gone`, also of one that is not there any more, if it ever ran."""
        board = self._store.board()
        if gone and name in board.tasks and name not in self._tasks:
            return self._status(name, Known(schedule=BY_HAND, watched_ms=board.now_ms), board)
        return self._status(name, self._tasks.find(name), board)

    def statuses(self) -> Mapping[str, ConnectorStatus]:
        """Of every connector, all of one moment."""
        return {name: status for name, status in self.tasks().items() if not is_push(name)}

    def pushes(self) -> Mapping[str, ConnectorStatus]:
        """Of the task of every subscription, all of one moment."""
        return {name: status for name, status in self.tasks().items() if is_push(name)}

    def tasks(self) -> Mapping[str, ConnectorStatus]:
        """Of both, by the task's name."""
        board = self._store.board()
        return {name: self._status(name, one, board) for name, one in self._tasks.all().items()}

    def run_now(self, name: str, *, accept_deletions: bool = False, once: bool = False) -> str:
        """Start a run and return its id. Raises Conflict when one is under way or the connector is not to run."""
        self._tasks.find(name)
        state = self._store.states.get(name)
        if state.state in ("PAUSED", "STOPPED"):
            raise Conflict(
                f"{called(name)} is {state.state}" + (f": {state.reason}" if state.reason else ""),
                remedy=f"{command(name, 'resume')} first",
            )
        return self._begin(Job(name=name, accept_deletions=accept_deletions, once=once))

    def run_anew(self, name: str) -> str | None:
        """Let the job under way, wherever it is, end after its batch, and a run follow at once: both are on record in one
        step. The id of the job that ends; None when none is under way."""
        self._tasks.find(name)
        row = self._store.leases.get(name)
        if not row.held or not self._store.leases.ask_again(name, row.job):
            return None
        if self.worker:
            self.worker.stop(name, epoch=row.epoch)
        return Job.of(name, row.job).run_id

    def replay(self, name: str, case: str | None = None) -> str:
        """Start a replay of the open rows of quarantine, all or of one case, and return its run id (R20). Allowed in every
        state but while the connector runs."""
        if name not in self._tasks:
            raise NotFound(
                f"there is no {called(name)}, so its rows cannot be mapped again",
                remedy="mend its file (`datong validate`) or bring it back; rows that nobody needs any more are set aside "
                "with `datong quarantine discard`",
            )
        return self._begin(Job(name=name, replay=True, case=case))

    def discard(self, name: str, asked: Discarding) -> str:
        """Start to set open rows of quarantine aside, whenever a replay might start, and return its run id. Of a connector
        that is not there any more, too: whatever else waits of it would wait for ever, and makes room."""
        row = self._store.leases.get(name)
        if row.job and name not in self._tasks and not discards(row):
            self._store.leases.forget(name, job=True)
        return self._begin(Job(name=name, discard=asked))

    def reset(self, name: str, reason: str) -> str:
        """Set the checkpoint of a stopped connector back, under a lease of its own, and return the job's run id. Raises
        Conflict."""
        status = self.status(name)
        if status.state != "STOPPED" or status.running:
            raise Conflict(f"{called(name)} is {status.state}", remedy=f"{command(name, 'stop')} first")
        return self._begin(Job(name=name, reset=reason))

    def prepare(self, name: str, state: State, *, reason: str, by: str) -> None:
        """Give a connector a state before its file is there."""
        self._store.states.put(name, state, reason=reason, by=by, now_ms=self._clock_ms())

    def wait(self, name: str, timeout_s: float | None = None) -> RunResult | None:
        """The result of this process's run under way, or of its last one; None when there is none or the time is up."""
        return None if self.worker is None else self.worker.wait(name, timeout_s)

    def set_state(self, name: str, state: State, *, reason: str, by: str) -> None:
        """Pause, stop or resume. A run under way, wherever it is, finishes its batch first."""
        self._tasks.find(name)
        self._store.states.put(name, state, reason=reason, by=by, now_ms=self._clock_ms())
        self._store.leases.forget(name, job=state in ("PAUSED", "STOPPED"))
        if state in ("PAUSED", "STOPPED") and self.worker:
            self.worker.stop(name)

    def _begin(self, job: Job) -> str:
        """Here when this node works, else by whoever does."""
        row = self._store.leases.get(job.name)
        if self.worker is None:
            if not any(n.works and self.alive(n) for n in self.nodes()):
                raise NoWorker("no worker is there to run it", remedy="start one with `datong serve --role worker`")
            if not self._store.leases.request(job.name, job.to_text()):
                raise self._occupied(self._store.leases.get(job.name))
        elif row.job and not row.held and (self._thread is not None or self._store.shared):  # somebody will take it
            raise self._occupied(row)
        elif not self.worker.begin(row, job):
            raise self._occupied(self._store.leases.get(job.name))
        return job.run_id

    def _occupied(self, row: TaskRow) -> Conflict:
        if row.held:
            wait = f"wait, or {command(row.task, 'pause')}" if row.task in self._tasks else "wait until it has ended"
            return Conflict(
                f"another worker runs {called(row.task)}: {row.holder}",
                remedy=f"{wait}; a worker that is dead is replaced by itself",
            )
        return Conflict(f"a run of {called(row.task)} waits for a worker already", remedy="wait until one has taken it")

    def _status(self, name: str, known: Known, board: Board) -> ConnectorStatus:
        row, state = board.task(name), board.state(name)
        own = self.worker.running().get(name) if self.worker else None
        outcome = json.loads(row.outcome) if row.outcome else None
        job = own.job if own else Job.of(name, row.job) if row.job else None
        run_id = job.run_id if job else outcome["run"] if outcome else None
        alive = row.held and row.expires_ms > board.now_ms
        seen = known.seen(name, board)
        next_ms = due.when(seen) if state.state == "RUNNING" and not row.held else None
        return ConnectorStatus(
            name=name,
            state=state.state,
            reason=state.reason,
            by_itself=state.changed_by == ITSELF,
            running=own is not None or alive,
            worker=self._node.name if own else row.holder if alive else None,
            run_id=run_id,
            unfinished=job is not None,
            outcome=outcome,
            totals=own.totals if own else None,
            next_run=None if next_ms is None else datetime.fromtimestamp(next_ms / 1000, UTC),
            failures=row.failures,
            away=own.away if own else row.away if alive else "",
        )

    def _loop(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            try:
                self._tick()
                wait_s = jittered(self._options.tick_s, 0.75, 1.25)  # nodes do not march in step
                if time.monotonic() - self._cleaned >= self._options.housekeeping_s:
                    self._cleaned = time.monotonic()
                    self._housekeeping()
            except DatongError as error:
                log.error("tick failed", error=error.code, message=error.message)
                self._tasks.could_not_look()
                longer = min(max(wait_s, 0.1) * 2, self._slowest_s)
                wait_s = jittered(longer)
            except Exception:  # a bug of ours must not end the loop: leases would run out
                log.exception("tick failed")
                wait_s = self._slowest_s

    def _tick(self) -> None:
        if self.worker:
            self.worker.renew()
        board = self._store.board()
        if board.configuration > self._configuration:
            self._reload()
            self._configuration = board.configuration
        self._beat()
        self._tasks.look(board)
        if self.worker:
            self._obey(self.worker, board)
            self._start_due(self.worker, board)

    @property
    def _slowest_s(self) -> float:
        """Between two looks while the store does not answer."""
        return self.worker.options.longest_pause_s if self.worker else self._options.alive_s / 8

    def _beat(self) -> None:
        if self._store.shared and time.monotonic() - self._beaten >= self._options.alive_s / 4:
            self._store.nodes.beat(self._node)
            self._beaten = time.monotonic()

    def _obey(self, worker: Worker, board: Board) -> None:
        """Stop what was paused since it began or is to run anew, by whichever node, or is not in the catalogue any more. A
        replay or a reset may begin while its connector is paused."""
        for name, running in worker.running().items():
            if name not in self._tasks and not running.job.aside:
                worker.stop(name, why="gone")
            state = board.state(name)
            if running.state_mark is None:
                running.state_mark = state.changed_ms if running.job.aside else -1
            if state.state in ("PAUSED", "STOPPED") and state.changed_ms != running.state_mark:
                worker.stop(name)
            row = board.task(name)
            if row.held and row.due_ms is not None:  # somebody lets it run anew
                worker.stop(name, epoch=row.epoch)

    def _start_due(self, worker: Worker, board: Board) -> None:
        by = due.Measure(
            worker=worker.name,
            now_ms=board.now_ms,
            silent_s=worker.options.lease_s,
            grace_s=worker.options.grace_s,
        )
        busy = worker.running()
        ready = [seen for seen in self._tasks.to_do(board) if seen.row.task not in busy and due.starts(seen, by)]
        for seen in sorted(ready, key=lambda one: due.when(one) or 0):
            name = seen.row.task
            if self._stop.is_set():
                return
            if not worker.idle(name):
                if is_push(name):
                    worker.make_room()
                continue
            job = Job.of(name, seen.row.job) if seen.row.job else Job(name=name)
            with suppress(Conflict):  # a person was faster, here
                if worker.begin(seen.row, job, stale=seen.row.held) and seen.row.held:
                    log.warning("goes on with the run of a dead worker", connector=name, worker=seen.row.holder)
