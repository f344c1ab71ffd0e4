"""Parse, validate and canonicalise Avro schemas (Avro 1.12; registry-api §2 and §3). Pure; no Arrow."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from hub.avro.canonical import canonical_text, namespace_of
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
)
from hub.errors import SchemaInvalid

MAX_TEXT = 1_000_000  # characters
MAX_DEPTH = 32
MAX_SIZE = 2**31 - 1  # bytes of a fixed
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ORDERS = ("ascending", "descending", "ignore")
RESERVED_FIELD = {"name", "type", "default", "doc", "aliases", "order"}
RESERVED_NAMED = {"type", "name", "namespace", "doc", "aliases", "fields", "symbols", "size", "default"}
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


def parse(
    text: str, known: Mapping[str, Type] | None = None, *, check_defaults: bool = True, normalise: bool = False
) -> Schema:
    """A schema document. `known` has named types of other documents. Raises SchemaInvalid, saying where and why.

    `normalise` is about the canonical text alone: custom properties in one order (registry-api §7).
    """
    if len(text) > MAX_TEXT:
        raise SchemaInvalid(f"a schema has at most {MAX_TEXT:,} characters, this one {len(text):,}")
    document = load_json(text)
    parser = _Parser(known or {})
    try:
        top = parser.type(document, "", "", 0)
        if check_defaults:
            parser.check_defaults()
        made = canonical_text(document, normalise=normalise)
    except RecursionError:  # custom properties may nest as they like, up to here
        raise SchemaInvalid("nested too deep") from None
    if not _is_unicode(made):
        raise SchemaInvalid("a text in it is not valid Unicode: it has half of a surrogate pair")
    return Schema(type=top, names=dict(parser.names), canonical=made)


def load_json(text: str) -> Any:
    """A JSON document that every reader reads alike. Raises SchemaInvalid."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            raise SchemaInvalid("not JSON", where=f"line {error.lineno}, column {error.colno}") from error
        raise SchemaInvalid(str(error) if isinstance(error, _NotPlain) else "not JSON") from error


class _NotPlain(ValueError):
    """JSON that readers would read differently."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotPlain("a JSON object has a property twice")
    return found


def _no_constant(_text: str) -> Any:
    raise _NotPlain("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise _NotPlain("a number in it is too large for a double")
    return found


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical(text: str) -> str:
    """The compact text that identifies a schema (registry-api §2)."""
    return parse(text, check_defaults=False).canonical


def fingerprint(text: str) -> str:
    """SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(text).encode()).hexdigest()


class _Parser:
    """One document. `names` grows as definitions are met."""

    def __init__(self, known: Mapping[str, Type]) -> None:
        self.names: dict[str, Type] = dict(known)
        self._open: set[str] = set()  # named types whose definition is under way
        self._defaults: list[tuple[Type, Any, str]] = []

    def check_defaults(self) -> None:
        """Of every field, once all names are known: a default may be of the type that is being defined."""
        for of, value, path in self._defaults:
            check_default(of, value, self.names, path)

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
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
            raise _invalid(f"a fixed needs `size`, a number of bytes from 0 to {MAX_SIZE:,}", path)
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
        self._open.add(name)
        inner = name.rpartition(".")[0]
        parsed = tuple(self._field(f, inner, path, depth) for f in fields)
        self._open.discard(name)
        if len({f.name for f in parsed}) != len(parsed):
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
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise _invalid("a field needs `name`, letters, digits and _ only", path)
        path = f"{path}.{name}" if path else name
        if "type" not in data:
            raise _invalid("a field needs `type`", path)
        if data.get("order", "ascending") not in ORDERS:
            raise _invalid(f"a field's `order` is one of {', '.join(ORDERS)}", path)
        kind = self.type(data["type"], namespace, path, depth + 1)
        default = data.get("default", NO_DEFAULT)
        if default is not NO_DEFAULT:
            self._defaults.append((kind, default, path))
        doc = data.get("doc")
        return Field(
            name=name,
            type=kind,
            default=default,
            doc=doc if isinstance(doc, str) else "",
            aliases=_aliases(data, path),
            props=_props(data, RESERVED_FIELD),
        )

    def _define(self, data: dict[str, Any], namespace: str, path: str) -> tuple[str, tuple[str, ...], str]:
        name, space = data.get("name"), data.get("namespace")
        if not isinstance(name, str):
            raise _invalid(f"{data['type']} needs `name`", path)
        if space is not None and not isinstance(space, str):
            raise _invalid("`namespace` is a text", path)
        inner = namespace_of(data, namespace)
        full = _full(name, inner)
        if not _is_name(full):
            raise _invalid(f"{_shown(full)} is not a name", path)
        if full.rpartition(".")[2] in PRIMITIVES:
            raise _invalid(f"{_shown(full)} is the name of a primitive type", path)
        if full in self.names or full in self._open:
            raise _invalid(f"{full} is defined twice", path)
        aliases = tuple(_full(a, inner) for a in _aliases(data, path))
        if not all(_is_name(a) for a in aliases):
            raise _invalid("an alias is not a name", path or full)
        return full, aliases, path or full


def branch_name(of: Type) -> str:
    """What a union branch is called: a full name, or the unnamed type's own."""
    if isinstance(of, (Record, Enum, Fixed, Ref, Primitive)):
        return of.name
    return {Array: "array", Map: "map", Union: "union"}[type(of)]


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _is_name(full: str) -> bool:
    return all(NAME.fullmatch(part) for part in full.split("."))


def _aliases(data: dict[str, Any], path: str) -> tuple[str, ...]:
    aliases = data.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(a, str) for a in aliases):
        raise _invalid("`aliases` is a list of names", path)
    return tuple(aliases)


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
