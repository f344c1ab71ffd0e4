"""Packages from npm, by exact version, into a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.requirements import require, unavailable


def install(folder: Path, package: str) -> Path:
    """The folder with the package in its node_modules: where TEST_REQUIRE names npm, since it is fetched."""
    if "npm" not in os.environ.get("TEST_REQUIRE", ""):
        unavailable("npm", "TEST_REQUIRE does not name npm")
    require("npm")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run([*command, package], cwd=folder, check=True, timeout=240)
    return folder
