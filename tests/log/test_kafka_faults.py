"""Brokers that die, stop, hide behind a cut cable or answer late; read back by a foreign client (F2-F8, G1, G3, G5, G7).

Each fault runs in a short form with every test run and, where the matrix asks for a million records or minutes, in a long
one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
from structlog.testing import capture_logs

from deploy.services import kafka as service
from deploy.services.kafka import Cluster
from hub.errors import LogUnavailable, OutcomeUnknown
from hub.log.kafka import KafkaLog
from hub.log.kafka.log import KafkaWriter
from hub.model import Topic
from tests.contracts.log_contract import at, contents, make_blocks
from tests.support import disks
from tests.support.kafka import fresh, need_kafka, options_of
from tests.support.kafka_runner import InBackground, Runner, check
from tests.support.proxy import END_TXN, Proxy
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
INVALID_PRODUCER_EPOCH, PRODUCER_FENCED = 47, 90  # Kafka's error codes
PATIENCE_S = 120.0  # no part of what is tested
TIMES = {"append_timeout_s": 20.0, "commit_timeout_s": 10.0, "request_timeout_s": 8.0, "bootstrap_timeout_s": 3.0}


def new_topic() -> str:
    return f"city.test.{fresh('thing')}.v1"


def kill_the_only_broker(
    cluster: Cluster, *, batches: int, size: int, down_s: float, look: Callable[[], None] = lambda: None
) -> list[str]:
    topic = new_topic()
    going = InBackground(Runner(options_of(cluster, **TIMES), topic, batches=batches, size=size))
    going.reach(2)
    cluster.kill(cluster.nodes[0])
    time.sleep(down_s)  # the fault itself: so long nobody is there, within all limits of the client or beyond them
    look()
    cluster.start_node(cluster.nodes[0])
    cluster.wait()
    going.finish(180)
    check(cluster.bootstrap, topic, batches * size)
    return going.runner.retries


def test_F2_kill_9_of_the_only_broker(mortal_kafka: Cluster) -> None:
    kill_the_only_broker(mortal_kafka, batches=20, size=5000, down_s=2)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_F2_kill_9_of_the_only_broker_with_a_million_records(mortal_kafka: Cluster) -> None:
    kill_the_only_broker(mortal_kafka, batches=100, size=10_000, down_s=5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_F2_a_broker_that_is_away_for_a_minute(mortal_kafka: Cluster) -> None:
    before, waiting = _rss_mb(), list[int]()
    kill_the_only_broker(mortal_kafka, batches=40, size=10_000, down_s=60, look=lambda: waiting.append(_rss_mb()))
    assert waiting[0] - before < 300  # what waits is bounded


@pytest.mark.long
@pytest.mark.timeout(900)
def test_F2_kill_9_of_a_leader_every_ten_seconds_for_two_minutes(tmp_path: Path) -> None:
    need_kafka()
    cluster = service.start(tmp_path / "kafka", nodes=3)
    try:
        topic = new_topic()
        runner = Runner(options_of(cluster, **TIMES), topic, batches=400, size=5000, patience_s=600)
        going = InBackground(runner)
        going.reach(1)
        for turn in range(12):
            node = cluster.nodes[turn % 3]
            cluster.kill(node)
            time.sleep(3)  # the fault's own times: away for three seconds of ten
            cluster.start_node(node)
            time.sleep(7)  # not until it is back: the next one may go before, and two of three be away
        cluster.wait()
        going.finish(420)
        check(cluster.bootstrap, topic, 400 * 5000)
    finally:
        cluster.remove()


def pause_the_broker(cluster: Cluster, seconds: float) -> None:
    topic = new_topic()
    going = InBackground(Runner(options_of(cluster, **TIMES, transaction_timeout_s=30.0), topic, batches=30, size=5000))
    going.reach(3)
    cluster.pause(cluster.nodes[0])
    time.sleep(seconds)  # the fault itself: less than the transaction's 30 s, or more
    cluster.resume(cluster.nodes[0])
    going.finish(180)
    check(cluster.bootstrap, topic, 30 * 5000)


def test_F3_a_broker_that_stops_for_five_seconds(sleepy_kafka: Cluster) -> None:
    pause_the_broker(sleepy_kafka, 5)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [35, 70])
def test_F3_a_broker_that_stops_beyond_the_transactions_time(sleepy_kafka: Cluster, seconds: float) -> None:
    pause_the_broker(sleepy_kafka, seconds)


def worker(cluster: Cluster, topic: str, epoch: int, batches: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.support.kafka_runner",
        cluster.bootstrap,
        topic,
        f"task-{topic}",
        str(epoch),
        str(batches),
    ]
    return subprocess.Popen([*command, "2000"], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def lines_until(stream: IO[str] | None, wanted: str) -> None:
    assert stream is not None
    for line in stream:
        if line.strip() == wanted:
            return
    raise AssertionError(f"{wanted} was never printed")


def test_F4_G7_a_zombie_that_wakes_is_fenced_and_has_written_nothing(kafka_cluster: Cluster) -> None:
    topic = new_topic()
    first = worker(kafka_cluster, topic, epoch=1, batches=100_000)
    try:
        lines_until(first.stdout, "5")
        first.send_signal(signal.SIGSTOP)
        second = worker(kafka_cluster, topic, epoch=2, batches=40)
        assert second.wait(PATIENCE_S) == 0
        first.send_signal(signal.SIGCONT)
        assert first.wait(PATIENCE_S) == 7
        assert first.stdout is not None
        assert first.stdout.read().splitlines()[-1] == "Fenced"
    finally:
        first.kill()
        first.wait()
        if first.stdout:
            first.stdout.close()
        if second.stdout:
            second.stdout.close()
    check_numbers(kafka_cluster, topic, 40 * 2000)


def check_numbers(cluster: Cluster, topic: str, expected: int) -> None:
    """Every number once; batch ids of two epochs may number one batch, so batches are not counted here."""
    from tests.support.foreign import foreign_records

    found = [int(v or b"-1") for _, _, v in foreign_records(cluster.bootstrap, topic)]
    assert sorted(found) == list(range(expected))


def test_F5_two_instances_of_one_task_end_with_one_owner(kafka_cluster: Cluster) -> None:
    topic = new_topic()
    both = [worker(kafka_cluster, topic, epoch=e, batches=30) for e in (1, 2)]
    codes = [p.wait(PATIENCE_S) for p in both]
    for process in both:
        if process.stdout:
            process.stdout.close()
    assert codes[1] == 0
    assert codes[0] in (0, 7)
    check_numbers(kafka_cluster, topic, 30 * 2000)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Proxy]]:
    need_kafka()
    proxy = Proxy()
    advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"}
    cluster = service.start(tmp_path_factory.mktemp("kafka") / "proxied", properties=advertised)
    proxy.aim(cluster.nodes[0].port)
    yield cluster, proxy
    proxy.close()
    cluster.remove()


@pytest.fixture
def behind_proxy(proxied: tuple[Cluster, Proxy]) -> Iterator[tuple[Cluster, Proxy]]:
    """A broker whose clients reach it through a proxy only: one for all tests, which use topics and tasks of their own."""
    yield proxied
    proxied[1].calm()


def test_F7_a_delayed_end_of_transaction_never_tears_the_next(behind_proxy: tuple[Cluster, Proxy]) -> None:
    cluster, proxy = behind_proxy
    topic = new_topic()
    times = {**TIMES, "commit_timeout_s": 3.0}
    options = options_of(cluster, **times, bootstrap=(f"127.0.0.1:{proxy.port}",))
    going = InBackground(Runner(options, topic, fresh("runner"), batches=40, size=2000))
    going.reach(5)
    late = 0

    def unknown(times: int) -> bool:
        return going.runner.retries.count("OutcomeUnknown") >= times

    for turn in range(1, 4):
        proxy.hold(END_TXN)
        assert eventually(partial(unknown, turn)), going.runner.retries
        proxy.let_pass(END_TXN)
        going.reach(going.batch + 3)
        late += proxy.release()
    going.finish(180)
    assert late >= 3
    check(cluster.bootstrap, topic, 40 * 2000)


@pytest.mark.parametrize("recycling", [True, False], ids=["recycled", "seeded-bug-no-recycling"])
def test_F7_a_commit_sent_twice_cannot_reach_the_next_transaction(
    behind_proxy: tuple[Cluster, Proxy], recycling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first commit is kept back, the connection breaks, the client sends it again and goes on; then the first arrives
    in the middle of the next transaction, and the hub dies. Without recycling that batch is torn, and the checker says so:
    what it finds in the other case is worth something."""
    cluster, proxy = behind_proxy
    if not recycling:
        monkeypatch.setattr(KafkaWriter, "_recycle", lambda _self: None)
    topic, options = new_topic(), options_of(cluster, **TIMES, bootstrap=(f"127.0.0.1:{proxy.port}",))
    runner = Runner(options, topic, fresh("runner"), batches=2, size=2000)
    log = KafkaLog(options)
    log.ensure(Topic(name=topic, partitions=4))
    writer = log.open(runner.task, 1)
    sequences: dict[str, int] = {}
    proxy.take(END_TXN)
    writer.append(runner.blocks(1, sequences), runner.checkpoint(1, sequences))
    assert proxy.taken()
    if writer._producer is None:
        writer._renew()
    bulk = writer._producer
    assert bulk is not None
    bulk.begin()
    bulk.send(runner.blocks(2, sequences)[:1])
    code = proxy.deliver()
    writer.close()
    log.close()
    if recycling:
        assert code in (INVALID_PRODUCER_EPOCH, PRODUCER_FENCED)
        check(cluster.bootstrap, topic, 2000)
    else:
        assert code == 0
        with pytest.raises(AssertionError):
            check(cluster.bootstrap, topic, 2000)
    with capture_logs() as told:
        runner.run()  # the next process: it sees what is there, and mends it
    check(cluster.bootstrap, topic, 4000)
    assert any(line["event"] == "torn_batch_repaired" for line in told) is not recycling


