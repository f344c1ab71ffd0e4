"""Dead letters: batches that a subscriber's system did not take, by their offsets and never by their records.

What they hold is in the topic; when one is sent again, it is read anew, under the grant as it is then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Row

from hub.store.clock import StoreClock
from hub.store.engine import insert, reading, writing
from hub.store.tables import dead_letters

Status = Literal["open", "waiting", "delivered", "void"]
SHOWN = 1_000


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A span of one partition that was not delivered."""

    id: str
    subscription: str
    topic: str
    partition: int
    first: int  # offset
    end: int  # the offset behind the last
    reason: str
    status: Status  # open; waiting: somebody asked to send it again; delivered; void: all was pushed again since
    at_ms: int  # since when it is so


class DeadLetters:
    """All of a store."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def of(self, subscription: str) -> Letters:
        """Those of one subscription."""
        return Letters(self._engine, self._clock, subscription)

    def undelivered(self) -> dict[str, int]:
        """How many there are to be looked at, by subscription."""
        table = dead_letters.c
        query = sa.select(table.subscription, sa.func.count()).where(table.status.in_(("open", "waiting")))
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(table.subscription))}


class Letters:
    """The dead letters of one subscription."""

    def __init__(self, engine: Engine, clock: StoreClock, subscription: str) -> None:
        self._engine, self._clock, self.subscription = engine, clock, subscription
        self._mine = dead_letters.c.subscription == subscription

    def put(self, topic: str, spans: Sequence[tuple[int, int, int]], reason: str) -> Sequence[str]:
        """Set spans (partition, first, end) aside; their ids. The same again changes nothing but its reason."""
        ids = []
        with writing(self._engine) as connection:
            for partition, first, end in spans:
                place = {"topic": topic, "partition": partition, "first_offset": first, "end_offset": end}
                state = {"reason": reason, "status": "open", "changed_at": self._clock.now}
                made = _id(self.subscription, topic, partition, first, end)
                row = insert(self._engine, dead_letters).values(
                    id=made, subscription=self.subscription, **place, **state
                )
                connection.execute(row.on_conflict_do_update(index_elements=[dead_letters.c.id], set_=state))
                ids.append(made)
        return ids

    def listed(self, status: Status | None = None) -> Sequence[Letter]:
        """The oldest first, as many as are shown."""
        query = sa.select(dead_letters).where(self._mine)
        if status is not None:
            query = query.where(dead_letters.c.status == status)
        order = (dead_letters.c.partition, dead_letters.c.first_offset)
        with reading(self._engine) as connection:
            return [_letter(row) for row in connection.execute(query.order_by(*order).limit(SHOWN))]

    def waiting(self) -> Sequence[Letter]:
        """Those that somebody asked to send again."""
        return self.listed("waiting")

    def retry(self, letter: str | None = None) -> int:
        """Ask for one, or all, that are open to be sent again. How many they are."""
        which = [self._mine, dead_letters.c.status == "open"]
        which += [dead_letters.c.id == letter] if letter else []
        return self._become("waiting", which)

    def settle(self, letter: str, status: Status, reason: str) -> None:
        """How that went."""
        self._become(status, [self._mine, dead_letters.c.id == letter], reason=reason)

    def void(self) -> None:
        """All is pushed again: nothing is missing any more."""
        self._become("void", [self._mine, dead_letters.c.status.in_(("open", "waiting"))])

    def _become(self, status: Status, which: Sequence[sa.ColumnElement[bool]], **more: str) -> int:
        change = sa.update(dead_letters).where(*which).values(status=status, changed_at=self._clock.now, **more)
        with writing(self._engine) as connection:
            return len(connection.execute(change.returning(dead_letters.c.id)).all())


def _id(*parts: object) -> str:
    return hashlib.sha256("\n".join(str(p) for p in parts).encode()).hexdigest()[:12]


def _letter(row: Row[tuple[object, ...]]) -> Letter:
    return Letter(
        id=row.id,
        subscription=row.subscription,
        topic=row.topic,
        partition=row.partition,
        first=row.first_offset,
        end=row.end_offset,
        reason=row.reason,
        status=cast(Status, row.status),
        at_ms=row.changed_at,
    )
