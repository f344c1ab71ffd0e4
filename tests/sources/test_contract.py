"""What every kind of source promises (hub/ports.py), run on each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from connectors import KINDS
from connectors.context import SourceContext
from connectors.outbound import Outbound
from hub.model import Mode
from hub.ports import Source
from hub.testing import SourceContract
from hub.testing.source_contract import Make
from tests.sources.conftest import filled
from tests.support.fault_server import Answer, FaultServer, Pages, Request, answer

ROWS = 25_000
CANARY = "canary-cell-5150"
PUSHED = {"mqtt", "webhook"}  # they have no end and no beginning: test_push_contract.py


@pytest.fixture
def fault_servers() -> Iterator[Callable[..., FaultServer]]:
    with ExitStack() as stack:

        def start(reply: Callable[[Request], Answer]) -> FaultServer:
            server = FaultServer(reply)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture(params=sorted(set(KINDS) - PUSHED))
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


class TestKinds(SourceContract):
    """All of the contract, on each kind."""

    rows = ROWS

    def test_discover_gives_all_columns_in_order(self, make: Make) -> None:
        assert make().discover()[0].columns.names == ["id", "name", "n"]


def test_the_settings_say_what_they_are() -> None:
    for kind in KINDS.values():
        schema = kind.spec.model_json_schema()
        assert all(p.get("description") for p in schema["properties"].values()), kind.name
        assert schema["additionalProperties"] is False
