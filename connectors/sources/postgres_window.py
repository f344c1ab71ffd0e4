"""Which rows a run reads: those of transactions that ended since the last run (guarantees, fact 1).

A snapshot's xmin is the oldest transaction that was open when it was taken: all older ones have ended for good. A window
`lo <= xmin < hi`, with hi the xmin of the snapshot that reads it and lo the hi before, therefore gives each row version
to one window only, and every committed one that is still there to some window, in whatever order they commit.

Rows hold the lower 32 bits of the transaction id. `age(xmin)` is their distance from the next id, the same all through a
transaction, and is exact for windows of less than 2^31 ids; the bounds themselves are counted with all 64 bits. Freezing
leaves the 32 bits as they are, so a row that is older than 2^32 transactions may fall into a window again: it is read
once more, never lost. Ids 1 and 2 (rows of pg_upgrade from before 9.4) have no age and belong to the first pass.

Within a window rows come in the order in which they stand (ctid). A version of an ended transaction keeps its place until
it is changed, which brings it into the next window, so going on after a place loses and doubles nothing. When the table
was rewritten in between (VACUUM FULL, CLUSTER), places mean nothing and the part is read again from its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.sources.postgres_session import Session
from connectors.sources.postgres_table import Part
from hub.errors import Conflict, SourceUnavailable
from hub.model import SourceCheckpoint

WIDEST = 2**31 - 2  # transactions between a bound and now that `age` can tell apart
RESET = "what was read before cannot be told from what was not: begin anew with another connector name"

MAY = """
SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
       has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE')
         AND has_function_privilege('pg_catalog.pg_walfile_name(pg_lsn)', 'EXECUTE')
"""
SERVER = """
SELECT pg_snapshot_xmin(s)::text::bigint, age('3'::xid), pg_is_in_recovery(),
       (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()),
       {system}, {timeline}, current_setting('server_encoding')
FROM pg_current_snapshot() s
"""
SYSTEM = "(SELECT system_identifier::text FROM pg_control_system())"
TIMELINE = (  # a primary's is in the name of the file it writes; the control file may be one checkpoint late
    "CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::bigint"
    " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END"
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a snapshot was taken, and how far transactions had come. Ids have 64 bits."""

    oldest: int  # xmin of the snapshot: all transactions below have ended
    following: int  # the id from which `age` counts back
    standby: bool
    identity: Mapping[str, Any]  # system identifier, timeline, database
    encoding: str

    @classmethod
    def of(cls, session: Session) -> Server:
        """Of the transaction that has begun; its snapshot is the one that will read."""
        system, timeline = session.rows(MAY)[0]
        query = SERVER.format(
            system=SYSTEM if system else "NULL::text", timeline=TIMELINE if timeline else "NULL::bigint"
        )
        oldest, age, standby, database, name, line, encoding = session.rows(query)[0]
        return cls(
            oldest=oldest,
            following=oldest + (age + 3 - oldest) % 2**32,
            standby=standby,
            identity={"system": name, "timeline": line, "database": database},
            encoding=encoding,
        )


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window and the place in it. `position` is the checkpoint."""

    identity: Mapping[str, Any]  # of the server, and the table's oid
    low: int | None  # None: from the beginning
    high: int | None  # None: between two windows
    known: tuple[int, ...] = ()  # parts that were read up to `low`; another one is read from its beginning
    done: tuple[int, ...] = ()  # parts that were read up to `high`
    part: int = 0  # the one that is being read
    file: int = 0  # its file
    place: tuple[int, int] = (0, 0)  # block and line of the last row read from it
    row: int = 0  # rows read in this window

    @classmethod
    def after(cls, checkpoint: SourceCheckpoint | None, server: Server, table: int) -> Window:
        """Go on from a checkpoint. Raises Conflict when it is of another server, timeline, database or table."""
        identity = {**server.identity, "table": table}
        value = checkpoint.value if checkpoint else {}
        if not value:
            return cls(identity=identity, low=None, high=None)
        _same(value["identity"], identity)
        lists = {name: tuple(value[name]) for name in ("known", "done", "place")}
        made = cls(**{**value, **lists, "identity": identity})
        made._possible(server)
        return made

    def position(self) -> SourceCheckpoint:
        """The checkpoint: all before this place has been read."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}
        return SourceCheckpoint(value={**values, "identity": dict(self.identity)})

    def open(self, server: Server) -> Window:
        """The window that ends with the snapshot that reads it."""
        return replace(self, high=server.oldest, row=0)

    def at(self, part: Part) -> Window:
        """Begin a part, or go on where it was left."""
        if self.part == part.oid and self.file == part.file:
            return self
        return replace(self, part=part.oid, file=part.file, place=(0, 0))

    def finished(self, part: Part) -> Window:
        """A part was read to its end."""
        return replace(self, done=(*self.done, part.oid), part=0, file=0, place=(0, 0))

    def closed(self) -> Window:
        """All parts were."""
        return replace(self, low=self.high, high=None, known=self.done, done=(), part=0, file=0, place=(0, 0))

    def condition(self, part: Part, server: Server) -> str:
        """The rows of a part that are in the window, as SQL with ids as ages; empty when there can be none."""
        assert self.high is not None
        if self.low == self.high and part.oid in self.known:
            return ""
        youngest = server.following - self.high
        if self.low is None or part.oid not in self.known:
            return f"age(xmin) NOT BETWEEN 1 AND {youngest}" if youngest else "true"
        return f"age(xmin) BETWEEN {youngest + 1} AND {server.following - self.low}"

    def _possible(self, server: Server) -> None:
        read = max(self.low or 0, self.high or 0)
        if read > server.oldest:
            if server.standby:
                raise SourceUnavailable(
                    "the standby has not come as far as what was read before",
                    where="source.url",
                    remedy="wait until it has caught up, or name the server that was read before",
                )
            raise Conflict("transaction numbers went backwards: the server was restored", remedy=RESET)
        lowest = min(b for b in (self.low, self.high) if b is not None)
        if server.following - lowest > WIDEST:
            raise Conflict("more than two billion transactions have passed since the last run", remedy=RESET)


def _same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changes = {
        "system": "this is another server than the one that was read before",
        "timeline": "the server failed over or was restored since the last run: its newest transactions may be others",
        "database": "the database was created anew since the last run",
        "table": "the table was replaced by another of the same name since the last run",
    }
    for name, message in changes.items():
        if before[name] is not None and now[name] is not None and before[name] != now[name]:
            raise Conflict(message, where="source.url" if name != "table" else "source.table", remedy=RESET)
