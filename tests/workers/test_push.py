"""Two workers and one subscription: one pushes, another goes on when it dies or sleeps (G7, G18, R4, R24)."""

from __future__ import annotations

import signal
import sqlite3
import time

import pytest

from hub.pipeline.jobs import task_of
from tests.support.nodes import PATIENCE_S, Site, until

ROWS = 10_000  # in batches of 100
GRANT = "{{grant: g, agency: city, topic: city.{name}.number.v1, purpose: p, fields: [n]}}\n"
SUBSCRIPTION = """\
subscription: {name}
grant: g
sink: {{kind: table, url: "sqlite:///out.db", table: numbers}}
"""


def numbers(place: Site) -> list[int]:
    """What the subscriber's table has."""
    connection = sqlite3.connect(place.project / "out.db", timeout=30)
    try:
        return [row[0] for row in connection.execute("SELECT n FROM numbers")]
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def locked(place: Site) -> bool:
    """Whether somebody is in the middle of a transaction of the subscriber's database."""
    connection = sqlite3.connect(place.project / "out.db", timeout=0.2)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_G18_R4_another_worker_goes_on_with_a_push_and_nothing_is_lost_or_doubled(
    place: Site, sent: signal.Signals
) -> None:
    name = place.connector(ROWS)
    topic = place.project / f"topics.d/{name}.yaml"
    topic.write_text(topic.read_text().replace("not shared", "conditional"))
    for _ in range(2):
        place.start("worker", wait=False, DATONG_LIMITS__READ_RECORDS="100", TEST_FAILPOINT="written:wait@3")
    place.completed(name)
    (place.project / "grants.d/g.yaml").write_text(GRANT.format(name=name))
    (place.project / "subscriptions.d").mkdir()
    (place.project / "subscriptions.d/s.yaml").write_text(SUBSCRIPTION.format(name=name))
    task = task_of(name)
    with place.held():
        place.store.nodes.signal()
        until(lambda: numbers(place), why=place.said)
        victim = place.owner(task)
        victim.send(sent)
        while sent == signal.SIGSTOP and locked(place):  # SQLite has no way to take a lock from a process that sleeps
            victim.send(signal.SIGCONT)
            time.sleep(0.01)
            victim.send(signal.SIGSTOP)
    assert len(numbers(place)) < ROWS, "it was over before it was met"
    successor = place.other(victim)
    until(lambda: successor.name in place.row(task).holder, why=place.said)
    until(lambda: len(numbers(place)) >= ROWS, why=place.said)
    if sent == signal.SIGSTOP:
        victim.send(signal.SIGCONT)
        assert victim.process.wait(PATIENCE_S) == 7, victim.said()
    assert sorted(numbers(place)) == list(range(ROWS))
    found = place.store.states.get(task)
    assert found.state == "RUNNING", found.reason
