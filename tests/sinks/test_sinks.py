"""What every sink promises (hub/ports.py), on real files, SQLite and PostgreSQL."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.context import SinkContext
from connectors.outbound import Outbound
from connectors.sinks.file import FileSink
from connectors.sinks.specs import FileSpec, TableSpec
from connectors.sinks.table import TableSink
from hub.errors import ConfigurationInvalid, SinkGone, SinkRefused, SinkUnavailable
from hub.model import SinkBatch
from hub.ports import Sink
from tests.sources.conftest import Database, filled

Row = tuple[int, str, int | None]  # partition, key, value; None = deleted
SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("n", pa.int64()), ("amount", pa.decimal128(12, 2)), ("day", pa.date32()),
        ("at", pa.timestamp("ms", "UTC")), ("tags", pa.list_(pa.string())), ("ok", pa.bool_()),
        ("place", pa.struct([("city", pa.string())])), ("raw", pa.binary()),
    ]
)  # fmt: skip
DAY = datetime.date(2024, 2, 29)


def batch(
    rows: list[Row], start: Mapping[int, int] | None = None, *, keyed: bool = True, reset: bool = False
) -> SinkBatch:
    """Offsets count from `start` in each partition."""
    at = dict(start or {})
    offsets = []
    for partition, _key, _value in rows:
        offsets.append(at.get(partition, 0))
        at[partition] = at.get(partition, 0) + 1
    records = [
        {
            "id": key,
            "n": value,
            "amount": None if value is None else Decimal(value) / 4,
            "day": None if value is None else DAY,
            "at": None if value is None else datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.UTC),
            "tags": None if value is None else ["a", "ü"],
            "ok": None if value is None else True,
            "place": None if value is None else {"city": "x'y"},
            "raw": None if value is None else b"\0\xff",
        }
        for _partition, key, value in rows
    ]
    lines = "".join(json.dumps({"id": k, "n": v}) + "\n" for _, k, v in rows)
    return SinkBatch(
        records=pa.RecordBatch.from_pylist(records, SCHEMA),
        key=("id",) if keyed else (),
        offsets=np.array(offsets, np.int64),
        partitions=np.array([p for p, _, _ in rows], np.int32),
        deleted=np.array([v is None for _, _, v in rows]) if keyed else None,
        positions=at,
        reset=reset,
        form=lambda _name: lines.encode(),
    )


Make = Callable[[], Sink]
State = Callable[[], dict[str, Any]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:///sink.db"
    database: Database = request.getfixturevalue("pg")
    return database.url


def table_sink(url: str, tmp_path: Path, outbound: Outbound | None = None) -> TableSink:
    """Allowed to go where `url` leads, unless another rule is given."""
    at = sa.make_url(filled(url))
    rule = outbound or Outbound(allowed=frozenset({f"{at.host}:{at.port}"}))
    spec = TableSpec(kind="table", url=url, table="things")
    return TableSink(spec, SinkContext(subscription="s", root=tmp_path, outbound=rule, secret=filled))


@pytest.fixture
def table(url: str, tmp_path: Path) -> Iterator[Callable[[], TableSink]]:
    made: list[TableSink] = []

    def build() -> TableSink:
        made.append(table_sink(url, tmp_path))
        return made[-1]

    yield build
    for sink in made:
        sink.close()


def rows_of(sink: TableSink) -> list[Any]:
    with sink._engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT * FROM things ORDER BY 1")).mappings())


def state_of(sink: TableSink) -> dict[str, int]:
    return {row["id"]: row["n"] for row in rows_of(sink)}


def test_R27_upserts_and_deletes_become_the_latest_state_by_key(table: Callable[[], TableSink]) -> None:
    sink = table()
    assert sink.positions() == {}
    sink.write(batch([(0, "a", 1), (1, "b", 2), (0, "a", 3), (0, "c", 4), (0, "c", None)]))
    assert state_of(sink) == {"a": 3, "b": 2}
    assert sink.positions() == {0: 4, 1: 1}
    sink.write(batch([(0, "a", None), (1, "b", 5), (1, "d", 6)], sink.positions()))
    assert state_of(table()) == {"b": 5, "d": 6}
    assert table().positions() == {0: 5, 1: 3}


def test_every_type_of_value_arrives(table: Callable[[], TableSink]) -> None:
    sink = table()
    sink.write(batch([(0, "a", 7)]))
    (row,) = rows_of(sink)
    assert Decimal(str(row["amount"])) == Decimal("1.75")
    assert str(row["day"]) == "2024-02-29"
    assert str(row["at"]).startswith("2024-02-29 01:02:03")
    assert json.loads(row["tags"]) == ["a", "ü"]
    assert json.loads(row["place"]) == {"city": "x'y"}
    assert bytes(row["raw"]) == b"\0\xff"


def test_a_topic_without_key_gives_a_row_for_each_record_and_none_twice(table: Callable[[], TableSink]) -> None:
    sink = table()
    sink.write(batch([(0, "a", 1), (0, "a", 1), (1, "a", 2)], keyed=False))
    assert len(rows_of(sink)) == 3
    sink.write(batch([(0, "a", 1), (0, "a", 1), (1, "a", 2)], keyed=False))  # the same again
    assert len(rows_of(sink)) == 3


def test_R24_a_reset_voids_what_was_there(table: Callable[[], TableSink]) -> None:
    sink = table()
    sink.write(batch([(0, "a", 1), (0, "b", 2)]))
    sink.write(batch([(0, "b", 3)], reset=True))
    assert state_of(sink) == {"b": 3}
    assert sink.positions() == {0: 1}


def test_R4_a_writer_that_was_overtaken_writes_nothing(table: Callable[[], TableSink]) -> None:
    first, second = table(), table()
    first.write(batch([(0, "a", 1)]))
    second.positions()
    second.write(batch([(0, "a", 2), (0, "b", 3)], {0: 1}))
    with pytest.raises(SinkUnavailable, match="another worker"):
        first.write(batch([(0, "a", 2)], {0: 1}))
    with pytest.raises(SinkUnavailable, match="another worker"):
        first.write(batch([(0, "z", 9)], reset=True))
    assert (state_of(second), table().positions()) == ({"a": 2, "b": 3}, {0: 3})
    first.positions()
    first.write(batch([(0, "b", None)], {0: 3}))
    assert state_of(second) == {"a": 2}


def test_the_table_equals_a_model_whatever_comes(table: Callable[[], TableSink]) -> None:
    sink, model, seed = table(), dict[str, int](), random.Random(5)
    for _ in range(12):
        rows: list[Row] = []
        for _ in range(seed.randrange(0, 40)):
            key = f"k{seed.randrange(15)}"
            value = None if seed.random() < 0.3 else seed.randrange(1000)
            rows.append((seed.randrange(3), key, value))
            model.pop(key, None) if value is None else model.update({key: value})
        sink.write(batch(rows, sink.positions()))
        assert state_of(sink) == model


def test_a_table_that_lacks_a_column_and_a_value_that_does_not_fit(table: Callable[[], TableSink]) -> None:
    sink = table()
    with sink._engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE things (id VARCHAR(5) PRIMARY KEY, n INTEGER)"))
    with pytest.raises(SinkRefused, match="no column `amount`"):
        sink.write(batch([(0, "a", 1)]))


def test_R11_a_value_that_does_not_fit_is_refused_without_being_quoted(pg: Database, tmp_path: Path) -> None:
    sink = table_sink(pg.url, tmp_path)
    sink.write(batch([(0, "a", 1)]))
    pg.run("ALTER TABLE things ALTER COLUMN id TYPE varchar(6)")
    with pytest.raises(SinkRefused) as refused:
        sink.write(batch([(0, "canary-cell-77", 1)], {0: 1}))
    assert "canary" not in f"{refused.value!r} {refused.value} {refused.value.__cause__}"
    assert sink.positions() == {0: 1}
    sink.close()


def test_a_database_that_is_away_is_tried_again_later(mortal: Database, tmp_path: Path) -> None:
    sink = table_sink(mortal.url, tmp_path)
    sink.write(batch([(0, "a", 1)]))
    mortal.server.stop("immediate")
    with pytest.raises(SinkUnavailable):
        sink.write(batch([(0, "b", 2)], {0: 1}))
    mortal.server.start()
    mortal.reconnect()
    sink.write(batch([(0, "b", 2)], {0: 1}))
    assert state_of(sink) == {"a": 1, "b": 2}
    sink.close()


def test_R4_F3_a_writer_that_is_frozen_in_a_transaction_lets_its_successor_in(
    pg: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    successor = table_sink(pg.url, tmp_path)
    successor.write(batch([(0, "a", 1)]))
    frozen = table_sink(pg.url, tmp_path)
    frozen.positions()
    move = frozen._move

    def late(connection: sa.Connection, taken: SinkBatch) -> None:  # its rows are locked by now
        successor.write(batch([(0, "a", 3)], {0: 1}))
        move(connection, taken)

    monkeypatch.setattr(frozen, "_move", late)
    with pytest.raises(SinkUnavailable):
        frozen.write(batch([(0, "a", 2)], {0: 1}))
    assert state_of(successor) == {"a": 3}
    assert frozen.positions() == {0: 2}, "awake again, it goes on from where the other one came to"
    for sink in (frozen, successor):
        sink.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_S2_a_private_database_needs_the_operators_word(pg: Database, tmp_path: Path, host: str) -> None:
    sink = table_sink(pg.url.replace("127.0.0.1", host), tmp_path, Outbound())
    with pytest.raises(SinkGone, match="not allowed it") as refused:
        sink.positions()
    assert f"outbound: {{allow: ['{host}:{pg.server.port}']}}" in refused.value.remedy
    sink.close()


def test_S2_R17_the_hubs_own_database_is_refused_whatever_the_list_says(pg: Database, tmp_path: Path) -> None:
    place = ("127.0.0.1", pg.server.port)
    rule = Outbound(
        allowed=frozenset({f"{place[0]}:{place[1]}"}), own=frozenset({place}), own_ports=frozenset({place[1]})
    )
    for host in ("127.0.0.1", "localhost"):
        sink = table_sink(pg.url.replace("127.0.0.1", host), tmp_path, rule)
        with pytest.raises(SinkGone, match="hub itself"):
            sink.positions()
        sink.close()


def test_S2_a_database_is_reached_at_the_address_that_was_judged(
    pg: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is nobody's: only the judged address leads to the server, and the driver never asks for it again."""
    monkeypatch.setattr(
        Outbound, "addresses", lambda _self, host, _port, **_how: ["127.0.0.1"] if host == "judged.invalid" else []
    )
    sink = table_sink(pg.url.replace("127.0.0.1", "judged.invalid"), tmp_path)
    sink.write(batch([(0, "a", 1)]))
    assert state_of(sink) == {"a": 1}
    sink.close()


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg:///x", "postgresql+psycopg://u@public.example/x?host=10.0.0.1", "duckdb:///x.db",
     "postgresql+psycopg://u@public.example/x?hostaddr=10.0.0.1", "postgresql+psycopg://u@public.example/x?service=inner"],
)  # fmt: skip
def test_S2_a_database_that_does_not_say_where_it_is_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        table_sink(url, tmp_path)


