"""Real parts that a machine may lack: skipped with a reason, or failed where TEST_REQUIRE names them (R34)."""

from __future__ import annotations

import os
import shutil

import pytest


def require(name: str) -> None:
    """Skip unless the program is there; fail when TEST_REQUIRE (names with commas between) says it must be."""
    if shutil.which(name):
        return
    if name in {wanted.strip() for wanted in os.environ.get("TEST_REQUIRE", "").split(",")}:
        pytest.fail(f"{name} is required here (TEST_REQUIRE) and is not installed")
    pytest.skip(f"{name} is not installed")
