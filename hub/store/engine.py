"""Opening a database, and the two kinds of transaction. Foreign exceptions are translated here and nowhere else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from hub.errors import ConfigurationInvalid, DatongError, Fatal, Reject, Retry, StorageFull
from hub.store import postgres

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

CONNECTIONS = 10  # to PostgreSQL, where nobody says otherwise
BUSY_TIMEOUT = 30.0  # seconds to wait for another writer
BACKENDS = ("sqlite", "postgresql")


def open_engine(url: str | sa.URL, connections: int = CONNECTIONS) -> Engine:
    """An engine for a SQLite file (made 0600, WAL, FULL) or PostgreSQL. Raises ConfigurationInvalid."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in BACKENDS:
            raise ConfigurationInvalid(f"a store is SQLite or PostgreSQL, not {backend}", where="store.url")
        return _open_sqlite(parsed) if backend == "sqlite" else postgres.open_postgres(parsed, connections)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationInvalid("not a database URL", where="store.url") from error
    except ModuleNotFoundError as error:
        raise ConfigurationInvalid(
            f"the driver {error.name} for this database is not installed", where="store.url"
        ) from error


def _open_sqlite(url: sa.URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationInvalid("the store needs a file", where="store.url", remedy="sqlite:///path/to/store.db")
    try:
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))
        os.chmod(url.database, 0o600)  # WAL and shared-memory files take the mode of the database
    except OSError as error:
        raise ConfigurationInvalid(
            f"the store's file cannot be opened ({error.strerror})", where=os.path.basename(url.database)
        ) from error
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer may find that it read old data and fail; writers therefore say so at once.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that only reads. Raises Retry when the database does not answer."""
    with translated(), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction: durable when the block ends, undone when it raises; so StorageFull and Retry wrote nothing."""
    with translated(), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def insert(engine: Engine, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, in this engine's dialect; both spell it alike."""
    if engine.dialect.name == "sqlite":
        return sqlite.Insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.Insert(table)


@contextmanager
def translated() -> Iterator[None]:
    """A driver's errors as ours. Its text may quote data, so it stays behind (R11)."""
    try:
        yield
    except DBAPIError as error:
        raise _translate(error) from error
    except PoolExhausted as error:
        raise Retry(
            "all connections to the store are in use", where="store.url", remedy="raise store.connections"
        ) from error
    except (UnicodeEncodeError, OverflowError) as error:  # the driver's, before the database saw anything
        raise Reject("the store cannot keep this value", remedy="no lone surrogates, and 64 bits at most") from error


def _translate(error: DBAPIError) -> DatongError:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:
        return postgres.translate(error)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StorageFull("the store's disk is full", remedy="free space; nothing was written")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Fatal("the store's file is damaged", remedy="restore it from a backup")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Retry("another process keeps the store busy")
    if isinstance(error, sa.exc.OperationalError):
        return Retry(f"the store did not do its work ({type(error.orig).__name__})")
    return Fatal(f"the store refused a statement ({type(error.orig).__name__})")
