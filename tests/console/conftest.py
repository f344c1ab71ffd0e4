"""One hub with a console for the tests that change nothing of it which others see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.console import Console, serving
from tests.support.library import Library, library_of
from tests.support.projects import make_project
from tests.support.stores import sqlite_store, sqlite_url

__all__ = ["sqlite_store", "sqlite_url"]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with serving(make_project(tmp_path_factory.mktemp("console") / "p")) as made:
        yield made


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Two branches, which one group has read."""
    with library_of(tmp_path_factory.mktemp("library") / "p") as made:
        made.served.branches({"B-1": 1, "B-2": 2})
        assert made.served.read() == ["B-1", "B-2"]
        yield made
