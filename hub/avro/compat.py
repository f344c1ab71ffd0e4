"""Can a reader with one schema read what a writer with another wrote? (Avro 1.12, "Schema Resolution"; registry-api §3.)

Every incompatibility has its path and a sentence that a person understands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hub.avro.schema import branch_name
from hub.avro.types import Array, Enum, Field, Fixed, Map, Primitive, Record, Ref, Schema, Type, Union
from hub.avro.words import ENGLISH
from hub.sentences import Part, Sentence

PROMOTIONS = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}
LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
MAX_REASONS = 200  # of one pair of schemas; more do not help anybody
MAX_NAMED = 20  # symbols or branches listed in a sentence
Named = Record | Enum | Fixed
Pair = tuple[str, str]  # names of a record of the reader and one of the writer
TOP: Pair = ("", "")
READER, WRITER = Sentence("reader"), Sentence("writer")


@dataclass(frozen=True, kw_only=True)
class Incompatibility:
    """One reason. `kind` is stable; `path` is a field path in the reader's schema."""

    kind: str
    path: str
    why: Sentence

    @property
    def message(self) -> str:
        """In English."""
        return self.why.said(ENGLISH)

    def __str__(self) -> str:
        return f"{self.path or 'the schema'}: {self.message}"


@dataclass(frozen=True)
class Roles:
    """What the two sides are called in sentences."""

    reader: Part = READER
    writer: Part = WRITER


def incompatibilities(reader: Schema, writer: Schema, roles: Roles | None = None) -> list[Incompatibility]:
    """All reasons why `reader` cannot read every value of `writer`; empty when it can. Time grows with the product of
    the sizes at worst, whatever the schemas refer to."""
    return _Comparison(reader, writer, roles or Roles()).reasons()


def check(level: str, new: Schema, olds: Sequence[Schema]) -> list[Incompatibility]:
    """What speaks against `new` after the live versions `olds` (oldest first), at a level of registry-api §3."""
    if level not in LEVELS:
        raise ValueError(f"{level} is not a compatibility level")
    direction, _, transitive = level.partition("_")
    against = olds if transitive else olds[-1:]
    return [found for old in against for found in check_pair(direction, new, old)]


def check_pair(level: str, new: Schema, old: Schema, version: int | None = None) -> list[Incompatibility]:
    """The same against one version, whatever the level says of which."""
    direction = level.partition("_")[0]
    now = Sentence("new_schema")
    then = Sentence("old_schema") if version is None else Sentence("version", {"version": str(version)})
    found: list[Incompatibility] = []
    if direction in ("BACKWARD", "FULL"):
        found += incompatibilities(new, old, Roles(now, then))
    if direction in ("FORWARD", "FULL"):
        found += incompatibilities(old, new, Roles(then, now))
    return found


def same_name(reader: Named, writer: Named) -> bool:
    """Named types match by unqualified name, or when an alias of the reader is the writer's full name."""
    return _simple(reader) == _simple(writer) or writer.name in reader.aliases


def writer_field(reader: Field, writer: Record) -> Field | None:
    """The writer's field that a reader's field reads: by name, or by the reader's aliases in order."""
    return _source(reader, {f.name: f for f in writer.fields})


def _source(reader: Field, written: Mapping[str, Field]) -> Field | None:
    return next((written[name] for name in (reader.name, *reader.aliases) if name in written), None)