def test_F7_commits_that_arrive_late_again_and_again(behind_proxy: tuple[Cluster, Proxy]) -> None:
    cluster, proxy = behind_proxy
    topic = new_topic()
    options = options_of(cluster, **TIMES, bootstrap=(f"127.0.0.1:{proxy.port}",))
    with capture_logs() as told:
        going = InBackground(Runner(options, topic, fresh("runner"), batches=40, size=2000))
        going.reach(3)
        late = []
        while going.batch < 35 and len(late) < 12:
            proxy.take(END_TXN)
            assert proxy.taken()
            going.reach(going.batch + 2)  # its own batch is done by the second commit, and the next one too
            late.append(proxy.deliver())
        going.finish(180)
    check(cluster.bootstrap, topic, 40 * 2000)
    assert len(late) >= 5
    assert set(late) <= {INVALID_PRODUCER_EPOCH, PRODUCER_FENCED}
    assert sum(line["event"] == "producer_recycled" for line in told) >= len(late)


def test_F6_a_cut_cable_between_hub_and_kafka(behind_proxy: tuple[Cluster, Proxy]) -> None:
    cluster, proxy = behind_proxy
    topic = new_topic()
    options = options_of(cluster, **TIMES, bootstrap=(f"127.0.0.1:{proxy.port}",))
    going = InBackground(Runner(options, topic, fresh("runner"), batches=40, size=2000))
    for stop in (5, 10):
        going.reach(stop)
        proxy.cut()
        time.sleep(3)  # the fault itself: shorter than any limit of the client, which bridges it
        proxy.mend()
    going.finish(180)
    check(cluster.bootstrap, topic, 40 * 2000)


