"""The slow way to write: kafka-python's public producer, one `send()` a record.

All that the port promises holds; the speed does not. Whether a commit was sent twice cannot be seen from outside, so every
transaction is followed by a new producer (G3 e).
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka

from hub import blocks as sections
from hub.log.kafka.options import KafkaOptions
from hub.log.kafka.producers import committing, make_client, translated, unanswered
from hub.model import Block


@dataclass(frozen=True)
class SentRecords:
    """A block whose records are acknowledged."""

    offset: int


class PlainProducer:
    """Implements `Producer`."""

    reusable = False
    unclean = ""

    def __init__(self, options: KafkaOptions, transactional_id: str) -> None:
        self._options = options
        with translated(options.where):
            self._producer = make_client(options, transactional_id)
            try:
                self._producer.init_transactions()
            except BaseException:
                self.kill()
                raise

    def begin(self) -> None:
        """See `Producer.begin`."""
        with translated(self._options.where):
            self._producer.begin_transaction()

    def send(self, blocks: list[Block]) -> list[SentRecords]:
        """See `Producer.send`. kafka-python's own buffer is the bound on what is unacknowledged."""
        deadline = time.monotonic() + self._options.append_timeout_s
        with translated(self._options.where):
            sent = [_send(self._producer, block) for block in blocks]
            self._producer.flush(timeout=max(deadline - time.monotonic(), 0.1))
            offsets = [[f.get(timeout=1).offset for f in futures] for futures in sent]  # raises for one that failed
        return [SentRecords(one[0]) for one in offsets]

    def commit(self) -> None:
        """See `Producer.commit`. The call can hang for ever, so that a thread of its own makes it."""
        with committing(self._options.where):
            if not _in_time(self._producer.commit_transaction, self._options.commit_timeout_s):
                raise unanswered(self._options)

    def kill(self) -> None:
        """See `Producer.kill`."""

        def close() -> None:
            try:
                self._producer.close(timeout=0)
            except Exception:  # it would flush first: its thread must end all the same
                with contextlib.suppress(Exception):
                    self._producer._sender.force_close()

        threading.Thread(target=close, name="kafka-producer-close", daemon=True).start()


def _send(producer: KafkaProducer, block: Block) -> list[Any]:
    records = sections.decode(block.records, 0)
    rows = zip(records.keys.to_pylist(), records.values.to_pylist(), records.headers(), strict=True)
    return [
        producer.send(
            block.topic, value, key, [(n, v) for n, v in headers.items() if v is not None], block.partition
        )
        for key, value, headers in rows
    ]  # fmt: skip


def _in_time(step: Any, timeout_s: float) -> bool:
    """Did it end in time? Raises what it raised."""
    raised: list[kafka.KafkaError] = []

    def run() -> None:
        try:
            step()
        except kafka.KafkaError as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="kafka-commit", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if raised:
        raise raised[0]
    return not thread.is_alive()
