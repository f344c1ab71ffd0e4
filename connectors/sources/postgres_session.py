"""One read-only transaction on a PostgreSQL server, as Arrow batches (ADBC), and what its errors mean here.

A thread of its own does all the work of a session, so that the reader can wait in steps, read one batch ahead, and be
ended by `close` from any thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import adbc_driver_manager
import adbc_driver_postgresql  # type: ignore[import-untyped] # the wheel carries no types
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from connectors.context import SourceContext
from connectors.databases import NO_HOST, asks_for_tls
from connectors.outbound import Outbound, TargetRefused
from connectors.sources.specs import PostgresSpec
from hub.errors import ColumnsChanged, ConfigurationInvalid, DatongError, SourceUnavailable
from hub.urls import filled, port_of

BATCH_BYTES = 4 * 1024 * 1024
IDLE_S = 0.5  # how long the reader waits for a batch before it is told that there is none yet
LOCK_S = 10.0  # a table that somebody else has locked is tried again later
CLOSE_S = 5.0
ALLOWED = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "channel_binding",
    "gssencmode",
    "target_session_attrs",
)
KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
SETTINGS = (
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL IntervalStyle = 'iso_8601'",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL synchronize_seqscans = off",  # rows in the order in which they stand: a checkpoint is a place
    "SET LOCAL max_parallel_workers_per_gather = 0",
)
T = TypeVar("T")
Error = Callable[..., DatongError]
RESUME = "then {resume}"  # the command, which names the connector

STATES: Sequence[tuple[str, Error, str, str]] = (  # start of an SQLSTATE, error, message, remedy
    ("28", ConfigurationInvalid, "the database refused the user or the password", f"mend source.url, {RESUME}"),
    ("3D000", ConfigurationInvalid, "there is no such database on the server", f"mend source.url, {RESUME}"),
    (
        "42501",
        ConfigurationInvalid,
        "the user may not read this table",
        f"GRANT SELECT on the table (on every partition) and USAGE on its schema, {RESUME}",
    ),
    ("42703", ColumnsChanged, "the table lost a column while it was looked at", "{resume}"),
    ("42P01", ConfigurationInvalid, "the table is gone", "see source.table"),
    ("22", ConfigurationInvalid, "a value could not be computed or turned into UTF-8", "mend the row or the view"),
    ("25006", ConfigurationInvalid, "reading the view would write", "read a table, or a view that only reads"),
    ("53300", SourceUnavailable, "the server has no connection left", "raise max_connections, or wait"),
    ("55P03", SourceUnavailable, f"somebody has had the table locked for {LOCK_S:.0f} s", "wait until it is free"),
    ("57014", SourceUnavailable, "the statement took too long or was cancelled", "see source.statement_timeout_s"),
)
REFUSALS: Sequence[tuple[str, str]] = (  # libpq gives no SQLSTATE for a connection that failed, only the server's text
    (r"password authentication failed|Password 认证失败|密码|no password supplied|authentication method", "28"),
    (r"role .* does not exist|角色.*不存在|no pg_hba\.conf entry|pg_hba\.conf", "28"),
    (r"database .* does not exist|数据库.*不存在", "3D000"),
    (r"permission denied for database", "42501"),
    (r"too many (clients|connections)|remaining connection slots|太多", "53300"),
)


class Closed(Exception):
    """`close` was called while something was under way."""


def connection_string(spec: PostgresSpec, context: SourceContext) -> str:
    """libpq's own form of the URL, filled with its secrets, and with the addresses that it was judged by (R17).
    Raises ConfigurationInvalid, SourceUnavailable."""
    try:
        url = filled(spec.url, context.secret)
        written = make_url(spec.url) if "://" in spec.url else None
    except (ArgumentError, ValueError) as error:
        raise ConfigurationInvalid("not a database URL", where="source.url", remedy=_form()) from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationInvalid("not the URL of a PostgreSQL database", where="source.url", remedy=_form())
    if written is not None and written.password and "${secret:" not in written.password:
        raise ConfigurationInvalid(
            "a password stands in the file", where="source.url", remedy="write ${secret:NAME} instead"
        )
    unknown = sorted(set(url.query) - set(ALLOWED))
    if unknown:
        raise ConfigurationInvalid(
            "the URL has a parameter that is not taken here",
            where="source.url",
            remedy=f"these are: {', '.join(ALLOWED)}",
        )
    return make_conninfo(**{**_parameters(url, spec), **_judged(url, context.outbound)})


def _judged(url: URL, outbound: Outbound) -> Mapping[str, str]:
    """Each address beside the host's name, which certificates are compared with."""
    if not url.host:
        raise ConfigurationInvalid(NO_HOST, where="source.url", remedy=_form())
    try:
        port, encrypted = port_of(url) or 5432, asks_for_tls(url)
        addresses = outbound.addresses(url.host, port, encrypted=encrypted, inside=True)
    except TargetRefused as refused:  # its place is not told: a secret may stand in it
        raise ConfigurationInvalid(refused.message, where="source.url", remedy=refused.remedy or _form()) from None
    except (OSError, UnicodeError):
        raise SourceUnavailable(
            "the host is not known", where="source.url", remedy="see the host's name, or the name service"
        ) from None
    return {"host": ",".join([url.host] * len(addresses)), "hostaddr": ",".join(addresses)}