def test_R1_a_commit_that_does_not_answer_is_unknown_and_the_next_writer_finds_out(
    behind_proxy: tuple[Cluster, Proxy],
) -> None:
    cluster, proxy = behind_proxy
    topic = new_topic()
    through = (f"127.0.0.1:{proxy.port}",)
    hasty = KafkaLog(options_of(cluster, **{**TIMES, "commit_timeout_s": 2.0}, bootstrap=through))
    log = KafkaLog(options_of(cluster, bootstrap=through))
    log.ensure(Topic(name=topic))
    task = fresh("unknown")
    writer = hasty.open(task, 1)
    proxy.hold(END_TXN)
    with pytest.raises(OutcomeUnknown):
        writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    with pytest.raises(OutcomeUnknown):  # this writer is dead
        writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    proxy.let_pass(END_TXN)
    again = log.open(task, 1)
    found = contents(log, topic)
    assert (again.checkpoint() == at(1)) == (len(found) == 1)
    if not found:
        again.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    assert proxy.release() >= 1
    assert [v for _, v in contents(log, topic)] == [b"1"]
    hasty.close()
    log.close()


def test_F8_a_transaction_that_hangs_ends_by_itself_and_holds_nobody_for_ever(mortal_kafka: Cluster) -> None:
    topic = new_topic()
    log = KafkaLog(options_of(mortal_kafka, transaction_timeout_s=10.0))
    log.ensure(Topic(name=topic))
    writer = log.open("hanging", 1)
    bulk = writer._producer
    assert bulk is not None
    bulk.begin()
    bulk.send(make_blocks(["never"], ["seen"], topic=topic))
    bulk.kill()
    other = log.open("other", 1)
    other.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    assert not log.wait(topic, {0: 1}, 0.5)  # behind the open transaction
    assert log.wait(topic, {0: 1}, PATIENCE_S)  # the broker ended it
    assert [v for _, v in contents(log, topic)] == [b"1"]
    log.close()


