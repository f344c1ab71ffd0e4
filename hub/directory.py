"""The data directory: one hub at a time, private to its user, and the note by which commands find the running hub."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from hub.errors import ConfigurationInvalid, DirectoryInUse, StorageFull

LOCK, NOTE, TOKEN = "hub.lock", "hub.json", "operator.token"
SHORTEST_TOKEN = 32
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
Role = Literal["all", "api", "worker", "registry"]  # what a process does of a hub's work


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a serving hub says of itself in `hub.json`."""

    url: str
    pid: int
    version: str
    role: Role = "all"


class Directory:
    """A data directory. `acquire` takes it for this process; the lock goes with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None

    def acquire(self) -> None:
        """Raises DirectoryInUse when another process has it, ConfigurationInvalid or StorageFull where none can write."""
        with _writing(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = open(self.path / LOCK, "ab")  # noqa: SIM115 - held until release
        try:
            _lock(handle)
        except OSError:
            handle.close()
            raise self._in_use() from None
        self._lock = handle

    def release(self) -> None:
        """Give it back. Idempotent."""
        if self._lock:
            (self.path / NOTE).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def announce(self, running: Running) -> None:
        """Let commands find this hub. Raises StorageFull."""
        _write_private(self.path / NOTE, json.dumps(asdict(running)))

    def running(self) -> Running | None:
        """The hub that serves this directory, or None. A note left by a dead hub does not count."""
        if self._lock is None:
            try:
                self.acquire()
            except DirectoryInUse:
                return self._note()
            self.release()
        return None

    def operator_token(self) -> str:
        """The token of this directory's operator, made on first use, readable by its user alone (0600).

        Put there beforehand, the same in the directory of each node, it is the operator's token of all of them. Raises
        ConfigurationInvalid for a file that others may read or that is no secret, StorageFull where none can be made."""
        file = self.path / TOKEN
        if not file.exists():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_private(file, secrets.token_urlsafe(32))
        if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ConfigurationInvalid(f"{TOKEN} can be read by others", where=TOKEN, remedy=f"chmod 600 {TOKEN}")
        token = file.read_text().strip()
        if len(token) < SHORTEST_TOKEN or not token.isascii():
            raise ConfigurationInvalid(
                f"{TOKEN} holds no token of {SHORTEST_TOKEN} characters or more", where=TOKEN,
                remedy="delete it to have one made, or copy that of another node",
            )  # fmt: skip
        return token

    def _note(self) -> Running | None:
        try:
            return Running(**json.loads((self.path / NOTE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _in_use(self) -> DirectoryInUse:
        note = self._note()
        who = f"by the hub at {note.url} (process {note.pid})" if note else "by another datong command"
        return DirectoryInUse(
            f"this data directory is in use {who}",
            where=self.path.name,
            remedy="use that hub, stop it, or give this one a directory of its own: `--project`, or for several "
            "processes of one project the variable DATONG_DATA_DIR",
        )


def _write_private(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    with _writing(path.parent):
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
        new.replace(path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFull(
                "the disk of the data directory is full", where=str(path),
                remedy="free some space, or name a directory on another disk by the setting data_dir or DATONG_DATA_DIR",
            ) from error  # fmt: skip
        raise ConfigurationInvalid(
            f"the data directory cannot be written: {error.strerror}",
            where=str(path),
            remedy="name one that this user may write, by the setting data_dir or DATONG_DATA_DIR",
        ) from error


def _lock(handle: IO[bytes]) -> None:
    """An advisory lock that the system drops when the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore] # Windows only
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
