"""The other Python frameworks: an environment each, and the same user code in all of them (benchmarks/rows.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FASTAVRO = "fastavro==1.13.1"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A framework, how it is installed, and how its job differs from the hub's."""

    name: str
    packages: Sequence[str]
    job: str  # module below benchmarks.peers
    ran: str
    not_done: str


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            name="quixstreams",
            packages=("quixstreams==3.28.1",),
            job="quix",
            ran="a `Source` of its own that converts and produces",
            not_done="no transactions, no check of duplicates, rejects only counted",
        ),
        Peer(
            name="bytewax",
            packages=("bytewax==0.21.1", "confluent-kafka==2.16.1"),
            job="bytewax_flow",
            ran="CSVSource → filter_map → KafkaSink",
            not_done="no transactions, rejects only counted",
        ),
        Peer(
            name="faststream",
            packages=("faststream[confluent]==0.7.8",),
            job="faststream_app",
            ran="`publish(no_confirm=True)` of each record",
            not_done="no transactions, rejects only counted",
        ),
        Peer(
            name="pathway",
            packages=("pathway==0.33.0",),
            job="pathway_graph",
            ran="static CSV → Python UDF → kafka.write(raw)",
            not_done="no transactions, no headers, no order, rejects only counted",
        ),
    )
}


def home() -> Path:
    """Where the environments are kept: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "datong" / "peers"


def python_of(peer: Peer, folder: Path) -> Path | None:
    """The peer's Python, if it was installed."""
    found = folder / peer.name / "bin" / "python"
    return found if (folder / peer.name / "complete").exists() and found.exists() else None


def install(names: Sequence[str], folder: Path) -> Mapping[str, str]:
    """Make the environments that are missing; a word on each."""
    return {name: _install(PEERS[name], folder) for name in names or PEERS}


def _install(peer: Peer, folder: Path) -> str:
    if python_of(peer, folder):
        return "there already"
    where = folder / peer.name
    subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
    pip = [str(where / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    done = subprocess.run([*pip, *peer.packages, FASTAVRO], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"not installed: {done.stderr.strip()[-300:]}"
    (where / "complete").touch()
    return "installed"
