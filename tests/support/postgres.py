"""A real PostgreSQL for tests: one server a worker, whose databases are the tests' own, and one that may be stopped."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.services import ServiceMissing
from deploy.services import postgres as service
from deploy.services.postgres import HUB, SUPERUSER, Server
from tests.support.requirements import unavailable

PASSWORD = "canary-pg-pw-91"
QUICK = {"fsync": "off", "shared_buffers": "32MB", "autovacuum": "off", "max_prepared_transactions": "8"}


def new_server(**settings: str) -> Server:
    """A server in a folder that its user may enter; skips, or fails where TEST_REQUIRE names postgres, without one."""
    folder = Path(tempfile.mkdtemp(prefix="datong-pg-"))
    try:
        passwords = dict.fromkeys((SUPERUSER, HUB), PASSWORD)
        return service.start(folder, settings={**QUICK, **settings}, passwords=passwords)
    except ServiceMissing as missing:
        folder.rmdir()
        unavailable("postgres", str(missing))


def new_database(server: Server, **options: str) -> str:
    """The name of a fresh database that is the hub's; options are those of CREATE DATABASE."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with server.connect() as connection:
        words = " ".join(f"{k} {v}" for k, v in {"owner": HUB, **options}.items())
        connection.execute(f"CREATE DATABASE {name} {words}")  # type: ignore[arg-type] # tests' own text
    return name


def drop_database(server: Server, name: str) -> None:
    """Whoever still uses it is cut off."""
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type] # tests' own text


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for a worker: it is never stopped."""
    server = new_server()
    yield server
    server.remove()


@pytest.fixture
def mortal_postgres() -> Iterator[Server]:
    """A server of the test's own."""
    server = new_server()
    yield server
    server.remove()
