"""Source `sql`: a departmental database, read only, streamed in sized partitions.

Whole table, or incremental by a cursor column. A cursor alone loses rows whose transactions commit late (guarantees,
fact 1), so rows up to `overlap` behind the last cursor are read again and those met before are left out by their hash.
Rows whose cursor is NULL are read in every run, and left out in the same way.
"""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from connectors.context import SourceContext
from connectors.databases import judged
from connectors.outbound import TargetRefused
from connectors.sources.specs import SqlSpec
from hub.errors import ColumnsChanged, ConfigurationInvalid, DatongError, FileRefused, SourceUnavailable
from hub.model import Batch, Finding, ReadFailure, Report, SourceCheckpoint, Stream
from hub.urls import filled

PARTITION_ROWS = 10_000
MAX_IDS = 1_000_000  # remembered in the overlap window
TIMES = (sa.Date, sa.DateTime, sa.Time)
CURSORS: Sequence[tuple[type[sa.types.TypeEngine[Any]], type | tuple[type, ...]]] = (  # SQL type → Python's
    (sa.DateTime, dt.datetime),
    (sa.Date, dt.date),
    (sa.Time, dt.time),
    (sa.Numeric, (int, float, decimal.Decimal)),
    (sa.Integer, (int, float, decimal.Decimal)),
    (sa.LargeBinary, bytes),
)
MEND = "name another host there"
READ_ONLY = {"postgresql": "SET TRANSACTION READ ONLY", "mysql": "SET TRANSACTION READ ONLY"}
TIMEOUT = {"postgresql": "SET LOCAL statement_timeout = {ms}", "mysql": "SET SESSION max_execution_time = {ms}"}


