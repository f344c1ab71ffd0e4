"""Parse, validate and canonicalise Avro schemas (Avro 1.12; registry-api §2 and §3). Pure; no Arrow."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hub.avro.canonical import canonical_text
from hub.avro.defaults import check_default
from hub.avro.types import (
    NO_DEFAULT,
    PRIMITIVES,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Ref,
    Schema,
    Type,
    Union,
    is_null,
)
from hub.errors import SchemaInvalid

MAX_TEXT = 1_000_000  # characters
MAX_DEPTH = 32
MAX_FIELDS = 2_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_FIELD = {"name", "type", "default", "doc", "aliases", "order"}
RESERVED_NAMED = {"type", "name", "namespace", "doc", "aliases", "fields", "symbols", "size", "default"}
DELIVERED = ("_offset", "_partition", "_op")  # what every delivered record carries beside its fields (R27)
LOGICAL = {
    "date": "int",
    "time-millis": "int",
    "time-micros": "long",
    "timestamp-millis": "long",
    "timestamp-micros": "long",
    "local-timestamp-millis": "long",
    "local-timestamp-micros": "long",
    "uuid": "string",
}


def parse(text: str, references: Sequence[Schema] = (), *, check_defaults: bool = True) -> Schema:
    """A schema document. Named types of `references` are known to it. Raises SchemaInvalid, saying where and why."""
    if len(text) > MAX_TEXT:
        raise SchemaInvalid(f"a schema has at most {MAX_TEXT:,} characters, this one {len(text):,}")
    document = load_json(text)
    known: dict[str, Type] = {}
    for reference in references:
        known.update(reference.names)
    parser = _Parser(known, check_defaults=check_defaults)
    top = parser.type(document, "", "", 0)
    return Schema(type=top, names=dict(parser.names), canonical=canonical_text(document))


def load_json(text: str) -> Any:
    """A JSON document; a bare primitive name may stand without quotes. Raises SchemaInvalid."""
    if text.strip() in PRIMITIVES:
        return text.strip()
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            raise SchemaInvalid("not JSON", where=f"line {error.lineno}, column {error.colno}") from error
        raise SchemaInvalid(str(error) if isinstance(error, _Duplicate) else "not JSON") from error


class _Duplicate(ValueError):
    """A property twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Duplicate("a JSON object has a property twice")
    return found


def _no_constant(_text: str) -> Any:
    raise _Duplicate("NaN and Infinity are not JSON")


def canonical(text: str) -> str:
    """The compact text that identifies a schema (registry-api §2)."""
    return parse(text, check_defaults=False).canonical


