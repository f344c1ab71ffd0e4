"""People who may log in to the console, and their sessions. Times are the store's own, the same for every node (S27)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from hub.errors import Conflict, NotFound
from hub.store.clock import StoreClock
from hub.store.engine import insert, reading, writing
from hub.store.tables import people, sessions

Role = Literal["viewer", "operator", "administrator"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person as the store knows one, with the hash of the password."""

    name: str
    role: Role
    password: str  # Argon2id in PHC's format
    demo: bool  # everybody knows the password
    created_ms: int
    failures: int  # wrong passwords in a row
    locked_ms: int  # from now; 0 = may try


class People:
    """All accounts and sessions of a store."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def add(self, name: str, role: Role, password: str, *, demo: bool = False) -> None:
        """A new account. Raises Conflict when there is one of this name."""
        values = {"name": name, "role": role, "password": password, "demo": demo, "failures": 0, "locked_until": 0}
        with writing(self._engine) as connection:
            made = insert(self._engine, people).values(**values, created_at=self._clock.now)
            if not connection.execute(made.on_conflict_do_nothing().returning(people.c.name)).all():
                raise Conflict(
                    f"there is a person {name} already", remedy="`datong people password` sets a new password"
                )

    def listed(self) -> Sequence[Account]:
        """All accounts, by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(self._query().order_by(people.c.name)).all()
        return [_account(row) for row in rows]

    def get(self, name: str) -> Account | None:
        """One account."""
        with reading(self._engine) as connection:
            row = connection.execute(self._query().where(people.c.name == name)).one_or_none()
        return None if row is None else _account(row)

    def change(self, name: str, *, role: Role | None = None, password: str | None = None) -> None:
        """Another role or password: ends all sessions and any lock. Raises NotFound."""
        given: dict[str, object] = {"failures": 0, "locked_until": 0}
        given |= {} if role is None else {"role": role}
        given |= {} if password is None else {"password": password, "demo": False}
        with writing(self._engine) as connection:
            changed = sa.update(people).where(people.c.name == name).values(**given).returning(people.c.name)
            if not connection.execute(changed).all():
                raise _nobody(name)
            _end_all(connection, name)

    def remove(self, name: str) -> None:
        """End an account and its sessions. Raises NotFound."""
        with writing(self._engine) as connection:
            _end_all(connection, name)
            if not connection.execute(sa.delete(people).where(people.c.name == name).returning(people.c.name)).all():
                raise _nobody(name)

    def failed(self, name: str, *, lock_after: int, first_lock_ms: int, longest_lock_ms: int) -> None:
        """One more wrong password; from `lock_after` on the account is locked, each time for twice as long. While it is, none
        counts: a burst of them is one."""
        with writing(self._engine) as connection:
            open_now = sa.and_(people.c.name == name, people.c.locked_until <= self._clock.now)
            counted = sa.update(people).where(open_now).values(failures=people.c.failures + 1)
            failures = connection.scalar(counted.returning(people.c.failures))
            if failures is not None and failures >= lock_after:
                lock = min(first_lock_ms << min(failures - lock_after, 30), longest_lock_ms)
                until = self._clock.now + lock
                connection.execute(sa.update(people).where(people.c.name == name).values(locked_until=until))

    def begin(self, name: str, session: str, *, password: str, ended_before_ms: int) -> bool:
        """A session for who gave the password of this hash; forgets earlier failures, and sessions whose time is over. False,
        and nothing begins, when the account has gone meanwhile, was locked, or has another password."""
        with writing(self._engine) as connection:
            same = sa.update(people).where(people.c.name == name, people.c.password == password)
            same = same.where(people.c.locked_until <= self._clock.now)
            if not connection.execute(same.values(failures=0, locked_until=0).returning(people.c.name)).all():
                return False
            connection.execute(sa.delete(sessions).where(sessions.c.created_at < self._clock.now - ended_before_ms))
            connection.execute(
                sa.insert(sessions).values(
                    hash=_hash(session), person=name, created_at=self._clock.now, seen_at=self._clock.now
                )
            )
        return True

    def whose(self, session: str, *, idle_ms: int, longest_ms: int, fresh_ms: int | None) -> Account | None:
        """Who holds this session, unless it was idle for too long or is too old. It counts as used now, to `fresh_ms`; not at
        all for None."""
        now, key = self._clock.now, sessions.c.hash == _hash(session)
        alive = sa.and_(key, sessions.c.seen_at > now - idle_ms, sessions.c.created_at > now - longest_ms)
        query = self._query().add_columns((now - sessions.c.seen_at).label("unseen"))
        with reading(self._engine) as connection:
            row = connection.execute(
                query.join(sessions, sessions.c.person == people.c.name).where(alive)
            ).one_or_none()
        if row is None:
            return None
        if fresh_ms is not None and row.unseen > fresh_ms:
            with writing(self._engine) as connection:
                connection.execute(sa.update(sessions).where(key).values(seen_at=now))
        return _account(row)

    def end(self, session: str) -> None:
        """End one session. May be repeated."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.hash == _hash(session)))

    def _query(self) -> sa.Select[tuple[object, ...]]:
        wait = people.c.locked_until - self._clock.now
        return sa.select(people, sa.case((wait > 0, wait), else_=0).label("locked_ms"))


def _end_all(connection: Connection, name: str) -> None:
    connection.execute(sa.delete(sessions).where(sessions.c.person == name))


def _nobody(name: str) -> NotFound:
    return NotFound(f"there is no person {name}", remedy="`datong people list` names them")


def _hash(session: str) -> bytes:
    return hashlib.sha256(session.encode(errors="surrogatepass")).digest()


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(
        name=row.name,
        role=cast(Role, row.role),
        password=row.password,
        demo=row.demo,
        created_ms=row.created_at,
        failures=row.failures,
        locked_ms=int(row.locked_ms),
    )