class SqlSource:
    """One table."""

    replayable = False
    repeats = False  # rows of the overlap window are told apart here

    def __init__(self, spec: SqlSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._engine: Engine | None = None

    def check(self) -> Report:
        """Can it be reached, is the table there, are cursor and key its columns?"""
        try:
            table = self._table()
        except DatongError as error:
            return Report(findings=[Finding(name="database", ok=False, detail=error.statement, remedy=error.remedy)])
        findings = [Finding(name="database", ok=True, detail=f"{table.name}: {len(table.columns)} columns")]
        if self._spec.cursor and not self._spec.overlap:
            findings.append(
                Finding(
                    name="overlap",
                    ok=True,
                    detail="none: a row whose transaction commits after a later one was read is not seen",
                    remedy="set `overlap` to longer than the longest transaction",
                )
            )
        return Report(findings=findings)

    def discover(self) -> list[Stream]:
        """The table, with Arrow types and the primary key."""
        table = self._table()
        schema = pa.schema([(c.name, _arrow(c.type)) for c in table.columns])
        return [Stream(name=self._spec.table, columns=schema, key=[c.name for c in table.primary_key.columns])]

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """Rows after the checkpoint in the order of cursor and key, all from one transaction."""
        table = self._table()
        snapshot = self._context.mode == "snapshot"
        columns = [c for c in table.columns if self._wanted(c.name)]
        window = _Window(self._spec, None if snapshot else after, self._comparable(table))
        read = 0
        last: Batch | None = None
        with self._reading() as connection:
            query = self._query(table, columns, window)
            result = connection.execution_options(stream_results=True).execute(query)
            for rows in result.partitions(PARTITION_ROWS):
                if stop.is_set():
                    return
                if last is not None:
                    yield last
                last = replace(self._batch(columns, rows, window, read), columns=table.columns.keys())
                read += len(rows)
        if last is None and snapshot:
            none = _columns(columns, [])[0]
            last = Batch(records=none, position=window.position(), columns=table.columns.keys())
        if last is not None:
            yield replace(last, complete=snapshot and not stop.is_set())

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """A database that is only read needs no word."""

    def close(self) -> None:
        """Give connections back; a running query ends with an error."""
        if self._engine is not None:
            self._engine.dispose()

    def _wanted(self, name: str) -> bool:
        needed = {self._spec.cursor, *self._spec.key} if self._spec.cursor else set(self._spec.key)
        return self._context.columns is None or name in self._context.columns or name in needed

    def _comparable(self, table: sa.Table) -> Callable[[Any], Any]:
        """What makes of a cell of the cursor column a cursor, and None of one that others cannot be compared with."""
        if not self._spec.cursor:
            return lambda cell: cell
        column = table.c[self._spec.cursor]
        if self._stored(column) is not column:
            return _iso_text
        kind = next((python for sql, python in CURSORS if isinstance(column.type, sql)), str)
        return lambda cell: cell if isinstance(cell, kind) else None

    def _stored(self, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """SQLite keeps dates and times as whatever text was written: read as text, so that an odd one costs its row only,
        and compared as text, as SQLite does."""
        as_text = self._engine is not None and self._engine.dialect.name == "sqlite" and isinstance(column.type, TIMES)
        return sa.type_coerce(column, sa.String()).label(column.name) if as_text else column

    def _query(self, table: sa.Table, columns: Sequence[sa.Column[Any]], window: _Window) -> sa.Select[Any]:
        query = sa.select(*[self._stored(c) for c in columns])
        if self._spec.cursor:
            cursor = table.c[self._spec.cursor]
            start = window.start()
            if start is not None:
                from_here = cursor >= sa.literal(start, self._stored(cursor).type)
                query = query.where(sa.or_(from_here, cursor.is_(None)))
            query = query.order_by(cursor.is_not(None), cursor)
        return query.order_by(*[table.c[k] for k in self._spec.key])

    def _batch(self, columns: Sequence[sa.Column[Any]], rows: Sequence[Any], window: _Window, read: int) -> Batch:
        names = [c.name for c in columns]
        fresh, duplicates = window.take(names, rows)
        kept = [rows[i] for i in fresh]
        records, bad = _columns(columns, kept)
        numbers = np.array([read + i + 1 for i in fresh], np.int64)
        failures = tuple(
            ReadFailure(row=int(numbers[i]), reason="TYPE_MISMATCH", raw=_raw(kept[i]), path=path)
            for i, path in sorted(bad.items())
        )
        if bad:
            good = np.setdiff1d(np.arange(len(kept)), list(bad))
            records, numbers = records.take(pa.array(good)), numbers[good]
        if self._context.columns is not None:
            records = records.select([n for n in names if n in self._context.columns])
        return Batch(
            records=records,
            position=window.position(),
            origin=self._spec.table,
            rows=numbers,
            failures=failures,
            deduplicated=duplicates,
        )

    def _table(self) -> sa.Table:
        """Reflected: only names that the database itself knows ever reach a statement (S1)."""
        schema, _, name = self._spec.table.rpartition(".")
        with self._reading() as connection:
            inspector = sa.inspect(connection)
            known = {*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)}
            if name not in known:
                raise ConfigurationInvalid(
                    "the database has no such table or view", where="source.table", remedy=_near(name, known)
                )
            table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
        for column in [*([self._spec.cursor] if self._spec.cursor else []), *self._spec.key]:
            if column not in table.columns:
                raise ColumnsChanged(
                    "the table lacks the cursor or a key column",
                    where=self._spec.table,
                    remedy=_near(column, table.c.keys()),
                )
        return table

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection in one read-only transaction. Drivers' texts quote addresses and data, so they stay behind."""
        try:
            with self._open().connect() as connection:
                name = connection.dialect.name
                if name in READ_ONLY:
                    connection.exec_driver_sql(READ_ONLY[name])
                if name in TIMEOUT:
                    ms = int(self._spec.statement_timeout_s * 1000)
                    connection.exec_driver_sql(TIMEOUT[name].format(ms=ms))
                yield connection
        except TargetRefused as refused:  # its place is not told: a secret may stand in it
            raise ConfigurationInvalid(refused.message, where="source.url", remedy=refused.remedy or MEND) from None
        except sa.exc.DBAPIError as error:
            raise SourceUnavailable(
                f"the database refused or did not answer ({type(error.orig).__name__})",
                where=self._spec.table,
                remedy="`datong connector check` tries it again",
            ) from error
        except (sa.exc.SQLAlchemyError, UnicodeDecodeError) as error:
            raise SourceUnavailable(
                f"the database could not be read: {type(error).__name__}", where=self._spec.table
            ) from error

    def _open(self) -> Engine:
        if self._engine is None:
            try:
                parsed = filled(self._spec.url, self._context.secret)
                if parsed.password is not None and make_url(self._spec.url).password == parsed.password:
                    raise ConfigurationInvalid(
                        "a password stands in the file", where="source.url", remedy="write ${secret:NAME} instead"
                    )
                engine = sa.create_engine(self._local(parsed), **_arguments(parsed))
            except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError) as error:
                raise ConfigurationInvalid("not a database URL that is known here", where="source.url") from error
            except ModuleNotFoundError as error:
                raise ConfigurationInvalid(
                    f"the driver {error.name} is not installed", where="source.url", remedy=f"pip install {error.name}"
                ) from error
            if parsed.get_backend_name() != "sqlite":
                judged(engine, parsed, self._context.outbound, "source.url", inside=True, unknown=SourceUnavailable)
            self._engine = engine
        return self._engine

    def _local(self, url: URL) -> URL:
        """A SQLite file is opened read only, and below the files root."""
        if url.get_backend_name() != "sqlite":
            return url
        try:
            path = self._context.place(url.database or "")
        except ConfigurationInvalid as refused:  # its name is not told: a secret may stand in it
            raise FileRefused(refused.message, where="source.url", remedy=refused.remedy) from None
        if not path.is_file():
            raise SourceUnavailable("there is no such database file", where="source.url")
        return url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})


