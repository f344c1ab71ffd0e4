"""Does a default fit its field? By JSON type, deep into arrays, maps and records (registry-api §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hub.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Ref, Type, Union
from hub.errors import SchemaInvalid

INT = (-(2**31), 2**31 - 1)
LONG = (-(2**63), 2**63 - 1)
MAX_DEPTH = 64


def check_default(of: Type, value: Any, names: Mapping[str, Type], path: str, depth: int = 0) -> None:
    """Raises SchemaInvalid, naming the path."""
    if depth > MAX_DEPTH:
        raise SchemaInvalid("the default is nested too deep", where=path)
    if isinstance(of, Ref):
        if of.name not in names:
            raise SchemaInvalid(f"a default inside {of.name} itself cannot be checked", where=path)
        of = names[of.name]
    if isinstance(of, Union):
        _check_union(of, value, names, path, depth)
    elif isinstance(of, Record):
        _check_record(of, value, names, path, depth)
    elif isinstance(of, Array) and isinstance(value, list):
        for item in value:
            check_default(of.items, item, names, f"{path}[]", depth + 1)
    elif isinstance(of, Map) and isinstance(value, dict):
        for item in value.values():
            check_default(of.values, item, names, f"{path}{{}}", depth + 1)
    elif not _fits(of, value):
        raise SchemaInvalid("the default does not fit the field's type", where=path)


def _check_union(of: Union, value: Any, names: Mapping[str, Type], path: str, depth: int) -> None:
    for branch in of.branches:
        try:
            check_default(branch, value, names, path, depth + 1)
        except SchemaInvalid:
            continue
        return
    raise SchemaInvalid("the default fits no branch of the union", where=path)


def _check_record(of: Record, value: Any, names: Mapping[str, Type], path: str, depth: int) -> None:
    if not isinstance(value, dict):
        raise SchemaInvalid("the default of a record is an object", where=path)
    for field in of.fields:
        if field.name in value:
            check_default(field.type, value[field.name], names, f"{path}.{field.name}", depth + 1)
        elif not field.has_default:
            raise SchemaInvalid(f"the default lacks `{field.name}`", where=path)


def _fits(of: Type, value: Any) -> bool:
    if isinstance(of, Enum):
        return isinstance(value, str) and value in of.symbols
    if isinstance(of, Fixed):
        return isinstance(value, str) and len(value) == of.size and _latin(value)
    if not isinstance(of, Primitive):
        return False
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits: dict[str, Callable[[], bool]] = {
        "null": lambda: value is None,
        "boolean": lambda: isinstance(value, bool),
        "int": lambda: whole and INT[0] <= value <= INT[1],
        "long": lambda: whole and LONG[0] <= value <= LONG[1],
        "float": lambda: whole or isinstance(value, float),
        "double": lambda: whole or isinstance(value, float),
        "bytes": lambda: isinstance(value, str) and _latin(value),
        "string": lambda: isinstance(value, str),
    }
    return fits[of.name]()


def _latin(text: str) -> bool:
    return all(ord(c) < 256 for c in text)
