"""`python -m benchmarks.watching [TOPICS CONNECTORS]`: CPU of one sample of a hub with many topics, connectors and groups.
The judgement of it is included.

Half of the connectors have run, every topic has four partitions and one group that reads it. Prints one JSON object."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hub.app import Hub, now_ms
from hub.cli.templates import FILES
from hub.model import Checkpoint, RunTotals, Topic
from hub.pipeline.manifest import Manifest
from hub.settings import load_settings
from hub.store.groups import GroupKey

SAMPLES = 50
PARTITIONS = 4
NAME, TOPIC = "city-library-branches", "city-library.culture.branch.v1"


def make(project: Path, topics: int, connectors: int) -> None:
    """The project of `datong init`, many times over."""
    for file, text in FILES.items():
        path = project / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for number in range(topics):
        text = FILES["topics.d/branch.yaml"].replace(TOPIC, topic(number))
        (project / f"topics.d/t{number}.yaml").write_text(text.replace("partitions: 1", f"partitions: {PARTITIONS}"))
    for number in range(connectors):
        text = (
            FILES["connectors.d/city-library-branches.yaml"].replace(NAME, f"c{number}").replace(TOPIC, topic(number))
        )
        text = text.replace("every 1h", f"{number % 60} 3 * * 1-5")
        (project / f"connectors.d/c{number}.yaml").write_text(text)


def topic(number: int) -> str:
    """A name."""
    return f"city-library.culture.branch{number}.v1"


def fill(hub: Hub, topics: int, connectors: int) -> None:
    """Runs, and groups that read."""
    for number in range(topics):
        hub.log.ensure(Topic(name=topic(number), partitions=PARTITIONS, compacted=True))
        key = GroupKey(agency="city-planning", grant="g", topic=topic(number), group="g")
        hub.store.groups.deliver(key, dict.fromkeys(range(PARTITIONS), 1), "s")
    told = Manifest(run="r", task="c0", topic=topic(0), epoch=1, batch=1, batch_id="b",
                    totals=RunTotals(read=1000, published=1000), at=now_ms(), started=now_ms(),
                    state="completed")  # fmt: skip
    for number in range(0, connectors, 2):
        name = f"c{number}"
        lease = hub.store.leases.acquire(name, "node", 60_000)
        assert lease is not None
        with closing(hub.log.open(name, lease.epoch)) as writer:
            made = replace(told, run=f"r{number}", task=name, topic=topic(number))
            writer.append([made.to_block()], Checkpoint(source=None, batch=1))
        hub.store.leases.release(lease)


def main() -> None:
    """Measure and print."""
    topics, connectors = (int(n) for n in (sys.argv[1:] or ["500", "200"]))
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        make(project, topics, connectors)
        with Hub.open(load_settings(project, env={})) as hub:
            assert not hub.catalogue.mistakes, hub.catalogue.mistakes[:3]
            fill(hub, topics, connectors)
            first = hub.watch.look()
            assert len(first.topics) == topics + 1, len(first.topics)
            assert len(first.groups) == topics
            costs = []
            for _ in range(SAMPLES):
                began = time.process_time()
                sample = hub.watch.look()
                hub.alerts.look()
                costs.append(time.process_time() - began)
            began = time.process_time()
            text = json.dumps(sample.to_json())
            answer = {
                "topics": topics,
                "connectors": connectors,
                "cpu_ms_median": round(sorted(costs)[SAMPLES // 2] * 1000, 1),
                "cpu_ms_most": round(max(costs) * 1000, 1),
                "json_bytes": len(text),
                "json_cpu_ms": round((time.process_time() - began) * 1000, 1),
            }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
