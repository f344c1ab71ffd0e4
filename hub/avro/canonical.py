"""The text under which two schemas are one (registry-api §2, "Canonical text")."""

from __future__ import annotations

import json
from typing import Any

ORDER = ("type", "name", "namespace", "doc", "fields", "symbols", "items", "values", "size", "default")
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
NAMED = {"record", "error", "enum", "fixed"}


def canonical_text(document: Any) -> str:
    """Compact JSON: names, docs, defaults and custom properties kept; white space and key order folded."""
    return json.dumps(_type(document, ""), separators=(",", ":"), ensure_ascii=False)


def _type(data: Any, namespace: str) -> Any:
    if isinstance(data, list):
        return [_type(b, namespace) for b in data]
    if not isinstance(data, dict):
        return data
    kind = data.get("type")
    if isinstance(kind, (dict, list)):
        return _type(kind, namespace)
    if kind in NAMED:
        return _named(data, namespace)
    rest = {k: v for k, v in data.items() if k not in ("name", "namespace")}
    if kind in ("array", "map"):
        part = "items" if kind == "array" else "values"
        return _ordered({**rest, part: _type(data.get(part), namespace)})
    return kind if set(rest) == {"type"} else _ordered(rest)


def _named(data: dict[str, Any], namespace: str) -> dict[str, Any]:
    name = str(data.get("name", ""))
    space = data.get("namespace", namespace)
    if "." in name:
        space, _, name = name.rpartition(".")
    out = {**data, "name": name}
    out.pop("namespace", None)
    if space and space != namespace:
        out["namespace"] = space
    if isinstance(data.get("fields"), list):
        out["fields"] = [_field(f, str(space or "")) for f in data["fields"]]
    return _ordered(out)


def _field(data: Any, namespace: str) -> Any:
    if not isinstance(data, dict):
        return data
    out = {k: v for k, v in data.items() if not (k == "order" and v == "ascending")}
    if "type" in out:
        out["type"] = _type(out["type"], namespace)
    order = ("name", "type", "doc", "default")
    return {k: out[k] for k in (*[o for o in order if o in out], *[k for k in out if k not in order])}


def _ordered(data: dict[str, Any]) -> dict[str, Any]:
    first = [k for k in ORDER if k in data]
    return {k: data[k] for k in (*first, *[k for k in data if k not in ORDER])}
