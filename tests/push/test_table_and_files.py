"""Subscriptions that are pushed to a table and into files, on a real hub (R3, R23, R24, R27, G7, G11, G12, F1)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from hub.app import now
from hub.errors import Conflict, NotFound, NotGranted
from hub.failpoints import PUSH_NAMES
from hub.pipeline.jobs import task_of
from tests.cli.conftest import Datong, datong
from tests.push.conftest import CONNECTOR, GRANT, ROOT, TABLE, TOPIC, Open, Project, publish, push, until

__all__ = ["datong"]

FILE = {"kind": "file", "directory": "out"}


def lines(project: Project) -> list[dict[str, Any]]:
    """All that the file sink wrote, in the order of its offsets."""
    found = [json.loads(line) for p in (project.root / "out").glob("*.ndjson") for line in p.read_text().splitlines()]
    return sorted(found, key=lambda record: record["_offset"])


def test_R27_a_table_follows_the_topic_with_changes_and_deletions(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    result = push(made)
    assert (result.state, result.totals.published, result.totals.deleted) == ("completed", 7, 0)
    assert project.table() == {f"B-{n}": n for n in range(1, 8)}
    project.branches({"B-1": 1, "B-3": 33, "B-9": 9})
    publish(made)
    result = push(made)
    assert (result.totals.published, result.totals.deleted) == (7, 5)
    assert project.table() == {"B-1": 1, "B-3": 33, "B-9": 9}
    assert push(made).totals.published == 0


def test_R24_what_was_pushed_is_a_groups_commit_and_its_lag_shows(project: Project, hub: Open) -> None:
    project.subscribe(group="nightly")
    made = hub()
    publish(made)
    push(made)
    assert made.subscriptions.one("s")["lag"] == 0
    project.branches({"B-1": 100})
    publish(made)
    assert made.subscriptions.one("s")["lag"] == 7
    assert (f"city-planning.{GRANT}.nightly", TOPIC, 0, 7) in made.deliveries.lags()
    assert b'consumergroup="city-planning.planning-branches.nightly"' in made.metrics.render()[0]


def test_by_agency_and_topic_and_into_files_of_each_kind(project: Project, hub: Open) -> None:
    project.subscribe("nd", FILE)
    for name in ("csv", "avro", "parquet"):
        project.subscribe(name, {**FILE, "directory": name, "format": name})
    project.write(
        "subscriptions.d/pair.yaml",
        {"subscription": "pair", "agency": "city-planning", "topic": TOPIC, "sink": {**FILE, "directory": "pair"}},
    )
    made = hub()
    publish(made)
    for name in ("nd", "csv", "avro", "parquet", "pair"):
        assert push(made, name).totals.published == 7, name
    assert [line["branch_id"] for line in lines(project)] == [f"B-{n}" for n in range(1, 8)]
    tables = [pq.read_table(p) for p in sorted((project.root / "parquet").iterdir())]
    assert sorted(v for t in tables for v in t.column("seats").to_pylist()) == list(range(1, 8))
    assert tables[0].column("_op").to_pylist() == ["upsert", "upsert"]
    assert len(list((project.root / "pair").iterdir())) == 4
    push(made, "nd")
    assert len(lines(project)) == 7  # nothing twice


def test_before_anything_is_published_it_waits_and_then_begins(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    assert push(made).state == "completed"
    made.subscriptions.run("s", once=False)
    publish(made)
    until(lambda: len(project.table()) == 7)
    assert made.subscriptions.one("s")["state"] == "RUNNING"


def test_G12_a_withdrawn_grant_stops_a_push_that_is_idle_and_nothing_more_leaves(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    made.supervisor.start()
    until(lambda: len(project.table()) == 7)
    (project.root / "grants.d/planning.yaml").unlink()
    mistakes = made.reload()
    assert any("subscriptions.d/s.yaml:1: grant: no sound grant `planning-branches`" in m for m in mistakes), mistakes
    until(lambda: made.subscriptions.one("s")["state"] == "PAUSED")
    assert "NotGranted" in made.supervisor.status(task_of("s")).outcome["error"]  # type: ignore[index]
    assert "no sound grant planning-branches is declared" in made.subscriptions.one("s")["reason"]
    project.branches({"B-1": 555})
    publish(made)
    assert len(project.table()) == 7
    with pytest.raises(Conflict, match=r"subscription s is PAUSED.*"):
        made.subscriptions.run("s", once=True)
    project.grant()
    made.reload()
    made.subscriptions.steer("s", "resume")
    until(lambda: project.table() == {"B-1": 555})


def test_G11_an_ended_grant_and_another_agencys_are_refused_with_their_reason(project: Project, hub: Open) -> None:
    project.subscribe()
    yesterday = now().date() - timedelta(days=2)
    project.grant(until=yesterday)
    made = hub()
    publish(made)
    result = push(made)
    assert isinstance(result.error, NotGranted)
    assert (result.error.rule, result.state) == ("expired", "paused")
    assert str(yesterday) in made.subscriptions.one("s")["reason"]
    assert project.table() == {}


def test_R24_other_fields_void_what_was_written_before(project: Project, hub: Open) -> None:
    project.subscribe("s", FILE)
    made = hub()
    publish(made)
    push(made)
    assert {"district", "seats"} <= set(lines(project)[0])
    project.grant(fields=["branch_id", "seats"])
    made.reload()
    assert push(made).totals.published == 7
    assert [sorted(line) for line in lines(project)] == [["_offset", "_op", "_partition", "branch_id", "seats"]] * 7


@pytest.mark.parametrize("failpoint", PUSH_NAMES)
def test_R24_F1_other_fields_void_what_was_there_whenever_it_is_killed(
    project: Project, hub: Open, failpoint: str
) -> None:
    project.subscribe("s", FILE)
    made = hub()
    publish(made)
    push(made)
    made.close()
    project.grant(fields=["branch_id", "seats"])
    killed(project, failpoint, 1)
    push(hub())
    assert [(line["branch_id"], "district" in line) for line in lines(project)] == [
        (f"B-{n}", False) for n in range(1, 8)
    ]


@pytest.mark.parametrize("failpoint", PUSH_NAMES)
def test_F1_R24_kill_at_every_step_leaves_the_table_with_the_latest_state_of_each_key(
    project: Project, hub: Open, failpoint: str
) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    project.branches({"B-2": 22, "B-4": 4, "B-8": 8})
    publish(made)
    made.close()
    killed(project, failpoint, 1)
    killed(project, failpoint, 1 if failpoint == "resumed" else 3)
    push(hub())
    assert project.table() == {"B-2": 22, "B-4": 4, "B-8": 8}


def killed(project: Project, failpoint: str, nth: int) -> None:
    done = project.run("subscription", "run", "--once", TEST_FAILPOINT=f"{failpoint}:kill@{nth}")
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_sink_that_lost_what_it_had_gets_it_again(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    push(made)
    (project.root / "out.db").unlink()
    assert push(made).totals.published == 7
    assert len(project.table()) == 7


def test_R24_what_a_sink_has_of_nobody_knows_what_is_replaced(project: Project, hub: Open) -> None:
    """The hub's own record is gone: rows may have come under fields that are not granted any more."""
    project.subscribe()
    made = hub()
    publish(made)
    push(made)
    project.subscribe(group="another")
    made.reload()
    project.branches({"B-1": 1})
    publish(made)
    push(made)
    assert project.table() == {"B-1": 1}


