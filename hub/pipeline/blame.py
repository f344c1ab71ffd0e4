"""Which fields and which cells of a source row are behind a rejection, so that a person looks at the right ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hub.errors import ExpressionInvalid
from hub.mapping.program import MappingSpec, columns_used


def fields_behind(mapping: MappingSpec, path: str) -> dict[str, str]:
    """The fields that a rejection's path speaks of, with their expressions: the field itself, what is in it or what it is in,
    or those that a check reads. Empty where nobody can tell, or for a column."""
    found = _fields(mapping, path) if path else {}
    if found or path not in mapping.checks:
        return found
    try:
        read = columns_used(MappingSpec(fields={path: mapping.checks[path]}))
    except ExpressionInvalid:
        return {}
    return {f: text for name in sorted(read) for f, text in _fields(mapping, name).items()}


def columns_behind(mapping: MappingSpec, path: str, columns: Collection[str]) -> list[str]:
    """The columns of a row that a rejection's path speaks of: a column itself, those that a field's expression reads, or
    those behind the fields that a check reads. Empty where nobody can tell."""
    if not path:
        return []
    fields = fields_behind(mapping, path)
    try:
        used = columns_used(MappingSpec(fields=fields)) if fields else {path}
    except ExpressionInvalid:
        return []
    return [name for name in columns if name in used]


def _fields(mapping: MappingSpec, path: str) -> dict[str, str]:
    """The expressions of a field, of what is in it, or of what it is in."""
    return {name: text for name, text in mapping.fields.items() if name == path or _within(path, name)}


def _within(one: str, other: str) -> bool:
    return any(inner.startswith((outer + ".", outer + "[")) for outer, inner in _both(one, other))


def _both(one: str, other: str) -> Iterable[tuple[str, str]]:
    return (one, other), (other, one)
