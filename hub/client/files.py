"""Several answers as one file: what `datong subscribe` writes.

Text and framed records stand one behind the other. An Arrow stream, a container file and a CSV file have one schema each:
when the grant's changes on the way, Conflict says so, and what follows belongs in a new file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hub.errors import Conflict, DatongError

if TYPE_CHECKING:
    import pyarrow as pa

CONTAINER_MAGIC = b"Obj\x01"
SYNC_BYTES = 16


class Merger(Protocol):
    """Makes one file of answers. The file is what the calls return, in order."""

    def add(self, content: bytes) -> bytes:
        """What the next answer adds. Raises Conflict when it has another schema."""

    def end(self) -> bytes:
        """What ends the file."""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A kind of file, and the form of answers that it is made of."""

    media_type: str
    binary: bool
    merger: Callable[[], Merger]


class Chained:
    """Answers one behind the other."""

    def add(self, content: bytes) -> bytes:
        """See Merger."""
        return content

    def end(self) -> bytes:
        """See Merger."""
        return b""


class JsonArray:
    """NDJSON as the items of one array, a line each."""

    def __init__(self) -> None:
        self._before = b"[\n"

    def add(self, content: bytes) -> bytes:
        """See Merger."""
        if not content:
            return b""
        made = self._before + content.removesuffix(b"\n").replace(b"\n", b",\n") + b"\n"
        self._before = b","
        return made

    def end(self) -> bytes:
        """See Merger."""
        return b"[]\n" if self._before == b"[\n" else b"]\n"


class Csv:
    """The first answer's header line alone."""

    def __init__(self) -> None:
        self._head: bytes | None = None

    def add(self, content: bytes) -> bytes:
        """See Merger."""
        head, end, rest = content.partition(b"\r\n")
        if self._head is None:
            self._head = head
            return content
        _same(self._head, head)
        return rest if end else b""

    def end(self) -> bytes:
        """See Merger."""
        return b""


class ArrowStream:
    """The batches of all answers in one stream. Needs pyarrow."""

    def __init__(self) -> None:
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None
        self._made = bytearray()

    def add(self, content: bytes) -> bytes:
        """See Merger."""
        import pyarrow as pa

        with pa.ipc.open_stream(content) as reader:
            if self._writer is None:
                self._schema = reader.schema
                self._writer = pa.ipc.new_stream(pa.PythonFile(self, mode="w"), reader.schema)
            _same(self._schema, reader.schema)
            for batch in reader:
                self._writer.write_batch(batch)
        return self._taken()

    def end(self) -> bytes:
        """See Merger."""
        if self._writer is not None:
            self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        made = bytes(self._made)
        self._made.clear()
        return made

    # What pyarrow asks of a file.
    closed = False

    def write(self, data: Any) -> int:
        """Keep it until it is taken."""
        self._made += memoryview(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


class Container:
    """The blocks of all Avro container files in the first one."""

    def __init__(self) -> None:
        self._head: Mapping[str, bytes] | None = None
        self._sync = b""

    def add(self, content: bytes) -> bytes:
        """See Merger."""
        metadata, at = _container_head(content)
        sync = content[at : at + SYNC_BYTES]
        if self._head is None:
            self._head, self._sync = metadata, sync
            return content
        _same(self._head.get("avro.schema"), metadata.get("avro.schema"))
        _same(self._head.get("avro.codec"), metadata.get("avro.codec"))
        at += SYNC_BYTES
        parts = []
        while at < len(content):
            start = at
            _count, at = _long(content, at)
            size, at = _long(content, at)
            at += size
            parts += [content[start:at], self._sync]
            if size < 0 or content[at : at + SYNC_BYTES] != sync:
                raise _malformed()
            at += SYNC_BYTES
        return b"".join(parts)

    def end(self) -> bytes:
        """See Merger."""
        return b""


FILES: Mapping[str, FileFormat] = {
    "ndjson": FileFormat(media_type="application/x-ndjson", binary=False, merger=Chained),
    "json": FileFormat(media_type="application/x-ndjson", binary=False, merger=JsonArray),
    "csv": FileFormat(media_type="text/csv", binary=False, merger=Csv),
    "arrow": FileFormat(media_type="application/vnd.apache.arrow.stream", binary=True, merger=ArrowStream),
    "avro": FileFormat(media_type="application/vnd.apache.avro", binary=True, merger=Container),
    "framed": FileFormat(media_type="application/vnd.confluent.avro", binary=True, merger=Chained),
}
"""By the name of `datong subscribe --format`."""


def _same(first: object, other: object) -> None:
    if first != other:
        raise Conflict(
            "the grant's fields changed, and one file cannot have two schemas",
            remedy="what was written is whole and committed; run it again with a new file for the rest",
        )


def _container_head(content: bytes) -> tuple[dict[str, bytes], int]:
    """The metadata of a container file, and where its sync marker stands (Avro 1.12, "Object Container Files")."""
    if content[:4] != CONTAINER_MAGIC:
        raise _malformed()
    metadata: dict[str, bytes] = {}
    at = 4
    while True:
        count, at = _long(content, at)
        if not count:
            return metadata, at
        if count < 0:
            _size, at = _long(content, at)
        for _ in range(abs(count)):
            name, at = _bytes(content, at)
            metadata[name.decode()], at = _bytes(content, at)


def _bytes(content: bytes, at: int) -> tuple[bytes, int]:
    size, at = _long(content, at)
    if size < 0 or at + size > len(content):
        raise _malformed()
    return content[at : at + size], at + size


def _long(content: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint, and what is behind it."""
    value = shift = 0
    while at < len(content) and shift < 64:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    raise _malformed()


def _malformed() -> DatongError:
    return DatongError("the hub's answer is not a whole Avro container file", remedy="try again; then ask its operator")
