"""Wrong passwords by name and network, for all nodes alike (S27).

Who guesses waits where he guesses from; the person who is meant goes on elsewhere. What many networks guess at one name is
counted besides, far more patiently, and makes those wait alone from which nobody of this name has logged in yet. Names that
nobody has are counted as all others, so that waiting does not tell who there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from hub.store.clock import StoreClock
from hub.store.engine import insert, reading
from hub.store.tables import guesses, people

ALL = "*"  # stands for every network from which nobody of the name has logged in
FORGOTTEN_MS = 24 * 3600_000  # after the last wrong password
KNOWN_MS = 90 * 24 * 3600_000  # after the last log-in
MOST_KNOWN = 20  # networks of a person
MOST_UNKNOWN = 200  # of a name
SWEPT = 1_000  # rows at a time
MOST = 10_000  # rows of networks that are not known, and of names that nobody has


@dataclass(frozen=True, kw_only=True)
class Lock:
    """From so many wrong passwords on there is a wait, each time for twice as long."""

    after: int
    first_ms: int
    longest_ms: int

    def wait_ms(self, failures: int) -> int:
        """0: none."""
        return 0 if failures < self.after else min(self.first_ms << min(failures - self.after, 30), self.longest_ms)


class Guesses:
    """All of a store. Methods with a connection are parts of the caller's transaction."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def wait_ms(self, name: str, network: str, connection: Connection | None = None) -> int:
        """How long nobody may try this name from there; 0 = now."""
        if connection is None:
            with reading(self._engine) as own:
                return self.wait_ms(name, network, own)
        wait = (guesses.c.locked_until - self._clock.now).label("wait")
        rows = connection.execute(
            sa.select(guesses.c.network, guesses.c.known_at, wait).where(
                guesses.c.name == name, guesses.c.network.in_((network, ALL))
            )
        ).all()
        known = any(row.known_at for row in rows)
        return max([0, *(int(row.wait) for row in rows if row.network == network or not known)])

    def failed(self, connection: Connection, name: str, network: str, here: Lock, anywhere: Lock) -> None:
        """One more wrong password. While there is a wait none counts: a burst of them is one."""
        self._forget(connection)
        if self.wait_ms(name, network, connection):
            return
        known = self._count(connection, name, network, here)
        if known == 0:
            self._count(connection, name, ALL, anywhere)
        self._bound(connection, name)

    def right(self, connection: Connection, name: str, network: str) -> None:
        """Somebody of this name has logged in from there."""
        now = self._clock.now
        row = insert(self._engine, guesses).values(
            name=name, network=network, failures=0, locked_until=0, seen_at=now, known_at=now
        )
        same = {"failures": 0, "locked_until": 0, "seen_at": now, "known_at": now}
        connection.execute(row.on_conflict_do_update(index_elements=[guesses.c.name, guesses.c.network], set_=same))
        known = sa.and_(guesses.c.name == name, guesses.c.known_at > 0)
        self._keep_newest(connection, known, MOST_KNOWN)

    def pardon(self, connection: Connection, name: str, *, networks: bool) -> None:
        """No wait any more. `networks`: nor is any network known, for the password is another one."""
        mine = guesses.c.name == name
        connection.execute(sa.delete(guesses).where(mine if networks else sa.and_(mine, guesses.c.known_at == 0)))
        connection.execute(sa.update(guesses).where(mine).values(failures=0, locked_until=0))

    def waits(self) -> sa.Subquery:
        """Who waits to log in by a name: so many `networks`, the longest for `networks_ms`, and for `elsewhere_ms` all from
        which nobody of the name has logged in. Names for which nobody waits are not there."""
        left, everywhere = guesses.c.locked_until - self._clock.now, guesses.c.network == ALL
        return (
            sa.select(
                guesses.c.name,
                sa.func.sum(sa.case((everywhere, 0), else_=1)).label("networks"),
                sa.func.max(sa.case((everywhere, 0), else_=left)).label("networks_ms"),
                sa.func.max(sa.case((everywhere, left), else_=0)).label("elsewhere_ms"),
            )
            .where(left > 0)
            .group_by(guesses.c.name)
            .subquery("waits")
        )

    def _count(self, connection: Connection, name: str, network: str, lock: Lock) -> int | None:
        """Since when the network is known, 0 = it is not; None: others locked it meanwhile, and it did not count."""
        now, at = self._clock.now, (guesses.c.name == name, guesses.c.network == network)
        row = insert(self._engine, guesses).values(
            name=name, network=network, failures=1, locked_until=0, seen_at=now, known_at=0
        )
        more = row.on_conflict_do_update(
            index_elements=[guesses.c.name, guesses.c.network],
            set_={"failures": guesses.c.failures + 1, "seen_at": now},
            where=guesses.c.locked_until <= now,
        ).returning(guesses.c.failures, guesses.c.known_at)
        found = connection.execute(more).one_or_none()
        if found is None:
            return None
        wait = lock.wait_ms(found.failures)
        if wait:
            connection.execute(sa.update(guesses).where(*at).values(locked_until=now + wait))
        return int(found.known_at)

    def _forget(self, connection: Connection) -> None:
        now = self._clock.now
        age = sa.case((guesses.c.known_at > 0, KNOWN_MS), else_=FORGOTTEN_MS)
        old = sa.select(guesses.c.name, guesses.c.network).order_by(guesses.c.seen_at).limit(SWEPT)
        self._remove(connection, old.where(guesses.c.seen_at < now - FORGOTTEN_MS, guesses.c.seen_at < now - age))

    def _bound(self, connection: Connection, name: str) -> None:
        """The oldest go. What all networks together guessed at a person stays, or a flood of names would wipe it out."""
        unknown = sa.and_(guesses.c.known_at == 0, guesses.c.network != ALL)
        self._keep_newest(connection, sa.and_(unknown, guesses.c.name == name), MOST_UNKNOWN)
        nobody = guesses.c.name.not_in(sa.select(people.c.name))
        self._keep_newest(connection, sa.or_(unknown, sa.and_(guesses.c.known_at == 0, nobody)), MOST)

    def _keep_newest(self, connection: Connection, which: sa.ColumnElement[bool], most: int) -> None:
        newest = (guesses.c.seen_at.desc(), guesses.c.name, guesses.c.network)
        old = sa.select(guesses.c.name, guesses.c.network).where(which).order_by(*newest).limit(SWEPT).offset(most)
        self._remove(connection, old)

    def _remove(self, connection: Connection, which: sa.Select[tuple[str, str]]) -> None:
        """Rows that somebody else works on are left to the next one: nobody waits for another."""
        for row in connection.execute(which.with_for_update(skip_locked=True)).all():
            gone = (guesses.c.name == row.name, guesses.c.network == row.network)
            connection.execute(sa.delete(guesses).where(*gone))
