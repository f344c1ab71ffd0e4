"""A small project, and commands run in this process: their exit code, output and errors."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.cli.main import run
from tests.support.projects import make_project


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Datong = Callable[..., Done]


def in_this_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same as a process would do it, without a second for its start: for what is not about processes."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a new project, which is where commands are run."""
    project = make_project(tmp_path / "p")
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def datong(capsys: pytest.CaptureFixture[str]) -> Datong:
    """Run a command as `datong` does, but for its signals."""

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(list(arguments))
        said = capsys.readouterr()
        return Done(code=code, out=said.out, err=said.err)

    return command
