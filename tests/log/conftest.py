"""What every test of the logs leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub.log.kafka import KafkaLog
from hub.log.kafka.log import KafkaWriter


@pytest.fixture(autouse=True)
def closed_writers() -> Iterator[None]:
    """A writer that a test leaves open is closed after it: kafka-python's thread would go on for ever, and disturb Hypothesis
    by drawing from the generator that all share."""
    opened: list[KafkaWriter] = []
    plain = KafkaLog.open

    def recorded(log: KafkaLog, task: str, epoch: int) -> KafkaWriter:
        opened.append(plain(log, task, epoch))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KafkaLog, "open", recorded)
        yield
    for writer in opened:
        writer.close()
