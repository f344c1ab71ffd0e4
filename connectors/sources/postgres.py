"""Source `postgres`: a PostgreSQL table in Arrow batches, whole or by windows of transactions (postgres_window.py).

Each run is one read-only REPEATABLE READ transaction with the table locked against rewriting (ACCESS SHARE) before its
snapshot is taken. A stored table is read in pieces of 128 MiB, so that a statement's time is bounded and a checkpoint can
lie anywhere. Record ids come from key and content: a row's place is not the same in a window that was opened anew.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Event

import pyarrow as pa

from connectors.context import SourceContext
from connectors.sources.postgres_columns import Column, Projection
from connectors.sources.postgres_session import Closed, Session, connection_string
from connectors.sources.postgres_table import Part, Table, find, wanted
from connectors.sources.postgres_window import Server, Window
from connectors.sources.specs import PostgresSpec
from hub.errors import ConfigurationInvalid, DatongError
from hub.model import Batch, Finding, Report, SourceCheckpoint, Stream

MAX_ROWS = 30_000  # in a batch
BLOCKS = 16_384  # of a table in one statement: 128 MiB
NO_ENCODING = "SQL_ASCII"
MAX_BLOCK = 2**32 - 1
PLACE = struct.Struct(">IH")  # a ctid as the server sends it: block and line
LONG_S = 60.0  # a transaction open for longer is worth a word
OPEN = """
SELECT coalesce(max(extract(epoch FROM now() - since)), 0)::float8 FROM (
    SELECT xact_start AS since FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    UNION ALL SELECT prepared FROM pg_prepared_xacts) AS writing
