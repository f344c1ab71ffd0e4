"""What changes between two schemas, in words, and what each change means for readers. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hub.avro.compat import incompatibilities, same_name
from hub.avro.schema import branch_name
from hub.avro.types import NO_DEFAULT, Array, Enum, Field, Fixed, Map, Primitive, Record, Schema, Type, Union
from hub.avro.words import ENGLISH
from hub.sentences import Part, Sentence

MAX_CHANGES = 500
MAX_SHOWN = 60  # characters of a value in a sentence
Named = Record | Enum | Fixed


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference. `path` is a field path, empty for the schema as a whole."""

    kind: str  # ADDED, REMOVED, RENAMED, TYPE, DEFAULT, SYMBOLS, NAME, DOC, PROPERTY
    path: str
    what: Sentence
    was: str = ""  # the path in the old schema, of a field that had another name
    new_reads_old: bool = True  # by this change, the new schema still reads what the old one wrote
    old_reads_new: bool = True  # and the other way round

    @property
    def text(self) -> str:
        """In English, with what it breaks."""
        back = "" if self.new_reads_old else "; the new schema cannot read records written before"
        forth = "" if self.old_reads_new else "; readers that still have the old schema cannot read new records"
        return f"{self.what.said(ENGLISH)}{back}{forth}"

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def differences(old: Schema, new: Schema) -> list[Change]:
    """Every change, in the order of the new schema; what is gone comes after its neighbours."""
    return _Walk(old, new).changes()


def told(of: Type) -> Part:
    """A type in a few words."""
    match of:
        case Union():
            others = tuple(told(b) for b in of.branches if branch_name(b) != "null")
            if len(others) < len(of.branches):
                return Sentence("or_null", {"type": others}) if others else "null"
            return others or Sentence("nothing")
        case Array():
            return Sentence("list", {"items": told(of.items)})
        case Map():
            return Sentence("map", {"values": told(of.values)})
        case Primitive():
            return of.logical or of.name
        case Enum():
            return Sentence("enum", {"name": of.name})
        case Fixed():
            return f"{of.logical} {of.name}" if of.logical else Sentence("fixed", {"name": of.name})
        case _:
            return of.name


