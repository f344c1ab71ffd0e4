"""Connections to the log's file, and SQLite's errors in the hub's words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.errors import DatongError, DirectoryTooNew, LogBroken, LogUnavailable, StorageFull
from hub.log.sqlite import queries

APPLICATION_ID = 0x44544E47  # "DTNG"
VERSION = 1  # of the tables
BUSY_S = 10.0  # another process, such as a backup, may hold the file for a moment
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_TOOBIG)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def translated() -> Iterator[None]:
    """SQLite's errors as the hub's. The text of SQLite's own messages is not passed on (R11)."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error) from error


def _translate(error: sqlite3.Error) -> DatongError:
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    extended = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if code in _FULL:
        return StorageFull("the disk or the log's size limit is full; nothing was written", remedy="free some space")
    if code in _BUSY:
        return LogUnavailable("the log's file is locked by another program", remedy="end that program, then try again")
    if code in _BROKEN:
        return LogBroken(f"the log's file is damaged ({extended})", remedy="restore it from a backup")
    if code == sqlite3.SQLITE_IOERR:
        return LogBroken(
            f"the disk failed while the log was written or read ({extended})",
            remedy="see the disk's health and space, and this process's limit of file sizes (ulimit -f); then restart",
        )
    return LogBroken(f"the log failed ({extended})", remedy="restart the hub")


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are explicit."""
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_S,
    )
    connection.execute("PRAGMA mmap_size = 0")
    if not read_only:
        connection.execute("PRAGMA synchronous = FULL")
    return connection


def create_or_check(path: Path) -> None:
    """Make the file with its tables, or see that this version may open it. Raises DirectoryTooNew (G20)."""
    with translated():
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = connect(path)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise DirectoryTooNew(
                    f"the log has format {version}, this version of Datong knows {VERSION}",
                    where=path.name,
                    remedy="use the newer Datong that wrote it",
                )
            if version == 0:
                _create(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in queries.load("schema.sql").values():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
