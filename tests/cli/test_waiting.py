"""A hub whose store or log goes away while it starts: it lets go of all it has, and tries again (G18)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hub.app import Hub
from hub.cli import waiting
from hub.errors import Retry
from hub.log.sqlite import SqliteLog
from hub.settings import load_settings
from tests.support.projects import make_project


@pytest.mark.parametrize("step", ["start", "_schedule"])
def test_G18_what_goes_away_while_the_hub_starts_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(waiting, "FIRST_S", 0.0)
    there: Callable[[Hub], None] = getattr(Hub, step)
    first: list[SqliteLog] = []
    said: list[str] = []

    def once(hub: Hub) -> None:
        if not first:
            assert isinstance(hub.log, SqliteLog)
            first.append(hub.log)
            raise Retry("the store does not answer")
        there(hub)

    monkeypatch.setattr(Hub, step, once)
    closed: list[SqliteLog] = []
    close = SqliteLog.close
    monkeypatch.setattr(SqliteLog, "close", lambda log: (closed.append(log), close(log))[1])
    with waiting.open_when_ready(load_settings(make_project(tmp_path / "p"), env={}), said.append):
        assert closed == first
    assert said == ["waiting: the store does not answer"]
