"""The log on Apache Kafka: for many machines. What it relies on in kafka-python stands in ADR 6."""

from __future__ import annotations

from hub.log.kafka.log import KafkaLog
from hub.log.kafka.options import KafkaOptions

__all__ = ["KafkaLog", "KafkaOptions"]
