"""The store on PostgreSQL: bounded connections, one back-off for all threads, and what the server's errors mean here."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from hub.errors import ConfigurationInvalid, DatongError, Fatal, Reject, Retry, StorageFull
from hub.jitter import jittered

WHERE = "store.url"
POOL_WAIT_S = 10.0  # for one of the connections, when all are in use
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0  # between two attempts to connect, of all threads together
# A node that is frozen inside a transaction holds its locks only so long: less than others wait for them, so that one
# of them goes on within its take-over (R4, F3).
SESSION = "-c statement_timeout=30000 -c lock_timeout=20000 -c idle_in_transaction_session_timeout=10000"
CONNECTION: Mapping[str, Any] = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # ms: a peer that a cut cable took away is given up
    "target_session_attrs": "read-write",  # of several hosts, the one that is primary now
    "application_name": "datong",
    "options": SESSION,
}
Meaning = tuple[str, type[DatongError], str, str]  # start of an SQLSTATE, error, message, remedy


class Refused(Retry):
    """The server refused the hub itself. When a store is opened this is a mistake of configuration; later it may pass."""

    @property
    def code(self) -> str:
        """Callers know it as what it is to them: a passing fault."""
        return "Retry"


STATES: Sequence[Meaning] = (
    ("28", Refused, "the database refused the user or the password", "mend store.url or the user's password"),
    ("3D000", Refused, "there is no such database on the server", "mend store.url, or CREATE DATABASE … OWNER the user"),
    ("42501", Refused, "the user lacks a right in this database", "make it the database's owner, or GRANT USAGE, CREATE "
     "ON SCHEMA public and all on its tables"),
    ("3F000", Refused, "no schema to create tables in", "create the schema that search_path names, or reset it"),
    ("53100", StorageFull, "the database server's disk is full", "free space on it; nothing was written"),
    ("53300", Retry, "the server has no connection left", "raise its max_connections, or lower store.connections"),
    ("57P03", Retry, "the server is starting or stopping", "it is asked again"),
    ("25P03", Retry, "this process was paused in a transaction: nothing was written", "it is done again"),
    ("55P03", Retry, "another process holds what is to be changed", "it is tried again"),
    ("25006", Retry, "the server is a standby and takes no writes", "name the primary in store.url"),
    ("22", Reject, "the store cannot keep this value", "no NUL in texts, and numbers of 64 bits at most"),
    ("XX001", Fatal, "the database is damaged", "restore it from a backup"),
    ("XX002", Fatal, "the database is damaged", "restore it from a backup"),
)  # fmt: skip
REFUSALS: Sequence[tuple[str, str]] = (  # libpq gives no SQLSTATE for a connection that failed, only the server's text
    (r"password authentication failed|no password supplied|authentication method|认证失败|密码", "28"),
    (r"role .* does not exist|is not permitted to log in|no pg_hba\.conf entry|角色.*不存在", "28"),
    (r"database .* does not exist|数据库.*不存在", "3D000"),
    (r"permission denied for database", "42501"),
    (r"too many (clients|connections)|remaining connection slots|太多", "53300"),
    (r"the database system is (starting up|shutting down|in recovery mode|not )", "57P03"),
    (r"session is read-only|session is not read-write", "25006"),
)
UNREACHABLE: Sequence[tuple[str, str, str]] = (
    (r"could not translate host name|failed to resolve", "the host is not known", "see the host's name in store.url"),
    (r"timeout expired", "the host did not answer in time", "see address, port and firewall"),
    (r"[Cc]onnection refused", "nothing listens at that address", "start the server, or see host and port"),
    (r"certificate|SSL(?! SYSCALL)", "no TLS connection came about", "see sslmode and the certificates"),
)


def open_postgres(url: sa.URL, connections: int) -> Engine:
    """An engine with at most so many connections. What the URL's query says goes before our defaults."""
    if url.get_driver_name() not in ("psycopg", ""):
        raise ConfigurationInvalid(
            "the store uses the driver psycopg", where=WHERE, remedy="postgresql+psycopg://user@host:5432/database"
        )
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,  # a restart of the server is met here, not by a statement
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={name: value for name, value in CONNECTION.items() if name not in url.query},
    )
    sa.event.listen(engine, "do_connect", BackOff().connect)
    return engine


class BackOff:
    """While the server is away, all threads together try it seldom: the others are told the last cause at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cause: DatongError | None = None
        self._until = 0.0  # monotonic
        self._pause = FIRST_PAUSE_S

    def connect(self, dialect: Any, _record: Any, arguments: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
        """A new connection of the driver. Raises its errors, or ours while nobody shall try."""
        with self._lock:
            if self._cause is not None and time.monotonic() < self._until:
                raise type(self._cause)(self._cause.message, where=self._cause.where, remedy=self._cause.remedy)
            self._until = time.monotonic() + CONNECTION["connect_timeout"]  # this thread's attempt is the one
        try:
            made = dialect.connect(*arguments, **parameters)
        except dialect.loaded_dbapi.Error as error:
            self._failed(meaning(error))
            raise
        with self._lock:
            self._cause, self._pause, self._until = None, FIRST_PAUSE_S, 0.0
        return made

    def _failed(self, cause: DatongError) -> None:
        with self._lock:
            self._cause = cause
            self._until = time.monotonic() + jittered(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)


def translate(error: DBAPIError) -> DatongError:
    """A statement's or a connection's error as ours. The driver's text quotes addresses and data: it stays behind."""
    found = meaning(error.orig)
    if type(found) is Fatal and error.connection_invalidated:
        return _passing(found)
    return found


def meaning(error: BaseException | None) -> DatongError:
    """Of a driver's error."""
    state, text = getattr(error, "sqlstate", None) or "", str(error)
    if not state:
        state = next((state for pattern, state in REFUSALS if re.search(pattern, text)), "")
        for pattern, message, remedy in UNREACHABLE if not state else ():
            if re.search(pattern, text):
                return Retry(message, where=WHERE, remedy=remedy)
    for start, kind, message, remedy in STATES:
        if state.startswith(start):
            return kind(message, where=WHERE, remedy=remedy)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "DataError" in kinds:  # made by the driver itself
        return Reject("the store cannot keep this value", where=WHERE, remedy="no NUL in texts")
    what = f"SQLSTATE {state}" if state else type(error).__name__
    found = Fatal(f"the store did not do its work ({what})", where=WHERE, remedy="the database server's log says why")
    return _passing(found) if "OperationalError" in kinds else found


def _passing(error: Fatal) -> Retry:
    return Retry(error.message, where=error.where, remedy=error.remedy)
