"""The other Python frameworks: an environment each, and the same user code in all of them (benchmarks/rows.py).

`peers.jvm` has those on the JVM."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import jvm
from benchmarks.rounds import About

FASTAVRO = "fastavro==1.13.1"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A framework, how it is installed, and how its job differs from the hub's."""

    name: str
    packages: Sequence[str]
    job: str  # module below benchmarks.peers
    about: About


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            name="quixstreams",
            packages=("quixstreams==3.28.1",),
            job="quix",
            about=About(
                ran="a `Source` of its own that converts and produces",
                not_done="no transactions, no check of duplicates, rejects only counted",
            ),
        ),
        Peer(
            name="bytewax",
            packages=("bytewax==0.21.1", "confluent-kafka==2.16.1"),
            job="bytewax_flow",
            about=About(ran="CSVSource → filter_map → KafkaSink", not_done="no transactions, rejects only counted"),
        ),
        Peer(
            name="faststream",
            packages=("faststream[confluent]==0.7.8",),
            job="faststream_app",
            about=About(
                ran="`publish(no_confirm=True)` of each record", not_done="no transactions, rejects only counted"
            ),
        ),
        Peer(
            name="pathway",
            packages=("pathway==0.33.0",),
            job="pathway_graph",
            about=About(
                ran="static CSV → Python UDF → kafka.write(raw)",
                not_done="no transactions, no headers, no order, rejects only counted",
            ),
        ),
    )
}
KNOWN = (*PEERS, *jvm.JVM)


def home() -> Path:
    """Where the environments are kept: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "datong" / "peers"


def python_of(peer: Peer, folder: Path) -> Path | None:
    """The peer's Python, if it was installed."""
    found = folder / peer.name / "bin" / "python"
    return found if (folder / peer.name / "complete").exists() and found.exists() else None


def version_of(name: str) -> str:
    """As it is pinned."""
    if name in jvm.JVM:
        return jvm.JVM[name].version
    return PEERS[name].packages[0].partition("==")[2]


def install(names: Sequence[str], folder: Path) -> Mapping[str, str]:
    """Make the environments that are missing; a word on each."""
    done = {}
    for name in names or KNOWN:
        if name in jvm.JVM:
            done[name] = jvm.install(jvm.JVM[name], folder)
        else:
            done[name] = environment(name, [*PEERS[name].packages, FASTAVRO], folder)
    return done


def environment(name: str, packages: Sequence[str], folder: Path) -> str:
    """Make one environment where it is missing; a word on it, which begins with "not" when it failed."""
    where = folder / name
    if (where / "complete").exists():
        return "there already"
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(where)], check=True)
    pip = [str(where / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    done = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"not installed: {done.stderr.strip()[-300:]}"
    (where / "complete").touch()
    return "installed"
