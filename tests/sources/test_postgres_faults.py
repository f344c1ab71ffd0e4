"""The server or the line to it fails while the source reads: the run ends as retryable, the next goes on (F9)."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event

import psycopg
import pytest

from connectors.sources import postgres
from connectors.sources.postgres import PostgresSource
from hub.errors import SourceUnavailable
from hub.model import Batch, SourceCheckpoint
from tests.sources.conftest import Database
from tests.support.line import Line
from tests.support.waiting import eventually

ROWS = 60_000


def ids(batches: list[Batch]) -> list[int]:
    return [i for b in batches for i in b.records.column("id").to_pylist()]


def fill(database: Database) -> None:
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.run(f"INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, {ROWS}) i")


def fail_after(source: PostgresSource, batches: int, fault: Callable[[], object]) -> tuple[list[int], SourceCheckpoint]:
    """Reads, lets the fault happen, and reads until the error."""
    read: list[Batch] = []

    def run() -> None:
        for batch in source.batches(None, Event()):
            read.append(batch)
            if len(read) == batches:
                fault()

    with pytest.raises(SourceUnavailable) as lost:
        run()
    assert lost.value.exit_code == 5
    assert 0 < len(ids(read)) < ROWS
    return ids(read), SourceCheckpoint(value=json.loads(json.dumps(read[-1].position.value)))


def goes_on(database: Database, seen: list[int], position: SourceCheckpoint) -> None:
    """Each row once."""
    database.run("INSERT INTO t VALUES (0, 'later')")
    rest = ids(database.read(position))
    assert len(seen) + len(rest) == ROWS + 1
    assert set(seen + rest) == set(range(ROWS + 1))


def workers(database: Database) -> list[int]:
    return [
        pid
        for (pid,) in database.run(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'datong' AND datname = current_database()"
        )
    ]


def restart(database: Database, mode: str) -> None:
    database.server.stop(mode)
    database.server.start()
    database.reconnect()


FAULTS: dict[str, Callable[[Database], object]] = {
    "restart, immediate": lambda database: restart(database, "immediate"),
    "restart, fast": lambda database: restart(database, "fast"),
    "terminated": lambda database: database.run("SELECT pg_terminate_backend(%s)", *workers(database)),
    "cancelled": lambda database: database.run("SELECT pg_cancel_backend(%s)", *workers(database)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_F9_the_server_ends_the_reading(mortal: Database, fault: str) -> None:
    fill(mortal)
    seen, position = fail_after(mortal.source(), 2, lambda: FAULTS[fault](mortal))
    goes_on(mortal, seen, position)


def test_F9_a_killed_process_of_the_server_takes_all_connections_with_it(mortal: Database) -> None:
    fill(mortal)

    def kill() -> None:
        (worker,) = workers(mortal)
        os.kill(worker, signal.SIGKILL)

    seen, position = fail_after(mortal.source(), 2, kill)

    def back() -> bool:
        with suppress(psycopg.OperationalError):
            mortal.reconnect()
            return True
        return False

    assert eventually(back)
    goes_on(mortal, seen, position)


def test_F9_a_transaction_that_idles_is_ended_by_the_server(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "BLOCKS", 100)
    fill(pg)
    pg.run(f"ALTER DATABASE {pg.name} SET idle_in_transaction_session_timeout = '100ms'")
    seen, position = fail_after(pg.source(), 2, lambda: time.sleep(1))  # ten times as long as it may idle
    pg.run(f"ALTER DATABASE {pg.name} RESET idle_in_transaction_session_timeout")
    goes_on(pg, seen, position)


@pytest.fixture
def line(pg: Database) -> Iterator[Line]:
    with Line(pg.server.port) as made:
        yield made


def test_F9_the_connection_is_reset(pg: Database, line: Line) -> None:
    fill(pg)
    url = pg.url.replace(f":{pg.server.port}/", f":{line.port}/")
    seen, position = fail_after(pg.source(url=url), 2, line.reset)
    goes_on(pg, seen, position)


def test_F9_the_server_is_away_and_comes_back(mortal: Database) -> None:
    fill(mortal)
    mortal.server.stop()
    for attempt in (lambda: mortal.read(), mortal.source().discover):
        with pytest.raises(SourceUnavailable, match="nothing listens"):
            attempt()
    assert not mortal.source().check().ok
    mortal.server.start()
    mortal.reconnect()
    assert len(ids(mortal.read())) == ROWS


def test_nothing_stays_open(pg: Database) -> None:
    fill(pg)
    source = pg.source()
    iterator = source.batches(None, Event())
    next(iterator)
    assert len(workers(pg)) == 1
    source.close()
    assert list(iterator) == []
    with pytest.raises(StopIteration):
        next(source.batches(None, Event()))
    iterator = pg.source().batches(None, Event())
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    pg.source().check()
    pg.source().discover()
    pg.read()
    assert eventually(lambda: not workers(pg))


def test_close_ends_a_statement_that_runs(pg: Database) -> None:
    pg.run("CREATE VIEW t AS SELECT pg_sleep(600) IS NULL AS id")
    source = pg.source("snapshot")
    threading.Timer(1.0, source.close).start()
    started = time.monotonic()
    assert all(b.records.num_rows == 0 and not b.complete for b in source.batches(None, Event()))
    assert time.monotonic() - started < 60
