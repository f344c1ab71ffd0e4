"""Settings as a person reads them, from their JSON Schema: for the reference and for `datong connector spec`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.sentences import OR, Part, Sentence, said

Schema = dict[str, Any]
WORDS: Mapping[str, str] = {
    OR: " or ",
    "text": "text",
    "character": "one character",
    "date": "date",
    "integer": "integer",
    "number": "number",
    "between": "{type}, {low} to {high}",
    "from": "{type}, {low} or more",
    "above": "{type}, more than {low}",
    "list": "list of {items}",
    "mapping": "mapping",
    "mapping_with": "mapping with {names}",
    "kind": "{kind} and its settings",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. A dot in the name is a step inwards."""

    name: str
    takes: Part  # what may be written, in `WORDS`
    required: bool
    default: str  # as JSON; empty where there is none
    text: str

    @property
    def value(self) -> str:
        """What may be written, in English."""
        return said(self.takes, WORDS)


def described(schema: Schema, whole: Schema, prefix: str = "") -> Iterator[Setting]:
    """Each setting of an object, and each inside it; `whole` has the definitions that the object refers to."""
    for name, field in schema["properties"].items():
        default = field.get("default")
        yield Setting(
            name=f"{prefix}{name}",
            takes=takes(field, whole),
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


def takes(field: Schema, whole: Schema) -> Part:
    """What may be written, in words."""
    field = resolved(field, whole)
    choices = [c for c in field.get("anyOf") or field.get("oneOf") or () if c.get("type") != "null"]
    if choices:
        made = [takes(c, whole) for c in choices]
        return tuple(one for place, one in enumerate(made) if one not in made[:place])
    if "const" in field or "enum" in field:
        return ", ".join(f"`{c}`" for c in field.get("enum", [field.get("const")]))
    match field.get("type"):
        case "array":
            return Sentence("list", {"items": takes(field.get("items", {}), whole)})
        case "integer" | "number":
            return number(field)
        case "object":
            return keys(field)
        case "boolean":
            return ("`true`", "`false`")
    return Sentence("date" if field.get("format") == "date" else "character" if field.get("maxLength") == 1 else "text")


def number(field: Schema) -> Sentence:
    """`integer, 1 to 1000`."""
    low, high, above = (field.get(name) for name in ("minimum", "maximum", "exclusiveMinimum"))
    kind = Sentence(field["type"])
    if low is not None and high is not None:
        return Sentence("between", {"type": kind, "low": str(low), "high": str(high)})
    if low is not None:
        return Sentence("from", {"type": kind, "low": str(low)})
    return kind if above is None else Sentence("above", {"type": kind, "low": str(above)})


def keys(field: Schema) -> Sentence:
    """What an object has in it."""
    settings = field.get("properties", {})
    if "const" in settings.get("kind", {}):
        return Sentence("kind", {"kind": f"`kind: {settings['kind']['const']}`"})
    names = ", ".join(f"`{name}`" for name in settings)
    return Sentence("mapping_with", {"names": names}) if names else Sentence("mapping")
