"""A PostgreSQL of the benchmark's own on loopback, with the system's programs, on the core that no subject uses."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.broker import other_core
from deploy.services import ServiceMissing

USER, DATABASE = "bench", "postgres"
SYSTEM_USER = "postgres"  # the server refuses to run as root
PLACES = ("/usr/lib/postgresql/{version}/bin", "/usr/pgsql-{version}/bin")
VERSIONS = range(30, 13, -1)
TIMEOUT_S = 120.0
SETTINGS = (  # fsync stays on; Debezium refuses a server without logical replication
    "listen_addresses=127.0.0.1",
    "shared_buffers=512MB",
    "wal_level=logical",
    "max_wal_size=4GB",
    "autovacuum=off",
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where it is, as libpq's variables: they reach a process without standing in its command."""

    env: Mapping[str, str]
    version: str

    @property
    def url(self) -> str:
        """For a connector's file; its password is the variable PGPASSWORD."""
        return f"postgresql://{USER}:${{secret:PGPASSWORD}}@{self.env['PGHOST']}:{self.env['PGPORT']}/{DATABASE}"


def programs() -> Path:
    """The folder of initdb and pg_ctl. Raises ServiceMissing."""
    found = [Path(place.format(version=version)) for version in VERSIONS for place in PLACES]
    found += [Path(which).resolve().parent] if (which := shutil.which("initdb")) else []
    for place in found:
        if (place / "initdb").is_file():
            return place
    raise ServiceMissing("the benchmark needs PostgreSQL 14 or newer: install Debian's package postgresql")


@contextmanager
def server() -> Iterator[Server]:
    """A new cluster for the length of the run. Raises ServiceMissing, RuntimeError."""
    place = programs()
    root = Path(tempfile.mkdtemp(prefix="datong-bench-pg-"))
    password = secrets.token_urlsafe(18)
    try:
        (root / "password").write_text(password, encoding="utf-8")
        _give(root, root / "password")
        pg_ctl = _Programs(place, root)
        pg_ctl.run("initdb", "-U", USER, "-A", "scram-sha-256", "--pwfile", str(root / "password"), "-E", "UTF8")
        port = _free_port()
        settings = " ".join(f"-c {setting}" for setting in SETTINGS)
        with other_core():
            pg_ctl.run("pg_ctl", "-w", "-o", f"-p {port} -k {root} {settings}", "-l", str(root / "log"), "start")
        env = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": password}
        try:
            yield Server(env={**env, "PGDATABASE": DATABASE}, version=_version(place))
        finally:
            pg_ctl.run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


@dataclass(frozen=True)
class _Programs:
    place: Path
    root: Path

    def run(self, name: str, *arguments: str) -> None:
        command = [str(self.place / name), "-D", str(self.root / "data"), *arguments]
        if _is_root():
            command = ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--init-groups", *command]
        env = {**os.environ, "LC_ALL": "C", "HOME": str(self.root)}
        with (self.root / f"{name}.out").open("w+b") as out:  # not a pipe: the server would keep it open
            done = subprocess.run(
                command, cwd=self.root, stdout=out, stderr=out, env=env, timeout=TIMEOUT_S, check=False
            )
            if done.returncode:
                out.seek(0)
                raise RuntimeError(f"{name} ended with {done.returncode}: {out.read().decode()[-1500:]}")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _give(*paths: Path) -> None:
    for path in paths if _is_root() else ():
        shutil.chown(path, SYSTEM_USER, SYSTEM_USER)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _version(place: Path) -> str:
    said = subprocess.run([str(place / "postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]
