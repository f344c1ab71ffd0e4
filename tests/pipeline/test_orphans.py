"""Open rows of a connector that is not there: shown, set aside, and not replayed before its file is back (G9, R20, R22)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.app import Hub
from hub.errors import Conflict, NotFound
from hub.pipeline.discard import Discarding
from hub.pipeline.jobs import Job
from hub.settings import load_settings
from tests.support.nodes import until
from tests.support.projects import make_project

NAME = "city-library-branches"
FILE = f"connectors.d/{NAME}.yaml"
ALL = Discarding(case=None, by="li.na", why="r")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Whose connector is gone, after it quarantined a row."""
    with Hub.open(load_settings(make_project(tmp_path), env={})) as made:
        run(made)
        text = (tmp_path / FILE).read_text(encoding="utf-8")
        (tmp_path / "kept.yaml").write_text(text, encoding="utf-8")
        (tmp_path / FILE).unlink()
        made.reload()
        yield made


def run(hub: Hub) -> dict[str, int]:
    hub.supervisor.run_now(NAME)
    result = hub.supervisor.wait(NAME, 60)
    assert result is not None
    assert (result.state, result.error) == ("completed", None)
    return {name: count for name, count in vars(result.totals).items() if count}


def discard(hub: Hub) -> dict[str, object]:
    """The whole case, and how the run of it ended."""
    (case,) = hub.quarantine.cases()
    (started,) = hub.quarantine.discard(case=case["case"], rows=(), reason="r", by="li.na")
    ended = hub.views.run(NAME, started["run"], 60)
    assert (ended["run"], ended["error"]) == (started["run"], "")
    return ended


def alerts(hub: Hub) -> list[tuple[str, str]]:
    return [(alert["kind"], alert["subject"]) for alert in hub.alerts.listed()]


def test_R22_its_rows_are_told_of_and_set_aside_and_nothing_is_told_any_more(hub: Hub) -> None:
    (case,) = hub.quarantine.cases()
    assert (case["connector"], case["count"], case["orphaned"]) == (NAME, 1, True)
    assert hub.quarantine.case(case["case"], 5)["orphaned"]
    assert alerts(hub) == [("quarantine_orphaned", NAME)]
    ended = discard(hub)
    assert (ended["state"], ended["totals"]["discarded"]) == ("completed", 1)  # type: ignore[index]
    assert (hub.quarantine.cases(), alerts(hub)) == ([], [])
    (aside,) = hub.quarantine.set_aside()
    assert (aside["by"], aside["why"], aside["count"]) == ("li.na", "r", 1)
    assert [(one["replay"], one["discard"]) for one in hub.views.runs(NAME, 5)] == [(True, True), (False, False)]


def test_R22_the_connector_that_comes_back_goes_on_and_its_rows_stay_set_aside(hub: Hub) -> None:
    discard(hub)
    (hub.settings.root / "kept.yaml").rename(hub.settings.root / FILE)
    hub.reload()
    assert run(hub) == {"read": 4, "unchanged": 3, "discarded": 1}


def test_R20_R35_a_replay_is_refused_with_what_to_do_until_the_file_is_back(hub: Hub) -> None:
    (case,) = hub.quarantine.cases()
    with pytest.raises(NotFound, match=f"there is no connector {NAME}, so its rows cannot be mapped again") as refused:
        hub.quarantine.replay(case=case["case"], connector=None)
    assert "datong quarantine discard" in refused.value.remedy
    assert "datong validate" in refused.value.remedy
    (hub.settings.root / "kept.yaml").rename(hub.settings.root / FILE)
    hub.reload()
    (started,) = hub.quarantine.replay(case=case["case"], connector=None)
    assert hub.views.run(NAME, started["run"], 60)["state"] == "completed"


def test_a_file_with_a_mistake_is_no_connector_either_and_the_alert_names_both(hub: Hub) -> None:
    (hub.settings.root / FILE).write_text("connector: [", encoding="utf-8")
    hub.reload()
    assert {kind for kind, _subject in alerts(hub)} == {"configuration_mistake", "quarantine_orphaned"}
    assert discard(hub)["state"] == "completed"


