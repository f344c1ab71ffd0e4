#!/usr/bin/env python3
"""The project's one command. `python3 dev.py demo` and `python3 dev.py test` do all set-up by themselves.

    demo [OPTIONS]     publish real data through eight connectors and read it as two agencies; with --kafka, on a real broker
    test [OPTIONS]     run the tests (options go to pytest)
    check [--static]   format, lint, types, import contracts, then the tests
    docs               write docs/reference from the code
    screenshots        take the pictures of the console that README shows (Chromium)
    services NAME VERB start, stop or look at a real `kafka` or `postgres` on loopback, without containers
    bench NAME …       measure: pipeline, postgres, sqlite, snapshot, small-batch, delivery, registry, console, profile;
                       peers, report
    datong COMMAND …   the command line of the hub
    lock [OPTIONS]     write requirements.lock from pyproject.toml (options go to uv, such as --upgrade)

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
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "datong-installed"
OLDEST = (3, 11)
USAGE, INTERRUPTED = 2, 130
NEWS_EVERY_S = 10.0  # how often progress is told where there is no terminal
STATIC = {
    "format": ["-m", "ruff", "format", "--check", "."],
    "lint": ["-m", "ruff", "check", "."],
    "types": ["-m", "mypy"],
    "import contracts": ["-c", "from importlinter.cli import lint_imports_command as c; c()"],
}
MENDS = {  # the command that brings pip to a system's own Python
    "apt-get": "sudo apt-get install python{version}-venv",
    "dnf": "sudo dnf install python{version}-pip",
    "zypper": "sudo zypper install python3-pip",
    "apk": "sudo apk add py3-pip",
}


class SetupFailed(Exception):
    """What is wrong, and what mends it."""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if sys.version_info < OLDEST:
        say(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}")
        return 1
    name, *rest = arguments or ["help"]
    if name in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if name not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return USAGE
    try:
        if name != "lock":
            ensure_venv()
        return COMMANDS[name](rest)
    except SetupFailed as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def say(text: str) -> None:
    """Progress goes to stderr: stdout belongs to the command."""
    print(f"[dev] {text}", file=sys.stderr, flush=True)


# --- commands ---------------------------------------------------------------------------------------------------------


def demo(options: Sequence[str]) -> int:
    if "--kafka" not in options:
        return become("-P", "-m", "hub.cli.main", "demo", *options)
    started = subprocess.run(
        [str(python_of(VENV)), "-P", "-m", "deploy.services", "kafka", "start", "--print-url"],
        stdout=subprocess.PIPE, text=True, check=False, env=environment(),
    )  # fmt: skip
    if started.returncode:
        return started.returncode
    os.environ["DATONG_LOG__URL"] = started.stdout.strip()
    rest = [o for o in options if o != "--kafka"]
    if not any(o.startswith(("--directory", "-d")) for o in rest):
        rest += ["--directory", "datong-demo-kafka"]
    return become("-P", "-m", "hub.cli.main", "demo", *rest)


def services(options: Sequence[str]) -> int:
    return become("-P", "-m", "deploy.services", *options)


def bench(options: Sequence[str]) -> int:
    return become("-P", "-m", "benchmarks", *options)


def datong(options: Sequence[str]) -> int:
    return become("-P", "-m", "hub.cli.main", *options)


def docs(options: Sequence[str]) -> int:
    os.chdir(ROOT)
    return run("docs/generate.py", *options)


def screenshots(options: Sequence[str]) -> int:
    os.chdir(ROOT)
    return run("docs/screenshots.py", *options)


def test(options: Sequence[str]) -> int:
    os.chdir(ROOT)
    return run("-m", "pytest", *(options or ["-q", "-n", str(min(os.cpu_count() or 1, 4)), "-m", "not long"]))


def check(options: Sequence[str]) -> int:
    """Everything a commit must pass; goes on after a failure, to show all of them."""
    if list(options) not in ([], ["--static"]):
        print(__doc__, file=sys.stderr)
        return USAGE
    os.chdir(ROOT)
    failed = []
    for name, arguments in STATIC.items():
        say(f"checking {name}")
        if run(*arguments):
            failed.append(name)
    if not options and test([]):
        failed.append("tests")
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def lock(options: Sequence[str]) -> int:
    """Resolve pyproject's dependencies for all platforms, with hashes and without any index address."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("fetching uv")
        make_venv(folder / "uv")
        must([*pip_of(folder / "uv"), "install", "--quiet", "uv"], "pip could not install uv")
        (folder / "requirements.in").write_text("\n".join(wanted), encoding="utf-8")
        made = folder / "requirements.txt"
        if LOCK.exists():
            shutil.copy(LOCK, made)  # what is pinned stays pinned, unless --upgrade is given
        say("resolving")
        # fmt: off
        must([str(python_of(folder / "uv")), "-P", "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes",
              "--no-emit-index-url", "--no-annotate", "--python-version", f"{OLDEST[0]}.{OLDEST[1]}",
              "--custom-compile-command", "python3 dev.py lock", *options,
              str(folder / "requirements.in"), "-o", str(made)], "uv could not resolve", env=index_of_pip())
        # fmt: on
        LOCK.write_bytes(made.read_bytes())
    say(f"wrote {LOCK.name}")
    return 0


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "demo": demo, "test": test, "check": check, "docs": docs, "datong": datong, "services": services, "bench": bench,
    "lock": lock, "screenshots": screenshots,
}  # fmt: skip


