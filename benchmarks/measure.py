"""One process at a time, pinned to its cores, and what it cost as the kernel counted it. Linux; elsewhere nothing is pinned.

This process imports nothing large: a child's peak memory never counts less than its parent's."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 1800.0


class SubjectFailed(Exception):
    """A subject did not end well; its last words."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one process took from start to end, and the last line it printed."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    answer: dict[str, Any]


def answer_of(output: bytes) -> dict[str, Any] | None:
    """The last JSON object: on the last line, or all of the output."""
    for text in (output.strip().rpartition(b"\n")[2], output):
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def run(
    command: Sequence[str],
    *,
    cores: int = 1,
    env: Mapping[str, str] | None = None,
    parse: Callable[[bytes], dict[str, Any] | None] = answer_of,
) -> Cost:
    """Run a command whose output `parse` understands. Raises SubjectFailed."""
    made = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=made, stdout=subprocess.PIPE, stderr=errors, preexec_fn=lambda: pin(range(cores))
        )
        watchdog = threading.Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        assert process.stdout is not None
        output = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        watchdog.cancel()
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        answer = parse(output)
        if process.returncode or answer is None:
            said = errors.read().decode("utf-8", "replace")[-2000:] or output.decode("utf-8", "replace")[-2000:]
            raise SubjectFailed(f"{' '.join(command[1:5])} ended with {process.returncode}: {said}")
    return Cost(wall_s=wall, cpu_s=usage.ru_utime + usage.ru_stime, rss_mb=usage.ru_maxrss / 1024, answer=answer)


def module(name: str, *arguments: object) -> list[str]:
    """The command of a module of this project."""
    return [sys.executable, "-P", "-m", name, *map(str, arguments)]


def cpu_of(pid: int) -> float:
    """User and system time of a process that runs, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(pid: int) -> float:
    """The most memory that a process which runs ever had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def pin(cores: Sequence[int]) -> None:
    """Stay on the first cores of the machine; where that cannot be said, do nothing."""
    if hasattr(os, "sched_setaffinity"):
        there = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {there[core] for core in cores if core < len(there)} or set(there))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }
