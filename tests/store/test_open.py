"""Opening a store: privacy, durability, revisions, errors."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import hub
from hub.errors import ConfigurationInvalid, DirectoryTooNew, Fatal, Reject, StorageFull
from hub.store import Store
from hub.store.engine import open_engine, reading, writing
from hub.store.groups import GroupKey
from hub.store.migrate import HEAD, upgrade
from hub.store.tables import METADATA


def ddl(path: Path) -> dict[str, str]:
    """Without line breaks: SQLite puts a column that is added later on the line of the one before."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: " ".join(sql.split()) for name, sql in rows if name not in ("alembic_version", "sqlite_sequence")}


def test_schema_is_the_sum_of_the_migrations(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_a_file_has_the_very_tables_that_the_code_names(tmp_path: Path, sqlite_store: Store) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    assert ddl(tmp_path / "store.db") == ddl(tmp_path / "direct.db")


def test_G20_G7_a_store_of_the_first_revision_opens_and_keeps_its_epochs(empty_url: str) -> None:
    engine = open_engine(empty_url)
    with writing(engine) as connection:
        upgrade(connection, "0001")
        connection.execute(sa.text("INSERT INTO leases VALUES ('t', 41, 'an old hub', 9999999999999)"))
    engine.dispose()
    with Store.open(empty_url) as store:
        lease = store.leases.acquire("t", "new", 1000)
        assert lease is not None
        assert lease.epoch == 42


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", "hub.store:migrations")
    assert ScriptDirectory(str(Path(hub.__file__).parent / "store" / "migrations")).get_current_head() == HEAD


def test_file_is_private_durable_and_in_wal(tmp_path: Path, sqlite_store: Store) -> None:
    store = sqlite_store
    store.states.put("c", "RUNNING", reason="", by="test", now_ms=1)
    for file in tmp_path.glob("store.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    with reading(store.engine) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_G20_a_newer_revision_is_refused_and_left_alone(url: str) -> None:
    Store.open(url).close()
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(sa.text("DROP TABLE signals"))
    with pytest.raises(DirectoryTooNew, match="9999"):
        Store.open(url)
    assert not sa.inspect(engine).has_table("signals")
    engine.dispose()


def test_G20_state_survives_reopening(url: str) -> None:
    with Store.open(url) as first:
        first.states.put("c", "PAUSED", reason="why", by="me", now_ms=5)
    with Store.open(url) as second:
        assert second.states.get("c").reason == "why"


def test_many_open_a_new_store_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: Store.open(empty_url), range(8)))
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


def test_F15_full_disk_is_storage_full_and_nothing_is_written(sqlite_store: Store) -> None:
    store = sqlite_store
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.rollback()
    store.states.put("small", "RUNNING", reason="", by="test", now_ms=1)
    with pytest.raises(StorageFull):
        store.states.put("large", "RUNNING", reason="x" * 100_000, by="test", now_ms=1)
    assert set(store.states.all()) == {"small"}


def test_F17_a_damaged_file_is_fatal_and_says_so(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(Fatal, match="damaged"):
        Store.open(sqlite_url)


def test_R11_a_refused_statement_keeps_its_data_to_itself(store: Store) -> None:
    with pytest.raises(Fatal) as caught, writing(store.engine) as connection:
        connection.execute(sa.text("INSERT INTO signals VALUES (:canary, NULL)"), {"canary": "canary"})
    assert "canary" not in f"{caught.value} {type(caught.value.__cause__).__name__}"
    assert "'canary'" not in str(caught.value.__cause__)  # a traceback in a log has no parameters either


@pytest.mark.parametrize("reason", ["a\0b", "x" * 1_000_000])
def test_a_reason_of_any_text_is_kept(store: Store, reason: str) -> None:
    store.states.put("c", "FAILED", reason=reason, by="test", now_ms=1)
    assert len(store.states.get("c").reason) == len(reason)


@pytest.mark.parametrize("group", ["a\ud800b", "a\0b"])
def test_a_value_that_the_store_cannot_keep_is_refused_and_no_fault(store: Store, group: str) -> None:
    key = GroupKey(agency="a", grant="g", topic="t", group=group)
    with suppress(Reject):  # SQLite keeps a NUL, PostgreSQL does not
        store.groups.take(key, "r", 100)
    assert store.healthy()


def test_a_number_of_more_than_64_bits_is_refused_and_no_fault(store: Store) -> None:
    with pytest.raises(Reject, match="cannot keep"):
        store.groups.deliver(GroupKey(agency="a", grant="g", topic="t", group="g"), {0: 2**70}, "s")


def test_a_transaction_that_raises_is_undone(store: Store) -> None:
    def fail_halfway() -> None:
        with writing(store.engine) as connection:
            connection.execute(sa.text("INSERT INTO signals VALUES ('t', 1)"))
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    assert store.board().configuration == 0


def test_healthy_says_no_once_the_file_is_gone(tmp_path: Path, sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    store.close()
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    tmp_path.joinpath("store.db").mkdir()
    assert not store.healthy()
