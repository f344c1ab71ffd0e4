"""A subscription that is pushed into PostgreSQL, killed at every step (F1, R24), and only where the operator allows (R17)."""

from __future__ import annotations

import signal

import pytest

from hub.errors import SinkGone
from hub.failpoints import PUSH_NAMES
from tests.push.conftest import Open, Project, publish, push
from tests.sources.conftest import Database, new_database, pg
from tests.support.postgres import PASSWORD

__all__ = ["new_database", "pg"]


def into(project: Project, database: Database, *, allowed: bool = True) -> None:
    """The subscription, its secret, and the operator's word."""
    project.subscribe(sink={"kind": "table", "url": database.url, "table": "branches"})
    project.write("secrets.d/PG", PASSWORD)
    (project.root / "secrets.d/PG").chmod(0o600)
    project.settings(outbound={"allow": [f"127.0.0.1:{database.server.port}"] if allowed else []})


def rows(database: Database) -> dict[str, int]:
    return dict(database.run("SELECT branch_id, seats FROM branches"))


@pytest.mark.parametrize("failpoint", PUSH_NAMES)
def test_F1_R24_kill_at_every_step_leaves_the_database_with_the_latest_state_of_each_key(
    project: Project, hub: Open, pg: Database, failpoint: str
) -> None:
    into(project, pg)
    made = hub()
    publish(made)
    project.branches({"B-2": 22, "B-4": 4, "B-8": 8})
    publish(made)
    made.close()
    for nth in (1, 1 if failpoint == "resumed" else 3):
        done = project.run("subscription", "run", "--once", TEST_FAILPOINT=f"{failpoint}:kill@{nth}")
        assert done.returncode == -signal.SIGKILL, done.stderr
    push(hub())
    assert rows(pg) == {"B-2": 22, "B-4": 4, "B-8": 8}


def test_R17_S2_a_private_database_that_nobody_allowed_pauses_the_subscription(
    project: Project, hub: Open, pg: Database
) -> None:
    into(project, pg, allowed=False)
    made = hub()
    publish(made)
    result = push(made)
    assert result.state == "paused"
    assert isinstance(result.error, SinkGone)
    assert f"127.0.0.1:{pg.server.port}" in result.error.remedy
    assert pg.run("SELECT count(*) FROM pg_tables WHERE tablename = 'branches'") == [(0,)]