# --- the virtual environment ------------------------------------------------------------------------------------------


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure_venv() -> None:
    """Make .venv what the lock says, for this Python and this place. The stamp is taken away first and written last, so
    that an interrupted installation is never taken for a whole one."""
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode() + str(ROOT).encode()).hexdigest()
    if installed(wanted):
        return
    with exclusive():
        if installed(wanted):  # another dev.py was faster
            return
        started = time.monotonic()
        STAMP.unlink(missing_ok=True)
        say(f"making a virtual environment for Python {sys.version.split()[0]}")
        make_venv(VENV)
        install()
        link_project()
        STAMP.write_text(wanted, encoding="utf-8")
        say(f"installed in {time.monotonic() - started:.0f} s")


def installed(wanted: str) -> bool:
    return python_of(VENV).exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Two dev.py at once: the second waits. The system drops the lock of a process that dies."""
    with (ROOT / ".venv.lock").open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another dev.py installs; waiting")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_venv(folder: Path) -> None:
    """An empty virtual environment, also where `venv` cannot bring a pip of its own (Debian without python3-venv)."""
    base = sys.executable
    if Path(sys.prefix).resolve() == folder.resolve():  # called by the very Python that goes away
        base = getattr(sys, "_base_executable", base)
    make = [base, "-I", "-m", "venv", "--clear"]
    if quiet([*make, str(folder)]) is None:
        return
    must([*make, "--without-pip", str(folder)], f"cannot make a virtual environment in {folder}")
    pip_of(folder)


def pip_of(venv: Path) -> list[str]:
    """A pip that installs into `venv`: its own, or the one of the Python that runs this."""
    own = [str(python_of(venv)), "-I", "-m", "pip"]
    lent = [sys.executable, "-P", "-m", "pip", "--python", str(python_of(venv))]
    for pip in (own, lent):
        if quiet([*pip, "--version"]) is None:
            return pip
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    mends = [mend.format(version=version) for tool, mend in MENDS.items() if shutil.which(tool)]
    mend = mends[0] if mends else "your system's package for pip, often called python3-pip"
    raise SetupFailed(f"this Python has neither ensurepip nor pip 22.3 or newer; mend it with: {mend}")


def install() -> None:
    """Install the locked packages, each checked against its hash; the lock is whole, so pip resolves nothing."""
    pinned = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line and line[0] not in " #"]
    # fmt: off
    command = [*pip_of(VENV), "install", "--progress-bar", "off", "--disable-pip-version-check", "--no-input",
               "--require-hashes", "--no-deps", "-r", str(LOCK)]
    # fmt: on
    say(f"installing {len(pinned)} packages from {LOCK.name} (about a minute on a fresh machine)")
    tail: deque[str] = deque(maxlen=40)
    told = {**os.environ, "PIP_USER": "0"}  # a venv has no user site; all else that pip is told, it keeps
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=told) as pip:
        news = Progress(len(pinned))
        for line in pip.stdout or ():
            tail.append(line)
            news.look(line)
        news.end()
    if pip.returncode:
        raise SetupFailed(f"pip could not install the packages:\n{''.join(tail)}")


class Progress:
    """How far pip is, from what it prints: one line that changes on a terminal, else a line now and then."""

    def __init__(self, count: int) -> None:
        self.count, self.seen = count, 0
        self.terminal = sys.stderr.isatty()
        self.started = self.told = time.monotonic()

    def look(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        if word == "Collecting":
            self.seen += 1
            self.tell(f"{self.seen}/{self.count} {rest.partition('==')[0]}", force=False)
        elif word == "Installing":
            self.tell("unpacking", force=True)

    def tell(self, text: str, *, force: bool) -> None:
        now = time.monotonic()
        if self.terminal:
            print(f"\r\x1b[K[dev] {text} ({now - self.started:.0f} s)", end="", file=sys.stderr, flush=True)
        elif force or now - self.told >= NEWS_EVERY_S:
            say(f"{text} ({now - self.started:.0f} s)")
            self.told = now

    def end(self) -> None:
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def link_project() -> None:
    """Let the venv import the project and find the `datong` command."""
    if os.name == "nt":
        (VENV / "Lib/site-packages/datong.pth").write_text(f"{ROOT}\n", encoding="utf-8")
        return
    (site,) = VENV.glob("lib/python*/site-packages")
    (site / "datong.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    script = VENV / "bin/datong"
    start = f'PYTHONPATH="{ROOT}" exec "{python_of(VENV)}" -P -m hub.cli.main "$@"'
    script.write_text(f"#!/bin/sh\n{start}\n", encoding="utf-8")
    script.chmod(0o755)


def index_of_pip() -> dict[str, str]:
    """uv reads none of pip's settings: hand over the index and the certificates that pip uses. Nothing of it is written."""
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    listed = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        name = names.get(key.rpartition(".")[2])
        if name and name not in os.environ:
            found[name] = value.strip("'\"").replace("\\n", " ")
    return found


# --- processes --------------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The caller's, with the project first on the path and nothing else of theirs on it."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONHOME"} | {"PYTHONPATH": str(ROOT)}


def become(*arguments: str) -> int:
    """Turn into a command of the venv's Python, in the caller's directory: signals and exit code are its own."""
    if os.name != "nt":
        os.execve(python_of(VENV), [str(python_of(VENV)), *arguments], environment())
    return run(*arguments)


def run(*arguments: str) -> int:
    """Run a command of the venv's Python. Ctrl-C reaches it too, and it alone decides when to end."""
    with subprocess.Popen([str(python_of(VENV)), *arguments], env=environment()) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                continue
            return code if code >= 0 else 128 - code


def must(command: Sequence[str], failure: str, *, env: Mapping[str, str] | None = None) -> None:
    """Run a command whose output matters only when it fails."""
    problem = quiet(command, env=env)
    if problem is not None:
        raise SetupFailed(f"{failure}:\n{problem}")


def quiet(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> str | None:
    """Run a command; None when it went well, else the end of what it printed."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return None if done.returncode == 0 else done.stdout[-3000:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
