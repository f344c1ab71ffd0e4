"""A task reduced to its appends: numbered records from a source that repeats, through the real log, over any fault.

`python -m tests.support.kafka_runner BOOTSTRAP TOPIC TASK EPOCH BATCHES SIZE` runs it as a process of its own, for faults
that stop one; it prints a line a batch and ends with the hub's exit codes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hub import blocks
from hub.errors import Fatal, Retry
from hub.log.kafka import KafkaLog, KafkaOptions
from hub.model import Block, Checkpoint, SourceCheckpoint, Topic
from tests.support.foreign import foreign_messages

PARTITIONS = 4
PATIENCE_S = 120.0  # no part of what is tested


@dataclass
class Runner:
    """Appends `batches` batches of `size` records, as the pipeline does: on Retry it opens a writer and goes on from there."""

    options: KafkaOptions
    topic: str
    task: str = "runner"
    epoch: int = 1
    batches: int = 20
    size: int = 5000
    done: Callable[[int], None] = lambda _batch: None
    patience_s: float = 300.0
    retries: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Until all is appended. Raises what is fatal, and TimeoutError."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                log = KafkaLog(self.options)
                try:
                    self._append_all(log)
                finally:
                    log.close()
                return
            except Retry as error:
                self.retries.append(error.code)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not done in {self.patience_s} s: {error}") from error
                time.sleep(0.5)

    def _append_all(self, log: KafkaLog) -> None:
        log.ensure(Topic(name=self.topic, partitions=PARTITIONS))
        writer = log.open(self.task, self.epoch)
        try:
            stored = writer.checkpoint() or Checkpoint(source=None)
            sequences = dict(stored.sequences)
            for batch in range(stored.batch + 1, self.batches + 1):
                made = self.blocks(batch, sequences)
                writer.append(made, self.checkpoint(batch, sequences))
                self.done(batch)
        finally:
            writer.close()

    def checkpoint(self, batch: int, sequences: dict[str, int]) -> Checkpoint:
        """Of the source and the task after a batch."""
        return Checkpoint(source=SourceCheckpoint(value={"batch": batch}), batch=batch, sequences=dict(sequences))

    def blocks(self, batch: int, sequences: dict[str, int]) -> list[Block]:
        """Record i of all has key i mod 997 and value `i`; numbered as the publisher numbers them (G3)."""
        numbers = np.arange((batch - 1) * self.size, batch * self.size)
        keys = pa.array(numbers % 997).cast(pa.string()).cast(pa.binary())
        values = pa.array(numbers).cast(pa.string()).cast(pa.binary())
        padding = pa.scalar(b" " * 100, pa.binary())
        values = pa.compute.binary_join_element_wise(values, padding, pa.scalar(b"", pa.binary()))
        where = blocks.partition_of(keys, PARTITIONS)
        made = []
        for partition in range(PARTITIONS):
            rows = pa.array(np.flatnonzero(where == partition))
            place = f"{self.topic}/{partition}"
            base = sequences.get(place, -1) + 1
            constant = [
                ("batch_id", f"{self.task}-{self.epoch}-{batch}".encode()),
                ("batch_n", str(self.size).encode()),
                ("seq_base", str(base).encode()),
            ]
            headers = blocks.Headers(constant=constant)
            for _, count, section in blocks.split(keys.take(rows), values.take(rows), headers):
                made.append(Block(topic=self.topic, partition=partition, count=count, records=section))
            sequences[place] = base + len(rows) - 1
        return made


class InBackground:
    """A runner in a thread, and how far it is. Its last batch waits for `finish`: a fault always meets a run that goes on."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.batch = runner, 0
        self._error: BaseException | None = None
        self._may_end = threading.Event()
        runner.done = self._done
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _done(self, batch: int) -> None:
        self.batch = batch
        if batch == self.runner.batches - 1:
            self._may_end.wait()

    def _run(self) -> None:
        try:
            self.runner.run()
        except BaseException as error:
            self._error = error

    def reach(self, batch: int) -> None:
        batch = min(batch, self.runner.batches - 1)
        deadline = time.monotonic() + PATIENCE_S
        while self.batch < batch and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert self.batch >= batch, self._error or f"still at batch {self.batch} after {self.runner.retries}"

    def finish(self, timeout_s: float = PATIENCE_S) -> None:
        self._may_end.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"still at batch {self.batch} after {self.runner.retries}"
        if self._error:
            raise self._error


def check(bootstrap: str, topic: str, expected: int) -> None:
    """By a foreign client: nothing lost, nothing twice, each key in order, and no batch in part (G3, G5)."""
    messages = foreign_messages(bootstrap, topic, timeout_s=120)
    seen = np.array([int(m.value() or b"-1") for m in messages])
    assert len(seen) == expected, (
        f"{expected - len(np.unique(seen)):,} lost, {len(seen) - len(np.unique(seen)):,} doubled"
    )
    assert len(np.unique(seen)) == expected
    newest: dict[bytes, int] = defaultdict(lambda: -1)
    by_batch: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    for message, number in zip(messages, seen.tolist(), strict=True):
        key = message.key()
        assert number > newest[key], f"key {key!r} is out of order"
        newest[key] = number
        headers = dict(message.headers())
        by_batch[headers["batch_id"]][0] += 1
        by_batch[headers["batch_id"]][1] = int(headers["batch_n"])
    torn = {name: counts for name, counts in by_batch.items() if counts[0] != counts[1]}
    assert not torn


def main(arguments: list[str]) -> int:
    """As a process."""
    bootstrap, topic, task, epoch, batches, size = arguments
    options = KafkaOptions(bootstrap=tuple(bootstrap.split(",")), append_timeout_s=20.0, commit_timeout_s=10.0)
    runner = Runner(options, topic, task, int(epoch), int(batches), int(size), done=lambda b: print(b, flush=True))
    try:
        runner.run()
    except Fatal as error:
        print(error.code, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