@pytest.mark.long
def test_F8_a_transaction_that_stays_open_is_told_and_taken_back_when_it_ends(tmp_path: Path) -> None:
    """On a broker that does not clean up, so that it is there to be seen."""
    need_kafka()
    never = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "3600000"}
    cluster = service.start(tmp_path / "kafka", properties=never)
    log = KafkaLog(options_of(cluster, transaction_timeout_s=10.0))
    try:
        topic = new_topic()
        log.ensure(Topic(name=topic))
        writer = log.open("hanging", 1)
        assert writer._producer is not None
        assert log.notices() == []
        with capture_logs() as told:
            writer._producer.begin()
            writer._producer.send(make_blocks(["never"], ["seen"], topic=topic))
            writer._producer.kill()
            assert eventually(lambda: "transaction_stays_open" in events(told), PATIENCE_S)
            assert f"{topic}/0 cannot be read from offset 0 on" in log.notices()[0].detail
            log.open("hanging", 1).close()  # aborts it
            assert eventually(lambda: not log.notices(), PATIENCE_S)
            assert eventually(lambda: "transaction_ended" in events(told), PATIENCE_S)
        assert [line["partition"] for line in told if line["event"] == "transaction_stays_open"] == [0]
    finally:
        log.close()
        cluster.remove()


def events(told: list[MutableMapping[str, Any]]) -> list[str]:
    """Names of what was logged."""
    return [str(line["event"]) for line in told]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB."""
    with disks.small_disk(tmp_path, 48) as folder:
        yield folder


@pytest.mark.long
@pytest.mark.timeout(600)
def test_F15_a_full_disk_under_the_broker_loses_and_doubles_nothing(small_disk: Path) -> None:
    """A broker with one log directory stops when it cannot write there; the task waits, and goes on when there is room."""
    need_kafka()
    small = {"log.segment.bytes": str(4 * 1024 * 1024), "offsets.topic.num.partitions": "1",
             "transaction.state.log.num.partitions": "1", "log.index.size.max.bytes": "65536"}  # fmt: skip
    cluster = service.start(small_disk / "kafka", properties=small)
    try:
        topic = new_topic()
        options = options_of(cluster, **TIMES, compression=None)
        going = InBackground(Runner(options, topic, fresh("runner"), batches=60, size=10_000, patience_s=200))
        assert eventually(lambda: not cluster.nodes[0].alive(), 120), "the disk was not filled"
        reached = going.batch
        assert eventually(lambda: len(going.runner.retries) >= 2, 90)
        assert set(going.runner.retries) <= {"StorageFull", "LogUnavailable", "OutcomeUnknown"}
        assert 0 < reached < 60
        subprocess.run(["mount", "-o", "remount,size=512m", str(small_disk)], check=True)
        cluster.start_node(cluster.nodes[0])
        cluster.wait()
        going.finish(200)
        check(cluster.bootstrap, topic, 60 * 10_000)
    finally:
        cluster.remove()


def test_F2_a_broker_killed_between_flush_and_commit(mortal_kafka: Cluster) -> None:
    topic = new_topic()
    times = {**TIMES, "commit_timeout_s": 4.0}
    log = KafkaLog(options_of(mortal_kafka, **times))
    log.ensure(Topic(name=topic))
    writer = log.open("task", 1)
    writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    bulk = writer._producer
    assert bulk is not None
    commit = bulk.commit

    def kill_first() -> None:
        mortal_kafka.kill(mortal_kafka.nodes[0])
        commit()

    bulk.commit = kill_first  # type: ignore[method-assign]
    with pytest.raises((OutcomeUnknown, LogUnavailable)):
        writer.append(make_blocks(["b"], ["2"], topic=topic), at(2))
    mortal_kafka.start_node(mortal_kafka.nodes[0])
    mortal_kafka.wait()
    log.close()
    log = KafkaLog(options_of(mortal_kafka))
    again = log.open("task", 1)
    done = again.checkpoint()
    assert done in (at(1), at(2))
    if done == at(1):
        again.append(make_blocks(["b"], ["2"], topic=topic), at(2))
    assert [v for _, v in contents(log, topic)] == [b"1", b"2"]
    log.close()


def test_F2_a_broker_that_is_away_at_the_start_is_told_at_once(tmp_path: Path) -> None:
    need_kafka()
    cluster = service.start(tmp_path / "kafka")
    cluster.stop()
    started = time.monotonic()
    with pytest.raises(LogUnavailable, match="nobody answers"):
        KafkaLog(options_of(cluster, bootstrap_timeout_s=300.0, request_timeout_s=300.0))
    assert time.monotonic() - started < PATIENCE_S, "it waited for what was refused"
    service.start(tmp_path / "kafka")
    log = KafkaLog(options_of(cluster))
    assert log.healthy()
    log.close()
    found = service.status(tmp_path / "kafka")
    assert found is not None
    found.remove()


def _rss_mb() -> int:
    with open(f"/proc/{os.getpid()}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) // 1024
