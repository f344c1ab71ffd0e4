"""Sink `table`: records of a keyed topic as rows by key, deletions applied; of another topic, every record a row.

The offsets stand in the same database and are written in the same transaction as the rows, so a crash at any moment leaves
rows and offsets that fit each other; and a worker that was paused and comes back finds them moved, and writes nothing (R4).
PostgreSQL gets its batches by COPY into a temporary table and one merge.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from connectors.context import SinkContext
from connectors.databases import judged
from connectors.outbound import TargetRefused
from connectors.sinks.specs import TableSpec
from hub.errors import ConfigurationInvalid, DatongError, SinkGone, SinkRefused, SinkUnavailable
from hub.model import PushRules, SinkBatch
from hub.urls import filled

OFFSETS = "datong_offsets"
STAGING = "datong_batch"
PLACE = ("datong_partition", "datong_offset")  # key of a table whose topic has none
LONGEST_PAUSE_S = 10  # of this process in a transaction, where the database can end it
MAX_KEY = 255  # characters of a key column, where the database wants to know


class TableSink:
    """One table. One thread uses it."""

    rules = PushRules()

    def __init__(self, spec: TableSpec, context: SinkContext) -> None:
        self._spec, self._name = spec, context.subscription
        schema, _, table = spec.table.rpartition(".")
        self._schema, self._table_name = schema or None, table
        try:
            url = filled(spec.url, context.secret)
            file = url.get_backend_name() == "sqlite"
            if file and url.database and url.database != ":memory:":
                url = url.set(database=str(context.place(url.database)))
            self._engine = sa.create_engine(url, pool_pre_ping=True, pool_size=1, max_overflow=0)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigurationInvalid(
                "not the URL of a database with an installed driver", where="sink.url"
            ) from error
        if self._engine.dialect.name == "postgresql":
            sa.event.listen(self._engine, "begin", _impatient)
        if not file:
            judged(self._engine, url, context.outbound, "sink.url")
        self._where = f"table {spec.table}"
        self._meta = sa.MetaData()
        self._offsets = sa.Table(
            OFFSETS,
            self._meta,
            sa.Column("subscription", sa.String(200), primary_key=True),
            sa.Column("partition_number", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("position", sa.BigInteger, nullable=False),
            schema=self._schema,
        )
        self._table: sa.Table | None = None
        self._known: Mapping[int, int] | None = None  # positions as this sink last saw or moved them

    def positions(self) -> Mapping[int, int]:
        """As of the last transaction."""
        with self._translated(), self._engine.begin() as connection:
            if not sa.inspect(connection).has_table(OFFSETS, schema=self._schema):
                self._known = {}
            else:
                self._known = self._stored(connection)
        return self._known

    def write(self, batch: SinkBatch) -> None:
        """Rows, deletions and offsets in one transaction. Raises SinkUnavailable, SinkRefused."""
        with self._translated():
            table = self._ready(batch)
            last = _last_of_each_key(batch)
            with self._engine.begin() as connection:
                if batch.reset:
                    connection.execute(sa.delete(table))
                if self._engine.dialect.name == "postgresql" and len(last):
                    self._merge(connection, table, batch, last)
                elif len(last):
                    self._replace(connection, table, batch, last)
                self._move(connection, batch)
        self._known = dict(batch.positions)

    def close(self) -> None:
        """Give the connection back."""
        self._engine.dispose()

    def _ready(self, batch: SinkBatch) -> sa.Table:
        """The table, made when it is not there. Raises SinkRefused when it lacks columns."""
        if self._table is None:
            key = batch.key or PLACE
            columns = [sa.Column(f.name, _sql_type(f.type, f.name in key), primary_key=f.name in key,
                                 nullable=f.name not in key, autoincrement=False) for f in batch.records.schema]  # fmt: skip
            if not batch.key:
                columns += [sa.Column(n, sa.BigInteger, primary_key=True, autoincrement=False) for n in PLACE]
            table = sa.Table(self._table_name, self._meta, *columns, schema=self._schema)
            self._meta.create_all(self._engine, checkfirst=True)
            there = {c["name"] for c in sa.inspect(self._engine).get_columns(self._table_name, schema=self._schema)}
            missing = [c.name for c in columns if c.name not in there]
            if missing:
                raise SinkRefused(
                    f"the table has no column {', '.join(f'`{m}`' for m in missing)}",
                    where=self._where,
                    remedy="add it, or let the sink make a table of another name",
                )
            self._table = table
        return self._table

    def _replace(self, connection: Connection, table: sa.Table, batch: SinkBatch, last: Sequence[int]) -> None:
        """By the statements that every database knows: delete the keys, then insert what is not deleted."""
        rows = _rows(batch, last)
        key = [c.name for c in table.primary_key.columns]
        match = sa.and_(*[table.c[name] == sa.bindparam(f"key_{name}") for name in key])
        connection.execute(sa.delete(table).where(match), [{f"key_{n}": row[n] for n in key} for row in rows])
        kept = [row for row, i in zip(rows, last, strict=True) if not _deleted(batch, i)]
        if kept:
            connection.execute(sa.insert(table), kept)

    def _merge(self, connection: Connection, table: sa.Table, batch: SinkBatch, last: Sequence[int]) -> None:
        """COPY into a temporary table, then one statement for the deletions and one for the rest."""
        key = [c.name for c in table.primary_key.columns]
        names = [c.name for c in table.columns]
        quote = self._engine.dialect.identifier_preparer.quote
        target = self._engine.dialect.identifier_preparer.format_table(table)
        columns = ", ".join(quote(n) for n in names)
        connection.exec_driver_sql(
            f"CREATE TEMP TABLE IF NOT EXISTS {STAGING} ON COMMIT DROP AS SELECT {columns}, FALSE AS datong_deleted"  # noqa: S608
            f" FROM {target} LIMIT 0"
        )
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor, cursor.copy(f"COPY {STAGING} ({columns}, datong_deleted) FROM STDIN") as copy:
            for row in _tuples(batch, last, names):
                copy.write_row(row)
        match = " AND ".join(f"t.{quote(k)} = s.{quote(k)}" for k in key)
        keys = ", ".join(quote(k) for k in key)
        others = [n for n in names if n not in key]
        change = "UPDATE SET " + ", ".join(f"{quote(n)} = EXCLUDED.{quote(n)}" for n in others) if others else "NOTHING"
        connection.exec_driver_sql(f"DELETE FROM {target} t USING {STAGING} s WHERE s.datong_deleted AND {match}")  # noqa: S608
        connection.exec_driver_sql(
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {STAGING} WHERE NOT datong_deleted"  # noqa: S608
            f" ON CONFLICT ({keys}) DO {change}"
        )
        connection.exec_driver_sql(f"DROP TABLE {STAGING}")

    def _stored(self, connection: Connection) -> dict[int, int]:
        mine = sa.select(self._offsets).where(self._offsets.c.subscription == self._name).with_for_update()
        return {row.partition_number: row.position for row in connection.execute(mine)}

    def _move(self, connection: Connection, batch: SinkBatch) -> None:
        """Behind the rows, whose locks another writer waits for."""
        if self._known is not None and self._stored(connection) != self._known:
            raise SinkUnavailable(
                "another worker wrote here since: nothing was written",
                where=self._where,
                remedy="nothing is to be done: it goes on from where that one came to",
            )
        mine = self._offsets.c.subscription == self._name
        connection.execute(sa.delete(self._offsets).where(mine))
        rows = [
            {"subscription": self._name, "partition_number": p, "position": at} for p, at in batch.positions.items()
        ]
        if rows:
            connection.execute(sa.insert(self._offsets), rows)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """A driver's errors as ours; its text may quote data, so it stays behind (R11)."""
        try:
            yield
        except TargetRefused as refused:
            raise SinkGone(refused.message, where=refused.where, remedy=refused.remedy) from None
        except DatongError:
            raise
        except DBAPIError as error:
            passing = isinstance(error, OperationalError) or error.connection_invalidated
            raise self._problem(error.orig, passing=passing) from None
        except psycopg.Error as error:  # from COPY, which goes past SQLAlchemy
            raise self._problem(error, passing=isinstance(error, psycopg.OperationalError)) from None
        except SQLAlchemyError as error:
            raise SinkRefused(f"the table cannot be used: {type(error).__name__}", where=self._where) from None

    def _problem(self, error: BaseException | None, *, passing: bool) -> DatongError:
        kind = type(error).__name__
        if passing:
            return SinkUnavailable(f"the database did not do its work ({kind})", where=self._where)
        return SinkRefused(
            f"the database refuses the rows ({kind})", where=self._where, remedy="compare the table with the grant"
        )


