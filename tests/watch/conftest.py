"""A hub on the project that `datong init` makes, with nothing running in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.app import Hub
from hub.settings import load_settings
from tests.support.projects import make_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture
def hub(project: Path) -> Iterator[Hub]:
    with Hub.open(load_settings(project, env={})) as made:
        yield made
