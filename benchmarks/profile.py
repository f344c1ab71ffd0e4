"""`profile`: where the time of `datong run` goes, sampled from outside by py-spy, native frames included.

py-spy has an environment of its own, as the peers have. A sample belongs to the innermost frame that is told apart: a
library's, the kernel's, else the Python function that was running."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measure import SubjectFailed, module, pin
from benchmarks.peers import environment
from benchmarks.pipeline import Options, opened
from benchmarks.postgres import published_table
from benchmarks.project import Project
from benchmarks.rounds import ratios, tell

SAMPLER = "py-spy"
PACKAGES = ("py-spy==0.4.3",)
RATE = 200  # samples a second
LEAST = 0.002  # share of all samples below which a stack is cut short
TOP = 12  # functions listed
FRAME = re.compile(r"^(?P<name>.*) \((?P<place>[^()]*)\)$")
LIBRARIES = (  # part of a native frame's file, layer
    ("arrow", "arrow"),
    ("numpy", "numpy"),
    ("openblas", "numpy"),
    ("lz4", "lz4"),
    ("sqlite", "sqlite"),
    ("crc32c", "hashes"),
    ("blake2", "hashes"),
    ("_hashlib", "hashes"),
    ("libcrypto", "hashes"),
    ("adbc", "arrow"),
    ("_block.c", "lz4"),  # modules whose debugging symbols name their source
    ("_frame.c", "lz4"),
    ("cursor.c", "sqlite"),
    ("connection.c", "sqlite"),
)
SYSTEM = re.compile(r"^(lib(c|m|pthread|dl|stdc\+\+|gcc_s)[.-]|ld-|linux-vdso|\?$)")
CALLS = re.compile(
    r"^(_*(libc_)?)?(p?read|p?write|readv|writev|send|recv|f?sync|fdatasync|open|close|mmap|munmap|madvise|mprotect|brk"
    r"|lseek|f?stat|fallocate|fcntl|ioctl)(to|from|msg|64|at)*$"
)
WAITS = re.compile(r"(sem_|futex|cond_|clock_nanosleep|^_*(libc_)?(e?poll|p?select|ppoll|epoll_p?wait)$)")
WAITERS = re.compile(r"(wait|join|acquire|_wait_for_tstate_lock) \(threading\.py\)$|select \(selectors\.py\)$")
WAITING = "waiting"  # a thread with nothing to do takes no time
AROUND = re.compile(r"^(typer|click|threading\.py|concurrent/|<frozen runpy>|contextlib\.py)")  # of what calls the hub
IMPORTS = "imports"  # a layer of its own: all that happens below an import statement
PYTHON = re.compile(r"(^|/)(lib)?python[0-9.]*(\.so[0-9.]*)?$")


@dataclass(frozen=True)
class Seen:
    """A frame: its layer, and the name it has in the graph."""

    layer: str
    name: str


Stack = tuple[Seen, ...]


def profile(rows: int, sink: str, folder: Path) -> dict[str, Any]:
    """Sample one run of an ordinary project; `postgres`: of a table, to SQLite. Raises SubjectFailed, ServiceMissing."""
    said = environment(SAMPLER, PACKAGES, folder)
    if said.startswith("not"):
        raise SubjectFailed(f"py-spy is {said}")
    with _table(rows) if sink == "postgres" else _extract(rows, sink) as (project, env):
        tell(f"sampling a run of {rows:,} rows")
        folded = _sample(project, env, folder / SAMPLER / "bin" / "py-spy")
    return report(rows, sink, folded)


@contextmanager
def _extract(rows: int, sink: str) -> Iterator[tuple[Project, Mapping[str, str]]]:
    with opened(Options(rows=rows, sink=sink)) as bench, bench.place() as place:
        project = Project(directory=place.folder, tag=place.tag)
        project.write(bench.extracts(rows))
        yield project, {"DATONG_LOG__URL": f"kafka://{bench.broker.bootstrap}" if bench.broker else ""}


@contextmanager
def _table(rows: int) -> Iterator[tuple[Project, Mapping[str, str]]]:
    with published_table(rows) as (project, env):
        yield project, {**env, "DATONG_LOG__URL": ""}


def _sample(project: Project, env: Mapping[str, str], sampler: Path) -> list[str]:
    """Folded stacks. The run has one core, the sampler what is left."""
    command = module("hub.cli.main", "run", project.connector, "--json", "--project", project.directory)
    env = {**os.environ, **env}
    out = project.directory / "folded.txt"
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, preexec_fn=lambda: pin(range(1))) as run:
        options = ["--native", "--rate", str(RATE), "--format", "raw", "--output", str(out), "--pid", str(run.pid)]
        sampled = subprocess.run([str(sampler), "record", *options], capture_output=True, text=True, check=False)
        said, _nothing = run.communicate()
    if run.returncode or not out.exists():
        raise SubjectFailed(f"the run ended with {run.returncode}: {said.decode()[-500:]} {sampled.stderr[-1000:]}")
    return out.read_text(encoding="utf-8").splitlines()


def report(rows: int, sink: str, folded: Iterable[str]) -> dict[str, Any]:
    """Shares by layer and by Python function, and the stacks for the graph."""
    stacks: Counter[Stack] = Counter()
    layers: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in folded:
        text, _, count = line.rpartition(" ")
        frames = told_apart(text.split(";"))
        if not frames or frames[-1].layer == WAITING or WAITERS.search(frames[-1].name):
            continue
        samples = int(count)
        stacks[tuple(frames)] += samples
        layers[frames[-1].layer] += samples
        if frames[-1].layer in ("hub", "python"):
            functions[frames[-1].name] += samples
    total = sum(layers.values())
    if not total:
        raise SubjectFailed("py-spy saw nothing")
    shares = [(name, round(n / total, 4)) for name, n in functions.most_common(TOP)]
    return {
        "benchmark": "profile",
        "rows": rows,
        "sink": sink,
        **machine.describe(),
        "samples": total,
        "layers": {name: round(n / total, 4) for name, n in layers.most_common()},
        "functions": [{"function": name, "share": share} for name, share in shares],
        **ratios({"largest_python_share": shares[0][1] if shares else 0.0}, {}),
        "stacks": nested(cut(stacks, LEAST * total)),
        "failures": {},
    }


def told_apart(frames: Sequence[str]) -> list[Seen]:
    """From the first Python frame on; native frames of one library as one, the interpreter's own left out."""
    found: list[Seen] = []
    for text in frames:
        match = FRAME.match(text)
        if match is None:
            continue
        name, place = match["name"], match["place"]
        if place.startswith("<frozen importlib"):
            return [*found, Seen(IMPORTS, IMPORTS)]
        seen = _python(name, place) if ".py" in place or place.startswith("<") else _native(name, place)
        if seen is None or (not found and (seen.layer not in ("hub", "python") or AROUND.match(_file(place)))):
            continue
        if not found or found[-1] != seen:
            found.append(seen)
    return found


