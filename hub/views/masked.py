"""A record as it may be shown: public fields as they are, of all others their shape (G13). Pure.

A value is clear only where every field on the way to it is classified `public`; a field without classification is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.avro.types import Array, Enum, Field, Map, Primitive, Record, Type, Union
from hub.model import Json
from hub.pipeline.unusual import mask

PUBLIC = "public"
LONG = 200  # characters of a clear text
ITEMS = 20  # of a list or map


def masked(values: Mapping[str, Json], of: Record, clear: bool = True) -> dict[str, Json]:
    """The fields that are there, in the schema's order."""
    return {f.name: _masked(values[f.name], f.type, clear and is_public(f)) for f in of.fields if f.name in values}


def hidden(of: Record) -> list[str]:
    """The fields of which something is masked."""
    return [f.name for f in of.fields if not (is_public(f) and _is_public(f.type))]


def is_public(field: Field) -> bool:
    """May anybody see it?"""
    return field.props.get("classification") == PUBLIC


def _masked(value: Json, of: Type, clear: bool) -> Json:
    if value is None:
        return None
    if isinstance(of, Union):
        if of.nullable is not None:
            return _masked(value, of.nullable, clear)
        return _leaf(value, of, clear and all(map(_is_public, of.branches)))  # nobody says which branch it is
    if isinstance(of, Record):
        return masked(value, of, clear)
    if isinstance(of, Array):
        return [_masked(item, of.items, clear) for item in value[:ITEMS]] + ["…"] * (len(value) > ITEMS)
    if isinstance(of, Map):
        if not clear:
            return f"{len(value):,} entries"  # their keys say something, too
        return {name: _masked(item, of.values, clear) for name, item in list(value.items())[:ITEMS]}
    return _leaf(value, of, clear)


def _leaf(value: Json, of: Type, clear: bool) -> Json:
    if clear:
        return value if not isinstance(value, str) or len(value) <= LONG else value[:LONG] + "…"
    if isinstance(of, Enum) or (isinstance(of, Primitive) and of.name == "boolean"):
        return "x"  # of a few words the length alone would tell which
    return mask(value if isinstance(value, str) else str(value))


def _is_public(of: Type) -> bool:
    """Are all fields inside public?"""
    inner: Any = ()
    if isinstance(of, Record):
        return all(is_public(f) and _is_public(f.type) for f in of.fields)
    if isinstance(of, Union):
        inner = of.branches
    elif isinstance(of, Array):
        inner = (of.items,)
    elif isinstance(of, Map):
        inner = (of.values,)
    return all(map(_is_public, inner))
