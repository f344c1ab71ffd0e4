"""Small file systems, where this machine lets one be mounted (F15)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.requirements import unavailable


@contextmanager
def small_disk(parent: Path, megabytes: int) -> Iterator[Path]:
    """A directory below `parent` with a file system of its own. Skips where there can be none."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        unavailable("root", "a small file system can be mounted by root only")
    folder = parent / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        unavailable("root", "this machine mounts no tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
