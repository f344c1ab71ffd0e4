"""Real clusters for the tests of this folder."""

from tests.support.kafka import kafka_cluster, kafka_secure, kafka_three, mortal_kafka

__all__ = ["kafka_cluster", "kafka_secure", "kafka_three", "mortal_kafka"]
