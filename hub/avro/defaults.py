"""Does a default fit its field? By JSON type, deep into arrays, maps and records (registry-api §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Ref, Type, Union
from hub.errors import SchemaInvalid

INT = (-(2**31), 2**31 - 1)
LONG = (-(2**63), 2**63 - 1)
MAX_DEPTH = 64


def check_default(of: Type, value: Any, names: Mapping[str, Type], path: str) -> None:
    """Raises SchemaInvalid, naming the path. `names` has the types that a recursive schema refers to."""
    found = _Check(names).why_not(of, value, "", 0)
    if found is not None:
        why, inner = found
        raise SchemaInvalid(why, where=path + inner)


class _Check:
    """One default. Each pair of type and value is looked at once, so that nested unions do not multiply the work."""

    def __init__(self, names: Mapping[str, Type]) -> None:
        self._names = names
        self._known: dict[tuple[int, int], tuple[str, str] | None] = {}

    def why_not(self, of: Type, value: Any, path: str, depth: int) -> tuple[str, str] | None:
        """None when it fits; else a sentence, and the path inside the default."""
        if depth > MAX_DEPTH:
            return "the default is nested too deep", path
        if isinstance(of, Ref):
            of = self._names[of.name]
        if not isinstance(value, (dict, list)) and not isinstance(of, Union):
            return None if _fits(of, value) else (_misfit(of), path)
        pair = (id(of), id(value))
        if pair not in self._known:
            self._known[pair] = self._look(of, value, path, depth)
        return self._known[pair]

    def _look(self, of: Type, value: Any, path: str, depth: int) -> tuple[str, str] | None:
        if isinstance(of, Union):
            tried = [self.why_not(branch, value, path, depth + 1) for branch in of.branches]
            return None if None in tried else ("the default fits no branch of the union", path)
        if isinstance(of, Record) and isinstance(value, dict):
            return self._record(of, value, path, depth)
        if isinstance(of, Array) and isinstance(value, list):
            return self._each(of.items, value, f"{path}[]", depth)
        if isinstance(of, Map) and isinstance(value, dict):
            return self._each(of.values, list(value.values()), f"{path}{{}}", depth)
        return _misfit(of), path

    def _each(self, of: Type, values: list[Any], path: str, depth: int) -> tuple[str, str] | None:
        return next((found for v in values if (found := self.why_not(of, v, path, depth + 1))), None)

    def _record(self, of: Record, value: dict[str, Any], path: str, depth: int) -> tuple[str, str] | None:
        for field in of.fields:
            if field.name in value:
                found = self.why_not(field.type, value[field.name], f"{path}.{field.name}", depth + 1)
                if found:
                    return found
            elif not field.has_default:
                return f"the default lacks `{field.name}`, which has no default of its own", path
        return None


def _misfit(of: Type) -> str:
    kinds = {Record: "an object", Map: "an object", Array: "a list", Enum: "one of the enum's symbols"}
    if isinstance(of, Fixed):
        return f"the default must be a string of {of.size} characters from U+0000 to U+00FF"
    if isinstance(of, Primitive):
        return f"the default must be {WANTED[of.name]}"
    return f"the default must be {kinds[type(of)]}"


WANTED = {
    "null": "null, not in quotes",
    "boolean": "true or false",
    "int": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "float": "a number",
    "double": "a number",
    "bytes": "a string of characters from U+0000 to U+00FF",
    "string": "a string",
}


def _fits(of: Type, value: Any) -> bool:
    if isinstance(of, Enum):
        return isinstance(value, str) and value in of.symbols
    if isinstance(of, Fixed):
        return isinstance(value, str) and len(value) == of.size and _latin(value)
    return isinstance(of, Primitive) and _fits_primitive(of.name, value)


def _fits_primitive(name: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    match name:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int" | "long":
            low, high = INT if name == "int" else LONG
            return whole and low <= value <= high
        case "float" | "double":
            return whole or isinstance(value, float)
        case "bytes":
            return isinstance(value, str) and _latin(value)
        case _:
            return isinstance(value, str)


def _latin(text: str) -> bool:
    return all(ord(c) < 256 for c in text)