def test_G7_a_subscription_that_another_worker_pushes_does_not_start(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    assert made.store.leases.acquire(task_of("s"), "somebody else", 60_000) is not None
    with pytest.raises(Conflict, match=r"another worker runs subscription s: somebody else"):
        made.subscriptions.run("s", once=True)
    with pytest.raises(NotFound, match="no subscription nobody"):
        made.subscriptions.run("nobody", once=True)


def test_R4_a_worker_that_lost_its_lease_writes_nothing(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    made.subscriptions.run("s", once=False)
    until(lambda: len(project.table()) == 7)
    row = made.store.leases.get(task_of("s"))
    assert made.store.leases.acquire(task_of("s"), "another", 60_000, seen=row, stale=True) is not None
    project.branches({"B-1": 1000})
    publish(made)
    result = made.supervisor.wait(task_of("s"), 60)
    assert result is not None
    assert result.error is not None
    assert result.error.code == "Fenced"
    assert made.supervisor.fenced
    assert len(project.table()) == 7


def test_a_paused_file_and_a_paused_state_push_nothing(project: Project, hub: Open) -> None:
    project.subscribe(paused=True)
    made = hub()
    publish(made)
    made.supervisor.start()
    shown = made.subscriptions.one("s")
    assert (shown["state"], shown["reason"]) == ("PAUSED", "its file says `paused: true`")
    with pytest.raises(Conflict, match="paused: true"):
        made.subscriptions.steer("s", "resume")
    project.subscribe()
    made.reload()
    until(lambda: len(project.table()) == 7)
    made.subscriptions.steer("s", "pause")
    until(lambda: not made.subscriptions.one("s")["running"])
    project.branches({"B-1": 1})
    publish(made)
    assert len(project.table()) == 7
    made.subscriptions.steer("s", "resume")
    until(lambda: project.table() == {"B-1": 1})


def test_a_declaration_that_changes_is_followed_at_once(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    made.supervisor.start()
    until(lambda: len(project.table()) == 7)
    project.subscribe(sink={**TABLE, "url": "sqlite:///other.db"})
    made.reload()
    until(lambda: len(project.table("other.db")) == 7)
    (project.root / "subscriptions.d/s.yaml").unlink()
    made.reload()
    until(lambda: made.supervisor.worker is not None and not made.supervisor.worker.running())


def test_more_subscriptions_than_threads_take_turns(project: Project, hub: Open) -> None:
    project.settings(supervisor={"pushes": 1})
    for name in ("a", "b", "c"):
        project.subscribe(name, {**FILE, "directory": name})
    made = hub()
    publish(made)
    assert made.supervisor.worker is not None
    made.supervisor.worker.options = made.supervisor.worker.options.__class__(pushes=1, turn_s=0.0)
    made.supervisor.start()
    until(lambda: all(any((project.root / name).glob("*.ndjson")) for name in ("a", "b", "c")))


def test_G18_a_sink_that_is_away_is_tried_again_later_and_connectors_go_on(project: Project, hub: Open) -> None:
    project.subscribe(sink={**TABLE, "url": "postgresql+psycopg://u:${secret:PW}@127.0.0.1:1/x"})
    project.settings(outbound={"allow": ["127.0.0.1:1"]})
    project.write("secrets.d/PW", "not-a-secret")
    (project.root / "secrets.d/PW").chmod(0o600)
    made = hub()
    publish(made)
    result = push(made)
    assert result.error is not None
    assert result.error.code == "SinkUnavailable"
    until(lambda: made.store.leases.get(task_of("s")).failures == 1)
    assert made.subscriptions.one("s")["state"] == "RUNNING"
    assert CONNECTOR in made.supervisor.names()
    assert task_of("s") not in made.supervisor.names()
    assert "not-a-secret" not in str(result.error)


def test_S6_a_sink_never_writes_into_the_hubs_own_directory(project: Project, hub: Open) -> None:
    project.subscribe("a", {**TABLE, "url": "sqlite:///var/store.db"})
    project.subscribe("b", {**FILE, "directory": "var/out"})
    project.subscribe("c", {**TABLE, "url": "sqlite:////tmp/elsewhere.db"})
    project.subscribe("d", {**FILE, "directory": "inner/secrets.d"})
    project.subscribe("e", {**TABLE, "url": "sqlite:///planning.token"})
    project.subscribe("f", {**FILE, "directory": "var-2/out"})
    project.write("var-2/hub.lock", "")  # of another process
    made = hub()
    publish(made)
    refused = {
        "a": "hub's own",
        "b": "hub's own",
        "c": "not below",
        "d": "credentials",
        "e": "credentials",
        "f": "hub's own",
    }
    for name, why in refused.items():
        result = push(made, name)
        assert result.error is not None
        assert why in result.error.message
    assert not (project.root / "inner").exists()


def test_a_push_that_goes_on_drains_at_a_signal(project: Project, hub: Open) -> None:
    project.subscribe()
    made = hub()
    publish(made)
    made.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli.main", "subscription", "run"], cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: len(project.table()) == 7)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "interrupted" in said) == (130, True)
    made = hub()
    assert made.subscriptions.one("s")["lag"] == 0
    assert push(made).totals.published == 0


def test_R35_commands_say_what_became_of_each(
    project: Project, datong: Datong, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    project.subscribe()
    project.subscribe("ended", FILE, grant="nobody")
    assert datong("run").code == 0
    done = datong("subscription", "run", "--once")
    assert done.code == 4
    assert "ended: NotGranted: no sound grant nobody is declared" in done.out
    listed = json.loads(datong("subscription", "list", "--json").out)["subscriptions"]
    assert [(s["name"], s["state"]) for s in listed] == [("ended", "PAUSED"), ("s", "RUNNING")]
    shown = datong("subscription", "show", "s")
    assert re.search(r"lag +0", shown.out)
    assert datong("subscription", "pause", "s").out == "s is PAUSED\n"
    refused = datong("subscription", "run", "s", "--once")
    assert (refused.code, "`datong subscription resume s` first" in refused.out) == (1, True)
    assert datong("subscription", "resume", "s").out == "s is RUNNING\n"
    assert datong("subscription", "run", "s", "--once").code == 0
    assert "there is no subscription x" in datong("subscription", "show", "x").err
    assert datong("subscription", "dead-letters", "s").code == 0
    assert datong("validate").code == 3
