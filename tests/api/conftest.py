"""A small project, and its operator's API in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.cli.inprocess import in_process
from hub.directory import Directory
from hub.settings import load_settings
from tests.support.projects import make_project
from tests.support.stores import now, store, url

__all__ = ["now", "store", "url"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of a project that works at once."""
    return make_project(tmp_path / "p")


@pytest.fixture
def api(place: Path) -> Iterator[httpx.Client]:
    """Below /api/v1 of its hub, as its operator."""
    loaded = load_settings(place, env={})
    with in_process(loaded, Directory(loaded.settings.data_path)) as client:
        client.base_url = httpx.URL("http://localhost/api/v1/")
        yield client


def outcome(api: httpx.Client, run: str, name: str = "city-library-branches") -> dict[str, Any]:
    """Of a run that was started, when it has ended: one answer waits five seconds at most."""
    while True:
        found: dict[str, Any] = api.get(f"connectors/{name}/runs/{run}", params={"wait_ms": 5000}).json()
        if found["state"] != "running":
            return found
