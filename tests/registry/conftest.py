"""A registry over a store on a temporary file, and the same over a database of a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.registry import Registry
from hub.store import Store
from tests.sources.postgres_server import PASSWORD, USER, Server


def database_url(server: Server, name: str) -> str:
    return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{server.port}/{name}"


@pytest.fixture(scope="session")
def registry_postgres() -> Iterator[Server]:
    """A server with a database `made`, brought to the newest revision, to copy from."""
    server = Server()
    with server.connect("postgres") as connection:
        connection.execute("CREATE DATABASE made")
    Store.open(database_url(server, "made")).close()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of the test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Server = request.getfixturevalue("registry_postgres")
    name = f"t{uuid.uuid4().hex[:12]}"
    with server.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE made STRATEGY file_copy".encode())
    return database_url(server, name)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)
