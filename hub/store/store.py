"""The store: everything relational of one hub behind one object."""

from __future__ import annotations

from types import TracebackType

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hub.errors import DatongError
from hub.store.engine import open_engine, reading
from hub.store.groups import GroupCursors
from hub.store.leases import Leases
from hub.store.migrate import migrate
from hub.store.states import ConnectorStates
from hub.store.tokens import Tokens


class Store:
    """An open store. Safe from many threads; several processes may open the same one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.leases = Leases(engine)
        self.states = ConnectorStates(engine)
        self.tokens = Tokens(engine)
        self.groups = GroupCursors(engine)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open, and bring to the newest revision. A `sqlite:///path/store.db` is made if missing, 0600.

        Raises ConfigurationInvalid for a URL that is none, DirectoryTooNew (G20), Retry when it does not answer.
        """
        engine = open_engine(url)
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

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
