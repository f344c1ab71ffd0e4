"""A project whose nodes share a real PostgreSQL and a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.services import kafka, postgres
from tests.support.nodes import Site, site
from tests.support.postgres import drop_database, new_database


@pytest.fixture
def place(tmp_path: Path, postgres_server: postgres.Server, kafka_cluster: kafka.Cluster) -> Iterator[Site]:
    """With a database of its own."""
    database = new_database(postgres_server)
    with site(tmp_path, postgres_server.url_of(database), kafka_cluster.bootstrap) as made:
        yield made
    drop_database(postgres_server, database)
