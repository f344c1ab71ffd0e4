"""Which cells of a source row are behind a rejection, so that a person looks at the right ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hub.errors import ExpressionInvalid
from hub.mapping.program import MappingSpec, columns_used


def columns_behind(mapping: MappingSpec, path: str, columns: Collection[str]) -> list[str]:
    """The columns of a row that a rejection's path speaks of: a column itself, those that a field's expression reads, or
    those behind the fields that a check reads. Empty where nobody can tell."""
    if not path:
        return []
    try:
        fields = _fields(mapping, path)
        if not fields and path in mapping.checks:
            read = columns_used(MappingSpec(fields={path: mapping.checks[path]}))
            fields = {f: text for name in read for f, text in _fields(mapping, name).items()}
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
