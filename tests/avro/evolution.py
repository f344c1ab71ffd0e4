"""Schemas that change, and the records that show whether a reader still reads: what the property tests share."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
VALUES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "int": -7,
    "long": 2**40,
    "float": 0.5,
    "double": -0.25,
    "bytes": b"\x41\x42",
    "string": "via",
}
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Maker:
    """Draws a schema, and another one that somebody may have made of it."""

    draw: Draw

    def __post_init__(self) -> None:
        self._numbers = itertools.count()

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self, of: int) -> bool:
        return self.draw(st.integers(0, of - 1)) == 0

    # -- the writer's

    def type(self, depth: int = 0) -> Any:
        deep = ("record", "array", "map", "union") if depth < 3 else ()
        kind = self.one_of(*PRIMITIVES, "enum", "fixed", *deep)
        return kind if kind in PRIMITIVES else getattr(self, f"_{kind}")(depth)

    def record(self, depth: int = 0) -> dict[str, Any]:
        return self._record(depth)

    def _name(self, letter: str) -> str:
        return f"{self.one_of('x.', 'y.')}{letter}{next(self._numbers)}"

    def _record(self, depth: int) -> dict[str, Any]:
        fields = [{"name": f"f{n}", "type": self.type(depth + 1)} for n in range(self.draw(st.integers(0, 3)))]
        return {"type": "record", "name": self._name("R"), "fields": fields}

    def _enum(self, _depth: int) -> dict[str, Any]:
        made = {"type": "enum", "name": self._name("E"), "symbols": list("ABC")[: self.draw(st.integers(1, 3))]}
        return {**made, "default": "A"} if self.chance(3) else made

    def _fixed(self, _depth: int) -> dict[str, Any]:
        return {"type": "fixed", "name": self._name("F"), "size": self.one_of(1, 2)}

    def _array(self, depth: int) -> dict[str, Any]:
        return {"type": "array", "items": self.type(depth + 1)}

    def _map(self, depth: int) -> dict[str, Any]:
        return {"type": "map", "values": self.type(depth + 1)}

    def _union(self, depth: int) -> list[Any]:
        return distinct([self.type(3 if depth > 1 else depth + 1) for _ in range(self.draw(st.integers(1, 4)))])

    # -- and a reader's

    def changed(self, of: Any, depth: int = 0) -> Any:
        """The same type, or a near one."""
        if self.chance(20):
            return self.type(3)
        if isinstance(of, list):
            return self._changed_union(of, depth)
        made = self._changed_plain(of, depth)
        if self.chance(12):
            return distinct([self.one_of("null", "string"), made])
        return made

    def _changed_union(self, of: list[Any], depth: int) -> Any:
        if of and self.chance(10):
            return self.changed(of[0], depth + 1)
        kept = [self.changed(b, depth + 1) for b in of if not self.chance(12)]
        return distinct(self.draw(st.permutations([*kept, *([self.type(3)] if self.chance(3) else [])])))

    def _changed_plain(self, of: Any, depth: int) -> Any:
        if isinstance(of, str):
            wider = {"int": ("long", "double"), "long": ("float",), "float": ("double",)}
            return self.one_of(*wider.get(of, {"string": ("bytes",), "bytes": ("string",)}.get(of, (of,))), of, of)
        if of["type"] == "array":
            return {**of, "items": self.changed(of["items"], depth + 1)}
        if of["type"] == "map":
            return {**of, "values": self.changed(of["values"], depth + 1)}
        return self._changed_named(of, depth)

    def _changed_named(self, of: dict[str, Any], depth: int) -> dict[str, Any]:
        made = dict(of)
        if of["type"] == "enum":
            made["symbols"] = [s for s in of["symbols"] if not self.chance(4)] + (["Z"] if self.chance(3) else [])
            made.pop("default", None)
            if made["symbols"] and self.chance(2):
                made["default"] = made["symbols"][0]
        elif of["type"] == "fixed":
            made["size"] = self.one_of(of["size"], of["size"], 3)
        else:
            made["fields"] = self._changed_fields(of["fields"], depth)
        return self._renamed(made)

    def _renamed(self, of: dict[str, Any]) -> dict[str, Any]:
        match self.one_of("keep", "keep", "keep", "namespace", "alias", "rename"):
            case "namespace":
                return {**of, "name": "z." + of["name"].rpartition(".")[2]}
            case "alias":
                return {**of, "name": self._name("N"), "aliases": [f"q.{of['name']}", of["name"]]}
            case "rename" if self.chance(2):
                return {**of, "name": self._name("N")}
        return of

    def _changed_fields(self, fields: list[dict[str, Any]], depth: int) -> list[dict[str, Any]]:
        made = []
        for field in fields:
            after = {**field, "type": self.changed(field["type"], depth + 1)}
            match self.one_of("keep", "keep", "keep", "keep", "drop", "alias", "rename"):
                case "drop":
                    continue
                case "alias":
                    after |= {"name": f"g{next(self._numbers)}", "aliases": [field["name"]]}
                case "rename" if self.chance(2):
                    after["name"] = f"g{next(self._numbers)}"
            made.append(after)
        if self.chance(3):
            new = {"name": f"n{next(self._numbers)}", "type": self.one_of("int", ["null", "string"])}
            made.append(new if self.chance(4) else {**new, "default": 5 if new["type"] == "int" else None})
        return list(self.draw(st.permutations(made)))


@st.composite
def pairs(draw: Draw) -> tuple[Any, Any]:
    """A writer's record schema and a reader's."""
    maker = Maker(draw)
    writer = maker.record()
    reader = maker.changed(writer) if maker.chance(4) else maker._changed_named(writer, 0)
    return writer, reader


def distinct(branches: list[Any]) -> list[Any]:
    """A union's branches, flat and none twice."""
    found: dict[str, Any] = {}
    for branch in itertools.chain.from_iterable(b if isinstance(b, list) else [b] for b in branches):
        found.setdefault(branch_name(branch), branch)
    return list(found.values())


def branch_name(of: Any) -> str:
    """As unions tell their branches apart."""
    return of if isinstance(of, str) else of["name"] if "name" in of else of["type"]


def covering(of: Any) -> list[Any]:
    """Values of a type in which every branch and every symbol stands at least once, wherever it may stand: what one
    reader cannot read, one of them shows. Branches are named, as (name, value)."""
    if isinstance(of, str):
        return [VALUES[of]]
    if isinstance(of, list):
        return [(branch_name(b), value) for b in of for value in covering(b)]
    match of["type"]:
        case "enum":
            return list(of["symbols"])
        case "fixed":
            return [b"\x42" * of["size"]]
        case "array":
            return [[value] for value in covering(of["items"])]
        case "map":
            return [{"k": value} for value in covering(of["values"])]
    columns = [covering(field["type"]) for field in of["fields"]]
    if not all(columns):
        return []
    longest = max((len(c) for c in columns), default=1)
    names = [field["name"] for field in of["fields"]]
    return [{n: c[k % len(c)] for n, c in zip(names, columns, strict=True)} for k in range(longest)]
