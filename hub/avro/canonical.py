"""The text under which two schemas are one (registry-api §2, "Canonical text")."""

from __future__ import annotations

import json
from typing import Any

ORDER = ("type", "name", "namespace", "doc", "fields", "symbols", "items", "values", "size", "default")
LATER = ("aliases", "logicalType", "precision", "scale")  # Avro's own too: their order means nothing either
FIELD_ORDER = ("name", "type", "doc", "default", "order", "aliases")
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
NAMED = ("record", "error", "enum", "fixed")
PARTS = {"array": "items", "map": "values"}


def canonical_text(document: Any, *, normalise: bool = False) -> str:
    """Compact JSON of a valid schema: names, docs, defaults and custom properties kept; white space and the order of
    Avro's own keys folded. With `normalise`, the order of custom properties is folded too, at every depth (§7)."""
    return json.dumps(_Writer(normalise).type(document, ""), separators=(",", ":"), ensure_ascii=False)


class _Writer:
    """One text. `namespace` is the one in force at the place."""

    def __init__(self, normalise: bool) -> None:
        self._normalise = normalise

    def type(self, data: Any, namespace: str) -> Any:
        if isinstance(data, list):
            return [self.type(b, namespace) for b in data]
        if isinstance(data, str):
            return relative(data, namespace)
        kind = data["type"]
        if kind in NAMED:
            return self._named(data, namespace)
        rest = {k: v for k, v in data.items() if k not in ("name", "namespace")}
        if set(rest) == {"type"}:  # {"type":"int"} is "int", whatever it is called
            return self.type(kind, namespace)
        part = PARTS.get(kind) if isinstance(kind, str) else None
        if part is not None:
            return self._ordered({**rest, part: self.type(data[part], namespace)}, (*ORDER, *LATER))
        return self._ordered({**rest, "type": self.type(kind, namespace)}, (*ORDER, *LATER))

    def _named(self, data: dict[str, Any], namespace: str) -> dict[str, Any]:
        name, inner = data["name"], namespace_of(data, namespace)
        out = {**data, "name": name.rpartition(".")[2]}
        out.pop("namespace", None)
        if inner != namespace:
            out["namespace"] = inner
        if "fields" in data:
            out["fields"] = [self._field(f, inner) for f in data["fields"]]
        return self._ordered(out, (*ORDER, *LATER))

    def _field(self, data: dict[str, Any], namespace: str) -> dict[str, Any]:
        out = {k: v for k, v in data.items() if not (k == "order" and v == "ascending")}
        out["type"] = self.type(out["type"], namespace)
        return self._ordered(out, FIELD_ORDER)

    def _ordered(self, data: dict[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
        rest = [k for k in data if k not in first]
        if self._normalise:
            rest.sort()
        made = {k: data[k] for k in (*[k for k in first if k in data], *rest)}
        if self._normalise:
            structure = {"type", "fields", "items", "values"}  # done already, by the rules of types
            made = {k: v if k in structure else _sorted(v) for k, v in made.items()}
        return made


def namespace_of(data: dict[str, Any], namespace: str) -> str:
    """The namespace that a definition opens: that of a dotted name, else its own, else the one around it."""
    own, dot, _name = data["name"].rpartition(".")
    if dot:
        return str(own)
    declared = data.get("namespace")
    return namespace if declared is None else str(declared)


def relative(name: str, namespace: str) -> str:
    """A use of a type as short as it can be: `ns.Name` inside `ns` is `Name`."""
    space, dot, simple = name.rpartition(".")
    return simple if dot and space == namespace and simple not in PRIMITIVES else name


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value
