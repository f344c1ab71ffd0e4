"""Windows of transactions on a real server: nothing lost or doubled, whatever the order of commits (F10)."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import psycopg
import pytest

from connectors.sources import postgres
from hub.errors import Conflict
from hub.model import Batch, SourceCheckpoint
from tests.sources.conftest import Database
from tests.support.waiting import eventually

WRITERS = 8
ROWS = 1_500  # inserted by each writer


def stored(position: SourceCheckpoint) -> SourceCheckpoint:
    """As it comes back from the log."""
    return SourceCheckpoint(value=json.loads(json.dumps(position.value)))


def pairs(batches: list[Batch]) -> list[tuple[int, Any]]:
    return [(row["id"], row["v"]) for b in batches for row in b.records.to_pylist()]


class Follower:
    """Reads run by run, each from the checkpoint of the last; some runs stop in the middle."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.random = database, random.Random(seed)
        self.position: SourceCheckpoint | None = None
        self.seen: list[tuple[int, Any]] = []
        self.stopped = 0

    def run(self, *, share_stopped: float = 0.0) -> list[tuple[int, Any]]:
        stop, read = Event(), []
        for batch in self.database.source("append").batches(self.position, stop):
            read += pairs([batch])
            self.position = stored(batch.position)
            if self.random.random() < share_stopped:
                stop.set()
                self.stopped += 1
                break
        self.seen += read
        return read


def write(where: str, seed: int, failures: list[BaseException]) -> None:
    """One writer: transactions with pauses, of which a tenth are rolled back, each noting what it did in `event`."""
    chance, inserted = random.Random(seed), 0
    try:
        with psycopg.connect(where) as connection:
            while inserted < ROWS:
                count = chance.randint(1, 40)
                connection.execute("SELECT nextval('t_id_seq') FROM generate_series(1, 3)")  # gaps
                made = connection.execute(
                    "INSERT INTO t (v) SELECT nextval('version') FROM generate_series(1, %s) RETURNING id, v", [count]
                ).fetchall()
                time.sleep(chance.choice((0, 0, 0.001, 0.01, 0.05)))
                if chance.random() < 0.5:  # one's own rows, so that writers do not wait for each other all the time
                    connection.execute("SAVEPOINT s")
                    target = [made[0][0], made[-1][0], chance.randint(1, made[-1][0])]
                    made += connection.execute(
                        "UPDATE t SET v = nextval('version') WHERE id IN"
                        " (SELECT id FROM t WHERE id = ANY (%s) FOR UPDATE SKIP LOCKED) RETURNING id, v",
                        [target],
                    ).fetchall()
                    if chance.random() < 0.3:
                        connection.execute("ROLLBACK TO s")
                        made = made[:count]
                connection.cursor().executemany("INSERT INTO event VALUES (%s, %s)", made)
                if chance.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    inserted += count
    except BaseException as error:
        failures.append(error)


@pytest.mark.parametrize("seed", [1, 2])
def test_F10_nothing_is_lost_or_doubled_with_eight_writers(
    pg: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(postgres, "BLOCKS", 5)
    monkeypatch.setattr(postgres, "MAX_ROWS", 40)
    pg.run("CREATE SEQUENCE version")
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v bigint NOT NULL)")
    pg.run("CREATE TABLE event (id int, v bigint)")
    failures: list[BaseException] = []
    where = f"{pg.connection.info.dsn} password={pg.connection.info.password}"
    writers = [threading.Thread(target=write, args=(where, seed * 100 + i, failures)) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    follower = Follower(pg, seed)
    by_id: set[int] = set()
    last = 0
    while any(w.is_alive() for w in writers):
        follower.run(share_stopped=0.25)
        polled = [row[0] for row in pg.run("SELECT id FROM t WHERE id > %s ORDER BY id", last)]
        by_id.update(polled)
        last = max([last, *polled])
    for writer in writers:
        writer.join()
    assert not failures
    follower.run()
    committed = set(pg.run("SELECT id, v FROM event"))
    present = set(pg.run("SELECT id, v FROM t"))
    assert len(present) >= 10_000
    assert set(follower.seen) - committed == set(), "phantom"
    assert present - set(follower.seen) == set(), "lost"
    assert [p for p, n in Counter(follower.seen).items() if n > 1] == [], "doubled"
    final = dict(sorted(follower.seen, key=lambda pair: pair[1]))
    assert final == dict(present), "the last version of each row"
    in_order: dict[int, int] = {}
    for identity, version in follower.seen:
        assert in_order.get(identity, 0) < version, "the versions of a row come in their order"
        in_order[identity] = version
    assert follower.stopped > 0  # how often depends on the machine
    print(f"{len(committed):,} committed, {len(present):,} rows, a cursor lost {len(present) - len(by_id):,}")
    assert len(present) - len(by_id) > 0, "the load would not show what a cursor loses"


def test_F10_a_slow_transaction_holds_the_window_and_comes_later(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int, v text)")
    follower = Follower(pg, 0)
    slow = pg.server.connect(pg.name)
    with slow.transaction():
        slow.execute("INSERT INTO t VALUES (1, 'slow')")
        pg.run("INSERT INTO t VALUES (2, 'quick')")
        assert follower.run() == []
    assert sorted(follower.run()) == [(1, "slow"), (2, "quick")]
    assert follower.run() == []
    slow.close()


def test_F10_prepared_transactions_and_savepoints(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int, v text)")
    follower = Follower(pg, 0)
    pg.connection.execute(
        "BEGIN; SAVEPOINT a; INSERT INTO t VALUES (1, 'sub'); SAVEPOINT b; INSERT INTO t VALUES (2, 'x')"
    )
    pg.connection.execute("ROLLBACK TO b; PREPARE TRANSACTION 'p'")
    pg.run("INSERT INTO t VALUES (3, 'after')")
    assert follower.run() == []
    pg.run("COMMIT PREPARED 'p'")
    assert sorted(follower.run()) == [(1, "sub"), (3, "after")]


def test_rows_changed_several_times_come_once_and_deleted_ones_not(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v int)")
    pg.run("INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i")
    follower = Follower(pg, 0)
    assert len(follower.run()) == 100
    for i in range(5):
        pg.run("UPDATE t SET v = %s WHERE id = 7", i)
    pg.run("DELETE FROM t WHERE id = 8")
    pg.run("SELECT * FROM t WHERE id = 9 FOR UPDATE")
    assert follower.run() == [(7, 4)]


@pytest.mark.parametrize("command", ["VACUUM FREEZE t", "VACUUM FULL t", "CLUSTER t USING t_pkey", "ANALYZE t"])
def test_housekeeping_writes_no_row(pg: Database, command: str) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v int)")
    pg.run("INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i")
    follower = Follower(pg, 0)
    follower.run()
    pg.run("INSERT INTO t VALUES (101, 0)")
    pg.run(command)
    assert follower.run() == [(101, 0)]
    pg.run(command)
    assert follower.run() == []


