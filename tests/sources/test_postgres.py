"""The `postgres` source on a real server: types, odd values, names, rights and errors (F12, S1, S16)."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from connectors.context import SourceContext
from connectors.sources import postgres
from connectors.sources.postgres import PostgresSource
from connectors.sources.specs import PostgresSpec
from hub.errors import ColumnsChanged, ConfigurationInvalid, DatongError, SourceUnavailable
from hub.model import Batch
from tests.sources.conftest import Database
from tests.support.postgres import PASSWORD

UTC = dt.timezone.utc  # noqa: UP017 - as the driver's own


def rows(batches: list[Batch]) -> list[dict[str, Any]]:
    return [row for b in batches for row in b.records.to_pylist()]


def ids(batches: list[Batch]) -> list[int]:
    return [i for b in batches for i in b.records.column("id").to_pylist()]


TYPES: list[tuple[str, str, pa.DataType, Any]] = [
    ("bool", "true", pa.bool_(), True),
    ("smallint", "-32768", pa.int16(), -32768),
    ("int", "2147483647", pa.int32(), 2147483647),
    ("bigint", "9223372036854775807", pa.int64(), 9223372036854775807),
    ("oid", "4294967295", pa.int64(), 4294967295),
    ("real", "1.5", pa.float32(), 1.5),
    ("double precision", "'-Infinity'", pa.float64(), -math.inf),
    ("numeric(10,2)", "1.5", pa.decimal128(10, 2), decimal.Decimal("1.50")),
    ("numeric(38,38)", "-0.1", pa.decimal128(38, 38), decimal.Decimal("-0.1")),
    ("numeric(39,0)", "10::numeric^38", pa.string(), "1" + "0" * 38),
    ("numeric", "123456789012345678901234567890.10", pa.string(), "123456789012345678901234567890.10"),
    ("numeric", "'NaN'", pa.string(), "NaN"),
    ("text", "'学校 é'", pa.string(), "学校 é"),
    ("varchar(5)", "''", pa.string(), ""),
    ("char(4)", "'ab'", pa.string(), "ab"),
    ("name", "'n'", pa.string(), "n"),
    ("bytea", r"'\x00ff'", pa.binary(), b"\0\xff"),
    ("date", "'0001-01-01'", pa.date32(), dt.date(1, 1, 1)),
    ("time", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("timetz", "'12:00+08'", pa.string(), "12:00:00+08"),
    ("timestamp", "'9999-12-31 23:59:59.999999'", pa.timestamp("us"), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    ("timestamptz", "'2024-06-01 08:00+08'", pa.timestamp("us", "UTC"), dt.datetime(2024, 6, 1, tzinfo=UTC)),
    ("interval", "'1 day 2 hours'", pa.string(), "P1DT2H"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", "'{\"a\": [1,  2]}'", pa.string(), '{"a": [1,  2]}'),
    ("jsonb", "'{\"a\": [1,  2]}'", pa.string(), '{"a": [1, 2]}'),
    ("inet", "'10.0.0.1'", pa.string(), "10.0.0.1/32"),
    ("int4range", "'[1,5)'", pa.string(), "[1,5)"),
    ("mood", "'good'", pa.string(), "good"),
    ("amount", "7.25", pa.decimal128(8, 2), decimal.Decimal("7.25")),
    ("date_like", "'x'", pa.string(), "x"),
    ("int[]", "'{1,NULL,3}'", pa.list_(pa.int32()), [1, None, 3]),
    ("int[]", "'[5:6]={1,2}'", pa.list_(pa.int32()), [1, 2]),
    ("text[]", "'{}'", pa.list_(pa.string()), []),
    ("bool[]", "'{t,f}'", pa.list_(pa.bool_()), [True, False]),
    ("varchar[]", "'{a,\"\"}'", pa.list_(pa.string()), ["a", ""]),
    ("double precision[]", "'{1.5}'", pa.list_(pa.float64()), [1.5]),
    ("date[]", "'{2024-01-02,infinity}'", pa.list_(pa.string()), ["2024-01-02", "infinity"]),
    ("numeric[]", "'{1.50}'", pa.list_(pa.string()), ["1.50"]),
    ("mood[]", "'{good}'", pa.list_(pa.string()), ["good"]),
]


@pytest.fixture
def typed(pg: Database) -> Database:
    pg.run("CREATE TYPE mood AS ENUM ('good', 'bad')")
    pg.run("CREATE DOMAIN money_like AS numeric(8,2)")
    pg.run("CREATE DOMAIN amount AS money_like CHECK (value > 0)")
    pg.run("CREATE SCHEMA own")
    pg.run("CREATE DOMAIN date_like AS text")
    return pg


def test_every_type_is_read_as_its_table_says(typed: Database) -> None:
    columns = ", ".join(f"c{i} {kind}" for i, (kind, *_) in enumerate(TYPES))
    typed.run(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    typed.run(f"INSERT INTO t VALUES (1, {', '.join(value for _, value, *_ in TYPES)})")
    typed.run("INSERT INTO t (id) VALUES (2)")
    first, second = rows(batches := typed.read())
    schema = batches[0].records.schema
    assert typed.source().discover()[0].columns == schema
    for i, (kind, text, arrow, value) in enumerate(TYPES):
        assert (schema.field(f"c{i}").type, first[f"c{i}"]) == (arrow, value), (kind, text)
        assert second[f"c{i}"] is None, kind
    assert not any(b.failures for b in batches)


ODD = [
    ("date", "'infinity'", "OUT_OF_RANGE"),
    ("date", "'0001-12-31 BC'", "OUT_OF_RANGE"),
    ("date", "'10000-01-01'", "OUT_OF_RANGE"),
    ("timestamp", "'-infinity'", "OUT_OF_RANGE"),
    ("timestamptz", "'infinity'", "OUT_OF_RANGE"),
    ("timestamptz", "'294276-01-01'", "OUT_OF_RANGE"),
    ("time", "'24:00'", "OUT_OF_RANGE"),
    ("numeric(8,2)", "'NaN'", "OUT_OF_RANGE"),
    ("int[]", "'{{1,2},{3,4}}'", "TYPE_MISMATCH"),
    ("date[]", "'{{2024-01-01}}'", "TYPE_MISMATCH"),
    ("text", "repeat(md5(random()::text), 40000)", "TOO_LARGE"),
    ("bytea", "convert_to(repeat('x', 2000000), 'UTF8')", "TOO_LARGE"),
    ("jsonb", "to_jsonb(array_fill(1234567, '{300000}'))", "TOO_LARGE"),
    ("text[]", "ARRAY[repeat('x', 2000000)]", "TOO_LARGE"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), ODD)
@pytest.mark.parametrize("mode", ["upsert", "snapshot"])
def test_F12_an_odd_value_costs_its_row(pg: Database, kind: str, value: str, reason: str, mode: Any) -> None:
    pg.run(f"CREATE TABLE t (id int PRIMARY KEY, v {kind}, w text)")
    pg.run("INSERT INTO t SELECT i, NULL, 'canary-neighbour' FROM generate_series(1, 9) i")
    if "random" in value:  # not compressible, so that it is kept outside its row
        pg.run("ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
    pg.run(f"UPDATE t SET v = {value} WHERE id = 5")
    batches = pg.read(mode=mode)
    assert sorted(ids(batches)) == [1, 2, 3, 4, 6, 7, 8, 9]
    ((failure, numbers),) = [(f, b.rows.tolist()) for b in batches for f in b.failures]
    assert (failure.reason, failure.path) == (reason, "v")
    assert failure.row not in numbers
    assert sorted([failure.row, *numbers]) == list(range(1, 10))
    assert b"canary-neighbour" in failure.raw
    assert len(failure.raw) < 8_000


def test_F12_bytes_that_are_no_text_cost_their_row(new_database: Callable[..., Database]) -> None:
    pg = new_database(ENCODING="'SQL_ASCII'", TEMPLATE="template0", LC_COLLATE="'C'", LC_CTYPE="'C'")
    pg.run("CREATE TABLE t (id int, v text, a text[])")
    pg.connection.execute("INSERT INTO t VALUES (1, '中心', NULL), (3, 'x', '{y}')".encode())
    pg.connection.execute("INSERT INTO t VALUES (2, '中心', NULL)".encode("gbk"))
    pg.connection.execute("INSERT INTO t VALUES (4, 'x', '{中心}')".encode("gbk"))
    batches = pg.read()
    assert sorted(ids(batches)) == [1, 3]
    assert sorted((f.reason, f.path) for b in batches for f in b.failures) == [
        ("BAD_ENCODING", "a"),
        ("BAD_ENCODING", "v"),
    ]


def test_another_encoding_of_the_database_is_turned_into_utf_8(new_database: Callable[..., Database]) -> None:
    pg = new_database(ENCODING="'EUC_CN'", TEMPLATE="template0", LC_COLLATE="'C'", LC_CTYPE="'C'")
    pg.run("CREATE TABLE t (id int, v text)")
    pg.run("INSERT INTO t VALUES (1, '学校')")
    assert rows(pg.read()) == [{"id": 1, "v": "学校"}]


def test_a_table_without_the_columns_that_are_wanted_gives_rows_without_columns(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int)")
    pg.run("INSERT INTO t VALUES (1), (2)")
    (batch, _) = list(pg.source(columns=frozenset({"lost"})).batches(None, Event()))
    assert (batch.records.num_rows, batch.records.num_columns) == (2, 0)


def test_a_view_is_read_whole_and_only_whole(pg: Database) -> None:
    pg.run("CREATE TABLE base (id int)")
    pg.run("INSERT INTO base SELECT generate_series(1, 5)")
    pg.run("CREATE VIEW t AS SELECT id, pg_sleep(0.3) IS NULL AS slow FROM base")
    with pytest.raises(ConfigurationInvalid, match="incremental: none"):
        pg.read()
    assert not pg.source().check().ok
    assert sorted(ids(pg.read(incremental="none"))) == [1, 2, 3, 4, 5]
    batches = pg.read(mode="snapshot")
    assert sorted(ids(batches)) == [1, 2, 3, 4, 5]
    assert batches[-1].complete
    assert len(batches) > 2, "while the server thinks, the source says so"


def test_a_materialised_view_has_transactions(pg: Database) -> None:
    pg.run("CREATE MATERIALIZED VIEW t AS SELECT generate_series(1, 5) AS id")
    first = pg.read()
    assert sorted(ids(first)) == [1, 2, 3, 4, 5]
    assert ids(pg.read(first[-1].position)) == []


def test_discover_gives_key_and_estimate(pg: Database) -> None:
    pg.run("CREATE TABLE t (a int, b text, c date, PRIMARY KEY (b, a))")
    pg.run("INSERT INTO t SELECT i, i, NULL FROM generate_series(1, 500) i")
    (stream,) = pg.source().discover()
    assert (stream.name, sorted(stream.key), stream.rows) == ("t", ["a", "b"], None)
    pg.run("ANALYZE t")
    (stream,) = pg.source(key=("a",)).discover()
    assert (list(stream.key), stream.rows) == (["a"], 500)


NAMES = ["t; DROP TABLE t", 't" --', "t WHERE 1=1", "(SELECT 1)", "public.t; DELETE FROM t", "T", "pg_catalog.t", "t\0"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["table", "key"])
def test_S1_names_are_looked_up_and_never_spliced(pg: Database, name: str, where: str) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY)")
    pg.run("INSERT INTO t VALUES (1)")
    with pytest.raises(DatongError):
        pg.read(**{where: (name,) if where == "key" else name})
    assert pg.run("SELECT count(*) FROM t") == [(1,)]


@pytest.mark.parametrize("name", ['t"; DROP TABLE x; --', "T", "with blank", "学校", "select", "{t}", "$1", "%s"])
def test_S1_odd_names_of_the_database_itself_are_quoted(pg: Database, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    pg.connection.execute(f"CREATE SCHEMA {quoted}".encode())
    pg.connection.execute(f"CREATE TABLE {quoted}.{quoted} ({quoted} date)".encode())
    pg.connection.execute(f"INSERT INTO {quoted}.{quoted} VALUES ('2024-01-01'), ('infinity')".encode())
    batches = pg.read(table=f"{name}.{name}")
    assert rows(batches) == [{name: dt.date(2024, 1, 1)}]
    assert [f.path for b in batches for f in b.failures] == [name]


def test_S1_nothing_can_be_written(pg: Database) -> None:
    pg.run("CREATE TABLE log (id int)")
    pg.run(
        "CREATE FUNCTION note() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO public.log VALUES (1) RETURNING id'"
    )
    pg.run("CREATE VIEW t AS SELECT note() AS id")
    with pytest.raises(ConfigurationInvalid, match="would write"):
        pg.read(mode="snapshot")
    assert pg.run("SELECT count(*) FROM log") == [(0,)]


def test_F12_columns_that_come_and_go(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v int)")
    pg.run("INSERT INTO t VALUES (1, 1)")
    first = pg.read()
    pg.run("ALTER TABLE t ADD w text DEFAULT 'x'")
    pg.run("INSERT INTO t VALUES (2, 2)")
    second = pg.read(first[-1].position)
    assert rows(second) == [{"id": 2, "v": 2, "w": "x"}]
    pg.run("ALTER TABLE t DROP v, ALTER w TYPE varchar")
    third = pg.read(second[-1].position)
    assert sorted(ids(third)) == [], "the type of w is another in name only: no row was written"
    pg.run("ALTER TABLE t ALTER w TYPE char(3)")
    assert sorted(ids(pg.read(third[-1].position))) == [1, 2], "rewritten: every row comes again"
    with pytest.raises(ColumnsChanged):
        pg.read(key=("v",))


WRONG: list[tuple[str, type[DatongError], str]] = [
    ("postgresql://datong:${secret:PG}-wrong@127.0.0.1:{port}/{db}", ConfigurationInvalid, "user or the password"),
    ("postgresql://stranger:${secret:PG}@127.0.0.1:{port}/{db}", ConfigurationInvalid, "user or the password"),
    ("postgresql://datong@127.0.0.1:{port}/{db}", ConfigurationInvalid, "user or the password"),
    ("postgresql://datong:${secret:PG}@127.0.0.1:{port}/nosuch", ConfigurationInvalid, "no such database"),
    ("postgresql://datong:${secret:PG}@127.0.0.1:1/{db}", SourceUnavailable, "nothing listens"),
    ("postgresql://datong:${secret:PG}@no-such-host.invalid/{db}", SourceUnavailable, "host is not known"),
    ("postgresql://datong:${secret:PG}@127.0.0.1:{port}/{db}?sslmode=require", SourceUnavailable, "TLS"),
    ("postgresql://datong:${secret:PG}@127.0.0.1:{port}/{db}?options=-c%20x", ConfigurationInvalid, "parameter"),
    ("postgresql://datong:canary-clear@127.0.0.1:{port}/{db}", ConfigurationInvalid, "password stands in the file"),
    ("mysql://datong:${secret:PG}@127.0.0.1/{db}", ConfigurationInvalid, "not the URL of a PostgreSQL"),
    ("canary-clear", ConfigurationInvalid, "not a database URL"),
    ("${secret:PG}", ConfigurationInvalid, "not a database URL"),
]


@pytest.mark.parametrize(("url", "kind", "text"), WRONG)
def test_S16_each_fault_has_its_error_and_none_a_password(
    pg: Database, url: str, kind: type[DatongError], text: str
) -> None:
    pg.run("CREATE TABLE t (id int)")
    filled = url.replace("{port}", str(pg.server.port)).replace("{db}", pg.name)
    source = pg.source(url=filled)
    for attempt in (lambda: list(source.batches(None, Event())), source.discover):
        with pytest.raises(kind, match=text) as refused:
            attempt()
        assert refused.value.remedy
        chain: BaseException | None = refused.value
        while chain:
            assert PASSWORD not in f"{chain} {chain!r}"
            assert "canary-clear" not in f"{chain} {chain!r}" or chain is not refused.value
            chain = chain.__cause__
    report = source.check()
    assert not report.ok
    assert report.findings[0].remedy
    assert PASSWORD not in repr(report) + repr(vars(source))


def test_S16_a_password_with_any_characters_is_filled_in_and_no_part_of_the_url(pg: Database) -> None:
    odd = "p@ss/w:rd?#%40"
    pg.run("CREATE TABLE t (id int PRIMARY KEY)")
    pg.run("INSERT INTO t VALUES (1)")
    role = f"odd_{pg.name}"
    pg.run(f"CREATE ROLE {role} LOGIN PASSWORD '{odd}'")
    try:
        pg.run(f"GRANT SELECT ON t TO {role}")
        spec = PostgresSpec(
            kind="postgres", url=f"postgresql://{role}:${{secret:PG}}@127.0.0.1:{pg.server.port}/{pg.name}", table="t"
        )
        context = SourceContext(
            task="t", root=Path(), mode="upsert", secret=lambda text: text.replace("${secret:PG}", odd)
        )
        source = PostgresSource(spec, context)
        assert ids(list(source.batches(None, Event()))) == [1]
        source.close()
    finally:
        pg.run(f"DROP OWNED BY {role}")
        pg.run(f"DROP ROLE {role}")


def test_R35_remedies_name_the_connector(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int)")
    spec = PostgresSpec(
        kind="postgres", url=f"postgresql://nobody:${{secret:PG}}@127.0.0.1:{pg.server.port}/{pg.name}", table="t"
    )
    source = PostgresSource(
        spec, SourceContext(task="city-schools", root=Path(), mode="upsert", secret=lambda text: text)
    )
    with pytest.raises(ConfigurationInvalid, match="user or the password") as refused:
        list(source.batches(None, Event()))
    assert "`datong connector resume city-schools`" in refused.value.remedy


def test_a_host_that_never_answers_takes_no_longer_than_it_may(pg: Database) -> None:
    import socket
    import time

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"postgresql://datong@127.0.0.1:{silent.getsockname()[1]}/x"
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="did not answer in time"):
            pg.read(url=url, connect_timeout_s=2)
        assert time.monotonic() - started < 60  # libpq alone would wait for ever


def test_rights_that_lack_are_named(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int, v int, secret_column int) PARTITION BY RANGE (id)")
    pg.run("CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10)")
    pg.run("INSERT INTO t VALUES (1)")
    pg.run("CREATE TABLE whole (id int, v int)")
    pg.run("INSERT INTO whole VALUES (7, 7)")
    pg.run(f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    url = pg.url.replace("postgres:", "reader:")
    with pytest.raises(ConfigurationInvalid, match=r"may not read this table.*GRANT SELECT"):
        pg.read(url=url)
    pg.run("GRANT SELECT ON t TO reader")
    report = pg.source(url=url).check()
    assert [f.name for f in report.findings if not f.ok] == ["rights"]
    with pytest.raises(ConfigurationInvalid, match="GRANT SELECT on t_1"):
        pg.read(url=url)
    assert ids(pg.read(url=url, mode="snapshot")) == [1], "in one statement, which the table's own rights allow"
    pg.run("GRANT SELECT ON t_1 TO reader")
    assert pg.source(url=url).check().ok
    assert ids(pg.read(url=url)) == [1]
    pg.run("GRANT SELECT (id) ON whole TO reader")
    with pytest.raises(ConfigurationInvalid, match="every column that is wanted"):
        pg.read(url=url, table="whole", mode="snapshot")
    only = frozenset({"id"})
    with pytest.raises(ConfigurationInvalid, match="GRANT SELECT on whole"):
        list(pg.source(url=url, table="whole", columns=only).batches(None, Event()))
    assert ids(list(pg.source("snapshot", url=url, table="whole", columns=only).batches(None, Event()))) == [7]
    pg.run("DROP OWNED BY reader; DROP ROLE reader")


def test_a_statement_that_takes_too_long_is_ended(pg: Database) -> None:
    pg.run("CREATE VIEW t AS SELECT pg_sleep(60) IS NULL AS id")
    with pytest.raises(SourceUnavailable, match="took too long"):
        pg.read(mode="snapshot", statement_timeout_s=0.5)


def test_a_locked_table_is_tried_again_later(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sources.postgres_session.LOCK_S", 0.3)
    pg.run("CREATE TABLE t (id int)")
    with pg.connection.transaction():
        pg.run("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceUnavailable, match="locked"):
            pg.read()
    assert pg.read()


def test_stop_ends_a_slow_statement_soon(pg: Database) -> None:
    import time

    pg.run("CREATE VIEW t AS SELECT pg_sleep(600) IS NULL AS id")
    stop, started = Event(), time.monotonic()
    for batch in pg.source("snapshot").batches(None, stop):
        assert not batch.complete
        stop.set()
    assert time.monotonic() - started < 60
    assert pg.run(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datong' AND datname = current_database()"
    )


def test_a_transaction_that_stays_open_is_told(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LONG_S", 0.0)
    pg.run("CREATE TABLE t (id int)")
    with pg.connection.transaction():
        pg.run("INSERT INTO t VALUES (1)")
        findings = {f.name: f for f in pg.source().check().findings}
    assert findings["open transactions"].ok
    assert "read when it ends" in findings["open transactions"].detail


def test_the_settings_refuse_a_cursor_and_point_elsewhere() -> None:
    with pytest.raises(ValueError, match="xmin"):
        PostgresSpec(kind="postgres", url="postgresql://h/d", table="t", incremental="cursor")  # type: ignore[arg-type]
    assert "`kind: sql`" in (PostgresSpec.model_fields["incremental"].description or "")


def test_positions_are_json(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int)")
    pg.run("INSERT INTO t VALUES (1)")
    for batch in pg.read():
        assert json.loads(json.dumps(batch.position.value)) == batch.position.value
