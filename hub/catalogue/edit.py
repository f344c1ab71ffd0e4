"""The files of `connectors.d` as programs read and write them: whole, by revision, and nothing outside the folder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hub.catalogue.specs import NAME
from hub.catalogue.yaml import MAX_BYTES, is_text, load_yaml
from hub.errors import ConfigurationInvalid, Conflict, NotFound, RevisionChanged, StorageFull

FOLDER = "connectors.d"
SUFFIXES = (".yaml", ".yml")
MODE = 0o644  # of a new file; one that is replaced keeps its own


@dataclass(frozen=True, kw_only=True)
class ConnectorFile:
    """A connector's file as it stands there, valid or not."""

    name: str  # of the connector
    file: str  # relative to the project
    text: bytes

    @property
    def revision(self) -> str:
        """Changes with every byte."""
        return revision_of(self.text)


def revision_of(text: bytes) -> str:
    """32 hex characters."""
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def declared(text: bytes) -> str | None:
    """The connector that a text declares; None where it cannot be read so far, or declares none."""
    try:
        found = load_yaml(text, "").data.get("connector")
    except ConfigurationInvalid:
        return None
    return found if isinstance(found, str) else None


def is_name(text: str) -> bool:
    """Can a connector have this name?"""
    return re.fullmatch(NAME, text) is not None and not text.endswith("\n")


class ConnectorFiles:
    """The folder of one project. Thread-safe; processes that share the folder keep out of each other's way where the
    system has advisory locks."""

    def __init__(self, project: Path) -> None:
        self._project, self._folder = project, project / FOLDER
        self._lock = threading.Lock()

    def get(self, name: str) -> ConnectorFile:
        """The file that declares a connector. Raises NotFound, and Conflict for one that is a link."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"no file of {FOLDER} declares a connector of this name", remedy="`datong connector list`")
        return found

    def find(self, name: str) -> ConnectorFile | None:
        """The same, or None. A file that cannot be read as YAML counts as the connector that it is named for."""
        if not is_name(name):
            return None
        for path in self._candidates(name):
            text = self._read(path)
            if text is not None and (path.stem == name or name.encode() in text):
                says = declared(text)
                if name == (path.stem if says is None else says):
                    return ConnectorFile(name=name, file=f"{FOLDER}/{path.name}", text=text)
        return None

    def all(self) -> dict[str, ConnectorFile]:
        """Every connector's file, in one pass over the folder."""
        found: dict[str, ConnectorFile] = {}
        with suppress(OSError):
            for path in sorted(p for p in self._folder.iterdir() if _counts(p) and not p.is_symlink()):
                text = self._read(path) or b""
                name = declared(text)
                if name is not None and is_name(name):
                    found.setdefault(name, ConnectorFile(name=name, file=f"{FOLDER}/{path.name}", text=text))
        return found

    def place(self, name: str) -> str:
        """The file in which a connector stands, or would; relative to the project."""
        found = self.find(name)
        return found.file if found else f"{FOLDER}/{name}.yaml"

    def put(self, name: str, text: bytes, expected: str | None) -> ConnectorFile:
        """Write the whole file, durable on return. `expected` is the revision that it replaces; None: there is none yet.

        Raises RevisionChanged, Conflict, StorageFull, and ConfigurationInvalid where it cannot be written."""
        if not is_name(name):
            raise ConfigurationInvalid("this is no name for a connector", remedy="lower case, digits, hyphens")
        with self._changing():
            found = self.find(name)
            _expect(found, expected)
            path = self._project / (found.file if found else f"{FOLDER}/{name}.yaml")
            if found is None and path.is_symlink():
                raise _link(path)
            if found is None and path.exists():
                raise Conflict(f"{FOLDER}/{path.name} declares another connector", remedy="give it another file's name")
            if found is None or found.text != text:
                self._replace(path, text)
        return ConnectorFile(name=name, file=f"{FOLDER}/{path.name}", text=text)

    def remove(self, name: str, expected: str | None) -> None:
        """Take the file away. Raises NotFound and, unless `expected` is None or its revision, RevisionChanged."""
        with self._changing():
            found = self.get(name)
            if expected is not None:
                _expect(found, expected)
            (self._project / found.file).unlink()
            self._sync()

    def _candidates(self, name: str) -> Iterator[Path]:
        """The file that is named for it first, so that one file is read where names agree."""
        own = [self._folder / f"{name}{suffix}" for suffix in SUFFIXES]
        yield from own
        with suppress(OSError):
            yield from sorted(p for p in self._folder.iterdir() if _counts(p) and p not in own)

    def _read(self, path: Path) -> bytes | None:
        """At most what a file may have; None: nothing is there."""
        if self._folder.is_symlink():
            raise _link(self._folder)
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _link(path) from None
            raise ConfigurationInvalid("the file cannot be read", where=f"{FOLDER}/{path.name}") from error
        with os.fdopen(descriptor, "rb") as handle:
            return handle.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None

    def _replace(self, path: Path, text: bytes) -> None:
        new = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")  # no suffix of a connector's: never read
        try:
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else MODE
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(descriptor)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        self._sync()

    def _sync(self) -> None:
        """The folder's own entries are durable."""
        if os.name == "posix":
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else looks and writes meanwhile. Trouble of the disk in the hub's own words."""
        with self._lock, _translated():
            if self._folder.is_symlink():
                raise _link(self._folder)
            self._folder.mkdir(exist_ok=True)
            with _locked(self._folder):
                yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: one process has a project there
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"the disk of {FOLDER} is full", remedy="free some space") from error
        raise ConfigurationInvalid(
            f"{FOLDER} cannot be written: {error.strerror}",
            remedy="let the hub's user write there, or change the file by hand and `datong reload`",
        ) from error


def _counts(path: Path) -> bool:
    return path.suffix in SUFFIXES and is_text(path.name)


def _expect(found: ConnectorFile | None, expected: str | None) -> None:
    if expected is None and found is not None:
        raise Conflict(
            f"connector {found.name} exists already, in {found.file}",
            remedy="read it, and send the revision that you read: its ETag, as If-Match",
        )
    if expected is not None and (found is None or found.revision != expected):
        what = "was taken away" if found is None else f"was changed: it is revision {found.revision} now"
        raise RevisionChanged(f"the connector's file {what}", remedy="read it again, and change what is there now")


def _link(path: Path) -> Conflict:
    return Conflict(f"{path.name} is a link, which is not followed", remedy="edit the file that it points to, by hand")