def fingerprint(text: str) -> str:
    """SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(text).encode()).hexdigest()


class _Parser:
    """One document. `names` grows as definitions are met."""

    def __init__(self, known: Mapping[str, Type], *, check_defaults: bool) -> None:
        self.names: dict[str, Type] = dict(known)
        self._open: list[str] = []  # named types whose definition is under way
        self._fields = 0
        self._check_defaults = check_defaults

    def type(self, data: Any, namespace: str, path: str, depth: int) -> Type:
        if depth > MAX_DEPTH:
            raise _invalid(f"nested deeper than {MAX_DEPTH} levels", path)
        if isinstance(data, str):
            return self._named(data, namespace, path)
        if isinstance(data, list):
            return self._union(data, namespace, path, depth)
        if not isinstance(data, dict):
            raise _invalid("a type is a name, an object or a list", path)
        kind = data.get("type")
        if isinstance(kind, (dict, list)):
            return self.type(kind, namespace, path, depth + 1)
        if kind in ("record", "error"):
            return self._record(data, namespace, path, depth)
        if kind == "enum":
            return self._enum(data, namespace, path)
        if kind == "fixed":
            return self._fixed(data, namespace, path)
        if kind == "array":
            return Array(items=self._part(data, "items", namespace, path, depth), props=_props(data, {"items"}))
        if kind == "map":
            return Map(values=self._part(data, "values", namespace, path, depth), props=_props(data, {"values"}))
        if not isinstance(kind, str):
            raise _invalid("a type needs `type`", path)
        return self._primitive(data, kind, namespace, path)

    def _named(self, name: str, namespace: str, path: str) -> Type:
        if name in PRIMITIVES:
            return Primitive(name=name)
        for full in (_full(name, namespace), name):
            if full in self._open:
                return Ref(name=full)
            if full in self.names:
                return self.names[full]
        raise _invalid(f"unknown type {_shown(name)}", path)

    def _primitive(self, data: dict[str, Any], kind: str, namespace: str, path: str) -> Type:
        if kind not in PRIMITIVES:
            return self._named(kind, namespace, path)
        logical, precision, scale = _logical(data, kind)
        props = _props(data, {"name", "namespace"})
        return Primitive(name=kind, logical=logical, precision=precision, scale=scale, props=props)

    def _part(self, data: dict[str, Any], name: str, namespace: str, path: str, depth: int) -> Type:
        if name not in data:
            raise _invalid(f"{data['type']} needs `{name}`", path)
        return self.type(data[name], namespace, f"{path}[]" if name == "items" else f"{path}{{}}", depth + 1)

    def _union(self, data: list[Any], namespace: str, path: str, depth: int) -> Union:
        branches = tuple(self.type(b, namespace, path, depth + 1) for b in data)
        kinds = [branch_name(b) for b in branches]
        if "union" in kinds:
            raise _invalid("a union must not hold a union", path)
        if len(set(kinds)) != len(kinds):
            raise _invalid("a union has two branches of one type", path)
        return Union(branches=branches)

    def _enum(self, data: dict[str, Any], namespace: str, path: str) -> Enum:
        name, aliases, path = self._define(data, namespace, path)
        symbols = data.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(s, str) and NAME.fullmatch(s) for s in symbols):
            raise _invalid("an enum needs `symbols`, a list of names", path)
        if len(set(symbols)) != len(symbols):
            raise _invalid("an enum has a symbol twice", path)
        default = data.get("default")
        if default is not None and default not in symbols:
            raise _invalid("an enum's default must be one of its symbols", path)
        props = _props(data, RESERVED_NAMED)
        made = Enum(name=name, symbols=tuple(symbols), default=default, aliases=aliases, props=props)
        self.names[name] = made
        return made

    def _fixed(self, data: dict[str, Any], namespace: str, path: str) -> Fixed:
        name, aliases, path = self._define(data, namespace, path)
        size = data.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise _invalid("a fixed needs `size`, a number of bytes", path)
        logical, precision, scale = _logical(data, "fixed", size)
        made = Fixed(
            name=name,
            size=size,
            logical=logical,
            precision=precision,
            scale=scale,
            aliases=aliases,
            props=_props(data, RESERVED_NAMED),
        )
        self.names[name] = made
        return made

    def _record(self, data: dict[str, Any], namespace: str, path: str, depth: int) -> Record:
        name, aliases, _path = self._define(data, namespace, path)
        fields = data.get("fields")
        if not isinstance(fields, list):
            raise _invalid("a record needs `fields`, a list", path or name)
        self._open.append(name)
        inner = name.rpartition(".")[0]
        parsed = tuple(self._field(f, inner, path, depth) for f in fields)
        self._open.pop()
        names = [f.name for f in parsed]
        if len(set(names)) != len(names):
            raise _invalid("a record has two fields of one name", path or name)
        doc = data.get("doc")
        made = Record(
            name=name,
            fields=parsed,
            doc=doc if isinstance(doc, str) else "",
            aliases=aliases,
            props=_props(data, RESERVED_NAMED),
        )
        self.names[name] = made
        return made

    def _field(self, data: Any, namespace: str, path: str, depth: int) -> Field:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise _invalid(f"more than {MAX_FIELDS:,} fields", path)
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise _invalid("a field needs `name`, letters, digits and _ only", path)
        path = f"{path}.{name}" if path else name
        if "type" not in data:
            raise _invalid("a field needs `type`", path)
        aliases = data.get("aliases", [])
        if not isinstance(aliases, list) or not all(isinstance(a, str) for a in aliases):
            raise _invalid("`aliases` is a list of names", path)
        kind = self.type(data["type"], namespace, path, depth + 1)
        default = data.get("default", NO_DEFAULT)
        if default is not NO_DEFAULT and self._check_defaults:
            check_default(kind, default, self.names, path)
        doc = data.get("doc")
        return Field(
            name=name,
            type=kind,
            default=default,
            doc=doc if isinstance(doc, str) else "",
            aliases=tuple(aliases),
            props=_props(data, RESERVED_FIELD),
        )

    def _define(self, data: dict[str, Any], namespace: str, path: str) -> tuple[str, tuple[str, ...], str]:
        name = data.get("name")
        if not isinstance(name, str):
            raise _invalid(f"{data['type']} needs `name`", path)
        space = data.get("namespace", namespace)
        full = _full(name, space if isinstance(space, str) else "")
        if not all(NAME.fullmatch(part) for part in full.split(".")):
            raise _invalid(f"{_shown(name)} is not a name", path)
        if full in self.names or full in self._open:
            raise _invalid(f"{full} is defined twice", path)
        aliases = data.get("aliases", [])
        if not isinstance(aliases, list) or not all(isinstance(a, str) for a in aliases):
            raise _invalid("`aliases` is a list of names", path)
        inner = full.rpartition(".")[0]
        return full, tuple(_full(a, inner) for a in aliases), path or full


def branch_name(of: Type) -> str:
    """What a union branch is called: a full name, or the unnamed type's own."""
    if isinstance(of, (Record, Enum, Fixed, Ref, Primitive)):
        return of.name
    return {Array: "array", Map: "map", Union: "union"}[type(of)]


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _logical(data: dict[str, Any], kind: str, size: int = 0) -> tuple[str | None, int, int]:
    """The logical type if it is a known one that fits; an invalid one is ignored, as the specification says."""
    logical = data.get("logicalType")
    if logical == "decimal" and kind in ("bytes", "fixed"):
        precision, scale = data.get("precision"), data.get("scale", 0)
        if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= precision <= 76:
            return None, 0, 0
        fits = precision > 0 and (kind == "bytes" or (size > 0 and precision < len(str(2 ** (8 * size - 1)))))
        return ("decimal", precision, scale) if fits else (None, 0, 0)
    if kind == "fixed":
        return ("duration", 0, 0) if logical == "duration" and size == 12 else (None, 0, 0)
    known = isinstance(logical, str) and LOGICAL.get(logical) == kind
    return (logical if known else None), 0, 0


