"""A real cluster for the tests of this folder."""

from tests.support.kafka import kafka_cluster

__all__ = ["kafka_cluster"]
