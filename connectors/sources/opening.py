"""Opening files under one root so that no link, device or race leads out of it (S6)."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from connectors.below import MARK, WHY, has_credential, is_credential, is_own
from hub.errors import FileRefused

DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
MAX_FILES = 10_000
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")  # endings of files that somebody still writes


def matching(root: Path, pattern: str, refused: tuple[Path, ...]) -> list[str]:
    """Relative paths of regular files that match, sorted. Credentials, unfinished and refused ones, and links, never do."""
    parts = parts_of(pattern)
    banned = [p.resolve() for p in refused]
    found = sorted(_walk(root, "", parts, banned))
    if len(found) > MAX_FILES:
        raise FileRefused(f"more than {MAX_FILES:,} files match", where=pattern)
    return found


def parts_of(pattern: str) -> list[str]:
    """The steps of a glob. Raises FileRefused for one that leads out of its root."""
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts or "" in parts or "\0" in pattern:
        raise FileRefused("a path is relative to the files root and has no `..`", where=pattern)
    if has_credential(parts):
        raise FileRefused("this is the name of credentials", where=pattern, remedy=WHY)
    return parts


def shown(name: str) -> str:
    """A file's name as it can be told, also one that is not UTF-8."""
    return name.encode(errors="replace").decode()


def is_passed_over(name: str) -> bool:
    """Of credentials, or still being written under a name of its own."""
    return is_credential(name) or name.lower().endswith(UNFINISHED)


def _walk(root: Path, prefix: str, parts: list[str], banned: list[Path]) -> Iterator[str]:
    head, *rest = parts
    folder = root / prefix
    if any(folder.resolve() == b or b in folder.resolve().parents for b in banned):
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        return
    if any(entry.name == MARK for entry in entries):
        return
    for entry in entries:
        if is_passed_over(entry.name) or entry.is_symlink() or folder / entry.name in banned:
            continue
        relative = f"{prefix}/{entry.name}" if prefix else entry.name
        if head == "**":
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, relative, parts, banned)
            if rest and fnmatch.fnmatchcase(entry.name, rest[0]):
                yield from _entry(root, relative, entry, rest, banned)
        elif fnmatch.fnmatchcase(entry.name, head):
            yield from _entry(root, relative, entry, parts, banned)


def _entry(root: Path, relative: str, entry: os.DirEntry[str], parts: list[str], banned: list[Path]) -> Iterator[str]:
    rest = parts[1:]
    if rest and entry.is_dir(follow_symlinks=False):
        yield from _walk(root, relative, rest, banned)
    elif not rest and entry.is_file(follow_symlinks=False):
        yield relative


def open_below(root: Path, relative: str) -> BinaryIO:
    """A regular file, each directory on the way opened from the one before, following no link. Raises FileRefused, for
    what is nobody's data too (`connectors.below`)."""
    parts_of(relative)
    if os.open not in os.supports_dir_fd:
        return _open_plain(root, relative)
    *folders, name = relative.split("/")
    try:
        at = os.open(root, DIRECTORY & ~getattr(os, "O_NOFOLLOW", 0))
        try:
            for folder in folders:
                _not_own(at, relative)
                inner = os.open(folder, DIRECTORY, dir_fd=at)
                os.close(at)
                at = inner
            _not_own(at, relative)
            descriptor = os.open(name, FILE, dir_fd=at)
        finally:
            os.close(at)
    except OSError as error:
        raise FileRefused(f"cannot be opened: {error.strerror}", where=relative) from error
    return _regular(descriptor, relative)


def _not_own(folder: int, relative: str) -> None:
    with suppress(FileNotFoundError):
        os.stat(MARK, dir_fd=folder, follow_symlinks=False)
        raise FileRefused("is in the hub's own directory", where=relative)


def _open_plain(root: Path, relative: str) -> BinaryIO:
    """Where the system has no openat: resolve first, then open."""
    path = (root / relative).resolve()
    if root.resolve() not in path.parents:
        raise FileRefused("leads out of the files root", where=relative)
    if is_own(path, root.resolve(), ()):
        raise FileRefused("is in the hub's own directory", where=relative)
    try:
        return _regular(os.open(path, FILE | getattr(os, "O_BINARY", 0)), relative)
    except OSError as error:
        raise FileRefused(f"cannot be opened: {error.strerror}", where=relative) from error


def _regular(descriptor: int, relative: str) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRefused("is not a regular file", where=relative)
    return os.fdopen(descriptor, "rb")