class _Comparison:
    """One pair of documents.

    Records are compared once for each pair of names, and a pair counts as compatible until it is refused: that is what
    the specification's words on recursion come to. A refusal makes those who relied on the pair look again, until
    nothing changes. So no schema, however it refers to itself, costs more than its pairs, nor any depth of calls.
    """

    def __init__(self, reader: Schema, writer: Schema, roles: Roles) -> None:
        self._reader, self._writer, self._roles = reader, writer, roles
        self._records: dict[Pair, tuple[Record, Record]] = {}
        self._users: dict[Pair, set[Pair]] = {}
        self._refused: set[Pair] = set()
        self._todo: list[Pair] = []
        self._branches: dict[int, dict[str, list[Type]]] = {}

    def reasons(self) -> list[Incompatibility]:
        found: list[Incompatibility] = []
        ahead: deque[tuple[Type, Type, str]] = deque([(self._reader.type, self._writer.type, "")])
        self._ahead, self._explained = ahead, {TOP}
        while ahead and len(found) < MAX_REASONS:
            reader, writer, path = ahead.popleft()
            found += self._why(reader, writer, path)
        return found[:MAX_REASONS]

    # -- does it read?

    def _can(self, reader: Type, writer: Type) -> bool:
        """Settled: nothing that it rests on is open."""
        self._reads(reader, writer, TOP)
        while self._todo:
            pair = self._todo.pop()
            if pair != TOP and pair not in self._refused and not self._record_reads(pair):
                self._refused.add(pair)
                self._todo.extend(self._users[pair])
        return self._reads(reader, writer, TOP)

    def _reads(self, reader: Type, writer: Type, user: Pair) -> bool:
        reader, writer = self._reader.resolve(reader), self._writer.resolve(writer)
        if isinstance(writer, Union):
            return all(self._reads(reader, branch, user) for branch in writer.branches)
        if isinstance(reader, Union):
            return any(self._reads(branch, writer, user) for branch in self._candidates(reader, writer))
        if isinstance(reader, Record) and isinstance(writer, Record):
            return same_name(reader, writer) and self._assume(reader, writer, user)
        if isinstance(reader, Array) and isinstance(writer, Array):
            return self._reads(reader.items, writer.items, user)
        if isinstance(reader, Map) and isinstance(writer, Map):
            return self._reads(reader.values, writer.values, user)
        return self._refusal(reader, writer, "") is None

    def _assume(self, reader: Record, writer: Record, user: Pair) -> bool:
        pair = (reader.name, writer.name)
        if pair not in self._records:
            self._records[pair] = (reader, writer)
            self._todo.append(pair)
        self._users.setdefault(pair, set()).add(user)
        return pair not in self._refused

    def _record_reads(self, pair: Pair) -> bool:
        reader, writer = self._records[pair]
        written = {f.name: f for f in writer.fields}
        for field in reader.fields:
            source = _source(field, written)
            if not field.has_default if source is None else not self._reads(field.type, source.type, pair):
                return False
        return True

    def _candidates(self, reader: Union, writer: Type) -> Iterable[Type]:
        """The branches that may read a type: few, however long the union is."""
        index = self._branches.get(id(reader))
        if index is None:
            index = self._branches[id(reader)] = {}
            for branch in map(self._reader.resolve, reader.branches):
                for key in _keys(branch):
                    index.setdefault(key, []).append(branch)
        if isinstance(writer, Named):
            found = [*index.get(f"named {_simple(writer)}", ()), *index.get(f"alias {writer.name}", ())]
            return [f for f in found if type(f) is type(writer)]
        if isinstance(writer, Primitive):
            names = PROMOTIONS.get(writer.name, {writer.name})
            return [branch for name in (writer.name, *sorted(names - {writer.name})) for branch in index.get(name, ())]
        return index.get(branch_name(writer), ())

    # -- and why not?

    def _why(self, reader: Type, writer: Type, path: str) -> Iterator[Incompatibility]:
        if self._can(reader, writer):
            return
        reader, writer = self._reader.resolve(reader), self._writer.resolve(writer)
        if isinstance(writer, Union):
            yield from self._why_not_all(reader, writer, path)
        elif isinstance(reader, Union):
            yield from self._why_none(reader, writer, path)
        elif isinstance(reader, Record) and isinstance(writer, Record) and same_name(reader, writer):
            yield from self._why_record(reader, writer, path)
        elif isinstance(reader, Array) and isinstance(writer, Array):
            yield from self._why(reader.items, writer.items, f"{path}[]")
        elif isinstance(reader, Map) and isinstance(writer, Map):
            yield from self._why(reader.values, writer.values, f"{path}{{}}")
        else:
            refusal = self._refusal(reader, writer, path)
            assert refusal is not None
            yield refusal

    def _why_not_all(self, reader: Type, writer: Union, path: str) -> Iterator[Incompatibility]:
        lost = []
        for branch in writer.branches:
            if self._can(reader, branch):
                continue
            if not isinstance(reader, Union):
                yield from self._why(reader, branch, path)
            elif list(self._candidates(reader, self._writer.resolve(branch))):
                yield from self._why_none(reader, self._writer.resolve(branch), path)
            else:
                lost.append(branch)
        if lost:
            yield self._no_branch(lost, path)

    def _why_none(self, reader: Union, writer: Type, path: str) -> Iterator[Incompatibility]:
        """A branch that was meant to read it says what it lacks; without one, the union lacks a branch."""
        meant = list(self._candidates(reader, writer))
        if meant:
            yield from self._why(meant[0], writer, path)
        else:
            yield self._no_branch([writer], path)

    def _why_record(self, reader: Record, writer: Record, path: str) -> Iterator[Incompatibility]:
        pair = (reader.name, writer.name)
        if pair in self._explained:
            return  # once, where it is met first
        self._explained.add(pair)
        written = {f.name: f for f in writer.fields}
        for field in reader.fields:
            inner = f"{path}.{field.name}" if path else field.name
            source = _source(field, written)
            if source is not None:
                self._ahead.append((field.type, source.type, inner))
            elif not field.has_default:
                why = self._said("FIELD_MISSING")
                yield Incompatibility(kind="READER_FIELD_MISSING_DEFAULT_VALUE", path=inner, why=why)

    def _no_branch(self, lost: Sequence[Type], path: str) -> Incompatibility:
        why = self._said("BRANCH_MISSING", types=_list([_name(b) for b in lost]))
        return Incompatibility(kind="MISSING_UNION_BRANCH", path=path, why=why)

    def _refusal(self, reader: Type, writer: Type, path: str) -> Incompatibility | None:
        """Of two types without types inside, or of two kinds."""
        if isinstance(reader, Primitive) and isinstance(writer, Primitive):
            if reader.name in PROMOTIONS.get(writer.name, {writer.name}):
                return None
        elif isinstance(reader, Named) and type(reader) is type(writer):
            return self._named(reader, writer, path)
        why = self._said("TYPE_UNREADABLE", type=_shown(reader), other=_shown(writer))
        return Incompatibility(kind="TYPE_MISMATCH", path=path, why=why)

    def _named(self, reader: Named, writer: Type, path: str) -> Incompatibility | None:
        assert isinstance(writer, Named)
        if not same_name(reader, writer):
            why = self._said("NAME_UNREADABLE", name=reader.name, other=writer.name)
            return Incompatibility(kind="NAME_MISMATCH", path=path, why=why)
        if isinstance(reader, Fixed) and isinstance(writer, Fixed) and reader.size != writer.size:
            why = self._said("SIZE_UNREADABLE", size=str(reader.size), other=str(writer.size))
            return Incompatibility(kind="FIXED_SIZE_MISMATCH", path=path, why=why)
        if isinstance(reader, Enum) and isinstance(writer, Enum) and reader.default is None:
            known = set(reader.symbols)
            unknown = [s for s in writer.symbols if s not in known]
            if unknown:
                why = self._said("SYMBOLS_MISSING", symbols=_list(unknown))
                return Incompatibility(kind="MISSING_ENUM_SYMBOLS", path=path, why=why)
        return None

    def _said(self, code: str, **about: Part) -> Sentence:
        return Sentence(code, {"reader": self._roles.reader, "writer": self._roles.writer, **about})


def _keys(branch: Type) -> Iterator[str]:
    """Under which a union's branch is looked for."""
    if isinstance(branch, Named):
        yield f"named {_simple(branch)}"
        for alias in branch.aliases:
            if alias.rpartition(".")[2] != _simple(branch):
                yield f"alias {alias}"
    else:
        yield branch_name(branch)


def _simple(named: Named) -> str:
    return named.name.rpartition(".")[2]


def _list(names: Sequence[str]) -> Part:
    first, more = ", ".join(names[:MAX_NAMED]), len(names) - MAX_NAMED
    return Sentence("more", {"names": first, "more": f"{more:,}"}) if more > 0 else first


def _shown(of: Type) -> Part:
    return Sentence("union", {"names": _list([_name(b) for b in of.branches])}) if isinstance(of, Union) else _name(of)


def _name(of: Type) -> str:
    return of.name if isinstance(of, Ref) else branch_name(of)
