"""A PostgreSQL of the benchmark's own on loopback, on the core that no subject uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.broker import other_core
from deploy.services import postgres as service

SETTINGS = {  # fsync stays on; Debezium refuses a server without logical replication
    "shared_buffers": "512MB",
    "wal_level": "logical",
    "max_wal_size": "4GB",
    "autovacuum": "off",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where it is, as libpq's variables: they reach a process without standing in its command."""

    env: Mapping[str, str]
    version: str

    @property
    def url(self) -> str:
        """For a connector's file; its password is the variable PGPASSWORD."""
        place = f"{self.env['PGHOST']}:{self.env['PGPORT']}/{self.env['PGDATABASE']}"
        return f"postgresql://{self.env['PGUSER']}:${{secret:PGPASSWORD}}@{place}"


@contextmanager
def server() -> Iterator[Server]:
    """A new one for the length of the run. Raises ServiceMissing, RuntimeError."""
    service.programs()  # before anything is made
    with other_core():
        made = service.start(Path(tempfile.mkdtemp(prefix="datong-bench-pg-")), settings=SETTINGS)
    env = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(made.port),
        "PGUSER": service.SUPERUSER,
        "PGPASSWORD": made.passwords[service.SUPERUSER],
        "PGDATABASE": service.SUPERUSER,
    }
    try:
        yield Server(env=env, version=made.run("postgres", "--version").stdout.split()[2])
    finally:
        made.remove()
