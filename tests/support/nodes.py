"""Real `datong serve` processes that share one PostgreSQL and one Kafka, and a project of numbered rows for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import numpy as np
from confluent_kafka import TopicPartition

from hub.store import Store
from hub.store.leases import TaskRow
from tests.support.foreign import foreign_messages
from tests.support.kafka import fresh
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 2
PATIENCE_S = 120.0  # no part of what is tested: three brokers that start on a busy machine take a minute
CONNECTOR = """\
connector: {name}
agency: city
source: {{kind: files, path: "data/{name}*.csv", stable_after_s: 0}}
{schedule}
publish:
  topic: city.{name}.number.v1
  schema: number.avsc
  mode: append
  fields: {{n: to_int(N), text: TEXT}}
"""
TOPIC = """\
topic: city.{name}.number.v1
title: {{en: Numbers, zh: 数}}
description: {{en: Numbered rows., zh: 编号的行。}}
partitions: 2
sharing: not shared
"""
SCHEMA = """\
{"type": "record", "name": "Number", "namespace": "t", "doc": "A row.", "doc_zh": "行。", "fields": [
 {"name": "n", "type": "long", "doc": "Its number.", "doc_zh": "编号。", "classification": "public"},
 {"name": "text", "type": "string", "doc": "Text.", "doc_zh": "文。", "classification": "public"}]}
"""


@dataclass
class Node:
    """One process."""

    process: subprocess.Popen[bytes]
    role: str
    url: str
    data: Path
    log: Path

    @property
    def name(self) -> str:
        """The part of its name that we know."""
        return f"/{self.process.pid}/"

    def send(self, which: signal.Signals) -> None:
        """A signal."""
        self.process.send_signal(which)

    def api(self) -> httpx.Client:
        """As its operator."""
        token = (self.data / "operator.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def said(self) -> str:
        """What it wrote to stderr."""
        return self.log.read_text("utf-8", "replace")


@dataclass
class Site:
    """A project, and what its nodes share."""

    project: Path
    store_url: str
    kafka: str
    store: Store
    takeover_s: float = 4.0
    nodes: list[Node] = field(default_factory=list)

    def connector(self, rows: int, *, schedule: str = "schedule: once", files: int = 1) -> str:
        """A new connector over files of numbered rows; its name."""
        name = fresh("numbers")
        for part in range(files):
            self.write(name, range(part * rows // files, (part + 1) * rows // files), part)
        self.declare(name, schedule)
        return name

    def declare(self, name: str, schedule: str) -> None:
        """Its files of configuration."""
        (self.project / f"topics.d/{name}.yaml").write_text(TOPIC.format(name=name))
        (self.project / f"connectors.d/{name}.yaml").write_text(CONNECTOR.format(name=name, schedule=schedule))

    def write(self, name: str, numbers: range, part: int) -> None:
        """A file of rows, whole at once."""
        draft = self.project / f"data/.{name}-{part:04}.new"
        draft.write_text("N,TEXT\n" + "".join(f"{n},row {n} {'x' * 40}\n" for n in numbers))
        draft.rename(self.project / f"data/{name}-{part:04}.csv")

    def start(self, role: str, *, wait: bool = True, **env: str) -> Node:
        """A process of its own data directory."""
        number = len(self.nodes)
        port, data = free_port(), self.project / f"var/{number}"
        shared = {
            "DATONG_STORE__URL": self.store_url,
            "DATONG_LOG__URL": f"kafka://{self.kafka}",
            "DATONG_DATA_DIR": f"var/{number}",
            "DATONG_SUPERVISOR__TAKEOVER_AFTER": str(self.takeover_s),
            "DATONG_LOGGING__LEVEL": "info",
            "TEST_FAILPOINT_WHILE": str(self.gate),
            "PYTHONPATH": str(ROOT),
        }
        log = self.project / f"node{number}.log"
        command = [sys.executable, "-m", "hub.cli.main", "serve", "--role", role, "--port", str(port)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=self.project, env={**os.environ, **shared, **env}, stdout=out, stderr=out
            )
        node = Node(process, role, f"http://127.0.0.1:{port}", data, log)
        self.nodes.append(node)
        if wait:
            self.ready(node)
        return node

    def ready(self, node: Node) -> None:
        """Until it answers."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{node.url}/livez", timeout=10, trust_env=False).status_code == 200:
                    return
            assert node.process.poll() is None, node.said()
            assert time.monotonic() < deadline, node.said()
            time.sleep(0.05)

    @property
    def gate(self) -> Path:
        """While it exists, nodes stay where their failpoint says."""
        return self.project / "var/gate"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nodes that were started with a TEST_FAILPOINT that waits do so within: what they run is met in its middle, however
        slow the one is that looks for it."""
        self.gate.touch()
        try:
            yield
        finally:
            self.gate.unlink()

    def row(self, name: str) -> TaskRow:
        """What the nodes share about a connector."""
        return self.store.leases.get(name)

    def owner(self, name: str) -> Node:
        """Who runs it."""
        holder = self.row(name).holder
        return next(node for node in self.nodes if node.name in holder)

    def other(self, node: Node) -> Node:
        """Of two."""
        return next(other for other in self.nodes if other is not node and other.process.poll() is None)

    def published(self, name: str) -> int:
        """Committed records and markers on the connector's topic, by a foreign client."""
        topic = f"city.{name}.number.v1"
        places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        client = confluent_kafka.Consumer({"bootstrap.servers": self.kafka, "group.id": "looks"})
        try:  # a new one each time: it would remember for half a minute that there was no such topic
            return sum(max(client.get_watermark_offsets(place, timeout=5)[1], 0) for place in places)
        except confluent_kafka.KafkaException:
            return 0  # not made yet, or without leaders
        finally:
            client.close()

    def in_the_middle(self, name: str) -> Node:
        """Wait until a run has published something; who runs it. Within `held`, it is not over by then."""
        until(lambda: self.published(name) > 0, why=self.said)
        row = self.row(name)
        assert row.held, f"the run was over before it was met: {row}"
        return self.owner(name)

    def completed(self, name: str, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the connector's run has ended well; its outcome."""

        def ended() -> bool:
            row = self.row(name)
            return not row.held and not row.job and bool(row.outcome)

        until(ended, seconds, self.said)
        outcome: dict[str, Any] = json.loads(self.row(name).outcome)
        assert outcome["state"] == "completed", outcome
        return outcome

    def said(self) -> str:
        """What all nodes wrote."""
        return "\n".join(f"--- {node.name} {node.role}\n{node.said()}" for node in self.nodes)

    def close(self) -> None:
        """End every process."""
        for node in self.nodes:
            if node.process.poll() is None:
                node.send(signal.SIGCONT)
                node.process.kill()
            node.process.wait()


@contextmanager
def site(directory: Path, store_url: str, kafka: str, **more: Any) -> Iterator[Site]:
    """A project without connectors."""
    for folder in ("connectors.d", "topics.d", "grants.d", "schemas", "data", "var"):
        (directory / folder).mkdir(parents=True)
    (directory / "datong.yaml").write_text("")
    (directory / "agencies.yaml").write_text("agencies:\n  - {id: city, name: {en: City, zh: 市}}\n")
    (directory / "schemas/number.avsc").write_text(SCHEMA)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(store_url))
        made = Site(directory, store_url, kafka, store, **more)
        stack.callback(made.close)
        yield made