def _form() -> str:
    return "write postgresql://user:${secret:NAME}@host:5432/database"


def _parameters(url: URL, spec: PostgresSpec) -> Mapping[str, Any]:
    given = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database}
    return {
        **{name: value for name, value in given.items() if value is not None},
        **{name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()},
        **KEEPALIVE,
        "connect_timeout": max(2, round(spec.connect_timeout_s)),  # libpq takes one second for two
        "client_encoding": "UTF8",
        "application_name": "datong",
    }


class Session:
    """A connection, from `begin` to `close`. Every statement runs in a read-only transaction."""

    def __init__(self, conninfo: str, spec: PostgresSpec, task: str) -> None:
        self._conninfo, self._spec = conninfo, spec
        self.resume = f"`datong connector resume {task}`"  # for remedies
        self._worker = ThreadPoolExecutor(1, "postgres")
        self._lock = threading.Lock()
        self._closed = False
        self._connection: Any = None
        self._cursor: Any = None
        self._reader: Any = None  # of an answer that is not read to its end
        self._latest: Future[Any] | None = None

    def begin(self, isolation: str = "READ COMMITTED") -> None:
        """Connect where needed, end the transaction there was, and start another."""

        def start() -> None:
            if self._connection is None:
                self._connection = dbapi.connect(self._conninfo, autocommit=True)
                self._cursor = self._connection.cursor()
            timeout_ms = int(self._spec.statement_timeout_s * 1000)
            lock_ms = min(timeout_ms, int(LOCK_S * 1000))
            limits = (f"SET LOCAL statement_timeout = {timeout_ms}", f"SET LOCAL lock_timeout = {lock_ms}")
            for text in ("ROLLBACK", f"BEGIN ISOLATION LEVEL {isolation} READ ONLY", *limits, *SETTINGS):
                self._cursor.execute(text)

        self._wait(start)

    def run(self, text: str) -> None:
        """A statement without an answer."""
        self._wait(lambda: self._cursor.execute(text))

    def rows(self, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """A small answer. Parameters are $1, $2 …"""

        def fetch() -> list[tuple[Any, ...]]:
            self._cursor.execute(text, parameters or None)
            return list(self._cursor.fetchall())

        return self._wait(fetch)

    def stream(self, text: str) -> Generator[pa.RecordBatch | None, None, None]:
        """A large answer in batches, the next read ahead. None: nothing yet."""
        following = self._submit(lambda: self._open(text))
        while True:
            while not wait([following], IDLE_S).done:
                yield None
            batch = self._result(following)
            if batch is None:
                return
            following = self._submit(self._next)
            yield batch

    def close(self) -> None:
        """Cancel what runs and disconnect. From any thread, any number of times."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            cancelled = threading.Event()
            if self._latest is None or self._latest.done():
                cancelled.set()
            else:  # a cancel connects anew, which may take long: it must not hold us up
                threading.Thread(target=self._cancel, args=(cancelled,), daemon=True).start()
            ended = self._worker.submit(self._disconnect, cancelled)
            self._worker.shutdown(wait=False)
        wait([ended], CLOSE_S)

    def _open(self, text: str) -> pa.RecordBatch | None:
        options = {adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)}
        self._cursor.adbc_statement.set_options(**options)
        self._cursor.execute(text)
        self._reader = self._cursor._results.reader  # what fetch_record_batch gives loses the errors' SQLSTATE
        return self._next()

    def _next(self) -> pa.RecordBatch | None:
        try:
            batch: pa.RecordBatch = self._reader.read_next_batch()
            return batch
        except StopIteration:
            self._reader = None
            return None

    def _cancel(self, done: threading.Event) -> None:
        with suppress(adbc_driver_manager.Error):
            if self._connection is not None:
                self._connection.adbc_cancel()
        done.set()

    def _disconnect(self, cancelled: threading.Event) -> None:
        cancelled.wait()  # the driver must not lose the connection while it cancels on it
        if self._reader is not None:
            self._cancel(cancelled)  # else closing would read the rest of the answer
        for held in (self._cursor, self._connection):
            with suppress(adbc_driver_manager.Error, OSError):
                if held is not None:
                    held.close()

    def _wait(self, work: Callable[[], T]) -> T:
        return self._result(self._submit(work))

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise Closed
            future = self._worker.submit(work)
            self._latest = future
            return future

    def _result(self, future: Future[T]) -> T:
        with translated(self._spec.table, self.resume):
            try:
                return future.result()
            except (adbc_driver_manager.Error, OSError, pa.ArrowException):
                if self._closed:
                    raise Closed from None
                raise


@contextmanager
def translated(where: str, resume: str) -> Iterator[None]:
    """The driver's errors as ours. Its texts quote addresses, names and data, so they stay behind."""
    try:
        yield
    except (adbc_driver_manager.Error, OSError, pa.ArrowException) as error:
        raise _meaning(error, where, resume) from error


def _meaning(error: Exception, where: str, resume: str) -> DatongError:
    text = str(error)
    state = getattr(error, "sqlstate", None) or ""
    if "Failed to connect" in text:
        state = next((state for pattern, state in REFUSALS if re.search(pattern, text)), "")
        if not state:
            return _unreachable(text)
    for start, kind, message, remedy in STATES:
        if state.startswith(start):
            return kind(message, where=where, remedy=remedy.format(resume=resume))
    return SourceUnavailable(
        f"the database ended the reading or was lost{f' (SQLSTATE {state})' if state else ''}",
        where=where,
        remedy="the server's own log says why; the next run goes on from the checkpoint",
    )


def _unreachable(text: str) -> SourceUnavailable:
    where = "source.url"
    if "could not translate host name" in text:
        return SourceUnavailable(
            "the host is not known", where=where, remedy="see the host's name, or the name service"
        )
    if "timeout expired" in text:
        return SourceUnavailable(
            "the host did not answer in time", where=where, remedy="see address, port, firewall and connect_timeout_s"
        )
    if "onnection refused" in text:
        return SourceUnavailable(
            "nothing listens at that address", where=where, remedy="start the server, or see host and port"
        )
    if "SSL" in text.replace("SSL SYSCALL", "") or "certificate" in text:
        return SourceUnavailable("no TLS connection came about", where=where, remedy="see sslmode and the certificates")
    return SourceUnavailable(
        "the server did not take the connection", where=where, remedy="the server's own log says why"
    )
