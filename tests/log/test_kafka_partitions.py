"""Brokers that cannot reach each other, or the hub, one after the other and back in another order (F6: swizzle-clog)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from deploy.services.kafka import Cluster, tool
from tests.log.test_kafka_faults import TIMES, InBackground, new_topic
from tests.support.kafka import need_kafka, options_of
from tests.support.kafka_runner import Runner, check
from tests.support.networks import CLIENTS, INNER, NODES, Networks, three_apart

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SEED = 20_261_125


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Networks]]:
    need_kafka()
    with three_apart(tmp_path_factory.mktemp("apart") / "kafka") as made:
        yield made


def leader_of(cluster: Cluster, topic: str) -> int:
    """The node that leads partition 0."""
    text = tool(
        "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", cluster.bootstrap, "--describe", "--topic", topic
    )
    line = next(line for line in text.splitlines() if "Partition: 0" in line)
    return int(line.split("Leader:")[1].split()[0])


@pytest.mark.parametrize("net", [CLIENTS, INNER], ids=["hub-kafka", "kafka-kafka"])
def test_F6_links_that_go_one_by_one_and_come_back_in_another_order(apart: tuple[Cluster, Networks], net: str) -> None:
    cluster, networks = apart
    chance, topic = random.Random(SEED), new_topic()
    going = InBackground(
        Runner(options_of(cluster, **TIMES), topic, task=topic, batches=120, size=4000, patience_s=500)
    )
    going.reach(2)
    for _ in range(2):
        order = list(NODES)
        for node in chance.sample(order, 3):
            networks.down(net, node)
            time.sleep(chance.uniform(1, 3))
        before = going.batch
        time.sleep(chance.uniform(2, 6))
        assert going.batch - before <= 1  # nothing is acknowledged that two brokers do not have
        for node in chance.sample(order, 3):
            networks.up(net, node)
            time.sleep(chance.uniform(1, 3))
        going.reach(going.batch + 3)  # it goes on by itself (G18)
    going.finish(420)
    check(cluster.bootstrap, topic, 120 * 4000)


def test_F6_a_leader_that_the_hub_reaches_and_its_followers_do_not(apart: tuple[Cluster, Networks]) -> None:
    """It takes records and must not say so: two of three have to have them."""
    cluster, networks = apart
    topic = new_topic()
    going = InBackground(
        Runner(options_of(cluster, **TIMES), topic, task=topic, batches=150, size=4000, patience_s=500)
    )
    going.reach(2)
    for _ in range(2):
        leader = leader_of(cluster, topic)
        networks.down(INNER, leader)
        time.sleep(20)
        networks.up(INNER, leader)
        going.reach(going.batch + 3)
    going.finish(420)
    check(cluster.bootstrap, topic, 150 * 4000)