@pytest.mark.parametrize("name", ["x; DROP TABLE y", "a.b.c", "", 'x"y'])
def test_S1_a_table_is_a_name_and_nothing_else(name: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        TableSpec(kind="table", url="sqlite:///x.db", table=name)


def files(tmp_path: Path, **more: Any) -> FileSink:
    spec = FileSpec(kind="file", directory="out", **more)
    return FileSink(spec, SinkContext(subscription="agency.x", root=tmp_path))


def test_files_appear_whole_and_their_names_say_where_to_go_on(tmp_path: Path) -> None:
    sink = files(tmp_path)
    assert sink.positions() == {}
    sink.write(batch([(0, "a", 1), (1, "b", 2), (0, "c", 3)], {0: 10}))
    sink.write(batch([(1, "d", 4)], {1: 1}))
    sink.write(batch([]))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "agency.x.p0-10-12_p1-0-1.ndjson", "agency.x.p1-1-2.ndjson",
    ]  # fmt: skip
    assert files(tmp_path).positions() == {0: 12, 1: 2}
    (tmp_path / "out/.agency.x.p0-12-99.ndjson.part").write_text("left by a crash")
    assert files(tmp_path).positions() == {0: 12, 1: 2}
    sink.write(batch([(0, "z", 1)], reset=True))
    assert files(tmp_path).positions() == {0: 1}