def _props(data: dict[str, Any], reserved: set[str]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in reserved and k not in ("type",)}


def _shown(name: str) -> str:
    return f"`{name[:80]}`"


def _invalid(why: str, path: str) -> SchemaInvalid:
    return SchemaInvalid(why, where=path)


def parse_topic_schema(text: str, references: Sequence[Schema] = ()) -> Record:
    """A schema that a topic can hold: a record, not recursive, no array of zero-width items (R29, S23), and no field of a
    name that deliveries need."""
    schema = parse(text, references)
    if not isinstance(schema.type, Record):
        raise SchemaInvalid("a topic's schema is a record")
    for name in DELIVERED:
        if schema.type.field(name) is not None:
            raise SchemaInvalid("deliveries have a field of this name", where=name, remedy="give it another name")
    _check_topic(schema.type, schema.type.name)
    return schema.type


def _check_topic(of: Type, path: str) -> None:
    if isinstance(of, Ref):
        raise SchemaInvalid("a topic's schema must not be recursive", where=path)
    if isinstance(of, Record):
        for f in of.fields:
            _check_topic(f.type, f"{path}.{f.name}")
    elif isinstance(of, Array):
        if zero_width(of.items):
            raise SchemaInvalid("an array of items without bytes is refused", where=path)
        _check_topic(of.items, f"{path}[]")
    elif isinstance(of, Map):
        _check_topic(of.values, f"{path}{{}}")
    elif isinstance(of, Union):
        for branch in of.branches:
            _check_topic(branch, path)


def zero_width(of: Type) -> bool:
    """A value of this type takes no bytes."""
    if isinstance(of, Record):
        return all(zero_width(f.type) for f in of.fields)
    return is_null(of) or (isinstance(of, Fixed) and of.size == 0)