class _Walk:
    """Pairs of types, each pair of named ones once, whatever the schemas refer to."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str]] = set()
        self._ahead: deque[tuple[Type, Type, str]] = deque([(old.type, new.type, "")])

    def changes(self) -> list[Change]:
        found: list[Change] = []
        while self._ahead and len(found) < MAX_CHANGES:
            old, new, path = self._ahead.popleft()
            found += self._types(self._old.resolve(old), self._new.resolve(new), path)
        return found[:MAX_CHANGES]

    def _types(self, old: Type, new: Type, path: str) -> Iterator[Change]:
        if isinstance(old, Union) or isinstance(new, Union):
            yield from self._unions(_branches(old), _branches(new), (old, new), path)
        elif isinstance(old, Array) and isinstance(new, Array):
            self._ahead.append((old.items, new.items, f"{path}[]"))
        elif isinstance(old, Map) and isinstance(new, Map):
            self._ahead.append((old.values, new.values, f"{path}{{}}"))
        elif isinstance(old, Named) and type(old) is type(new):
            yield from self._named(old, new, path)
        elif isinstance(old, Primitive) and isinstance(new, Primitive) and old.name == new.name:
            if _kind(old) != _kind(new):
                what = Sentence("MEANING", {"old": _meaning(old), "new": _meaning(new)})
                yield Change(kind="TYPE", path=path, what=what)
            yield from _properties(old.props, new.props, path)
        else:
            yield self._other_type(old, new, path)

    def _unions(
        self, old: Mapping[str, Type], new: Mapping[str, Type], whole: tuple[Type, Type], path: str
    ) -> Iterator[Change]:
        if set(old) != set(new):
            yield self._other_type(*whole, path)
        for name in new:
            if name in old and name != "null":
                self._ahead.append((old[name], new[name], path))

    def _other_type(self, old: Type, new: Type, path: str) -> Change:
        one, two = (
            Schema(type=old, names=self._old.names, canonical=""),
            Schema(type=new, names=self._new.names, canonical=""),
        )
        back, forth = not incompatibilities(two, one), not incompatibilities(one, two)
        return _change("TYPE", path, Sentence("TYPE", {"old": told(old), "new": told(new)}), (back, forth))

    def _named(self, old: Named, new: Type, path: str) -> Iterator[Change]:
        assert isinstance(new, Named)
        if (old.name, new.name) in self._seen:
            return
        self._seen.add((old.name, new.name))
        if old.name != new.name:
            reads = (same_name(new, old), same_name(old, new))
            yield _change("NAME", path, Sentence("NAME", {"old": old.name, "new": new.name}), reads)
        if isinstance(old, Record) and isinstance(new, Record):
            yield from self._records(old, new, path)
        elif isinstance(old, Enum) and isinstance(new, Enum):
            yield from _enums(old, new, path)
        elif isinstance(old, Fixed) and isinstance(new, Fixed) and old.size != new.size:
            what = Sentence("SIZE", {"old": str(old.size), "new": str(new.size)})
            yield _change("TYPE", path, what, (False, False))
        yield from _properties(old.props, new.props, path)

    def _records(self, old: Record, new: Record, path: str) -> Iterator[Change]:
        if old.doc != new.doc:
            yield Change(kind="DOC", path=path, what=Sentence("DOC"))
        before = {f.name: f for f in old.fields}
        left = dict(before)
        for field in new.fields:
            inner = f"{path}.{field.name}" if path else field.name
            name = next((n for n in (field.name, *field.aliases) if n in before), None)
            if name is None:
                yield _added(field, inner)
                continue
            source = before[name]
            left.pop(name, None)
            if name != field.name:
                yield _renamed(source, field, (path, inner))
            yield from _fields(source, field, inner)
            self._ahead.append((source.type, field.type, inner))
        for gone in left.values():
            yield _removed(gone, f"{path}.{gone.name}" if path else gone.name)


def _added(field: Field, path: str) -> Change:
    if field.has_default:
        what = Sentence("ADDED_WITH_DEFAULT", {"type": told(field.type), "value": _value(field.default)})
        return Change(kind="ADDED", path=path, what=what)
    return _change("ADDED", path, Sentence("ADDED", {"type": told(field.type)}), (False, True))


def _removed(field: Field, path: str) -> Change:
    if field.has_default:
        what = Sentence("REMOVED_WITH_DEFAULT", {"value": _value(field.default)})
        return Change(kind="REMOVED", path=path, what=what)
    return _change("REMOVED", path, Sentence("REMOVED"), (True, False))


def _renamed(old: Field, new: Field, where: tuple[str, str]) -> Change:
    above, path = where
    reads = (True, old.has_default or new.name in old.aliases)
    made = _change("RENAMED", path, Sentence("RENAMED", {"old": old.name}), reads)
    return replace(made, was=f"{above}.{old.name}" if above else old.name)


def _fields(old: Field, new: Field, path: str) -> Iterator[Change]:
    if old.has_default != new.has_default or json.dumps(_plain(old.default)) != json.dumps(_plain(new.default)):
        one, two = (_value(f.default) if f.has_default else Sentence("no_default") for f in (old, new))
        yield Change(kind="DEFAULT", path=path, what=Sentence("DEFAULT", {"old": one, "new": two}))
    if old.doc != new.doc:
        yield Change(kind="DOC", path=path, what=Sentence("DOC"))
    yield from _properties(old.props, new.props, path)


def _enums(old: Enum, new: Enum, path: str) -> Iterator[Change]:
    gone = [s for s in old.symbols if s not in set(new.symbols)]
    come = [s for s in new.symbols if s not in set(old.symbols)]
    if come:
        what = Sentence("SYMBOLS_ADDED", {"symbols": ", ".join(come)})
        yield _change("SYMBOLS", path, what, (True, old.default is not None))
    if gone:
        what = Sentence("SYMBOLS_REMOVED", {"symbols": ", ".join(gone)})
        yield _change("SYMBOLS", path, what, (new.default is not None, True))
    if old.default != new.default:
        one, two = (of.default or Sentence("an_error") for of in (old, new))
        yield Change(kind="SYMBOLS", path=path, what=Sentence("SYMBOLS_DEFAULT", {"old": one, "new": two}))


def _properties(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    for name in dict.fromkeys((*old, *new)):
        if name in ("logicalType", "precision", "scale") or old.get(name) == new.get(name):
            continue
        one, two = (_value(p[name]) if name in p else Sentence("no_property") for p in (old, new))
        yield Change(kind="PROPERTY", path=path, what=Sentence("PROPERTY", {"name": name, "old": one, "new": two}))


def _change(kind: str, path: str, what: Sentence, reads: tuple[bool, bool]) -> Change:
    back, forth = reads
    return Change(kind=kind, path=path, what=what, new_reads_old=back, old_reads_new=forth)


def _branches(of: Type) -> Mapping[str, Type]:
    branches = of.branches if isinstance(of, Union) else (of,)
    return {branch_name(b).rpartition(".")[2]: b for b in branches}


def _kind(of: Primitive) -> tuple[str | None, int, int]:
    return of.logical, of.precision, of.scale


def _meaning(of: Primitive) -> Part:
    if of.logical == "decimal":
        return Sentence("decimal", {"precision": str(of.precision), "scale": str(of.scale)})
    return of.logical or Sentence("plain", {"type": of.name})


def _plain(value: Any) -> Any:
    return "no default" if value is NO_DEFAULT else value


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
