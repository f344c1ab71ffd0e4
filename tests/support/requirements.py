"""Real parts that a machine may lack: skipped with a reason, or failed where TEST_REQUIRE names them (R34)."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def require(name: str) -> None:
    """Skip unless the program is there; fail when TEST_REQUIRE (names with commas between) says it must be."""
    if not shutil.which(name):
        unavailable(name, f"{name} is not installed")


def unavailable(name: str, why: str) -> NoReturn:
    """Skip, or fail where TEST_REQUIRE names it."""
    if name in {wanted.strip() for wanted in os.environ.get("TEST_REQUIRE", "").split(",")}:
        pytest.fail(f"{name} is required here (TEST_REQUIRE): {why}")
    pytest.skip(why)
