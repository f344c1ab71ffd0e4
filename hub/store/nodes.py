"""The processes that take part: each gives a sign of life, and a number tells all of them to look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from hub.store.clock import StoreClock
from hub.store.engine import insert, reading, writing
from hub.store.tables import nodes, signals

FORGOTTEN_MS = 24 * 3600 * 1000  # a node that was silent for so long is not listed any more
CONFIGURATION = "configuration"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A process of the hub."""

    name: str  # host/process/chance
    role: str  # all, api, worker
    version: str


@dataclass(frozen=True, kw_only=True)
class NodeSeen(Node):
    """A node as the store has it."""

    started_ms: int
    silent_ms: int  # since its last sign of life

    @property
    def works(self) -> bool:
        """Does it run connectors?"""
        return self.role in ("all", "worker")


class Nodes:
    """All nodes of a store."""

    def __init__(self, engine: Engine, clock: StoreClock) -> None:
        self._engine, self._clock = engine, clock

    def beat(self, node: Node) -> None:
        """A sign of life; the first one also clears away what is long gone."""
        now = self._clock.now
        new = insert(self._engine, nodes).values(
            name=node.name, role=node.role, version=node.version, started_at=now, seen_at=now
        )
        put = new.on_conflict_do_update(index_elements=[nodes.c.name], set_={"seen_at": now})
        with writing(self._engine) as connection:
            connection.execute(put)
            connection.execute(sa.delete(nodes).where(nodes.c.seen_at < now - FORGOTTEN_MS))

    def leave(self, name: str) -> None:
        """This node ends."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(nodes).where(nodes.c.name == name))

    def all(self) -> Sequence[NodeSeen]:
        """Those that were seen within a day, by name."""
        query = sa.select(nodes, (self._clock.now - nodes.c.seen_at).label("silent")).order_by(nodes.c.name)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            NodeSeen(name=row.name, role=row.role, version=row.version, started_ms=row.started_at, silent_ms=row.silent)
            for row in rows
        ]

    def signal(self) -> int:
        """The configuration changed: every node is to read it again. The new number."""
        new = insert(self._engine, signals).values(name=CONFIGURATION, number=1)
        raised = new.on_conflict_do_update(
            index_elements=[signals.c.name], set_={"number": signals.c.number + 1}
        ).returning(signals.c.number)
        with writing(self._engine) as connection:
            number: int = connection.execute(raised).scalar_one()
        return number

    def signal_on(self, connection: Connection) -> int:
        """The number now, in a transaction of the caller's."""
        return connection.scalar(sa.select(signals.c.number).where(signals.c.name == CONFIGURATION)) or 0
