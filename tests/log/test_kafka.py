"""The Kafka adapter on a real broker: the port's contract, then what only Kafka has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.services.kafka import Cluster
from hub.log.kafka import KafkaLog
from tests.contracts.log_contract import LogContract
from tests.support.kafka import kafka_cluster, kafka_secure, kafka_three, mortal_kafka, options_of  # noqa: F401


@pytest.fixture
def log(kafka_cluster: Cluster) -> Iterator[KafkaLog]:  # noqa: F811
    made = KafkaLog(options_of(kafka_cluster))
    yield made
    made.close()


class TestKafkaLog(LogContract):
    """All of the contract."""