class _Window:
    """The cursor's place, and the rows met within the overlap behind it."""

    def __init__(self, spec: SqlSpec, after: SourceCheckpoint | None, comparable: Callable[[Any], Any]) -> None:
        self._spec, self._comparable = spec, comparable
        value = after.value if after else {}
        self._last = comparable(_from_json(value.get("cursor")))
        self._met: dict[str, Any] = {i: comparable(_from_json(c)) for i, c in value.get("met", ())}

    def start(self) -> Any:
        """The smallest cursor to read again; None for all."""
        return None if self._last is None else _minus(self._last, self._spec.overlap)

    def take(self, names: Sequence[str], rows: Sequence[Any]) -> tuple[list[int], int]:
        """Rows not met before; the window moves with them."""
        if not self._spec.cursor:
            return list(range(len(rows))), 0
        place = names.index(self._spec.cursor)
        fresh = []
        for i, row in enumerate(rows):
            cursor = self._comparable(row[place])
            identity = hashlib.blake2b(repr(tuple(row)).encode(), digest_size=12).hexdigest()
            if identity in self._met:
                continue
            fresh.append(i)
            self._met[identity] = cursor
            if cursor is not None and (self._last is None or cursor > self._last):
                self._last = cursor
        self._forget()
        return fresh, len(rows) - len(fresh)

    def _forget(self) -> None:
        start = self.start()
        self._met = {i: c for i, c in self._met.items() if c is None or start is None or c >= start}
        if len(self._met) > MAX_IDS:
            raise ConfigurationInvalid(
                f"more than {MAX_IDS:,} rows lie in the overlap window",
                where="source.overlap",
                remedy="make it smaller",
            )

    def position(self) -> SourceCheckpoint:
        """The checkpoint."""
        met = [[i, _to_json(c)] for i, c in self._met.items()]
        return SourceCheckpoint(value={"cursor": _to_json(self._last), "met": met} if self._spec.cursor else {})