"""


class PostgresSource:
    """One table."""

    replayable = False
    repeats = False

    def __init__(self, spec: PostgresSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._closed = False

    def check(self) -> Report:
        """Can it be reached, is the table there, and may all that is needed be read?"""
        try:
            with self._session() as session:
                session.begin()
                table = find(session, self._spec.table)
                columns = wanted(table, self._context.columns, self._spec.key)
                parts = f" in {len(table.parts)} partitions" if table.kind == "p" else ""
                detail = f"{table.schema}.{table.name}: {len(columns)} columns{parts}"
                findings = [Finding(name="database", ok=True, detail=detail)]
                if self._by_transaction:
                    findings += [*_by_transaction(table), *_held_back(session)]
        except DatongError as error:
            return Report(findings=[Finding(name="database", ok=False, detail=error.statement, remedy=error.remedy)])
        except Closed:
            return Report(findings=[Finding(name="database", ok=False, detail="closed while it was looked at")])
        return Report(findings=findings)

    def discover(self) -> list[Stream]:
        """The table, with Arrow types, its key and the rows that the server estimates."""
        with self._session() as session:
            session.begin()
            table = find(session, self._spec.table)
        wanted(table, frozenset(), self._spec.key)
        schema = pa.schema([(c.name, c.arrow) for c in table.columns])
        key = self._spec.key or table.primary_key
        return [Stream(name=self._spec.table, columns=schema, key=key, rows=table.rows)]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """Rows after the checkpoint: what is left of its window, then one more window; or the whole table."""
        try:
            with self._session() as session:
                reader = self._reader(session)
                if not self._by_transaction:
                    yield from reader.whole(stop, complete=self._context.mode == "snapshot")
                    return
                window = reader.window_after(after)
                if window.high is not None:
                    yield from reader.read(window, stop)
                    window = reader.window or window
                if not stop.is_set():
                    yield from reader.read(window.open(reader.server), stop)
        except Closed:
            return

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """A database that is only read needs no word."""

    def close(self) -> None:
        """Cancel what runs and disconnect; `batches` then ends."""
        with self._lock:
            self._closed = True
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    @property
    def _by_transaction(self) -> bool:
        return self._context.mode != "snapshot" and self._spec.incremental != "none"

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = Session(connection_string(self._spec, self._context), self._spec, self._context.task)
        with self._lock:
            if self._closed:
                raise Closed
            self._sessions.add(session)
        try:
            yield session
        finally:
            session.close()
            with self._lock:
                self._sessions.discard(session)

    def _reader(self, session: Session) -> _Reader:
        """Lock first, then take the snapshot: a table that is rewritten in between would look empty."""
        session.begin()
        table = find(session, self._spec.table)
        session.begin("REPEATABLE READ")
        if table.lockable:
            session.run(f"LOCK TABLE {table.quoted} IN ACCESS SHARE MODE")
        server = Server.of(session)
        table = find(session, self._spec.table)
        columns = wanted(table, self._context.columns, self._spec.key)
        if server.encoding == NO_ENCODING:  # else the server refuses a whole answer for one cell that is not UTF-8
            session.run(f"SET LOCAL client_encoding = '{NO_ENCODING}'")
        return _Reader(session, server, table, columns, self._spec.table)


class _Reader:
    """One transaction that reads. `window` and `row` say how far it came."""

    def __init__(self, session: Session, server: Server, table: Table, columns: Sequence[Column], origin: str) -> None:
        self._session, self.server, self._table = session, server, table
        self._columns, self._origin = columns, origin
        self.window: Window | None = None  # None: the whole table
        self._row = 0

    def window_after(self, checkpoint: SourceCheckpoint | None) -> Window:
        """Where to go on. Raises ConfigurationInvalid for what has no transaction ids, and as `Window.after`."""
        refused = [f for f in _by_transaction(self._table) if not f.ok]
        if refused:
            raise ConfigurationInvalid(refused[0].detail, where="source.table", remedy=refused[0].remedy)
        return Window.after(checkpoint, self.server, self._table.oid)

    def read(self, window: Window, stop: Event) -> Iterator[Batch]:
        """The rest of a window, part by part."""
        self.window, self._row = window, window.row
        for part in self._table.parts:
            if part.oid in self.window.done:
                continue
            self.window = self.window.at(part)
            if condition := self.window.condition(part, self.server):
                yield from self._pieces(part, self.window.place, condition, stop)
            if stop.is_set():
                return
            self.window = self.window.finished(part)
        self.window = self.window.closed()
        yield self._empty()

    def whole(self, stop: Event, *, complete: bool) -> Iterator[Batch]:
        """Every row there is."""
        if self._table.by_place:
            for part in self._table.parts:
                yield from self._pieces(part, (0, 0), "true", stop)
        else:
            projection = self._projection(large=False)
            yield from self._rows(f"SELECT {projection.select()} FROM {self._table.quoted}", projection, stop)  # noqa: S608 - names of the catalogue, quoted
        if not stop.is_set():
            yield self._empty(complete=complete)

    def _pieces(self, part: Part, place: tuple[int, int], condition: str, stop: Event) -> Iterator[Batch]:
        """A stored relation in the order of its places, from after `place` on."""
        projection = self._projection(large=part.large)
        select = projection.select() + (", ctid" if self.window else "")
        block, line = place
        while block < part.blocks and not stop.is_set():
            end = min(block + BLOCKS, MAX_BLOCK)
            where = f"ctid > '({block},{line})'::tid AND ctid < '({end},0)'::tid AND {condition}"
            yield from self._rows(f"SELECT {select} FROM ONLY {part.quoted} WHERE {where}", projection, stop)  # noqa: S608
            block, line = end, 0

    def _rows(self, text: str, projection: Projection, stop: Event) -> Iterator[Batch]:
        """The answer to a statement in batches that are not too long; empty ones while there is nothing yet."""
        with closing(self._session.stream(text)) as stream:
            for read in stream:
                if read is None:
                    yield self._empty()
                else:
                    for start in range(0, read.num_rows, MAX_ROWS):
                        if stop.is_set():
                            return
                        yield self._batch(read.slice(start, MAX_ROWS), projection)
                if stop.is_set():
                    return

    def _batch(self, piece: pa.RecordBatch, projection: Projection) -> Batch:
        records, numbers, failures = projection.records(piece, self._row + 1)
        self._row += piece.num_rows
        if self.window:
            block, line = PLACE.unpack(piece.column(piece.num_columns - 1).storage[-1].as_py())
            self.window = replace(self.window, place=(block, line), row=self._row)
        return Batch(
            records=records,
            position=self._position(),
            origin=self._origin,
            rows=numbers,
            failures=tuple(failures),
            columns=self._table.names,
        )

    def _empty(self, *, complete: bool = False) -> Batch:
        records = pa.RecordBatch.from_pylist([], self._projection(large=False).schema)
        return Batch(
            records=records,
            position=self._position(),
            origin=self._origin,
            complete=complete,
            columns=self._table.names,
        )

    def _position(self) -> SourceCheckpoint:
        return self.window.position() if self.window else SourceCheckpoint(value={})

    def _projection(self, *, large: bool) -> Projection:
        return Projection(self._columns, large=large, verify=self.server.encoding == NO_ENCODING)


def _by_transaction(table: Table) -> list[Finding]:
    """What reading by transaction needs."""
    if not table.stored:
        kind = Finding(
            name="incremental",
            ok=False,
            detail="a view or foreign table keeps no transaction ids",
            remedy="set `incremental: none`",
        )
    else:
        kind = Finding(name="incremental", ok=True, detail="by transaction (xmin); deleted rows are not seen")
    if table.by_place or not table.stored:
        return [kind]
    refused = [p.name for p in table.parts if not p.readable]
    detail = "by transaction, a table and all its partitions must be readable, in all columns"
    grant = f"GRANT SELECT on {', '.join(refused[:5])}{' …' if len(refused) > 5 else ''} and USAGE on the schema"
    return [kind, Finding(name="rights", ok=False, detail=detail, remedy=f"{grant}; or set `incremental: none`")]


def _held_back(session: Session) -> list[Finding]:
    """A transaction that stays open holds the window back: nothing is lost, but all later rows wait."""
    ((seconds,),) = session.rows(OPEN)
    if seconds < LONG_S:
        return []
    return [
        Finding(
            name="open transactions",
            ok=True,
            detail=f"one has been open for {seconds:,.0f} s: rows written since then are read when it ends",
            remedy="see pg_stat_activity and pg_prepared_xacts",
        )
    ]
