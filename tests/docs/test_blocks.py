"""README, README.zh and the tutorial are run, block by block, as CONTRIBUTING.md says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"(<!-- not run:[^>]*-->\n)?```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)```", re.DOTALL)
STARTS_S = 30.0


def steps(text: str) -> Iterator[tuple[str, str, str]]:
    """(kind, title, body) of each block that is run or written."""
    for skipped, kind, title, body in FENCE.findall(text):
        if title:
            yield "file", title, body
        elif kind == "console" and not skipped:
            for part in re.split(r"(?m)^\$ ", body)[1:]:
                command, _, output = part.partition("\n")
                yield "command", command, output


def matches(expected: str, printed: str) -> bool:
    """`…` stands for anything; other lines must be there in order."""
    pattern = re.escape(expected.strip()).replace("…", ".*?")
    return re.search(pattern, printed, re.DOTALL) is not None


class Shell:
    """A directory, and where commands stand in it."""

    def __init__(self, base: Path) -> None:
        self.base = self.cwd = base
        shim = base / "bin" / "datong"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m hub.cli.main "$@"\n')
        shim.chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{shim.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DATONG_HTTP__PORT": str(free_port()),
        }
        self.servers: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace("python3 dev.py demo", "datong demo")
        script = f"{command}\ncode=$?\npwd > {self.base}/cwd\nexit $code"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.cwd, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        self.cwd = Path((self.base / "cwd").read_text().strip())
        return done

    def serve(self, command: str) -> None:
        words = command.removesuffix("&").split()
        self.servers.append(subprocess.Popen(words, cwd=self.cwd, env=self.env))
        deadline = time.monotonic() + STARTS_S
        while not (self.cwd / "var/hub.json").exists():
            assert time.monotonic() < deadline, "the hub does not start"
            time.sleep(0.05)

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            assert server.wait(30) == 0


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("page", ["README.md", "README.zh.md", "docs/tutorial.md"])
def test_a_page_runs(page: str, shell: Shell) -> None:
    for kind, title, body in steps((ROOT / page).read_text(encoding="utf-8")):
        if kind == "file":
            path = shell.base / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        elif title.endswith("&"):
            shell.serve(title)
        else:
            done = shell.run(title)
            assert done.returncode == 0, (title, done.stdout, done.stderr)
            if body.strip():
                assert matches(body, done.stdout), (title, body, done.stdout)
