"""Avro records → Arrow columns: all records in step, field by field (R29).

Every length is checked against its record's end before anything is read or allocated, so malformed bytes cost a clear
error and no memory. What nobody wants is passed over, and what lies behind the last wanted field is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.avro.arrow import BOUNDS, arrow_field, arrow_schema, arrow_type
from hub.avro.topic import zero_width
from hub.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Type, Union
from hub.avro.wire import places
from hub.errors import MalformedAvro
from hub.lockstep import Ints, Lockstep, Mask, TooLong, masked

MAX_ITEMS = 10_000  # per array or map of one record (R29)
FLOATS = {"float": (4, np.uint32, "<f4"), "double": (8, np.uint64, "<f8")}
WIDTHS = {"null": 0, "boolean": 1, "float": 4, "double": 8}
INT = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class At:
    """Where each record stands: next byte, end, and its row in the batch for errors."""

    pos: Ints
    end: Ints
    row: Ints

    def moved(self, pos: Ints) -> At:
        return At(pos, self.end, self.row)

    def some(self, which: npt.NDArray[np.integer]) -> At:
        return At(self.pos[which], self.end[which], self.row[which])


def decode(
    values: pa.BinaryArray, schema: Record, *, skip: int = 0, wanted: frozenset[str] | None = None
) -> pa.RecordBatch:
    """All records as columns of `arrow_schema(schema)`; with `wanted`, only those top-level fields are made.

    `skip` bytes stand before each body. Raises MalformedAvro for the first bad record."""
    walk = open_walk(values, schema, skip)
    fields = [f for f in schema.fields if wanted is None or f.name in wanted]
    columns = [walk.column(f.name, f.type) for f in fields]
    walk.finish()
    full = arrow_schema(schema)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([full.field(f.name) for f in fields]))


def open_walk(values: pa.BinaryArray, schema: Record, skip: int) -> Walk:
    """A walk through a column without nulls, from the first byte of each body on."""
    data, starts, ends = places(values)
    return Walk(Reader(data), schema, At(starts + skip, ends, np.arange(len(values), dtype=np.int64)))


class Walk:
    """Records of one schema, passed through from field to field, all of them in step.

    Fields in `noted` can be read again, or after others behind them; the rest only in the order they were written."""

    def __init__(self, reader: Reader, schema: Record, at: At, noted: frozenset[str] = frozenset()) -> None:
        self._reader, self._schema, self._at, self._noted = reader, schema, at, noted
        self._places = {field.name: place for place, field in enumerate(schema.fields)}
        self._next = 0  # the field that `_at` stands before
        self._passed: dict[str, Ints] = {}
        reader.check(at.pos <= at.end, at, "", "the record is shorter than its header")

    def __len__(self) -> int:
        return len(self._at.pos)

    def column(self, name: str, of: Type) -> pa.Array:
        """One field as a column of the type `of`: the field's, perhaps with other logical types or fewer inner fields."""
        if name in self._passed:
            return self._reader.read(of, self._at.moved(self._passed[name]), name)[0]
        place = self._places[name]
        if place < self._next:
            raise ValueError(f"field {name} was passed and not noted")
        while self._next < place:
            field = self._schema.fields[self._next]
            self._pass(self._reader.skip(field.type, self._at, field.name))
        made, after = self._reader.read(of, self._at, name)
        self._pass(after)
        return made

    def _pass(self, after: At) -> None:
        name = self._schema.fields[self._next].name
        if name in self._noted:
            self._passed[name] = self._at.pos
        self._at = after
        self._next += 1

    def some(self, rows: npt.NDArray[np.integer]) -> Walk:
        """Go on with some of the records."""
        made = Walk(self._reader, self._schema, self._at.some(rows), self._noted)
        made._next = self._next
        made._passed = {name: pos[rows] for name, pos in self._passed.items()}
        return made

    def finish(self) -> None:
        """If the last field was read, all bytes must be used. Raises MalformedAvro."""
        if self._next == len(self._schema.fields):
            self._reader.check(self._at.pos == self._at.end, self._at, "", "bytes are left over after the record")


