"""What every kind of source promises (hub/ports.py), run on each."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connectors import KINDS
from connectors.context import SourceContext
from connectors.outbound import Outbound
from hub.errors import Retry
from hub.model import Batch, Mode
from hub.ports import Source
from tests.sources.conftest import filled
from tests.support.fault_server import Answer, FaultServer, Pages, Request, answer

ROWS = 25_000
CANARY = "canary-cell-5150"
Make = Callable[..., Source]


@pytest.fixture
def fault_servers() -> Iterator[Callable[..., FaultServer]]:
    with ExitStack() as stack:

        def start(reply: Callable[[Request], Answer]) -> FaultServer:
            server = FaultServer(reply)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture(params=sorted(KINDS))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    kind = KINDS[request.param]
    spec: dict[str, Any] = {"kind": "files", "path": "*.csv", "stable_after_s": 0}
    outbound = Outbound()
    if kind.name == "files":
        lines = "".join(f"{i},{CANARY}{'x' * 300},{i}\n" for i in range(ROWS))
        (tmp_path / "f.csv").write_text("id,name,n\n" + lines)
    elif kind.name == "postgres":
        database = request.getfixturevalue("pg")
        database.run("CREATE TABLE t (id int PRIMARY KEY, name text, n int)")
        database.run(f"INSERT INTO t SELECT i, '{CANARY}' || repeat('x', 300), i FROM generate_series(0, {ROWS - 1}) i")
        spec = {"kind": "postgres", "url": database.url, "table": "t"}
    elif kind.name == "rest":
        table = Pages([{"id": i, "name": f"{CANARY}{'x' * 300}", "n": i} for i in range(ROWS)], size=5000)
        server = request.getfixturevalue("fault_servers")(lambda request: answer(table.at(int(request.query["at"]))))
        paging = {"by": "offset", "parameter": "at", "first": 0}
        spec = {"kind": "rest", "url": f"{server.url}/rows", "paging": paging}
        outbound = Outbound(allowed=frozenset({server.address}))
    else:
        spec = {"kind": "sql", "url": "sqlite:///x.db", "table": "t", "cursor": "n", "key": ["id"]}
        with sqlite3.connect(tmp_path / "x.db") as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER)")
            connection.executemany(
                "INSERT INTO t VALUES (?, ?, ?)", [(i, f"{CANARY}{'x' * 300}", i) for i in range(ROWS)]
            )
        connection.close()

    def build(mode: Mode = "upsert", **changes: Any) -> Source:
        columns = changes.pop("columns", None)
        context = SourceContext(task="t", root=tmp_path, mode=mode, columns=columns, outbound=outbound, secret=filled)
        return kind.build(kind.spec(**{**spec, **changes}), context)

    return build


def test_check_and_discover_change_nothing_and_name_columns(make: Make) -> None:
    source = make()
    assert source.check().ok
    (stream,) = source.discover()
    assert stream.columns.names == ["id", "name", "n"]
    assert isinstance(source.replayable, bool)
    source.close()


def test_all_rows_once_in_batches_of_a_bounded_size(make: Make) -> None:
    batches = list(make().batches(None, Event()))
    assert sum(b.records.num_rows for b in batches) == ROWS
    assert max(b.records.num_rows for b in batches) <= 30_000
    assert max(b.records.nbytes for b in batches) <= 8 * 1024 * 1024
    ids = [str(i) for b in batches for i in b.records.column("id").to_pylist()]
    assert len(set(ids)) == ROWS


def test_going_on_from_any_checkpoint_loses_nothing(make: Make) -> None:
    """A source that can be read again exactly gives the rest; another one may give rows again, never too few."""
    source = make()
    seen: set[str] = set()
    count = 0
    for batch in source.batches(None, Event()):
        count += batch.records.num_rows
        seen.update(str(i) for i in batch.records.column("id").to_pylist())
        rest = [str(i) for b in make().batches(batch.position, Event()) for i in _ids(b)]
        assert len(seen.union(rest)) == ROWS
        assert count + len(rest) == ROWS or not source.replayable


def _ids(batch: Batch) -> list[Any]:
    return batch.records.column("id").to_pylist() if batch.records.num_rows else []


def test_only_the_wanted_columns_are_delivered(make: Make) -> None:
    batch = next(iter(make(columns=frozenset({"id"})).batches(None, Event())))
    assert batch.records.schema.names == ["id"]


def test_acknowledge_and_close_may_be_repeated(make: Make) -> None:
    source = make()
    batch = next(iter(source.batches(None, Event())))
    source.acknowledge(batch.position)
    source.acknowledge(batch.position)
    source.close()
    source.close()


def test_stop_ends_soon_and_without_completeness(make: Make) -> None:
    stop = Event()
    found = []
    for batch in make("snapshot").batches(None, stop):
        found.append(batch)
        stop.set()
    assert len(found) <= 2
    assert not any(b.complete for b in found)


def test_close_from_another_thread(make: Make) -> None:
    source = make()
    iterator = iter(source.batches(None, Event()))
    next(iterator)
    closer = threading.Thread(target=source.close)
    closer.start()
    closer.join(10)
    assert not closer.is_alive()
    deadline = time.monotonic() + 30
    with suppress(Retry):  # it ends, or says that it could not go on
        for _batch in iterator:
            assert time.monotonic() < deadline


def test_a_snapshot_says_when_it_is_complete(make: Make) -> None:
    batches = list(make("snapshot").batches(None, Event()))
    assert [b.complete for b in batches] == [False] * (len(batches) - 1) + [True]


def test_the_settings_say_what_they_are() -> None:
    for kind in KINDS.values():
        schema = kind.spec.model_json_schema()
        assert all(p.get("description") for p in schema["properties"].values()), kind.name
        assert schema["additionalProperties"] is False
