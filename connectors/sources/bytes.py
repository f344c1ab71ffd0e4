"""A file's bytes as a stream: gunzipped within bounds, its encoding decided once over all of it (R15, S3)."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from hub.errors import FileRefused

CHUNK = 1024 * 1024
FREE_EXPANSION = 16 * 1024 * 1024  # bytes of output before the ratio counts
MAX_UNPACKED = 64 * 1024**3
GOOD_SHARE = 0.99  # of the rows with non-ASCII bytes
PREFIX = "sha256:"
UTF8, GB18030 = "utf-8", "gb18030"
NEVER_UTF8 = b"\xff"
LONGEST_LINE = 4 * 1024 * 1024
TWO_BYTES = ("gb", "big5", "shift", "cp932", "cp949", "cp950", "johab")  # a second byte may be one of ASCII's
BOMS = ((codecs.BOM_UTF8, UTF8), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Hash(Protocol):
    """A hash of the standard library's, under way."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def chunks(file: BinaryIO, name: str, max_expansion: int) -> Iterator[bytes]:
    """The content from the start; gzip members are unpacked one after the other."""
    file.seek(0)
    gzipped = name.endswith(".gz")
    if not gzipped:
        while data := file.read(CHUNK):
            yield data
        return
    packed = unpacked = 0
    started = False  # the current member has bytes
    inflate = zlib.decompressobj(wbits=31)
    while data := file.read(64 * 1024):
        packed += len(data)
        while data:
            started = True
            try:
                out = inflate.decompress(data, CHUNK)
            except zlib.error as error:
                raise FileRefused("is not valid gzip", where=name) from error
            unpacked += len(out)
            too_much = unpacked > FREE_EXPANSION and unpacked > packed * max_expansion
            if too_much or unpacked > MAX_UNPACKED:
                raise FileRefused(f"grows by more than {max_expansion} times when unpacked", where=name)
            if out:
                yield out
            data = inflate.unconsumed_tail
            if inflate.eof:
                data, started = inflate.unused_data, False
                inflate = zlib.decompressobj(wbits=31)
    if started:
        raise FileRefused("the gzip stream ends early", where=name)


def prefix_of(hashed: Hash) -> str:
    """The hash of a file's first bytes as a checkpoint keeps it."""
    return f"{PREFIX}{hashed.hexdigest()}"


def has_prefix(parts: Iterator[bytes], length: int, prefix: str) -> bool:
    """Does the content begin with these bytes? Checkpoints of the first version hold BLAKE2b, which took twice the time of
    SHA-256 where processors have that built in."""
    if prefix.startswith(PREFIX):
        return f"{PREFIX}{digest(parts, length, hashlib.sha256())}" == prefix
    return digest(parts, length) == prefix


def digest(parts: Iterator[bytes], limit: int | None = None, total: Hash | None = None) -> str:
    """A hash of the content, or of its first `limit` bytes: BLAKE2b-128 unless another is given."""
    total = total or hashlib.blake2b(digest_size=16)
    for part in parts:
        if limit is not None:
            part = part[:limit]
            limit -= len(part)
        total.update(part)
        if limit == 0:
            break
    return total.hexdigest()


def decide_encoding(stream: Callable[[], Iterator[bytes]], name: str) -> str:
    """BOM, else UTF-8 or GB 18030 if 99 % of the rows with non-ASCII bytes decode by it. Raises FileRefused.

    `stream` gives the content from the start each time: nearly every file is told by one pass, the others take two."""
    decoder = codecs.getincrementaldecoder(UTF8)("strict")
    try:
        for number, part in enumerate(stream()):
            encoding = next((e for bom, e in BOMS if part.startswith(bom)), None) if number == 0 else None
            if encoding:
                return encoding
            if not part.isascii() or decoder.getstate()[0]:
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _by_rows(stream(), name)
    return UTF8


def _by_rows(parts: Iterator[bytes], name: str) -> str:
    """Count the rows that decode, one way and the other."""
    rows = utf8 = gb18030 = 0
    for line in _lines(parts):
        if not line.isascii():
            rows += 1
            utf8 += _decodes(line, UTF8)
            gb18030 += _decodes(line, GB18030)
    if utf8 >= rows * GOOD_SHARE:
        return UTF8
    if gb18030 >= rows * GOOD_SHARE:
        return GB18030
    raise FileRefused(
        f"neither UTF-8 nor GB 18030: {rows - utf8:,} and {rows - gb18030:,} of {rows:,} rows do not decode",
        where=name,
        remedy="declare `encoding:`",
    )


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    yield rest


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def cut_as(encoding: str, marks: bytes) -> str:
    """The encoding in which `cuttable` gives a stream of this one."""
    name = codecs.lookup(encoding).name
    return UTF8 if name == "utf-8-sig" or not _transparent(encoding) or _may_hide(encoding, marks) else name


def cuttable(parts: Iterator[bytes], encoding: str, marks: bytes, name: str) -> Iterator[bytes]:
    """The stream in an encoding whose lines and columns can be cut as bytes: as it is, else as UTF-8.

    `marks` are the bytes to cut at. A character of GBK may end in the byte of `|`: such files are converted line by line,
    and a line that does not decode keeps its bytes and one more, so that it costs its row. Encodings without ASCII's own
    bytes (UTF-16) are converted whole: strict, the whole stream or nothing."""
    if not _transparent(encoding):
        return as_utf8(parts, encoding, name)
    return _lines_as_utf8(parts, encoding) if _may_hide(encoding, marks) else parts


def _transparent(encoding: str) -> bool:
    """ASCII's bytes mean ASCII's characters where a character begins."""
    ascii_bytes = bytes(range(128))
    try:
        return ascii_bytes.decode(encoding) == ascii_bytes.decode("ascii")
    except UnicodeError:
        return False


def _may_hide(encoding: str, marks: bytes) -> bool:
    """Whether one of the marks may be the second byte of a character."""
    name = codecs.lookup(encoding).name
    first = 0x30 if name == GB18030 else 0x40
    return name.startswith(TWO_BYTES) and any(mark >= first for mark in marks)


def _lines_as_utf8(parts: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        done, newline, rest = (rest + part).rpartition(b"\n")
        yield _recoded(done + newline, encoding)
        if len(rest) > LONGEST_LINE:  # no row is as long: it is refused whatever its bytes mean
            yield rest
            rest = b""
    yield _recoded(rest, encoding)


def _recoded(lines: bytes, encoding: str) -> bytes:
    try:
        return lines.decode(encoding).encode()
    except UnicodeDecodeError:
        if lines.count(b"\n") <= 1:
            return lines.rstrip(b"\r\n") + NEVER_UTF8 + lines[len(lines.rstrip(b"\r\n")) :]
        return b"".join(_recoded(line, encoding) for line in lines.splitlines(keepends=True))


def as_utf8(parts: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """Strict, the whole stream or nothing."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        for part in parts:
            yield decoder.decode(part).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise FileRefused(f"is not valid {encoding}", where=name) from error
