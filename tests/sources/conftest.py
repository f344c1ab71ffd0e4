"""Real databases for the sources."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from connectors.context import SourceContext
from connectors.sources.postgres import PostgresSource
from connectors.sources.specs import PostgresSpec
from hub.model import Batch, Mode, SourceCheckpoint
from tests.sources.postgres_server import PASSWORD, USER, Server


@dataclass
class Database:
    """A fresh database, and sources that read it."""

    server: Server
    name: str
    connection: psycopg.Connection[Any]

    @property
    def url(self) -> str:
        """As a connector's file has it."""
        return f"postgresql+psycopg://{USER}:${{secret:PG}}@127.0.0.1:{self.server.port}/{self.name}"

    def run(self, text: str, *parameters: Any) -> list[Any]:
        """Statements as the owner."""
        cursor = self.connection.execute(text, parameters or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []

    def reconnect(self) -> None:
        """After the server was away."""
        self.connection.close()
        self.connection = self.server.connect(self.name)

    def source(self, mode: Mode = "upsert", *, columns: frozenset[str] | None = None, **spec: Any) -> PostgresSource:
        """A source of table t, or as `spec` says."""
        made = PostgresSpec(**{"kind": "postgres", "url": self.url, "table": "t", **spec})
        return PostgresSource(made, SourceContext(task="t", root=Path(), mode=mode, columns=columns, secret=filled))

    def read(self, after: SourceCheckpoint | None = None, mode: Mode = "upsert", **spec: Any) -> list[Batch]:
        """All batches of one run."""
        return list(self.source(mode, **spec).batches(after, Event()))


def filled(text: str) -> str:
    """What the hub does with references to secrets."""
    return text.replace("${secret:PG}", PASSWORD)


def create(server: Server, **options: str) -> Database:
    """A database of its own on a server."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with server.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} " + " ".join(f"{k} {v}" for k, v in options.items()))
    return Database(server=server, name=name, connection=server.connect(name))


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    """One server for a worker: it is never stopped."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def new_database(shared_server: Server) -> Iterator[Callable[..., Database]]:
    """Makes databases; options are those of CREATE DATABASE."""
    made: list[Database] = []

    def build(**options: str) -> Database:
        made.append(create(shared_server, **options))
        return made[-1]

    yield build
    for database in made:
        database.connection.close()


@pytest.fixture
def pg(new_database: Callable[..., Database]) -> Database:
    """One database."""
    return new_database()


@pytest.fixture
def mortal() -> Iterator[Database]:
    """A database on a server of the test's own."""
    server = Server()
    database = create(server)
    yield database
    database.connection.close()
    server.remove()
