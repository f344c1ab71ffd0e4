"""Leases: at most one worker runs a task, and each new one gets a higher epoch (G7, R4).

Taking, renewing and giving back are one SQL statement each, so two processes cannot both win, and every time in them is
the database's (`hub.store.clock`): the processes' own clocks may differ. A lease that ran out may still be renewed as long
as nobody took it: fencing rests on the epoch, never on the clock (G19).

The row of a task also says what is to be done: the job under way (so that another worker can go on with it), a request of
an operator, or when a fault is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from hub.store.clock import StoreClock
from hub.store.engine import insert, reading, writing
from hub.store.tables import tasks

NOBODY, NOTHING = "", ""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run `task` until `expires_ms`, or until a higher epoch exists."""

    task: str
    epoch: int
    holder: str
    expires_ms: int  # ms since 1970 UTC


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """A task as the store has it. One that was never run has the defaults."""

    task: str
    epoch: int = 0
    holder: str = NOBODY
    expires_ms: int = 0
    last_holder: str = NOBODY
    job: str = NOTHING  # what runs or is to be gone on with
    due_ms: int | None = None  # start then, before its schedule; of a task that is held: `ask_again`
    started_ms: int | None = None  # last start that counts for the schedule
    failures: int = 0  # passing faults in a row
    outcome: str = NOTHING  # how the last run ended
    away: str = NOTHING  # of a task that is held: why its source does not answer, while it is asked again

    @property
    def held(self) -> bool:
        """Somebody has the lease, in time or not."""
        return self.holder != NOBODY


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What stays of a task when its lease is given back."""

    job: str = NOTHING  # to be gone on with by whoever is first; nothing = done
    due_in_ms: int | None = None  # due again then; None = by its schedule, or at once where `ask_again` was heard
    failures: int = 0
    outcome: str = NOTHING  # nothing = as it was
    epoch: int = 0  # the next one is higher than this, too


class Leases:
    """The leases of all tasks."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def acquire(
        self,
        task: str,
        holder: str,
        ttl_ms: int,
        *,
        job: str = NOTHING,
        scheduled: bool = True,
        seen: TaskRow | None = None,
        stale: bool = False,
    ) -> Lease | None:
        """Take a task that is free or whose lease ran out, with a new epoch; None while somebody has it.

        With `seen`, only if nothing happened to the task since it was read so. `stale`: the holder of `seen` did not
        renew for as long as it may by our own measure, so the lease counts as run out whatever the clock says.
        """
        now = self._clock.now
        held = {
            "holder": holder,
            "last_holder": holder,
            "expires_at": now + ttl_ms,
            "job": job,
            "due_at": None,
            "away": NOTHING,
        }
        held |= {"started_at": now} if scheduled else {}
        new = insert(self._engine, tasks).values(
            **{"task": task, "epoch": 1, "failures": 0, "outcome": NOTHING, "started_at": None, **held}
        )
        free = [tasks.c.holder == NOBODY, tasks.c.expires_at <= now]
        same = []
        if seen is not None:
            same = [tasks.c.epoch == seen.epoch, tasks.c.job == seen.job]
            free += [tasks.c.expires_at == seen.expires_ms] if stale else []
        taken = new.on_conflict_do_update(
            index_elements=[tasks.c.task],
            set_={**held, "epoch": tasks.c.epoch + 1},
            where=sa.and_(sa.or_(*free), *same),
        ).returning(tasks.c.epoch, tasks.c.expires_at)
        with writing(self._engine) as connection:
            row = connection.execute(taken).one_or_none()
        return None if row is None else Lease(task=task, epoch=row.epoch, holder=holder, expires_ms=row.expires_at)

    def renew(self, lease: Lease, ttl_ms: int, *, away: str = NOTHING) -> Lease | None:
        """The same lease for longer, and why its source does not answer; None when somebody else has it or it was given
        back."""
        longer = sa.update(tasks).where(*_is(lease)).values(expires_at=self._clock.now + ttl_ms, away=away)
        with writing(self._engine) as connection:
            expires_ms = connection.scalar(longer.returning(tasks.c.expires_at))
        return None if expires_ms is None else replace(lease, expires_ms=expires_ms)

    def release(self, lease: Lease, ending: Ending | None = None) -> bool:
        """Give it back; the epoch stays. False when it was not held any more. May be repeated."""
        with writing(self._engine) as connection:
            return self.release_on(connection, lease, ending or Ending())

    def release_on(self, connection: Connection, lease: Lease, ending: Ending) -> bool:
        """The same in a transaction of the caller's."""
        values = {
            "holder": NOBODY,
            "expires_at": 0,
            "job": ending.job,
            "due_at": tasks.c.due_at if ending.due_in_ms is None else self._clock.now + ending.due_in_ms,
            "failures": ending.failures,
            "away": NOTHING,
        }
        values |= {"last_holder": NOBODY} if ending.job else {}
        values |= {"outcome": ending.outcome} if ending.outcome else {}
        values |= {"epoch": ending.epoch} if ending.epoch > lease.epoch else {}
        given = sa.update(tasks).where(*_is(lease)).values(**values).returning(tasks.c.epoch)
        return connection.scalar(given) is not None

    def request(self, task: str, job: str) -> bool:
        """Ask whoever works for a job, now. False while a job of this task runs or waits."""
        wanted = {"job": job, "due_at": self._clock.now}
        row = {"task": task, "epoch": 0, "holder": NOBODY, "expires_at": 0, "last_holder": NOBODY, "failures": 0}
        new = insert(self._engine, tasks).values(**row, **wanted, outcome=NOTHING)
        asked = new.on_conflict_do_update(
            index_elements=[tasks.c.task], set_=wanted, where=sa.and_(tasks.c.holder == NOBODY, tasks.c.job == NOTHING)
        ).returning(tasks.c.task)
        with writing(self._engine) as connection:
            return connection.scalar(asked) is not None

    def ask_again(self, task: str, job: str) -> bool:
        """Ask the holder to end this job, after which the task is due at once. False when that job is under way no more."""
        again = sa.update(tasks).where(tasks.c.task == task, tasks.c.holder != NOBODY, tasks.c.job == job)
        with writing(self._engine) as connection:
            asked = connection.scalar(again.values(due_at=self._clock.now).returning(tasks.c.task))
        return asked is not None

    def forget(self, task: str, *, job: bool) -> None:
        """Passing faults are forgotten; with `job`, so is what waits: a request, or the job of a dead holder."""
        which = [tasks.c.holder == NOBODY, tasks.c.job == NOTHING]
        values: dict[str, object] = {"due_at": None, "failures": 0}
        if job:
            which = [sa.or_(tasks.c.holder == NOBODY, tasks.c.expires_at <= self._clock.now)]
            values |= {"holder": NOBODY, "expires_at": 0, "job": NOTHING, "away": NOTHING}
        with writing(self._engine) as connection:
            connection.execute(sa.update(tasks).where(tasks.c.task == task, *which).values(**values))

    def abandon(self) -> None:
        """No process but this one uses the store: whoever held a lease is dead, and its job is to be gone on with."""
        free = {"holder": NOBODY, "expires_at": 0, "last_holder": NOBODY, "due_at": self._clock.now, "away": NOTHING}
        with writing(self._engine) as connection:
            connection.execute(sa.update(tasks).where(tasks.c.holder != NOBODY).values(**free))

    def get(self, task: str) -> TaskRow:
        """One task as it is now."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(tasks).where(tasks.c.task == task)).one_or_none()
        return TaskRow(task=task) if row is None else _task(row)

    def all_on(self, connection: Connection) -> tuple[int, Mapping[str, TaskRow]]:
        """The time of the clock, and every task that was ever run or asked for."""
        now_ms: int = connection.execute(sa.select(self._clock.now)).scalar_one()
        rows: Sequence[Row[tuple[object, ...]]] = connection.execute(sa.select(tasks)).all()
        return now_ms, {row.task: _task(row) for row in rows}


def _is(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return tasks.c.task == lease.task, tasks.c.epoch == lease.epoch, tasks.c.holder == lease.holder


def _task(row: Row[tuple[object, ...]]) -> TaskRow:
    return TaskRow(
        task=row.task,
        epoch=row.epoch,
        holder=row.holder,
        expires_ms=row.expires_at,
        last_holder=row.last_holder,
        job=row.job,
        due_ms=row.due_at,
        started_ms=row.started_at,
        failures=row.failures,
        outcome=row.outcome,
        away=row.away,
    )
