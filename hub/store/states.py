"""What each connector should do and does, with the reason and who said so. States are those of Kafka Connect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from hub.store.engine import insert, reading, writing
from hub.store.tables import connector_states

ITSELF = "supervisor"  # who changed a state, where no person did
Desired = Literal["RUNNING", "PAUSED", "STOPPED"]
State = Literal["RUNNING", "PAUSED", "STOPPED", "FAILED"]


@dataclass(frozen=True, kw_only=True)
class ConnectorState:
    """One connector. `desired` outlives a failure; `state` tells it."""

    connector: str
    desired: Desired = "RUNNING"
    state: State = "RUNNING"
    reason: str = ""  # why it is not RUNNING
    changed_ms: int = 0  # ms since 1970 UTC; 0 = never changed
    changed_by: str = ""


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """What is to become of a connector's state. FAILED is an observation: what is desired stays."""

    connector: str
    state: State
    reason: str
    by: str
    now_ms: int
    only_from: State | None = None  # nothing changes unless it is in this state


class ConnectorStates:
    """The states of all connectors. One that nobody ever changed is RUNNING."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, connector: str) -> ConnectorState:
        """Of one connector."""
        with reading(self._engine) as connection:
            query = sa.select(connector_states).where(connector_states.c.connector == connector)
            row = connection.execute(query).one_or_none()
        return ConnectorState(connector=connector) if row is None else _state(row)

    def all(self) -> Mapping[str, ConnectorState]:
        """Of every connector that was ever changed, by name."""
        with reading(self._engine) as connection:
            return self.all_on(connection)

    def all_on(self, connection: Connection) -> Mapping[str, ConnectorState]:
        """The same in a transaction of the caller's."""
        rows = connection.execute(sa.select(connector_states).order_by(connector_states.c.connector)).all()
        return {row.connector: _state(row) for row in rows}

    def put(self, connector: str, state: State, *, reason: str, by: str, now_ms: int) -> None:
        """Set the state."""
        with writing(self._engine) as connection:
            change = StateChange(connector=connector, state=state, reason=reason, by=by, now_ms=now_ms)
            self.change_on(connection, change)

    def change_on(self, connection: Connection, change: StateChange) -> None:
        """Set the state in a transaction of the caller's."""
        reason = change.reason.replace("\0", "�")  # PostgreSQL's texts hold no NUL
        values = {"state": change.state, "reason": reason, "changed_at": change.now_ms, "changed_by": change.by}
        wanted = {} if change.state == "FAILED" else {"desired": change.state}
        if change.only_from is not None:
            table = connector_states.c
            same = sa.update(connector_states).where(
                table.connector == change.connector, table.state == change.only_from
            )
            connection.execute(same.values(**wanted, **values))
            return
        new = insert(self._engine, connector_states).values(
            **{"connector": change.connector, "desired": "RUNNING", **wanted, **values}
        )
        connection.execute(
            new.on_conflict_do_update(index_elements=[connector_states.c.connector], set_={**wanted, **values})
        )


def _state(row: Row[tuple[object, ...]]) -> ConnectorState:
    return ConnectorState(
        connector=row.connector,
        desired=cast(Desired, row.desired),
        state=cast(State, row.state),
        reason=row.reason,
        changed_ms=row.changed_at,
        changed_by=row.changed_by,
    )