def _impatient(connection: Connection) -> None:
    """A worker that is frozen in a transaction lets its successor in."""
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{LONGEST_PAUSE_S}s'")


def _sql_type(kind: pa.DataType, in_key: bool) -> sa.types.TypeEngine[Any]:
    if pa.types.is_boolean(kind):
        return sa.Boolean()
    if pa.types.is_integer(kind):
        return sa.BigInteger()
    if pa.types.is_floating(kind):
        return sa.Double()
    if pa.types.is_decimal(kind):
        return sa.Numeric(kind.precision, kind.scale)
    if pa.types.is_date(kind):
        return sa.Date()
    if pa.types.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    if pa.types.is_time(kind):
        return sa.Time()
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return sa.LargeBinary()
    return sa.String(MAX_KEY) if in_key else sa.Text()


def _last_of_each_key(batch: SinkBatch) -> list[int]:
    """Rows that count: of a key that stands several times in the batch, the last."""
    if not batch.key:
        return list(range(len(batch.offsets)))
    columns = [batch.records.column(name).to_pylist() for name in batch.key]
    last = {values: i for i, values in enumerate(zip(*columns, strict=True))}
    return sorted(last.values())


def _deleted(batch: SinkBatch, row: int) -> bool:
    return batch.deleted is not None and bool(batch.deleted[row])


def _rows(batch: SinkBatch, last: Sequence[int]) -> list[dict[str, Any]]:
    chosen = batch.records.take(pa.array(last, pa.int64()))
    columns = {f.name: [_value(v) for v in chosen.column(i).to_pylist()] for i, f in enumerate(chosen.schema)}
    if not batch.key:
        columns |= _places(batch, last)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _places(batch: SinkBatch, last: Sequence[int]) -> dict[str, list[Any]]:
    rows = np.array(last, np.int64)
    return dict(zip(PLACE, (batch.partitions[rows].tolist(), batch.offsets[rows].tolist()), strict=True))


def _tuples(batch: SinkBatch, last: Sequence[int], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    chosen = batch.records.take(pa.array(last, pa.int64()))
    columns: dict[str, list[Any]] = {}
    for i, f in enumerate(chosen.schema):
        values = chosen.column(i).to_pylist()
        columns[f.name] = [_value(v) for v in values] if _odd(f.type) else values
    if not batch.key:
        columns |= _places(batch, last)
    gone = batch.deleted[np.array(last)].tolist() if batch.deleted is not None else [False] * len(last)
    return zip(*[columns[n] for n in names], gone, strict=True)


def _odd(kind: pa.DataType) -> bool:
    """Needs a look at each value on its way into a column."""
    return bool(pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or pa.types.is_duration(kind))


def _value(value: Any) -> Any:
    """Nested values as JSON text."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_text)
    return value


def _text(value: Any) -> str:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
