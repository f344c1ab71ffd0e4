"""Members of zip files as files of their own: never extracted, bounded before a byte is unpacked (S3)."""

from __future__ import annotations

import fnmatch
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from connectors.below import leads_to_credential
from connectors.sources.places import Opened, Place
from hub.errors import FileRefused

SEPARATOR = "!"  # archive.zip!folder/member.csv
MAX_ENTRIES = 10_000
MAX_UNPACKED = 256 * 1024 * 1024  # bytes of one member, and of all that are read
FREE_EXPANSION = 16 * 1024 * 1024  # bytes of output before the ratio counts
NESTED = (".zip", ".jar", ".7z", ".rar", ".tar", ".tgz")
ENCRYPTED = 0x1


class ZipPlace:
    """A place of zip files, seen as the members that match a glob."""

    def __init__(self, inner: Place, member: str, max_expansion: int) -> None:
        self._inner, self._member, self._max_expansion = inner, member, max_expansion

    def names(self, pattern: str) -> list[str]:
        """`archive!member` of all archives. An archive that is none is refused when it is opened."""
        found: list[str] = []
        for archive in self._inner.names(pattern):
            found += [f"{archive}{SEPARATOR}{m}" for m in self._members(archive)] or [archive]
        return found

    def _members(self, archive: str) -> list[str]:
        """Empty for what is no good archive: `open` says why, in its turn."""
        with self._inner.open(archive) as outer:
            try:
                with _archive(outer.file, archive) as opened:
                    return sorted(m.filename for m in self._wanted(opened, archive))
            except FileRefused:
                return []

    def _wanted(self, archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
        """Members that match, all bounds checked. Raises FileRefused."""
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise FileRefused(f"has {len(entries):,} members, {MAX_ENTRIES:,} are the most", where=name)
        found = [e for e in entries if not e.is_dir() and fnmatch.fnmatchcase(e.filename, self._member)]
        found = [e for e in found if not leads_to_credential(e.filename)]
        if not found:
            raise FileRefused(f"has no member that matches `{self._member}`", where=name)
        for entry in found:
            self._check(entry, name)
        if sum(e.file_size for e in found) > MAX_UNPACKED:
            raise FileRefused(f"is larger than {MAX_UNPACKED >> 20} MB unpacked", where=name)
        return found

    def _check(self, entry: zipfile.ZipInfo, archive: str) -> None:
        name = entry.filename
        where = f"{archive}{SEPARATOR}{name[:200]}"
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            raise FileRefused("a member's name leads out of the archive", where=archive)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise FileRefused("a member is a link", where=where)
        if name.lower().endswith(NESTED):
            raise FileRefused("is an archive in an archive", where=where, remedy="unpack the outer one first")
        if entry.flag_bits & ENCRYPTED:
            raise FileRefused("is encrypted", where=where)
        bound = max(FREE_EXPANSION, entry.compress_size * self._max_expansion)
        if entry.file_size > min(bound, MAX_UNPACKED):
            raise FileRefused(f"grows by more than {self._max_expansion} times when unpacked", where=where)

    def open(self, name: str) -> Opened:
        archive, _, member = name.partition(SEPARATOR)
        outer = self._inner.open(archive)
        try:
            with _archive(outer.file, archive) as opened:
                (entry,) = (e for e in self._wanted(opened, archive) if e.filename == member)
            content = _Member(outer.file, entry, name)
        except ValueError:
            outer.close()
            raise FileRefused("the member is there twice or not any more", where=name) from None
        except BaseException:
            outer.close()
            raise
        return Opened(
            file=cast(BinaryIO, content), signature=outer.signature, age_s=outer.age_s, close=outer.close
        )  # fmt: skip

    def close(self) -> None:
        self._inner.close()


class _Member:
    """One member as a file that can be read and wound back to its start."""

    def __init__(self, outer: BinaryIO, entry: zipfile.ZipInfo, where: str) -> None:
        self._archive, self._entry, self._where = zipfile.ZipFile(outer), entry, where
        self._file = self._archive.open(entry)

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise FileRefused("the member is damaged", where=self._where) from error
        except Exception as error:  # zlib.error and what other codecs raise
            raise FileRefused("the member cannot be unpacked", where=self._where) from error

    def seek(self, offset: int) -> int:
        self._file.close()
        self._file = self._archive.open(self._entry)
        while offset > 0:
            offset -= len(self.read(min(offset, 1 << 20))) or offset
        return 0


@contextmanager
def _archive(file: BinaryIO, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        file.seek(0)
        with zipfile.ZipFile(file) as opened:
            yield opened
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise FileRefused("is not a zip file that can be read", where=name) from error
