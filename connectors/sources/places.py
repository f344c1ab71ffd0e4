"""Where the files of a `files` source stand: a directory of this machine, an SFTP server, or inside a zip file.

A place names regular files that match a glob and opens one of them for reading. What is opened says whether it is still
the same content: a file that changes while it is read is read again later.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO, Protocol

from connectors.sources.opening import matching, open_below, shown
from hub.errors import FileRefused, SourceUnavailable

WAIT_S = 0.1
PATIENCE = 10  # times `stable_after_s` until a file that never rests is left for a later run


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file under reading. `signature` changes when its content does; `touched_s` is its age in seconds, if known."""

    file: BinaryIO
    signature: Callable[[], tuple[int, ...]]
    age_s: Callable[[], float | None]
    close: Callable[[], None]

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Place(Protocol):
    """A directory of files, here or elsewhere. One thread uses it."""

    def names(self, pattern: str) -> list[str]:
        """Relative names of regular files that match, sorted; never links. Raises FileRefused, SourceUnavailable."""

    def open(self, name: str) -> Opened:
        """Raises FileRefused when it is no regular file below the root, SourceUnavailable when the place is away."""

    def close(self) -> None:
        """Idempotent."""


class LocalPlace:
    """One directory of this machine (S6)."""

    def __init__(self, root: Path, refused: tuple[Path, ...]) -> None:
        self._root, self._refused = root, refused

    def names(self, pattern: str) -> list[str]:
        return matching(self._root, pattern, self._refused)

    def open(self, name: str) -> Opened:
        if shown(name) != name:
            raise FileRefused("the file's name is not UTF-8", where=shown(name), remedy="rename it")
        file = open_below(self._root, name)

        def signature() -> tuple[int, ...]:
            status = os.fstat(file.fileno())
            return (status.st_ino, status.st_size, status.st_mtime_ns)

        def age() -> float:
            return time.time() - os.fstat(file.fileno()).st_mtime

        return Opened(file=file, signature=signature, age_s=age, close=file.close)

    def close(self) -> None:
        """Nothing is held."""


def wait_until_stable(opened: Opened, stable_after_s: float, stop: Event) -> tuple[int, ...]:
    """Wait until the file was left alone for so long; its signature then (F24).

    Where clocks can be trusted its age tells; elsewhere two looks that far apart. Raises SourceUnavailable for a file
    that never rests."""
    deadline = time.monotonic() + max(stable_after_s * PATIENCE, 1)
    seen, since = opened.signature(), time.monotonic()
    while True:
        age = opened.age_s()
        if age is not None and (age >= stable_after_s or age < 0):
            return opened.signature()
        if age is None and time.monotonic() - since >= stable_after_s:
            return seen
        if time.monotonic() > deadline:
            raise SourceUnavailable("the file is being written", remedy="it is read when it rests")
        if stop.wait(min(stable_after_s, WAIT_S)):
            return opened.signature()
        now = opened.signature()
        if now != seen:
            seen, since = now, time.monotonic()
