"""A schema cut down to some of its fields: the output schema of a grant (R23), and its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from hub.avro.types import NO_DEFAULT, Array, Enum, Field, Fixed, Map, Primitive, Record, Ref, Type, Union, is_null

Tree = Mapping[str, "Tree"]  # wanted fields; empty = everything below
T = TypeVar("T", bound=Type)


class UnknownField(ValueError):
    """The schema has no such field. `path` names it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def project(record: Record, paths: Iterable[str]) -> Record:
    """Only the named fields, in the schema's order; `a.b` keeps record `a` with `b` alone, also inside lists and maps.

    Names, docs, defaults, aliases and properties stay, so it resolves like the whole schema. Raises UnknownField.
    """
    wanted = sorted(paths)
    for path in wanted:  # one by one, so that a wider path does not hide a mistake
        _record(record, _tree([path]), "")
    kept = _record(record, _tree(wanted), "")
    return _unique(kept, {})


def _tree(paths: Iterable[str]) -> Tree:
    """`a`, `a.b` → all of `a`: the wider one wins."""
    root: dict[str, Any] = {}
    for path in sorted(paths, key=lambda p: (p.count("."), p)):
        node = root
        for part in path.split("."):
            if part in node and not node[part]:
                break  # a shorter path took it whole
            node = node.setdefault(part, {})
    return root


def _record(of: Record, wanted: Tree, path: str) -> Record:
    for name in wanted:
        if of.field(name) is None:
            raise UnknownField(f"{path}{name}")
    return replace(of, fields=tuple(_field(f, wanted[f.name], path) for f in of.fields if f.name in wanted))


def _field(of: Field, wanted: Tree, path: str) -> Field:
    if not wanted:
        return of
    kept = _select(of.type, wanted, f"{path}{of.name}.")
    return replace(of, type=kept, default=_prune(of.default, wanted))


def _select(of: Type, wanted: Tree, path: str) -> Type:
    if isinstance(of, Record):
        return _record(of, wanted, path)
    if isinstance(of, Array):
        return replace(of, items=_select(of.items, wanted, path))
    if isinstance(of, Map):
        return replace(of, values=_select(of.values, wanted, path))
    if isinstance(of, Union) and of.nullable is not None:
        return Union(branches=tuple(b if is_null(b) else _select(b, wanted, path) for b in of.branches))
    raise UnknownField(f"{path}{next(iter(wanted))}")


def _prune(default: Any, wanted: Tree) -> Any:
    """A record's default without the fields that went."""
    if not wanted or not isinstance(default, dict):
        return default
    return {name: _prune(value, wanted[name]) for name, value in default.items() if name in wanted}


def _unique(of: T, seen: dict[str, Type]) -> T:
    """Two cuts of one record are two types: the second gets a name of its own and the first one as alias."""
    if isinstance(of, Array):
        return replace(of, items=_unique(of.items, seen))
    if isinstance(of, Map):
        return replace(of, values=_unique(of.values, seen))
    if isinstance(of, Union):
        return replace(of, branches=tuple(_unique(b, seen) for b in of.branches))
    if not isinstance(of, Record):
        return of
    name, number = of.name, 1
    while seen.get(name, of) != of:
        number += 1
        name = f"{of.name}_{number}"
    seen[name] = of
    aliases = of.aliases if name == of.name else (*of.aliases, of.name)
    fields = tuple(replace(f, type=_unique(f.type, seen)) for f in of.fields)
    return replace(of, name=name, aliases=aliases, fields=fields)


def schema_text(of: Type) -> str:
    """The schema as one self-contained JSON document: each named type is defined where it is first used."""
    return json.dumps(_json(of, "", set()), ensure_ascii=False, separators=(",", ":"))


def _json(of: Type, namespace: str, defined: set[str]) -> Any:
    if isinstance(of, Primitive):
        return {"type": of.name, **of.props} if of.props else of.name
    if isinstance(of, Array):
        return {"type": "array", "items": _json(of.items, namespace, defined), **of.props}
    if isinstance(of, Map):
        return {"type": "map", "values": _json(of.values, namespace, defined), **of.props}
    if isinstance(of, Union):
        return [_json(b, namespace, defined) for b in of.branches]
    if isinstance(of, Ref) or of.name in defined:
        return of.name
    defined.add(of.name)
    return _named_json(of, namespace, defined)


def _named_json(of: Fixed | Enum | Record, namespace: str, defined: set[str]) -> dict[str, Any]:
    space, _, name = of.name.rpartition(".")
    head: dict[str, Any] = {"name": name}
    if space != namespace:
        head["namespace"] = space
    if isinstance(of, Record) and of.doc:
        head["doc"] = of.doc
    if of.aliases:
        head["aliases"] = list(of.aliases)
    if isinstance(of, Fixed):
        return {"type": "fixed", **head, "size": of.size, **of.props}
    if isinstance(of, Enum):
        default = {} if of.default is None else {"default": of.default}
        return {"type": "enum", **head, "symbols": list(of.symbols), **default, **of.props}
    return {"type": "record", **head, "fields": [_field_json(f, space, defined) for f in of.fields], **of.props}


def _field_json(of: Field, namespace: str, defined: set[str]) -> dict[str, Any]:
    out: dict[str, Any] = {"name": of.name, "type": _json(of.type, namespace, defined)}
    if of.doc:
        out["doc"] = of.doc
    if of.default is not NO_DEFAULT:
        out["default"] = of.default
    if of.aliases:
        out["aliases"] = list(of.aliases)
    return {**out, **of.props}
