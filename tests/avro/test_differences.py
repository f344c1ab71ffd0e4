"""What changes, in words, and what each change means for readers: never another verdict than compatibility's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from hub.avro import parse
from hub.avro.compat import incompatibilities
from hub.avro.differences import MAX_CHANGES, Change, differences
from tests.avro.evolution import pairs

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def f(name: str, of: Any = "int", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of, **more}


def changes(old: Any, new: Any) -> list[Change]:
    return differences(parse(json.dumps(old)), parse(json.dumps(new)))


E2, E3 = ({"type": "enum", "name": "E", "symbols": list(s)} for s in ("AB", "ABC"))
CASES: list[tuple[Any, Any, str, str, str, bool, bool]] = [  # old, new, kind, path, words, new reads old, old reads new
    (rec(), rec(f("a", default=3)), "ADDED", "a", "is new (int); records written before have 3 there", True, True),
    (
        rec(),
        rec(f("a")),
        "ADDED",
        "a",
        "has no default; the new schema cannot read records written before",
        False,
        True,
    ),
    (rec(f("a", default=3)), rec(), "REMOVED", "a", "old readers take 3 instead", True, True),
    (
        rec(f("a")),
        rec(),
        "REMOVED",
        "a",
        "is gone; new records do not have it; readers that still have the old",
        True,
        False,
    ),
    (rec(f("a")), rec(f("b", aliases=["a"])), "RENAMED", "b", "is the new name of a", True, False),
    (rec(f("a")), rec(f("a", "long")), "TYPE", "a", "from int to long", True, False),
    (rec(f("a", "long")), rec(f("a")), "TYPE", "a", "from long to int; the new schema cannot read", False, True),
    (rec(f("a")), rec(f("a", "string")), "TYPE", "a", "from int to string", False, False),
    (rec(f("a")), rec(f("a", ["null", "int"])), "TYPE", "a", "from int to int or null", True, False),
    (rec(f("a")), rec(f("a", ["int", "string"])), "TYPE", "a", "from int to int or string; readers", True, False),
    (rec(f("a", "null")), rec(f("a", [])), "TYPE", "a", "from null to nothing; the new", False, True),
    (
        rec(f("a", {"type": "array", "items": {"type": "map", "values": E2}})),
        rec(f("a", {"type": "fixed", "name": "F", "size": 1})),
        "TYPE",
        "a",
        "from list of map of enum E to fixed F; the",
        False,
        False,
    ),
    (
        rec(f("a", "bytes")),
        rec(f("a", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2})),
        "TYPE",
        "a",
        "means decimal of 9 digits, 2 after the point instead of a plain bytes",
        True,
        True,
    ),
    (rec(f("a", E2)), rec(f("a", E3)), "SYMBOLS", "a", "may be C as well", True, False),
    (rec(f("a", E3)), rec(f("a", E2)), "SYMBOLS", "a", "is never C any more", False, True),
    (rec(f("a", E3)), rec(f("a", {**E3, "default": "A"})), "SYMBOLS", "a", "is read as A, not as an error", True, True),
    (
        rec(f("a")),
        rec(f("a", {"type": "int", "logicalType": "date"})),
        "TYPE",
        "a",
        "means date instead of a plain int",
        True,
        True,
    ),
    (rec(f("a", default=1)), rec(f("a", default=2)), "DEFAULT", "a", "its default changes from 1 to 2", True, True),
    (rec(f("a")), rec(f("a", default=None if False else 2)), "DEFAULT", "a", "from none to 2", True, True),
    (rec(f("a", doc="x")), rec(f("a", doc="y")), "DOC", "a", "its description changes", True, True),
    (rec(doc="x"), rec(doc="y"), "DOC", "", "its description changes", True, True),
    (
        rec(f("a", c="public")),
        rec(f("a", c="personal")),
        "PROPERTY",
        "a",
        'c changes from "public" to "personal"',
        True,
        True,
    ),
    (rec(f("a")), rec(f("a", unit="m")), "PROPERTY", "a", 'unit changes from nothing to "m"', True, True),
    (rec(), rec(name="S"), "NAME", "", "the type R is now called S", False, False),
    (rec(), rec(name="S", aliases=["R"]), "NAME", "", "the type R is now called S", True, False),
    (rec(), rec(namespace="x"), "NAME", "", "now called x.R", True, True),
    (
        {"type": "fixed", "name": "F", "size": 1},
        {"type": "fixed", "name": "F", "size": 2},
        "TYPE",
        "",
        "1 to 2 bytes",
        False,
        False,
    ),
    (
        rec(f("a", {"type": "array", "items": "int"})),
        rec(f("a", {"type": "array", "items": "long"})),
        "TYPE",
        "a[]",
        "int to long",
        True,
        False,
    ),
    (rec(f("a", rec(name="S"))), rec(f("a", rec(f("b"), name="S"))), "ADDED", "a.b", "is new", False, True),
    (
        rec(f("a", ["null", rec(name="S")])),
        rec(f("a", ["null", rec(f("b", default=0), name="S")])),
        "ADDED",
        "a.b",
        "is new",
        True,
        True,
    ),
]


@pytest.mark.parametrize(("old", "new", "kind", "path", "words", "back", "forth"), CASES)
def test_each_kind_of_change(old: Any, new: Any, kind: str, path: str, words: str, back: bool, forth: bool) -> None:
    (found,) = changes(old, new)
    assert (found.kind, found.path, found.new_reads_old, found.old_reads_new) == (kind, path, back, forth)
    assert words in found.text
    assert str(found).startswith(path)


def test_what_was_renamed_says_what_it_was() -> None:
    (found,) = changes(rec(f("s", rec(f("a"), name="S"))), rec(f("s", rec(f("b", aliases=["a"]), name="S"))))
    assert (found.path, found.was) == ("s.b", "s.a")


def test_the_same_schema_has_no_changes() -> None:
    tree = rec(f("v"), f("next", ["null", "R"], default=None))
    assert changes(tree, tree) == []
    assert [c.path for c in changes(tree, rec(f("v"), f("next", ["null", "R"], default=None), f("w", default=0)))] == [
        "w"
    ]


@settings(max_examples=300, suppress_health_check=SLOW)
@given(pairs())
def test_the_verdict_is_compatibilitys(pair: tuple[Any, Any]) -> None:
    old, new = (parse(json.dumps(schema)) for schema in pair)
    found = differences(old, new)
    assert all(c.new_reads_old for c in found) == (not incompatibilities(new, old))
    assert all(c.old_reads_new for c in found) == (not incompatibilities(old, new))
    assert all(c.text for c in found)


def test_S23_changes_are_bounded() -> None:
    new = rec(*(f(f"a{k}") for k in range(3_000)))
    assert len(changes(rec(), new)) == MAX_CHANGES
