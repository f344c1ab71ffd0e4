"""Consumer groups of HTTP subscribers: one cursor and one reader at a time each (R24).

A commit is accepted from the reader that holds the group, up to what was delivered to it under the same selection
(fields and row filter of the grant), and never backwards. All of it is checked in the transaction that stores it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from hub.errors import Conflict, GroupBusy
from hub.store.clock import StoreClock
from hub.store.engine import insert, reading, writing
from hub.store.tables import group_leases, group_offsets

NOBODY = ""
NAMES = ("agency", "grant_name", "topic", "group_name")
MINE = [group_offsets.c[name] == sa.bindparam(f"of_{name}") for name in NAMES]
CURSORS = sa.select(group_offsets).where(*MINE)  # statements are made once: making one costs more than running it
CURSORS_TO_MOVE = CURSORS.with_for_update()
MOVE = (
    sa.update(group_offsets)
    .where(*MINE, group_offsets.c.partition == sa.bindparam("of_partition"))
    .values(committed=sa.bindparam("to"), committed_at=sa.bindparam("at"), selection=sa.bindparam("under"))
)


@dataclass(frozen=True, kw_only=True)
class GroupKey:
    """Names a cursor: grant × topic × group, in the name space of an agency."""

    agency: str
    grant: str
    topic: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where a group stands in one partition."""

    committed: int | None  # next offset to read; None = nothing committed yet
    committed_ms: int | None
    selection: str | None  # fingerprint of fields and row filter that the commit was made under
    delivered: int | None  # furthest offset that may be committed
    delivered_selection: str | None


