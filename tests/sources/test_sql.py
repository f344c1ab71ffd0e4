"""The `sql` source on a real SQLite database: increments, ties, late commits, odd cells, hostile names (F12, S1, S16)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connectors.context import SourceContext
from connectors.sources.specs import SqlSpec
from connectors.sources.sql import SqlSource
from hub.errors import ColumnsChanged, ConfigurationInvalid, DatongError, SourceUnavailable
from hub.model import Batch, Mode, SourceCheckpoint

PASSWORD = "canary-pw-77"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER, updated_at DATE)")
    rows = [(i, f"n{i}", i, f"2024-01-{i // 4 + 1:02d}") for i in range(40)]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    yield connection
    connection.close()


def read(root: Path, after: SourceCheckpoint | None = None, *, mode: Mode = "upsert", **spec: Any) -> list[Batch]:
    made = SqlSpec(**{"kind": "sql", "url": "sqlite:///x.db", "table": "t", **spec})
    return list(SqlSource(made, SourceContext(task="t", root=root, mode=mode)).batches(after, Event()))


INCREMENTAL = {"cursor": "updated_at", "key": ("id",), "overlap": 86_400}


def ids(batches: list[Batch]) -> list[int]:
    return [i for b in batches for i in b.records.column("id").to_pylist()]


def test_increments_see_changes_ties_and_late_rows_once(tmp_path: Path, database: sqlite3.Connection) -> None:
    first = read(tmp_path, **INCREMENTAL)
    assert sorted(ids(first)) == list(range(40))
    database.execute("INSERT INTO t VALUES (100, 'tie', 1, '2024-01-10')")
    database.execute("INSERT INTO t VALUES (101, 'late', 1, '2024-01-09')")
    database.execute("UPDATE t SET name = 'changed', updated_at = '2024-02-01' WHERE id = 3")
    database.commit()
    again = read(tmp_path, first[-1].position, **INCREMENTAL)
    assert sorted(ids(again)) == [3, 100, 101]
    assert again[0].deduplicated == 8
    assert read(tmp_path, again[-1].position, **INCREMENTAL)[0].read == 1


def test_rows_without_cursor_are_not_lost(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO t VALUES (200, 'no cursor', 1, NULL)")
    database.commit()
    first = read(tmp_path, **INCREMENTAL)
    assert 200 in ids(first)
    database.execute("INSERT INTO t VALUES (201, 'later, no cursor', 1, NULL)")
    database.commit()
    assert ids(read(tmp_path, first[-1].position, **INCREMENTAL)) == [201]


def test_a_snapshot_is_complete_even_when_empty(tmp_path: Path, database: sqlite3.Connection) -> None:
    assert [b.complete for b in read(tmp_path, mode="snapshot")] == [True]
    database.execute("DELETE FROM t")
    database.commit()
    assert [(b.read, b.complete) for b in read(tmp_path, mode="snapshot")] == [(0, True)]


def test_F12_a_cell_of_another_type_costs_its_row(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("UPDATE t SET n = 'many' WHERE id = 7")
    database.commit()
    (batch,) = read(tmp_path, mode="snapshot")
    assert [(f.reason, f.path) for f in batch.failures] == [("TYPE_MISMATCH", "n")]
    assert batch.records.num_rows == 39


@pytest.mark.parametrize("odd", ["soon", "2024-02-30", "20240130", "#", ""])
def test_F12_a_date_that_is_none_costs_its_row(tmp_path: Path, database: sqlite3.Connection, odd: str) -> None:
    database.execute("UPDATE t SET updated_at = ? WHERE id = 7", (odd,))
    database.commit()
    (batch,) = read(tmp_path, mode="snapshot")
    assert [(f.reason, f.path) for f in batch.failures] == [("TYPE_MISMATCH", "updated_at")]
    (first,) = read(tmp_path, **INCREMENTAL)
    assert first.position.value["cursor"] == "2024-01-10"
    assert sorted(ids([first])) == [i for i in range(40) if i != 7]
    database.execute("INSERT INTO t VALUES (100, 'new', 1, '2024-01-11')")
    database.commit()
    assert ids(read(tmp_path, first.position, **INCREMENTAL)) == [100]


@pytest.mark.parametrize("odd", ["many", "", b"\x00"])
def test_F12_a_cursor_of_another_type_costs_its_row(tmp_path: Path, database: sqlite3.Connection, odd: object) -> None:
    database.execute("UPDATE t SET n = ? WHERE id = 7", (odd,))
    database.commit()
    (first,) = read(tmp_path, cursor="n", key=("id",))
    assert [(f.reason, f.path) for f in first.failures] == [("TYPE_MISMATCH", "n")]
    assert first.position.value["cursor"] == 39
    database.execute("INSERT INTO t VALUES (100, 'new', 40, '2024-01-11')")
    database.commit()
    assert ids(read(tmp_path, first.position, cursor="n", key=("id",))) == [100]


@pytest.mark.parametrize("second", ["2024-01-01 00:00:00", "2024-01-01T00:00:00", "2024-01-01 00:00:00.5"])
def test_ties_of_a_timestamp_are_found_however_it_is_written(tmp_path: Path, second: str) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)")
        connection.execute("INSERT INTO t VALUES (1, ?)", (second,))
        connection.commit()
        first = read(tmp_path, cursor="at", key=("id",))
        connection.execute("INSERT INTO t VALUES (2, ?)", (second,))
        connection.commit()
        assert ids(read(tmp_path, first[-1].position, cursor="at", key=("id",))) == [2]
    connection.close()


def test_G20_a_checkpoint_with_a_date_goes_on(tmp_path: Path, database: sqlite3.Connection) -> None:
    before = SourceCheckpoint(value={"cursor": {"date": "2024-01-09"}, "met": [["0a", {"date": "2024-01-09"}]]})
    assert sorted(ids(read(tmp_path, before, cursor="updated_at", key=("id",)))) == list(range(32, 40))


def test_F12_a_lost_cursor_column_is_named(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("ALTER TABLE t RENAME COLUMN updated_at TO changed_at")
    database.commit()
    with pytest.raises(ColumnsChanged):
        read(tmp_path, **INCREMENTAL)


@pytest.mark.parametrize(
    "name", ["t; DROP TABLE t", 't" --', "t WHERE 1=1", "(SELECT 1)", "sqlite_master; DELETE FROM t", "main.t.x", "t\0"]
)
@pytest.mark.parametrize("where", ["table", "cursor", "key"])
def test_S1_names_are_looked_up_and_never_spliced(
    tmp_path: Path, database: sqlite3.Connection, name: str, where: str
) -> None:
    spec: dict[str, Any] = {"cursor": "updated_at", "key": ("id",), where: (name,) if where == "key" else name}
    with pytest.raises(DatongError):
        read(tmp_path, **spec)
    assert database.execute("SELECT COUNT(*) FROM t").fetchone() == (40,)


def test_S1_the_database_is_opened_read_only(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.close()
    source = SqlSource(
        SqlSpec(kind="sql", url="sqlite:///x.db", table="t"), SourceContext(task="t", root=tmp_path, mode="append")
    )
    with source._reading() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM t")


def test_S6_a_database_outside_the_root_is_refused(tmp_path: Path, database: sqlite3.Connection) -> None:
    (tmp_path / "inner").mkdir()
    with pytest.raises(DatongError):
        read(tmp_path / "inner", url="sqlite:///../x.db")


@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@127.0.0.1:1/x", f"nonsense://{PASSWORD}", "not a url"])
def test_S16_no_password_in_an_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatongError) as refused:
        read(tmp_path, url=url)
    assert PASSWORD not in str(refused.value)
    assert isinstance(refused.value, (ConfigurationInvalid, SourceUnavailable))