def _iso_text(cell: Any) -> str | None:
    """A date or time as SQLite keeps it; also from a checkpoint written when SQLite's dates were read as dates."""
    text = str(cell) if isinstance(cell, (str, dt.date)) else ""
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return text if text[4] == "-" else None  # 20240131 would come after all dates with hyphens


def _minus(last: Any, overlap: float) -> Any:
    if isinstance(last, dt.datetime):
        return last - dt.timedelta(seconds=overlap)
    if isinstance(last, dt.date):
        return last - dt.timedelta(days=-(-overlap // 86400))
    if isinstance(last, decimal.Decimal):
        return last - decimal.Decimal(overlap)
    return last - overlap if isinstance(last, (int, float)) else _text_minus(last, overlap)


def _text_minus(last: str, overlap: float) -> str:
    """A cursor that is text: ISO dates and times move back, other text has no distance."""
    try:
        moved = dt.datetime.fromisoformat(last) - dt.timedelta(seconds=overlap)
    except ValueError:
        return last
    return moved.isoformat(sep=" " if " " in last else "T")[: len(last)]


def _to_json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, decimal.Decimal):
        return {"decimal": str(value)}
    return value


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    parsers: dict[str, Callable[[str], Any]] = {
        "datetime": dt.datetime.fromisoformat,
        "date": dt.date.fromisoformat,
        "decimal": decimal.Decimal,
    }
    return parsers[kind](text)


def _arguments(url: URL) -> dict[str, Any]:
    """SQLite's file must not be changed under it; other databases get one connection that is tried before use."""
    return {} if url.get_backend_name() == "sqlite" else {"pool_pre_ping": True, "pool_size": 1}


def _arrow(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    """The Arrow type of a column's SQL type; what is not known is text."""
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        exact = kind.precision is not None and kind.precision <= 38
        return pa.decimal128(kind.precision, kind.scale or 0) if exact and kind.precision else pa.string()
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", "UTC") if kind.timezone else pa.timestamp("us")
    if isinstance(kind, sa.Date):
        return pa.date32()
    if isinstance(kind, sa.Time):
        return pa.time64("us")
    return pa.binary() if isinstance(kind, sa.LargeBinary) else pa.string()


def _columns(columns: Sequence[sa.Column[Any]], rows: Sequence[Any]) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Rows as columns; cells that do not fit their column's type are NULL and their row is named."""
    bad: dict[int, str] = {}
    arrays = []
    for place, column in enumerate(columns):
        kind = _arrow(column.type)
        cells = [row[place] for row in rows]
        if pa.types.is_string(kind):
            cells = [
                str(c) if isinstance(c, (decimal.Decimal, int, float)) and not isinstance(c, bool) else c for c in cells
            ]
        try:
            arrays.append(_array(cells, kind))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError):
            arrays.append(_one_by_one(cells, kind, column.name, bad))
    return pa.RecordBatch.from_arrays(arrays, [c.name for c in columns]), bad


def _array(cells: list[Any], kind: pa.DataType) -> pa.Array:
    """Cells of one type; dates and times may be text, as SQLite gives them."""
    if pa.types.is_temporal(kind):
        if any(isinstance(c, (int, float)) for c in cells):
            raise ValueError("a number, which Arrow would take for days or microseconds since 1970")
        if any(isinstance(c, str) for c in cells):
            return pa.array(cells, pa.string()).cast(kind)
    return pa.array(cells, kind)


def _one_by_one(cells: list[Any], kind: pa.DataType, name: str, bad: dict[int, str]) -> pa.Array:
    kept = []
    for i, cell in enumerate(cells):
        try:
            kept.append(_array([cell], kind))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError):
            kept.append(pa.nulls(1, kind))
            bad.setdefault(i, name)
    return pa.concat_arrays(kept)


def _raw(row: Any) -> bytes:
    return repr(tuple(row)).encode(errors="replace")


def _near(name: str, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean `{close[0]}`?" if close else ""
