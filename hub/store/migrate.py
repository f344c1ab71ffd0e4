"""Bring a database to the newest revision of its tables (G20)."""

from __future__ import annotations

from importlib.resources import files

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from hub.errors import DirectoryTooNew
from hub.store.engine import reading, writing

ONE_AT_A_TIME = 0x6461746F6E67  # names the advisory lock of those who change the tables: "datong"
HEAD = "0016"  # the newest revision; a test compares it with the files


def migrate(engine: Engine) -> None:
    """Apply what is missing, all or nothing; processes that start together wait for each other.

    Raises DirectoryTooNew when a newer Datong has changed the tables in a way this one does not know.
    """
    with reading(engine) as connection:
        if _revision(connection) == HEAD:
            return  # the usual case, without the cost of loading Alembic
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
        upgrade(connection)


def upgrade(connection: Connection, target: str = "head") -> None:
    """The same on an open transaction, up to a revision."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(files("hub.store") / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    revision = _revision(connection)
    try:
        ScriptDirectory.from_config(config).get_revision(revision or "base")
    except CommandError as error:
        raise DirectoryTooNew(
            f"the store is at revision {revision}, this version of Datong knows up to {HEAD}",
            where="store",
            remedy="start it with the newer version of Datong that wrote it, or restore an older backup",
        ) from error
    command.upgrade(config, target)


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision
