"""`python3 benchmarks/run.py [ROWS]`: the hub through `datong run` and an ordinary project, CSV → SQLite log, one core.

Each run is a process of its own, pinned to one core. Prints µs a record (wall and CPU of the whole process, start-up
included), peak memory, and what was accepted and rejected."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def measure(project: Path, *arguments: str) -> dict[str, Any]:
    """One `datong run` of a project."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hub.cli.main", "run", "--json", "--project", str(project), *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, preexec_fn=_pin)
    output, _ = process.communicate()
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = json.loads(output)["runs"][0]
    totals = run["totals"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "state": run["state"],
        **{k: totals[k] for k in ("read", "published", "quarantined", "unchanged")},
        "wall_us": round(wall / totals["read"] * 1e6, 2),
        "cpu_us": round(cpu / totals["read"] * 1e6, 2),
        "peak_mb": round(after.ru_maxrss / 1024),
    }


def _pin() -> None:
    os.sched_setaffinity(0, {0})


def main() -> None:
    """Append, then snapshot twice: first and unchanged."""
    from benchmarks.workload import write_project

    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        append, snapshot = Path(folder) / "append", Path(folder) / "snapshot"
        write_project(append, rows)
        print("append, first run     ", json.dumps(measure(append)), flush=True)
        if rows > 2_000_000:
            return
        write_project(snapshot, rows, mode="snapshot")
        print("snapshot, first run   ", json.dumps(measure(snapshot)), flush=True)
        print("snapshot, unchanged   ", json.dumps(measure(snapshot)), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
