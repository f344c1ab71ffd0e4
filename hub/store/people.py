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
from hub.store.guesses import Guesses, Lock
from hub.store.tables import people, sessions, tokens

Role = Literal["viewer", "operator", "administrator"]


@dataclass(frozen=True, kw_only=True)
class Waits:
    """From where log-ins by a name wait after wrong passwords; from elsewhere the person goes on."""

    networks: int  # in which somebody guessed
    networks_ms: int  # the longest of them; 0 = none
    elsewhere_ms: int  # all from which nobody of this name has logged in yet; 0 = they do not


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person as the store knows one, with the hash of the password."""

    name: str
    role: Role
    password: str  # Argon2id in PHC's format
    demo: bool  # everybody knows the password
    created_ms: int
    waits: Waits


class People:
    """All accounts and sessions of a store."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock, self._guesses = engine, clock, Guesses(engine, clock)

    def add(self, name: str, role: Role, password: str, *, demo: bool = False) -> None:
        """A new account. Raises Conflict when there is one of this name."""
        values = {"name": name, "role": role, "password": password, "demo": demo, "failures": 0, "locked_until": 0}
        with writing(self._engine) as connection:
            made = insert(self._engine, people).values(**values, created_at=self._clock.now)
            if not connection.execute(made.on_conflict_do_nothing().returning(people.c.name)).all():
                raise Conflict(
                    f"there is a person {name} already", remedy="`datong people change --password` sets a new password"
                )
            connection.execute(sa.delete(tokens).where(tokens.c.person == name))  # of another one of this name

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
        """Another role or password: ends all sessions, and all waiting; another password all tokens too. Raises NotFound."""
        given: dict[str, object] = {"failures": 0}
        given |= {} if role is None else {"role": role}
        given |= {} if password is None else {"password": password, "demo": False}
        with writing(self._engine) as connection:
            changed = sa.update(people).where(people.c.name == name).values(**given).returning(people.c.name)
            if not connection.execute(changed).all():
                raise _nobody(name)
            _end_all(connection, name)
            if password is not None:
                connection.execute(sa.update(tokens).where(tokens.c.person == name).values(revoked=True))
            self._guesses.pardon(connection, name, networks=password is not None)

    def remove(self, name: str) -> None:
        """End an account, its sessions and its tokens. Raises NotFound."""
        with writing(self._engine) as connection:
            # who makes a session or a token of theirs holds this row, too
            here = sa.select(people.c.name).where(people.c.name == name).with_for_update()
            if not connection.execute(here).all():
                raise _nobody(name)
            _end_all(connection, name)
            connection.execute(sa.delete(tokens).where(tokens.c.person == name))
            self._guesses.pardon(connection, name, networks=True)
            connection.execute(sa.delete(people).where(people.c.name == name))

    def wait_ms(self, name: str, network: str) -> int:
        """How long nobody may try this name from there; 0 = now. The same for a name that nobody has."""
        return self._guesses.wait_ms(name, network)

    def failed(self, name: str, network: str, *, here: Lock, anywhere: Lock) -> None:
        """One more wrong password for a name, also for one that nobody has. `here`: the wait that it leads to from this
        network; `anywhere`: from all where nobody of the name has logged in, by what they all guessed."""
        with writing(self._engine) as connection:
            self._guesses.failed(connection, name, network, here, anywhere)

    def begin(self, name: str, session: str, network: str, *, password: str, ended_before_ms: int) -> bool:
        """A session for who gave the password of this hash; forgets earlier failures there, and sessions whose time is over.
        False, and nothing begins, when the account has gone meanwhile, may not be tried from there, or has another
        password."""
        with writing(self._engine) as connection:
            same = sa.select(people.c.name).where(people.c.name == name, people.c.password == password)
            if not connection.execute(same.with_for_update()).all() or self._guesses.wait_ms(name, network, connection):
                return False
            self._guesses.right(connection, name, network)
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
        waits = self._guesses.waits()
        counts = [sa.func.coalesce(waits.c[n], 0).label(n) for n in ("networks", "networks_ms", "elsewhere_ms")]
        return sa.select(people, *counts).join_from(people, waits, people.c.name == waits.c.name, isouter=True)


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
        waits=Waits(networks=int(row.networks), networks_ms=int(row.networks_ms), elsewhere_ms=int(row.elsewhere_ms)),
    )