def test_two_sinks_of_one_directory_do_not_see_each_other(tmp_path: Path) -> None:
    files(tmp_path).write(batch([(0, "a", 1)]))
    other = FileSink(FileSpec(kind="file", directory="out"), SinkContext(subscription="agency", root=tmp_path))
    assert other.positions() == {}
    other.write(batch([(0, "b", 1), (0, "c", 2)]))
    assert (files(tmp_path).positions(), other.positions()) == ({0: 1}, {0: 2})


def test_S6_a_directory_outside_the_root_is_refused(tmp_path: Path) -> None:
    spec = FileSpec(kind="file", directory="../elsewhere")
    with pytest.raises(ConfigurationInvalid, match="not below"):
        FileSink(spec, SinkContext(subscription="s", root=tmp_path))


def test_a_directory_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    sink = files(tmp_path)
    (tmp_path / "out").rmdir()
    with pytest.raises(ConfigurationInvalid, match="cannot be written"):
        sink.write(batch([(0, "a", 1)]))


def test_rows_are_seen_by_a_foreign_client(pg: Database, tmp_path: Path) -> None:
    sink = table_sink(pg.url, tmp_path)
    sink.write(batch([(0, f"k{i}", i) for i in range(3000)]))
    sink.close()
    with psycopg.connect(filled(pg.url).replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*), sum(n) FROM things").fetchone() == (3000, 4498500)
