"""A small project whose hub pushes: its files, its commands, its tables."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.app import Hub
from hub.cli.templates import FILES
from hub.pipeline.jobs import task_of
from hub.pipeline.task import RunResult
from hub.settings import load_settings
from tests.support.projects import make_project
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
CONNECTOR, GRANT, TOPIC = "city-library-branches", "planning-branches", "city-library.culture.branch.v1"
TABLE = {"kind": "table", "url": "sqlite:///out.db", "table": "branches"}
Done = subprocess.CompletedProcess[str]


@dataclass
class Project:
    """In a directory of its own. Every branch is in the district that the grant allows."""

    root: Path

    def write(self, name: str, value: Any) -> None:
        """A file of configuration, or of text."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")

    def subscribe(self, name: str = "s", sink: Mapping[str, Any] = TABLE, **more: Any) -> None:
        """A subscription under the project's grant."""
        self.write(f"subscriptions.d/{name}.yaml", {"subscription": name, "grant": GRANT, "sink": dict(sink), **more})

    def grant(self, **changes: Any) -> None:
        """The grant, changed."""
        self.write("grants.d/planning.yaml", {**yaml.safe_load(FILES["grants.d/planning.yaml"]), **changes})

    def settings(self, **more: Any) -> None:
        """Small batches, and deletions however many."""
        self.write("datong.yaml", {"limits": {"read_records": 2}, "deletions": {"max_share": 1}, **more})

    def branches(self, seats: Mapping[str, int]) -> None:
        """What the source has."""
        lines = "".join(f"{code},Name,North,{number},\n" for code, number in seats.items())
        self.write("data/branches.csv", "Code,Name,District,Seats,Opened\n" + lines)

    def table(self, file: str = "out.db") -> dict[str, int]:
        """What the subscriber's table has."""
        connection = sqlite3.connect(self.root / file)
        try:
            return dict(connection.execute("SELECT branch_id, seats FROM branches").fetchall())
        except sqlite3.OperationalError:
            return {}
        finally:
            connection.close()

    def run(self, *arguments: str, **env: str) -> Done:
        """A command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "hub.cli.main", *arguments], cwd=self.root, text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env}, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(make_project(tmp_path / "p"))
    made.settings()
    made.branches({f"B-{n}": n for n in range(1, 8)})
    return made


Open = Callable[[], Hub]


@pytest.fixture
def hub(project: Project) -> Iterator[Open]:
    """Opens the project's hub, once it is as the test wants it; quick to look."""
    opened: list[Hub] = []

    def open_hub() -> Hub:
        made = Hub.open(load_settings(project.root, env={}))
        made.supervisor._options = made.supervisor._options.__class__(tick_s=0.02)
        opened.append(made)
        return made

    yield open_hub
    for one in opened:
        one.close()


def publish(hub: Hub) -> None:
    hub.supervisor.run_now(CONNECTOR)
    result = hub.supervisor.wait(CONNECTOR, 60)
    assert result is not None
    assert result.error is None, result.error


def push(hub: Hub, name: str = "s") -> RunResult:
    """Until it has caught up, or ends otherwise."""
    hub.subscriptions.run(name, once=True)
    result = hub.supervisor.wait(task_of(name), 60)
    assert result is not None
    return result


def until(condition: Callable[[], bool]) -> None:
    assert eventually(condition, 60)
