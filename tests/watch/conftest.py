"""A hub on the project that `datong init` makes, with nothing running in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.app import Hub
from hub.cli.templates import FILES
from hub.settings import load_settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def hub(project: Path) -> Iterator[Hub]:
    with Hub.open(load_settings(project, env={})) as made:
        yield made
