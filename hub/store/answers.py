"""Answers of the API that are kept, so that a request that is sent again is not done again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hub.store.clock import StoreClock
from hub.store.engine import insert, reading, writing
from hub.store.tables import kept_answers

KEPT_MS = 24 * 3600 * 1000
WORKING_MS = 60_000  # longer, and whoever worked on it has gone


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class KeptAnswers:
    """All of a store, for a day."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def begin(self, key: bytes, request: bytes) -> Answer | Literal["new", "working", "other"]:
        """`new`: nobody asked under this key; it is the caller's to answer now. An answer: the same request had it.
        `working`: the same request is being answered. `other`: the key was used for another request."""
        table, now = kept_answers.c, self._clock.now
        old = sa.or_(table.created_at < now - KEPT_MS, sa.and_(table.status == 0, table.created_at < now - WORKING_MS))
        with writing(self._engine) as connection:
            connection.execute(sa.delete(kept_answers).where(old))
            row = insert(self._engine, kept_answers).values(
                key=key, request=request, status=0, headers="{}", body=b"", created_at=now
            )
            if connection.execute(row.on_conflict_do_nothing().returning(table.key)).all():
                return "new"
        with reading(self._engine) as connection:
            found = connection.execute(sa.select(kept_answers).where(table.key == key)).one_or_none()
        if found is None or (found.request == request and not found.status):
            return "working"
        if found.request != request:
            return "other"
        return Answer(status=found.status, headers=json.loads(found.headers), body=found.body)

    def keep(self, key: bytes, answer: Answer) -> None:
        """What the request was answered."""
        made = {"status": answer.status, "headers": json.dumps(dict(answer.headers)), "body": answer.body}
        with writing(self._engine) as connection:
            connection.execute(sa.update(kept_answers).where(kept_answers.c.key == key).values(**made))

    def forget(self, key: bytes) -> None:
        """It was refused or failed: the same request may be tried again."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(kept_answers).where(kept_answers.c.key == key))
