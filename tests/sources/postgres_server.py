"""A real PostgreSQL of the tests' own on loopback: started, broken and wound forward as a test needs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.support.requirements import unavailable

USER, PASSWORD = "datong", "canary-pg-pw-91"
PLACES = ("/usr/lib/postgresql/{v}/bin", "/usr/pgsql-{v}/bin")


def programs() -> Path:
    """Where initdb and pg_ctl are; skips, or fails where TEST_REQUIRE names postgres, when they are not."""
    found = [Path(p.format(v=v)) for v in range(30, 13, -1) for p in PLACES]
    found += [Path(which).resolve().parent] if (which := shutil.which("initdb")) else []
    for place in found:
        if (place / "initdb").is_file():
            return place
    unavailable("postgres", "PostgreSQL 14 or newer is not installed")
    raise AssertionError


class Server:
    """One cluster in a temporary folder."""

    def __init__(self) -> None:
        self.bin = programs()
        self.root = Path(tempfile.mkdtemp(prefix="datong-pg-"))
        self.data = self.root / "data"
        self._as_other = os.name == "posix" and os.geteuid() == 0
        (self.root / "pw").write_text(PASSWORD)
        self.give(self.root)
        self.give(self.root / "pw")
        self.program("initdb", "-N", "-U", USER, "-A", "scram-sha-256", "--pwfile", self.root / "pw", "-E", "UTF8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def give(self, path: Path) -> None:
        """Make a file the server's, which refuses to run as root."""
        if self._as_other:
            shutil.chown(path, "postgres", "postgres")

    def program(self, name: str, *arguments: Any) -> None:
        """One of the server's programs on this cluster."""
        command = [str(self.bin / name), "-D", str(self.data), *map(str, arguments)]
        if self._as_other:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        environment = {**os.environ, "LC_ALL": "C", "HOME": str(self.root)}
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self, more: str = "") -> None:
        """Start and wait until it answers. `more`: settings."""
        settings = (
            f"-p {self.port} -k {self.root} -c listen_addresses=127.0.0.1 -c fsync=off -c max_prepared_transactions=8"
            f" -c shared_buffers=32MB -c autovacuum=off -c wal_level=replica {more}"
        )
        log = self.root / "log"
        self.program("pg_ctl", "-w", "-o", settings, "-l", log, "start")

    def stop(self, mode: str = "fast") -> None:
        """Mode immediate: like a crash."""
        self.program("pg_ctl", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it and delete its files."""
        with suppress(AssertionError):
            self.stop("immediate")
        shutil.rmtree(self.root, ignore_errors=True)

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """As the owner, every statement by itself."""
        where = f"host=127.0.0.1 port={self.port} user={USER} password={PASSWORD}"
        return psycopg.connect(where, dbname=database, autocommit=True)
