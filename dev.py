#!/usr/bin/env python3
"""The project's one command. `python3 dev.py demo` and `python3 dev.py test` do all set-up by themselves.

    demo [OPTIONS]     publish real data through four connectors and read it as two agencies
    test [OPTIONS]     run the tests (options go to pytest)
    check              format, lint, types, import contracts, tests
    docs               write docs/reference from the code
    datong COMMAND …   the command line of the hub
    lock               make requirements.lock anew

Needs Python 3.11 or newer with pip; installs into .venv, from a lock with hashes, only when the lock changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "datong-installed"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = (3, 11)


def say(text: str) -> None:
    """Progress goes to stderr: stdout belongs to the command."""
    print(f"[dev] {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    say(text)
    return 1


def main(arguments: Sequence[str]) -> int:
    if sys.version_info < OLDEST:
        return fail(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}")
    command, *rest = arguments or ["help"]
    if command in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if command not in ("demo", "test", "check", "docs", "datong", "lock"):
        print(__doc__, file=sys.stderr)
        return 2
    if command == "lock":
        return make_lock()
    problem = ensure_venv()
    if problem:
        return fail(problem)
    if command == "demo":
        return run("-m", "hub.cli.main", "demo", *rest)
    if command == "datong":
        return run("-m", "hub.cli.main", *rest)
    if command == "docs":
        return run("docs/generate.py", *rest)
    if command == "test":
        return test(rest)
    return check()


def run(*arguments: str, env: dict[str, str] | None = None) -> int:
    """A command of the venv's Python, in the caller's directory; its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    try:
        return subprocess.run([str(PYTHON), *arguments], env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 130


def test(options: Sequence[str]) -> int:
    os.chdir(ROOT)
    chosen = list(options) or ["-q", "-n", str(min(os.cpu_count() or 1, 4)), "-m", "not long"]
    return run("-m", "pytest", *chosen)


def check() -> int:
    """Everything a commit must pass; goes on after a failure, to show all."""
    os.chdir(ROOT)
    steps = [
        ("format", ["-m", "ruff", "format", "--check", "."]),
        ("lint", ["-m", "ruff", "check", "."]),
        ("types", ["-m", "mypy"]),
        ("import contracts", ["-c", "from importlinter.cli import lint_imports_command as c; c()"]),
    ]
    failed = []
    for name, arguments in steps:
        say(f"checking {name}")
        if run(*arguments):
            failed.append(name)
    if "--static" not in sys.argv and test([]):
        failed.append("tests")
    return fail(f"failed: {', '.join(failed)}") if failed else 0


def ensure_venv() -> str:
    """Make .venv what the lock says. Returns what is wrong, or nothing."""
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode() + str(ROOT).encode()).hexdigest()
    if installed(wanted):
        return ""
    with exclusive():
        if installed(wanted):  # another dev.py was faster
            return ""
        started = time.monotonic()
        problem = make_venv() or install()
        if problem:
            return problem
        link_project()
        STAMP.write_text(wanted)
        say(f"installed in {time.monotonic() - started:.0f} s")
    return ""


def installed(wanted: str) -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Two dev.py at once: the second waits. A lock that its owner left behind is taken over after ten minutes."""
    lock = ROOT / ".venv.lock"
    told = False
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - lock.stat().st_mtime > 600:
                    lock.unlink()
            if not told:
                say("another dev.py installs; waiting")
                told = True
            time.sleep(0.5)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def make_venv() -> str:
    """A fresh virtual environment with pip, also where `venv` cannot bring its own pip."""
    if PYTHON.exists() and works("-m", "pip", "--version"):
        return ""
    say(f"making a virtual environment for Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    made = quiet([sys.executable, "-m", "venv", str(VENV)])
    if made is None and works("-m", "pip", "--version"):
        return ""
    shutil.rmtree(VENV, ignore_errors=True)
    made = quiet([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    if made is None:
        borrowed = quiet([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"])
        if borrowed is None:
            return ""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return f"this Python has neither venv with pip nor pip; on Debian: apt install python{version}-venv"


def install() -> str:
    """Install the locked packages, each checked against its hash; the lock is whole, so pip resolves nothing."""
    count = sum(1 for line in LOCK.read_text().splitlines() if "==" in line and not line.startswith((" ", "#")))
    say(f"installing {count} packages from requirements.lock (about a minute on a fresh machine)")
    problem = quiet([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
                     "--require-hashes", "--no-deps", "-r", str(LOCK)])  # fmt: skip
    return f"pip could not install the packages:\n{problem}" if problem is not None else ""


def link_project() -> None:
    """Let the venv import the project and find the `datong` command."""
    (site,) = VENV.glob("lib/python*/site-packages") if os.name != "nt" else [VENV / "Lib/site-packages"]
    (site / "datong.pth").write_text(f"{ROOT}\n")
    script = PYTHON.parent / "datong"
    script.write_text(f"#!{PYTHON}\nfrom hub.cli.main import main\nmain()\n")
    script.chmod(0o755)


def works(*arguments: str) -> bool:
    return PYTHON.exists() and quiet([str(PYTHON), *arguments]) is None


def quiet(command: list[str]) -> str | None:
    """Run a command; None when it went well, else the end of what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return None if done.returncode == 0 else done.stdout[-3000:]


def make_lock() -> int:
    """Resolve pyproject's dependencies for all platforms, with hashes and without any index address."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    with tempfile.TemporaryDirectory() as folder:
        say("resolving with uv")
        tools = Path(folder) / "uv"
        problem = quiet([sys.executable, "-m", "venv", str(tools)])
        uv = tools / PYTHON.relative_to(VENV).parent / "uv"
        problem = problem or quiet([str(uv.parent / "python"), "-m", "pip", "install", "--quiet", "uv"])
        if problem:
            return fail(problem)
        (Path(folder) / "requirements.in").write_text("\n".join(wanted))
        problem = quiet([str(uv), "pip", "compile", "--universal", "--generate-hashes", "--no-emit-index-url",
                         "--no-annotate", "--python-version", "3.11", "--quiet", "--custom-compile-command",
                         "python3 dev.py lock", f"{folder}/requirements.in", "-o", str(LOCK)])  # fmt: skip
    return fail(problem) if problem is not None else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
