"""PostgreSQL from the system's own binaries: one server on loopback, SCRAM log-in, random passwords in a 0600 file.

A server refuses to run as root: then it runs as the user `postgres`, and its data are that user's. The hub logs in as
`datong`, which owns the database `datong` and nothing else.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deploy.services import ServiceMissing

SUPERUSER, HUB = "postgres", "datong"
OLDEST, NEWEST = 14, 40
PLACES = ("/usr/lib/postgresql/{v}/bin", "/usr/pgsql-{v}/bin", "/usr/lib64/pgsql/bin", "/usr/libexec/postgresql{v}")
PACKAGE = "install Debian's package postgresql (elsewhere: postgresql-server)"
START_S, STOP_S = 60, 60


@dataclass
class Server:
    """The server of one directory. Its state is a file there, so that any process can stop it."""

    directory: Path
    programs: Path  # folder of initdb, pg_ctl and postgres
    port: int
    passwords: Mapping[str, str]  # by user

    @property
    def data(self) -> Path:
        """What initdb made."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """The hub's setting `store.url`, password included."""
        return self.url_of(HUB)

    def url_of(self, database: str, user: str = HUB) -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = SUPERUSER) -> psycopg.Connection[Any]:
        """As the superuser, every statement by itself."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=self.passwords[SUPERUSER], dbname=database,
            autocommit=True, connect_timeout=10,
        )  # fmt: skip

    def alive(self) -> bool:
        """Does it run?"""
        return self.data.exists() and self.run("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the end of its log."""
        log = self.data / "server.log"
        started = self.run("pg_ctl", "start", "-w", "-t", str(START_S), "-D", str(self.data), "-l", str(log))
        if started.returncode:
            tail = log.read_text("utf-8", "replace")[-3000:] if log.exists() else ""
            raise RuntimeError(f"PostgreSQL did not come up:\n{started.stderr}{started.stdout}{tail}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; its data stay. Mode `immediate` is like a crash. May be repeated."""
        if self.alive():
            done = self.run("pg_ctl", "stop", "-w", "-t", str(STOP_S), "-m", mode, "-D", str(self.data))
            if done.returncode:
                raise RuntimeError(f"PostgreSQL did not stop:\n{done.stderr}{done.stdout}")

    def signal(self, which: signal.Signals) -> None:
        """To the server's first process."""
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]), which)

    def remove(self) -> None:
        """End it at once and take its data away."""
        self.signal(signal.SIGCONT)
        with suppress(RuntimeError):
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def give(self, path: Path) -> None:
        """Make a file the server's own."""
        if _as_root():
            shutil.chown(path, SUPERUSER, SUPERUSER)

    def initialise(self, settings: Mapping[str, str]) -> None:
        """Make the data directory."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.give(self.data)
        password = self.directory / "initial-password"
        _write(password, self.passwords[SUPERUSER])
        self.give(password)
        made = self.run(
            "initdb", "-D", str(self.data), "-U", SUPERUSER, "--pwfile", str(password), "-A", "scram-sha-256",
            "-E", "UTF8", "--locale", "C", "--data-checksums",
        )  # fmt: skip
        password.unlink()
        if made.returncode:
            hint = f"\nThe user {SUPERUSER} must be able to enter {self.directory}" if _as_root() else ""
            raise RuntimeError(f"initdb failed:\n{made.stderr}{hint}")
        own = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "", **settings}
        self.configure(own)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Settings of postgresql.conf, from the next start on."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def ensure_hub(self) -> None:
        """The hub's user and its database."""
        with self.connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [HUB]).fetchone():
                made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(made.format(sql.Identifier(HUB), sql.Literal(self.passwords[HUB])))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [HUB]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*[sql.Identifier(HUB)] * 2))

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of PostgreSQL's programs, as the user that may run the server."""
        account: dict[str, Any] = {}
        if _as_root():
            import pwd

            entry = pwd.getpwnam(SUPERUSER)
            groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return subprocess.run(
            [str(self.programs / program), *arguments], cwd=self.directory, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, env={**environment, "LC_ALL": "C", "HOME": str(self.directory)},
            **account,
        )  # fmt: skip


def start(
    directory: Path, *, settings: Mapping[str, str] | None = None, passwords: Mapping[str, str] | None = None
) -> Server:
    """Make (the first time) and start a server in `directory`; returns when it answers.

    `settings` are postgresql.conf's and `passwords` those by user, both for the first time only; without them, the
    server's defaults and random ones. Raises ServiceMissing, and RuntimeError with what the server said."""
    server = status(directory)
    if server is None:
        programs()  # before anything is made
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = {user: secrets.token_urlsafe(24) for user in (SUPERUSER, HUB)} | dict(passwords or {})
        state = {"port": _free_port(), "passwords": made, "settings": dict(settings or {})}
        _write(directory / "server.json", json.dumps(state))
        server = status(directory)
        assert server is not None
    if _as_root():
        directory.chmod(0o711)  # the server's user goes through; what is a secret has a mode of its own
    if not (server.data / "PG_VERSION").exists():
        server.initialise(_load(directory)["settings"])
    if not server.alive():
        server.start()
    server.ensure_hub()
    return server


def status(directory: Path) -> Server | None:
    """The server of a directory, running or not; None when there is none. Raises ServiceMissing."""
    known = _load(directory)
    if not known:
        return None
    version = directory / "data" / "PG_VERSION"
    major = int(version.read_text()) if version.exists() else None
    return Server(directory, programs(major), known["port"], known["passwords"])


def programs(major: int | None = None) -> Path:
    """The folder of the server's programs: of this version, or the newest. Raises ServiceMissing."""
    if _as_root():
        import pwd

        try:
            pwd.getpwnam(SUPERUSER)
        except KeyError:
            raise ServiceMissing(
                f"PostgreSQL refuses to run as root, and there is no user postgres: {PACKAGE}"
            ) from None
    found = [Path(p.format(v=v)) for v in range(NEWEST, OLDEST - 1, -1) for p in PLACES]
    found += [Path(which).resolve().parent for which in [shutil.which("initdb")] if which]
    for place in found:
        if (place / "initdb").is_file() and (place / "pg_ctl").is_file():
            version = _version(place)
            if version >= OLDEST and major in (None, version):
                return place
    wanted = f"PostgreSQL {major}, which made these data," if major else f"PostgreSQL {OLDEST} or newer"
    raise ServiceMissing(f"{wanted} is not installed: {PACKAGE}")


def _version(place: Path) -> int:
    told = subprocess.run([str(place / "initdb"), "--version"], capture_output=True, text=True, check=False).stdout
    digits = "".join(c if c.isdigit() else " " for c in told).split()
    return int(digits[0]) if digits else 0


def _as_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _load(directory: Path) -> dict[str, Any]:
    file = directory / "server.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}


def _write(file: Path, text: str) -> None:
    """Readable by this user only, whole or not at all: passwords are in it."""
    draft = file.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)
