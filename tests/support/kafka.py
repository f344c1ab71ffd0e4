"""A real Kafka for tests: one node a worker, one that may be killed for each fault, one with TLS, SCRAM and ACLs."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.services import ServiceMissing
from deploy.services import kafka as service
from hub.log.kafka import KafkaOptions
from tests.support.requirements import unavailable

# A node that was killed may come back when its old session has ended, which takes nine seconds else; and what a dead writer
# left open is ended as soon as its time is up, not up to ten seconds later.
SOON = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


def need_kafka() -> None:
    """Skip, or fail where TEST_REQUIRE names kafka, unless Java and the jars are there."""
    try:
        service.jars()
    except ServiceMissing as missing:
        unavailable("kafka", str(missing))


@pytest.fixture(scope="session")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Cluster]:
    """One node, shared by all tests of a worker: they use topics of their own and never kill it."""
    need_kafka()
    cluster = service.start(tmp_path_factory.mktemp("kafka") / "one")
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def kafka_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Cluster]:
    """Three nodes, never killed."""
    need_kafka()
    cluster = service.start(tmp_path_factory.mktemp("kafka") / "three", nodes=3)
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def kafka_secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Cluster]:
    """One node that wants TLS and SCRAM, and denies what no ACL allows."""
    need_kafka()
    if shutil.which("openssl") is None:
        unavailable("kafka", "openssl is needed for the test certificates")
    cluster = service.start(tmp_path_factory.mktemp("kafka") / "secure", secure=True)
    yield cluster
    cluster.remove()


@pytest.fixture
def mortal_kafka(tmp_path: Path) -> Iterator[service.Cluster]:
    """One node of the test's own, to be killed."""
    need_kafka()
    cluster = service.start(tmp_path / "kafka", properties=SOON)
    yield cluster
    cluster.remove()


@pytest.fixture
def sleepy_kafka(tmp_path: Path) -> Iterator[service.Cluster]:
    """The same to be stopped for a while, of which its controller takes no notice before nine seconds."""
    need_kafka()
    cluster = service.start(tmp_path / "kafka")
    yield cluster
    cluster.remove()


def options_of(cluster: service.Cluster, **changes: object) -> KafkaOptions:
    """Options for a log on this cluster. Its topics are replicated to all nodes."""
    nodes = len(cluster.nodes)
    made: dict[str, object] = {
        "bootstrap": tuple(n.address for n in cluster.nodes),
        "replication": nodes,
        "min_insync": nodes // 2 + 1 if nodes > 1 else 1,
    }
    return KafkaOptions(**{**made, **changes})  # type: ignore[arg-type]


def fresh(name: str) -> str:
    """A topic or task name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"
