"""The JVM peers as subjects. Cold: the first run, from the start of the process; warm: the third run in the same worker.

All are pinned to the hub's core and send lz4, idempotent, with 256 KiB batches."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import SubjectFailed, run
from benchmarks.peers.worker import PRODUCER, Worker
from benchmarks.rounds import Measured
from benchmarks.subjects import Bench, topic_of

RUNS = 3
LINES_AT_ONCE = 1999  # with a divisor of the lines it would leave the last ones in its buffer for ever
PAYLOADS = 20_000
SENT = re.compile(rb"^(\d+) records sent", re.MULTILINE)
JSON = {
    f"{side}.converter{more}": value
    for side in ("key", "value")
    for more, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", "false"))
}


def connect_file(bench: Bench, rows: int) -> Mapping[str, Measured]:
    """Kafka Connect copies the extract's lines, its header too."""
    extract = bench.extracts(rows)

    def settings(topic: str) -> dict[str, str]:
        return {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "file": str(extract),
            "topic": topic,
            "batch.size": str(LINES_AT_ONCE),
        }

    return _in_one_worker(bench, Copying(name="connect-file", settings=settings, records=rows + 1))


def debezium(bench: Bench, rows: int, server: Mapping[str, str], table: str) -> Mapping[str, Measured]:
    """Debezium copies a table by an initial snapshot. `server`: as libpq's variables."""

    def settings(topic: str) -> dict[str, str]:
        return {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": server["PGHOST"],
            "database.port": server["PGPORT"],
            "database.user": server["PGUSER"],
            "database.password": server["PGPASSWORD"],
            "database.dbname": server["PGDATABASE"],
            "plugin.name": "pgoutput",
            "publication.autocreate.mode": "disabled",
            "snapshot.mode": "initial_only",
            "table.include.list": f"public.{table}",
            "topic.prefix": topic.removesuffix(f".public.{table}"),
            **JSON,
        }

    plugins = bench.jvm["debezium"] / "plugins"
    suffix = f".public.{table}"
    return _in_one_worker(
        bench, Copying(name="debezium", settings=settings, records=rows, suffix=suffix, plugins=plugins)
    )


def producer_performance(bench: Bench, rows: int) -> Mapping[str, Measured]:
    """Cold: a process that sends `rows`. Warm: what the further records of one that sends four times as many cost."""
    assert bench.broker is not None
    payloads = bench.work / "payloads.txt"
    if not payloads.exists():
        with bench.extracts(rows).open("rb") as lines:
            payloads.write_bytes(b"".join(itertools.islice(lines, 1, PAYLOADS + 1)))
    once, more = (_producer_performance(bench, payloads, count) for count in (rows, 4 * rows))
    warm = Measured(
        rows=more.rows - once.rows,
        wall_s=more.wall_s - once.wall_s,
        cpu_s=more.cpu_s - once.cpu_s,
        rss_mb=more.rss_mb,
        accepted=more.rows - once.rows,
        rejected=0,
    )
    return {"producer-performance, cold": once, "producer-performance, warm": warm}


def _producer_performance(bench: Bench, payloads: Path, count: int) -> Measured:
    assert bench.broker is not None
    with bench.place() as place, topic_of(bench, place) as topic:
        command = ["java", "-Xmx512M", "-cp", f"{bench.jvm['producer-performance']}/*"]
        command += ["org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", bench.broker.bootstrap]
        command += ["--topic", topic, "--num-records", str(count), "--payload-file", str(payloads)]
        command += ["--throughput", "-1", "--command-property", *[f"{k}={v}" for k, v in PRODUCER.items()]]
        cost = run(command, parse=sent)
    if cost.answer["read"] != count:
        raise SubjectFailed(f"ProducerPerformance sent {cost.answer['read']:,} of {count:,} records")
    return Measured(rows=count, wall_s=cost.wall_s, cpu_s=cost.cpu_s, rss_mb=cost.rss_mb, accepted=count, rejected=0)


def sent(output: bytes) -> dict[str, int] | None:
    """It prints a line now and then, and one on all records at the end."""
    counts = [int(found) for found in SENT.findall(output)]
    return {"read": counts[-1]} if counts else None


@dataclass(frozen=True, kw_only=True)
class Copying:
    """What a connector copies: its settings for a topic, and the records it will have written when it is done."""

    name: str
    settings: Callable[[str], Mapping[str, str]]
    records: int
    suffix: str = ""  # of its topics' names
    plugins: Path | None = None


def _in_one_worker(bench: Bench, copying: Copying) -> Mapping[str, Measured]:
    """The same connector again and again, each time to a fresh topic; the first and the last run count."""
    assert bench.broker is not None
    with bench.place() as home:
        worker = Worker(bench.jvm[copying.name] / "connect", bench.broker.bootstrap, home.folder, copying.plugins)
        try:
            runs = [_once(bench, worker, copying, number) for number in range(RUNS)]
        finally:
            worker.stop()
    return {f"{copying.name}, cold": runs[0], f"{copying.name}, warm": runs[-1]}


def _once(bench: Bench, worker: Worker, copying: Copying, number: int) -> Measured:
    assert bench.broker is not None
    broker = bench.broker
    with bench.place() as place, topic_of(bench, place, copying.suffix) as topic:
        worker.ready()
        wall, cpu = (time.perf_counter(), worker.cpu_s()) if number else (worker.started, 0.0)
        name = f"{copying.name}-{number}"
        worker.copy(name, copying.settings(topic), lambda: broker.count(topic), copying.records)
        made = worker.measured(copying.records, time.perf_counter() - wall, worker.cpu_s() - cpu)
        worker.drop(name)
        return replace(made, bytes_out=broker.size(topic))
