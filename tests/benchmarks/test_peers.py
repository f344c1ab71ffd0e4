"""What is installed from the network is found, told to be missing, and understood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import jvm, peers
from benchmarks.broker import Broker
from benchmarks.peers.jvm import JVM, NEEDS_JAVA, install, jars_of
from benchmarks.subjects import Bench
from benchmarks.workload import write_rows
from deploy.services import kafka as service

ROWS = 3_000


def test_without_java_a_peer_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for peer in JVM.values():
        assert jars_of(peer, tmp_path) is None
        assert install(peer, tmp_path) == NEEDS_JAVA


def test_half_an_installation_is_none(tmp_path: Path) -> None:
    """Debezium without Connect's own jars, a Python peer whose installation was interrupted."""
    (tmp_path / "jvm/plugins/debezium").mkdir(parents=True)
    (tmp_path / "jvm/plugins/debezium/complete").touch()
    assert jars_of(JVM["debezium"], tmp_path) is None
    (tmp_path / "bytewax/bin").mkdir(parents=True)
    (tmp_path / "bytewax/bin/python").touch()
    assert peers.python_of(peers.PEERS["bytewax"], tmp_path) is None
    (tmp_path / "bytewax/complete").touch()
    assert peers.python_of(peers.PEERS["bytewax"], tmp_path) is not None


def test_every_peer_says_what_it_did_and_did_not_do() -> None:
    said = [*(p.about for p in peers.PEERS.values()), *(p.about for p in JVM.values())]
    assert all(about.ran and about.not_done for about in said)


@pytest.mark.parametrize(
    ("output", "read"),
    [
        (b"50 records sent, 9.9 records/sec\n120 records sent, 7 records/sec, 5 ms 50th\n", {"read": 120}),
        (b"usage: kafka-producer-perf-test\n", None),
    ],
)
def test_the_last_line_on_all_records_is_read(output: bytes, read: object) -> None:
    assert jvm.sent(output) == read


@pytest.fixture
def bench(tmp_path: Path, kafka_cluster: service.Cluster) -> Iterator[Bench]:
    extract = tmp_path / "extract.csv"
    write_rows(extract, ROWS)
    folders = {name: jars_of(peer, peers.home()) for name, peer in JVM.items()}
    there = {name: folder for name, folder in folders.items() if folder is not None}
    if there.keys() != JVM.keys():
        pytest.skip("`python3 dev.py bench peers` fetches the peers on the JVM")
    broker = Broker(kafka_cluster.bootstrap, None)
    made = Bench.of("kafka", tmp_path, lambda _rows: extract, peers={})
    yield replace(made, broker=broker, jvm=there)
    broker.close()


@pytest.mark.long
def test_connect_and_producer_performance_send_every_line(bench: Bench) -> None:
    copied = jvm.connect_file(bench, ROWS)
    assert {name: made.accepted for name, made in copied.items()} == {
        "connect-file, cold": ROWS + 1,  # the header too
        "connect-file, warm": ROWS + 1,
    }
    sent = jvm.producer_performance(bench, ROWS)
    assert {name: made.accepted for name, made in sent.items()} == {
        "producer-performance, cold": ROWS,
        "producer-performance, warm": 3 * ROWS,
    }
