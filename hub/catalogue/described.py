"""Settings as a person reads them, from their JSON Schema: for the reference and for `datong connector spec`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. A dot in the name is a step inwards."""

    name: str
    value: str  # what may be written, in words
    required: bool
    default: str  # as JSON; empty where there is none
    text: str


def described(schema: Schema, whole: Schema, prefix: str = "") -> Iterator[Setting]:
    """Each setting of an object, and each inside it; `whole` has the definitions that the object refers to."""
    for name, field in schema["properties"].items():
        default = field.get("default")
        yield Setting(
            name=f"{prefix}{name}",
            value=value(field, whole),
            required=name in schema.get("required", ()),
            default="" if default is None else json.dumps(default, ensure_ascii=False),
            text=field.get("description") or "",
        )
        inner, dot = inside(field, whole)
        if inner:
            yield from described(inner, whole, f"{prefix}{name}{dot}")


def inside(field: Schema, whole: Schema) -> tuple[Schema, str]:
    """The object with settings of its own that a setting holds, alone or in a list; nothing for plain values."""
    found = resolved(field, whole)
    choices = [resolved(c, whole) for c in found.get("anyOf", [found]) if c.get("type") != "null"]
    if len(choices) != 1:
        return {}, ""
    listed = choices[0].get("type") == "array"
    made = resolved(choices[0].get("items", {}), whole) if listed else choices[0]
    return (made, "[]." if listed else ".") if "properties" in made else ({}, "")


def resolved(field: Schema, whole: Schema) -> Schema:
    """What a reference refers to."""
    reference = field.get("$ref")
    return whole["$defs"][reference.rpartition("/")[2]] if reference else field


def value(field: Schema, whole: Schema) -> str:
    """What may be written, in words."""
    field = resolved(field, whole)
    choices = [c for c in field.get("anyOf") or field.get("oneOf") or () if c.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(value(c, whole) for c in choices))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{c}`" for c in field.get("enum", [field.get("const")]))
    match field.get("type"):
        case "array":
            return f"list of {value(field.get('items', {}), whole)}"
        case "integer" | "number":
            return number(field)
        case "object":
            return keys(field)
    return "date" if field.get("format") == "date" else "one character" if field.get("maxLength") == 1 else "text"


def number(field: Schema) -> str:
    """`integer, 1 to 1000`."""
    low, high, above = (field.get(name) for name in ("minimum", "maximum", "exclusiveMinimum"))
    if low is not None and high is not None:
        return f"{field['type']}, {low} to {high}"
    bound = f", {low} or more" if low is not None else f", more than {above}" if above is not None else ""
    return f"{field['type']}{bound}"


def keys(field: Schema) -> str:
    """What an object has in it."""
    settings = field.get("properties", {})
    if "const" in settings.get("kind", {}):
        return f"`kind: {settings['kind']['const']}` and its settings"
    return "mapping with " + ", ".join(f"`{name}`" for name in settings) if settings else "mapping"
