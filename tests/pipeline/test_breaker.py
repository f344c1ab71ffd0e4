"""When a connector pauses by itself: as it says, else as the settings do (G8, R21)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.app import Hub
from hub.builder import limits_of
from hub.errors import BreakerTripped
from hub.pipeline.plan import TaskLimits
from hub.pipeline.task import RunResult
from hub.project import read_catalogue
from hub.settings import Loaded, load_settings
from tests.support.projects import make_project

CONNECTOR = "city-library-branches"
BAD = "".join(f"B-{i},Name,North,{'none' if 10 <= i < 13 else i},\n" for i in range(1, 41))  # three in a row


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path, {"data/branches.csv": "Code,Name,District,Seats,Opened\n" + BAD})


def loaded(project: Path, breaker: str = "", settings: str = "") -> Loaded:
    with (project / "connectors.d/city-library-branches.yaml").open("a") as file:
        file.write(f"breaker: {breaker}\n" if breaker else "")
    (project / "datong.yaml").write_text(settings)
    return load_settings(project, env={})


def run(found: Loaded) -> RunResult:
    with Hub.open(found) as hub:
        hub.supervisor.run_now(CONNECTOR)
        result = hub.supervisor.wait(CONNECTOR, 60)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("breaker", "settings", "message"),
    [
        ("", "", ""),
        ("", "breaker: {in_a_row: 3}\n", "3 rows in a row"),
        ("{in_a_row: 3}", "", "3 rows in a row"),
        ("{in_a_row: 4}", "breaker: {in_a_row: 3}\n", ""),
        ("{share: 0.07, window: 40}", "", "7% of 40 rows"),
        ("{window: 40}", "breaker: {share: 0.08}\n", ""),
        ("{share: 0.08}", "breaker: {share: 0.01, window: 40}\n", ""),
    ],
)
def test_G8_R21_a_connector_says_when_it_pauses(project: Path, breaker: str, settings: str, message: str) -> None:
    result = run(loaded(project, breaker, settings))
    assert result.totals.quarantined == 3  # the batch that trips it is appended whole
    assert result.state == ("paused" if message else "completed")
    if message:
        assert isinstance(result.error, BreakerTripped)
        assert message in str(result.error)


def test_R21_what_a_connector_does_not_say_is_as_the_settings_say(project: Path) -> None:
    found = loaded(project, "{window: 7}", "breaker: {share: 0.5, in_a_row: 9}\ndeletions: {max_share: 0.2}\n")
    spec = read_catalogue(found).connectors[CONNECTOR]
    assert limits_of(spec, found.settings) == TaskLimits(
        breaker_share=0.5, breaker_window=7, breaker_in_a_row=9, deletions_share=0.2
    )


@pytest.mark.parametrize("breaker", ["{share: 0}", "{share: 1.1}", "{window: 0}", "{in_a_row: none}", "{rows: 3}", "3"])
def test_a_breaker_that_could_never_work_is_a_mistake_with_its_line(project: Path, breaker: str) -> None:
    mistakes = read_catalogue(loaded(project, breaker)).mistakes
    assert [m for m in mistakes if m.path.startswith("breaker") and m.line > 1], mistakes
