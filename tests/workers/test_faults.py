"""Two workers on one PostgreSQL and one Kafka: stopped, killed, asked to end, cut off (F4, F5, F9, G3, G7, G18)."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from deploy.services import kafka, postgres
from hub.pipeline.jobs import Job
from hub.store.leases import TaskRow
from tests.support.line import Line
from tests.support.nodes import PATIENCE_S, Node, Site, check, site, until

ROWS = 600_000  # in many batches
BETWEEN = {"TEST_FAILPOINT": "acknowledged:wait@2"}  # where a worker stays within `held`: with two batches published
OPEN = {"TEST_FAILPOINT": "appended:wait@3"}  # … and a third sent, whose transaction is open


def of_two(place: Site, name: str, **env: str) -> Node:
    """Two workers that are up, one of them in the middle of a run: that one."""
    for _ in range(2):
        place.start("worker", wait=False, **env)
    runs = place.in_the_middle(name)
    place.ready(place.other(runs))
    return runs


def test_F4_G7_a_zombie_that_wakes_is_fenced_and_ends_with_7(place: Site) -> None:
    name = place.connector(ROWS)
    with place.held():
        for _ in range(2):
            place.start("worker", wait=False, **OPEN)
        zombie = place.in_the_middle(name)
        zombie.send(signal.SIGSTOP)
    run = place.row(name).job
    successor = place.other(zombie)
    until(lambda: successor.name in place.row(name).holder, why=place.said)
    assert place.row(name).job == run, "it is the same run that goes on"
    outcome = place.completed(name)
    zombie.send(signal.SIGCONT)
    assert zombie.process.wait(PATIENCE_S) == 7, zombie.said()
    assert "another worker took over" in zombie.said()
    by_epoch = check(place.kafka, name, ROWS)
    assert list(by_epoch) == [1, 2]
    assert outcome["run"] in run
    assert place.store.states.get(name).state == "RUNNING"
    assert successor.process.poll() is None


def kill(place: Site, rows: int) -> float:
    """kill -9 in the middle of a run; how long until another worker had it."""
    name = place.connector(rows)
    with place.held():
        victim = of_two(place, name, **OPEN)
        victim.send(signal.SIGKILL)
    successor = place.other(victim)
    took = until(lambda: successor.name in place.row(name).holder, why=place.said)
    place.completed(name)
    check(place.kafka, name, rows)
    return took


def test_G18_a_worker_that_is_killed_is_replaced(place: Site) -> None:
    assert kill(place, ROWS) < 30


@pytest.mark.long
def test_G18_a_worker_that_is_killed_is_replaced_within_thirty_seconds_with_the_settings_as_they_are(
    place: Site,
) -> None:
    place.takeover_s = 20.0
    assert kill(place, 1_000_000) <= 30


def test_G7_a_worker_that_is_asked_to_end_hands_over_at_once(place: Site) -> None:
    place.takeover_s = 600.0  # nobody waits for a lease to run out here
    name = place.connector(ROWS)
    with place.held():
        first = of_two(place, name, **BETWEEN)
        run = place.row(name).job
        first.send(signal.SIGTERM)
    assert first.process.wait(PATIENCE_S) == 0, first.said()
    outcome = place.completed(name)
    assert outcome["run"] in run, "the same run, seen to its end"
    assert check(place.kafka, name, ROWS).keys() == {1, 2}
    assert [node.name.split("/")[1] for node in place.store.nodes.all()] == [str(place.other(first).process.pid)]


def ask_again_and_again(place: Site, times: int, pause_s: float) -> None:
    """Two workers that start together, and runs asked for at any moment: one of them does them all."""
    name = place.connector(1, schedule="")
    for _ in range(2):
        place.start("worker", wait=False)
    for node in place.nodes:
        place.ready(node)
    owners = []
    for part in range(1, times + 1):
        assert place.store.leases.request(name, Job(name=name).to_text())
        outcome = place.completed(name)
        assert outcome["totals"]["published"] == 1
        owners.append(place.row(name).last_holder)
        place.write(name, range(part, part + 1), part)
        time.sleep(pause_s * (0.5 + part % 7 / 7))  # at no fixed distance from the moment at which a worker looks
    changes = sum(one != next_one for one, next_one in pairwise(owners))
    assert changes <= 1, owners  # none but when a machine stood still
    check(place.kafka, name, times)


def test_F5_two_workers_started_together_have_one_owner_and_no_flapping(place: Site) -> None:
    ask_again_and_again(place, 10, 0.3)


@pytest.mark.long
def test_F5_no_change_of_owner_in_two_minutes(place: Site) -> None:
    ask_again_and_again(place, 60, 2.0)


@pytest.fixture
def mortal_place(tmp_path: Path, mortal_postgres: postgres.Server, kafka_cluster: kafka.Cluster) -> Iterator[Site]:
    """On a database server of its own, which says who connects."""
    mortal_postgres.configure({"log_connections": "on"})
    mortal_postgres.stop()
    mortal_postgres.start()
    with site(tmp_path, mortal_postgres.url, kafka_cluster.bootstrap, takeover_s=600.0) as made:
        yield made


def test_F9_G18_a_restart_of_postgresql_costs_no_row_no_owner_and_no_storm(
    mortal_place: Site, mortal_postgres: postgres.Server
) -> None:
    place, server = mortal_place, mortal_postgres
    name = place.connector(ROWS, schedule="schedule: every 1s", files=5)
    with place.held():
        first = of_two(place, name, **BETWEEN)
        before = place.row(name)
        server.stop("immediate")
        published = place.published(name)
    until(lambda: place.published(name) > published, why=place.said)  # the run needs no store to go on
    until(lambda: place.published(name) >= ROWS, why=place.said)  # and ends while nobody can be told
    until(lambda: "the store does not hear how a run ended" in first.said(), why=place.said)
    log = server.data / "server.log"
    length = log.stat().st_size
    server.start()
    seen: list[TaskRow] = []

    def ended() -> bool:
        seen.append(place.row(name))
        return bool(seen[-1].outcome)

    until(ended, why=place.said)
    outcome = json.loads(seen[-1].outcome)
    assert outcome["state"] == "completed", outcome
    assert {row.last_holder for row in seen} == {before.last_holder}, "nobody else took it while it ended"
    until(lambda: place.row(name).epoch > before.epoch, why=place.said)  # and it goes on by its schedule
    assert place.store.states.get(name).state == "RUNNING"
    assert [node.process.poll() for node in place.nodes] == [None, None]
    connections = log.read_text("utf-8", "replace")[length:].count("connection received")
    assert connections <= 3 * 10  # two workers and this test, each no more than it may have
    check(place.kafka, name, ROWS)


@pytest.mark.long
def test_F9_G18_an_outage_longer_than_a_lease_changes_no_owner(
    mortal_place: Site, mortal_postgres: postgres.Server
) -> None:
    """All leases have run out when the store comes back: who holds one is given a moment to show that it lives."""
    place, server = mortal_place, mortal_postgres
    place.takeover_s = 8.0
    name = place.connector(4_000_000, schedule="schedule: once", files=20)
    with place.held():
        of_two(place, name, **BETWEEN)
        before = place.row(name)
        server.stop("immediate")
    time.sleep(12)
    server.start()
    place.completed(name, 240)
    after = place.row(name)
    assert (after.epoch, after.last_holder) == (before.epoch, before.last_holder)
    assert [node.process.poll() for node in place.nodes] == [None, None]
    check(place.kafka, name, 4_000_000)


def test_F6_a_worker_that_is_cut_off_from_postgresql_is_replaced_and_ends_with_7(place: Site) -> None:
    """It may go on writing to Kafka until its successor begins, and cannot say that it has come to an end."""
    name = place.connector(ROWS)
    with Line(make_url(place.store_url).port or 0) as line:
        through = make_url(place.store_url).set(port=line.port).render_as_string(hide_password=False)
        with place.held():
            cut_off = place.start("worker", DATONG_STORE__URL=through, **BETWEEN)
            assert place.in_the_middle(name) is cut_off
            line.cut()
        successor = place.start("worker")
        until(lambda: successor.name in place.row(name).last_holder, why=place.said)
        line.mend()
        assert cut_off.process.wait(PATIENCE_S) == 7, cut_off.said()
    place.completed(name)
    check(place.kafka, name, ROWS)
