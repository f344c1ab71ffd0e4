"""The store: everything relational of one hub behind one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hub.errors import ConfigurationInvalid, DatongError
from hub.store.answers import KeptAnswers
from hub.store.clock import StoreClock
from hub.store.engine import CONNECTIONS, open_engine, reading, writing
from hub.store.groups import GroupCursors
from hub.store.leases import Ending, Lease, Leases, TaskRow
from hub.store.letters import DeadLetters
from hub.store.migrate import migrate
from hub.store.nodes import Nodes
from hub.store.people import People
from hub.store.postgres import Refused
from hub.store.states import ConnectorState, ConnectorStates, StateChange
from hub.store.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class Board:
    """What all nodes share about running connectors, at one moment."""

    now_ms: int  # by the store's clock
    tasks: Mapping[str, TaskRow]
    states: Mapping[str, ConnectorState]
    configuration: int  # a number that grows when every node is to read the configuration again

    def task(self, name: str) -> TaskRow:
        """One task, whether it ever ran or not."""
        return self.tasks.get(name) or TaskRow(task=name)

    def state(self, name: str) -> ConnectorState:
        """Of one connector."""
        return self.states.get(name) or ConnectorState(connector=name)


class Store:
    """An open store. Safe from many threads; several processes may open the same one."""

    def __init__(self, engine: Engine, clock: StoreClock | None = None) -> None:
        self.engine = engine
        clock = clock or StoreClock(engine)
        self.leases = Leases(engine, clock)
        self.states = ConnectorStates(engine)
        self.tokens = Tokens(engine, clock)
        self.groups = GroupCursors(engine, clock)
        self.nodes = Nodes(engine, clock)
        self.letters = DeadLetters(engine, clock)
        self.people = People(engine, clock)
        self.answers = KeptAnswers(engine, clock)

    @classmethod
    def open(
        cls, url: str | sa.URL, *, connections: int = CONNECTIONS, clock: Callable[[], int] | None = None
    ) -> Store:
        """Open, and bring to the newest revision. A `sqlite:///path/store.db` is made if missing, 0600.

        `connections`: to PostgreSQL, at most. `clock`: in place of the database's, where a test moves time. Raises
        ConfigurationInvalid for a URL that is none or a server that refuses, DirectoryTooNew (G20), Retry when it does
        not answer.
        """
        engine = open_engine(url, connections)
        try:
            migrate(engine)
        except Refused as error:
            engine.dispose()
            raise ConfigurationInvalid(error.message, where=error.where, remedy=error.remedy) from error
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, StoreClock(engine, clock))

    @property
    def shared(self) -> bool:
        """May processes of several machines use it?"""
        return self.engine.dialect.name == "postgresql"

    def board(self) -> Board:
        """What there is to do and who does it. A request made after a signal is never seen without the signal."""
        with reading(self.engine) as connection:
            now_ms, tasks = self.leases.all_on(connection)
            states = self.states.all_on(connection)
            configuration = self.nodes.signal_on(connection)
        return Board(now_ms=now_ms, tasks=tasks, states=states, configuration=configuration)

    def settle(self, lease: Lease, ending: Ending, change: StateChange | None) -> bool:
        """Give a lease back and change the connector's state, both or neither: a holder that lost it changes nothing."""
        with writing(self.engine) as connection:
            held = self.leases.release_on(connection, lease, ending)
            if held and change is not None:
                self.states.change_on(connection, change)
        return held

    def healthy(self) -> bool:
        """Does it answer a query?"""
        try:
            with reading(self.engine) as connection:
                return bool(connection.scalar(sa.select(sa.literal(1))) == 1)
        except DatongError:
            return False

    def close(self) -> None:
        """Close every connection. May be repeated."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