def test_what_else_waits_of_it_makes_room_for_it_would_wait_for_ever(hub: Hub) -> None:
    hub.supervisor.start()
    assert hub.store.leases.request(NAME, Job(name=NAME).to_text())
    assert discard(hub)["state"] == "completed"
    assert hub.quarantine.cases() == []


def test_R20_it_waits_for_a_worker_that_runs_it_still_and_no_remedy_names_what_is_gone(hub: Hub) -> None:
    lease = hub.store.leases.acquire(NAME, "another", 60_000, job=Job(name=NAME).to_text())
    assert lease is not None
    (case,) = hub.quarantine.cases()
    with pytest.raises(Conflict, match="another worker runs") as refused:
        hub.quarantine.discard(case=case["case"], rows=(), reason="r")
    assert "datong connector pause" not in refused.value.remedy
    hub.store.leases.release(lease)
    discard(hub)


def test_G18_any_worker_takes_what_was_asked_of_a_node_that_does_not_work(hub: Hub) -> None:
    job = Job(name=NAME, discard=ALL)
    assert hub.store.leases.request(NAME, job.to_text())
    hub.supervisor.start()
    ended = hub.views.run(NAME, job.run_id, 60)
    assert (ended["state"], ended["run"]) == ("completed", job.run_id)
    assert hub.quarantine.cases() == []


def test_F1_a_hub_that_was_killed_goes_on_with_it_and_with_nothing_else_of_it(hub: Hub) -> None:
    assert hub.store.leases.acquire(NAME, "dead", 60_000, job=Job(name=NAME, discard=ALL).to_text(), scheduled=False)
    assert hub.store.leases.acquire("never-was", "dead", 60_000, job=Job(name="never-was").to_text())
    hub.store.leases.abandon()
    hub.supervisor.start()
    until(lambda: not hub.quarantine.cases())
    until(lambda: not hub.store.leases.get(NAME).held)
    row = hub.store.leases.get("never-was")
    assert (row.epoch, row.held) == (1, False), "its run is nobody's"


def test_F1_a_worker_takes_over_from_one_that_is_silent(hub: Hub) -> None:
    lease = hub.store.leases.acquire(NAME, "dead", 60_000, job=Job(name=NAME, discard=ALL).to_text(), scheduled=False)
    assert lease is not None
    worker = hub.supervisor.worker
    assert worker is not None
    worker.options = type(worker.options)(lease_s=0.4)
    hub.supervisor.start()
    until(lambda: not hub.quarantine.cases())
    assert hub.store.leases.get(NAME).epoch > lease.epoch


def test_R35_a_connector_that_never_was_has_neither_runs_nor_a_state(hub: Hub) -> None:
    for asked in (
        lambda: hub.views.run("nothing", "r", 0),
        lambda: hub.views.runs("nothing", 5),
        lambda: hub.views.connector(NAME),
        lambda: hub.supervisor.run_now(NAME),
    ):
        with pytest.raises(NotFound):
            asked()


@pytest.mark.parametrize("how", ["deleted", "mistaken"])
def test_a_run_without_end_ends_when_its_connector_is_gone(tmp_path: Path, how: str) -> None:
    project = make_project(tmp_path)
    file = project / FILE
    text = file.read_text(encoding="utf-8")
    endless = text.replace("mode: snapshot", "mode: upsert").replace("every 1h", "continuous")
    file.write_text(endless.replace("  kind: files\n", "  kind: files\n  watch_s: 0.1\n"), encoding="utf-8")
    with Hub.open(load_settings(project, env={}), scheduled=True) as hub:
        until(lambda: hub.supervisor.status(NAME).running and hub.history.runs(NAME))
        if how == "deleted":
            file.unlink()
        else:
            file.write_text("connector: [", encoding="utf-8")
        hub.reload()
        until(lambda: hub.history.runs(NAME)[0].state == "stopped")
        file.write_text(text, encoding="utf-8")
        hub.reload()
        until(
            lambda: len(hub.history.runs(NAME)) == 2
        )  # at once, though its schedule does not say so: it was cut short
