"""The one clock of all processes that share a store: the database's own (G19, ADR 8).

What one process writes and another compares (leases, readers of groups, tokens) is never measured by a process's clock:
two machines may differ by minutes.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Engine

NOW = {  # whole milliseconds since 1970 UTC, at the moment the statement looks
    "sqlite": "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)",
    "postgresql": "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)",
}


class StoreClock:
    """Gives the expression that a statement compares with. `given` stands in its place where a test moves time."""

    def __init__(self, engine: Engine, given: Callable[[], int] | None = None) -> None:
        self._text, self._given = NOW[engine.dialect.name], given

    @property
    def now(self) -> sa.ColumnElement[int]:
        """Milliseconds since 1970 UTC."""
        if self._given is not None:
            return sa.literal(self._given(), sa.BigInteger)
        return sa.literal_column(self._text, sa.BigInteger)