class Reader:
    """Reads values of any type at many places at once."""

    def __init__(self, data: Lockstep) -> None:
        self.data = data

    def check(self, good: Mask, at: At, path: str, why: str) -> None:
        """Raise for the first record that is not good."""
        if not good.all():
            raise MalformedAvro(why, row=int(at.row[int(np.argmin(good))]), path=path)

    def varint(self, at: At, path: str) -> tuple[Ints, At]:
        """A zigzag varint of at most 64 bits."""
        with _numbers_of(at, path):
            number, after = self.data.numbers(at.pos)
        self.check(after <= at.end, at, path, "the record ends early")
        return number, at.moved(after)

    def _behind(self, at: At, path: str) -> At:
        with _numbers_of(at, path):
            after = self.data.behind(at.pos)
        self.check(after <= at.end, at, path, "the record ends early")
        return at.moved(after)

    def _advance(self, at: At, size: int, path: str) -> At:
        pos = at.pos + size
        self.check(pos <= at.end, at, path, "a value runs over the record's end")
        return at.moved(pos)

    def _length(self, at: At, path: str) -> tuple[Ints, Ints, At]:
        """A length, the start of what it measures, and the places behind that."""
        length, start = self.varint(at, path)
        good = (length >= 0) & (length <= at.end - start.pos)
        self.check(good, at, path, "a value runs over the record's end")
        return length, start.pos, at.moved(start.pos + length)

    def skip(self, of: Type, at: At, path: str) -> At:
        """Move over a value; nothing is made of it."""
        if isinstance(of, Primitive) and of.name in WIDTHS:
            return self._advance(at, WIDTHS[of.name], path)
        if isinstance(of, Primitive) and of.name in ("string", "bytes"):
            return self._length(at, path)[2]
        if isinstance(of, (Primitive, Enum)):
            return self._behind(at, path)
        if isinstance(of, Fixed):
            return self._advance(at, of.size, path)
        if isinstance(of, Record):
            for field in of.fields:
                at = self.skip(field.type, at, f"{path}.{field.name}")
            return at
        if isinstance(of, Union):
            return self._skip_union(of, at, path)
        assert isinstance(of, (Array, Map))
        return self._items(of, at, path, make=False)[1]

    def read(self, of: Type, at: At, path: str) -> tuple[pa.Array, At]:
        """A column of values and the places after them."""
        if isinstance(of, Primitive):
            return self._primitive(of, at, path)
        if isinstance(of, Union):
            return self._union(of, at, path)
        if isinstance(of, Record):
            return self._record(of, at, path)
        if isinstance(of, Enum):
            return self._enum(of, at, path)
        if isinstance(of, Fixed):
            after = self._advance(at, of.size, path)
            if of.logical == "decimal":
                return self._decimal(of, at.pos, np.full(len(at.pos), of.size), at, path), after
            raw = pa.py_buffer(self._gather(at.pos, of.size))
            return pa.FixedSizeBinaryArray.from_buffers(pa.binary(of.size), len(at.pos), [None, raw]), after
        assert isinstance(of, (Array, Map))
        return self._items(of, at, path, make=True)

    def _gather(self, pos: Ints, width: int) -> npt.NDArray[np.uint8]:
        return np.ascontiguousarray(self.data.bytes[pos[:, None] + np.arange(width)])

    def _primitive(self, of: Primitive, at: At, path: str) -> tuple[pa.Array, At]:
        if of.name == "null":
            return pa.nulls(len(at.pos)), at
        if of.name in ("int", "long"):
            number, after = self._integer(of, at, path)
            return _numbers(number, arrow_type(of)), after
        if of.name in ("string", "bytes"):
            length, start, after = self._length(at, path)
            if of.logical == "decimal":
                return self._decimal(of, start, length, at, path), after
            return self._text(of.name == "string", at.moved(start), length, path), after
        if of.name == "boolean":
            after = self._advance(at, 1, path)
            flags = self.data.bytes[at.pos]
            self.check(flags <= 1, at, path, "a boolean is neither 0 nor 1")
            return pa.array(flags.astype(np.bool_)), after
        width, unsigned, kind = FLOATS[of.name]
        after = self._advance(at, width, path)
        return pa.array(self.data.words(at.pos).astype(unsigned).view(kind)), after

    def _integer(self, of: Primitive, at: At, path: str) -> tuple[npt.NDArray[np.integer], At]:
        number, after = self.varint(at, path)
        if of.logical in BOUNDS:
            low, high = BOUNDS[of.logical]
            self.check((number >= low) & (number <= high), at, path, f"a {of.logical} is out of range")
        elif of.name == "int":
            self.check((number >= INT[0]) & (number <= INT[1]), at, path, "an int has more than 32 bits")
        return (number.astype(np.int32) if of.name == "int" else number), after

    def _text(self, is_text: bool, start: At, length: Ints, path: str, valid: Mask | None = None) -> pa.Array:
        column = self.data.slices(start.pos, length, valid)
        if not is_text:
            return column
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            good = np.array([_is_utf8(v) for v in column.to_pylist()], np.bool_)
            self.check(good, start, path, "a string is not UTF-8")
            raise

    def _decimal(self, of: Primitive | Fixed, pos: Ints, length: Ints, at: At, path: str) -> pa.Array:
        """Big-endian two's complement of any length into little-endian of Arrow's width."""
        target = arrow_type(of)
        width = target.byte_width
        self.check(length <= width, at, path, "a decimal is wider than its precision")
        out = np.zeros((len(pos), width), np.uint8)
        for size in np.unique(length).tolist():
            rows = np.flatnonzero(length == size)
            if size:
                raw = self._gather(pos[rows], size)
                out[rows] = np.where(raw[:, :1] >= 0x80, 0xFF, 0).astype(np.uint8)
                out[rows[:, None], np.arange(size)] = raw[:, ::-1]
        column = pa.Array.from_buffers(target, len(pos), [None, pa.py_buffer(out)])
        limit = _limit(target)
        inside = pc.and_(pc.less_equal(column, limit), pc.greater_equal(column, pc.negate(limit)))
        self.check(np.asarray(inside), at, path, "a decimal is wider than its precision")
        return column

    def _enum(self, of: Enum, at: At, path: str) -> tuple[pa.Array, At]:
        index, after = self.varint(at, path)
        self.check((index >= 0) & (index < len(of.symbols)), at, path, "an enum's index is out of range")
        return pa.array(of.symbols, pa.string()).take(pa.array(index)), after

    def _record(self, of: Record, at: At, path: str) -> tuple[pa.Array, At]:
        columns, made = [], {f.name for f in of.made}
        for field in of.fields:
            inner = f"{path}.{field.name}"
            if field.name in made:
                column, at = self.read(field.type, at, inner)
                columns.append(column)
            else:
                at = self.skip(field.type, at, inner)
        if not columns:
            return pa.array([{}] * len(at.pos), pa.struct([])), at
        return pa.StructArray.from_arrays(columns, fields=[arrow_field(f.name, f.type) for f in of.made]), at

    def _branch(self, of: Union, at: At, path: str) -> tuple[Ints, At]:
        branch, after = self.varint(at, path)
        self.check((branch >= 0) & (branch < len(of.branches)), at, path, "a union's branch is out of range")
        return branch, after

    def _skip_union(self, of: Union, at: At, path: str) -> At:
        branch, at = self._branch(of, at, path)
        pos = at.pos
        for number, kind in enumerate(of.branches):
            rows = np.flatnonzero(branch == number)
            if len(rows) == len(branch):
                return self.skip(kind, at, path)
            if len(rows) and not zero_width(kind):
                pos = pos.copy() if pos is at.pos else pos
                pos[rows] = self.skip(kind, at.some(rows), path).pos
        return at.moved(pos)

    def _union(self, of: Union, at: At, path: str) -> tuple[pa.Array, At]:
        branch, at = self._branch(of, at, path)
        if of.nullable is None:
            return self._wide_union(of, branch, at, path)
        valid = branch != of.null_index
        if valid.all():
            return self.read(of.nullable, at, path)
        return self._nullable(of.nullable, at, valid, path)

    def _nullable(self, of: Type, at: At, valid: Mask, path: str) -> tuple[pa.Array, At]:
        """Values where `valid`, null elsewhere. Numbers and slices are spread before a column is made of them."""
        rows = np.flatnonzero(valid)
        some = at.some(rows)
        pos = at.pos.copy()
        if isinstance(of, Primitive) and of.name in ("string", "bytes") and of.logical != "decimal":
            length, start, after = self._length(some, path)
            starts, lengths = at.pos.copy(), np.zeros(len(pos), np.int64)
            starts[rows], lengths[rows], pos[rows] = start, length, after.pos
            return self._text(of.name == "string", at.moved(starts), lengths, path, valid), at.moved(pos)
        if isinstance(of, Primitive) and of.name in ("int", "long"):
            number, after = self._integer(of, some, path)
            numbers = np.zeros(len(pos), number.dtype)
            numbers[rows], pos[rows] = number, after.pos
            return masked(_numbers(numbers, arrow_type(of)), valid), at.moved(pos)
        column, after = self.read(of, some, path)
        pos[rows] = after.pos
        place = np.cumsum(valid) - 1
        return column.take(pa.array(np.maximum(place, 0), mask=~valid)), at.moved(pos)

    def _wide_union(self, of: Union, branch: Ints, at: At, path: str) -> tuple[pa.Array, At]:
        pos = at.pos.copy()
        offsets = np.zeros(len(branch), np.int32)
        children = []
        for i, kind in enumerate(of.branches):
            rows = np.flatnonzero(branch == i)
            column, inner = self.read(kind, at.some(rows), path)
            pos[rows] = inner.pos
            offsets[rows] = np.arange(len(rows))
            children.append(column)
        names = [f.name for f in arrow_type(of)]
        made = pa.UnionArray.from_dense(pa.array(branch.astype(np.int8)), pa.array(offsets), children, names)
        return made, at.moved(pos)

    def _items(self, of: Array | Map, at: At, path: str, *, make: bool) -> tuple[pa.Array, At]:
        """Blocks of items, in rounds: one item of every record that still has one. A negative count carries a size."""
        inner = of.items if isinstance(of, Array) else of.values
        n = len(at.pos)
        counts = np.zeros(n, np.int64)
        left, at = self._block(at, np.arange(n), counts, path)
        owners, parts = [], []
        live = np.flatnonzero(left)
        if len(live) and isinstance(of, Array) and zero_width(inner):
            self.check(left == 0, at, path, "items without bytes are refused")
        pos = at.pos.copy()
        while len(live):
            here = At(pos[live], at.end[live], at.row[live])
            if make:
                part, after = self._item(of, inner, here, path)
                owners.append(live)
                parts.append(part)
            else:
                after = self._skip_item(of, inner, here, path)
            pos[live] = after.pos
            left[live] -= 1
            ended = live[left[live] == 0]
            if len(ended):
                more, next_at = self._block(At(pos[ended], at.end[ended], at.row[ended]), ended, counts, path)
                pos[ended], left[ended] = next_at.pos, more
            live = live[left[live] > 0]
        return self._gathered(of, counts, owners, parts) if make else None, at.moved(pos)

    def _block(self, at: At, rows: Ints, counts: Ints, path: str) -> tuple[Ints, At]:
        """The count of the next block of each of these rows, added to their totals."""
        count, at = self.varint(at, path)
        sized = np.flatnonzero(count < 0)
        if len(sized):
            self.check(count != np.iinfo(np.int64).min, at, path, "a block's count is out of range")
            _size, after = self.varint(at.some(sized), path)
            pos = at.pos.copy()
            pos[sized] = after.pos
            at, count = at.moved(pos), np.abs(count)
        self.check(
            (count <= MAX_ITEMS) & (counts[rows] + count <= MAX_ITEMS), at, path, f"more than {MAX_ITEMS:,} items"
        )
        counts[rows] += count
        return count, at

    def _item(self, of: Array | Map, inner: Type, at: At, path: str) -> tuple[pa.Array, At]:
        if isinstance(of, Array):
            return self.read(inner, at, f"{path}[]")
        length, start, after = self._length(at, f"{path}{{}}")
        key = self._text(True, at.moved(start), length, f"{path}{{}}")
        value, after = self.read(inner, after, f"{path}{{}}")
        names = [pa.field("key", pa.string(), nullable=False), arrow_field("value", inner)]
        return pa.StructArray.from_arrays([key, value], fields=names), after

    def _skip_item(self, of: Array | Map, inner: Type, at: At, path: str) -> At:
        if isinstance(of, Array):
            return self.skip(inner, at, f"{path}[]")
        return self.skip(inner, self._length(at, f"{path}{{}}")[2], f"{path}{{}}")

    def _gathered(self, of: Array | Map, counts: Ints, owners: list[Ints], parts: list[pa.Array]) -> pa.Array:
        """Items of all rounds, sorted by owner, under list offsets."""
        offsets = np.zeros(len(counts) + 1, np.int32)
        np.cumsum(counts, out=offsets[1:])
        if not parts:
            return pa.array([[]] * len(counts), arrow_type(of))
        order = np.argsort(np.concatenate(owners), kind="stable")
        return _listed(of, offsets, pa.concat_arrays(parts).take(pa.array(order)))


def _listed(of: Array | Map, offsets: npt.NDArray[np.int32], items: pa.Array) -> pa.Array:
    if isinstance(of, Array):
        return pa.ListArray.from_arrays(pa.array(offsets), items, type=arrow_type(of))
    return pa.MapArray.from_arrays(pa.array(offsets), items.field(0), items.field(1), type=arrow_type(of))


@contextmanager
def _numbers_of(at: At, path: str) -> Iterator[None]:
    try:
        yield
    except TooLong as error:
        raise MalformedAvro("a number has more than 64 bits", row=int(at.row[error.place]), path=path) from None


def _numbers(number: npt.NDArray[np.integer], target: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(target, len(number), [None, pa.py_buffer(np.ascontiguousarray(number))])


def _limit(target: pa.DataType) -> pa.Scalar:
    import decimal

    with decimal.localcontext() as context:
        context.prec = 100
        most = decimal.Decimal(10**target.precision - 1).scaleb(-target.scale)
        return pa.scalar(most, target)


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
