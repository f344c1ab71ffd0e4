"""Leases: at most one worker runs a task, and each new one gets a higher epoch (G7, R4).

Every method is one SQL statement, so two processes cannot both win. A lease that ran out by the clock may still be
renewed as long as nobody took it: fencing rests on the epoch, never on the clock (G19).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hub.store.engine import insert, reading, writing
from hub.store.tables import leases

NOBODY = ""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run `task` until `expires_ms`, or until a higher epoch exists."""

    task: str
    epoch: int
    holder: str
    expires_ms: int  # ms since 1970 UTC


class Leases:
    """The leases of all tasks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def acquire(self, task: str, holder: str, now_ms: int, ttl_ms: int) -> Lease | None:
        """Take a task that is free or whose lease ran out, with a new epoch; None while somebody has it."""
        new = insert(self._engine, leases).values(task=task, epoch=1, holder=holder, expires_at=now_ms + ttl_ms)
        taken = new.on_conflict_do_update(
            index_elements=[leases.c.task],
            set_={"epoch": leases.c.epoch + 1, "holder": holder, "expires_at": now_ms + ttl_ms},
            where=sa.or_(leases.c.holder == NOBODY, leases.c.expires_at <= now_ms),
        ).returning(leases.c.epoch)
        with writing(self._engine) as connection:
            epoch = connection.scalar(taken)
        if epoch is None:
            return None
        return Lease(task=task, epoch=epoch, holder=holder, expires_ms=now_ms + ttl_ms)

    def renew(self, lease: Lease, now_ms: int, ttl_ms: int) -> Lease | None:
        """The same lease for longer; None when somebody else has it or it was given back."""
        longer = sa.update(leases).where(*_is(lease)).values(expires_at=now_ms + ttl_ms).returning(leases.c.epoch)
        with writing(self._engine) as connection:
            kept = connection.scalar(longer) is not None
        return replace(lease, expires_ms=now_ms + ttl_ms) if kept else None

    def release(self, lease: Lease) -> bool:
        """Give it back; the epoch stays. False when it was not held any more. May be repeated."""
        given = sa.update(leases).where(*_is(lease)).values(holder=NOBODY, expires_at=0).returning(leases.c.epoch)
        with writing(self._engine) as connection:
            return connection.scalar(given) is not None

    def get(self, task: str) -> Lease | None:
        """Who has it, expired or not; None when nobody."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(leases).where(leases.c.task == task)).one_or_none()
        if row is None or row.holder == NOBODY:
            return None
        return Lease(task=task, epoch=row.epoch, holder=row.holder, expires_ms=row.expires_at)


def _is(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return leases.c.task == lease.task, leases.c.epoch == lease.epoch, leases.c.holder == lease.holder