def halfway(pg: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[SourceCheckpoint, list[tuple[int, Any]]]:
    monkeypatch.setattr(postgres, "MAX_ROWS", 100)
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v int)")
    pg.run("INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i")
    batches: Iterator[Batch] = pg.source().batches(None, Event())
    read = [next(batches) for _ in range(4)]
    return stored(read[-1].position), pairs(read)


def test_going_on_in_the_middle_sees_what_changed_meanwhile_once(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    position, seen = halfway(pg, monkeypatch)
    pg.run("UPDATE t SET v = 1 WHERE id IN (5, 900)")
    pg.run("DELETE FROM t WHERE id IN (6, 901)")
    pg.run("VACUUM t")
    pg.run("INSERT INTO t VALUES (2001, 0)")
    rest = pairs(pg.read(position))
    assert not set(rest) & set(seen)
    assert set(seen + rest) == {(i, 0) for i in range(1, 1001)} - {(900, 0), (901, 0)} | {(5, 1), (900, 1), (2001, 0)}
    assert len(seen + rest) == 1001 - 2 + 2


def test_going_on_in_a_table_that_was_rewritten_loses_nothing(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    position, seen = halfway(pg, monkeypatch)
    pg.run("DELETE FROM t WHERE id <= 300")
    pg.run("VACUUM FULL t")
    rest = pairs(pg.read(position))
    assert {i for i, _ in seen + rest} == set(range(1, 1001))


def test_partitions_that_come_go_and_are_brought_in(pg: Database) -> None:
    pg.run("CREATE TABLE old (id int, v text)")
    pg.run("INSERT INTO old VALUES (201, 'brought')")
    pg.run("CREATE TABLE t (id int, v text) PARTITION BY RANGE (id)")
    pg.run("CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)")
    pg.run("CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100) TO (200)")
    pg.run("INSERT INTO t VALUES (1, 'a'), (101, 'b')")
    follower = Follower(pg, 0)
    assert sorted(follower.run()) == [(1, "a"), (101, "b")]
    pg.run("ALTER TABLE t ATTACH PARTITION old FOR VALUES FROM (200) TO (300)")
    pg.run("UPDATE t SET id = 102 WHERE id = 1")
    assert sorted(follower.run()) == [(102, "a"), (201, "brought")]
    pg.run("DROP TABLE t1")
    pg.run("CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)")
    pg.run("INSERT INTO t VALUES (3, 'c')")
    assert follower.run() == [(3, "c")]
    assert follower.run() == []
    pg.run("ANALYZE t")
    (stream,) = pg.source().discover()
    assert stream.rows == 4
    assert sorted(pairs(pg.read(mode="snapshot"))) == sorted(pg.run("SELECT id, v FROM t"))


def test_a_snapshot_is_one_moment_and_is_not_emptied_by_a_rewrite(
    pg: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "BLOCKS", 1)
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pg.run("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 200) i")
    batches = pg.source("snapshot").batches(None, Event())
    seen = pairs([next(batches)])
    other = pg.server.connect(pg.name)
    other.execute("SET lock_timeout = 300")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute("ALTER TABLE t ALTER v TYPE varchar(900)")
    other.execute("DELETE FROM t")
    other.execute("INSERT INTO t VALUES (1000, 'later')")
    seen += pairs(list(batches))
    assert [i for i, _ in seen] == list(range(1, 201))
    other.close()


def test_a_restart_changes_nothing(mortal: Database) -> None:
    mortal.run("CREATE TABLE t (id int, v text)")
    mortal.run("INSERT INTO t VALUES (1, 'a')")
    follower = Follower(mortal, 0)
    assert follower.run() == [(1, "a")]
    for mode in ("fast", "immediate"):
        mortal.run("INSERT INTO t VALUES (2, %s)", mode)
        mortal.server.stop(mode)
        mortal.server.start()
        mortal.reconnect()
        assert follower.run() == [(2, mode)]


def test_a_checkpoint_of_another_server_timeline_or_table_is_refused(mortal: Database, pg: Database) -> None:
    for database in (mortal, pg):
        database.run("CREATE TABLE t (id int, v text)")
        database.run("INSERT INTO t VALUES (1, 'a')")
    position = stored(mortal.read()[-1].position)
    with pytest.raises(Conflict, match="another server"):
        pg.read(position)
    mortal.run("ALTER TABLE t RENAME TO was")
    mortal.run("CREATE TABLE t AS SELECT * FROM was")
    with pytest.raises(Conflict, match="replaced"):
        mortal.read(position)
    mortal.run("DROP TABLE t")
    mortal.run("ALTER TABLE was RENAME TO t")
    assert pairs(mortal.read(position)) == []
    mortal.server.stop()
    (mortal.server.data / "recovery.signal").touch()  # recover to the end of the log and begin a new timeline
    mortal.server.give(mortal.server.data / "recovery.signal")
    mortal.server.configure({"restore_command": "false", "recovery_target_timeline": "latest"})
    mortal.server.start()
    mortal.reconnect()
    assert eventually(lambda: mortal.run("SELECT pg_is_in_recovery()") == [(False,)])
    with pytest.raises(Conflict, match="failed over") as refused:
        mortal.read(position)
    assert "begin anew" in refused.value.remedy


def test_numbers_that_went_backwards_are_refused(pg: Database) -> None:
    pg.run("CREATE TABLE t (id int)")
    position = pg.read()[-1].position
    ahead = SourceCheckpoint(value={**position.value, "low": position.value["low"] + 1000})
    with pytest.raises(Conflict, match="backwards"):
        pg.read(ahead)
    inside = SourceCheckpoint(value={**position.value, "high": position.value["low"] + 1000})
    with pytest.raises(Conflict, match="backwards"):
        pg.read(inside)


@pytest.fixture
def wind(mortal: Database) -> Callable[[int], None]:
    """Sets the server's next transaction id, as if so many had passed."""

    def to(number: int) -> None:
        server = mortal.server
        mortal.connection.close()
        with server.connect("postgres") as connection:
            connection.execute("UPDATE pg_database SET datallowconn = true")
            names = [row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()]
        for name in names:
            with server.connect(name) as connection:
                connection.execute("VACUUM FREEZE")
        server.stop()
        epoch, low = divmod(number, 2**32)
        segment = server.data / "pg_xact" / f"{low // (8192 * 4 * 32):04X}"
        if not segment.exists():
            segment.write_bytes(bytes(262_144))
            server.give(segment)
        numbers = ("-e", str(epoch), "-x", str(low), "-u", str(max(3, low - 1_000_000)))
        done = server.run("pg_resetwal", "-f", "-D", str(server.data), *numbers)
        assert done.returncode == 0, done.stderr
        server.start()
        mortal.reconnect()

    return to


def test_the_32_bits_of_xmin_run_over(mortal: Database, wind: Callable[[int], None]) -> None:
    mortal.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    mortal.run("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 5) i")
    before = stored(mortal.read()[-1].position)
    wind(2**32 - 200)
    with pytest.raises(Conflict, match="two billion"):
        mortal.read(before)
    follower = Follower(mortal, 0)
    assert sorted(follower.run()) == [(i, "old") for i in range(1, 6)], "frozen rows whose number lies ahead"
    for i in range(10, 300):
        mortal.run("INSERT INTO t VALUES (%s, 'new')", i)
        if i % 25 == 0:
            assert sorted(follower.run())[-1] == (i, "new")
    follower.run()
    assert follower.position is not None
    assert follower.position.value["low"] > 2**32
    assert sorted(follower.seen) == sorted(mortal.run("SELECT id, v FROM t"))
    again = len(follower.seen)
    for _ in range(1000):  # past the numbers that the frozen rows had once
        mortal.run("SELECT pg_current_xact_id()")
    follower.run()
    assert sorted(follower.seen[again:]) == [(i, "old") for i in range(1, 6)], "once more, as the settings say"
