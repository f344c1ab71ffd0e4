"""Stores on both databases: a test that takes `url` or `store` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.services.postgres import Server
from hub.store import Store
from tests.support.postgres import drop_database, new_database


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store at the newest revision, to copy from."""
    file = tmp_path_factory.mktemp("migrated") / "store.db"
    Store.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def migrated_database(postgres_server: Server) -> str:
    """The same, as the template of databases."""
    name = new_database(postgres_server)
    Store.open(postgres_server.url_of(name)).close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of the test's own at the newest revision."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "store.db")
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("migrated_database")
    name = new_database(server, template=template)
    yield server.url_of(name)
    drop_database(server, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    name = new_database(server)
    yield server.url_of(name)
    drop_database(server, name)


@pytest.fixture
def now() -> list[int]:
    """What the store's clock shows: a test moves it."""
    return [0]


@pytest.fixture
def store(url: str, now: list[int]) -> Iterator[Store]:
    """An open store whose clock is `now`."""
    with Store.open(url, clock=lambda: now[0]) as opened:
        yield opened


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For what only a file can show."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """A store on a file."""
    with Store.open(sqlite_url) as opened:
        yield opened
