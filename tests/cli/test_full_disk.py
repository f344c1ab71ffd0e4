"""`serve` where the disk is full says so, with what to do, and serves once there is space (F15, R35)."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.directory import Directory
from hub.errors import StorageFull
from tests.support.disks import small_disk
from tests.support.ports import free_port
from tests.support.projects import make_project

PATIENCE_S = 120


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, full but for what the file `ballast` takes."""
    with small_disk(tmp_path, 24) as folder:
        with (folder / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        yield folder


def test_F15_R35_a_full_disk_is_told_with_its_remedy(disk: Path) -> None:
    with pytest.raises(StorageFull, match="disk of the data directory is full") as refused:
        Directory(disk / "var").operator_token()
    assert refused.value.where == str(disk / "var")
    assert "free some space" in refused.value.remedy


def test_F15_R35_serve_waits_for_space_and_says_so(disk: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    own = {"DATONG_DATA_DIR": str(disk / "var"), "DATONG_HTTP__PORT": str(free_port()), "DATONG_REGISTRY__PORT": "0"}
    command = [sys.executable, "-m", "hub.cli.main", "serve"]
    lines: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(
        command, cwd=project, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:

        def listen() -> None:
            assert server.stdout is not None
            for line in server.stdout:
                lines.put(line)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            first = lines.get(timeout=PATIENCE_S)
            assert first.startswith("waiting: ")
            assert "the disk of the data directory is full" in first
            assert "free some space" in first
            (disk / "ballast").unlink()
            while "datong serves" not in lines.get(timeout=PATIENCE_S):
                pass
        finally:
            server.terminate()
            listener.join(PATIENCE_S)  # its pipe is closed behind this block
