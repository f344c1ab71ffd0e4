"""Opening a store: privacy, durability, revisions, errors."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

import hub
from hub.errors import ConfigurationInvalid, DirectoryTooNew, Fatal, Retry, StorageFull
from hub.store import Store
from hub.store.engine import open_engine, reading, writing
from hub.store.migrate import HEAD
from hub.store.tables import METADATA


def ddl(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: sql for name, sql in rows if name != "alembic_version"}


def test_schema_is_the_sum_of_the_migrations(tmp_path: Path, store: Store) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    assert ddl(tmp_path / "store.db") == ddl(tmp_path / "direct.db")
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", "hub.store:migrations")
    assert ScriptDirectory(str(Path(hub.__file__).parent / "store" / "migrations")).get_current_head() == HEAD


def test_tables_compile_for_postgresql() -> None:
    for table in METADATA.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_file_is_private_durable_and_in_wal(tmp_path: Path, store: Store) -> None:
    store.states.put("c", "RUNNING", reason="", by="test", now_ms=1)
    for file in tmp_path.glob("store.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    with reading(store.engine) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_G20_a_newer_revision_is_refused_and_left_alone(tmp_path: Path, url: str) -> None:
    Store.open(url).close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = ddl(tmp_path / "store.db")
    with pytest.raises(DirectoryTooNew, match="9999"):
        Store.open(url)
    assert ddl(tmp_path / "store.db") == before


def test_G20_state_survives_reopening(url: str) -> None:
    with Store.open(url) as first:
        first.states.put("c", "PAUSED", reason="why", by="me", now_ms=5)
    with Store.open(url) as second:
        assert second.states.get("c").reason == "why"


def test_many_open_a_new_store_at_once(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: Store.open(url), range(8)))
    assert all(store.healthy() for store in stores)
    for store in stores:
        store.close()


def test_migrations_need_only_the_installed_package(tmp_path: Path) -> None:
    """As from a wheel: the package's own files, no alembic.ini, another working directory."""
    shutil.copytree(Path(hub.__file__).parent, tmp_path / "site" / "hub", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "100% empty").mkdir()
    code = (
        "from hub.store import Store; s = Store.open('sqlite:///new.db'); print(s.healthy(), s.states.get('x').state)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "100% empty",
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True RUNNING"), done.stderr


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://h/d", "sqlite://", "sqlite:////no/such/folder/store.db", "postgresql+nodriver://h/d"]
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        Store.open(url)


def test_F15_full_disk_is_storage_full_and_nothing_is_written(store: Store) -> None:
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.rollback()
    store.states.put("small", "RUNNING", reason="", by="test", now_ms=1)
    with pytest.raises(StorageFull):
        store.states.put("large", "RUNNING", reason="x" * 100_000, by="test", now_ms=1)
    assert set(store.states.all()) == {"small"}


def test_F17_a_damaged_file_is_fatal_and_says_so(tmp_path: Path, url: str) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(Fatal, match="damaged"):
        Store.open(url)


def test_F9_an_unreachable_store_is_retried(store: Store) -> None:
    with pytest.raises(Retry), reading(store.engine) as connection:
        raise sa.exc.OperationalError("SELECT secret", {}, Exception("secret"))
    assert connection.closed


def test_R11_a_refused_statement_keeps_its_data_to_itself(store: Store) -> None:
    with pytest.raises(Fatal) as caught, writing(store.engine) as connection:
        connection.execute(sa.text("INSERT INTO leases VALUES ('canary', NULL, 'canary', 1)"))
    assert "canary" not in str(caught.value)
    assert store.leases.get("canary") is None


def test_a_transaction_that_raises_is_undone(store: Store) -> None:
    def fail_halfway() -> None:
        with writing(store.engine) as connection:
            connection.execute(sa.text("INSERT INTO leases VALUES ('t', 1, 'h', 1)"))
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    assert store.leases.get("t") is None


def test_healthy_says_no_once_the_file_is_gone(tmp_path: Path, url: str) -> None:
    store = Store.open(url)
    store.close()
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    tmp_path.joinpath("store.db").mkdir()
    assert not store.healthy()
