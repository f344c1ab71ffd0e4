"""`dev.py` on a small project of its own: set-up once, passed arguments, exit codes, signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, signal, sys, time
arguments = sys.argv[1:]
if arguments[:1] == ["exit"]:
    sys.exit(int(arguments[1]))
if arguments[:1] == ["wait"]:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: (print("drained", n, flush=True), sys.exit(0)))
    print("ready", flush=True)
    time.sleep(60)
print(json.dumps({"arguments": arguments, "python": sys.version, "prefix": sys.prefix}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a lock that asks for nothing, installed by its own dev.py."""
    root = tmp_path_factory.mktemp("with blanks") / "project"
    (root / "hub" / "cli").mkdir(parents=True)
    (root / "hub" / "cli" / "main.py").write_text(PROGRAM)
    (root / "requirements.lock").write_text("# nothing\n")
    shutil.copy(ROOT / "dev.py", root)
    return root


def dev(project: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "dev.py"), *arguments]
    return subprocess.run(command, cwd=cwd or project, capture_output=True, text=True, timeout=120, check=False)


def test_arguments_pass_and_stdout_is_the_commands_alone(project: Path) -> None:
    done = dev(project, "datong", "run", "--json", "a b", "--", "-x")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["arguments"] == ["run", "--json", "a b", "--", "-x"]
    assert answer["prefix"] == str(project / ".venv")
    assert json.loads(dev(project, "demo", "--once").stdout)["arguments"] == ["demo", "--once"]


def test_it_installs_once_and_again_for_another_lock(project: Path) -> None:
    dev(project, "datong")
    assert "installing" not in dev(project, "datong").stderr
    lock = project / "requirements.lock"
    lock.write_text(lock.read_text() + "# changed\n")
    assert "installing" in dev(project, "datong").stderr
    assert dev(project, "datong").stderr == ""


def test_an_interrupted_installation_is_begun_again(project: Path) -> None:
    dev(project, "datong")
    stamp = project / ".venv" / "datong-installed"
    stamp.unlink()  # it is taken away first and written last
    (project / ".venv" / "bin" / "python").unlink()
    done = dev(project, "datong")
    assert "installing" in done.stderr
    assert done.returncode == 0
    assert stamp.exists()


def test_a_package_without_its_hash_is_refused_with_what_pip_says(project: Path) -> None:
    lock = project / "requirements.lock"
    before = lock.read_text()
    lock.write_text("pip==1.0\n")
    try:
        done = dev(project, "datong")
        assert done.returncode == 1
        assert "hash" in done.stderr
        assert not (project / ".venv" / "datong-installed").exists()
    finally:
        lock.write_text(before)


def test_the_callers_directory_shadows_nothing(project: Path, tmp_path: Path) -> None:
    for name in ("json", "os", "venv", "pip", "logging", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    (project / ".venv" / "datong-installed").unlink(missing_ok=True)  # set-up is not misled either
    done = dev(project, "datong", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arguments"] == ["x"]
    command = [str(project / ".venv" / "bin" / "datong"), "y"]
    elsewhere = {**os.environ, "PYTHONPATH": str(ROOT)}  # another checkout on the caller's path
    done = subprocess.run(command, cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["arguments"] == ["y"], done.stderr


@pytest.mark.parametrize("code", [0, 3, 5, 130])
def test_the_exit_code_is_the_commands(project: Path, code: int) -> None:
    assert dev(project, "datong", "exit", str(code)).returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_hub_itself(project: Path, number: signal.Signals) -> None:
    dev(project, "datong")
    command = [sys.executable, str(project / "dev.py"), "datong", "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == f"drained {int(number)}\n"
        assert process.wait(120) == 0


def test_two_at_once_install_once(project: Path) -> None:
    lock = project / "requirements.lock"
    lock.write_text(lock.read_text() + "# both\n")
    command = [sys.executable, str(project / "dev.py"), "datong", "x"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("installed in" in text for text in told) == 1


def test_usage(project: Path) -> None:
    assert dev(project, "help").returncode == 0
    assert "datong COMMAND" in dev(project).stdout
    assert dev(project, "demoo").returncode == 2
    assert dev(project, "check", "--statik").returncode == 2


def test_where_venv_brings_no_pip_another_is_lent(project: Path, tmp_path: Path) -> None:
    """A Python whose ensurepip is gone, as on Debian: a directory with its standard library, less that."""
    python = without_ensurepip(tmp_path, lends_pip=True)
    copy = shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns(".venv"))
    done = called_by(python, copy, "datong", "x")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arguments"] == ["x"]


def test_where_there_is_no_pip_at_all_one_command_is_named(project: Path, tmp_path: Path) -> None:
    python = without_ensurepip(tmp_path, lends_pip=False)
    copy = shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns(".venv"))
    done = called_by(python, copy, "datong", "x")
    assert done.returncode == 1
    assert "mend it with: " in done.stderr
    assert not (copy / ".venv" / "datong-installed").exists()


def without_ensurepip(where: Path, *, lends_pip: bool) -> Path:
    """A Python made of links to this one's standard library, without ensurepip; skipped where that makes none."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = Path(os.__file__).parent
    made = where / "lib" / version
    (made / "site-packages").mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name not in ("ensurepip", "site-packages", "dist-packages", "EXTERNALLY-MANAGED"):
            (made / entry.name).symlink_to(entry)
    if lends_pip:
        pip = pytest.importorskip("pip")
        (made / "site-packages" / "pip").symlink_to(Path(pip.__file__).parent)
    python = where / "bin" / version
    python.parent.mkdir()
    shutil.copy(Path(sys.base_prefix) / "bin" / version, python)
    probe = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], env=plain(), capture_output=True, check=False
    )
    if probe.stdout.decode().strip() != str(where):
        pytest.skip("this Python cannot be moved")
    return python


def plain() -> dict[str, str]:
    library = str(Path(sys.base_prefix) / "lib")
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"LD_LIBRARY_PATH": library}


def called_by(python: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), str(project / "dev.py"), *arguments]
    return subprocess.run(command, env=plain(), capture_output=True, text=True, timeout=120, check=False)