def until(condition: Callable[[], object], seconds: float = PATIENCE_S, why: Callable[[], str] = str) -> float:
    """Wait; how long it took. Looks often, so that a moment in the middle of a run is met."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, why()
        time.sleep(0.02)
    return time.monotonic() - started


def check(bootstrap: str, name: str, rows: int) -> dict[int, int]:
    """By a foreign client: each row once, in order, no batch in part, no older epoch after a newer one. Records by epoch."""
    messages = foreign_messages(bootstrap, f"city.{name}.number.v1", timeout_s=120)
    numbers = np.array([number_of(m.value()) for m in messages], np.int64)
    assert len(numbers) == rows, (
        f"{rows - len(np.unique(numbers)):,} lost, {len(numbers) - len(np.unique(numbers)):,} doubled"
    )
    assert np.array_equal(np.sort(numbers), np.arange(rows))
    newest: dict[int, tuple[int, int]] = defaultdict(lambda: (-1, -1))  # number and epoch by partition
    by_batch: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    by_epoch: dict[int, int] = defaultdict(int)
    for message, number in zip(messages, numbers.tolist(), strict=True):
        headers = dict(message.headers())
        epoch = int(headers["epoch"])
        before, older = newest[message.partition()]
        assert number > before, "out of order"
        assert epoch >= older, "a zombie wrote after its successor"
        newest[message.partition()] = (number, epoch)
        by_batch[headers["batch_id"]][0] += 1
        by_batch[headers["batch_id"]][1] = int(headers["batch_n"])
        by_epoch[epoch] += 1
    assert {name: counts for name, counts in by_batch.items() if counts[0] != counts[1]} == {}
    return dict(by_epoch)


def number_of(value: bytes) -> int:
    """The first field of a framed record: a zigzag varint after five bytes."""
    shift = result = 0
    for byte in value[5:]:
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return (result >> 1) ^ -(result & 1)