def _file(place: str) -> str:
    """Without the line, and below the folder that it is imported from."""
    return re.sub(r"^.*?(site-packages|lib/python[0-9.]+)/", "", place.rpartition(":")[0] or place)


def _python(name: str, place: str) -> Seen:
    short = _file(place)
    for package in ("pyarrow", "numpy", "lz4"):
        if short.startswith(f"{package}/"):
            return Seen("arrow" if package == "pyarrow" else package, package)
    ours = re.search(r"(^|/)((hub|connectors)/.*)$", short)
    return Seen("hub" if ours else "python", f"{name} ({ours[2] if ours else short})")


def _native(name: str, place: str) -> Seen | None:
    """None: what belongs to its caller."""
    file = place.rpartition(":")[0] or place
    for part, layer in LIBRARIES:
        if part in file:
            return Seen(layer, layer)
    if SYSTEM.match(file.rpartition("/")[2]):
        if WAITS.search(name):
            return Seen(WAITING, WAITING)
        return Seen("kernel", name.strip("_")) if CALLS.match(name) else None
    interpreter = PYTHON.search(file) or "cpython" in file or file.endswith((".c", ".h"))
    return None if interpreter else Seen("other", file.rpartition("/")[2])


def cut(stacks: Mapping[Stack, int], least: float) -> dict[Stack, int]:
    """Stacks with fewer samples end at their deepest frame that has enough; the samples are kept."""
    below: Counter[Stack] = Counter()
    for stack, samples in stacks.items():
        for depth in range(1, len(stack) + 1):
            below[stack[:depth]] += samples
    made: Counter[Stack] = Counter()
    for stack, samples in stacks.items():
        depth = len(stack)
        while depth > 1 and below[stack[:depth]] < least:
            depth -= 1
        made[stack[:depth]] += samples
    return dict(made)


def nested(stacks: Mapping[Stack, int]) -> dict[str, Any]:
    """`layer|name` → samples in it or below, and what it called in the same form: what `charts.flame` draws."""
    made: dict[str, Any] = {}
    for stack, samples in sorted(stacks.items(), key=lambda item: [(f.layer, f.name) for f in item[0]]):
        calls = made
        for seen in stack:
            at = calls.setdefault(f"{seen.layer}|{seen.name}", [0, {}])
            at[0] += samples
            calls = at[1]
    return made
