"""Real databases for the sources."""

from __future__ import annotations

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
from deploy.services.postgres import SUPERUSER, Server
from hub.model import Batch, Mode, SourceCheckpoint
from tests.sources.rest_service import Serve
from tests.support import postgres
from tests.support.fault_server import Answer, FaultServer, Request
from tests.support.postgres import PASSWORD


@dataclass
class Database:
    """A fresh database, and sources that read it."""

    server: Server
    name: str
    connection: psycopg.Connection[Any]

    @property
    def url(self) -> str:
        """As a connector's file has it."""
        return f"postgresql+psycopg://{SUPERUSER}:${{secret:PG}}@127.0.0.1:{self.server.port}/{self.name}"

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
    name = postgres.new_database(server, **options)
    return Database(server=server, name=name, connection=server.connect(name))


@pytest.fixture
def new_database(postgres_server: Server) -> Iterator[Callable[..., Database]]:
    """Makes databases; options are those of CREATE DATABASE."""
    made: list[Database] = []

    def build(**options: str) -> Database:
        made.append(create(postgres_server, **options))
        return made[-1]

    yield build
    for database in made:
        database.connection.close()


@pytest.fixture
def pg(new_database: Callable[..., Database]) -> Database:
    """One database."""
    return new_database()


@pytest.fixture
def mortal(mortal_postgres: Server) -> Iterator[Database]:
    """A database on a server of the test's own."""
    database = create(mortal_postgres)
    yield database
    database.connection.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[FaultServer] = []

    def start(reply: Callable[[Request], Answer], **options: Any) -> FaultServer:
        made.append(FaultServer(reply, **options))
        return made[-1]

    yield start
    for server in made:
        server.close()
