"""Peers on the JVM: their jars by Maven's coordinates, kept beside the Python peers' environments."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rounds import About
from deploy.services import ServiceMissing
from deploy.services import kafka as service

JARS = Path(__file__).parent / "jars"
PLACES = {"connect": "connect", "debezium": "plugins/debezium"}  # of sets of jars, below `jvm`
NEEDS_JAVA = "not installed: it needs Java 17 or newer (Debian: default-jre-headless) and Maven (Debian: maven)"


@dataclass(frozen=True, kw_only=True)
class JvmPeer:
    """A program on the JVM, and how its work differs from the hub's."""

    name: str
    version: str
    sets: tuple[str, ...]  # of jars: files of `jars/`; none: Kafka's own tools
    about: About


JVM: Mapping[str, JvmPeer] = {
    peer.name: peer
    for peer in (
        JvmPeer(
            name="connect-file",
            version="4.3.1",
            sets=("connect",),
            about=About(
                ran="Kafka Connect's FileStreamSource in a standalone worker, each line as a string",
                not_done="copies lines: no parsing, mapping, checks, rejects, Avro, keys, headers or transactions",
            ),
        ),
        JvmPeer(
            name="debezium",
            version="3.3.2.Final",
            sets=("connect", "debezium"),
            about=About(
                ran="Debezium's PostgreSQL snapshot in a standalone Connect worker, JSON without schema",
                not_done="no mapping, checks, rejects, Avro, headers or transactions",
            ),
        ),
        JvmPeer(
            name="producer-performance",
            version="4.3.1",
            sets=(),
            about=About(
                ran="Kafka's own ProducerPerformance, values picked from the extract's lines",
                not_done="only sends: no reading, mapping, checks, Avro, keys, headers or transactions",
            ),
        ),
    )
}


def jars_of(peer: JvmPeer, folder: Path) -> Path | None:
    """The folder that its sets of jars are in, if all of them were fetched, and Java and Linux's /proc are there."""
    if shutil.which("java") is None or not Path("/proc/self/stat").exists():
        return None
    if not all((_set(folder, name) / "complete").exists() for name in peer.sets):
        return None
    if not peer.sets:
        try:
            return service.jars()
        except ServiceMissing:
            return None
    return folder / "jvm"


def install(peer: JvmPeer, folder: Path) -> str:
    """Fetch the jars that are missing; a word on it."""
    if jars_of(peer, folder):
        return "there already"
    if shutil.which("java") is None or shutil.which("mvn") is None:
        return NEEDS_JAVA
    if not peer.sets:
        return _kafka()
    for name in peer.sets:
        if problem := _fetch(name, _set(folder, name)):
            return f"not installed: {problem}"
    return "installed"


def _set(folder: Path, name: str) -> Path:
    return folder / "jvm" / PLACES[name]


def _kafka() -> str:
    try:
        service.jars()
    except ServiceMissing as missing:
        return f"not installed: {missing}"
    return "installed"


def _fetch(name: str, target: Path) -> str:
    """What went wrong, or nothing."""
    if (target / "complete").exists():
        return ""
    shutil.rmtree(target, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(JARS / f"{name}.xml"), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        return (done.stdout + done.stderr).strip()[-500:]
    (target / "complete").touch()
    return ""