class GroupCursors:
    """All groups' cursors and readers."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def take(self, key: GroupKey, reader: str, ttl_ms: int) -> bool:
        """Become or stay the group's reader; False while another one is. One statement, and the store's clock."""
        now = self._clock.now
        held = {"reader": reader, "expires_at": now + ttl_ms}
        taken = (
            insert(self._engine, group_leases)
            .values(**_columns(key), **held)
            .on_conflict_do_update(
                index_elements=list(group_leases.primary_key),
                set_=held,
                where=sa.or_(group_leases.c.reader.in_((reader, NOBODY)), group_leases.c.expires_at <= now),
            )
            .returning(group_leases.c.reader)
        )
        with writing(self._engine) as connection:
            return connection.scalar(taken) is not None

    def leave(self, key: GroupKey, reader: str) -> bool:
        """Let the next reader in. False when this one was not the reader. May be repeated."""
        left = (
            sa.update(group_leases)
            .where(*_is(group_leases, key), group_leases.c.reader == reader)
            .values(reader=NOBODY, expires_at=0)
            .returning(group_leases.c.topic)
        )
        with writing(self._engine) as connection:
            return connection.scalar(left) is not None

    def cursors(self, key: GroupKey) -> Mapping[int, Cursor]:
        """By partition; a partition that was never read is missing."""
        with reading(self._engine) as connection:
            return {row.partition: _cursor(row) for row in connection.execute(CURSORS, _named(key))}

    def all(self) -> Sequence[tuple[GroupKey, int, Cursor]]:
        """Every cursor of every group: key, partition, cursor."""
        order = [*group_offsets.primary_key]
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(group_offsets).order_by(*order)).all()
        return [(_key(row), row.partition, _cursor(row)) for row in rows]

    def readers(self) -> Mapping[GroupKey, str]:
        """Who holds a group now. One that is not named is free."""
        held = sa.select(group_leases).where(
            group_leases.c.reader != NOBODY, group_leases.c.expires_at > self._clock.now
        )
        with reading(self._engine) as connection:
            return {_key(row): row.reader for row in connection.execute(held)}

    def committed(self) -> Mapping[GroupKey, Mapping[int, int | None]]:
        """Of every group, per partition that it ever read, the offset it goes on from; None: it committed nothing yet. For
        who looks every second: it makes no cursors."""
        table = group_offsets.c
        names = (table.agency, table.grant_name, table.topic, table.group_name)
        found: dict[tuple[str, ...], dict[int, int | None]] = {}
        with reading(self._engine) as connection:
            for *key, partition, offset in connection.execute(sa.select(*names, table.partition, table.committed)):
                found.setdefault(tuple(key), {})[partition] = offset
        return {
            GroupKey(agency=agency, grant=grant, topic=topic, group=group): offsets
            for (agency, grant, topic, group), offsets in sorted(found.items())
        }

    def deliver(self, key: GroupKey, positions: Mapping[int, int], selection: str) -> None:
        """Remember before the bytes leave how far a reader may commit under this selection."""
        rows = [
            {**_columns(key), "partition": partition, "delivered": position, "delivered_selection": selection}
            for partition, position in positions.items()
        ]
        with writing(self._engine) as connection:
            connection.execute(self._deliver, rows)

    @cached_property
    def _deliver(self) -> sa.Insert:
        """What was delivered under the same selection never goes back."""
        new = insert(self._engine, group_offsets)
        further = sa.and_(
            group_offsets.c.delivered_selection == new.excluded.delivered_selection,
            group_offsets.c.delivered > new.excluded.delivered,
        )
        return new.on_conflict_do_update(
            index_elements=list(group_offsets.primary_key),
            set_={
                "delivered": sa.case((further, group_offsets.c.delivered), else_=new.excluded.delivered),
                "delivered_selection": new.excluded.delivered_selection,
            },
        )

    def commit(self, key: GroupKey, reader: str, positions: Mapping[int, int], selection: str, now_ms: int) -> None:
        """Store the positions, all or none. Committing the same again changes nothing.

        Raises GroupBusy when the group has another reader by now, Conflict when a position is behind the last commit,
        beyond what was delivered, or was delivered under another selection.
        """
        with writing(self._engine) as connection:
            self._check_reader(connection, key, reader)
            rows = connection.execute(CURSORS_TO_MOVE, _named(key))
            known = {row.partition: _cursor(row) for row in rows}
            moved = [p for p, at in sorted(positions.items()) if _moves(known.get(p), p, at, selection)]
            new = {**_named(key), "at": now_ms, "under": selection}
            if moved:
                connection.execute(MOVE, [{**new, "of_partition": p, "to": positions[p]} for p in moved])

    def seek(self, key: GroupKey, reader: str, positions: Mapping[int, int], selection: str, now_ms: int) -> None:
        """Move the cursor, forwards or back, with what was delivered. Raises GroupBusy."""
        new = {
            "committed_at": now_ms,
            "selection": selection,
            "delivered_selection": selection,
        }
        with writing(self._engine) as connection:
            self._check_reader(connection, key, reader)
            for partition, position in positions.items():
                moved = {**new, "committed": position, "delivered": position}
                row = insert(self._engine, group_offsets).values(**_columns(key), partition=partition, **moved)
                connection.execute(
                    row.on_conflict_do_update(index_elements=list(group_offsets.primary_key), set_=moved)
                )

    def _check_reader(self, connection: Connection, key: GroupKey, reader: str) -> None:
        query = sa.select(group_leases.c.reader).where(*_is(group_leases, key)).with_for_update()
        if connection.scalar(query) != reader:
            raise GroupBusy(
                f"this reader does not hold group {key.group} of {key.topic}",
                remedy="read from the group again to take it",
            )


def _moves(cursor: Cursor | None, partition: int, position: int, selection: str) -> bool:
    """Is a commit of this position news? Raises Conflict when it must not be made."""
    committed = None
    if cursor is not None and cursor.selection == selection:
        committed = cursor.committed
    delivered = cursor is not None and cursor.delivered is not None and cursor.delivered >= position
    if cursor is None or not delivered or cursor.delivered_selection != selection or position < (committed or 0):
        raise Conflict(
            f"offset {position} of partition {partition} cannot be committed: it is behind the last "
            "commit, or was not delivered to this group under the grant as it is now",
            remedy="commit the positions of the last answer",
        )
    return position != committed


def _columns(key: GroupKey) -> dict[str, str]:
    return {"agency": key.agency, "grant_name": key.grant, "topic": key.topic, "group_name": key.group}


def _key(row: sa.Row[Any]) -> GroupKey:
    return GroupKey(agency=row.agency, grant=row.grant_name, topic=row.topic, group=row.group_name)


def _named(key: GroupKey) -> dict[str, str]:
    """For statements that are made once."""
    return {f"of_{name}": value for name, value in _columns(key).items()}


def _is(table: sa.Table, key: GroupKey) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(table.c[name] == value for name, value in _columns(key).items())


def _cursor(row: sa.Row[tuple[object, ...]]) -> Cursor:
    return Cursor(
        committed=row.committed,
        committed_ms=row.committed_at,
        selection=row.selection,
        delivered=row.delivered,
        delivered_selection=row.delivered_selection,
    )
