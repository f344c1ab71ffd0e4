"""A registry over a store on a temporary file, and the same over a database of a real PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
import pytest

from hub.registry import Registry
from hub.store import Store
from hub.store.tables import METADATA
from tests.registry.calls import Calls, Served
from tests.sources.postgres_server import PASSWORD, USER, Server


def database_url(server: Server, name: str) -> str:
    return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{server.port}/{name}"


@pytest.fixture(scope="session")
def registry_postgres() -> Iterator[Server]:
    """A server with a database at the newest revision, which each test empties."""
    server = Server()
    with server.connect("postgres") as connection:
        connection.execute("CREATE DATABASE shared")
    Store.open(database_url(server, "shared")).close()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's file at the newest revision, to copy from."""
    path = tmp_path_factory.mktemp("store") / "store.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of the test's own."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("new_file"), tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Server = request.getfixturevalue("registry_postgres")
    with server.connect("shared") as connection:
        names = ", ".join(table.name for table in METADATA.sorted_tables)
        connection.execute(f"TRUNCATE {names}".encode())
        connection.execute("INSERT INTO counters VALUES ('schema_id', 0), ('removals', 0)")
    return database_url(server, "shared")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The registry's HTTP API in this process."""
    with anyio.from_thread.start_blocking_portal() as portal:
        yield Served(portal)


@pytest.fixture
def api(served: Served, store: Store) -> Iterator[Calls]:
    """It over the test's store, called by its operator."""
    with served.calling(store) as calls:
        yield calls


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)
