"""A connector that an operator lets run anew: also when who asked dies meanwhile, or is another process (F1, G18)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.errors import Conflict
from hub.failpoints import RESTART_NAMES
from hub.settings import load_settings
from tests.api.test_editing import APPEND, NAME, changed, config
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = f"""
import sys
from pathlib import Path
from hub.app import Hub
from hub.settings import load_settings
hub = Hub.open(load_settings(Path(sys.argv[1]), env={{}}))
if sys.argv[2] == "running":
    hub.supervisor.run_now("{NAME}")
else:
    hub.supervisor.set_state("{NAME}", "FAILED", reason="gone", by="test")
hub.steering.restart("{NAME}")
"""


@pytest.fixture
def watching(place: Path) -> Path:
    """Its connector's runs last until somebody ends them."""
    watched = {"kind: files": "kind: files\n  watch_s: 1", "schedule: every 1h\n": "schedule: continuous\n", **APPEND}
    config(place).write_text(changed(config(place).read_text(), watched))
    topic = place / "topics.d/branch.yaml"
    topic.write_text(changed(topic.read_text(), {"scope: [district]\n": ""}))
    return place


def runs(hub: Hub) -> list[str]:
    """Those on record, oldest first, and the one under way."""
    status = hub.supervisor.status(NAME)
    known = [run.run for run in reversed(hub.history.runs(NAME))]
    return [*known, *([str(status.run_id)] if status.unfinished and status.run_id not in known else [])]


def first_run(hub: Hub) -> str:
    """The one that its schedule begins."""
    assert eventually(lambda: hub.supervisor.status(NAME).running)
    return runs(hub)[0]


@pytest.mark.parametrize(("before", "failpoint"), [*[("running", name) for name in RESTART_NAMES], ("failed", "asked")])
def test_F1_a_kill_in_the_middle_of_a_restart_pauses_nothing(watching: Path, before: str, failpoint: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TEST_FAILPOINT": f"{failpoint}:kill@1"}
    command = [sys.executable, "-c", SCRIPT, str(watching), before]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Hub.open(load_settings(watching, env={}), scheduled=True) as hub:
        status = hub.supervisor.status(NAME)
        assert (status.state, status.reason) == ("RUNNING", "")
        assert eventually(lambda: hub.supervisor.status(NAME).running)


def test_G18_a_run_follows_though_who_asked_for_it_is_gone(watching: Path) -> None:
    config(watching).write_text(changed(config(watching).read_text(), {"schedule: continuous\n": ""}))
    with Hub.open(load_settings(watching, env={}), scheduled=True) as hub:
        first = hub.supervisor.run_now(NAME)
        assert hub.supervisor.run_anew(NAME) == first
        assert eventually(lambda: len(runs(hub)) == 2 and hub.supervisor.status(NAME).running)
        assert hub.supervisor.run_anew(NAME) == runs(hub)[1] != first
        assert eventually(lambda: len(runs(hub)) == 3)


def test_G18_the_node_that_runs_it_hears_of_a_restart_on_another_one(watching: Path) -> None:
    with Hub.open(load_settings(watching, env={}), scheduled=True) as hub:
        first = first_run(hub)
        row = hub.store.leases.get(NAME)
        assert not hub.store.leases.ask_again(NAME, "a job that has ended")
        assert hub.store.leases.ask_again(NAME, row.job), "all that the other one does"
        assert eventually(lambda: (status := hub.supervisor.status(NAME)).running and status.run_id != first)
        ended = hub.history.get(first)
        assert ended is not None
        assert ended.state == "stopped"
        assert hub.supervisor.status(NAME).state == "RUNNING"


def test_a_restart_answers_with_the_run_that_follows_whoever_began_it(watching: Path) -> None:
    with Hub.open(load_settings(watching, env={}), scheduled=True) as hub:
        known = [first_run(hub)]
        for _ in range(5):
            known.append(hub.steering.restart(NAME)["run"])
            assert hub.supervisor.status(NAME).run_id == known[-1]
        assert len(set(known)) == 6


def test_a_restart_leaves_a_connector_stopped_that_somebody_stops_meanwhile(
    watching: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub.open(load_settings(watching, env={})) as hub:
        assert not hub.catalogue.mistakes
        hub.supervisor.run_now(NAME)
        there = hub.steering._await

        def stopped_meanwhile(*asked: Any) -> Any:
            hub.steer(NAME, "stop", by="somebody")
            return there(*asked)

        monkeypatch.setattr(hub.steering, "_await", stopped_meanwhile)
        with pytest.raises(Conflict, match="STOPPED"):
            hub.steering.restart(NAME)
        monkeypatch.undo()
        assert hub.supervisor.status(NAME).state == "STOPPED"
        hub.steer(NAME, "resume")
        hub.supervisor.run_now(NAME)
        assert hub.steering.restart(NAME)["run"]
        assert hub.supervisor.status(NAME).state == "RUNNING"
